//! Attributes that users give container instances, beside those that their agents report.

use crate::errors::EcsError;
use crate::find;
use crate::names::{Kind, Member, Scope};
use auth::Check;
use request::{Caller, Checks};
use state::ContainerInstance;
use std::collections::BTreeSet;
use store::View;
use wire::types::ecs::Attribute;

/// Attributes of one call, and a user's own of one instance (Amazon ECS API reference, PutAttributes).
pub(crate) const ATTRIBUTES_MAX: usize = 10;

/// Characters of a name and of a value (Amazon ECS API reference, Attribute).
const CHARS_MAX: usize = 128;

/// Beginnings of the names that only agents and the service give.
const RESERVED_PREFIXES: [&str; 2] = ["ecs.", "com.amazonaws.ecs."];

/// `action` on each container instance that the attributes name.
pub(crate) fn checks(action: &'static str, caller: &Caller, cluster: Option<&str>, given: &[Attribute]) -> Checks {
    let scope = Scope::from(caller);
    let cluster = scope.cluster(cluster)?;
    let targets: BTreeSet<String> = targets(scope, cluster, given)?.into_iter().map(|(target, _)| target.arn).collect();
    let check = |arn| Check::new(action, arn).with("ecs:cluster", [scope.cluster_arn(cluster)]);
    Ok(targets.into_iter().map(check).collect())
}

/// Each attribute with the instance that it names.
pub(crate) fn targets<'a>(
    scope: Scope,
    cluster: &str,
    given: &'a [Attribute],
) -> Result<Vec<(Member, &'a Attribute)>, EcsError> {
    match given.len() {
        0 => return Err(EcsError::Empty { what: "attributes" }),
        many if many > ATTRIBUTES_MAX => return Err(EcsError::TooMany { what: "attributes", most: ATTRIBUTES_MAX }),
        _ => {}
    }
    given.iter().map(|attribute| Ok((target(scope, cluster, attribute)?, attribute))).collect()
}

/// A short id does not say what it is an id of: the type has to.
fn target(scope: Scope, cluster: &str, attribute: &Attribute) -> Result<Member, EcsError> {
    let id = attribute.target_id.as_deref().filter(|id| !id.is_empty()).ok_or(EcsError::AttributeTarget)?;
    if !id.starts_with("arn:") && attribute.target_type.is_none() {
        return Err(EcsError::AttributeTargetType);
    }
    scope.member(Kind::ContainerInstance, cluster, id)
}

/// The instance that carries attributes.
pub(crate) fn instance(
    view: &View,
    scope: Scope,
    cluster: &str,
    target: &Member,
) -> Result<ContainerInstance, EcsError> {
    let row = find::instance(view, scope, cluster, target).filter(|row| row.is_registered());
    row.cloned().ok_or_else(|| EcsError::AttributeTargetNotFound(target.arn.clone()))
}

/// Refuses a name or value that no attribute of a user has.
pub(crate) fn check(attribute: &Attribute) -> Result<(), EcsError> {
    let name = attribute.name.as_str();
    let plain = |b: u8, more: &[u8]| b.is_ascii_alphanumeric() || more.contains(&b);
    if !(1..=CHARS_MAX).contains(&name.len()) || !name.bytes().all(|b| plain(b, br"-_/\.")) {
        return Err(EcsError::AttributeName(name.to_owned()));
    }
    if RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(EcsError::AttributeReserved(name.to_owned()));
    }
    let Some(value) = attribute.value.as_deref() else { return Ok(()) };
    let fits = (1..=CHARS_MAX).contains(&value.len())
        && value.bytes().all(|b| plain(b, br"-_.@/\: "))
        && value.trim_matches(' ') == value;
    if fits { Ok(()) } else { Err(EcsError::AttributeValue(value.to_owned())) }
}

/// An attribute of `row`, as the attribute operations show it.
pub(crate) fn show(row: &ContainerInstance, name: &str, value: Option<&str>) -> Attribute {
    Attribute {
        name: name.to_owned(),
        value: value.map(str::to_owned),
        target_id: Some(row.arn().to_string()),
        ..Attribute::default()
    }
}
