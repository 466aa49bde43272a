//! Figures beside their peers', with what was promised of them.

use std::fmt::Write;

/// What is promised of a figure.
#[derive(Clone, Copy)]
pub enum Promise {
    /// Ours is so many times the peer's, at the least; the goal beyond it.
    AtLeastTimes { floor: f64, goal: f64 },
    /// Ours is so many times the peer's, at the most.
    AtMostTimes(f64),
    /// So much, whatever peers do.
    AtLeast(f64),
    /// Told, not promised.
    Nothing,
}

pub struct Row {
    pub what: String,
    pub unit: &'static str,
    pub ours: f64,
    /// Who is beside us, and its figure.
    pub peer: Option<(&'static str, f64)>,
    pub promise: Promise,
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        self.peer.map(|(_, peer)| self.ours / peer)
    }

    fn verdict(&self) -> String {
        let ratio = self.ratio().unwrap_or(f64::NAN);
        let word = |met: bool| if met { "met" } else { "**missed**" };
        match self.promise {
            Promise::AtLeastTimes { floor, goal } if ratio >= goal && goal > floor => {
                format!("goal {goal} met")
            }
            Promise::AtLeastTimes { floor, goal } if goal > floor => {
                format!("at least {floor}: {}, goal {goal}: missed", word(ratio >= floor))
            }
            Promise::AtLeastTimes { floor, .. } => format!("at least {floor}: {}", word(ratio >= floor)),
            Promise::AtMostTimes(most) => format!("at most {most}: {}", word(ratio <= most)),
            Promise::AtLeast(least) => format!("at least {least}: {}", word(self.ours >= least)),
            Promise::Nothing => String::new(),
        }
    }
}

/// The rows as a Markdown table.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from("| what | unit | Longshore | peer | ratio | promise |\n|---|---|---:|---:|---:|---|\n");
    for row in rows {
        let peer = row.peer.map_or(String::new(), |(name, figure)| format!("{name} {}", number(figure)));
        let ratio = row.ratio().map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let (what, unit, ours) = (&row.what, row.unit, number(row.ours));
        _ = writeln!(text, "| {what} | {unit} | {ours} | {peer} | {ratio} | {} |", row.verdict());
    }
    text
}

/// Three digits that matter.
fn number(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_judged_by_what_it_says() {
        fn check(promise: Promise, ours: f64, expect: &str) {
            let row = Row { what: String::new(), unit: "", ours, peer: Some(("peer", 10.0)), promise };
            assert_eq!(row.verdict(), expect);
        }
        let both = Promise::AtLeastTimes { floor: 1.0, goal: 1.3 };
        check(both, 13.0, "goal 1.3 met");
        check(both, 11.0, "at least 1: met, goal 1.3: missed");
        check(both, 9.0, "at least 1: **missed**, goal 1.3: missed");
        check(Promise::AtLeastTimes { floor: 2.0, goal: 2.0 }, 20.0, "at least 2: met");
        check(Promise::AtMostTimes(0.7), 8.0, "at most 0.7: **missed**");
        check(Promise::AtLeast(9.0), 9.0, "at least 9: met");
        check(Promise::Nothing, 1.0, "");
    }

    #[test]
    fn a_table_has_a_line_a_row() {
        let row = Row {
            what: "push".to_owned(),
            unit: "MB/s",
            ours: 123.4,
            peer: Some(("docker-registry", 61.7)),
            promise: Promise::Nothing,
        };
        let table = markdown(&[row]);
        assert_eq!(table.lines().last(), Some("| push | MB/s | 123 | docker-registry 61.7 | 2.00 |  |"));
    }
}
