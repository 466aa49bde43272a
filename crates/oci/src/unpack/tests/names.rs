//! Whiteouts as overlayfs has them, links whose directory is in a layer beneath, and names in refusals.

use super::super::UnpackError;
use super::host::{Host, what};
use super::layer::Layer;
use super::{check, refused};
use tar::EntryType;

/// A whiteout as `tar` packs it from overlayfs's own directory.
fn raw(layer: Layer, path: &str) -> Layer {
    layer.entry(EntryType::Char, path, "", b"", |header| {
        header.set_device_major(0).expect("major");
        header.set_device_minor(0).expect("minor");
    })
}

#[test]
fn a_whiteout_of_overlayfs_is_one() {
    check(raw(Layer::default(), "etc/gone"), &[("etc/gone", "whiteout")]);
    // As of every whiteout: what the layer itself has stays, wherever it stands.
    check(raw(Layer::default().file("f", "x"), "f"), &[("f", "file 644 x")]);
    check(raw(Layer::default(), "f").file("f", "x"), &[("f", "file 644 x")]);
    check(raw(Layer::default().file("d/f", "x"), "d"), &[("d", "dir 755 opaque"), ("d/f", "file 644 x")]);
    check(raw(Layer::default(), "d").file("d/f", "x"), &[("d", "dir 755 opaque"), ("d/f", "file 644 x")]);
    check(raw(Layer::default().symlink("l", "d").dir("d"), "l"), &[("l", "link d"), ("d", "dir 755")]);
    check(raw(Layer::default(), ".wh.f"), &[("f", "whiteout"), (".wh.f", "absent")]);
    check(raw(Layer::default(), "dev/gone"), &[("dev", "absent")]);
    refused("the root", |_, l| raw(l, "./"), "can only be a directory");
    refused("through a link", |root, l| raw(l.symlink("l", root), "l/outside"), "lacks");
    refused("a second name of one", |_, l| raw(l, "w").hard_link("f", "w"), "neither file nor link");
    let marked: &[(&str, &[u8])] = &[("SCHILY.xattr.trusted.overlay.opaque", b"y")];
    refused("marked", |_, l| raw(l.pax(marked), "w"), "steers overlayfs");
}

/// `/lib` is a link in the base image, and a layer above has `lib/x` without it: a directory, as with Docker and
/// containerd, whose overlayfs then has it in the link's place. Builders that look through the mounted image write
/// `usr/lib/x`.
#[test]
fn a_link_of_a_layer_beneath_is_not_needed() {
    check(Layer::default().file("lib/x", "1"), &[("lib", "dir 755"), ("lib/x", "file 644 1")]);
    check(
        Layer::default().symlink("lib", "usr/lib").file("usr/lib/x", "1"),
        &[("lib", "link usr/lib"), ("lib/x", "file 644 1")],
    );
    refused("both, out of order", |_, l| l.symlink("lib", "usr/lib").file("lib/x", "1"), "entry 'lib/x' is refused");
}

#[test]
fn names_in_refusals_cannot_steer_a_terminal() {
    fn check(layer: Layer, expect: &str) {
        let host = Host::new();
        let error = host.plain(layer).expect_err(expect);
        assert!(matches!(&error, UnpackError::Refused { .. }), "{error:?}");
        assert!(error.to_string().starts_with(&format!("layer entry '{expect}' is refused: ")), "{error}");
    }
    check(Layer::default().hard_link("a\nb\x1b[31m", "../zz"), "a\\nb\\u{1b}[31m");
    check(Layer::default().pax(&[("path", b"a\0b")]).file("f", ""), "a\\0b");
    let long = [&[b'n'; 6_000][..], b"/x\0"].concat();
    let layer = Layer::default().entry(EntryType::GNULongName, "././@LongLink", "", &long, |_| {}).file("f", "");
    check(layer, &format!("{}…", "n".repeat(256)));
    assert_eq!(what(&Host::new().path("layers/one")), "absent");
}
