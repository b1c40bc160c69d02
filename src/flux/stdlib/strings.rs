//! Package `strings`. Positions and lengths count characters where Flux v0.200 does.

use super::{Call, function::functions};
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
    },
    memory,
};
use std::sync::Arc;

type Text = Arc<str>;

fn v(call: &mut Call<'_>) -> FluxResult<Text> {
    call.required("v")
}

fn two<T>(call: &mut Call<'_>, second: &str, code: fn(&str, &str) -> T) -> FluxResult<T> {
    Ok(code(&v(call)?, &call.required::<Text>(second)?))
}

fn strings<'s>(parts: impl Iterator<Item = &'s str>) -> Value {
    Value::array(parts.map(Value::string).collect())
}

functions! {
    "toUpper" "(v: string) => string" "Upper case." |c| Ok(Value::string(v(c)?.to_uppercase()));
    "toLower" "(v: string) => string" "Lower case." |c| Ok(Value::string(v(c)?.to_lowercase()));
    "toTitle" "(v: string) => string" "All letters in title case." |c| Ok(Value::string(v(c)?.to_uppercase()));
    "title" "(v: string) => string" "The first letter of each word in upper case." |c| Ok(Value::string(title(&v(c)?)));
    "trimSpace" "(v: string) => string" "Without space at both ends." |c| Ok(Value::string(v(c)?.trim()));
    "trim" "(v: string, cutset: string) => string" "Without the characters of `cutset` at both ends."
        |c| Ok(Value::string(two(c, "cutset", |v, s| v.trim_matches(|x| s.contains(x)).to_string())?));
    "trimLeft" "(v: string, cutset: string) => string" "Without the characters of `cutset` at the beginning."
        |c| Ok(Value::string(two(c, "cutset", |v, s| v.trim_start_matches(|x| s.contains(x)).to_string())?));
    "trimRight" "(v: string, cutset: string) => string" "Without the characters of `cutset` at the end."
        |c| Ok(Value::string(two(c, "cutset", |v, s| v.trim_end_matches(|x| s.contains(x)).to_string())?));
    "trimPrefix" "(v: string, prefix: string) => string" "Without the prefix."
        |c| Ok(Value::string(two(c, "prefix", |v, s| v.strip_prefix(s).unwrap_or(v).to_string())?));
    "trimSuffix" "(v: string, suffix: string) => string" "Without the suffix."
        |c| Ok(Value::string(two(c, "suffix", |v, s| v.strip_suffix(s).unwrap_or(v).to_string())?));
    "hasPrefix" "(v: string, prefix: string) => bool" "Whether `v` begins with `prefix`."
        |c| Ok(Value::Bool(two(c, "prefix", |v, s| v.starts_with(s))?));
    "hasSuffix" "(v: string, suffix: string) => bool" "Whether `v` ends with `suffix`."
        |c| Ok(Value::Bool(two(c, "suffix", |v, s| v.ends_with(s))?));
    "containsStr" "(v: string, substr: string) => bool" "Whether `v` holds `substr`."
        |c| Ok(Value::Bool(two(c, "substr", |v, s| v.contains(s))?));
    "containsAny" "(v: string, chars: string) => bool" "Whether `v` holds any character of `chars`."
        |c| Ok(Value::Bool(two(c, "chars", |v, s| v.chars().any(|x| s.contains(x)))?));
    "equalFold" "(v: string, t: string) => bool" "Whether both are equal, case aside."
        |c| Ok(Value::Bool(two(c, "t", |v, s| v.to_lowercase() == s.to_lowercase())?));
    "compare" "(v: string, t: string) => int" "-1, 0 or 1 by byte order."
        |c| Ok(Value::Int(two(c, "t", |v, s| v.cmp(s) as i64)?));
    "countStr" "(v: string, substr: string) => int" "How often `substr` occurs, without overlaps."
        |c| Ok(Value::Int(two(c, "substr", |v, s| v.matches(s).count() as i64)?));
    "index" "(v: string, substr: string) => int" "The byte position of the first `substr`, or -1."
        |c| Ok(Value::Int(two(c, "substr", |v, s| v.find(s).map_or(-1, |at| at as i64))?));
    "indexAny" "(v: string, chars: string) => int" "The byte position of the first character of `chars`, or -1."
        |c| Ok(Value::Int(two(c, "chars", |v, s| v.find(|x| s.contains(x)).map_or(-1, |at| at as i64))?));
    "lastIndexAny" "(v: string, chars: string) => int" "The byte position of the last character of `chars`, or -1."
        |c| Ok(Value::Int(two(c, "chars", |v, s| v.rfind(|x| s.contains(x)).map_or(-1, |at| at as i64))?));
    "lastIndex" "(v: string, substr: string) => int" "The byte position of the last `substr`, or -1."
        |c| Ok(Value::Int(two(c, "substr", |v, s| v.rfind(s).map_or(-1, |at| at as i64))?));
    "strlen" "(v: string) => int" "The number of characters." |c| Ok(Value::Int(v(c)?.chars().count() as i64));
    "repeat" "(v: string, i: int) => string" "`v` repeated `i` times." repeat;
    "replaceAll" "(v: string, t: string, u: string) => string" "Every `t` becomes `u`."
        |c| {
            let (text, from, to) = (v(c)?, c.required::<Text>("t")?, c.required::<Text>("u")?);
            replaced(&text, &from, &to, usize::MAX)
        };
    "replace" "(v: string, t: string, u: string, i: int) => string" "The first `i` of `t` become `u`; all for a negative `i`."
        |c| {
            let (text, from, to, count) = (v(c)?, c.required::<Text>("t")?, c.required::<Text>("u")?, c.required::<i64>("i")?);
            replaced(&text, &from, &to, usize::try_from(count).unwrap_or(usize::MAX))
        };
    "split" "(v: string, t: string) => [string]" "The parts between `t`; the characters when `t` is empty." |c| split(c, false, false);
    "splitAfter" "(v: string, t: string) => [string]" "The parts between `t`, each with the `t` after it." |c| split(c, true, false);
    "splitN" "(v: string, t: string, i: int) => [string]" "At most `i` parts between `t`, the last with all the rest; all for a negative `i`."
        |c| split(c, false, true);
    "splitAfterN" "(v: string, t: string, i: int) => [string]" "At most `i` parts, each with the `t` after it; all for a negative `i`."
        |c| split(c, true, true);
    "joinStr" "(arr: [string], v: string) => string" "The strings with `v` between them."
        |c| {
            let (parts, between) = (c.required::<Vec<String>>("arr")?, v(c)?);
            let bytes = parts.iter().fold(0, |sum, part| part.len() + between.len() + sum);
            memory::allow(bytes, "strings.joinStr")?;
            Ok(Value::string(parts.join(&between)))
        };
    "substring" "(v: string, start: int, end: int) => string" "The characters from `start` up to `end`, clipped." |c| {
        let (text, start, end) = (v(c)?, c.required::<i64>("start")?.max(0) as usize, c.required::<i64>("end")?.max(0) as usize);
        Ok(Value::string(text.chars().skip(start).take(end.saturating_sub(start)).collect::<String>()))
    };
    "isDigit" "(v: string) => bool" "Whether `v` is one digit." |c| is(c, char::is_numeric);
    "isLetter" "(v: string) => bool" "Whether `v` is one letter." |c| is(c, char::is_alphabetic);
    "isLower" "(v: string) => bool" "Whether `v` is one lower-case letter." |c| is(c, char::is_lowercase);
    "isUpper" "(v: string) => bool" "Whether `v` is one upper-case letter." |c| is(c, char::is_uppercase);
}

/// `text` with the first `count` of `from` become `to`.
fn replaced(text: &str, from: &str, to: &str, count: usize) -> FluxResult<Value> {
    if to.len() > from.len() {
        let found = text.matches(from).take(count).count();
        memory::allow(text.len().saturating_add(found.saturating_mul(to.len() - from.len())), "strings.replace")?;
    }
    Ok(Value::string(text.replacen(from, to, count)))
}

/// A test of the one character that `v` must be.
fn is(call: &mut Call<'_>, test: fn(char) -> bool) -> FluxResult<Value> {
    let text = v(call)?;
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(Value::Bool(test(c))),
        _ => Err(FluxError::invalid("\"v\" is not a valid argument: argument length is not equal to 1").at(call.span)),
    }
}

/// Words as Go's `strings.Title` finds them: any ASCII character that is not a letter, a digit or `_` ends one.
fn title(text: &str) -> String {
    let separates = |c: char| if c.is_ascii() { !(c.is_ascii_alphanumeric() || c == '_') } else { c.is_whitespace() };
    let mut before = ' ';
    text.chars()
        .flat_map(|c| {
            let starts = separates(before);
            before = c;
            if starts { c.to_uppercase().collect::<Vec<_>>() } else { vec![c] }
        })
        .collect()
}

fn split(call: &mut Call<'_>, keep: bool, limited: bool) -> FluxResult<Value> {
    let (text, by) = (v(call)?, call.required::<Text>("t")?);
    let count = if limited { call.required::<i64>("i")? } else { -1 };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    Ok(strings(parts(&text, &by, keep, count).into_iter()))
}

/// At most `count` parts of `text`, cut at each `by` (after it with `keep`); an empty `by` cuts between characters.
fn parts<'t>(text: &'t str, by: &str, keep: bool, count: usize) -> Vec<&'t str> {
    let (mut out, mut rest) = (vec![], text);
    if count == 0 || by.is_empty() && text.is_empty() {
        return out;
    }
    while out.len() + 1 < count {
        let cut = match by.is_empty() {
            true => rest.chars().next().map(char::len_utf8).filter(|at| *at < rest.len()).map(|at| (at, at)),
            false => rest.find(by).map(|at| (if keep { at + by.len() } else { at }, at + by.len())),
        };
        let Some((end, next)) = cut else { break };
        out.push(&rest[..end]);
        rest = &rest[next..];
    }
    out.push(rest);
    out
}

fn repeat(call: &mut Call<'_>) -> FluxResult<Value> {
    let (text, count) = (v(call)?, call.required::<i64>("i")?);
    let count = usize::try_from(count).map_err(|_| FluxError::invalid("repeat: `i` must not be negative").at(call.span))?;
    if text.len().saturating_mul(count) > 64 << 20 {
        return Err(FluxError::invalid("repeat: the result would be larger than 64 MiB").at(call.span));
    }
    memory::allow(text.len() * count, "strings.repeat")?;
    Ok(Value::string(text.repeat(count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_go_does() {
        assert_eq!(parts("a,b,c", ",", false, usize::MAX), ["a", "b", "c"]);
        assert_eq!(parts("a,b,c", ",", true, usize::MAX), ["a,", "b,", "c"]);
        assert_eq!(parts("a,b,c", ",", false, 2), ["a", "b,c"]);
        assert_eq!(parts("äbc", "", false, usize::MAX), ["ä", "b", "c"]);
        assert_eq!(parts("abc", "", false, 2), ["a", "bc"]);
        assert_eq!(parts("", ",", false, usize::MAX), [""]);
        assert!(parts("abc", ",", false, 0).is_empty());
    }

    #[test]
    fn titles_as_go_does() {
        assert_eq!(title("don't stop_now æther"), "Don'T Stop_now Æther");
    }
}
