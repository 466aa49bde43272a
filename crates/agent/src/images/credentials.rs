//! Who we are at private registries, as the ECS agent is told it.
//!
//! Amazon ECS Developer Guide, "Private registry authentication for container instances": `ECS_ENGINE_AUTH_TYPE`
//! is `docker` or `dockercfg` and says what `ECS_ENGINE_AUTH_DATA` has, both as lines of `/etc/ecs/ecs.config`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci::ImageReference;
use oci::client::Credentials;
use oci::reference::DOCKER_REGISTRY;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// What Docker calls its own registry in such files.
const DOCKER_KEY: &str = "index.docker.io/v1/";

/// Credentials by registry: `host[:port]`, or with the beginning of a repository after it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RegistryAuth(BTreeMap<String, Credentials>);

/// Why a file with credentials is of no use. Never shows what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("it has no line {0}=…; write it as /etc/ecs/ecs.config has it")]
    Missing(&'static str),
    #[error("ECS_ENGINE_AUTH_TYPE is '{0}': it must be docker or dockercfg")]
    Type(String),
    #[error("ECS_ENGINE_AUTH_DATA is not the JSON that type {0} has")]
    Data(&'static str),
    #[error("ECS_ENGINE_AUTH_DATA for {0}: auth must be the base64 of USER:PASSWORD")]
    Auth(String),
    #[error("ECS_ENGINE_AUTH_DATA for {0}: only username and password are supported, not tokens")]
    Token(String),
}

/// `docker`: email means nothing any more.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Login {
    username: String,
    password: String,
    #[serde(alias = "registrytoken")]
    identitytoken: String,
}

/// `dockercfg`.
#[derive(Deserialize)]
struct Encoded {
    auth: String,
}

impl RegistryAuth {
    /// Reads the two lines of a text like `/etc/ecs/ecs.config`; its other lines are for somebody else.
    ///
    /// # Errors
    /// When they are missing, or not as they must be.
    pub fn parse(text: &str) -> Result<Self, AuthError> {
        let value = |name: &'static str| {
            let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
            let found = lines.filter_map(|line| line.split_once('=')).find(|(key, _)| key.trim() == name);
            found.map(|(_, value)| unquoted(value.trim())).ok_or(AuthError::Missing(name))
        };
        let data = value("ECS_ENGINE_AUTH_DATA")?;
        let found = match value("ECS_ENGINE_AUTH_TYPE")? {
            "docker" => docker(data)?,
            "dockercfg" => dockercfg(data)?,
            other => return Err(AuthError::Type(other.to_owned())),
        };
        Ok(Self(found.into_iter().map(|(key, credentials)| (without_scheme(&key).to_owned(), credentials)).collect()))
    }

    /// Who we are for an image of the registry `host`: of the entries that fit, the longest counts.
    pub fn of(&self, host: &str, image: &ImageReference) -> Credentials {
        let name = format!("{host}/{}", image.repository);
        let fits = |key: &str| {
            let key = if key == DOCKER_KEY { DOCKER_REGISTRY } else { key.strip_suffix('/').unwrap_or(key) };
            name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let fitting = self.0.iter().filter(|(key, _)| fits(key)).max_by_key(|(key, _)| key.len());
        fitting.map_or(Credentials::Anonymous, |(_, credentials)| credentials.clone())
    }
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn docker(data: &str) -> Result<BTreeMap<String, Credentials>, AuthError> {
    let logins: BTreeMap<String, Login> = serde_json::from_str(data).map_err(|_| AuthError::Data("docker"))?;
    let credentials = |(key, login): (String, Login)| match login.identitytoken.is_empty() {
        true => Ok((key, Credentials::Basic { username: login.username, password: login.password })),
        false => Err(AuthError::Token(key)),
    };
    logins.into_iter().map(credentials).collect()
}

fn dockercfg(data: &str) -> Result<BTreeMap<String, Credentials>, AuthError> {
    let entries: BTreeMap<String, Encoded> = serde_json::from_str(data).map_err(|_| AuthError::Data("dockercfg"))?;
    let credentials = |(key, encoded): (String, Encoded)| {
        let text = STANDARD.decode(&encoded.auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match text.as_deref().and_then(|text| text.split_once(':')) {
            None => Err(AuthError::Auth(key)),
            Some((username, password)) => {
                let credentials = Credentials::Basic { username: username.to_owned(), password: password.to_owned() };
                Ok((key, credentials))
            }
        }
    };
    entries.into_iter().map(credentials).collect()
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).unwrap_or(value)
}

fn without_scheme(key: &str) -> &str {
    key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, image: &str) -> String {
        let auth = RegistryAuth::parse(text).expect("credentials");
        let image = image.parse::<ImageReference>().expect("an image").normalized();
        match auth.of(image.registry.as_deref().unwrap_or_default(), &image) {
            Credentials::Anonymous => "nobody".to_owned(),
            Credentials::Basic { username, password } => format!("{username}:{password}"),
        }
    }

    #[test]
    fn credentials_are_found_as_the_ecs_agent_finds_them() {
        let data = concat!(
            r#"{"https://index.docker.io/v1/":{"username":"hub","password":"p","email":"e"},"#,
            r#""https://r.io:5000":{"username":"all","password":"p"},"r.io:5000/team":{"username":"team","password":"p"}}"#
        );
        let docker = format!("# a node\nECS_CLUSTER=a\n ECS_ENGINE_AUTH_TYPE=docker\nECS_ENGINE_AUTH_DATA={data}\n");
        assert_eq!(of(&docker, "busybox"), "hub:p");
        assert_eq!(of(&docker, "me/app"), "hub:p");
        assert_eq!(of(&docker, "r.io:5000/x"), "all:p");
        assert_eq!(of(&docker, "r.io:5000/team/x"), "team:p");
        assert_eq!(of(&docker, "r.io:5000/teams/x"), "all:p");
        assert_eq!(of(&docker, "r.io/x"), "nobody");
        let encoded = STANDARD.encode("me:p:q");
        let cfg =
            format!("ECS_ENGINE_AUTH_TYPE=dockercfg\nECS_ENGINE_AUTH_DATA='{{\"r.io\":{{\"auth\":\"{encoded}\"}}}}'");
        assert_eq!(of(&cfg, "r.io/x"), "me:p:q");
    }

    #[test]
    fn what_is_wrong_is_named_and_not_shown() {
        fn check(text: &str, expect: &str) {
            let error = RegistryAuth::parse(text).expect_err(text).to_string();
            assert!(error.contains(expect) && !error.contains("secret"), "{error}");
        }
        check("", "no line ECS_ENGINE_AUTH_DATA");
        check("ECS_ENGINE_AUTH_DATA={}", "no line ECS_ENGINE_AUTH_TYPE");
        check("ECS_ENGINE_AUTH_DATA={}\nECS_ENGINE_AUTH_TYPE=x", "docker or dockercfg");
        check("ECS_ENGINE_AUTH_DATA=secret\nECS_ENGINE_AUTH_TYPE=docker", "JSON");
        check("ECS_ENGINE_AUTH_DATA={\"r.io\":{\"auth\":\"secret\"}}\nECS_ENGINE_AUTH_TYPE=dockercfg", "base64");
        let token = "ECS_ENGINE_AUTH_DATA={\"r.io\":{\"identitytoken\":\"secret\"}}\nECS_ENGINE_AUTH_TYPE=docker";
        check(token, "only username and password");
        let auth = RegistryAuth::parse(
            "ECS_ENGINE_AUTH_TYPE=docker\nECS_ENGINE_AUTH_DATA={\"r.io\":{\"password\":\"secret\"}}",
        );
        assert!(!format!("{auth:?}").contains("secret"));
    }
}
