//! Lists: the tags of a repository and the repositories of a registry, in pages.

use crate::body::{self, Body};
use crate::errors::RegistryError;
use crate::query::Query;
use crate::session::Session;
use crate::set;
use http::header::LINK;
use http::{Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use plan::image::within;
use serde_json::json;
use state::{IMAGE_TAGS, REPOSITORIES};
use store::key;

/// Entries of a page at most, and where a list has no other default (Amazon ECR: `_catalog`, `n`).
const PAGE_MAX: usize = 1_000;
/// Repositories of a page unless told otherwise.
const CATALOG_PAGE: usize = 100;

pub fn tags(session: &Session, name: &str, query: &Query) -> Result<Response<Body>, RegistryError> {
    let view = session.requests.view();
    let repository = session.repository(&view, "ecr:ListImages", name)?;
    let page = Page::read(query, PAGE_MAX)?;
    let all = within(repository);
    let after = all.clone().push(page.last);
    let tags = view.scan_after(IMAGE_TAGS, &all, &after).map(|row| row.tag.as_str());
    Ok(page.answer(tags, &format!("/v2/{name}/tags/list"), |tags| json!({"name": name, "tags": tags})))
}

pub fn catalog(session: &Session, query: &Query) -> Result<Response<Body>, RegistryError> {
    let view = session.requests.view();
    session.authorise(&view, session.check("ecr:DescribeRepositories", "*"))?;
    let page = Page::read(query, CATALOG_PAGE)?;
    let all = key![session.caller.account, session.caller.region];
    let after = all.clone().push(page.last);
    let names = view.scan_after(REPOSITORIES, &all, &after).map(|row| row.name.as_str());
    Ok(page.answer(names, "/v2/_catalog", |names| json!({"repositories": names})))
}

struct Page<'a> {
    size: usize,
    /// The last entry of the page before; empty for the first page.
    last: &'a str,
}

impl<'a> Page<'a> {
    fn read(query: &'a Query, default: usize) -> Result<Self, RegistryError> {
        let size = match query.get("n") {
            None => default,
            Some(text) => text.parse().map_err(|_| RegistryError::PageSize(text.to_owned()))?,
        };
        Ok(Self { size: size.min(PAGE_MAX), last: query.get("last").unwrap_or_default() })
    }

    fn answer<'b>(
        &self,
        entries: impl Iterator<Item = &'b str>,
        path: &str,
        shown: impl Fn(&[&str]) -> serde_json::Value,
    ) -> Response<Body> {
        let mut page: Vec<&str> = entries.take(self.size + 1).collect();
        let more = page.len() > self.size;
        page.truncate(self.size);
        let mut response = body::json(StatusCode::OK, &shown(&page));
        if let Some(last) = page.last().filter(|_| more) {
            let last = utf8_percent_encode(last, NON_ALPHANUMERIC);
            set(response.headers_mut(), LINK, &format!("<{path}?n={}&last={last}>; rel=\"next\"", self.size));
        }
        response
    }
}
