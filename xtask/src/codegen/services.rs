//! What the service crates implement, found by looking at their files.
//!
//! `crates/services/<service>/src/<operation>.rs` with a public `run` is the operation's
//! registration; there is no other.

use super::model::Model;
use super::names::snake;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

/// How an operation runs; its `run` function's signature says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `pub fn run(view: &View…`: reads, changes nothing.
    Read,
    /// `pub fn run(tx: &mut Tx…`: one transaction.
    Tx,
    /// `pub async fn run(…`: streams, uploads, long queries.
    Flow,
}

/// An operation that a service crate implements.
#[derive(Debug)]
pub struct Implemented {
    /// The file's name without `.rs`.
    pub module: String,
    /// The model's name.
    pub operation: String,
    pub kind: Kind,
}

/// The implemented operations of one service, sorted by file name.
pub fn scan(root: &Path, service: &str, model: &Model) -> Result<Vec<Implemented>> {
    let folder = root.join("crates/services").join(service).join("src");
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let text = if path.extension().is_some_and(|end| end == "rs") { super::read(&path)? } else { continue };
        if let (Some(kind), Some(stem)) = (kind(&text), path.file_stem().and_then(|stem| stem.to_str())) {
            let kind = kind.with_context(|| path.display().to_string())?;
            let operation = operation(model, stem).with_context(|| path.display().to_string())?;
            found.push(Implemented { module: stem.to_owned(), operation, kind });
        }
    }
    found.sort_by(|a, b| a.module.cmp(&b.module));
    Ok(found)
}

fn operation(model: &Model, stem: &str) -> Result<String> {
    let named = model.operations.0.iter().map(|(name, _)| name).find(|name| snake(name) == stem);
    named.cloned().context("has a `run` but no operation is named so: rename the file, or the function")
}

/// The kind of the file's `run`, or nothing where it has none.
fn kind(text: &str) -> Option<Result<Kind>> {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.contains("pub async fn run(") || words.contains("pub async fn run<") {
        return Some(Ok(Kind::Flow));
    }
    let (_, parameters) = words.split_once("pub fn run(")?;
    let (_, first) = parameters.split_once(':')?;
    let first = first.trim_start();
    Some(if first.starts_with("&mut Tx") {
        Ok(Kind::Tx)
    } else if first.starts_with("&View") {
        Ok(Kind::Read)
    } else {
        refuse(first)
    })
}

fn refuse(first: &str) -> Result<Kind> {
    let given = first.split([',', ')']).next().unwrap_or_default();
    bail!("the first parameter of `run` is {given}; it is &View (reads) or &mut Tx (changes), or `run` is async")
}

#[cfg(test)]
mod tests {
    use super::{Kind, kind};

    #[test]
    fn the_signature_of_run_is_the_kind() {
        for (text, expected) in [
            ("pub fn run(view: &View, input: I) -> O {", Some(Kind::Read)),
            ("pub fn run(\n    tx: &mut Tx,\n    input: I,\n) -> O {", Some(Kind::Tx)),
            ("pub fn run(_: &mut Tx<'_>, input: I) -> O {", Some(Kind::Tx)),
            ("pub async fn run(cx: FlowCx, input: I) -> O {", Some(Kind::Flow)),
            ("fn run(view: &View) {", None),
            ("pub fn running(view: &View) {", None),
        ] {
            assert_eq!(kind(text).map(|kind| kind.expect("a kind")), expected, "{text}");
        }
        assert!(kind("pub fn run(input: I) {").is_some_and(|kind| kind.is_err()));
    }
}
