//! Text that may be committed: ends of lines and files, indentation, left-over notes, paths of one machine.

use super::Finding;
use super::file::File;

/// Notes to come back. What is not done is said to its user as an error, and planned in an issue.
const NOTES: &[&str] = &["TODO", "FIXME", "XXX"];

/// Where somebody's files lie on their own machine.
const PRIVATE: &[&str] = &["/work/", "/home/", "/root/"];

/// Places where such a path is meant: file, path, why.
const MEANT: &[(&str, &str, &str)] = &[];

pub fn check(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    // What insta writes down is the tested code's text, not ours.
    if !file.ends_with(".snap") {
        findings.extend(ends(file));
    }
    if !file.names_rules() && !file.generated() {
        findings.extend(words(file));
    }
    findings
}

fn ends(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in (1..).zip(file.text.split('\n')) {
        if text.ends_with([' ', '\t', '\r']) {
            findings.push(Finding::at(&file.path, line, "white space at the end of the line: remove it"));
        }
        let indent = &text[..text.len() - text.trim_start().len()];
        if file.ends_with(".rs") && indent.contains('\t') {
            findings.push(Finding::at(&file.path, line, "indented by a tab: run `cargo fmt`"));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        findings.push(Finding::whole(&file.path, "the last line has no end: add a newline"));
    }
    findings
}

fn words(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in (1..).zip(file.text.lines()) {
        for note in NOTES.iter().filter(|note| has_word(text, note)) {
            let text = format!("{note}: do it now, or file an issue and say here what holds today");
            findings.push(Finding::at(&file.path, line, text));
        }
        for path in PRIVATE.iter().filter(|path| begins_path(text, path) && !meant(&file.path, path)) {
            let text = format!("a path below {path}: take it as a parameter, or list it in MEANT of {}", file!());
            findings.push(Finding::at(&file.path, line, text));
        }
    }
    findings
}

fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let alone = |at: usize| !inside(text[..at].chars().next_back()) && !inside(text[at + word.len()..].chars().next());
    text.match_indices(word).any(|(at, _)| alone(at))
}

/// Whether a path in the line begins so; a folder of the same name further down is another.
fn begins_path(text: &str, path: &str) -> bool {
    let before = |at: usize| text[..at].chars().next_back();
    let begins = |at: usize| before(at).is_none_or(|c| c.is_whitespace() || "\"'`=:,([<".contains(c));
    text.match_indices(path).any(|(at, _)| begins(at))
}

fn meant(file: &str, path: &str) -> bool {
    MEANT.iter().any(|(place, meant, _)| (*place, *meant) == (file, path))
}

#[cfg(test)]
mod tests {
    use super::{File, check};

    fn count(path: &str, text: &str) -> usize {
        check(&File::new(path, text)).len()
    }

    #[test]
    fn lines_and_files_end_as_they_should() {
        assert_eq!(count("a.rs", "fn a() {}\n"), 0);
        assert_eq!(count("a.rs", ""), 0);
        assert_eq!(count("a.rs", "fn a() {}"), 1);
        assert_eq!(count("a.md", "a \n"), 1);
        assert_eq!(count("a.md", "a\r\n"), 1);
        assert_eq!(count("a.snap", "a \n"), 0);
    }

    #[test]
    fn rust_is_indented_by_spaces() {
        assert_eq!(count("a.rs", "fn a() {\n\tb();\n}\n"), 1);
        assert_eq!(count("a.rs", "const A: &str = \"a\tb\";\n"), 0);
        assert_eq!(count("Makefile", "a:\n\tb\n"), 0);
    }

    #[test]
    fn notes_to_come_back_are_found_as_words() {
        assert_eq!(count("a.rs", "// TODO: more\n"), 1);
        assert_eq!(count("a.sh", "# FIXME, XXX\n"), 2);
        assert_eq!(count("a.rs", "const TODOS: u8 = 1; // XXXL\n"), 0);
        assert_eq!(count("x/gen/a.rs", "// TODO\n"), 0);
    }

    #[test]
    fn paths_of_one_machine_are_found_where_they_begin() {
        assert_eq!(count("a.rs", "const A: &str = \"/home/ann/x\";\n"), 1);
        assert_eq!(count("a.toml", "path = '/work/x'\n"), 1);
        assert_eq!(count("a.sh", "cd /root/x\n"), 1);
        assert_eq!(count("a.rs", "const A: &str = \"{dir}/work/x\";\n"), 0);
        assert_eq!(count("a.rs", "const A: &str = \"root:x:0:0:root:/root:/bin/sh\";\n"), 0);
    }
}
