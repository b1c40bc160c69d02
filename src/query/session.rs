//! The DataFusion session every language plans and runs in: settings, functions, custom nodes, memory.
//!
//! [`Sessions`] is built once; a query gets a copy of a state. It knows no tables: those come from `plan::Context`. SQL
//! has DataFusion's functions and all of its rules. Flux and InfluxQL build plans without joins and sub-queries, so
//! that few rules have work there; planning is most of a small query's time.

use super::{newest::NewestRows, split::SplitScans, text_keys::TextKeys};
use crate::{functions, model::Result, model::Timestamp, plan::node::NodePlanner};
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::{
    catalog::Session,
    execution::{
        SessionStateBuilder, TaskContext,
        context::{QueryPlanner, SessionState},
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::{FairSpillPool, TrackConsumersPool},
        runtime_env::RuntimeEnvBuilder,
    },
    logical_expr::LogicalPlan,
    optimizer::{
        OptimizerRule, analyzer::type_coercion::TypeCoercion, common_subexpr_eliminate::CommonSubexprEliminate,
        eliminate_filter::EliminateFilter, optimize_projections::OptimizeProjections, push_down_filter::PushDownFilter,
        push_down_limit::PushDownLimit, simplify_expressions::SimplifyExpressions,
    },
    physical_optimizer::{
        PhysicalOptimizerRule, combine_partial_final_agg::CombinePartialFinalAggregate, ensure_coop::EnsureCooperative,
        ensure_requirements::EnsureRequirements, limit_pushdown::LimitPushdown, optimizer::PhysicalOptimizer,
        projection_pushdown::ProjectionPushdown,
    },
    physical_plan::ExecutionPlan,
    physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner},
    prelude::SessionConfig,
};
use std::{collections::HashMap, num::NonZeroUsize, path::PathBuf, sync::Arc};

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
    own: SessionState,
    sql: SessionState,
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
        let planner = Arc::new(Planner(planners));
        let ours: [Arc<dyn PhysicalOptimizerRule + Send + Sync>; 3] = [Arc::new(TextKeys), Arc::new(NewestRows), Arc::new(SplitScans)];
        let mut rules = PhysicalOptimizer::new().rules;
        rules.splice(0..0, ours.clone());
        let mut sql = SessionStateBuilder::new()
            .with_config(config.clone())
            .with_runtime_env(runtime.clone())
            .with_default_features()
            .with_physical_optimizer_rules(rules)
            .with_query_planner(planner.clone())
            .build();
        functions::register(&mut sql)?;
        config.options_mut().optimizer.max_passes = 1;
        let own = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_analyzer_rules(vec![Arc::new(TypeCoercion::new())])
            .with_optimizer_rules(own_rules())
            .with_physical_optimizer_rules(ours.into_iter().chain(own_physical_rules()).collect())
            .with_query_planner(planner)
            .build();
        Ok(Sessions { own, sql })
    }

    /// The session of one query in Flux or InfluxQL, whose `now()` is `now`.
    pub fn session(&self, now: Timestamp) -> SessionState {
        at(&self.own, now)
    }

    /// The session of one query in SQL, whose `now()` is `now`.
    pub fn sql_session(&self, now: Timestamp) -> SessionState {
        at(&self.sql, now)
    }
}

fn at(state: &SessionState, now: Timestamp) -> SessionState {
    let mut state = state.clone();
    state.execution_props_mut().query_execution_start_time = Some(DateTime::from_timestamp_nanos(now));
    state
}

/// What a plan runs with. Functions are in the plan already; a copy of the session's tables of them is not needed.
pub fn task(state: &SessionState) -> Arc<TaskContext> {
    let (config, runtime) = (state.config().clone(), state.runtime_env().clone());
    let none = (HashMap::new(), HashMap::new(), HashMap::new(), HashMap::new());
    Arc::new(TaskContext::new(None, state.session_id().to_string(), config, none.0, none.1, none.2, none.3, runtime))
}

fn own_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    vec![
        Arc::new(SimplifyExpressions::new()),
        Arc::new(EliminateFilter::new()),
        Arc::new(PushDownLimit::new()),
        Arc::new(PushDownFilter::new()),
        Arc::new(CommonSubexprEliminate::new()),
        Arc::new(OptimizeProjections::new()),
    ]
}

fn own_physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    vec![
        Arc::new(EnsureRequirements::new()),
        Arc::new(CombinePartialFinalAggregate::new()),
        Arc::new(ProjectionPushdown::new()),
        Arc::new(LimitPushdown::new()),
        Arc::new(EnsureCooperative::new()),
    ]
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
        let state = Sessions::new(&settings, vec![]).expect("a session").sql_session(1_000_000_000);
        let text = run(&state, "select now() as t").await.expect("a row");
        assert!(text.contains("1970-01-01T00:00:01"), "{text}");
        let sort = "select v from (select unnest(range(1, 100000)) v) a order by v desc";
        let failure = run(&state, sort).await.expect_err("more than 1000 bytes");
        assert_eq!(failure.kind, crate::model::ErrorKind::Unavailable, "{failure}");
        assert!(failure.message.contains("Sort"), "the largest consumer is named: {failure}");
    }
}
