//! Text to [`super::ast`]. The grammar is `grammar/influxql.pest`; this folder turns its pairs into syntax, binds
//! parameters and words the errors. Knows no schema.

mod error;
mod expression;
mod literal;
mod statement;

use super::ast::Query;
use crate::model::{Failure, Result};
use pest::Parser;

#[derive(pest_derive::Parser)]
#[grammar = "../grammar/influxql.pest"]
struct Grammar;

type Pair<'a> = pest::iterators::Pair<'a, Rule>;

/// Parentheses may be nested this deep: the parser and the planner recurse.
const NESTING_MAX: usize = 100;

/// Reads a request's statements. Messages carry InfluxDB 1.x's prefix.
pub fn query(text: &str, params: Option<&str>) -> Result<Query> {
    let parameters = literal::Parameters::read(params)?;
    let fail = |message: String| Failure::invalid(format!("error parsing query: {message}"));
    if nesting(text) > NESTING_MAX {
        return Err(fail(format!("parentheses are nested more than {NESTING_MAX} deep")));
    }
    let mut pairs = Grammar::parse(Rule::query, text).map_err(|e| fail(error::describe(text, &e)))?;
    let reader = statement::Reader { parameters };
    let root = pairs.next().expect("the grammar's first rule gives one pair");
    let statements = root.into_inner().filter(|p| !matches!(p.as_rule(), Rule::semicolon | Rule::EOI));
    let statements = statements.map(|p| reader.statement(p)).collect::<std::result::Result<Vec<_>, String>>().map_err(fail)?;
    Ok(Query { statements })
}

/// The deepest nesting of parentheses outside quotes.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut quote = None;
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        match (quote, b) {
            (Some(_), b'\\') => {
                bytes.next();
            }
            (Some(q), b) if q == b => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(b),
            (None, b'(') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (None, b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Whether a bare word is reserved (InfluxDB 1.x).
pub fn is_keyword(word: &str) -> bool {
    // A word of the grammar is a name exactly when it is not reserved.
    let plain = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    plain && Grammar::parse(Rule::bare, word).is_err()
}

#[cfg(test)]
mod tests;
