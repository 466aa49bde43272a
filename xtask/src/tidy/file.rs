//! The repository's texts, read and parsed once for all rules.

use super::Finding;
use anyhow::{Context, Result};
use proc_macro2::TokenStream;
use std::fs;
use std::path::Path;

/// Folders that hold nothing of ours.
const FOREIGN: &[&str] = &[".git", "target"];

/// A text file.
pub struct File {
    /// Below the repository's root, with `/` between the parts.
    pub path: String,
    pub text: String,
    /// Of a Rust file; generated ones are left unparsed.
    pub rust: Option<Rust>,
    error: Option<syn::Error>,
}

/// A Rust file as tokens, which see into macros, and as a tree.
pub struct Rust {
    pub tokens: TokenStream,
    pub tree: syn::File,
}

impl File {
    pub fn new(path: &str, text: &str) -> Self {
        let mut file = Self { path: path.to_owned(), text: text.to_owned(), rust: None, error: None };
        if file.ends_with(".rs") && !file.generated() {
            match parse(text) {
                Ok(rust) => file.rust = Some(rust),
                Err(error) => file.error = Some(error),
            }
        }
        file
    }

    pub fn ends_with(&self, end: &str) -> bool {
        self.path.ends_with(end)
    }

    /// Whether `cargo xtask codegen` wrote it.
    pub fn generated(&self) -> bool {
        self.path.contains("/gen/")
    }

    /// Whether it is a file of this very chore, whose rules and tests name what they forbid.
    pub fn names_rules(&self) -> bool {
        self.path.starts_with("xtask/src/tidy/")
    }

    /// What keeps the other rules from looking into the file.
    pub fn broken(&self) -> Option<Finding> {
        let error = self.error.as_ref()?;
        let text = format!("is not Rust, and no rule can look into it: {error}");
        Some(Finding::at(&self.path, error.span().start().line, text))
    }
}

fn parse(text: &str) -> syn::Result<Rust> {
    Ok(Rust { tokens: text.parse()?, tree: syn::parse_file(text)? })
}

/// Every text file below `root`, sorted by path.
pub fn all(root: &Path) -> Result<Vec<File>> {
    let mut found = Vec::new();
    collect(root, "", &mut found)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<File>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let (path, kind) = (format!("{prefix}{name}"), entry.file_type()?);
        if kind.is_dir() && !FOREIGN.contains(&name.as_str()) {
            collect(&entry.path(), &format!("{path}/"), found)?;
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
            found.extend(String::from_utf8(bytes).ok().map(|text| File::new(&path, &text)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::File;

    #[test]
    fn what_is_not_rust_is_said_with_its_line() {
        let broken = File::new("a.rs", "fn a() {}\nfn b( {}\n").broken().expect("a finding");
        assert_eq!(broken.line, Some(2));
        assert!(File::new("a.rs", "fn a() {}\n").broken().is_none());
        assert!(File::new("x/gen/a.rs", "fn b( {}\n").broken().is_none());
        assert!(File::new("a.md", "fn b( {}\n").broken().is_none());
    }
}
