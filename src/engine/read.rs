//! Queries of the three languages, each as one caller may see the database.

use super::{CallerDirectory, Engine, admission::Ticket};
use crate::{
    catalog::Caller,
    flux::eval::Value,
    format::{
        series::{SeriesStream, StatementAnswer},
        table::{FrameStream, ResultTables},
    },
    influxql::Defaults,
    model::{Result, Timestamp},
    query::{run, tables::QueryContext},
};
use datafusion::{common::ScalarValue, execution::SendableRecordBatchStream};
use futures::{StreamExt, stream::BoxStream};
use std::sync::Arc;

/// A Flux script and what surrounds it.
#[derive(Debug, Clone, Default)]
pub struct FluxRequest {
    pub text: String,
    /// Set in the script's scope before it runs.
    pub params: Vec<(String, Value)>,
    /// What `now()` gives; `None`: the time of the request.
    pub now: Option<Timestamp>,
}

impl Engine {
    /// A Flux script: its results in order of their yields. Planning errors come before the first row.
    pub async fn flux(&self, caller: &Caller, org: Option<&str>, request: FluxRequest) -> Result<Vec<ResultTables>> {
        let now = request.now.unwrap_or_else(|| self.now());
        let (context, ticket) = self.enter(caller, org, now, &request.text).await?;
        let results = ticket.within(run::flux(context, request.text, request.params)).await?;
        let guard = |f: FrameStream| FrameStream { batches: ticket.guard(f.batches), ..f };
        Ok(results.into_iter().map(|r| ResultTables { frames: r.frames.into_iter().map(guard).collect(), ..r }).collect())
    }

    /// One SQL query; `database` is the schema of tables that name none.
    pub async fn sql(
        &self,
        caller: &Caller,
        org: Option<&str>,
        text: String,
        params: Vec<(String, ScalarValue)>,
        database: String,
    ) -> Result<SendableRecordBatchStream> {
        let now = self.now();
        let (context, ticket) = self.enter(caller, org, now, &text).await?;
        Ok(ticket.guard(ticket.within(run::sql(context, text, params, database)).await?))
    }

    /// The statements of an InfluxQL request, one after the other; `params` is a JSON object. Fails only when the text
    /// does not parse; a statement that fails says so in its answer.
    pub async fn influxql(
        &self,
        caller: &Caller,
        org: Option<&str>,
        text: String,
        params: Option<String>,
        defaults: Defaults,
    ) -> Result<BoxStream<'static, StatementAnswer>> {
        let now = self.now();
        let (context, ticket) = self.enter(caller, org, now, &text).await?;
        let answers = ticket.measured(ticket.within(run::influxql(context, text, params, defaults)).await?);
        let guard = move |mut answer: StatementAnswer| {
            let guard = |s: SeriesStream| SeriesStream { batches: ticket.guard(s.batches), ..s };
            answer.series = answer.series.into_iter().map(guard).collect();
            answer
        };
        Ok(answers.map(guard).boxed())
    }

    /// What the caller sees of an organisation (`None`: the caller's own).
    pub fn directory(&self, caller: &Caller, org: Option<&str>) -> Result<CallerDirectory> {
        let org = self.catalog().organization_of(caller, org)?;
        Ok(CallerDirectory::new(self.catalog().clone(), caller.clone(), org))
    }

    async fn enter(&self, caller: &Caller, org: Option<&str>, now: Timestamp, text: &str) -> Result<(QueryContext, Ticket)> {
        let directory = Arc::new(self.directory(caller, org)?);
        let turn = self.inner.admission.enter().await?;
        let session = self.inner.sessions.session(now);
        let memory = session.memory.clone();
        let context = QueryContext::new(directory, self.storage().clone(), session, now);
        let ticket = self.inner.admission.begin(turn, text, memory, context.cancelled().clone());
        Ok((context.holding(ticket.clone()), ticket))
    }
}
