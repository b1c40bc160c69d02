//! Paging of lists: `limit`, `offset`, `after`, `descending`, and the links to the pages around (InfluxDB 2.7).

use super::super::app::text;
use crate::model::{Failure, Result};
use serde_json::{Value, json};
use std::collections::HashMap;

const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub limit: usize,
    pub offset: usize,
    /// Identifier of the last entry of the page before.
    pub after: Option<String>,
    pub descending: bool,
}

impl Page {
    pub fn of(params: &HashMap<String, String>) -> Result<Page> {
        let number = |name: &str| text(params, name).map(str::parse::<usize>).transpose();
        let limit = number("limit").ok().flatten().unwrap_or(if text(params, "limit").is_some() { 0 } else { LIMIT_DEFAULT });
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Failure::invalid(format!("limit must be between 1 and {LIMIT_MAX}")));
        }
        let offset = number("offset").map_err(|_| Failure::invalid("offset must be a whole number, zero or more"))?.unwrap_or(0);
        let descending = match text(params, "descending") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Failure::invalid("descending must be true or false")),
        };
        Ok(Page { limit, offset, after: text(params, "after").map(str::to_string), descending })
    }

    /// The entries of this page; `id` of an entry is compared with `after`.
    pub fn cut<T>(&self, mut all: Vec<T>, id: impl Fn(&T) -> String) -> Vec<T> {
        if self.descending {
            all.reverse();
        }
        let after = self.after.as_ref().and_then(|after| all.iter().position(|entry| id(entry) == *after)).map_or(0, |at| at + 1);
        all.into_iter().skip(after + self.offset).take(self.limit).collect()
    }

    /// `self`, `prev` where there was a page before, `next` where this one is full.
    pub fn links(&self, path: &str, params: &HashMap<String, String>, count: usize) -> Value {
        let link = |offset: usize| {
            let own = [("descending", self.descending.to_string()), ("limit", self.limit.to_string()), ("offset", offset.to_string())];
            let own = own.map(|(name, value)| (name.to_string(), value));
            let others = params.iter().filter(|(name, _)| matches!(name.as_str(), "org" | "orgID" | "name" | "sortBy" | "id"));
            let mut pairs: Vec<(String, String)> = others.map(|(n, v)| (n.clone(), v.clone())).chain(own).collect();
            pairs.sort();
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            format!("{path}?{query}")
        };
        let mut links = json!({ "self": link(self.offset) });
        if self.offset > 0 {
            links["prev"] = link(self.offset.saturating_sub(self.limit)).into();
        }
        if count >= self.limit {
            links["next"] = link(self.offset + self.limit).into();
        }
        links
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
    }

    #[test]
    fn limits_are_checked() {
        for (limit, fits) in [("1", true), ("100", true), ("0", false), ("101", false), ("-1", false), ("x", false)] {
            assert_eq!(Page::of(&params(&[("limit", limit)])).is_ok(), fits, "limit={limit}");
        }
        assert!(Page::of(&params(&[("offset", "-1")])).is_err());
    }

    #[test]
    fn pages_follow_each_other() {
        let asked = params(&[("limit", "2"), ("offset", "2"), ("orgID", "0a")]);
        let page = Page::of(&asked).expect("a page");
        let cut = page.cut(vec![1, 2, 3, 4, 5], |n| n.to_string());
        assert_eq!(cut, [3, 4]);
        let links = page.links("/api/v2/buckets", &asked, cut.len());
        assert_eq!(links["self"], "/api/v2/buckets?descending=false&limit=2&offset=2&orgID=0a");
        assert_eq!(links["prev"], "/api/v2/buckets?descending=false&limit=2&offset=0&orgID=0a");
        assert_eq!(links["next"], "/api/v2/buckets?descending=false&limit=2&offset=4&orgID=0a");
        let after = Page::of(&params(&[("after", "4"), ("descending", "true")])).expect("a page");
        assert_eq!(after.cut(vec![1, 2, 3, 4, 5], |n| n.to_string()), [3, 2, 1]);
    }
}
