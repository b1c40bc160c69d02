//! GROUP BY: windows of time and tags.

use super::{
    condition::{Moment, instant},
    pattern,
    source::Columns,
};
use crate::influxql::ast::{Expr, Select};
use crate::kernel::time_window::InfluxqlWindow;
use crate::model::{Failure, Result, Timestamp};
use crate::plan::node::gap_fill::Windows;

/// `time(every, offset)` in a zone.
#[derive(Debug, Clone, Copy)]
pub struct Every {
    pub every_ns: i64,
    pub window: InfluxqlWindow,
}

impl Every {
    /// The start of the window that holds `time`.
    pub fn start(&self, time: Timestamp) -> Timestamp {
        self.window.bounds(time).0
    }

    pub fn windows(&self) -> Windows {
        Windows::Influxql(self.window)
    }
}

/// The windows of a select; `None` without any.
pub fn every(select: &Select, moment: Moment) -> Result<Option<Every>> {
    let mut found = None;
    for dimension in &select.dimensions {
        match dimension.inner() {
            Expr::Call { name, args } if name == "time" => {
                if found.is_some() {
                    return Err(Failure::invalid("multiple time dimensions not allowed"));
                }
                found = Some(window(args, moment)?);
            }
            Expr::Call { .. } => return Err(Failure::invalid("only time() calls allowed in dimensions")),
            dimension if dimension.is_time() => {
                return Err(Failure::invalid("time() is a function and expects at least one argument"));
            }
            Expr::Variable { .. } | Expr::Wildcard(_) | Expr::Regex(_) => {}
            _ => return Err(Failure::invalid("only time and tag dimensions allowed")),
        }
    }
    Ok(found.filter(|(every_ns, _)| *every_ns > 0).map(|(every_ns, offset_ns)| Every {
        every_ns,
        window: InfluxqlWindow::new(every_ns, offset_ns.rem_euclid(every_ns), moment.zone),
    }))
}

fn window(args: &[Expr], moment: Moment) -> Result<(i64, i64)> {
    if args.is_empty() || args.len() > 2 {
        return Err(Failure::invalid("time dimension expected 1 or 2 arguments"));
    }
    let Expr::Duration(every_ns) = args[0].inner() else {
        return Err(Failure::invalid("time dimension must have duration argument"));
    };
    let offset_ns = match args.get(1) {
        None => 0,
        Some(offset) => instant(offset, moment).map_err(|_| Failure::invalid("time dimension offset must be duration or now()"))?,
    };
    Ok((*every_ns, offset_ns))
}

/// The tags that GROUP BY names outright.
pub fn named(select: &Select) -> Vec<String> {
    let name = |d: &Expr| match d.inner() {
        Expr::Variable { name, .. } if !d.inner().is_time() => Some(name.clone()),
        _ => None,
    };
    select.dimensions.iter().filter_map(name).collect()
}

/// All tags of GROUP BY, wildcards and patterns spelled out over the tags of the sources; in name order, each once.
pub fn tags(select: &Select, columns: &Columns) -> Result<Vec<String>> {
    let mut tags = named(select);
    for dimension in &select.dimensions {
        match dimension.inner() {
            Expr::Wildcard(_) => tags.extend(columns.tags.iter().map(|t| t.to_string())),
            Expr::Regex(text) => {
                let pattern = pattern(text)?;
                tags.extend(columns.tags.iter().filter(|t| pattern.is_match(t)).map(|t| t.to_string()));
            }
            _ => {}
        }
    }
    tags.sort();
    tags.dedup();
    Ok(tags)
}
