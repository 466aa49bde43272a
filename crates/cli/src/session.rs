//! A command's way to the server: signed calls, and the registry.

use crate::paths::{Endpoint, Paths, server};
use anyhow::{Context, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::{AwsClient, CallError};
use oci::client::{Client, Credentials};
use serde_json::{Value, json};

/// The running server of a data folder, and its account.
pub struct Session {
    pub aws: AwsClient,
    pub endpoint: Endpoint,
}

impl Session {
    pub fn open(paths: &Paths) -> Result<Self> {
        let (endpoint, credentials) = server(paths)?;
        Ok(Self { aws: endpoint.aws(credentials)?, endpoint })
    }

    /// Runs a command's work, which waits more than it computes.
    pub fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
    }

    pub async fn ecs(&self, operation: &str, input: &Value) -> Result<Value, CallError> {
        self.aws.call("ecs", operation, input).await
    }

    pub async fn ecr(&self, operation: &str, input: &Value) -> Result<Value, CallError> {
        self.aws.call("ecr", operation, input).await
    }

    /// Every item of a list, page by page; `member` holds a page's items.
    pub async fn every(&self, service: &str, operation: &str, input: Value, member: &str) -> Result<Vec<Value>> {
        let (mut input, mut items) = (input, Vec::new());
        loop {
            let mut page = self.aws.call(service, operation, &input).await?;
            items.append(&mut taken(&mut page, member));
            match page["nextToken"].as_str() {
                Some(token) => input["nextToken"] = token.into(),
                None => return Ok(items),
            }
        }
    }

    /// The URI of the repository of that name, which is made if it is missing.
    pub async fn repository(&self, name: &str) -> Result<String> {
        match self.ecr("CreateRepository", &json!({ "repositoryName": name })).await {
            Ok(made) => text(&made["repository"]["repositoryUri"]),
            Err(error) if error.code() == Some("RepositoryAlreadyExistsException") => {
                let found = self.ecr("DescribeRepositories", &json!({ "repositoryNames": [name] })).await?;
                text(&found["repositories"][0]["repositoryUri"])
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A client of our registry, signed in as `docker login` would.
    pub async fn registry(&self) -> Result<Client> {
        let (username, password) = self.registry_login().await?;
        self.endpoint.registry(Credentials::Basic { username, password })
    }

    /// User and password of our registry, as `aws ecr get-login-password` gets them.
    pub async fn registry_login(&self) -> Result<(String, String)> {
        let token = self.ecr("GetAuthorizationToken", &json!({})).await?;
        let basic = STANDARD.decode(text(&token["authorizationData"][0]["authorizationToken"])?)?;
        let basic = String::from_utf8(basic)?;
        let (username, password) =
            basic.split_once(':').context("the registry token has another form than user:password")?;
        Ok((username.to_owned(), password.to_owned()))
    }
}

/// The text that a member of an answer is.
pub fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| anyhow!("the answer lacks a text that it should have: {value}"))
}

/// The last part of an ARN or id.
pub fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Elements of a list; none where there is no list.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// As [`items`], of a member of an answer that is not needed further.
pub fn taken(answer: &mut Value, member: &str) -> Vec<Value> {
    // Not by index: a `Value` that is not what was expected panics when it is changed by index.
    let list = answer.get_mut(member).and_then(Value::as_array_mut);
    list.map(std::mem::take).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_not_there_has_no_items() {
        fn check(mut answer: Value, expect: &[Value]) {
            assert_eq!(items(&answer["tasks"]), expect);
            assert_eq!(taken(&mut answer, "tasks"), expect);
        }
        check(json!({ "tasks": [1, 2] }), &[json!(1), json!(2)]);
        check(json!({ "tasks": [] }), &[]);
        check(json!({ "tasks": {} }), &[]);
        check(json!({}), &[]);
        check(json!([]), &[]);
        check(Value::Null, &[]);
    }
}
