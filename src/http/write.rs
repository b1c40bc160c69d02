//! Line protocol in: `/api/v2/write`, `/write` (1.x) and `/api/v3/write_lp`. Durable before the 204.
//!
//! A bad line is refused by itself and the others are stored, in all three. The answers differ: 2.x lists the lines
//! (400), or says `partial write` for rows that clash with stored data (422); 1.x says `partial write` (400); 3 lists
//! them as JSON (400). The list of 3 (`data`: line number, reason, line) is in the answers of all three, with how many there are.
//!
//! Where the bucket keeps lines that clash in quarantine ([`TypeConflicts`](crate::model::TypeConflicts)), a request that is all stored
//! or kept is answered with 204, and the header `X-Tidegauge-Quarantined-Lines` says how many lines are kept. They are as durable as
//! the rest, and nobody but the bucket's owner can do something about them. With 400 or 422 Telegraf would log and count as dropped
//! what is not dropped, the client libraries would raise, and whoever keeps what is refused would keep it twice. Only what is in no
//! place is an error; then the header tells of the others, as does `quarantinedCount` in the body.

use super::{
    app::{App, Call},
    auth::AnyAuth,
    problem::{self, Answer},
};
use crate::{
    catalog::Caller,
    engine::{Target, WriteOptions, Written},
    model::{ErrorKind, Failure, Precision, Result, duration::go_duration, time::rfc3339},
    plan::BucketRef,
    storage::{
        BadLines, WriteReport,
        buffer::{Rejected, RejectedLine},
    },
};
use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use std::sync::atomic::Ordering;

/// How many lines of a request are in quarantine; absent without any.
pub const QUARANTINED_LINES: HeaderName = HeaderName::from_static("x-tidegauge-quarantined-lines");

pub async fn v2(State(app): State<App>, AnyAuth(caller): AnyAuth, call: Call) -> Answer {
    let precision = Precision::parse_v2(call.text("precision").unwrap_or(""))?;
    let bucket = call.text("bucketID").or_else(|| call.text("bucket")).ok_or_else(|| Failure::not_found("bucket not found"))?;
    let target = Target { org: call.org(), bucket: BucketRef::NameOrId(bucket) };
    let written = write(&app, &caller, target, &call, options(precision)).await;
    let written = written.map_err(|failure| match failure.message.starts_with("could not find bucket") {
        true => Failure::not_found(format!("bucket \"{bucket}\" not found")),
        false => failure,
    })?;
    let report = &written.report;
    let refused = |failure| {
        let mut more = lines(report);
        // The first, as InfluxDB's API has it.
        more.insert("line".into(), report.rejected.first().map(|line| line.number).into());
        problem::v2_with(failure, more)
    };
    Ok(answer(refusal_v2(&written).map(refused), report))
}

pub async fn v1(State(app): State<App>, call: Call) -> Response {
    let written = async {
        let caller = call.v1_caller(&app).await?;
        let database = call.text("db").or_else(|| call.text("bucket")).ok_or_else(|| Failure::invalid("missing db"))?;
        let unit = call.text("precision").unwrap_or("");
        let precision =
            Precision::parse_v1(unit).ok_or_else(|| Failure::invalid(format!("invalid precision \"{unit}\" (use n, u, ms, s, m or h)")))?;
        let bucket = BucketRef::Database { database, policy: call.text("rp") };
        let written = write(&app, &caller, Target { org: call.org(), bucket }, &call, options(precision)).await;
        written.map_err(|failure| match (failure.kind, failure.message.strip_prefix("database not found: ")) {
            (ErrorKind::NotFound, Some(name)) => Failure::not_found(format!("database not found: \"{name}\"")),
            _ => failure,
        })
    };
    match written.await {
        Err(failure) => problem::v1(failure),
        Ok(Written { report, .. }) => answer(refusal_v1(&report).map(|failure| problem::v1_with(failure, lines(&report))), &report),
    }
}

pub async fn v3(State(app): State<App>, call: Call) -> Response {
    let outcome = async {
        let caller = call.v1_caller(&app).await?;
        let database = call.text("db").ok_or_else(|| Failure::invalid("missing query parameter 'db'"))?;
        let precision = match call.text("precision").unwrap_or("auto") {
            "auto" => guess(&call.body),
            "ns" | "nanosecond" => Precision::Nanosecond,
            "us" | "microsecond" => Precision::Microsecond,
            "ms" | "millisecond" => Precision::Millisecond,
            "s" | "second" => Precision::Second,
            other => {
                let message = format!("unknown precision `{other}`: use auto, nanosecond, microsecond, millisecond or second");
                return Err(Failure::invalid(message));
            }
        };
        let partial = call.text("accept_partial") != Some("false");
        let bad_lines = if partial { BadLines::Skip } else { BadLines::RefuseAll };
        let target = Target { org: None, bucket: BucketRef::Database { database, policy: None } };
        let written = write(&app, &caller, target, &call, WriteOptions { precision, bad_lines, create: true }).await?;
        Ok((partial, written.report))
    };
    match outcome.await {
        Err(failure) => problem::v3(failure),
        Ok((partial, report)) => {
            let refused = |first: &RejectedLine| {
                let mut body = lines(&report);
                let error = if partial { "partial write of line protocol occurred" } else { "line protocol parsing error" };
                body.insert("error".into(), error.into());
                if !partial {
                    body.insert("data".into(), entry(first));
                }
                (StatusCode::BAD_REQUEST, Json(Value::Object(body))).into_response()
            };
            answer(report.rejected.first().map(refused), &report)
        }
    }
}

/// 204, unless something was refused.
fn answer(refused: Option<Response>, report: &WriteReport) -> Response {
    let mut answer = refused.unwrap_or_else(|| StatusCode::NO_CONTENT.into_response());
    if report.quarantined > 0 {
        answer.headers_mut().insert(QUARANTINED_LINES, report.quarantined.into());
    }
    answer
}

/// The first refused lines, in the form that InfluxDB 3 has for them, and how many there are.
fn lines(report: &WriteReport) -> Map<String, Value> {
    let data: Vec<Value> = report.rejected.named().into_iter().map(entry).collect();
    let mut lines = Map::from_iter([("data".into(), data.into()), ("rejectedCount".into(), report.rejected.count().into())]);
    if report.quarantined > 0 {
        lines.insert("quarantinedCount".into(), report.quarantined.into());
    }
    lines
}

/// A refused line: its number in the body, from 1, why, and its text, or the beginning of that.
fn entry(line: &RejectedLine) -> Value {
    json!({ "original_line": line.text, "line_number": line.number, "error_message": line.reason })
}

fn options(precision: Precision) -> WriteOptions {
    WriteOptions { precision, bad_lines: BadLines::Skip, create: false }
}

async fn write(app: &App, caller: &Caller, target: Target<'_>, call: &Call, options: WriteOptions) -> Result<Written> {
    let written = app.engine.write(caller, target, call.body.clone(), options).await?;
    app.figures.write_bytes.fetch_add(call.body.len() as u64, Ordering::Relaxed);
    app.figures.written_rows.fetch_add(written.report.row_count as u64, Ordering::Relaxed);
    app.figures.rejected_lines.fetch_add(written.report.rejected.count() as u64, Ordering::Relaxed);
    app.figures.quarantined_lines.fetch_add(written.report.quarantined as u64, Ordering::Relaxed);
    Ok(written)
}

/// Lines that could not be read, the first ones, each in a line of its own, in InfluxDB's words.
fn unreadable(report: &WriteReport) -> Option<String> {
    let named = report.rejected.of_kind(Rejected::Unreadable).iter();
    let texts: Vec<String> = named.map(|l| format!("unable to parse '{}': {} (line {})", l.text, l.reason, l.number)).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

/// Rows that clash with stored data, in the words of InfluxDB's store.
fn clashes(report: &WriteReport) -> Option<String> {
    let first = report.rejected.of_kind(Rejected::TypeConflict).first()?;
    Some(format!("partial write: {} dropped={}", first.reason, report.rejected.count_of(Rejected::TypeConflict)))
}

/// Rows older than the bucket keeps, in the words of InfluxDB 2.7.
fn expired(written: &Written) -> Option<String> {
    let (oldest, newest) = written.report.rejected.expired()?;
    let (count, floor) = (written.report.rejected.count_of(Rejected::Expired), rfc3339(written.retention_floor.unwrap_or_default()));
    let point = |line: &RejectedLine| {
        let text = format!("{} at {}", series_of(&line.text), rfc3339(line.time.unwrap_or_default()));
        format!("{text} dropped because it violates a Retention Policy Lower Bound at {floor}")
    };
    let kept = go_duration(written.bucket.retention_ns.unwrap_or_default());
    Some(format!(
        "partial write: dropped {count} points outside retention policy of duration {kept} - oldest point {}, newest point {} dropped={count}",
        point(oldest),
        point(newest)
    ))
}

/// Measurement and tags of a line: what stands before the first space that is not escaped.
fn series_of(line: &str) -> &str {
    let mut escaped = false;
    let end = line.char_indices().find(|(_, c)| {
        let ends = *c == ' ' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(line, |(at, _)| &line[..at])
}

fn refusal_v2(written: &Written) -> Option<Failure> {
    let report = &written.report;
    let stored: Vec<String> = [clashes(report), expired(written)]
        .into_iter()
        .flatten()
        .map(|text| format!("failure writing points to database: {text}"))
        .collect();
    match unreadable(report) {
        None if stored.is_empty() => None,
        None => Some(Failure::new(ErrorKind::Unprocessable, stored.join("\n"))),
        Some(text) => {
            let summary = format!("partial write: {} lines refused, {} stored", report.rejected.count(), report.row_count);
            let parts = std::iter::once(text).chain(stored).chain([summary]);
            Some(Failure::invalid(parts.collect::<Vec<_>>().join("\n")))
        }
    }
}

/// All of them are 400 (InfluxDB 1.8), which its clients take as "do not send this again".
fn refusal_v1(report: &WriteReport) -> Option<Failure> {
    let expired = report.rejected.count_of(Rejected::Expired);
    let parts = [
        unreadable(report).map(|text| format!("partial write: {text} dropped=0")),
        clashes(report),
        (expired > 0).then(|| format!("partial write: points beyond retention policy dropped={expired}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| Failure::invalid(parts.join("\n")))
}

/// The unit of the first timestamp by its size, as InfluxDB 3 guesses it.
fn guess(body: &[u8]) -> Precision {
    let lines = body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|l| !l.is_empty() && l[0] != b'#');
    let last = lines.filter_map(|l| l.rsplit(|b| *b == b' ').next()).find_map(|t| std::str::from_utf8(t).ok()?.parse::<i64>().ok());
    match last.map(i64::unsigned_abs) {
        Some(0..5_000_000_000) => Precision::Second,
        Some(5_000_000_000..5_000_000_000_000) => Precision::Millisecond,
        Some(5_000_000_000_000..5_000_000_000_000_000) => Precision::Microsecond,
        _ => Precision::Nanosecond,
    }
}
