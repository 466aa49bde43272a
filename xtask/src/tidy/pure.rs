//! Time, chance and the outside enter by the front door.
//!
//! Clippy watches whole crates: the core crates share one clippy.toml, and this rule keeps the copies
//! alike. The pure files of crates whose shells may do I/O are watched here, by name.

use super::Finding;
use super::file::File;
use super::size;
use super::tokens::{Mention, mentions};
use anyhow::{Context, Result};
use syn::{Item, Meta};

/// The core crates beside the services, which are found by looking.
const CORE: &[&str] = &["base", "wire", "state", "plan", "auth", "request"];

/// The one clippy.toml that the others are copies of.
const LAW: &str = "crates/base/clippy.toml";

/// Pure modules with their submodules, or one function of a file.
const PURE: &[(&str, Option<&str>)] = &[
    ("crates/agent/src/machine.rs", None),
    ("crates/agent/src/order.rs", None),
    ("crates/agent/src/task.rs", None),
    ("crates/control/src/payload.rs", None),
    ("crates/control/src/session.rs", None),
    ("crates/control/src/sweep.rs", Some("of")),
];

/// Names that a pure file does not speak, and what to do instead.
const NAMES: &[(&str, &str)] = &[
    ("HashMap", ORDER),
    ("HashSet", ORDER),
    ("Instant", TIME),
    ("OsSecrets", CHANCE),
    ("RandomState", ORDER),
    ("SystemRandom", CHANCE),
    ("SystemTime", TIME),
    ("Uuid", CHANCE),
    ("thread_rng", CHANCE),
];

/// Modules of which it uses nothing.
const MODULES: &[(&str, &str)] =
    &[("env", OUTSIDE), ("fs", OUTSIDE), ("rand", CHANCE), ("thread", OUTSIDE), ("tokio", OUTSIDE)];

const TIME: &str = "take `now: Timestamp` as a parameter";
const CHANCE: &str = "names come from `Names`, what grants access from `Secrets`, both parameters";
const ORDER: &str = "its order differs from run to run: BTreeMap or BTreeSet";
const OUTSIDE: &str = "answer what is to be done, and let the shell do it";

pub fn check(files: &[File]) -> Result<Vec<Finding>> {
    let mut findings = copies(files)?;
    for (path, function) in PURE {
        let module = format!("{}/", path.trim_end_matches(".rs"));
        let named = |file: &&File| file.path == *path || file.path.starts_with(&module);
        let mut here = files.iter().filter(named).filter(|file| !is_test(&file.path)).peekable();
        if here.peek().is_none() {
            findings.push(Finding::whole(path, format!("is gone, and was pure: correct PURE of {}", file!())));
        }
        findings.extend(here.flat_map(|file| impure(file, *function)));
    }
    Ok(findings)
}

/// Complains of core crates whose clippy.toml is not the common one, and of that when it forgets the root's settings.
fn copies(files: &[File]) -> Result<Vec<Finding>> {
    let text = |path: &str| files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    let law = text(LAW).with_context(|| format!("{LAW} is missing"))?;
    let root = text("clippy.toml").context("clippy.toml is missing")?;
    let (settings, repeated): (toml::Table, toml::Table) = (toml::from_str(root)?, toml::from_str(law)?);
    let forgotten = settings.iter().filter(|(name, value)| repeated.get(*name) != Some(*value));
    let repeat =
        |name: &String| Finding::whole(LAW, format!("`{name}` is not as in the root's clippy.toml: repeat it"));
    let mut findings: Vec<Finding> = forgotten.map(|(name, _)| repeat(name)).collect();
    for path in core_crates(files).iter().map(|core| format!("{core}/clippy.toml")) {
        if text(&path) != Some(law) {
            findings.push(Finding::whole(&path, format!("a core crate's, and not the common one: cp {LAW} {path}")));
        }
    }
    Ok(findings)
}

fn core_crates(files: &[File]) -> Vec<String> {
    let manifests = files.iter().filter_map(|file| file.path.strip_suffix("/Cargo.toml"));
    let services = manifests.filter(|folder| folder.starts_with("crates/services/")).map(str::to_owned);
    CORE.iter().map(|name| format!("crates/{name}")).chain(services).collect()
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// What of the file, or of one function of it, reaches outside.
fn impure(file: &File, function: Option<&str>) -> Vec<Finding> {
    let Some(rust) = &file.rust else { return Vec::new() };
    let functions = size::functions(&rust.tree);
    let watched: Option<Vec<_>> =
        function.map(|name| functions.iter().filter(|found| found.name == name).collect::<Vec<_>>());
    if watched.as_ref().is_some_and(Vec::is_empty) {
        let text = format!("`{}` is gone, and was pure: correct PURE of {}", function.unwrap_or_default(), file!());
        return vec![Finding::whole(&file.path, text)];
    }
    let tests = test_modules(&rust.tree);
    let counts = |mention: &&Mention| {
        let within = |first: usize, last: usize| (first..=last).contains(&mention.line);
        let inside = |found: &&size::Function| within(found.first_line, found.last_line);
        watched.as_ref().is_none_or(|found| found.iter().any(inside)) && !tests.iter().any(|(a, b)| within(*a, *b))
    };
    let mentions = mentions(rust.tokens.clone());
    mentions.iter().filter(counts).filter_map(|mention| complaint(file, mention)).collect()
}

fn complaint(file: &File, mention: &Mention) -> Option<Finding> {
    let listed = |list: &[(&str, &'static str)]| {
        list.iter().find(|(name, _)| mention.path.iter().any(|part| part == name)).map(|(_, instead)| *instead)
    };
    let instead = listed(NAMES).or_else(|| listed(MODULES).filter(|_| mention.path.len() > 1))?;
    let text = format!("`{}` in a pure place: {instead}", mention.path.join("::"));
    Some(Finding::at(&file.path, mention.line, text))
}

/// First and last lines of the modules that only tests have.
fn test_modules(tree: &syn::File) -> Vec<(usize, usize)> {
    let lines = |item: &Item| match item {
        Item::Mod(module) if module.attrs.iter().any(|attribute| is_cfg_test(&attribute.meta)) => {
            let (braces, _) = module.content.as_ref()?;
            Some((module.mod_token.span.start().line, braces.span.close().end().line))
        }
        _ => None,
    };
    tree.items.iter().filter_map(lines).collect()
}

fn is_cfg_test(meta: &Meta) -> bool {
    matches!(meta, Meta::List(list) if list.path.is_ident("cfg") && list.tokens.to_string() == "test")
}

#[cfg(test)]
mod tests {
    use super::{CORE, File, LAW, PURE, check, impure};

    fn count(text: &str, function: Option<&str>) -> usize {
        impure(&File::new("a.rs", text), function).len()
    }

    #[test]
    fn clocks_chance_order_and_the_outside_are_found() {
        for text in [
            "use std::time::{Duration, SystemTime};",
            "fn a() { let b = vec![std::time::Instant::now()]; }",
            "fn a() { uuid::Uuid::new_v4(); }",
            "use std::{collections::BTreeMap, fs};",
            "fn a() { tokio::spawn(b()); }",
            "fn a() { std::thread::sleep(b); }",
            "fn a(b: &HashMap<String, String>) {}",
            "fn a() { let s = base::OsSecrets; }",
        ] {
            assert_eq!(count(text, None), 1, "{text}");
        }
        assert_eq!(count("use std::net::Ipv4Addr; fn a(env: u8, fs: u8) { b(\"tokio::spawn\") }", None), 0);
    }

    #[test]
    fn tests_of_a_pure_file_may_use_what_they_need() {
        assert_eq!(count("fn a() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n", None), 0);
        assert_eq!(count("fn a() {}\nmod tests {\n    use std::fs;\n}\n", None), 1);
    }

    #[test]
    fn one_function_can_be_pure_in_a_shell() {
        let text = "fn run() {\n    tokio::spawn(a());\n}\nfn expired() {\n    b();\n}\n";
        assert_eq!(count(text, Some("expired")), 0);
        assert_eq!(count(text, Some("run")), 1);
        assert_eq!(count(text, Some("gone")), 1);
    }

    /// The findings in a repository of pure files and core crates, where `path` has this text, or is missing.
    fn found(path: &str, text: Option<&str>) -> Vec<String> {
        let clippy = |folder: &str| File::new(&format!("{folder}/clippy.toml"), "a = true\n");
        let mut files: Vec<File> = CORE.iter().map(|name| clippy(&format!("crates/{name}"))).collect();
        let pure = |name: &Option<&str>| format!("fn {}() {{}}\n", name.unwrap_or("any"));
        files.extend(PURE.iter().map(|(path, name)| File::new(path, &pure(name))));
        files.push(clippy("crates/services/ecs"));
        files.push(File::new("clippy.toml", "a = true\n"));
        files.push(File::new("crates/services/ecs/Cargo.toml", ""));
        files.retain(|file| file.path != path);
        files.extend(text.map(|text| File::new(path, text)));
        check(&files).expect("readable").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn core_crates_share_one_clippy_toml_that_repeats_the_roots_settings() {
        assert_eq!(found("README.md", Some("")), [""; 0]);
        for path in ["crates/plan/clippy.toml", "crates/services/ecs/clippy.toml"] {
            assert_eq!(found(path, Some("a = false\n")).len(), 1, "{path}");
            assert_eq!(found(path, None).len(), 1, "{path}");
        }
        let forgotten = found("clippy.toml", Some("a = true\nb = 1\n"));
        assert_eq!(forgotten, [format!("{LAW}: `b` is not as in the root's clippy.toml: repeat it")]);
    }

    #[test]
    fn a_pure_file_and_its_submodules_are_watched_and_missed() {
        let path = "crates/agent/src/machine.rs";
        assert_eq!(found(path, None).len(), 1);
        assert_eq!(found(path, Some("use std::fs;\n")).len(), 1);
        assert_eq!(found("crates/agent/src/machine/report.rs", Some("use std::fs;\n")).len(), 1);
        assert_eq!(found("crates/agent/src/machine/tests.rs", Some("use std::fs;\n")).len(), 0);
        assert_eq!(found("crates/agent/src/machinery.rs", Some("use std::fs;\n")).len(), 0);
    }
}
