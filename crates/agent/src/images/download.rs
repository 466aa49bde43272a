//! A layer's bytes as they come, through connections that break.

use super::PullError;
use super::news::{Meter, News};
use super::retry::{LAYER, Tries};
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, try_unfold};
use oci::Descriptor;
use oci::client::{BlobStream, Client, ClientError};

/// What goes over one connection after the other.
struct Download<'a> {
    client: &'a Client,
    repository: &'a str,
    layer: &'a Descriptor,
    meter: &'a Meter<'a>,
    blob: Option<BlobStream>,
    /// The connection broke; the blob goes on with another.
    broken: bool,
    tries: Tries,
}

/// The layer's bytes, verified at their end. What breaks off is resumed where it broke off, as often as
/// [`LAYER`] says without a single byte; a registry that sends nothing for as long as the transport waits has
/// broken off, too.
pub(super) fn download<'a>(
    client: &'a Client,
    repository: &'a str,
    layer: &'a Descriptor,
    meter: &'a Meter<'a>,
) -> BoxStream<'a, Result<Bytes, PullError>> {
    let tries = Tries::new(LAYER);
    let download = Download { client, repository, layer, meter, blob: None, broken: false, tries };
    try_unfold(download, |mut download| async move {
        let piece = download.next().await?;
        Ok(piece.map(|piece| (piece, download)))
    })
    .boxed()
}

impl Download<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, PullError> {
        loop {
            let error = match self.piece().await {
                Ok(piece) => {
                    if let Some(piece) = &piece {
                        self.tries.reset();
                        self.meter.add(piece.len());
                    }
                    return Ok(piece);
                }
                Err(error) => error,
            };
            let Some(pause) = self.tries.fail(error.is_transient()) else {
                return Err(PullError::Fetch { attempts: self.tries.failed(), cause: Box::new(error.into()) });
            };
            let (attempt, why) = (self.tries.failed(), error.to_string());
            tracing::warn!(layer = %self.layer.digest, attempt, why, "a layer is fetched further after a pause");
            (self.meter.tell)(News::Retrying { attempt, why, pause });
            tokio::time::sleep(pause).await;
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, ClientError> {
        let blob = match &mut self.blob {
            None => {
                let blob = self.client.blob(self.repository, &self.layer.digest, self.layer.size).await?;
                self.blob.insert(blob)
            }
            Some(blob) => {
                if self.broken {
                    blob.resume(self.client).await?;
                    self.broken = false;
                }
                blob
            }
        };
        match blob.next().await {
            Some(Err(error)) => {
                self.broken = true;
                Err(error)
            }
            other => other.transpose(),
        }
    }
}
