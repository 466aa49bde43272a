//! Content on a disk that fills up.

use super::append;
use crate::{AMPLE_BYTES, BlobError, Blobs, RESERVE_BYTES};
use bytes::Bytes;
use futures_util::stream;
use oci::Digest;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const PIECE: u64 = 256 << 10;

/// Bytes in files below a folder.
fn held(folder: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() { held(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}

/// A folder on a disk that has room for so many bytes above the reserve.
fn folder(room: u64) -> (TempDir, Blobs, impl Fn() -> u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let root: PathBuf = dir.path().join("blobs");
    let (disk, looked) = (root.clone(), root.clone());
    let free = move || Ok((RESERVE_BYTES + room).saturating_sub(held(&disk)?));
    let blobs = Blobs::open_on(root, Arc::new(free)).expect("blobs");
    (dir, blobs, move || held(&looked).expect("listed"))
}

fn pieces(count: u64) -> stream::Iter<std::vec::IntoIter<io::Result<Bytes>>> {
    let piece = Bytes::from(vec![7; usize::try_from(PIECE).expect("small")]);
    stream::iter((0..count).map(|_| Ok(piece.clone())).collect::<Vec<_>>())
}

#[tokio::test]
async fn what_finds_no_room_leaves_nothing_and_can_be_sent_again() {
    let (_dir, blobs, held) = folder(40 * PIECE);
    let mut staged = blobs.stage("one").await.expect("staged");
    assert_eq!(staged.append(pieces(8)).await.expect("room"), 8 * PIECE);
    let error = staged.append(pieces(40)).await.expect_err("no room");
    assert!(matches!(&error, BlobError::NoRoom(_)), "{error}");
    assert!(error.to_string().contains("64 MiB stay free for the server's own state"), "{error}");
    assert_eq!((staged.len(), held()), (8 * PIECE, 8 * PIECE), "what was acknowledged stays, and nothing else");

    assert_eq!(staged.append(pieces(8)).await.expect("room"), 16 * PIECE);
    let whole = vec![7; usize::try_from(16 * PIECE).expect("small")];
    staged.finish(&Digest::of(&whole)).await.expect("what was cut off left no trace in the digest");
}

#[tokio::test]
async fn the_reserve_is_not_for_content() {
    let (_dir, blobs, held) = folder(PIECE);
    blobs.check_room().await.expect("room");
    let (small, large) = (vec![1; 10], vec![2; usize::try_from(PIECE).expect("small")]);
    blobs.put_bytes(&Digest::of(&small), &small).await.expect("room");
    let refused = blobs.put_bytes(&Digest::of(&large), &large).await;
    assert!(matches!(refused, Err(BlobError::NoRoom(_))));
    assert_eq!(held(), 10);

    let (_dir, blobs, _) = folder(0);
    blobs.check_room().await.expect("the reserve is whole");
    let mut staged = blobs.stage("one").await.expect("staged");
    assert_eq!(append(&mut staged, &[]).await, 0);
    let one = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"x"))]);
    assert!(matches!(staged.append(one).await, Err(BlobError::NoRoom(_))));
}

#[tokio::test]
async fn those_who_write_at_once_share_the_room() {
    let (_dir, blobs, held) = folder(12 * PIECE);
    let uploads = (0..4).map(|id| {
        let blobs = blobs.clone();
        tokio::spawn(async move {
            let mut staged = blobs.stage(&id.to_string()).await.expect("staged");
            staged.append(pieces(8)).await.is_ok()
        })
    });
    let mut taken = 0;
    for upload in uploads.collect::<Vec<_>>() {
        taken += u64::from(upload.await.expect("no panic"));
    }
    assert!(taken <= 1, "{taken}");
    assert_eq!(held(), taken * 8 * PIECE);
}

#[tokio::test]
async fn ample_room_is_more_than_the_reserve() {
    assert!(folder(AMPLE_BYTES).1.has_ample_room());
    assert!(!folder(0).1.has_ample_room());
}
