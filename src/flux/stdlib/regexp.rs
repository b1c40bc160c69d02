//! Package `regexp`. Patterns are RE2's syntax, which Go and Rust share.

use super::function::functions;
use crate::{
    flux::{diagnostic::FluxError, eval::Value, pattern},
    memory,
};
use std::sync::Arc;

type Regex = Arc<regex::Regex>;
type Text = Arc<str>;

functions! {
    "compile" "(v: string) => regexp" "A regular expression from its text." |c| {
        let text = c.required::<Text>("v")?;
        Ok(Value::Regex(Arc::new(pattern::compile(&text).map_err(|e| FluxError::invalid(e).at(c.span))?)))
    };
    "quoteMeta" "(v: string) => string" "The text with special characters escaped." |c| Ok(Value::string(quote_meta(&c.required::<Text>("v")?)));
    "findString" "(r: regexp, v: string) => string" "The leftmost match, or an empty string."
        |c| Ok(Value::string(c.required::<Regex>("r")?.find(&c.required::<Text>("v")?).map_or("", |m| m.as_str())));
    "findStringIndex" "(r: regexp, v: string) => [int]" "Where the leftmost match begins and ends, in bytes; empty for none." |c| {
        let (r, v) = (c.required::<Regex>("r")?, c.required::<Text>("v")?);
        let ends = r.find(&v).map(|m| vec![Value::Int(m.start() as i64), Value::Int(m.end() as i64)]);
        Ok(Value::array(ends.unwrap_or_default()))
    };
    "matchRegexpString" "(r: regexp, v: string) => bool" "Whether `r` matches anywhere in `v`."
        |c| Ok(Value::Bool(c.required::<Regex>("r")?.is_match(&c.required::<Text>("v")?)));
    "replaceAllString" "(r: regexp, v: string, t: string) => string" "Every match becomes `t`, where `$1` stands for a group."
        |c| {
            let (r, v, t) = (c.required::<Regex>("r")?, c.required::<Text>("v")?, c.required::<Text>("t")?);
            // Each match becomes the text, in which a group, written with two bytes, is at most the match.
            let found = r.find_iter(&v).fold(0, |sum: usize, m| sum.saturating_add(t.len().saturating_add(t.len() / 2 * m.len())));
            memory::allow(v.len().saturating_add(found), "regexp.replaceAllString")?;
            Ok(Value::string(r.replace_all(&v, t.as_ref()).into_owned()))
        };
    "splitRegexp" "(r: regexp, v: string, i: int) => [string]" "The parts between matches, at most `i` of them; all for a negative `i`."
        |c| {
            let (r, v, i) = (c.required::<Regex>("r")?, c.required::<Text>("v")?, c.required::<i64>("i")?);
            Ok(Value::array(split(&r, &v, i).into_iter().map(Value::string).collect()))
        };
    "getString" "(r: regexp) => string" "The text of a regular expression." |c| Ok(Value::string(c.required::<Regex>("r")?.as_str()));
}

fn quote_meta(text: &str) -> String {
    text.chars().flat_map(|c| r"\.+*?()|[]{}^$".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Like Go's `Regexp.Split`: an empty match at the very beginning cuts nothing off.
fn split<'t>(pattern: &regex::Regex, text: &'t str, count: i64) -> Vec<&'t str> {
    if count == 0 {
        return vec![];
    }
    if !pattern.as_str().is_empty() && text.is_empty() {
        return vec![""];
    }
    let (mut parts, mut begin, mut end) = (vec![], 0, 0);
    for found in pattern.find_iter(text) {
        if count > 0 && parts.len() as i64 == count - 1 {
            break;
        }
        end = found.start();
        if found.end() != 0 {
            parts.push(&text[begin..end]);
        }
        begin = found.end();
    }
    if end != text.len() {
        parts.push(&text[begin..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_go_does() {
        let split = |pattern: &str, text, count| super::split(&regex::Regex::new(pattern).expect("valid"), text, count).join("|");
        assert_eq!(split("a", "foobarbaz", -1), "foob|rb|z");
        assert_eq!(split("a", "foobarbaz", 2), "foob|rbaz");
        assert_eq!(split("x*", "axbxc", -1), "a|b|c");
        assert_eq!(split(",", "a,b,", -1), "a|b|");
        assert_eq!(quote_meta("a.b#c"), r"a\.b#c");
    }
}
