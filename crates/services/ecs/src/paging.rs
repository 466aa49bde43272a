//! Pages of lists. A token names the last thing shown, so a page never repeats or skips what stays.

use crate::errors::EcsError;
use request::List;
use store::Key;

/// Entries of a page, by default and at most (Amazon ECS API reference, the List operations).
const PAGE_MAX: usize = 100;

/// The page that a caller asks for.
#[derive(Debug)]
pub(crate) struct Page {
    list: List,
    limit: usize,
    /// What the page before ended with.
    pub after: Option<String>,
}

impl Page {
    pub fn new(list: List, max_results: Option<i32>, token: Option<&str>) -> Result<Self, EcsError> {
        Self::within(PAGE_MAX, list, max_results, token)
    }

    /// A page of at most `limit_max` entries.
    pub fn within(
        limit_max: usize,
        list: List,
        max_results: Option<i32>,
        token: Option<&str>,
    ) -> Result<Self, EcsError> {
        let limit = match max_results {
            None => limit_max,
            Some(most) => {
                let fits = usize::try_from(most).ok().filter(|most| (1..=limit_max).contains(most));
                fits.ok_or(EcsError::MaxResults(limit_max))?
            }
        };
        let open = |token: &str| list.position(token).ok_or(EcsError::Token);
        Ok(Self { list, limit, after: token.filter(|token| !token.is_empty()).map(open).transpose()? })
    }

    /// How many entries are enough to cut the page from.
    pub const fn needed(&self) -> usize {
        self.limit + 1
    }

    /// Where to go on below `prefix`, when tokens hold the next part of the key.
    pub fn start(&self, prefix: &Key) -> Key {
        self.after.iter().fold(prefix.clone(), Key::push)
    }

    /// The page's rows, and the token of the next page if there is one.
    pub fn cut<'a, R>(
        &self,
        rows: impl Iterator<Item = &'a R>,
        position: impl Fn(&R) -> String,
    ) -> (Vec<&'a R>, Option<String>) {
        let mut rows: Vec<&R> = rows.take(self.needed()).collect();
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let token = rows.last().filter(|_| more).map(|last| self.list.token(&position(last)));
        (rows, token)
    }
}
