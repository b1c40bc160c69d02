//! Typing and lowering of one lambda against one frame.

use super::{
    cells::{column_type, literal},
    known, operators,
    value_function::value_function,
};
use crate::{
    flux::{
        ast::BinaryOp,
        ast::{Expr as Syntax, ExprKind, FunctionBody, FunctionLiteral, LogicalOp, Property, Span, StatementKind, StringPart, UnaryOp},
        diagnostic::{FluxError, FluxResult, Stage},
        eval::{FunctionValue, Interpreter, Scope, Value, text::text_of},
        stdlib::function::{Call, Function},
    },
    plan::stream::{null, type_name},
};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{BinaryExpr, Case, Expr, Operator, cast, in_list, lit, not};
use std::{cell::RefCell, collections::HashSet, sync::Arc};

/// A column expression and its Flux type (`Null`: a null of unknown type).
#[derive(Debug, Clone)]
pub struct Typed {
    pub expr: Expr,
    pub data_type: DataType,
    /// The expression gives a dictionary of strings.
    pub dictionary: bool,
}

impl Typed {
    pub fn new(expr: Expr, data_type: DataType) -> Typed {
        Typed { expr, data_type, dictionary: false }
    }

    pub fn null_of(data_type: DataType) -> Typed {
        Typed::new(null(&data_type), data_type)
    }

    /// A column as it stands in a frame; tags may be dictionaries.
    pub fn column(expr: Expr, data_type: DataType) -> Typed {
        match data_type {
            DataType::Dictionary(..) => Typed { expr, data_type: DataType::Utf8, dictionary: true },
            data_type => Typed::new(expr, data_type),
        }
    }

    /// Without dictionary.
    pub fn plain(self) -> Expr {
        if self.dictionary { cast(self.expr, DataType::Utf8) } else { self.expr }
    }
}

/// What a lambda is for one frame.
pub enum Lowered<T> {
    Columns(T),
    /// It has no expression over columns: call it row by row.
    Interpret,
}

/// Why lowering stopped.
enum Stop {
    Interpret,
    Error(FluxError),
}

impl From<FluxError> for Stop {
    fn from(error: FluxError) -> Stop {
        Stop::Error(error)
    }
}

type Step<T> = Result<T, Stop>;

/// What a sub-expression turned out to be.
#[derive(Clone)]
enum Term {
    /// The row parameter itself.
    Row,
    /// Does not depend on the row.
    Constant(Value),
    Cell(Typed),
    Record(Vec<(Arc<str>, Term)>),
}

/// What the row function sees: the column of a name, or none.
pub type Columns<'a> = &'a dyn Fn(&str) -> Option<Typed>;

struct Lowering<'a> {
    interpreter: &'a Interpreter<'a>,
    columns: Columns<'a>,
    /// What `r with` brings; `None`: not known here.
    column_names: Option<&'a [String]>,
    used: &'a RefCell<HashSet<String>>,
    depth: usize,
}

/// Names inside a function being lowered: its own, then those of the scope it was written in.
struct Names {
    scope: Scope,
    locals: Vec<(Arc<str>, Term)>,
}

impl Names {
    fn local(&self, name: &str) -> Option<&Term> {
        self.locals.iter().rev().find(|(n, _)| n.as_ref() == name).map(|(_, t)| t)
    }
}

/// The condition `function(r)`. Also says which columns it reads.
pub fn lower_filter(
    interpreter: &Interpreter<'_>,
    function: &Value,
    columns: Columns<'_>,
    span: Span,
) -> FluxResult<Lowered<(Expr, HashSet<String>)>> {
    let used = RefCell::default();
    let lowering = Lowering { interpreter, columns, column_names: None, used: &used, depth: 0 };
    let done = lowering.call_with_row(function, span).and_then(|term| Ok(known::settled(operators::truth(lowering.cell(term)?)?)));
    match done {
        Ok(expr) => Ok(Lowered::Columns((expr, used.into_inner()))),
        Err(Stop::Interpret) => Ok(Lowered::Interpret),
        Err(Stop::Error(e)) => Err(e),
    }
}

/// The record `function(r)`: property names and what each is. `r with` brings all of `column_names`.
pub fn lower_row(
    interpreter: &Interpreter<'_>,
    function: &Value,
    columns: Columns<'_>,
    column_names: &[String],
    span: Span,
) -> FluxResult<Lowered<Vec<(String, Typed)>>> {
    let used = RefCell::default();
    let lowering = Lowering { interpreter, columns, column_names: Some(column_names), used: &used, depth: 0 };
    let done = lowering.call_with_row(function, span).and_then(|term| {
        let properties = match term {
            Term::Row => column_names.iter().map(|n| (Arc::from(n.as_str()), lowering.column(n))).collect(),
            Term::Record(properties) => properties,
            _ => return Err(Stop::Interpret),
        };
        properties.into_iter().map(|(name, term)| Ok((name.to_string(), lowering.cell(term)?))).collect()
    });
    match done {
        Ok(properties) => Ok(Lowered::Columns(properties)),
        Err(Stop::Interpret) => Ok(Lowered::Interpret),
        Err(Stop::Error(e)) => Err(e),
    }
}

impl Lowering<'_> {
    fn call_with_row(&self, function: &Value, _span: Span) -> Step<Term> {
        let Value::Function(f) = function else { return Err(Stop::Interpret) };
        let FunctionValue::Closure { literal, scope } = f.as_ref() else { return Err(Stop::Interpret) };
        let [parameter] = literal.parameters.as_slice() else { return Err(Stop::Interpret) };
        let names = Names { scope: scope.clone(), locals: vec![(parameter.name.name.clone(), Term::Row)] };
        self.body(literal, names)
    }

    fn body(&self, literal: &FunctionLiteral, mut names: Names) -> Step<Term> {
        match &literal.body {
            FunctionBody::Expr(e) => self.expression(e, &names),
            FunctionBody::Block(statements) => {
                for statement in statements {
                    match &statement.kind {
                        StatementKind::Assign { name, value } => {
                            let term = self.expression(value, &names)?;
                            names.locals.push((name.name.clone(), term));
                        }
                        StatementKind::Return(e) => return self.expression(e, &names),
                        _ => return Err(Stop::Interpret),
                    }
                }
                Err(Stop::Interpret)
            }
        }
    }

    fn column(&self, name: &str) -> Term {
        self.used.borrow_mut().insert(name.to_string());
        match (self.columns)(name) {
            Some(typed) => Term::Cell(typed),
            None => Term::Constant(Value::Null),
        }
    }

    /// A term as a column expression.
    fn cell(&self, term: Term) -> Step<Typed> {
        match term {
            Term::Cell(typed) => Ok(typed),
            Term::Constant(value) => match (literal(&value), column_type(&value)) {
                (Some(expr), Some(data_type)) => Ok(Typed::new(expr, data_type)),
                _ => Err(Stop::Interpret),
            },
            _ => Err(Stop::Interpret),
        }
    }

    fn expression(&self, syntax: &Syntax, names: &Names) -> Step<Term> {
        if !mentions(syntax, names) {
            return self.constant(syntax, names);
        }
        match &syntax.kind {
            ExprKind::Ident(name) => names.local(name).cloned().ok_or(Stop::Interpret),
            ExprKind::Member { object, property } => self.member(self.expression(object, names)?, &property.name),
            ExprKind::Index { array, index } => {
                let object = self.expression(array, names)?;
                match self.expression(index, names)? {
                    Term::Constant(Value::String(name)) => self.member(object, &name),
                    _ => Err(Stop::Interpret),
                }
            }
            ExprKind::Unary { op, operand } => {
                let operand = self.expression(operand, names)?;
                match op {
                    UnaryOp::Exists => Ok(match operand {
                        Term::Constant(value) => Term::Constant(Value::Bool(!value.is_null())),
                        Term::Cell(typed) => Term::Cell(Typed::new(typed.expr.is_not_null(), DataType::Boolean)),
                        Term::Record(_) | Term::Row => Term::Constant(Value::Bool(true)),
                    }),
                    UnaryOp::Not => Ok(Term::Cell(Typed::new(not(operators::truth(self.cell(operand)?)?), DataType::Boolean))),
                    UnaryOp::Minus => Ok(Term::Cell(operators::negate(self.cell(operand)?)?)),
                    UnaryOp::Plus => Ok(operand),
                }
            }
            ExprKind::Binary { op, left, right } => self.binary(*op, self.expression(left, names)?, self.expression(right, names)?),
            ExprKind::Logical { op, left, right } => {
                // `r._field == "note" and r._value == "hot"`: where the first half settles the matter, the second need
                // not make sense for the type that `_value` has there.
                let (op, settling) = if *op == LogicalOp::And { (Operator::And, false) } else { (Operator::Or, true) };
                let half = |e| Ok::<_, Stop>(known::settled(operators::truth(self.cell(self.expression(e, names)?)?)?));
                let left = half(left)?;
                if known::truth(&left) == Some(settling) {
                    return Ok(Term::Cell(Typed::new(lit(settling), DataType::Boolean)));
                }
                let right = half(right)?;
                let right = if known::truth(&right) == Some(settling) { lit(settling) } else { right };
                let both = BinaryExpr::new(Box::new(left), op, Box::new(right));
                Ok(Term::Cell(Typed::new(known::settled(Expr::BinaryExpr(both)), DataType::Boolean)))
            }
            ExprKind::If { test, then, otherwise } => {
                let test = self.expression(test, names)?;
                match test {
                    Term::Constant(Value::Bool(true)) => return self.expression(then, names),
                    Term::Constant(Value::Bool(false) | Value::Null | Value::NullOf(_)) => return self.expression(otherwise, names),
                    _ => {}
                }
                // An error in a branch is one only for rows that take it.
                let lazily = |stop| match stop {
                    Stop::Error(e) if e.stage != Stage::Compile => Stop::Interpret,
                    stop => stop,
                };
                let then = self.expression(then, names).map_err(lazily)?;
                let otherwise = self.expression(otherwise, names).map_err(lazily)?;
                let test = operators::truth(self.cell(test)?)?;
                let (then, otherwise) = (self.cell(then)?, self.cell(otherwise)?);
                let data_type = operators::common_type(&then.data_type, &otherwise.data_type)?;
                let branch = |t: Typed| if t.data_type == data_type { t.plain() } else { null(&data_type) };
                let case = Case::new(None, vec![(Box::new(test), Box::new(branch(then)))], Some(Box::new(branch(otherwise))));
                Ok(Term::Cell(Typed::new(Expr::Case(case), data_type)))
            }
            ExprKind::Record { with, properties } => self.record(with.as_ref().map(|w| w.name.as_ref()), properties, names),
            ExprKind::Interpolation(parts) => self.interpolation(parts, names),
            ExprKind::Call { callee, arguments } => self.call(callee, arguments, None, syntax.span, names),
            ExprKind::Pipe { left, call } => {
                let ExprKind::Call { callee, arguments } = &call.kind else { return Err(Stop::Interpret) };
                let left = self.expression(left, names)?;
                self.call(callee, arguments, Some(left), syntax.span, names)
            }
            _ => Err(Stop::Interpret),
        }
    }

    /// Evaluates what does not depend on the row, once.
    fn constant(&self, syntax: &Syntax, names: &Names) -> Step<Term> {
        let scope = names.scope.child();
        for (name, term) in &names.locals {
            if let Term::Constant(value) = term {
                scope.set(name.clone(), value.clone());
            }
        }
        Ok(Term::Constant(self.interpreter.expression(syntax, &scope)?))
    }

    fn member(&self, object: Term, name: &str) -> Step<Term> {
        match object {
            Term::Row => Ok(self.column(name)),
            Term::Record(properties) => {
                let found = properties.into_iter().rev().find(|(n, _)| n.as_ref() == name);
                Ok(found.map(|(_, t)| t).unwrap_or(Term::Constant(Value::Null)))
            }
            Term::Constant(Value::Record(record)) => Ok(Term::Constant(record.get(name).cloned().unwrap_or(Value::Null))),
            _ => Err(Stop::Interpret),
        }
    }

    fn binary(&self, op: BinaryOp, left: Term, right: Term) -> Step<Term> {
        if let (BinaryOp::Match | BinaryOp::NotMatch, Term::Constant(Value::Regex(regex))) = (op, &right) {
            let text = self.cell(left)?;
            if text.data_type == DataType::Null {
                return Ok(Term::Cell(Typed::null_of(DataType::Boolean)));
            }
            if text.data_type != DataType::Utf8 {
                return Err(Stop::Interpret);
            }
            let op = if op == BinaryOp::Match { Operator::RegexMatch } else { Operator::RegexNotMatch };
            let pattern = Box::new(lit(regex.as_str()));
            let expr = Expr::BinaryExpr(BinaryExpr::new(Box::new(text.plain()), op, pattern));
            return Ok(Term::Cell(Typed::new(expr, DataType::Boolean)));
        }
        Ok(Term::Cell(operators::binary(op, self.cell(left)?, self.cell(right)?)?))
    }

    fn record(&self, with: Option<&str>, properties: &[Property], names: &Names) -> Step<Term> {
        let mut out: Vec<(Arc<str>, Term)> = match with.map(|w| names.local(w)) {
            None => vec![],
            Some(Some(Term::Row)) => {
                let names = self.column_names.ok_or(Stop::Interpret)?;
                names.iter().map(|n| (Arc::from(n.as_str()), self.column(n))).collect()
            }
            Some(Some(Term::Record(properties))) => properties.clone(),
            Some(_) => return Err(Stop::Interpret),
        };
        for property in properties {
            let term = self.expression(&property.value, names)?;
            match out.iter_mut().find(|(n, _)| *n == property.key.name) {
                Some((_, old)) => *old = term,
                None => out.push((property.key.name.clone(), term)),
            }
        }
        Ok(Term::Record(out))
    }

    fn interpolation(&self, parts: &[StringPart], names: &Names) -> Step<Term> {
        let mut arguments = vec![];
        let mut shape: Vec<Option<Arc<str>>> = vec![];
        for part in parts {
            match part {
                StringPart::Text(text) => shape.push(Some(text.clone())),
                StringPart::Expr(e) => {
                    let cell = self.cell(self.expression(e, names)?)?;
                    arguments.push(cell.plain());
                    shape.push(None);
                }
            }
        }
        let code = move |values: Vec<Value>| {
            let mut values = values.into_iter();
            let mut text = String::new();
            for part in &shape {
                match part {
                    Some(fixed) => text.push_str(fixed),
                    None => match values.next() {
                        Some(value) if !value.is_null() => text.push_str(&text_of(&value).unwrap_or_default()),
                        _ => return Err(FluxError::run("invalid null value in string interpolation")),
                    },
                }
            }
            Ok(Value::string(text))
        };
        Ok(Term::Cell(Typed::new(value_function("interpolate", arguments, DataType::Utf8, Arc::new(code)), DataType::Utf8)))
    }

    fn call(&self, callee: &Syntax, arguments: &[Property], pipe: Option<Term>, span: Span, names: &Names) -> Step<Term> {
        let function = match self.expression(callee, names)? {
            Term::Constant(Value::Function(f)) => f,
            _ => return Err(Stop::Interpret),
        };
        let mut given: Vec<(Arc<str>, Term)> = vec![];
        for argument in arguments {
            given.push((argument.key.name.clone(), self.expression(&argument.value, names)?));
        }
        match function.as_ref() {
            FunctionValue::Builtin(builtin) => self.builtin(builtin, given, pipe, span),
            FunctionValue::Closure { literal, scope } => {
                if self.depth > 32 {
                    return Err(Stop::Interpret);
                }
                let deeper = Lowering { depth: self.depth + 1, ..*self };
                let mut inner = Names { scope: scope.clone(), locals: vec![] };
                let mut pipe = pipe;
                for parameter in &literal.parameters {
                    let at = given.iter().position(|(n, _)| *n == parameter.name.name);
                    let term = match (at, &parameter.default) {
                        (Some(at), _) => given.swap_remove(at).1,
                        (None, Some(d)) if d.kind == ExprKind::PipeValue => pipe.take().ok_or(Stop::Interpret)?,
                        (None, Some(default)) => deeper.expression(default, &Names { scope: scope.clone(), locals: vec![] })?,
                        (None, None) => return Err(Stop::Interpret),
                    };
                    inner.locals.push((parameter.name.name.clone(), term));
                }
                if !given.is_empty() || pipe.is_some() {
                    return Err(Stop::Interpret);
                }
                deeper.body(literal, inner)
            }
        }
    }

    /// A built-in called with cells: as an expression where there is one, else called row by row, provided that its
    /// signature names the type of its result.
    fn builtin(&self, function: &'static Function, given: Vec<(Arc<str>, Term)>, pipe: Option<Term>, span: Span) -> Step<Term> {
        // The interpreter says what is wrong with the arguments.
        let parameters = function.parameters();
        let missing = parameters.iter().any(|p| !p.optional && !given.iter().any(|(n, _)| n.as_ref() == p.name));
        let unknown = given.iter().any(|(n, _)| !parameters.iter().any(|p| p.name == n.as_ref()));
        if pipe.is_some() || missing || unknown {
            return Err(Stop::Interpret);
        }
        // Columns that the frame lacks leave nothing that depends on the row.
        let fixed: Option<Vec<(Arc<str>, Value)>> =
            given.iter().map(|(n, t)| if let Term::Constant(value) = t { Some((n.clone(), value.clone())) } else { None }).collect();
        if let Some(arguments) = fixed {
            let function = Value::Function(Arc::new(FunctionValue::Builtin(function)));
            return Ok(Term::Constant(self.interpreter.call(&function, arguments, None, span)?));
        }
        let find = |name: &str| given.iter().find(|(n, _)| n.as_ref() == name).map(|(_, t)| t.clone());
        if let ("contains", Some(Term::Cell(value)), Some(Term::Constant(Value::Array(set)))) = (function.name, find("value"), find("set"))
        {
            let items: Option<Vec<Expr>> = set.iter().map(literal).collect();
            let fits = set.iter().all(|v| column_type(v).as_ref() == Some(&value.data_type));
            if let (Some(items), true, true) = (items, fits, value.data_type != DataType::Float64) {
                let expr = in_list(value.expr, items, false);
                return Ok(Term::Cell(Typed::new(expr, DataType::Boolean)));
            }
        }
        if let ("float", Some(Term::Cell(value))) = (function.name, find("v")) {
            match value.data_type {
                DataType::Float64 => return Ok(Term::Cell(value)),
                DataType::Int64 | DataType::UInt64 => {
                    return Ok(Term::Cell(Typed::new(cast(value.expr, DataType::Float64), DataType::Float64)));
                }
                _ => {}
            }
        }
        if let ("isType", Some(Term::Cell(value)), Some(Term::Constant(Value::String(name)))) = (function.name, find("v"), find("type")) {
            return Ok(Term::Constant(Value::Bool(type_name(&value.data_type) == name.as_ref())));
        }
        let Some(returns) = function.signature.rsplit("=>").next().and_then(operators::type_from_signature) else {
            return Err(Stop::Interpret);
        };
        let mut cells = vec![];
        let mut shape: Vec<(Arc<str>, Option<Value>)> = vec![];
        for (name, term) in given {
            match term {
                Term::Cell(typed) => {
                    cells.push(typed.plain());
                    shape.push((name, None));
                }
                Term::Constant(value) => shape.push((name, Some(value))),
                _ => return Err(Stop::Interpret),
            }
        }
        let context = self.interpreter.context.shared();
        let session = self.interpreter.session.clone();
        let code = move |values: Vec<Value>| {
            let mut values = values.into_iter();
            let arguments = shape.iter().map(|(n, v)| (n.clone(), v.clone().unwrap_or_else(|| values.next().unwrap_or(Value::Null))));
            let interpreter = Interpreter::in_session(context.as_ref(), session.clone());
            (function.call)(&mut Call { function, interpreter: &interpreter, arguments: arguments.collect(), span })
        };
        Ok(Term::Cell(Typed::new(value_function(function.name, cells, returns.clone(), Arc::new(code)), returns)))
    }
}

/// Whether an expression reads the row, or a local that depends on it.
fn mentions(syntax: &Syntax, names: &Names) -> bool {
    let is = |e: &Syntax| mentions(e, names);
    let any = |p: &[Property]| p.iter().any(|p| mentions(&p.value, names));
    let bound = |name: &str| names.local(name).is_some_and(|t| !matches!(t, Term::Constant(_)));
    match &syntax.kind {
        ExprKind::Ident(name) => bound(name),
        ExprKind::Interpolation(parts) => parts.iter().any(|p| matches!(p, StringPart::Expr(e) if is(e))),
        ExprKind::Array(items) => items.iter().any(is),
        ExprKind::Dict(entries) => entries.iter().any(|(k, v)| is(k) || is(v)),
        ExprKind::Record { with, properties } => with.as_ref().is_some_and(|w| bound(&w.name)) || any(properties),
        ExprKind::Function(literal) => match &literal.body {
            FunctionBody::Expr(e) => is(e),
            FunctionBody::Block(statements) => statements.iter().any(|s| match &s.kind {
                StatementKind::Assign { value, .. } => is(value),
                StatementKind::Expression(e) | StatementKind::Return(e) => is(e),
                _ => false,
            }),
        },
        ExprKind::Unary { operand, .. } => is(operand),
        ExprKind::Binary { left, right, .. } | ExprKind::Logical { left, right, .. } => is(left) || is(right),
        ExprKind::If { test, then, otherwise } => is(test) || is(then) || is(otherwise),
        ExprKind::Pipe { left, call } => is(left) || is(call),
        ExprKind::Call { callee, arguments } => is(callee) || any(arguments),
        ExprKind::Member { object, .. } => is(object),
        ExprKind::Index { array, index } => is(array) || is(index),
        _ => false,
    }
}
