//! Logs and the audit trail, stored in [fjall] keyspaces of their own.
//!
//! An append is durable before it is answered, and readable at once. One
//! writer thread gathers the appends that wait into one atomic batch with one
//! `fdatasync`, then answers them all. Reads take a snapshot and stream.
//!
//! What is where (key, then row; numbers are big-endian):
//! - `events`: stream number, timestamp, sequence; one row per event. The LSM tree
//!   keeps a stream's events together and in order, in lz4 blocks of 16 KiB,
//!   however small or late the appends were.
//! - `catalog`: groups and streams by name and generation with their statistics, the
//!   highest batch sequence of each producer, drops under way, the number counter.
//! - `trail`: account, region, sequence; one audit record per row.
//!
//! This room does not know AWS's error codes, policies, the state tables or a
//! clock: callers pass ingestion times, and generations that tell a group or
//! stream from a deleted one of the same name.

mod append;
mod drops;
mod error;
mod filter;
mod keys;
mod limits;
mod model;
mod position;
mod read;
mod reopen;
mod rows;
mod spaces;
mod stage;
mod trail;
mod view;
mod writer;

#[cfg(test)]
mod tests;

pub use error::TelemetryError;
pub use filter::{FilterPage, FilterQuery, FilteredEvent, Predicate, StreamSelection};
pub use limits::*;
pub use model::{
    Appended, Cursor, GroupId, GroupStats, Limits, LogEvent, Page, StoredEvent, StreamId, StreamStats, TimeRange,
};
pub use position::Position;

use reopen::Slot;
use stage::Stage;
use std::path::Path;
use std::sync::Arc;
use view::View;

/// The telemetry of one installation. Clones share one store; the last one to go closes it.
#[derive(Clone)]
pub struct Telemetry {
    slot: Arc<Slot>,
}

impl Telemetry {
    /// Opens the store in `dir`, making it if absent, and replays what was acknowledged
    /// before a crash. Blocks on the disk.
    ///
    /// # Errors
    /// [`TelemetryError::Locked`] while another process has it open, [`TelemetryError::Format`]
    /// when a newer version wrote it, [`TelemetryError::Storage`] otherwise.
    pub fn open(dir: &Path) -> Result<Self, TelemetryError> {
        Ok(Self { slot: Arc::new(Slot::open(dir)?) })
    }

    /// Stores events at the end of a stream; the answer comes once they are on the disk.
    ///
    /// `ingestion_ms` is the caller's clock, epoch milliseconds. `batch` is the
    /// agent's `x-longshore-batch` token, `producer:sequence`: a sequence that is not above the
    /// producer's highest in this stream is acknowledged as [`Appended::Repeat`] and not stored.
    ///
    /// # Errors
    /// [`TelemetryError::Deleted`] when group or stream has been deleted,
    /// [`TelemetryError::TooLarge`] beyond [`APPEND_EVENTS_MAX`] or [`APPEND_BYTES_MAX`],
    /// [`TelemetryError::BatchToken`] for a malformed token. Then nothing was stored.
    pub async fn append(
        &self,
        stream: &StreamId,
        events: Vec<LogEvent>,
        ingestion_ms: i64,
        batch: Option<&str>,
    ) -> Result<Appended, TelemetryError> {
        let append = append::Append::new(stream, events, ingestion_ms, batch)?;
        self.write(append.bytes(), move |stage| append.stage(stage)).await
    }

    /// One page of a stream, ordered by timestamp, then arrival: GetLogEvents.
    ///
    /// A stream that nothing was appended to has empty pages. The page's positions continue it in
    /// both directions; where nothing is left, they are the position that was asked from.
    /// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html>
    ///
    /// # Errors
    /// [`TelemetryError::Storage`] or [`TelemetryError::Damaged`] when the disk cannot be read.
    pub async fn get(
        &self,
        stream: &StreamId,
        range: TimeRange,
        from: Cursor,
        limits: Limits,
    ) -> Result<Page, TelemetryError> {
        let stream = stream.clone();
        self.read(move |view| read::page(&view, &stream, range, from, limits)).await
    }

    /// The events of a group that `matches` accepts, merged over its streams by timestamp, then
    /// arrival: FilterLogEvents.
    ///
    /// A page ends early after [`FILTER_SCAN_BYTES_MAX`], so it may be empty and still have a
    /// `next`. `matches` runs on a blocking thread, once per event in range.
    /// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>
    ///
    /// # Errors
    /// [`TelemetryError::Storage`] or [`TelemetryError::Damaged`] when the disk cannot be read.
    pub async fn filter(&self, query: FilterQuery, matches: Predicate) -> Result<FilterPage, TelemetryError> {
        self.read(move |view| filter::page(&view, &query, &*matches)).await
    }

    /// What a stream holds; `None` before its first append and after its deletion.
    pub async fn stream_stats(&self, stream: &StreamId) -> Result<Option<StreamStats>, TelemetryError> {
        let stream = stream.clone();
        self.read(move |view| Ok(view.stream(&stream)?.map(|row| row.stats()))).await
    }

    /// What a group holds; `None` before its first append and after its deletion.
    pub async fn group_stats(&self, group: &GroupId) -> Result<Option<GroupStats>, TelemetryError> {
        let group = group.clone();
        self.read(move |view| Ok(view.group(&group)?.map(|row| GroupStats { stored_bytes: row.stored_bytes }))).await
    }

    /// Deletes a stream: nothing of it is readable once this answers, appends to it are refused
    /// from then on, and its space is freed in the background, also across restarts.
    pub async fn delete_stream(&self, stream: &StreamId) -> Result<(), TelemetryError> {
        stream.check()?;
        let stream = stream.clone();
        self.write(0, move |stage| drops::delete_stream(stage, &stream)).await
    }

    /// Deletes a group with all its streams, as [`Telemetry::delete_stream`] does one.
    pub async fn delete_group(&self, group: &GroupId) -> Result<(), TelemetryError> {
        group.check()?;
        let group = group.clone();
        self.write(0, move |stage| drops::delete_group(stage, &group)).await
    }

    /// Retention: drops the events of a group that are stored now and older than `before_ms`,
    /// in the background. What is appended later stays, whatever its timestamp.
    pub async fn expire(&self, group: &GroupId, before_ms: i64) -> Result<(), TelemetryError> {
        group.check()?;
        let group = group.clone();
        self.write(0, move |stage| drops::expire(stage, &group, before_ms)).await
    }

    /// Appends audit records, each a sequence and its JSON; the answer comes once they are on the
    /// disk. A sequence that is already there is acknowledged and keeps its first record.
    ///
    /// # Errors
    /// [`TelemetryError::TooLarge`] beyond [`TRAIL_BYTES_MAX`]: send fewer at a time.
    pub async fn append_trail(
        &self,
        account: &str,
        region: &str,
        records: Vec<(u64, Vec<u8>)>,
    ) -> Result<(), TelemetryError> {
        let append = trail::Append::new(account, region, records)?;
        self.write(append.bytes(), move |stage| append.stage(stage)).await
    }

    /// The highest sequence in an account's and region's trail; `None` while it is empty.
    pub async fn last_trail_sequence(&self, account: &str, region: &str) -> Result<Option<u64>, TelemetryError> {
        let prefix = keys::trail_of(account, region)?;
        self.read(move |view| trail::last_sequence(&view, &prefix)).await
    }

    /// Audit records in order of sequence, from `from` on: at most `limit`, and no more than
    /// [`TRAIL_BYTES_MAX`] unless the first alone is larger.
    pub async fn read_trail(
        &self,
        account: &str,
        region: &str,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, TelemetryError> {
        let prefix = keys::trail_of(account, region)?;
        self.read(move |view| trail::read(&view, &prefix, from, limit)).await
    }

    async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&mut Stage) -> Result<T, TelemetryError> + Send + 'static,
    ) -> Result<T, TelemetryError> {
        let store = self.slot.writable().await?;
        let written = store.writer.submit(bytes, work).await;
        match written {
            Err(TelemetryError::Storage(error)) => Err(self.slot.note(&store, error)),
            written => written,
        }
    }

    /// Runs a read on a blocking thread: it may wait for the disk.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(View) -> Result<T, TelemetryError> + Send + 'static,
    ) -> Result<T, TelemetryError> {
        let store = self.slot.readable().await?;
        let reading = tokio::task::spawn_blocking(move || work(View::new(&store.spaces)));
        reading.await.map_err(|_| TelemetryError::Stopped)?
    }
}
