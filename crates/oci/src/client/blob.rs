//! A blob as it arrives.

use super::answer::host;
use super::{Client, ClientError, verify};
use crate::digest::{Digest, Hasher};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt};
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, ClientError>> + Send>>;

/// A blob's bytes, hashed as they pass. Only the stream's end says that they
/// are right: do not use what came before an error. A connection that breaks
/// ends the stream with an error that [`ClientError::is_transient`];
/// [`BlobStream::resume`] then goes on where it broke off.
pub struct BlobStream {
    /// None once there was an error, or the end.
    pieces: Option<Pieces>,
    /// Taken at the end, and by an error for which there is no going on.
    hasher: Option<Hasher>,
    repository: String,
    digest: Digest,
    /// Bytes.
    size: u64,
}

impl BlobStream {
    pub(super) fn new(response: Response, repository: &str, digest: Digest, size: u64) -> Result<Self, ClientError> {
        let pieces = Some(pieces(response, &digest, size, 0)?);
        Ok(Self { pieces, hasher: Some(Hasher::new()), repository: repository.to_owned(), digest, size })
    }

    /// Asks for the rest, after an error that was transient. What came before still counts, so it may be
    /// another registry's client, too, if that has the blob in a repository of the same name.
    ///
    /// # Errors
    /// As [`Client::blob`]; a transient one may be answered by trying again.
    pub async fn resume(&mut self, client: &Client) -> Result<(), ClientError> {
        // Without a hasher there was an error that asking again does not mend.
        let Some(from) = self.hasher.as_ref().map(Hasher::len) else {
            return Err(ClientError::SizeMismatch { digest: self.digest.clone(), expected: self.size });
        };
        if from == self.size {
            self.pieces = Some(Box::pin(futures_util::stream::empty()));
            return Ok(());
        }
        let response = client.ask_blob(&self.repository, &self.digest, from).await?;
        self.pieces = Some(pieces(response, &self.digest, self.size, from)?);
        Ok(())
    }

    /// Bytes that have come.
    pub fn position(&self) -> u64 {
        self.hasher.as_ref().map_or(self.size, Hasher::len)
    }

    /// Bytes that the blob has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// All of it, verified, in memory.
    pub(super) async fn read(mut self) -> Result<Bytes, ClientError> {
        let mut bytes = BytesMut::new();
        while let Some(piece) = self.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes.freeze())
    }

    fn verify(&self, hasher: Hasher) -> Result<(), ClientError> {
        if hasher.len() != self.size {
            return Err(self.wrong_size());
        }
        verify(&self.digest, &hasher.finish())
    }

    fn wrong_size(&self) -> ClientError {
        ClientError::SizeMismatch { digest: self.digest.clone(), expected: self.size }
    }
}

impl Stream for BlobStream {
    type Item = Result<Bytes, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(pieces) = &mut self.pieces else { return Poll::Ready(None) };
        let Poll::Ready(piece) = pieces.as_mut().poll_next(cx) else { return Poll::Pending };
        let Some(mut hasher) = self.hasher.take() else { return Poll::Ready(None) };
        match piece {
            Some(Ok(piece)) if hasher.len() + piece.len() as u64 <= self.size => {
                hasher.update(&piece);
                self.hasher = Some(hasher);
                return Poll::Ready(Some(Ok(piece)));
            }
            Some(Err(error)) => {
                self.pieces = None;
                self.hasher = Some(hasher);
                return Poll::Ready(Some(Err(error)));
            }
            Some(Ok(_)) | None => {}
        }
        self.pieces = None;
        // Too many bytes do not have the size either.
        let verified = if piece.is_some() { Err(self.wrong_size()) } else { self.verify(hasher) };
        Poll::Ready(verified.err().map(Err))
    }
}

/// The blob's bytes from `from` on, out of an answer that may begin earlier.
fn pieces(response: Response, digest: &Digest, size: u64, from: u64) -> Result<Pieces, ClientError> {
    let host = host(&response);
    let starts_at = match response.status() {
        StatusCode::PARTIAL_CONTENT => range_start(&response),
        _ => Some(0),
    };
    let Some(starts_at) = starts_at.filter(|start| *start <= from) else {
        let why = format!("asked for {digest} from byte {from}, it sends something else");
        return Err(ClientError::Response { host, why });
    };
    if response.content_length().is_some_and(|len| len != size - starts_at) {
        return Err(ClientError::SizeMismatch { digest: digest.clone(), expected: size });
    }
    let mut known = from - starts_at;
    let pieces = response.bytes_stream().map_err(move |error| ClientError::network(&host, error));
    let news = pieces.map_ok(move |mut piece| {
        let skipped = usize::try_from(known).unwrap_or(usize::MAX).min(piece.len());
        known -= skipped as u64;
        piece.split_off(skipped)
    });
    Ok(Box::pin(news))
}

/// `bytes FIRST-LAST/SIZE` (RFC 9110, 14.4).
fn range_start(response: &Response) -> Option<u64> {
    let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

impl fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobStream").field("digest", &self.digest).field("size", &self.size).finish_non_exhaustive()
    }
}
