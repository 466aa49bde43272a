//! Task definitions that our own commands register.

use crate::session::{Session, text};
use anyhow::Result;
use serde_json::{Value, json};

/// Members of a definition that nobody wrote.
const NOT_WRITTEN: [&str; 7] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
];

/// A definition, registered.
pub struct Registered {
    pub arn: String,
    /// It is the newest revision as it was.
    pub was_there: bool,
}

/// Registers `input`, unless its family's newest revision is this very one already.
pub async fn register(session: &Session, input: &Value) -> Result<Registered> {
    let newest = session.ecs("DescribeTaskDefinition", &json!({ "taskDefinition": input["family"] })).await;
    if let Some(newest) = newest.ok().filter(|newest| is(&newest["taskDefinition"], input)) {
        return Ok(Registered { arn: text(&newest["taskDefinition"]["taskDefinitionArn"])?, was_there: true });
    }
    let made = session.ecs("RegisterTaskDefinition", input).await?;
    Ok(Registered { arn: text(&made["taskDefinition"]["taskDefinitionArn"])?, was_there: false })
}

fn is(known: &Value, input: &Value) -> bool {
    let mut known = known.clone();
    if let Some(members) = known.as_object_mut() {
        members.retain(|name, _| !NOT_WRITTEN.contains(&name.as_str()));
    }
    same(&known, input)
}

/// True when `known` is `input`, with nothing but empty lists filled in beside it.
fn same(known: &Value, input: &Value) -> bool {
    match (known, input) {
        (Value::Object(known), Value::Object(input)) => {
            let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
            input.iter().all(|(name, value)| known.get(name).is_some_and(|there| same(there, value)))
                && known.iter().all(|(name, value)| input.contains_key(name) || is_empty(value))
        }
        (Value::Array(known), Value::Array(input)) => {
            known.len() == input.len() && known.iter().zip(input).all(|(known, input)| same(known, input))
        }
        _ => known == input,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_known_again_by_all_that_was_written() {
        let input = json!({ "family": "web", "containerDefinitions": [{ "name": "web", "options": { "a": "1" } }] });
        let check = |change: fn(&mut Value), expect: bool| {
            let mut known = input.clone();
            known["taskDefinitionArn"] = json!("arn");
            known["revision"] = json!(3);
            known["volumes"] = json!([]);
            known["containerDefinitions"][0]["mountPoints"] = json!([]);
            change(&mut known);
            assert_eq!(is(&known, &input), expect, "{known}");
        };
        check(|_| {}, true);
        check(|known| known["networkMode"] = json!("host"), false);
        check(|known| known["containerDefinitions"][0]["command"] = json!(["x"]), false);
        check(|known| known["containerDefinitions"][0]["name"] = json!("other"), false);
        check(|known| known["containerDefinitions"][0]["options"]["b"] = json!("2"), false);
        check(|known| known["containerDefinitions"] = json!([]), false);
    }
}
