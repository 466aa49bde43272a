//! Every operation says what it asks authorisation for.

use super::Finding;
use super::file::File;
use syn::{Item, Visibility};

/// A file of a service crate with a public `run` is an operation; it has a public `checks` too.
pub fn check(file: &File) -> Option<Finding> {
    let rust = file.rust.as_ref()?;
    let text = "has `run` and no `checks`: add `pub fn checks`, which says what the caller must be allowed to do";
    let silent = of_a_service(&file.path) && has(&rust.tree, "run") && !has(&rust.tree, "checks");
    silent.then(|| Finding::whole(&file.path, text))
}

/// Whether it is `crates/services/*/src/*.rs`.
fn of_a_service(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts[..], ["crates", "services", _, "src", _])
}

fn has(tree: &syn::File, name: &str) -> bool {
    tree.items.iter().any(
        |item| matches!(item, Item::Fn(found) if found.sig.ident == name && matches!(found.vis, Visibility::Public(_))),
    )
}

#[cfg(test)]
mod tests {
    use super::{File, check};

    const PLACE: &str = "crates/services/ecs/src/run_task.rs";

    #[test]
    fn an_operation_without_checks_is_found() {
        for (path, text, fine) in [
            (PLACE, "pub fn run() {}", false),
            (PLACE, "pub async fn run() {}", false),
            (PLACE, "pub fn run() {} fn checks() {}", false),
            (PLACE, "pub fn run() {} pub fn checks() {}", true),
            (PLACE, "fn run() {}", true),
            ("crates/services/ecs/src/show/task.rs", "pub fn run() {}", true),
            ("crates/control/src/sweep.rs", "pub async fn run() {}", true),
        ] {
            assert_eq!(check(&File::new(path, text)).is_none(), fine, "{path}: {text}");
        }
    }
}
