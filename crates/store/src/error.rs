use std::sync::Arc;

/// Why the store could not open, or did not keep a transaction.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("kind {kind:#06x} is declared by both {first} and {second}: give one of them a number of its own")]
    DuplicateKind { kind: u16, first: &'static str, second: &'static str },

    #[error("table {name} declares kind 0, which the engines keep for themselves: give it another number")]
    ReservedKind { name: &'static str },

    #[error(
        "the data holds rows of kind {kind:#06x}, which this version does not know: \
         start the version that wrote them, or a newer one"
    )]
    UnknownKind { kind: u16 },

    #[error("a row of {table} at {key} cannot be read: {source}")]
    Row { table: &'static str, key: String, source: Arc<RowError> },

    #[error(
        "the transaction changes {rows} rows of {bytes} bytes, more than {} rows or {} bytes: \
         split it into several",
        crate::CHANGED_ROWS_MAX,
        crate::CHANGED_BYTES_MAX
    )]
    TooLarge { rows: usize, bytes: usize },

    #[error("a key of {table} has {bytes} bytes, more than {}: use shorter names", crate::KEY_BYTES_MAX)]
    KeyTooLong { table: &'static str, bytes: usize },

    #[error("the transaction panicked and nothing of it was kept: {0}")]
    Panicked(Arc<str>),

    /// Until the next load, which the server tries by itself.
    #[error(
        "nothing can be written for now: {0}. The server tries again every few seconds: give its disk \
         room, or repair what it says, and send this again"
    )]
    Stopped(Arc<str>),

    #[error("the store's thread ended, see the log: restart the server")]
    Gone,

    #[error("this server stands by: {}", leads(leader.as_deref()))]
    Following { leader: Option<Arc<str>> },

    #[error("the operating system gave no thread to write from: {0}; raise the limit of threads")]
    Thread(Arc<std::io::Error>),

    #[error(transparent)]
    Engine(Arc<EngineError>),
}

fn leads(leader: Option<&str>) -> String {
    leader.map_or("send this to the server that leads".to_owned(), |leader| format!("{leader} leads, send this there"))
}

/// Why a row's bytes and its type do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    #[error("version {found} of the row has no migration to version {current}: start a version between the two first")]
    Version { found: u8, current: u8 },

    #[error("the value is empty, so the data is damaged: restore it from a backup")]
    Empty,

    #[error("the row belongs under another key, so the data is damaged: restore it from a backup")]
    Misplaced,

    #[error("decoding: {0}; the data is damaged, or the row changed without a new version")]
    Decode(String),

    #[error("encoding: {0}; the row's type must be serialisable as CBOR")]
    Encode(String),
}

/// Why an engine could not load or commit.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("{0}")]
    Storage(String),

    #[error("{path} holds data that this version cannot read: {why}")]
    Format { path: String, why: String },

    #[error("epoch {epoch} is over: {why}; load the rows again")]
    Fenced { epoch: u64, why: String },

    #[error("{place} is no engine: {why}")]
    Place { place: String, why: String },
}

/// Why a transaction has no [`Committed`](crate::Committed) answer.
#[derive(Debug, thiserror::Error)]
pub enum TransactError<E> {
    /// The transaction's own error. Nothing of it was kept; everything it saw is durable.
    #[error("{0}")]
    Refused(E),

    /// The store's. After [`StoreError::Stopped`] it is unknown until the next load whether the
    /// transaction was kept; after the others it was not.
    #[error(transparent)]
    Store(#[from] StoreError),
}
