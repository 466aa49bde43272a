//! Tags of resources: repositories are the one kind here that has them.

use crate::errors::EcrError;
use base::Arn;
use request::Caller;
use state::{REPOSITORIES, Tags};
use store::{Key, View, key};
use wire::types::ecr::Tag;

/// Tags of a resource (AWS tagging limits), and the characters of their keys and values.
const TAGS_MAX: usize = 50;
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;
/// Keys that begin so are AWS's own.
const RESERVED: &str = "aws:";

/// Keys and values, as checks ask about them.
pub fn pairs(tags: &[Tag]) -> impl Iterator<Item = (&str, &str)> {
    tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str()))
}

/// The tags that a request gives, each key once.
pub fn read(given: Vec<Tag>) -> Result<Tags, EcrError> {
    let mut tags = Tags::new();
    for Tag { key, value } in given {
        let (key_chars, value_chars) = (key.chars().count(), value.chars().count());
        if !(1..=KEY_CHARS_MAX).contains(&key_chars) || value_chars > VALUE_CHARS_MAX {
            return Err(EcrError::Tag(format!(
                "the tag with key '{key}' has a wrong length: keys have 1 to {KEY_CHARS_MAX} characters, values {VALUE_CHARS_MAX} at most"
            )));
        }
        if key.starts_with(RESERVED) {
            return Err(EcrError::Tag(format!("the tag key '{key}' begins with 'aws:', which is reserved")));
        }
        if tags.insert(key.clone(), value).is_some() {
            return Err(EcrError::Tag(format!("the tag key '{key}' is given twice: give each key once")));
        }
    }
    bounded(tags)
}

/// The tags, unless they are more than a resource can have.
pub fn bounded(tags: Tags) -> Result<Tags, EcrError> {
    if tags.len() > TAGS_MAX { Err(EcrError::TooManyTags { given: tags.len(), max: TAGS_MAX }) } else { Ok(tags) }
}

pub fn arn(text: &str) -> Result<Arn, EcrError> {
    let arn = text.parse::<Arn>().ok();
    let is_repository = |arn: &Arn| arn.service == "ecr" && arn.resource_of_kind("repository").is_some();
    arn.filter(is_repository).ok_or_else(|| EcrError::parameter("resourceArn", "Invalid ARN"))
}

/// The key of the repository that an ARN names, if there is one in the caller's region.
pub fn tagged(view: &View, text: &str, caller: &Caller) -> Result<Key, EcrError> {
    let arn = arn(text)?;
    let name = arn.resource_of_kind("repository").unwrap_or_default();
    crate::repositories::find(view, Some(&arn.account), name, caller)?;
    Ok(key![&arn.account, &caller.region, name])
}

/// Gives a repository other tags.
pub fn change(
    tx: &mut store::Tx,
    text: &str,
    caller: &Caller,
    change: impl FnOnce(Tags) -> Result<Tags, EcrError>,
) -> Result<(), EcrError> {
    let key = tagged(tx, text, caller)?;
    let tags = tx.get(REPOSITORIES, &key).map(|row| row.tags.clone()).unwrap_or_default();
    let tags = change(tags)?;
    tx.update(REPOSITORIES, &key, |row| row.tags = tags);
    Ok(())
}
