//! Where measurements happen.

use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

pub struct Setting {
    /// The measured program, built beside this one.
    pub longshore: PathBuf,
    /// Beside the build and not under /tmp, which may be memory: durability should cost what a disk costs.
    pub scratch: PathBuf,
}

impl Setting {
    pub fn here() -> Result<Self> {
        let bench = std::env::current_exe()?;
        let release = bench.parent().context("this program lies in no folder")?;
        let scratch = release.parent().unwrap_or(release).join("bench");
        fs::create_dir_all(&scratch)?;
        Ok(Self { longshore: release.join("longshore"), scratch })
    }

    /// A folder that goes away with its value.
    pub fn folder(&self) -> Result<TempDir> {
        Ok(tempfile::tempdir_in(&self.scratch)?)
    }
}
