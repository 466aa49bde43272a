//! A disk that fills up, and has room again.

use super::{Telemetry, block_on, event, everything, group, stream};
use crate::{Appended, TelemetryError};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::fs::{File, remove_file};
use std::io::Write;
use std::path::Path;

/// Bytes of the file system.
const DISK: &str = "size=48m";

/// A small file system of its own, until it is dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let options = std::ffi::CString::new(DISK).expect("no zero");
        mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), Some(options.as_c_str())).expect("needs root");
        Self(dir)
    }

    fn fill(&self) {
        let mut file = File::create(self.0.path().join("fill")).expect("a file");
        for bytes in [1 << 20, 1 << 10, 1] {
            while file.write_all(&vec![1; bytes]).is_ok() {}
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        _ = unmount(self.path(), UnmountFlags::DETACH);
    }
}

/// Text that no compression makes much smaller.
fn noise(seed: u64, len: usize) -> String {
    let mut state = seed | 1;
    let letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 90) as u8)
    };
    std::iter::repeat_with(letter).take(len).collect()
}

#[test]
fn a_full_disk_is_said_and_room_is_all_it_takes() {
    let disk = SmallDisk::new();
    let telemetry = Telemetry::open(&disk.path().join("telemetry")).expect("opens");
    let stream = stream(group(1), "s");
    block_on(async {
        let append = async |at: i64, seed: u64, batch: Option<&str>| {
            telemetry.append(&stream, vec![event(at, noise(seed, 100_000))], super::INGESTED, batch).await
        };
        append(1, 1, Some("p:1")).await.expect("there is room");
        disk.fill();
        let mut refused = None;
        for seed in 2..40 {
            refused = append(2, seed, None).await.err();
            if refused.is_some() {
                break;
            }
        }
        let refused = refused.expect("the disk is full");
        assert!(matches!(refused, TelemetryError::Full), "{refused}");
        assert!(matches!(append(3, 99, None).await, Err(TelemetryError::Full)), "it still is");
        assert!(!everything(&telemetry, &stream).await.is_empty(), "reads go on");
        remove_file(disk.path().join("fill")).expect("removed");
        append(4, 100, Some("p:2")).await.expect("there is room again");
        assert!(matches!(append(1, 1, Some("p:1")).await, Ok(Appended::Repeat)));
        let kept = everything(&telemetry, &stream).await;
        assert!(kept.iter().any(|(at, _)| *at == 1) && kept.iter().any(|(at, _)| *at == 4));
    });
}
