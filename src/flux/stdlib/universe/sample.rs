//! `sample`: every n-th row of each table.

use crate::flux::{
    diagnostic::{FluxError, FluxResult},
    eval::Value,
    stdlib::{Call, Function, tables::each},
};
use arrow::{array::UInt64Array, compute::take_record_batch};

pub static FUNCTION: Function = Function {
    name: "sample",
    signature: "(<-tables: stream[A], n: int, ?pos: int, ?column: string) => stream[A]",
    summary: "Picks every `n`-th row of each table, beginning at row `pos`; without `pos`, at a row that the query's instant decides.",
    examples: &[],
    call: sample,
};

fn sample(call: &mut Call<'_>) -> FluxResult<Value> {
    let n = call.required::<i64>("n")?;
    let column = call.column_name("column", "_value")?;
    if n <= 0 {
        return Err(FluxError::invalid(format!("sample: n must be a positive integer, but was {n}")).at(call.span));
    }
    let pos = match call.optional::<i64>("pos")? {
        Some(pos) if pos >= n => {
            return Err(FluxError::invalid(format!("sample: pos must be less than n, but {pos} >= {n}")).at(call.span));
        }
        Some(pos) if pos >= 0 => pos,
        _ => call.context().now().rem_euclid(n),
    };
    each(call, |frame| {
        if !frame.has(&column) {
            return frame.fail("sample", format!("sample: no column \"{column}\" exists"));
        }
        frame.whole_tables("sample", frame.schema(), frame.key.clone(), true, move |_, rows| {
            let picked = UInt64Array::from_iter_values((pos as u64..rows.num_rows() as u64).step_by(n as usize));
            Ok(take_record_batch(rows, &picked)?)
        })
    })
}
