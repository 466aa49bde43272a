//! The engine of several servers: keys below a prefix of an etcd.
//!
//! ```text
//! PREFIX/format    of keys and values, as this file describes them
//! PREFIX/version   of the last batch, written with it
//! PREFIX/leader    the address of the server that leads, under its lease
//! PREFIX/row/…     the kind, two big-endian bytes, and then the row's key
//! ```
//!
//! Every commit is one etcd transaction on the condition that the leader's key was not touched since
//! the load: its modification revision is the epoch. A load by whoever leads writes the key anew, so
//! that a commit of before, still under way, finds itself fenced as well. The lease only says when
//! the key goes; nothing relies on a clock.
//!
//! A follower reads all rows at one revision and watches from the next one on: one revision, one
//! batch. When the key goes, or history was compacted away, it loads again, and whoever then writes
//! the key first leads.

mod api;
mod client;
mod lease;
mod place;
mod watch;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tokio::runtime::Runtime;

pub use place::EtcdPlace;

use super::{Batch, Engine, Followed, Limits, Loaded, Standing, StoredRow, check_epoch};
use crate::{CHANGED_BYTES_MAX, CHANGED_ROWS_MAX, EngineError};
use api::{
    DeleteRangeRequest, KeyValue, Operation, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest,
    TxnResponse,
};
use client::{Client, unmodified};
use lease::Lease;
use watch::Watch;

/// Of keys and values as this file describes them.
const FORMAT: u32 = 1;

/// Rows asked for at once while loading. Ours: well under a MiB of usual rows.
const PAGE_ROWS: i64 = 1_000;

/// How long the end may take: the lease runs out anyway.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(1);

/// Keeps rows in an etcd that other servers use as well.
pub struct EtcdEngine {
    place: EtcdPlace,
    /// Where this server is reached, as others are told while it leads.
    address: String,
    client: Client,
    lease: Option<Lease>,
    role: Role,
    /// Of calls, renewals and the watch. `None` only while it is dropped.
    runtime: Option<Runtime>,
}

enum Role {
    /// Before the first load, and after one that failed.
    None,
    Leads {
        epoch: u64,
    },
    /// `None` while a call has it, and after one that failed.
    Follows(Option<Box<Watch>>),
}

/// How a campaign ended, and the revision that this was so at.
struct Campaign {
    standing: Standing,
    revision: i64,
}

/// The marks as they are before a campaign.
struct Marks {
    leader: Option<KeyValue>,
    revision: i64,
}

impl EtcdEngine {
    /// Connects at the first load. `address` is where this server is reached while it leads.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn new(place: EtcdPlace, address: impl Into<String>) -> Result<Self, EngineError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("store-etcd")
            .enable_all()
            .build()
            .map_err(|error| EngineError::Storage(format!("no thread for etcd: {error}")))?;
        let client = {
            let _inside = runtime.enter();
            Client::new(place.host())?
        };
        let (lease, role) = (None, Role::None);
        Ok(Self { place, address: address.into(), client, lease, role, runtime: Some(runtime) })
    }

    /// Runs on the runtime, from a thread that may itself belong to another one.
    fn run<A: Send + 'static>(
        &self,
        call: impl Future<Output = Result<A, EngineError>> + Send + 'static,
    ) -> Result<A, EngineError> {
        let ended = || EngineError::Storage("the engine has ended".to_owned());
        let runtime = self.runtime.as_ref().ok_or_else(ended)?;
        let (answer, answered) = sync_channel(1);
        runtime.spawn(async move {
            // Whoever asked waits below.
            let _ = answer.send(call.await);
        });
        answered.recv().map_err(|_| ended())?
    }

    fn campaign(&mut self) -> Result<Campaign, EngineError> {
        loop {
            let marks = self.marks()?;
            let held_by = marks.leader.as_ref().map(|key| key.lease);
            let is_ours = self.lease.as_ref().is_some_and(|lease| lease.is_alive() && held_by == Some(lease.id));
            if let Some(key) = marks.leader.as_ref().filter(|_| !is_ours) {
                let leader = String::from_utf8(key.value.clone()).ok();
                return Ok(Campaign { standing: Standing::Follows { leader }, revision: marks.revision });
            }
            if let Some(won) = self.take_lead(marks.leader.as_ref())? {
                return Ok(won);
            }
        }
    }

    fn marks(&self) -> Result<Marks, EngineError> {
        let success = [self.place.format(), self.place.leader()].map(|key| Operation::Range(one(key)).into()).to_vec();
        let answer = self.txn(TxnRequest { success, ..TxnRequest::default() })?;
        let revision = revision(&answer);
        let mut keys = answer.responses.into_iter().map(|op| op.response_range.and_then(first));
        if let Some(format) = keys.next().flatten().filter(|format| format.value != FORMAT.to_be_bytes()) {
            let why = format!("its format is {:?}, not {FORMAT}: use the version that wrote it", format.value);
            return Err(EngineError::Format { path: self.place.to_string(), why });
        }
        Ok(Marks { leader: keys.next().flatten(), revision })
    }

    /// Writes the leader's key, unless it changed since `seen`: then `None`.
    fn take_lead(&mut self, seen: Option<&KeyValue>) -> Result<Option<Campaign>, EngineError> {
        let lease = self.live_lease()?;
        let touched = seen.map_or(0, |key| key.mod_revision);
        let answer = self.txn(TxnRequest {
            compare: vec![unmodified(self.place.leader(), touched)],
            success: vec![
                put(self.place.leader(), self.address.clone().into_bytes(), lease),
                put(self.place.format(), FORMAT.to_be_bytes().to_vec(), 0),
            ],
            failure: Vec::new(),
        })?;
        let revision = revision(&answer);
        let term = seen.map_or(revision, |key| key.create_revision);
        let standing = Standing::Leads { term: term.cast_unsigned(), epoch: revision.cast_unsigned() };
        Ok(answer.succeeded.then_some(Campaign { standing, revision }))
    }

    fn live_lease(&mut self) -> Result<i64, EngineError> {
        if let Some(lease) = self.lease.as_ref().filter(|lease| lease.is_alive()) {
            return Ok(lease.id);
        }
        let client = self.client.clone();
        let lease = self.run(async move { Lease::grant(&client).await })?;
        Ok(self.lease.insert(lease).id)
    }

    /// Hands over every row as it was at `revision`; answers the version.
    fn read(&self, revision: i64, row: &mut dyn FnMut(StoredRow<'_>)) -> Result<u64, EngineError> {
        let version = self.range(RangeRequest { revision, ..one(self.place.version()) })?;
        let (mut key, range_end) = self.place.rows();
        loop {
            let request = RangeRequest { key, range_end: range_end.clone(), limit: PAGE_ROWS, revision };
            let page = self.range(request)?;
            for stored in &page.kvs {
                if let Some((kind, key)) = self.place.parse_row(&stored.key) {
                    row(StoredRow { kind, key, value: &stored.value });
                }
            }
            match page.kvs.into_iter().next_back().filter(|_| page.more) {
                Some(last) => key = after(last.key),
                None => return Ok(first(version).map_or(0, |mark| number(&mark.value))),
            }
        }
    }

    fn range(&self, request: RangeRequest) -> Result<RangeResponse, EngineError> {
        let client = self.client.clone();
        self.run(async move { client.range(request).await })
    }

    fn txn(&self, request: TxnRequest) -> Result<TxnResponse, EngineError> {
        let client = self.client.clone();
        self.run(async move { client.txn(request).await })
    }

    fn still_leads(&self, epoch: u64) -> Result<Followed, EngineError> {
        match self.lease.as_ref().is_some_and(Lease::is_alive) {
            true => Ok(Followed::Nothing),
            false => Err(EngineError::Fenced { epoch, why: "etcd did not renew the lease in time".to_owned() }),
        }
    }

    /// All writes of a batch, one a key, and its version.
    fn operations(&self, batch: &Batch) -> Vec<RequestOp> {
        let mut last: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        for write in &batch.writes {
            last.insert(self.place.row(write.kind, &write.key), write.value.clone());
        }
        let version = put(self.place.version(), batch.version.to_be_bytes().to_vec(), 0);
        let writes = last.into_iter().map(|(key, value)| match value {
            Some(value) => put(key, value, 0),
            None => Operation::DeleteRange(DeleteRangeRequest { key }).into(),
        });
        writes.chain([version]).collect()
    }
}

impl Engine for EtcdEngine {
    fn is_shared(&self) -> bool {
        true
    }

    /// etcd's: a batch is one of its transactions.
    fn limits(&self) -> Limits {
        Limits { writes: CHANGED_ROWS_MAX, bytes: CHANGED_BYTES_MAX }
    }

    fn load(&mut self, row: &mut dyn FnMut(StoredRow<'_>)) -> Result<Loaded, EngineError> {
        self.role = Role::None;
        let Campaign { standing, revision } = self.campaign()?;
        let version = self.read(revision, row)?;
        self.role = match &standing {
            Standing::Leads { epoch, .. } => Role::Leads { epoch: *epoch },
            Standing::Follows { .. } => {
                let watch = Watch::open(self.client.clone(), self.place.clone(), revision + 1);
                Role::Follows(Some(Box::new(self.run(watch)?)))
            }
        };
        Ok(Loaded { standing, version })
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), EngineError> {
        let Role::Leads { epoch } = self.role else {
            return Err(EngineError::Fenced { epoch: batch.epoch, why: "another server leads".to_owned() });
        };
        check_epoch(batch, epoch)?;
        let answer = self.txn(TxnRequest {
            compare: vec![unmodified(self.place.leader(), epoch.cast_signed())],
            success: self.operations(batch),
            failure: vec![Operation::Range(one(self.place.leader())).into()],
        })?;
        if answer.succeeded {
            return Ok(());
        }
        let leader = answer.responses.into_iter().next().and_then(|op| op.response_range).and_then(first);
        let leader = leader.map(|key| String::from_utf8_lossy(&key.value).into_owned());
        let why = leader.map_or("nobody leads".to_owned(), |leader| format!("{leader} leads"));
        Err(EngineError::Fenced { epoch, why })
    }

    fn follow(&mut self, wait: Duration) -> Result<Followed, EngineError> {
        let watch = match &mut self.role {
            Role::Leads { epoch } => {
                let epoch = *epoch;
                return self.still_leads(epoch);
            }
            Role::Follows(watch) => watch.take(),
            Role::None => None,
        };
        let Some(mut watch) = watch else { return Ok(Followed::Load) };
        let (watch, next) = self.run(async move {
            let next = tokio::time::timeout(wait, watch.next()).await;
            Ok((watch, next.unwrap_or(Ok(Followed::Nothing))))
        })?;
        self.role = Role::Follows(Some(watch));
        next
    }
}

/// Gives the lead back at once, so that nobody has to wait until the lease runs out.
impl Drop for EtcdEngine {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take().filter(Lease::is_alive) {
            let (client, id) = (self.client.clone(), lease.id);
            let revoked = self.run(async move {
                let revoked = tokio::time::timeout(REVOKE_TIMEOUT, client.revoke_lease(id)).await;
                revoked.unwrap_or_else(|_| Err(client.error("it did not take the lease back in time")))
            });
            if let Err(error) = revoked {
                tracing::warn!(%error, "the lead was not given back; another server takes it within seconds");
            }
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn put(key: Vec<u8>, value: Vec<u8>, lease: i64) -> RequestOp {
    Operation::Put(PutRequest { key, value, lease }).into()
}

/// A range of one key.
fn one(key: Vec<u8>) -> RangeRequest {
    RangeRequest { key, ..RangeRequest::default() }
}

fn first(range: RangeResponse) -> Option<KeyValue> {
    range.kvs.into_iter().next()
}

fn revision(answer: &TxnResponse) -> i64 {
    answer.header.as_ref().map_or(0, |header| header.revision)
}

/// The next key that there can be.
fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

/// Of big-endian bytes.
fn number(value: &[u8]) -> u64 {
    value.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
