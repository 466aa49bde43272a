//! Any sequence of changes against a plain map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{PETS, Pet, run, schema};
use crate::{Engine, FjallEngine, Key, MemoryEngine, Store, View, key};

type Model = BTreeMap<(String, u64), Pet>;

#[derive(Clone, Debug)]
enum Change {
    Put(Pet),
    Delete(String, u64),
    /// Of the vet alone.
    Update(String, u64, Option<String>),
}

/// Few names, so that changes meet; some of them prefixes of others.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just(""), Just("a"), Just("ab"), Just("a\0"), Just("b")].prop_map(str::to_owned)
}

fn any_pet() -> impl Strategy<Value = Pet> {
    let tricks = proptest::collection::btree_set(name(), 0..3).prop_map(Vec::from_iter);
    (name(), 0..4_u64, name(), proptest::option::of(name()), tricks)
        .prop_map(|(owner, number, name, vet, tricks)| Pet { owner, number, name, vet, tricks })
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => any_pet().prop_map(Change::Put),
        1 => (name(), 0..4_u64).prop_map(|(owner, number)| Change::Delete(owner, number)),
        1 => (name(), 0..4_u64, proptest::option::of(name())).prop_map(|(owner, n, vet)| Change::Update(owner, n, vet)),
    ]
}

/// Transactions of some changes each, and whether each ends well.
fn any_history() -> impl Strategy<Value = Vec<(Vec<Change>, bool)>> {
    let transaction = (proptest::collection::vec(any_change(), 0..6), proptest::bool::weighted(0.8));
    proptest::collection::vec(transaction, 0..12)
}

fn change_model(model: &mut Model, change: &Change) {
    match change.clone() {
        Change::Put(pet) => drop(model.insert((pet.owner.clone(), pet.number), pet)),
        Change::Delete(owner, number) => drop(model.remove(&(owner, number))),
        Change::Update(owner, number, vet) => {
            model.entry((owner, number)).and_modify(|pet| pet.vet = vet);
        }
    }
}

fn change_store(tx: &mut crate::Tx, change: Change) {
    match change {
        Change::Put(pet) => tx.put(PETS, pet),
        Change::Delete(owner, number) => drop(tx.delete(PETS, &key![owner, number])),
        Change::Update(owner, number, vet) => drop(tx.update(PETS, &key![owner, number], |pet| pet.vet = vet)),
    }
}

fn pets<'a>(found: impl Iterator<Item = &'a Pet>) -> Vec<Pet> {
    found.cloned().collect()
}

fn check(view: &View, model: &Model) {
    super::check_sums(view);
    assert_eq!(pets(view.scan(PETS, &Key::new())), pets(model.values()));
    for name in ["", "a", "ab", "a\0", "b"] {
        let with = |keep: &dyn Fn(&Pet) -> bool| pets(model.values().filter(|pet| keep(pet)));
        assert_eq!(pets(view.scan(PETS, &key![name])), with(&|pet| pet.owner == name));
        assert_eq!(pets(view.by(PETS::VET, &key![name])), with(&|pet| pet.vet.as_deref() == Some(name)));
        assert_eq!(pets(view.by(PETS::TRICK, &key![name])), with(&|pet| pet.tricks.iter().any(|trick| trick == name)));
        assert_eq!(view.count(PETS, &key![name]), with(&|pet| pet.owner == name).len());
    }
}

/// Runs the history with a check after each transaction, and one after opening the rows again.
fn replay<N: Engine>(history: Vec<(Vec<Change>, bool)>, engine: impl Fn() -> N) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut model = Model::new();
    let store = Store::open(schema(), engine()).expect("it opens");
    for (changes, ends_well) in history {
        let mut changed = model.clone();
        changes.iter().for_each(|change| change_model(&mut changed, change));
        let transaction = store.transact(move |tx| {
            changes.into_iter().for_each(|change| change_store(tx, change));
            if ends_well { Ok(tx.changes().is_empty()) } else { Err("refused") }
        });
        let version = store.view().version();
        match runtime.block_on(transaction) {
            Ok(committed) => assert_eq!(committed.version, version + u64::from(!committed.value)),
            Err(_) => changed = model,
        }
        model = changed;
        check(&store.view(), &model);
    }
    let version = store.view().version();
    drop(store);
    let store = Store::open(schema(), engine()).expect("it opens again");
    check(&store.view(), &model);
    assert_eq!(store.view().version(), version);
}

proptest! {
    #[test]
    fn rows_indexes_and_sums_are_those_of_a_plain_map(history in any_history()) {
        let engine = MemoryEngine::default();
        replay(history, || engine.clone());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn also_on_disk(history in any_history()) {
        let folder = tempfile::tempdir().expect("a folder");
        replay(history, || FjallEngine::open(folder.path().join("state")).expect("it opens"));
    }
}

#[tokio::test]
async fn index_entries_hold_the_row_as_it_is_now() {
    let store = super::open();
    let change = |name: &'static str| {
        run(&store, move |tx| tx.put(PETS, Pet { vet: Some("dr".into()), name: name.into(), ..super::pet("ann", 1) }))
    };
    change("old").await.expect("it is kept");
    change("new").await.expect("it is kept");
    assert_eq!(super::names(store.view().by(PETS::VET, &key!["dr"])), ["new"]);
}
