//! Expressions: a flat row of operators and operands becomes a tree by precedence.

use super::{DEPTH_MAX, NESTING_COST, Pair, Reader, Rule};
use crate::flux::ast::*;
use pest::pratt_parser::{Assoc, Op, PrattParser};
use std::sync::{Arc, LazyLock};

/// A chain of more `and`s or `or`s than this becomes a balanced tree instead of one that leans to the left: it means
/// the same, and a thousand conditions are not nested a thousand deep.
const LEANING_MAX: usize = 32;

/// Loose to tight; all of them bind to the left, powers too (Flux v0.200).
static PRECEDENCE: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let left = |rule| Op::infix(rule, Assoc::Left);
    let comparisons = [Rule::not_equal, Rule::matches, Rule::not_matches, Rule::less_equal, Rule::greater_equal, Rule::less, Rule::greater];
    PrattParser::new()
        .op(Op::prefix(Rule::k_not) | Op::prefix(Rule::k_exists))
        .op(comparisons.into_iter().fold(left(Rule::equal), |ops, rule| ops | left(rule)))
        .op(left(Rule::add) | left(Rule::sub))
        .op(left(Rule::mul) | left(Rule::div) | left(Rule::rem))
        .op(left(Rule::pow))
        .op(left(Rule::pipe))
        .op(Op::prefix(Rule::minus) | Op::prefix(Rule::plus))
        .op(Op::postfix(Rule::call) | Op::postfix(Rule::member) | Op::postfix(Rule::index))
});

/// An expression, and the text it takes up with the parentheses around it.
pub struct Node {
    pub expr: Expr,
    pub outer: Span,
}

impl Node {
    fn new(kind: ExprKind, outer: Span) -> Node {
        Node { expr: Expr { kind, span: outer }, outer }
    }
}

fn between(from: Span, to: Span) -> Span {
    Span { start: from.start, stop: to.stop }
}

impl Reader {
    pub fn expr(&self, pair: Pair<'_>) -> Expr {
        self.node(pair).expr
    }

    pub fn node(&self, pair: Pair<'_>) -> Node {
        let span = self.span(&pair);
        let depth = self.depth.get();
        let cost = NESTING_COST + cost(&pair);
        if depth + cost > DEPTH_MAX {
            // Once: what is around it is then as deep.
            if self.errors.borrow().is_empty() {
                self.fail(Span { stop: span.start + 1, ..span }, "the expression is nested too deeply; give parts of it names");
            }
            return Node::new(ExprKind::PipeValue, span);
        }
        self.depth.set(depth + cost);
        let mut parts = pair.into_inner().peekable();
        let node = match parts.peek().map(Pair::as_rule) {
            Some(Rule::conditional) => self.conditional(parts.next().expect("seen")),
            _ => {
                // `and` binds tighter than `or`.
                let (mut halves, mut conjunction) = (vec![], vec![]);
                for part in parts {
                    match part.as_rule() {
                        Rule::k_and => {}
                        Rule::k_or => halves.push(join(LogicalOp::And, std::mem::take(&mut conjunction))),
                        _ => conjunction.push(self.term(part)),
                    }
                }
                halves.push(join(LogicalOp::And, conjunction));
                join(LogicalOp::Or, halves)
            }
        };
        self.depth.set(depth);
        node
    }

    fn conditional(&self, pair: Pair<'_>) -> Node {
        let start = self.span(&pair);
        let mut parts = pair.into_inner().filter(|p| p.as_rule() == Rule::expr).map(|p| self.node(p));
        let mut next = || parts.next().expect("a conditional has three expressions");
        let (test, then, otherwise) = (next(), next(), next());
        let span = between(start, otherwise.outer);
        Node::new(ExprKind::If { test: Box::new(test.expr), then: Box::new(then.expr), otherwise: Box::new(otherwise.expr) }, span)
    }

    fn term(&self, pair: Pair<'_>) -> Node {
        PRECEDENCE
            .map_primary(|pair| self.primary(pair))
            .map_prefix(|sign, operand| {
                let op = match sign.as_rule() {
                    Rule::minus => UnaryOp::Minus,
                    Rule::plus => UnaryOp::Plus,
                    Rule::k_not => UnaryOp::Not,
                    _ => UnaryOp::Exists,
                };
                let span = between(self.span(&sign), operand.outer);
                Node::new(ExprKind::Unary { op, operand: Box::new(operand.expr) }, span)
            })
            .map_postfix(|object, suffix| self.suffix(object, suffix))
            .map_infix(|left, operator, right| self.infix(left, operator.as_rule(), right))
            .parse(pair.into_inner())
    }

    fn infix(&self, left: Node, symbol: Rule, right: Node) -> Node {
        let span = between(left.outer, right.outer);
        let op = match symbol {
            Rule::pipe => {
                if !matches!(right.expr.kind, ExprKind::Call { .. }) {
                    self.fail(right.outer, "pipe destination must be a function call");
                }
                return Node::new(ExprKind::Pipe { left: Box::new(left.expr), call: Box::new(right.expr) }, span);
            }
            Rule::equal => BinaryOp::Equal,
            Rule::not_equal => BinaryOp::NotEqual,
            Rule::matches => BinaryOp::Match,
            Rule::not_matches => BinaryOp::NotMatch,
            Rule::less_equal => BinaryOp::LessEqual,
            Rule::greater_equal => BinaryOp::GreaterEqual,
            Rule::less => BinaryOp::Less,
            Rule::greater => BinaryOp::Greater,
            Rule::add => BinaryOp::Add,
            Rule::sub => BinaryOp::Sub,
            Rule::mul => BinaryOp::Mul,
            Rule::div => BinaryOp::Div,
            Rule::rem => BinaryOp::Mod,
            _ => BinaryOp::Pow,
        };
        Node::new(ExprKind::Binary { op, left: Box::new(left.expr), right: Box::new(right.expr) }, span)
    }

    fn suffix(&self, object: Node, suffix: Pair<'_>) -> Node {
        let span = between(object.outer, self.span(&suffix));
        let object = Box::new(object.expr);
        let kind = match suffix.as_rule() {
            Rule::call => ExprKind::Call { callee: object, arguments: self.properties(suffix) },
            Rule::member => {
                let name = suffix.into_inner().find(|p| p.as_rule() != Rule::dot).expect("a member has a name");
                ExprKind::Member { object, property: self.key(name) }
            }
            _ => {
                let index = suffix.into_inner().find(|p| p.as_rule() == Rule::expr).expect("an index has a value");
                match self.node(index) {
                    Node { expr: Expr { kind: ExprKind::String(name), span }, .. } => {
                        ExprKind::Member { object, property: Ident { name, span } }
                    }
                    index => ExprKind::Index { array: object, index: Box::new(index.expr) },
                }
            }
        };
        Node::new(kind, span)
    }

    fn primary(&self, pair: Pair<'_>) -> Node {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::ident => match pair.as_str() {
                "true" => ExprKind::Bool(true),
                "false" => ExprKind::Bool(false),
                name => ExprKind::Ident(name.into()),
            },
            Rule::paren => {
                let inner = pair.into_inner().find(|p| p.as_rule() == Rule::expr).expect("parentheses hold an expression");
                return Node { expr: self.expr(inner), outer: span };
            }
            Rule::function => return self.function(pair),
            Rule::list => self.list(pair),
            Rule::record => {
                let with = pair.clone().into_inner().find(|p| p.as_rule() == Rule::with);
                let with = with.and_then(|p| p.into_inner().next()).map(|p| self.ident(&p));
                ExprKind::Record { with, properties: self.properties(pair) }
            }
            Rule::pipe_value => ExprKind::PipeValue,
            _ => self.literal(pair),
        };
        Node::new(kind, span)
    }

    fn list(&self, pair: Pair<'_>) -> ExprKind {
        let is_dict = pair.clone().into_inner().any(|p| p.as_rule() == Rule::colon);
        let mut items = pair.into_inner().filter(|p| p.as_rule() == Rule::expr).map(|p| self.expr(p));
        if !is_dict {
            return ExprKind::Array(items.collect());
        }
        let mut entries = vec![];
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            entries.push((key, value));
        }
        ExprKind::Dict(entries)
    }

    fn function(&self, pair: Pair<'_>) -> Node {
        let start = self.span(&pair);
        let mut parameters: Vec<Parameter> = vec![];
        let mut body = None;
        let mut stop = start;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::parameter => {
                    let mut parts = part.into_inner();
                    let name = parts.next().map(|p| self.ident(&p)).expect("a parameter has a name");
                    if parameters.iter().any(|p| p.name.name == name.name) {
                        self.fail(name.span, format!("duplicate parameter {}", name.name));
                    }
                    parameters.push(Parameter { name, default: parts.find(|p| p.as_rule() == Rule::expr).map(|p| self.expr(p)) });
                }
                Rule::block => {
                    stop = self.span(&part);
                    body = Some(FunctionBody::Block(self.function_block(part)));
                }
                Rule::expr => {
                    let node = self.node(part);
                    stop = node.outer;
                    body = Some(FunctionBody::Expr(node.expr));
                }
                _ => {}
            }
        }
        let span = between(start, stop);
        let literal = FunctionLiteral { parameters, body: body.expect("a function has a body"), span };
        Node::new(ExprKind::Function(Arc::new(literal)), span)
    }

    /// Ends in its only `return`.
    fn function_block(&self, pair: Pair<'_>) -> Vec<Statement> {
        let end = self.span(&pair);
        let statements = self.block(pair);
        let returns = statements.iter().position(|s| matches!(s.kind, StatementKind::Return(_)));
        match returns.map(|at| (at, statements.get(at + 1))) {
            None => self.fail(Span { start: end.stop - 1, ..end }, "missing return statement in block"),
            Some((_, Some(after))) => self.fail(after.span, "a statement after `return` is never reached"),
            Some(_) => {}
        }
        statements
    }

    /// `name: value, name2` of a call or a record.
    fn properties(&self, pair: Pair<'_>) -> Vec<Property> {
        let mut out: Vec<Property> = vec![];
        for property in pair.into_inner().filter(|p| p.as_rule() == Rule::property) {
            let mut parts = property.into_inner();
            let key = self.key(parts.next().expect("a property has a key"));
            let value = match parts.find(|p| p.as_rule() == Rule::expr) {
                Some(value) => self.expr(value),
                None => Expr { kind: ExprKind::Ident(key.name.clone()), span: key.span },
            };
            if out.iter().any(|p| p.key.name == key.name) {
                self.fail(key.span, format!("duplicate property {}", key.name));
            }
            out.push(Property { key, value });
        }
        out
    }

    /// A name, or a string in its place.
    fn key(&self, pair: Pair<'_>) -> Ident {
        match pair.as_rule() {
            Rule::string => Ident { span: self.span(&pair), name: self.plain_string(pair) },
            _ => self.ident(&pair),
        }
    }
}

/// What an expression adds to the depth of the tree, without what is inside its operands: the infix operators of its
/// longest term and the signs and suffixes of one operand.
fn cost(expr: &Pair<'_>) -> usize {
    let (mut longest, mut terms) = (0usize, 0usize);
    for term in expr.clone().into_inner().filter(|p| p.as_rule() == Rule::term) {
        let (mut infix, mut run, mut longest_run) = (0, 0, 0);
        for part in term.into_inner() {
            match part.as_rule() {
                Rule::minus | Rule::plus | Rule::k_not | Rule::k_exists | Rule::call | Rule::member | Rule::index => run += 1,
                rule if is_infix(rule) => (infix, run) = (infix + 1, 0),
                _ => {}
            }
            longest_run = longest_run.max(run);
        }
        longest = longest.max(infix + longest_run);
        terms += 1;
    }
    longest + terms.min(LEANING_MAX)
}

fn is_infix(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        pipe | equal | not_equal | matches | not_matches | less_equal | greater_equal | less | greater | add | sub | mul | div | rem | pow
    )
}

fn join(op: LogicalOp, mut halves: Vec<Node>) -> Node {
    if halves.len() > LEANING_MAX {
        let right = halves.split_off(halves.len() / 2);
        return logical(op, join(op, halves), join(op, right));
    }
    halves.into_iter().reduce(|left, right| logical(op, left, right)).expect("an expression has a term")
}

fn logical(op: LogicalOp, left: Node, right: Node) -> Node {
    let span = between(left.outer, right.outer);
    Node::new(ExprKind::Logical { op, left: Box::new(left.expr), right: Box::new(right.expr) }, span)
}
