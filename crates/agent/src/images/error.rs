//! Why an image is not here, in the words that ECS's users know.

use super::LayerError;
use oci::client::ClientError;
use oci::text::name;
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
    #[error("image is for {}, and this node runs {}; build it for that platform too", name(image.as_bytes()), Platform::of_this_machine())]
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
    /// No source had it.
    #[error("{}; {source_name}: {last}", earlier.join("; "))]
    Sources { earlier: Vec<String>, source_name: String, last: Box<PullError> },
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
            Self::Sources { last, .. } => last.ecs_name(),
            _ => "CannotPullContainerError",
        }
    }

    /// Whether another attempt may do better.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_transient(),
            Self::Token { transient, .. } => *transient,
            // The last is the registry itself, which decides.
            Self::Sources { last, .. } => last.is_transient(),
            _ => false,
        }
    }

    /// True where any source would say the same.
    pub(super) fn is_of_the_image(&self) -> bool {
        match self {
            Self::NoMatch | Self::Platform { .. } => true,
            Self::Resolve { cause, .. } | Self::Fetch { cause, .. } => cause.is_of_the_image(),
            _ => false,
        }
    }

    /// This error of `source`, with those of the sources before it; ECS's words stay in front.
    pub(super) fn after(self, earlier: Vec<(String, Self)>, source: String) -> Self {
        let boxed = |cause: Box<Self>, earlier| Box::new(cause.after(earlier, source.clone()));
        match self {
            Self::Resolve { reference, attempts, cause } => {
                Self::Resolve { reference, attempts, cause: boxed(cause, earlier) }
            }
            Self::Fetch { attempts, cause } => Self::Fetch { attempts, cause: boxed(cause, earlier) },
            last => {
                let told = |(source, error): (String, Self)| format!("{source}: {}", error.cause());
                let earlier = earlier.into_iter().map(told).collect();
                Self::Sources { earlier, source_name: source, last: Box::new(last) }
            }
        }
    }

    /// Without how often it was tried.
    fn cause(&self) -> &Self {
        match self {
            Self::Resolve { cause, .. } | Self::Fetch { cause, .. } => cause.cause(),
            other => other,
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
