//! One container's shipper: gathers, notes, sends, gives room back.

use super::LogEvent;
use super::batch::{Batch, Cursor};
use crate::backoff::Backoff;
use crate::drivers::files::{Durable, is_full, read_json, replace_json};
use crate::drivers::spool::Record;
use crate::drivers::{Error, Output};
use crate::order::AwsLogs;
use client::{AwsClient, CallError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long more output is waited for once there is some: a reader sees it soon, and a talkative
/// container does not make a call for each line.
const GATHER_TIME: Duration = Duration::from_millis(50);
/// Pauses between attempts to send a batch, or to note on a full disk that it is sent.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// The header that makes a repeated batch recognisable: `producer:sequence`.
const BATCH_HEADER: &str = "x-longshore-batch";

/// Where a container's output is read.
pub trait Source {
    /// The next record; none when the container is over and all was read. May be dropped and called again.
    fn next(&mut self) -> impl Future<Output = Result<Option<Record>, Error>> + Send;
    /// Where the record after the last one begins.
    fn offset(&self) -> u64;
    /// Gives the room before `offset` back.
    fn acknowledge(&self, offset: u64) -> Result<(), Error>;
}

impl Source for Output {
    fn next(&mut self) -> impl Future<Output = Result<Option<Record>, Error>> + Send {
        self.next()
    }

    fn offset(&self) -> u64 {
        self.offset()
    }

    fn acknowledge(&self, offset: u64) -> Result<(), Error> {
        self.acknowledge(offset)
    }
}

/// What is noted beside the task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// Batches that were sent.
    sent: u64,
    /// All before was shipped.
    from: Cursor,
    /// The batch under way ends here.
    sending: Option<Sending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sending {
    to: u64,
    /// It ends the output: lines that are begun are in it.
    last: bool,
}

/// Why a log stream cannot be written to.
#[derive(Debug, thiserror::Error)]
#[error("failed to initialize logging driver: failed to create Cloudwatch log stream: {source}")]
pub struct OpenError {
    source: CallError,
}

impl OpenError {
    /// True when the same may succeed later.
    pub fn is_transient(&self) -> bool {
        self.source.is_transient()
    }
}

/// Makes the stream, and the group where the options say so, unless they are there.
pub async fn open_stream(aws: &AwsClient, logs: &AwsLogs, stream: &str) -> Result<(), OpenError> {
    let name_stream = json!({ "logGroupName": logs.group, "logStreamName": stream });
    let make_stream = || there_is_fine(aws, "CreateLogStream", &name_stream);
    let made = match make_stream().await {
        Err(error) if logs.create_group && error.code() == Some("ResourceNotFoundException") => {
            match there_is_fine(aws, "CreateLogGroup", &json!({ "logGroupName": logs.group })).await {
                Ok(()) => make_stream().await,
                Err(error) => Err(error),
            }
        }
        other => other,
    };
    made.map_err(|source| OpenError { source })
}

async fn there_is_fine(aws: &AwsClient, operation: &str, input: &Value) -> Result<(), CallError> {
    match aws.call("logs", operation, input).await {
        Err(error) if error.code() == Some("ResourceAlreadyExistsException") => Ok(()),
        other => other.map(drop),
    }
}

pub struct Shipper<S> {
    pub aws: AwsClient,
    pub logs: AwsLogs,
    pub stream: String,
    /// Whose batches these are: the container's runtime id.
    pub producer: String,
    /// Where the progress is noted.
    pub path: PathBuf,
    progress: Progress,
    source: S,
    /// A record that was read and belongs to the next batch, and where it ends.
    held: Option<(Record, u64)>,
}

impl<S: Source> Shipper<S> {
    /// Takes up what is noted at `path`; `source` opens the output at an offset.
    ///
    /// # Errors
    /// When the note or the output cannot be read.
    pub fn open(
        aws: AwsClient,
        logs: AwsLogs,
        stream: String,
        producer: String,
        path: PathBuf,
        source: impl FnOnce(u64) -> Result<S, Error>,
    ) -> Result<Self, Error> {
        let progress: Option<Progress> = read_json(&path).map_err(Error::io("read how far logs were shipped"))?;
        let progress = progress.unwrap_or_default();
        let source = source(progress.from.offset)?;
        Ok(Self { aws, logs, stream, producer, path, progress, source, held: None })
    }

    /// Ships to the end of the output.
    ///
    /// # Errors
    /// When output or note cannot be read or written: what is left cannot be shipped.
    pub async fn run(mut self) -> Result<(), Error> {
        if let Some(sending) = self.progress.sending {
            let batch = self.read_again(sending).await?;
            self.ship(batch, sending.last).await?;
        }
        loop {
            let (batch, last) = self.gather().await?;
            self.ship(batch, last).await?;
            if last {
                return Ok(());
            }
        }
    }

    /// The batch that an earlier process was sending.
    async fn read_again(&mut self, sending: Sending) -> Result<Batch, Error> {
        let mut batch = Batch::from(self.progress.from.clone());
        while batch.cursor().offset < sending.to {
            let Some((record, end)) = self.next().await? else { break };
            batch.push(record, end);
        }
        if sending.last {
            batch.finish();
        }
        Ok(batch)
    }

    /// What there is to ship next, and whether it is the last.
    async fn gather(&mut self) -> Result<(Batch, bool), Error> {
        let mut batch = Batch::from(self.progress.from.clone());
        let mut until: Option<Instant> = None;
        while !batch.is_full() {
            let next = match until {
                None => self.next().await?,
                Some(until) => match timeout_at(until, self.next()).await {
                    Ok(next) => next?,
                    Err(_elapsed) => return Ok((batch, false)),
                },
            };
            match next {
                None => {
                    batch.finish();
                    return Ok((batch, true));
                }
                Some((record, end)) if batch.is_far_from(&record) => {
                    self.held = Some((record, end));
                    return Ok((batch, false));
                }
                Some((record, end)) => batch.push(record, end),
            }
            until.get_or_insert_with(|| Instant::now() + GATHER_TIME);
        }
        Ok((batch, false))
    }

    /// The next record, and where it ends.
    async fn next(&mut self) -> Result<Option<(Record, u64)>, Error> {
        if self.held.is_some() {
            return Ok(self.held.take());
        }
        let record = self.source.next().await?;
        if let Some(Record::Dropped { records, bytes, .. }) = &record {
            tracing::warn!(container = self.producer, records, bytes, "output was dropped: its buffer was full");
        }
        Ok(record.map(|record| (record, self.source.offset())))
    }

    async fn ship(&mut self, batch: Batch, last: bool) -> Result<(), Error> {
        let to = batch.cursor().offset;
        let (events, next) = batch.close();
        if !events.is_empty() {
            self.progress.sending = Some(Sending { to, last });
            self.note().await?;
            let sequence = self.progress.sent + 1;
            self.put(&events, &format!("{}:{sequence}", self.producer)).await;
            self.progress.sent = sequence;
        }
        self.progress.from = next;
        self.progress.sending = None;
        self.note().await?;
        self.source.acknowledge(to)
    }

    /// On a full disk waits until there is room: what is not noted may be sent twice.
    async fn note(&self) -> Result<(), Error> {
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        loop {
            let noted: io::Result<()> = replace_json(&self.path, &self.progress, Durable::No);
            match noted {
                Err(error) if is_full(&error) => {
                    tracing::error!(%error, "how far logs were shipped cannot be noted; trying again");
                    backoff.wait().await;
                }
                noted => return noted.map_err(Error::io("note how far logs were shipped")),
            }
        }
    }

    /// Sends a batch, for as long as that may succeed. What CloudWatch Logs refuses is lost, as with
    /// Docker's driver, and said in the agent's log.
    async fn put(&self, events: &[LogEvent], token: &str) {
        let events: Vec<Value> =
            events.iter().map(|event| json!({ "timestamp": event.timestamp_ms, "message": event.message })).collect();
        let input = json!({ "logGroupName": self.logs.group, "logStreamName": self.stream, "logEvents": events });
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        let mut opened = false;
        loop {
            match self.aws.call_with("logs", "PutLogEvents", &input, &[(BATCH_HEADER, token)]).await {
                Ok(answer) => return self.warn_of_rejected(&answer),
                Err(error) if error.is_transient() => {
                    tracing::warn!(container = self.producer, %error, "logs could not be sent; trying again");
                    backoff.wait().await;
                }
                Err(error) if error.code() == Some("ResourceNotFoundException") && !opened => {
                    opened = true;
                    if let Err(error) = open_stream(&self.aws, &self.logs, &self.stream).await {
                        opened = !error.is_transient();
                        tracing::warn!(container = self.producer, %error, "the log stream is gone");
                        backoff.wait().await;
                    }
                }
                Err(error) => {
                    let lost = events.len();
                    return tracing::error!(container = self.producer, %error, lost, "log events were refused");
                }
            }
        }
    }

    fn warn_of_rejected(&self, answer: &Value) {
        if let Some(rejected) = answer.get("rejectedLogEventsInfo").filter(|info| !info.is_null()) {
            tracing::warn!(container = self.producer, %rejected, "log events are too old or too new to be kept");
        }
    }
}
