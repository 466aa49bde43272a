//! Registries that want tokens.

use super::server::{answer, authorization, error, serve};
use super::{Client, ClientError, Credentials, Endpoint, REPOSITORY, Source, Upload, image};
use crate::digest::Digest;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// A registry with its token server beside it.
#[derive(Default)]
struct Guarded {
    /// What the token server was asked, with who asked.
    asked: Vec<String>,
    /// Number of the token that is good.
    good: usize,
    /// What the token server says instead of a token.
    refusal: Option<StatusCode>,
}

impl Guarded {
    fn answer(&mut self, host: &str, request: &Request<Bytes>) -> super::server::Answer {
        let shown = authorization(request).unwrap_or("-").to_owned();
        if request.uri().path() == "/token" {
            self.asked.push(format!("{} {shown}", request.uri().query().unwrap_or_default()));
            if let Some(status) = self.refusal {
                return answer(status, &[], json!({ "details": "incorrect username or password" }).to_string());
            }
            let token = json!({ "access_token": format!("t{}", self.asked.len()), "expires_in": 300 });
            return answer(StatusCode::OK, &[], token.to_string());
        }
        if shown != format!("Bearer t{}", self.good) {
            let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"registry\"");
            let body = error("UNAUTHORIZED", "authentication required");
            return answer(StatusCode::UNAUTHORIZED, &[("www-authenticate", &challenge)], body);
        }
        match *request.method() {
            Method::POST => answer(StatusCode::ACCEPTED, &[("location", "/v2/team/web/blobs/uploads/1")], ""),
            Method::PUT => answer(StatusCode::CREATED, &[], ""),
            _ => answer(StatusCode::OK, &[("content-type", "t")], "{}"),
        }
    }
}

async fn guarded() -> (String, Arc<Mutex<Guarded>>) {
    let state = Arc::new(Mutex::new(Guarded { good: 1, ..Guarded::default() }));
    let mine = state.clone();
    let host = serve(move |request| {
        let host = request.headers().get("host").and_then(|host| host.to_str().ok()).expect("a host").to_owned();
        mine.lock().expect("not poisoned").answer(&host, &request)
    });
    (host.await, state)
}

fn anonymous(host: &str) -> Client {
    Client::new(&Endpoint::http(host), Credentials::Anonymous).expect("a client")
}

fn asked(state: &Mutex<Guarded>) -> Vec<String> {
    std::mem::take(&mut state.lock().expect("not poisoned").asked)
}

const PULL: &str = "service=registry&scope=repository%3Ateam%2Fweb%3Apull";

#[tokio::test]
async fn one_token_serves_many_pulls() {
    let (host, state) = guarded().await;
    let client = anonymous(&host);
    client.get_manifest(&image("team/web:v1")).await.expect("pulled");
    client.blob_bytes(REPOSITORY, &Digest::of(b"{}"), 2, 2).await.expect("pulled");
    assert_eq!(asked(&state), [format!("{PULL} -")]);
}

#[tokio::test]
async fn pulls_side_by_side_need_one_token() {
    let (host, state) = guarded().await;
    let client = anonymous(&host);
    let pull = |_| async { client.get_manifest(&image("team/web:v1")).await.expect("pulled") };
    futures_util::future::join_all((0..5).map(pull)).await;
    assert_eq!(asked(&state).len(), 1);
}

#[tokio::test]
async fn credentials_are_for_the_token_server_and_a_push_asks_for_more() {
    let (host, state) = guarded().await;
    let client = super::client(&host);
    let (digest, source) = (Digest::of(b"x"), Source::Bytes(Bytes::from_static(b"x")));
    client.push_blob(REPOSITORY, &digest, source, Upload::Monolithic).await.expect("pushed");
    assert_eq!(asked(&state), [format!("{PULL}%2Cpush {}", super::AUTHORISED)]);
}

#[tokio::test]
async fn a_token_that_is_no_longer_good_is_renewed_once() {
    let (host, state) = guarded().await;
    let client = anonymous(&host);
    client.get_manifest(&image("team/web:v1")).await.expect("pulled");
    state.lock().expect("not poisoned").good = 2;
    client.get_manifest(&image("team/web:v1")).await.expect("pulled");
    assert_eq!(asked(&state).len(), 2);
    state.lock().expect("not poisoned").good = 99;
    let error = client.get_manifest(&image("team/web:v1")).await.expect_err("refused");
    assert!(matches!(error, ClientError::Unauthorized { .. }), "{error}");
    assert_eq!(asked(&state).len(), 1);
}

#[tokio::test]
async fn a_token_server_that_refuses_says_why() {
    let (host, state) = guarded().await;
    state.lock().expect("not poisoned").refusal = Some(StatusCode::UNAUTHORIZED);
    let error = super::client(&host).get_manifest(&image("team/web:v1")).await.expect_err("refused");
    assert!(matches!(error, ClientError::Unauthorized { .. }) && !error.is_transient());
    assert!(error.to_string().ends_with("incorrect username or password"), "{error}");
    state.lock().expect("not poisoned").refusal = Some(StatusCode::BAD_GATEWAY);
    let error = super::client(&host).get_manifest(&image("team/web:v1")).await.expect_err("refused");
    assert!(error.is_transient(), "{error}");
}
