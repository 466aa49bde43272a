//! A function fits a screen, and a file a sitting.

use super::Finding;
use super::file::File;
use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{ImplItemFn, ItemFn, Signature, TraitItemFn};

/// From `fn` to the closing brace, comments and empty lines among them.
const FUNCTION_LINES_MAX: usize = 70;

const FILE_LINES_MAX: usize = 600;

/// Longer functions that are known: `path function lines`, one a line, `#` before a comment.
const RATCHET: &str = "xtask/tidy-ratchet.txt";

/// A function with a body, wherever it stands.
#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub first_line: usize,
    pub last_line: usize,
}

impl Function {
    fn lines(&self) -> usize {
        self.last_line - self.first_line + 1
    }
}

/// Every function of the file, those within functions too.
pub fn functions(tree: &syn::File) -> Vec<Function> {
    let mut found = Functions(Vec::new());
    found.visit_file(tree);
    found.0
}

struct Functions(Vec<Function>);

impl Functions {
    fn push(&mut self, signature: &Signature, end: Span) {
        let (first_line, last_line) = (signature.fn_token.span.start().line, end.end().line);
        self.0.push(Function { name: signature.ident.to_string(), first_line, last_line });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, found: &'ast ItemFn) {
        self.push(&found.sig, found.block.brace_token.span.close());
        visit::visit_item_fn(self, found);
    }

    fn visit_impl_item_fn(&mut self, found: &'ast ImplItemFn) {
        self.push(&found.sig, found.block.brace_token.span.close());
        visit::visit_impl_item_fn(self, found);
    }

    fn visit_trait_item_fn(&mut self, found: &'ast TraitItemFn) {
        if let Some(block) = &found.default {
            self.push(&found.sig, block.brace_token.span.close());
        }
        visit::visit_trait_item_fn(self, found);
    }
}

pub fn check(files: &[File]) -> Vec<Finding> {
    let ratchet = files.iter().find(|file| file.path == RATCHET).map_or("", |file| &file.text);
    let known: Vec<Known> = ratchet.lines().filter_map(Known::read).collect();
    let mut findings: Vec<Finding> = files.iter().filter_map(long_file).collect();
    findings.extend(files.iter().flat_map(|file| long_functions(file, &known)));
    findings.extend(known.iter().filter_map(|known| known.slack(files)));
    findings
}

fn long_file(file: &File) -> Option<Finding> {
    let lines = file.text.lines().count();
    let text = format!("{lines} lines, {FILE_LINES_MAX} at most: split the file by what its parts know");
    (file.rust.is_some() && lines > FILE_LINES_MAX).then(|| Finding::whole(&file.path, text))
}

fn long_functions(file: &File, known: &[Known]) -> Vec<Finding> {
    let Some(rust) = &file.rust else { return Vec::new() };
    let limit = |function: &Function| {
        let known = known.iter().find(|known| known.path == file.path && known.function == function.name);
        known.map_or(FUNCTION_LINES_MAX, |known| known.lines)
    };
    let long = functions(&rust.tree).into_iter().filter(|function| function.lines() > limit(function));
    let finding = |function: Function| {
        let (name, lines, limit) = (&function.name, function.lines(), limit(&function));
        let text = format!("`{name}` has {lines} lines, {limit} at most: take a named step out of it");
        Finding::at(&file.path, function.first_line, text)
    };
    long.map(finding).collect()
}

/// A function that was too long when it was written down, and may only become shorter.
struct Known {
    path: String,
    function: String,
    lines: usize,
    /// As it stands in the file.
    text: String,
}

impl Known {
    /// Nothing for a comment or an empty line; a line that cannot be read allows no lines at all.
    fn read(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace().map(str::to_owned);
        let path = words.next().filter(|path| !path.starts_with('#'))?;
        let function = words.next().unwrap_or_default();
        let lines = words.next().and_then(|lines| lines.parse().ok()).unwrap_or(0);
        Some(Self { path, function, lines, text: text.to_owned() })
    }

    /// What the list allows beyond what the code needs.
    fn slack(&self, files: &[File]) -> Option<Finding> {
        let file = files.iter().find(|file| file.path == self.path);
        let functions = file.and_then(|file| file.rust.as_ref()).map_or(Vec::new(), |rust| functions(&rust.tree));
        let named = functions.iter().filter(|function| function.name == self.function);
        let text = match named.map(Function::lines).max() {
            Some(lines) if lines > FUNCTION_LINES_MAX && lines < self.lines => format!("now {lines}: write that"),
            Some(lines) if lines > FUNCTION_LINES_MAX => return None,
            _ => "not needed any more: remove the line".to_owned(),
        };
        Some(Finding::whole(RATCHET, format!("`{}`: {text}", self.text)))
    }
}

#[cfg(test)]
mod tests {
    use super::{FILE_LINES_MAX, FUNCTION_LINES_MAX, File, RATCHET, check, functions};

    fn function(head: &str, lines: usize) -> String {
        format!("{head} {{\n{}}}\n", "    // A line.\n".repeat(lines - 2))
    }

    /// The findings about `text` in a.rs under this ratchet.
    fn found(ratchet: &str, text: &str) -> Vec<String> {
        let files = [File::new("a.rs", text), File::new(RATCHET, ratchet)];
        check(&files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn functions_are_found_everywhere_and_measured_without_their_attributes() {
        let text = "/// Doc.\n#[inline]\nfn a() {\n    fn b() {}\n}\n\
                    impl A {\n    fn c(\n        &self,\n    ) {}\n}\n\
                    trait T {\n    fn d() {}\n    fn e();\n}\n\
                    #[cfg(test)]\nmod tests {\n    #[test]\n    fn f() {}\n}\n";
        let found = functions(&syn::parse_file(text).expect("Rust"));
        let found: Vec<(&str, usize)> = found.iter().map(|found| (&found.name[..], found.lines())).collect();
        assert_eq!(found, [("a", 3), ("b", 1), ("c", 3), ("d", 1), ("f", 1)]);
    }

    #[test]
    fn a_function_over_the_limit_is_found() {
        assert_eq!(found("", &function("fn a()", FUNCTION_LINES_MAX)).len(), 0);
        let text = found("", &function("fn a()", FUNCTION_LINES_MAX + 1));
        assert_eq!(text, ["a.rs:1: `a` has 71 lines, 70 at most: take a named step out of it"]);
    }

    #[test]
    fn the_ratchet_holds_and_must_be_lowered() {
        let long = function("fn a()", 80);
        assert_eq!(found("# known\na.rs a 80\n", &long).len(), 0);
        assert_eq!(found("a.rs a 79\n", &long).len(), 1);
        assert_eq!(found("a.rs b 80\n", &long).len(), 2);
        assert_eq!(found("a.rs a 81\n", &long), [format!("{RATCHET}: `a.rs a 81`: now 80: write that")]);
        let short = function("fn a()", 10);
        assert_eq!(
            found("a.rs a 80\n", &short),
            [format!("{RATCHET}: `a.rs a 80`: not needed any more: remove the line")]
        );
        assert_eq!(found("a.rs\n", &short).len(), 1);
    }

    #[test]
    fn a_file_over_the_limit_is_found_unless_it_is_generated() {
        let text = "// A line.\n".repeat(FILE_LINES_MAX + 1);
        let count = |path: &str, text: &str| check(&[File::new(path, text)]).len();
        assert_eq!(count("a.rs", &text), 1);
        assert_eq!(count("a.rs", &text[11..]), 0);
        assert_eq!(count("crates/wire/src/models/gen/a.rs", &text), 0);
        assert_eq!(count("a.txt", &text), 0);
    }
}
