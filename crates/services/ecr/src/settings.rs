//! Settings of a repository, as requests give them.

use crate::errors::EcrError;
use plan::image::MutabilityRefusal;
use state::TagMutability;
use wire::types::ecr::{ImageScanningConfiguration, ImageTagMutabilityExclusionFilter};

pub fn mutability(name: &str, filters: Vec<ImageTagMutabilityExclusionFilter>) -> Result<TagMutability, EcrError> {
    let filters = filters.into_iter().map(|filter| filter.filter).collect();
    plan::image::mutability(name, filters).map_err(|refusal| {
        let field = match refusal {
            MutabilityRefusal::Unknown(_) => "imageTagMutability",
            _ => "imageTagMutabilityExclusionFilters",
        };
        EcrError::parameter(field, refusal.to_string())
    })
}

/// Nothing here scans images: whoever asks for it is told so.
pub fn scanning(asked: &ImageScanningConfiguration) -> Result<(), EcrError> {
    if asked.scan_on_push == Some(true) {
        let reason =
            "scanOnPush is not supported by Longshore, which scans no images: leave it out, or set it to false";
        return Err(EcrError::parameter("imageScanningConfiguration", reason));
    }
    Ok(())
}

/// The exclusions as answers show them.
pub fn exclusions(mutability: &TagMutability) -> Option<Vec<ImageTagMutabilityExclusionFilter>> {
    let shown = |filter: &String| ImageTagMutabilityExclusionFilter {
        filter_type: "WILDCARD".to_owned(),
        filter: filter.clone(),
    };
    (!mutability.exclusions.is_empty()).then(|| mutability.exclusions.iter().map(shown).collect())
}
