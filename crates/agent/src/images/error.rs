//! Why an image is not here, in the words that ECS's users know.

use super::LayerError;
use oci::client::ClientError;
use oci::{ManifestError, Platform, ReferenceError};
use std::io;
use std::time::Duration;

/// The text follows [`PullError::ecs_name`].
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(
        "registry {0} belongs to another account or region; copy the image to this installation's registry, or give \
         the node credentials for that one"
    )]
    ForeignRegistry(String),
    #[error("no authorization token for the registry: {why}")]
    Token { why: String, transient: bool },
    #[error("{}", worded(.0))]
    Registry(#[from] ClientError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("no matching manifest for {} in the manifest list entries", Platform::of_this_machine())]
    NoMatch,
    #[error("image is for {image}, and this node runs {}; build it for that platform too", Platform::of_this_machine())]
    Platform { image: String },
    #[error("image is not valid: {0}; build it again")]
    Image(String),
    #[error(transparent)]
    Layer(#[from] LayerError),
    #[error("the node's image folder: {0}")]
    Io(#[from] io::Error),
    /// What a name means could not be learned.
    #[error("pull image manifest has been retried {attempts} time(s): failed to resolve ref {reference}: {cause}")]
    Resolve { reference: String, attempts: u32, cause: Box<PullError> },
    /// A layer did not come.
    #[error("ref pull has been retried {attempts} time(s): failed to copy: {cause}")]
    Fetch { attempts: u32, cause: Box<PullError> },
    #[error("Could not transition to {to}; timed out after waiting {}m0s", .after.as_secs() / 60)]
    Timeout { to: &'static str, after: Duration },
}

impl PullError {
    /// The name that ECS puts before the text of a container's `reason`, from
    /// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cannot-pull-image.html>; the others from the
    /// ECS agent. That agent says `CannotPullImageManifestError` also of a name that means nothing; here it is told
    /// of manifests that are there and of no use, and of names is told what that page says.
    pub fn ecs_name(&self) -> &'static str {
        match self {
            Self::Token { .. } | Self::ForeignRegistry(_) => "CannotPullECRContainerError",
            Self::Manifest(_) | Self::Image(_) => "CannotPullImageManifestError",
            Self::Timeout { .. } => "DockerTimeoutError",
            Self::Resolve { cause, .. } | Self::Fetch { cause, .. } => cause.ecs_name(),
            _ => "CannotPullContainerError",
        }
    }

    /// Whether another attempt may do better.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_transient(),
            Self::Token { transient, .. } => *transient,
            _ => false,
        }
    }
}

/// What containerd, which pulls for ECS, says of it; users look for these words.
fn worded(error: &ClientError) -> String {
    match error {
        ClientError::NotFound { what, message } if message.eq_ignore_ascii_case("not found") => {
            format!("{what}: not found")
        }
        ClientError::NotFound { what, message } => format!("{what}: not found: {message}"),
        ClientError::Unauthorized { message, .. } | ClientError::Denied(message) => format!(
            "pull access denied, repository does not exist or may require authorization: server message: {message}"
        ),
        ClientError::TooManyRequests { host, message } => {
            format!("unexpected status from {host}: 429 Too Many Requests: toomanyrequests: {message}")
        }
        ClientError::Network { .. } | ClientError::Handshake { .. } => format!("failed to do request: {error}"),
        ClientError::Silent { .. } => format!("inactivity time exceeded timeout while pulling image: {error}"),
        other => other.to_string(),
    }
}
