//! Zero bytes. Programs, and the runtimes that start them, take a zero byte for a text's end: whatever comes after it
//! would be lost without a word.

use crate::errors::EcsError;
use serde::Serialize;
use serde_json::Value;

/// Refuses `document` when a text anywhere in it has a zero byte; `at` is the path of the document in the request, with
/// its dot, for the error.
pub(crate) fn refuse(document: &impl Serialize, at: &str) -> Result<(), EcsError> {
    let document = serde_json::to_value(document).map_err(|error| EcsError::Stored(error.to_string()))?;
    match find(&document) {
        None => Ok(()),
        Some(path) => Err(EcsError::ZeroByte(format!("{at}{}", path.trim_start_matches('.')))),
    }
}

/// Where the first one is; the text itself may be a secret.
fn find(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(at, item)| find(item).map(|rest| format!("[{at}]{rest}")))
        }
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let rest = if name.contains('\0') { Some(String::new()) } else { find(value) };
            rest.map(|rest| format!(".{}{rest}", name.escape_default()))
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::refuse;
    use serde_json::json;

    #[test]
    fn a_zero_byte_is_found_wherever_it_is() {
        assert_eq!(refuse(&json!({"a": ["\\0", "\\u0000"], "b": {"c": null}}), ""), Ok(()));
        for (document, expected) in [
            (json!({"a": ["x", "y\0z"]}), "x.a[1]"),
            (json!({"a": [{"b": "\0"}]}), "x.a[0].b"),
            (json!({"a": {"b\0c": "d"}}), "x.a.b\\u{0}c"),
        ] {
            let error = refuse(&document, "x.").expect_err("refused").to_string();
            assert_eq!(error, format!("'{expected}' has a zero byte, which ends a text. Leave it out and try again."));
        }
    }
}
