//! Expressions: operands and operators in a row become a tree by precedence.

use super::statement::Reader;
use super::{Pair, Rule, literal};
use crate::influxql::ast::{BinaryOp, Cast, Expr};

/// Arithmetic and comparisons nest to the left; a chain longer than this is refused, since the planner recurses.
const CHAIN_MAX: usize = 500;

type Read<T> = std::result::Result<T, String>;

impl Reader {
    pub fn expr(&self, pair: Pair<'_>) -> Read<Expr> {
        let mut operands = Vec::new();
        let mut ops = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::op | Rule::match_op => ops.push(binary_op(part.as_str())),
                Rule::regex => operands.push(Expr::Regex(literal::pattern(&part)?)),
                Rule::param => operands.push(self.param(part)?),
                _ => operands.push(self.operand(part)?),
            }
        }
        if ops.iter().filter(|op| !op.is_logical()).count() > CHAIN_MAX {
            return Err(format!("an expression has more than {CHAIN_MAX} operators in a row"));
        }
        Ok(climb(operands, ops))
    }

    fn operand(&self, pair: Pair<'_>) -> Read<Expr> {
        let inner = pair.into_inner().next().expect("an operand holds one thing");
        if inner.as_rule() != Rule::negated {
            return self.primary(inner);
        }
        let mut parts = inner.into_inner();
        let minus = parts.next().is_some_and(|sign| sign.as_str() == "-");
        let value = self.primary(parts.next().expect("a sign stands before an operand"))?;
        Ok(match value {
            v if !minus && !matches!(v, Expr::Paren(_) | Expr::Call { .. } | Expr::Variable { .. }) => v,
            Expr::Integer(v) => Expr::Integer(v.wrapping_neg()),
            Expr::Unsigned(v) if v == i64::MAX as u64 + 1 => Expr::Integer(i64::MIN),
            Expr::Unsigned(v) => return Err(format!("constant -{v} underflows int64")),
            Expr::Number(v) => Expr::Number(-v),
            Expr::Duration(v) => Expr::Duration(v.wrapping_neg()),
            other => Expr::binary(BinaryOp::Mul, Expr::Integer(if minus { -1 } else { 1 }), other),
        })
    }

    fn primary(&self, pair: Pair<'_>) -> Read<Expr> {
        Ok(match pair.as_rule() {
            Rule::paren => {
                let inner = pair.into_inner().find(|p| p.as_rule() == Rule::expr).expect("parentheses hold an expression");
                Expr::Paren(Box::new(self.expr(inner)?))
            }
            Rule::call | Rule::distinct_call => self.call(pair)?,
            Rule::distinct => {
                let name = pair.into_inner().find(|p| p.as_rule() == Rule::name).expect("DISTINCT is followed by a name");
                Expr::Distinct(self.name(name)?)
            }
            Rule::wildcard => Expr::Wildcard(pair.into_inner().next().map(|kind| match kind.as_str().to_ascii_lowercase().as_str() {
                "tag" => Cast::Tag,
                _ => Cast::Field,
            })),
            Rule::duration => Expr::Duration(literal::duration(pair.as_str())?),
            Rule::number => {
                Expr::Number(pair.as_str().parse().map_err(|_| format!("unable to parse number at {}", literal::place(&pair)))?)
            }
            Rule::integer => literal::integer(pair.as_str(), || literal::place(&pair))?,
            Rule::string => Expr::String(literal::unquote(pair.as_str())),
            Rule::boolean => Expr::Boolean(pair.as_str().eq_ignore_ascii_case("true")),
            Rule::param => self.param(pair)?,
            Rule::variable => self.variable(pair)?,
            other => unreachable!("{other:?} is no operand of the grammar"),
        })
    }

    fn call(&self, pair: Pair<'_>) -> Read<Expr> {
        let mut name = String::from("distinct");
        let mut args = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::call_head => {
                    let head = part.into_inner().next().expect("a call has a name");
                    name = self.name(head)?.to_ascii_lowercase();
                }
                Rule::arg => args.push(self.regex_or_expr(part)?),
                _ => {}
            }
        }
        Ok(Expr::Call { name, args })
    }

    /// A pair that holds `regex` or `expr`.
    pub fn regex_or_expr(&self, pair: Pair<'_>) -> Read<Expr> {
        let inner = pair.into_inner().next().expect("a regex or an expression");
        match inner.as_rule() {
            Rule::regex => Ok(Expr::Regex(literal::pattern(&inner)?)),
            _ => self.expr(inner),
        }
    }

    pub fn param(&self, pair: Pair<'_>) -> Read<Expr> {
        Ok(match self.parameters.get(&literal::param_name(pair))? {
            literal::Bound::Identifier(name) => Expr::variable(name),
            literal::Bound::Regex(pattern) => Expr::Regex(pattern),
            literal::Bound::Literal(value) => value,
        })
    }

    fn variable(&self, pair: Pair<'_>) -> Read<Expr> {
        let mut names = Vec::new();
        let mut cast = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => names.push(self.name(part)?),
                _ => {
                    cast = Some(match part.as_str().to_ascii_lowercase().as_str() {
                        "float" => Cast::Float,
                        "integer" => Cast::Integer,
                        "unsigned" => Cast::Unsigned,
                        "string" => Cast::String,
                        "boolean" => Cast::Boolean,
                        "tag" => Cast::Tag,
                        _ => Cast::Field,
                    })
                }
            }
        }
        Ok(Expr::Variable { name: names.join("."), cast })
    }
}

fn binary_op(text: &str) -> BinaryOp {
    match text {
        "=" => BinaryOp::Eq,
        "!=" | "<>" => BinaryOp::NotEq,
        "<" => BinaryOp::Less,
        "<=" => BinaryOp::LessEq,
        ">" => BinaryOp::Greater,
        ">=" => BinaryOp::GreaterEq,
        "=~" => BinaryOp::Match,
        "!~" => BinaryOp::NotMatch,
        "+" => BinaryOp::Add,
        "-" => BinaryOp::Sub,
        "|" => BinaryOp::BitOr,
        "^" => BinaryOp::BitXor,
        "*" => BinaryOp::Mul,
        "/" => BinaryOp::Div,
        "%" => BinaryOp::Mod,
        "&" => BinaryOp::BitAnd,
        word if word.eq_ignore_ascii_case("and") => BinaryOp::And,
        _ => BinaryOp::Or,
    }
}

/// Applies precedence. Chains of one logical operator become a balanced tree, so that a thousand tags joined by OR do
/// not nest a thousand deep; the order of the operands, and with it the printed text, stays.
fn climb(operands: Vec<Expr>, ops: Vec<BinaryOp>) -> Expr {
    for logical in [BinaryOp::Or, BinaryOp::And] {
        if !ops.contains(&logical) {
            continue;
        }
        let mut terms = Vec::new();
        let (mut some, mut some_ops) = (Vec::new(), Vec::new());
        let mut ops = ops.into_iter();
        for operand in operands {
            some.push(operand);
            match ops.next() {
                Some(op) if op == logical => terms.push(climb(std::mem::take(&mut some), std::mem::take(&mut some_ops))),
                Some(op) => some_ops.push(op),
                None => {}
            }
        }
        terms.push(climb(some, some_ops));
        return balance(logical, terms);
    }
    let mut stack: Vec<Expr> = Vec::new();
    let mut waiting: Vec<BinaryOp> = Vec::new();
    let reduce = |stack: &mut Vec<Expr>, op: BinaryOp| {
        let right = stack.pop().expect("an operator has two operands");
        let left = stack.pop().expect("an operator has two operands");
        stack.push(Expr::binary(op, left, right));
    };
    let mut ops = ops.into_iter();
    for operand in operands {
        stack.push(operand);
        let Some(op) = ops.next() else { break };
        while waiting.last().is_some_and(|top| top.precedence() >= op.precedence()) {
            reduce(&mut stack, waiting.pop().expect("seen above"));
        }
        waiting.push(op);
    }
    while let Some(op) = waiting.pop() {
        reduce(&mut stack, op);
    }
    stack.pop().expect("an expression has an operand")
}

fn balance(op: BinaryOp, mut terms: Vec<Expr>) -> Expr {
    if terms.len() == 1 {
        return terms.remove(0);
    }
    let right = terms.split_off(terms.len() / 2);
    Expr::binary(op, balance(op, terms), balance(op, right))
}
