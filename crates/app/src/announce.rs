//! The file that says where the server is, on a disk that may be full: a server that was killed there has to start.

use crate::data_dir::write_private;
use anyhow::Result;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Pause before the file is tried again on a full disk.
const RETRY: Duration = Duration::from_secs(2);

/// Writes the document at `path`. On a full disk that is done over the former server's, or else once there is room.
///
/// # Errors
/// When something else than room is lacking.
pub fn write(path: PathBuf, document: Vec<u8>) -> Result<()> {
    match write_private(&path, &document) {
        Err(error) if is_full(&error) => {
            tracing::error!(
                "the data folder's disk is full: nothing can be written until it has room, and the server goes on then"
            );
            if write_over(&path, &document).is_err() {
                tokio::spawn(write_later(path, document));
            }
            Ok(())
        }
        written => written,
    }
}

fn is_full(error: &anyhow::Error) -> bool {
    error.root_cause().downcast_ref().is_some_and(base::is_disk_full)
}

/// In its place, as long as the former was, so that it takes no more room.
fn write_over(path: &Path, document: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let mut padded = document.to_vec();
    padded.resize(document.len().max(usize::try_from(file.metadata()?.len()).unwrap_or(0)), b' ');
    file.write_all_at(&padded, 0)
}

async fn write_later(path: PathBuf, document: Vec<u8>) {
    loop {
        tokio::time::sleep(RETRY).await;
        match write_private(&path, &document) {
            Err(error) => tracing::warn!(error = format!("{error:#}"), "commands do not find this server yet"),
            Ok(()) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_full, write_over};
    use anyhow::{Context, anyhow};
    use std::io::{Error, ErrorKind};

    #[test]
    fn a_shorter_document_is_whole_over_a_longer_one() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), r#"{"url":"http://127.0.0.1:45660"}"#).expect("written");
        write_over(file.path(), br#"{"url":"http://[::1]:1"}"#).expect("written over");
        let read: serde_json::Value = cli::read_json(file.path()).expect("JSON").expect("a file");
        assert_eq!(read["url"], "http://[::1]:1");
        assert!(write_over(&file.path().join("none"), b"{}").is_err());
    }

    #[test]
    fn a_full_disk_is_told_from_other_troubles() {
        let full: Result<(), Error> = Err(ErrorKind::StorageFull.into());
        assert!(is_full(&full.context("cannot write it").expect_err("an error")));
        assert!(!is_full(&anyhow!("else")));
    }
}
