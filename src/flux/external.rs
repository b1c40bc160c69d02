//! The `extern` of a query request: a Flux file as a JSON syntax tree, whose assignments are set before the script runs.
//!
//! Clients send it for bind parameters (Python's `params=` writes `option params = {...}`) and for the profiler; those
//! hold literals only, and only literals are taken.

use super::{
    diagnostic::{FluxError, FluxResult},
    eval::{Value, value::Record},
    pattern,
};
use crate::model::{Duration, duration, time::parse_rfc3339};
use serde_json::Value as Json;
use std::sync::Arc;

/// The assigned names and their values, in order. Members of packages (`profiler.enabledProfilers`) are skipped: they
/// ask for reports beside the answer.
pub fn values(file: &Json) -> FluxResult<Vec<(String, Value)>> {
    let mut out = vec![];
    for statement in file["body"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let assignment = match kind(statement) {
            "OptionStatement" => &statement["assignment"],
            _ => statement,
        };
        match kind(assignment) {
            "VariableAssignment" => out.push((name(&assignment["id"])?, value(&assignment["init"])?)),
            "MemberAssignment" => {}
            other => return Err(refused(other)),
        }
    }
    Ok(out)
}

/// Plain JSON values as a record: the `params` of a request (InfluxDB Cloud). Whole numbers are integers.
pub fn record(values: &serde_json::Map<String, Json>) -> Value {
    Value::Record(Arc::new(values.iter().map(|(name, value)| (name.as_str().into(), plain(value))).collect()))
}

fn plain(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(v) => Value::Bool(*v),
        Json::String(text) => Value::string(text.as_str()),
        Json::Array(values) => Value::Array(Arc::new(values.iter().map(plain).collect())),
        Json::Object(values) => record(values),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(v), _) => Value::Int(v),
            (None, Some(v)) => Value::UInt(v),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
    }
}

fn kind(node: &Json) -> &str {
    node["type"].as_str().unwrap_or("")
}

fn refused(what: &str) -> FluxError {
    FluxError::invalid(format!("extern: `{what}` is not supported; assign literals, arrays and records of literals"))
}

fn malformed(node: &Json) -> FluxError {
    FluxError::invalid(format!("extern: malformed {} {node}", kind(node)))
}

fn name(node: &Json) -> FluxResult<String> {
    let text = node["name"].as_str().or_else(|| node["value"].as_str());
    text.map(str::to_string).ok_or_else(|| malformed(node))
}

fn value(node: &Json) -> FluxResult<Value> {
    let text = || node["value"].as_str();
    // Integers travel as text, because JSON's numbers would round them; some clients send numbers all the same.
    let number = || text().map(str::to_string).or_else(|| node["value"].is_number().then(|| node["value"].to_string()));
    let found = match kind(node) {
        "StringLiteral" => text().map(Value::string),
        "BooleanLiteral" => node["value"].as_bool().map(Value::Bool),
        "IntegerLiteral" => number().and_then(|n| n.parse().ok()).map(Value::Int),
        "UnsignedIntegerLiteral" => number().and_then(|n| n.parse().ok()).map(Value::UInt),
        "FloatLiteral" => number().and_then(|n| n.parse().ok()).map(Value::Float),
        "DateTimeLiteral" => text().and_then(parse_rfc3339).map(Value::Time),
        "DurationLiteral" => duration_of(node).map(Value::Duration),
        "RegexpLiteral" => text().and_then(|t| pattern::compile(t).ok()).map(|r| Value::Regex(Arc::new(r))),
        "ParenExpression" => return value(&node["expression"]),
        "UnaryExpression" => return unary(node),
        "ArrayExpression" => {
            let elements = node["elements"].as_array().map(Vec::as_slice).unwrap_or_default();
            return Ok(Value::Array(Arc::new(elements.iter().map(value).collect::<FluxResult<_>>()?)));
        }
        "ObjectExpression" => {
            let mut record = Record::new();
            for property in node["properties"].as_array().map(Vec::as_slice).unwrap_or_default() {
                record.insert(name(&property["key"])?.into(), value(&property["value"])?);
            }
            return Ok(Value::Record(Arc::new(record)));
        }
        other => return Err(refused(other)),
    };
    found.ok_or_else(|| malformed(node))
}

fn unary(node: &Json) -> FluxResult<Value> {
    let argument = value(&node["argument"])?;
    Ok(match (node["operator"].as_str(), argument) {
        (Some("-"), Value::Int(v)) => Value::Int(v.wrapping_neg()),
        (Some("-"), Value::Float(v)) => Value::Float(-v),
        (Some("-"), Value::Duration(v)) => Value::Duration(v.negate()),
        (Some("+"), v) => v,
        (Some("not"), Value::Bool(v)) => Value::Bool(!v),
        _ => return Err(malformed(node)),
    })
}

fn duration_of(node: &Json) -> Option<Duration> {
    let (mut months, mut nanoseconds) = (0i64, 0i64);
    for part in node["values"].as_array()? {
        let magnitude = part["magnitude"].as_i64()?;
        let unit = match part["unit"].as_str()? {
            "y" => {
                months = months.checked_add(magnitude.checked_mul(12)?)?;
                continue;
            }
            "mo" => {
                months = months.checked_add(magnitude)?;
                continue;
            }
            "w" => duration::WEEK,
            "d" => duration::DAY,
            "h" => duration::HOUR,
            "m" => duration::MINUTE,
            "s" => duration::SECOND,
            "ms" => duration::MILLISECOND,
            "us" | "µs" => duration::MICROSECOND,
            "ns" => 1,
            _ => return None,
        };
        nanoseconds = nanoseconds.checked_add(magnitude.checked_mul(unit)?)?;
    }
    // Clients write a negative duration with negative magnitudes as well as with a unary minus.
    let negative = months < 0 || nanoseconds < 0;
    (months.signum() * nanoseconds.signum() >= 0).then(|| Duration { months: months.abs(), nanoseconds: nanoseconds.abs(), negative })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_python_client_sends_for_params() {
        let property = |name: &str, value: Json| json!({"type": "Property", "key": {"type": "Identifier", "name": name}, "value": value});
        let minus = |node: Json| json!({"type": "UnaryExpression", "operator": "-", "argument": node});
        let hour = json!({"type": "DurationLiteral", "values": [{"magnitude": 3_600_000_000_000i64, "unit": "ns"}]});
        let init = json!({"type": "ObjectExpression", "properties": [
            property("host", json!({"type": "StringLiteral", "value": "a"})),
            property("n", json!({"type": "IntegerLiteral", "value": "5"})),
            property("start", minus(hour)),
            property("all", json!({"type": "ArrayExpression", "elements": [{"type": "FloatLiteral", "value": 1.5}]})),
            property("at", json!({"type": "DateTimeLiteral", "value": "1970-01-01T00:00:01Z"})),
        ]});
        let file = json!({"type": "File", "body": [
            {"type": "OptionStatement", "assignment": {"type": "VariableAssignment", "id": {"type": "Identifier", "name": "params"}, "init": init}},
            {"type": "OptionStatement", "assignment": {"type": "MemberAssignment", "member": {}, "init": {}}},
        ]});
        let got = format!("{:?}", values(&file).expect("values"));
        for part in ["\"params\"", "String(\"a\")", "Int(5)", "negative: true", "Array([Float(1.5)])", "Time(1000000000)"] {
            assert!(got.contains(part), "{part} in {got}");
        }
    }

    #[test]
    fn what_is_not_a_literal_is_refused() {
        let call = json!({"body": [{"type": "VariableAssignment", "id": {"name": "x"}, "init": {"type": "CallExpression"}}]});
        assert!(values(&call).expect_err("a call").message.contains("`CallExpression` is not supported"));
        let odd =
            json!({"body": [{"type": "VariableAssignment", "id": {"name": "x"}, "init": {"type": "IntegerLiteral", "value": "1.5"}}]});
        assert!(values(&odd).expect_err("no integer").message.contains("malformed IntegerLiteral"));
    }
}
