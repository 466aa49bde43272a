//! What the store promises, through its public face.

mod rows;

use serde::{Deserialize, Serialize};

use crate::{MemoryEngine, Schema, Store, key, table};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pet {
    pub owner: String,
    pub number: u64,
    pub name: String,
    pub vet: Option<String>,
    #[serde(default)]
    pub tricks: Vec<String>,
}

table! {
    /// A table with every feature.
    pub PETS: (owner, number) => Pet, kind = 0x0101, version = 1,
    by VET(|pet| pet.vet.as_ref().map(|vet| key![vet])),
    by TRICK(|pet| pet.tricks.iter().map(|trick| key![trick, pet.owner]).collect::<Vec<_>>())
}

table! { NAMES: (owner) => Pet, kind = 0x0102, version = 3 }

pub fn schema() -> Schema {
    Schema::new().with(PETS).with(NAMES)
}

pub fn open() -> Store {
    Store::open(schema(), MemoryEngine::default()).expect("the schema is sound")
}

pub fn pet(owner: &str, number: u64) -> Pet {
    Pet { owner: owner.into(), number, name: format!("{owner}'s {number}"), vet: None, tricks: Vec::new() }
}
