//! Package `strings`. Positions and lengths count characters where Flux v0.200 does.

use super::{Call, Function};
use crate::flux::{
    diagnostic::{FluxError, FluxResult},
    eval::Value,
};
use std::sync::Arc;

type Text = Arc<str>;

macro_rules! string_functions {
    ($($constant:ident $name:literal $signature:literal $summary:literal $code:expr;)*) => {
        $(static $constant: Function = Function { name: $name, signature: $signature, summary: $summary, examples: &[], call: $code };)*
        pub const FUNCTIONS: &[&Function] = &[$(&$constant),*];
    };
}

fn v(call: &mut Call<'_>) -> FluxResult<Text> {
    call.required("v")
}

fn two<T>(call: &mut Call<'_>, second: &str, code: fn(&str, &str) -> T) -> FluxResult<T> {
    Ok(code(&v(call)?, &call.required::<Text>(second)?))
}

fn strings<'s>(parts: impl Iterator<Item = &'s str>) -> Value {
    Value::Array(Arc::new(parts.map(Value::string).collect()))
}

string_functions! {
    TO_UPPER "toUpper" "(v: string) => string" "Upper case." |c| Ok(Value::string(v(c)?.to_uppercase()));
    TO_LOWER "toLower" "(v: string) => string" "Lower case." |c| Ok(Value::string(v(c)?.to_lowercase()));
    TITLE "title" "(v: string) => string" "The first letter of each word in upper case." |c| Ok(Value::string(title(&v(c)?)));
    TRIM_SPACE "trimSpace" "(v: string) => string" "Without space at both ends." |c| Ok(Value::string(v(c)?.trim()));
    TRIM "trim" "(v: string, cutset: string) => string" "Without the characters of `cutset` at both ends."
        |c| Ok(Value::string(two(c, "cutset", |v, s| v.trim_matches(|x| s.contains(x)).to_string())?));
    TRIM_LEFT "trimLeft" "(v: string, cutset: string) => string" "Without the characters of `cutset` at the beginning."
        |c| Ok(Value::string(two(c, "cutset", |v, s| v.trim_start_matches(|x| s.contains(x)).to_string())?));
    TRIM_RIGHT "trimRight" "(v: string, cutset: string) => string" "Without the characters of `cutset` at the end."
        |c| Ok(Value::string(two(c, "cutset", |v, s| v.trim_end_matches(|x| s.contains(x)).to_string())?));
    TRIM_PREFIX "trimPrefix" "(v: string, prefix: string) => string" "Without the prefix."
        |c| Ok(Value::string(two(c, "prefix", |v, s| v.strip_prefix(s).unwrap_or(v).to_string())?));
    TRIM_SUFFIX "trimSuffix" "(v: string, suffix: string) => string" "Without the suffix."
        |c| Ok(Value::string(two(c, "suffix", |v, s| v.strip_suffix(s).unwrap_or(v).to_string())?));
    HAS_PREFIX "hasPrefix" "(v: string, prefix: string) => bool" "Whether `v` begins with `prefix`."
        |c| Ok(Value::Bool(two(c, "prefix", |v, s| v.starts_with(s))?));
    HAS_SUFFIX "hasSuffix" "(v: string, suffix: string) => bool" "Whether `v` ends with `suffix`."
        |c| Ok(Value::Bool(two(c, "suffix", |v, s| v.ends_with(s))?));
    CONTAINS_STR "containsStr" "(v: string, substr: string) => bool" "Whether `v` holds `substr`."
        |c| Ok(Value::Bool(two(c, "substr", |v, s| v.contains(s))?));
    CONTAINS_ANY "containsAny" "(v: string, chars: string) => bool" "Whether `v` holds any character of `chars`."
        |c| Ok(Value::Bool(two(c, "chars", |v, s| v.chars().any(|x| s.contains(x)))?));
    EQUAL_FOLD "equalFold" "(v: string, t: string) => bool" "Whether both are equal, case aside."
        |c| Ok(Value::Bool(two(c, "t", |v, s| v.to_lowercase() == s.to_lowercase())?));
    COMPARE "compare" "(v: string, t: string) => int" "-1, 0 or 1 by byte order."
        |c| Ok(Value::Int(two(c, "t", |v, s| v.cmp(s) as i64)?));
    COUNT_STR "countStr" "(v: string, substr: string) => int" "How often `substr` occurs, without overlaps."
        |c| Ok(Value::Int(two(c, "substr", |v, s| v.matches(s).count() as i64)?));
    INDEX "index" "(v: string, substr: string) => int" "The byte position of the first `substr`, or -1."
        |c| Ok(Value::Int(two(c, "substr", |v, s| v.find(s).map_or(-1, |at| at as i64))?));
    LAST_INDEX "lastIndex" "(v: string, substr: string) => int" "The byte position of the last `substr`, or -1."
        |c| Ok(Value::Int(two(c, "substr", |v, s| v.rfind(s).map_or(-1, |at| at as i64))?));
    STRLEN "strlen" "(v: string) => int" "The number of characters." |c| Ok(Value::Int(v(c)?.chars().count() as i64));
    REPEAT "repeat" "(v: string, i: int) => string" "`v` repeated `i` times." repeat;
    REPLACE_ALL "replaceAll" "(v: string, t: string, u: string) => string" "Every `t` becomes `u`."
        |c| Ok(Value::string(v(c)?.replace(c.required::<Text>("t")?.as_ref(), &c.required::<Text>("u")?)));
    REPLACE "replace" "(v: string, t: string, u: string, i: int) => string" "The first `i` of `t` become `u`; all for a negative `i`."
        |c| {
            let (text, from, to, count) = (v(c)?, c.required::<Text>("t")?, c.required::<Text>("u")?, c.required::<i64>("i")?);
            Ok(Value::string(text.replacen(from.as_ref(), &to, usize::try_from(count).unwrap_or(usize::MAX))))
        };
    SPLIT "split" "(v: string, t: string) => [string]" "The parts between `t`; the characters when `t` is empty." |c| {
        let (text, by) = (v(c)?, c.required::<Text>("t")?);
        if by.is_empty() {
            return Ok(Value::Array(Arc::new(text.chars().map(|x| Value::string(x.to_string())).collect())));
        }
        Ok(strings(text.split(by.as_ref())))
    };
    JOIN_STR "joinStr" "(arr: [string], v: string) => string" "The strings with `v` between them."
        |c| Ok(Value::string(c.required::<Vec<String>>("arr")?.join(&v(c)?)));
    SUBSTRING "substring" "(v: string, start: int, end: int) => string" "The characters from `start` up to `end`, clipped." |c| {
        let (text, start, end) = (v(c)?, c.required::<i64>("start")?.max(0) as usize, c.required::<i64>("end")?.max(0) as usize);
        Ok(Value::string(text.chars().skip(start).take(end.saturating_sub(start)).collect::<String>()))
    };
    IS_DIGIT "isDigit" "(v: string) => bool" "Whether `v` is one digit." |c| is(c, char::is_numeric);
    IS_LETTER "isLetter" "(v: string) => bool" "Whether `v` is one letter." |c| is(c, char::is_alphabetic);
    IS_LOWER "isLower" "(v: string) => bool" "Whether `v` is one lower-case letter." |c| is(c, char::is_lowercase);
    IS_UPPER "isUpper" "(v: string) => bool" "Whether `v` is one upper-case letter." |c| is(c, char::is_uppercase);
}

fn is(call: &mut Call<'_>, test: fn(char) -> bool) -> FluxResult<Value> {
    let text = v(call)?;
    let mut chars = text.chars();
    Ok(Value::Bool(matches!((chars.next(), chars.next()), (Some(c), None) if test(c))))
}

fn title(text: &str) -> String {
    let mut before = ' ';
    text.chars()
        .flat_map(|c| {
            let starts = !(before.is_alphanumeric() || before == '_' || before == '\'');
            before = c;
            if starts { c.to_uppercase().collect::<Vec<_>>() } else { vec![c] }
        })
        .collect()
}

fn repeat(call: &mut Call<'_>) -> FluxResult<Value> {
    let (text, count) = (v(call)?, call.required::<i64>("i")?);
    let count = usize::try_from(count).map_err(|_| FluxError::invalid("repeat: `i` must not be negative").at(call.span))?;
    if text.len().saturating_mul(count) > 64 << 20 {
        return Err(FluxError::invalid("repeat: the result would be larger than 64 MiB").at(call.span));
    }
    Ok(Value::string(text.repeat(count)))
}
