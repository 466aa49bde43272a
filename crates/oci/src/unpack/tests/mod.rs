use super::{Expected, Limits, UnpackError, Unpacked, unpack};
use crate::digest::Digest;
use crate::manifest::media_type::{DOCKER_LAYER_GZIP, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};
use proptest::prelude::*;
use rustix::fs::{getxattr, lgetxattr};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use tar::{EntryType, Header};

mod host;
mod hostile;
mod layer;
mod names;
mod sparse;

pub(super) use host::Host;
use host::{NO_LIMITS, what};
pub(super) use layer::Layer;

fn check(layer: Layer, expect: &[(&str, &str)]) {
    let host = Host::new();
    host.plain(layer).expect("unpacked");
    for (path, expect) in expect {
        assert_eq!(what(&host.path("layers/one").join(path)), *expect, "{path}");
    }
    host.outside_is_untouched();
}

#[test]
fn a_layer_becomes_its_tree() {
    let layer = Layer::default()
        .dir("./")
        .dir("bin/")
        .entry(EntryType::Regular, "bin/su", "", b"#!", |header| header.set_mode(0o4755))
        .symlink("bin/sh", "/bin/su")
        .hard_link("bin/login", "bin/su")
        .entry(EntryType::Directory, "tmp", "", b"", |header| header.set_mode(0o1777))
        .entry(EntryType::Fifo, "tmp/pipe", "", b"", |header| header.set_mode(0o620))
        .entry(EntryType::Directory, "closed", "", b"", |header| header.set_mode(0))
        .file("closed/secret", "x")
        .file("made/on/the/way", "y")
        .entry(EntryType::Regular, "old-style/", "", b"", |header| header.set_mode(0o700));
    check(
        layer,
        &[
            ("", "dir 755"),
            ("bin", "dir 755"),
            ("bin/su", "file 4755 #!"),
            ("bin/sh", "link /bin/su"),
            ("bin/login", "file 4755 #!"),
            ("tmp", "dir 1777"),
            ("tmp/pipe", "pipe 620"),
            ("closed", "dir 0"),
            ("closed/secret", "file 644 x"),
            ("made/on", "dir 755"),
            ("made/on/the/way", "file 644 y"),
            ("old-style", "dir 700"),
        ],
    );
}

#[test]
fn owners_times_and_attributes_are_kept() {
    let host = Host::new();
    // The capability's value has a line end in it, as binary values may.
    let capability = [1, 0, 0, 2, b'\n', 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let owned = |header: &mut Header| {
        header.set_uid(1000);
        header.set_gid(2_000_000_000);
    };
    let layer = Layer::default()
        .pax(&[("SCHILY.xattr.security.capability", &capability), ("SCHILY.xattr.user.a", b"b"), ("mtime", b"12.5")])
        .entry(EntryType::Regular, "file", "", b"", owned)
        .pax(&[("mtime", b"-1.25"), ("SCHILY.xattr.security.selinux", b"label"), ("uid", b"7"), ("comment", b"?")])
        .entry(EntryType::Directory, "dir", "", b"", owned)
        .file("dir/inside", "")
        .entry(EntryType::Symlink, "link", "x", b"", owned);
    host.plain(layer).expect("unpacked");

    let stat = |name: &str| {
        let metadata = fs::symlink_metadata(host.path("layers/one").join(name)).expect(name);
        (metadata.uid(), metadata.gid(), metadata.mtime(), metadata.mtime_nsec())
    };
    assert_eq!(stat("file"), (1000, 2_000_000_000, 12, 500_000_000));
    assert_eq!(stat("dir"), (7, 2_000_000_000, -2, 750_000_000));
    assert_eq!(stat("link"), (1000, 2_000_000_000, 1_000_000_000, 0));
    let mut value = [0; 64];
    let file = host.path("layers/one/file");
    let len = getxattr(&file, "security.capability", &mut value).expect("capability");
    assert_eq!(value[..len], capability);
    assert_eq!(getxattr(&file, "user.a", &mut value).expect("user.a"), 1);
    assert!(lgetxattr(host.path("layers/one/dir"), "security.selinux", &mut value).is_err());
}

#[test]
fn long_names_of_both_kinds_are_read() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let target = "t".repeat(150);
    let layer = Layer::default()
        .entry(EntryType::GNULongName, "././@LongLink", "", format!("{long}\0").as_bytes(), |_| {})
        .file("short", "gnu")
        .pax(&[("path", b"from-pax"), ("linkpath", target.as_bytes())])
        .symlink("short", "short");
    check(layer, &[(&long, "file 644 gnu"), ("from-pax", &format!("link {target}")), ("short", "absent")]);
}

#[test]
fn whiteouts_become_what_overlayfs_reads() {
    let wh = |layer: Layer, path: &str| layer.file(path, "");
    check(wh(Layer::default(), "a/.wh.gone"), &[("a/gone", "whiteout"), ("a/.wh.gone", "absent")]);
    check(wh(Layer::default().dir("a"), "a/.wh..wh..opq"), &[("a", "dir 755 opaque"), ("a/.wh..wh..opq", "absent")]);
    check(
        wh(Layer::default(), "a/.wh..wh..opq").dir("a").file("a/new", "x"),
        &[("a", "dir 755 opaque"), ("a/new", "file 644 x")],
    );
    // A whiteout is about the layers beneath, wherever it stands in its own.
    check(wh(Layer::default().file("f", "x"), ".wh.f"), &[("f", "file 644 x")]);
    check(wh(Layer::default(), ".wh.f").file("f", "x"), &[("f", "file 644 x")]);
    check(wh(Layer::default().dir("d").file("d/f", "x"), ".wh.d"), &[("d", "dir 755 opaque"), ("d/f", "file 644 x")]);
    check(wh(Layer::default(), ".wh.d").dir("d").file("d/f", "x"), &[("d", "dir 755 opaque"), ("d/f", "file 644 x")]);
    check(
        wh(Layer::default(), ".wh.d").file("d/e/f", "x").dir("d"),
        &[("d", "dir 755 opaque"), ("d/e", "dir 755"), ("d/e/f", "file 644 x")],
    );
    check(wh(Layer::default(), ".wh..wh..opq"), &[("", "dir 755 opaque")]);
    check(wh(Layer::default(), ".wh..wh.plnk"), &[(".wh..wh.plnk", "absent"), ("", "dir 755")]);
    check(wh(wh(Layer::default(), ".wh.f"), ".wh.f"), &[("f", "whiteout")]);
}

#[test]
fn the_last_entry_of_a_name_counts() {
    check(Layer::default().file("f", "one").file("f", "two"), &[("f", "file 644 two")]);
    check(
        Layer::default().symlink("d", "elsewhere").dir("d").file("d/f", "x"),
        &[("d", "dir 755"), ("d/f", "file 644 x"), ("elsewhere", "absent")],
    );
    check(
        Layer::default().dir("a").symlink("l", "a").file("l/f", "x").dir("l").file("l/g", "y"),
        &[("a/f", "file 644 x"), ("a/g", "absent"), ("l/g", "file 644 y")],
    );
    check(
        Layer::default().dir("d").file("d/f", "x").entry(EntryType::Directory, "d", "", b"", |h| h.set_mode(0o750)),
        &[("d", "dir 750"), ("d/f", "file 644 x")],
    );
}

#[test]
fn paths_stay_inside_whatever_they_say() {
    check(Layer::default().file("/etc/passwd", "x"), &[("etc/passwd", "file 644 x")]);
    check(Layer::default().file("//a/././b", "x"), &[("a/b", "file 644 x")]);
    // Links lead where they would in the container.
    check(Layer::default().dir("etc").symlink("l", "/etc").file("l/f", "x"), &[("etc/f", "file 644 x")]);
    check(
        Layer::default().dir("etc").symlink("a/b/l", "../../../../../etc").file("a/b/l/f", "x"),
        &[("etc/f", "file 644 x")],
    );
    // A link is written, never followed, by an entry of its own name.
    let host = Host::new();
    let outside = host.path("outside").display().to_string();
    host.plain(Layer::default().symlink("f", &outside).file("f", "evil")).expect("unpacked");
    assert_eq!(what(&host.path("layers/one/f")), "file 644 evil");
    host.outside_is_untouched();
}

/// `expect` is part of the error.
fn refused(name: &str, layer: impl FnOnce(&str, Layer) -> Layer, expect: &str) {
    let host = Host::new();
    let root = host.dir.path().display().to_string();
    let error = host.plain(layer(&root, Layer::default().file("first", "x"))).expect_err(name).to_string();
    assert!(error.contains(expect), "{name}: {error}");
    host.is_untouched();
}

#[test]
fn escapes_are_refused_and_leave_nothing() {
    refused("dot dot", |_, l| l.file("../outside", "evil"), "'..'");
    refused("dot dot within", |_, l| l.file("a/../../outside", "evil"), "'..'");
    refused("dot dot as a directory", |_, l| l.dir(".."), "'..'");
    refused("link to a folder outside", |root, l| l.symlink("l", root).file("l/outside", "evil"), "lacks");
    refused("link upwards", |_, l| l.symlink("l", "../..").symlink("l/m", "x").file("l/l/l/m/f", "evil"), "lacks");
    refused(
        "link loop",
        |_, l| l.symlink("l", "l").file("l/f", "evil"),
        "entry 'l/f' is refused: it is beneath links that",
    );
    refused("magic link", |_, l| l.symlink("l", "/proc/self/root").file("l/f", "evil"), "lacks");
    refused("hard link outside", |root, l| l.hard_link("f", &format!("{root}/outside")), "does not have");
    refused("hard link upwards", |_, l| l.hard_link("f", "../../outside"), "'..'");
    refused("hard link through a link", |root, l| l.symlink("l", root).hard_link("f", "l/outside"), "does not have");
    refused("hard link to a directory", |_, l| l.dir("d").hard_link("f", "d"), "neither file nor link");
    refused("hard link to the root", |_, l| l.hard_link("f", "/"), "does not have");
    refused("hard link to itself", |_, l| l.hard_link("first", "first"), "does not have");
    refused("hard link to a whiteout", |_, l| l.file(".wh.w", "").hard_link("f", "w"), "neither file nor link");
    refused("whiteout of the parent", |_, l| l.file("a/.wh...", ""), "removes no name");
    refused("whiteout of itself", |_, l| l.file("a/.wh..", ""), "removes no name");
    refused("whiteout of nothing", |_, l| l.file("a/.wh.", ""), "removes no name");
    refused("opaque whiteout outside", |root, l| l.symlink("l", root).file("l/.wh..wh..opq", ""), "lacks");
    refused("root as a link", |root, l| l.symlink(".", root), "can only be a directory");
    refused("a file as a directory", |_, l| l.file("first/f", "x"), "beneath what is not a directory");
}

#[test]
fn what_could_do_harm_or_is_not_supported_is_refused() {
    let kind = |kind: EntryType| move |_: &str, l: Layer| l.entry(kind, "f", "", b"", |_| {});
    refused("block device", kind(EntryType::Block), "devices");
    refused("character device", kind(EntryType::Char), "devices");
    refused("sparse file", kind(EntryType::GNUSparse), "sparse");
    refused("unknown type", kind(EntryType::new(b'Z')), "unknown");
    refused("pax sparse file", |_, l| l.pax(&[("GNU.sparse.major", b"1")]).file("f", "x"), "sparse");
    let redirect: &[(&str, &[u8])] = &[("SCHILY.xattr.trusted.overlay.redirect", b"/")];
    refused("overlay redirect", |_, l| l.pax(redirect).dir("d"), "steers overlayfs");
    let user: &[(&str, &[u8])] = &[("SCHILY.xattr.user.overlay.whiteout", b"y")];
    refused("overlay of users", |_, l| l.pax(user).file("f", ""), "steers overlayfs");
    refused("attribute of a link", |_, l| l.pax(&[("SCHILY.xattr.user.a", b"b")]).symlink("l", "x"), "cannot have");
    refused("owner", |_, l| l.pax(&[("uid", b"4294967295")]).file("f", ""), "32-bit id");
    refused("file over directory", |_, l| l.dir("d").file("d", ""), "replace a directory");
    refused("long name", |_, l| l.pax(&[("path", "n".repeat(256).as_bytes())]).file("f", ""), "too long");
    refused("long path", |_, l| l.pax(&[("path", "n/".repeat(2049).as_bytes())]).file("f", ""), "too long");
    refused("zero byte", |_, l| l.pax(&[("path", b"a\0b")]).file("f", ""), "zero byte");
}

#[test]
fn a_broken_archive_is_refused() {
    refused(
        "two long names",
        |_, l| {
            let name = |l: Layer| l.entry(EntryType::GNULongName, "", "", b"n", |_| {});
            name(name(l)).file("f", "")
        },
        "same kind",
    );
    refused("extension at the end", |_, l| l.pax(&[("path", b"x")]), "after an extension");
    refused("pax without length", |_, l| l.entry(EntryType::XHeader, "", "", b"path=x\n", |_| {}), "list of records");
    refused("pax time", |_, l| l.pax(&[("mtime", b"1.x")]).file("f", ""), "not a time");
    refused("pax size", |_, l| l.pax(&[("size", b"99999")]).file("f", "x"), "within a file");
    refused("huge extension", |_, l| l.entry(EntryType::XHeader, "", "", b"", |h| h.set_size(u64::MAX / 2)), "1 MiB");
    refused(
        "zeros within",
        |_, mut l| {
            l.0.resize(l.0.len() + 512, 0);
            l.file("f", "")
        },
        "zeros",
    );
    refused(
        "checksum",
        |_, mut l| {
            l.0[0] ^= 1;
            l
        },
        "checksum",
    );
    let host = Host::new();
    let whole = Layer::default().file("f", "content").bytes();
    for len in [1, 511, 513, 515] {
        let error = host.unpack(&whole[..len], &whole[..len], OCI_LAYER).expect_err("cut").to_string();
        assert!(error.contains("it ends within"), "{len}: {error}");
        host.is_untouched();
    }
}

#[test]
fn what_follows_a_compressed_layer_is_told_as_that() {
    let plain = Layer::default().file("f", "x").bytes();
    let host = Host::new();
    for garbage in [&b"x"[..], b"trailing garbage", &[0; 512]] {
        let packed = [&gzip(&plain), garbage].concat();
        let error = host.unpack(&packed, &plain, OCI_LAYER_GZIP).expect_err("garbage").to_string();
        assert_eq!(error, "layer cannot be read: something follows after the end of what is compressed with gzip");
        host.is_untouched();
    }
    let half = [&gzip(&plain)[..], &gzip(b"x")[..12]].concat();
    let error = host.unpack(&half, &plain, OCI_LAYER_GZIP).expect_err("half a member").to_string();
    assert!(error.contains("cannot be read"), "{error}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

#[test]
fn every_compression_is_read_in_one_piece_or_several() {
    let plain = Layer::default().file("f", &"content ".repeat(50_000)).bytes();
    let (head, tail) = plain.split_at(1000);
    let skippable = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    let cases = [
        (OCI_LAYER, plain.clone()),
        (OCI_LAYER_GZIP, gzip(&plain)),
        (DOCKER_LAYER_GZIP, [gzip(head), gzip(tail)].concat()),
        (OCI_LAYER_ZSTD, zstd(&plain)),
        (OCI_LAYER_ZSTD, [&skippable[..], &zstd(head), &skippable, &zstd(tail), &skippable].concat()),
    ];
    for (media_type, packed) in cases {
        let host = Host::new();
        let unpacked = host.unpack(&packed, &plain, media_type).expect(media_type);
        assert_eq!(unpacked, Unpacked { bytes: plain.len() as u64, entries: 1 });
        assert_eq!(fs::metadata(host.path("layers/one/f")).expect("f").len(), 400_000);
    }
}

#[test]
fn media_type_and_content_must_agree() {
    let plain = Layer::default().file("f", "x").bytes();
    let host = Host::new();
    let cases = [
        (OCI_LAYER, gzip(&plain), "is compressed with gzip"),
        (OCI_LAYER_GZIP, plain.clone(), "is not compressed"),
        (OCI_LAYER_GZIP, zstd(&plain), "is compressed with zstd"),
        (OCI_LAYER_ZSTD, gzip(&plain), "is compressed with gzip"),
        ("application/json", plain.clone(), "not the media type of a layer"),
        (OCI_LAYER_GZIP, gzip(&plain)[..30].to_vec(), "cannot be read"),
        (OCI_LAYER_ZSTD, zstd(&plain)[..30].to_vec(), "cannot be read"),
    ];
    for (media_type, packed, expect) in cases {
        let error = host.unpack(&packed, &plain, media_type).expect_err(expect).to_string();
        assert!(error.contains(expect), "{media_type}: {error}");
        host.is_untouched();
    }
}

#[test]
fn content_that_is_not_what_was_announced_leaves_nothing() {
    let plain = Layer::default().file("f", "x").bytes();
    let packed = gzip(&plain);
    let right = Expected { digest: Digest::of(&packed), size: packed.len() as u64, diff_id: Digest::of(&plain) };
    let other = Digest::of(b"other");
    let host = Host::new();
    let cases = [
        (Expected { digest: other.clone(), ..right.clone() }, "pull it again"),
        (Expected { size: right.size + 1, ..right.clone() }, "bytes that its manifest says"),
        (Expected { size: right.size - 1, ..right.clone() }, "bytes that its manifest says"),
        (Expected { diff_id: other, ..right.clone() }, "the image config says"),
        (Expected { diff_id: format!("sha512:{}", "0".repeat(128)).parse().expect("sha512"), ..right }, "sha512"),
    ];
    for (expected, expect) in cases {
        let dest = host.path("layers/one");
        let error = unpack(&packed[..], OCI_LAYER_GZIP, &dest, &expected, &NO_LIMITS).expect_err(expect);
        assert!(error.to_string().contains(expect), "{error}");
        host.is_untouched();
    }
}

#[test]
fn limits_hold() {
    let plain = Layer::default().file("a", "x").file("b", &"0".repeat(100_000)).bytes();
    let packed = gzip(&plain);
    let expected = Expected { digest: Digest::of(&packed), size: packed.len() as u64, diff_id: Digest::of(&plain) };
    let host = Host::new();
    let run = |entries, bytes| {
        unpack(
            &packed[..],
            OCI_LAYER_GZIP,
            &host.path("layers/one"),
            &expected,
            &Limits { entries, bytes, ..NO_LIMITS },
        )
    };
    assert!(matches!(run(1, u64::MAX), Err(UnpackError::TooManyEntries { limit: 1 })));
    host.is_untouched();
    let one_less = plain.len() as u64 - 1;
    assert!(matches!(run(2, one_less), Err(UnpackError::TooLarge { limit }) if limit == one_less));
    host.is_untouched();
    assert_eq!(run(2, plain.len() as u64).expect("fits").entries, 2);
}

#[test]
fn an_existing_layer_is_never_written_over() {
    let host = Host::new();
    fs::create_dir(host.path("layers/one")).expect("there");
    assert!(matches!(host.plain(Layer::default().file("f", "x")), Err(UnpackError::Exists(_))));
    assert_eq!(what(&host.path("layers/one/f")), "absent");
    assert_eq!(fs::read_dir(host.path("layers")).expect("listed").count(), 1);
}

/// A path of a few names, few enough that one entry's is often another's parent.
fn hostile_path() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        20 => prop::sample::select(vec!["a", "l"]),
        2 => prop::sample::select(vec!["outside", ".", "", ".wh.a", ".wh.l", ".wh..wh..opq"]),
        1 => Just(".."),
    ];
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"))
}

fn hostile_entry() -> impl Strategy<Value = (EntryType, String, String)> {
    use EntryType::{Directory, Fifo, Link, Regular, Symlink};
    let kind = prop::sample::select(vec![Directory, Directory, Regular, Symlink, Symlink, Link, Fifo]);
    let target = prop_oneof![hostile_path(), Just("HOST".to_owned()), Just("../..".to_owned())];
    (kind, hostile_path(), target)
}

proptest! {
    #[test]
    fn no_layer_reaches_outside(entries in prop::collection::vec(hostile_entry(), 1..10)) {
        let host = Host::new();
        let root = host.dir.path().display().to_string();
        let layer = entries.into_iter().fold(Layer::default(), |layer, (kind, path, target)| {
            layer.entry(kind, &path, &target.replace("HOST", &root), b"", |header| header.set_mode(0o777))
        });
        if host.plain(layer).is_err() {
            host.is_untouched();
        }
        host.outside_is_untouched();
    }

    #[test]
    fn any_damage_is_refused_or_harmless(at in 0usize..3072, with: u8, cut in prop::option::of(0usize..4096)) {
        let host = Host::new();
        let layer = Layer::default().dir("d").symlink("l", "/d").pax(&[("path", b"l/f")]).file("f", "x");
        let mut bytes = layer.bytes();
        prop_assert_eq!(bytes.len(), 4096);
        bytes[at] = with;
        bytes.truncate(cut.unwrap_or(bytes.len()));
        if host.unpack(&bytes, &bytes, OCI_LAYER).is_err() {
            host.is_untouched();
        }
        host.outside_is_untouched();
    }
}
