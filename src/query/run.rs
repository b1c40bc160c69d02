//! The query path's table of contents: text of one of the three languages to streams of rows.
//!
//! A language that asks the database questions compiles on a thread that may wait; plans run on the async threads.
//! Dropping a stream cancels what is left of the query.

use super::{apart, session, tables::QueryContext};
use crate::{
    format::{
        series::{SeriesStream, StatementAnswer},
        table::{FrameStream, ResultTables},
    },
    influxql::{self, Defaults, Done, Output, SeriesRows, Statement},
    memory::meter,
    model::{ErrorKind, Failure, Result},
    plan::Context,
    sql,
};
use datafusion::{
    common::ScalarValue,
    execution::{SendableRecordBatchStream, context::SessionState},
    logical_expr::LogicalPlan,
    physical_plan::{execute_stream, stream::RecordBatchStreamAdapter},
};
use futures::{StreamExt, stream::BoxStream};
use std::{borrow::Cow, sync::Arc};
use tokio::task::JoinError;

/// Optimises a plan and begins to run it. Rows come from the plan's single partition, in its order.
pub async fn stream(state: &SessionState, plan: &LogicalPlan) -> Result<SendableRecordBatchStream> {
    let (physical, batch_rows) = session::physical(state, plan).await?;
    Ok(execute_stream(physical, session::task(state, state.runtime_env(), batch_rows))?)
}

/// The same rows; `what` is held until they have been read or dropped.
pub(super) fn holding(batches: SendableRecordBatchStream, what: impl Send + 'static) -> SendableRecordBatchStream {
    let schema = batches.schema();
    let batches = batches.map(move |batch| {
        let _held = &what;
        batch
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

/// Work that may wait, away from the async threads; dropping the future cancels it. A panic goes on in the caller.
pub(crate) async fn blocking<T: Send + 'static>(
    context: &QueryContext,
    work: impl FnOnce(&QueryContext) -> Result<T> + Send + 'static,
) -> Result<T> {
    let given_up = context.cancelled().clone().drop_guard();
    let asking = context.clone();
    let done = tokio::task::spawn_blocking(meter::carried(move || work(&asking))).await;
    given_up.disarm();
    finished(done)
}

/// What work elsewhere came to. A panic there goes on here.
pub(super) fn finished<T>(done: Result<Result<T>, JoinError>) -> Result<T> {
    done.unwrap_or_else(|e| match e.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(Failure::new(ErrorKind::Unavailable, "the server is closing")),
    })
}

/// Text up to this length is parsed and planned where we stand, as far as that goes: changing threads would take longer.
const SHORT_BYTES: usize = 4096;

/// What planning makes of a byte of text: tokens, a syntax tree, a plan, a better plan. Of a short one it is in what every query is
/// charged when it begins.
const PLAN_BYTES: usize = 256;

/// Charges what planning a text makes, until the query ends.
pub(super) fn charge(context: &QueryContext, text_bytes: usize) -> Result<()> {
    if text_bytes <= SHORT_BYTES { Ok(()) } else { context.charge_text(text_bytes.saturating_mul(PLAN_BYTES)) }
}

/// Work on a text. It may be done twice: first where we stand, and when it turns out to wait or to take long, on a thread
/// that may. Nothing of the first attempt remains then: whatever waits or has an effect goes through the context, which refuses it.
async fn planned<T: Send + 'static>(
    context: &QueryContext,
    text_bytes: usize,
    work: impl Fn(&QueryContext) -> Result<T> + Send + 'static,
) -> Result<T> {
    charge(context, text_bytes)?;
    let at_once = if text_bytes <= SHORT_BYTES { context.at_once(&work) } else { None };
    match at_once {
        Some(done) => done,
        None => blocking(context, work).await,
    }
}

/// Flux frames to streams, result by result in order of their yields.
pub async fn frames(context: &QueryContext, program: crate::flux::program::Program) -> Result<Vec<ResultTables>> {
    let mut results = vec![];
    for result in program.results {
        let mut frames = vec![];
        for frame in result.frames {
            let batches = holding(stream(context.session(), &frame.plan).await?, program.script.clone());
            frames.push(FrameStream { key: frame.key, absent_keys: frame.absent_keys, batches });
        }
        results.push(ResultTables { name: result.name, frames });
    }
    Ok(results)
}

/// One Flux script: its results in order of their yields. `params` are set in the script's scope.
pub async fn flux(context: QueryContext, text: String, params: Vec<(String, crate::flux::eval::Value)>) -> Result<Vec<ResultTables>> {
    let program = planned(&context, text.len(), move |context| Ok(crate::flux::compile(&text, context, params.clone())?)).await?;
    frames(&context, program).await
}

/// One SQL query.
pub async fn sql(
    context: QueryContext,
    text: String,
    params: Vec<(String, ScalarValue)>,
    database: String,
) -> Result<SendableRecordBatchStream> {
    let plan = planned(&context, text.len(), move |context| sql::plan(&text, params.clone(), context, &database)).await?;
    match context.session_for(&plan) {
        Cow::Borrowed(state) => stream(state, &plan).await,
        // What needs all rules may also take long.
        Cow::Owned(state) => apart::run(&context, state, plan).await,
    }
}

/// The statements of an InfluxQL request, one after the other: the next one is planned when the answer before it has
/// been read. Fails only when the text does not parse; nothing has run then.
///
/// When a statement fails, the ones after it are not executed (InfluxDB 1.8): their answers say so.
pub async fn influxql(
    context: QueryContext,
    text: String,
    params: Option<String>,
    defaults: Defaults,
) -> Result<BoxStream<'static, StatementAnswer>> {
    let text_bytes = text.len();
    let query = planned(&context, text_bytes, move |_| influxql::parse(&text, params.as_deref())).await?;
    let statements = query.statements.into_iter().enumerate();
    let state = (context, Arc::new(defaults), statements, false);
    Ok(futures::stream::unfold(state, move |(context, defaults, mut statements, failed)| async move {
        let (statement_id, statement) = statements.next()?;
        let answer = if failed {
            StatementAnswer { statement_id, error: Some("not executed".into()), ..Default::default() }
        } else {
            let answer = execute(&context, text_bytes, statement_id, statement, defaults.clone()).await;
            answer.unwrap_or_else(|failure| StatementAnswer { statement_id, error: Some(failure.message), ..Default::default() })
        };
        let failed = answer.error.is_some();
        Some((answer, (context, defaults, statements, failed)))
    })
    .boxed())
}

async fn execute(
    context: &QueryContext,
    text_bytes: usize,
    statement_id: usize,
    statement: Statement,
    defaults: Arc<Defaults>,
) -> Result<StatementAnswer> {
    let (plans, done, messages) = planned(context, text_bytes, move |context| {
        let plan = influxql::plan_statement(&statement, context, &defaults)?;
        Ok(match plan.output {
            Output::Plans(plans) => (plans, Done::default(), plan.messages),
            Output::Rows(rows) => (vec![], Done { rows, ..Done::default() }, plan.messages),
            Output::Effect(effect) => (vec![], effect.apply(context)?, plan.messages),
        })
    })
    .await?;
    let mut series: Vec<SeriesStream> = done.rows.into_iter().map(in_memory).collect();
    for plan in plans {
        series.push(SeriesStream { layout: plan.layout, batches: stream(context.session(), &plan.plan).await? });
    }
    Ok(StatementAnswer { statement_id, series, messages, deleted: done.deleted, error: None })
}

fn in_memory(rows: SeriesRows) -> SeriesStream {
    let schema = rows.batch.schema();
    let batches = futures::stream::iter([Ok(rows.batch)]);
    SeriesStream { layout: rows.layout, batches: Box::pin(RecordBatchStreamAdapter::new(schema, batches)) }
}

#[cfg(test)]
mod tests;
