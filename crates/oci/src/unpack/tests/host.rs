use super::super::{Expected, Limits, UnpackError, Unpacked, hides_lower_layers, unpack};
use super::Layer;
use crate::digest::Digest;
use crate::manifest::media_type::OCI_LAYER;
use rustix::fs::FileType;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(super) const NO_LIMITS: Limits = Limits::NONE;

/// A folder for layers, with something outside that nobody may touch.
pub(in crate::unpack) struct Host {
    pub dir: TempDir,
}

impl Host {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("layers")).expect("layers");
        fs::write(dir.path().join("outside"), "untouched").expect("outside");
        Self { dir }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub fn unpack(&self, packed: &[u8], plain: &[u8], media_type: &str) -> Result<Unpacked, UnpackError> {
        let (digest, diff_id) = (Digest::of(packed), Digest::of(plain));
        let expected = Expected { digest, size: packed.len() as u64, diff_id };
        unpack(packed, media_type, &self.path("layers/one"), &expected, &NO_LIMITS)
    }

    pub fn plain(&self, layer: Layer) -> Result<Unpacked, UnpackError> {
        let bytes = layer.bytes();
        self.unpack(&bytes, &bytes, OCI_LAYER)
    }

    /// Nothing is left of a refused layer, and nothing outside was touched.
    pub fn is_untouched(&self) {
        let left: Vec<_> = fs::read_dir(self.path("layers")).expect("listed").collect();
        assert!(left.is_empty(), "{left:?}");
        self.outside_is_untouched();
    }

    pub fn outside_is_untouched(&self) {
        assert_eq!(fs::read_to_string(self.path("outside")).expect("outside"), "untouched");
        assert_eq!(fs::metadata(self.path("outside")).expect("outside").nlink(), 1);
        assert_eq!(fs::read_dir(self.dir.path()).expect("listed").count(), 2);
    }
}

/// What `path` is: `dir 755`, `file 644 content`, `link target`, `pipe`, `whiteout`, `absent`; `opaque` after a directory's mode.
pub(super) fn what(path: &Path) -> String {
    let Ok(metadata) = fs::symlink_metadata(path) else { return "absent".to_owned() };
    let kind = metadata.file_type();
    let mode = metadata.mode() & 0o7777;
    if kind.is_symlink() {
        return format!("link {}", fs::read_link(path).expect("a link").display());
    }
    if kind.is_dir() {
        let opaque = if hides_lower_layers(path).expect("readable") { " opaque" } else { "" };
        return format!("dir {mode:o}{opaque}");
    }
    if FileType::from_raw_mode(metadata.mode()) == FileType::CharacterDevice {
        assert_eq!(metadata.rdev(), 0);
        return "whiteout".to_owned();
    }
    if kind.is_fifo() {
        return format!("pipe {mode:o}");
    }
    format!("file {mode:o} {}", fs::read_to_string(path).expect("a file"))
}
