//! Showing who we are: Basic (RFC 7617), and tokens of a server that the registry names (the CNCF
//! distribution project's "Token Authentication Specification").
//!
//! Credentials are shown as Basic at once, as ECR wants it, until a registry asks for a token; from then on
//! it is shown tokens only, each for one repository and as long as it lasts.

use super::answer::{expect, limited_body};
use super::{ClientError, Credentials, Transport};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Request, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Bytes of a token server's answer.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;
/// How long a token lasts that does not say so, and the least that any lasts ("Token Response Fields").
const TOKEN_LIFE_MIN: Duration = Duration::from_secs(60);
/// A token is renewed this long before it ends.
const TOKEN_MARGIN: Duration = Duration::from_secs(5);

/// What a token is to allow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    repository: String,
    push: bool,
}

impl Scope {
    pub fn pull(repository: &str) -> Self {
        Self { repository: repository.to_owned(), push: false }
    }

    pub fn push(repository: &str) -> Self {
        Self { repository: repository.to_owned(), push: true }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "repository:{}:{}", self.repository, if self.push { "pull,push" } else { "pull" })
    }
}

/// Where a registry's tokens are given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    realm: Url,
    service: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    /// The Bearer challenge of an answer of the registry at `base`, if there is one.
    pub fn of(headers: &HeaderMap, base: &Url) -> Result<Option<Self>, ClientError> {
        let lines = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let bearer = lines.flat_map(challenges).find(|(scheme, _)| scheme == "bearer");
        let Some((_, mut fields)) = bearer else { return Ok(None) };
        let realm = fields.remove("realm").and_then(|realm| Url::parse(&realm).ok());
        // Credentials for a registry behind TLS must not go out in the clear.
        let realm = realm.filter(|realm| match realm.scheme() {
            "https" => true,
            "http" => base.scheme() == "http",
            _ => false,
        });
        let why = "its Bearer challenge names no token server that may be asked";
        let wrong = || ClientError::Response { host: base.authority().to_owned(), why: why.to_owned() };
        let realm = realm.ok_or_else(wrong)?;
        Ok(Some(Self { realm, service: fields.remove("service"), scope: fields.remove("scope") }))
    }

    fn url(&self, wanted: &Scope) -> Url {
        let mut url = self.realm.clone();
        let scope = self.scope.clone().unwrap_or_else(|| wanted.to_string());
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(self.service.iter().map(|service| ("service", service)));
            query.append_pair("scope", &scope);
        }
        url
    }
}

/// A registry's tokens by what they allow.
pub(super) struct Tokens {
    credentials: Credentials,
    /// Held while a token is fetched, so that layers side by side need one.
    known: Mutex<BTreeMap<Scope, Known>>,
}

struct Known {
    challenge: Challenge,
    token: String,
    until: Instant,
}

/// "Token Response Fields"; `access_token` is what OAuth 2.0 calls it.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Tokens {
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, known: Mutex::default() }
    }

    /// The token for `scope`, renewed when its time is up; none before the registry has asked for one.
    pub async fn current(&self, transport: &Transport, scope: &Scope) -> Result<Option<String>, ClientError> {
        let mut known = self.known.lock().await;
        let Some(entry) = known.get_mut(scope) else { return Ok(None) };
        if entry.until <= Instant::now() {
            *entry = self.fetch(transport, scope, entry.challenge.clone()).await?;
        }
        Ok(Some(entry.token.clone()))
    }

    /// A token in place of `refused`, for the registry's latest challenge.
    pub async fn renewed(
        &self,
        transport: &Transport,
        scope: &Scope,
        challenge: Challenge,
        refused: Option<&str>,
    ) -> Result<String, ClientError> {
        let mut known = self.known.lock().await;
        if let Some(entry) = known.get(scope).filter(|entry| Some(entry.token.as_str()) != refused) {
            return Ok(entry.token.clone());
        }
        let entry = self.fetch(transport, scope, challenge).await?;
        let token = entry.token.clone();
        known.insert(scope.clone(), entry);
        Ok(token)
    }

    /// The request with `token`, else with the credentials.
    pub fn authorised(&self, mut request: Request, token: Option<&str>) -> Result<Request, ClientError> {
        let host = request.url().authority().to_owned();
        let value = match (token, &self.credentials) {
            (Some(token), _) => format!("Bearer {token}"),
            (None, Credentials::Basic { username, password }) => basic(username, password),
            (None, Credentials::Anonymous) => return Ok(request),
        };
        let mut value = HeaderValue::from_str(&value).map_err(|_| {
            let why = "its token or its credentials have characters that no header may have".to_owned();
            ClientError::Response { host, why }
        })?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
        Ok(request)
    }

    async fn fetch(&self, transport: &Transport, scope: &Scope, challenge: Challenge) -> Result<Known, ClientError> {
        let request = Request::new(Method::GET, challenge.url(scope));
        let host = request.url().authority().to_owned();
        let mut request = RequestBuilder::from_parts(transport.http.clone(), request);
        if let Credentials::Basic { username, password } = &self.credentials {
            request = request.basic_auth(username, Some(password));
        }
        let asked = Instant::now();
        let response = request.send().await.map_err(|error| ClientError::network(&host, error))?;
        let response = expect(&[StatusCode::OK], response, &format!("a token for {scope}")).await?;
        let body = limited_body(response, TOKEN_BYTES_MAX).await?;
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| no_token(&host))?;
        let life = answer.expires_in.map_or(TOKEN_LIFE_MIN, Duration::from_secs).max(TOKEN_LIFE_MIN);
        let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
        let until = asked.checked_add(life.saturating_sub(TOKEN_MARGIN)).unwrap_or(asked);
        Ok(Known { challenge, token: token.ok_or_else(|| no_token(&host))?, until })
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.credentials.fmt(f)
    }
}

fn no_token(host: &str) -> ClientError {
    ClientError::Response { host: host.to_owned(), why: "a token server's answer has no token".to_owned() }
}

fn basic(username: &str, password: &str) -> String {
    use base64::Engine;
    let text = format!("{username}:{password}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

/// The challenges of a header (RFC 9110, 11.6.1), scheme and names of fields in lower case. What does not
/// follow the grammar ends the list.
fn challenges(text: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return found;
        }
        let word = word.to_ascii_lowercase();
        rest = match (after.trim_start().strip_prefix('='), found.last_mut()) {
            (Some(value), Some((_, fields))) => {
                let (value, after) = field_value(value.trim_start());
                fields.insert(word, value);
                after
            }
            _ => {
                found.push((word, BTreeMap::new()));
                after
            }
        };
    }
}

/// A token or a quoted string, and what follows it.
fn field_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !is_token(c)).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// RFC 9110, 5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(base: &str, lines: &[&str]) -> Result<Option<String>, ClientError> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WWW_AUTHENTICATE, line.parse().expect("a header"));
        }
        let challenge = Challenge::of(&headers, &base.parse().expect("a URL"))?;
        Ok(challenge.map(|challenge| challenge.url(&Scope::pull("a/b")).to_string()))
    }

    #[test]
    fn a_challenge_says_where_tokens_are() {
        fn check(lines: &[&str], expect: Option<&str>) {
            assert_eq!(parsed("https://r.io/", lines).expect("a challenge").as_deref(), expect, "{lines:?}");
        }
        check(&[], None);
        check(&["Basic realm=\"x\""], None);
        check(&["Negotiate abc=="], None);
        let ours = "scope=repository%3Aa%2Fb%3Apull";
        check(&["Bearer realm=\"https://auth.io/token\""], Some(&format!("https://auth.io/token?{ours}")));
        check(
            &["Bearer realm=\"https://auth.io/token?a=b\",service=\"r \\\"1\\\"\""],
            Some(&format!("https://auth.io/token?a=b&service=r+%221%22&{ours}")),
        );
        check(
            &["Basic realm=\"a, Bearer b\", Bearer realm=\"https://auth.io/t\",scope=\"repository:x:pull,push\""],
            Some("https://auth.io/t?scope=repository%3Ax%3Apull%2Cpush"),
        );
        check(&["Basic realm=x", "Bearer realm=\"https://auth.io/t\""], Some(&format!("https://auth.io/t?{ours}")));
    }

    #[test]
    fn a_token_server_in_the_clear_is_for_registries_in_the_clear() {
        let line = ["Bearer realm=\"http://auth.io/t\""];
        assert!(parsed("http://r.io/", &line).expect("taken").is_some());
        for line in [line[0], "Bearer realm=\"file:///etc/passwd\"", "Bearer service=\"x\"", "Bearer realm=\"x\""] {
            let error = parsed("https://r.io/", &[line]).expect_err(line);
            assert!(error.to_string().contains("token server"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read(text in "[ -~]{0,60}") {
            let _ = challenges(&text);
        }
    }
}
