//! Audited transactions of operations that need several, or blobs beside them.

use auth::Check;
use base::ApiError;
use request::{Call, Caller, Checks, Cx, Flow};
use serde::Serialize;
use std::sync::Arc;
use store::{CHANGED_ROWS_MAX, Tx, View};

/// Rows that one transaction may take away: one more is its audit record.
pub const ROWS_MAX: usize = CHANGED_ROWS_MAX - 1;

/// What the transactions of one flow have in common.
pub struct Commits<I> {
    flow: Flow,
    call: Call,
    input: Arc<I>,
    checks: fn(&View, &I, &Caller) -> Checks,
}

impl<I: Serialize + Send + Sync + 'static> Commits<I> {
    pub fn new(flow: Flow, input: I, checks: fn(&View, &I, &Caller) -> Checks) -> Self {
        let document = serde_json::to_value(&input).unwrap_or_default();
        let call = Call::new(flow.service, flow.operation, &document);
        Self { flow, call, input: Arc::new(input), checks }
    }

    /// One transaction: permission is asked on the very state that `change` then changes.
    pub async fn commit<T: Serialize + Send + 'static>(
        &self,
        change: impl FnOnce(&mut Tx, &I, &mut Cx) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (requests, input, checks, service) =
            (self.flow.requests.clone(), self.input.clone(), self.checks, self.flow.service);
        let run = move |tx: &mut Tx, cx: &mut Cx| {
            let wanted: Vec<Check> = checks(tx, &input, &cx.caller)?;
            requests.authorise(tx, service, &cx.caller, &wanted)?;
            change(tx, &input, cx)
        };
        self.flow.requests.commit(self.flow.cx.caller.clone(), self.call.clone(), run).await
    }

    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    pub fn input(&self) -> &I {
        &self.input
    }
}
