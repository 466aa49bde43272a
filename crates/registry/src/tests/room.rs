//! Pushes to a disk that is full.

use super::{World, digest};
use blobs::{Disk, RESERVE_BYTES};
use control::Collected;
use plan::garbage::UPLOAD_IDLE_MAX_SHORT_MS;
use state::UPLOADS;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use store::{Engine, key};

/// A disk with so much free, less what is staged.
pub fn disk(dir: &Path, free: &Arc<AtomicU64>) -> Disk {
    let (staging, free) = (dir.join("blobs/staging"), free.clone());
    Arc::new(move || {
        // What vanishes meanwhile takes no room.
        let staged = fs::read_dir(&staging)?.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()));
        Ok(free.load(Ordering::SeqCst).saturating_sub(staged.sum()))
    })
}

impl World {
    /// The disk has so many bytes above the reserve.
    fn leave(&self, bytes: u64) {
        self.free.store(RESERVE_BYTES + bytes, Ordering::SeqCst);
    }

    fn staged(&self) -> (usize, u64) {
        let staging = fs::read_dir(self.dir.path().join("blobs/staging")).expect("listed");
        let sizes: Vec<u64> = staging.map(|entry| entry.expect("an entry").metadata().expect("a file").len()).collect();
        (self.requests.view().count(UPLOADS, &key![]), sizes.iter().sum())
    }
}

#[tokio::test]
async fn what_has_no_room_is_refused_with_the_reason_and_leaves_nothing() {
    let world = World::start().await;
    world.leave(5);
    let begun = world.send("POST /v2/web/blobs/uploads/", &[], "").await.expect(202, "");
    let address = begun.header("location").to_owned();
    let long = world.send(&format!("PATCH {address}"), &[], "too long").await.expect(507, "UNAVAILABLE");
    let said = long.message();
    assert!(said.starts_with("the registry's disk has no room for it: 64 MiB are free, of which 64 MiB"), "{said}");
    assert!(!said.contains(&*world.dir.path().to_string_lossy()), "{said}");
    assert_eq!(world.staged(), (1, 0));
    world.send(&format!("PATCH {address}"), &[], "abc").await.expect(202, "");
    let put = format!("PUT {address}?digest={}", digest("abcdefgh"));
    world.send(&put, &[], "defgh").await.expect(507, "UNAVAILABLE");
    assert_eq!(world.staged(), (1, 3), "what was acknowledged waits");
    let whole = format!("POST /v2/web/blobs/uploads/?digest={}", digest("too long"));
    world.send(&whole, &[], "too long").await.expect(507, "UNAVAILABLE");
    assert_eq!(world.staged(), (1, 3), "of what nobody can go on with nothing is left");
    world.send(&format!("DELETE {address}"), &[], "").await.expect(204, "");
    assert_eq!(world.staged(), (0, 0));

    world.free.store(RESERVE_BYTES - 1, Ordering::SeqCst);
    world.send("POST /v2/web/blobs/uploads/", &[], "").await.expect(507, "UNAVAILABLE");
    assert_eq!(world.staged(), (0, 0));
    world.leave(100);
    world.push_blob("web", b"room").await;
}

#[tokio::test]
async fn a_full_disk_is_freed_by_a_cancellation_though_no_row_can_be_written() {
    let world = World::start().await;
    let begun = world.send("POST /v2/web/blobs/uploads/", &[], "").await.expect(202, "");
    let address = begun.header("location").to_owned();
    world.send(&format!("PATCH {address}"), &[], "abc").await.expect(202, "");
    // Another takes the lead: the next commit fails, as on a full disk.
    world.engine.clone().load(&mut |_| {}).expect("loaded");
    let requests = world.requests.clone();
    let healing = tokio::spawn(async move {
        requests.store_failed().await;
        requests.reload_store().await
    });
    world.send(&format!("DELETE {address}"), &[], "").await.expect(204, "");
    healing.await.expect("no panic").expect("loaded again");
    assert_eq!(world.staged(), (0, 0));
}

#[tokio::test]
async fn a_cancellation_can_be_sent_again() {
    let world = World::start().await;
    let begun = world.send("POST /v2/web/blobs/uploads/", &[], "").await.expect(202, "");
    let address = begun.header("location").to_owned();
    let id = address.rsplit('/').next().expect("an id");
    // As a first one leaves it whose row could not be written.
    fs::remove_file(world.dir.path().join("blobs/staging").join(id)).expect("removed");
    world.send(&format!("DELETE {address}"), &[], "").await.expect(204, "");
    world.send(&format!("DELETE {address}"), &[], "").await.expect(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(world.staged(), (0, 0));
}

#[tokio::test]
async fn uploads_wait_less_long_where_room_is_short() {
    let world = World::start().await;
    let mut collector = world.collector();
    let begun = world.send("POST /v2/web/blobs/uploads/", &[], "").await.expect(202, "");
    let id = begun.header("docker-upload-uuid").to_owned();
    let file =
        File::options().write(true).open(world.dir.path().join("blobs/staging").join(id)).expect("a staged file");
    let now = u64::try_from(world.requests.now().as_millis()).expect("after 1970");
    file.set_modified(UNIX_EPOCH + Duration::from_millis(now)).expect("touched");
    world.pass(UPLOAD_IDLE_MAX_SHORT_MS / 1000);
    assert_eq!(collector.turn().await.expect("a turn"), Collected::default());
    world.leave(0);
    assert_eq!(collector.turn().await.expect("a turn").uploads, 1);
    assert_eq!(world.staged(), (0, 0));
}
