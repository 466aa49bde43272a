//! Every limit of this room, with its source.

/// Events in one append: PutLogEvents.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>
pub const APPEND_EVENTS_MAX: usize = 10_000;

/// Bytes in one append, [`EVENT_OVERHEAD_BYTES`] counted for each event: PutLogEvents.
pub const APPEND_BYTES_MAX: usize = 1_048_576;

/// What an event counts beside its message, in bytes: PutLogEvents.
pub const EVENT_OVERHEAD_BYTES: usize = 26;

/// Events in one page: GetLogEvents and FilterLogEvents.
pub const PAGE_EVENTS_MAX: usize = 10_000;

/// Bytes in one page, [`EVENT_OVERHEAD_BYTES`] counted for each event: GetLogEvents. A page holds
/// at least one event.
pub const PAGE_BYTES_MAX: usize = 1_048_576;

/// Bytes that one page of a filter looks at before it answers with what it has. Ours: AWS also
/// answers partial pages, and bounds them by time.
pub const FILTER_SCAN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of a group's or stream's name: 512 characters (CreateLogGroup, CreateLogStream) of at
/// most four bytes each.
pub const NAME_BYTES_MAX: usize = 2048;

/// Bytes of a batch token's producer. Ours: a container's and a task's id fit several times.
pub const PRODUCER_BYTES_MAX: usize = 256;

/// Bytes of audit records in one append or read. Ours: 16 records of CloudTrail's largest
/// (256 KB) fit.
pub const TRAIL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of appends that may wait for the writer; more wait at the door. Ours: 16 appends of the
/// largest size.
pub(crate) const QUEUE_BYTES_MAX: usize = 16 * APPEND_BYTES_MAX;

/// Appends that may wait for the writer; more wait at the door. Ours.
pub(crate) const QUEUE_APPENDS_MAX: usize = 1024;

/// Bytes after which a commit takes no further append. Ours: keeps one batch, which fjall holds in
/// memory, to a few megabytes.
pub(crate) const COMMIT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Rows that one slice of a drop looks at, so that appends wait a few milliseconds at most. Ours.
pub(crate) const DROP_ROWS_MAX: usize = 1000;

/// Bytes of events that fjall gathers in memory before it writes a table. Up to four more may wait
/// for the disk. Ours: memory stays flat.
pub(crate) const EVENTS_MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;

/// The same for the catalog and the trail.
pub(crate) const ROWS_MEMTABLE_BYTES: u64 = 4 * 1024 * 1024;

/// Bytes of an uncompressed block of events. Ours: a page reads many neighbours, and larger blocks
/// compress better; fjall's guide names 16 to 64 KiB for that.
pub(crate) const EVENTS_BLOCK_BYTES: u32 = 16 * 1024;

/// Bytes of decompressed blocks that fjall keeps. Ours.
pub(crate) const CACHE_BYTES: u64 = 8 * 1024 * 1024;

/// Bytes of journals before fjall flushes the keyspace that holds the oldest back. Ours: twice the
/// journal that fjall preallocates.
pub(crate) const JOURNAL_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// fjall's threads for flushing and compaction: one of them always has time to flush.
pub(crate) const FJALL_THREADS: usize = 2;
