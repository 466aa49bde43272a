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

#[cfg(test)]
mod tests {
    use super::Resets;
    use crate::server::Peer;
    use http::Method;

    #[tokio::test]
    async fn this_machine_posts_and_hears_how_it_went() {
        let (resets, mut asked) = Resets::new();
        let check = async |method: Method, peer: &str, status: Option<u16>| {
            let peer = Peer { address: peer.parse().expect("an address"), secure: false };
            let outcome = resets.ask(&method, peer).await;
            assert_eq!(outcome.err().map(|error| error.status), status.map(Some), "{method} from {}", peer.address);
        };
        check(Method::GET, "127.0.0.1:9", Some(405)).await;
        check(Method::POST, "192.0.2.1:9", Some(403)).await;
        for (how, status) in [(Ok(()), None), (Err("the disk is gone".to_owned()), Some(500))] {
            let answering = async { asked.recv().await.map(|answer| answer.send(how)) };
            tokio::join!(check(Method::POST, "[::1]:9", status), answering);
        }
        drop(asked);
        check(Method::POST, "127.0.0.1:9", Some(500)).await;
    }
}
