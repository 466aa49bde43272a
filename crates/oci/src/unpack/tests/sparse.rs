//! Files with holes, as GNU tar packs them, and maps that nobody should believe.

use super::host::{Host, what};
use super::layer::Layer;
use super::refused;
use crate::manifest::media_type::OCI_LAYER;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;
use tar::{EntryType, Header};

/// Bytes of the test's file, most of them in holes.
const SIZE: u64 = 64 * 1024 * 1024;

#[test]
fn every_format_of_gnu_tar_is_read() {
    let source = tempfile::tempdir().expect("a folder");
    let file = File::create(source.path().join("holes")).expect("a file");
    file.set_len(SIZE).expect("holes");
    // More parts than a header of GNU's has room for (4), and than one block after it (21).
    let parts: Vec<u64> = (0..60).map(|n| n * 1024 * 1024 + 4096).collect();
    for offset in &parts {
        file.write_at(format!("part at {offset}").as_bytes(), *offset).expect("written");
    }
    fs::write(source.path().join("whole"), "no holes").expect("a file");
    let formats =
        [&["--format=gnu"][..], &["--sparse-version=0.0"], &["--sparse-version=0.1"], &["--sparse-version=1.0"]];
    for format in formats {
        let mut tar = Command::new("tar");
        tar.args(["--sparse", "--create", "--file=-", "-C"]).arg(source.path()).args(format);
        let packed = tar.args(["holes", "whole"]).output().expect("tar runs").stdout;
        assert!((packed.len() as u64) < SIZE / 10, "{format:?} was not sparse");
        let host = Host::new();
        host.unpack(&packed, &packed, OCI_LAYER).unwrap_or_else(|error| panic!("{format:?}: {error}"));
        let holes = host.path("layers/one/holes");
        let metadata = fs::metadata(&holes).expect("unpacked");
        assert_eq!(metadata.len(), SIZE, "{format:?}");
        assert!(metadata.blocks() * 512 < SIZE / 10, "{format:?} filled the holes");
        assert!(fs::read(&holes).expect("read") == fs::read(source.path().join("holes")).expect("read"), "{format:?}");
        assert_eq!(what(&host.path("layers/one/whole")), "file 644 no holes");
    }
}

/// A sparse file of GNU's own format, with a map of that many bytes at that offset.
fn gnu(layer: Layer, size: u64, offset: &str, len: &str, content: &[u8]) -> Layer {
    layer.entry(EntryType::GNUSparse, "f", "", content, |header: &mut Header| {
        let gnu = header.as_gnu_mut().expect("a header of GNU's");
        gnu.realsize.copy_from_slice(format!("{size:011o}\0").as_bytes());
        gnu.sparse[0].offset[..offset.len()].copy_from_slice(offset.as_bytes());
        gnu.sparse[0].numbytes[..len.len()].copy_from_slice(len.as_bytes());
    })
}

#[test]
fn a_map_that_does_not_fit_is_refused() {
    refused("part past the end", |_, l| gnu(l, 10, "00000000010\0", "00000000005\0", b"abcde"), "does not fit");
    refused("part longer than content", |_, l| gnu(l, 100, "00000000000\0", "00000000006\0", b"abcde"), "does not fit");
    refused("content without a part", |_, l| gnu(l, 100, "00000000000\0", "00000000001\0", b"abcde"), "does not fit");
    refused("offset that is none", |_, l| gnu(l, 100, "0000000000x\0", "00000000005\0", b"abcde"), "is none");
    let pax = |records: &'static [(&str, &[u8])], content: &'static str| {
        move |_: &str, l: Layer| l.pax(records).file("f", content)
    };
    const OVERLAP: &[(&str, &[u8])] = &[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"0,2,1,2")];
    refused("overlap", pax(OVERLAP, "abcd"), "does not fit");
    const BACKWARDS: &[(&str, &[u8])] = &[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"5,2,0,2")];
    refused("backwards", pax(BACKWARDS, "abcd"), "does not fit");
    const ODD: &[(&str, &[u8])] = &[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"0,2,4")];
    refused("odd map", pax(ODD, "ab"), "no length");
    const SIZELESS: &[(&str, &[u8])] = &[("GNU.sparse.map", b"0,2")];
    refused("no size", pax(SIZELESS, "ab"), "its size");
    const HUGE: &[(&str, &[u8])] = &[("GNU.sparse.size", b"18446744073709551615"), ("GNU.sparse.map", b"0,2")];
    refused("size past what files can have", pax(HUGE, "ab"), "does not fit");
    const SUM: &[(&str, &[u8])] =
        &[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"0,18446744073709551615,1,18446744073709551615")];
    refused("sum past all numbers", pax(SUM, "ab"), "does not fit");
    const ORDER: &[(&str, &[u8])] = &[("GNU.sparse.size", b"9"), ("GNU.sparse.numbytes", b"2")];
    refused("length before offset", pax(ORDER, "ab"), "not in order");
    const FUTURE: &[(&str, &[u8])] = &[("GNU.sparse.major", b"2"), ("GNU.sparse.minor", b"0")];
    refused("format of the future", pax(FUTURE, "ab"), "not known");
    const LEADING: &[(&str, &[u8])] =
        &[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")];
    refused("more parts than content", pax(LEADING, "99999\n0\n1\n"), "within a sparse file's map");
    refused("a map of letters", pax(LEADING, "one\n"), "not a number");
    refused("a map without lines", pax(LEADING, "0000000000000000000000000000"), "is none");
}

#[test]
fn the_parts_of_a_map_are_bounded() {
    let map = (0..70_000).map(|n| format!("{n},0")).collect::<Vec<_>>().join(",");
    let records: &[(&str, &[u8])] = &[("GNU.sparse.size", b"70000"), ("GNU.sparse.map", map.as_bytes())];
    refused("70,000 parts", |_, l| l.pax(records).file("f", ""), "65,536 parts");
}
