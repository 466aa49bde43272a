//! PutAccountSetting: what holds for one principal, or by the root's choice for all.

use crate::names::Scope;
use crate::settings;
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use state::{ACCOUNT_SETTINGS, AccountSetting};
use store::{Tx, View};
use wire::types::ecs::{PutAccountSettingRequest, PutAccountSettingResponse};

pub fn checks(_view: &View, input: &PutAccountSettingRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::any("ecs:PutAccountSetting").with("ecs:account-setting", [&input.name])])
}

pub fn run(tx: &mut Tx, input: PutAccountSettingRequest, cx: &mut Cx) -> Result<PutAccountSettingResponse, ApiError> {
    let setting = settings::named(&input.name)?;
    let principal = settings::principal(&cx.caller, input.principal_arn.as_deref())?;
    setting.check(Scope::from(&cx.caller), &principal, &input.value)?;
    let shown = setting.show(&principal, &input.value);
    let (account, region) = (cx.account().to_owned(), cx.region().to_owned());
    tx.put(ACCOUNT_SETTINGS, AccountSetting { account, region, principal, name: input.name, value: input.value });
    Ok(PutAccountSettingResponse { setting: Some(shown) })
}
