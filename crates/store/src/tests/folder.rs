//! The fjall engine and its folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{all, pet, put, schema};
use crate::{FjallEngine, Store};

fn open(folder: &Path) -> Store {
    Store::open(schema(), FjallEngine::open(folder).expect("the folder opens")).expect("the rows load")
}

fn refusal(folder: &Path) -> String {
    match FjallEngine::open(folder) {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn rows_and_version_outlive_the_store() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("deep").join("state");
    for number in 1..=3 {
        let store = open(&folder);
        assert_eq!(put(&store, pet("ann", number)).await.expect("it is kept").version, number);
        assert_eq!(all(&store).len() as u64, number);
    }
    assert_eq!(fs::metadata(&folder).expect("it is there").permissions().mode() & 0o777, 0o700);
}

#[test]
fn one_process_at_a_time() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("state");
    let _held = open(&folder);
    assert!(refusal(&folder).contains("another process has it open"));
}

#[test]
fn a_folder_whose_making_was_cut_short_is_made_again() {
    let place = tempfile::tempdir().expect("a folder");
    fs::create_dir(place.path().join("state.new")).expect("a folder");
    fs::write(place.path().join("state.new").join("0.jnl"), "").expect("a file");
    open(&place.path().join("state"));
    assert!(!place.path().join("state.new").exists());
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let place = tempfile::tempdir().expect("a folder");
    let foreign = place.path().join("foreign");
    let database = fjall::Database::builder(&foreign).open().expect("a database");
    database.keyspace("rows", fjall::KeyspaceCreateOptions::default).expect("a keyspace");
    drop(database);
    assert!(refusal(&foreign).ends_with("it is another program's: choose another folder"));
}

#[test]
fn another_format_is_told() {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("state");
    drop(open(&folder));
    let database = fjall::Database::builder(&folder).open().expect("a database");
    let rows = database.keyspace("rows", fjall::KeyspaceCreateOptions::default).expect("a keyspace");
    rows.insert(b"\0\0format", 2_u32.to_be_bytes()).expect("an entry");
    database.persist(fjall::PersistMode::SyncAll).expect("it syncs");
    drop((rows, database));
    assert!(refusal(&folder).contains("its format is"), "{}", refusal(&folder));
}
