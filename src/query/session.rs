//! The DataFusion session every language plans and runs in: settings, functions, custom nodes, memory.
//!
//! [`Sessions`] is built once; a query gets a copy of its state, whose tables of functions and rules are shared. It
//! knows no tables: those come from `plan::Context`.

use super::{split::SplitScans, text_keys::TextKeys};
use crate::{functions, model::Result, model::Timestamp, plan::node::NodePlanner};
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::{
    catalog::Session,
    execution::{
        SessionStateBuilder,
        context::{QueryPlanner, SessionState},
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::{FairSpillPool, TrackConsumersPool},
        runtime_env::RuntimeEnvBuilder,
    },
    logical_expr::LogicalPlan,
    physical_optimizer::{PhysicalOptimizerRule, optimizer::PhysicalOptimizer},
    physical_plan::ExecutionPlan,
    physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner},
    prelude::SessionConfig,
};
use std::{num::NonZeroUsize, path::PathBuf, sync::Arc};

/// What queries may use.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// Bytes that all running queries together may hold; past it a query fails with the names of the largest consumers.
    pub memory_bytes_max: usize,
    /// Threads that one query may keep busy.
    pub partitions: usize,
    /// Where sorts and joins spill what does not fit; `None`: they may not.
    pub spill_directory: Option<PathBuf>,
}

impl Default for SessionSettings {
    fn default() -> SessionSettings {
        let partitions = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        SessionSettings { memory_bytes_max: 1 << 30, partitions, spill_directory: None }
    }
}

/// Where sessions come from.
#[derive(Debug, Clone)]
pub struct Sessions {
    state: SessionState,
}

impl Sessions {
    /// `planners` turn custom logical nodes into execution plans, beside those of `plan::node`: rooms that own nodes
    /// outside of it hand theirs in here.
    pub fn new(settings: &SessionSettings, planners: Vec<Arc<dyn ExtensionPlanner + Send + Sync>>) -> Result<Sessions> {
        let mut config = SessionConfig::new().with_target_partitions(settings.partitions.max(1)).with_batch_size(8192);
        let options = config.options_mut();
        // Rows of a scan come in an order that plans rely on; dealing them out would lose it.
        options.optimizer.enable_round_robin_repartition = false;
        // An aggregate's rows are few where its input is read by series; dealing them to threads costs more than it gains.
        options.optimizer.repartition_aggregations = false;
        options.optimizer.repartition_windows = false;
        options.sql_parser.enable_ident_normalization = false;
        // Names and units come from users; a stray SET must not reach the options either (SQL refuses it).
        options.catalog.information_schema = false;
        let names = NonZeroUsize::new(3).expect("three is not zero");
        let pool = TrackConsumersPool::new(FairSpillPool::new(settings.memory_bytes_max), names);
        let disk = match &settings.spill_directory {
            Some(path) => DiskManagerMode::Directories(vec![path.clone()]),
            None => DiskManagerMode::Disabled,
        };
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(disk))
            .build_arc()?;
        let planners = std::iter::once(Arc::new(NodePlanner) as Arc<dyn ExtensionPlanner + Send + Sync>).chain(planners).collect();
        let mut rules = PhysicalOptimizer::new().rules;
        let own: [Arc<dyn PhysicalOptimizerRule + Send + Sync>; 2] = [Arc::new(TextKeys), Arc::new(SplitScans)];
        rules.splice(0..0, own);
        let mut state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_physical_optimizer_rules(rules)
            .with_query_planner(Arc::new(Planner(planners)))
            .build();
        functions::register(&mut state)?;
        Ok(Sessions { state })
    }

    /// The session of one query, whose `now()` is `now`.
    pub fn session(&self, now: Timestamp) -> SessionState {
        let mut state = self.state.clone();
        state.execution_props_mut().query_execution_start_time = Some(DateTime::from_timestamp_nanos(now));
        state
    }
}

/// Plans DataFusion's nodes and ours.
struct Planner(Vec<Arc<dyn ExtensionPlanner + Send + Sync>>);

impl std::fmt::Debug for Planner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Planner({} node planners)", self.0.len())
    }
}

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        DefaultPhysicalPlanner::with_extension_planners(self.0.clone()).create_physical_plan(plan, session).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(state: &SessionState, text: &str) -> Result<String> {
        let plan = state.create_logical_plan(text).await?;
        let plan = state.create_physical_plan(&plan).await?;
        let rows = datafusion::physical_plan::collect(plan, state.task_ctx()).await?;
        Ok(arrow::util::pretty::pretty_format_batches(&rows)?.to_string())
    }

    #[tokio::test]
    async fn now_is_the_instant_of_the_query_and_memory_is_limited() {
        let settings = SessionSettings { memory_bytes_max: 1000, partitions: 1, spill_directory: None };
        let state = Sessions::new(&settings, vec![]).expect("a session").session(1_000_000_000);
        let text = run(&state, "select now() as t").await.expect("a row");
        assert!(text.contains("1970-01-01T00:00:01"), "{text}");
        let sort = "select v from (select unnest(range(1, 100000)) v) a order by v desc";
        let failure = run(&state, sort).await.expect_err("more than 1000 bytes");
        assert_eq!(failure.kind, crate::model::ErrorKind::Unavailable, "{failure}");
        assert!(failure.message.contains("Sort"), "the largest consumer is named: {failure}");
    }
}
