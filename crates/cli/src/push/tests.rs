use super::archive::{Archive, Kind, docker_image};
use super::{layout, rootfs};
use flate2::{Compression, write::GzEncoder};
use oci::builder::{BuiltImage, ImageFile, build};
use oci::image_config::ContainerConfig;
use oci::manifest::media_type;
use oci::{Digest, Platform, manifest};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn image() -> BuiltImage {
    let file = ImageFile { path: "bin/tool".to_owned(), content: b"tool".to_vec(), mode: 0o755 };
    build(&[file], ContainerConfig::default(), &Platform::new("linux", "amd64")).expect("an image")
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, *content).expect("in memory");
    }
    tar.into_inner().expect("in memory")
}

fn written(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("written");
    path
}

/// The files of an OCI layout of `image`.
fn layout_files(image: &BuiltImage) -> Vec<(String, Vec<u8>)> {
    let index = json!({ "schemaVersion": 2, "manifests": [image.manifest.descriptor()] });
    let mut files = vec![
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), index.to_string().into_bytes()),
    ];
    for blob in [&image.layer, &image.config, &image.manifest] {
        files.push((format!("blobs/sha256/{}", blob.digest.hex()), blob.bytes.to_vec()));
    }
    files
}

fn write_layout(folder: &Path, image: &BuiltImage) {
    fs::create_dir_all(folder.join("blobs/sha256")).expect("a folder");
    for (name, bytes) in layout_files(image) {
        fs::write(folder.join(name), bytes).expect("written");
    }
}

#[test]
fn a_layout_is_sent_as_it_is() {
    let (folder, built) = (tempfile::tempdir().expect("a folder"), image());
    write_layout(folder.path(), &built);
    let image = layout::read(folder.path()).expect("read");
    assert_eq!(image.manifests[0].bytes, built.manifest.bytes);
    assert_eq!(image.blobs.len(), 2);
    let layer = folder.path().join("blobs/sha256").join(built.layer.digest.hex());
    fs::write(layer, b"rotten").expect("written");
    let error = layout::read(folder.path()).err().expect("refused").to_string();
    assert!(error.contains("of 6 bytes, not"), "{error}");
}

#[test]
fn archives_are_known_by_what_they_hold() {
    let folder = tempfile::tempdir().expect("a folder");
    let kind = |bytes: &[u8]| {
        let scratch = tempfile::tempdir().expect("a folder");
        let archive = Archive::open(&written(&folder, "a.tar", bytes)).expect("open");
        archive.extract(scratch.path()).expect("a kind")
    };
    let files = layout_files(&image());
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    let oci = tar(&files);
    assert_eq!(kind(&oci), Kind::Oci);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&oci).expect("in memory");
    assert_eq!(kind(&gzip.finish().expect("in memory")), Kind::Oci);
    assert_eq!(kind(&tar(&[("manifest.json", b"[]")])), Kind::Docker);
    assert_eq!(kind(&tar(&[("bin/sh", b"#!"), ("etc/manifest.json", b"[]")])), Kind::RootFs);
    assert_eq!(kind(&tar(&[("./usr/app", b"#!"), ("./usr/app", b"again"), ("manifest.json", b"{}")])), Kind::RootFs);
    assert_eq!(kind(&tar(&[("app", b"#!")])), Kind::RootFs);
}

#[test]
fn nothing_is_no_image() {
    let folder = tempfile::tempdir().expect("a folder");
    for nothing in [vec![], tar(&[]), vec![0; 10_240]] {
        let archive = Archive::open(&written(&folder, "a.tar", &nothing)).expect("open");
        let error = archive.extract(folder.path()).expect_err("refused").to_string();
        assert!(error.contains("it holds nothing"), "{error}");
    }
}

#[test]
fn what_docker_saved_becomes_a_docker_manifest() {
    let folder = tempfile::tempdir().expect("a folder");
    let layer = tar(&[("bin/tool", b"tool")]);
    let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer)] } });
    let check = |layer: &[u8]| {
        let saved = json!([{ "Config": "c.json", "RepoTags": ["x:1"], "Layers": ["1/layer.tar"] }]).to_string();
        let archive = tar(&[
            ("manifest.json", saved.as_bytes()),
            ("c.json", config.to_string().as_bytes()),
            ("1/layer.tar", layer),
        ]);
        let archive = Archive::open(&written(&folder, "a.tar", &archive)).expect("open");
        let scratch = tempfile::tempdir().expect("a folder");
        archive.extract(scratch.path()).expect("extracted");
        docker_image(scratch.path())
    };
    let image = check(&layer).expect("an image");
    let parsed = manifest::parse(&image.manifests[0].bytes, None).expect("a manifest");
    assert_eq!(parsed.media_type(), media_type::DOCKER_MANIFEST);
    assert_eq!(parsed.layers()[0].digest, Digest::of(&layer));
    let error = check(&tar(&[("bin/tool", b"other")])).err().expect("refused").to_string();
    assert!(error.contains("its config says"), "{error}");
}

#[test]
fn nothing_is_written_outside_of_the_scratch_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bytes = tar(&[("aa/x", b"x")]);
    bytes[..2].copy_from_slice(b"..");
    let mut header = tar::Header::from_byte_slice(&bytes[..512]).clone();
    header.set_cksum();
    bytes[..512].copy_from_slice(header.as_bytes());
    let archive = Archive::open(&written(&folder, "a.tar", &bytes)).expect("open");
    let scratch = folder.path().join("scratch");
    fs::create_dir(&scratch).expect("a folder");
    let error = archive.extract(&scratch).expect_err("refused").to_string();
    assert!(error.contains("leads out"), "{error}");
    assert!(!folder.path().join("x").exists());
}

#[test]
fn a_root_file_system_becomes_an_image_of_one_layer() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = tar(&[("bin/tool", b"tool")]);
    let archive = Archive::open(&written(&folder, "root.tar", &plain)).expect("open");
    let config = ContainerConfig { cmd: vec!["/bin/tool".to_owned()], ..ContainerConfig::default() };
    let image = rootfs::read(&archive, folder.path(), config).expect("an image");
    let parsed = manifest::parse(&image.manifests[0].bytes, None).expect("a manifest");
    assert_eq!(parsed.layers()[0], image.blobs[0].descriptor);
    let oci::client::Source::Bytes(config) = &image.blobs[1].source else { panic!("the config is in memory") };
    let config = oci::ImageConfig::parse(config).expect("a config");
    assert_eq!((config.config.cmd, config.rootfs.diff_ids), (vec!["/bin/tool".to_owned()], vec![Digest::of(&plain)]));
}

#[test]
fn a_command_is_read_as_a_dockerfile_has_it() {
    let words = |text: &str| super::command(text).map(|command| command.0);
    assert_eq!(words("echo hi"), Ok(["/bin/sh", "-c", "echo hi"].map(str::to_owned).to_vec()));
    assert_eq!(words(r#"["/app", "-v"]"#), Ok(["/app", "-v"].map(str::to_owned).to_vec()));
    assert!(words("[1]").is_err());
}
