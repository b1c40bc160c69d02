//! Syntax as Flux text: on one line, every operator in its own parentheses, so that the shape of the tree shows.

use super::node::*;
use crate::model::time::rfc3339;
use std::fmt::{self, Display, Formatter, Write};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Ident(name) => f.write_str(name),
            ExprKind::Bool(v) => write!(f, "{v}"),
            ExprKind::Int(v) => write!(f, "{v}"),
            ExprKind::UInt(v) => write!(f, "uint(v: {v})"),
            ExprKind::Float(v) => write!(f, "{v:?}"),
            ExprKind::String(text) => write!(f, "\"{}\"", Escaped(text)),
            ExprKind::Interpolation(parts) => {
                f.write_char('"')?;
                for part in parts {
                    match part {
                        StringPart::Text(text) => write!(f, "{}", Escaped(text))?,
                        StringPart::Expr(e) => write!(f, "${{{e}}}")?,
                    }
                }
                f.write_char('"')
            }
            ExprKind::Duration(v) => write!(f, "{v}"),
            ExprKind::Time(v) => f.write_str(&rfc3339(*v)),
            ExprKind::Regex(pattern) => write!(f, "/{}/", pattern.replace('/', "\\/")),
            ExprKind::Label(name) => write!(f, ".{name}"),
            ExprKind::PipeValue => f.write_str("<-"),
            ExprKind::Array(items) => write!(f, "[{}]", List(items)),
            ExprKind::Dict(entries) if entries.is_empty() => f.write_str("[:]"),
            ExprKind::Dict(entries) => {
                let entries: Vec<String> = entries.iter().map(|(k, v)| format!("{k}: {v}")).collect();
                write!(f, "[{}]", entries.join(", "))
            }
            ExprKind::Record { with, properties } => {
                let with = with.as_ref().map(|w| format!("{} with ", w.name)).unwrap_or_default();
                write!(f, "{{{with}{}}}", List(properties))
            }
            ExprKind::Function(literal) => write!(f, "{literal}"),
            ExprKind::Unary { op, operand } => write!(f, "({op}{operand})"),
            ExprKind::Binary { op, left, right } => write!(f, "({left} {op} {right})"),
            ExprKind::Logical { op, left, right } => write!(f, "({left} {op} {right})"),
            ExprKind::If { test, then, otherwise } => write!(f, "(if {test} then {then} else {otherwise})"),
            ExprKind::Pipe { left, call } => write!(f, "({left} |> {call})"),
            ExprKind::Call { callee, arguments } => write!(f, "{callee}({})", List(arguments)),
            ExprKind::Member { object, property } if is_name(&property.name) => write!(f, "{object}.{}", property.name),
            ExprKind::Member { object, property } => write!(f, "{object}[\"{}\"]", Escaped(&property.name)),
            ExprKind::Index { array, index } => write!(f, "{array}[{index}]"),
        }
    }
}

impl Display for Property {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_name(&self.key.name) {
            write!(f, "{}: {}", self.key.name, self.value)
        } else {
            write!(f, "\"{}\": {}", Escaped(&self.key.name), self.value)
        }
    }
}

impl Display for FunctionLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "({}) => ", List(&self.parameters))?;
        match &self.body {
            FunctionBody::Expr(e) => write!(f, "{e}"),
            FunctionBody::Block(statements) => write!(f, "{}", Block(statements)),
        }
    }
}

impl Display for Parameter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name.name)?;
        self.default.iter().try_for_each(|d| write!(f, "={d}"))
    }
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            StatementKind::Expression(e) => write!(f, "{e}"),
            StatementKind::Assign { name, value } => write!(f, "{} = {value}", name.name),
            StatementKind::Option { package, name, value } => {
                let package = package.as_ref().map(|p| format!("{}.", p.name)).unwrap_or_default();
                write!(f, "option {package}{} = {value}", name.name)
            }
            StatementKind::Builtin { name, type_text } => write!(f, "builtin {} : {type_text}", name.name),
            StatementKind::Testcase { name, extends, body } => {
                let extends = extends.as_ref().map(|e| format!(" extends \"{}\"", Escaped(e))).unwrap_or_default();
                write!(f, "testcase {}{extends} {}", name.name, Block(body))
            }
            StatementKind::Return(e) => write!(f, "return {e}"),
        }
    }
}

impl Display for File {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(package) = &self.package {
            writeln!(f, "package {}", package.name)?;
        }
        for import in &self.imports {
            let alias = import.alias.as_ref().map(|a| format!("{} ", a.name)).unwrap_or_default();
            writeln!(f, "import {alias}\"{}\"", Escaped(&import.path))?;
        }
        self.body.iter().try_for_each(|statement| writeln!(f, "{statement}"))
    }
}

impl Display for UnaryOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UnaryOp::Minus => "-",
            UnaryOp::Plus => "+",
            UnaryOp::Not => "not ",
            UnaryOp::Exists => "exists ",
        })
    }
}

impl Display for BinaryOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEqual => ">=",
            BinaryOp::Match => "=~",
            BinaryOp::NotMatch => "!~",
        })
    }
}

impl Display for LogicalOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == LogicalOp::And { "and" } else { "or" })
    }
}

fn is_name(text: &str) -> bool {
    let letter = |c: char| c == '_' || c.is_alphabetic();
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_numeric())
}

struct List<'a, T>(&'a [T]);

impl<T: Display> Display for List<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, item) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{item}")?;
        }
        Ok(())
    }
}

struct Block<'a>(&'a [Statement]);

impl Display for Block<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        self.0.iter().try_for_each(|statement| write!(f, " {statement}"))?;
        f.write_str(" }")
    }
}

struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                '"' | '\\' => write!(f, "\\{c}")?,
                '$' => f.write_str("\\$")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
