//! The way back to the first second, for test suites.

use crate::server::Peer;
use base::ApiError;
use http::Method;
use tokio::sync::{mpsc, oneshot};

/// Where a server is asked for it, by POST.
pub const RESET_PATH: &str = "/_longshore/reset";

/// Asks whoever runs the server to bring everything back to its beginning. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Resets(mpsc::Sender<Answer>);

/// Is told when it is done, or why it was not.
pub type Answer = oneshot::Sender<Result<(), String>>;

impl Resets {
    /// The asking, and the asked end.
    pub fn new() -> (Self, mpsc::Receiver<Answer>) {
        let (asks, asked) = mpsc::channel(1);
        (Self(asks), asked)
    }

    /// Returns once everything is as it was. Unsigned, as test suites have nothing to sign with, so it is for
    /// programs of this machine alone; web pages are refused before.
    pub(crate) async fn ask(&self, method: &Method, peer: Peer) -> Result<(), ApiError> {
        if method != Method::POST {
            return Err(ApiError::client("MethodNotAllowed", format!("POST {RESET_PATH}")).with_status(405));
        }
        if !peer.address.ip().is_loopback() {
            let text = "a reset is taken from this machine's loopback addresses alone";
            return Err(ApiError::client("AccessDeniedException", text).with_status(403));
        }
        let failed = |why: String| ApiError::server("ServerException", why).with_status(500);
        let ending = || failed("the server is ending".to_owned());
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).await.map_err(|_| ending())?;
        answered.await.map_err(|_| ending())?.map_err(failed)
    }
}
