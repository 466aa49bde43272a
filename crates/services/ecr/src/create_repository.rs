//! CreateRepository.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html>

use crate::errors::EcrError;
use crate::repositories::{resource, shown};
use auth::Check;
use base::ApiError;
use oci::reference::is_repository;
use request::{Caller, Checks, Cx};
use state::{REPOSITORIES, Repository, Tags};
use store::{Tx, View, key};
use wire::types::ecr::{CreateRepositoryRequest, CreateRepositoryResponse, Tag};

/// Repositories in a registry (Amazon ECR service quotas).
const REPOSITORIES_MAX: usize = 100_000;
/// Tags of a resource (AWS tagging limits), and the characters of their keys and values.
const TAGS_MAX: usize = 50;
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;
/// Tag keys that begin so are AWS's own.
const TAG_KEY_RESERVED: &str = "aws:";

pub fn checks(_view: &View, input: &CreateRepositoryRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    let tags = || {
        let tags = input.tags.iter().flatten();
        tags.map(|tag| (tag.key.as_str(), tag.value.as_str()))
    };
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
    let tags = read_tags(input.tags.unwrap_or_default())?;
    let repository =
        Repository { account, region, name, created_at: cx.now, tags, mutability: state::TagMutability::default() };
    let answer = shown(&repository, &cx.installation);
    tx.put(REPOSITORIES, repository);
    Ok(CreateRepositoryResponse { repository: Some(answer) })
}

fn refuse_unsupported(input: &CreateRepositoryRequest) -> Result<(), EcrError> {
    let refuse = |field, what: &str| {
        Err(EcrError::parameter(field, format!("{what} is not supported by Longshore yet: leave it out")))
    };
    if input.image_tag_mutability.as_deref().is_some_and(|mutability| mutability != "MUTABLE") {
        return refuse("imageTagMutability", "anything but MUTABLE");
    }
    if input.image_tag_mutability_exclusion_filters.is_some() {
        return refuse("imageTagMutabilityExclusionFilters", "excluding tags");
    }
    if input.image_scanning_configuration.as_ref().is_some_and(|scanning| scanning.scan_on_push == Some(true)) {
        return refuse("imageScanningConfiguration", "scanOnPush");
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

fn read_tags(given: Vec<Tag>) -> Result<Tags, EcrError> {
    if given.len() > TAGS_MAX {
        return Err(EcrError::TooManyTags { given: given.len(), max: TAGS_MAX });
    }
    let mut tags = Tags::new();
    for Tag { key, value } in given {
        let (key_chars, value_chars) = (key.chars().count(), value.chars().count());
        if !(1..=TAG_KEY_CHARS_MAX).contains(&key_chars) || value_chars > TAG_VALUE_CHARS_MAX {
            return Err(EcrError::Tag(format!(
                "the tag with key '{key}' has a wrong length: keys have 1 to {TAG_KEY_CHARS_MAX} characters, values {TAG_VALUE_CHARS_MAX} at most"
            )));
        }
        if key.starts_with(TAG_KEY_RESERVED) {
            return Err(EcrError::Tag(format!("the tag key '{key}' begins with 'aws:', which is reserved")));
        }
        if tags.insert(key.clone(), value).is_some() {
            return Err(EcrError::Tag(format!("the tag key '{key}' is given twice: give each key once")));
        }
    }
    Ok(tags)
}
