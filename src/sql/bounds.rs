//! How deep a text may be, found before it is parsed: parsers and planners go down once per level of a tree, and `1+1+1...` is a
//! tree as deep as it is long.

use crate::model::{Failure, Result};
use datafusion::sql::sqlparser::{
    dialect::GenericDialect,
    keywords::Keyword,
    tokenizer::{Token, Tokenizer},
};

/// Operations inside each other, nested or one after the other. `query::session::STACK_BYTES` has room for them.
const OPERATIONS_MAX: usize = 2_000;
/// The parser's time doubles with each CASE that another holds.
const CASES_MAX: usize = 12;

/// What is open at one level of brackets.
#[derive(Default)]
struct Level {
    /// Operations of the expression under way.
    expression: usize,
    /// Joins, set operations and WITH tables of the query under way.
    query: usize,
    is_from: bool,
}

/// Fails when the text may be too deep. It counts more than there is rather than less; long lists cost nothing.
pub fn check(text: &str) -> Result<()> {
    // What cannot be read is for the parser to say.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location() else { return Ok(()) };
    let mut levels = vec![Level::default()];
    // Of the levels around the one under way.
    let mut around = 0;
    let mut cases = 0usize;
    let tokens: Vec<_> = tokens.iter().filter(|t| !matches!(t.token, Token::Whitespace(_))).collect();
    for (at, token) in tokens.iter().enumerate() {
        let is_inner = levels.len() > 1;
        let level = levels.last_mut().expect("the outermost level stays");
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                // An index follows on what it is of.
                level.expression += 1;
                around += level.expression + level.query;
                levels.push(Level::default());
            }
            Token::RParen | Token::RBracket | Token::RBrace if is_inner => {
                levels.pop();
                let level = levels.last().expect("there were two");
                around -= level.expression + level.query;
            }
            Token::Comma if level.is_from => level.query += 1,
            Token::Comma => level.expression = 0,
            Token::SemiColon => *level = Level::default(),
            Token::Word(word) => match word.keyword {
                Keyword::FROM => level.is_from = true,
                Keyword::JOIN => level.query += 1,
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::EXPLAIN => {
                    level.query += 1;
                    level.is_from = false;
                }
                Keyword::SELECT | Keyword::WHERE | Keyword::GROUP | Keyword::HAVING | Keyword::ORDER | Keyword::LIMIT | Keyword::WINDOW => {
                    level.is_from = false;
                }
                // The tables of WITH, each of which may read the one before.
                Keyword::AS if tokens.get(at + 1).is_some_and(|next| next.token == Token::LParen) => level.query += 3,
                Keyword::CASE => {
                    level.expression += 1;
                    cases += 1;
                    if cases > CASES_MAX {
                        return Err(refusal(&format!("CASE stands inside CASE more than {CASES_MAX} times"), token));
                    }
                }
                Keyword::END => cases = cases.saturating_sub(1),
                Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::IN
                | Keyword::BETWEEN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::SIMILAR
                | Keyword::INTERVAL
                | Keyword::COLLATE
                | Keyword::AT => level.expression += 1,
                _ => {}
            },
            Token::Number(..) | Token::SingleQuotedString(_) | Token::Period | Token::EOF => {}
            _ => level.expression += 1,
        }
        let level = levels.last().expect("the outermost level stays");
        if around + level.expression + level.query > OPERATIONS_MAX {
            return Err(refusal(&format!("more than {OPERATIONS_MAX} operations stand inside or behind each other"), token));
        }
    }
    Ok(())
}

fn refusal(what: &str, at: &datafusion::sql::sqlparser::tokenizer::TokenWithSpan) -> Failure {
    let start = at.span.start;
    Failure::invalid(format!(
        "{what} (line {}, column {}): take the query apart, or write long lists with IN (...)",
        start.line, start.column
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: String) -> bool {
        check(&text).is_err_and(|failure| failure.message.contains("column"))
    }

    #[test]
    fn chains_and_nests_are_counted_and_lists_are_not() {
        let many = OPERATIONS_MAX + 1;
        let deep = [
            format!("select 1{}", "+1".repeat(many)),
            format!("select 'a'{}", "||'a'".repeat(many)),
            format!("select * from t where n=1{}", " or n=2".repeat(many / 2)),
            format!("select 1{}", " union all select 1, 2".repeat(many)),
            format!("select 1{}", "::int".repeat(many)),
            format!("select 1{}", " is null".repeat(many)),
            format!("select 1{}", " between 0 and 1".repeat(many)),
            format!("select {} 1", "not ".repeat(many)),
            format!("select {}1", "- ".repeat(many)),
            format!("{} select 1", "explain ".repeat(many)),
            format!("select {}1{}", "(".repeat(many), ")".repeat(many)),
            format!("select a{} from t", "[1]".repeat(many)),
            format!("select * from t{}", ", t".repeat(many)),
            format!("select * from t{}", " cross join t".repeat(many)),
            format!("select 1{}", " + f(1, 2)".repeat(many)),
            format!("with {} select 1", (0..many).map(|i| format!("a{i} as (select 1)")).collect::<Vec<_>>().join(", ")),
            format!("select {}1", "case when true then ".repeat(CASES_MAX + 1)),
        ];
        for text in deep {
            assert!(refused(text.clone()), "{}", &text[..60]);
        }
        let list = |piece: &str| vec![piece; 50_000].join(", ");
        let flat = [
            format!("select * from t where n in ({})", list("1")),
            format!("select * from (values {}) v", list("(1, 'a')")),
            format!("select {} from t", list("a + b as c")),
            format!("select {} from t", list("case when a then b end")),
            format!("select * from t where n=1{}", " or n=2".repeat(OPERATIONS_MAX / 2 - 10)),
            "select a.b, f(a, (b)) from t as a join u using (c) where x between 1 and 2;".into(),
            "select 'it''s (((' -- ((((".into(),
            "select ))) 1".into(),
        ];
        for text in flat {
            assert!(check(&text).is_ok(), "{}", &text[..40]);
        }
    }
}
