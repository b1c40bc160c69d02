//! Pure syntax with positions. Nodes that closures keep are behind `Arc`.

use crate::model::Duration;
use std::sync::Arc;

/// Byte offsets into the source text; `stop` is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Span {
    pub start: u32,
    pub stop: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Ident {
    pub name: Arc<str>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct File {
    pub package: Option<Ident>,
    pub imports: Vec<Import>,
    pub body: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    pub alias: Option<Ident>,
    pub path: Arc<str>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub kind: StatementKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum StatementKind {
    Expression(Expr),
    Assign {
        name: Ident,
        value: Expr,
    },
    /// `option name = value`, `option package.name = value`
    Option {
        package: Option<Ident>,
        name: Ident,
        value: Expr,
    },
    /// `builtin name : type`; the type is kept as text.
    Builtin {
        name: Ident,
        type_text: Arc<str>,
    },
    Testcase {
        name: Ident,
        extends: Option<Arc<str>>,
        body: Vec<Statement>,
    },
    Return(Expr),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    Ident(Arc<str>),
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    String(Arc<str>),
    /// Parts of `"a ${b} c"`.
    Interpolation(Vec<StringPart>),
    Duration(Duration),
    Time(i64),
    /// The pattern between the slashes, `\/` unescaped.
    Regex(Arc<str>),
    /// `.name`, a label literal.
    Label(Arc<str>),
    /// `<-` as the default of a pipe parameter.
    PipeValue,
    Array(Vec<Expr>),
    /// `["a": 1]`; `[:]` is empty.
    Dict(Vec<(Expr, Expr)>),
    Record {
        with: Option<Ident>,
        properties: Vec<Property>,
    },
    Function(Arc<FunctionLiteral>),
    Unary {
        op: UnaryOp,
        operand: Box<Expr>,
    },
    Binary {
        op: BinaryOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Logical {
        op: LogicalOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    If {
        test: Box<Expr>,
        then: Box<Expr>,
        otherwise: Box<Expr>,
    },
    /// `left |> call`; `call.kind` is always `Call`.
    Pipe {
        left: Box<Expr>,
        call: Box<Expr>,
    },
    Call {
        callee: Box<Expr>,
        arguments: Vec<Property>,
    },
    /// `object.name`, `object["name"]`
    Member {
        object: Box<Expr>,
        property: Ident,
    },
    /// `array[index]`
    Index {
        array: Box<Expr>,
        index: Box<Expr>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum StringPart {
    Text(Arc<str>),
    Expr(Expr),
}

/// `name: value`; a shorthand `name` has the identifier `name` as its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    pub key: Ident,
    pub value: Expr,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FunctionLiteral {
    pub parameters: Vec<Parameter>,
    pub body: FunctionBody,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    pub name: Ident,
    /// `Some(PipeValue)` marks the pipe parameter.
    pub default: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FunctionBody {
    Expr(Expr),
    /// Ends in `Return`.
    Block(Vec<Statement>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    Minus,
    Plus,
    Not,
    Exists,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    /// `=~`
    Match,
    /// `!~`
    NotMatch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogicalOp {
    And,
    Or,
}
