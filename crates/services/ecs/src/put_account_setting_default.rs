//! PutAccountSettingDefault: what holds for all that chose nothing themselves.

use crate::names::Scope;
use crate::settings;
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx};
use state::{ACCOUNT_SETTINGS, AccountSetting};
use store::{Tx, View};
use wire::types::ecs::{PutAccountSettingDefaultRequest, PutAccountSettingDefaultResponse};

pub fn checks(_view: &View, input: &PutAccountSettingDefaultRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::any("ecs:PutAccountSettingDefault").with("ecs:account-setting", [&input.name])])
}

pub fn run(
    tx: &mut Tx,
    input: PutAccountSettingDefaultRequest,
    cx: &mut Cx,
) -> Result<PutAccountSettingDefaultResponse, ApiError> {
    let scope = Scope::from(&cx.caller);
    let (setting, principal) = (settings::named(&input.name)?, settings::root(scope));
    setting.check(scope, &principal, &input.value)?;
    let shown = setting.show(&principal, &input.value);
    let (account, region) = (cx.account().to_owned(), cx.region().to_owned());
    tx.put(ACCOUNT_SETTINGS, AccountSetting { account, region, principal, name: input.name, value: input.value });
    Ok(PutAccountSettingDefaultResponse { setting: Some(shown) })
}
