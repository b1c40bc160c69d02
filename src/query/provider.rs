//! A measurement's snapshot as a DataFusion table.
//!
//! Filters on time and on one tag each are exact: time becomes bounds, tag conditions are evaluated once per series.
//! Everything else is left to DataFusion.

use super::{
    scan::ScanExec,
    tag_filter::{TagFilter, values},
};
use crate::model::schema::tag_type;
use crate::plan::{condition::without_relation, time_bounds::time_bounds};
use crate::storage::{block::RowFilter, read::MeasurementSnapshot};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::DFSchema,
    datasource::TableType,
    error::Result,
    logical_expr::{Expr, TableProviderFilterPushDown},
    physical_plan::ExecutionPlan,
};
use std::sync::Arc;

#[derive(Debug)]
pub struct SnapshotTable {
    snapshot: Arc<MeasurementSnapshot>,
}

impl SnapshotTable {
    pub fn new(snapshot: MeasurementSnapshot) -> SnapshotTable {
        SnapshotTable { snapshot: Arc::new(snapshot) }
    }

    /// The tag that an expression is about, when it is about one tag only and gives the same answer every time.
    fn tag_of(&self, expr: &Expr) -> Option<String> {
        let columns = expr.column_refs();
        let mut names = columns.iter().map(|c| c.name.as_str());
        let name = names.next().filter(|n| self.snapshot.schema.is_tag(n))?;
        (names.next().is_none() && !expr.is_volatile()).then(|| name.to_string())
    }

    /// Whether the scan answers a condition by itself.
    pub fn is_exact(&self, condition: &Expr) -> bool {
        time_bounds(condition).is_some() || self.tag_of(condition).is_some()
    }

    /// The rows that meet all conditions, which are exact. `columns` are indices of the layout; all when absent.
    pub fn rows(
        &self,
        state: &dyn Session,
        columns: Option<Vec<usize>>,
        conditions: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<ScanExec>> {
        let mut filter = RowFilter::all();
        for condition in conditions {
            if let Some((min, max)) = time_bounds(condition) {
                filter.time_min = filter.time_min.max(min);
                filter.time_max = filter.time_max.min(max);
            } else if let Some(tag) = self.tag_of(condition) {
                filter.series.push(Arc::new(match values(condition) {
                    Some(values) => TagFilter::one_of(tag.into(), values),
                    None => {
                        let schema = Arc::new(Schema::new(vec![Field::new(&tag, tag_type(), true)]));
                        let unqualified = without_relation(condition.clone())?;
                        let test = state.create_physical_expr(unqualified, &DFSchema::try_from(schema.clone())?)?;
                        TagFilter::new(tag.into(), schema, test)
                    }
                }));
            }
        }
        Ok(Arc::new(ScanExec::new(self.snapshot.clone(), columns, filter, limit)?))
    }
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        self.snapshot.schema.arrow_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |e: &&Expr| match self.is_exact(e) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(answer).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.rows(state, projection.cloned(), filters, limit)?)
    }
}

#[cfg(test)]
mod tests;
