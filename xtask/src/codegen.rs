//! What is generated: shape tables, typed structs, the dispatch table, the coverage page.
//!
//! All of it is a function of files in this repository, so that `--check` can say whether the
//! committed text is fresh. Only [`trim`] reads botocore.

mod coverage;
mod dispatch;
mod model;
mod names;
mod services;
mod tables;
mod types;

use anyhow::{Context, Result, bail};
use model::Model;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The services, with their folder in botocore's data; our own has none, and its model is written by hand.
const SERVICES: &[(&str, Option<&str>)] = &[
    ("ecr", Some("ecr/2015-09-21")),
    ("ecs", Some("ecs/2014-11-13")),
    ("logs", Some("logs/2014-03-28")),
    ("longshore", None),
    ("sts", Some("sts/2011-06-15")),
];

/// Values that a service takes and its model does not list: service, enum, value.
/// ECS registers the log driver `none`, and its agent has it (github.com/aws/amazon-ecs-agent, issue 528).
const UNLISTED_VALUES: &[(&str, &str, &str)] = &[("ecs", "LogDriver", "none")];

/// Operations to write types for although no service crate has them yet.
const SEEDS: &str = "crates/wire/models/typed-operations.txt";

/// A generated file: its path below the repository's root, and its text.
type Generated = (PathBuf, String);

/// Writes `crates/wire/models/*.json` from botocore's `data` folder.
pub fn trim(root: &Path, data: &Path) -> Result<()> {
    for (name, folder) in SERVICES.iter().filter_map(|(name, folder)| Some((name, (*folder)?))) {
        let path = data.join(folder).join("service-2.json");
        let model = Model::parse(&read(&path)?).with_context(|| path.display().to_string())?;
        put(&root.join(trimmed(name)), &model.to_text()?)?;
    }
    Ok(())
}

/// Writes every generated file that is not fresh.
pub fn write(root: &Path) -> Result<()> {
    for (path, text) in stale(root)? {
        put(&root.join(path), &text)?;
    }
    Ok(())
}

/// Fails, naming the files, unless every generated file is what [`write`] would write.
pub fn check(root: &Path) -> Result<()> {
    let stale: Vec<String> = stale(root)?.into_iter().map(|(path, _)| path.display().to_string()).collect();
    if !stale.is_empty() {
        bail!("not fresh: {}; run `cargo xtask codegen`", stale.join(", "));
    }
    Ok(())
}

/// The generated files whose text is another than the one on disk.
fn stale(root: &Path) -> Result<Vec<Generated>> {
    let fresh = |(path, text): &Generated| fs::read_to_string(root.join(path)).is_ok_and(|found| found == *text);
    Ok(generate(root)?.into_iter().filter(|file| !fresh(file)).collect())
}

fn generate(root: &Path) -> Result<Vec<Generated>> {
    let seeds = read(&root.join(SEEDS))?;
    let models: Vec<Model> = SERVICES.iter().map(|(name, _)| model(root, name)).collect::<Result<_>>()?;
    let (mut files, mut found) = (Vec::new(), Vec::new());
    for ((name, _), model) in SERVICES.iter().zip(&models) {
        let implemented = services::scan(root, name, model)?;
        let typed = implemented.iter().map(|found| found.operation.clone()).chain(seeded(&seeds, name)).collect();
        files.push((format!("crates/wire/src/models/gen/{name}.rs").into(), tables::source(name, model)?));
        files.push((format!("crates/wire/src/types/gen/{name}.rs").into(), types::source(name, model, &typed)?));
        found.push((*name, implemented));
    }
    let covered: Vec<_> =
        found.iter().zip(&models).map(|((name, implemented), model)| (*name, model, &implemented[..])).collect();
    files.push(("docs/coverage.md".into(), coverage::page(&covered)?));
    files.push(("crates/gateway/src/gen/dispatch.rs".into(), dispatch::source(&found)?));
    Ok(files)
}

fn model(root: &Path, service: &str) -> Result<Model> {
    let path = trimmed(service);
    let mut model = Model::parse(&read(&root.join(&path))?).with_context(|| path.display().to_string())?;
    for (_, shape, value) in UNLISTED_VALUES.iter().filter(|(name, ..)| *name == service) {
        model.allow(shape, value)?;
    }
    Ok(model)
}

/// The operations that the seed file names for a service.
fn seeded(seeds: &str, service: &str) -> BTreeSet<String> {
    let pairs = seeds.lines().filter_map(|line| line.split_once(' '));
    pairs.filter(|(name, _)| *name == service).map(|(_, operation)| operation.to_owned()).collect()
}

fn trimmed(service: &str) -> PathBuf {
    format!("crates/wire/models/{service}.json").into()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn put(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn generated_files_are_fresh() {
        super::check(crate::root()).expect("fresh");
    }
}
