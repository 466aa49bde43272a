//! Reading a blob: hashed again on its way out, unless that was done lately, so that a disk's rot is not passed on.

use crate::BlobError;
use crate::folder::{Folder, blocking};
use crate::sound::Stamp;
use bytes::Bytes;
use futures_util::{Stream, stream};
use oci::{Digest, Hasher};
use rustix::io::{ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::{self, IoSliceMut, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Bytes that a stream reads at a time, one piece ahead of its reader: few enough to hold for each of
/// many readers, many enough that the hop to a file thread costs little.
const READ_BYTES: u64 = 512 * 1024;

/// Bytes that are read at a time of what the kernel has in memory: they are sent while a processor's own cache
/// still has them.
const CACHED_BYTES: u64 = 128 * 1024;
/// For preadv2(2): from where the file is at, as read(2) does.
const HERE: u64 = u64::MAX;

/// An open blob, or a range of one. Stays readable when the blob is deleted.
#[derive(Debug)]
pub struct BlobReader {
    /// Bytes of the whole blob, also where only a range is read.
    pub size: u64,
    source: Source,
}

/// The file, and what is left to be read of it.
#[derive(Debug)]
struct Source {
    folder: Arc<Folder>,
    digest: Digest,
    file: File,
    /// How the file was when it was opened.
    opened: Stamp,
    left: u64,
    /// Over what was read, where that is the whole blob, and not known to be sound.
    hasher: Option<Hasher>,
}

impl BlobReader {
    pub(crate) fn open(folder: &Arc<Folder>, digest: &Digest) -> io::Result<Option<Self>> {
        let file = match File::open(folder.blob(digest)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let size = metadata.len();
        let opened = Stamp::of(&metadata);
        let hasher = (!folder.sound.lock().holds(digest, opened)).then(Hasher::new);
        let (folder, digest) = (folder.clone(), digest.clone());
        Ok(Some(Self { size, source: Source { folder, digest, file, opened, left: size, hasher } }))
    }

    /// As [`open`](Self::open), for a blob of `size` bytes: one of another size is damaged and set aside.
    pub(crate) fn open_sized(folder: &Arc<Folder>, digest: &Digest, size: u64) -> io::Result<Option<Self>> {
        let Some(reader) = Self::open(folder, digest)? else { return Ok(None) };
        if reader.size == size {
            return Ok(Some(reader));
        }
        let _told = reader.source.rotten();
        Ok(None)
    }

    /// True where the content was lately seen to be what its digest says, and nobody wrote to the file since.
    pub(crate) fn is_known_sound(&self) -> bool {
        self.source.hasher.is_none()
    }

    pub(crate) fn is_within(&self, range: &Range<u64>) -> Result<(), BlobError> {
        let Range { start, end } = *range;
        if start >= end || end > self.size {
            return Err(BlobError::RangeNotSatisfiable { start, end, size: self.size });
        }
        Ok(())
    }

    /// The part of a blob, which must have been seen to be sound: a part cannot be told from a rotten one.
    pub(crate) fn slice(mut self, range: &Range<u64>) -> io::Result<Self> {
        self.source.file.seek(SeekFrom::Start(range.start))?;
        self.source.left = range.end - range.start;
        self.source.hasher = None;
        Ok(self)
    }

    /// Sees that it is sound, by reading it to its end where that is not known.
    pub(crate) fn check(mut self) -> io::Result<()> {
        if self.is_known_sound() {
            return Ok(());
        }
        let mut piece = Vec::new();
        while self.source.left > 0 {
            piece.clear();
            self.source.read(&mut piece)?;
        }
        Ok(())
    }

    pub(crate) fn read(mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while self.source.left > 0 {
            self.source.read(&mut bytes)?;
        }
        if self.size == 0 {
            self.source.ended()?;
        }
        Ok(bytes)
    }

    /// The bytes in pieces of a few hundred KiB at most. Content that is not what its digest says ends in an
    /// error in place of its last piece, and is set aside.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static {
        Box::pin(stream::unfold(Some(Next::Cached(Box::new(self.source))), |next| async {
            let reading = match next? {
                Next::Cached(mut source) => match source.cached() {
                    Some(piece) => return Some((Ok(piece), (source.left > 0).then(|| Next::Cached(source)))),
                    None => source.ahead(),
                },
                Next::Reading(reading) => reading,
            };
            match reading.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok((_, piece)) if piece.is_empty() => None,
                Ok((source, piece)) => {
                    let next = (source.left > 0).then(|| Next::Reading(source.ahead()));
                    Some((Ok(piece), next))
                }
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

/// Where a stream's next piece comes from. The first that the kernel has to fetch from the disk, and all after
/// it, come by way of a file thread.
enum Next {
    Cached(Box<Source>),
    Reading(JoinHandle<io::Result<(Source, Bytes)>>),
}

impl Source {
    /// The next piece, where it need not be hashed and the kernel has it in memory: a copy then, too short to be
    /// worth a thread's wake-up.
    fn cached(&mut self) -> Option<Bytes> {
        if self.hasher.is_some() || self.left == 0 {
            return None;
        }
        let mut piece = vec![0; self.left.min(CACHED_BYTES) as usize];
        let read = preadv2(&self.file, &mut [IoSliceMut::new(&mut piece)], HERE, ReadWriteFlags::NOWAIT);
        // Whatever it is that went wrong, a file thread finds out.
        let got = read.ok().filter(|got| *got > 0)?;
        piece.truncate(got);
        self.left -= got as u64;
        Some(piece.into())
    }

    /// Reads the next piece on a file thread, whether or not somebody waits for it yet.
    fn ahead(mut self) -> JoinHandle<io::Result<(Self, Bytes)>> {
        tokio::task::spawn_blocking(move || {
            let mut piece = Vec::with_capacity(self.left.min(READ_BYTES) as usize);
            self.read(&mut piece)?;
            Ok((self, piece.into()))
        })
    }

    /// Adds the next piece to `into`: the last one only when the whole is what its digest says.
    fn read(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        let (had, wanted) = (into.len(), self.left.min(READ_BYTES));
        let got = (&mut self.file).take(wanted).read_to_end(into)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&into[had..]);
        }
        self.left -= got as u64;
        if (got as u64) < wanted {
            // Shorter than when it was opened.
            self.left = 0;
            return Err(self.rotten());
        }
        if self.left == 0 { self.ended() } else { Ok(()) }
    }

    fn ended(&mut self) -> io::Result<()> {
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        if hasher.finish() != self.digest {
            return Err(self.rotten());
        }
        // Written to meanwhile, it is in another state by now.
        self.folder.sound.lock().found(&self.digest, self.opened);
        Ok(())
    }

    fn rotten(&self) -> io::Error {
        let set_aside = self.folder.set_aside(&self.digest, &self.file);
        let text = match set_aside {
            Ok(()) => format!("blob {} is damaged and was set aside: push it again", self.digest),
            Err(error) => format!("blob {} is damaged and could not be set aside: {error}", self.digest),
        };
        tracing::error!("{text}");
        io::Error::new(io::ErrorKind::InvalidData, text)
    }
}

/// Opens a blob off the async threads. One of another size than `size`, where that is known, is
/// damaged: it is set aside, and there is none.
pub(crate) async fn open(
    folder: &Arc<Folder>,
    digest: &Digest,
    size: Option<u64>,
) -> Result<Option<BlobReader>, BlobError> {
    let (held, wanted) = (folder.clone(), digest.clone());
    let opened = blocking(move || match size {
        Some(size) => BlobReader::open_sized(&held, &wanted, size),
        None => BlobReader::open(&held, &wanted),
    });
    opened.await.map_err(at(folder, digest))
}

/// For `map_err`: content that is not what its digest says, or an I/O error at the blob's path.
pub(crate) fn at(folder: &Folder, digest: &Digest) -> impl FnOnce(io::Error) -> BlobError {
    let (path, digest) = (folder.blob(digest), digest.clone());
    move |error| match error.kind() {
        io::ErrorKind::InvalidData => BlobError::Damaged(digest),
        _ => BlobError::at(&path)(error),
    }
}
