//! Series of InfluxQL as the shell of InfluxDB 1.x prints them: name, tags, columns.

use super::Series;
use serde_json::Value;

pub fn series(answer: &Value) -> impl Iterator<Item = &Value> {
    let results = answer["results"].as_array().into_iter().flatten();
    results.flat_map(|result| result["series"].as_array().into_iter().flatten())
}

pub fn text(answer: &Value) -> String {
    let mut out = String::new();
    for result in answer["results"].as_array().into_iter().flatten() {
        for message in result["messages"].as_array().into_iter().flatten() {
            out.push_str(&format!("{}: {}\n", cell(&message["level"]), cell(&message["text"])));
        }
        for series in result["series"].as_array().into_iter().flatten() {
            if let Some(name) = series["name"].as_str() {
                out.push_str(&format!("name: {name}\n"));
            }
            if let Some(tags) = tags(series) {
                out.push_str(&format!("tags: {tags}\n"));
            }
            out.push_str(&table(series));
            out.push('\n');
        }
    }
    out
}

fn tags(series: &Value) -> Option<String> {
    let tags = series["tags"].as_object()?;
    Some(tags.iter().map(|(name, value)| format!("{name}={}", cell(value))).collect::<Vec<_>>().join(", "))
}

fn names(series: &Value) -> Vec<String> {
    series["columns"].as_array().into_iter().flatten().map(cell).collect()
}

fn rows(series: &Value) -> impl Iterator<Item = &Vec<Value>> {
    series["values"].as_array().into_iter().flatten().filter_map(Value::as_array)
}

fn table(series: &Value) -> String {
    let names = names(series);
    let rules = names.iter().map(|name| "-".repeat(name.chars().count())).collect();
    let lines: Vec<Vec<String>> = [names, rules].into_iter().chain(rows(series).map(|row| row.iter().map(cell).collect())).collect();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join(" ").trim_end());
        out.push('\n');
    }
    out
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Columns that hold numbers, but the time.
pub fn numbers(series: &Value) -> Vec<Series> {
    let own = [series["name"].as_str().map(str::to_string), tags(series)].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let column = |(at, name): (usize, String)| {
        let values: Vec<Option<f64>> = rows(series).map(|row| row.get(at).and_then(Value::as_f64)).collect();
        (name != "time" && values.iter().any(Option::is_some)).then(|| Series { name: format!("{name} {own}").trim().into(), values })
    };
    names(series).into_iter().enumerate().filter_map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn series_are_printed_as_the_1x_shell_does() {
        let answer = json!({ "results": [{ "statement_id": 0, "series": [{
            "name": "cpu", "tags": { "host": "a" }, "columns": ["time", "mean"], "values": [[1000, 0.5], [2000, null]],
        }]}]});
        assert_eq!(text(&answer), "name: cpu\ntags: host=a\ntime mean\n---- ----\n1000 0.5\n2000\n\n");
        let series: Vec<Series> = series(&answer).flat_map(numbers).collect();
        assert_eq!((series[0].name.as_str(), series[0].values.clone()), ("mean cpu host=a", vec![Some(0.5), None]));
    }
}
