//! How an operation is registered: its functions with their types taken off.

use crate::{Caller, Checks, Cx, Requests};
use base::ApiError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use store::{Tx, View};

/// One operation that this installation has.
pub struct Entry {
    /// The service's name in `wire`, such as `ecs`.
    pub service: &'static str,
    pub operation: &'static str,
    /// What it asks authorisation for, given its document.
    pub checks: ChecksOf,
    pub kind: Kind,
}

/// An operation's `checks` with their types taken off.
pub type ChecksOf = fn(Value, &View, &Caller) -> Checks;

/// The three ways an operation runs.
pub enum Kind {
    /// Reads one durable view.
    Read(fn(Value) -> Result<ReadStep, ApiError>),
    /// Reads and changes inside one transaction.
    Tx(fn(Value) -> Result<TxStep, ApiError>),
    /// Streams or awaits; opens short transactions and holds no view across an await.
    Flow(fn(Value, Flow) -> Result<FlowStep, ApiError>),
}

/// Authorisation, asked on the view that the operation then reads or changes.
pub type Ask<'a> = &'a dyn Fn(&View, &[auth::Check]) -> Result<(), ApiError>;
pub type ReadStep = Box<dyn FnOnce(&View, Ask, &mut Cx) -> Result<Value, ApiError> + Send>;
pub type TxStep = Box<dyn FnOnce(&mut Tx, Ask, &mut Cx) -> Result<Value, ApiError> + Send>;
pub type FlowStep = Pin<Box<dyn Future<Output = Result<Value, ApiError>> + Send>>;

/// What a flow is given: the rooms it streams through, and its context.
pub struct Flow {
    pub requests: Requests,
    pub cx: Cx,
    /// `service` and `operation` as the audit names them.
    pub service: &'static str,
    pub operation: &'static str,
}

/// Takes the types off a reading operation.
pub fn read_step<I, O>(
    document: Value,
    checks: fn(&View, &I, &Caller) -> Checks,
    run: fn(&View, I, &mut Cx) -> Result<O, ApiError>,
) -> Result<ReadStep, ApiError>
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + 'static,
{
    let input: I = typed(document)?;
    Ok(Box::new(move |view, ask, cx| {
        ask(view, &checks(view, &input, &cx.caller)?)?;
        untyped(run(view, input, cx)?)
    }))
}

/// Takes the types off a changing operation.
pub fn tx_step<I, O>(
    document: Value,
    checks: fn(&View, &I, &Caller) -> Checks,
    run: fn(&mut Tx, I, &mut Cx) -> Result<O, ApiError>,
) -> Result<TxStep, ApiError>
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + 'static,
{
    let input: I = typed(document)?;
    Ok(Box::new(move |tx, ask, cx| {
        ask(tx, &checks(tx, &input, &cx.caller)?)?;
        untyped(run(tx, input, cx)?)
    }))
}

/// Takes the types off a flow; its checks are asked on the durable view at its start.
pub fn flow_step<I, O, F>(
    document: Value,
    flow: Flow,
    checks: fn(&View, &I, &Caller) -> Checks,
    run: fn(Flow, I) -> F,
) -> Result<FlowStep, ApiError>
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + 'static,
    F: Future<Output = Result<O, ApiError>> + Send + 'static,
{
    let input: I = typed(document)?;
    Ok(Box::pin(async move {
        {
            let view = flow.requests.view();
            let wanted = checks(&view, &input, &flow.cx.caller)?;
            flow.requests.authorise(&view, flow.service, &flow.cx.caller, &wanted)?;
        }
        untyped(run(flow, input).await?)
    }))
}

/// Takes the types off an operation's `checks`.
pub fn checks_of<I: DeserializeOwned>(
    document: Value,
    view: &View,
    caller: &Caller,
    checks: fn(&View, &I, &Caller) -> Checks,
) -> Checks {
    checks(view, &typed(document)?, caller)
}

fn typed<I: DeserializeOwned>(document: Value) -> Result<I, ApiError> {
    serde_json::from_value(document).map_err(|error| ApiError::client("SerializationException", error.to_string()))
}

fn untyped<O: Serialize>(output: O) -> Result<Value, ApiError> {
    serde_json::to_value(output).map_err(|error| ApiError::server("InternalFailure", error.to_string()))
}

/// An [`Entry`] for a reading operation: `read!(ecs, describe_tasks, "DescribeTasks")`.
#[macro_export]
macro_rules! read {
    ($service:ident, $module:ident, $operation:literal) => {
        $crate::Entry {
            service: stringify!($service),
            operation: $operation,
            checks: |document, view, caller| $crate::checks_of(document, view, caller, $service::$module::checks),
            kind: $crate::Kind::Read(|document| {
                $crate::read_step(document, $service::$module::checks, $service::$module::run)
            }),
        }
    };
}

/// An [`Entry`] for a changing operation.
#[macro_export]
macro_rules! tx {
    ($service:ident, $module:ident, $operation:literal) => {
        $crate::Entry {
            service: stringify!($service),
            operation: $operation,
            checks: |document, view, caller| $crate::checks_of(document, view, caller, $service::$module::checks),
            kind: $crate::Kind::Tx(|document| {
                $crate::tx_step(document, $service::$module::checks, $service::$module::run)
            }),
        }
    };
}

/// An [`Entry`] for a flow.
#[macro_export]
macro_rules! flow {
    ($service:ident, $module:ident, $operation:literal) => {
        $crate::Entry {
            service: stringify!($service),
            operation: $operation,
            checks: |document, view, caller| $crate::checks_of(document, view, caller, $service::$module::checks),
            kind: $crate::Kind::Flow(|document, flow| {
                $crate::flow_step(document, flow, $service::$module::checks, $service::$module::run)
            }),
        }
    };
}
