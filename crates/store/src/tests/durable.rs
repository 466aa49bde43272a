//! Views, the feed and answers show durable versions only, also when a batch fails.

use std::sync::atomic::Ordering;

use super::gate::{Fate, gated};
use super::{PETS, all, pet, put, run};
use crate::{Lagged, Store, StoreError, TransactError, key};

type Answer = Result<u64, TransactError<&'static str>>;

/// Starts a put beside the test.
fn start(store: &Store, number: u64) -> tokio::task::JoinHandle<Answer> {
    let store = store.clone();
    tokio::spawn(async move {
        let put = store.transact(move |tx| {
            tx.put(PETS, pet("ann", number));
            Ok(())
        });
        put.await.map(|committed| committed.version)
    })
}

/// Starts a transaction that sees `number` of ann and refuses, and waits until it has run.
async fn start_refusal(store: &Store, number: u64) -> tokio::task::JoinHandle<Answer> {
    let (ran, has_run) = tokio::sync::oneshot::channel();
    let store = store.clone();
    let refusal = tokio::spawn(async move {
        let refusal = store.transact(move |tx| {
            ran.send(tx.get(PETS, &key!["ann", number]).is_some()).expect("the test waits");
            Err::<(), _>("seen")
        });
        refusal.await.map(|committed| committed.version)
    });
    assert!(has_run.await.expect("it ran"), "the writer works ahead of the disk");
    refusal
}

fn is_stopped(answer: Answer) -> bool {
    matches!(answer, Err(TransactError::Store(StoreError::Stopped(_))))
}

#[tokio::test]
async fn nothing_is_shown_or_answered_before_its_batch_is_kept() {
    let (store, mut gate) = gated();
    let mut feed = store.subscribe();
    let first = start(&store, 1);
    assert_eq!(gate.arrival().await, 1);
    let refusal = start_refusal(&store, 1).await;
    let second = start(&store, 2);
    let third = start(&store, 3);
    start_refusal(&store, 3).await;

    assert_eq!((all(&store), store.view().version()), (vec![], 0));
    tokio::task::yield_now().await;
    assert!(!first.is_finished() && !refusal.is_finished() && !second.is_finished());

    gate.decide(Fate::Kept);
    assert_eq!(gate.arrival().await, 3, "what ran meanwhile is one batch");
    assert_eq!(first.await.expect("no panic").expect("it is kept"), 1);
    assert_eq!((all(&store), store.view().version()), (vec!["ann's 1".to_owned()], 1));
    assert_eq!(feed.next().await.expect("it is the first").version, 1);
    assert!(!refusal.is_finished() && !second.is_finished(), "they saw or made what is not durable");

    gate.decide(Fate::Kept);
    assert!(matches!(refusal.await.expect("no panic"), Err(TransactError::Refused("seen"))));
    assert_eq!(second.await.expect("no panic").expect("it is kept"), 2);
    assert_eq!(third.await.expect("no panic").expect("it is kept"), 3);
    assert_eq!(store.view().version(), 3);
    assert_eq!(feed.next().await.expect("one commit a transaction").version, 2);
}

#[tokio::test]
async fn a_failed_batch_stops_everything_after_it() {
    let (store, mut gate) = gated();
    let first = start(&store, 1);
    gate.arrival().await;
    let ahead = start(&store, 2);
    let refusal = start_refusal(&store, 2).await;
    gate.decide(Fate::Lost);

    assert_eq!(&*store.wait_failed().await, "the disk went away");
    assert!(is_stopped(first.await.expect("no panic")));
    assert!(is_stopped(ahead.await.expect("no panic")), "it ran on what was lost");
    assert!(is_stopped(refusal.await.expect("no panic")), "it saw what was lost");
    let later = put(&store, pet("ann", 3)).await.expect_err("the store is stopped");
    assert!(later.to_string().contains("for now: the disk went away. The server tries again"), "{later}");
    assert_eq!((all(&store), store.view().version()), (vec![], 0));
}

#[tokio::test]
async fn a_reload_goes_back_to_what_is_durable() {
    let (store, mut gate) = gated();
    gate.decide(Fate::Kept);
    put(&store, pet("ann", 1)).await.expect("it is kept");
    gate.decide(Fate::Lost);
    put(&store, pet("ann", 2)).await.expect_err("it is lost");

    gate.broken.store(true, Ordering::SeqCst);
    let broken = store.reload().await.expect_err("the engine cannot load");
    assert_eq!(broken.to_string(), "no disk");
    assert!(store.failed().is_some());

    gate.broken.store(false, Ordering::SeqCst);
    store.reload().await.expect("it loads");
    store.reload().await.expect("there is nothing to do");
    assert_eq!(store.failed(), None);
    gate.decide(Fate::Kept);
    let seen = run(&store, |tx| {
        tx.put(PETS, pet("ann", 3));
        tx.count(PETS, &key!["ann"])
    });
    let seen = seen.await.expect("it is kept");
    assert_eq!((seen.value, seen.version), (2, 2), "the lost row is not in the head");
    assert_eq!(all(&store), ["ann's 1", "ann's 3"]);
    assert_eq!([gate.arrival().await, gate.arrival().await, gate.arrival().await], [1, 2, 2]);
}

#[tokio::test]
async fn a_batch_that_was_kept_after_all_is_seen_after_the_reload() {
    let (store, gate) = gated();
    let mut feed = store.subscribe();
    gate.decide(Fate::KeptUnknown);
    put(&store, pet("ann", 1)).await.expect_err("it may be lost");
    assert_eq!(store.view().version(), 0);
    store.reload().await.expect("it loads");
    assert_eq!((all(&store), store.view().version()), (vec!["ann's 1".to_owned()], 1));
    assert_eq!(feed.next().await.err(), Some(Lagged), "what the feed never told is to be read again");
    gate.decide(Fate::Kept);
    put(&store, pet("ann", 2)).await.expect("it is kept");
    assert_eq!(feed.next().await.expect("the feed goes on").version, 2);
}

#[tokio::test]
async fn a_transaction_goes_on_when_its_caller_goes_away() {
    let (store, mut gate) = gated();
    let mut feed = store.subscribe();
    let abandoned = start(&store, 1);
    gate.arrival().await;
    abandoned.abort();
    gate.decide(Fate::Kept);
    assert_eq!(feed.next().await.expect("it is kept").version, 1);
}
