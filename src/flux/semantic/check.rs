//! The walk over a script's syntax.

use super::{
    Known,
    names::{self, Members},
    signature::{self, Parameter, clash},
};
use crate::flux::{
    ast::*,
    diagnostic::{FluxError, Stage},
    stdlib,
};
use std::{collections::HashMap, sync::Arc};

/// Names of one block.
#[derive(Default)]
struct Block {
    names: HashMap<Arc<str>, Known>,
    /// Those that the block itself assigned, which it can do once.
    assigned: Vec<Arc<str>>,
}

pub struct Checker {
    universe: Arc<Members>,
    blocks: Vec<Block>,
    pub errors: Vec<FluxError>,
}

impl Checker {
    pub fn new<'g>(given: impl Iterator<Item = &'g str>) -> Checker {
        let names = given.map(|name| (Arc::from(name), Known::Nothing)).collect();
        let blocks = vec![Block { names, assigned: vec![] }];
        Checker { universe: names::members(stdlib::UNIVERSE), blocks, errors: vec![] }
    }

    fn fail(&mut self, span: Span, message: impl Into<String>) {
        self.errors.push(FluxError { stage: Stage::Compile, ..FluxError::invalid(message) }.at(span));
    }

    fn bind(&mut self, name: &Ident, known: Known) {
        let block = self.blocks.last_mut().expect("the script's own block stays");
        block.names.insert(name.name.clone(), known);
    }

    fn find(&self, name: &str) -> Option<Known> {
        let bound = self.blocks.iter().rev().find_map(|b| b.names.get(name));
        bound.or_else(|| self.universe.get(name)).cloned()
    }

    pub fn file(&mut self, file: &File) {
        for import in &file.imports {
            let Some(package) = stdlib::package(&import.path).or_else(|| (&*import.path == "universe").then_some(stdlib::UNIVERSE)) else {
                let hint = names::hint(&import.path, stdlib::packages().iter().map(|p| p.path));
                self.fail(import.span, format!("invalid import path {}{hint}", import.path));
                // What it would have given is not known, and not its user's second mistake.
                let last = import.path.rsplit('/').next().unwrap_or_default();
                let name = import.alias.clone().unwrap_or(Ident { name: last.into(), span: import.span });
                self.bind(&name, Known::Nothing);
                continue;
            };
            let name = import.alias.clone().unwrap_or(Ident { name: package.name.into(), span: import.span });
            self.bind(&name, Known::Package(package));
        }
        for statement in &file.body {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        match &statement.kind {
            StatementKind::Expression(e) | StatementKind::Return(e) => {
                self.expression(e);
            }
            StatementKind::Assign { name, value } => {
                let known = self.expression(value);
                let block = self.blocks.last_mut().expect("the script's own block stays");
                let again = block.assigned.contains(&name.name);
                block.assigned.push(name.name.clone());
                if again {
                    self.fail(name.span, format!("variable {} is already defined; a name is given once in a block", name.name));
                }
                self.bind(name, known);
            }
            StatementKind::Option { package, name, value } => {
                self.expression(value);
                match package.as_ref().map(|p| (p, self.find(&p.name))) {
                    None => self.bind(name, Known::Nothing),
                    Some((package, None)) => self.undefined(&package.name, package.span),
                    Some((_, Some(Known::Package(package)))) => {
                        // Private options come and go between versions; setting one is no mistake of a user's.
                        if !name.name.starts_with('_') && !names::members(package).contains_key(&name.name) {
                            let members = names::members(package);
                            let hint = names::hint(&name.name, members.keys().map(|k| &**k));
                            self.fail(name.span, format!("package {} has no option {}{hint}", package.name, name.name));
                        }
                    }
                    Some(_) => {}
                }
            }
            StatementKind::Builtin { name, .. } => self.bind(name, Known::Nothing),
            // Testcases are cut out of their file before they run.
            StatementKind::Testcase { .. } => {}
        }
    }

    fn undefined(&mut self, name: &str, span: Span) {
        let bound = self.blocks.iter().flat_map(|b| b.names.keys());
        let hint = names::hint(name, bound.chain(self.universe.keys()).map(|n| &**n));
        let hint = match stdlib::packages().iter().find(|p| p.name == name) {
            Some(package) => format!("; it is a package: import \"{}\"", package.path),
            None => hint,
        };
        self.fail(span, format!("undefined identifier {name}{hint}"));
    }

    fn expression(&mut self, e: &Expr) -> Known {
        stacker::maybe_grow(128 << 10, 2 << 20, || self.known(e))
    }

    fn known(&mut self, e: &Expr) -> Known {
        match &e.kind {
            ExprKind::Ident(name) => self.find(name).unwrap_or_else(|| {
                self.undefined(name, e.span);
                Known::Nothing
            }),
            ExprKind::Bool(_) => Known::Basic("bool"),
            ExprKind::Int(_) => Known::Basic("int"),
            ExprKind::UInt(_) => Known::Basic("uint"),
            ExprKind::Float(_) => Known::Basic("float"),
            ExprKind::String(_) | ExprKind::Label(_) => Known::Basic("string"),
            ExprKind::Duration(_) => Known::Basic("duration"),
            ExprKind::Time(_) => Known::Basic("time"),
            ExprKind::Regex(_) => Known::Basic("regexp"),
            ExprKind::Interpolation(parts) => {
                for part in parts {
                    if let StringPart::Expr(e) = part {
                        self.expression(e);
                    }
                }
                Known::Basic("string")
            }
            ExprKind::PipeValue => {
                self.fail(e.span, "pipe receiver not allowed here: `<-` is the default of a function's parameter");
                Known::Nothing
            }
            ExprKind::Array(items) => {
                let known: Vec<Known> = items.iter().map(|item| self.expression(item)).collect();
                let first = known.iter().find_map(Known::basic);
                for (item, found) in items.iter().zip(known.iter().map(Known::basic)) {
                    if let (Some(first), Some(found)) = (first, found)
                        && first != found
                    {
                        self.fail(item.span, format!("expected {first} but found {found}: the elements of an array have one type"));
                    }
                }
                Known::Array(Box::new(first.map_or(Known::Nothing, Known::Basic)))
            }
            ExprKind::Dict(entries) => {
                for (key, value) in entries {
                    self.expression(key);
                    self.expression(value);
                }
                Known::Dict
            }
            ExprKind::Record { with, properties } => {
                if let Some(with) = with
                    && self.find(&with.name).is_none()
                {
                    self.undefined(&with.name, with.span);
                }
                for property in properties {
                    self.expression(&property.value);
                }
                Known::Record
            }
            ExprKind::Function(literal) => {
                self.function(literal);
                Known::Closure(literal.clone())
            }
            ExprKind::Unary { op, operand } => self.unary(*op, operand),
            ExprKind::Binary { op, left, right } => self.binary(*op, left, right),
            ExprKind::Logical { left, right, .. } => {
                self.condition(left);
                self.condition(right);
                Known::Basic("bool")
            }
            ExprKind::If { test, then, otherwise } => {
                self.condition(test);
                let (then, other) = (self.expression(then), self.expression(otherwise));
                match (then.basic(), other.basic()) {
                    (Some(a), Some(b)) if a == b => then,
                    (Some(a), Some(b)) => {
                        self.fail(otherwise.span, format!("expected {a} but found {b}: both branches of `if` have one type"));
                        Known::Nothing
                    }
                    _ => Known::Nothing,
                }
            }
            ExprKind::Pipe { left, call } => {
                let piped = self.expression(left);
                match &call.kind {
                    ExprKind::Call { callee, arguments } => self.call(callee, arguments, Some(piped), call.span),
                    _ => Known::Nothing,
                }
            }
            ExprKind::Call { callee, arguments } => self.call(callee, arguments, None, e.span),
            ExprKind::Member { object, property } => self.member(object, property),
            ExprKind::Index { array, index } => {
                let (array, index_known) = (self.expression(array), self.expression(index));
                match (&array, index_known.basic()) {
                    (Known::Array(_), Some(found)) if found != "int" => {
                        self.fail(index.span, format!("expected int but found {found}: an array is indexed by a number"));
                    }
                    _ => {}
                }
                if let Known::Array(item) = array { *item } else { Known::Nothing }
            }
        }
    }

    fn function(&mut self, literal: &FunctionLiteral) {
        for default in literal.parameters.iter().filter_map(|p| p.default.as_ref()).filter(|d| d.kind != ExprKind::PipeValue) {
            self.expression(default);
        }
        self.blocks.push(Block::default());
        for parameter in &literal.parameters {
            self.bind(&parameter.name, Known::Nothing);
        }
        match &literal.body {
            FunctionBody::Expr(e) => {
                self.expression(e);
            }
            FunctionBody::Block(statements) => statements.iter().for_each(|s| self.statement(s)),
        }
        self.blocks.pop();
    }

    fn condition(&mut self, e: &Expr) {
        let known = self.expression(e);
        if let Some(found) = known.basic().filter(|found| *found != "bool") {
            self.fail(e.span, format!("expected bool but found {found}"));
        }
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr) -> Known {
        if op == UnaryOp::Not {
            self.condition(operand);
            return Known::Basic("bool");
        }
        let known = self.expression(operand);
        match (op, known.basic()) {
            (UnaryOp::Exists, _) => Known::Basic("bool"),
            (_, Some("int" | "float" | "duration")) | (_, None) => known,
            (UnaryOp::Plus, Some("uint")) => known,
            (_, Some(found)) => {
                self.fail(operand.span, format!("{found} is not Negatable"));
                Known::Nothing
            }
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr) -> Known {
        use BinaryOp::*;
        let (a, b) = (self.expression(left).basic(), self.expression(right).basic());
        let number = |t: &str| matches!(t, "int" | "uint" | "float");
        let compares = matches!(op, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual);
        match (op, a, b) {
            (Match | NotMatch, a, b) => {
                if let Some(found) = a.filter(|t| *t != "string") {
                    self.fail(left.span, format!("expected string but found {found}"));
                }
                if let Some(found) = b.filter(|t| *t != "regexp") {
                    self.fail(right.span, format!("expected regexp but found {found}; a regular expression stands between slashes"));
                }
                Known::Basic("bool")
            }
            (_, Some(a), Some(b)) if compares => {
                if a != b && !(number(a) && number(b)) {
                    self.fail(right.span, format!("expected {a} but found {b}"));
                }
                Known::Basic("bool")
            }
            _ if compares => Known::Basic("bool"),
            (_, Some(a), Some(b)) if a != b => {
                let hint = if number(a) && number(b) { format!(": convert with {a}(v: ...)") } else { String::new() };
                self.fail(right.span, format!("expected {a} but found {b}{hint}"));
                Known::Nothing
            }
            (_, Some(a), Some(_)) => {
                let (fits, kind) = match op {
                    Add => (number(a) || a == "string", "Addable"),
                    Sub => (number(a), "Subtractable"),
                    _ => (number(a), "Divisible"),
                };
                if !fits {
                    self.fail(left.span, format!("{a} is not {kind}"));
                }
                // `^` of integers is a float.
                if op == Pow { Known::Basic("float") } else { Known::Basic(a) }
            }
            _ => Known::Nothing,
        }
    }

    fn member(&mut self, object: &Expr, property: &Ident) -> Known {
        let Known::Package(package) = self.expression(object) else { return Known::Nothing };
        let members = names::members(package);
        members.get(&property.name).cloned().unwrap_or_else(|| {
            let hint = names::hint(&property.name, members.keys().map(|k| &**k));
            let message = format!("record is missing label {0}: package {1} has no {0}{hint}", property.name, package.name);
            self.fail(property.span, message);
            Known::Nothing
        })
    }

    fn call(&mut self, callee: &Expr, arguments: &[Property], piped: Option<Known>, span: Span) -> Known {
        let function = self.expression(callee);
        let given: Vec<Known> = arguments.iter().map(|a| self.expression(&a.value)).collect();
        let (parameters, returns) = match &function {
            Known::Builtin(builtin) => match signature::function(builtin.signature) {
                Some(declared) => declared,
                None => return Known::Nothing,
            },
            Known::Closure(literal) => (signature::literal(literal), ""),
            Known::Nothing => return Known::Nothing,
            other => {
                self.fail(callee.span, format!("expected a function but found {}", other.shown()));
                return Known::Nothing;
            }
        };
        self.arguments(&parameters, arguments, &given, piped, span);
        signature::basic(returns).map_or(Known::Nothing, Known::Basic)
    }

    fn arguments(&mut self, parameters: &[Parameter], arguments: &[Property], given: &[Known], piped: Option<Known>, span: Span) {
        for (argument, known) in arguments.iter().zip(given) {
            let name = &argument.key.name;
            match parameters.iter().find(|p| p.name == **name) {
                None => {
                    let others = parameters.iter().map(|p| p.name.as_str()).filter(|n| arguments.iter().all(|a| *a.key.name != **n));
                    let hint = names::hint(name, others);
                    self.fail(argument.key.span, format!("found unexpected argument {name}{hint}"));
                }
                Some(parameter) => {
                    if let Some(wrong) = clash(parameter.type_text, known) {
                        self.fail(argument.value.span, format!("{wrong} (argument {name})"));
                    }
                }
            }
        }
        let pipe = parameters.iter().find(|p| p.pipe);
        let by_name = |p: &Parameter| arguments.iter().any(|a| *a.key.name == p.name);
        match (pipe, &piped) {
            (None, Some(_)) => self.fail(span, "function does not take a pipe argument"),
            (Some(parameter), Some(known)) => {
                if let Some(wrong) = clash(parameter.type_text, known) {
                    self.fail(span, format!("{wrong} (pipe argument)"));
                }
            }
            (Some(parameter), None) if !by_name(parameter) => {
                self.fail(span, format!("missing required pipe argument {}", parameter.name));
            }
            _ => {}
        }
        for missing in parameters.iter().filter(|p| !p.pipe && !p.optional && !by_name(p)) {
            self.fail(span, format!("missing required argument {}", missing.name));
        }
    }
}
