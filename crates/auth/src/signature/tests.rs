use super::{Identity, authenticate};
use base::{ApiError, MasterKey, OsSecrets, Principal, Timestamp};
use http::Request;
use http::request::Parts;
use state::{ACCESS_KEYS, AccessKey, KeyOwner};
use store::{MemoryEngine, Store};
use wire::sigv4::{Credentials, Scope, body_hash, presign, sign};
use wire::types::Sensitive;

const ID: &str = "AKIAABCDEFGHIJKLMNOP";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const BODY: &[u8] = br#"{"clusters":["default"]}"#;

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn credentials() -> Credentials {
    let secret_access_key = Sensitive(SECRET.to_owned());
    Credentials { access_key_id: ID.to_owned(), secret_access_key, session_token: None }
}

fn request() -> Parts {
    let request = Request::post("/")
        .header("host", "127.0.0.1:4566")
        .header("x-amz-target", "AmazonEC2ContainerServiceV20141113.DescribeClusters");
    request.body(()).expect("a request").into_parts().0
}

fn signed_at(at: Timestamp) -> Parts {
    let mut head = request();
    sign(&mut head, &body_hash(BODY), &credentials(), Scope { region: "us-east-1", service: "ecs", now: at })
        .expect("signed");
    head
}

/// A store with one root key, and the master key that opens it.
async fn store() -> (Store, MasterKey) {
    let master = MasterKey::new(&[9; 32]).expect("a key");
    let secret = master.seal(&OsSecrets, &AccessKey::seal_context(ID), SECRET.as_bytes()).expect("sealed");
    let row =
        AccessKey { account: "000000000000".into(), id: ID.into(), secret, owner: KeyOwner::Root, created_at: now() };
    let store = Store::open(state::schema(), MemoryEngine::default()).expect("a store");
    store
        .transact(move |tx| {
            tx.put(ACCESS_KEYS, row);
            Ok::<_, ApiError>(())
        })
        .await
        .expect("stored");
    (store, master)
}

async fn ask(head: &Parts, body: &[u8], service: &str, at: Timestamp) -> Result<Identity, (String, String)> {
    let (store, master) = store().await;
    let service = wire::service(service).expect("a service");
    authenticate(&store.view(), &master, head, body, service, at)
        .map_err(|error| (error.code.into_owned(), error.message))
}

#[tokio::test]
async fn a_signed_request_names_its_signer_and_region() {
    let identity = ask(&signed_at(now()), BODY, "ecs", now()).await.expect("let in");
    assert_eq!(identity.principal, Principal::Root { account: "000000000000".into() });
    assert_eq!((identity.region.as_str(), identity.access_key_id.as_str()), ("us-east-1", ID));
    assert!(identity.signed_headers.iter().any(|name| name == "x-amz-target"));
}

#[tokio::test]
async fn what_was_not_signed_by_the_key_is_refused() {
    let mut other_header = signed_at(now());
    other_header
        .headers
        .insert("x-amz-target", "AmazonEC2ContainerServiceV20141113.DeleteCluster".parse().expect("a value"));
    let mut other_path = signed_at(now());
    other_path.uri = "/other".parse().expect("a path");
    for (head, body) in [(signed_at(now()), &b"{}"[..]), (other_header, BODY), (other_path, BODY)] {
        assert_eq!(ask(&head, body, "ecs", now()).await.expect_err("refused").0, "InvalidSignatureException");
    }
    assert_eq!(
        ask(&request(), BODY, "ecs", now()).await.expect_err("refused").0,
        "MissingAuthenticationTokenException"
    );
    let (code, text) = ask(&signed_at(now()), BODY, "ecr", now()).await.expect_err("refused");
    assert_eq!(
        (code.as_str(), text.as_str()),
        ("InvalidSignatureException", "Credential should be scoped to correct service: 'ecr'.")
    );
}

#[tokio::test]
async fn every_changed_byte_of_the_signature_is_noticed() {
    let head = signed_at(now());
    let value = head.headers["authorization"].to_str().expect("text").to_owned();
    let start = value.rfind("Signature=").expect("a signature") + "Signature=".len();
    for at in start..value.len() {
        let digit = if value.as_bytes()[at] == b'0' { "1" } else { "0" };
        let mut changed = head.clone();
        let text = format!("{}{digit}{}", &value[..at], &value[at + 1..]);
        changed.headers.insert("authorization", text.parse().expect("a value"));
        assert_eq!(ask(&changed, BODY, "ecs", now()).await.expect_err("refused").0, "InvalidSignatureException");
    }
}

#[tokio::test]
async fn fifteen_minutes_of_skew_and_no_more() {
    for (secs, accepted) in [(0, true), (900, true), (901, false), (-900, true), (-901, false)] {
        let answer = ask(&signed_at(now().plus_secs(secs)), BODY, "ecs", now()).await;
        assert_eq!(answer.is_ok(), accepted, "{secs} s: {answer:?}");
    }
    let (_, text) = ask(&signed_at(now().plus_secs(-901)), BODY, "ecs", now()).await.expect_err("expired");
    assert_eq!(
        text,
        "Signature expired: 20270115T074459Z is now earlier than 20270115T074500Z (20270115T080000Z - 15 min.)"
    );
}

#[tokio::test]
async fn presigned_requests_live_until_they_expire() {
    let mut head = Request::get("http://127.0.0.1:4566/?Action=GetCallerIdentity&Version=2011-06-15")
        .body(())
        .expect("a request")
        .into_parts()
        .0;
    presign(&mut head, &body_hash(b""), &credentials(), Scope { region: "us-east-1", service: "sts", now: now() }, 60)
        .expect("signed");
    assert!(ask(&head, b"", "sts", now().plus_secs(60)).await.is_ok());
    let (code, _) = ask(&head, b"", "sts", now().plus_secs(61)).await.expect_err("expired");
    assert_eq!(code, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn unknown_keys_and_tokens_are_refused() {
    let mut unknown = request();
    let stranger = Credentials { access_key_id: "AKIASTRANGER".into(), ..credentials() };
    sign(&mut unknown, &body_hash(BODY), &stranger, Scope { region: "us-east-1", service: "ecs", now: now() })
        .expect("signed");
    let mut token = request();
    let session = Credentials { session_token: Some(Sensitive("token".into())), ..credentials() };
    sign(&mut token, &body_hash(BODY), &session, Scope { region: "us-east-1", service: "ecs", now: now() })
        .expect("signed");
    for head in [unknown, token] {
        assert_eq!(ask(&head, BODY, "ecs", now()).await.expect_err("refused").0, "UnrecognizedClientException");
    }
}
