//! Runs a script: statements in order, closures, options; tables stay [`TableStream`](crate::plan::TableStream)s.

use super::value::Value;
use crate::{
    flux::{ast::Span, diagnostic::FluxResult},
    plan::Context,
};
use parking_lot::RwLock;
use std::{collections::HashMap, sync::Arc};

/// Names visible at one place of a script. Cloning shares the scope.
#[derive(Debug, Clone, Default)]
pub struct Scope(Arc<ScopeInner>);

#[derive(Debug, Default)]
struct ScopeInner {
    names: RwLock<HashMap<Arc<str>, Value>>,
    parent: Option<Scope>,
}

impl Scope {
    pub fn child(&self) -> Scope {
        Scope(Arc::new(ScopeInner { names: RwLock::default(), parent: Some(self.clone()) }))
    }

    pub fn get(&self, name: &str) -> Option<Value> {
        let found = self.0.names.read().get(name).cloned();
        found.or_else(|| self.0.parent.as_ref()?.get(name))
    }

    pub fn set(&self, name: impl Into<Arc<str>>, value: Value) {
        self.0.names.write().insert(name.into(), value);
    }
}

/// A running script.
pub struct Interpreter<'a> {
    pub context: &'a dyn Context,
}

impl Interpreter<'_> {
    /// Calls a Flux function value with named arguments, and the piped value if there is one.
    pub fn call(&self, function: &Value, arguments: Vec<(Arc<str>, Value)>, pipe: Option<Value>, span: Span) -> FluxResult<Value> {
        let _ = (function, arguments, pipe, span);
        todo!("the language core fills this in")
    }
}
