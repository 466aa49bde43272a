//! The tar stream, entry by entry, with everything bounded.
//!
//! POSIX pax and ustar, GNU long names. The tar crate reads headers; its own
//! archive reader holds extension records of any size in memory and splits pax
//! values at line ends, which binary attributes contain.

use super::UnpackError;
use super::sparse::{self, Sparse};
use crate::text;
use std::io::{self, Read};
use tar::{EntryType, Header};

/// A tar block, in bytes.
const BLOCK_BYTES: usize = 512;
/// Longest extension record (long name or pax header), in bytes: a file's
/// extended attributes have 64 KiB at most on Linux's common file systems.
const EXTENSION_BYTES_MAX: u64 = 1024 * 1024;
/// The pax key of an extended attribute, before its name (as star writes it, and Go reads it).
const PAX_XATTR: &[u8] = b"SCHILY.xattr.";
/// Where a header holds its checksum.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// A key and its value, or an extended attribute's.
pub(super) type Record = (Vec<u8>, Vec<u8>);

/// One member of the archive, all extensions applied.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// As written: may be absolute, have `..`, or end with a slash.
    pub path: Vec<u8>,
    /// A link's target, as written.
    pub link: Vec<u8>,
    pub kind: EntryType,
    /// Major and minor number of a character device, where they can be read.
    pub device: Option<(u32, u32)>,
    /// Permissions with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: Mtime,
    /// Bytes of content in the archive.
    pub size: u64,
    /// Where the content belongs, for a file with holes.
    pub sparse: Option<Sparse>,
    pub xattrs: Vec<Record>,
}

/// Seconds since 1970, may be negative, and nanoseconds added to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mtime {
    pub secs: i64,
    pub nanos: u32,
}

pub(super) struct TarReader<R> {
    inner: R,
    /// Bytes of the current entry's content that were not read yet.
    content: u64,
    /// Bytes from the content's end to the next block.
    padding: u64,
}

/// What the records before a member say of it.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Option<Vec<Record>>,
}

impl<R: Read> TarReader<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, content: 0, padding: 0 }
    }

    /// The next member; skips what was not read of the one before.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, UnpackError> {
        let mut extensions = Extensions::default();
        let mut extended = false;
        loop {
            let Some(header) = self.header()? else {
                return if extended { Err(malformed("it ends after an extension record")) } else { Ok(None) };
            };
            let size = header.entry_size().map_err(|_| malformed("a size is not a number"))?;
            let slot = match header.entry_type() {
                EntryType::GNULongName => &mut extensions.name,
                EntryType::GNULongLink => &mut extensions.link,
                EntryType::XHeader => {
                    let records = pax_records(&self.extension(size)?)?;
                    once(&mut extensions.pax, records)?;
                    extended = true;
                    continue;
                }
                EntryType::XGlobalHeader => {
                    // Comments, such as git's commit; nothing that is for every member.
                    self.extension(size)?;
                    continue;
                }
                _ => return self.member(&header, size, extensions).map(Some),
            };
            let mut text = self.extension(size)?;
            text.truncate(text.iter().position(|b| *b == 0).unwrap_or(text.len()));
            once(slot, text)?;
            extended = true;
        }
    }

    /// The current member's content.
    pub(super) fn content(&mut self) -> impl Read + '_ {
        Content(self)
    }

    /// The next header; none at the end of the archive, two blocks of zeros or the stream's end.
    fn header(&mut self) -> Result<Option<Header>, UnpackError> {
        let rest = std::mem::take(&mut self.content).saturating_add(std::mem::take(&mut self.padding));
        let skipped = io::copy(&mut self.inner.by_ref().take(rest), &mut io::sink()).map_err(UnpackError::from_read)?;
        if skipped != rest {
            return Err(malformed("it ends within a file"));
        }
        let Some(block) = self.block()? else { return Ok(None) };
        if block == [0; BLOCK_BYTES] {
            return match self.block()? {
                Some(second) if second != [0; BLOCK_BYTES] => Err(malformed("a block of zeros is not its end")),
                _ => Ok(None),
            };
        }
        let header = Header::from_byte_slice(&block).clone();
        let sum = |bytes: &[u8]| bytes.iter().map(|b| u32::from(*b)).sum::<u32>();
        let spaces = u32::from(b' ') * CHECKSUM.len() as u32;
        let expected = sum(&block[..CHECKSUM.start]) + spaces + sum(&block[CHECKSUM.end..]);
        match header.cksum() {
            Ok(stated) if stated == expected => Ok(Some(header)),
            _ => Err(malformed("a header's checksum is wrong")),
        }
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, UnpackError> {
        let mut block = [0; BLOCK_BYTES];
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(malformed("it ends within a header")),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(UnpackError::from_read(error)),
            }
        }
        Ok(Some(block))
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, UnpackError> {
        if size > EXTENSION_BYTES_MAX {
            return Err(malformed("an extension record has more than 1 MiB"));
        }
        self.expect_content(size);
        let mut bytes = Vec::new();
        self.content().read_to_end(&mut bytes).map_err(UnpackError::from_read)?;
        Ok(bytes)
    }

    fn expect_content(&mut self, size: u64) {
        self.content = size;
        self.padding = size.wrapping_neg() % BLOCK_BYTES as u64;
    }

    fn member(&mut self, header: &Header, size: u64, extensions: Extensions) -> Result<Entry, UnpackError> {
        let number = |field: io::Result<u64>| field.map_err(|_| malformed("a header's field is not a number"));
        let mut entry = Entry {
            path: extensions.name.unwrap_or_else(|| header.path_bytes().into_owned()),
            link: extensions.link.or_else(|| Some(header.link_name_bytes()?.into_owned())).unwrap_or_default(),
            kind: header.entry_type(),
            device: device(header),
            mode: header.mode().map_err(|_| malformed("a mode is not a number"))? & 0o7777,
            uid: number(header.uid())?,
            gid: number(header.gid())?,
            // A negative number's two's complement, as the header has it.
            mtime: Mtime { secs: number(header.mtime())?.cast_signed(), nanos: 0 },
            size,
            sparse: None,
            xattrs: Vec::new(),
        };
        let mut pax_sparse = sparse::PaxRecords::default();
        for (key, value) in extensions.pax.unwrap_or_default() {
            if !pax_sparse.take(&key, &value)? {
                entry.extend(&key, value)?;
            }
        }
        // Before pax and ustar, a directory was a file whose name ends with a slash.
        if entry.kind.is_file() && entry.path.ends_with(b"/") {
            entry.kind = EntryType::Directory;
        }
        // Whatever size they state, other members than files have no content.
        if !matches!(entry.kind, EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse) {
            entry.size = 0;
        }
        let gnu_map = if entry.kind == EntryType::GNUSparse { Some(self.gnu_map(header)?) } else { None };
        self.expect_content(entry.size);
        self.place(&mut entry, gnu_map, pax_sparse)?;
        Ok(entry)
    }

    /// Finds where a file's content belongs, if it has holes, by GNU's header or pax records.
    fn place(&mut self, entry: &mut Entry, gnu: Option<Sparse>, pax: sparse::PaxRecords) -> Result<(), UnpackError> {
        let found = match gnu {
            Some(map) => Some(map),
            None if entry.kind.is_file() || entry.kind == EntryType::Continuous => pax.map(&mut self.content())?,
            None => None,
        };
        let Some((map, name)) = found.map(|map| (map, pax.name())) else { return Ok(()) };
        map.check(self.content)?;
        entry.path = name.unwrap_or_else(|| std::mem::take(&mut entry.path));
        (entry.sparse, entry.kind) = (Some(map), EntryType::Regular);
        Ok(())
    }

    /// The map of a sparse file of GNU's own format, which goes on in blocks after the header.
    fn gnu_map(&mut self, header: &Header) -> Result<Sparse, UnpackError> {
        let header = header.as_gnu().ok_or_else(|| malformed("a sparse file has no header of GNU's"))?;
        let mut map = Sparse::new(sparse::number(header.real_size())?);
        map.add_gnu(&header.sparse)?;
        let mut more = header.is_extended();
        while more {
            let block = self.block()?.ok_or_else(|| malformed("it ends within a sparse file's map"))?;
            more = map.add_gnu_block(&block)?;
        }
        Ok(map)
    }
}

impl Entry {
    /// Applies one pax record (POSIX, "pax Header Block"); unknown keys say nothing of the content.
    fn extend(&mut self, key: &[u8], value: Vec<u8>) -> Result<(), UnpackError> {
        match key {
            b"path" => self.path = value,
            b"linkpath" => self.link = value,
            b"size" => self.size = decimal(&value)?,
            b"uid" => self.uid = decimal(&value)?,
            b"gid" => self.gid = decimal(&value)?,
            b"mtime" => self.mtime = pax_time(&value)?,
            key if key.starts_with(PAX_XATTR) => self.xattrs.push((key[PAX_XATTR.len()..].to_vec(), value)),
            _ => {}
        }
        Ok(())
    }
}

/// Reads what is left of a member's content; the archive's end within it is an error.
struct Content<'a, R>(&'a mut TarReader<R>);

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.0.content).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        match self.0.inner.read(&mut buffer[..most])? {
            0 => Err(io::Error::other(malformed("it ends within a file"))),
            n => {
                self.0.content -= n as u64;
                Ok(n)
            }
        }
    }
}

pub(super) fn malformed(why: &str) -> UnpackError {
    UnpackError::Malformed(why.to_owned())
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), UnpackError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(malformed("an entry has two extension records of the same kind")),
    }
}

/// Records of the form `LENGTH KEY=VALUE\n`, the length counting all of it.
fn pax_records(mut rest: &[u8]) -> Result<Vec<Record>, UnpackError> {
    let mut records = Vec::new();
    while !rest.is_empty() {
        let record = pax_record(rest).ok_or_else(|| malformed("a pax header is not a list of records"))?;
        let (len, key, value) = record;
        records.push((key.to_vec(), value.to_vec()));
        rest = &rest[len..];
    }
    Ok(records)
}

fn pax_record(bytes: &[u8]) -> Option<(usize, &[u8], &[u8])> {
    let space = bytes.iter().position(|b| *b == b' ')?;
    let len: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..len)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|b| *b == b'=')?;
    Some((len, &record[..equals], &record[equals + 1..]))
}

fn device(header: &Header) -> Option<(u32, u32)> {
    let number = |field: io::Result<Option<u32>>| field.ok().flatten();
    Some((number(header.device_major())?, number(header.device_minor())?))
        .filter(|_| header.entry_type() == EntryType::Char)
}

pub(super) fn decimal(value: &[u8]) -> Result<u64, UnpackError> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| malformed(&format!("'{}' in a pax header is not a number", text::name(value))))
}

/// `SECONDS[.FRACTION]`, perhaps negative; digits past nanoseconds are dropped.
fn pax_time(value: &[u8]) -> Result<Mtime, UnpackError> {
    let wrong = || malformed(&format!("'{}' in a pax header is not a time", text::name(value)));
    let text = std::str::from_utf8(value).map_err(|_| wrong())?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let secs: i64 = whole.parse().map_err(|_| wrong())?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let nanos: u32 = format!("{fraction:0<9.9}").parse().map_err(|_| wrong())?;
    if whole.starts_with('-') && nanos > 0 {
        return Ok(Mtime { secs: secs.checked_sub(1).ok_or_else(wrong)?, nanos: 1_000_000_000 - nanos });
    }
    Ok(Mtime { secs, nanos })
}
