//! A measurement's snapshot as a DataFusion table.
//!
//! Filters on time and on one tag each are exact: time becomes bounds, tag conditions are evaluated once per series.
//! Everything else is left to DataFusion.

use super::{scan::ScanExec, tag_filter::TagFilter};
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
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        self.snapshot.layout.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let exact = |e: &&Expr| time_bounds(e).is_some() || self.tag_of(e).is_some();
        let answer = |e| if exact(e) { TableProviderFilterPushDown::Exact } else { TableProviderFilterPushDown::Unsupported };
        Ok(filters.iter().map(answer).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut filter = RowFilter::all();
        for expr in filters {
            if let Some((min, max)) = time_bounds(expr) {
                filter.time_min = filter.time_min.max(min);
                filter.time_max = filter.time_max.min(max);
            } else if let Some(tag) = self.tag_of(expr) {
                let field = Field::new(&tag, tag_type(), true);
                let schema = Arc::new(Schema::new(vec![field]));
                let unqualified = without_relation(expr.clone())?;
                let test = state.create_physical_expr(unqualified, &DFSchema::try_from(schema.clone())?)?;
                filter.series.push(Arc::new(TagFilter::new(tag.into(), schema, test)));
            }
        }
        Ok(Arc::new(ScanExec::new(self.snapshot.clone(), projection.cloned(), filter, limit)?))
    }
}

#[cfg(test)]
mod tests;
