//! SQL text to a plan: DataFusion's dialect over buckets as schemas and measurements as tables. It reads, and deletes rows.
//!
//! ```text
//! text --sqlparser--> Statement --shapes: DataFusion's planner over tables, or its plan of such a question--> LogicalPlan
//!     --parameters get their values--> gap_fill: date_bin_gapfill gets its node
//!                                                                       newest: so do newest rows by their number
//!                                                                       delete: rows go, the plan tells how many
//! ```
//! Names keep their case. SQL knows no storage; all it asks goes through `plan::Context`.

mod bounds;
mod delete;
mod gap_fill;
mod information;
mod newest;
mod shapes;
mod tables;

use crate::{
    functions::scalar::bounded,
    model::{Failure, Result},
    plan::Context,
};
use datafusion::{
    common::{ParamValues, ScalarValue, TableReference},
    execution::context::SQLOptions,
    logical_expr::LogicalPlan,
    sql::{
        parser::{DFParserBuilder, Statement},
        planner::object_name_to_table_reference,
        sqlparser::{
            ast::{self, Statement as Ast},
            dialect::GenericDialect,
        },
    },
};
use std::collections::HashMap;
use tables::Tables;

/// Deepest nesting of expressions and sub-queries.
const DEPTH_MAX: usize = 50;

/// Plans one query. `params` are the values of `$name`; `database` is the schema of tables that name none, and has to be there
/// also for a query that names no table.
///
/// DELETE is done when this returns; the plan is that of its answer. Everything else that would change data or settings is
/// refused (`Invalid`).
pub fn plan(text: &str, params: Vec<(String, ScalarValue)>, context: &dyn Context, database: &str) -> Result<LogicalPlan> {
    let statement = read(text)?;
    let deletes = match deletion(&statement) {
        Some(delete) => {
            delete::check_tables(delete)?;
            true
        }
        None if reads_only(&statement) => false,
        None => return Err(refusal(&statement)),
    };
    let tables = Tables { context, database };
    tables.own_bucket()?;
    if let Some(table) = shows_columns(&statement)? {
        return information::columns_of(&table, &tables);
    }
    bounds::check_tables(&statement)?;
    let plan = shapes::plan(statement, text.len(), &tables)?;
    if deletes {
        return delete::delete(bind(plan, params)?, &tables);
    }
    // `SELECT ... INTO` and `WITH ... INSERT` are queries by their form.
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false).verify_plan(&plan)?;
    newest::rewrite(gap_fill::rewrite(bounded::bound(bind(plan, params)?)?, context)?)
}

/// Whether the query would change something. A text without the word is not parsed.
pub fn deletes(text: &str) -> Result<bool> {
    let has_word = text.as_bytes().windows(6).any(|word| word.eq_ignore_ascii_case(b"delete"));
    Ok(has_word && deletion(&parse(text)?).is_some())
}

/// A statement that is not too deep for what comes after.
pub(crate) fn read(text: &str) -> Result<Statement> {
    bounds::check(text)?;
    parse(text)
}

fn parse(text: &str) -> Result<Statement> {
    let mut statements =
        DFParserBuilder::new(text).with_dialect(&GenericDialect {}).with_recursion_limit(DEPTH_MAX).build()?.parse_statements()?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        _ => Err(Failure::invalid("expected one SQL statement")),
    }
}

fn deletion(statement: &Statement) -> Option<&ast::Delete> {
    match statement {
        Statement::Statement(statement) => match statement.as_ref() {
            Ast::Delete(delete) => Some(delete),
            _ => None,
        },
        _ => None,
    }
}

/// The value of a JSON request's parameter. Numbers without a fraction are integers; arrays and objects are refused.
pub fn parameter(name: &str, value: &serde_json::Value) -> Result<ScalarValue> {
    use serde_json::Value;
    Ok(match value {
        Value::Null => ScalarValue::Null,
        Value::Bool(b) => ScalarValue::from(*b),
        Value::String(text) => ScalarValue::from(text.as_str()),
        Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(i), _, _) => ScalarValue::from(i),
            (_, Some(u), _) => ScalarValue::from(u),
            (_, _, Some(f)) => ScalarValue::from(f),
            _ => return Err(Failure::invalid(format!("the value of ${name} is no number that fits"))),
        },
        Value::Array(_) | Value::Object(_) => {
            return Err(Failure::invalid(format!("the value of ${name} must be a string, a number, a boolean or null")));
        }
    })
}

fn bind(plan: LogicalPlan, params: Vec<(String, ScalarValue)>) -> Result<LogicalPlan> {
    let mut missing: Vec<String> = plan.get_parameter_names()?.into_iter().collect();
    if missing.is_empty() {
        return Ok(plan);
    }
    missing.retain(|name| !params.iter().any(|(given, _)| Some(given.as_str()) == name.strip_prefix('$')));
    missing.sort();
    if let Some(name) = missing.first() {
        return Err(Failure::invalid(format!("the value of {name} is missing: give it in the request's params")));
    }
    let params: HashMap<String, ScalarValue> = params.into_iter().collect();
    Ok(plan.with_param_values(ParamValues::from(params))?)
}

fn reads_only(statement: &Statement) -> bool {
    match statement {
        Statement::Statement(ast) => {
            matches!(ast.as_ref(), Ast::Query(_) | Ast::ShowTables { .. } | Ast::ShowColumns { .. } | Ast::ExplainTable { .. })
        }
        Statement::Explain(explain) => reads_only(&explain.statement),
        _ => false,
    }
}

fn refusal(statement: &Statement) -> Failure {
    let text = statement.to_string();
    let what = text.split_whitespace().next().unwrap_or_default().to_uppercase();
    Failure::invalid(format!(
        "{what} is not possible: SQL only reads and deletes here (SELECT, WITH, VALUES, SHOW TABLES, SHOW COLUMNS, DESCRIBE, EXPLAIN, \
         DELETE); write with line protocol"
    ))
}

/// The table of SHOW COLUMNS and DESCRIBE.
fn shows_columns(statement: &Statement) -> Result<Option<TableReference>> {
    let Statement::Statement(ast) = statement else { return Ok(None) };
    let name = match ast.as_ref() {
        Ast::ShowColumns { show_options, .. } => {
            let name = show_options.show_in.as_ref().and_then(|i| i.parent_name.clone());
            name.ok_or_else(|| Failure::invalid("expected SHOW COLUMNS FROM table"))?
        }
        Ast::ExplainTable { table_name, .. } => table_name.clone(),
        _ => return Ok(None),
    };
    Ok(Some(object_name_to_table_reference(name, false)?))
}

#[cfg(test)]
mod tests;
