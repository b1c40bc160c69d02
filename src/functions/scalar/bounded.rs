//! Functions of DataFusion's, and its operator `||`, whose answer may be far larger than their arguments, with a look at its size before it is made.
//!
//! An allocation that fails ends the process, and these make all rows of a batch in one go, so whoever calls them has to know
//! beforehand. Sizes are estimated: never far below what the function makes.

use crate::memory;
use arrow::{
    array::{Array, AsArray, Int64Array},
    compute::{cast, concat, kernels::concat_elements::concat_elements_dyn},
    datatypes::{DataType, FieldRef, Int64Type, TimeUnit},
};
use datafusion::{
    common::{
        DataFusionError, Result, ScalarValue, internal_err,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        BinaryExpr, ColumnarValue, Documentation, Expr, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
        ScalarUDFImpl, Signature, Volatility, binary::BinaryTypeCoercer, expr::ScalarFunction,
    },
};
use std::{
    cell::OnceCell,
    hash::{Hash, Hasher},
    sync::{Arc, LazyLock},
};

/// About how many bytes a call makes.
type Estimate = fn(&Arguments<'_>) -> usize;

/// By name; names that mean the same function are those of DataFusion.
const ESTIMATES: &[(&[&str], Estimate)] = &[
    (&["repeat"], |a| a.sum(|row| a.bytes(0, row).saturating_mul(a.number(1, row)))),
    // A character has up to four bytes.
    (&["lpad", "rpad"], |a| a.sum(|row| a.number(1, row).saturating_mul(4))),
    (&["range", "generate_series"], |a| a.sum(|row| a.steps(row).saturating_mul(8))),
    (&["array_repeat"], |a| a.sum(|row| a.bytes(0, row).max(8).saturating_mul(a.number(1, row)))),
    (&["array_resize"], |a| a.sum(|row| a.number(1, row).saturating_mul(a.bytes(2, row).max(8)).saturating_add(a.bytes(0, row)))),
    (&["replace"], |a| a.sum(|row| replaced(a.bytes(0, row), a.bytes(1, row), a.bytes(2, row)))),
    // Groups in the replacement stand for parts of what was matched, a byte of text behind every two of it at most.
    (&["regexp_replace"], |a| {
        a.sum(|row| replaced(a.bytes(0, row), 1, a.bytes(2, row)).saturating_add(a.bytes(0, row).saturating_mul(a.bytes(2, row)) / 2))
    }),
    (&["array_to_string"], |a| a.sum(|row| a.bytes(0, row).saturating_add(a.bytes(0, row).saturating_mul(a.bytes(1, row).max(1))))),
    // An element is an offset, or a view.
    (&["string_to_array"], |a| a.sum(|row| a.bytes(0, row).saturating_mul(17))),
    (&["concat_ws"], |a| a.sum(|row| a.all_bytes(row).saturating_add(a.bytes(0, row).saturating_mul(a.count())))),
    (&["concat", "array_concat", "array_append", "array_prepend", "array_insert", "make_array", "struct", "named_struct", "map"], |a| {
        a.sum(|row| a.all_bytes(row))
    }),
];

/// What becomes of `text` bytes when `from` bytes of it become `to`, as often as there may be any.
fn replaced(text: usize, from: usize, to: usize) -> usize {
    text.saturating_add((text / from.max(1) + usize::from(from == 0)).saturating_mul(to.saturating_sub(from)))
}

/// The plan with every such call in it looked at before it is made.
pub fn bound(plan: LogicalPlan) -> Result<LogicalPlan> {
    let bounded = plan.transform_up_with_subqueries(|node| node.map_expressions(|expr| expr.transform_up(|expr| Ok(bounded(expr)))))?;
    Ok(bounded.data)
}

fn bounded(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::ScalarFunction(call) => match of(&call.func) {
            Some(func) => Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(func), call.args))),
            None => Transformed::no(Expr::ScalarFunction(call)),
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => Transformed::yes(joined(*left, *right)),
        other => Transformed::no(other),
    }
}

/// `left || right`, looked at before it is made. A chain of them is one call: it may be of thousands.
pub fn joined(left: Expr, right: Expr) -> Expr {
    let mut args = match left {
        Expr::ScalarFunction(call) if call.func.inner().is::<Join>() => call.args,
        left => vec![left],
    };
    args.push(right);
    Expr::ScalarFunction(ScalarFunction::new_udf(JOIN.clone(), args))
}

static JOIN: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::from(Join { signature: Signature::user_defined(Volatility::Immutable) })));

/// DataFusion's operator `||` of texts, of two or more.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Join {
    signature: Signature,
}

impl ScalarUDFImpl for Join {
    fn name(&self) -> &str {
        "||"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|arg| arg.schema_name().to_string()).collect::<Vec<_>>().join(" || "))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![self.return_type(types)?; types.len()])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let [first, others @ ..] = types else { return internal_err!("`||` has two sides") };
        others
            .iter()
            .try_fold(first.clone(), |before, next| BinaryTypeCoercer::new(&before, &Operator::StringConcat, next).get_result_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bytes = |value: &ColumnarValue| match value {
            ColumnarValue::Array(array) => text_bytes(array.as_ref()),
            scalar => Argument::of(scalar).bytes(0).saturating_mul(args.number_rows),
        };
        let answer = args.args.iter().map(bytes).fold(0, usize::saturating_add);
        // In a chain, what is joined so far is there beside what comes of it.
        let times = if args.args.len() > 2 { 2 } else { 1 };
        memory::allow(answer.saturating_mul(times), self.name())?;
        let mut sides = args.args.iter().map(|arg| arg.to_array(args.number_rows));
        let Some(first) = sides.next() else { return internal_err!("`||` has two sides") };
        let joined = sides.try_fold(first?, |before, next| Ok::<_, DataFusionError>(concat_elements_dyn(&before, &next?)?))?;
        Ok(ColumnarValue::Array(joined))
    }
}

/// Of all texts of a column, or more.
fn text_bytes(array: &dyn Array) -> usize {
    match array.data_type() {
        DataType::Utf8 => {
            let offsets = array.as_string::<i32>().value_offsets();
            (offsets[offsets.len() - 1] - offsets[0]) as usize
        }
        _ => array.get_array_memory_size(),
    }
}

/// `None`: its answer cannot be much larger than its arguments.
fn of(function: &ScalarUDF) -> Option<ScalarUDF> {
    if function.inner().is::<Bounded>() {
        return None;
    }
    let (_, estimate) = ESTIMATES.iter().find(|(names, _)| names.contains(&function.name()))?;
    Some(ScalarUDF::from(Bounded { inner: Arc::new(function.clone()), estimate: *estimate }))
}

/// Arguments of a call, row by row.
struct Arguments<'a> {
    columns: Vec<Argument<'a>>,
    row_count: usize,
}

struct Argument<'a> {
    value: &'a ColumnarValue,
    /// As numbers, one per row or one for all; `None`: it is none.
    numbers: OnceCell<Option<Int64Array>>,
    /// Bytes of an element of lists, which is near enough where elements differ: all of them are in memory already.
    element_bytes: OnceCell<usize>,
}

impl<'a> Arguments<'a> {
    fn of(args: &'a ScalarFunctionArgs) -> Arguments<'a> {
        Arguments { columns: args.args.iter().map(Argument::of).collect(), row_count: args.number_rows }
    }

    /// Over all rows; where every argument is one value for all of them, so is the answer.
    fn sum(&self, bytes: impl Fn(usize) -> usize) -> usize {
        let is_one = self.columns.iter().all(|column| matches!(column.value, ColumnarValue::Scalar(_)));
        (0..if is_one { 1 } else { self.row_count }).map(bytes).fold(0, usize::saturating_add)
    }

    fn count(&self) -> usize {
        self.columns.len()
    }

    /// Bytes of a value; zero for an argument that was not given.
    fn bytes(&self, argument: usize, row: usize) -> usize {
        self.columns.get(argument).map_or(0, |column| column.bytes(row))
    }

    fn all_bytes(&self, row: usize) -> usize {
        self.columns.iter().fold(0, |sum, column| sum.saturating_add(column.bytes(row)))
    }

    /// A number; zero where it is negative, null or none.
    fn number(&self, argument: usize, row: usize) -> usize {
        self.integer(argument, row).map_or(0, |number| usize::try_from(number).unwrap_or(0))
    }

    fn integer(&self, argument: usize, row: usize) -> Option<i64> {
        self.columns.get(argument)?.integer(row)
    }

    /// Elements from the first argument to the second (from 0 where there is one only) by steps of the third, numbers or times.
    fn steps(&self, row: usize) -> usize {
        let (start, stop) = match self.count() {
            1 => (0, self.integer(0, row).unwrap_or(0)),
            _ => (self.integer(0, row).unwrap_or(0), self.integer(1, row).unwrap_or(0)),
        };
        let unit_ns = self.columns.first().map_or(1, |first| unit_ns(&first.value.data_type()));
        let step = match self.columns.get(2).map(|step| (step, step.value.data_type())) {
            Some((step, DataType::Interval(_))) => step.interval_ns(row) / unit_ns,
            Some((step, _)) => step.integer(row).map_or(1, i64::unsigned_abs).into(),
            None => 1,
        };
        let count = (i128::from(stop) - i128::from(start)).unsigned_abs() / step.max(1) + 1;
        usize::try_from(count).unwrap_or(usize::MAX)
    }
}

impl<'a> Argument<'a> {
    fn of(value: &'a ColumnarValue) -> Argument<'a> {
        Argument { value, numbers: OnceCell::new(), element_bytes: OnceCell::new() }
    }

    fn bytes(&self, row: usize) -> usize {
        match self.value {
            ColumnarValue::Array(array) => self.value_bytes(array.as_ref(), row),
            ColumnarValue::Scalar(value) => match value {
                ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => {
                    text.as_ref().map_or(0, String::len)
                }
                ScalarValue::List(list) => self.value_bytes(list.as_ref(), 0),
                other => other.size(),
            },
        }
    }

    fn value_bytes(&self, array: &dyn Array, row: usize) -> usize {
        match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().value_length(row) as usize,
            DataType::LargeUtf8 => array.as_string::<i64>().value_length(row) as usize,
            // The length is the lower half of a view.
            DataType::Utf8View => array.as_string_view().views()[row] as u32 as usize,
            DataType::Dictionary(_, values) if **values == DataType::Utf8 => match array.as_any_dictionary_opt() {
                Some(dictionary) if dictionary.is_valid(row) => {
                    self.value_bytes(dictionary.values().as_ref(), dictionary.normalized_keys()[row])
                }
                _ => 0,
            },
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let elements = list.value_length(row) as usize;
                let all = list.values();
                let size = || all.to_data().get_slice_memory_size().unwrap_or(0) / all.len().max(1);
                elements * *self.element_bytes.get_or_init(size)
            }
            other => other.primitive_width().unwrap_or(16),
        }
    }

    fn integer(&self, row: usize) -> Option<i64> {
        let numbers = self.numbers.get_or_init(|| {
            let array = match self.value {
                ColumnarValue::Scalar(value) => value.to_array().ok()?,
                ColumnarValue::Array(array) => array.clone(),
            };
            // Days first become 32-bit numbers.
            let array = if array.data_type() == &DataType::Date32 { cast(&array, &DataType::Int32).ok()? } else { array };
            cast(&array, &DataType::Int64).ok()?.as_primitive_opt::<Int64Type>().cloned()
        });
        let numbers = numbers.as_ref()?;
        let row = if matches!(self.value, ColumnarValue::Scalar(_)) { 0 } else { row };
        numbers.is_valid(row).then(|| numbers.value(row))
    }

    /// Nanoseconds of an interval; months count as the shortest.
    fn interval_ns(&self, row: usize) -> u128 {
        const DAY_NS: i128 = 86_400_000_000_000;
        let value = match self.value {
            ColumnarValue::Scalar(value) => Ok(value.clone()),
            ColumnarValue::Array(array) => ScalarValue::try_from_array(array, row),
        };
        let ns = match value {
            Ok(ScalarValue::IntervalMonthDayNano(Some(v))) => {
                i128::from(v.months) * 28 * DAY_NS + i128::from(v.days) * DAY_NS + i128::from(v.nanoseconds)
            }
            Ok(ScalarValue::IntervalDayTime(Some(v))) => i128::from(v.days) * DAY_NS + i128::from(v.milliseconds) * 1_000_000,
            Ok(ScalarValue::IntervalYearMonth(Some(v))) => i128::from(v) * 28 * DAY_NS,
            _ => 1,
        };
        ns.unsigned_abs()
    }
}

/// Nanoseconds that stand between two numbers of a type of times.
fn unit_ns(data_type: &DataType) -> u128 {
    match data_type {
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        DataType::Date32 => 86_400_000_000_000,
        _ => 1,
    }
}

/// Estimates are high: past so many bytes rows are made in parts, and the parts tell what they really came to.
const PART_BYTES: usize = 16 << 20;

/// The call, when there is room for what it makes.
fn invoke(
    name: &str,
    args: ScalarFunctionArgs,
    estimate: Estimate,
    call: &dyn Fn(ScalarFunctionArgs) -> Result<ColumnarValue>,
) -> Result<ColumnarValue> {
    let (bytes, row_count) = (estimate(&Arguments::of(&args)), args.number_rows);
    let is_one = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    if bytes <= PART_BYTES || row_count < 2 || is_one {
        memory::allow(bytes, name)?;
        return call(args);
    }
    let part = |from: usize, count: usize| {
        let cut = |value: &ColumnarValue| match value {
            ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, count)),
            scalar => scalar.clone(),
        };
        let part = ScalarFunctionArgs {
            args: args.args.iter().map(cut).collect(),
            arg_fields: args.arg_fields.clone(),
            number_rows: count,
            return_field: args.return_field.clone(),
            config_options: args.config_options.clone(),
        };
        invoke(name, part, estimate, call)?.into_array(count)
    };
    let half = row_count / 2;
    let (first, second) = (part(0, half)?, part(half, row_count - half)?);
    memory::allow(first.get_array_memory_size() + second.get_array_memory_size(), name)?;
    Ok(ColumnarValue::Array(concat(&[first.as_ref(), second.as_ref()])?))
}

/// A function, and what it makes.
#[derive(Debug)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    estimate: Estimate,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        invoke(self.name(), args, self.estimate, &|args| self.inner.invoke_with_args(args))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::SessionContext;

    /// The first value of a query's answer, as text, or how it failed.
    async fn answer(text: &str) -> std::result::Result<String, String> {
        let session = SessionContext::new();
        let run = async {
            let plan = bound(session.state().create_logical_plan(text).await?)?;
            let rows = session.execute_logical_plan(plan).await?.collect().await?;
            arrow::util::display::array_value_to_string(rows[0].column(0), 0).map_err(Into::into)
        };
        run.await.map_err(|e: datafusion::error::DataFusionError| crate::model::Failure::from(e).message)
    }

    #[tokio::test]
    async fn what_would_be_too_large_is_refused_before_it_is_made() {
        const HUGE: &str = "1000000000000";
        let calls = [
            ("repeat", format!("repeat(s, {HUGE})")),
            ("lpad", "lpad(s, 2000000000)".into()),
            ("rpad", "rpad(s, 2000000000, 'xy')".into()),
            ("range", format!("range({HUGE})")),
            ("generate_series", format!("generate_series(n, {HUGE})")),
            ("generate_series", format!("generate_series({HUGE}, n, -1)")),
            ("generate_series", "generate_series(timestamp '2000-01-01', timestamp '2100-01-01', interval '1 millisecond')".into()),
            ("array_repeat", format!("array_repeat(s, {HUGE})")),
            ("array_resize", format!("array_resize([n], {HUGE}, 0)")),
            ("replace", "replace(repeat('a', 1000000), 'a', repeat('b', 1000000))".into()),
            ("regexp_replace", "regexp_replace(repeat('a', 1000000), 'a', repeat('b', 1000000), 'g')".into()),
            ("array_to_string", "array_to_string(range(1000000), repeat('b', 1000000))".into()),
        ];
        for (name, call) in calls {
            let refused = answer(&format!("select length({call}::text) from (values ('a', 1)) t (s, n)")).await.expect_err(&call);
            assert!(refused.starts_with(&format!("memory allocation limit reached: {name} would make ")), "{call}: {refused}");
        }
        let wide = "select max(length(s || repeat('b', 100000))) from (select 'ab' s from generate_series(1, 5000))";
        let refused = answer(wide).await.expect_err("a gigabyte");
        assert!(refused.starts_with("memory allocation limit reached: || would make "), "{refused}");
    }

    #[tokio::test]
    async fn answers_are_those_of_the_functions_themselves() {
        for (call, want) in [
            ("repeat(s, n)", "abab"),
            ("s || s || 'c'", "ababc"),
            ("s || NULL", ""),
            ("s || n", "ab2"),
            ("arrow_cast(s, 'Dictionary(Int32, Utf8)') || s", "abab"),
            ("'x' || 'y'", "xy"),
            ("[n] || [3]", "[2, 3]"),
            ("lpad(s, 4)", "  ab"),
            ("range(n)", "[0, 1]"),
            ("generate_series(date '2000-01-01', date '2000-01-02', interval '1 day')", "[2000-01-01, 2000-01-02]"),
            ("array_repeat(s, n)", "[ab, ab]"),
            ("replace(s, 'a', 'xyz')", "xyzb"),
            ("regexp_replace(s, '(a)(b)', '\\2\\1')", "ba"),
            ("array_to_string([n, n], s)", "2ab2"),
            ("concat(s, n)", "ab2"),
            ("concat_ws('-', s, n)", "ab-2"),
        ] {
            let text = format!("select {call} from (values ('ab', 2)) t (s, n)");
            assert_eq!(answer(&text).await.as_deref(), Ok(want), "{call}");
        }
        // In parts: together they would be estimated at a gigabyte.
        let text =
            "select sum(length(replace(s, 'zz', repeat('b', 100000)))) from (select repeat('a', 20) s from generate_series(1, 1000))";
        assert_eq!(answer(text).await.as_deref(), Ok("20000"));
        let wide = "select sum(length(repeat(s, n))) from (select 'ab' s, 1000 * value n from generate_series(1, 100))";
        assert_eq!(answer(wide).await.as_deref(), Ok("10100000"));
    }
}
