//! Rules of DataFusion about expressions, spared the many nodes that only choose and name columns.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, ExprSchemable, LogicalPlan, expr_rewriter::NamePreserver, utils::merge_schema},
    optimizer::{AnalyzerRule, ApplyOrder, OptimizerConfig, OptimizerRule, analyzer::type_coercion::TypeCoercionRewriter},
};

/// Whether a node does anything with its columns but choose and name them.
fn computes(node: &LogicalPlan) -> Result<bool> {
    fn is_plain(e: &Expr) -> bool {
        match e {
            Expr::Column(_) | Expr::Literal(..) => true,
            Expr::Alias(alias) => is_plain(&alias.expr),
            _ => false,
        }
    }
    let mut computes = false;
    node.apply_expressions(|e| {
        computes |= !is_plain(e);
        Ok(if computes { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(computes)
}

/// The rule, on nodes that compute something.
#[derive(Debug)]
pub struct Computed<R>(pub R);

impl<R: OptimizerRule> OptimizerRule for Computed<R> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if computes(&plan)? { self.0.rewrite(plan, config) } else { Ok(Transformed::no(plan)) }
    }
}

/// DataFusion's coercion of types for plans without joins, unions and sub-queries, whose inputs need no coercion.
#[derive(Debug)]
pub struct Coercion;

impl AnalyzerRule for Coercion {
    fn name(&self) -> &str {
        "coercion"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let mut changed = false;
        let coerced = plan.transform_up(|node| {
            if !computes(&node)? && !matches!(node, LogicalPlan::Limit(_)) {
                // What lies below may have another type now.
                return if changed { Ok(Transformed::yes(node.recompute_schema()?)) } else { Ok(Transformed::no(node)) };
            }
            changed = true;
            let schema = merge_schema(&node.inputs());
            let node = match node {
                LogicalPlan::Filter(mut filter) => {
                    filter.predicate = filter.predicate.cast_to(&DataType::Boolean, &schema)?;
                    LogicalPlan::Filter(filter)
                }
                node => node,
            };
            let mut rewriter = TypeCoercionRewriter::new(&schema);
            let names = NamePreserver::new(&node);
            let coerced = node.map_expressions(|e| {
                let name = names.save(&e);
                Ok(e.rewrite(&mut rewriter)?.update_data(|e| name.restore(e)))
            })?;
            coerced.map_data(|node| rewriter.coerce_plan(node)?.recompute_schema())
        })?;
        Ok(coerced.data)
    }
}
