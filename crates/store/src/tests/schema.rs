//! Tables against each other, and against the bytes that an engine holds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{FAVOURITES, PETS, Pet, pet, put, schema};
use crate::{Batch, Engine, MemoryEngine, RowError, Schema, Store, StoreError, Write, from_cbor, key, table};

table! { OTHERS: (owner) => Pet, kind = 0x0101, version = 1 }
table! { ZERO: (owner) => Pet, kind = 0, version = 1 }

/// PETS with a second version whose rows have an age.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Aged {
    owner: String,
    number: u64,
    age: u32,
}

table! { AGED: (owner, number) => Aged, kind = 0x0101, version = 2, migrate = with_age }
table! { NEXT: (owner, number) => Aged, kind = 0x0101, version = 2 }

fn with_age(from_version: u8, cbor: &[u8]) -> Result<Aged, RowError> {
    assert_eq!(from_version, 1);
    let Pet { owner, number, .. } = from_cbor(cbor)?;
    Ok(Aged { owner, number, age: 0 })
}

fn refusal(schema: Schema, engine: MemoryEngine) -> String {
    match Store::open(schema, engine) {
        Ok(_) => panic!("it opened"),
        Err(StoreError::Row { source, table, .. }) => format!("{table}: {source}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn kinds_are_not_shared() {
    let check = |schema, text: &str| assert!(refusal(schema, MemoryEngine::default()).starts_with(text));
    check(schema().with(OTHERS), "kind 0x0101 is declared by both PETS and OTHERS");
    check(schema().with(ZERO), "table ZERO declares kind 0");
}

#[tokio::test]
async fn rows_need_their_table() {
    let engine = MemoryEngine::default();
    let store = Store::open(schema(), engine.clone()).expect("the schema is sound");
    put(&store, pet("ann", 1)).await.expect("it is kept");
    drop(store);
    let without = Schema::new().with(FAVOURITES);
    assert!(refusal(without, engine.clone()).starts_with("the data holds rows of kind 0x0101"));
    assert!(
        refusal(Schema::new().with(NEXT), engine.clone()).starts_with("NEXT: version 1 of the row has no migration")
    );
    assert!(refusal(Schema::new().with(OTHERS), engine).starts_with("OTHERS: the row belongs under another key"));
}

#[tokio::test]
async fn rows_of_an_older_version_are_migrated() {
    let engine = MemoryEngine::default();
    let store = Store::open(schema(), engine.clone()).expect("the schema is sound");
    put(&store, pet("ann", 1)).await.expect("it is kept");
    drop(store);
    let store = Store::open(Schema::new().with(AGED), engine).expect("it migrates");
    let aged = Aged { owner: "ann".into(), number: 1, age: 0 };
    assert_eq!(store.view().get(AGED, &key!["ann", 1_u64]), Some(&aged));
}

#[test]
fn damaged_rows_are_not_taken() {
    let check = |value: &[u8], text: &str| {
        let mut engine = MemoryEngine::default();
        let epoch = super::engines::lead(&mut engine);
        let write = Write { kind: 0x0101, key: Arc::from(&b"k"[..]), value: Some(value.to_vec()) };
        let batch = Batch { epoch, version: 1, writes: vec![write] };
        engine.commit(&batch).expect("memory commits");
        let refusal = refusal(schema(), engine);
        assert!(refusal.starts_with(text), "{refusal}");
    };
    check(b"", "PETS: the value is empty");
    check(b"\x01\xFF", "PETS: decoding: ");
    check(b"\x09", "PETS: version 9 of the row has no migration to version 1");
}

#[tokio::test]
async fn a_table_outside_the_schema_is_a_mistake_that_is_told() {
    let store = Store::open(Schema::new().with(PETS), MemoryEngine::default()).expect("the schema is sound");
    let put = super::run(&store, |tx| tx.put(FAVOURITES, pet("ann", 1))).await;
    assert!(put.expect_err("it panics").to_string().contains("table FAVOURITES is not in the schema"));
}
