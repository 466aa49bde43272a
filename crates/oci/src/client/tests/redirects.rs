//! Redirects that lead nowhere are told at once, with where they would have led.

use super::server::{Answer, answer, error, serve};
use super::{Client, ClientError, Credentials, Endpoint, client, image};
use http::StatusCode;

fn to(location: &str) -> Answer {
    answer(StatusCode::TEMPORARY_REDIRECT, &[("location", location)], "")
}

/// What is said of a registry that redirects everything to `location`; its own address is `HOST` in both.
async fn check(location: &'static str, expect: &str) {
    let host = serve(move |request| {
        let own = request.headers()["host"].to_str().expect("a host").to_owned();
        to(&location.replace("HOST", &own))
    });
    let host = host.await;
    let refused = client(&host).get_manifest(&image("team/web:v1")).await.expect_err(location);
    assert!(!refused.is_transient(), "{refused:?}");
    let expect = expect.replace("HOST", &host);
    assert_eq!(refused.to_string(), format!("registry {host} redirects requests in vain: {expect}"));
}

#[tokio::test]
async fn a_redirect_that_cannot_be_followed_says_where_to() {
    check("file:///etc/passwd", "to file:///etc/passwd, which is not an address of http or https").await;
    check("ftp://user:word@h.io/x?secret", "to ftp://h.io/x, which is neither http nor https").await;
    check("http://HOST/v2/?secret", "more than 5 times, in the end to http://HOST/v2/").await;
}

#[tokio::test]
async fn a_login_that_is_wanted_elsewhere_is_not_asked_of_the_user() {
    let login = error("UNAUTHORIZED", "log in with our tool");
    let elsewhere = serve(move |_| {
        let challenge = [("www-authenticate", "Bearer realm=\"http://127.0.0.1:1/token\"")];
        answer(StatusCode::UNAUTHORIZED, &challenge, login.clone())
    });
    let elsewhere = elsewhere.await;
    let target = format!("http://{elsewhere}/v2/x?secret");
    let host = serve(move |_| to(&target)).await;
    let open = Client::new(&Endpoint::http(&host), Credentials::Anonymous).expect("a client");
    for client in [open, client(&host)] {
        let refused = client.get_manifest(&image("team/web:v1")).await.expect_err("a login");
        assert!(matches!(refused, ClientError::Redirect { .. }) && !refused.is_transient(), "{refused:?}");
        let expect = format!(
            "registry {host} redirects requests in vain: to http://{elsewhere}/v2/x, which wants credentials; none are \
             shown to where a registry redirects"
        );
        assert_eq!(refused.to_string(), expect);
    }
}

#[tokio::test]
async fn an_answer_without_a_code_has_no_blank_for_it() {
    for (status, expect) in [(500, "answered 500: Internal Server Error"), (307, "answered 307: Temporary Redirect")] {
        let host = serve(move |_| answer(StatusCode::from_u16(status).expect("a status"), &[], "")).await;
        let refused = client(&host).get_manifest(&image("team/web:v1")).await.expect_err(expect);
        assert_eq!(refused.to_string(), format!("registry {host} {expect}"));
    }
}
