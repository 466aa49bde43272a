//! What an operation asks permission for.

use std::collections::BTreeMap;

/// One question to authorisation: may the caller do `action` on `resource`?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// `service:Action`, as the Service Authorization Reference names it.
    pub action: &'static str,
    /// An ARN, or `*` for actions without a resource.
    pub resource: String,
    /// Condition keys of the request, such as `ecs:cluster`, each with its values.
    pub context: BTreeMap<String, Vec<String>>,
}

impl Check {
    pub fn new(action: &'static str, resource: impl Into<String>) -> Self {
        Self { action, resource: resource.into(), context: BTreeMap::new() }
    }

    /// A check of an action that has no resource.
    pub fn any(action: &'static str) -> Self {
        Self::new(action, "*")
    }

    /// Adds a condition key; one without values is left out.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        if !values.is_empty() {
            self.context.insert(key.into(), values);
        }
        self
    }

    /// Adds the keys that tags in a request make: `aws:TagKeys`, and `aws:RequestTag/…` for each.
    #[must_use]
    pub fn with_request_tags<'a>(self, tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let tags: Vec<(&str, &str)> = tags.into_iter().collect();
        let check = self.with("aws:TagKeys", tags.iter().map(|(key, _)| *key));
        tags.iter().fold(check, |check, (key, value)| check.with(format!("aws:RequestTag/{key}"), [*value]))
    }

    /// `iam:PassRole` of `role` to `service`, asked wherever a role is handed over.
    pub fn pass_role(role: impl Into<String>, service: &str) -> Self {
        Self::new("iam:PassRole", role).with("iam:PassedToService", [service])
    }
}
