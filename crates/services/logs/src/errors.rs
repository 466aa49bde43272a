//! Every error of this service, with its code and text.

use base::ApiError;
use telemetry::TelemetryError;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogsError {
    #[error("The specified log group does not exist.")]
    GroupNotFound,
    #[error("The specified log stream does not exist.")]
    StreamNotFound,
    #[error("The specified log group already exists")]
    GroupExists,
    #[error("The specified log stream already exists")]
    StreamExists,
    #[error("Log events in a single PutLogEvents request must be in chronological order.")]
    NotChronological,
    #[error("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")]
    SpanTooLong,
    #[error("Upload too large: {bytes} bytes exceeds limit of {max}")]
    BatchTooLarge { bytes: usize, max: usize },
    #[error("Log event too large: {bytes} bytes exceeds limit of {max}")]
    EventTooLarge { bytes: usize, max: usize },
    #[error("The specified nextToken is invalid.")]
    Token,
    #[error("{0}")]
    Parameter(String),
    #[error("{0} is not supported by Longshore yet: leave it out")]
    Unsupported(&'static str),
}

impl From<LogsError> for ApiError {
    fn from(error: LogsError) -> Self {
        let code = match &error {
            LogsError::GroupNotFound | LogsError::StreamNotFound => "ResourceNotFoundException",
            LogsError::GroupExists | LogsError::StreamExists => "ResourceAlreadyExistsException",
            _ => "InvalidParameterException",
        };
        Self::client(code, error.to_string())
    }
}

/// Telemetry's errors as callers see them: a stream deleted meanwhile is not found, the rest is ours.
pub fn from_telemetry(error: TelemetryError) -> ApiError {
    match error {
        TelemetryError::Deleted => LogsError::StreamNotFound.into(),
        TelemetryError::Position(_) => LogsError::Token.into(),
        TelemetryError::BatchToken(_) => LogsError::Parameter(error.to_string()).into(),
        _ => ApiError::server("ServiceUnavailableException", error.to_string()).with_status(503),
    }
}
