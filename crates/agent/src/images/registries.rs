//! Which registry a reference means, and how to sign in there.

use super::PullError;
use super::options::ImageOptions;
use base::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client::AwsClient;
use oci::ImageReference;
use oci::client::{Client, Credentials, Endpoint, Scheme, Transport};
use oci::reference::DOCKER_REGISTRY;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// A token is renewed this long before it ends.
const TOKEN_MARGIN_S: i64 = 30 * 60;
/// Registries whose connections and tokens are kept; with more, all are made anew.
const CLIENTS_MAX: usize = 64;

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

    /// By its own address, or by AWS's name for it. Other names of it only the control plane knows.
    fn is_meant(&self, host: &str) -> bool {
        let aws_name = format!("{}.dkr.ecr.{}.amazonaws.com", self.account, self.region);
        host == self.endpoint.host || host == aws_name
    }
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
    Other(Endpoint, Credentials),
}

impl Registry {
    pub fn is_own(&self) -> bool {
        *self == Self::Own
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("this installation's registry"),
            Self::Other(endpoint, _) => endpoint.fmt(f),
        }
    }
}

/// The registries that this node pulls from.
pub struct Registries {
    own: OwnRegistry,
    aws: AwsClient,
    options: ImageOptions,
    signed_in: Mutex<Option<SignedIn>>,
    /// Made when it is first needed: reading the system's certificates takes a while.
    transport: Mutex<Option<Transport>>,
    clients: Mutex<BTreeMap<(Endpoint, Credentials), Client>>,
}

/// Our own registry, ready to be asked.
#[derive(Clone)]
struct SignedIn {
    client: Client,
    until: Timestamp,
}

impl Registries {
    pub fn new(own: OwnRegistry, aws: AwsClient, options: ImageOptions) -> Self {
        let (signed_in, transport, clients) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { own, aws, options, signed_in, transport, clients }
    }

    pub(super) fn options(&self) -> &ImageOptions {
        &self.options
    }

    /// Where to pull a reference from, as it was written: what is tried first comes first. `own`: the control plane
    /// has said that it is in its own registry.
    pub(super) fn of(&self, reference: &ImageReference, own: bool) -> Result<Vec<Registry>, PullError> {
        let image = reference.normalized();
        let host = image.registry.clone().unwrap_or_default();
        if own || self.own.is_meant(&host) {
            return Ok(vec![Registry::Own]);
        }
        let mirrors = self.options.mirrors.iter().filter(|mirror| mirror.registry == host);
        let mut sources: Vec<_> = mirrors
            .map(|mirror| {
                let credentials = self.options.auth.of(&mirror.endpoint.host, &image);
                Registry::Other(mirror.endpoint.clone(), credentials)
            })
            .collect();
        let credentials = self.options.auth.of(&host, &image);
        let foreign = host.contains(".dkr.ecr.") && host.ends_with(".amazonaws.com");
        match foreign && credentials == Credentials::Anonymous {
            false => sources.push(Registry::Other(self.endpoint(&host), credentials)),
            true if sources.is_empty() => return Err(PullError::ForeignRegistry(host)),
            true => {}
        }
        Ok(sources)
    }

    /// Docker, too, speaks plain HTTP to registries of the machine itself, and to those that it is told of.
    fn endpoint(&self, host: &str) -> Endpoint {
        let plain = host != DOCKER_REGISTRY && (is_loopback(host) || self.options.insecure.contains(host));
        if plain { Endpoint::http(host) } else { Endpoint::https(host) }
    }

    pub(super) async fn client(&self, registry: &Registry) -> Result<Client, PullError> {
        let (endpoint, credentials) = match registry {
            Registry::Own => return Ok(self.sign_in().await?.client),
            Registry::Other(endpoint, credentials) => (endpoint, credentials),
        };
        let key = (endpoint.clone(), credentials.clone());
        if let Some(client) = self.clients.lock().get(&key) {
            return Ok(client.clone());
        }
        let client = match (self.transport(), endpoint.scheme) {
            (Ok(transport), _) => Client::over(&transport, endpoint, credentials.clone())?,
            // A machine without certificates can do without them.
            (Err(_), Scheme::Http) => Client::new(endpoint, credentials.clone())?,
            (Err(error), Scheme::Https) => return Err(error),
        };
        let mut clients = self.clients.lock();
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn transport(&self) -> Result<Transport, PullError> {
        let mut transport = self.transport.lock();
        match &*transport {
            Some(made) => Ok(made.clone()),
            None => {
                let made = Transport::system(&self.options.ca, self.options.inactivity_timeout)?;
                Ok(transport.insert(made).clone())
            }
        }
    }

    /// The registry refused the token: the next client gets a new one.
    pub(super) fn forget_token(&self) {
        *self.signed_in.lock() = None;
    }

    async fn sign_in(&self) -> Result<SignedIn, PullError> {
        let current = self.signed_in.lock().clone().filter(|it| client::now() < it.until);
        if let Some(current) = current {
            return Ok(current);
        }
        let answer = self.aws.call("ecr", "GetAuthorizationToken", &json!({})).await;
        let answer =
            answer.map_err(|error| PullError::Token { transient: error.is_transient(), why: error.to_string() })?;
        let (credentials, expires) = token(&answer).ok_or_else(|| {
            let why = "it is not readable".to_owned();
            PullError::Token { why, transient: false }
        })?;
        let signed_in = SignedIn {
            client: Client::new(&self.own.endpoint, credentials)?,
            until: expires.plus_secs(-TOKEN_MARGIN_S),
        };
        *self.signed_in.lock() = Some(signed_in.clone());
        Ok(signed_in)
    }
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

    fn registries(endpoint: &str, options: ImageOptions) -> Registries {
        let keys =
            Keys { access_key_id: "A".to_owned(), secret_access_key: "S".to_owned().into(), session_token: None };
        let aws = AwsClient::new(endpoint, "eu-west-1", keys).expect("a client");
        Registries::new(OwnRegistry::at("123456789012", &aws), aws, options)
    }

    fn open(endpoint: Endpoint) -> Registry {
        Registry::Other(endpoint, Credentials::Anonymous)
    }

    /// `endpoint` is where the node reaches the control plane.
    #[test]
    fn our_own_registry_is_known_by_its_address_and_aws_s_name_or_told() {
        fn check(endpoint: &str, image: &str, told: bool, expect: Result<Registry, &str>) {
            let found = registries(endpoint, ImageOptions::default()).of(&image.parse().expect(image), told);
            match expect {
                Ok(registry) => assert_eq!(found.expect(image), [registry]),
                Err(text) => assert!(found.expect_err(image).to_string().contains(text), "{image}"),
            }
        }
        let local = "http://127.0.0.1:4566";
        check(local, "127.0.0.1:4566/a:1", false, Ok(Registry::Own));
        check(local, "localhost:4566/a:1", true, Ok(Registry::Own));
        check(local, "192.0.2.2:4566/a:1", true, Ok(Registry::Own));
        check(local, "123456789012.dkr.ecr.eu-west-1.amazonaws.com/a:1", false, Ok(Registry::Own));
        check(local, "192.0.2.2:4566/a:1", false, Ok(open(Endpoint::https("192.0.2.2:4566"))));
        check(local, "localhost:5000/a:1", false, Ok(open(Endpoint::http("localhost:5000"))));
        check(local, "quay.io/a/b:1", false, Ok(open(Endpoint::https("quay.io"))));
        check(local, "busybox", false, Ok(open(Endpoint::https("docker.io"))));
        check(local, "999999999999.dkr.ecr.eu-west-1.amazonaws.com/a:1", false, Err("another account or region"));
        check(local, "123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1", false, Err("another account or region"));
        check("http://10.0.0.1:80", "10.0.0.1:80/a:1", false, Ok(Registry::Own));
        check("http://10.0.0.1:80", "localhost:80/a:1", false, Ok(open(Endpoint::http("localhost:80"))));
    }

    #[test]
    fn mirrors_come_first_and_credentials_follow_the_address() {
        let lines = r#"ECS_ENGINE_AUTH_TYPE=docker
            ECS_ENGINE_AUTH_DATA={"m.io":{"username":"m","password":"p"},"999999999999.dkr.ecr.eu-west-1.amazonaws.com":{"username":"AWS","password":"p"}}"#;
        let options = ImageOptions {
            mirrors: ["docker.io=https://m.io", "docker.io=http://n.io", "q.io=https://m.io"]
                .map(|text| text.parse().expect("a mirror"))
                .into(),
            insecure: ["in.io:80".to_owned()].into(),
            auth: super::super::RegistryAuth::parse(lines).expect("credentials"),
            ..ImageOptions::default()
        };
        let registries = registries("http://127.0.0.1:4566", options);
        let of = |image: &str| registries.of(&image.parse().expect(image), false).expect(image);
        let named = |user: &str| Credentials::Basic { username: user.to_owned(), password: "p".to_owned() };
        let mirror = || Registry::Other(Endpoint::https("m.io"), named("m"));
        assert_eq!(of("busybox"), [mirror(), open(Endpoint::http("n.io")), open(Endpoint::https("docker.io"))]);
        assert_eq!(of("q.io/a"), [mirror(), open(Endpoint::https("q.io"))]);
        assert_eq!(of("in.io:80/a"), [open(Endpoint::http("in.io:80"))]);
        let ecr = "999999999999.dkr.ecr.eu-west-1.amazonaws.com";
        assert_eq!(of(&format!("{ecr}/a")), [Registry::Other(Endpoint::https(ecr), named("AWS"))]);
    }

    #[test]
    fn a_source_is_its_address_and_no_secret() {
        let credentials = Credentials::Basic { username: "u".to_owned(), password: "hunter2".to_owned() };
        let source = Registry::Other(Endpoint::https("docker.io"), credentials);
        assert_eq!(source.to_string(), "https://registry-1.docker.io");
        assert_eq!(Registry::Own.to_string(), "this installation's registry");
        let options = ImageOptions {
            auth: super::super::RegistryAuth::parse(
                "ECS_ENGINE_AUTH_TYPE=docker\nECS_ENGINE_AUTH_DATA={\"m.io\":{\"username\":\"u\",\"password\":\"hunter2\"}}",
            )
            .expect("credentials"),
            ..ImageOptions::default()
        };
        for shown in [format!("{source:?}"), format!("{options:?}")] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_token_is_user_and_password() {
        let answer =
            json!({ "authorizationData": [{ "authorizationToken": STANDARD.encode("AWS:a:b"), "expiresAt": 7.5 }] });
        let (credentials, expires) = token(&answer).expect("a token");
        assert_eq!(credentials, Credentials::Basic { username: "AWS".to_owned(), password: "a:b".to_owned() });
        assert_eq!(expires, Timestamp::from_millis(7500));
        assert!(token(&json!({ "authorizationData": [] })).is_none());
    }
}
