//! ListAccountSettings: what a principal chose, or what holds for it.

use crate::errors::EcsError;
use crate::names::Scope;
use crate::paging::Page;
use crate::settings;
use auth::Check;
use base::ApiError;
use request::{Caller, Checks, Cx, List};
use store::View;
use wire::types::ecs::{ListAccountSettingsRequest, ListAccountSettingsResponse, Setting};

/// Settings of one page (Amazon ECS API reference, ListAccountSettings).
const PAGE_MAX: usize = 10;

pub fn checks(_view: &View, input: &ListAccountSettingsRequest, _caller: &Caller) -> Checks {
    Ok(vec![Check::any("ecs:ListAccountSettings").with("ecs:account-setting", input.name.iter())])
}

pub fn run(
    view: &View,
    input: ListAccountSettingsRequest,
    cx: &mut Cx,
) -> Result<ListAccountSettingsResponse, ApiError> {
    let name = input.name.as_deref().map(settings::named).transpose()?.map(|setting| setting.name);
    if input.value.is_some() && name.is_none() {
        return Err(EcsError::SettingValueAlone.into());
    }
    let page = Page::within(
        PAGE_MAX,
        List::of(&cx.caller, "ListAccountSettings", &input),
        input.max_results,
        input.next_token.as_deref(),
    )?;
    let principal = settings::principal(&cx.caller, input.principal_arn.as_deref())?;
    let scope = Scope::from(&cx.caller);
    let effective = input.effective_settings.unwrap_or(false);
    let shown: Vec<Setting> = settings::all()
        .filter(|setting| name.is_none_or(|name| setting.name == name))
        .filter(|setting| page.after.as_deref().is_none_or(|after| setting.name > after))
        .filter_map(|setting| match effective {
            true => Some(setting.effective(view, scope, &principal)),
            false => setting.chosen(view, scope, &principal).map(|value| setting.show(&principal, value)),
        })
        .filter(|setting| input.value.is_none() || setting.value == input.value)
        .collect();
    let (rows, next_token) = page.cut(shown.iter(), |setting| setting.name.clone().unwrap_or_default());
    Ok(ListAccountSettingsResponse { settings: Some(rows.into_iter().cloned().collect()), next_token })
}
