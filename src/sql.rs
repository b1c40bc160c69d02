//! SQL text to a plan: DataFusion's dialect, read-only, over buckets as schemas and measurements as tables.
//!
//! Names keep their case; a table without a schema belongs to the request's database. Tables are looked up one by one
//! as the text names them, so planning never lists a bucket - except for `information_schema` and `SHOW TABLES`.
//! SQL knows no storage; all it asks goes through `plan::Context`.

use crate::{
    model::{ErrorKind, Failure, Result},
    plan::{BucketInfo, BucketRef, Context},
};
use arrow::{
    array::{ArrayRef, StringArray},
    datatypes::{DataType, SchemaRef},
    record_batch::RecordBatch,
};
use datafusion::{
    common::{DataFusionError, ParamValues, ScalarValue, TableReference, config::ConfigOptions},
    datasource::{MemTable, cte_worktable::CteWorkTable, provider_as_source},
    logical_expr::{
        AggregateUDF, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF,
        planner::{ContextProvider, ExprPlanner},
    },
    sql::{
        parser::{DFParserBuilder, Statement},
        planner::{ParserOptions, SqlToRel},
        sqlparser::{ast::Statement as Ast, dialect::GenericDialect},
    },
};
use std::{collections::HashMap, sync::Arc};

/// Deepest nesting of expressions and sub-queries.
const DEPTH_MAX: usize = 50;

/// Plans one query. `params` are the values of `$name`; `database` is the schema of tables that name none.
///
/// Everything that would change data or settings is refused (`Invalid`).
pub fn plan(text: &str, params: Vec<(String, ScalarValue)>, context: &dyn Context, database: &str) -> Result<LogicalPlan> {
    let mut statements =
        DFParserBuilder::new(text).with_dialect(&GenericDialect {}).with_recursion_limit(DEPTH_MAX).build()?.parse_statements()?;
    let (Some(statement), true) = (statements.pop_front(), statements.is_empty()) else {
        return Err(Failure::invalid("expected one SQL statement"));
    };
    if !reads_only(&statement) {
        return Err(Failure::invalid("only queries are allowed in SQL: SELECT, WITH, VALUES, SHOW TABLES, SHOW COLUMNS, EXPLAIN"));
    }
    let tables = Tables { context, database };
    let options = ParserOptions { enable_ident_normalization: false, ..ParserOptions::default() };
    let plan = SqlToRel::new_with_options(&tables, options).statement_to_plan(statement)?;
    if params.is_empty() {
        return Ok(plan);
    }
    let params: HashMap<String, ScalarValue> = params.into_iter().collect();
    Ok(plan.with_param_values(ParamValues::from(params))?)
}

fn reads_only(statement: &Statement) -> bool {
    match statement {
        Statement::Statement(ast) => matches!(ast.as_ref(), Ast::Query(_) | Ast::ShowTables { .. } | Ast::ShowColumns { .. }),
        Statement::Explain(explain) => reads_only(&explain.statement),
        _ => false,
    }
}

/// Tables and functions by name.
struct Tables<'a> {
    context: &'a dyn Context,
    database: &'a str,
}

impl Tables<'_> {
    fn bucket(&self, name: &str) -> Result<BucketInfo> {
        match self.context.bucket(BucketRef::NameOrId(name)) {
            Err(e) if e.kind == ErrorKind::NotFound => {
                let by_mapping = self.context.bucket(BucketRef::Database { database: name, policy: None });
                by_mapping.map_err(|_| Failure::not_found(format!("database not found: {name}")))
            }
            other => other,
        }
    }

    fn table(&self, name: &TableReference) -> Result<Arc<dyn TableSource>> {
        let schema = name.schema().filter(|s| !matches!(*s, "iox" | "public"));
        if schema == Some("information_schema") {
            return self.information(name.table());
        }
        let bucket = self.bucket(schema.unwrap_or(self.database))?;
        let table = self.context.table(bucket.id, name.table())?;
        Ok(provider_as_source(table.ok_or_else(|| Failure::not_found(format!("table '{}.{}' not found", bucket.name, name.table())))?))
    }

    /// `tables` and `columns` of the request's database; buckets appear as schemas.
    fn information(&self, name: &str) -> Result<Arc<dyn TableSource>> {
        let mut rows: Vec<[String; 5]> = vec![];
        let (columns, wanted): (&[&str], _) = match name {
            "tables" => (&["table_catalog", "table_schema", "table_name", "table_type"], false),
            "columns" => (&["table_catalog", "table_schema", "table_name", "column_name", "data_type"], true),
            _ => return Err(Failure::not_found(format!("table 'information_schema.{name}' not found"))),
        };
        let schemas = self.context.measurements(self.bucket(self.database)?.id)?;
        for schema in schemas {
            let table = |a: &str, b: String| ["public".into(), self.database.to_string(), schema.measurement.to_string(), a.into(), b];
            if wanted {
                rows.extend(schema.arrow_schema().fields().iter().map(|f| table(f.name(), f.data_type().to_string())));
            } else {
                rows.push(table("BASE TABLE", String::new()));
            }
        }
        let column = |i: usize| Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r[i].as_str()))) as ArrayRef;
        let batch = RecordBatch::try_from_iter(columns.iter().enumerate().map(|(i, name)| (*name, column(i))))?;
        Ok(provider_as_source(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
    }
}

impl ContextProvider for Tables<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>, DataFusionError> {
        Ok(self.table(&name)?)
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>, DataFusionError> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.context.session().expr_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.context.session().scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.context.session().higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.context.session().aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.context.session().window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.context.session().config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.context.session().scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.context.session().higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.context.session().aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.context.session().window_functions().keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
