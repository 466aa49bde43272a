//! Which registry a reference means, and how to sign in there.

use super::PullError;
use base::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::AwsClient;
use oci::ImageReference;
use oci::client::{Client, Credentials, Endpoint, Scheme};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::net::IpAddr;

/// A token is renewed this long before it ends.
const TOKEN_MARGIN_S: i64 = 30 * 60;

/// This installation's own registry.
#[derive(Clone, Debug)]
pub struct OwnRegistry {
    pub account: String,
    pub region: String,
    pub endpoint: Endpoint,
}

impl OwnRegistry {
    /// The registry at the control plane's endpoint, such as `http://127.0.0.1:4566`.
    pub fn at(account: &str, client: &AwsClient) -> Self {
        let uri = client.endpoint();
        let scheme = if uri.scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http };
        let host = uri.authority().map(ToString::to_string).unwrap_or_default();
        let endpoint = Endpoint { scheme, host };
        Self { account: account.to_owned(), region: client.region().to_owned(), endpoint }
    }

    /// By its own address, by another name of this machine with the same port, or by AWS's name for it.
    fn is_meant(&self, host: &str) -> bool {
        let aws_name = format!("{}.dkr.ecr.{}.amazonaws.com", self.account, self.region);
        let same_port = |own: &str| port(own) == port(host) && is_loopback(own) && is_loopback(host);
        host == self.endpoint.host || host == aws_name || same_port(&self.endpoint.host)
    }
}

fn port(host: &str) -> Option<&str> {
    host.rsplit_once(':').map(|(_, port)| port)
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Where an image is pulled from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Registry {
    Own,
    /// Asked without credentials.
    Other(Endpoint),
}

impl Registry {
    pub fn is_own(&self) -> bool {
        *self == Self::Own
    }
}

/// The registries that this node pulls from.
pub struct Registries {
    own: OwnRegistry,
    aws: AwsClient,
    signed_in: Mutex<Option<SignedIn>>,
}

/// Our own registry, ready to be asked.
#[derive(Clone)]
struct SignedIn {
    client: Client,
    until: Timestamp,
    /// The address by which it is known to others: a node may reach it by another one.
    host: Option<String>,
}

impl Registries {
    pub fn new(own: OwnRegistry, aws: AwsClient) -> Self {
        Self { own, aws, signed_in: Mutex::new(None) }
    }

    /// The registry of a reference as it was written.
    pub(super) async fn of(&self, reference: &ImageReference) -> Result<Registry, PullError> {
        let host = reference.normalized().registry.unwrap_or_default();
        if self.own.is_meant(&host) || self.is_known_as(&host).await {
            return Ok(Registry::Own);
        }
        if host.contains(".dkr.ecr.") && host.ends_with(".amazonaws.com") {
            return Err(PullError::ForeignRegistry(host));
        }
        // Docker, too, speaks plain HTTP to registries of the machine itself, and to no others.
        Ok(Registry::Other(if is_loopback(&host) { Endpoint::http(&host) } else { Endpoint::https(&host) }))
    }

    pub(super) async fn client(&self, registry: &Registry) -> Result<Client, PullError> {
        match registry {
            Registry::Own => Ok(self.sign_in().await?.client),
            Registry::Other(endpoint) => Ok(Client::new(endpoint, Credentials::Anonymous)?),
        }
    }

    /// The registry refused the token: the next client gets a new one.
    pub(super) fn forget_token(&self) {
        *self.signed_in.lock() = None;
    }

    /// Without a control plane that tells, it is not.
    async fn is_known_as(&self, host: &str) -> bool {
        let signed_in = self.sign_in().await.ok();
        signed_in.and_then(|it| it.host).is_some_and(|known| known == host)
    }

    async fn sign_in(&self) -> Result<SignedIn, PullError> {
        let current = self.signed_in.lock().clone().filter(|it| client::now() < it.until);
        if let Some(current) = current {
            return Ok(current);
        }
        let answer = self.aws.call("ecr", "GetAuthorizationToken", &json!({})).await;
        let answer = answer.map_err(|error| PullError::Token(error.to_string()))?;
        let (credentials, expires) = token(&answer).ok_or_else(|| PullError::Token("it is not readable".to_owned()))?;
        let signed_in = SignedIn {
            client: Client::new(&self.own.endpoint, credentials)?,
            until: expires.plus_secs(-TOKEN_MARGIN_S),
            host: known_host(&answer),
        };
        *self.signed_in.lock() = Some(signed_in.clone());
        Ok(signed_in)
    }
}

/// The registry's address in GetAuthorizationToken's answer.
fn known_host(answer: &Value) -> Option<String> {
    let endpoint = answer.pointer("/authorizationData/0/proxyEndpoint")?.as_str()?;
    let endpoint: http::Uri = endpoint.parse().ok()?;
    endpoint.authority().map(ToString::to_string)
}

/// User and password of GetAuthorizationToken's answer, and until when they hold.
fn token(answer: &Value) -> Option<(Credentials, Timestamp)> {
    let data = answer.get("authorizationData")?.get(0)?;
    let token = STANDARD.decode(data.get("authorizationToken")?.as_str()?).ok()?;
    let token = String::from_utf8(token).ok()?;
    let (username, password) = token.split_once(':')?;
    let credentials = Credentials::Basic { username: username.to_owned(), password: password.to_owned() };
    let expires = serde_json::from_value(data.get("expiresAt")?.clone()).ok()?;
    Some((credentials, expires))
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::Credentials as Keys;

    fn registries(endpoint: &str) -> Registries {
        let keys =
            Keys { access_key_id: "A".to_owned(), secret_access_key: "S".to_owned().into(), session_token: None };
        let aws = AwsClient::new(endpoint, "eu-west-1", keys).expect("a client");
        Registries::new(OwnRegistry::at("123456789012", &aws), aws)
    }

    /// `endpoint` is where the node reaches the control plane, which calls itself `https://ecs.example.com:4566`.
    #[tokio::test]
    async fn a_reference_means_our_own_registry_by_any_of_its_names() {
        async fn check(endpoint: &str, image: &str, expect: Result<Registry, &str>) {
            let registries = registries(endpoint);
            *registries.signed_in.lock() = Some(SignedIn {
                client: Client::new(&registries.own.endpoint, Credentials::Anonymous).expect("a client"),
                until: Timestamp::from_secs(i64::MAX / 1000),
                host: Some("ecs.example.com:4566".to_owned()),
            });
            let found = registries.of(&image.parse().expect(image)).await;
            match expect {
                Ok(registry) => assert_eq!(found.expect(image), registry),
                Err(text) => assert!(found.expect_err(image).to_string().contains(text), "{image}"),
            }
        }
        let local = "http://127.0.0.1:4566";
        check(local, "127.0.0.1:4566/a:1", Ok(Registry::Own)).await;
        check(local, "localhost:4566/a:1", Ok(Registry::Own)).await;
        check(local, "ecs.example.com:4566/a:1", Ok(Registry::Own)).await;
        check(local, "123456789012.dkr.ecr.eu-west-1.amazonaws.com/a:1", Ok(Registry::Own)).await;
        check(local, "localhost:5000/a:1", Ok(Registry::Other(Endpoint::http("localhost:5000")))).await;
        check(local, "quay.io/a/b:1", Ok(Registry::Other(Endpoint::https("quay.io")))).await;
        check(local, "busybox", Ok(Registry::Other(Endpoint::https("docker.io")))).await;
        check(local, "999999999999.dkr.ecr.eu-west-1.amazonaws.com/a:1", Err("another account or region")).await;
        check(local, "123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1", Err("another account or region")).await;
        check("http://10.0.0.1:80", "10.0.0.1:80/a:1", Ok(Registry::Own)).await;
        check("http://10.0.0.1:80", "localhost:80/a:1", Ok(Registry::Other(Endpoint::http("localhost:80")))).await;
    }

    #[test]
    fn a_token_is_user_and_password() {
        let answer =
            json!({ "authorizationData": [{ "authorizationToken": STANDARD.encode("AWS:a:b"), "expiresAt": 7.5 }] });
        let (credentials, expires) = token(&answer).expect("a token");
        assert_eq!(credentials, Credentials::Basic { username: "AWS".to_owned(), password: "a:b".to_owned() });
        assert_eq!(expires, Timestamp::from_millis(7500));
        assert!(token(&json!({ "authorizationData": [] })).is_none());
        let answer = json!({ "authorizationData": [{ "proxyEndpoint": "https://ecs.example.com:4566" }] });
        assert_eq!(known_host(&answer).as_deref(), Some("ecs.example.com:4566"));
    }
}
