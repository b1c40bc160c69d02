//! The same step twice: `SELECT v * 2 AS v FROM (SELECT v * 2 AS v FROM t)`, or two calls of `map` with one function.
//!
//! DataFusion (55.2) takes a projection that reads like the one below it for a repetition and drops it. That is right only where what it
//! reads was passed on as it was. The rule that does it is shown plans in which no two others stand on each other.

use datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{Expr, LogicalPlan, Projection, expr::Alias},
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule, optimize_projections::OptimizeProjections},
};

/// [`OptimizeProjections`], which then drops only what is a repetition.
#[derive(Debug, Default)]
pub struct NotTwice(OptimizeProjections);

impl OptimizerRule for NotTwice {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !plan.exists(|node| Ok(is_mistakable(node)))? {
            return self.0.rewrite(plan, config);
        }
        let apart = plan.transform_up(|node| if is_mistakable(&node) { rewritten(node) } else { Ok(Transformed::no(node)) })?;
        apart.transform_data(|plan| self.0.rewrite(plan, config))
    }
}

/// Whether a projection would be dropped that does something.
fn is_mistakable(node: &LogicalPlan) -> bool {
    let LogicalPlan::Projection(above) = node else { return false };
    let LogicalPlan::Projection(below) = above.input.as_ref() else { return false };
    above.expr == below.expr
        && above.expr.iter().flat_map(Expr::column_refs).any(|column| {
            let at = below.schema.maybe_index_of_column(column);
            at.is_none_or(|at| !matches!(&below.expr[at], Expr::Column(passed) if passed == column))
        })
}

/// The projection in other words: each name is given twice.
fn rewritten(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Projection(Projection { expr, input, schema, .. }) = node else { return Ok(Transformed::no(node)) };
    let again = expr.into_iter().map(|e| match e {
        Expr::Alias(alias) => Expr::Alias(Alias { expr: Box::new(Expr::Alias(alias.clone())), ..alias }),
        other => other,
    });
    Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new_with_schema(again.collect(), input, schema)?)))
}
