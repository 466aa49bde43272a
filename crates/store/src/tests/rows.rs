use std::convert::Infallible;

use super::{NAMES, PETS, Pet, open, pet};
use crate::{Key, key};

fn names<'a>(pets: impl Iterator<Item = &'a Pet>) -> Vec<&'a str> {
    pets.map(|pet| pet.name.as_str()).collect()
}

#[tokio::test]
async fn rows_are_found_by_key_prefix_and_index() {
    let store = open();
    let committed = store
        .transact(|tx| {
            tx.put(PETS, Pet { vet: Some("dr".into()), ..pet("ann", 2) });
            tx.put(PETS, Pet { vet: Some("dr".into()), ..pet("ann", 10) });
            tx.put(PETS, pet("anna", 1));
            tx.put(NAMES, pet("ann", 7));
            Ok::<_, Infallible>("done")
        })
        .await
        .expect("nothing refuses it");
    assert_eq!((committed.value, committed.version), ("done", 1));
    let view = store.view();
    assert_eq!(view.version(), 1);
    assert_eq!(view.get(PETS, &key!["ann", 2_u64]), Some(&Pet { vet: Some("dr".into()), ..pet("ann", 2) }));
    assert_eq!(names(view.scan(PETS, &key!["ann"])), ["ann's 2", "ann's 10"]);
    assert_eq!(names(view.scan(PETS, &Key::new())), ["ann's 2", "ann's 10", "anna's 1"]);
    assert_eq!(names(view.scan_after(PETS, &Key::new(), &key!["ann", 2_u64])), ["ann's 10", "anna's 1"]);
    assert_eq!(names(view.by(PETS::VET, &key!["dr"])), ["ann's 2", "ann's 10"]);
    assert_eq!((view.count(PETS, &Key::new()), view.count(PETS, &key!["ann"])), (3, 2));
}
