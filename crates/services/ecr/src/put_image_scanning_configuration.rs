//! PutImageScanningConfiguration: nothing here scans, so scanning can be off and nothing else.
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImageScanningConfiguration.html>

use crate::repositories::{find, resource};
use crate::settings;
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use store::{Tx, View};
use wire::types::ecr::{
    ImageScanningConfiguration, PutImageScanningConfigurationRequest, PutImageScanningConfigurationResponse,
};

pub fn checks(_view: &View, input: &PutImageScanningConfigurationRequest, caller: &Caller) -> Checks {
    let resource = resource(input.registry_id.as_deref(), &input.repository_name, caller);
    Ok(vec![Check::new("ecr:PutImageScanningConfiguration", resource)])
}

pub fn run(
    tx: &mut Tx,
    input: PutImageScanningConfigurationRequest,
    cx: &mut Cx,
) -> Result<PutImageScanningConfigurationResponse, ApiError> {
    let repository = find(tx, input.registry_id.as_deref(), &input.repository_name, &cx.caller)?;
    settings::scanning(&input.image_scanning_configuration)?;
    Ok(PutImageScanningConfigurationResponse {
        registry_id: Some(repository.account.clone()),
        repository_name: Some(repository.name.clone()),
        image_scanning_configuration: Some(ImageScanningConfiguration { scan_on_push: Some(false) }),
    })
}
