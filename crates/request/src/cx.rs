//! What an operation is told beside its input: who asks, when, and where it runs.

use crate::Hosts;
use base::{MasterKey, Names, Principal, Secrets, Timestamp};
use std::sync::Arc;

/// The caller of one request, once authenticated.
#[derive(Clone, Debug)]
pub struct Caller {
    pub principal: Principal,
    /// The account that the request acts in.
    pub account: String,
    /// The region of the request's credential scope.
    pub region: String,
    /// The key that signed; absent for the control plane's own loops.
    pub access_key_id: Option<String>,
    pub request_id: String,
    pub source_ip: String,
    pub user_agent: String,
    /// The endpoint as the caller reached it, without a slash at its end; answers that name an endpoint or the
    /// registry name this one.
    pub endpoint: String,
    /// The signed `x-longshore-batch` header of our own agent's log batches.
    pub log_batch: Option<String>,
}

impl Caller {
    /// Host and port of the registry as the caller reaches it, the start of every repositoryUri.
    pub fn registry_host(&self) -> &str {
        self.endpoint.split_once("://").map_or(&self.endpoint, |(_, host)| host)
    }
}

/// Facts of the installation that operations answer with.
#[derive(Debug)]
pub struct Installation {
    /// Such as `http://127.0.0.1:4566`, without a slash at its end.
    pub endpoint: String,
    /// What this server answers to.
    pub hosts: Hosts,
    pub master: MasterKey,
    /// None: whoever calls has to prove who they are.
    pub open: Option<Open>,
}

/// A server for test suites on its own machine, at which every caller is the account's root who does not prove to
/// be another.
#[derive(Clone, Debug)]
pub struct Open {
    pub account: String,
    /// The region of calls that name none.
    pub region: String,
    /// Tasks may reach what is the host's own: its network, its processes, its files.
    pub allows_host: bool,
}

/// The context of one run of an operation.
pub struct Cx {
    pub caller: Caller,
    pub now: Timestamp,
    pub names: Names,
    pub secrets: Arc<dyn Secrets>,
    pub installation: Arc<Installation>,
}

impl Cx {
    pub fn account(&self) -> &str {
        &self.caller.account
    }

    pub fn region(&self) -> &str {
        &self.caller.region
    }
}
