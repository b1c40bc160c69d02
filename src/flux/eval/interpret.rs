//! Runs a script: statements in order, closures, options; tables stay [`TableStream`](crate::plan::TableStream)s.
//!
//! It does not know the standard library's functions one by one: `stdlib` gives packages, a package is a scope.

use super::{
    operator,
    text::text_of,
    value::{Dict, FunctionValue, Package, Record, Value},
};
use crate::{
    flux::{
        ast::{
            Expr, ExprKind, File, FunctionBody, FunctionLiteral, LogicalOp, Property, Span, Statement, StatementKind, StringPart, UnaryOp,
        },
        diagnostic::{FluxError, FluxResult, Stage},
        pattern,
        program::Program,
        stdlib::{self, Call, Function},
    },
    memory,
    plan::{Context, TableStream},
};
use parking_lot::{Mutex, RwLock};
use std::{
    cell::Cell,
    collections::HashMap,
    sync::{Arc, LazyLock, Weak},
};

/// Calls inside calls. Flux has no recursion, so only a runaway script gets here.
const DEPTH_MAX: usize = 128;

/// Names visible at one place of a script. Cloning shares the scope.
#[derive(Debug, Clone, Default)]
pub struct Scope(Arc<ScopeInner>);

#[derive(Debug, Default)]
struct ScopeInner {
    names: RwLock<HashMap<Arc<str>, Value>>,
    parent: Option<Scope>,
    /// The text that spans of functions written here point into.
    source: Option<Arc<str>>,
}

impl Scope {
    pub fn child(&self) -> Scope {
        Scope(Arc::new(ScopeInner { names: RwLock::default(), parent: Some(self.clone()), source: self.0.source.clone() }))
    }

    /// A scope inside this one, for another text.
    pub fn child_of_text(&self, source: Arc<str>) -> Scope {
        Scope(Arc::new(ScopeInner { names: RwLock::default(), parent: Some(self.clone()), source: Some(source) }))
    }

    pub fn get(&self, name: &str) -> Option<Value> {
        self.own(name).or_else(|| self.0.parent.as_ref()?.get(name))
    }

    /// A name of this very scope.
    pub fn own(&self, name: &str) -> Option<Value> {
        self.0.names.read().get(name).cloned()
    }

    pub fn set(&self, name: impl Into<Arc<str>>, value: Value) {
        self.0.names.write().insert(name.into(), value);
    }

    /// `line:column-line:column` of a span, columns in bytes from 1.
    pub fn place(&self, span: Span) -> String {
        place(self.0.source.as_deref().unwrap_or_default(), span)
    }
}

/// `line:column-line:column` of a span in a text, columns in bytes from 1, the end exclusive.
pub fn place(text: &str, span: Span) -> String {
    let at = |offset: u32| {
        let before = &text.as_bytes()[..(offset as usize).min(text.len())];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        format!("{line}:{column}")
    };
    format!("{}-{}", at(span.start), at(span.stop))
}

/// What a package gives beside its prelude.
fn built_ins(package: &stdlib::Package) -> impl Iterator<Item = (Arc<str>, Value)> {
    let functions = (package.functions)().into_iter().map(|f| (f.name.into(), Value::Function(Arc::new(FunctionValue::Builtin(f)))));
    functions.chain((package.values)().into_iter().map(|(name, value)| (name.into(), value)))
}

/// What one script shares between all its functions: packages, options, results.
#[derive(Debug, Default)]
pub struct Session {
    /// Package `universe`, and the options that scripts set.
    universe: Scope,
    packages: Mutex<HashMap<Arc<str>, Arc<Package>>>,
    results: Mutex<Program>,
    /// Streams that `yield` has named, so that the statement around it does not name them again.
    yielded: Mutex<Vec<Arc<TableStream>>>,
    /// Scopes that functions were written in. Most have these functions, or plans that call them, among their names.
    captured: Mutex<Vec<Weak<ScopeInner>>>,
}

impl Session {
    /// A function is written there.
    fn captures(&self, scope: &Scope) {
        let mut captured = self.captured.lock();
        if captured.last().is_some_and(|last| last.as_ptr() == Arc::as_ptr(&scope.0)) {
            return;
        }
        if captured.len() == captured.capacity() {
            captured.retain(|scope| scope.strong_count() > 0);
            let left = captured.len();
            captured.reserve(left.max(8));
        }
        captured.push(Arc::downgrade(&scope.0));
    }
}

/// A script, as long as anything may call what it wrote. Scopes and their functions hold each other, so do the session and plans that call
/// functions in it: without this nothing would ever let go of them, nor of the query.
#[derive(Debug)]
pub struct Script(Arc<Session>);

impl Drop for Script {
    fn drop(&mut self) {
        let Session { universe, packages, results, yielded, captured } = &*self.0;
        let captured = std::mem::take(&mut *captured.lock());
        for scope in captured.iter().filter_map(Weak::upgrade).chain([universe.0.clone()]) {
            // What goes with them may look into the scope as it goes.
            let names = std::mem::take(&mut *scope.names.write());
            drop(names);
        }
        let others = (std::mem::take(&mut *packages.lock()), std::mem::take(&mut *results.lock()), std::mem::take(&mut *yielded.lock()));
        drop(others);
    }
}

/// A running script.
pub struct Interpreter<'a> {
    pub context: &'a dyn Context,
    pub session: Arc<Session>,
    depth: Cell<usize>,
}

impl<'a> Interpreter<'a> {
    /// An interpreter with package `universe` loaded.
    pub fn new(context: &'a dyn Context) -> FluxResult<Interpreter<'a>> {
        static NAMES: LazyLock<HashMap<Arc<str>, Value>> = LazyLock::new(|| {
            let mut names: HashMap<_, _> = built_ins(stdlib::UNIVERSE).collect();
            // Copies keep the room, which the prelude's names take up.
            names.reserve(names.len());
            names
        });
        let universe = Scope(Arc::new(ScopeInner { names: RwLock::new(NAMES.clone()), ..ScopeInner::default() }));
        let interpreter = Interpreter::in_session(context, Arc::new(Session { universe, ..Session::default() }));
        interpreter.run_prelude(stdlib::UNIVERSE, &interpreter.session.universe)?;
        Ok(interpreter)
    }

    /// An interpreter of the same script, on another thread or later.
    pub fn in_session(context: &'a dyn Context, session: Arc<Session>) -> Interpreter<'a> {
        Interpreter { context, session, depth: Cell::new(0) }
    }

    /// What has to be kept until everything has run that calls functions of this script; with it they go.
    pub fn script(&self) -> Script {
        Script(self.session.clone())
    }

    /// The results so far.
    pub fn results(&self) -> Program {
        self.session.results.lock().clone()
    }

    /// `yield`: names a stream as a result.
    pub fn yields(&self, name: &str, tables: &Arc<TableStream>) -> FluxResult<()> {
        tables.check_bounded()?;
        self.session.yielded.lock().push(tables.clone());
        self.session.results.lock().yields(name, tables)
    }

    /// The instant that `option now` gives, else the query's.
    pub fn now(&self) -> FluxResult<i64> {
        match self.session.universe.get("now") {
            Some(Value::Function(f)) if matches!(f.as_ref(), FunctionValue::Closure { .. }) => {
                match self.call(&Value::Function(f), vec![], None, Span::default())? {
                    Value::Time(now) => Ok(now),
                    other => Err(FluxError::invalid(format!("option now must return a time, found {}", other.type_name()))),
                }
            }
            _ => Ok(self.context.now()),
        }
    }

    /// A name of package `universe`, options included.
    pub fn universe(&self, name: &str) -> Option<Value> {
        self.session.universe.get(name)
    }

    /// The package at an import path, loaded once per script.
    pub fn package(&self, path: &str, span: Span) -> FluxResult<Arc<Package>> {
        if let Some(package) = self.session.packages.lock().get(path) {
            return Ok(package.clone());
        }
        if path == stdlib::UNIVERSE.path {
            return Ok(Arc::new(Package { name: stdlib::UNIVERSE.name.into(), scope: self.session.universe.clone() }));
        }
        let Some(known) = stdlib::package(path) else {
            return Err(FluxError { stage: Stage::Compile, ..FluxError::invalid(format!("invalid import path {path}")) }.at(span));
        };
        let scope = self.session.universe.child_of_text(known.prelude.into());
        let package = Arc::new(Package { name: known.name.into(), scope: scope.clone() });
        self.session.packages.lock().insert(path.into(), package.clone());
        for (name, value) in built_ins(known) {
            scope.set(name, value);
        }
        self.run_prelude(known, &scope)?;
        Ok(package)
    }

    fn run_prelude(&self, package: &stdlib::Package, scope: &Scope) -> FluxResult<()> {
        if !package.prelude.is_empty() {
            // Prelude functions are closures over a scope of the prelude's text; names end up in the package.
            self.file(&*stdlib::parsed_prelude(package)?, scope)?;
        }
        Ok(())
    }

    /// Runs a script in a new scope inside `universe`, which it returns. `values` stand there first.
    pub fn run(&self, file: &File, text: &str, values: Vec<(String, Value)>) -> FluxResult<Scope> {
        let scope = self.session.universe.child_of_text(text.into());
        for (name, value) in values {
            scope.set(name, value);
        }
        self.file(file, &scope)?;
        Ok(scope)
    }

    fn file(&self, file: &File, scope: &Scope) -> FluxResult<()> {
        for import in &file.imports {
            let package = self.package(&import.path, import.span)?;
            let name = import.alias.as_ref().map_or_else(|| package.name.clone(), |a| a.name.clone());
            scope.set(name, Value::Package(package));
        }
        for statement in &file.body {
            self.statement(statement, scope)?;
        }
        Ok(())
    }

    fn statement(&self, statement: &Statement, scope: &Scope) -> FluxResult<()> {
        match &statement.kind {
            StatementKind::Expression(e) => {
                if let Some(tables) = self.expression(e, scope)?.tables()? {
                    let named = self.session.yielded.lock().iter().any(|y| Arc::ptr_eq(y, &tables));
                    if !named {
                        self.yields("_result", &tables).map_err(|e| e.at(statement.span))?;
                    }
                }
            }
            StatementKind::Assign { name, value } => {
                let value = self.expression(value, scope)?;
                scope.set(name.name.clone(), value);
            }
            StatementKind::Option { package: None, name, value } => {
                let value = self.expression(value, scope)?;
                // Options of `universe` hold for every package.
                let home = if self.session.universe.own(&name.name).is_some() { &self.session.universe } else { scope };
                home.set(name.name.clone(), value);
            }
            StatementKind::Option { package: Some(package), name, value } => {
                let value = self.expression(value, scope)?;
                match scope.get(&package.name) {
                    Some(Value::Package(package)) => package.scope.set(name.name.clone(), value),
                    _ => return Err(undefined(&package.name).at(package.span)),
                }
            }
            StatementKind::Builtin { .. } => {}
            StatementKind::Testcase { .. } => {}
            StatementKind::Return(_) => {
                return Err(FluxError::invalid("return statement outside of a function").at(statement.span));
            }
        }
        Ok(())
    }

    /// The value of an expression.
    pub fn expression(&self, e: &Expr, scope: &Scope) -> FluxResult<Value> {
        stacker::maybe_grow(128 << 10, 2 << 20, || self.value(e, scope)).map_err(|error| error.at(e.span))
    }

    fn value(&self, e: &Expr, scope: &Scope) -> FluxResult<Value> {
        Ok(match &e.kind {
            ExprKind::Ident(name) => scope.get(name).ok_or_else(|| undefined(name))?,
            ExprKind::Bool(v) => Value::Bool(*v),
            ExprKind::Int(v) => Value::Int(*v),
            ExprKind::UInt(v) => Value::UInt(*v),
            ExprKind::Float(v) => Value::Float(*v),
            ExprKind::String(v) | ExprKind::Label(v) => Value::String(v.clone()),
            ExprKind::Interpolation(parts) => self.interpolation(parts, scope)?,
            ExprKind::Duration(v) => Value::Duration(*v),
            ExprKind::Time(v) => Value::Time(*v),
            ExprKind::Regex(text) => Value::Regex(Arc::new(pattern::compile(text).map_err(FluxError::invalid)?)),
            ExprKind::PipeValue => return Err(FluxError::invalid("pipe receiver not allowed here")),
            ExprKind::Array(items) => {
                Value::Array(Arc::new(items.iter().map(|item| self.expression(item, scope)).collect::<FluxResult<_>>()?))
            }
            ExprKind::Dict(entries) => {
                let mut dict = Dict::default();
                for (key, value) in entries {
                    dict.insert(self.expression(key, scope)?, self.expression(value, scope)?);
                }
                Value::Dict(Arc::new(dict))
            }
            ExprKind::Record { with, properties } => {
                let mut record = match with {
                    None => Record::new(),
                    Some(base) => match scope.get(&base.name).ok_or_else(|| undefined(&base.name).at(base.span))? {
                        Value::Record(record) => record.as_ref().clone(),
                        other => {
                            return Err(FluxError::invalid(format!("cannot extend a value of type {} with `with`", other.type_name())));
                        }
                    },
                };
                for property in properties {
                    record.insert(property.key.name.clone(), self.expression(&property.value, scope)?);
                }
                Value::Record(Arc::new(record))
            }
            ExprKind::Function(literal) => {
                self.session.captures(scope);
                Value::Function(Arc::new(FunctionValue::Closure { literal: literal.clone(), scope: scope.clone() }))
            }
            ExprKind::Unary { op, operand } => self.unary(*op, operand, scope)?,
            ExprKind::Binary { op, left, right } => operator::binary(*op, &self.expression(left, scope)?, &self.expression(right, scope)?)?,
            ExprKind::Logical { op, left, right } => self.logical(*op, left, right, scope)?,
            ExprKind::If { test, then, otherwise } => match self.expression(test, scope)? {
                Value::Bool(true) => self.expression(then, scope)?,
                Value::Bool(false) | Value::Null | Value::NullOf(_) => self.expression(otherwise, scope)?,
                other => return Err(expected("bool", &other).at(test.span)),
            },
            ExprKind::Pipe { left, call } => {
                let ExprKind::Call { callee, arguments } = &call.kind else {
                    return Err(FluxError::invalid("pipe destination must be a function call"));
                };
                let left = self.expression(left, scope)?;
                self.call_expression(callee, arguments, Some(left), call.span, scope)?
            }
            ExprKind::Call { callee, arguments } => self.call_expression(callee, arguments, None, e.span, scope)?,
            ExprKind::Member { object, property } => member(self.expression(object, scope)?, &property.name)?,
            ExprKind::Index { array, index } => match (self.expression(array, scope)?, self.expression(index, scope)?) {
                (Value::Array(items), Value::Int(at)) => {
                    let item = usize::try_from(at).ok().and_then(|at| items.get(at)).cloned();
                    item.ok_or_else(|| FluxError::invalid(format!("cannot access element {at} of array of length {}", items.len())))?
                }
                (Value::Dynamic(inner), Value::Int(at)) => match inner.as_ref() {
                    Value::Array(items) => {
                        let item = usize::try_from(at).ok().and_then(|at| items.get(at)).cloned();
                        item.ok_or_else(|| FluxError::invalid(format!("cannot access element {at} of array of length {}", items.len())))?
                    }
                    other => return Err(FluxError::invalid(format!("cannot index {} with int", other.type_name()))),
                },
                (object, Value::String(name)) => member(object, &name)?,
                (other, index) => {
                    return Err(FluxError::invalid(format!("cannot index {} with {}", other.type_name(), index.type_name())));
                }
            },
        })
    }

    fn unary(&self, op: UnaryOp, operand: &Expr, scope: &Scope) -> FluxResult<Value> {
        let value = self.expression(operand, scope)?;
        match op {
            UnaryOp::Exists => Ok(Value::Bool(!value.is_null())),
            _ => operator::unary(op, &value),
        }
    }

    /// Three-valued: `false and null` is false, `true or null` is true (what Flux's own tests run with).
    fn logical(&self, op: LogicalOp, left: &Expr, right: &Expr, scope: &Scope) -> FluxResult<Value> {
        let truth = |e: &Expr| match self.expression(e, scope)? {
            Value::Bool(v) => Ok(Some(v)),
            Value::Null | Value::NullOf(_) => Ok(None),
            other => Err(expected("bool", &other).at(e.span)),
        };
        let decides = op == LogicalOp::Or;
        let first = truth(left)?;
        if first == Some(decides) {
            return Ok(Value::Bool(decides));
        }
        let second = truth(right)?;
        if second == Some(decides) {
            return Ok(Value::Bool(decides));
        }
        Ok(if first.is_none() || second.is_none() { Value::Null } else { Value::Bool(!decides) })
    }

    fn interpolation(&self, parts: &[StringPart], scope: &Scope) -> FluxResult<Value> {
        let mut text = String::new();
        for part in parts {
            match part {
                StringPart::Text(t) => text.push_str(t),
                StringPart::Expr(e) => match self.expression(e, scope)? {
                    Value::Null | Value::NullOf(_) => {
                        return Err(FluxError::invalid("invalid null value in string interpolation").at(e.span));
                    }
                    value => match text_of(&value) {
                        Some(t) => text.push_str(&t),
                        None => {
                            let message = format!("{} is not Stringable", value.type_name());
                            return Err(FluxError::invalid(message).at(e.span));
                        }
                    },
                },
            }
        }
        memory::allow(text.len(), "a string")?;
        Ok(Value::string(text))
    }

    fn call_expression(&self, callee: &Expr, arguments: &[Property], pipe: Option<Value>, span: Span, scope: &Scope) -> FluxResult<Value> {
        let function = self.expression(callee, scope)?;
        let mut given = Vec::with_capacity(arguments.len());
        for argument in arguments {
            given.push((argument.key.name.clone(), self.expression(&argument.value, scope)?));
        }
        let name = match &callee.kind {
            ExprKind::Ident(name) => name.as_ref(),
            ExprKind::Member { property, .. } => property.name.as_ref(),
            _ => "<anonymous>",
        };
        self.call(&function, given, pipe, span).map_err(|mut error| {
            // Each frame is named on the way out (Flux v0.200); private helpers and errors of running tables are not.
            if error.stage == Stage::Evaluate && !name.starts_with('_') {
                error.message = format!("error calling function \"{name}\" @{}: {}", scope.place(span), error.message);
            }
            error.span = None;
            error
        })
    }

    /// Calls a Flux function value with named arguments, and the piped value if there is one.
    pub fn call(&self, function: &Value, arguments: Vec<(Arc<str>, Value)>, pipe: Option<Value>, span: Span) -> FluxResult<Value> {
        let Value::Function(function) = function else {
            return Err(FluxError::invalid(format!("cannot call a value of type {}", function.type_name())).at(span));
        };
        self.context.check_wanted()?;
        if self.depth.get() >= DEPTH_MAX {
            return Err(FluxError::invalid(format!("functions call each other more than {DEPTH_MAX} deep")).at(span));
        }
        self.depth.set(self.depth.get() + 1);
        let result = match function.as_ref() {
            FunctionValue::Builtin(builtin) => self.call_builtin(builtin, arguments, pipe, span),
            FunctionValue::Closure { literal, scope } => self.call_closure(literal, scope, arguments, pipe),
        };
        self.depth.set(self.depth.get() - 1);
        result.map_err(|e| e.at(span))
    }

    fn call_closure(
        &self,
        literal: &FunctionLiteral,
        scope: &Scope,
        mut arguments: Vec<(Arc<str>, Value)>,
        mut pipe: Option<Value>,
    ) -> FluxResult<Value> {
        let inner = scope.child();
        for parameter in &literal.parameters {
            let name = &parameter.name.name;
            let at = arguments.iter().position(|(n, _)| n == name);
            let value = match (at, &parameter.default) {
                (Some(at), _) => arguments.swap_remove(at).1,
                (None, Some(d)) if d.kind == ExprKind::PipeValue => {
                    pipe.take().ok_or_else(|| FluxError::invalid(format!("missing required pipe argument {name}")))?
                }
                (None, Some(default)) => self.expression(default, scope)?,
                (None, None) => return Err(FluxError::invalid(format!("missing required argument {name}"))),
            };
            inner.set(name.clone(), value);
        }
        if pipe.is_some() {
            return Err(FluxError::invalid("function does not take a pipe argument"));
        }
        if !arguments.is_empty() {
            return Err(unused(arguments.iter().map(|(n, _)| n.as_ref())));
        }
        match &literal.body {
            FunctionBody::Expr(e) => self.expression(e, &inner),
            FunctionBody::Block(statements) => {
                for statement in statements {
                    match &statement.kind {
                        StatementKind::Return(e) => return self.expression(e, &inner),
                        StatementKind::Expression(e) => {
                            self.expression(e, &inner)?;
                        }
                        _ => self.statement(statement, &inner)?,
                    }
                }
                Err(FluxError::invalid("function body has no return statement"))
            }
        }
    }

    fn call_builtin(
        &self,
        function: &'static Function,
        mut arguments: Vec<(Arc<str>, Value)>,
        pipe: Option<Value>,
        span: Span,
    ) -> FluxResult<Value> {
        let parameters = function.parameters();
        if let Some(value) = pipe {
            let Some(parameter) = parameters.iter().find(|p| p.pipe) else {
                return Err(FluxError::invalid("function does not take a pipe argument"));
            };
            arguments.push((parameter.name.into(), value));
        }
        for parameter in parameters.iter().filter(|p| !p.optional) {
            if !arguments.iter().any(|(n, _)| n.as_ref() == parameter.name) {
                let what = if parameter.pipe { "pipe argument" } else { "argument" };
                return Err(FluxError::invalid(format!("missing required {what} {}", parameter.name)));
            }
        }
        let extra: Vec<&str> = arguments.iter().map(|(n, _)| n.as_ref()).filter(|n| !parameters.iter().any(|p| p.name == *n)).collect();
        if !extra.is_empty() {
            return Err(unused(extra.into_iter()));
        }
        (function.call)(&mut Call { function, interpreter: self, arguments, span })
    }
}

fn undefined(name: &str) -> FluxError {
    FluxError { stage: Stage::Compile, ..FluxError::invalid(format!("undefined identifier {name}")) }
}

fn unused<'n>(names: impl Iterator<Item = &'n str>) -> FluxError {
    FluxError::invalid(format!("unused arguments [{}]", names.collect::<Vec<_>>().join(" ")))
}

fn expected(kind: &str, found: &Value) -> FluxError {
    FluxError::invalid(format!("expected {kind} but found {}", found.type_name()))
}

/// `object.name`. A property that a record lacks is null.
fn member(object: Value, name: &str) -> FluxResult<Value> {
    match object {
        Value::Record(record) => Ok(record.get(name).cloned().unwrap_or(Value::Null)),
        Value::Package(package) => package.scope.own(name).ok_or_else(|| {
            let message = format!("package {} has no member {name}", package.name);
            FluxError { stage: Stage::Compile, ..FluxError::invalid(message) }
        }),
        Value::Dynamic(inner) => match inner.as_ref() {
            // What is inside of a dynamic value is dynamic itself, and so is what is not there.
            Value::Record(record) => Ok(record.get(name).cloned().unwrap_or_else(|| Value::Dynamic(Arc::new(Value::Null)))),
            other => Err(FluxError::invalid(format!("cannot access property \"{name}\" on value of type {}", other.type_name()))),
        },
        other => Err(FluxError::invalid(format!("cannot access property \"{name}\" on value of type {}", other.type_name()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::memory::MemoryContext;

    #[test]
    fn nothing_is_left_of_a_script_that_nobody_needs() {
        let context = MemoryContext::new(0);
        let text = r#"
            import "strings"
            import "array"
            f = (v) => strings.toUpper(v: v)
            nested = () => { g = (v) => f(v: v) return g }
            data = array.from(rows: [{v: "a"}]) |> map(fn: (r) => ({v: strings.title(v: r.v), w: nested()(v: r.v)}))
            data"#;
        let interpreter = Interpreter::new(&context).expect("the prelude runs");
        let script = interpreter.script();
        let file = crate::flux::parse_file(text).expect("Flux");
        let scope = interpreter.run(&file, text, vec![]).expect("it runs");
        let (session, universe) = (Arc::downgrade(&interpreter.session), Arc::downgrade(&interpreter.session.universe.0));
        let (own, results) = (Arc::downgrade(&scope.0), interpreter.results());
        assert_eq!(results.results.len(), 1);
        drop((interpreter, scope, results));
        assert!(universe.upgrade().is_some() && own.upgrade().is_some(), "they hold each other");
        drop(script);
        assert!(session.upgrade().is_none() && universe.upgrade().is_none() && own.upgrade().is_none());
    }
}
