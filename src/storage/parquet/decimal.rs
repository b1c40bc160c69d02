//! Floats of few digits, kept as what people wrote: whole numbers of tenths, hundredths ... in a Parquet DECIMAL column.
//!
//! Readings are mostly decimal (`21.5`, `99.87`): as doubles all their bits change from one to the next, as scaled integers they
//! are small steps, which delta packing makes about half as large as a dictionary does and several times quicker to read. Nothing is
//! rounded: a column is DECIMAL(18, s) only when every value `v` of it is the double that is closest to some `i / 10^s`, and DOUBLE
//! otherwise. Reading divides again, which gives that very double.

use super::file::FileReader;
use crate::model::{Failure, FieldType, MeasurementSchema, Result};
use crate::storage::manifest::FileMeta;
use arrow::{
    array::{Array, ArrayRef, AsArray, Decimal64Array, Float64Array},
    datatypes::{DataType, Decimal64Type, Field, Float64Type, Schema},
    record_batch::RecordBatch,
};
use parquet::{
    basic::{DecimalType, LogicalType},
    file::{metadata::RowGroupMetaData, statistics::Statistics},
    schema::types::ColumnDescriptor,
};
use std::{collections::BTreeMap, sync::Arc};

/// Digits of the integers; Parquet keeps up to 18 of them in 64 bits.
const PRECISION: u8 = 18;
/// An integer is never greater: doubles tell integers of 15 digits apart, whatever they are divided by.
const LARGEST: f64 = 1e15;
/// 2^52 + 2^51: added to a number smaller than 2^51, it leaves no place for a fraction, so that the sum is rounded.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Which float columns of a file are decimal, and with how many digits after the point.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decimals(BTreeMap<Arc<str>, u8>);

/// The values of one column, in one file.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Extent {
    scale: u8,
    /// Of the scaled integers.
    largest: f64,
}

impl Extent {
    /// What holds both, if anything does.
    fn join(self, other: Extent) -> Option<Extent> {
        let scale = self.scale.max(other.scale);
        let at_scale = |e: Extent| e.largest * POWERS[usize::from(scale - e.scale)];
        let largest = at_scale(self).max(at_scale(other));
        (largest <= LARGEST).then_some(Extent { scale, largest })
    }
}

/// The integer that is `v` at a scale.
fn scaled(v: f64, power: f64) -> Option<f64> {
    let product = v * power;
    let whole = product + ROUNDER - ROUNDER;
    // The comparison of bits refuses NaN, infinities and negative zero.
    (product.abs() <= LARGEST && (whole / power).to_bits() == v.to_bits()).then_some(whole)
}

fn extent(values: &Float64Array) -> Option<Extent> {
    let mut found = Extent::default();
    for v in values.iter().flatten() {
        let whole = loop {
            let power = POWERS[usize::from(found.scale)];
            match scaled(v, power) {
                Some(whole) => break whole,
                None if usize::from(found.scale) + 1 == POWERS.len() => return None,
                None => {
                    found.scale += 1;
                    found.largest *= 10.0;
                }
            }
        };
        found.largest = found.largest.max(whole.abs());
    }
    (found.largest <= LARGEST).then_some(found)
}

impl Decimals {
    /// Of rows that are to become a file.
    pub fn of_rows(rows: &RecordBatch) -> Decimals {
        let fields = rows.schema_ref().fields().iter().zip(rows.columns());
        let scale = |(field, column): (&Arc<Field>, &ArrayRef)| {
            let values = column.as_primitive_opt::<Float64Type>()?;
            Some((field.name().as_str().into(), extent(values)?.scale))
        };
        Decimals(fields.filter_map(scale).collect())
    }

    /// Of files that are to be merged: a column that is decimal in each of them stays so.
    pub async fn of_files(reader: &FileReader, schema: &MeasurementSchema, files: &[Arc<FileMeta>]) -> Result<Decimals> {
        let floats = schema.fields.iter().filter(|(_, of)| **of == FieldType::Float);
        let mut known: BTreeMap<Arc<str>, Option<Extent>> = floats.map(|(name, _)| (name.clone(), Some(Extent::default()))).collect();
        for file in files {
            let footer = reader.footer(file).await?;
            let columns = footer.metadata().file_metadata().schema_descr().columns().iter();
            for (leaf, column) in columns.enumerate() {
                if let Some(all) = known.get_mut(column.name()) {
                    let here = scale(column).and_then(|scale| recorded(scale, leaf, footer.metadata().row_groups()));
                    *all = all.zip(here).and_then(|(all, here)| all.join(here));
                }
            }
        }
        Ok(Decimals(known.into_iter().filter_map(|(name, extent)| Some((name, extent?.scale))).collect()))
    }

    /// The type in a file of a column that has another in memory.
    pub fn stored(&self, name: &str) -> Option<DataType> {
        self.0.get(name).map(|&scale| stored_type(scale))
    }

    /// The rows as they are stored. Fails when a value is no decimal of its column's scale.
    pub fn encode(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let column = |(field, column): (&Arc<Field>, &ArrayRef)| {
            let Some(&scale) = self.0.get(field.name().as_str()) else { return Ok((field.clone(), column.clone())) };
            let stored: ArrayRef = Arc::new(encode(column.as_primitive(), scale).ok_or_else(|| {
                Failure::internal(format!("`{}` has a value that is no decimal of {scale} digits after the point", field.name()))
            })?);
            Ok((Arc::new(field.as_ref().clone().with_data_type(stored_type(scale))), stored))
        };
        let stored: Result<(Vec<_>, Vec<_>)> = rows.schema_ref().fields().iter().zip(rows.columns()).map(column).collect();
        let (fields, columns) = stored?;
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
    }
}

/// Of a decimal column of ours.
pub fn scale(column: &ColumnDescriptor) -> Option<u8> {
    match column.logical_type_ref() {
        Some(LogicalType::Decimal(DecimalType { scale, .. })) => {
            u8::try_from(*scale).ok().filter(|scale| usize::from(*scale) < POWERS.len())
        }
        _ => None,
    }
}

pub fn stored_type(scale: u8) -> DataType {
    DataType::Decimal64(PRECISION, scale as i8)
}

/// The doubles of a decimal column; any other as it is.
pub fn decode(column: ArrayRef) -> ArrayRef {
    let DataType::Decimal64(_, scale) = column.data_type() else { return column };
    let power = POWERS[usize::from(scale.unsigned_abs()).min(POWERS.len() - 1)];
    Arc::new(column.as_primitive::<Decimal64Type>().unary::<_, Float64Type>(|whole| whole as f64 / power))
}

fn encode(values: &Float64Array, scale: u8) -> Option<Decimal64Array> {
    let power = POWERS[usize::from(scale)];
    let mut fits = true;
    let wholes = values.values().iter().enumerate().map(|(row, &v)| match scaled(v, power) {
        Some(whole) => whole as i64,
        None => {
            // What stands under a null is no value.
            fits &= values.is_null(row);
            0
        }
    });
    let wholes: Vec<i64> = wholes.collect();
    let wholes = Decimal64Array::new(wholes.into(), values.nulls().cloned());
    fits.then_some(wholes.with_data_type(stored_type(scale)))
}

/// What the statistics of a decimal column say.
fn recorded(scale: u8, leaf: usize, groups: &[RowGroupMetaData]) -> Option<Extent> {
    let mut largest = 0.0f64;
    for group in groups {
        let column = group.column(leaf);
        let Statistics::Int64(bounds) = column.statistics()? else { return None };
        match (bounds.min_opt(), bounds.max_opt()) {
            (Some(min), Some(max)) => largest = largest.max((*min as f64).abs()).max((*max as f64).abs()),
            _ if bounds.null_count_opt() == Some(column.num_values() as u64) => {}
            _ => return None,
        }
    }
    Some(Extent { scale, largest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn extent_of(values: &[f64]) -> Option<(u8, f64)> {
        extent(&Float64Array::from(values.to_vec())).map(|e| (e.scale, e.largest))
    }

    #[test]
    fn the_scale_is_the_least_that_holds_every_value() {
        assert_eq!(extent_of(&[]), Some((0, 0.0)));
        assert_eq!(extent_of(&[3.0, -1e15, 0.0]), Some((0, 1e15)));
        assert_eq!(extent_of(&[99.87, 21.5, -0.1, 1000.0]), Some((2, 100_000.0)));
        assert_eq!(extent_of(&[0.1 + 0.2]), None);
        assert_eq!(extent_of(&[0.000_000_000_000_001, 0.5]), Some((15, 5e14)));
        assert_eq!(extent_of(&[0.000_000_000_000_001, 1.5]), None, "16 digits");
        assert_eq!(extent_of(&[2e15]), None);
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MIN_POSITIVE, f64::MAX] {
            assert_eq!(extent_of(&[1.0, odd]), None, "{odd}");
        }
    }

    #[test]
    fn files_are_decimal_together_while_fifteen_digits_are_enough() {
        let of = |scale, largest| Extent { scale, largest };
        assert_eq!(of(2, 9_987.0).join(of(0, 40.0)), Some(of(2, 9_987.0)));
        assert_eq!(of(2, 10.0).join(of(0, 40.0)), Some(of(2, 4_000.0)));
        assert_eq!(of(15, 1.0).join(of(0, 1.0)), Some(of(15, 1e15)));
        assert_eq!(of(15, 1.0).join(of(0, 2.0)), None);
        assert_eq!(Extent::default().join(of(3, 7.0)), Some(of(3, 7.0)));
    }

    #[test]
    fn what_stands_under_a_null_does_not_matter() {
        let values = Float64Array::new(vec![1.25, f64::NAN].into(), Some(vec![true, false].into()));
        let stored: ArrayRef = Arc::new(encode(&values, 2).expect("a null is no value"));
        assert_eq!(decode(stored).as_primitive::<Float64Type>(), &values);
        assert!(encode(&Float64Array::from(vec![1.25, f64::NAN]), 2).is_none());
        assert!(encode(&Float64Array::from(vec![1.25]), 1).is_none());
    }

    proptest! {
        /// Whatever is taken for decimals comes back bit for bit, and whatever was written with up to 15 digits is.
        #[test]
        fn values_come_back_bit_for_bit(
            written in prop::collection::vec((-999_999_999_999_999i64..1_000_000_000_000_000, 0u32..12), 0..20),
            any in prop::collection::vec(any::<f64>(), 0..3),
        ) {
            let decimal: Vec<f64> = written.iter().map(|(digits, scale)| format!("{digits}e-{scale}").parse().expect("a number")).collect();
            for value in decimal.iter().filter(|v| **v != 0.0) {
                prop_assert!(extent_of(&[*value]).is_some(), "{value}");
            }
            let values = Float64Array::from([decimal, any].concat());
            if let Some(extent) = extent(&values) {
                let stored: ArrayRef = Arc::new(encode(&values, extent.scale).expect("its own scale"));
                let bits = |a: &Float64Array| a.values().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                prop_assert_eq!(bits(decode(stored).as_primitive()), bits(&values));
            }
        }
    }
}
