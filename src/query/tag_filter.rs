//! A condition on one tag, asked once per series and of what is known of stretches of rows.

use crate::model::{Failure, Result};
use crate::storage::block::{SeriesFilter, SeriesRuns, TagBounds};
use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int32Array, StringArray, UInt64Array},
    datatypes::{Int32Type, SchemaRef},
    record_batch::RecordBatch,
};
use datafusion::{
    common::{ScalarValue, pruning::PruningStatistics},
    logical_expr::{Expr, Operator},
    physical_expr::PhysicalExpr,
    physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder},
};
use itertools::Itertools;
use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    sync::Arc,
};

/// A condition on one tag, evaluated on the tag's dictionary.
pub struct TagFilter {
    tag: Arc<str>,
    form: Form,
}

/// What is asked of a tag.
enum Form {
    /// The tag is one of these. Most conditions are of this kind, and not worth an expression's cost for a small query.
    OneOf(BTreeSet<String>),
    Other {
        /// One column: the tag.
        schema: SchemaRef,
        test: Arc<dyn PhysicalExpr>,
        /// What the test says of bounds; `None` when it says nothing.
        pruning: Option<PruningPredicate>,
    },
}

impl TagFilter {
    pub fn one_of(tag: Arc<str>, values: BTreeSet<String>) -> TagFilter {
        TagFilter { tag, form: Form::OneOf(values) }
    }

    /// `schema` has one column, the tag, and `test` is about it.
    pub fn new(tag: Arc<str>, schema: SchemaRef, test: Arc<dyn PhysicalExpr>) -> TagFilter {
        let builder = PruningPredicateBuilder::new().with_file_schema(schema.clone());
        let pruning = builder.try_build(test.clone()).ok().filter(|p| !p.always_true());
        TagFilter { tag, form: Form::Other { schema, test, pruning } }
    }

    /// What the condition says of each value of the dictionary, and of an absent tag at last.
    fn evaluate(&self, dictionary: ArrayRef) -> Result<Vec<bool>> {
        let (schema, test) = match &self.form {
            Form::OneOf(wanted) => {
                let texts = dictionary.as_string_opt::<i32>().ok_or_else(|| Failure::internal("a tag is no text"))?;
                let is_wanted = |text: Option<&str>| text.is_some_and(|text| wanted.contains(text));
                return Ok(texts.iter().chain([None]).map(is_wanted).collect());
            }
            Form::Other { schema, test, .. } => (schema, test),
        };
        let count = dictionary.len() as i32;
        let keys: Int32Array = (0..count).map(Some).chain([None]).collect();
        let column: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::try_new(keys, dictionary)?);
        let batch = RecordBatch::try_new(schema.clone(), vec![column])?;
        let answers = test.evaluate(&batch).and_then(|v| v.into_array(batch.num_rows())).map_err(Failure::from)?;
        let answers = answers.as_boolean_opt().ok_or_else(|| Failure::invalid("a filter on a tag is no condition"))?;
        Ok(answers.iter().map(|answer| answer == Some(true)).collect())
    }
}

/// The texts that the one column of a condition may have: of `tag = 'a'`, `tag IN ('a', 'b')` and such with OR between them.
pub fn values(condition: &Expr) -> Option<BTreeSet<String>> {
    let text = |e: &Expr| match e {
        Expr::Literal(ScalarValue::Dictionary(_, value), _) => value.try_as_str().flatten().map(str::to_string),
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_string),
        _ => None,
    };
    let is_column = |e: &Expr| matches!(e, Expr::Column(_));
    match condition {
        Expr::BinaryExpr(binary) => match binary.op {
            Operator::Eq if is_column(&binary.left) => Some([text(&binary.right)?].into()),
            Operator::Eq if is_column(&binary.right) => Some([text(&binary.left)?].into()),
            Operator::Or => Some(values(&binary.left)?.into_iter().chain(values(&binary.right)?).collect()),
            _ => None,
        },
        Expr::InList(within) if !within.negated && is_column(&within.expr) => within.list.iter().map(text).collect(),
        _ => None,
    }
}

/// Bounds of a tag as the library's pruning asks for them.
struct Bounds<'a>(&'a [TagBounds]);

impl PruningStatistics for Bounds<'_> {
    fn min_values(&self, _: &datafusion::common::Column) -> Option<ArrayRef> {
        Some(Arc::new(self.0.iter().map(|b| b.min.as_deref()).collect::<StringArray>()))
    }

    fn max_values(&self, _: &datafusion::common::Column) -> Option<ArrayRef> {
        Some(Arc::new(self.0.iter().map(|b| b.max.as_deref()).collect::<StringArray>()))
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, _: &datafusion::common::Column) -> Option<ArrayRef> {
        Some(Arc::new(self.0.iter().map(|b| b.absent).collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.0.iter().map(|b| Some(b.rows)).collect::<UInt64Array>()))
    }

    fn contained(&self, _: &datafusion::common::Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

impl fmt::Debug for TagFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            Form::OneOf(values) if values.len() == 1 => write!(f, "{} = {}", self.tag, values.iter().join("")),
            Form::OneOf(values) => write!(f, "{} IN ({})", self.tag, values.iter().join(", ")),
            Form::Other { test, .. } => write!(f, "{test}"),
        }
    }
}

impl SeriesFilter for TagFilter {
    fn tag(&self) -> &str {
        &self.tag
    }

    fn may_keep(&self, stretches: &[TagBounds]) -> Vec<bool> {
        let answer = match &self.form {
            Form::OneOf(wanted) => {
                let within =
                    |b: &TagBounds, text: &String| b.min.as_ref().is_none_or(|m| m <= text) && b.max.as_ref().is_none_or(|m| text <= m);
                let may = |b: &TagBounds| b.absent != Some(b.rows) && wanted.iter().any(|text| within(b, text));
                return stretches.iter().map(may).collect();
            }
            Form::Other { pruning, .. } => pruning.as_ref().and_then(|pruning| pruning.prune(&Bounds(stretches)).ok()),
        };
        answer.unwrap_or_else(|| vec![true; stretches.len()])
    }

    fn keep(&self, runs: &SeriesRuns) -> Result<Vec<bool>> {
        let Some(tag) = runs.tag(&self.tag) else {
            let absent = self.evaluate(Arc::new(StringArray::from(Vec::<&str>::new())))?;
            return Ok(vec![absent[0]; runs.len()]);
        };
        let answers = self.evaluate(tag.dictionary.clone())?;
        // A code below zero stands for an absent tag.
        Ok(tag.codes.iter().map(|&code| answers[usize::try_from(code).unwrap_or(answers.len() - 1)]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::schema::tag_type;
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::{
        common::DFSchema,
        prelude::{SessionContext, col, lit},
    };

    fn filter(expr: &Expr) -> TagFilter {
        let schema = Arc::new(Schema::new(vec![Field::new("host", tag_type(), true)]));
        let named = DFSchema::try_from(schema.clone()).expect("a schema");
        let test = SessionContext::new().create_physical_expr(expr.clone(), &named);
        TagFilter::new("host".into(), schema, test.expect("an expression"))
    }

    /// The short way and the expression itself say the same.
    #[test]
    fn values_and_expressions_answer_alike() {
        let tag = |name: &str| lit(ScalarValue::Dictionary(Box::new(DataType::Int32), Box::new(name.into())));
        let host = |name: &str| col("host").eq(tag(name));
        let texts = ["", "a", "b", "ba", "c", "z"];
        let bound = |min: Option<&str>, max: Option<&str>, absent| TagBounds {
            min: min.map(Into::into),
            max: max.map(Into::into),
            rows: 4,
            absent,
        };
        let stretches = [
            bound(Some("a"), Some("c"), Some(0)),
            bound(Some("c"), Some("d"), Some(1)),
            bound(None, Some("aa"), None),
            bound(Some("y"), None, None),
            TagBounds::absent(4),
        ];
        let cases = [
            (host("b"), vec![true, false, false, false, false]),
            (host("z"), vec![false, false, false, true, false]),
            (host(""), vec![false, false, true, false, false]),
            (tag("z").eq(col("host")).or(host("c")).or(host("a")), vec![true, true, true, true, false]),
            (col("host").in_list(["z", "c", "a", "b"].map(tag).to_vec(), false), vec![true, true, true, true, false]),
        ];
        for (expr, may) in cases {
            let short = TagFilter::one_of("host".into(), values(&expr).expect("values"));
            assert_eq!(short.may_keep(&stretches), may, "{expr}");
            let dictionary: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
            let answers = short.evaluate(dictionary.clone()).expect("an answer");
            assert_eq!(answers, filter(&expr).evaluate(dictionary).expect("an answer"), "{expr}");
            assert_eq!((answers.len(), answers.last()), (texts.len() + 1, Some(&false)));
        }
        let others = [host("b").is_not_true(), col("host").is_null(), col("host").not_eq(tag("b")), host("a").and(host("b"))];
        for other in others {
            assert!(values(&other).is_none(), "{other}");
        }
    }
}
