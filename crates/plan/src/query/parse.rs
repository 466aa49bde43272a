//! Reads expressions: `or` binds least, then `and`, then `not`.

use super::{QUERY_CHARS_MAX, Subject, Term, Test};
use regex::{Regex, RegexBuilder};
use std::cmp::Ordering;

/// Parentheses and negations within one another. Ours: nobody writes as many, and the reader recurses.
const DEPTH_MAX: usize = 64;

/// Bytes of a compiled pattern. Ours: far more than a name's needs.
const PATTERN_BYTES_MAX: usize = 1 << 18;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error("the expression is empty")]
    Empty,
    #[error("the expression has more than {QUERY_CHARS_MAX} characters")]
    Long,
    #[error("the expression is nested more than {DEPTH_MAX} deep")]
    Deep,
    #[error("expected {expected}, not {found}")]
    Unexpected { expected: &'static str, found: String },
    #[error("'{0}' is nothing that container instances are asked about")]
    Subject(String),
    #[error("'{value}' is no value that {subject} is compared with")]
    Value { subject: String, value: String },
    #[error("'{0}' is not a regular expression that is supported")]
    Pattern(String),
}

pub(super) fn parse(text: &str) -> Result<Term, QueryError> {
    if text.chars().count() > QUERY_CHARS_MAX {
        return Err(QueryError::Long);
    }
    if text.trim().is_empty() {
        return Err(QueryError::Empty);
    }
    let mut reader = Reader { rest: text, depth: 0 };
    let term = reader.any()?;
    match reader.word() {
        None => Ok(term),
        Some(_) => reader.unexpected("and, or or the end"),
    }
}

/// What is left of the text.
struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

/// Signs that need no space around them, longer ones first.
const SIGNS: [&str; 16] =
    ["!exists", "!in", "==", "!=", ">=", "<=", "=~", "!~", "&&", "||", ">", "<", "!", "(", ")", ","];

impl<'a> Reader<'a> {
    /// The next sign or word, without taking it.
    fn word(&self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign) && ends(rest, sign));
        let length = sign.map_or_else(|| bare_length(rest), |sign| sign.len());
        Some(&rest[..length])
    }

    /// Takes the next word if it is one of these.
    fn take(&mut self, wanted: &[&str]) -> bool {
        let found = self.word().filter(|word| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(word)));
        found.is_some_and(|word| {
            self.skip(word);
            true
        })
    }

    fn skip(&mut self, word: &str) {
        self.rest = &self.rest.trim_start()[word.len()..];
    }

    fn unexpected<T>(&self, expected: &'static str) -> Result<T, QueryError> {
        let found = self.word().map_or_else(|| "the end".to_owned(), |word| format!("'{word}'"));
        Err(QueryError::Unexpected { expected, found })
    }

    fn any(&mut self) -> Result<Term, QueryError> {
        let mut terms = vec![self.all()?];
        while self.take(&["||", "or"]) {
            terms.push(self.all()?);
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Term::Any(terms) })
    }

    fn all(&mut self) -> Result<Term, QueryError> {
        let mut terms = vec![self.term()?];
        while self.take(&["&&", "and"]) {
            terms.push(self.term()?);
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Term::All(terms) })
    }

    fn term(&mut self) -> Result<Term, QueryError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(QueryError::Deep);
        }
        let term = if self.take(&["!", "not"]) {
            Term::Not(Box::new(self.term()?))
        } else if self.take(&["("]) {
            let inner = self.any()?;
            if !self.take(&[")"]) {
                return self.unexpected("')'");
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(term)
    }

    fn comparison(&mut self) -> Result<Term, QueryError> {
        let Some(word) = self.word() else { return self.unexpected("a subject") };
        let subject = subject(word)?;
        self.skip(word);
        let Some((test, negated)) = self.test(&subject, word)? else { return self.unexpected("an operator") };
        let term = Term::Is(subject, test);
        Ok(if negated { Term::Not(Box::new(term)) } else { term })
    }

    /// The operator with its argument, and whether it is the opposite that is meant.
    fn test(&mut self, subject: &Subject, name: &str) -> Result<Option<(Test, bool)>, QueryError> {
        let value = |text: &str| {
            let fail = || QueryError::Value { subject: name.to_owned(), value: text.to_owned() };
            subject.value(text).ok_or_else(fail)
        };
        for (words, negated) in [(["exists", "exists"], false), (["!exists", "not_exists"], true)] {
            if self.take(&words) {
                return Ok(Some((Test::Exists, negated)));
            }
        }
        for (words, negated) in [(["==", "equals"], false), (["!=", "not_equals"], true)] {
            if self.take(&words) {
                return Ok(Some((Test::In(vec![value(&self.argument()?)?]), negated)));
            }
        }
        for (words, orders) in ORDERS {
            if self.take(words) {
                return Ok(Some((Test::Order(value(&self.argument()?)?, orders), false)));
            }
        }
        for (words, negated) in [(["in", "in"], false), (["!in", "not_in"], true)] {
            if self.take(&words) {
                let values = self.list()?.iter().map(|text| value(text)).collect::<Result<_, _>>()?;
                return Ok(Some((Test::In(values), negated)));
            }
        }
        for (words, negated) in [(["=~", "matches"], false), (["!~", "not_matches"], true)] {
            if self.take(&words) {
                return Ok(Some((Test::Matches(pattern(&self.argument()?)?), negated)));
            }
        }
        Ok(None)
    }

    /// A text in quotes, or what stands up to a space or a closing parenthesis that no opening one belongs to.
    fn argument(&mut self) -> Result<String, QueryError> {
        let rest = self.rest.trim_start();
        if let Some(quote) = rest.chars().next().filter(|first| ['"', '\''].contains(first)) {
            let inner = &rest[1..];
            let Some(end) = inner.find(quote) else { return self.unexpected("a closing quote") };
            self.rest = &inner[end + 1..];
            return Ok(inner[..end].to_owned());
        }
        let length = argument_length(rest);
        if length == 0 {
            return self.unexpected("a value");
        }
        self.rest = &rest[length..];
        Ok(rest[..length].to_owned())
    }

    /// `[a, b]`
    fn list(&mut self) -> Result<Vec<String>, QueryError> {
        let rest = self.rest.trim_start();
        let Some((inside, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
            return self.unexpected("a list such as [a, b]");
        };
        self.rest = after;
        let values: Vec<String> =
            inside.split(',').map(|value| value.trim().trim_matches(['"', '\'']).to_owned()).collect();
        match values.iter().any(String::is_empty) {
            true => Err(QueryError::Unexpected { expected: "values between commas", found: format!("[{inside}]") }),
            false => Ok(values),
        }
    }
}

const ORDERS: [(&[&str], &[Ordering]); 4] = [
    (&[">=", "greater_than_equal"], &[Ordering::Greater, Ordering::Equal]),
    (&["<=", "less_than_equal"], &[Ordering::Less, Ordering::Equal]),
    (&[">", "greater_than"], &[Ordering::Greater]),
    (&["<", "less_than"], &[Ordering::Less]),
];

/// True where a sign of letters is not the beginning of a longer word.
fn ends(rest: &str, sign: &str) -> bool {
    let letters = sign.ends_with(|c: char| c.is_ascii_alphabetic());
    !letters || !rest[sign.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

/// A word ends at a space or a sign; at least one character is taken.
fn bare_length(rest: &str) -> usize {
    let end = rest.find(|c: char| c.is_whitespace() || "=!<>()&|,[]\"'".contains(c)).unwrap_or(rest.len());
    end.max(rest.chars().next().map_or(0, char::len_utf8))
}

fn argument_length(rest: &str) -> usize {
    let mut open = 0_usize;
    for (at, c) in rest.char_indices() {
        match c {
            '(' => open += 1,
            ')' if open == 0 => return at,
            ')' => open -= 1,
            c if c.is_whitespace() => return at,
            _ => {}
        }
    }
    rest.len()
}

fn subject(word: &str) -> Result<Subject, QueryError> {
    match word {
        "agentConnected" => Ok(Subject::AgentConnected),
        "agentVersion" => Ok(Subject::AgentVersion),
        "ec2InstanceId" => Ok(Subject::Ec2InstanceId),
        "registeredAt" => Ok(Subject::RegisteredAt),
        "runningTasksCount" => Ok(Subject::RunningTasksCount),
        "task:group" => Ok(Subject::TaskGroup),
        _ => match word.strip_prefix("attribute:") {
            Some(name) if !name.is_empty() => Ok(Subject::Attribute(name.to_owned())),
            _ => Err(QueryError::Subject(word.to_owned())),
        },
    }
}

/// The whole value has to match, as Java's patterns do.
fn pattern(text: &str) -> Result<Regex, QueryError> {
    let whole = format!("^(?:{text})$");
    RegexBuilder::new(&whole).size_limit(PATTERN_BYTES_MAX).build().map_err(|_| QueryError::Pattern(text.to_owned()))
}
