//! Large scans under an aggregate are read by several threads, each a stretch of time.
//!
//! Equal rows of several files have one time, so they stay in one part and merge there. The parts meet again where the
//! partial aggregates are merged; a scan whose order is asked for stays whole, since merging parts row by row would cost
//! more than a second thread gains.

use super::scan::ScanExec;
use datafusion::{
    common::{
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan, InputOrderMode,
        aggregates::{AggregateExec, AggregateMode},
        execution_plan::replace_children_if_necessary,
        filter::FilterExec,
        projection::ProjectionExec,
    },
};
use std::sync::Arc;

/// The rule; it comes before those that bring partitions together.
#[derive(Debug, Default)]
pub struct SplitScans;

impl PhysicalOptimizerRule for SplitScans {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let parts = config.execution.target_partitions;
        if parts < 2 {
            return Ok(plan);
        }
        let split = plan.transform_down(|node| {
            let Some(aggregate) = node.downcast_ref::<AggregateExec>() else { return Ok(Transformed::no(node)) };
            if *aggregate.mode() != AggregateMode::Partial || *aggregate.input_order_mode() != InputOrderMode::Linear {
                return Ok(Transformed::no(node));
            }
            match parted(aggregate.input(), parts)? {
                Some(input) => Ok(Transformed::yes(replace_children_if_necessary(node, vec![input])?)),
                None => Ok(Transformed::no(node)),
            }
        })?;
        Ok(split.data)
    }

    fn name(&self) -> &str {
        "SplitScans"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The plan with its scan in parts, when rows pass one by one through all that lies between, and are not too few for that to pay.
pub fn parted(plan: &Arc<dyn ExecutionPlan>, parts: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(scan) = plan.downcast_ref::<ScanExec>() {
        return Ok(scan.parted(parts).map(|scan| Arc::new(scan) as Arc<dyn ExecutionPlan>));
    }
    if !plan.is::<FilterExec>() && !plan.is::<ProjectionExec>() {
        return Ok(None);
    }
    match parted(plan.children()[0], parts)? {
        Some(child) => Ok(Some(replace_children_if_necessary(plan.clone(), vec![child])?)),
        None => Ok(None),
    }
}
