//! The DataFusion session every language plans and runs in: settings, functions, custom nodes, and each query's own memory.
//!
//! [`Sessions`] is built once; a query gets its [`Session`]. It knows no tables: those come from `plan::Context`.
//!
//! A plan is optimised by no more rules than it needs: [`few_rules`], or for what is left of SQL all rules of DataFusion.

use super::{
    apart::Apart,
    columns::ChooseColumns,
    few_rules,
    memory::{MeteredTasks, QueryPool},
    newest::NewestRows,
    plain,
    split::SplitScans,
    text_keys::TextKeys,
    twice::NotTwice,
};
use crate::{functions, memory::Share, model::Result, model::Timestamp, plan::node::NodePlanner};
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::{
    catalog,
    common::{
        runtime::set_join_set_tracer,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    error::Result as PlanResult,
    execution::{
        SessionStateBuilder, TaskContext,
        context::{QueryPlanner, SessionState},
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    logical_expr::{Expr, LogicalPlan},
    optimizer::{Optimizer, OptimizerRule, optimize_projections::OptimizeProjections},
    physical_optimizer::{PhysicalOptimizerRule, optimizer::PhysicalOptimizer},
    physical_plan::ExecutionPlan,
    physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner},
    prelude::SessionConfig,
};
use std::{borrow::Cow, collections::HashMap, num::NonZeroUsize, path::PathBuf, sync::Arc};

/// Stack of a thread that plans or runs queries: room for the deepest plans that the languages let through.
pub const STACK_BYTES: usize = 16 << 20;

/// Rows of a batch.
const BATCH_ROWS: usize = 8_192;
/// Bytes of a text in a plan that is long.
const LITERAL_LONG: usize = 256;
/// Bytes of the long texts of a plan in all rows of a batch.
const LITERALS_BYTES: usize = 16 << 20;

/// What queries may use.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// What all running queries together may hold; past its part of it a query spills, or fails with the names of its largest
    /// consumers.
    pub memory: Arc<Share>,
    /// Bytes that one query may hold, however much is free.
    pub query_bytes_max: usize,
    /// Threads that one query may keep busy.
    pub partitions: usize,
    /// Where sorts and joins spill what does not fit; `None`: they may not.
    pub spill_directory: Option<PathBuf>,
    /// Bytes that all running queries together may spill.
    pub spill_bytes_max: u64,
}

impl Default for SessionSettings {
    fn default() -> SessionSettings {
        let partitions = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let memory = Share::new("queries", 1 << 30);
        SessionSettings { memory, query_bytes_max: usize::MAX, partitions, spill_directory: None, spill_bytes_max: 16 << 30 }
    }
}

/// Where sessions come from.
#[derive(Debug, Clone)]
pub struct Sessions {
    memory: Arc<Share>,
    query_bytes_max: usize,
    few_rules: SessionState,
    all_rules: Arc<SessionState>,
    apart: Arc<Apart>,
}

/// What one query plans and runs with.
#[derive(Debug, Clone)]
pub struct Session {
    /// Few rules, and no functions by name; its `now()` and its memory are the query's.
    pub state: SessionState,
    /// What the query holds.
    pub memory: Arc<QueryPool>,
    all_rules: Arc<SessionState>,
    /// Threads for plans that may take long.
    pub(super) apart: Arc<Apart>,
}

impl Session {
    /// Where SQL looks up functions and settings. Plans are not run by it: its `now()` is not the query's.
    pub fn names(&self) -> &SessionState {
        &self.all_rules
    }

    /// The state whose rules are enough for a plan of SQL.
    pub fn for_plan(&self, plan: &LogicalPlan) -> Cow<'_, SessionState> {
        if few_rules::are_enough(plan) {
            return Cow::Borrowed(&self.state);
        }
        let mut state = SessionState::clone(&self.all_rules);
        state.execution_props_mut().query_execution_start_time = self.state.execution_props().query_execution_start_time;
        Cow::Owned(state)
    }
}

impl Sessions {
    /// `planners` turn custom logical nodes into execution plans, beside those of `plan::node`: rooms that own nodes
    /// outside of it hand theirs in here.
    pub fn new(settings: &SessionSettings, planners: Vec<Arc<dyn ExtensionPlanner + Send + Sync>>) -> Result<Sessions> {
        let mut config = SessionConfig::new().with_target_partitions(settings.partitions.max(1)).with_batch_size(BATCH_ROWS);
        let options = config.options_mut();
        // Rows of a scan come in an order that plans rely on; dealing them out would lose it.
        options.optimizer.enable_round_robin_repartition = false;
        // An aggregate's rows are few where its input is read by series; dealing them to threads costs more than it gains.
        options.optimizer.repartition_aggregations = false;
        options.optimizer.repartition_windows = false;
        options.sql_parser.enable_ident_normalization = false;
        // Names and units come from users; a stray SET must not reach the options either (SQL refuses it).
        options.catalog.information_schema = false;
        // What each sort sets aside for merging what it has spilled must leave it something to sort.
        options.execution.sort_spill_reservation_bytes = (settings.memory.limit() / 64).min(10 << 20);
        // It may be set already: there is one for the process.
        let _ = set_join_set_tracer(&MeteredTasks);
        let disk = match &settings.spill_directory {
            Some(path) => DiskManagerMode::Directories(vec![path.clone()]),
            None => DiskManagerMode::Disabled,
        };
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(QueryPool::new(settings.memory.clone(), settings.query_bytes_max)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(disk).with_max_temp_directory_size(settings.spill_bytes_max))
            .build_arc()?;
        let planners = std::iter::once(Arc::new(NodePlanner) as Arc<dyn ExtensionPlanner + Send + Sync>).chain(planners).collect();
        let planner = Arc::new(Planner(planners));
        let ours: [Arc<dyn PhysicalOptimizerRule + Send + Sync>; 3] = [Arc::new(TextKeys), Arc::new(NewestRows), Arc::new(SplitScans)];
        let mut rules = PhysicalOptimizer::new().rules;
        rules.splice(0..0, ours.clone());
        rules.push(Arc::new(ChooseColumns));
        let mut all_rules = SessionStateBuilder::new()
            .with_config(config.clone())
            .with_runtime_env(runtime.clone())
            .with_default_features()
            .with_optimizer_rules(all_rules())
            .with_physical_optimizer_rules(rules)
            .with_query_planner(planner.clone())
            .build();
        functions::register(&mut all_rules)?;
        config.options_mut().optimizer.max_passes = 1;
        let few_rules = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_analyzer_rules(few_rules::analyzer_rules())
            .with_optimizer_rules(few_rules::rules())
            .with_physical_optimizer_rules(ours.into_iter().chain(few_rules::physical_rules()).collect())
            .with_query_planner(planner)
            .build();
        let (memory, query_bytes_max, apart) =
            (settings.memory.clone(), settings.query_bytes_max, Arc::new(Apart::new(settings.partitions)));
        Ok(Sessions { memory, query_bytes_max, few_rules, all_rules: Arc::new(all_rules), apart })
    }

    /// Bytes that running queries have spilled.
    pub fn spilled_bytes(&self) -> u64 {
        self.few_rules.runtime_env().disk_manager.used_disk_space()
    }

    /// The session of one query, whose `now()` is `now`.
    pub fn session(&self, now: Timestamp) -> Session {
        let memory = Arc::new(QueryPool::new(self.memory.clone(), self.query_bytes_max));
        let runtime = RuntimeEnv { memory_pool: memory.clone(), ..RuntimeEnv::clone(self.few_rules.runtime_env()) };
        let id = self.few_rules.session_id().to_string();
        let mut state =
            SessionStateBuilder::new_from_existing(self.few_rules.clone()).with_session_id(id).with_runtime_env(Arc::new(runtime)).build();
        state.execution_props_mut().query_execution_start_time = Some(DateTime::from_timestamp_nanos(now));
        Session { state, memory, all_rules: self.all_rules.clone(), apart: self.apart.clone() }
    }
}

/// What a plan runs with: the settings of the state that planned it, and the query's memory. Functions are in the plan already; a
/// copy of the session's tables of them is not needed.
pub fn task(state: &SessionState, runtime: &Arc<RuntimeEnv>, batch_rows: usize) -> Arc<TaskContext> {
    let (mut config, runtime) = (state.config().clone(), runtime.clone());
    if batch_rows < BATCH_ROWS {
        config = config.with_batch_size(batch_rows);
    }
    let none = (HashMap::new(), HashMap::new(), HashMap::new(), HashMap::new());
    Arc::new(TaskContext::new(None, state.session_id().to_string(), config, none.0, none.1, none.2, none.3, runtime))
}

/// The plan after the state's rules.
fn optimised(state: &SessionState, plan: &LogicalPlan) -> PlanResult<LogicalPlan> {
    // What is explained is shown as every rule leaves it.
    let by_turns = state.config_options().optimizer.max_passes > 1 || matches!(plan, LogicalPlan::Explain(_));
    if by_turns { state.optimize(plan) } else { few_rules::optimised(state, plan) }
}

/// The execution plan, and the rows of its batches: fewer where the plan itself puts long texts into each of them.
pub async fn physical(state: &SessionState, plan: &LogicalPlan) -> PlanResult<(Arc<dyn ExecutionPlan>, usize)> {
    let plain = plain::physical(state, plan)?;
    let plan = if plain.is_some() { Cow::Borrowed(plan) } else { Cow::Owned(optimised(state, plan)?) };
    let mut bytes = 0;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                // Short ones may be a list of many, which is no part of a row.
                if let Expr::Literal(value, _) = expr
                    && value.size() > LITERAL_LONG
                {
                    bytes += value.size();
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    let physical = match plain {
        Some(physical) => physical,
        None => state.query_planner().create_physical_plan(&plan, state).await?,
    };
    Ok((physical, (LITERALS_BYTES / bytes.max(1)).clamp(1, BATCH_ROWS)))
}

/// DataFusion's.
fn all_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    for rule in &mut rules {
        if rule.name() == OptimizeProjections::new().name() {
            *rule = Arc::new(NotTwice::default());
        }
    }
    rules
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
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn catalog::Session) -> PlanResult<Arc<dyn ExecutionPlan>> {
        DefaultPhysicalPlanner::with_extension_planners(self.0.clone()).create_physical_plan(plan, session).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(session: &Session, text: &str) -> Result<String> {
        let plan = session.names().create_logical_plan(text).await?;
        let state = session.for_plan(&plan);
        let plan = state.create_physical_plan(&plan).await?;
        let rows = datafusion::physical_plan::collect(plan, task(&state, session.state.runtime_env(), BATCH_ROWS)).await?;
        Ok(arrow::util::pretty::pretty_format_batches(&rows)?.to_string())
    }

    #[tokio::test]
    async fn now_is_the_instant_of_the_query_and_memory_is_limited() {
        let settings = SessionSettings { memory: Share::new("queries", 1000), partitions: 1, ..SessionSettings::default() };
        let session = Sessions::new(&settings, vec![]).expect("sessions").session(1_000_000_000);
        for text in ["select now() as t", "select now() as t union all select now()"] {
            let text = run(&session, text).await.expect("a row");
            assert!(text.contains("1970-01-01T00:00:01"), "{text}");
        }
        let sort = "select v from (select unnest(range(1, 100000)) v) a order by v desc";
        let failure = run(&session, sort).await.expect_err("more than 1000 bytes");
        assert_eq!(failure.kind, crate::model::ErrorKind::Unavailable, "{failure}");
        assert!(failure.message.contains("Sort"), "the largest consumer is named: {failure}");
    }

    #[tokio::test]
    async fn the_same_step_twice_is_done_twice() {
        let session = Sessions::new(&SessionSettings::default(), vec![]).expect("sessions").session(0);
        let times =
            |step: &str, from: &str, times: usize| (0..times).fold(from.to_string(), |from, _| format!("(select {step} from {from})"));
        let one = "(values (1, 2)) t (n, m)";
        let cases = [
            (times("n + n n", one, 3), "n", "8"),
            (times("n * 3 n", one, 4), "n", "81"),
            (times("n + n n, m", one, 2), "n + m", "6"),
            (times("m n, n m", one, 2), "n * 10 + m", "12"),
            (times("n, n + n m", one, 3), "m", "2"),
            (times("n * 2 n", &times("n + n n", &times("n * 2 n", &times("n + n n", one, 1), 1), 1), 1), "n", "16"),
        ];
        for (from, value, expected) in cases {
            for text in [format!("select {value} v from {from}"), format!("select distinct {value} v from {from}")] {
                let rows = run(&session, &text).await.expect("a row");
                assert!(rows.contains(&format!("| {expected} ")), "{text}: {rows}");
            }
        }
    }

    #[tokio::test]
    async fn an_order_that_is_not_selected_stays_and_rules_follow_the_plan() {
        let session = Sessions::new(&SessionSettings::default(), vec![]).expect("sessions").session(0);
        let values = "(values (2, 'b'), (1, 'c'), (3, 'a')) as t (n, s)";
        let rows = run(&session, &format!("select s from {values} order by n")).await.expect("rows");
        let found: Vec<&str> = rows.lines().filter_map(|l| l.strip_prefix("| ")?.strip_suffix(" |")).collect();
        assert_eq!(found, ["s", "c", "b", "a"], "{rows}");
        let texts = [
            ("select s, max(n) from {} where n > 1 group by s order by 2 limit 1", true),
            ("explain select s from {}", true),
            ("select distinct s from {}", false),
            ("select count(distinct s) from {}", false),
            ("select s from {} where n in (select 1)", false),
            ("select s, (select 1) from {}", false),
            ("select s, grouping(s) from {} group by rollup(s)", false),
            ("select s from {} union all select 'z'", false),
            ("select row_number() over (order by n) from {}", true),
            ("select sum(n) over (order by n rows between unbounded preceding and unbounded following) from {}", false),
            ("explain select distinct s from {}", false),
        ];
        for (text, few) in texts {
            let plan = session.names().create_logical_plan(&text.replace("{}", values)).await.expect("a plan");
            assert_eq!(few_rules::are_enough(&plan), few, "{text}");
        }
    }
}
