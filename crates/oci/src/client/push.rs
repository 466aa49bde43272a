//! Pushing: blobs first, then the manifest that names them.

use super::answer::{self, expect};
use super::auth::Scope;
use super::{Client, ClientError, content_digest, sha256, verify};
use crate::digest::Digest;
use crate::reference::ImageReference;
use bytes::Bytes;
use futures_util::TryStreamExt;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Method, Response, StatusCode, Url};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// What a registry takes for the parts of a blob.
const OCTETS: &str = "application/octet-stream";

/// How long a registry may take to cancel an upload.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes that are read of a file at once.
const READ_BYTES: usize = 128 << 10;

/// Where a blob's bytes are.
#[derive(Clone, Debug)]
pub enum Source {
    Bytes(Bytes),
    File(PathBuf),
    /// A file whose bytes are counted as they are sent, for who shows progress.
    Counted(PathBuf, Arc<AtomicU64>),
}

/// How a blob is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    /// In one request.
    Monolithic,
    /// In pieces of so many bytes, each held in memory; ECR wants 5 MiB or more.
    Chunked { bytes: usize },
}

impl Client {
    /// A blob's size in bytes; `None` where the repository does not have it.
    pub async fn blob_size(&self, repository: &str, digest: &Digest) -> Result<Option<u64>, ClientError> {
        let request = self.request(Method::HEAD, self.url(repository, &format!("blobs/{digest}"))?);
        let known = [StatusCode::OK, StatusCode::NOT_FOUND];
        let response = expect(&known, self.send(request, &Scope::push(repository)).await?, digest.as_str()).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let missing =
            || ClientError::Response { host: self.host(), why: "a blob's HEAD has no Content-Length".to_owned() };
        answer::number(response.headers(), CONTENT_LENGTH).map(Some).ok_or_else(missing)
    }

    /// Uploads a blob, also if the registry has it: ask [`Client::blob_size`] before. One that fails is cancelled, so
    /// that nothing of it takes the registry's room.
    pub async fn push_blob(
        &self,
        repository: &str,
        digest: &Digest,
        source: Source,
        upload: Upload,
    ) -> Result<(), ClientError> {
        sha256(digest)?;
        let scope = Scope::push(repository);
        let start = self.request(Method::POST, self.url(repository, "blobs/uploads/")?);
        let start = start.header(CONTENT_LENGTH, 0);
        let response = expect(&[StatusCode::ACCEPTED], self.send(start, &scope).await?, repository).await?;
        let mut location = self.location(&response)?;
        let sent = self.send_upload(&scope, &mut location, digest, source, upload).await;
        if sent.is_err() {
            // What cannot be cancelled the registry forgets in its own time.
            _ = tokio::time::timeout(CANCEL_TIMEOUT, self.send(self.request(Method::DELETE, location), &scope)).await;
        }
        sent
    }

    /// `location` is where the upload goes on, also after an error.
    async fn send_upload(
        &self,
        scope: &Scope,
        location: &mut Url,
        digest: &Digest,
        source: Source,
        upload: Upload,
    ) -> Result<(), ClientError> {
        let rest = match upload {
            Upload::Monolithic => source,
            Upload::Chunked { bytes } => {
                self.send_chunks(scope, location, source, bytes.max(1)).await?;
                Source::Bytes(Bytes::new())
            }
        };
        self.complete(scope, location.clone(), digest, rest).await
    }

    /// Stores a manifest under the reference's digest, else tag; answers its digest.
    pub async fn put_manifest(
        &self,
        image: &ImageReference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<Digest, ClientError> {
        let digest = Digest::of(&bytes);
        image.digest.iter().try_for_each(|expected| verify(expected, &digest))?;
        let request = self.request(Method::PUT, self.manifest_url(image)?).header(CONTENT_TYPE, media_type).body(bytes);
        let response = expect(
            &[StatusCode::CREATED],
            self.send(request, &Scope::push(&image.repository)).await?,
            &image.to_string(),
        )
        .await?;
        if let Some(stored) = content_digest(response.headers())? {
            verify(&digest, &stored)?;
        }
        Ok(digest)
    }

    /// Sends all of the source in order.
    async fn send_chunks(
        &self,
        scope: &Scope,
        location: &mut Url,
        source: Source,
        bytes: usize,
    ) -> Result<(), ClientError> {
        let mut chunks = Chunks::open(source).await?;
        let mut sent = 0;
        loop {
            let chunk = chunks.next(bytes).await?;
            if chunk.is_empty() {
                return Ok(());
            }
            let next = sent + chunk.len() as u64;
            let request = self
                .request(Method::PATCH, location.clone())
                .header(CONTENT_TYPE, OCTETS)
                .header(CONTENT_RANGE, format!("{sent}-{}", next - 1))
                .body(chunk);
            // ECR answers 201 where the specification says 202.
            let taken = [StatusCode::ACCEPTED, StatusCode::CREATED];
            let response = expect(&taken, self.send(request, scope).await?, "upload").await?;
            *location = self.location(&response)?;
            sent = next;
        }
    }

    async fn complete(
        &self,
        scope: &Scope,
        mut location: Url,
        digest: &Digest,
        rest: Source,
    ) -> Result<(), ClientError> {
        location.query_pairs_mut().append_pair("digest", digest.as_str());
        let (body, len) = rest.into_body().await?;
        let request =
            self.request(Method::PUT, location).header(CONTENT_TYPE, OCTETS).header(CONTENT_LENGTH, len).body(body);
        expect(&[StatusCode::CREATED], self.send(request, scope).await?, "upload").await.map(drop)
    }

    /// Where an upload goes on: absolute, or relative to what was asked.
    fn location(&self, response: &Response) -> Result<Url, ClientError> {
        let wrong = || ClientError::Response { host: self.host(), why: "an upload has no valid Location".to_owned() };
        let text = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).ok_or_else(wrong)?;
        response.url().join(text).map_err(|_| wrong())
    }
}

impl Source {
    /// A body and its length in bytes.
    async fn into_body(self) -> Result<(Body, u64), ClientError> {
        match self {
            Self::Bytes(bytes) => {
                let len = bytes.len() as u64;
                Ok((bytes.into(), len))
            }
            Self::File(path) => {
                let (file, len) = open(&path).await?;
                Ok((file.into(), len))
            }
            Self::Counted(path, sent) => {
                let (file, len) = open(&path).await?;
                let counted = ReaderStream::with_capacity(file, READ_BYTES).inspect_ok(move |piece| {
                    sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
                });
                Ok((Body::wrap_stream(counted), len))
            }
        }
    }
}

async fn open(path: &Path) -> Result<(File, u64), ClientError> {
    let failed = |source| ClientError::File { path: path.to_owned(), source };
    let file = File::open(path).await.map_err(failed)?;
    let len = file.metadata().await.map_err(failed)?.len();
    Ok((file, len))
}

/// A source piece by piece.
enum Chunks {
    Bytes(Bytes),
    File { file: File, path: PathBuf, sent: Arc<AtomicU64> },
}

impl Chunks {
    async fn open(source: Source) -> Result<Self, ClientError> {
        match source {
            Source::Bytes(bytes) => Ok(Self::Bytes(bytes)),
            Source::File(path) => Self::file(path, Arc::default()).await,
            Source::Counted(path, sent) => Self::file(path, sent).await,
        }
    }

    async fn file(path: PathBuf, sent: Arc<AtomicU64>) -> Result<Self, ClientError> {
        Ok(Self::File { file: open(&path).await?.0, path, sent })
    }

    /// The next `len` bytes, fewer at the end, none past it.
    async fn next(&mut self, len: usize) -> Result<Bytes, ClientError> {
        match self {
            Self::Bytes(rest) => Ok(rest.split_to(len.min(rest.len()))),
            Self::File { file, path, sent } => {
                let mut chunk = Vec::new();
                let read = file.take(len as u64).read_to_end(&mut chunk).await;
                let len = read.map_err(|source| ClientError::File { path: path.clone(), source })?;
                sent.fetch_add(len as u64, Ordering::Relaxed);
                Ok(chunk.into())
            }
        }
    }
}
