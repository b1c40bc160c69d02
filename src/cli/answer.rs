//! What a server answered a question with, for people: as tables, and as numbers to draw.

mod flux_tables;
mod influxql_tables;

use super::plot::Series;
use crate::{
    format::annotated_csv::CsvTable,
    model::{Failure, Result},
};
use arrow::{
    array::{AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type},
    ipc::reader::StreamReader,
    util::pretty::pretty_format_batches,
};
use serde_json::Value;

pub enum Answer {
    Flux(Vec<CsvTable>),
    /// The answer of the 1.x API.
    InfluxQl(Value),
    Sql(Vec<RecordBatch>),
}

/// Batches of an Arrow IPC stream.
pub fn batches(bytes: &[u8]) -> Result<Vec<RecordBatch>> {
    let reader = StreamReader::try_new(bytes, None)?;
    Ok(reader.collect::<Result<Vec<_>, _>>()?)
}

impl Answer {
    pub fn text(&self) -> Result<String> {
        match self {
            Answer::Flux(tables) => flux_tables::text(tables),
            Answer::InfluxQl(answer) => Ok(influxql_tables::text(answer)),
            Answer::Sql(batches) if self.row_count() == 0 && batches.is_empty() => Ok(String::new()),
            Answer::Sql(batches) => Ok(format!("{}\n", pretty_format_batches(batches)?)),
        }
    }

    /// A failure that came with the answer: of InfluxQL, the first statement's that failed.
    pub fn failure(&self) -> Option<Failure> {
        let Answer::InfluxQl(answer) = self else { return None };
        let mut results = answer["results"].as_array().into_iter().flatten();
        results.find_map(|result| result["error"].as_str()).map(Failure::invalid)
    }

    pub fn row_count(&self) -> usize {
        match self {
            Answer::Flux(tables) => tables.iter().map(|t| t.batch.num_rows()).sum(),
            Answer::InfluxQl(answer) => influxql_tables::series(answer).map(|s| s["values"].as_array().map_or(0, Vec::len)).sum(),
            Answer::Sql(batches) => batches.iter().map(RecordBatch::num_rows).sum(),
        }
    }

    /// The columns of numbers, each table's by itself.
    pub fn series(&self) -> Vec<Series> {
        match self {
            Answer::Flux(tables) => tables
                .iter()
                .flat_map(|table| {
                    let key = flux_tables::key_text(table);
                    let numbers = numbers(std::slice::from_ref(&table.batch), &table.key);
                    numbers.into_iter().map(move |series| Series { name: format!("{} {key}", series.name).trim().into(), ..series })
                })
                .collect(),
            Answer::InfluxQl(answer) => influxql_tables::series(answer).flat_map(influxql_tables::numbers).collect(),
            Answer::Sql(batches) => numbers(batches, &[]),
        }
    }
}

/// Columns of numbers but those left out.
fn numbers(batches: &[RecordBatch], without: &[String]) -> Vec<Series> {
    let Some(first) = batches.first() else { return vec![] };
    let mut out = vec![];
    for (at, field) in first.schema().fields().iter().enumerate() {
        if !field.data_type().is_numeric() || without.contains(field.name()) {
            continue;
        }
        let mut values = vec![];
        for batch in batches {
            // Every number can be cast to a float.
            if let Ok(column) = cast(batch.column(at), &DataType::Float64) {
                values.extend(column.as_primitive::<Float64Type>().iter());
            }
        }
        out.push(Series { name: field.name().clone(), values });
    }
    out
}
