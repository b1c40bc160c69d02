//! What a query will do, for people and for tests: the physical plans of a text, in any of the three languages.

use super::{run, session, tables::QueryContext};
use crate::{
    influxql::{self, Defaults, Output},
    model::Result,
    plan::Context,
    sql,
};
use datafusion::{logical_expr::LogicalPlan, physical_plan::displayable};
use std::borrow::Cow;

/// Text of a query, and the language's own way to say where it asks.
#[derive(Debug, Clone)]
pub enum Question {
    Flux { text: String },
    Influxql { text: String, defaults: Defaults },
    Sql { text: String, database: String },
}

/// One indented text per plan, in the order in which they run, under a title where there are several. Nothing runs but
/// what a language must know to go on planning.
pub async fn explain(context: QueryContext, question: Question) -> Result<String> {
    let is_sql = matches!(question, Question::Sql { .. });
    let (Question::Sql { text, .. } | Question::Flux { text } | Question::Influxql { text, .. }) = &question;
    run::charge(&context, text.len())?;
    let plans = run::blocking(&context, move |context| plans(question, context)).await?;
    let several = plans.len() > 1;
    let mut out = String::new();
    for (title, plan) in plans {
        if several {
            out += &format!("{title}:\n");
        }
        let session = if is_sql { context.session_for(&plan) } else { Cow::Borrowed(context.session()) };
        let (physical, _) = session::physical(&session, &plan).await?;
        out += &displayable(physical.as_ref()).indent(false).to_string();
    }
    Ok(out)
}

pub(super) fn plans(question: Question, context: &QueryContext) -> Result<Vec<(String, LogicalPlan)>> {
    match question {
        Question::Sql { text, database } => Ok(vec![("sql".into(), sql::plan(&text, vec![], context, &database)?)]),
        Question::Flux { text } => {
            let program = crate::flux::compile(&text, context, vec![])?;
            let frames = program.results.into_iter().flat_map(|r| r.frames.into_iter().map(move |f| (r.name.clone(), f.plan)));
            Ok(frames.collect())
        }
        Question::Influxql { text, defaults } => {
            let mut plans = vec![];
            for statement in influxql::parse(&text, None)?.statements {
                // Answers that need no plan, and changes, which are not made here, are left out.
                if let Output::Plans(series) = influxql::plan_statement(&statement, context, &defaults)?.output {
                    plans.extend(series.into_iter().map(|s| (s.layout.name.unwrap_or_default(), s.plan)));
                }
            }
            Ok(plans)
        }
    }
}
