//! Who asks, and the ways of a session to the state: a checked view and an audited transaction.

use crate::Meta;
use crate::errors::RegistryError;
use crate::query::Query;
use auth::{Check, LAYER_GRANT};
use base::{ApiError, Principal};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, Method};
use request::{Call, Caller, Cx, Requests};
use serde::Serialize;
use serde_json::Value;
use state::Repository;
use store::{Tx, View};

/// The service whose actions are asked for and audited.
const SERVICE: &str = "ecr";
/// The user name of every registry token.
const USER: &str = "AWS";

/// One authenticated request.
pub struct Session {
    pub requests: Requests,
    pub caller: Caller,
}

impl Session {
    /// Reads Basic credentials: user `AWS`, password a token of GetAuthorizationToken. An address with a
    /// grant in it needs none.
    pub fn open(
        requests: &Requests,
        head: &http::request::Parts,
        query: &Query,
        meta: Meta,
    ) -> Result<Self, RegistryError> {
        let (view, master, now) = (requests.view(), &requests.installation().master, requests.now());
        let proven = match query.get(LAYER_GRANT) {
            Some(grant) if matches!(head.method, Method::GET | Method::HEAD) => {
                auth::open_layer_grant(&view, master, grant, head.uri.path(), now).map_err(RegistryError::from)
            }
            _ => password(&head.headers)
                .ok_or(RegistryError::NoCredentials)
                .and_then(|token| Ok(auth::open_registry_token(&view, master, &token, now)?)),
        };
        let (principal, region) = match (proven, &requests.installation().open) {
            (Err(_), Some(open)) => (Principal::Root { account: open.account.clone() }, open.region.clone()),
            (proven, _) => proven?,
        };
        let user_agent = head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let caller = Caller {
            account: principal.account().to_owned(),
            principal,
            region,
            access_key_id: None,
            request_id: meta.request_id,
            source_ip: meta.source_ip,
            user_agent: user_agent.to_owned(),
            endpoint: requests.installation().endpoint.clone(),
            log_batch: None,
        };
        Ok(Self { requests: requests.clone(), caller })
    }

    /// The repository of a name, once the caller may do `action` on it.
    pub fn repository<'a>(&self, view: &'a View, action: &'static str, name: &str) -> Result<&'a Repository, ApiError> {
        permitted(&self.requests, view, &self.caller, &[action], name)
    }

    /// A check of `action` on the repository `name`; `*` means every repository.
    pub fn check(&self, action: &'static str, name: &str) -> Check {
        check(&self.caller, action, name)
    }

    pub fn authorise(&self, view: &View, check: Check) -> Result<(), RegistryError> {
        Ok(self.requests.authorise(view, SERVICE, &self.caller, &[check])?)
    }

    /// One audited transaction as the API operation `operation`: permission is asked, and the
    /// repository found, on the very state that `change` then changes.
    pub async fn commit<T: Serialize + Send + 'static>(
        &self,
        operation: &'static str,
        actions: &'static [&'static str],
        name: &str,
        document: &Value,
        change: impl FnOnce(&mut Tx, &Repository, &mut Cx) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (requests, name) = (self.requests.clone(), name.to_owned());
        let run = move |tx: &mut Tx, cx: &mut Cx| {
            let repository = permitted(&requests, tx, &cx.caller, actions, &name)?.clone();
            change(tx, &repository, cx)
        };
        self.requests.commit(self.caller.clone(), Call::new(SERVICE, operation, document), run).await
    }

    /// Audits a change that failed before its transaction, and answers the error.
    pub async fn refused(&self, operation: &'static str, document: &Value, error: ApiError) -> RegistryError {
        let call = Call::new(SERVICE, operation, document);
        self.requests.record_failure(self.caller.clone(), call, error.clone()).await;
        error.into()
    }
}

fn permitted<'a>(
    requests: &Requests,
    view: &'a View,
    caller: &Caller,
    actions: &[&'static str],
    name: &str,
) -> Result<&'a Repository, ApiError> {
    let checks: Vec<Check> = actions.iter().map(|action| check(caller, action, name)).collect();
    requests.authorise(view, SERVICE, caller, &checks)?;
    Ok(plan::image::repository(view, &caller.account, &caller.region, name)?)
}

fn check(caller: &Caller, action: &'static str, name: &str) -> Check {
    Check::new(action, Repository::arn_of(&caller.account, &caller.region, name).to_string())
}

fn password(headers: &HeaderMap) -> Option<String> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    plain.split_once(':').filter(|(user, _)| *user == USER).map(|(_, password)| password.to_owned())
}
