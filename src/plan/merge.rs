//! Projections and filters that join what is there already instead of standing on top of it: each step of a script adds one,
//! and every node costs time when the plan is optimised.

use super::node::{operator::OperatorNode, ordered::Ordered};
use datafusion::{
    common::{
        Column, DFSchema, DFSchemaRef, Result,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, ExprSchemable, Filter, LogicalPlan, Projection},
};
use std::{cell::LazyCell, collections::HashSet, sync::Arc};

/// `expressions` over `input`. Where that is a projection, and the names of the answer are written down, the two become one,
/// unless work would be done twice. One of our nodes below does not make what is not asked of it.
pub fn project(input: &LogicalPlan, expressions: Vec<Expr>) -> Result<LogicalPlan> {
    if let LogicalPlan::Projection(below) = input
        && let Some(expressions) = merged(&expressions, below)?
    {
        return over(&below.input, expressions);
    }
    over(input, expressions)
}

fn over(input: &LogicalPlan, expressions: Vec<Expr>) -> Result<LogicalPlan> {
    let named = LazyCell::new(|| expressions.iter().flat_map(Expr::column_refs).collect::<HashSet<&Column>>());
    let input = OperatorNode::with_only(input, |name| named.iter().any(|column| column.name == name))?;
    drop(named);
    let schema = fields_of(&expressions, input.schema())?;
    Ok(LogicalPlan::Projection(Projection::try_new_with_schema(expressions, Arc::new(input), schema)?))
}

/// What the expressions give, without the tables that columns are of. [`Projection::try_new`] also looks for dependencies between
/// columns, which no plan here has.
fn fields_of(expressions: &[Expr], input: &DFSchema) -> Result<DFSchemaRef> {
    let fields = expressions.iter().map(|e| Ok(e.to_field(input)?.1)).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(DFSchema::from_unqualified_fields(fields.into(), input.metadata().clone())?))
}

/// The rows of `input` for which `predicate` is true. It goes below a projection that only chooses and names the columns it
/// is about, and below [`Ordered`], and joins a filter that is there.
pub fn filter(input: &LogicalPlan, predicate: Expr) -> Result<LogicalPlan> {
    match input {
        LogicalPlan::Projection(below) if columns_of(&predicate, below).is_some_and(|all| all.iter().all(|e| is_cheap(e))) => {
            let plan = filter(&below.input, replaced(predicate, below)?)?;
            Ok(LogicalPlan::Projection(Projection::try_new_with_schema(below.expr.clone(), Arc::new(plan), below.schema.clone())?))
        }
        LogicalPlan::Filter(below) => {
            let both = below.predicate.clone().and(predicate);
            Ok(LogicalPlan::Filter(Filter::try_new(both, below.input.clone())?))
        }
        _ => match OperatorNode::as_operator::<Ordered>(input) {
            Some((_, below)) => OperatorNode::over(input, filter(below, predicate)?),
            None => Ok(LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input.clone()))?)),
        },
    }
}

/// Whether the expression is just the column of that name.
pub fn is_column(e: &Expr, name: &str) -> bool {
    matches!(e, Expr::Column(column) if column.name == name && column.relation.is_none())
}

/// The expression under a name, which a column of that name has already.
pub fn named(e: Expr, name: &str) -> Expr {
    if is_column(&e, name) { e } else { e.alias(name) }
}

/// A column or a value: worth no projection of its own.
fn is_cheap(e: &Expr) -> bool {
    matches!(e, Expr::Column(_) | Expr::Literal(..))
}

/// What a column of the projection is computed from.
fn source<'a>(column: &Column, below: &'a Projection) -> Option<&'a Expr> {
    let at = below.schema.fields().iter().position(|f| f.name() == &column.name).filter(|_| column.relation.is_none())?;
    let mut e = &below.expr[at];
    while let Expr::Alias(alias) = e {
        e = &alias.expr;
    }
    Some(e)
}

/// The sources of all columns that an expression names, as often as it names them.
fn columns_of<'a>(e: &Expr, below: &'a Projection) -> Option<Vec<&'a Expr>> {
    let mut found = Some(vec![]);
    let visited = e.apply(|e| {
        if let Expr::Column(column) = e {
            match (source(column, below), &mut found) {
                (Some(e), Some(all)) => all.push(e),
                _ => found = None,
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    visited.is_ok().then_some(found)?
}

/// The expression in terms of what is below the projection.
fn replaced(e: Expr, below: &Projection) -> Result<Expr> {
    let replace = |e| match &e {
        Expr::Column(column) => Ok(source(column, below).map_or(Transformed::no(e.clone()), |e| Transformed::yes(e.clone()))),
        _ => Ok(Transformed::no(e)),
    };
    // What was put in stands in terms of the input already: its columns are not looked up again.
    Ok(e.transform_up(replace)?.data)
}

/// The expressions in terms of what is below the projection; `None` where the two must stay apart.
fn merged(expressions: &[Expr], below: &Projection) -> Result<Option<Vec<Expr>>> {
    let mut computed: Vec<&Expr> = vec![];
    for e in expressions {
        if !matches!(e, Expr::Column(_) | Expr::Alias(_)) {
            return Ok(None);
        }
        let Some(columns) = columns_of(e, below) else { return Ok(None) };
        computed.extend(columns.into_iter().filter(|e| !is_cheap(e)));
    }
    let repeats = |e: &Expr| computed.iter().filter(|other| std::ptr::eq(e, **other)).count() > 1;
    if computed.iter().any(|e| repeats(e) || e.is_volatile()) {
        return Ok(None);
    }
    let merge = |e: &Expr| {
        let (name, bare) = match e {
            Expr::Alias(alias) => (&alias.name, alias.expr.as_ref()),
            Expr::Column(column) => (&column.name, e),
            _ => unreachable!("only columns and names were let through"),
        };
        Ok(named(replaced(bare.clone(), below)?, name))
    };
    Ok(Some(expressions.iter().map(merge).collect::<Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{
        node::{ordered::ordered, values::values},
        stream::col,
    };
    use arrow::{
        array::{ArrayRef, Int64Array},
        record_batch::RecordBatch,
    };
    use datafusion::logical_expr::lit;

    fn rows() -> LogicalPlan {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let batch = RecordBatch::try_from_iter([("a", column.clone()), ("b", column)]).expect("rows");
        values(batch.schema(), vec![batch]).expect("a plan")
    }

    fn text(plan: &LogicalPlan) -> String {
        plan.display_indent().to_string().lines().map(|l| l.trim_end()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn steps_join_the_nodes_below() {
        let rows = rows();
        let ordered = ordered(rows.clone(), vec!["a".into()]).expect("a plan");
        let renamed = project(&ordered, vec![col("a").alias("x"), lit(7).alias("k"), col("b")]).expect("a plan");
        let kept = filter(&renamed, col("x").gt(lit(1)).and(col("k").eq(lit(7)))).expect("a plan");
        let again = filter(&kept, col("b").lt(lit(5))).expect("a plan");
        let chosen = project(&again, vec![col("x").alias("b"), (col("k") + col("b")).alias("sum")]).expect("a plan");
        let lines: Vec<String> = text(&chosen).lines().map(|l| l.trim().to_string()).collect();
        assert_eq!(lines[0], "Projection: a AS b, Int32(7) + b AS sum");
        assert!(lines[1].starts_with("Ordered"), "{lines:?}");
        assert_eq!(lines[2], "Filter: a > Int32(1) AND Int32(7) = Int32(7) AND b < Int32(5)");
        assert_eq!(lines.len(), 4, "{lines:?}");
        let names: Vec<&String> = chosen.schema().fields().iter().map(|f| f.name()).collect();
        assert_eq!(names, ["b", "sum"]);
    }

    #[test]
    fn work_is_not_done_twice_and_names_stay() {
        let sum = project(&rows(), vec![(col("a") + col("b")).alias("sum")]).expect("a plan");
        let once = project(&sum, vec![(col("sum") * lit(2)).alias("twice")]).expect("a plan");
        assert_eq!(text(&once).matches("Projection").count(), 1);
        let squared = project(&sum, vec![(col("sum") * col("sum")).alias("square")]).expect("a plan");
        assert_eq!(text(&squared).matches("Projection").count(), 2);
        let unnamed = project(&sum, vec![col("sum") * lit(2)]).expect("a plan");
        assert_eq!(text(&unnamed).matches("Projection").count(), 2);
        // A condition on what is computed stays above it.
        let kept = filter(&sum, col("sum").gt(lit(1))).expect("a plan");
        assert!(text(&kept).starts_with("Filter"), "{}", text(&kept));
    }
}
