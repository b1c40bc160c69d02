//! Package `regexp`.

use super::Function;
use crate::flux::{diagnostic::FluxError, eval::Value};
use std::sync::Arc;

type Regex = Arc<regex::Regex>;
type Text = Arc<str>;

macro_rules! regexp_functions {
    ($($constant:ident $name:literal $signature:literal $summary:literal $code:expr;)*) => {
        $(static $constant: Function = Function { name: $name, signature: $signature, summary: $summary, examples: &[], call: $code };)*
        pub const FUNCTIONS: &[&Function] = &[$(&$constant),*];
    };
}

regexp_functions! {
    COMPILE "compile" "(v: string) => regexp" "A regular expression from its text." |c| {
        let text = c.required::<Text>("v")?;
        Ok(Value::Regex(Arc::new(regex::Regex::new(&text).map_err(|e| FluxError::invalid(e.to_string()).at(c.span))?)))
    };
    QUOTE_META "quoteMeta" "(v: string) => string" "The text with special characters escaped." |c| Ok(Value::string(regex::escape(&c.required::<Text>("v")?)));
    FIND_STRING "findString" "(r: regexp, v: string) => string" "The leftmost match, or an empty string."
        |c| Ok(Value::string(c.required::<Regex>("r")?.find(&c.required::<Text>("v")?).map_or("", |m| m.as_str())));
    FIND_STRING_INDEX "findStringIndex" "(r: regexp, v: string) => [int]" "Where the leftmost match begins and ends, in bytes; empty for none." |c| {
        let (r, v) = (c.required::<Regex>("r")?, c.required::<Text>("v")?);
        let ends = r.find(&v).map(|m| vec![Value::Int(m.start() as i64), Value::Int(m.end() as i64)]);
        Ok(Value::Array(Arc::new(ends.unwrap_or_default())))
    };
    MATCH "matchRegexpString" "(r: regexp, v: string) => bool" "Whether `r` matches anywhere in `v`."
        |c| Ok(Value::Bool(c.required::<Regex>("r")?.is_match(&c.required::<Text>("v")?)));
    REPLACE_ALL "replaceAllString" "(r: regexp, v: string, t: string) => string" "Every match becomes `t`, where `$1` stands for a group."
        |c| {
            let (r, v, t) = (c.required::<Regex>("r")?, c.required::<Text>("v")?, c.required::<Text>("t")?);
            Ok(Value::string(r.replace_all(&v, t.as_ref()).into_owned()))
        };
    GET_STRING "getString" "(r: regexp) => string" "The text of a regular expression." |c| Ok(Value::string(c.required::<Regex>("r")?.as_str()));
}
