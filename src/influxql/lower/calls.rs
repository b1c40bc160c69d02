//! The functions of a select list: what each name and its arguments mean, and which depends on which.

use super::{columns::Column, columns::parts_of};
use crate::influxql::ast::Expr;
use crate::kernel::exponential_moving_average::Warmup;
use crate::model::{Failure, Result};
use crate::plan::node::{
    reduce::{Extreme, Reduction},
    row_function::{RowFunction, Smoothing},
};

const SECOND_NS: i64 = 1_000_000_000;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Input(usize),
    Reduction(usize),
    Row(usize),
}

/// A reduction of input `input`.
#[derive(Debug, Clone)]
pub struct Reducing {
    pub name: String,
    pub reduction: Reduction,
    pub input: usize,
    /// A row function reads it, so it also looks at the window before the bounds.
    pub beyond_bounds: bool,
}

/// A row function of another value.
#[derive(Debug, Clone)]
pub struct RowStep {
    pub name: String,
    pub function: RowFunction,
    pub origin: Origin,
}

/// All calls of a select list, each once; later ones may read earlier ones.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    /// Fields that calls read, and the tags of `top` and `bottom`.
    pub inputs: Vec<Expr>,
    pub reductions: Vec<Reducing>,
    pub rows: Vec<RowStep>,
    /// Calls as the select list writes them.
    outputs: Vec<(Expr, Origin)>,
    /// Tags of `top` and `bottom`, which the selected row carries first.
    pub by: Vec<Expr>,
}

/// What the rest of a statement says to its functions.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// Length of the windows of GROUP BY time.
    pub every_ns: Option<i64>,
    pub limit: usize,
    pub seed: u64,
}

impl Calls {
    pub fn read(columns: &[Column], around: Surroundings) -> Result<Calls> {
        let mut calls = Calls::default();
        let mut outermost = vec![];
        columns.iter().for_each(|c| parts_of(&c.expr, &mut outermost, &mut vec![]));
        for call in outermost {
            let origin = calls.register(call, false, around)?;
            calls.outputs.push((call.inner().clone(), origin));
        }
        Ok(calls)
    }

    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    pub fn origin(&self, call: &Expr) -> Option<Origin> {
        self.outputs.iter().find(|(known, _)| known == call.inner()).map(|(_, origin)| *origin)
    }

    pub fn outputs(&self) -> impl Iterator<Item = Origin> + '_ {
        self.outputs.iter().map(|(_, origin)| *origin)
    }

    /// Whether a row function reads rows as they are stored.
    pub fn reads_rows(&self) -> bool {
        self.rows.iter().any(|r| matches!(r.origin, Origin::Input(_)))
    }

    /// Whether a row function looks at the window before the bounds.
    pub fn looks_beyond(&self) -> bool {
        self.reductions.iter().any(|r| r.beyond_bounds)
    }

    fn input(&mut self, expr: &Expr) -> usize {
        match self.inputs.iter().position(|i| i == expr) {
            Some(at) => at,
            None => {
                self.inputs.push(expr.clone());
                self.inputs.len() - 1
            }
        }
    }

    fn register(&mut self, call: &Expr, beyond_bounds: bool, around: Surroundings) -> Result<Origin> {
        let distinct;
        let (name, args) = match call.inner() {
            Expr::Call { name, args } => (name.as_str(), args.as_slice()),
            Expr::Distinct(field) => {
                distinct = [Expr::variable(field.clone())];
                ("distinct", distinct.as_slice())
            }
            other => return Err(Failure::invalid(format!("expected a function, found {other}"))),
        };
        let call = Call { name, args };
        if let Some((reduction, field)) = call.reduction(around)? {
            if let Reduction::Extremes { .. } = reduction {
                self.by = args[1..args.len() - 1].iter().map(|a| a.inner().clone()).collect();
            }
            let input = self.input(&field);
            let same = |r: &Reducing| (&r.reduction, r.input, r.beyond_bounds) == (&reduction, input, beyond_bounds);
            return Ok(Origin::Reduction(match self.reductions.iter().position(same) {
                Some(at) => at,
                None => {
                    self.reductions.push(Reducing { name: name.to_string(), reduction, input, beyond_bounds });
                    self.reductions.len() - 1
                }
            }));
        }
        let Some((function, argument)) = call.row_function(around)? else {
            return Err(Failure::invalid(format!("undefined function {name}()")));
        };
        let sums_up = matches!(function, RowFunction::CumulativeSum | RowFunction::HoltWinters { .. });
        let origin = match argument.inner() {
            Expr::Call { .. } | Expr::Distinct(_) => self.register(argument, beyond_bounds || !sums_up, around)?,
            variable => Origin::Input(self.input(variable)),
        };
        let same = |r: &RowStep| (&r.function, r.origin) == (&function, origin);
        Ok(Origin::Row(match self.rows.iter().position(same) {
            Some(at) => at,
            None => {
                self.rows.push(RowStep { name: name.to_string(), function, origin });
                self.rows.len() - 1
            }
        }))
    }
}

/// One call, being read.
struct Call<'a> {
    name: &'a str,
    args: &'a [Expr],
}

fn invalid(text: String) -> Failure {
    Failure::invalid(text)
}

impl Call<'_> {
    fn count(&self, min: usize, max: usize) -> Result<()> {
        let (name, got) = (self.name, self.args.len());
        match (min..=max).contains(&got) {
            true => Ok(()),
            false if min == max => Err(invalid(format!("invalid number of arguments for {name}, expected {min}, got {got}"))),
            false if max == usize::MAX => {
                Err(invalid(format!("invalid number of arguments for {name}, expected at least {min}, got {got}")))
            }
            false => {
                let text = format!("invalid number of arguments for {name}, expected at least {min} but no more than {max}, got {got}");
                Err(invalid(text))
            }
        }
    }

    /// The first argument as a field.
    fn field(&self) -> Result<Expr> {
        match self.args[0].inner() {
            field @ Expr::Variable { .. } => Ok(field.clone()),
            _ => Err(invalid(format!("expected field argument in {}()", self.name))),
        }
    }

    /// A unit of time as argument `at`.
    fn unit(&self, at: usize, default_ns: i64) -> Result<i64> {
        match self.args.get(at).map(Expr::inner) {
            None => Ok(default_ns),
            Some(Expr::Duration(ns)) if *ns > 0 => Ok(*ns),
            Some(other @ Expr::Duration(_)) => Err(invalid(format!("duration argument must be positive, got {other}"))),
            Some(other) => Err(invalid(format!("second argument to {} must be a duration, got {}", self.name, literal_name(other)))),
        }
    }

    fn integer(&self, at: usize) -> Result<i64> {
        match self.args[at].inner() {
            Expr::Integer(v) => Ok(*v),
            _ => Err(invalid(format!("expected integer argument in {}()", self.name))),
        }
    }

    fn reduction(&self, around: Surroundings) -> Result<Option<(Reduction, Expr)>> {
        let simple = match self.name {
            "count" => Reduction::Count,
            "sum" => Reduction::Sum,
            "mean" => Reduction::Mean,
            "median" => Reduction::Median,
            "mode" => Reduction::Mode,
            "spread" => Reduction::Spread,
            "stddev" => Reduction::Stddev,
            "first" => Reduction::First,
            "last" => Reduction::Last,
            "min" => Reduction::Min,
            "max" => Reduction::Max,
            "distinct" => Reduction::Distinct,
            "integral" => {
                self.count(1, 2)?;
                return Ok(Some((Reduction::Integral { unit_ns: self.unit(1, SECOND_NS)? }, self.field()?)));
            }
            "percentile" => {
                self.count(2, 2)?;
                let percent = match self.args[1].inner() {
                    Expr::Integer(v) => *v as f64,
                    Expr::Number(v) => *v,
                    _ => return Err(invalid("expected float argument in percentile()".into())),
                };
                return Ok(Some((Reduction::Percentile(percent), self.field()?)));
            }
            "sample" => {
                self.count(2, 2)?;
                let count = self.integer(1)?;
                if count <= 0 {
                    return Err(invalid(format!("sample window must be greater than 1, got {count}")));
                }
                return Ok(Some((Reduction::Sample { count: count as usize, seed: around.seed }, self.field()?)));
            }
            "top" | "bottom" => return self.extremes(around).map(Some),
            _ => return Ok(None),
        };
        self.count(1, 1)?;
        let field = match (self.name, self.args[0].inner()) {
            ("count", Expr::Distinct(field)) => return Ok(Some((Reduction::CountDistinct, Expr::variable(field.clone())))),
            ("count", Expr::Call { name, args }) if name == "distinct" => {
                let inner = Call { name, args };
                inner.count(1, 1)?;
                return Ok(Some((Reduction::CountDistinct, inner.field()?)));
            }
            _ => self.field()?,
        };
        Ok(Some((simple, field)))
    }

    fn extremes(&self, around: Surroundings) -> Result<(Reduction, Expr)> {
        let name = self.name;
        self.count(2, usize::MAX)?;
        let Some(Expr::Integer(count)) = self.args.last().map(Expr::inner) else {
            let last = self.args.last().map_or(String::new(), |a| a.to_string());
            return Err(invalid(format!("expected integer as last argument in {name}(), found {last}")));
        };
        if *count < 1 {
            return Err(invalid(format!("limit ({count}) in {name} function must be at least 1")));
        }
        if around.limit > 0 && *count > around.limit as i64 {
            let limit = around.limit;
            return Err(invalid(format!(
                "limit ({count}) in {name} function can not be larger than the LIMIT ({limit}) in the select statement"
            )));
        }
        let tags = &self.args[1..self.args.len() - 1];
        if let Some(other) = tags.iter().find(|t| !matches!(t.inner(), Expr::Variable { .. })) {
            return Err(invalid(format!("only fields or tags are allowed in {name}(), found {other}")));
        }
        let extreme = if name == "top" { Extreme::Greatest } else { Extreme::Smallest };
        Ok((Reduction::Extremes { extreme, count: *count as usize, by: tags.len() }, self.field()?))
    }

    fn row_function(&self, around: Surroundings) -> Result<Option<(RowFunction, &Expr)>> {
        let over_call = |args: &[Expr]| matches!(args.first().map(Expr::inner), Some(Expr::Call { .. } | Expr::Distinct(_)));
        let over_call = over_call(self.args);
        let smoothing = |kind, max| -> Result<RowFunction> {
            self.count(2, max)?;
            self.smoothing(kind)
        };
        let function = match self.name {
            "derivative" | "non_negative_derivative" => {
                self.count(1, 2)?;
                let default_ns = if over_call { around.every_ns.unwrap_or(SECOND_NS) } else { SECOND_NS };
                RowFunction::Derivative { unit_ns: self.unit(1, default_ns)?, non_negative: self.name != "derivative" }
            }
            "difference" | "non_negative_difference" => {
                self.count(1, 1)?;
                RowFunction::Difference { non_negative: self.name != "difference" }
            }
            "elapsed" => {
                self.count(1, 2)?;
                RowFunction::Elapsed { unit_ns: self.unit(1, 1)? }
            }
            "cumulative_sum" => {
                self.count(1, 1)?;
                RowFunction::CumulativeSum
            }
            "moving_average" => {
                self.count(2, 2)?;
                let n = self.integer(1)?;
                if n <= 1 {
                    return Err(invalid(format!("moving_average window must be greater than 1, got {n}")));
                }
                RowFunction::MovingAverage(n as usize)
            }
            "exponential_moving_average" => smoothing(Smoothing::Exponential, 4)?,
            "double_exponential_moving_average" => smoothing(Smoothing::DoubleExponential, 4)?,
            "triple_exponential_moving_average" => smoothing(Smoothing::TripleExponential, 4)?,
            "triple_exponential_derivative" => smoothing(Smoothing::TripleExponentialDerivative, 4)?,
            "relative_strength_index" => smoothing(Smoothing::RelativeStrengthIndex, 4)?,
            "kaufmans_efficiency_ratio" => smoothing(Smoothing::KaufmansEfficiencyRatio, 3)?,
            "kaufmans_adaptive_moving_average" => smoothing(Smoothing::KaufmansAdaptive, 3)?,
            "chande_momentum_oscillator" => smoothing(Smoothing::ChandeMomentum, 4)?,
            "holt_winters" | "holt_winters_with_fit" => {
                self.count(3, 3)?;
                let (count, season) = (self.integer(1)?, self.integer(2)?);
                if count <= 0 {
                    return Err(invalid(format!("second arg to {} must be greater than 0, got {count}", self.name)));
                }
                if season < 0 {
                    return Err(invalid(format!("third arg to {} must be greater than or equal to 0, got {season}", self.name)));
                }
                if !over_call {
                    return Err(invalid(format!("must use aggregate function with {}", self.name)));
                }
                let every_ns = around.every_ns.unwrap_or(1);
                let with_fit = self.name != "holt_winters";
                RowFunction::HoltWinters { count: count as usize, season: season as usize, every_ns, with_fit }
            }
            _ => return Ok(None),
        };
        match self.args[0].inner() {
            Expr::Call { .. } | Expr::Distinct(_) if around.every_ns.is_none() => {
                return Err(invalid(format!("{} aggregate requires a GROUP BY interval", self.name)));
            }
            Expr::Variable { .. } if around.every_ns.is_some() => {
                return Err(invalid(format!("aggregate function required inside the call to {}", self.name)));
            }
            Expr::Call { .. } | Expr::Distinct(_) | Expr::Variable { .. } => {}
            _ => return Err(invalid(format!("expected field argument in {}()", self.name))),
        }
        Ok(Some((function, &self.args[0])))
    }

    /// `f(x, period[, hold[, warmup]])`; -1 is the default hold period.
    fn smoothing(&self, kind: Smoothing) -> Result<RowFunction> {
        let name = self.name;
        let period = self.integer(1)?;
        let least = if kind == Smoothing::ChandeMomentum && self.args.len() < 4 { 2 } else { 1 };
        if period < least {
            return Err(invalid(format!("{name} period must be greater than or equal to {least}")));
        }
        let hold = match self.args.get(2) {
            None => None,
            Some(_) => match self.integer(2)? {
                -1 => None,
                hold if hold >= 0 => Some(hold as usize),
                _ => return Err(invalid(format!("{name} hold period must be greater than or equal to 0"))),
            },
        };
        let warmup = match self.args.get(3).map(Expr::inner) {
            None => None,
            Some(Expr::String(word)) => match word.as_str() {
                "exponential" => Some(Warmup::Exponential),
                "simple" => Some(Warmup::Simple),
                "none" if kind == Smoothing::ChandeMomentum => None,
                _ => return Err(invalid(format!("{name} warmup type must be one of: 'exponential' 'simple'"))),
            },
            Some(_) => return Err(invalid(format!("expected string argument in {name}()"))),
        };
        Ok(RowFunction::Smoothing { kind, period: period as usize, hold, warmup })
    }
}

fn literal_name(expr: &Expr) -> &'static str {
    match expr {
        Expr::Integer(_) => "*influxql.IntegerLiteral",
        Expr::Number(_) => "*influxql.NumberLiteral",
        Expr::String(_) => "*influxql.StringLiteral",
        Expr::Boolean(_) => "*influxql.BooleanLiteral",
        Expr::Variable { .. } => "*influxql.VarRef",
        Expr::Call { .. } => "*influxql.Call",
        Expr::Wildcard(_) => "*influxql.Wildcard",
        Expr::Regex(_) => "*influxql.RegexLiteral",
        _ => "*influxql.BinaryExpr",
    }
}
