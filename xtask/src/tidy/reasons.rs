//! No placeholders, and no switched-off lint or test without its reason.

use super::Finding;
use super::file::File;
use super::tokens::sequences;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Macros that stand for code which is not there, or is there for its author alone.
const PLACEHOLDERS: &[&str] = &["todo", "unimplemented", "dbg"];

/// Attributes that switch a lint off.
const SWITCHES: &[&str] = &["allow", "expect"];

pub fn check(file: &File) -> Vec<Finding> {
    let Some(rust) = &file.rust else { return Vec::new() };
    let mut findings = Vec::new();
    sequences(rust.tokens.clone(), &mut |tokens| {
        for (at, token) in tokens.iter().enumerate() {
            let (line, next) = (token.span().start().line, tokens.get(at + 1));
            let text = match token {
                TokenTree::Ident(ident) if next.is_some_and(is_bang) => placeholder(&ident.to_string()),
                TokenTree::Group(group) if attributes(tokens, at) => unreasoned(group, &file.text, line),
                _ => None,
            };
            findings.extend(text.map(|text| Finding::at(&file.path, line, text)));
        }
    });
    findings
}

fn placeholder(name: &str) -> Option<String> {
    PLACEHOLDERS.contains(&name).then(|| format!("{name}!: write the code, or answer a clear error"))
}

fn is_bang(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == '!')
}

/// Whether an attribute's brackets are at this place: after `#`, or after `#!`.
fn attributes(tokens: &[TokenTree], at: usize) -> bool {
    let hash = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '#');
    match &tokens[..at] {
        [.., first, second] => hash(second) || (is_bang(second) && hash(first)),
        [only] => hash(only),
        [] => false,
    }
}

/// What is missing of the attribute whose brackets these are.
fn unreasoned(attribute: &Group, text: &str, line: usize) -> Option<String> {
    if attribute.delimiter() != Delimiter::Bracket {
        return None;
    }
    let written = attribute.stream().to_string();
    if written == "ignore" {
        return Some("a test is ignored: say why with `#[ignore = \"...\"]`".to_owned());
    }
    let switch = switch(attribute.stream())?;
    let explained = written.contains("reason =") || commented(text, line);
    (!explained).then(|| format!("`{switch}` of a lint: add `reason = \"...\"`, or a comment above"))
}

/// `allow` or `expect` where the attribute is one, in a `cfg_attr` too.
fn switch(attribute: TokenStream) -> Option<&'static str> {
    let mut tokens = attribute.into_iter();
    let name = tokens.next()?.to_string();
    if name == "cfg_attr" {
        let Some(TokenTree::Group(inner)) = tokens.next() else { return None };
        let applied = |token: TokenTree| SWITCHES.iter().find(|switch| token.to_string() == **switch);
        return inner.stream().into_iter().find_map(applied).copied();
    }
    SWITCHES.iter().find(|switch| name == **switch).copied()
}

/// Whether the line has a comment, or the one above is one.
fn commented(text: &str, line: usize) -> bool {
    let at = |line: usize| text.lines().nth(line.wrapping_sub(1)).unwrap_or_default();
    at(line).contains("// ") || at(line.wrapping_sub(1)).trim_start().starts_with("// ")
}

#[cfg(test)]
mod tests {
    use super::{File, check};

    fn count(text: &str) -> usize {
        check(&File::new("a.rs", text)).len()
    }

    #[test]
    fn placeholders_are_found_in_macros_too() {
        assert_eq!(count("fn a() { todo!() }"), 1);
        assert_eq!(count("fn a() { unimplemented!(\"later\") }"), 1);
        assert_eq!(count("macro_rules! a { () => { vec![dbg!(1)] } }"), 1);
        assert_eq!(count("fn a() { b(\"todo!\"); let todo = 1; }"), 0);
    }

    #[test]
    fn a_lint_is_switched_off_with_a_reason() {
        assert_eq!(count("#![allow(dead_code)]"), 1);
        assert_eq!(count("#[expect(dead_code)]\nfn a() {}"), 1);
        assert_eq!(count("macro_rules! a { () => { #[allow(dead_code)] fn b() {} } }"), 1);
        assert_eq!(count("#[cfg_attr(test, allow(dead_code))]\nfn a() {}"), 1);
        assert_eq!(count("/// A thing.\n#[allow(dead_code)]\nfn a() {}"), 1);
        assert_eq!(count("#[allow(\n    dead_code,\n    reason = \"b\"\n)]\nfn a() {}"), 0);
        assert_eq!(count("// Since b.\n#[allow(dead_code)]\nfn a() {}"), 0);
        assert_eq!(count("#[allow(dead_code)] // since b\nfn a() {}"), 0);
        assert_eq!(count("fn a() { b.expect(\"c\"); }"), 0);
    }

    #[test]
    fn a_test_is_ignored_with_a_reason() {
        assert_eq!(count("#[test]\n#[ignore]\nfn a() {}"), 1);
        assert_eq!(count("#[test]\n#[ignore = \"a child of b\"]\nfn a() {}"), 0);
    }
}
