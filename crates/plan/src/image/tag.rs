//! Which tags may be moved to another image.
//!
//! Amazon ECR user guide, "Preventing image tags from being overwritten".

use state::TagMutability;

/// Exclusions of a repository (API reference, `imageTagMutabilityExclusionFilters`).
const EXCLUSIONS_MAX: usize = 5;
/// Wildcards of one exclusion (Amazon ECR user guide).
const WILDCARDS_MAX: usize = 2;

/// Why a setting is refused; the texts follow "Invalid parameter at … failed to satisfy constraint".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MutabilityRefusal {
    #[error("'{0}' is not MUTABLE, IMMUTABLE, MUTABLE_WITH_EXCLUSION or IMMUTABLE_WITH_EXCLUSION")]
    Unknown(String),
    #[error("exclusion filters are taken only with MUTABLE_WITH_EXCLUSION or IMMUTABLE_WITH_EXCLUSION")]
    NeedsNone,
    #[error("{0} needs 1 to {EXCLUSIONS_MAX} exclusion filters")]
    NeedsSome(String),
    #[error("the exclusion filter '{0}' has more than {WILDCARDS_MAX} wildcards")]
    Wildcards(String),
    #[error("the exclusion filter '{0}' is given twice")]
    Twice(String),
}

/// Reads a setting as the API names it.
pub fn mutability(name: &str, exclusions: Vec<String>) -> Result<TagMutability, MutabilityRefusal> {
    let (immutable, excluding) = match name {
        "MUTABLE" => (false, false),
        "IMMUTABLE" => (true, false),
        "MUTABLE_WITH_EXCLUSION" => (false, true),
        "IMMUTABLE_WITH_EXCLUSION" => (true, true),
        _ => return Err(MutabilityRefusal::Unknown(name.to_owned())),
    };
    match exclusions.len() {
        1.. if !excluding => return Err(MutabilityRefusal::NeedsNone),
        0 if excluding => return Err(MutabilityRefusal::NeedsSome(name.to_owned())),
        n if n > EXCLUSIONS_MAX => return Err(MutabilityRefusal::NeedsSome(name.to_owned())),
        _ => {}
    }
    for (place, filter) in exclusions.iter().enumerate() {
        if filter.matches('*').count() > WILDCARDS_MAX {
            return Err(MutabilityRefusal::Wildcards(filter.clone()));
        }
        if exclusions[..place].contains(filter) {
            return Err(MutabilityRefusal::Twice(filter.clone()));
        }
    }
    Ok(TagMutability { immutable, exclusions })
}

/// The setting as the API names it.
pub fn mutability_text(mutability: &TagMutability) -> &'static str {
    match (mutability.immutable, mutability.exclusions.is_empty()) {
        (false, true) => "MUTABLE",
        (true, true) => "IMMUTABLE",
        (false, false) => "MUTABLE_WITH_EXCLUSION",
        (true, false) => "IMMUTABLE_WITH_EXCLUSION",
    }
}

/// True for a tag that stays where it is.
pub fn is_immutable(mutability: &TagMutability, tag: &str) -> bool {
    let excluded = mutability.exclusions.iter().any(|filter| matches(filter, tag));
    mutability.immutable != excluded
}

/// `*` stands for any run of characters; the rest for itself.
fn matches(filter: &str, tag: &str) -> bool {
    let mut parts = filter.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = tag.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::{is_immutable, matches, mutability, mutability_text};

    /// `filters` are separated by spaces; the answer is the setting's name, or why it is refused.
    fn check_setting(name: &str, filters: &str, expect: &str) {
        let filters = filters.split_whitespace().map(str::to_owned).collect();
        let got = match mutability(name, filters) {
            Ok(read) => mutability_text(&read).to_owned(),
            Err(refusal) => refusal.to_string(),
        };
        assert!(got.starts_with(expect), "{name}: {got}");
    }

    #[test]
    fn settings_are_read() {
        check_setting("MUTABLE", "", "MUTABLE");
        check_setting("IMMUTABLE", "", "IMMUTABLE");
        check_setting("IMMUTABLE_WITH_EXCLUSION", "latest dev-*", "IMMUTABLE_WITH_EXCLUSION");
        check_setting("MUTABLE_WITH_EXCLUSION", "v*", "MUTABLE_WITH_EXCLUSION");
        check_setting("MUTABLE", "v*", "exclusion filters are taken only with");
        check_setting("IMMUTABLE_WITH_EXCLUSION", "", "IMMUTABLE_WITH_EXCLUSION needs 1 to 5");
        check_setting("IMMUTABLE_WITH_EXCLUSION", "a b c d e f", "IMMUTABLE_WITH_EXCLUSION needs 1 to 5");
        check_setting("IMMUTABLE_WITH_EXCLUSION", "a*b*c*", "the exclusion filter 'a*b*c*' has more than 2");
        check_setting("IMMUTABLE_WITH_EXCLUSION", "a a", "the exclusion filter 'a' is given twice");
        check_setting("mutable", "", "'mutable' is not MUTABLE");
    }

    #[test]
    fn an_excluded_tag_does_the_opposite() {
        let check = |name: &str, filters: &[&str], tag: &str, expect: bool| {
            let read = mutability(name, filters.iter().map(ToString::to_string).collect()).expect("a setting");
            assert_eq!(is_immutable(&read, tag), expect, "{name} {filters:?} {tag}");
        };
        check("MUTABLE", &[], "latest", false);
        check("IMMUTABLE", &[], "latest", true);
        check("IMMUTABLE_WITH_EXCLUSION", &["latest", "dev-*"], "latest", false);
        check("IMMUTABLE_WITH_EXCLUSION", &["latest", "dev-*"], "dev-1", false);
        check("IMMUTABLE_WITH_EXCLUSION", &["latest", "dev-*"], "v1", true);
        check("MUTABLE_WITH_EXCLUSION", &["v*"], "v1", true);
        check("MUTABLE_WITH_EXCLUSION", &["v*"], "latest", false);
    }

    #[test]
    fn wildcards_stand_for_any_run() {
        for (filter, tag, expect) in [
            ("*", "", true),
            ("*", "anything", true),
            ("v1", "v1", true),
            ("v1", "v12", false),
            ("v*", "v", true),
            ("*-rc", "1-rc", true),
            ("*-rc", "1-rc2", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXcYb", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*b*", "abc", true),
        ] {
            assert_eq!(matches(filter, tag), expect, "{filter} {tag}");
        }
    }
}
