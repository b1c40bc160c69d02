//! The syntax of InfluxQL as data. Knows no schema; [`print`] writes it back in InfluxDB 1.x's normal form.

mod print;

pub use print::{duration_text, quote_name, quote_string};

use chrono_tz::Tz;

/// The statements of one request, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    pub statements: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    Select(Box<Select>),
    Explain { analyze: bool, verbose: bool, select: Box<Select> },
    ShowDatabases,
    ShowMeasurements { on: On, with: Option<NameMatch>, filter: ShowFilter },
    ShowTagKeys { database: Option<String>, with: Option<KeyMatch>, filter: ShowFilter },
    ShowTagValues { database: Option<String>, key: KeyMatch, filter: ShowFilter },
    ShowFieldKeys { database: Option<String>, filter: ShowFilter },
    ShowSeries { database: Option<String>, filter: ShowFilter },
    ShowCardinality { of: CardinalityOf, exact: bool, database: Option<String>, key: Option<KeyMatch>, filter: ShowFilter },
    ShowRetentionPolicies { database: Option<String> },
    ShowContinuousQueries,
    ShowQueries,
    ShowUsers,
    ShowGrants { user: String },
    ShowStats { module: Option<String> },
    ShowDiagnostics { module: Option<String> },
    ShowShards,
    ShowShardGroups,
    ShowSubscriptions,
    CreateDatabase { name: String, policy: Option<PolicyOptions> },
    DropDatabase { name: String },
    CreateRetentionPolicy { name: String, database: String, options: PolicyOptions },
    AlterRetentionPolicy { name: String, database: String, options: PolicyOptions },
    DropRetentionPolicy { name: String, database: String },
    CreateUser { name: String, password: String, admin: bool },
    SetPassword { name: String, password: String },
    DropUser { name: String },
    Grant { privilege: Privilege, database: Option<String>, user: String },
    Revoke { privilege: Privilege, database: Option<String>, user: String },
    CreateContinuousQuery { name: String, database: String, every: Option<i64>, window: Option<i64>, select: Box<Select> },
    DropContinuousQuery { name: String, database: String },
    Delete { source: Option<Source>, condition: Option<Expr> },
    DropSeries { sources: Vec<Source>, condition: Option<Expr> },
    DropMeasurement { name: String },
    DropShard { id: u64 },
    KillQuery { id: u64, host: Option<String> },
    CreateSubscription { name: String, database: String, policy: String, mode: String, destinations: Vec<String> },
    DropSubscription { name: String, database: String, policy: String },
}

impl Statement {
    /// The statement's keywords, as InfluxDB 2.7 names what it does not do (`not implemented: SHOW SHARDS`).
    pub fn name(&self) -> &'static str {
        match self {
            Statement::Select(_) => "SELECT",
            Statement::Explain { .. } => "EXPLAIN",
            Statement::ShowDatabases => "SHOW DATABASES",
            Statement::ShowMeasurements { .. } => "SHOW MEASUREMENTS",
            Statement::ShowTagKeys { .. } => "SHOW TAG KEYS",
            Statement::ShowTagValues { .. } => "SHOW TAG VALUES",
            Statement::ShowFieldKeys { .. } => "SHOW FIELD KEYS",
            Statement::ShowSeries { .. } => "SHOW SERIES",
            Statement::ShowCardinality { .. } => "SHOW CARDINALITY",
            Statement::ShowRetentionPolicies { .. } => "SHOW RETENTION POLICIES",
            Statement::ShowContinuousQueries => "SHOW CONTINUOUS QUERIES",
            Statement::ShowQueries => "SHOW QUERIES",
            Statement::ShowUsers => "SHOW USERS",
            Statement::ShowGrants { .. } => "SHOW GRANTS",
            Statement::ShowStats { .. } => "SHOW STATS",
            Statement::ShowDiagnostics { .. } => "SHOW DIAGNOSTICS",
            Statement::ShowShards => "SHOW SHARDS",
            Statement::ShowShardGroups => "SHOW SHARD GROUPS",
            Statement::ShowSubscriptions => "SHOW SUBSCRIPTIONS",
            Statement::CreateDatabase { .. } => "CREATE DATABASE",
            Statement::DropDatabase { .. } => "DROP DATABASE",
            Statement::CreateRetentionPolicy { .. } => "CREATE RETENTION POLICY",
            Statement::AlterRetentionPolicy { .. } => "ALTER RETENTION POLICY",
            Statement::DropRetentionPolicy { .. } => "DROP RETENTION POLICY",
            Statement::CreateUser { .. } => "CREATE USER",
            Statement::SetPassword { .. } => "SET PASSWORD",
            Statement::DropUser { .. } => "DROP USER",
            Statement::Grant { .. } => "GRANT",
            Statement::Revoke { .. } => "REVOKE",
            Statement::CreateContinuousQuery { .. } => "CREATE CONTINUOUS QUERY",
            Statement::DropContinuousQuery { .. } => "DROP CONTINUOUS QUERY",
            Statement::Delete { .. } => "DELETE",
            Statement::DropSeries { .. } => "DROP SERIES",
            Statement::DropMeasurement { .. } => "DROP MEASUREMENT",
            Statement::DropShard { .. } => "DROP SHARD",
            Statement::KillQuery { .. } => "KILL QUERY",
            Statement::CreateSubscription { .. } => "CREATE SUBSCRIPTION",
            Statement::DropSubscription { .. } => "DROP SUBSCRIPTION",
        }
    }

    /// Whether the statement changes something (InfluxDB 1.x deprecates those in a GET).
    pub fn is_mutation(&self) -> bool {
        match self {
            Statement::Select(s) => s.target.is_some(),
            Statement::Explain { .. } => false,
            other => !other.name().starts_with("SHOW"),
        }
    }
}

/// `ON` of SHOW MEASUREMENTS.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum On {
    #[default]
    Default,
    Database(String),
    Policy(String, String),
    /// `*.*`
    Everything,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardinalityOf {
    Series,
    Measurement,
    TagKey,
    TagValues,
    FieldKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    Read,
    Write,
    All,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct PolicyOptions {
    pub name: Option<String>,
    /// `Some(0)`: for ever (`INF`).
    pub duration_ns: Option<i64>,
    pub replication: Option<i64>,
    pub shard_duration_ns: Option<i64>,
    pub default: bool,
}

/// The clauses that SHOW statements share.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShowFilter {
    pub sources: Vec<Source>,
    pub condition: Option<Expr>,
    pub dimensions: Vec<Expr>,
    pub limits: Limits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    pub limit: usize,
    pub offset: usize,
    pub series_limit: usize,
    pub series_offset: usize,
}

/// What a measurement's name must be.
#[derive(Debug, Clone, PartialEq)]
pub enum NameMatch {
    Name(String),
    Regex(String),
}

/// `WITH KEY`.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyMatch {
    Is(String),
    IsNot(String),
    Like(String),
    NotLike(String),
    In(Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Measurement(Measurement),
    Subquery(Box<Select>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    pub database: Option<String>,
    pub policy: Option<String>,
    pub name: NameMatch,
}

/// Where INTO writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    pub database: Option<String>,
    pub policy: Option<String>,
    /// `None`: `:MEASUREMENT`, the name of the source.
    pub name: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    pub fields: Vec<Field>,
    pub target: Option<Target>,
    pub sources: Vec<Source>,
    pub condition: Option<Expr>,
    pub dimensions: Vec<Expr>,
    pub fill: Fill,
    /// `ORDER BY time` was written.
    pub ordered: bool,
    pub descending: bool,
    pub limits: Limits,
    pub zone: Option<Tz>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub expr: Expr,
    pub alias: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Fill {
    /// Nothing was written, or `fill(null)`: the two mean the same but inside sub-queries `Unset` prints nothing.
    #[default]
    Unset,
    Null,
    None,
    Previous,
    Linear,
    /// An integer as it was written keeps its type in printing.
    Integer(i64),
    Number(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cast {
    Float,
    Integer,
    Unsigned,
    String,
    Boolean,
    Field,
    Tag,
}

impl Cast {
    pub fn name(self) -> &'static str {
        match self {
            Cast::Float => "float",
            Cast::Integer => "integer",
            Cast::Unsigned => "unsigned",
            Cast::String => "string",
            Cast::Boolean => "boolean",
            Cast::Field => "field",
            Cast::Tag => "tag",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    Or,
    And,
    Eq,
    NotEq,
    Less,
    LessEq,
    Greater,
    GreaterEq,
    Match,
    NotMatch,
    Add,
    Sub,
    BitOr,
    BitXor,
    Mul,
    Div,
    Mod,
    BitAnd,
}

impl BinaryOp {
    pub fn text(self) -> &'static str {
        match self {
            BinaryOp::Or => "OR",
            BinaryOp::And => "AND",
            BinaryOp::Eq => "=",
            BinaryOp::NotEq => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessEq => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEq => ">=",
            BinaryOp::Match => "=~",
            BinaryOp::NotMatch => "!~",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::BitOr => "|",
            BinaryOp::BitXor => "^",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::BitAnd => "&",
        }
    }

    /// Binding strength, loosest 1.
    pub fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And => 2,
            op if op.is_comparison() => 3,
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::BitOr | BinaryOp::BitXor => 4,
            _ => 5,
        }
    }

    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, Eq | NotEq | Less | LessEq | Greater | GreaterEq | Match | NotMatch)
    }

    pub fn is_logical(self) -> bool {
        matches!(self, BinaryOp::Or | BinaryOp::And)
    }

    /// The comparison with its operands exchanged.
    pub fn mirrored(self) -> BinaryOp {
        match self {
            BinaryOp::Less => BinaryOp::Greater,
            BinaryOp::LessEq => BinaryOp::GreaterEq,
            BinaryOp::Greater => BinaryOp::Less,
            BinaryOp::GreaterEq => BinaryOp::LessEq,
            op => op,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    Variable {
        name: String,
        cast: Option<Cast>,
    },
    /// `*`, `*::field`, `*::tag`
    Wildcard(Option<Cast>),
    Regex(String),
    /// Function names in lower case.
    Call {
        name: String,
        args: Vec<Expr>,
    },
    /// `DISTINCT v` and `distinct(v)` are told apart only in printing.
    Distinct(String),
    Integer(i64),
    Unsigned(u64),
    Number(f64),
    Duration(i64),
    String(String),
    Boolean(bool),
    Binary {
        op: BinaryOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Paren(Box<Expr>),
}

impl Expr {
    pub fn variable(name: impl Into<String>) -> Expr {
        Expr::Variable { name: name.into(), cast: None }
    }

    pub fn call(name: impl Into<String>, args: Vec<Expr>) -> Expr {
        Expr::Call { name: name.into(), args }
    }

    pub fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
        Expr::Binary { op, left: Box::new(left), right: Box::new(right) }
    }

    /// The expression inside any parentheses around it.
    pub fn inner(&self) -> &Expr {
        match self {
            Expr::Paren(inner) => inner.inner(),
            other => other,
        }
    }

    /// Calls `visit` on this expression and all below it, from the left, parents first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        visit(self);
        match self {
            Expr::Call { args, .. } => args.iter().for_each(|a| a.walk(visit)),
            Expr::Binary { left, right, .. } => {
                left.walk(visit);
                right.walk(visit);
            }
            Expr::Paren(inner) => inner.walk(visit),
            _ => {}
        }
    }

    /// `time`, in any case, not cast.
    pub fn is_time(&self) -> bool {
        matches!(self, Expr::Variable { name, .. } if name.eq_ignore_ascii_case("time"))
    }
}
