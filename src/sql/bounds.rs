//! How deep a text may be, found before it is parsed: parsers and planners go down once per level of a tree, and `1+1+1...` is a
//! tree as deep as it is long.

use crate::model::{Failure, Result};
use datafusion::sql::{
    parser::Statement,
    sqlparser::{
        ast::{ObjectName, Query, Visit, Visitor},
        dialect::GenericDialect,
        keywords::Keyword,
        tokenizer::{Token, TokenWithSpan, Tokenizer},
    },
};
use std::{
    collections::{HashMap, VecDeque},
    ops::ControlFlow,
};

/// Operations inside each other, nested or one after the other. `query::session::STACK_BYTES` has room for them.
const OPERATIONS_MAX: usize = 2_000;
/// Tables and sub-queries of a query when each table of WITH counts as often as it is named, since it is planned as often.
const TABLES_MAX: usize = 1_000;
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
    // No byte counts for more than three operations: most texts need not be taken apart.
    if text.len() * 3 <= OPERATIONS_MAX && text.to_ascii_lowercase().matches("case").count() <= CASES_MAX {
        return Ok(());
    }
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

fn refusal(what: &str, at: &TokenWithSpan) -> Failure {
    let start = at.span.start;
    Failure::invalid(format!(
        "{what} (line {}, column {}): take the query apart, or write long lists with IN (...)",
        start.line, start.column
    ))
}

/// Fails when the statement reads more tables than may be planned.
pub fn check_tables(statement: &Statement) -> Result<()> {
    let ast = match statement {
        Statement::Explain(explain) => return check_tables(&explain.statement),
        Statement::Statement(ast) => ast,
        _ => return Ok(()),
    };
    let mut counting = Counting { queries: vec![Counted::default()] };
    if ast.visit(&mut counting).is_break() {
        return Err(Failure::invalid(format!(
            "the query comes to more than {TABLES_MAX} tables: each table of WITH counts as often as it is named"
        )));
    }
    Ok(())
}

/// A query under way: the tables of its WITH that are known, those whose query comes next, and the tables counted.
#[derive(Default)]
struct Counted {
    known: HashMap<String, usize>,
    next: VecDeque<String>,
    tables: usize,
}

/// The queries that hold each other, the statement itself at the bottom.
struct Counting {
    queries: Vec<Counted>,
}

impl Counting {
    fn add(&mut self, count: usize) -> ControlFlow<()> {
        let Some(query) = self.queries.last_mut() else { return ControlFlow::Continue(()) };
        query.tables += count;
        if query.tables > TABLES_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Visitor for Counting {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        // Their queries are visited first, in this order.
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        let next = tables.map(|table| table.alias.name.value.clone()).collect();
        self.queries.push(Counted { next, ..Counted::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        let count = self.queries.pop().map_or(0, |query| query.tables) + 1;
        let Some(outer) = self.queries.last_mut() else { return ControlFlow::Continue(()) };
        if let Some(name) = outer.next.pop_front() {
            outer.known.insert(name, count);
            return ControlFlow::Continue(());
        }
        self.add(count)
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        let name = name.0.last().and_then(|part| part.as_ident()).map(|ident| &ident.value);
        let count = name.and_then(|name| self.queries.iter().rev().find_map(|query| query.known.get(name)));
        let count = count.copied().unwrap_or(1);
        self.add(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::parser::DFParserBuilder;

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

    #[test]
    fn tables_count_as_often_as_they_are_named() {
        let is_refused = |text: &str| {
            let statement = DFParserBuilder::new(text).build().and_then(|mut parser| parser.parse_statements()).expect("SQL").pop_front();
            check_tables(&statement.expect("a statement")).is_err()
        };
        let chain = |length: usize| {
            let tables: Vec<String> = (1..=length).map(|i| format!("a{i} as (select a.x from a{} a, a{} b)", i - 1, i - 1)).collect();
            format!("with a0 as (select 1 x), {} select * from a{length}", tables.join(", "))
        };
        assert!(!is_refused(&chain(6)) && is_refused(&chain(12)) && is_refused(&format!("explain {}", chain(12))));
        // Inside each other, and in a sub-query.
        let nested = (0..12).fold("select 1 x".to_string(), |inner, _| format!("with a as ({inner}) select a.x from a, a b"));
        assert!(is_refused(&nested) && is_refused(&format!("select * from ({nested}) t")));
        let many = vec!["t"; TABLES_MAX - 1].join(", ");
        assert!(!is_refused(&format!("select * from {many}")) && is_refused(&format!("select * from {many}, t, t")));
        assert!(!is_refused("with a as (select * from t) select * from a union all select * from a where x in (select x from a)"));
    }
}
