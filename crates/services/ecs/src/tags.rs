//! Resource tags between the wire's list and the rows' map.

use crate::errors::EcsError;
use auth::Check;
use state::Tags;
use wire::types::ecs::Tag;

/// Prefix of tags that AWS services set; in any case of letters.
const RESERVED_PREFIX: &str = "aws:";

/// Tags of a user on one resource (Amazon ECS API reference, TagResource); ours do not count.
pub(crate) const TAGS_MAX: usize = 50;

/// Reads a request's tags. A tag without a value has an empty one.
pub(crate) fn read(given: Option<Vec<Tag>>) -> Result<Tags, EcsError> {
    let mut tags = Tags::new();
    for Tag { key, value } in given.unwrap_or_default() {
        let key = key.filter(|key| !key.is_empty()).ok_or(EcsError::TagKeyMissing)?;
        check_key(&key)?;
        if tags.contains_key(&key) {
            return Err(EcsError::TagKeyTwice(key));
        }
        tags.insert(key, value.unwrap_or_default());
    }
    Ok(tags)
}

/// Refuses a key that only AWS services may set.
pub(crate) fn check_key(key: &str) -> Result<(), EcsError> {
    if is_reserved(key) { Err(EcsError::TagKeyReserved(key.to_owned())) } else { Ok(()) }
}

fn is_reserved(key: &str) -> bool {
    key.get(..RESERVED_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX))
}

/// The tags, if a resource may carry that many.
pub(crate) fn bounded(tags: Tags) -> Result<Tags, EcsError> {
    match tags.keys().filter(|key| !is_reserved(key)).count() {
        count if count > TAGS_MAX => Err(EcsError::TooManyTags),
        _ => Ok(tags),
    }
}

pub(crate) fn show(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

/// Keys and values of a request's tags, as authorisation is told of them.
pub(crate) fn pairs(given: &[Tag]) -> impl Iterator<Item = (&str, &str)> {
    given.iter().filter_map(|tag| Some((tag.key.as_deref()?, tag.value.as_deref().unwrap_or_default())))
}

/// `check` of an operation that tags what it creates, with the tagging permission that this takes.
///
/// Amazon ECS developer guide, "Grant permission to tag resources on creation".
pub(crate) fn checks_on_create(check: Check, action: &str, tagged: &str, given: &Option<Vec<Tag>>) -> Vec<Check> {
    let tags = || pairs(given.as_deref().unwrap_or_default());
    let tagging = Check::new("ecs:TagResource", tagged).with("ecs:CreateAction", [action]).with_request_tags(tags());
    let tagging = tags().next().is_some().then_some(tagging);
    std::iter::once(check.with_request_tags(tags())).chain(tagging).collect()
}
