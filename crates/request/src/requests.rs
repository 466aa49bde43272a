//! The one door to a commit.

use crate::entry::{Entry, Flow, Kind, ReadStep};
use crate::errors::is_denial;
use crate::{Call, Caller, Cx, Installation, denied, unavailable};
use auth::Check;
use base::{ApiError, Names, Secrets, Timestamp};
use blobs::Blobs;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use store::{Feed, Role, Store, TransactError, Tx, View};
use telemetry::Telemetry;

/// Tells the time; the shell's is the system's.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a shell assembles [`Requests`] from.
pub struct Parts {
    pub store: Store,
    pub telemetry: Telemetry,
    pub blobs: Blobs,
    pub installation: Arc<Installation>,
    pub clock: Clock,
    pub names: Names,
    pub secrets: Arc<dyn Secrets>,
}

/// Runs operations and commits. Cheap to clone.
#[derive(Clone)]
pub struct Requests(Arc<Inner>);

struct Inner {
    store: Store,
    telemetry: Telemetry,
    blobs: Blobs,
    installation: Arc<Installation>,
    clock: Clock,
    names: Mutex<Names>,
    secrets: Arc<dyn Secrets>,
}

impl Requests {
    pub fn new(parts: Parts) -> Self {
        let Parts { store, telemetry, blobs, installation, clock, names, secrets } = parts;
        Self(Arc::new(Inner { store, telemetry, blobs, installation, clock, names: Mutex::new(names), secrets }))
    }

    /// The durable state.
    pub fn view(&self) -> View {
        self.0.store.view()
    }

    pub fn feed(&self) -> Feed {
        self.0.store.subscribe()
    }

    /// Refuses while another server leads, or may: what this one knows may be old.
    pub fn check_leads(&self) -> Result<(), ApiError> {
        self.role().current().map_err(|error| unavailable(&error))
    }

    pub fn role(&self) -> Role {
        self.0.store.role()
    }

    /// Resolves when the store's role is one that `wanted` holds of.
    pub async fn wait_role(&self, wanted: impl Fn(&Role) -> bool) -> Role {
        self.0.store.wait_role(wanted).await
    }

    /// Resolves when the store has stopped writing, with the reason.
    pub async fn store_failed(&self) -> Arc<str> {
        self.0.store.wait_failed().await
    }

    /// Loads the store's durable rows again, so that it writes on.
    pub async fn reload_store(&self) -> Result<(), store::StoreError> {
        self.0.store.reload().await
    }

    pub fn telemetry(&self) -> &Telemetry {
        &self.0.telemetry
    }

    pub fn blobs(&self) -> &Blobs {
        &self.0.blobs
    }

    pub fn installation(&self) -> &Arc<Installation> {
        &self.0.installation
    }

    pub fn now(&self) -> Timestamp {
        (self.0.clock)()
    }

    pub fn secrets(&self) -> &Arc<dyn Secrets> {
        &self.0.secrets
    }

    /// A stream of names for one request or one turn of a loop.
    pub fn names(&self) -> Names {
        self.0.names.lock().fork()
    }

    pub fn cx(&self, caller: Caller) -> Cx {
        let (secrets, installation) = (self.0.secrets.clone(), self.0.installation.clone());
        Cx { caller, now: self.now(), names: self.names(), secrets, installation }
    }

    /// Runs one operation on a decoded and validated document; the answer speaks of durable state only.
    ///
    /// Changes are audited by [`Requests::commit`]; here, beside, whatever was denied before it came to that.
    pub async fn execute(&self, entry: &'static Entry, caller: Caller, document: Value) -> Result<Value, ApiError> {
        match entry.kind {
            Kind::Read(step) => {
                let outcome = self.read(entry, step(document)?, caller.clone());
                self.audit_denial(entry, caller, outcome).await
            }
            Kind::Tx(step) => {
                let call = Call::new(entry.service, entry.operation, &document);
                let (step, this, asking) = (step(document)?, self.clone(), caller.clone());
                let ask = move |view: &View, checks: &[Check]| this.authorise(view, entry.service, &asking, checks);
                self.commit(caller, call, move |tx, cx| step(tx, &ask, cx)).await
            }
            Kind::Flow(step) => {
                let cx = self.cx(caller.clone());
                let flow = Flow { requests: self.clone(), cx, service: entry.service, operation: entry.operation };
                let outcome = step(document, flow)?.await;
                self.audit_denial(entry, caller, outcome).await
            }
        }
    }

    fn read(&self, entry: &'static Entry, step: ReadStep, caller: Caller) -> Result<Value, ApiError> {
        let mut cx = self.cx(caller.clone());
        let view = self.view();
        step(&view, &|view, checks| self.authorise(view, entry.service, &caller, checks), &mut cx)
    }

    /// As in CloudTrail, the record of a denied read has no parameters: most reads are let in, and
    /// keeping a copy of each request for the few that are not would cost them all.
    async fn audit_denial(
        &self,
        entry: &'static Entry,
        caller: Caller,
        outcome: Result<Value, ApiError>,
    ) -> Result<Value, ApiError> {
        if let Err(error) = &outcome
            && is_denial(error)
        {
            let call = Call::new(entry.service, entry.operation, &Value::Null);
            self.record_failure(caller, call, error.clone()).await;
        }
        outcome
    }

    /// Asks whether `caller` may do all of `checks`.
    pub fn authorise(&self, view: &View, service: &str, caller: &Caller, checks: &[Check]) -> Result<(), ApiError> {
        auth::authorise(view, &caller.principal, checks).map_err(|denial| denied(service, &denial))
    }

    /// One audited transaction. A refusal or failure is audited in a transaction of its own.
    pub async fn commit<T>(
        &self,
        caller: Caller,
        call: Call,
        change: impl FnOnce(&mut Tx, &mut Cx) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError>
    where
        T: serde::Serialize + Send + 'static,
    {
        let mut cx = self.cx(caller.clone());
        let audited = call.clone();
        let outcome = self
            .transact(move |tx| {
                let answer = change(tx, &mut cx)?;
                let shown = serde_json::to_value(&answer).unwrap_or_default();
                audited.record(tx, &mut cx, Ok(shown));
                Ok(answer)
            })
            .await;
        if let Err(error) = &outcome {
            self.record_failure(caller, call, error.clone()).await;
        }
        outcome
    }

    /// A transaction of the control plane itself, with no caller and no audit record.
    pub async fn transact<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Tx) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        match self.0.store.transact(change).await {
            Ok(committed) => Ok(committed.value),
            Err(TransactError::Refused(error)) => Err(error),
            Err(TransactError::Store(error)) => Err(unavailable(&error)),
        }
    }

    /// Audits a call that was refused or failed; when even that cannot be stored, the log has it.
    pub async fn record_failure(&self, caller: Caller, call: Call, error: ApiError) {
        let mut cx = self.cx(caller);
        let (service, operation) = (call.service, call.operation);
        let stored = self
            .transact(move |tx| {
                call.record(tx, &mut cx, Err(&error));
                Ok(())
            })
            .await;
        if let Err(error) = stored {
            tracing::error!(service, operation, %error, "a failed call could not be audited");
        }
    }
}
