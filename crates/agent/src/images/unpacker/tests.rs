use super::{LayerError, Unpacker};
use crate::images::PullError;
use bytes::Bytes;
use futures_util::future::poll_immediate;
use futures_util::stream::{BoxStream, StreamExt, iter, pending};
use oci::media_type::{OCI_LAYER, OCI_LAYER_ZSTD};
use oci::{Descriptor, Digest};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const POLL: Duration = Duration::from_millis(10);

fn ours() -> Unpacker {
    let program = std::env::current_exe().expect("this program");
    Unpacker { program, args: crate::unpack::tests::ARGS.map(str::to_owned).into(), disk_full_percent: 100 }
}

/// One that does as the shell says.
fn other(script: &str) -> Unpacker {
    Unpacker { program: "/bin/sh".into(), args: vec!["-c".to_owned(), script.to_owned()], disk_full_percent: 100 }
}

fn layer(media_type: &str, packed: &[u8]) -> Descriptor {
    let (digest, size) = (Digest::of(packed), packed.len() as u64);
    serde_json::from_value(serde_json::json!({ "mediaType": media_type, "digest": digest, "size": size }))
        .expect("a descriptor")
}

fn pieces(packed: &[u8]) -> BoxStream<'static, Result<Bytes, PullError>> {
    let pieces: Vec<_> = packed.chunks(10_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    iter(pieces).boxed()
}

fn left_in(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path()).expect("listed");
    entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("{what}"));
}

/// A tar stream of one file of zeros, and the same in zstd blocks of 128 KiB, with the largest window that we read.
fn zeros_with_largest_window(blocks: u32) -> (Vec<u8>, Vec<u8>) {
    const BLOCK_BYTES: u32 = 128 * 1024;
    let mut header = oci_tar_header(u64::from(blocks * BLOCK_BYTES)).to_vec();
    let block = |last: u32, kind: u32, size: u32| (last | kind << 1 | size << 3).to_le_bytes();
    // Exponent 15 over 1 KiB, no mantissa: 32 MiB (RFC 8878 3.1.1.1.2).
    let mut packed = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 15 << 3];
    packed.extend_from_slice(&block(0, 0, header.len() as u32)[..3]);
    packed.extend_from_slice(&header);
    for n in 1..=blocks {
        packed.extend_from_slice(&block(u32::from(n == blocks), 1, BLOCK_BYTES)[..3]);
        packed.push(0);
    }
    header.resize(header.len() + (blocks * BLOCK_BYTES) as usize, 0);
    (header, packed)
}

/// A ustar header of the file `f`.
fn oci_tar_header(size: u64) -> [u8; 512] {
    let mut header = [0; 512];
    header[0] = b'f';
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[tokio::test]
async fn the_largest_window_fits_into_what_memory_it_has() {
    let dir = tempfile::tempdir().expect("a folder");
    let (plain, packed) = zeros_with_largest_window(400);
    let (layer, dest) = (layer(OCI_LAYER_ZSTD, &packed), dir.path().join("one"));
    let unpacked = ours().unpack(pieces(&packed), &layer, &Digest::of(&plain), &dest).await.expect("unpacked");
    assert_eq!((unpacked.bytes, unpacked.entries), (plain.len() as u64, 1));
    assert_eq!(fs::metadata(dest.join("f")).expect("f").len(), 400 * 128 * 1024);
}

#[tokio::test]
async fn it_holds_nothing_but_what_it_needs() {
    let dir = tempfile::tempdir().expect("a folder");
    let (layer, dest) = (layer(OCI_LAYER, b"never comes"), dir.path().join("one"));
    let work = ours().start(&layer, &Digest::of(b""), &dest).expect("started");
    let pid = fs::read_to_string("/proc/thread-self/children").expect("children").trim().to_owned();
    // The thread that unpacks: the test harness has one of its own beside it.
    let task = || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().map(|task| task.path());
        let status = |task: &Path| fs::read_to_string(task.join("status")).unwrap_or_default();
        tasks.into_iter().find(|task| status(task).contains("NoNewPrivs:\t1")).unwrap_or_default()
    };
    let status = || fs::read_to_string(task().join("status")).unwrap_or_default();
    let field = |name: &str| {
        let status = status();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    // chown, dac_override, fowner, fsetid, sys_admin, mknod, setfcap.
    let needed: u64 = [0, 1, 3, 4, 21, 27, 31].iter().map(|bit| 1 << bit).sum();
    until("confined", || field("CapEff:") == format!("{needed:016x}") && field("Uid:").starts_with("65534")).await;
    assert_eq!(field("CapPrm:"), field("CapEff:"));
    assert_eq!(field("CapInh:"), format!("{:016x}", 0));
    assert_eq!((field("Uid:"), field("Gid:")), ("65534 65534 65534 65534".into(), "65534 65534 65534 65534".into()));
    assert_eq!((field("Groups:"), field("NoNewPrivs:")), (String::new(), "1".to_owned()));
    let root = fs::read_link(task().join("root")).expect("root");
    assert!(root.starts_with(dir.path()) && root != dir.path(), "{}", root.display());
    assert_ne!(fs::read_link(task().join("ns/net")).expect("net"), fs::read_link("/proc/self/ns/net").expect("net"));
    let limits = fs::read_to_string(task().join("limits")).expect("limits");
    let data = limits.lines().find(|line| line.starts_with("Max data size")).expect("a limit");
    assert!(data.contains(" 67108864 "), "{data}");
    drop(work);
    until("nothing is left", || left_in(&dir).is_empty()).await;
}

#[tokio::test]
async fn a_pull_that_is_given_up_ends_it() {
    for unpacker in [ours(), other("exec sleep 1000")] {
        let dir = tempfile::tempdir().expect("a folder");
        let (layer, dest) = (layer(OCI_LAYER, b"never comes"), dir.path().join("one"));
        let diff_id = Digest::of(b"");
        {
            let mut pull = Box::pin(unpacker.unpack(pending().boxed(), &layer, &diff_id, &dest));
            assert!(poll_immediate(&mut pull).await.is_none());
            assert_eq!(left_in(&dir).len(), 1, "it was begun");
        }
        until("nothing is left", || left_in(&dir).is_empty()).await;
    }
}

#[tokio::test]
async fn whatever_becomes_of_it_is_told_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let packed = [1; 100_000];
    let layer = layer(OCI_LAYER, &packed);
    let run = async |unpacker: Unpacker, pieces| {
        let error = unpacker.unpack(pieces, &layer, &Digest::of(b""), &dir.path().join("one")).await;
        let error = error.expect_err("no layer").to_string();
        assert!(left_in(&dir).is_empty(), "{error}: {:?}", left_in(&dir));
        error
    };
    let error = run(ours(), pieces(&packed)).await;
    assert!(error.contains("checksum is wrong"), "{error}");
    let error = run(other("exit 3"), pieces(&packed)).await;
    assert!(error.contains("exit status: 3"), "{error}");
    let error = run(other("cat > /dev/null; echo '{\"Ok\":'"), pieces(&packed)).await;
    assert!(error.contains("ended early"), "{error}");
    let error = run(other("kill -9 $$"), pieces(&packed)).await;
    assert!(error.contains("signal: 9"), "{error}");
    let gone = Unpacker { program: Path::new("/nowhere").to_owned(), args: Vec::new(), disk_full_percent: 100 };
    let error = run(gone, pieces(&packed)).await;
    assert!(error.contains("No such file"), "{error}");
    let broken = pieces(&packed[..20_000]).chain(iter([Err(PullError::Image("it broke".to_owned()))])).boxed();
    let error = run(other("exec sleep 1000"), broken).await;
    assert!(error.contains("it broke"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_get_on_is_killed() {
    let dir = tempfile::tempdir().expect("a folder");
    let packed = vec![0; 2 * super::PIPE_BYTES];
    let layer = layer(OCI_LAYER, &packed);
    let pull =
        other("exec sleep 1000").unpack(pieces(&packed), &layer, &Digest::of(b""), &dir.path().join("one")).await;
    assert!(matches!(pull, Err(PullError::Layer(LayerError::Stalled))), "{pull:?}");
    assert!(left_in(&dir).is_empty());
}
