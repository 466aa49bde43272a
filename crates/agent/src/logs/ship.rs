//! One container's shipper: gathers, notes, sends, gives room back.

use super::LogEvent;
use super::batch::{Batch, Cursor, Dropped};
use super::multiline::Joining;
use crate::backoff::Backoff;
use crate::drivers::files::{Durable, read_json, replace_json};
use crate::drivers::spool::Record;
use crate::drivers::{Error, Output};
use crate::order::AwsLogs;
use client::{AwsClient, CallError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long more output is waited for once there is some: a reader sees it soon, and a talkative
/// container does not make a call for each line.
const GATHER_TIME: Duration = Duration::from_millis(50);
/// Pauses between attempts to send a batch, or to note on a full disk that it is sent.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How often it is told, at most, that output is dropped.
const TELL_INTERVAL: Duration = Duration::from_secs(10);
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
    /// True when no more is written to it.
    fn is_over(&self) -> bool;
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

    fn is_over(&self) -> bool {
        self.is_over()
    }
}

/// What keeps output from where it should go, for the task's story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There was no room for so much, since the container's start.
    Dropped { lines: u64, bytes: u64 },
    /// So many events were refused for good.
    Refused { events: usize, why: String },
    /// It waits for its stream.
    Waiting { why: String },
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
    ends: Ends,
}

/// What ends with a batch, beside what its records say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Ends {
    Nothing,
    /// The event of several lines that is begun: no more came of it in time.
    Event,
    /// The output: all that is begun.
    Output,
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

/// Where one container's output goes.
pub struct Destination {
    pub aws: AwsClient,
    pub logs: AwsLogs,
    pub stream: String,
    /// Whose batches these are: the container's runtime id.
    pub producer: String,
    /// Who hears of troubles.
    pub tell: Box<dyn Fn(Trouble) + Send + Sync>,
}

pub struct Shipper<S> {
    to: Destination,
    joining: Option<Arc<Joining>>,
    /// Where the progress is noted.
    path: PathBuf,
    progress: Progress,
    source: S,
    /// A record that was read and belongs to the next batch, and where it ends.
    held: Option<(Record, u64)>,
    /// What was last told to be dropped, and when.
    told: (Dropped, Option<Instant>),
}

impl<S: Source> Shipper<S> {
    /// Takes up what is noted at `path`; `source` opens the output at an offset.
    ///
    /// # Errors
    /// When the note or the output cannot be read.
    pub fn open(to: Destination, path: PathBuf, source: impl FnOnce(u64) -> Result<S, Error>) -> Result<Self, Error> {
        let progress: Option<Progress> = read_json(&path).map_err(Error::io("read how far logs were shipped"))?;
        let progress = progress.unwrap_or_default();
        let source = source(progress.from.offset)?;
        let joining = to.logs.multiline.as_ref().map(Joining::new).transpose();
        let joining = joining.map_err(|error| Error::io("read its multiline pattern")(io::Error::other(error)))?;
        let told = (progress.from.dropped, None);
        Ok(Self { to, joining: joining.map(Arc::new), path, progress, source, held: None, told })
    }

    /// Ships to the end of the output.
    ///
    /// # Errors
    /// When output or note cannot be read or written: what is left cannot be shipped.
    pub async fn run(mut self) -> Result<(), Error> {
        if let Some(sending) = self.progress.sending {
            let batch = self.read_again(sending).await?;
            self.ship(batch, sending.ends).await?;
        }
        loop {
            let (batch, ends) = self.gather().await?;
            self.ship(batch, ends).await?;
            self.tell_dropped(ends == Ends::Output);
            if ends == Ends::Output {
                return Ok(());
            }
        }
    }

    fn batch(&self) -> Batch {
        Batch::from(self.progress.from.clone(), self.joining.clone())
    }

    /// The batch that an earlier process was sending.
    async fn read_again(&mut self, sending: Sending) -> Result<Batch, Error> {
        let mut batch = self.batch();
        while batch.cursor().offset < sending.to {
            let Some((record, end)) = self.next().await? else { break };
            batch.push(record, end);
        }
        match sending.ends {
            Ends::Nothing => {}
            Ends::Event => batch.finish_joined(),
            Ends::Output => batch.finish(),
        }
        Ok(batch)
    }

    /// What there is to ship next, and what ends with it. A record that is there counts for more than the time.
    async fn gather(&mut self) -> Result<(Batch, Ends), Error> {
        let mut batch = self.batch();
        let mut until: Option<Instant> = None;
        while !batch.is_full() {
            let joined = batch.joined_until_ms().map(|at| self.instant_of(at));
            let next = match until.into_iter().chain(joined).min() {
                None => self.next().await?,
                Some(until) => match timeout_at(until, self.next()).await {
                    Ok(next) => next?,
                    Err(_elapsed) if joined.is_some_and(|joined| joined <= Instant::now()) => {
                        batch.finish_joined();
                        return Ok((batch, Ends::Event));
                    }
                    Err(_elapsed) => return Ok((batch, Ends::Nothing)),
                },
            };
            match next {
                None => {
                    batch.finish();
                    return Ok((batch, Ends::Output));
                }
                Some((record, end)) if batch.is_far_from(&record) => {
                    self.held = Some((record, end));
                    return Ok((batch, Ends::Nothing));
                }
                Some((record, end)) => batch.push(record, end),
            }
            until.get_or_insert_with(|| Instant::now() + GATHER_TIME);
        }
        Ok((batch, Ends::Nothing))
    }

    /// When a wall clock that may have been set shows `at_ms`, but no later than an event's age from now.
    fn instant_of(&self, at_ms: i64) -> Instant {
        let age_ms = self.joining.as_ref().map_or(0, |how| how.age_ms());
        let wait_ms = (at_ms - client::now().as_millis()).clamp(0, age_ms);
        Instant::now() + Duration::from_millis(wait_ms.unsigned_abs())
    }

    /// The next record, and where it ends.
    async fn next(&mut self) -> Result<Option<(Record, u64)>, Error> {
        if self.held.is_some() {
            return Ok(self.held.take());
        }
        let record = self.source.next().await?;
        Ok(record.map(|record| (record, self.source.offset())))
    }

    async fn ship(&mut self, batch: Batch, ends: Ends) -> Result<(), Error> {
        let to = batch.cursor().offset;
        let (events, next) = batch.close();
        if !events.is_empty() {
            self.progress.sending = Some(Sending { to, ends });
            self.note().await?;
            let sequence = self.progress.sent + 1;
            self.put(&events, &format!("{}:{sequence}", self.to.producer)).await;
            self.progress.sent = sequence;
        }
        self.progress.from = next;
        self.progress.sending = None;
        self.note().await?;
        self.source.acknowledge(to)
    }

    /// Tells what was dropped, now and then and at the end.
    fn tell_dropped(&mut self, last: bool) {
        let (now, dropped) = (Instant::now(), self.progress.from.dropped);
        let (known, at) = self.told;
        if dropped != known && (last || at.is_none_or(|at| now >= at + TELL_INTERVAL)) {
            self.told = (dropped, Some(now));
            let Dropped { lines, bytes } = dropped;
            tracing::warn!(
                container = self.to.producer,
                lines,
                bytes,
                "output was dropped: its buffer, or the disk, was full"
            );
            (self.to.tell)(Trouble::Dropped { lines, bytes });
        }
    }

    /// On a full disk waits until there is room: what is not noted may be sent twice.
    async fn note(&self) -> Result<(), Error> {
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        loop {
            let noted: io::Result<()> = replace_json(&self.path, &self.progress, Durable::No);
            match noted {
                Err(error) if base::is_disk_full(&error) => {
                    tracing::error!(%error, "how far logs were shipped cannot be noted; trying again");
                    backoff.wait().await;
                }
                noted => return noted.map_err(Error::io("note how far logs were shipped")),
            }
        }
    }

    /// Sends a batch, for as long as that may succeed. What CloudWatch Logs refuses is lost, as with
    /// Docker's driver, and said in the agent's log and the task's story.
    async fn put(&self, events: &[LogEvent], token: &str) {
        let shown: Vec<Value> =
            events.iter().map(|event| json!({ "timestamp": event.timestamp_ms, "message": event.message })).collect();
        let Destination { aws, logs, stream, producer, tell } = &self.to;
        let input = json!({ "logGroupName": logs.group, "logStreamName": stream, "logEvents": shown });
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        let mut missing = Missing::default();
        loop {
            match aws.call_with("logs", "PutLogEvents", &input, &[(BATCH_HEADER, token)]).await {
                Ok(answer) => return self.warn_of_rejected(&answer),
                Err(error) if error.is_transient() => {
                    tracing::warn!(container = producer, %error, "logs could not be sent; trying again");
                    backoff.wait().await;
                }
                Err(error) if error.code() == Some("ResourceNotFoundException") && !missing.is_final => {
                    self.open_again(&mut missing).await;
                    if missing.refused {
                        backoff.wait().await;
                    }
                }
                Err(error) => {
                    let (lost, why) = (events.len(), error.to_string());
                    tracing::error!(container = producer, %error, lost, "log events were refused");
                    return tell(Trouble::Refused { events: lost, why });
                }
            }
        }
    }

    /// Makes a stream that is not there. While a container that does not wait for its output runs, that is tried
    /// until it succeeds, as Docker's driver does.
    async fn open_again(&self, missing: &mut Missing) {
        let Destination { aws, logs, stream, producer, tell } = &self.to;
        let over = self.source.is_over();
        match open_stream(aws, logs, stream).await {
            Ok(()) => missing.is_final = true,
            Err(error) => {
                missing.is_final = !error.is_transient() && (logs.blocking || over);
                tracing::warn!(container = producer, %error, "the log stream is gone");
                if !std::mem::replace(&mut missing.refused, true) && !missing.is_final {
                    tell(Trouble::Waiting { why: error.to_string() });
                }
            }
        }
    }

    fn warn_of_rejected(&self, answer: &Value) {
        if let Some(rejected) = answer.get("rejectedLogEventsInfo").filter(|info| !info.is_null()) {
            tracing::warn!(container = self.to.producer, %rejected, "log events are too old or too new to be kept");
        }
    }
}

/// What came of making a stream that was not there.
#[derive(Default)]
struct Missing {
    refused: bool,
    /// It is not tried again.
    is_final: bool,
}
