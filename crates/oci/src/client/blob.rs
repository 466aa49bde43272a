//! A blob as it arrives.

use super::answer::host;
use super::{ClientError, verify};
use crate::digest::{Digest, Hasher};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt};
use reqwest::Response;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A blob's bytes, hashed as they pass. Only the stream's end says that they
/// are right: do not use what came before an error.
pub struct BlobStream {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes, ClientError>> + Send>>,
    /// Taken at the end, good or bad.
    hasher: Option<Hasher>,
    digest: Digest,
    size: u64,
}

impl BlobStream {
    pub(super) fn new(response: Response, digest: Digest, size: u64) -> Result<Self, ClientError> {
        if response.content_length().is_some_and(|len| len != size) {
            return Err(ClientError::SizeMismatch { digest, expected: size });
        }
        let host = host(&response);
        let pieces = response.bytes_stream().map_err(move |error| ClientError::network(&host, error));
        Ok(Self { pieces: Box::pin(pieces), hasher: Some(Hasher::new()), digest, size })
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
            return Err(ClientError::SizeMismatch { digest: self.digest.clone(), expected: self.size });
        }
        verify(&self.digest, &hasher.finish())
    }
}

impl Stream for BlobStream {
    type Item = Result<Bytes, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(mut hasher) = self.hasher.take() else { return Poll::Ready(None) };
        let Poll::Ready(piece) = self.pieces.as_mut().poll_next(cx) else {
            self.hasher = Some(hasher);
            return Poll::Pending;
        };
        Poll::Ready(match piece {
            Some(Ok(piece)) if hasher.len() + piece.len() as u64 <= self.size => {
                hasher.update(&piece);
                self.hasher = Some(hasher);
                Some(Ok(piece))
            }
            Some(Ok(_)) => Some(Err(ClientError::SizeMismatch { digest: self.digest.clone(), expected: self.size })),
            Some(Err(error)) => Some(Err(error)),
            None => self.verify(hasher).err().map(Err),
        })
    }
}

impl fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobStream").field("digest", &self.digest).field("size", &self.size).finish_non_exhaustive()
    }
}
