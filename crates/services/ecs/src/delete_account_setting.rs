//! DeleteAccountSetting: a principal's choice goes; what holds then is answered.

use crate::names::Scope;
use crate::settings;
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use state::ACCOUNT_SETTINGS;
use store::{Tx, View, key};
use wire::types::ecs::{DeleteAccountSettingRequest, DeleteAccountSettingResponse};

pub fn checks(_view: &View, input: &DeleteAccountSettingRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::any("ecs:DeleteAccountSetting").with("ecs:account-setting", [&input.name])])
}

pub fn run(
    tx: &mut Tx,
    input: DeleteAccountSettingRequest,
    cx: &mut Cx,
) -> Result<DeleteAccountSettingResponse, ApiError> {
    let setting = settings::named(&input.name)?;
    let principal = settings::principal(&cx.caller, input.principal_arn.as_deref())?;
    let scope = Scope::from(&cx.caller);
    tx.delete(ACCOUNT_SETTINGS, &key![scope.account, scope.region, principal, setting.name]);
    Ok(DeleteAccountSettingResponse { setting: Some(setting.effective(tx, scope, &principal)) })
}
