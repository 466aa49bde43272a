//! Files with holes: GNU tar's own format, and its three over pax (GNU tar manual, "Storing Sparse Files").
//!
//! All that Docker and containerd read, by Go's archive/tar.

use super::UnpackError;
use super::tar::{decimal, malformed};
use std::io::{self, Read};
use tar::{GnuExtSparseHeader, GnuSparseHeader};

/// Parts of one file. A file system's own blocks are rarely so scattered; each costs 16 bytes here.
const PARTS_MAX: usize = 64 * 1024;
/// Digits of the largest number of a map within the content, and its line end.
const LINE_BYTES_MAX: usize = 21;
/// A map within the content fills whole tar blocks, in bytes.
const BLOCK_BYTES: u64 = 512;
/// Pax keys of sparse files, before the field's name.
const PAX_PREFIX: &[u8] = b"GNU.sparse.";

/// Where a file's content belongs. What is between is a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sparse {
    /// Bytes of the file, holes included.
    pub size: u64,
    pub parts: Vec<Part>,
}

/// Bytes of content, and where in the file they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub offset: u64,
    pub len: u64,
}

impl Sparse {
    pub(super) fn new(size: u64) -> Self {
        Self { size, parts: Vec::new() }
    }

    fn add(&mut self, offset: u64, len: u64) -> Result<(), UnpackError> {
        if self.parts.len() == PARTS_MAX {
            return Err(malformed("a sparse file has more than 65,536 parts"));
        }
        self.parts.push(Part { offset, len });
        Ok(())
    }

    /// The slots of a header; empty ones are not in use.
    pub(super) fn add_gnu(&mut self, slots: &[GnuSparseHeader]) -> Result<(), UnpackError> {
        for slot in slots.iter().filter(|slot| !slot.is_empty()) {
            self.add(number(slot.offset())?, number(slot.length())?)?;
        }
        Ok(())
    }

    /// The slots of a block after the header; true where another one follows.
    pub(super) fn add_gnu_block(&mut self, block: &[u8; 512]) -> Result<bool, UnpackError> {
        let mut header = GnuExtSparseHeader::new();
        header.as_mut_bytes().copy_from_slice(block);
        self.add_gnu(header.sparse())?;
        Ok(header.is_extended())
    }

    /// The parts must follow one another within the file, and be the `content` bytes that the archive has.
    pub(super) fn check(&self, content: u64) -> Result<(), UnpackError> {
        let wrong = || malformed("the map of a sparse file does not fit its content");
        let (mut end, mut total) = (0, 0_u64);
        for part in &self.parts {
            if part.offset < end {
                return Err(wrong());
            }
            end = part.offset.checked_add(part.len).ok_or_else(wrong)?;
            total = total.checked_add(part.len).ok_or_else(wrong)?;
        }
        // What seek and truncate take is signed.
        let fits = end <= self.size && i64::try_from(self.size).is_ok() && total == content;
        if fits { Ok(()) } else { Err(wrong()) }
    }
}

/// A number of a header.
pub(super) fn number(field: io::Result<u64>) -> Result<u64, UnpackError> {
    field.map_err(|_| malformed("a number of a sparse file's map is none"))
}

/// What pax records say of a sparse file: formats 0.0, 0.1 and 1.0.
#[derive(Debug, Default)]
pub(super) struct PaxRecords {
    major: Option<u64>,
    minor: Option<u64>,
    name: Option<Vec<u8>>,
    size: Option<u64>,
    /// Offsets and lengths by turns, of 0.0's many records or 0.1's one.
    numbers: Vec<u64>,
}

impl PaxRecords {
    /// Takes a record, if it is about sparse files; false if not.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<bool, UnpackError> {
        let Some(field) = key.strip_prefix(PAX_PREFIX) else { return Ok(false) };
        match field {
            b"major" => self.major = Some(decimal(value)?),
            b"minor" => self.minor = Some(decimal(value)?),
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(decimal(value)?),
            b"offset" if self.numbers.len().is_multiple_of(2) => self.numbers.push(decimal(value)?),
            b"numbytes" if !self.numbers.len().is_multiple_of(2) => self.numbers.push(decimal(value)?),
            b"map" if self.numbers.is_empty() => {
                let numbers: Result<Vec<_>, _> = value.split(|b| *b == b',').map(decimal).collect();
                self.numbers = numbers?;
            }
            // How many follow; they are counted.
            b"numblocks" => {}
            _ => return Err(malformed("the pax records of a sparse file are not in order")),
        }
        Ok(true)
    }

    /// The map, if the file is sparse; format 1.0 has it at the beginning of the content.
    pub(super) fn map(&self, content: &mut impl Read) -> Result<Option<Sparse>, UnpackError> {
        match (self.major, self.minor) {
            (None, None) if self.size.is_none() && self.numbers.is_empty() => Ok(None),
            (None, None) | (Some(0), Some(0 | 1)) => self.listed().map(Some),
            (Some(1), Some(0)) => self.leading(content).map(Some),
            _ => Err(malformed("a sparse file is of a format that is not known")),
        }
    }

    /// The file's own name: the member's is made up, for programs that do not know sparse files.
    pub(super) fn name(self) -> Option<Vec<u8>> {
        self.name
    }

    fn sized(&self) -> Result<Sparse, UnpackError> {
        self.size.map(Sparse::new).ok_or_else(|| malformed("a sparse file does not tell its size"))
    }

    fn listed(&self) -> Result<Sparse, UnpackError> {
        let mut map = self.sized()?;
        let (pairs, rest) = self.numbers.as_chunks::<2>();
        for [offset, len] in pairs {
            map.add(*offset, *len)?;
        }
        if rest.is_empty() { Ok(map) } else { Err(malformed("a part of a sparse file has no length")) }
    }

    fn leading(&self, content: &mut impl Read) -> Result<Sparse, UnpackError> {
        let mut map = self.sized()?;
        let mut lines = Lines { content, read: 0 };
        for _ in 0..lines.number()? {
            map.add(lines.number()?, lines.number()?)?;
        }
        let padding = lines.read.wrapping_neg() % BLOCK_BYTES;
        io::copy(&mut content.take(padding), &mut io::sink()).map_err(UnpackError::from_read)?;
        Ok(map)
    }
}

/// Decimal numbers, one a line, read byte by byte so that nothing after them is.
struct Lines<'a, R> {
    content: &'a mut R,
    read: u64,
}

impl<R: Read> Lines<'_, R> {
    fn number(&mut self) -> Result<u64, UnpackError> {
        let mut line = Vec::with_capacity(LINE_BYTES_MAX);
        loop {
            let mut byte = [0];
            if self.content.read(&mut byte).map_err(UnpackError::from_read)? == 0 {
                return Err(malformed("it ends within a sparse file's map"));
            }
            self.read += 1;
            match byte {
                [b'\n'] => return decimal(&line),
                _ if line.len() == LINE_BYTES_MAX => return Err(malformed("the map of a sparse file is none")),
                [digit] => line.push(digit),
            }
        }
    }
}
