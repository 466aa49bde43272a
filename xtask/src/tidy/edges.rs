//! Who may import whom. ARCHITECTURE.md says it in prose; this list is the law.

use super::Finding;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::Path;
use std::process::Command;

/// Every room, and the rooms that it may import beside `base`, which everyone may.
///
/// The service crates are one room here, and are not in their own list: services never import one another.
const LAW: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("wire", &[]),
    ("oci", &[]),
    ("store", &[]),
    ("telemetry", &[]),
    ("blobs", &["oci"]),
    ("state", &["store"]),
    ("plan", &["oci", "state", "store"]),
    ("auth", &["state", "store", "wire"]),
    ("request", &["auth", "blobs", "plan", "state", "store", "telemetry", "wire"]),
    (SERVICES, INSIDE),
    ("control", INSIDE),
    ("registry", INSIDE),
    (
        "gateway",
        &[
            SERVICES,
            "auth",
            "blobs",
            "control",
            "oci",
            "plan",
            "registry",
            "request",
            "state",
            "store",
            "telemetry",
            "wire",
        ],
    ),
    ("client", &["wire"]),
    ("agent", &["client", "oci", "wire"]),
    ("cli", &["client", "oci", "wire"]),
    (
        "app",
        &[
            SERVICES,
            "agent",
            "auth",
            "blobs",
            "cli",
            "client",
            "control",
            "gateway",
            "oci",
            "plan",
            "registry",
            "request",
            "state",
            "store",
            "telemetry",
            "wire",
        ],
    ),
    ("testbed", &[]),
    ("conformance", &[]),
    ("xtask", &[]),
    ("bench", &["cli", "client", "oci"]),
];

/// The room of every crate below `crates/services`.
const SERVICES: &str = "services";

/// What stands behind `request`: `request` itself, what it imports, and `oci`.
const INSIDE: &[&str] = &["auth", "blobs", "oci", "plan", "request", "state", "store", "telemetry", "wire"];

/// Edges that only tests have: importer, imported, why.
const TESTS_ONLY: &[(&str, &str, &str)] = &[
    ("registry", "control", "what the collector leaves alone is seen only where images are pushed and pulled"),
    ("store", "testbed", "the engine's suite runs over a real etcd"),
    ("conformance", "testbed", "servers stand by on a real etcd"),
];

/// What `cargo metadata` says, as far as it is asked.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: String,
}

#[derive(Deserialize)]
struct Package {
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or nothing for an ordinary one.
    kind: Option<String>,
    /// Only of packages of this workspace.
    path: Option<String>,
}

pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut metadata = Command::new(cargo);
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root);
    let output = metadata.output().context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata = serde_json::from_slice(&output.stdout).context("cannot read what cargo metadata says")?;
    Ok(judge(&metadata))
}

fn judge(metadata: &Metadata) -> Vec<Finding> {
    metadata.packages.iter().flat_map(|package| judge_package(package, &metadata.workspace_root)).collect()
}

fn judge_package(package: &Package, root: &str) -> Vec<Finding> {
    let path = package.manifest_path.trim_start_matches(root).trim_start_matches('/');
    let room = room(package.manifest_path.trim_end_matches("/Cargo.toml"));
    let Some((_, allowed)) = LAW.iter().find(|(name, _)| *name == room) else {
        let text = "is a room without a law: say in xtask/src/tidy/edges.rs and ARCHITECTURE.md what it may import";
        return vec![Finding::whole(path, text)];
    };
    let forbidden = |dependency: &&Dependency| match &dependency.path {
        Some(folder) => !permits(allowed, room, dependency, folder),
        None => false,
    };
    let finding = |dependency: &Dependency| Finding::whole(path, complaint(room, dependency));
    package.dependencies.iter().filter(forbidden).map(finding).collect()
}

fn permits(allowed: &[&str], room_of_importer: &str, dependency: &Dependency, folder: &str) -> bool {
    let imported = room(folder);
    let tests_only = TESTS_ONLY.iter().any(|(from, to, _)| (*from, *to) == (room_of_importer, imported));
    imported == "base" || allowed.contains(&imported) || (tests_only && dependency.kind.as_deref() == Some("dev"))
}

fn complaint(room: &str, dependency: &Dependency) -> String {
    let name = &dependency.name;
    match dependency.kind.as_deref() {
        Some("dev") => format!(
            "the tests of {room} may not import {name}: test it where both are known, or list the edge with its \
             reason in TESTS_ONLY of xtask/src/tidy/edges.rs"
        ),
        _ => format!(
            "{room} may not import {name}: move the code to a room that may (ARCHITECTURE.md, \"Who may import \
             whom\"), or change that page and xtask/src/tidy/edges.rs together"
        ),
    }
}

/// A room goes by its folder's name.
fn room(folder: &str) -> &str {
    let (parent, name) = folder.rsplit_once('/').unwrap_or(("", folder));
    if parent.ends_with("/crates/services") { SERVICES } else { name }
}

#[cfg(test)]
mod tests {
    use super::{Metadata, judge};
    use serde_json::json;

    /// The complaint about `from` importing `to`, both as paths below `crates`.
    fn complaint(from: &str, to: &str, kind: Option<&str>) -> Option<String> {
        let name = |path: &str| path.rsplit('/').next().expect("a name").to_owned();
        let dependencies = json!([
            { "name": name(to), "kind": kind, "path": format!("/src/crates/{to}") },
            { "name": "serde", "kind": null },
        ]);
        let manifest_path = format!("/src/crates/{from}/Cargo.toml");
        let package = json!({ "manifest_path": manifest_path, "dependencies": dependencies });
        let metadata: Metadata =
            serde_json::from_value(json!({ "packages": [package], "workspace_root": "/src" })).expect("metadata");
        judge(&metadata).pop().map(|finding| finding.to_string())
    }

    #[test]
    fn edges_of_the_list_are_fine_and_others_are_named() {
        for (from, to, fine) in [
            ("wire", "base", true),
            ("plan", "state", true),
            ("plan", "wire", false),
            ("state", "plan", false),
            ("services/ecs", "request", true),
            ("services/ecs", "services/ecr", false),
            ("services/ecs", "control", false),
            ("control", "services/ecs", false),
            ("gateway", "services/ecs", true),
            ("gateway", "agent", false),
            ("agent", "store", false),
            ("cli", "app", false),
            ("app", "services/logs", true),
        ] {
            assert_eq!(complaint(from, to, None).is_none(), fine, "{from} to {to}");
        }
    }

    #[test]
    fn tests_and_build_scripts_are_held_to_the_list_too() {
        assert_eq!(complaint("client", "wire", Some("dev")), None);
        let tests = complaint("client", "store", Some("dev")).expect("a finding");
        assert!(tests.starts_with("crates/client/Cargo.toml: the tests of client may not import store"), "{tests}");
        assert!(complaint("client", "store", Some("build")).is_some());
    }

    #[test]
    fn a_new_room_needs_a_law() {
        let text = complaint("balancer", "wire", None).expect("a finding");
        assert!(text.contains("without a law"), "{text}");
    }
}
