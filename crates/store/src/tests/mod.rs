//! What the store promises, through its public face.

mod crash;
mod durable;
mod engines;
mod etcd;
mod feed;
mod folder;
mod follow;
mod gate;
mod model;
mod rows;
mod schema;

pub use etcd::Etcd;

use std::collections::BTreeMap;
use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use crate::{Committed, Key, MemoryEngine, Schema, Store, Sum, TransactError, Tx, View, key, table};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pet {
    owner: String,
    number: u64,
    name: String,
    vet: Option<String>,
    tricks: Vec<String>,
}

table! {
    /// A table with every feature.
    PETS: (owner, number) => Pet, kind = 0x0101, version = 1,
    by VET(|pet| pet.vet.as_ref().map(|vet| key![vet])),
    by TRICK(|pet| pet.tricks.iter().map(|trick| key![trick, pet.owner]).collect::<Vec<_>>()),
    sum SEEN(|pet| pet.vet.as_ref().map(|vet| key![vet])) => Seen
}

/// What a vet sees: pets, and how many tricks they know together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    pets: usize,
    tricks: usize,
}

impl Sum<Pet> for Seen {
    fn add(&mut self, pet: &Pet) {
        self.pets += 1;
        self.tricks += pet.tricks.len();
    }

    fn subtract(&mut self, pet: &Pet) {
        self.pets -= 1;
        self.tricks -= pet.tricks.len();
    }
}

/// Every kept sum against the rows that it is of.
fn check_sums(view: &View) {
    let mut scanned: BTreeMap<&str, Seen> = BTreeMap::new();
    for pet in view.scan(PETS, &Key::new()) {
        if let Some(vet) = &pet.vet {
            scanned.entry(vet).or_default().add(pet);
        }
    }
    for vet in ["", "a", "ab", "a\0", "b", "dr", "nobody"].into_iter().chain(scanned.keys().copied()) {
        assert_eq!(view.sum(PETS::SEEN, &key![vet]), scanned.get(vet), "{vet}");
    }
}

table! { FAVOURITES: (owner) => Pet, kind = 0x0102, version = 1 }

fn schema() -> Schema {
    Schema::new().with(PETS).with(FAVOURITES)
}

fn open() -> Store {
    Store::open(schema(), MemoryEngine::default()).expect("the schema is sound")
}

fn pet(owner: &str, number: u64) -> Pet {
    Pet { owner: owner.into(), number, name: format!("{owner}'s {number}"), vet: None, tricks: Vec::new() }
}

fn names<'a>(pets: impl Iterator<Item = &'a Pet>) -> Vec<&'a str> {
    pets.map(|pet| pet.name.as_str()).collect()
}

fn all(store: &Store) -> Vec<String> {
    names(store.view().scan(PETS, &Key::new())).into_iter().map(str::to_owned).collect()
}

/// Runs what cannot refuse.
async fn run<R: Send + 'static>(
    store: &Store,
    run: impl FnOnce(&mut Tx) -> R + Send + 'static,
) -> Result<Committed<R>, TransactError<Infallible>> {
    store.transact(move |tx| Ok(run(tx))).await
}

async fn put(store: &Store, pet: Pet) -> Result<Committed<()>, TransactError<Infallible>> {
    run(store, move |tx| tx.put(PETS, pet)).await
}
