//! What an expression of a Flux script evaluates to.

use super::{
    interpret::Scope,
    operator::{compare, equal},
};
use crate::{
    flux::{ast::FunctionLiteral, stdlib::function::Function},
    model::{Duration, Result},
    plan::{Selection, TableStream},
};
use arrow::datatypes::DataType;
use indexmap::IndexMap;
use std::sync::Arc;

/// Properties in order of appearance; the order has no meaning in Flux.
pub type Record = IndexMap<Arc<str>, Value>;

#[derive(Debug, Clone)]
pub enum Value {
    /// Of unknown type: a missing property, the conversion of a null.
    Null,
    /// Of a known column type: a null cell of a column, `debug.null(type:)`.
    NullOf(DataType),
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    String(Arc<str>),
    Bytes(Arc<[u8]>),
    /// Nanoseconds since the epoch.
    Time(i64),
    Duration(Duration),
    Regex(Arc<regex::Regex>),
    Array(Arc<Vec<Value>>),
    Record(Arc<Record>),
    Dict(Arc<Dict>),
    Dynamic(Arc<Value>),
    Function(Arc<FunctionValue>),
    /// A stream of tables, not run yet.
    Stream(Arc<TableStream>),
    /// A stream of tables, not planned yet.
    Selection(Arc<Selection>),
    /// One table taken out of a stream by `tableFind`: its rows, all of one key.
    Table(Arc<FoundTable>),
    /// An imported package.
    Package(Arc<Package>),
}

/// A package: the scope its functions are closures over. Options set from outside change that scope.
#[derive(Debug)]
pub struct Package {
    pub name: Arc<str>,
    pub scope: Scope,
}

/// A dictionary: keys in Flux's order of values, each once.
#[derive(Debug, Clone, Default)]
pub struct Dict {
    pub entries: Vec<(Value, Value)>,
}

impl Dict {
    pub fn get(&self, key: &Value) -> Option<&Value> {
        self.entries.iter().find(|(k, _)| equal(k, key) == Some(true)).map(|(_, v)| v)
    }

    pub fn insert(&mut self, key: Value, value: Value) {
        self.remove(&key);
        let at = self.entries.iter().position(|(k, _)| compare(&key, k).flatten().is_some_and(|o| o.is_lt()));
        self.entries.insert(at.unwrap_or(self.entries.len()), (key, value));
    }

    pub fn remove(&mut self, key: &Value) {
        self.entries.retain(|(k, _)| equal(k, key) != Some(true));
    }
}

#[derive(Debug, Clone)]
pub enum FunctionValue {
    Closure { literal: Arc<FunctionLiteral>, scope: Scope },
    Builtin(&'static Function),
}

/// The materialised table behind `tableFind`, `getColumn`, `getRecord`.
#[derive(Debug, Clone)]
pub struct FoundTable {
    pub key: Vec<String>,
    pub batch: arrow::record_batch::RecordBatch,
}

impl Value {
    /// Flux's name of the type, as messages print it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null | Value::NullOf(_) => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::UInt(_) => "uint",
            Value::Float(_) => "float",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Time(_) => "time",
            Value::Duration(_) => "duration",
            Value::Regex(_) => "regexp",
            Value::Array(_) => "array",
            Value::Record(_) => "object",
            Value::Dict(_) => "dictionary",
            Value::Dynamic(_) => "dynamic",
            Value::Function(_) => "function",
            Value::Stream(_) | Value::Selection(_) => "stream",
            Value::Table(_) => "table",
            Value::Package(_) => "package",
        }
    }

    pub fn is_null(&self) -> bool {
        match self {
            Value::Null | Value::NullOf(_) => true,
            Value::Dynamic(inner) => inner.is_null(),
            _ => false,
        }
    }

    /// The tables, where it is a stream.
    pub fn tables(&self) -> Result<Option<Arc<TableStream>>> {
        match self {
            Value::Stream(tables) => Ok(Some(tables.clone())),
            Value::Selection(rows) => Ok(Some(Arc::new(rows.tables()?))),
            _ => Ok(None),
        }
    }

    pub fn string(text: impl Into<Arc<str>>) -> Value {
        Value::String(text.into())
    }

    pub fn array(items: Vec<Value>) -> Value {
        Value::Array(Arc::new(items))
    }

    /// A record of these properties.
    pub fn record<const N: usize>(properties: [(&str, Value); N]) -> Value {
        Value::Record(Arc::new(properties.into_iter().map(|(name, value)| (name.into(), value)).collect()))
    }
}
