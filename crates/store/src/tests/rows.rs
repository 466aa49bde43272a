//! Reading, writing, and the limits of a transaction.

use std::sync::Arc;
use std::time::Duration;

use super::{FAVOURITES, PETS, Pet, all, names, open, pet, put, run};
use crate::{CHANGED_BYTES_MAX, CHANGED_ROWS_MAX, KEY_BYTES_MAX, Key, Store, StoreError, TransactError, Tx, key};

fn with_vet(pet: Pet, vet: &str) -> Pet {
    Pet { vet: Some(vet.into()), ..pet }
}

fn with_tricks(pet: Pet, tricks: &[&str]) -> Pet {
    Pet { tricks: tricks.iter().map(|&trick| trick.into()).collect(), ..pet }
}

async fn stable() -> Store {
    let store = open();
    let fill = |tx: &mut Tx| {
        tx.put(PETS, with_vet(pet("ann", 2), "dr"));
        tx.put(PETS, with_vet(with_tricks(pet("ann", 10), &["roll", "sit"]), "dr"));
        tx.put(PETS, with_tricks(pet("anna", 1), &["sit"]));
        tx.put(FAVOURITES, pet("ann", 7));
        "filled"
    };
    let committed = run(&store, fill).await.expect("it is kept");
    assert_eq!((committed.value, committed.version), ("filled", 1));
    store
}

#[tokio::test]
async fn rows_are_found_by_key_prefix_and_index() {
    let view = stable().await.view();
    assert_eq!(view.version(), 1);
    assert_eq!(view.get(PETS, &key!["ann", 2_u64]), Some(&with_vet(pet("ann", 2), "dr")));
    assert_eq!(view.get(PETS, &key!["ann", 3_u64]), None);
    assert_eq!(names(view.scan(PETS, &key!["ann"])), ["ann's 2", "ann's 10"]);
    assert_eq!(names(view.scan(PETS, &Key::new()).rev()), ["anna's 1", "ann's 10", "ann's 2"]);
    assert_eq!(names(view.by(PETS::VET, &key!["dr"])), ["ann's 2", "ann's 10"]);
    assert_eq!(names(view.by(PETS::TRICK, &key!["sit"])), ["ann's 10", "anna's 1"]);
    assert_eq!(names(view.by(PETS::TRICK, &key!["sit", "anna"])), ["anna's 1"]);
    assert_eq!(view.by(PETS::VET, &key!["d"]).count(), 0);
    let counts = [Key::new(), key!["ann"], key!["bob"]].map(|prefix| view.count(PETS, &prefix));
    assert_eq!(counts, [3, 2, 0]);
}

#[tokio::test]
async fn a_page_begins_strictly_after_a_key() {
    let view = stable().await.view();
    let page = |prefix: Key, after: Key| names(view.scan_after(PETS, &prefix, &after));
    assert_eq!(page(Key::new(), key!["ann", 2_u64]), ["ann's 10", "anna's 1"]);
    assert_eq!(page(key!["ann"], key!["ann", 2_u64]), ["ann's 10"]);
    assert_eq!(page(key!["ann"], key!["ann", 3_u64]), ["ann's 10"], "a row that is gone");
    assert_eq!(page(key!["ann"], key!["ann", 10_u64]), [""; 0]);
    assert_eq!(page(key!["ann"], key!["aaa", 1_u64]), ["ann's 2", "ann's 10"], "before the prefix");
    assert_eq!(page(key!["ann"], key!["zoe", 1_u64]), [""; 0], "behind the prefix");
}

#[tokio::test]
async fn a_view_stays_as_it_was() {
    let store = stable().await;
    let before = store.view();
    run(&store, |tx| tx.delete(PETS, &key!["ann", 2_u64])).await.expect("it is kept");
    assert_eq!(before.by(PETS::VET, &key!["dr"]).count(), 2);
    assert_eq!(store.view().by(PETS::VET, &key!["dr"]).count(), 1);
    assert_eq!((before.version(), store.view().version()), (1, 2));
}

#[tokio::test]
async fn updates_and_deletes_keep_the_indexes() {
    let store = stable().await;
    let committed = run(&store, |tx| {
        let updated = tx.update(PETS, &key!["ann", 2_u64], |pet| pet.vet = Some("dre".into()));
        let missed = tx.update(PETS, &key!["ann", 3_u64], |_| unreachable!("there is no such row"));
        let moved = tx.update(PETS, &key!["anna", 1_u64], |pet| pet.owner = "bob".into());
        let deleted = tx.delete(PETS, &key!["ann", 10_u64]).map(|pet| pet.name.clone());
        let again = tx.delete(PETS, &key!["ann", 10_u64]);
        (updated, missed, moved, deleted, again)
    });
    let value = committed.await.expect("it is kept").value;
    assert_eq!(value, (true, false, true, Some("ann's 10".into()), None::<Arc<Pet>>));
    let view = store.view();
    let keys: Vec<_> = view.scan(PETS, &Key::new()).map(|pet| (pet.owner.as_str(), pet.number)).collect();
    assert_eq!(keys, [("ann", 2), ("bob", 1)]);
    assert_eq!(names(view.by(PETS::VET, &key!["dre"])), ["ann's 2"]);
    assert_eq!(names(view.by(PETS::TRICK, &key!["sit"])), ["anna's 1"]);
    assert_eq!(view.by(PETS::VET, &key!["dr"]).chain(view.by(PETS::TRICK, &key!["roll"])).count(), 0);
}

/// Each change of PETS as `before -> after`.
fn changes(tx: &Tx) -> Vec<String> {
    let name = |pet: Option<&Pet>| pet.map_or("-".to_owned(), |pet| pet.name.clone());
    let pets = tx.changes().iter().filter_map(|change| change.of(PETS));
    pets.map(|(before, after)| format!("{} -> {}", name(before), name(after))).collect()
}

#[tokio::test]
async fn a_transaction_lists_one_change_a_row() {
    let store = stable().await;
    let listed = run(&store, |tx| {
        tx.put(PETS, pet("came and went", 1));
        tx.put(PETS, pet("new", 1));
        tx.put(FAVOURITES, pet("of another table", 1));
        tx.delete(PETS, &key!["came and went", 1_u64]);
        tx.update(PETS, &key!["ann", 2_u64], |pet| pet.name = "once".into());
        tx.update(PETS, &key!["ann", 2_u64], |pet| pet.name = "twice".into());
        tx.update(PETS, &key!["new", 1_u64], |pet| pet.name = "newer".into());
        tx.delete(PETS, &key!["anna", 1_u64]);
        (changes(tx), tx.changes().len(), tx.changes()[0].key(), tx.changes()[0].kind())
    });
    let expected = ["- -> newer", "ann's 2 -> twice", "anna's 1 -> -"].map(str::to_owned);
    assert_eq!(listed.await.expect("it is kept").value, (expected.to_vec(), 4, key!["new", 1_u64], 0x0101));
}

#[tokio::test]
async fn a_refused_transaction_keeps_nothing() {
    let store = stable().await;
    let refused = store
        .transact(|tx| {
            tx.delete(PETS, &key!["ann", 2_u64]);
            Err::<(), _>("no")
        })
        .await;
    assert!(matches!(refused, Err(TransactError::Refused("no"))));
    assert_eq!(all(&store).len(), 3);
    assert_eq!(put(&store, pet("next", 1)).await.expect("it is kept").version, 2);
}

#[tokio::test]
async fn a_transaction_without_changes_makes_no_version() {
    let store = stable().await;
    let seen = run(&store, |tx| (tx.version(), tx.next_version(), tx.count(PETS, &Key::new())));
    let seen = seen.await.expect("it is answered");
    assert_eq!((seen.value, seen.version), ((1, 2, 3), 1));
}

#[tokio::test]
async fn a_panic_rolls_back_and_leaves_the_writer_alive() {
    let store = stable().await;
    let panicked = run(&store, |tx| {
        tx.put(PETS, pet("lost", 1));
        assert!(tx.version() == 0, "a mistake");
    });
    match panicked.await {
        Err(TransactError::Store(StoreError::Panicked(text))) => assert_eq!(&*text, "a mistake"),
        other => panic!("{other:?}"),
    }
    put(&store, pet("kept", 1)).await.expect("the writer lives");
    assert_eq!(all(&store), ["ann's 2", "ann's 10", "anna's 1", "kept's 1"]);
}

#[tokio::test]
async fn limits_are_those_of_etcd() {
    let store = open();
    let rows = |count: usize| move |tx: &mut Tx| (0..count).for_each(|n| tx.put(PETS, pet("many", n as u64)));
    run(&store, rows(CHANGED_ROWS_MAX)).await.expect("as many as may be");
    match run(&store, rows(CHANGED_ROWS_MAX + 1)).await {
        Err(TransactError::Store(StoreError::TooLarge { rows: 128, .. })) => {}
        other => panic!("{other:?}"),
    }
    let large = |bytes| Pet { name: "x".repeat(bytes), ..pet("large", 1) };
    put(&store, large(CHANGED_BYTES_MAX - 1_000)).await.expect("just under the limit");
    match put(&store, large(CHANGED_BYTES_MAX)).await {
        Err(TransactError::Store(StoreError::TooLarge { rows: 1, bytes })) => assert!(bytes > CHANGED_BYTES_MAX),
        other => panic!("{other:?}"),
    }
    match put(&store, pet(&"k".repeat(KEY_BYTES_MAX), 1)).await {
        Err(TransactError::Store(StoreError::KeyTooLong { table: "PETS", .. })) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(store.view().version(), 2);
}

#[tokio::test]
async fn what_clears_the_store_has_no_limits_and_may_put_rows_back() {
    let store = stable().await;
    for of in 0..3 {
        let fill = move |tx: &mut Tx| (0..CHANGED_ROWS_MAX as u64).for_each(|n| tx.put(PETS, pet(&format!("{of}"), n)));
        run(&store, fill).await.expect("kept");
    }
    let mut feed = store.subscribe();
    let kept = with_vet(pet("ann", 2), "dr");
    let cleared = run(&store, |tx| {
        tx.clear();
        tx.put(PETS, with_vet(pet("ann", 2), "dr"));
    });
    assert_eq!(cleared.await.expect("cleared").version, 5, "versions rise on");
    assert_eq!(all(&store), ["ann's 2"]);
    let view = store.view();
    assert_eq!(names(view.by(PETS::VET, &key!["dr"])), ["ann's 2"], "indexes too");
    assert_eq!((view.get(PETS, &key!["ann", 2_u64]), view.count(FAVOURITES, &Key::new())), (Some(&kept), 0));
    let commit = feed.next().await.expect("told");
    assert_eq!(commit.changes.len(), 3 * CHANGED_ROWS_MAX + 4, "every row that was there");
}

#[tokio::test]
async fn the_last_handle_may_go_inside_a_transaction() {
    let store = open();
    let last = store.clone();
    let (runs, has_begun) = std::sync::mpsc::channel();
    let (go, may_end) = std::sync::mpsc::channel();
    let ending = move |_: &mut Tx| {
        runs.send("began").expect("the test waits");
        may_end.recv().expect("the test says so");
        drop(last);
        runs.send("ended").expect("the test waits");
    };
    let caller = tokio::spawn(async move { run(&store, ending).await.map(|_| ()) });
    let wait = tokio::task::spawn_blocking(move || (has_begun.recv().expect("it runs"), has_begun));
    let (began, has_ended) = wait.await.expect("no panic");
    caller.abort();
    assert!(caller.await.expect_err("it was aborted").is_cancelled());
    go.send(()).expect("it waits");
    let ended = has_ended.recv_timeout(Duration::from_secs(10)).expect("it does not wait for itself");
    assert_eq!((began, ended), ("began", "ended"));
}
