//! `/api/v3/query_sql` and `/api/v3/query_influxql` of InfluxDB 3: one query in, one relation out.

use super::{
    app::{App, Call},
    delete::deleted_rows,
    problem,
    query::first_piece,
};
use crate::{
    format::relation::{self, RelationFormat, of_series},
    influxql::{self, Defaults},
    model::{Failure, Result},
    sql,
};
use axum::{
    extract::State,
    http::{Method, header},
    response::{IntoResponse, Response},
};
use datafusion::common::ScalarValue;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::atomic::Ordering;

/// The body of a `POST`, or the parameters of a `GET`, where `params` is JSON text.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    db: Option<String>,
    q: String,
    format: Option<String>,
    params: Option<Map<String, Value>>,
}

impl Asked {
    fn of(call: &Call) -> Result<Asked> {
        if call.method == Method::POST && !call.body.is_empty() {
            return call.json();
        }
        let owned = |name: &str| call.text(name).map(str::to_string);
        let unreadable = |e| Failure::invalid(format!("params must be a JSON object: {e}"));
        let params = call.text("params").map(serde_json::from_str).transpose().map_err(unreadable)?;
        Ok(Asked { db: owned("db"), q: owned("q").unwrap_or_default(), format: owned("format"), params })
    }

    /// By name, else by `Accept`, else JSON.
    fn format(&self, call: &Call) -> Result<RelationFormat> {
        let accepted = || call.headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).and_then(RelationFormat::accepted);
        match self.format.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => RelationFormat::parse(name),
            None => Ok(accepted().unwrap_or(RelationFormat::Json)),
        }
    }

    /// Bound parameters as SQL literals.
    fn scalars(&self) -> Result<Vec<(String, ScalarValue)>> {
        let scalar = |(name, value): (&String, &Value)| {
            let scalar = match value {
                Value::Null => ScalarValue::Null,
                Value::Bool(v) => ScalarValue::from(*v),
                Value::String(text) => ScalarValue::from(text.as_str()),
                Value::Number(n) => match (n.as_i64(), n.as_u64()) {
                    (Some(v), _) => ScalarValue::from(v),
                    (None, Some(v)) => ScalarValue::from(v),
                    (None, None) => ScalarValue::from(n.as_f64().unwrap_or(f64::NAN)),
                },
                Value::Array(_) | Value::Object(_) => {
                    return Err(Failure::invalid(format!("parameter `{name}` must be a boolean, a number, a string or null")));
                }
            };
            Ok((name.clone(), scalar))
        };
        self.params.iter().flatten().map(scalar).collect()
    }
}

#[derive(Debug, Clone, Copy)]
enum Language {
    Sql,
    Influxql,
}

pub async fn sql(State(app): State<App>, call: Call) -> Response {
    answered(&app, &call, Language::Sql).await
}

/// One statement; its series become one relation with a column per tag.
pub async fn influxql(State(app): State<App>, call: Call) -> Response {
    answered(&app, &call, Language::Influxql).await
}

async fn answered(app: &App, call: &Call, language: Language) -> Response {
    app.figures.queries.fetch_add(1, Ordering::Relaxed);
    answer(app, call, language).await.unwrap_or_else(|failure| {
        app.figures.failed_queries.fetch_add(1, Ordering::Relaxed);
        problem::v3(failure)
    })
}

async fn answer(app: &App, call: &Call, language: Language) -> Result<Response> {
    let caller = call.v1_caller(app).await?;
    let asked = Asked::of(call)?;
    if asked.q.trim().is_empty() {
        return Err(Failure::invalid("missing parameter `q`: the text of the query"));
    }
    let format = asked.format(call)?;
    let mut deleted = None;
    let rows = match language {
        Language::Sql => {
            if call.method != Method::POST && sql::deletes(&asked.q)? {
                return Err(Failure::invalid("DELETE changes data, which GET and HEAD must not: send it with POST"));
            }
            let params = asked.scalars()?;
            let database = asked.db.filter(|db| !db.is_empty());
            let database = database.ok_or_else(|| Failure::invalid("missing parameter `db`: name the database"))?;
            app.engine.sql(&caller, call.org(), asked.q, params, database).await?
        }
        Language::Influxql => {
            let params = asked.params.map(|params| Value::Object(params).to_string());
            if influxql::parse(&asked.q, params.as_deref())?.statements.len() > 1 {
                return Err(Failure::invalid("one statement is answered at a time: send them one by one"));
            }
            let defaults = Defaults { database: asked.db, policy: None, read_only: call.method == Method::GET };
            let mut answers = app.engine.influxql(&caller, call.org(), asked.q, params, defaults).await?;
            let answer = answers.next().await.unwrap_or_default();
            deleted = answer.deleted;
            of_series(answer)?
        }
    };
    let pieces = relation::encode(rows, format);
    Ok(([(header::CONTENT_TYPE, format.content_type())], deleted_rows(deleted), first_piece(pieces).await?).into_response())
}
