//! Resource tags between the wire's list and the rows' map.

use crate::errors::EcsError;
use auth::Check;
use state::Tags;
use wire::types::ecs::Tag;

/// Prefix of tags that AWS services set; in any case of letters.
const RESERVED_PREFIX: &str = "aws:";

/// Reads a request's tags. A tag without a value has an empty one.
pub(crate) fn read(given: Option<Vec<Tag>>) -> Result<Tags, EcsError> {
    let mut tags = Tags::new();
    for Tag { key, value } in given.unwrap_or_default() {
        let key = key.filter(|key| !key.is_empty()).ok_or(EcsError::TagKeyMissing)?;
        if key.get(..RESERVED_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX)) {
            return Err(EcsError::TagKeyReserved(key));
        }
        if tags.contains_key(&key) {
            return Err(EcsError::TagKeyTwice(key));
        }
        tags.insert(key, value.unwrap_or_default());
    }
    Ok(tags)
}

pub(crate) fn show(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

/// `check` of an operation that tags what it creates, with the tagging permission that this takes.
///
/// Amazon ECS developer guide, "Grant permission to tag resources on creation".
pub(crate) fn checks_on_create(check: Check, action: &str, tagged: &str, given: &Option<Vec<Tag>>) -> Vec<Check> {
    let tags = || {
        let tags = given.iter().flatten();
        tags.filter_map(|tag| Some((tag.key.as_deref()?, tag.value.as_deref().unwrap_or_default())))
    };
    let tagging = Check::new("ecs:TagResource", tagged).with("ecs:CreateAction", [action]).with_request_tags(tags());
    let tagging = tags().next().is_some().then_some(tagging);
    std::iter::once(check.with_request_tags(tags())).chain(tagging).collect()
}
