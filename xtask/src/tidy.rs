//! The rules of the house that neither the compiler nor clippy keeps: `cargo xtask tidy`.
//!
//! A rule is a function from texts to findings, in a file of its own with its lists and its reasons.
//! A finding says what to do. Where a rule is wrong, change its list there, where a reviewer sees it.

mod bans;
mod edges;
mod file;
mod hygiene;
mod operations;
mod pure;
mod reasons;
mod size;
mod tokens;

use anyhow::Result;
use std::fmt;
use std::path::Path;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Below the repository's root.
    path: String,
    /// Counted from 1; nothing when it is about the whole file.
    line: Option<usize>,
    /// What is wrong, and what to do.
    text: String,
}

impl Finding {
    fn whole(path: &str, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, text: text.into() }
    }

    fn at(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: Some(line), text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(to, "{}:{line}: {}", self.path, self.text),
            None => write!(to, "{}: {}", self.path, self.text),
        }
    }
}

/// Prints each finding, and ends the process with status 1 if there is one.
pub fn run(root: &Path) -> Result<()> {
    let mut findings = look(root)?;
    findings.sort();
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        eprintln!("not tidy: {} to mend", findings.len());
        std::process::exit(1);
    }
    Ok(())
}

fn look(root: &Path) -> Result<Vec<Finding>> {
    let files = file::all(root)?;
    let mut findings = Vec::new();
    findings.extend(edges::check(root)?);
    findings.extend(bans::check(&files)?);
    findings.extend(pure::check(&files)?);
    findings.extend(size::check(&files));
    for file in &files {
        findings.extend(file.broken());
        findings.extend(hygiene::check(file));
        findings.extend(reasons::check(file));
        findings.extend(operations::check(file));
    }
    Ok(findings)
}
