//! Reading a file as tokens: what a tree does not show of macros, and a text search takes from strings.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// Calls `look` with the tokens of the stream, and with those of each group in it, however deep.
pub fn sequences(tokens: TokenStream, look: &mut dyn FnMut(&[TokenTree])) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    look(&tokens);
    for token in tokens {
        if let TokenTree::Group(group) = token {
            sequences(group.stream(), look);
        }
    }
}

/// A path as written, such as `std::fs::read`, those of a `use` with its braces multiplied out.
#[derive(Debug, PartialEq, Eq)]
pub struct Mention {
    pub path: Vec<String>,
    pub line: usize,
}

/// Every name and path in the stream. Type parameters are mentions of their own.
pub fn mentions(tokens: TokenStream) -> Vec<Mention> {
    let mut found = Vec::new();
    collect(tokens, &[], &mut found);
    found
}

fn collect(tokens: TokenStream, prefix: &[String], found: &mut Vec<Mention>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token {
            TokenTree::Ident(ident) => {
                let first = [prefix, &[ident.to_string()]].concat();
                at = follow(&tokens, at + 1, Mention { path: first, line: ident.span().start().line }, found);
            }
            TokenTree::Group(group) => {
                collect(group.stream(), &[], found);
                at += 1;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => at += 1,
        }
    }
}

/// Adds what follows a path's beginning, up to `at`, and says where it ends.
fn follow(tokens: &[TokenTree], mut at: usize, mut mention: Mention, found: &mut Vec<Mention>) -> usize {
    while separated(tokens, at) {
        match tokens.get(at + 2) {
            Some(TokenTree::Ident(ident)) => mention.path.push(ident.to_string()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                collect(group.stream(), &mention.path, found);
                return at + 3;
            }
            _ => break,
        }
        at += 3;
    }
    found.push(mention);
    at
}

/// Whether a `::` is at this place.
fn separated(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |at| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    let joint = matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.spacing() == Spacing::Joint);
    joint && colon(at) && colon(at + 1)
}

#[cfg(test)]
mod tests {
    use super::{mentions, sequences};

    fn check(text: &str, expect: &[&str]) {
        let found = mentions(text.parse().expect("tokens"));
        let found: Vec<String> = found.iter().map(|mention| mention.path.join("::")).collect();
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn paths_are_read_whole() {
        check("a::b(c::d)", &["a::b", "c::d"]);
        check("::std::fs::read::<T>(x)", &["std::fs::read", "T", "x"]);
        check("Shown { env: value }", &["Shown", "env", "value"]);
        check("self.now.sleep()", &["self", "now", "sleep"]);
    }

    #[test]
    fn braces_of_a_use_are_multiplied_out() {
        check("use std::{fs, net::{A, B}};", &["use", "std::fs", "std::net::A", "std::net::B"]);
        check("use std::fs::*;", &["use", "std::fs"]);
    }

    #[test]
    fn macros_are_looked_into_and_strings_are_not() {
        check("vec![Instant::now(), \"fs::read\"]", &["vec", "Instant::now"]);
        let mut longest = 0;
        sequences("a!(b { c d e f g })".parse().expect("tokens"), &mut |found| longest = longest.max(found.len()));
        assert_eq!(longest, 5);
    }
}
