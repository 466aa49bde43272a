//! Packages that deny.toml bans, for machines without cargo-deny.

use super::Finding;
use super::file::File;
use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Deny {
    bans: Bans,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

/// Other forms and keys that cargo-deny knows are refused here, not passed over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Banned {
    #[serde(rename = "crate")]
    name: String,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

pub fn check(files: &[File]) -> Result<Vec<Finding>> {
    let (deny, lock): (Deny, Lock) = (read(files, "deny.toml")?, read(files, "Cargo.lock")?);
    let banned = |package: &&Package| deny.bans.deny.iter().any(|banned| banned.name == package.name);
    Ok(lock.package.iter().filter(banned).map(finding).collect())
}

fn read<T: DeserializeOwned>(files: &[File], path: &str) -> Result<T> {
    let file = files.iter().find(|file| file.path == path).with_context(|| format!("{path} is missing"))?;
    toml::from_str(&file.text).with_context(|| format!("cannot read {path}"))
}

fn finding(package: &Package) -> Finding {
    let (name, version) = (&package.name, &package.version);
    let text = format!(
        "{name} {version} is banned by deny.toml: `cargo tree --workspace --target all -i {name}` says who pulls it; \
         choose other features there, or another crate"
    );
    Finding::whole("Cargo.lock", text)
}

#[cfg(test)]
mod tests {
    use super::{File, check};

    fn found(deny: &str, lock: &str) -> Option<usize> {
        let files = [File::new("deny.toml", deny), File::new("Cargo.lock", lock)];
        check(&files).ok().map(|findings| findings.len())
    }

    #[test]
    fn a_banned_package_in_the_lock_is_found() {
        let deny = "[bans]\ndeny = [{ crate = \"slow-sys\" }]\n[licenses]\nallow = []\n";
        let lock = |name: &str| format!("version = 4\n[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n");
        assert_eq!(found(deny, &lock("slow-sys")), Some(1));
        assert_eq!(found(deny, &lock("slow")), Some(0));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let lock = "package = []\n";
        assert_eq!(found("[bans]\ndeny = [{ crate = \"a\" }]\n", lock), Some(0));
        assert_eq!(found("[bans]\ndeny = [{ crate = \"a\", wrappers = [] }]\n", lock), None);
        assert_eq!(found("[bans]\ndeny = [\"a\"]\n", lock), None);
        assert_eq!(found("[licenses]\n", lock), None);
    }
}
