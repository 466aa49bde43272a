//! Compiled seccomp filters, kept. Compiling Docker's profile takes crun 23 of the 40 ms of a start; crun
//! leaves the compiled filter beside a container's state and takes one by an annotation (crun(1),
//! `run.oci.seccomp_bpf_data`). The first container of a profile pays, its shim keeps what came of it, and
//! the next ones are given that. The profile stays in the configuration for runtimes that know no annotation.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::files::absent_is_fine;
use super::runtime::Runtime;

const ANNOTATION: &str = "run.oci.seccomp_bpf_data";
/// What crun calls the filter in its own directory of a container.
const IN_STATE: &str = "seccomp.bpf";
/// A classic BPF program has at most 4096 instructions (linux/bpf_common.h, BPF_MAXINSNS) of 8 bytes.
const INSTRUCTION_BYTES: usize = 8;
const FILTER_BYTES_MAX: usize = 4096 * INSTRUCTION_BYTES;

/// Where the filter of a configuration is kept: under `<data>/filters`, by the digest of all that it depends on.
/// None for a runtime that does not take one, and a configuration without a profile.
pub(crate) fn path(data: &Path, runtime: &Runtime, config: &Value) -> Option<PathBuf> {
    if runtime.name != "crun" || config["linux"]["seccomp"].is_null() {
        return None;
    }
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let depends = json!([runtime.path, runtime.version, kernel.trim(), config["linux"]["seccomp"]]);
    let digest = digest(&SHA256, depends.to_string().as_bytes());
    Some(data.join("filters").join(hex::encode(digest)))
}

/// Adds the kept filter to the configuration; false when there is none yet.
pub(crate) fn add(config: &mut Value, kept: &Path) -> bool {
    // One that cannot be is compiled and kept anew.
    let sound = |filter: &Vec<u8>| {
        (1..=FILTER_BYTES_MAX).contains(&filter.len()) && filter.len().is_multiple_of(INSTRUCTION_BYTES)
    };
    let Some(filter) = fs::read(kept).ok().filter(sound) else { return false };
    config["annotations"] = json!({ ANNOTATION: STANDARD.encode(filter) });
    true
}

/// Keeps the filter that the runtime compiled for a container, whose state directory of its own is `state`.
pub(crate) fn keep(state: &Path, kept: &Path) -> io::Result<()> {
    // A name of the container's own, since several may be first at once.
    let staged = state.file_name().map(|name| kept.with_file_name(name));
    let staged = staged.ok_or_else(|| io::Error::other("the state directory has no name"))?;
    match fs::copy(state.join(IN_STATE), &staged) {
        Ok(_) => fs::rename(&staged, kept),
        Err(error) => absent_is_fine(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(name: &str, version: &str) -> Runtime {
        Runtime { name: name.into(), version: version.into(), path: "/usr/bin/crun".into(), hides_hybrid_mount: false }
    }

    #[test]
    fn a_filter_is_kept_for_just_what_it_was_made_of() {
        let dir = tempfile::tempdir().expect("temp dir");
        let data = dir.path();
        let (state, mut config) = (data.join("state/c1"), json!({ "linux": { "seccomp": { "syscalls": [1] } } }));
        fs::create_dir_all(&state).expect("state");
        fs::create_dir_all(data.join("filters")).expect("filters");
        let kept = path(data, &runtime("crun", "1.8"), &config).expect("crun takes one");
        keep(&state, &kept).expect("a runtime that left none");
        assert!(!add(&mut config, &kept));
        fs::write(state.join(IN_STATE), [7; 16]).expect("compiled");
        keep(&state, &kept).expect("keep");
        assert_eq!(path(data, &runtime("crun", "1.8"), &config), Some(kept.clone()));
        assert!(add(&mut config, &kept));
        assert_eq!(config["annotations"][ANNOTATION], "BwcHBwcHBwcHBwcHBwcHBw==");
        assert_ne!(path(data, &runtime("crun", "1.9"), &config), Some(kept.clone()));
        config["linux"]["seccomp"]["syscalls"] = json!([2]);
        assert_ne!(path(data, &runtime("crun", "1.8"), &config), Some(kept.clone()));
        assert_eq!(path(data, &runtime("runc", "1.8"), &config), None);
        fs::write(&kept, [7; 9]).expect("spoil");
        assert!(!add(&mut config, &kept), "a spoiled one is not used");
    }
}
