//! Pages of a list: at most so many entries, and a token that says where the next page begins.

use crate::errors::EcrError;
use request::List;

/// Entries on a page unless told otherwise (API reference, `maxResults`).
const ENTRIES_DEFAULT: usize = 100;

pub struct Page {
    list: List,
    limit: usize,
    /// The name of the last entry of the page before.
    pub after: Option<String>,
}

impl Page {
    /// Reads `maxResults` and `nextToken`, which may not come with `explicit`, the member that names entries.
    pub fn read(
        list: List,
        max_results: Option<i32>,
        next_token: Option<&str>,
        explicit: Option<&'static str>,
    ) -> Result<Self, EcrError> {
        if let Some(member) = explicit.filter(|_| max_results.is_some() || next_token.is_some()) {
            let reason = format!("cannot be used with {member}: ask for a page or for named entries");
            return Err(EcrError::parameter(if next_token.is_some() { "nextToken" } else { "maxResults" }, reason));
        }
        let limit = max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(ENTRIES_DEFAULT);
        let foreign = || EcrError::parameter("nextToken", "must be the nextToken of this request's previous answer");
        let open = |token: &str| list.position(token).ok_or_else(foreign);
        Ok(Self { list, limit, after: next_token.map(open).transpose()? })
    }

    /// The page out of the entries that follow `after`, and the token of the next one.
    pub fn cut<T>(&self, entries: impl Iterator<Item = T>, name: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
        let mut page: Vec<T> = entries.take(self.limit.saturating_add(1)).collect();
        let more = page.len() > self.limit;
        page.truncate(self.limit);
        let token = page.last().filter(|_| more).map(|last| self.list.token(&name(last)));
        (page, token)
    }
}
