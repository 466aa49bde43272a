//! Layers made to cost, to confuse or to get out: refused by name, or done as Docker and containerd do.

use super::super::{Limits, UnpackError, remove, unpack};
use super::host::{Host, what};
use super::layer::Layer;
use super::{Expected, check, gzip, refused};
use crate::digest::Digest;
use crate::manifest::media_type::{OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};
use std::fs;
use std::io::Read;
use std::path::Path;
use tar::EntryType;

/// A zstd frame that says `blocks` times "128 KiB of zeros" in 4 bytes each, after `head` (RFC 8878 3.1.1).
fn zstd_bomb(head: &[u8], blocks: usize) -> Vec<u8> {
    const BLOCK_BYTES: u32 = 128 * 1024;
    // Magic, no content size, a window of 128 KiB.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    let header = |last: u32, kind: u32, size: u32| (last | kind << 1 | size << 3).to_le_bytes();
    frame.extend_from_slice(&header(0, 0, head.len() as u32)[..3]);
    frame.extend_from_slice(head);
    for n in 1..=blocks {
        frame.extend_from_slice(&header(u32::from(n == blocks), 1, BLOCK_BYTES)[..3]);
        frame.push(0);
    }
    frame
}

#[test]
fn a_bomb_is_bounded_by_what_deflate_could_do() {
    // 100 MiB of zeros in 3 KB: a ratio that only zstd has.
    let content_bytes = 800 * 128 * 1024;
    let header = Layer::default().entry(EntryType::Regular, "f", "", b"", |header| header.set_size(content_bytes));
    let packed = zstd_bomb(&header.0, 800);
    let expected = Expected { digest: Digest::of(&packed), size: packed.len() as u64, diff_id: Digest::of(b"") };
    let host = Host::new();
    let run = |limits: &Limits| unpack(&packed[..], OCI_LAYER_ZSTD, &host.path("layers/one"), &expected, limits);
    let limits = Limits::of_layer(expected.size, 0);
    assert!(limits.bytes < 70 * 1024 * 1024, "{limits:?}");
    let error = run(&limits).expect_err("a bomb");
    assert!(matches!(error, UnpackError::TooLarge { limit } if limit == limits.bytes), "{error}");
    host.is_untouched();
    // So is it by the disk, of which some is left, however many write to it.
    let error = run(&Limits::of_layer(expected.size, u64::MAX)).expect_err("a full disk");
    assert!(matches!(error, UnpackError::DiskFull { reserve: u64::MAX, .. }), "{error}");
    host.is_untouched();
}

#[test]
fn honest_compression_stays_under_the_bound() {
    let zeros = vec![0; 80 * 1024 * 1024];
    let plain = Layer::default().entry(EntryType::Regular, "f", "", &zeros, |_| {}).bytes();
    let packed = gzip(&plain);
    let limits = Limits::of_layer(packed.len() as u64, 0);
    assert!((plain.len() as u64) < limits.bytes, "{} of {limits:?}", plain.len());
}

#[test]
fn a_window_that_memory_has_no_room_for_is_refused() {
    let host = Host::new();
    let mut packed = zstd_bomb(&Layer::default().file("f", "x").bytes(), 1);
    // 64 MiB: exponent 16, no mantissa.
    packed[5] = 16 << 3;
    let error = host.unpack(&packed, b"", OCI_LAYER_ZSTD).expect_err("a window").to_string();
    assert!(error.contains("cannot be read"), "{error}");
    host.is_untouched();
}

#[test]
fn directories_that_are_not_listed_count_as_entries() {
    let deep = "a/".repeat(100);
    let layer = Layer::default().pax(&[("path", format!("{deep}f").as_bytes())]).file("f", "x");
    let plain = layer.bytes();
    let expected = Expected { digest: Digest::of(&plain), size: plain.len() as u64, diff_id: Digest::of(&plain) };
    let host = Host::new();
    let limits = Limits { entries: 99, ..super::NO_LIMITS };
    let error = unpack(&plain[..], OCI_LAYER, &host.path("layers/one"), &expected, &limits).expect_err("many");
    assert!(matches!(error, UnpackError::TooManyEntries { limit: 99 }), "{error}");
    host.is_untouched();
}

/// A tree that is deeper than a path can be long, by links into it, and than a process has descriptors.
fn deep_layer() -> Layer {
    let mut layer = Layer::default();
    for (level, depth) in [2000, 700].into_iter().enumerate() {
        let down = "d/".repeat(depth);
        let above = if level == 0 { String::new() } else { format!("l{}/", level - 1) };
        layer = layer.pax(&[("path", format!("{above}{down}").as_bytes())]).dir("d");
        layer = layer.pax(&[("linkpath", format!("{above}{down}").as_bytes())]).symlink(&format!("l{level}"), "d");
    }
    layer
}

#[test]
fn a_tree_deeper_than_paths_is_removed_whole() {
    let host = Host::new();
    host.plain(deep_layer()).expect("unpacked");
    remove(&host.path("layers/one")).expect("removed");
    host.is_untouched();
    remove(&host.path("layers/none")).expect("what is not there need not be removed");
}

#[test]
fn removing_follows_no_link_and_minds_no_name() {
    let host = Host::new();
    let root = host.dir.path().display().to_string();
    let names = (1..5).fold(Layer::default(), |l, n| l.dir(&format!(".unpacking-{n}")).dir(&format!("a/b/c/{n}/x")));
    let layer = names.symlink("l", &root).symlink("a/b/l", &root).file(".wh.w", "");
    let many = (0..2500).fold(layer, |l, n| l.file(&format!("a/b/f{n}"), ""));
    host.plain(many).expect("unpacked");
    remove(&host.path("layers/one")).expect("removed");
    host.is_untouched();
}

#[test]
fn what_replaces_what_is_as_in_the_last_entry() {
    check(Layer::default().file("a", "x").dir("a").file("a/f", "y"), &[("a", "dir 755"), ("a/f", "file 644 y")]);
    check(Layer::default().symlink("a", "b").file("a", "x"), &[("a", "file 644 x"), ("b", "absent")]);
    check(Layer::default().file("a", "x").symlink("a", "b"), &[("a", "link b")]);
    check(
        Layer::default().file("a", "x").hard_link("b", "a").file("a", "y"),
        &[("a", "file 644 y"), ("b", "file 644 x")],
    );
    check(Layer::default().symlink("a", "/nowhere").hard_link("b", "a"), &[("b", "link /nowhere")]);
    // `l` is what the second entry makes of it, also for those who were just in it.
    check(
        Layer::default().symlink("l", ".").file("l/one", "x").dir("l").file("l/two", "y"),
        &[("one", "file 644 x"), ("two", "absent"), ("l/two", "file 644 y")],
    );
    check(
        Layer::default().dir("a").dir("b").symlink("l", "a").file("l/f", "x").symlink("l", "b").file("l/f", "y"),
        &[("a/f", "file 644 x"), ("b/f", "file 644 y")],
    );
    refused("file over directory", |_, l| l.dir("d").file("d", "x"), "replace a directory");
    refused("link over directory", |_, l| l.dir("d").symlink("d", "first"), "replace a directory");
    refused("hard link over directory", |_, l| l.dir("d").hard_link("d", "first"), "replace a directory");
    refused(
        "entry beneath a file",
        |_, l| l.file("first/f", "x"),
        "entry 'first/f' is refused: it is beneath what is not a directory",
    );
    refused(
        "entry beneath a link to a file",
        |_, l| l.symlink("l", "first").file("l/f", "x"),
        "entry 'l/f' is refused: it is beneath a link",
    );
    refused("whiteout beneath a file", |_, l| l.file("first/.wh.f", ""), "entry 'first/.wh.f' is refused");
}

#[test]
fn whiteouts_go_through_links_only_within_the_layer() {
    check(Layer::default().dir("d").symlink("l", "/d").file("l/.wh.f", ""), &[("d/f", "whiteout"), ("l", "link /d")]);
    check(Layer::default().dir("d").symlink("l", "d").file("l/.wh..wh..opq", ""), &[("d", "dir 755 opaque")]);
    // A whiteout of a link is of the link.
    check(Layer::default().dir("d").symlink("l", "d").file(".wh.l", ""), &[("d", "dir 755"), ("l", "link d")]);
    refused("whiteout outside", |root, l| l.symlink("l", root).file("l/.wh.outside", ""), "lacks");
    refused("whiteout of many names", |_, l| l.file("a/.wh.b/../c", ""), "'..'");
    // A directory of such a name is a whiteout as well: it has no other meaning.
    check(Layer::default().dir(".wh.d"), &[("d", "whiteout"), (".wh.d", "absent")]);
}

#[test]
fn devices_are_refused_but_where_nobody_would_see_them() {
    let device = |path: &'static str, major, minor| {
        move |_: &str, l: Layer| {
            l.entry(EntryType::Char, path, "", b"", |header| {
                header.set_device_major(major).expect("major");
                header.set_device_minor(minor).expect("minor");
            })
        }
    };
    refused("null elsewhere", device("etc/null", 1, 3), "devices");
    refused("deeper in dev", device("dev/pts/0", 136, 0), "devices");
    refused("dev by another name", |r, l| device("d/null", 1, 3)(r, l.dir("dev").symlink("d", "dev")), "devices");
    check(device("dev/null", 1, 3)("", Layer::default().dir("dev")), &[("dev", "dir 755"), ("dev/null", "absent")]);
    check(device("/dev/console", 5, 1)("", Layer::default()), &[("dev", "absent")]);
}

#[test]
fn odd_names_and_numbers_are_kept_or_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let host = Host::new();
    let odd = [b"\xff\xfe".as_slice(), b"new\nline", b"*", b"-rf", b"\x1b[31m", " \u{202e}".as_bytes()];
    let layer = odd.iter().fold(Layer::default(), |l, name| l.pax(&[("path", name)]).file("f", "x"));
    host.plain(layer).expect("unpacked");
    for name in odd {
        assert_eq!(what(&host.path("layers/one").join(OsStr::from_bytes(name))), "file 644 x", "{name:?}");
    }
    check(Layer::default().pax(&[("mtime", b"9223372036854775807")]).file("f", "x"), &[("f", "file 644 x")]);
    check(Layer::default().pax(&[("mtime", b"-9223372036854775808")]).file("f", "x"), &[("f", "file 644 x")]);
    check(Layer::default().entry(EntryType::Regular, "f", "", b"", |h| h.set_mode(0o107_777)), &[("f", "file 7777 ")]);
    refused("negative size", |_, l| l.pax(&[("size", b"-1")]).file("f", "x"), "not a number");
    refused("mtime past all times", |_, l| l.pax(&[("mtime", b"9223372036854775808")]).file("f", ""), "not a time");
    refused("name of nothing", |_, l| l.pax(&[("path", b"")]).file("f", ""), "can only be a directory");
    refused("link to nothing", |_, l| l.symlink("l", ""), "entry 'l' is refused: it is a link to nothing");
    refused(
        "link to too long a path",
        |_, l| l.pax(&[("linkpath", &[b'a'; 5000])]).symlink("l", ""),
        "entry 'l' is refused",
    );
    refused("group", |_, l| l.pax(&[("gid", b"4294967296")]).file("f", ""), "32-bit id");
    let nul: &[(&str, &[u8])] = &[("linkpath", b"a\0b")];
    refused("zero byte in a link", |_, l| l.pax(nul).symlink("l", ""), "zero byte");
    refused("zero byte in a hard link", |_, l| l.pax(nul).hard_link("l", ""), "zero byte");
    // What is for all members together says nothing here.
    let global = |l: Layer| l.entry(EntryType::XGlobalHeader, "g", "", b"16 path=/../evil\n", |_| {});
    check(global(Layer::default()).file("f", "x"), &[("f", "file 644 x"), ("evil", "absent")]);
}

#[test]
fn attributes_that_speak_to_overlayfs_are_refused_on_anything() {
    for name in ["trusted.overlay.opaque", "trusted.overlay.whiteout", "trusted.overlay.metacopy", "trusted.x"] {
        let key = format!("SCHILY.xattr.{name}");
        refused(name, |_, l| l.pax(&[(&key, b"y")]).dir("d"), "steers overlayfs");
        refused(name, |_, l| l.pax(&[(&key, b"y")]).file("f", ""), "steers overlayfs");
        refused(name, |_, l| l.pax(&[(&key, b"y")]).dir("./"), "steers overlayfs");
    }
    refused("user's", |_, l| l.pax(&[("SCHILY.xattr.user.overlay.opaque", b"y")]).dir("d"), "steers overlayfs");
    refused("attribute with a zero byte", |_, l| l.pax(&[("SCHILY.xattr.user.a\0b", b"y")]).dir("d"), "zero byte");
    let big = vec![b'x'; 70_000];
    refused(
        "attribute past what Linux takes",
        |_, l| l.pax(&[("SCHILY.xattr.user.a", &big)]).file("f", ""),
        "entry 'f' is refused: an extended attribute has more than 255 bytes of name or 64 KiB",
    );
    let name = format!("SCHILY.xattr.user.{}", "n".repeat(251));
    refused("attribute of a long name", |_, l| l.pax(&[(&name, b"x")]).file("f", ""), "entry 'f' is refused");
    refused(
        "attribute of no name",
        |_, l| l.pax(&[("SCHILY.xattr.user.", b"x")]).file("f", ""),
        "entry 'f' is refused",
    );
    let capability: &[(&str, &[u8])] = &[("SCHILY.xattr.security.capability", b"none")];
    refused("capability of no form", |_, l| l.pax(capability).file("f", ""), "entry 'f' is refused");
}

/// Reads like a registry that sends a byte at a time.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(1);
        self.0.read(&mut buffer[..count])
    }
}

#[test]
fn how_the_bytes_arrive_makes_no_difference() {
    let plain = Layer::default().dir("d").file("d/f", &"content ".repeat(1000)).bytes();
    let packed = gzip(&plain);
    let expected = Expected { digest: Digest::of(&packed), size: packed.len() as u64, diff_id: Digest::of(&plain) };
    let host = Host::new();
    let (dest, limits) = (host.path("layers/one"), Limits::of_layer(expected.size, 0));
    unpack(Dribble(&packed), OCI_LAYER_GZIP, &dest, &expected, &limits).expect("unpacked");
    assert_eq!(fs::metadata(dest.join("d/f")).expect("f").len(), 8000);
    remove(Path::new(&dest)).expect("removed");
    for len in 0..packed.len() {
        let cut = &packed[..len];
        unpack(cut, OCI_LAYER_GZIP, &dest, &expected, &limits).expect_err("cut");
        host.is_untouched();
    }
}
