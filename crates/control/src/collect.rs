//! The collector: what of the registry nobody needs any more goes, after a grace.
//!
//! Rows go before bytes, so that a crash in between leaves bytes without a row, which a later turn finds; but an
//! upload's bytes, which nobody else has, go before its row.
//! `plan::garbage` says what is unneeded; what is pinned or promised in the blob store stays. When
//! something was first seen unneeded is remembered in memory alone: a restart prolongs its stay.

use base::{ApiError, Timestamp};
use blobs::{BlobError, Condemned};
use oci::Digest;
use plan::garbage::{is_given_up, is_loose, is_over, is_wanted, loose, old_uploads, upload_idle_max_ms};
use request::Requests;
use state::{IMAGES, LAYERS, Layer, UPLOADS, Upload};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use store::{CHANGED_ROWS_MAX, Commit, Key, Table, Tx, key};

/// Between two turns without an occasion. Ours: small beside the grace.
const INTERVAL: Duration = Duration::from_secs(5 * 60);
/// How long deletions gather before a turn.
const GATHER: Duration = Duration::from_secs(5);

/// Collects until the future is dropped: at an interval, and after deletions.
pub async fn run(requests: &Requests) {
    let mut collector = Collector::new(requests.clone());
    let mut feed = requests.feed();
    loop {
        match collector.turn().await {
            Ok(collected) if collected != Collected::default() => tracing::info!(?collected, "collected garbage"),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "garbage could not be collected"),
        }
        let deleted = async {
            // After a lag too: many commits were missed, and some may have deleted.
            while feed.next().await.is_ok_and(|commit| !deletes(&commit)) {}
            tokio::time::sleep(GATHER).await;
        };
        let _ = tokio::time::timeout(INTERVAL, deleted).await;
    }
}

fn deletes(commit: &Commit) -> bool {
    commit.changes.iter().any(|change| {
        let image = change.of(IMAGES).is_some_and(|(_, after)| after.is_none());
        image || change.of(LAYERS).is_some_and(|(_, after)| after.is_none())
    })
}

/// What one turn took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Uploads that nobody goes on with.
    pub uploads: usize,
    /// Rows of layers.
    pub layers: usize,
    pub blobs: usize,
    /// Bytes of those blobs.
    pub bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error(transparent)]
    Store(#[from] ApiError),
}

/// Remembers since when what is unneeded.
pub struct Collector {
    requests: Requests,
    layers: BTreeMap<Key, Timestamp>,
    blobs: BTreeMap<Digest, Timestamp>,
}

impl Collector {
    pub fn new(requests: Requests) -> Self {
        Self { requests, layers: BTreeMap::new(), blobs: BTreeMap::new() }
    }

    /// Takes away what is unneeded for long enough. One turn at a time.
    pub async fn turn(&mut self) -> Result<Collected, CollectError> {
        let now = self.requests.now();
        self.requests.blobs().forget_promises(now);
        let uploads = self.take_uploads(now).await?;
        let layers = self.take_layers(now).await?;
        let (blobs, bytes) = self.take_blobs(now).await?;
        Ok(Collected { uploads, layers, blobs, bytes })
    }

    /// Uploads without a byte for a day, or less where room is short, and staged files that no row knows.
    async fn take_uploads(&self, now: Timestamp) -> Result<usize, CollectError> {
        let idle_max_ms = upload_idle_max_ms(self.requests.blobs().has_ample_room());
        let (old, known): (Vec<Upload>, BTreeSet<String>) = {
            let view = self.requests.view();
            let known = view.scan(UPLOADS, &key![]).map(|upload| upload.id.clone()).collect();
            (old_uploads(&view, now, idle_max_ms).cloned().collect(), known)
        };
        let mut taken = 0;
        for upload in old {
            taken += usize::from(self.take_upload(&upload.id, Some(UPLOADS::key(&upload)), now, idle_max_ms).await?);
        }
        for id in self.requests.blobs().staging_ids().await? {
            if !known.contains(&id) {
                taken += usize::from(self.take_upload(&id, None, now, idle_max_ms).await?);
            }
        }
        Ok(taken)
    }

    /// Bytes first: without room for them a row cannot be taken away either, and the next turn finds it. An upload
    /// that a request holds, or that got bytes lately, stays.
    async fn take_upload(
        &self,
        id: &str,
        row: Option<Key>,
        now: Timestamp,
        idle_max_ms: i64,
    ) -> Result<bool, CollectError> {
        let staged = match self.requests.blobs().resume(id).await {
            Ok(staged) if !is_given_up(staged.changed_at(), now, idle_max_ms) => return Ok(false),
            Ok(staged) => Some(staged),
            Err(BlobError::UploadBusy(_)) => return Ok(false),
            Err(BlobError::UploadNotFound(_)) if row.is_some() => None,
            // Ended by itself, or a file that is none of ours.
            Err(BlobError::UploadNotFound(_) | BlobError::UploadId(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if let Some(staged) = staged {
            staged.abort().await?;
        }
        if let Some(row) = row {
            let delete = move |tx: &mut Tx| Ok(tx.delete(UPLOADS, &row));
            self.requests.transact(delete).await?;
        }
        tracing::info!(id, minutes = idle_max_ms / 60_000, "an upload that got no bytes for so long is gone");
        Ok(true)
    }

    async fn take_layers(&mut self, now: Timestamp) -> Result<usize, CollectError> {
        let due: Vec<Layer> = {
            let view = self.requests.view();
            let seen = loose(&view).map(|layer| (LAYERS::key(layer), layer));
            let due = remember(&mut self.layers, seen, now);
            due.into_iter().map(|(_, layer)| layer.clone()).collect()
        };
        let mut taken = 0;
        for some in due.chunks(CHANGED_ROWS_MAX) {
            taken += self.take_rows(some, now).await?;
        }
        Ok(taken)
    }

    /// Takes those rows away that are unneeded still at the moment of the transaction.
    async fn take_rows(&mut self, layers: &[Layer], now: Timestamp) -> Result<usize, CollectError> {
        let digests: BTreeSet<Digest> = layers.iter().filter_map(|layer| layer.digest.parse().ok()).collect();
        let condemn = |digest: &Digest| Some((digest.as_str().to_owned(), self.requests.blobs().condemn(digest, now)?));
        let condemned: BTreeMap<String, Condemned> = digests.iter().filter_map(condemn).collect();
        let layers = layers.to_vec();
        let delete = move |tx: &mut Tx| {
            let stands = |layer: &&Layer| condemned.get(&layer.digest).is_some_and(Condemned::stands);
            let gone = layers.iter().filter(stands).filter(|layer| is_loose(tx, layer));
            let gone: Vec<Key> = gone.map(LAYERS::key).collect();
            for key in &gone {
                tx.delete(LAYERS, key);
            }
            // Until this is durable nobody may be promised what it takes away.
            Ok((gone, condemned))
        };
        let (gone, _condemned) = self.requests.transact(delete).await?;
        self.layers.retain(|key, _| !gone.contains(key));
        Ok(gone.len())
    }

    async fn take_blobs(&mut self, now: Timestamp) -> Result<(usize, u64), CollectError> {
        let digests = self.requests.blobs().digests().await?;
        let due: Vec<Digest> = {
            let view = self.requests.view();
            let seen = digests.into_iter().filter(|digest| !is_wanted(&view, digest)).map(|digest| (digest, ()));
            remember(&mut self.blobs, seen, now).into_iter().map(|(digest, ())| digest).collect()
        };
        let (mut blobs, mut bytes) = (0, 0);
        for digest in due {
            let (requests, wanted) = (self.requests.clone(), digest.clone());
            let is_wanted = move || is_wanted(&requests.view(), &wanted);
            if let Some(free) = self.requests.blobs().remove(&digest, now, is_wanted).await? {
                self.blobs.remove(&digest);
                (blobs, bytes) = (blobs + 1, bytes + free);
            }
        }
        Ok((blobs, bytes))
    }
}

/// Notes what is seen for the first time, forgets what is seen no more, and answers what may go.
fn remember<K: Ord + Clone, V>(
    since: &mut BTreeMap<K, Timestamp>,
    seen: impl Iterator<Item = (K, V)>,
    now: Timestamp,
) -> Vec<(K, V)> {
    let mut still = BTreeMap::new();
    let mut due = Vec::new();
    for (key, value) in seen {
        let first = since.get(&key).copied().unwrap_or(now);
        still.insert(key.clone(), first);
        if is_over(first, now) {
            due.push((key, value));
        }
    }
    *since = still;
    due
}
