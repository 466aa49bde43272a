//! Which members of a request mean something here. Any other with a value is refused by name:
//! nothing is taken and then ignored.

use crate::errors::EcsError;
use serde::Serialize;
use serde_json::Value;

/// Refuses every member of `document` that has a value and is not one of `supported`; `at` is the
/// path of the document in the request, with its dot, for the error.
pub(crate) fn only(document: &impl Serialize, supported: &[&str], at: &str) -> Result<(), EcsError> {
    let document = serde_json::to_value(document).map_err(|error| EcsError::Stored(error.to_string()))?;
    let members = document.as_object().into_iter().flatten();
    match members.into_iter().find(|(name, value)| !supported.contains(&name.as_str()) && !is_empty(value)) {
        None => Ok(()),
        Some((name, _)) => Err(EcsError::FieldNotSupported(format!("{at}{name}"))),
    }
}

/// True for what says nothing: absent, false, an empty text, list or structure.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_empty),
    }
}

#[cfg(test)]
mod tests {
    use super::only;
    use serde_json::json;

    #[test]
    fn a_value_outside_the_supported_members_is_named() {
        let empty = json!({"a": null, "b": false, "c": "", "d": [], "e": {"f": {"g": []}}});
        assert_eq!(only(&empty, &[], ""), Ok(()));
        for (document, expected) in [
            (json!({"known": 1, "privileged": true}), "x.privileged"),
            (json!({"startTimeout": 0}), "x.startTimeout"),
            (json!({"linuxParameters": {"tmpfs": [], "swappiness": 1}}), "x.linuxParameters"),
            (json!({"links": ["a"]}), "x.links"),
        ] {
            let error = only(&document, &["known"], "x.").expect_err("refused").to_string();
            assert_eq!(error, format!("Longshore does not support '{expected}' yet. Leave it out and try again."));
        }
    }
}
