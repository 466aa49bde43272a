use super::{PETS, Pet, open, pet, put, run};
use crate::{FEED_COMMITS_MAX, Lagged, key};

#[tokio::test]
async fn every_reader_gets_every_change_in_order() {
    let store = open();
    put(&store, pet("before", 1)).await.expect("it is kept");
    let mut readers = [store.subscribe(), store.subscribe()];
    put(&store, pet("ann", 1)).await.expect("it is kept");
    run(&store, |tx| tx.count(PETS, &key![])).await.expect("it changes nothing");
    run(&store, |tx| tx.delete(PETS, &key!["ann", 1_u64])).await.expect("it is kept");
    for feed in &mut readers {
        let mut next = async || {
            let commit = feed.next().await.expect("the reader keeps up");
            let name = |pet: Option<&Pet>| pet.map(|pet| pet.name.clone());
            let (before, after) = commit.changes[0].of(PETS).expect("a change of PETS");
            (commit.version, name(before), name(after))
        };
        assert_eq!(next().await, (2, None, Some("ann's 1".into())));
        assert_eq!(next().await, (3, Some("ann's 1".into()), None));
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_and_goes_on() {
    let store = open();
    let mut feed = store.subscribe();
    let last = FEED_COMMITS_MAX as u64 + 1;
    for number in 1..=last {
        put(&store, pet("ann", number)).await.expect("it is kept");
    }
    assert_eq!(feed.next().await.err(), Some(Lagged));
    assert_eq!(feed.next().await.expect("the oldest that is left").version, 2);
    assert_eq!(store.view().version(), last);
}

#[tokio::test]
async fn a_reader_finds_what_it_is_told_in_the_view() {
    let store = open();
    let mut feed = store.subscribe();
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for number in 1..=200 {
            put(&writer, pet("ann", number)).await.expect("it is kept");
        }
    });
    for _ in 1..=200 {
        let version = feed.next().await.expect("the reader keeps up").version;
        assert!(store.view().version() >= version);
        assert!(store.view().get(PETS, &key!["ann", version]).is_some());
    }
    writing.await.expect("no panic");
}
