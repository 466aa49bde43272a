//! The table of operations, as a whole.

use crate::OPERATIONS;

#[test]
fn every_entry_is_a_modelled_operation_and_stands_once() {
    let mut seen = std::collections::BTreeSet::new();
    for entry in OPERATIONS {
        let service = wire::service(entry.service).expect("a modelled service");
        assert!(service.operation(entry.operation).is_some(), "{}:{}", entry.service, entry.operation);
        assert!(seen.insert((entry.service, entry.operation)), "{}:{} twice", entry.service, entry.operation);
    }
}
