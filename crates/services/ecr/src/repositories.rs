//! Finding repositories by what callers name them, and showing them.

use crate::errors::EcrError;
use crate::settings;
use plan::image::mutability_text;
use request::Caller;
use state::Repository;
use store::View;
use wire::types::ecr::{EncryptionConfiguration, ImageScanningConfiguration, Repository as Shown};

/// The registry that a request is about: its `registryId`, or the caller's own.
pub fn registry<'a>(registry_id: Option<&'a str>, caller: &'a Caller) -> &'a str {
    registry_id.unwrap_or(&caller.account)
}

/// The ARN that policies name; `*` as the name means every repository.
pub fn resource(registry_id: Option<&str>, name: &str, caller: &Caller) -> String {
    Repository::arn_of(registry(registry_id, caller), &caller.region, name).to_string()
}

pub fn find<'a>(
    view: &'a View,
    registry_id: Option<&str>,
    name: &str,
    caller: &Caller,
) -> Result<&'a Repository, EcrError> {
    Ok(plan::image::repository(view, registry(registry_id, caller), &caller.region, name)?)
}

/// The repository as answers show it to `caller`.
pub fn shown(repository: &Repository, caller: &Caller) -> Shown {
    Shown {
        repository_arn: Some(repository.arn().to_string()),
        registry_id: Some(repository.account.clone()),
        repository_name: Some(repository.name.clone()),
        repository_uri: Some(format!("{}/{}", caller.registry_host(), repository.name)),
        created_at: Some(repository.created_at),
        image_tag_mutability: Some(mutability_text(&repository.mutability).to_owned()),
        image_tag_mutability_exclusion_filters: settings::exclusions(&repository.mutability),
        image_scanning_configuration: Some(ImageScanningConfiguration { scan_on_push: Some(false) }),
        encryption_configuration: Some(EncryptionConfiguration { encryption_type: "AES256".to_owned(), kms_key: None }),
    }
}
