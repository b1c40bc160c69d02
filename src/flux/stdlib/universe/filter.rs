//! `filter`: rows where a predicate is true.

use crate::{
    flux::{
        ast::Span,
        diagnostic::{FluxError, FluxResult},
        eval::{Interpreter, Value},
        lower::{Lowered, Typed, cells::record_at, known, lower_filter},
        stdlib::{Call, Function, tables::stream},
    },
    plan::{
        Frame, Selection,
        node::per_table::EMPTY,
        node::values::values,
        stream::{col, null},
    },
};
use arrow::{array::BooleanArray, compute::filter_record_batch, datatypes::DataType};
use datafusion::{
    common::{DFSchemaRef, Result as PlanResult},
    logical_expr::{Expr, lit, when},
};
use std::{cell::Cell, sync::Arc};

pub static FUNCTION: Function = Function {
    name: "filter",
    signature: "(<-tables: stream[A], fn: (r: A) => bool, ?onEmpty: string) => stream[A]",
    summary: "Keeps rows for which `fn` is true. Tables left without rows are dropped, or kept with `onEmpty: \"keep\"`.",
    examples: &[],
    call: filter,
};

fn filter(call: &mut Call<'_>) -> FluxResult<Value> {
    let function = call.required::<Value>("fn")?;
    let keep_empty = match call.or::<Arc<str>>("onEmpty", "drop".into())?.as_ref() {
        "keep" => true,
        "drop" => false,
        _ => return Err(FluxError::invalid("onEmpty must be keep or drop").at(call.span)),
    };
    if let Some(rows) = call.selection().filter(|_| !keep_empty)
        && let Some(rows) = filter_selection(call.interpreter, &rows, &function, call.span)?
    {
        return Ok(Value::Selection(Arc::new(rows)));
    }
    let tables = call.unbounded_tables()?;
    let mut frames = vec![];
    for frame in &tables.frames {
        if frame.is_wide() && !keep_empty {
            match filter_wide(call.interpreter, frame, &function, call.span)? {
                Some(frame) => frames.extend(frame),
                None => {
                    for long in frame.to_long()? {
                        frames.extend(filter_long(call.interpreter, &long, &function, false, call.span)?);
                    }
                }
            }
            continue;
        }
        for long in frame.to_long()? {
            frames.extend(filter_long(call.interpreter, &long, &function, keep_empty, call.span)?);
        }
    }
    Ok(stream(frames, &tables))
}

/// `None`: the predicate holds for no row of the frame, so it has no table left, and no columns to give to others.
fn filter_long(interpreter: &Interpreter<'_>, frame: &Frame, function: &Value, keep_empty: bool, span: Span) -> FluxResult<Option<Frame>> {
    let columns = |name: &str| frame.data_type(name).filter(|_| name != EMPTY).map(|t| Typed::column(col(name), t));
    match lower_filter(interpreter, function, &columns, span)? {
        Lowered::Columns((predicate, _)) if !keep_empty && known::is_false(&predicate) => Ok(None),
        Lowered::Columns((predicate, _)) if !keep_empty => Ok(Some(frame.filter(predicate)?)),
        Lowered::Columns((predicate, _)) => Ok(Some(keep(frame, predicate)?)),
        Lowered::Interpret => {
            let frame = frame.without_empty_tables()?;
            let batches = interpreter.context.collect(frame.plan.clone())?;
            let mut kept = vec![];
            for batch in batches {
                let mut mask = Vec::with_capacity(batch.num_rows());
                for row in 0..batch.num_rows() {
                    let record = Value::Record(Arc::new(record_at(&batch, row)));
                    mask.push(match interpreter.call(function, vec![("r".into(), record)], None, span)? {
                        Value::Bool(b) => b,
                        null if null.is_null() => false,
                        other => return Err(FluxError::run(format!("filter: expected bool but found {}", other.type_name())).at(span)),
                    });
                }
                kept.push(filter_record_batch(&batch, &BooleanArray::from(mask))?);
            }
            Ok(Some(Frame { plan: values(Arc::new(frame.schema()), kept)?, ..frame }))
        }
    }
}

/// Rows where the predicate is true; tables left without rows stay as empty tables.
fn keep(frame: &Frame, predicate: Expr) -> FluxResult<Frame> {
    const KEPT: &str = "\u{0}kept";
    let schema = frame.schema();
    let marked = frame.with_columns(vec![(KEPT.to_string(), predicate)])?;
    Ok(marked.whole_tables("filter", schema.clone(), frame.key.clone(), true, move |_, rows| {
        let at = rows.schema().index_of(KEPT)?;
        let mask = arrow::array::AsArray::as_boolean(rows.column(at)).clone();
        let kept = filter_record_batch(rows, &mask)?;
        let columns: Vec<usize> = (0..kept.num_columns()).filter(|i| *i != at).collect();
        Ok(kept.project(&columns)?)
    })?)
}

/// The predicate on rows that are not planned yet. `None`: it has no expression, or is not the same for all fields.
fn filter_selection(interpreter: &Interpreter<'_>, rows: &Selection, function: &Value, span: Span) -> FluxResult<Option<Selection>> {
    let mut measurements = vec![];
    for of_one in rows.measurements() {
        let column = |field: &str, name: &str| match name {
            "_value" => of_one.field_type(field).map(|t| (col(field), t)),
            name if of_one.fields.iter().any(|f| f == name) => None,
            name => rows.column(of_one, name),
        };
        let Some(conditions) = ByField::new(interpreter, function, span, &of_one.fields, &column, &|| of_one.schema())? else {
            return Ok(None);
        };
        if !conditions.all_the_same() {
            return Ok(None);
        }
        if let Some(predicate) = conditions.predicates.first() {
            measurements.push(of_one.narrowed(conditions.fields, predicate.clone()));
        }
    }
    Ok(Some(rows.with(measurements)))
}

/// The predicate on each field of a wide frame: fields it excludes are not read, a condition that is the same for all
/// fields filters rows, another one hides values field by field. `None`: it has no expression.
fn filter_wide(interpreter: &Interpreter<'_>, frame: &Frame, function: &Value, span: Span) -> FluxResult<Option<Option<Frame>>> {
    let column = |field: &str, name: &str| match name {
        "_value" => frame.data_type(field).map(|t| (col(field), t)),
        name if frame.fields.iter().any(|f| f == name) || name == EMPTY => None,
        // A measurement's frame holds one measurement: its name is a constant column of the plan.
        name => frame.data_type(name).map(|t| (frame.constant(name).unwrap_or_else(|| col(name)), t)),
    };
    let schema = || Ok(frame.plan.schema().clone());
    let Some(conditions) = ByField::new(interpreter, function, span, &frame.fields, &column, &schema)? else { return Ok(None) };
    if conditions.fields.is_empty() {
        return Ok(Some(None));
    }
    let same = conditions.all_the_same();
    let ByField { fields, mut predicates, .. } = conditions;
    let mut columns: Vec<(String, Expr)> = frame
        .columns()
        .into_iter()
        .filter(|c| !frame.fields.contains(c) || fields.contains(c))
        .map(|c| {
            let e = col(&c);
            (c, e)
        })
        .collect();
    let key = frame.key.clone();
    if same {
        let narrowed = Frame { fields, ..frame.project(columns, key)? };
        let predicate = predicates.swap_remove(0);
        let all = predicate == lit(true);
        return Ok(Some(Some(if all { narrowed } else { narrowed.filter(predicate)? })));
    }
    for (field, predicate) in fields.iter().zip(predicates) {
        let data_type = frame.data_type(field).unwrap_or(DataType::Null);
        let shown = when(predicate, col(field)).otherwise(null(&data_type))?;
        if let Some(slot) = columns.iter_mut().find(|(c, _)| c == field) {
            slot.1 = shown;
        }
    }
    let hidden = Frame { fields: fields.clone(), ..frame.project(columns, key)? };
    let any = fields.iter().map(|f| col(f).is_not_null()).reduce(Expr::or).unwrap_or_else(|| lit(true));
    Ok(Some(Some(hidden.filter(any)?)))
}

/// What a column is, and its type.
type Column = (Expr, DataType);

/// What a predicate comes to for each field; those for which it never holds are left out.
struct ByField {
    fields: Vec<String>,
    /// One for each of the fields.
    predicates: Vec<Expr>,
    of_values: bool,
}

impl ByField {
    /// `column`: a column of the tables of a field, other than its name. `None`: the predicate has no expression.
    fn new(
        interpreter: &Interpreter<'_>,
        function: &Value,
        span: Span,
        fields: &[String],
        column: &dyn Fn(&str, &str) -> Option<Column>,
        schema: &dyn Fn() -> PlanResult<DFSchemaRef>,
    ) -> FluxResult<Option<ByField>> {
        // The name of the field is a column like any other first: what follows from it is told for each field then. Values
        // differ in type.
        let values = Cell::new(false);
        let any = |name: &str| match name {
            "_field" => Some(Typed::column(col("_field"), DataType::Utf8)),
            "_value" => {
                values.set(true);
                None
            }
            name => fields.first().and_then(|field| column(field, name)).map(|(e, t)| Typed::column(e, t)),
        };
        let of_any = match lower_filter(interpreter, function, &any, span) {
            Ok(Lowered::Columns((condition, used))) if !values.get() => Some((condition, used.contains("_field"))),
            _ => None,
        };
        let mut found = ByField { fields: vec![], predicates: vec![], of_values: values.get() };
        let mut last: Option<(Expr, Expr)> = None;
        for field in fields {
            let name = lit(field.as_str());
            let known = match &of_any {
                Some((condition, true)) => known::with(condition.clone(), "_field", &name)?,
                Some((condition, false)) => condition.clone(),
                None => {
                    let columns = |other: &str| match other {
                        "_field" => Some(Typed::column(name.clone(), DataType::Utf8)),
                        other => column(field, other).map(|(e, t)| Typed::column(e, t)),
                    };
                    let Lowered::Columns((condition, _)) = lower_filter(interpreter, function, &columns, span)? else { return Ok(None) };
                    condition
                }
            };
            // Mostly the same is left for all fields.
            let predicate = match last.take() {
                Some((before, predicate)) if before == known => predicate,
                _ => known::computed(known.clone(), schema)?,
            };
            if !known::is_false(&predicate) {
                found.fields.push(field.clone());
                found.predicates.push(predicate.clone());
            }
            last = Some((known, predicate));
        }
        Ok(Some(found))
    }

    /// Whether one condition on rows does for all fields. One on values hides some fields of a row and shows others.
    fn all_the_same(&self) -> bool {
        self.predicates.windows(2).all(|w| w[0] == w[1]) && (self.fields.len() <= 1 || !self.of_values)
    }
}
