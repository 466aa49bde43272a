//! DeleteRepository.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DeleteRepository.html>
//!
//! What a repository holds may be more than one transaction: slices of it go
//! first, each audited, the repository's own row last. Where that is cut short
//! the repository is still there, with less in it.

use crate::commit::{Commits, ROWS_MAX};
use crate::errors::EcrError;
use crate::repositories::{find, resource, shown};
use auth::Check;
use base::ApiError;
use plan::image::within;
use request::{Caller, Checks, Cx, Flow};
use state::{IMAGE_TAGS, IMAGES, LAYERS, REPOSITORIES, Repository, UPLOADS};
use store::{Key, Table, Tx, View};
use wire::types::ecr::{DeleteRepositoryRequest, DeleteRepositoryResponse};

pub fn checks(_view: &View, input: &DeleteRepositoryRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    Ok(vec![Check::new("ecr:DeleteRepository", resource)])
}

pub async fn run(flow: Flow, input: DeleteRepositoryRequest) -> Result<DeleteRepositoryResponse, ApiError> {
    let commits = Commits::new(flow, input, checks);
    loop {
        let answer = commits.commit(slice).await?;
        if answer.repository.is_some() {
            return Ok(answer);
        }
    }
}

/// Takes away what fits one transaction; answers the repository once that was all.
fn slice(tx: &mut Tx, input: &DeleteRepositoryRequest, cx: &mut Cx) -> Result<DeleteRepositoryResponse, ApiError> {
    let repository = find(tx, input.registry_id.as_deref(), &input.repository_name, &cx.caller)?.clone();
    let Repository { account, region, name, .. } = &repository;
    if input.force != Some(true) && tx.scan(IMAGES, &within(&repository)).next().is_some() {
        return Err(EcrError::RepositoryNotEmpty { name: name.clone(), account: account.clone() }.into());
    }
    let mut room = ROWS_MAX;
    clear(tx, IMAGE_TAGS, &repository, &mut room);
    clear(tx, IMAGES, &repository, &mut room);
    clear(tx, LAYERS, &repository, &mut room);
    clear(tx, UPLOADS, &repository, &mut room);
    if room == 0 {
        return Ok(DeleteRepositoryResponse { repository: None });
    }
    tx.delete(REPOSITORIES, &store::key![account, region, name]);
    Ok(DeleteRepositoryResponse { repository: Some(shown(&repository, &cx.caller)) })
}

fn clear<T: Table>(tx: &mut Tx, table: T, repository: &Repository, room: &mut usize) {
    let keys: Vec<Key> = tx.scan(table, &within(repository)).take(*room).map(T::key).collect();
    *room -= keys.len();
    for key in &keys {
        tx.delete(table, key);
    }
}
