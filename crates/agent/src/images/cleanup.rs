//! House-keeping: what nobody needs is removed, by age and when the disk fills up.
//!
//! An image goes when nobody holds it: first its record, then its layers, unless another image or a pull has them,
//! too. A layer loses its name before anything in it is removed, so that a kill in the middle leaves what is whole
//! or what the next process clears away, and nothing in between.
//!
//! What is left of stopped containers goes once it has been kept long enough, and before any image where the disk
//! fills up.

use super::catalog::Kept;
use super::options::{Cleanup, PullBehavior};
use super::{Images, Inner, blocking};
use base::Timestamp;
use oci::Digest;
use rustix::fs::statvfs;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How often the disk is looked at.
const DISK_CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// How often stopped containers are, at most: one that is kept for less is looked for when its time is over.
const REMAINS_CHECK_INTERVAL_MAX: Duration = Duration::from_secs(10);
/// After removing by need, the disk has so many percent less than the mark.
const DISK_SLACK_PERCENT: u64 = 5;

/// One removal at a time.
#[derive(Default)]
pub(super) struct Room(Mutex<()>);

/// How much is removed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Extent {
    /// So many images, pulled before then.
    Old { before: Timestamp, count: usize },
    /// Until the disk is filled to so many percent.
    Full { percent: u64 },
}

impl Images {
    /// Keeps house until it is dropped.
    pub async fn keep_house(self) {
        let Cleanup { interval, minimum_age, images_per_cycle, task_wait, disk_high_water_percent, .. } =
            self.0.registries.options().cleanup;
        let every = |period| {
            let mut ticks = interval_at(Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut cycle, mut disk) = (every(interval), every(DISK_CHECK_INTERVAL));
        let mut remains = every(task_wait.min(REMAINS_CHECK_INTERVAL_MAX));
        loop {
            tokio::select! {
                _ = remains.tick() => self.remove_remains(task_wait).await,
                _ = cycle.tick(), if self.0.removes_images() => {
                    let age_ms = i64::try_from(minimum_age.as_millis()).unwrap_or(i64::MAX);
                    let before = Timestamp::from_millis(client::now().as_millis().saturating_sub(age_ms));
                    self.remove(Extent::Old { before, count: images_per_cycle }).await;
                }
                _ = disk.tick() => {
                    if filled_percent(&self.0.data).is_ok_and(|percent| percent >= disk_high_water_percent) {
                        self.remove_by_need(disk_high_water_percent).await;
                    }
                }
            }
        }
    }

    /// After a failure: where the disk is full, removes what nobody needs. Answers whether there was something.
    pub(super) async fn make_room(&self) -> bool {
        let mark = self.0.registries.options().cleanup.disk_high_water_percent;
        let full = || filled_percent(&self.0.data).is_ok_and(|percent| percent >= mark);
        full() && self.remove_by_need(mark).await > 0
    }

    async fn remove_remains(&self, wait: Duration) {
        let inner = self.0.clone();
        let before = SystemTime::now().checked_sub(wait).unwrap_or(SystemTime::UNIX_EPOCH);
        if let Err(error) = blocking(move || inner.remains.remove_before(before)).await {
            tracing::warn!(%error, "what is left of stopped containers could not be removed");
        }
    }

    async fn remove_by_need(&self, mark_percent: u64) -> usize {
        self.remove(Extent::Full { percent: mark_percent.saturating_sub(DISK_SLACK_PERCENT) }).await
    }

    /// Answers how many stopped containers, images and layers were removed.
    pub(super) async fn remove(&self, extent: Extent) -> usize {
        let _alone = self.0.room.0.lock().await;
        let inner = self.0.clone();
        let removing = move || {
            let remains = inner.remove_remains(extent)?;
            Ok(remains + if inner.removes_images() { inner.remove(extent)? } else { 0 })
        };
        match blocking(removing).await {
            Ok(count) => count,
            Err(error) => {
                tracing::warn!(%error, "what nobody needs could not be removed");
                0
            }
        }
    }
}

impl Inner {
    /// What is kept for preference is kept, as the ECS agent has it.
    fn removes_images(&self) -> bool {
        let options = self.registries.options();
        options.cleanup.enabled && options.pull_behavior != PullBehavior::PreferCached
    }

    /// By need alone: age is told from another clock than that of images. Blocks.
    fn remove_remains(&self, extent: Extent) -> io::Result<usize> {
        match extent {
            Extent::Old { .. } => Ok(0),
            Extent::Full { percent } => self.remains.remove_while(|| Ok(filled_percent(&self.data)? > percent)),
        }
    }

    /// Removes images, the one that was longest not used first. Blocks.
    pub(super) fn remove(&self, extent: Extent) -> io::Result<usize> {
        let mut kept = self.catalog.all()?;
        kept.sort_by_key(|image| image.used_at);
        let mut removed = self.remove_layers(&kept, extent)?;
        let mut images = 0;
        let mut at = 0;
        while at < kept.len() {
            let wanted = match extent {
                Extent::Old { before, count } => images < count && kept[at].record.pulled_at < before,
                Extent::Full { percent } => filled_percent(&self.data)? > percent,
            };
            let digest = &kept[at].digest;
            let forgotten = wanted.then(|| self.holds.unless_held(digest, || self.catalog.forget(digest)));
            match forgotten.flatten().transpose()? {
                None => at += 1,
                Some(()) => {
                    tracing::info!(%digest, "an image that nobody needs is removed");
                    images += 1;
                    kept.remove(at);
                    removed += 1 + self.remove_layers(&kept, extent)?;
                }
            }
        }
        Ok(removed)
    }

    /// Removes layers of no image: those of removed ones, and what failed pulls left.
    fn remove_layers(&self, kept: &[Kept], extent: Extent) -> io::Result<usize> {
        let needed: BTreeSet<&Digest> = kept.iter().flat_map(|image| &image.record.diff_ids).collect();
        let young = |since: SystemTime| match extent {
            Extent::Old { before, .. } => since >= SystemTime::UNIX_EPOCH + millis(before),
            Extent::Full { .. } => false,
        };
        let mut removed = 0;
        for (diff_id, since) in self.layers.all()? {
            if needed.contains(&diff_id) || young(since) {
                continue;
            }
            if self.holds.unless_held(&diff_id, || self.layers.retire(&diff_id)).transpose()?.is_some() {
                removed += 1;
            }
        }
        self.layers.remove_retired()?;
        Ok(removed)
    }
}

fn millis(time: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or_default())
}

/// How much of what the file system gives out is used, as df(1) counts it.
fn filled_percent(dir: &Path) -> io::Result<u64> {
    let disk = statvfs(dir)?;
    let used = disk.f_blocks.saturating_sub(disk.f_bfree);
    let usable = used.saturating_add(disk.f_bavail).max(1);
    Ok(used.saturating_mul(100).div_ceil(usable))
}
