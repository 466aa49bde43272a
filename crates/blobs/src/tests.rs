mod room;

use crate::{BlobError, BlobReader, Blobs, Staged};
use base::Timestamp;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use oci::Digest;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

fn folder() -> (TempDir, Blobs) {
    let dir = tempfile::tempdir().expect("a folder");
    let blobs = Blobs::open(dir.path().join("blobs")).expect("blobs");
    (dir, blobs)
}

/// The same folder as a new process finds it.
fn restarted(dir: &TempDir) -> Blobs {
    Blobs::open(dir.path().join("blobs")).expect("blobs again")
}

async fn append(staged: &mut Staged, pieces: &[&[u8]]) -> u64 {
    let pieces: Vec<_> = pieces.iter().map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece))).collect();
    staged.append(stream::iter(pieces)).await.expect("appended")
}

async fn content(blobs: &Blobs, digest: &Digest) -> Option<Vec<u8>> {
    blobs.get_bytes(digest, u64::MAX).await.expect("readable").map(Vec::from)
}

#[tokio::test]
async fn an_upload_becomes_a_blob_when_it_is_finished_and_not_before() {
    let (dir, blobs) = folder();
    let digest = Digest::of(b"hello world");
    let mut staged = blobs.stage("one").await.expect("staged");
    assert_eq!(append(&mut staged, &[b"hello", b" "]).await, 6);
    assert_eq!(append(&mut staged, &[b"world"]).await, 11);
    assert_eq!(content(&blobs, &digest).await, None);
    drop(staged);

    assert_eq!(content(&restarted(&dir), &digest).await, None);
    assert_eq!(blobs.staging_ids().await.expect("ids"), ["one"]);
    let staged = blobs.resume("one").await.expect("resumed");
    assert_eq!(staged.finish(&digest).await.expect("finished").size, 11);
    assert_eq!(content(&blobs, &digest).await.as_deref(), Some(&b"hello world"[..]));
    assert!(blobs.has(&digest, 11).await.expect("looked"));
    assert!(blobs.staging_ids().await.expect("ids").is_empty());
    assert!(matches!(blobs.resume("one").await, Err(BlobError::UploadNotFound(_))));
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let (dir, blobs) = folder();
    let mut staged = blobs.stage("one").await.expect("staged");
    append(&mut staged, &[b"hello"]).await;
    drop((staged, blobs));

    let blobs = restarted(&dir);
    let mut staged = blobs.resume("one").await.expect("resumed");
    assert_eq!(staged.len(), 5);
    assert_eq!(append(&mut staged, &[b" again"]).await, 11);
    let digest = Digest::of(b"hello again");
    staged.finish(&digest).await.expect("finished");
    assert!(content(&restarted(&dir), &digest).await.is_some());
}

#[tokio::test]
async fn bytes_that_reached_the_file_alone_are_hashed_too() {
    let (dir, blobs) = folder();
    let mut staged = blobs.stage("one").await.expect("staged");
    append(&mut staged, &[b"hello"]).await;
    drop(staged);
    // What a write leaves that fails after some of its bytes.
    fs::write(dir.path().join("blobs/staging/one"), b"hello wo").expect("written");

    let mut staged = blobs.resume("one").await.expect("resumed");
    assert_eq!(staged.len(), 8);
    append(&mut staged, &[b"rld"]).await;
    staged.finish(&Digest::of(b"hello world")).await.expect("finished");
}

#[tokio::test]
async fn content_of_another_digest_is_refused_and_removed() {
    let (dir, blobs) = folder();
    let (announced, actual) = (Digest::of(b"good"), Digest::of(b"evil"));
    let mut staged = blobs.stage("one").await.expect("staged");
    append(&mut staged, &[b"evil"]).await;
    let error = staged.finish(&announced).await.expect_err("another digest");
    assert!(
        matches!(error, BlobError::DigestMismatch { expected, actual: got } if expected == announced && got == actual)
    );
    assert!(blobs.staging_ids().await.expect("ids").is_empty());
    assert_eq!((content(&blobs, &announced).await, content(&blobs, &actual).await), (None, None));

    assert!(matches!(blobs.put_bytes(&announced, b"evil").await, Err(BlobError::DigestMismatch { .. })));
    assert_eq!(fs::read_dir(dir.path().join("blobs/staging")).expect("listed").count(), 0);
}

#[tokio::test]
async fn sha512_is_refused_before_anything_is_lost() {
    let (_dir, blobs) = folder();
    let digest: Digest = format!("sha512:{}", "0".repeat(128)).parse().expect("sha512");
    let staged = blobs.stage("one").await.expect("staged");
    assert!(matches!(staged.finish(&digest).await, Err(BlobError::UnsupportedDigest(_))));
    assert_eq!(content(&blobs, &digest).await, None);
    blobs.resume("one").await.expect("still there");
}

#[tokio::test]
async fn one_request_at_a_time_has_an_upload() {
    let (_dir, blobs) = folder();
    let staged = blobs.stage("one").await.expect("staged");
    assert!(matches!(blobs.resume("one").await, Err(BlobError::UploadBusy(_))));
    assert!(matches!(blobs.clone().stage("one").await, Err(BlobError::UploadBusy(_))));
    drop(staged);
    assert!(matches!(blobs.stage("one").await, Err(BlobError::UploadExists(_))));
    blobs.resume("one").await.expect("free").abort().await.expect("aborted");
    assert!(matches!(blobs.resume("one").await, Err(BlobError::UploadNotFound(_))));
    blobs.stage("one").await.expect("free for a new one");
}

#[tokio::test]
async fn a_dropped_request_leaves_what_it_wrote_and_the_upload_free() {
    let (_dir, blobs) = folder();
    let mut staged = blobs.stage("one").await.expect("staged");
    let large = Bytes::from(vec![7; 1024 * 1024]);
    let (asked, mut asks) = tokio::sync::mpsc::channel(1);
    let first = stream::iter([Ok::<_, io::Error>(large.clone())]);
    // Asking for a second piece means that the first is being written.
    let second = stream::once(async move { asked.send(()).await.expect("heard") }).flat_map(|()| stream::pending());
    let mut pieces = Box::pin(first.chain(second));
    tokio::select! {
        ended = staged.append(&mut pieces) => panic!("the stream has no end: {ended:?}"),
        _ = asks.recv() => {}
    }
    drop(staged);
    let staged = loop {
        // Busy until that write has ended.
        match blobs.resume("one").await {
            Err(BlobError::UploadBusy(_)) => tokio::task::yield_now().await,
            resumed => break resumed.expect("free"),
        }
    };
    assert_eq!(staged.len(), large.len() as u64);
    staged.finish(&Digest::of(&large)).await.expect("finished");
}

#[tokio::test]
async fn a_stream_that_breaks_off_leaves_what_came_before() {
    let (_dir, blobs) = folder();
    let mut staged = blobs.stage("one").await.expect("staged");
    let pieces = [Ok(Bytes::from_static(b"half")), Err(io::Error::other("the client went away"))];
    let error = staged.append(stream::iter(pieces)).await.expect_err("broken off");
    assert!(error.to_string().contains("the client went away"), "{error}");
    assert_eq!(staged.len(), 4);
    append(&mut staged, &[b" and half"]).await;
    staged.finish(&Digest::of(b"half and half")).await.expect("finished");
}

#[tokio::test]
async fn ids_that_could_leave_the_folder_are_refused() {
    let (_dir, blobs) = folder();
    for id in ["", "..", "a/b", "a.b", &"x".repeat(65)] {
        assert!(matches!(blobs.stage(id).await, Err(BlobError::UploadId(_))), "{id}");
        assert!(matches!(blobs.resume(id).await, Err(BlobError::UploadId(_))), "{id}");
    }
}

#[tokio::test]
async fn many_pushes_of_the_same_blob_all_succeed() {
    let (_dir, blobs) = folder();
    let content_ = vec![42; 3 * 1024 * 1024];
    let digest = Digest::of(&content_);
    let pushes = (0..8).map(|_| blobs.put_bytes(&digest, &content_));
    futures_util::future::try_join_all(pushes).await.expect("all finished");
    assert_eq!(content(&blobs, &digest).await, Some(content_));
    assert!(blobs.staging_ids().await.expect("ids").is_empty());
}

#[tokio::test]
async fn ranges_are_read_and_checked() {
    let (_dir, blobs) = folder();
    let digest = Digest::of(b"0123456789");
    blobs.put_bytes(&digest, b"0123456789").await.expect("put");
    for (start, end, expect) in [(0, 10, "0123456789"), (0, 1, "0"), (3, 6, "345"), (9, 10, "9")] {
        let reader = blobs.get_range(&digest, 10, start..end).await.expect("a range").expect("a blob");
        assert_eq!(reader.size, 10);
        let pieces: Vec<Bytes> = reader.into_stream().try_collect().await.expect("read");
        assert_eq!(pieces.concat(), expect.as_bytes());
    }
    for (start, end) in [(0, 11), (10, 10), (4, 4), (5, 4), (u64::MAX, u64::MAX)] {
        let error = blobs.get_range(&digest, 10, start..end).await.expect_err("outside");
        assert!(matches!(error, BlobError::RangeNotSatisfiable { size: 10, .. }), "{start}..{end}");
    }
    assert!(blobs.get_range(&Digest::of(b"other"), 10, 0..1).await.expect("no error").is_none());
}

#[tokio::test]
async fn limits_hold_for_what_is_read_whole() {
    let (_dir, blobs) = folder();
    let digest = Digest::of(b"four");
    blobs.put_bytes(&digest, b"four").await.expect("put");
    assert_eq!(blobs.get_bytes(&digest, 4).await.expect("fits").as_deref(), Some(&b"four"[..]));
    assert!(matches!(blobs.get_bytes(&digest, 3).await, Err(BlobError::TooLarge { limit: 3 })));
}

#[tokio::test]
async fn a_removed_blob_is_gone_but_its_readers_finish() {
    let (_dir, blobs) = folder();
    let digest = Digest::of(b"bytes");
    drop(blobs.put_bytes(&digest, b"bytes").await.expect("put"));
    let reader = blobs.get(&digest, 5).await.expect("open").expect("a blob");
    assert_eq!(remove(&blobs, &digest).await, Some(5));
    assert_eq!(remove(&blobs, &digest).await, Some(0));
    assert!(!blobs.has(&digest, 5).await.expect("looked"));
    assert_eq!(content(&blobs, &digest).await, None);
    let pieces: Vec<Bytes> = reader.into_stream().try_collect().await.expect("read");
    assert_eq!(pieces.concat(), b"bytes");
}

const NOW: Timestamp = Timestamp::from_secs(1_000);

async fn remove(blobs: &Blobs, digest: &Digest) -> Option<u64> {
    blobs.remove(digest, NOW, || false).await.expect("removed")
}

#[tokio::test]
async fn what_is_pinned_promised_or_wanted_is_not_removed() {
    let (_dir, blobs) = folder();
    let digest = Digest::of(b"bytes");
    let kept = blobs.put_bytes(&digest, b"bytes").await.expect("put");
    assert_eq!(remove(&blobs, &digest).await, None);
    drop(kept);
    assert_eq!(blobs.remove(&digest, NOW, || true).await.expect("asked"), None);
    assert!(blobs.promise(&digest, NOW.plus_secs(1)));
    assert_eq!(remove(&blobs, &digest).await, None);
    assert!(blobs.condemn(&digest, NOW).is_none());
    assert_eq!(blobs.remove(&digest, NOW.plus_secs(1), || false).await.expect("removed"), Some(5));
}

#[tokio::test]
async fn what_is_condemned_is_promised_to_nobody_and_saved_by_an_upload() {
    let (_dir, blobs) = folder();
    let digest = Digest::of(b"bytes");
    drop(blobs.put_bytes(&digest, b"bytes").await.expect("put"));
    let condemned = blobs.condemn(&digest, NOW).expect("free");
    assert!(blobs.condemn(&digest, NOW).is_none());
    assert!(!blobs.promise(&digest, NOW));
    assert!(condemned.stands());
    let kept = blobs.put_bytes(&digest, b"bytes").await.expect("put");
    assert!(!condemned.stands());
    drop((condemned, kept));
    assert!(blobs.promise(&digest, NOW));
    blobs.forget_promises(NOW);
    assert!(blobs.condemn(&digest, NOW).is_some());
}

#[tokio::test]
async fn every_blob_is_listed() {
    let (dir, blobs) = folder();
    let digests: BTreeSet<Digest> = (0..20_u8).map(|n| Digest::of(&[n])).collect();
    for (n, digest) in (0..20_u8).map(|n| (n, Digest::of(&[n]))) {
        blobs.put_bytes(&digest, &[n]).await.expect("put");
    }
    damage(&dir, &Digest::of(&[7]), |bytes| bytes[0] = 8);
    let again = restarted(&dir);
    assert!(matches!(again.get_bytes(&Digest::of(&[7]), 9).await, Err(BlobError::Damaged(_))));
    fs::write(dir.path().join("blobs/quarantine/readme"), b"x").expect("written");
    assert_eq!(again.digests().await.expect("listed"), digests);
}

/// Changes a blob's file as a bad disk does.
fn damage(dir: &TempDir, digest: &Digest, change: impl FnOnce(&mut Vec<u8>)) {
    let path = dir.path().join("blobs/sha256").join(&digest.hex()[..2]).join(digest.hex());
    let mut bytes = fs::read(&path).expect("a blob");
    change(&mut bytes);
    fs::write(&path, bytes).expect("damaged");
}

/// What a reader of the whole gets before the error that its stream must end in.
async fn cut(blobs: &Blobs, digest: &Digest, size: u64) -> usize {
    let mut stream = blobs.get(digest, size).await.expect("open").expect("a blob").into_stream();
    let mut got = 0;
    loop {
        match stream.next().await.expect("an error before the end") {
            Ok(piece) => got += piece.len(),
            Err(error) => {
                assert!(error.to_string().contains("is damaged and was set aside"), "{error}");
                assert!(stream.next().await.is_none());
                return got;
            }
        }
    }
}

#[tokio::test]
async fn damaged_content_is_cut_off_set_aside_and_healed_by_an_upload() {
    let (dir, blobs) = folder();
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 3) as u8).collect();
    for content in [b"small".to_vec(), large] {
        let (digest, size) = (Digest::of(&content), content.len() as u64);
        drop(blobs.put_bytes(&digest, &content).await.expect("put"));
        for place in [0, content.len() / 2, content.len() - 1] {
            let blobs = restarted(&dir);
            damage(&dir, &digest, |bytes| bytes[place] ^= 1);
            assert!(cut(&blobs, &digest, size).await < content.len());
            assert!(blobs.get(&digest, size).await.expect("open").is_none());
            assert!(!blobs.has(&digest, size).await.expect("looked"));
            assert_eq!(blobs.missing(vec![(digest.clone(), size)]).await.expect("looked"), Some(digest.clone()));
            drop(blobs.put_bytes(&digest, &content).await.expect("healed"));
            assert!(restarted(&dir).get_bytes(&digest, size).await.expect("sound").is_some());
            assert_eq!(fs::read_dir(dir.path().join("blobs/quarantine")).expect("listed").count(), 0);
        }
    }
}

/// Whether a reader of the blob would not hash it.
fn is_known_sound(blobs: &Blobs, digest: &Digest) -> bool {
    BlobReader::open(&blobs.folder, digest).expect("open").expect("a blob").is_known_sound()
}

#[tokio::test]
async fn what_was_hashed_is_not_hashed_again_until_somebody_writes_to_it() {
    let (dir, blobs) = folder();
    let large = vec![7; 1_000_000];
    let digest = Digest::of(&large);
    let mut staged = blobs.stage("one").await.expect("staged");
    append(&mut staged, &[&large]).await;
    drop(staged.finish(&digest).await.expect("finished"));
    assert!(is_known_sound(&blobs, &digest));

    let blobs = restarted(&dir);
    assert!(!is_known_sound(&blobs, &digest));
    content(&blobs, &digest).await.expect("sound");
    assert!(is_known_sound(&blobs, &digest));
    // The kernel's clock for files may stand still for some milliseconds.
    while is_known_sound(&blobs, &digest) {
        damage(&dir, &digest, |bytes| bytes[9] = 8);
    }
    assert!(cut(&blobs, &digest, 1_000_000).await < 1_000_000);
    assert!(blobs.get_range(&digest, 1_000_000, 0..2).await.expect("asked").is_none());
}

#[tokio::test]
async fn what_is_known_to_be_sound_is_streamed_whole_or_ends_in_an_error() {
    let (dir, blobs) = folder();
    for size in [1, 128 * 1024, 128 * 1024 + 1, 1_000_000] {
        let large: Vec<u8> = (0..size).map(|n: u32| (n / 5) as u8).collect();
        let (digest, size) = (Digest::of(&large), u64::from(size));
        drop(blobs.put_bytes(&digest, &large).await.expect("put"));
        let reader = blobs.get(&digest, size).await.expect("open").expect("a blob");
        assert!(reader.is_known_sound());
        let pieces: Vec<Bytes> = reader.into_stream().try_collect().await.expect("read");
        assert_eq!(pieces.concat(), large);

        let reader = blobs.get(&digest, size).await.expect("open").expect("a blob");
        damage(&dir, &digest, |bytes| bytes.truncate(bytes.len() - 1));
        let pieces: Result<Vec<Bytes>, _> = reader.into_stream().try_collect().await;
        let error = pieces.expect_err("too short").to_string();
        assert!(error.contains("is damaged and was set aside"), "{error}");
        assert!(blobs.get(&digest, size).await.expect("open").is_none());
    }
}

#[tokio::test]
async fn a_truncated_blob_is_none() {
    let (dir, blobs) = folder();
    let digest = Digest::of(b"0123456789");
    drop(blobs.put_bytes(&digest, b"0123456789").await.expect("put"));
    damage(&dir, &digest, |bytes| bytes.truncate(9));
    let blobs = restarted(&dir);
    assert!(!blobs.has(&digest, 10).await.expect("looked"));
    assert!(blobs.get(&digest, 10).await.expect("open").is_none());
    assert!(dir.path().join("blobs/quarantine").join(digest.hex()).exists());
}

#[tokio::test]
async fn no_part_of_a_damaged_blob_is_served() {
    let (dir, blobs) = folder();
    let digest = Digest::of(b"0123456789");
    drop(blobs.put_bytes(&digest, b"0123456789").await.expect("put"));
    damage(&dir, &digest, |bytes| bytes[9] = b'8');
    assert!(blobs.get_range(&digest, 10, 0..2).await.expect("asked").is_none());
    assert!(blobs.get_range(&digest, 10, 0..2).await.expect("asked").is_none());
}

#[tokio::test]
async fn nobody_else_may_read_the_folder() {
    let (dir, blobs) = folder();
    blobs.put_bytes(&Digest::of(b"x"), b"x").await.expect("put");
    blobs.stage("one").await.expect("staged");
    let mut files = 0;
    check_modes(&dir.path().join("blobs"), &mut files);
    assert_eq!(files, 2);
}

fn check_modes(dir: &Path, files: &mut u32) {
    for entry in fs::read_dir(dir).expect("listed") {
        let entry = entry.expect("an entry");
        let metadata = entry.metadata().expect("metadata");
        let mode = metadata.permissions().mode() & 0o7777;
        if metadata.is_dir() {
            assert_eq!(mode, 0o700, "{}", entry.path().display());
            check_modes(&entry.path(), files);
        } else {
            assert_eq!(mode, 0o600, "{}", entry.path().display());
            *files += 1;
        }
    }
}
