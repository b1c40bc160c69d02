//! Columns chosen and named, and columns of one value: what most projections of a plan are.
//!
//! DataFusion's projection finds out what is known of its columns' orders and equalities, which takes longer than a small query
//! runs. An [`Operator`]'s rows come in an order that columns cannot say, so above one there is nothing to find out.

use super::operator::{Batches, Operator, OperatorNode};
use crate::memory;
use arrow::{
    array::ArrayRef,
    datatypes::{Schema, SchemaRef},
    record_batch::{RecordBatch, RecordBatchOptions},
};
use datafusion::{
    common::{DFSchema, Result, ScalarValue},
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    logical_expr::{Expr, LogicalPlan, Projection},
};
use futures::{StreamExt, TryStreamExt, stream};
use std::sync::Arc;

/// Where a column comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Number of a column below.
    Column(usize),
    Constant(ScalarValue),
}

/// Bytes of constants in a batch.
const PIECE_BYTES: usize = 4 << 20;
/// No batch has more rows.
const BATCH_ROWS: usize = 16_384;

#[derive(Debug, Clone)]
pub struct Columns(pub Vec<Source>);

impl Columns {
    /// The columns of each batch, under the names of `schema`; in pieces, where constants would make much of them.
    pub fn of(self, batches: SendableRecordBatchStream, schema: SchemaRef) -> Batches {
        let constant_bytes = self.0.iter().map(|source| if let Source::Constant(value) = source { value.size() } else { 0 }).sum::<usize>();
        let piece_rows = (PIECE_BYTES / constant_bytes.max(1)).max(1);
        if piece_rows >= BATCH_ROWS {
            return batches.map(move |batch| self.piece(&batch?, &schema)).boxed();
        }
        let pieces = move |batch: RecordBatch| {
            let (columns, schema, row_count) = (self.clone(), schema.clone(), batch.num_rows());
            let piece = move |from| {
                let rows = piece_rows.min(row_count - from);
                memory::allow(constant_bytes * rows, "a column of one value")?;
                columns.piece(&batch.slice(from, rows), &schema)
            };
            stream::iter((0..row_count).step_by(piece_rows).map(piece))
        };
        batches.map_ok(pieces).try_flatten().boxed()
    }

    fn piece(&self, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
        let column = |source: &Source| -> Result<ArrayRef> {
            match source {
                Source::Column(at) => Ok(batch.column(*at).clone()),
                Source::Constant(value) => value.to_array_of_size(batch.num_rows()),
            }
        };
        let columns = self.0.iter().map(column).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
    }

    /// Each column as EXPLAIN shows it.
    pub fn describe(&self, from: &Schema, to: &Schema) -> String {
        let columns = self.0.iter().zip(to.fields()).map(|(source, field)| match source {
            Source::Column(at) if from.field(*at).name() == field.name() => field.name().clone(),
            Source::Column(at) => format!("{} as {}", from.field(*at).name(), field.name()),
            Source::Constant(value) => format!("{value} as {}", field.name()),
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    fn source(e: &Expr, below: &DFSchema) -> Option<Source> {
        match e {
            Expr::Alias(alias) => Columns::source(&alias.expr, below),
            Expr::Column(column) => below.maybe_index_of_column(column).map(Source::Column),
            Expr::Literal(value, _) => Some(Source::Constant(value.clone())),
            _ => None,
        }
    }

    /// The columns of a projection that computes nothing.
    pub fn chosen_by(projection: &Projection) -> Option<Columns> {
        let below = projection.input.schema();
        Some(Columns(projection.expr.iter().map(|e| Columns::source(e, below)).collect::<Option<_>>()?))
    }

    /// A projection over one of our nodes that computes nothing, as one of them itself.
    pub fn instead_of(projection: &Projection) -> Option<LogicalPlan> {
        OperatorNode::of(&projection.input)?;
        let (from, to) = (projection.input.schema().inner().clone(), projection.schema.inner().clone());
        let operator = Arc::new(Chosen { columns: Columns::chosen_by(projection)?, from, to });
        Some(OperatorNode::shaped(operator, vec![projection.input.as_ref().clone()], projection.schema.clone()))
    }
}

/// The operator.
#[derive(Debug)]
pub struct Chosen {
    pub columns: Columns,
    pub from: SchemaRef,
    pub to: SchemaRef,
}

impl Operator for Chosen {
    fn name(&self) -> &'static str {
        "Columns"
    }

    fn describe(&self) -> String {
        self.columns.describe(&self.from, &self.to)
    }

    fn run(&self, mut inputs: Vec<SendableRecordBatchStream>, schema: SchemaRef, _memory: MemoryReservation) -> Result<Batches> {
        Ok(self.columns.clone().of(inputs.remove(0), schema))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{
        Context,
        memory::MemoryContext,
        merge,
        node::{ordered::ordered, values::values},
        stream::col,
    };
    use arrow::{
        array::Int64Array,
        datatypes::{DataType, Field},
    };
    use datafusion::logical_expr::lit;

    fn rows() -> LogicalPlan {
        let schema = Arc::new(Schema::new(["a", "b"].map(|name| Field::new(name, DataType::Int64, true)).to_vec()));
        let columns = (1..3).map(|i| Arc::new(Int64Array::from(vec![i, i * 10])) as ArrayRef).collect();
        values(schema.clone(), vec![RecordBatch::try_new(schema, columns).expect("rows")]).expect("a plan")
    }

    fn instead(input: LogicalPlan, columns: Vec<Expr>) -> Option<LogicalPlan> {
        Columns::instead_of(&Projection::try_new(columns, Arc::new(input)).expect("a projection"))
    }

    #[test]
    fn columns_are_chosen_named_and_filled() {
        let input = ordered(rows(), vec!["a".into()]).expect("a plan");
        let plan = instead(input.clone(), vec![col("b"), col("a").alias("x"), lit(7_i64).alias("seven")]).expect("it computes nothing");
        assert!(plan.display().to_string().contains("b, a as x, 7 as seven"), "{}", plan.display());
        let found = MemoryContext::new(0).collect(plan).expect("rows");
        let shown = arrow::util::pretty::pretty_format_batches(&found).expect("a table").to_string();
        assert!(shown.contains("| b  | x  | seven |") && shown.contains("| 20 | 10 | 7     |"), "{shown}");
        let long = lit("x".repeat(PIECE_BYTES - 10_000));
        let pieces =
            MemoryContext::new(0).collect(instead(input.clone(), vec![col("a"), long.alias("t")]).expect("a constant")).expect("rows");
        assert_eq!(pieces.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [1, 1], "long ones by themselves");
        let nothing = MemoryContext::new(0).collect(instead(input.clone(), vec![]).expect("nothing to compute")).expect("rows");
        assert_eq!(nothing.iter().map(RecordBatch::num_rows).sum::<usize>(), 2, "rows without columns are counted");
        assert!(instead(input, vec![(col("a") + col("b")).alias("sum")]).is_none(), "a sum is computed");
        let filtered = merge::filter(&rows(), col("a").gt(lit(1_i64))).expect("a plan");
        assert!(instead(filtered, vec![col("a")]).is_none(), "what is known of the order of other nodes' rows is kept");
    }
}
