//! Stores of several servers on one engine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::Signal;

use super::engines::{Memory, Place, suite};
use super::etcd::Etcd;
use super::{PETS, Pet, all, check_sums, pet, put, run, schema};
use crate::{Key, Role, Store, StoreError, TransactError, View, key};

const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

fn open(place: &impl Place) -> Store {
    Store::open(schema(), place.server()).expect("it opens")
}

fn leads(role: &Role) -> bool {
    matches!(role, Role::Leading { .. })
}

fn follows(role: &Role) -> bool {
    matches!(role, Role::Following { .. })
}

async fn until(store: &Store, wanted: impl Fn(&Role) -> bool) -> Role {
    tokio::time::timeout(SETTLE_TIMEOUT, store.wait_role(wanted)).await.expect("the role comes about")
}

/// Waits until the store's view is one that `wanted` holds of.
async fn shows(store: &Store, wanted: impl Fn(&View) -> bool) {
    let mut feed = store.subscribe();
    let shown = async {
        while !wanted(&store.view()) {
            // A lag is a reason to look again as well.
            let _ = feed.next().await;
        }
    };
    tokio::time::timeout(SETTLE_TIMEOUT, shown).await.expect("it follows");
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

fn a_follower_shows_what_the_leader_commits_and_takes_over<P: Place>() {
    block_on(async {
        let place = P::new();
        let leader = open(&place);
        put(&leader, pet("ann", 1)).await.expect("it leads");
        let follower = open(&place);
        assert!(leads(&leader.role()) && follows(&follower.role()));
        assert_eq!(all(&follower), ["ann's 1"]);

        let mut feed = follower.subscribe();
        let change = run(&leader, |tx| {
            tx.update(PETS, &key!["ann", 1_u64], |pet| {
                (pet.name, pet.vet) = ("renamed".into(), Some("dr".into()));
            });
            tx.put(PETS, pet("ann", 2));
        });
        change.await.expect("it leads");
        let commit = feed.next().await.expect("it keeps up");
        let name = |pet: Option<&Pet>| pet.map(|pet| pet.name.clone());
        let changes = commit.changes.iter().filter_map(|change| change.of(PETS));
        let changes: Vec<_> = changes.map(|(before, after)| (name(before), name(after))).collect();
        let expected = [(Some("ann's 1".into()), Some("renamed".into())), (None, Some("ann's 2".into()))];
        assert_eq!((commit.version, changes), (2, expected.to_vec()));
        assert_eq!(all(&follower), ["renamed", "ann's 2"]);
        check_sums(&follower.view());

        match put(&follower, pet("bob", 1)).await {
            Err(TransactError::Store(StoreError::Following { .. })) => {}
            other => panic!("{other:?}"),
        }
        follower.reload().await.expect("there is nothing to do");
        drop(leader);
        until(&follower, leads).await;
        assert_eq!(put(&follower, pet("bob", 1)).await.expect("it leads").version, 3);
        assert_eq!(all(&follower), ["renamed", "ann's 2", "bob's 1"]);
    });
}

fn a_leader_that_was_deposed_follows_after_a_reload<P: Place>() {
    block_on(async {
        let place = P::new();
        let (first, second) = (open(&place), open(&place));
        put(&first, pet("ann", 1)).await.expect("it leads");
        place.depose();
        until(&second, leads).await;
        let late = put(&first, pet("late", 1)).await.expect_err("it was deposed");
        assert!(matches!(late, TransactError::Store(StoreError::Stopped(_))), "{late:?}");
        put(&second, pet("ann", 2)).await.expect("it leads");
        assert!(first.role().current().is_err(), "its view is old");
        first.reload().await.expect("it loads");
        assert!(follows(&first.role()));
        assert_eq!((all(&first), first.view().version()), (vec!["ann's 1".to_owned(), "ann's 2".to_owned()], 2));
        drop(second);
        until(&first, leads).await;
    });
}

/// Loads the store again whenever it stops, as a server does.
fn keep(store: &Store) {
    let store = store.clone();
    tokio::spawn(async move {
        loop {
            store.wait_failed().await;
            if store.reload().await.is_err() {
                tokio::task::yield_now().await;
            }
        }
    });
}

/// Servers that lead in turns, as long as the test does.
struct Servers {
    stores: Vec<Store>,
    acknowledged: Arc<Mutex<BTreeSet<u64>>>,
}

/// Rows that a client has acknowledged in each lead, and leads.
const ROWS_A_LEAD: usize = 40;
const LEADS: usize = 6;

/// The row that is written when all is over.
const LAST: u64 = u64::MAX;

impl Servers {
    fn open(place: &impl Place) -> Self {
        let stores: Vec<_> = (0..3).map(|_| open(place)).collect();
        stores.iter().for_each(keep);
        Self { stores, acknowledged: Arc::default() }
    }

    /// Writes numbered rows to whichever server leads, for ever.
    async fn write(&self, numbers: impl Iterator<Item = u64>) {
        for number in numbers {
            loop {
                let leader = self.stores.iter().find(|store| leads(&store.role()));
                let Some(leader) = leader else {
                    tokio::task::yield_now().await;
                    continue;
                };
                if put(leader, Pet { vet: Some("dr".into()), ..pet("row", number) }).await.is_ok() {
                    self.acknowledged.lock().insert(number);
                    break;
                }
            }
        }
    }
}

fn what_was_acknowledged_is_everywhere_whoever_led<P: Place>() {
    block_on(async {
        let place = P::new();
        let servers = Servers::open(&place);
        let depose = async {
            for lead in 1..=LEADS {
                while servers.acknowledged.lock().len() < lead * ROWS_A_LEAD {
                    tokio::task::yield_now().await;
                }
                place.depose();
            }
        };
        tokio::select! {
            () = depose => {}
            _ = async { tokio::join!(servers.write((0..).step_by(2)), servers.write((1..).step_by(2))) } => {}
        }
        servers.write([LAST].into_iter()).await;
        let acknowledged = servers.acknowledged.lock().clone();
        for store in &servers.stores {
            shows(store, |view| view.get(PETS, &key!["row", LAST]).is_some()).await;
            let view = store.view();
            let missing = |number: &&u64| view.get(PETS, &key!["row", **number]).is_none();
            assert_eq!(acknowledged.iter().filter(missing).count(), 0);
            check_sums(&view);
            assert_eq!(all(store), all(&servers.stores[0]), "what was not acknowledged is everywhere or nowhere");
        }
    });
}

suite!(memory, Memory:
    a_follower_shows_what_the_leader_commits_and_takes_over,
    a_leader_that_was_deposed_follows_after_a_reload,
    what_was_acknowledged_is_everywhere_whoever_led,
);

suite!(etcd, Etcd:
    a_follower_shows_what_the_leader_commits_and_takes_over,
    a_leader_that_was_deposed_follows_after_a_reload,
    what_was_acknowledged_is_everywhere_whoever_led,
);

#[tokio::test]
async fn a_follower_names_the_leader() {
    let etcd = Etcd::start();
    let open = |address| Store::open(schema(), etcd.engine(address)).expect("it opens");
    let (_leader, follower) = (open("http://one:1"), open("http://two:2"));
    let refusal = put(&follower, pet("ann", 1)).await.expect_err("it follows").to_string();
    assert_eq!(refusal, "this server stands by: http://one:1 leads, send this there");
}

#[tokio::test]
async fn a_group_is_split_into_what_the_engine_takes() {
    let etcd = Etcd::start();
    let store = Store::open(schema(), etcd.engine("one")).expect("it opens");
    let fill = |owner: u64| run(&store, move |tx| (0..100).for_each(|n| tx.put(PETS, pet(&owner.to_string(), n))));
    let large = |n: u64| put(&store, Pet { name: "x".repeat(1_000_000), ..pet("large", n) });
    let filled = futures_util::future::join_all((0..40).map(fill)).await;
    assert!(filled.iter().all(Result::is_ok), "{filled:?}");
    let put = futures_util::future::join_all((0..8).map(large)).await;
    assert!(put.iter().all(Result::is_ok), "{put:?}");
    drop(store);
    let store = Store::open(schema(), etcd.engine("one")).expect("it opens again");
    assert_eq!((store.view().count(PETS, &Key::new()), store.view().version()), (4_008, 48));
}

/// What happens to a leader that no longer hears of etcd: nothing relies on its being told.
#[tokio::test]
async fn a_leader_that_is_cut_off_stops_by_itself_and_comes_back() {
    let etcd = Etcd::start();
    let store = Store::open(schema(), etcd.engine("one")).expect("it opens");
    put(&store, pet("ann", 1)).await.expect("it leads");
    etcd.signal(Signal::STOP);
    let stopped = until(&store, |role| !leads(role)).await;
    assert!(matches!(&stopped, Role::Stopped { why, may_be_old: true } if why.contains("lease")), "{stopped:?}");
    etcd.signal(Signal::CONT);
    keep(&store);
    until(&store, leads).await;
    put(&store, pet("ann", 2)).await.expect("it leads");
    assert_eq!(all(&store), ["ann's 1", "ann's 2"]);
}

#[tokio::test]
async fn etcd_may_start_anew_under_leader_and_follower() {
    let mut etcd = Etcd::start();
    let open = |address| Store::open(schema(), etcd.engine(address)).expect("it opens");
    let (leader, follower) = (open("http://one:1"), open("http://two:2"));
    [&leader, &follower].into_iter().for_each(keep);
    put(&leader, pet("ann", 1)).await.expect("it leads");
    etcd.restart();
    // Which of the two leads now is as it comes: a lease may outlive the restart or not.
    let stores = [&leader, &follower];
    let written = async {
        loop {
            for store in stores.into_iter().filter(|store| leads(&store.role())) {
                if put(store, pet("ann", 2)).await.is_ok() {
                    return;
                }
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SETTLE_TIMEOUT, written).await.expect("one of them leads");
    for store in stores {
        shows(store, |view| view.get(PETS, &key!["ann", 2_u64]).is_some()).await;
        assert_eq!(all(store), ["ann's 1", "ann's 2"]);
    }
}
