//! CreateRepository.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html>

use crate::errors::EcrError;
use crate::repositories::{resource, shown};
use crate::{resource_tags, settings};
use auth::Check;
use base::ApiError;
use oci::reference::is_repository;
use request::{Caller, Checks, Cx};
use state::{REPOSITORIES, Repository};
use store::{Tx, View, key};
use wire::types::ecr::{CreateRepositoryRequest, CreateRepositoryResponse};

/// Repositories in a registry (Amazon ECR service quotas).
const REPOSITORIES_MAX: usize = 100_000;
pub fn checks(_view: &View, input: &CreateRepositoryRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    let tags = || resource_tags::pairs(input.tags.as_deref().unwrap_or_default());
    let create = Check::new("ecr:CreateRepository", &resource).with_request_tags(tags());
    let tag = tags().next().map(|_| Check::new("ecr:TagResource", &resource).with_request_tags(tags()));
    Ok(std::iter::once(create).chain(tag).collect())
}

pub fn run(tx: &mut Tx, input: CreateRepositoryRequest, cx: &mut Cx) -> Result<CreateRepositoryResponse, ApiError> {
    refuse_unsupported(&input)?;
    let name = input.repository_name;
    if !is_repository(&name) {
        let reason = "must be lower-case letters and digits with single '.', '_', '__', '-' or '/' between them";
        return Err(EcrError::parameter("repositoryName", reason).into());
    }
    let (account, region) = (cx.account().to_owned(), cx.region().to_owned());
    if tx.get(REPOSITORIES, &key![&account, &region, &name]).is_some() {
        return Err(EcrError::RepositoryExists { name, account }.into());
    }
    if tx.scan(REPOSITORIES, &key![&account, &region]).nth(REPOSITORIES_MAX - 1).is_some() {
        return Err(EcrError::TooManyRepositories { account, max: REPOSITORIES_MAX }.into());
    }
    let tags = resource_tags::read(input.tags.unwrap_or_default())?;
    let mutability = settings::mutability(
        input.image_tag_mutability.as_deref().unwrap_or("MUTABLE"),
        input.image_tag_mutability_exclusion_filters.unwrap_or_default(),
    )?;
    let repository = Repository { account, region, name, created_at: cx.now, tags, mutability };
    let answer = shown(&repository, &cx.caller);
    tx.put(REPOSITORIES, repository);
    Ok(CreateRepositoryResponse { repository: Some(answer) })
}

fn refuse_unsupported(input: &CreateRepositoryRequest) -> Result<(), EcrError> {
    let refuse = |field, what: &str| {
        Err(EcrError::parameter(field, format!("{what} is not supported by Longshore yet: leave it out")))
    };
    if let Some(scanning) = &input.image_scanning_configuration {
        settings::scanning(scanning)?;
    }
    match &input.encryption_configuration {
        Some(encryption) if encryption.encryption_type != "AES256" => {
            refuse("encryptionConfiguration", "encryption other than AES256")
        }
        Some(encryption) if encryption.kms_key.is_some() => {
            Err(EcrError::parameter("encryptionConfiguration", "AES256 takes no kmsKey"))
        }
        _ => Ok(()),
    }
}
