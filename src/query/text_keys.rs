//! Grouping by tags, whose type is a dictionary: the keys are compared as text views while groups are looked up.
//!
//! DataFusion (55) groups columns of plain types column by column, but falls back to encoding whole rows as soon as one of them is
//! a dictionary, which takes several times as long per row. The rule casts the keys below the aggregate, and back above it.

use arrow::datatypes::{DataType, FieldRef, SchemaRef};
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
    let keys = first.group_expr().expr();
    let Some(texts) = as_text(keys, first.input())? else { return Ok(None) };
    let phase = |mode, group: PhysicalGroupBy, like: &AggregateExec, input| {
        AggregateExec::try_new(mode, group, like.aggr_expr().to_vec(), like.filter_expr().to_vec(), input, like.input_schema())
    };
    let partial = phase(AggregateMode::Partial, PhysicalGroupBy::new_single(texts), first, first.input().clone())?;
    let merged = partial.group_expr().as_final();
    let whole = phase(AggregateMode::Final, merged, last, Arc::new(partial))?;
    as_tags(Arc::new(whole), keys, &first.input().schema()).map(Some)
}

/// Keys of an aggregate, with their names.
type Keys = Vec<(Arc<dyn PhysicalExpr>, String)>;

/// The keys with texts for tags; `None` when no key is a tag.
pub fn as_text(keys: &[(Arc<dyn PhysicalExpr>, String)], input: &Arc<dyn ExecutionPlan>) -> Result<Option<Keys>> {
    let given = input.schema();
    let (mut texts, mut changed) = (vec![], false);
    for (expr, name) in keys {
        let is_tag = is_tag(&expr.data_type(&given)?);
        changed |= is_tag;
        let expr = if is_tag { Arc::new(CastExpr::new(expr.clone(), DataType::Utf8View, None)) } else { expr.clone() };
        texts.push((expr, name.clone()));
    }
    Ok(changed.then_some(texts))
}

/// An aggregate by such texts, with tags where `keys` of rows like `given` are tags.
pub fn as_tags(
    aggregate: Arc<dyn ExecutionPlan>,
    keys: &[(Arc<dyn PhysicalExpr>, String)],
    given: &SchemaRef,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = aggregate.schema();
    let column = |(at, field): (usize, &FieldRef)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), at));
        let tag = keys.get(at).map(|(key, _)| key.data_type(given)).transpose()?.filter(is_tag);
        let expr = match tag {
            Some(tag) => Arc::new(CastExpr::new(column, tag, None)),
            None => column,
        };
        Ok(ProjectionExpr { expr, alias: field.name().clone() })
    };
    let columns = schema.fields().iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(ProjectionExec::try_new(columns, aggregate)?))
}
