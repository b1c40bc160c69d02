//! `date_bin_gapfill(interval, time[, origin])`, `locf(aggregate)`, `interpolate(aggregate)`: words that SQL replaces while it
//! plans (`sql/gap_fill.rs`), as InfluxDB 3 has them. They are functions only so that the parser finds their names.

use crate::{functions::arguments::is_time, model::Failure};
use arrow::datatypes::DataType;
use datafusion::{
    common::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility},
};

/// Which word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Word {
    DateBinGapfill,
    Locf,
    Interpolate,
}

impl Word {
    pub const ALL: [Word; 3] = [Word::DateBinGapfill, Word::Locf, Word::Interpolate];

    pub fn name(self) -> &'static str {
        match self {
            Word::DateBinGapfill => "date_bin_gapfill",
            Word::Locf => "locf",
            Word::Interpolate => "interpolate",
        }
    }

    /// What is said where the word stands in a place that means nothing.
    pub fn misplaced(self) -> Failure {
        Failure::invalid(match self {
            Word::DateBinGapfill => "date_bin_gapfill(interval, time[, origin]) belongs in GROUP BY, once in a query".to_string(),
            _ => format!("{}(...) takes an aggregate of a query that groups by date_bin_gapfill: {}(avg(value))", self.name(), self.name()),
        })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct GapFillFunction {
    word: Word,
    signature: Signature,
}

impl GapFillFunction {
    pub fn new(word: Word) -> GapFillFunction {
        GapFillFunction { word, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for GapFillFunction {
    fn name(&self) -> &str {
        self.word.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (self.word, types) {
            (Word::DateBinGapfill, [_, time] | [_, time, _]) if is_time(time) => Ok(time.clone()),
            (Word::Locf | Word::Interpolate, [value]) => Ok(value.clone()),
            _ => Err(self.word.misplaced().into()),
        }
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(self.word.misplaced().into())
    }
}
