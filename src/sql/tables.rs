//! Tables and functions by name, as the planner asks for them. Tables are looked up one by one as the text names them, so
//! planning lists no bucket unless `information_schema` is asked.

use super::information::{self, CATALOG, OWN_SCHEMA};
use crate::{
    model::{ErrorKind, Failure, Result},
    plan::{BucketInfo, BucketRef, Context},
};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::{
    common::{DataFusionError, TableReference, config::ConfigOptions},
    datasource::{cte_worktable::CteWorkTable, provider_as_source},
    logical_expr::{
        AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF,
        planner::{ContextProvider, ExprPlanner},
    },
};
use std::sync::Arc;

pub struct Tables<'a> {
    pub context: &'a dyn Context,
    /// Where tables are that name no schema.
    pub database: &'a str,
}

impl Tables<'_> {
    pub fn own_bucket(&self) -> Result<BucketInfo> {
        self.bucket(self.database)
    }

    /// `table`, `schema.table`, `public.schema.table`, or `database.policy.table`. A schema is the name of a bucket, a
    /// database with a mapping, or `database.policy` and `database/policy` in one name; `iox` is the request's database.
    pub fn bucket_of(&self, reference: &TableReference) -> Result<BucketInfo> {
        match (reference.catalog().filter(|c| *c != CATALOG), reference.schema()) {
            (Some(database), Some(policy)) => self.context.bucket(BucketRef::Database { database, policy: Some(policy) }),
            (_, None) => self.own_bucket(),
            (_, Some(name)) => match self.bucket(name) {
                // A bucket of that name comes first; otherwise these are what clients call the schema without a name.
                Err(_) if matches!(name, OWN_SCHEMA | CATALOG) => self.own_bucket(),
                found => found,
            },
        }
    }

    fn bucket(&self, name: &str) -> Result<BucketInfo> {
        match self.context.bucket(BucketRef::NameOrId(name)) {
            Err(e) if e.kind == ErrorKind::NotFound => {}
            found => return found,
        }
        let database = |database, policy| self.context.bucket(BucketRef::Database { database, policy });
        // A policy has no dot or slash of its own as often as a database has one: the last one divides.
        let by_policy = || name.rsplit_once(['.', '/']).map(|(db, policy)| database(db, Some(policy)));
        let found = database(name, None).ok().or_else(|| by_policy()?.ok());
        found.ok_or_else(|| Failure::not_found(format!("database not found: {name}")))
    }

    fn table(&self, reference: &TableReference) -> Result<Arc<dyn TableSource>> {
        if reference.schema() == Some("information_schema") {
            return information::table(reference.table(), self);
        }
        let bucket = self.bucket_of(reference)?;
        let table = self.context.table(bucket.id, reference.table())?;
        let missing = || Failure::not_found(format!("table '{}.{}' not found", bucket.name, reference.table()));
        Ok(provider_as_source(table.ok_or_else(missing)?.rows))
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
        self.context.names().expr_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.context.names().scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.context.names().higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.context.names().aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.context.names().window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.context.names().config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.context.names().scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.context.names().higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.context.names().aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.context.names().window_functions().keys().cloned().collect()
    }
}
