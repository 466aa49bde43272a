//! Account settings: what there is to choose, and what holds for whom.
//!
//! Amazon ECS developer guide, "Access Amazon ECS features with account settings".

use crate::errors::EcsError;
use crate::names::Scope;
use base::{Arn, Principal};
use request::Caller;
use state::{ACCOUNT_SETTINGS, LogMode};
use store::{View, key};
use wire::types::ecs::Setting as Shown;

/// A setting that an account has.
pub(crate) struct Setting {
    pub name: &'static str,
    /// What holds where nobody chose.
    pub default: &'static str,
    /// What may be chosen; nothing where AWS alone decides.
    pub values: &'static [&'static str],
    /// True where only the root may choose, for the whole account.
    pub of_root: bool,
}

const fn setting(name: &'static str, default: &'static str, values: &'static [&'static str]) -> Setting {
    Setting { name, default, values, of_root: false }
}

/// The one that gives new clusters their own setting of that name.
pub(crate) const CONTAINER_INSIGHTS: &str = "containerInsights";
/// Values of Container Insights, for accounts and clusters alike.
pub(crate) const CONTAINER_INSIGHTS_VALUES: [&str; 3] = ["disabled", "enabled", "enhanced"];

/// The one that says how output is delivered where definitions do not.
const LOG_MODE: &str = "defaultLogDriverMode";

const ON_OR_OFF: &[&str] = &["enabled", "disabled"];

/// Long ARNs and authorisation of tags cannot be turned off any more.
const ALWAYS_ENABLED: &[&str] = &["enabled"];

/// By name.
static SETTINGS: [Setting; 11] = [
    setting("awsvpcTrunking", "disabled", ON_OR_OFF),
    setting(CONTAINER_INSIGHTS, "disabled", &CONTAINER_INSIGHTS_VALUES),
    setting("containerInstanceLongArnFormat", "enabled", ALWAYS_ENABLED),
    // Non-blocking since 25 June 2025 (the same page, "Default log driver mode").
    setting(LOG_MODE, "non-blocking", &["blocking", "non-blocking"]),
    setting("fargateEventWindows", "disabled", ON_OR_OFF),
    setting("fargateFIPSMode", "disabled", ON_OR_OFF),
    Setting { of_root: true, ..setting("fargateTaskRetirementWaitPeriod", "7", &["0", "7", "14"]) },
    setting("guardDutyActivate", "off", &[]),
    setting("serviceLongArnFormat", "enabled", ALWAYS_ENABLED),
    setting("tagResourceAuthorization", "on", &["on"]),
    setting("taskLongArnFormat", "enabled", ALWAYS_ENABLED),
];

pub(crate) fn all() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter()
}

/// The setting of that name; the model allows no other names.
pub(crate) fn named(name: &str) -> Result<&'static Setting, EcsError> {
    all().find(|setting| setting.name == name).ok_or_else(|| EcsError::SettingUnknown(name.to_owned()))
}

impl Setting {
    /// Refuses what `principal` cannot choose.
    pub fn check(&self, scope: Scope, principal: &str, value: &str) -> Result<(), EcsError> {
        if self.values.is_empty() {
            return Err(EcsError::SettingReadOnly(self.name));
        }
        if !self.values.contains(&value) {
            return Err(EcsError::SettingValue { name: self.name, value: value.to_owned(), allowed: self.values });
        }
        match self.of_root && principal != root(scope) {
            true => Err(EcsError::SettingOfRoot(self.name)),
            false => Ok(()),
        }
    }

    pub fn show(&self, principal: &str, value: &str) -> Shown {
        Shown {
            name: Some(self.name.to_owned()),
            value: Some(value.to_owned()),
            principal_arn: Some(principal.to_owned()),
            r#type: Some(if self.values.is_empty() { "aws_managed" } else { "user" }.to_owned()),
        }
    }

    /// What `principal` chose, if it did.
    pub fn chosen<'a>(&self, view: &'a View, scope: Scope, principal: &str) -> Option<&'a str> {
        let key = key![scope.account, scope.region, principal, self.name];
        view.get(ACCOUNT_SETTINGS, &key).map(|row| row.value.as_str())
    }

    /// What holds for `principal`: its own choice, the root's, or the default.
    pub fn effective(&self, view: &View, scope: Scope, principal: &str) -> Shown {
        let root = root(scope);
        let of = |principal: &str| self.chosen(view, scope, principal).map(|value| self.show(principal, value));
        of(principal).or_else(|| of(&root)).unwrap_or_else(|| self.show(principal, self.default))
    }
}

/// How the output of the caller's tasks is delivered where their definitions do not say it.
pub(crate) fn log_mode(view: &View, caller: &Caller) -> Result<LogMode, EcsError> {
    let chosen = named(LOG_MODE)?.effective(view, Scope::from(caller), &caller.principal.arn());
    let blocks = chosen.value.as_deref() == Some(LogMode::Blocking.as_str());
    Ok(if blocks { LogMode::Blocking } else { LogMode::NonBlocking })
}

/// The ARN whose choices hold for the whole account.
pub(crate) fn root(scope: Scope) -> String {
    Principal::Root { account: scope.account.to_owned() }.arn()
}

/// Whom a call is about: the caller, or the principal that it names.
///
/// # Errors
/// For an ARN that is no user, role or root of this account, and for another principal when the caller is not the root.
pub(crate) fn principal(caller: &Caller, given: Option<&str>) -> Result<String, EcsError> {
    let own = caller.principal.arn();
    let Some(given) = given.filter(|given| !given.is_empty()) else { return Ok(own) };
    let arn = given.parse::<Arn>().ok().filter(|arn| arn.service == "iam" && arn.account == caller.account);
    let known = arn.is_some_and(|arn| arn.resource == "root" || is_named(&arn, "user") || is_named(&arn, "role"));
    match (known, &caller.principal) {
        (false, _) => Err(EcsError::SettingPrincipal(given.to_owned())),
        (true, Principal::Root { .. }) => Ok(given.to_owned()),
        (true, _) if given == own => Ok(own),
        (true, _) => Err(EcsError::SettingOfOther),
    }
}

fn is_named(arn: &Arn, kind: &str) -> bool {
    arn.resource_of_kind(kind).is_some_and(|name| !name.is_empty())
}
