//! From the bytes as pulled to the tar stream: counting, hashing, decompressing.

use super::limits::Disk;
use super::{Limits, UnpackError};
use crate::digest::{Digest, Hasher};
use crate::manifest::media_type::{
    DOCKER_FOREIGN_LAYER_GZIP, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_LAYER_ZSTD, OCI_FOREIGN_LAYER,
    OCI_FOREIGN_LAYER_GZIP, OCI_FOREIGN_LAYER_ZSTD, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD,
};
use flate2::bufread::GzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Bytes read at a time.
const BUFFER_BYTES: usize = 64 * 1024;
/// Largest zstd window, in bytes (RFC 8878 3.1.1.1.2): that of the tool's level 20. RFC 8878 asks decoders
/// for 8 MiB; levels 21 and 22, which want 64 and 128, do not fit in what unpacking may take of memory.
const ZSTD_WINDOW_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Decompressed bytes that are handed over at a time, and how many such pieces may wait.
const PIECE_BYTES: usize = 256 * 1024;
const PIECES_MAX: usize = 4;
/// The decompressing thread's stack, in bytes: what decoders hold is on the heap.
const STACK_BYTES: usize = 512 * 1024;
/// First bytes of a gzip member (RFC 1952).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
/// First bytes of a zstd frame (RFC 8878).
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Counts and hashes what is read through it, and fails past the limits.
pub(super) struct Metered<'a, R> {
    inner: R,
    hasher: Hasher,
    limits: Limits,
    disk: Option<Disk<'a>>,
}

impl<'a, R: Read> Metered<'a, R> {
    pub(super) fn new(inner: R, limits: &Limits) -> Self {
        Self { inner, hasher: Hasher::new(), limits: limits.clone(), disk: None }
    }

    /// What is read goes onto this disk.
    pub(super) fn onto(self, disk: Disk<'a>) -> Self {
        Self { disk: Some(disk), ..self }
    }

    /// Bytes read, and their digest.
    pub(super) fn finish(self) -> (u64, Digest) {
        (self.hasher.len(), self.hasher.finish())
    }
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        let bytes = self.hasher.len();
        let passed = self.limits.passed_by(bytes).or_else(|| self.disk.as_mut()?.passed_by(bytes));
        match passed {
            Some(error) => Err(io::Error::other(error)),
            None => Ok(n),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Plain,
    Gzip,
    Zstd,
}

impl Encoding {
    fn announced(media_type: &str) -> Option<Self> {
        match media_type {
            OCI_LAYER | OCI_FOREIGN_LAYER | DOCKER_LAYER => Some(Self::Plain),
            OCI_LAYER_GZIP | OCI_FOREIGN_LAYER_GZIP | DOCKER_LAYER_GZIP | DOCKER_FOREIGN_LAYER_GZIP => Some(Self::Gzip),
            OCI_LAYER_ZSTD | OCI_FOREIGN_LAYER_ZSTD | DOCKER_LAYER_ZSTD => Some(Self::Zstd),
            _ => None,
        }
    }

    fn found(head: &[u8]) -> Self {
        // A skippable frame may come first, as in zstd:chunked layers (RFC 8878 3.1.2).
        let skippable = matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18]);
        match head {
            head if head.starts_with(GZIP_MAGIC) => Self::Gzip,
            head if head.starts_with(ZSTD_MAGIC) || skippable => Self::Zstd,
            _ => Self::Plain,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "not compressed",
            Self::Gzip => "compressed with gzip",
            Self::Zstd => "compressed with zstd",
        }
    }
}

/// A piece of the tar stream, or why there is no more of it.
type Piece = Result<Vec<u8>, UnpackError>;

/// The tar stream of a layer, decompressed ahead by a thread, so that it goes on while files are written.
pub(super) struct Ahead<'scope> {
    pieces: Receiver<Piece>,
    current: Cursor<Vec<u8>>,
    thread: ScopedJoinHandle<'scope, Option<(u64, Digest)>>,
}

impl<'scope> Ahead<'scope> {
    /// `packed` is read to its end, but no further than a byte past `size`.
    pub(super) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        packed: impl Read + Send + 'scope,
        media_type: &'scope str,
        size: u64,
    ) -> Result<Self, UnpackError> {
        let (sender, pieces) = sync_channel(PIECES_MAX);
        let work = move || match decompress(packed, media_type, size, &sender) {
            Ok(found) => found,
            Err(error) => {
                // Whoever does not listen any more has an error of its own.
                _ = sender.send(Err(error));
                None
            }
        };
        let thread = Builder::new().name("decompress".to_owned()).stack_size(STACK_BYTES).spawn_scoped(scope, work);
        Ok(Self { pieces, current: Cursor::default(), thread: thread.map_err(UnpackError::Read)? })
    }

    /// Size and digest of the packed bytes, once the stream was read to its end.
    pub(super) fn finish(self) -> Result<(u64, Digest), UnpackError> {
        let ended_early = || UnpackError::Read(io::Error::other("the thread that decompresses it ended early"));
        drop(self.pieces);
        self.thread.join().ok().flatten().ok_or_else(ended_early)
    }
}

impl Read for Ahead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.current.read(buffer)? {
                0 if !buffer.is_empty() => match self.pieces.recv() {
                    Ok(piece) => self.current = Cursor::new(piece.map_err(io::Error::other)?),
                    Err(_ended) => return Ok(0),
                },
                n => return Ok(n),
            }
        }
    }
}

/// Sends the tar stream on in pieces; answers size and digest of the packed bytes, or none if nobody listens.
fn decompress(
    packed: impl Read,
    media_type: &str,
    size: u64,
    pieces: &SyncSender<Piece>,
) -> Result<Option<(u64, Digest)>, UnpackError> {
    // One byte more than there should be is enough to see that there are more.
    let mut packed = Metered::new(packed.take(size.saturating_add(1)), &Limits::NONE);
    let mut plain = decoder(&mut packed, media_type)?;
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = plain.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece);
        if read.map_err(UnpackError::from_read)? == 0 {
            break;
        }
        if pieces.send(Ok(piece)).is_err() {
            return Ok(None);
        }
    }
    drop(plain);
    io::copy(&mut packed, &mut io::sink()).map_err(UnpackError::from_read)?;
    Ok(Some(packed.finish()))
}

/// The tar stream of a layer. Its media type and its first bytes must agree on
/// the compression.
fn decoder<'a>(mut packed: impl Read + 'a, media_type: &str) -> Result<Box<dyn Read + 'a>, UnpackError> {
    let announced = Encoding::announced(media_type).ok_or_else(|| UnpackError::MediaType(media_type.to_owned()))?;
    let mut head = Vec::with_capacity(ZSTD_MAGIC.len());
    let peek = ZSTD_MAGIC.len() as u64;
    packed.by_ref().take(peek).read_to_end(&mut head).map_err(UnpackError::from_read)?;
    let found = Encoding::found(&head);
    if found != announced {
        return Err(UnpackError::Encoding { media_type: media_type.to_owned(), found: found.name() });
    }
    let whole = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(head).chain(packed));
    Ok(match announced {
        Encoding::Plain => Box::new(whole),
        Encoding::Gzip => Box::new(GzipMembers(Some(GzDecoder::new(whole)))),
        Encoding::Zstd => Box::new(ZstdFrames::new(whole)),
    })
}

/// All members of a gzip stream, one after the other (RFC 1952, 2.2). Anything else behind one is refused, as
/// containerd's decoder does.
struct GzipMembers<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let Some(mut rest) = self.0.take().map(GzDecoder::into_inner) else { break };
            match rest.fill_buf()?.first() {
                None => break,
                Some(first) if *first != GZIP_MAGIC[0] => {
                    let why = "something follows after the end of what is compressed with gzip";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
                Some(_) => self.0 = Some(GzDecoder::new(rest)),
            }
        }
        Ok(0)
    }
}

/// All frames of a zstd stream, one after the other, skippable ones left out (RFC 8878 3.1).
struct ZstdFrames<R> {
    source: R,
    frame: FrameDecoder,
}

impl<R: BufRead> ZstdFrames<R> {
    fn new(source: R) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(ZSTD_WINDOW_BYTES_MAX);
        Self { source, frame }
    }

    /// Starts the next frame; false where the stream ends.
    fn start(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.frame.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    self.skip(u64::from(length))?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        match io::copy(&mut self.source.by_ref().take(length), &mut io::sink())? {
            skipped if skipped == length => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.frame.can_collect() == 0 {
            if self.frame.is_finished() {
                if !self.start()? {
                    return Ok(0);
                }
            } else {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.frame.decode_blocks(&mut self.source, one).map_err(io::Error::other)?;
            }
        }
        self.frame.read(buffer)
    }
}
