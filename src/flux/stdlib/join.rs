//! Package `join`: tables of two streams with equal group keys, their rows paired by columns and made into rows by a
//! function. The outer methods pair a row that has no partner with one of nulls.

use super::{
    Call, Function,
    run::{Made, Table, batch_of, check_key, frames, null_of, run, value_text},
};
use crate::{
    flux::{
        ast::{BinaryOp, Expr, ExprKind, FunctionBody, LogicalOp, StatementKind},
        diagnostic::{FluxError, FluxResult},
        eval::{FunctionValue, Record, Value, operator::compare},
    },
    plan::{Context, TableStream},
};
use indexmap::IndexMap;
use std::{cmp::Ordering, sync::Arc};

pub const FUNCTIONS: &[&Function] = &[&TABLES];

static TABLES: Function = Function {
    name: "tables",
    signature: "(<-left: stream[L], right: stream[R], on: (l: L, r: R) => bool, as: (l: L, r: R) => A, method: string) => stream[A]",
    summary: "Joins tables with equal group keys; `on` compares columns of both with `==` and `and`, `as` makes the rows.",
    examples: &[r#"import "array"
import "join"
left = array.from(rows: [{id: 1, a: "x"}, {id: 2, a: "y"}])
right = array.from(rows: [{id: 1, b: "z"}])
join.tables(left: left, right: right, on: (l, r) => l.id == r.id, as: (l, r) => ({l with b: r.b}), method: "left")"#],
    call: tables,
};

/// A pair of tables with one group key; either may be missing.
#[derive(Default)]
struct Pair {
    left: Option<Table>,
    right: Option<Table>,
}

/// Rows of both sides that agree in the columns of `on`.
#[derive(Default)]
struct Matching {
    values: Vec<Value>,
    left: Vec<Record>,
    right: Vec<Record>,
}

fn tables(call: &mut Call<'_>) -> FluxResult<Value> {
    let left = call.stream("left")?;
    let right = call.stream("right")?;
    let on = pairs(&call.required::<Value>("on")?).map_err(|e| e.at(call.span))?;
    let make = call.required::<Value>("as")?;
    let method = call.required::<Arc<str>>("method")?;
    let (keep_left, keep_right) = match method.as_ref() {
        "inner" => (false, false),
        "left" => (true, false),
        "right" => (false, true),
        "full" => (true, true),
        other => {
            return Err(FluxError::invalid(format!("join: unknown method {other}: must be inner, left, right or full")).at(call.span));
        }
    };
    let mut by_key: IndexMap<String, Pair> = IndexMap::new();
    let (lefts, rights) = (run(&left, call.context())?, run(&right, call.context())?);
    let (left_columns, right_columns) = (columns(&lefts), columns(&rights));
    for table in lefts {
        let key = table.key_text();
        by_key.entry(key).or_default().left = Some(table);
    }
    for table in rights {
        let key = table.key_text();
        by_key.entry(key).or_default().right = Some(table);
    }
    let mut out = vec![];
    for pair in by_key.into_values() {
        let Some(table) = pair.left.as_ref().or(pair.right.as_ref()) else { continue };
        let key = table.key_record();
        let absent = |side: &Option<Table>, all: &Record| {
            let own = side.as_ref().map(|t| columns(std::slice::from_ref(t)));
            let mut row = own.unwrap_or_else(|| all.clone());
            row.iter_mut().for_each(|(name, value)| {
                if let Some(known) = key.get(name) {
                    *value = known.clone();
                }
            });
            row
        };
        let (no_left, no_right) = (absent(&pair.left, &left_columns), absent(&pair.right, &right_columns));
        let mut made = Made::default();
        for found in matchings(&pair, &on, call.context())? {
            let lefts = if found.left.is_empty() && keep_right { vec![no_left.clone()] } else { found.left };
            let rights = if found.right.is_empty() && keep_left { vec![no_right.clone()] } else { found.right };
            for l in &lefts {
                for r in &rights {
                    let arguments = [("l", l), ("r", r)].map(|(name, row)| (name.into(), Value::Record(Arc::new(row.clone()))));
                    let Value::Record(row) = call.interpreter.call(&make, arguments.into(), None, call.span)? else {
                        return Err(FluxError::run("join: `as` must return a record").at(call.span));
                    };
                    check_key(&row, &key, table, |name, kind| {
                        format!(
                            "join: join cannot modify group key: output record has a missing or invalid value for column '{name}:{kind}'"
                        )
                    })?;
                    made.push(row.as_ref().clone(), call.context())?;
                }
            }
        }
        out.push((table.key.clone(), batch_of(&made.rows, "join")?));
    }
    Ok(Value::Stream(Arc::new(TableStream::new(frames(out, call.context())?, left.bounds.or(right.bounds)))))
}

/// A row of nulls in all columns of some tables.
fn columns(tables: &[Table]) -> Record {
    let mut row = Record::new();
    for table in tables {
        for field in table.rows.schema().fields() {
            if !row.contains_key(field.name().as_str()) {
                row.insert(field.name().as_str().into(), null_of(table.data_type(field.name())));
            }
        }
    }
    row
}

/// The rows of both tables by the values they are joined on, in the order of those; nulls come last and match nothing.
fn matchings(pair: &Pair, on: &[(Arc<str>, Arc<str>)], context: &dyn Context) -> FluxResult<Vec<Matching>> {
    let mut found: IndexMap<String, Matching> = IndexMap::new();
    let mut lonely = vec![];
    for (table, is_left) in [(&pair.left, true), (&pair.right, false)] {
        let Some(table) = table else { continue };
        let names: Vec<&Arc<str>> = on.iter().map(|(l, r)| if is_left { l } else { r }).collect();
        if let Some(missing) = names.iter().find(|n| table.rows.column_by_name(n).is_none()) {
            let side = if is_left { "left" } else { "right" };
            return Err(FluxError::run(format!(
                "join: cannot set join columns in {side} table stream: table is missing column '{missing}'"
            )));
        }
        for row in table.records(context)? {
            let values: Vec<Value> = names.iter().map(|n| row.get(n.as_ref()).cloned().unwrap_or(Value::Null)).collect();
            let alone = values.iter().any(Value::is_null);
            let place = match alone {
                true => {
                    lonely.push(Matching { values, ..Matching::default() });
                    lonely.last_mut().expect("pushed above")
                }
                false => {
                    let text = values.iter().map(value_text).collect::<Vec<_>>().join("\u{1}");
                    found.entry(text).or_insert_with(|| Matching { values, ..Matching::default() })
                }
            };
            if is_left { place.left.push(row) } else { place.right.push(row) }
        }
    }
    let mut all: Vec<Matching> = found.into_values().chain(lonely).collect();
    all.sort_by(|a, b| a.values.iter().zip(&b.values).map(|(a, b)| order(a, b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal));
    Ok(all)
}

fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (a, b) if a.is_null() || b.is_null() => a.is_null().cmp(&b.is_null()),
        (a, b) => compare(a, b).flatten().unwrap_or(Ordering::Equal),
    }
}

/// The columns that `on` compares, left and right.
fn pairs(on: &Value) -> FluxResult<Vec<(Arc<str>, Arc<str>)>> {
    let wrong = |message: &str| {
        FluxError::invalid(format!("error in join function - some expressions are not yet supported in the `on` parameter: {message}"))
    };
    let whole = "function body should be a single logical expression that compares columns from each table";
    let Value::Function(function) = on else { return Err(wrong(whole)) };
    let FunctionValue::Closure { literal, .. } = function.as_ref() else { return Err(wrong(whole)) };
    let body = match &literal.body {
        FunctionBody::Expr(e) => e,
        FunctionBody::Block(statements) => match statements.as_slice() {
            [only] => match &only.kind {
                StatementKind::Return(e) => e,
                _ => return Err(wrong(whole)),
            },
            _ => return Err(wrong(whole)),
        },
    };
    let mut out = vec![];
    let mut rest = vec![body];
    while let Some(e) = rest.pop() {
        match &e.kind {
            ExprKind::Logical { op: LogicalOp::And, left, right } => {
                rest.push(right);
                rest.push(left);
            }
            ExprKind::Logical { .. } => return Err(wrong("unsupported operator in join predicate: or")),
            ExprKind::Binary { op: BinaryOp::Equal, left, right } => {
                let left = member(left).ok_or_else(|| wrong("left side of comparison is not a member expression"))?;
                let right = member(right).ok_or_else(|| wrong("right side of comparison is not a member expression"))?;
                out.push(match (left.0.as_ref(), right.0.as_ref()) {
                    ("l", "r") => (left.1, right.1),
                    ("r", "l") => (right.1, left.1),
                    _ => {
                        let message = "binary expression operands must reference `l` or `r` only, and may not reference the same object";
                        return Err(wrong(message));
                    }
                });
            }
            ExprKind::Binary { .. } => return Err(wrong("only `==` and `and` can be used in a join predicate")),
            _ => return Err(wrong("illegal expression type in join predicate")),
        }
    }
    Ok(out)
}

/// `object.property` or `object["property"]`.
fn member(e: &Expr) -> Option<(Arc<str>, Arc<str>)> {
    let name = |e: &Expr| if let ExprKind::Ident(name) = &e.kind { Some(name.clone()) } else { None };
    match &e.kind {
        ExprKind::Member { object, property } => Some((name(object)?, property.name.clone())),
        ExprKind::Index { array, index } => match &index.kind {
            ExprKind::String(property) => Some((name(array)?, property.clone())),
            _ => None,
        },
        _ => None,
    }
}
