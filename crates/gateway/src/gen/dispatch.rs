use request::Entry;
pub static OPERATIONS: &[Entry] = &[];
