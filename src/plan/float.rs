//! Comparisons of floats as IEEE 754 has them, which Flux follows, and so do deletes by value, out of Arrow's, which go by total
//! order: there NaN equals itself and lies beyond the infinities, and -0 is below 0.
//!
//! Against a literal only one bound is added, so that the comparison itself still prunes files and pages.

use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, Operator, lit, when},
};

/// `left op right` of two float expressions, null where one is. `None`: an operand should not be evaluated twice, or is
/// NaN.
pub fn compare(op: Operator, left: Expr, right: Expr) -> Option<Expr> {
    use Operator::*;
    if left.is_volatile() || right.is_volatile() {
        return None;
    }
    let turned = match op {
        Lt => Gt,
        LtEq => GtEq,
        Gt => Lt,
        GtEq => LtEq,
        other => other,
    };
    match (literal(&left), literal(&right)) {
        (_, Some(bound)) => with_literal(op, left, bound),
        (Some(bound), _) => with_literal(turned, right, bound),
        // NaN beside null is null, which the bounds alone would make false.
        _ => {
            let missing = left.clone().is_null().or(right.clone().is_null());
            when(missing, lit(ScalarValue::Boolean(None))).otherwise(of_columns(op, left, right)).ok()
        }
    }
}

fn literal(e: &Expr) -> Option<f64> {
    if let Expr::Literal(ScalarValue::Float64(Some(v)), _) = e { Some(*v) } else { None }
}

fn with_literal(op: Operator, e: Expr, bound: f64) -> Option<Expr> {
    use Operator::*;
    if bound.is_nan() {
        return None;
    }
    // The zero that the comparison takes along, and the one that it leaves out.
    let (low, high) = if bound == 0.0 { (-0.0, 0.0) } else { (bound, bound) };
    let same = low.to_bits() == high.to_bits();
    Some(match op {
        Gt => e.clone().gt(lit(high)).and(e.lt_eq(lit(f64::INFINITY))),
        GtEq => e.clone().gt_eq(lit(low)).and(e.lt_eq(lit(f64::INFINITY))),
        Lt => e.clone().lt(lit(low)).and(e.gt_eq(lit(f64::NEG_INFINITY))),
        LtEq => e.clone().lt_eq(lit(high)).and(e.gt_eq(lit(f64::NEG_INFINITY))),
        Eq if same => e.eq(lit(bound)),
        Eq => e.clone().gt_eq(lit(low)).and(e.lt_eq(lit(high))),
        _ if same => e.not_eq(lit(bound)),
        _ => e.clone().lt(lit(low)).or(e.gt(lit(high))),
    })
}

/// Adding 0 makes 0 of -0 and leaves everything else; the bounds refuse NaN on either side.
fn of_columns(op: Operator, left: Expr, right: Expr) -> Expr {
    use Operator::*;
    let (a, b) = (left + lit(0.0), right + lit(0.0));
    let (top, bottom) = (lit(f64::INFINITY), lit(f64::NEG_INFINITY));
    match op {
        Gt => a.clone().gt(b.clone()).and(a.lt_eq(top)).and(b.gt_eq(bottom)),
        GtEq => a.clone().gt_eq(b.clone()).and(a.lt_eq(top)).and(b.gt_eq(bottom)),
        Lt => a.clone().lt(b.clone()).and(a.gt_eq(bottom)).and(b.lt_eq(top)),
        LtEq => a.clone().lt_eq(b.clone()).and(a.gt_eq(bottom)).and(b.lt_eq(top)),
        Eq => a.clone().eq(b).and(a.clone().lt_eq(top)).and(a.gt_eq(bottom)),
        _ => a.clone().not_eq(b).or(a.clone().gt(top)).or(a.lt(bottom)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{
        array::{ArrayRef, AsArray, Float64Array},
        datatypes::{DataType, Field, Schema},
        record_batch::RecordBatch,
    };
    use datafusion::{common::DFSchema, logical_expr::col, prelude::SessionContext};
    use std::sync::Arc;

    /// Every pair of awkward values, as two columns and as column and literal, gives what Rust's own operators give.
    #[test]
    fn as_ieee_754() {
        use Operator::*;
        let values = [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.5, -1.5, f64::MAX];
        let some: Vec<Option<f64>> = values.into_iter().map(Some).chain([None]).collect();
        let pairs: Vec<(Option<f64>, Option<f64>)> = some.iter().flat_map(|a| some.iter().map(|b| (*a, *b))).collect();
        let field = |name| Field::new(name, DataType::Float64, true);
        let schema = Arc::new(Schema::new(vec![field("a"), field("b")]));
        let (left, right): (Vec<Option<f64>>, Vec<Option<f64>>) = pairs.iter().copied().unzip();
        let columns: Vec<ArrayRef> = vec![Arc::new(Float64Array::from(left)), Arc::new(Float64Array::from(right))];
        let batch = RecordBatch::try_new(schema.clone(), columns).expect("valid");
        let df_schema = DFSchema::try_from(schema).expect("valid");
        let session = SessionContext::new();
        let run = |e: Expr| {
            let physical = session.create_physical_expr(e, &df_schema).expect("plans");
            let out = physical.evaluate(&batch).expect("runs").into_array(batch.num_rows()).expect("an array");
            out.as_boolean().iter().collect::<Vec<_>>()
        };
        for op in [Eq, NotEq, Lt, LtEq, Gt, GtEq] {
            let truth = |a: f64, b: f64| match op {
                Eq => a == b,
                NotEq => a != b,
                Lt => a < b,
                LtEq => a <= b,
                Gt => a > b,
                _ => a >= b,
            };
            let expected: Vec<Option<bool>> = pairs.iter().map(|(a, b)| Some(truth((*a)?, (*b)?))).collect();
            assert_eq!(run(compare(op, col("a"), col("b")).expect("columns")), expected, "a {op} b");
            for bound in values.into_iter().filter(|v| !v.is_nan()) {
                let expected: Vec<Option<bool>> = pairs.iter().map(|(a, _)| Some(truth((*a)?, bound))).collect();
                assert_eq!(run(compare(op, col("a"), lit(bound)).expect("a literal")), expected, "a {op} {bound:?}");
                let expected: Vec<Option<bool>> = pairs.iter().map(|(a, _)| Some(truth(bound, (*a)?))).collect();
                assert_eq!(run(compare(op, lit(bound), col("a")).expect("a literal")), expected, "{bound:?} {op} a");
            }
        }
    }
}
