//! Fuzz targets of layers. See docs/fuzzing.md.

use super::Limits;
use super::decode::{Ahead, Metered};
use super::tar::TarReader;
use super::tests::{Host, Layer};
use crate::manifest::media_type::{OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};
use bolero::check;
use std::io;
use tar::EntryType;

/// Inputs of a target when it runs as a test; fewer where each writes a tree.
const ITERATIONS: usize = 2_000;
const TREE_ITERATIONS: usize = 100;
/// A tar block, in bytes, and where a header has its checksum.
const BLOCK_BYTES: usize = 512;
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Where to change a layer, and to what.
type Edits = Vec<(u16, u8)>;

/// A bit of everything that the reader knows.
fn seed() -> Layer {
    Layer::default()
        .dir("d")
        .symlink("l", "/d")
        .pax(&[("path", b"l/file"), ("size", b"3"), ("mtime", b"-1.5"), ("SCHILY.xattr.user.a", b"b\n")])
        .file("f", "abc")
        .hard_link("h", "d/file")
        .entry(EntryType::GNULongName, "././@LongLink", "", b"d/long\0", |_| {})
        .file("short", "x")
        .pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")])
        .file("s", &format!("1\n4\n2\n{}ab", "\0".repeat(506)))
        .pax(&[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"0,1,4,1")])
        .file("t", "ab")
        .entry(EntryType::GNUSparse, "u", "", b"ab", |header| {
            let gnu = header.as_gnu_mut().expect("a header of GNU's");
            gnu.realsize.copy_from_slice(b"00000000020\0");
            gnu.sparse[0].offset.copy_from_slice(b"00000000004\0");
            gnu.sparse[0].numbytes.copy_from_slice(b"00000000002\0");
        })
        .file(".wh.gone", "")
        .file("d/.wh..wh..opq", "")
}

/// The seed, changed. Headers' checksums are made right again, or hardly a change would be read at all.
fn changed(edits: &Edits) -> Vec<u8> {
    let mut bytes = seed().bytes();
    let is_header = |block: &[u8]| block[257..262] == *b"ustar";
    let headers: Vec<usize> =
        (0..bytes.len()).step_by(BLOCK_BYTES).filter(|at| is_header(&bytes[*at..at + BLOCK_BYTES])).collect();
    let len = bytes.len();
    for (at, byte) in edits {
        bytes[usize::from(*at) % len] = *byte;
    }
    for at in headers {
        let header = &mut bytes[at..at + BLOCK_BYTES];
        header[CHECKSUM].fill(b' ');
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}

/// Reads a stream to its end, or its first error.
fn read_all(stream: &[u8]) {
    let mut reader = TarReader::new(stream);
    while let Ok(Some(entry)) = reader.next_entry() {
        let read = io::copy(&mut reader.content(), &mut io::sink());
        if let Some(sparse) = entry.sparse.filter(|_| read.is_ok()) {
            assert!(sparse.parts.iter().all(|part| part.offset + part.len <= sparse.size));
        }
    }
}

#[test]
fn fuzz_tar() {
    check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| read_all(bytes));
}

#[test]
fn fuzz_tar_headers() {
    check!().with_iterations(ITERATIONS).with_type::<Edits>().for_each(|edits| read_all(&changed(edits)));
}

#[test]
fn fuzz_decode() {
    let limits = Limits { bytes: 16 * 1024 * 1024, ..Limits::NONE };
    let types = [(OCI_LAYER, &[][..]), (OCI_LAYER_GZIP, &[0x1f, 0x8b, 8]), (OCI_LAYER_ZSTD, &[0x28, 0xb5, 0x2f, 0xfd])];
    check!().with_iterations(ITERATIONS).for_each(|bytes: &[u8]| {
        for (media_type, magic) in types {
            let packed = [magic, bytes].concat();
            std::thread::scope(|scope| {
                let mut ahead = Ahead::start(scope, &packed[..], media_type, packed.len() as u64).expect("a thread");
                // Read in place of the archive: all of it, or up to the limit.
                _ = io::copy(&mut Metered::new(&mut ahead, &limits), &mut io::sink());
            });
        }
    });
}

#[test]
fn fuzz_unpack() {
    check!().with_iterations(TREE_ITERATIONS).with_type::<Edits>().for_each(|edits| {
        let host = Host::new();
        let bytes = changed(edits);
        match host.unpack(&bytes, &bytes, OCI_LAYER) {
            Ok(_) => host.outside_is_untouched(),
            Err(_) => host.is_untouched(),
        }
    });
}
