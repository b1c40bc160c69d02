//! The columns of a select list: wildcards and patterns spelled out, and a header for each.

use super::{not_supported, pattern, source::Columns};
use crate::functions::scalar::math::Math;
use crate::influxql::ast::{Cast, Expr, Select};
use crate::model::{Failure, FieldType, Result};
use std::{collections::HashMap, sync::Arc};

/// One column of the answer, before its type is known.
#[derive(Debug, Clone)]
pub struct Column {
    pub header: String,
    pub expr: Expr,
}

/// The columns in the order of the select list. `group` is left out of wildcards.
pub fn columns(select: &Select, known: &Columns, group: &[String]) -> Result<Vec<Column>> {
    let mut listed: Vec<(Option<String>, String, Expr)> = vec![];
    for field in &select.fields {
        match field.expr.inner() {
            Expr::Wildcard(kind) => {
                listed.extend(names(known, group, *kind).into_iter().map(|n| (None, n.clone(), Expr::variable(n))));
            }
            Expr::Regex(text) => {
                let pattern = pattern(text)?;
                let names = names(known, group, None).into_iter().filter(|n| pattern.is_match(n));
                listed.extend(names.map(|n| (None, n.clone(), Expr::variable(n))));
            }
            call @ Expr::Call { .. } if has_wildcard(call) => {
                let name = field.alias.clone().unwrap_or_else(|| name(call));
                for (field, expr) in spelled_out(call, known)? {
                    listed.push((None, format!("{name}_{field}"), expr));
                }
            }
            other if has_wildcard(other) => {
                return Err(Failure::invalid(format!("unsupported expression with wildcard: {other}")));
            }
            expr => {
                listed.push((field.alias.clone(), name(expr), expr.clone()));
                if let Expr::Call { name: function, args } = expr
                    && (function == "top" || function == "bottom")
                {
                    let tags = args.iter().skip(1).filter(|a| matches!(a.inner(), Expr::Variable { .. }));
                    listed.extend(tags.map(|t| (None, name(t), t.inner().clone())));
                }
            }
        }
    }
    // Aliases come first; a name that is taken gets `_1`, `_2`, ... (InfluxDB 1.8 `ColumnNames`).
    let mut taken: HashMap<String, usize> = listed.iter().filter_map(|(alias, ..)| Some((alias.clone()?, 1))).collect();
    let mut header = |alias: Option<String>, name: String| {
        if let Some(alias) = alias {
            return alias;
        }
        let mut count = taken.get(&name).copied().unwrap_or(0);
        let mut header = name.clone();
        while count > 0 && taken.contains_key(&header) {
            header = format!("{name}_{count}");
            count += 1;
        }
        taken.insert(name, count.max(1));
        taken.entry(header.clone()).or_insert(1);
        header
    };
    Ok(listed.into_iter().map(|(alias, name, expr)| Column { header: header(alias, name), expr }).collect())
}

/// Tags and fields together, in name order.
fn names(known: &Columns, group: &[String], kind: Option<Cast>) -> Vec<String> {
    let tags = known
        .tags
        .iter()
        .filter(|t| kind != Some(Cast::Field) && !group.iter().any(|g| g.as_str() == t.as_ref()) && !known.fields.contains_key(*t));
    let mut names: Vec<String> = known.fields.keys().filter(|_| kind != Some(Cast::Tag)).chain(tags).map(|name| name.to_string()).collect();
    names.sort();
    names
}

fn has_wildcard(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |e| found |= matches!(e, Expr::Wildcard(_) | Expr::Regex(_)));
    found
}

/// A call with each field in place of its wildcard, beside the field's name.
fn spelled_out(call: &Expr, known: &Columns) -> Result<Vec<(String, Expr)>> {
    let Expr::Call { name, args } = call else { return Err(not_supported(call)) };
    if let Some(inner) = args.iter().position(|a| matches!(a.inner(), Expr::Call { .. }) && has_wildcard(a)) {
        let inner_calls = spelled_out(args[inner].inner(), known)?;
        let around = |(field, call): (String, Expr)| {
            let mut args = args.clone();
            args[inner] = call;
            (field, Expr::call(name.clone(), args))
        };
        return Ok(inner_calls.into_iter().map(around).collect());
    }
    let Some(at) = args.iter().position(|a| matches!(a.inner(), Expr::Wildcard(_) | Expr::Regex(_))) else {
        return Err(not_supported(call));
    };
    let pattern = match args[at].inner() {
        Expr::Wildcard(Some(Cast::Tag)) => return Err(Failure::invalid(format!("unable to use tag wildcard in {name}()"))),
        Expr::Regex(text) => Some(pattern(text)?),
        _ => None,
    };
    let takes = |field: FieldType| match (name.as_str(), field) {
        ("count" | "first" | "last" | "distinct" | "elapsed" | "mode" | "sample", _) => true,
        ("min" | "max", FieldType::Boolean) => true,
        ("holt_winters" | "holt_winters_with_fit", FieldType::Unsigned) => false,
        (_, field) => matches!(field, FieldType::Float | FieldType::Integer | FieldType::Unsigned),
    };
    let fields = known.fields.iter().filter(|(n, t)| takes(**t) && pattern.as_ref().is_none_or(|p| p.is_match(n)));
    let put = |(field, _): (&Arc<str>, &FieldType)| {
        let mut args = args.clone();
        args[at] = Expr::variable(field.to_string());
        (field.to_string(), Expr::call(name.clone(), args))
    };
    Ok(fields.map(put).collect())
}

/// The header of an expression: its own name, or the names of what it is made of.
pub fn name(expr: &Expr) -> String {
    match expr.inner() {
        Expr::Variable { name, .. } => name.clone(),
        Expr::Call { name, .. } => name.clone(),
        Expr::Distinct(_) => "distinct".into(),
        Expr::Binary { .. } => {
            let mut names = vec![];
            parts(expr, &mut names);
            names.join("_")
        }
        _ => String::new(),
    }
}

fn parts(expr: &Expr, names: &mut Vec<String>) {
    match expr.inner() {
        Expr::Binary { left, right, .. } => {
            parts(left, names);
            parts(right, names);
        }
        Expr::Variable { .. } | Expr::Call { .. } | Expr::Distinct(_) => names.push(name(expr)),
        _ => {}
    }
}

/// Calls outermost of an expression (mathematical functions are looked through), and variables outside of calls.
pub fn parts_of<'a>(expr: &'a Expr, calls: &mut Vec<&'a Expr>, variables: &mut Vec<&'a Expr>) {
    match expr.inner() {
        variable @ Expr::Variable { .. } => variables.push(variable),
        Expr::Call { name, args } if Math::by_name(name).is_some() => args.iter().for_each(|a| parts_of(a, calls, variables)),
        call @ (Expr::Call { .. } | Expr::Distinct(_)) => calls.push(call),
        Expr::Binary { left, right, .. } => {
            parts_of(left, calls, variables);
            parts_of(right, calls, variables);
        }
        _ => {}
    }
}
