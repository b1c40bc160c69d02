//! A measurement's snapshot as a DataFusion table.
//!
//! Filters on time and on one tag each are exact: time becomes bounds, tag conditions are evaluated once per series.
//! Everything else is left to DataFusion.

use super::scan::{ScanExec, TagFilter};
use crate::model::{TIME_COLUMN, schema::tag_type};
use crate::storage::{block::RowFilter, read::MeasurementSnapshot};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{DFSchema, ScalarValue},
    datasource::TableType,
    error::Result,
    logical_expr::{Expr, Operator, TableProviderFilterPushDown},
    physical_plan::ExecutionPlan,
};
use std::sync::Arc;

#[derive(Debug)]
pub struct SnapshotTable {
    snapshot: Arc<MeasurementSnapshot>,
    schema: SchemaRef,
}

impl SnapshotTable {
    pub fn new(snapshot: MeasurementSnapshot) -> SnapshotTable {
        SnapshotTable { schema: snapshot.schema.arrow_schema(), snapshot: Arc::new(snapshot) }
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
        self.schema.clone()
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
                let unqualified = strip_relation(expr.clone())?;
                let test = state.create_physical_expr(unqualified, &DFSchema::try_from(schema.clone())?)?;
                filter.series.push(Arc::new(TagFilter::new(tag.into(), schema, test)));
            }
        }
        Ok(Arc::new(ScanExec::new(self.snapshot.clone(), projection.cloned(), filter, limit)?))
    }
}

fn strip_relation(expr: Expr) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let strip = |e| match e {
        Expr::Column(c) if c.relation.is_some() => Ok(Transformed::yes(Expr::Column(datafusion::common::Column::new_unqualified(c.name)))),
        other => Ok(Transformed::no(other)),
    };
    Ok(expr.transform(strip)?.data)
}

/// Inclusive bounds of `time <op> literal`, either way round, and of BETWEEN. Bounds that no instant meets come out crossed.
fn time_bounds(expr: &Expr) -> Option<(i64, i64)> {
    let is_time = |e: &Expr| matches!(e, Expr::Column(c) if c.name == TIME_COLUMN);
    let instant = |e: &Expr| match e {
        Expr::Literal(ScalarValue::TimestampNanosecond(Some(t), None), _) => Some(*t),
        _ => None,
    };
    match expr {
        Expr::BinaryExpr(b) => {
            let (op, t) = match (is_time(&b.left), is_time(&b.right)) {
                (true, false) => (b.op, instant(&b.right)?),
                (false, true) => (b.op.swap()?, instant(&b.left)?),
                _ => return None,
            };
            let nothing = (i64::MAX, i64::MIN);
            Some(match op {
                Operator::Eq => (t, t),
                Operator::Lt => t.checked_sub(1).map_or(nothing, |t| (i64::MIN, t)),
                Operator::LtEq => (i64::MIN, t),
                Operator::Gt => t.checked_add(1).map_or(nothing, |t| (t, i64::MAX)),
                Operator::GtEq => (t, i64::MAX),
                _ => return None,
            })
        }
        Expr::Between(b) if !b.negated && is_time(&b.expr) => Some((instant(&b.low)?, instant(&b.high)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
