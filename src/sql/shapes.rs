//! Plans of questions that were asked before, with other values.
//!
//! To make a plan of a syntax tree is much of what a small question costs, and boards, tasks and scripts ask the same ones over and over,
//! for other times and other series. The shape of a question is its tree with a place in the stead of each value that WHERE compares a
//! column with: nothing else of its plan depends on those. The plans of some shapes are kept; a question of such a shape gets the plan
//! with its own values, over the rows that there are now. Tables are looked up as ever, so that nobody reads what is not his.

use super::tables::Tables;
use crate::{model::Result, plan::condition::is_subquery};
use ahash::RandomState;
use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{
        DFSchema, DataFusionError, TableReference,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan, TableScan, TableSource, logical_plan::builder::LogicalTableSource, planner::ContextProvider},
    sql::{
        parser::Statement,
        planner::{ParserOptions, PlannerContext, SqlToRel},
        sqlparser::ast::{self, BinaryOperator, SetExpr, Statement as Ast, TableFactor, UnaryOperator, Value},
    },
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

/// Text of a question, and columns of its table, up to which its plan is kept: it is some dozens of kilobytes then, mostly less.
const TEXT_BYTES_MAX: usize = 1024;
const COLUMNS_MAX: usize = 128;
/// Plans that are kept. Where there are more shapes, it begins anew.
const PLANS_MAX: usize = 128;
/// What no parameter of a question's begins with: a name has no space.
const PLACE: &str = "$ ";

/// The plan of a shape.
struct Kept {
    shape: ast::Query,
    /// Where it was asked.
    database: String,
    plan: LogicalPlan,
    /// The one table that it reads, as it had columns then. Its rows are not kept.
    table: TableReference,
    layout: SchemaRef,
}

/// Plans by hashes of shapes.
#[derive(Default)]
struct Plans {
    hashes: RandomState,
    kept: Mutex<HashMap<u64, Arc<Kept>>>,
}

static PLANS: LazyLock<Plans> = LazyLock::new(Plans::default);

/// DataFusion's plan of a statement whose text was so long.
pub fn plan(statement: Statement, text_bytes: usize, tables: &Tables) -> Result<LogicalPlan> {
    PLANS.plan(statement, text_bytes, tables)
}

impl Plans {
    fn plan(&self, statement: Statement, text_bytes: usize, tables: &Tables) -> Result<LogicalPlan> {
        let options = ParserOptions { enable_ident_normalization: false, ..ParserOptions::default() };
        let planner = SqlToRel::new_with_options(tables, options);
        let mut query = match statement {
            Statement::Statement(ast) => match *ast {
                Ast::Query(query) if text_bytes <= TEXT_BYTES_MAX => query,
                other => return Ok(planner.sql_statement_to_plan(other)?),
            },
            other => return Ok(planner.statement_to_plan(other)?),
        };
        let Some(select) = of_one_table(&mut query) else { return Ok(planner.sql_statement_to_plan(Ast::Query(query))?) };
        let mut values = vec![];
        if let Some(condition) = &mut select.selection {
            take_values(condition, &mut values);
        }
        let as_alone = |value| planner.sql_to_expr(value, &DFSchema::empty(), &mut PlannerContext::new());
        // What is wrong with the table is said first.
        let values: Result<Vec<Expr>, DataFusionError> = values.into_iter().map(as_alone).collect();
        let hash = self.hashes.hash_one((tables.database, &*query));
        if let Some(kept) = self.find(hash, &query, tables.database) {
            let source = tables.get_table_source(kept.table.clone())?;
            if source.schema() == kept.layout {
                return Ok(filled(kept.plan.clone(), &values?, Some(&source))?);
            }
        }
        let plan = planner.sql_statement_to_plan(Ast::Query(query.clone()))?;
        let values = values?;
        if let Some(scan) = only_scan(&plan).filter(|scan| scan.source.schema().fields().len() <= COLUMNS_MAX) {
            let (table, layout) = (scan.table_name.clone(), scan.source.schema());
            let no_rows: Arc<dyn TableSource> = Arc::new(LogicalTableSource::new(layout.clone()));
            let plan = filled(plan.clone(), &[], Some(&no_rows))?;
            self.keep(hash, Kept { shape: *query, database: tables.database.to_string(), plan, table, layout });
        }
        Ok(filled(plan, &values, None)?)
    }

    fn find(&self, hash: u64, shape: &ast::Query, database: &str) -> Option<Arc<Kept>> {
        let kept = self.kept.lock().get(&hash).cloned()?;
        (kept.shape == *shape && kept.database == database).then_some(kept)
    }

    fn keep(&self, hash: u64, kept: Kept) {
        let mut plans = self.kept.lock();
        let is_full = plans.len() >= PLANS_MAX && !plans.contains_key(&hash);
        let gone = if is_full { std::mem::take(&mut *plans) } else { HashMap::new() };
        plans.insert(hash, Arc::new(kept));
        drop(plans);
        // Nobody waits for that.
        drop(gone);
    }
}

/// The SELECT of a query that is one, over one table.
fn of_one_table(query: &mut ast::Query) -> Option<&mut ast::Select> {
    let (None, SetExpr::Select(select)) = (&query.with, query.body.as_mut()) else { return None };
    let [from] = select.from.as_slice() else { return None };
    (from.joins.is_empty() && matches!(from.relation, TableFactor::Table { args: None, .. })).then_some(select)
}

/// Takes the values that columns are compared with out of a condition. It is as true, and as false, as its parts are.
fn take_values(condition: &mut ast::Expr, values: &mut Vec<ast::Expr>) {
    use ast::Expr::{Between, BinaryOp, InList, Nested, UnaryOp};
    match condition {
        BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            take_values(left, values);
            take_values(right, values);
        }
        Nested(inner) | UnaryOp { op: UnaryOperator::Not, expr: inner } => take_values(inner, values),
        BinaryOp { left, op, right } if is_comparison(op) => match (is_column(left), is_column(right)) {
            (true, false) => take_value(right, values),
            (false, true) => take_value(left, values),
            _ => {}
        },
        InList { expr, list, .. } if is_column(expr) => list.iter_mut().for_each(|value| take_value(value, values)),
        Between { expr, low, high, .. } if is_column(expr) => {
            take_value(low, values);
            take_value(high, values);
        }
        _ => {}
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

fn is_column(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_))
}

fn take_value(expr: &mut ast::Expr, values: &mut Vec<ast::Expr>) {
    if is_value(expr) {
        let place = ast::Expr::value(Value::Placeholder(format!("{PLACE}{}", values.len())));
        values.push(std::mem::replace(expr, place));
    }
}

fn is_value(expr: &ast::Expr) -> bool {
    match expr {
        ast::Expr::Value(value) => matches!(value.value, Value::Number(..) | Value::SingleQuotedString(_)),
        ast::Expr::TypedString(_) => true,
        ast::Expr::Cast { expr, .. } | ast::Expr::UnaryOp { op: UnaryOperator::Minus, expr } => is_value(expr),
        _ => false,
    }
}

/// The scan of a plan that reads nothing else.
fn only_scan(plan: &LogicalPlan) -> Option<&TableScan> {
    let mut node = plan;
    loop {
        let mut asks_others = false;
        node.apply_expressions(|expr| {
            asks_others |= expr.exists(|e| Ok(is_subquery(e)))?;
            Ok(TreeNodeRecursion::Continue)
        })
        .ok()?;
        match (node, node.inputs().as_slice()) {
            _ if asks_others => return None,
            (LogicalPlan::TableScan(scan), _) => return Some(scan),
            (_, [input]) => node = input,
            _ => return None,
        }
    }
}

/// A plan with each value in its place, as far as there are some, and reading from `source`, if there is one.
fn filled(plan: LogicalPlan, values: &[Expr], source: Option<&Arc<dyn TableSource>>) -> Result<LogicalPlan, DataFusionError> {
    let value = |expr: &Expr| match expr {
        Expr::Placeholder(place) => values.get(place.id.strip_prefix(PLACE)?.parse::<usize>().ok()?).cloned(),
        _ => None,
    };
    let changed = plan.transform_down(|node| match (node, source) {
        (LogicalPlan::Filter(mut filter), _) => {
            filter.predicate = filter.predicate.transform(|expr| Ok(value(&expr).map_or(Transformed::no(expr), Transformed::yes)))?.data;
            Ok(Transformed::yes(LogicalPlan::Filter(filter)))
        }
        (LogicalPlan::TableScan(mut scan), Some(source)) => {
            scan.source = source.clone();
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        (other, _) => Ok(Transformed::no(other)),
    });
    Ok(changed?.data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{FieldType, MeasurementSchema},
        plan::{Context, WriteRows, memory::MemoryContext},
    };
    use arrow::{
        array::{ArrayRef, DictionaryArray, Float64Array, TimestampNanosecondArray, types::Int32Type},
        record_batch::RecordBatch,
        util::pretty::pretty_format_batches,
    };

    /// Measurement `shaped` with hosts a and b and a value each, and as many fields more.
    fn database(values: [f64; 2], fields: usize) -> MemoryContext {
        let context = MemoryContext::new(0);
        let bucket = context.add_bucket("b");
        let mut schema = MeasurementSchema::new("shaped");
        schema.add_tag("host");
        let names = (0..=fields).map(|n| format!("v{n}"));
        schema.fields.extend(names.map(|name| (name.as_str().into(), FieldType::Float)));
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampNanosecondArray::from_iter_values([0, 1])),
            Arc::new(["a", "b"].into_iter().collect::<DictionaryArray<Int32Type>>()),
        ];
        columns.extend((0..=fields).map(|_| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef));
        let batch = RecordBatch::try_new(schema.arrow_schema(), columns).expect("rows");
        context.write(&bucket, vec![WriteRows { measurement: "shaped".into(), batch }]).expect("stored");
        context
    }

    /// The answer's rows without lines, as in `a,1.0 b,2.0`.
    fn answer(plans: &Plans, context: &MemoryContext, text: &str) -> String {
        let statement = crate::sql::parse(text).expect("SQL");
        let answer = plans.plan(statement, text.len(), &Tables { context, database: "b" }).and_then(|plan| context.collect(plan));
        let batches = match answer {
            Ok(batches) => batches,
            Err(failure) => return failure.message,
        };
        let table = pretty_format_batches(&batches).expect("text").to_string();
        let rows = table.lines().filter(|line| line.starts_with('|')).skip(1);
        let row = |line: &str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(",");
        rows.map(row).collect::<Vec<_>>().join(" ")
    }

    /// The plan of such a question, if it is kept.
    fn kept(plans: &Plans, text: &str) -> Option<Arc<Kept>> {
        let shape = shape(text).0;
        plans.find(plans.hashes.hash_one(("b", &shape)), &shape, "b")
    }

    fn shape(text: &str) -> (ast::Query, usize) {
        let Statement::Statement(ast) = crate::sql::parse(text).expect("SQL") else { panic!("no query: {text}") };
        let Ast::Query(mut query) = *ast else { panic!("no query: {text}") };
        let mut values = vec![];
        take_values(of_one_table(&mut query).expect("one table").selection.as_mut().expect("WHERE"), &mut values);
        (*query, values.len())
    }

    #[test]
    fn a_kept_plan_has_the_question_s_values_and_the_rows_of_now() {
        let (plans, first, second) = (Plans::default(), database([1.0, 2.0], 0), database([3.0, 4.0], 0));
        let text = |host: &str| format!("SELECT host, v0 + 5 FROM shaped WHERE host = '{host}' AND time < '2020-01-01'");
        assert_eq!(answer(&plans, &first, &text("a")), "a,6.0");
        let kept = kept(&plans, &text("zzz")).expect("it is kept");
        assert!(!format!("{:?}", kept.plan).contains("Utf8(\"a\")"), "without the values: {:?}", kept.plan);
        assert_eq!(answer(&plans, &first, &text("b")), "b,7.0");
        assert_eq!(answer(&plans, &second, &text("b")), "b,9.0");
        assert_eq!(answer(&plans, &second, &text("it''s")), "");
        assert_eq!(plans.kept.lock().len(), 1);
    }

    #[test]
    fn new_columns_make_a_new_plan_and_a_table_is_looked_up_each_time() {
        let (plans, text) = (Plans::default(), "SELECT * FROM shaped WHERE v0 <= 1");
        assert_eq!(answer(&plans, &database([1.0, 2.0], 0), text), "1970-01-01T00:00:00,a,1.0");
        assert_eq!(answer(&plans, &database([1.0, 2.0], 1), text), "1970-01-01T00:00:00,a,1.0,1.0");
        let empty = MemoryContext::new(0);
        empty.add_bucket("b");
        assert_eq!(answer(&plans, &empty, text), "table 'b.shaped' not found");
        assert_eq!(answer(&plans, &empty, "SELECT * FROM shaped WHERE v0 <= '1'::nosuchtype"), "table 'b.shaped' not found");
        assert!(answer(&plans, &MemoryContext::new(0), text).contains("not found"));
    }

    #[test]
    fn what_is_large_is_not_kept_and_many_make_room() {
        let (plans, wide) = (Plans::default(), database([1.0, 2.0], COLUMNS_MAX));
        let text = "SELECT host FROM shaped WHERE v0 <= 1";
        assert_eq!(answer(&plans, &wide, text), "a");
        assert!(kept(&plans, text).is_none());
        let narrow = database([1.0, 2.0], 0);
        let long = format!("SELECT host FROM shaped WHERE v0 <= 1 {}", "AND v0 = v0 ".repeat(TEXT_BYTES_MAX / 12));
        assert_eq!(answer(&plans, &narrow, &long), "a");
        assert!(kept(&plans, &long).is_none());
        for limit in 1..=PLANS_MAX + 3 {
            answer(&plans, &narrow, &format!("{text} LIMIT {limit}"));
        }
        assert_eq!(plans.kept.lock().len(), 3);
    }

    #[test]
    fn values_are_what_columns_are_compared_with_and_nothing_else() {
        let of = |condition: &str| {
            let (query, values) = shape(&format!("SELECT max(v0) FROM shaped WHERE {condition} LIMIT 3"));
            (query.to_string().split_once(" WHERE ").expect("WHERE").1.replace(" LIMIT 3", ""), values)
        };
        assert_eq!(of("host = 'a' and (v0 > 1.5 or not v0 = 2)"), ("host = $ 0 AND (v0 > $ 1 OR NOT v0 = $ 2)".into(), 3));
        assert_eq!(of("'a' = host and host in ('b', 'c', v0)"), ("$ 0 = host AND host IN ($ 1, $ 2, v0)".into(), 3));
        assert_eq!(of("time between 1 and 2"), ("time BETWEEN $ 0 AND $ 1".into(), 2));
        let typed = "time >= timestamp '2020-01-01' and time < '2020-01-02'::timestamp and v0 > -1";
        assert_eq!(of(typed), ("time >= $ 0 AND time < $ 1 AND v0 > $ 2".into(), 3));
        for condition in ["v0 + 1 > 2", "v0 > 1 + 1", "abs(v0) = 1", "v0 = NULL", "host LIKE 'a%'", "time > now() - INTERVAL '1 hour'"] {
            assert_eq!(of(condition), (condition.to_string(), 0));
        }
    }

    #[test]
    fn questions_of_one_shape_differ_by_value_only() {
        let (plans, context) = (Plans::default(), database([1.0, 2.5], 0));
        for (condition, expected) in [
            ("v0 > 1", "b"),
            ("v0 > 2.5", ""),
            ("v0 > 0.5", "a b"),
            ("v0 > 18446744073709551615", ""),
            ("v0 > '2.4'", "b"),
            ("v0 > -1", "a b"),
            ("time > timestamp '1970-01-01'", "b"),
            ("time > timestamp '1971-01-01'", ""),
            ("time <= '1970-01-01T00:00:00Z'::timestamp", "a"),
            ("2 > v0", "a"),
            ("v0 between 2 and 3", "b"),
            ("v0 not in (1, 7)", "b"),
            ("v0 not in (2.5, 7)", "a"),
        ] {
            let found = answer(&plans, &context, &format!("SELECT host FROM shaped WHERE {condition} ORDER BY host"));
            assert_eq!(found, expected, "{condition}");
        }
        let found = answer(&plans, &context, "SELECT host FROM shaped WHERE v0 > 'x' ORDER BY host");
        assert!(found.contains("Cannot cast string 'x'"), "{found}");
    }

    #[test]
    fn what_reads_more_than_a_table_is_planned_each_time() {
        let (plans, context) = (Plans::default(), database([1.0, 2.0], 0));
        for (text, expected) in [
            ("SELECT host FROM shaped WHERE v0 = 1 AND v0 < (SELECT max(v0) FROM shaped)", "a"),
            ("SELECT host, (SELECT min(v0) FROM shaped) FROM shaped WHERE v0 = 1", "a,1.0"),
            ("SELECT a.host FROM shaped a JOIN shaped b ON a.host = b.host WHERE a.v0 = 2", "b"),
            ("WITH t AS (SELECT * FROM shaped WHERE v0 = 2) SELECT host FROM t WHERE v0 > 1", "b"),
        ] {
            assert_eq!(answer(&plans, &context, text), expected, "{text}");
        }
        assert_eq!(plans.kept.lock().len(), 0);
    }
}
