//! What nodes require of their inputs, looked at once where nothing has to be added.
//!
//! DataFusion's rule walks a plan several times to add the sorts and exchanges that are missing, to move them and to take away those
//! that are not needed. A small query's plan has one partition, and its rows come in the order that its nodes want: finding
//! that out is all there is to do.

use datafusion::{
    common::{
        config::ConfigOptions,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    error::Result,
    physical_expr::LexRequirement,
    physical_optimizer::{PhysicalOptimizerRule, ensure_requirements::EnsureRequirements},
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties,
        coalesce_partitions::CoalescePartitionsExec,
        repartition::RepartitionExec,
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
        windows::{BoundedWindowAggExec, WindowAggExec},
    },
};
use std::sync::Arc;

/// [`EnsureRequirements`], where it has work.
#[derive(Debug, Default)]
pub struct Requirements(EnsureRequirements);

impl PhysicalOptimizerRule for Requirements {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if are_met(&plan)? { Ok(plan) } else { self.0.optimize(plan, config) }
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// Whether the plan may run as it is, and has nothing in it that the rule would take away.
pub fn are_met(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let mut met = true;
    plan.apply(|node| {
        met = is_settled(node)?;
        Ok(if met { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(met)
}

fn is_settled(node: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    // One partition has every distribution.
    if node.output_partitioning().partition_count() != 1 {
        return Ok(false);
    }
    let exchanges = node.is::<RepartitionExec>() || node.is::<CoalescePartitionsExec>() || node.is::<SortPreservingMergeExec>();
    if exchanges || node.is::<WindowAggExec>() || node.is::<BoundedWindowAggExec>() {
        return Ok(false);
    }
    if let Some(sort) = node.downcast_ref::<SortExec>()
        && sort.input().equivalence_properties().ordering_satisfy(sort.expr().clone())?
    {
        return Ok(false);
    }
    for (input, required) in node.children().into_iter().zip(node.required_input_ordering()) {
        if let Some(required) = required
            && !comes_so(input, required.first())
            && !input.equivalence_properties().ordering_satisfy_requirement(required.into_single())?
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the order that rows are said to come in begins with the required one, word for word: the usual case.
fn comes_so(input: &Arc<dyn ExecutionPlan>, required: &LexRequirement) -> bool {
    let Some(order) = input.output_ordering() else { return false };
    let same = required.iter().zip(order.iter()).all(|(required, has)| {
        let options = required.options.is_none_or(|options| options == has.options);
        options && required.expr.eq(&has.expr)
    });
    same && required.iter().count() <= order.iter().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{
        array::Int64Array,
        compute::SortOptions,
        datatypes::{DataType, Field, Schema},
        record_batch::RecordBatch,
    };
    use datafusion::{
        datasource::memory::MemorySourceConfig,
        physical_expr::{LexOrdering, PhysicalSortExpr, expressions::col},
        physical_plan::limit::GlobalLimitExec,
    };

    fn ordering(schema: &Schema, names: &[&str]) -> LexOrdering {
        let sort = names.iter().map(|name| PhysicalSortExpr::new(col(name, schema).expect("a column"), SortOptions::default()));
        LexOrdering::new(sort).expect("columns")
    }

    /// Rows that come sorted by these columns, in so many partitions.
    fn rows(sorted_by: &[&str], partitions: usize) -> (Arc<dyn ExecutionPlan>, Arc<Schema>) {
        let schema = Arc::new(Schema::new(["a", "b", "c"].map(|name| Field::new(name, DataType::Int64, false)).to_vec()));
        let columns = (0..3).map(|_| Arc::new(Int64Array::from(vec![1, 2])) as _).collect();
        let batch = RecordBatch::try_new(schema.clone(), columns).expect("rows");
        let source = MemorySourceConfig::try_new(&vec![vec![batch]; partitions], schema.clone(), None).expect("a source");
        let source = match sorted_by {
            [] => source,
            names => source.try_with_sort_information(vec![ordering(&schema, names); 1]).expect("an order"),
        };
        (datafusion::datasource::source::DataSourceExec::from_data_source(source), schema)
    }

    #[test]
    fn a_plan_is_left_alone_only_when_nothing_is_missing_and_nothing_too_much() {
        let sorted = |by: &[&str], have: &[&str], partitions| {
            let (input, schema) = rows(have, partitions);
            Arc::new(SortExec::new(ordering(&schema, by), input)) as Arc<dyn ExecutionPlan>
        };
        let limit = |input| Arc::new(GlobalLimitExec::new(input, 0, Some(1))) as Arc<dyn ExecutionPlan>;
        let cases = [
            (rows(&[], 1).0, true),
            (rows(&[], 2).0, false),
            (limit(rows(&["a"], 1).0), true),
            (limit(rows(&["a"], 2).0), false),
            // A sort that is needed stays, one that is not has to go.
            (sorted(&["b"], &["a"], 1), true),
            (sorted(&["a"], &["a", "b"], 1), false),
            (Arc::new(CoalescePartitionsExec::new(rows(&[], 1).0)), false),
        ];
        for (at, (plan, settled)) in cases.iter().enumerate() {
            assert_eq!(are_met(plan).expect("an answer"), *settled, "case {at}");
        }
        let (input, schema) = rows(&["a", "b"], 1);
        let required = |names: &[&str]| LexRequirement::from(ordering(&schema, names));
        assert!(comes_so(&input, &required(&["a"])) && comes_so(&input, &required(&["a", "b"])));
        assert!(!comes_so(&input, &required(&["b"])) && !comes_so(&input, &required(&["a", "b", "c"])));
    }
}
