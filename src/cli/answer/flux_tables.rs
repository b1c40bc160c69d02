//! Flux tables as the `influx` CLI prints them: a heading with the group key, columns of the key first, right-aligned.
//! Columns are as wide as their widest cell; the `influx` CLI cuts cells wider than the first row's.

use crate::{
    format::annotated_csv::{ColumnType, CsvTable},
    model::Result,
};
use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, TimestampNanosecondType},
    util::display::array_value_to_string,
};
use chrono::DateTime;

struct Column {
    header: String,
    cells: Vec<String>,
    width: usize,
}

/// Least width by type, as the `influx` CLI has them.
fn width_min(kind: ColumnType) -> usize {
    match kind {
        ColumnType::Boolean => 12,
        ColumnType::Long => 26,
        ColumnType::UnsignedLong => 27,
        ColumnType::Double => 28,
        ColumnType::String => 22,
        ColumnType::Time => 30,
    }
}

pub fn text(tables: &[CsvTable]) -> Result<String> {
    let mut out = String::new();
    let mut result: Option<&str> = None;
    for table in tables {
        if result != Some(&table.result) {
            out.push_str(&format!("Result: {}\n", table.result));
            result = Some(&table.result);
        }
        out.push_str(&format!("Table: keys: [{}]\n", table.key.join(", ")));
        let schema = table.batch.schema();
        let in_key = |name: &str| table.key.iter().position(|key| key == name);
        let mut order: Vec<usize> = (0..schema.fields().len()).collect();
        order.sort_by_key(|at| in_key(schema.field(*at).name()).unwrap_or(usize::MAX));
        let columns = order.into_iter().map(|at| column(table, at)).collect::<Result<Vec<_>>>()?;
        let mut line = |cell: &dyn Fn(&Column) -> String| {
            let cells: Vec<String> = columns.iter().map(|c| format!("{:>width$}", cell(c), width = c.width)).collect();
            out.push_str(&cells.join("  "));
            out.push('\n');
        };
        line(&|c| c.header.clone());
        line(&|c| "-".repeat(c.width));
        for row in 0..table.batch.num_rows() {
            line(&|c| c.cells[row].clone());
        }
    }
    Ok(out)
}

fn column(table: &CsvTable, at: usize) -> Result<Column> {
    let schema = table.batch.schema();
    let field = schema.field(at);
    let kind = ColumnType::of(field.data_type());
    let name = if kind == ColumnType::Boolean { "boolean" } else { kind.flux_name() };
    let header = format!("{}:{name}", field.name());
    let values = table.batch.column(at);
    let cells = (0..values.len()).map(|row| cell(values, row)).collect::<Result<Vec<_>>>()?;
    let widest = cells.iter().map(|c| c.chars().count()).max().unwrap_or(0);
    let width = width_min(kind).max(header.chars().count()).max(widest);
    Ok(Column { header, cells, width })
}

fn cell(values: &dyn Array, row: usize) -> Result<String> {
    if values.is_null(row) {
        return Ok(String::new());
    }
    Ok(match values.data_type() {
        DataType::Timestamp(..) => {
            let time = values.as_primitive::<TimestampNanosecondType>().value(row);
            DateTime::from_timestamp_nanos(time).format("%Y-%m-%dT%H:%M:%S%.9fZ").to_string()
        }
        DataType::Float64 => values.as_primitive::<arrow::datatypes::Float64Type>().value(row).to_string(),
        _ => array_value_to_string(values, row)?,
    })
}

/// The group key of a table without times: `host=a cpu=cpu0`.
pub fn key_text(table: &CsvTable) -> String {
    let pairs = table.key.iter().zip(&table.key_values).filter(|(name, _)| !matches!(name.as_str(), "_start" | "_stop" | "_measurement"));
    pairs.map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or(""))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::annotated_csv::decode;

    #[test]
    fn keys_come_first_and_cells_are_right_aligned() {
        let csv = "#group,false,false,false,true,false\n#datatype,string,long,dateTime:RFC3339,string,double\n#default,_result,,,,\n,result,table,_time,host,_value\n,,0,2020-01-01T00:00:00Z,a,1.5\n,,0,2020-01-01T00:00:10.5Z,a,\n";
        let shown = text(&decode(csv).expect("annotated CSV")).expect("text");
        let expected = "Result: _result
Table: keys: [host]
           host:string                      _time:time                  _value:float
----------------------  ------------------------------  ----------------------------
                     a  2020-01-01T00:00:00.000000000Z                           1.5
                     a  2020-01-01T00:00:10.500000000Z                              
";
        assert_eq!(shown, expected);
    }
}
