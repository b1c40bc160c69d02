//! What can be told of a condition before any row is read: comparisons of known texts, and what follows from them.
//!
//! Conditions on the name of a field or a measurement come to `true` or `false` this way, once per field; DataFusion's
//! simplifier is asked only for what is left.

use datafusion::{
    common::{
        DFSchemaRef, Result, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{BinaryExpr, Expr, Operator, lit, simplify::SimplifyContext},
    optimizer::simplify_expressions::ExprSimplifier,
};

/// The condition, whose parts are settled already, as far as it can be told.
pub fn settled(condition: Expr) -> Expr {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return condition };
    match op {
        Operator::Eq | Operator::NotEq => {
            if let (Some(a), Some(b)) = (text(&left), text(&right)) {
                return lit((a == b) == (op == Operator::Eq));
            }
        }
        Operator::And | Operator::Or => {
            // `false` decides over `and`, `true` over `or`; the other one leaves what it is joined with.
            let deciding = op == Operator::Or;
            match (answer(&left), answer(&right)) {
                (Some(known), _) | (_, Some(known)) if known == deciding => return lit(deciding),
                (Some(_), Some(known)) => return lit(known),
                (Some(_), None) => return *right,
                (None, Some(_)) => return *left,
                (None, None) => {}
            }
        }
        _ => {}
    }
    Expr::BinaryExpr(BinaryExpr { left, op, right })
}

/// The condition where a column has a known value.
pub fn with(condition: Expr, column: &str, value: &Expr) -> Result<Expr> {
    let put_in = |e| match &e {
        Expr::Column(c) if c.name == column => Ok(Transformed::yes(value.clone())),
        Expr::BinaryExpr(_) => Ok(Transformed::yes(settled(e))),
        _ => Ok(Transformed::no(e)),
    };
    Ok(condition.transform_up(put_in)?.data)
}

/// The value of a condition that no column has a part in.
pub fn truth(condition: &Expr) -> Option<bool> {
    if let Expr::Literal(..) = condition {
        return answer(condition);
    }
    if condition.any_column_refs() {
        return None;
    }
    answer(&ExprSimplifier::new(SimplifyContext::default()).simplify(condition.clone()).ok()?)
}

/// The condition with all parts computed that no column has a part in.
pub fn computed(condition: Expr, schema: impl Fn() -> Result<DFSchemaRef>) -> Result<Expr> {
    if !condition.exists(|e| Ok(!matches!(e, Expr::Literal(..)) && !e.any_column_refs()))? {
        return Ok(condition);
    }
    let schema = schema()?;
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(schema.clone()).build());
    simplifier.simplify(simplifier.coerce(condition, &schema)?)
}

pub fn is_false(condition: &Expr) -> bool {
    matches!(condition, Expr::Literal(ScalarValue::Boolean(Some(false) | None) | ScalarValue::Null, _))
}

fn answer(condition: &Expr) -> Option<bool> {
    match condition {
        Expr::Literal(ScalarValue::Boolean(answer), _) => *answer,
        _ => None,
    }
}

fn text(e: &Expr) -> Option<&str> {
    match e {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::stream::col;
    use datafusion::common::DFSchema;
    use std::sync::Arc;

    #[test]
    fn conditions_on_known_texts_are_told() {
        let field = |name: &str| col("_field").eq(lit(name));
        let host = || col("host").eq(lit("a"));
        let cases = [
            (field("x"), lit(true)),
            (field("y"), lit(false)),
            (col("_field").not_eq(lit("x")), lit(false)),
            (field("y").or(field("x")), lit(true)),
            (field("x").and(host()), host()),
            (host().and(field("y")), lit(false)),
            (host().or(field("y")), host()),
            (field("y").or(host().and(field("x"))), host()),
            (host().and(lit(ScalarValue::Boolean(None))), host().and(lit(ScalarValue::Boolean(None)))),
        ];
        for (condition, expected) in cases {
            assert_eq!(with(condition.clone(), "_field", &lit("x")).expect("a condition"), expected, "{condition}");
        }
    }

    #[test]
    fn what_no_column_has_a_part_in_is_computed() {
        let schema = || Ok(Arc::new(DFSchema::empty()));
        let matches = |text: &str| Expr::BinaryExpr(BinaryExpr::new(Box::new(lit(text)), Operator::RegexMatch, Box::new(lit("^us"))));
        assert_eq!(computed(matches("used"), schema).expect("a condition"), lit(true));
        assert_eq!((truth(&matches("used")), truth(&matches("x")), truth(&col("x"))), (Some(true), Some(false), None));
        assert_eq!(computed(col("x"), schema).expect("a condition"), col("x"), "a column is left alone");
        assert!(is_false(&lit(false)) && is_false(&lit(ScalarValue::Null)) && !is_false(&lit(true)));
    }
}
