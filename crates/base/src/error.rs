//! The error that every operation answers with, before a protocol gives it a shape.

use serde_json::{Map, Value};
use std::borrow::Cow;

/// Whose fault an error is; decides the HTTP status where nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller's: 400 unless the error says otherwise.
    Sender,
    /// Ours: 500 unless the error says otherwise.
    Receiver,
}

/// An AWS API error: a code from the service's model and a text that says what to do next.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The wire code, such as `ClusterNotFoundException`.
    pub code: Cow<'static, str>,
    pub message: String,
    pub fault: Fault,
    /// HTTP status; `None` means the fault's or the model's own.
    pub status: Option<u16>,
    /// Further members of the modelled error shape, such as `resourceIds`.
    pub fields: Map<String, Value>,
}

impl ApiError {
    pub fn client(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(code.into(), message.into(), Fault::Sender)
    }

    pub fn server(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(code.into(), message.into(), Fault::Receiver)
    }

    fn new(code: Cow<'static, str>, message: String, fault: Fault) -> Self {
        Self { code, message, fault, status: None, fields: Map::new() }
    }

    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    #[must_use]
    pub fn with_field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }
}
