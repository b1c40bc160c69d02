//! `filter`: rows where a predicate is true.

use crate::{
    flux::{
        ast::Span,
        diagnostic::{FluxError, FluxResult},
        eval::{Interpreter, Value},
        lower::{
            Lowered, Typed,
            cells::{literal, record_at},
            lower_filter,
        },
        stdlib::{Call, Function, tables::stream},
    },
    plan::{
        Frame,
        node::per_table::EMPTY,
        node::values::values,
        stream::{col, null},
    },
};
use arrow::{array::BooleanArray, compute::filter_record_batch};
use datafusion::{
    common::{DFSchemaRef, ScalarValue},
    logical_expr::{BinaryExpr, Expr, Operator, lit, simplify::SimplifyContext, when},
    optimizer::simplify_expressions::ExprSimplifier,
};
use std::{collections::HashSet, sync::Arc};

pub static FUNCTION: Function = Function {
    name: "filter",
    signature: "(<-tables: stream[A], fn: (r: A) => bool, ?onEmpty: string) => stream[A]",
    summary: "Keeps rows for which `fn` is true. Tables left without rows are dropped, or kept with `onEmpty: \"keep\"`.",
    examples: &[],
    call: filter,
};

fn filter(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables = call.unbounded_tables()?;
    let function = call.required::<Value>("fn")?;
    let keep_empty = match call.or::<Arc<str>>("onEmpty", "drop".into())?.as_ref() {
        "keep" => true,
        "drop" => false,
        _ => return Err(FluxError::invalid("onEmpty must be keep or drop").at(call.span)),
    };
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
        Lowered::Columns((predicate, _)) if !keep_empty && is_false(&predicate) => Ok(None),
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

/// The predicate on each field of a wide frame: fields it excludes are not read, a condition that is the same for all
/// fields filters rows, another one hides values field by field. `None`: it has no expression.
fn filter_wide(interpreter: &Interpreter<'_>, frame: &Frame, function: &Value, span: Span) -> FluxResult<Option<Option<Frame>>> {
    let schema: DFSchemaRef = frame.plan.schema().clone();
    let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(schema).build());
    let mut conditions: Vec<(String, Expr, HashSet<String>)> = vec![];
    for field in &frame.fields {
        let columns = |name: &str| match name {
            "_field" => Some(Typed::column(literal(&Value::string(field.as_str()))?, arrow::datatypes::DataType::Utf8)),
            "_value" => frame.data_type(field).map(|t| Typed::column(col(field), t)),
            name if frame.fields.iter().any(|f| f == name) || name == EMPTY => None,
            // A measurement's frame holds one measurement: its name is a constant column of the plan.
            name => frame.data_type(name).map(|t| Typed::column(frame.constant(name).unwrap_or_else(|| col(name)), t)),
        };
        let Lowered::Columns((predicate, used)) = lower_filter(interpreter, function, &columns, span)? else { return Ok(None) };
        let predicate = match settled(&predicate) {
            Some(answer) => lit(answer),
            None => simplifier.simplify(simplifier.coerce(predicate, frame.plan.schema())?)?,
        };
        let of_all = !used.contains("_field") && !used.contains("_value");
        if !is_false(&predicate) {
            conditions.push((field.clone(), predicate, used));
        }
        if of_all {
            // What does not look at the field is the same for all of them.
            if let Some((_, predicate, used)) = conditions.last().cloned() {
                conditions.extend(frame.fields.iter().skip(1).map(|f| (f.clone(), predicate.clone(), used.clone())));
            }
            break;
        }
    }
    if conditions.is_empty() {
        return Ok(Some(None));
    }
    let fields: Vec<String> = conditions.iter().map(|(f, _, _)| f.clone()).collect();
    let mut columns: Vec<(String, Expr)> = frame
        .columns()
        .into_iter()
        .filter(|c| !frame.fields.contains(c) || fields.contains(c))
        .map(|c| {
            let e = col(&c);
            (c, e)
        })
        .collect();
    let uniform =
        conditions.windows(2).all(|w| w[0].1 == w[1].1) && (fields.len() == 1 || conditions.iter().all(|(_, _, u)| !u.contains("_value")));
    let key = frame.key.clone();
    if uniform {
        let narrowed = Frame { fields, ..frame.project(columns, key)? };
        let predicate = conditions.swap_remove(0).1;
        let all = predicate == lit(true);
        return Ok(Some(Some(if all { narrowed } else { narrowed.filter(predicate)? })));
    }
    for (field, predicate, _) in conditions {
        let data_type = frame.data_type(&field).unwrap_or(arrow::datatypes::DataType::Null);
        let shown = when(predicate, col(&field)).otherwise(null(&data_type))?;
        if let Some(slot) = columns.iter_mut().find(|(c, _)| *c == field) {
            slot.1 = shown;
        }
    }
    let hidden = Frame { fields: fields.clone(), ..frame.project(columns, key)? };
    let any = fields.iter().map(|f| col(f).is_not_null()).reduce(Expr::or).unwrap_or_else(|| lit(true));
    Ok(Some(Some(hidden.filter(any)?)))
}

/// What a predicate on texts comes to where they are all known: the common case of a condition on the field's name, for
/// which the simplifier would be asked once per field.
fn settled(e: &Expr) -> Option<bool> {
    let text = |e: &Expr| match e {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_string),
        _ => None,
    };
    match e {
        Expr::Literal(ScalarValue::Boolean(answer), _) => *answer,
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::Eq => Some(text(left)? == text(right)?),
            Operator::NotEq => Some(text(left)? != text(right)?),
            Operator::And => match (settled(left), settled(right)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (a, b) => Some(a? && b?),
            },
            Operator::Or => match (settled(left), settled(right)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (a, b) => Some(a? || b?),
            },
            _ => None,
        },
        _ => None,
    }
}

fn is_false(e: &Expr) -> bool {
    matches!(e, Expr::Literal(ScalarValue::Boolean(Some(false) | None) | ScalarValue::Null, _))
}
