//! The stored rows of a measurement as a plan.

use super::MeasurementTable;
use crate::model::Result;
use datafusion::{
    common::TableReference,
    datasource::provider_as_source,
    logical_expr::{Expr, Filter, LogicalPlan, LogicalPlanBuilder},
};
use std::{collections::HashSet, sync::Arc};

impl MeasurementTable {
    /// The rows where the condition holds, with the columns that are named here or in the condition, in the order of the layout; all
    /// rows, in their stored order, without one. Every column that a plan carries costs planning, whether it is read or not.
    pub fn scan<'a>(&self, columns: impl IntoIterator<Item = &'a str>, condition: Option<Expr>) -> Result<LogicalPlan> {
        let mut wanted: HashSet<&str> = columns.into_iter().collect();
        if let Some(condition) = &condition {
            wanted.extend(condition.column_refs().into_iter().map(|column| column.name.as_str()));
        }
        let schema = self.rows.schema();
        let chosen = schema.fields().iter().enumerate().filter(|(_, field)| wanted.contains(field.name().as_str())).map(|(at, _)| at);
        let source = provider_as_source(self.rows.clone());
        let rows = LogicalPlanBuilder::scan(TableReference::bare("rows"), source, Some(chosen.collect()))?.build()?;
        Ok(match condition {
            Some(condition) => LogicalPlan::Filter(Filter::try_new(condition, Arc::new(rows))?),
            None => rows,
        })
    }
}
