//! A condition on the columns of a measurement, ready to be asked of rows.

use crate::model::{Failure, MeasurementSchema, Result};
use arrow::{
    array::{AsArray, BooleanArray, new_null_array},
    datatypes::{Field, Schema, SchemaRef},
    record_batch::{RecordBatch, RecordBatchOptions},
};
use datafusion::{
    common::{
        Column, DFSchema,
        tree_node::{Transformed, TreeNode},
    },
    execution::context::SessionState,
    logical_expr::{Expr, simplify::SimplifyContext},
    optimizer::simplify_expressions::ExprSimplifier,
    physical_expr::PhysicalExpr,
};
use std::{collections::BTreeSet, sync::Arc};

#[derive(Debug)]
pub struct RowCondition {
    columns: Vec<Arc<str>>,
    schema: SchemaRef,
    test: Arc<dyn PhysicalExpr>,
}

impl RowCondition {
    /// Fails when the expression names a column that the measurement has not, or is not the same whenever it is asked.
    pub fn new(expr: Expr, measurement: &MeasurementSchema, state: &SessionState) -> Result<RowCondition> {
        let expr = without_relation(expr)?;
        if expr.is_volatile() {
            return Err(Failure::invalid(format!("`{expr}` is not the same whenever it is asked: no condition for a delete")));
        }
        let names: BTreeSet<&str> = expr.column_refs().into_iter().map(|c| c.name.as_str()).collect();
        let layout = measurement.arrow_schema();
        let fields = names.iter().map(|name| Ok(layout.field_with_name(name)?.clone())).collect::<Result<Vec<_>>>()?;
        let columns = names.into_iter().map(Into::into).collect();
        let schema = Arc::new(Schema::new(fields));
        let known = Arc::new(DFSchema::try_from(schema.clone())?);
        let expr = simplified(expr, &known, state)?;
        let test = state.create_physical_expr(expr, &known)?;
        Ok(RowCondition { columns, schema, test })
    }

    /// The columns that it is about.
    pub fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    /// Of each row; a column that the rows have not is null. Null: it does not hold.
    pub fn holds(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        // It may be about no column at all.
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let missing = |field: &Field| new_null_array(field.data_type(), rows.num_rows());
        let fields = self.schema.fields().iter();
        let columns = fields.map(|field| rows.column_by_name(field.name()).cloned().unwrap_or_else(|| missing(field))).collect();
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        let answers = self.test.evaluate(&rows)?.into_array(rows.num_rows())?;
        let answers = answers.as_boolean_opt().ok_or_else(|| Failure::invalid("what stands behind WHERE is no condition"))?;
        Ok(answers.clone())
    }
}

/// Whether an expression asks another query.
pub fn is_subquery(e: &Expr) -> bool {
    matches!(e, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_))
}

/// The expression as it may be run: with its types brought together, and simplified. Some functions exist only until that is done.
pub fn simplified(expr: Expr, schema: &Arc<DFSchema>, state: &SessionState) -> Result<Expr, datafusion::common::DataFusionError> {
    let context = SimplifyContext::builder()
        .with_schema(schema.clone())
        .with_config_options(state.config_options().clone())
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    simplifier.simplify(simplifier.coerce(expr, schema)?)
}

/// The same, of columns that name no table.
pub fn without_relation(expr: Expr) -> Result<Expr, datafusion::common::DataFusionError> {
    let strip = |e| match e {
        Expr::Column(c) if c.relation.is_some() => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(c.name)))),
        other => Ok(Transformed::no(other)),
    };
    Ok(expr.transform(strip)?.data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FieldType;
    use arrow::{array::Float64Array, datatypes::DataType};
    use datafusion::prelude::{SessionContext, col, lit};

    #[test]
    fn a_column_that_rows_have_not_is_null() {
        let mut measurement = MeasurementSchema::new("m");
        measurement.add_tag("host");
        measurement.fields.extend(["v", "w"].map(|name| (name.into(), FieldType::Float)));
        let schema = Arc::new(Schema::new(vec![Field::new("w", DataType::Float64, true)]));
        let rows = RecordBatch::try_new(schema, vec![Arc::new(Float64Array::from(vec![1.0, 3.0]))]).expect("rows");
        let holds = |expr| {
            let condition = RowCondition::new(expr, &measurement, &SessionContext::new().state()).expect("a condition");
            condition.holds(&rows).expect("an answer").iter().collect::<Vec<_>>()
        };
        assert_eq!(holds(col("v").is_null().and(col("w").gt(lit(2.0)))), [Some(false), Some(true)]);
        assert_eq!(holds(col("v").gt(lit(2.0))), [None, None]);
        assert_eq!(holds(col("host").eq(lit("a"))), [None, None]);
    }
}
