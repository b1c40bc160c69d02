//! The file, its head, and statements.

use super::{Pair, Reader, Rule};
use crate::flux::ast::*;
use std::sync::Arc;

impl Reader {
    pub fn file(&self, pairs: pest::iterators::Pairs<'_, Rule>) -> File {
        let mut file = File::default();
        for pair in pairs.flat_map(Pair::into_inner) {
            match pair.as_rule() {
                Rule::package => file.package = self.idents(pair).next(),
                Rule::import => {
                    let span = self.span(&pair);
                    let (mut alias, mut path) = (None, Arc::from(""));
                    for part in pair.into_inner() {
                        match part.as_rule() {
                            Rule::ident => alias = Some(self.ident(&part)),
                            Rule::string => path = self.plain_string(part),
                            _ => {}
                        }
                    }
                    file.imports.push(Import { alias, path, span });
                }
                // Attributes have no meaning for a query.
                Rule::attribute | Rule::EOI => {}
                _ => file.body.push(self.statement(pair)),
            }
        }
        file
    }

    pub fn statement(&self, pair: Pair<'_>) -> Statement {
        let start = self.span(&pair).start;
        match pair.as_rule() {
            Rule::expr => {
                let node = self.node(pair);
                Statement { kind: StatementKind::Expression(node.expr), span: node.outer }
            }
            Rule::assign | Rule::option => {
                let is_option = pair.as_rule() == Rule::option;
                let mut names = vec![];
                let mut value = None;
                for part in pair.into_inner() {
                    match part.as_rule() {
                        Rule::ident => names.push(self.ident(&part)),
                        Rule::expr => value = Some(self.node(part)),
                        _ => {}
                    }
                }
                let value = value.expect("an assignment has a value");
                let name = names.pop().expect("an assignment has a name");
                let span = Span { start, stop: value.outer.stop };
                let value = value.expr;
                let kind = match is_option {
                    true => StatementKind::Option { package: names.pop(), name, value },
                    false => StatementKind::Assign { name, value },
                };
                Statement { kind, span }
            }
            Rule::returns => {
                let value = pair.into_inner().find(|p| p.as_rule() == Rule::expr).expect("`return` has a value");
                let node = self.node(value);
                Statement { kind: StatementKind::Return(node.expr), span: Span { start, stop: node.outer.stop } }
            }
            Rule::testcase => {
                let span = self.span(&pair);
                let (mut name, mut extends, mut body) = (Ident { name: "".into(), span }, None, vec![]);
                for part in pair.into_inner() {
                    match part.as_rule() {
                        Rule::ident => name = self.ident(&part),
                        Rule::string => extends = Some(self.plain_string(part)),
                        Rule::block => body = self.block(part),
                        _ => {}
                    }
                }
                Statement { kind: StatementKind::Testcase { name, extends, body }, span }
            }
            Rule::builtin => {
                let mut parts = pair.into_inner();
                let name = parts.find(|p| p.as_rule() == Rule::ident).map(|p| self.ident(&p)).expect("a builtin has a name");
                let declared = parts.find(|p| p.as_rule() == Rule::type_text).expect("a builtin has a type");
                let text = declared.as_str().trim_end();
                let stop = self.span(&declared).start + text.len() as u32;
                Statement { kind: StatementKind::Builtin { name, type_text: text.into() }, span: Span { start, stop } }
            }
            other => unreachable!("{other:?} is no statement of the grammar"),
        }
    }

    pub fn block(&self, pair: Pair<'_>) -> Vec<Statement> {
        let statements = pair.into_inner().filter(|p| !matches!(p.as_rule(), Rule::attribute | Rule::lbrace | Rule::rbrace));
        statements.map(|p| self.statement(p)).collect()
    }

    pub fn ident(&self, pair: &Pair<'_>) -> Ident {
        Ident { name: pair.as_str().into(), span: self.span(pair) }
    }

    fn idents<'r>(&'r self, pair: Pair<'r>) -> impl Iterator<Item = Ident> + 'r {
        pair.into_inner().filter(|p| p.as_rule() == Rule::ident).map(|p| self.ident(&p))
    }
}
