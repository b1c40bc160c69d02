//! The few rules that most plans need, each run once.
//!
//! Planning is most of a small query's time. Flux and InfluxQL build plans without joins and sub-queries, and so does most SQL:
//! these rules have work there, once, and nobody has to find out whether they have more.

use super::{
    columns::ChooseColumns,
    computed::{Coercion, Computed},
    requirements::Requirements,
    twice::NotTwice,
};
use crate::plan::{condition::is_subquery, node::columns::Columns};
use datafusion::{
    common::tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    error::Result,
    execution::context::SessionState,
    logical_expr::{Expr, LogicalPlan},
    optimizer::{
        AnalyzerRule, ApplyOrder, OptimizerRule, common_subexpr_eliminate::CommonSubexprEliminate, eliminate_filter::EliminateFilter,
        push_down_filter::PushDownFilter, push_down_limit::PushDownLimit, simplify_expressions::SimplifyExpressions,
    },
    physical_optimizer::{
        PhysicalOptimizerRule, combine_partial_final_agg::CombinePartialFinalAggregate, limit_pushdown::LimitPushdown,
        output_requirements::OutputRequirements, projection_pushdown::ProjectionPushdown,
    },
};
use std::sync::Arc;

/// What comes before [`rules`].
pub fn analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    vec![Arc::new(Coercion)]
}

pub fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    vec![
        Arc::new(Computed(SimplifyExpressions::new())),
        Arc::new(EliminateFilter::new()),
        Arc::new(PushDownLimit::new()),
        Arc::new(PushDownFilter::new()),
        Arc::new(Computed(CommonSubexprEliminate::new())),
        Arc::new(NotTwice::default()),
    ]
}

/// DataFusion's rule that makes leaves give way to other tasks is not among them: scans do by themselves, and other leaves are rows in
/// memory.
pub fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    vec![
        // Between the two, the order that ORDER BY asks for is a requirement of the whole plan.
        Arc::new(OutputRequirements::new_add_mode()),
        Arc::new(Requirements::default()),
        Arc::new(CombinePartialFinalAggregate::new()),
        Arc::new(ProjectionPushdown::new()),
        Arc::new(OutputRequirements::new_remove_mode()),
        Arc::new(LimitPushdown::new()),
        Arc::new(ChooseColumns),
    ]
}

/// Window functions that hold a few rows, whatever their frame: others may hold and compute all of a partition at once, which is for
/// [`super::apart`].
const SMALL_WINDOWS: [&str; 5] = ["row_number", "rank", "dense_rank", "lag", "lead"];

fn runs_as_rows_come(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => runs_as_rows_come(&alias.expr),
        Expr::WindowFunction(window) => SMALL_WINDOWS.contains(&window.fun.name()),
        _ => false,
    }
}

/// Whether an expression is of those that only all rules make ready to run: other queries, DISTINCT (cheaper as an aggregate of its own),
/// grouping sets and `grouping()`.
pub fn needs_rules(e: &Expr) -> bool {
    match e {
        Expr::GroupingSet(_) => true,
        Expr::AggregateFunction(f) => f.params.distinct || f.func.name() == "grouping",
        other => is_subquery(other),
    }
}

/// Whether [`rules`] leave nothing to do that an answer needs: no joins, sub-queries, unions, DISTINCT, grouping sets, or windows that
/// hold many rows.
pub fn are_enough(plan: &LogicalPlan) -> bool {
    let needs_more = plan.exists(|node| {
        let mut needs_more = match node {
            LogicalPlan::Window(w) => !w.window_expr.iter().all(runs_as_rows_come),
            LogicalPlan::Aggregate(_)
            | LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::TableScan(_)
            | LogicalPlan::Extension(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_) => false,
            _ => true,
        };
        node.apply_expressions(|expr| {
            needs_more |= expr.exists(|e| Ok(needs_rules(e)))?;
            Ok(if needs_more { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        Ok(needs_more)
    });
    needs_more.is_ok_and(|needs_more| !needs_more)
}

/// The plan after one turn of the rules of `state`, which are these. Rules that go through a plan the same way go through it together.
pub fn optimised(state: &SessionState, plan: &LogicalPlan) -> Result<LogicalPlan> {
    let options = state.config_options();
    let mut plan = state.analyzer().rules.iter().try_fold(plan.clone(), |plan, rule| rule.analyze(plan, options))?;
    for rules in state.optimizers().chunk_by(|a, b| a.apply_order() == b.apply_order() && a.apply_order().is_some()) {
        let apply = |node| rules.iter().try_fold(Transformed::no(node), |node, rule| node.transform_data(|node| rule.rewrite(node, state)));
        plan = match rules[0].apply_order() {
            None => apply(plan)?,
            Some(ApplyOrder::TopDown) => plan.transform_down(apply)?,
            Some(ApplyOrder::BottomUp) => {
                let mut changed = false;
                plan.transform_up(|node| {
                    // What lies below may have another type now.
                    let node = if changed { Transformed::yes(node.recompute_schema()?) } else { Transformed::no(node) };
                    let node = node.transform_data(apply)?;
                    changed |= node.transformed;
                    Ok(node)
                })?
            }
        }
        .data;
    }
    let choose = |node| match &node {
        LogicalPlan::Projection(projection) => Ok(Columns::instead_of(projection).map_or(Transformed::no(node), Transformed::yes)),
        _ => Ok(Transformed::no(node)),
    };
    Ok(plan.transform_up(choose)?.data)
}
