//! Reading a blob.

use crate::BlobError;
use bytes::Bytes;
use futures_util::Stream;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

/// Bytes that a stream reads at a time: few enough to hold for each of many
/// readers, many enough that the hop to a file thread costs little.
const READ_BYTES: usize = 256 * 1024;

/// An open blob, or a range of one. Stays readable when the blob is deleted.
#[derive(Debug)]
pub struct BlobReader {
    /// Bytes of the whole blob, also where only a range is read.
    pub size: u64,
    path: PathBuf,
    file: File,
    /// Bytes that the stream gives.
    len: u64,
}

impl BlobReader {
    pub(crate) async fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let size = file.metadata().await?.len();
        Ok(Some(Self { size, path: path.to_owned(), file, len: size }))
    }

    pub(crate) async fn slice(mut self, range: Range<u64>) -> Result<Self, BlobError> {
        let Range { start, end } = range;
        if start >= end || end > self.size {
            return Err(BlobError::RangeNotSatisfiable { start, end, size: self.size });
        }
        self.file.seek(io::SeekFrom::Start(start)).await.map_err(BlobError::at(&self.path))?;
        self.len = end - start;
        Ok(self)
    }

    pub(crate) async fn read(self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.take(self.len).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    /// The bytes in pieces of a few hundred KiB.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static {
        ReaderStream::with_capacity(self.file.take(self.len), READ_BYTES)
    }
}
