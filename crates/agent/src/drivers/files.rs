//! Small files that another process reads while we write.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Whether a file must outlive the host's power.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durable {
    Yes,
    No,
}

/// Writes `value` as JSON at `path`; a reader sees all of the old or all of the new.
pub(crate) fn replace_json(path: &Path, value: &impl Serialize, durable: Durable) -> io::Result<()> {
    let (staged, bytes) = (path.with_extension("new"), serde_json::to_vec(value)?);
    let replaced = write_whole(&staged, &bytes, durable).and_then(|()| fs::rename(&staged, path));
    if replaced.is_err() {
        // On a full disk what was written of it is in the way.
        _ = fs::remove_file(&staged);
    }
    replaced
}

fn write_whole(path: &Path, bytes: &[u8], durable: Durable) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    if durable == Durable::Yes {
        file.sync_data()?;
    }
    Ok(())
}

/// The JSON at `path`, or none when there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// True for "there is none", which an idempotent removal takes for success.
pub(crate) fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
