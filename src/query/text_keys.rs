//! Grouping by tags, whose type is a dictionary: the keys are compared as text views while groups are looked up.
//!
//! DataFusion (55) groups columns of plain types column by column, but falls back to encoding whole rows as soon as one of them is
//! a dictionary, which takes several times as long per row. The rule casts the keys below the aggregate, and back above it.

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    physical_expr::{
        PhysicalExpr,
        expressions::{CastExpr, Column},
    },
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan, InputOrderMode,
        aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy},
        projection::{ProjectionExec, ProjectionExpr},
    },
};
use std::sync::Arc;

/// The rule; it comes before those that look at how an aggregate's phases are joined.
#[derive(Debug, Default)]
pub struct TextKeys;

impl PhysicalOptimizerRule for TextKeys {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let changed = plan.transform_up(|node| match by_text(&node)? {
            Some(new) => Ok(Transformed::yes(new)),
            None => Ok(Transformed::no(node)),
        })?;
        Ok(changed.data)
    }

    fn name(&self) -> &str {
        "TextKeys"
    }

    // Names and types stay; the note of a column's role is lost on the way.
    fn schema_check(&self) -> bool {
        false
    }
}

fn is_tag(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Dictionary(_, value) if **value == DataType::Utf8)
}

/// Both phases of an aggregate with other keys; `None` when none of its keys is a tag, or when rows come sorted by them.
fn by_text(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(last) = node.downcast_ref::<AggregateExec>().filter(|a| *a.mode() == AggregateMode::Final) else { return Ok(None) };
    let Some(first) = last.input().downcast_ref::<AggregateExec>().filter(|a| *a.mode() == AggregateMode::Partial) else {
        return Ok(None);
    };
    let plain = first.group_expr().groups().len() == 1 && first.group_expr().null_expr().is_empty();
    if !plain || *first.input_order_mode() != InputOrderMode::Linear {
        return Ok(None);
    }
    let given = first.input().schema();
    let keys = first.group_expr().expr();
    let types = keys.iter().map(|(e, _)| e.data_type(&given)).collect::<Result<Vec<_>>>()?;
    if !types.iter().any(is_tag) {
        return Ok(None);
    }
    let text = |((expr, name), data_type): (&(Arc<dyn PhysicalExpr>, String), &DataType)| {
        let cast = || Arc::new(CastExpr::new(expr.clone(), DataType::Utf8View, None)) as Arc<dyn PhysicalExpr>;
        let expr = if is_tag(data_type) { cast() } else { expr.clone() };
        (expr, name.clone())
    };
    let group = PhysicalGroupBy::new_single(keys.iter().zip(&types).map(text).collect());
    let phase = |mode, group: PhysicalGroupBy, like: &AggregateExec, input| {
        AggregateExec::try_new(mode, group, like.aggr_expr().to_vec(), like.filter_expr().to_vec(), input, like.input_schema())
    };
    let partial = phase(AggregateMode::Partial, group, first, first.input().clone())?;
    let merged = partial.group_expr().as_final();
    let whole = phase(AggregateMode::Final, merged, last, Arc::new(partial))?;
    let column = |(at, field): (usize, &arrow::datatypes::FieldRef)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(whole.schema().field(at).name(), at));
        let expr = match types.get(at).filter(|t| is_tag(t)) {
            Some(tag) => Arc::new(CastExpr::new(column, tag.clone(), None)),
            None => column,
        };
        ProjectionExpr { expr, alias: field.name().clone() }
    };
    let columns: Vec<ProjectionExpr> = last.schema().fields().iter().enumerate().map(column).collect();
    Ok(Some(Arc::new(ProjectionExec::try_new(columns, Arc::new(whole))?)))
}
