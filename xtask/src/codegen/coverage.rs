//! Writes docs/coverage.md: which modelled operations are implemented.

use super::model::Model;
use super::services::Implemented;
use std::fmt::Write;

const HEAD: &str = "\
# Coverage

Every operation of the public AWS service models, and whether this version implements it. The
others answer NotImplementedException. `cargo xtask codegen` writes this page.

| service | implemented | modelled |
|---|---:|---:|
";

/// The page; `services` are (name, model, implemented operations).
pub fn page(services: &[(&str, &Model, &[Implemented])]) -> Result<String, std::fmt::Error> {
    let mut out = HEAD.to_owned();
    for (name, model, implemented) in services {
        writeln!(out, "| [{name}](#{name}) | {} | {} |", implemented.len(), model.operations.0.len())?;
    }
    for (name, model, implemented) in services {
        writeln!(out, "\n## {name}\n\n| operation | state |\n|---|---|")?;
        for (operation, _) in &model.operations.0 {
            let there = implemented.iter().any(|found| found.operation == *operation);
            writeln!(out, "| {operation} | {} |", if there { "implemented" } else { "not implemented" })?;
        }
    }
    Ok(out)
}
