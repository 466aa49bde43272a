//! What commands list: as a table for people, or as the API's own documents.

use crate::say;
use anyhow::Result;
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use oci::text::printable;
use serde_json::Value;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Table,
    Json,
}

/// A heading, and what stands below it for an item.
pub type Column = (&'static str, fn(&Value) -> String);

impl Output {
    pub fn print(self, items: &[Value], columns: &[Column]) -> Result<()> {
        match self {
            Self::Json => say(serde_json::to_string_pretty(items)?),
            Self::Table => say(table(items, columns)),
        }
    }
}

/// Columns without borders, as `docker ps` and `kubectl get` have them.
fn table(items: &[Value], columns: &[Column]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|(heading, _)| *heading));
    for item in items {
        // Images of strangers have their word in reasons and names.
        table.add_row(columns.iter().map(|(_, cell)| printable(&cell(item)).into_owned()));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim().to_owned()).collect();
    lines.join("\n")
}

/// How long ago a time of the API was.
pub fn ago(time: &Value) -> String {
    age(client::now().as_millis() as f64 / 1e3 - time.as_f64().unwrap_or_default())
}

/// A span in the largest unit that fits: `5 s`, `3 min`, `2 h`, `4 d`.
fn age(secs: f64) -> String {
    match secs.max(0.0) {
        secs if secs < 60.0 => format!("{secs:.0} s"),
        secs if secs < 3600.0 => format!("{:.0} min", (secs / 60.0).floor()),
        secs if secs < 86_400.0 => format!("{:.0} h", (secs / 3600.0).floor()),
        secs => format!("{:.0} d", (secs / 86_400.0).floor()),
    }
}

/// Bytes in the largest unit that fits.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..=1023 => format!("{bytes} B"),
        1024..=1_048_575 => format!("{} KiB", bytes >> 10),
        1_048_576..=1_073_741_823 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_stand_below_their_headings() {
        let columns: [Column; 2] = [("NAME", |item| item["a"].to_string()), ("B", |item| item["b"].to_string())];
        let shown = table(&[json!({ "a": 1, "b": 2 }), json!({ "a": 333_333, "b": 4 })], &columns);
        insta::assert_snapshot!(shown);
        let hostile = table(
            &[json!({ "a": "x\n\u{1b}[31my" })],
            &[("NAME", |item| item["a"].as_str().unwrap_or_default().to_owned())],
        );
        assert_eq!(hostile, "NAME\nx\\n\\u{1b}[31my");
        assert!(table(&[], &columns).starts_with("NAME"), "headings tell that there is nothing");
    }

    #[test]
    fn ages_and_sizes_are_short() {
        fn check(secs: f64, expect: &str) {
            assert_eq!(age(secs), expect);
        }
        check(-1.0, "0 s");
        check(59.4, "59 s");
        check(60.0, "1 min");
        check(7199.0, "1 h");
        check(200_000.0, "2 d");
        assert_eq!([size(10), size(2048), size(3 << 20), size(5 << 30)], ["10 B", "2 KiB", "3.0 MiB", "5.0 GiB"]);
    }
}
