//! Another server's batches, from etcd's events.

use std::collections::VecDeque;
use std::sync::Arc;

use tonic::Streaming;

use super::api::{DELETE, Event, WatchCreateRequest, WatchResponse};
use super::client::Client;
use super::{EtcdPlace, number};
use crate::EngineError;
use crate::engine::{Batch, Followed, Write};

/// A follower's place in the history.
pub struct Watch {
    client: Client,
    place: EtcdPlace,
    events: Streaming<WatchResponse>,
    /// Read and not yet told.
    told_next: VecDeque<Followed>,
}

impl Watch {
    /// From `revision` on, that one included.
    pub async fn open(client: Client, place: EtcdPlace, revision: i64) -> Result<Self, EngineError> {
        let (key, range_end) = place.all();
        let events = client.watch(WatchCreateRequest { key, range_end, start_revision: revision }).await?;
        Ok(Self { client, place, events, told_next: VecDeque::new() })
    }

    /// Waits for what happens next. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Result<Followed, EngineError> {
        loop {
            if let Some(followed) = self.told_next.pop_front() {
                return Ok(followed);
            }
            let response = self.events.message().await.map_err(|status| self.client.status(&status))?;
            let response = response.ok_or_else(|| self.client.error("it ended the watch"))?;
            if response.compact_revision != 0 {
                return Ok(Followed::Load);
            }
            if response.canceled {
                return Err(self.client.error(&format!("it ended the watch: {}", response.cancel_reason)));
            }
            self.told_next.extend(followed(&self.place, response.events));
        }
    }
}

/// One item a revision that means something to a follower.
fn followed(place: &EtcdPlace, events: Vec<Event>) -> Vec<Followed> {
    let mut told = Vec::new();
    for revision in events.chunk_by(|a, b| revision_of(a) == revision_of(b)) {
        told.extend(of_revision(place, revision));
    }
    told
}

fn revision_of(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

/// A transaction of the leader's; or its key, that went away or changed.
fn of_revision(place: &EtcdPlace, events: &[Event]) -> Option<Followed> {
    let (mut writes, mut version) = (Vec::new(), None);
    for (kv, is_delete) in events.iter().filter_map(|event| Some((event.kv.as_ref()?, event.r#type == DELETE))) {
        if kv.key == place.leader() && is_delete {
            return Some(Followed::Load);
        } else if kv.key == place.version() && !is_delete {
            version = Some(number(&kv.value));
        } else if let Some((kind, key)) = place.parse_row(&kv.key) {
            writes.push(Write { kind, key: Arc::from(key), value: (!is_delete).then(|| kv.value.clone()) });
        }
    }
    match version {
        Some(version) => Some(Followed::Batch(Batch { epoch: 0, version, writes })),
        // Rows without a version are no leader's: whatever it was, a load shows how things are.
        None if !writes.is_empty() => Some(Followed::Load),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::etcd::api::KeyValue;

    fn event(place: &EtcdPlace, text: &str) -> Event {
        let (revision, what) = text.split_once(' ').expect("revision and what");
        let (sign, key) = what.split_at(1);
        let key = match key {
            "leader" => place.leader(),
            "version" => place.version(),
            "format" => place.format(),
            key => place.row(1, key.as_bytes()),
        };
        let mod_revision = revision.parse().expect("a number");
        let value = u64::from(revision.as_bytes()[0] - b'0').to_be_bytes().to_vec();
        let kv = KeyValue { key, mod_revision, value, ..KeyValue::default() };
        Event { r#type: i32::from(sign == "-"), kv: Some(kv) }
    }

    fn check(events: &[&str], expect: &[&str]) {
        let place: EtcdPlace = "etcd://127.0.0.1:1/p".parse().expect("a place");
        let events = events.iter().map(|text| event(&place, text)).collect();
        let told: Vec<String> = followed(&place, events).iter().map(shown).collect();
        assert_eq!(told, expect);
    }

    fn shown(followed: &Followed) -> String {
        let sign = |write: &Write| if write.value.is_some() { '+' } else { '-' };
        let write = |write: &Write| format!(" {}{}", sign(write), write.key.escape_ascii());
        match followed {
            Followed::Nothing => "nothing".to_owned(),
            Followed::Load => "load".to_owned(),
            Followed::Batch(batch) => {
                format!("{}:{}", batch.version, batch.writes.iter().map(write).collect::<String>())
            }
        }
    }

    #[test]
    fn one_revision_is_one_batch() {
        check(&["3 +a", "3 -b", "3 +version", "4 +version", "4 +c"], &["3: +a -b", "4: +c"]);
        check(&["3 +leader", "3 +format"], &[]);
        check(&["3 +version", "3 +a", "5 -leader"], &["3: +a", "load"]);
        check(&["3 +a"], &["load"]);
        check(&[], &[]);
    }

    #[tokio::test]
    async fn history_that_was_compacted_away_asks_for_a_load() {
        let etcd = crate::tests::Etcd::start();
        let (client, place) = (Client::new(etcd.place().host()).expect("an address"), etcd.place());
        for _ in 0..3 {
            etcd.ctl(&["put", &format!("{}/format", etcd.prefix()), "x"]);
        }
        etcd.ctl(&["compaction", "4"]);
        let mut watch = Watch::open(client, place, 2).await.expect("etcd answers");
        assert!(matches!(watch.next().await, Ok(Followed::Load)));
    }
}
