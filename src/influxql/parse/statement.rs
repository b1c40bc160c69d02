//! Statements and clauses: pairs of the grammar into [`crate::influxql::ast`].

use super::literal::{self, Bound, Parameters};
use super::{Pair, Rule};
use crate::influxql::ast::*;

type Read<T> = std::result::Result<T, String>;

/// What reading needs beside the pairs.
pub struct Reader {
    pub parameters: Parameters,
}

/// The clauses after the sources.
#[derive(Default)]
struct Tail {
    condition: Option<Expr>,
    dimensions: Vec<Expr>,
    fill: Fill,
    ordered: bool,
    descending: bool,
    limits: Limits,
}

impl Tail {
    fn into_filter(self, sources: Vec<Source>) -> ShowFilter {
        ShowFilter { sources, condition: self.condition, dimensions: self.dimensions, limits: self.limits }
    }
}

/// The parts that most statements have, collected in whatever order they stand.
#[derive(Default)]
struct Parts {
    names: Vec<String>,
    strings: Vec<String>,
    regexes: Vec<String>,
    integers: Vec<Expr>,
    database: Option<String>,
    sources: Vec<Source>,
    tail: Tail,
    key: Option<KeyMatch>,
    cardinality: bool,
    exact: bool,
    options: PolicyOptions,
    keywords: Vec<Rule>,
}

impl Reader {
    pub fn statement(&self, pair: Pair<'_>) -> Read<Statement> {
        let rule = pair.as_rule();
        match rule {
            Rule::select => return Ok(Statement::Select(Box::new(self.select(pair)?))),
            Rule::explain => return self.explain(pair),
            Rule::show => return self.show(pair),
            Rule::create_cq => return self.create_cq(pair),
            _ => {}
        }
        let p = self.parts(pair)?;
        let names = p.names;
        let name = |i: usize| names.get(i).cloned().unwrap_or_default();
        let on = p.database.clone().unwrap_or_default();
        let privilege = || match () {
            () if p.keywords.contains(&Rule::k_read) => Privilege::Read,
            () if p.keywords.contains(&Rule::k_write) => Privilege::Write,
            () => Privilege::All,
        };
        let id = || match p.integers.first() {
            Some(Expr::Integer(v)) => *v as u64,
            Some(Expr::Unsigned(v)) => *v,
            _ => 0,
        };
        Ok(match rule {
            Rule::create_database => {
                let policy = p.keywords.contains(&Rule::k_with).then_some(p.options);
                Statement::CreateDatabase { name: name(0), policy }
            }
            Rule::create_policy => Statement::CreateRetentionPolicy { name: name(0), database: on, options: p.options },
            Rule::alter_policy => Statement::AlterRetentionPolicy { name: name(0), database: on, options: p.options },
            Rule::create_user => Statement::CreateUser {
                name: name(0),
                password: p.strings.first().cloned().unwrap_or_default(),
                admin: p.keywords.contains(&Rule::with_all),
            },
            Rule::create_subscription => Statement::CreateSubscription {
                name: name(0),
                database: name(1),
                policy: name(2),
                mode: if p.keywords.contains(&Rule::k_any) { "ANY".into() } else { "ALL".into() },
                destinations: p.strings,
            },
            Rule::drop_database => Statement::DropDatabase { name: name(0) },
            Rule::drop_measurement => Statement::DropMeasurement { name: name(0) },
            Rule::drop_series => Statement::DropSeries { sources: p.sources, condition: p.tail.condition },
            Rule::drop_shard => Statement::DropShard { id: id() },
            Rule::drop_policy => Statement::DropRetentionPolicy { name: name(0), database: on },
            Rule::drop_cq => Statement::DropContinuousQuery { name: name(0), database: on },
            Rule::drop_user => Statement::DropUser { name: name(0) },
            Rule::drop_subscription => Statement::DropSubscription { name: name(0), database: name(1), policy: name(2) },
            Rule::delete => {
                if p.sources.len() > 1 {
                    return Err("only one source is supported in DELETE".into());
                }
                if p.sources.iter().any(|s| matches!(s, Source::Measurement(m) if m.database.is_some() || m.policy.is_some())) {
                    return Err("database not supported at line 1, char 1".into());
                }
                Statement::Delete { source: p.sources.into_iter().next(), condition: p.tail.condition }
            }
            Rule::grant => Statement::Grant { privilege: privilege(), database: p.database.clone(), user: name(0) },
            Rule::revoke => Statement::Revoke { privilege: privilege(), database: p.database.clone(), user: name(0) },
            Rule::set_password => Statement::SetPassword { name: name(0), password: p.strings.first().cloned().unwrap_or_default() },
            Rule::kill_query => Statement::KillQuery { id: id(), host: names.first().cloned() },
            other => unreachable!("{other:?} is no statement of the grammar"),
        })
    }

    fn explain(&self, pair: Pair<'_>) -> Read<Statement> {
        let (mut analyze, mut verbose, mut select) = (false, false, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::k_analyze => analyze = true,
                Rule::verbose => verbose = true,
                Rule::select => select = Some(Box::new(self.select(part)?)),
                _ => {}
            }
        }
        Ok(Statement::Explain { analyze, verbose, select: select.expect("EXPLAIN holds a SELECT") })
    }

    fn show(&self, pair: Pair<'_>) -> Read<Statement> {
        let what = pair.into_inner().filter(|p| !matches!(p.as_rule(), Rule::k_show | Rule::k_tag | Rule::k_field)).last();
        let what = what.expect("SHOW is followed by what to show");
        let rule = what.as_rule();
        if rule == Rule::show_measurements {
            return self.show_measurements(what);
        }
        let p = self.parts(what)?;
        let (database, key) = (p.database, p.key);
        let filter = p.tail.into_filter(p.sources);
        let cardinality =
            |of| Statement::ShowCardinality { of, exact: p.exact, database: database.clone(), key: key.clone(), filter: filter.clone() };
        Ok(match rule {
            Rule::k_databases => Statement::ShowDatabases,
            Rule::k_queries => Statement::ShowQueries,
            Rule::k_users => Statement::ShowUsers,
            Rule::k_shards => Statement::ShowShards,
            Rule::k_subscriptions => Statement::ShowSubscriptions,
            Rule::show_shard_groups => Statement::ShowShardGroups,
            Rule::show_cqs => Statement::ShowContinuousQueries,
            Rule::show_policies => Statement::ShowRetentionPolicies { database },
            Rule::show_grants => Statement::ShowGrants { user: p.names.into_iter().next().unwrap_or_default() },
            Rule::show_stats => Statement::ShowStats { module: p.strings.into_iter().next() },
            Rule::show_diagnostics => Statement::ShowDiagnostics { module: p.strings.into_iter().next() },
            Rule::show_measurement_cardinality => cardinality(CardinalityOf::Measurement),
            Rule::show_tag_key_cardinality => cardinality(CardinalityOf::TagKey),
            Rule::show_field_key_cardinality => cardinality(CardinalityOf::FieldKey),
            Rule::show_tag_values if p.cardinality => cardinality(CardinalityOf::TagValues),
            Rule::show_series if p.cardinality => cardinality(CardinalityOf::Series),
            Rule::show_tag_keys => Statement::ShowTagKeys { database, with: key, filter },
            Rule::show_tag_values => Statement::ShowTagValues { database, key: key.expect("WITH KEY is required"), filter },
            Rule::show_field_keys => Statement::ShowFieldKeys { database, filter },
            Rule::show_series => Statement::ShowSeries { database, filter },
            other => unreachable!("{other:?} is no SHOW of the grammar"),
        })
    }

    fn show_measurements(&self, pair: Pair<'_>) -> Read<Statement> {
        let (mut on, mut with, mut tail) = (On::Default, None, Tail::default());
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::on_any => {
                    let mut names = Vec::new();
                    on = On::Everything;
                    for name in part.into_inner().filter(|p| p.as_rule() == Rule::name) {
                        names.push(self.name(name)?);
                    }
                    let mut names = names.into_iter();
                    if let Some(database) = names.next() {
                        on = match names.next() {
                            Some(policy) => On::Policy(database, policy),
                            None => On::Database(database),
                        };
                    }
                }
                Rule::with_measurement => {
                    for p in part.into_inner() {
                        match p.as_rule() {
                            Rule::name => with = Some(self.name_match(p)?),
                            Rule::regex => with = Some(NameMatch::Regex(literal::pattern(&p)?)),
                            _ => {}
                        }
                    }
                }
                Rule::tail => tail = self.tail(part)?,
                _ => {}
            }
        }
        Ok(Statement::ShowMeasurements { on, with, filter: tail.into_filter(vec![]) })
    }

    fn create_cq(&self, pair: Pair<'_>) -> Read<Statement> {
        let (mut name, mut database, mut every, mut window, mut select) = (String::new(), String::new(), None, None, None);
        let mut last_token = String::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => name = self.name(part)?,
                Rule::on => database = self.on(part)?,
                Rule::resample => {
                    for p in part.into_inner() {
                        let rule = p.as_rule();
                        let length = p.into_inner().find(|d| d.as_rule() == Rule::duration).map(|d| literal::duration(d.as_str()));
                        match (rule, length.transpose()?) {
                            (Rule::every, ns) => every = ns,
                            (Rule::for_length, ns) => window = ns,
                            _ => {}
                        }
                    }
                }
                Rule::select => {
                    last_token = part.as_str().split_whitespace().last().unwrap_or_default().into();
                    select = Some(Box::new(self.select(part)?));
                }
                _ => {}
            }
        }
        let select = select.expect("a continuous query holds a SELECT");
        let interval = select.dimensions.iter().find_map(|d| match d {
            Expr::Call { name, args } if name == "time" => match args.first() {
                Some(Expr::Duration(ns)) => Some(*ns),
                _ => None,
            },
            _ => None,
        });
        let mut calls = false;
        select.fields.iter().for_each(|f| f.expr.walk(&mut |e| calls |= matches!(e, Expr::Call { .. } | Expr::Distinct(_))));
        if select.target.is_none() {
            return Err(format!("found {last_token}, expected INTO"));
        }
        if calls && interval.is_none() {
            return Err(format!("found {last_token}, expected GROUP BY time(...)"));
        }
        if let (Some(window), Some(interval)) = (window, interval) {
            let at_least = interval.max(every.unwrap_or(0));
            if window < at_least {
                let (want, got) = (duration_text(at_least), duration_text(window));
                return Err(format!("FOR duration must be >= GROUP BY time duration: must be a minimum of {want}, got {got}"));
            }
        }
        Ok(Statement::CreateContinuousQuery { name, database, every, window, select })
    }

    fn parts(&self, pair: Pair<'_>) -> Read<Parts> {
        let mut parts = Parts::default();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => parts.names.push(self.name(part)?),
                Rule::string => parts.strings.push(literal::unquote(part.as_str())),
                Rule::regex => parts.regexes.push(literal::pattern(&part)?),
                Rule::integer => parts.integers.push(literal::integer(part.as_str(), || literal::place(&part))?),
                Rule::on => parts.database = Some(self.on(part)?),
                Rule::on_policy => {
                    for name in part.into_inner().filter(|p| p.as_rule() == Rule::name) {
                        parts.names.push(self.name(name)?);
                    }
                }
                Rule::from => parts.sources = self.sources(part)?,
                Rule::r#where => parts.tail.condition = Some(self.condition(part)?),
                Rule::tail => parts.tail = self.tail(part)?,
                Rule::with_key => parts.key = Some(self.with_key(part)?),
                Rule::exact_cardinality => {
                    parts.cardinality = true;
                    parts.exact = part.into_inner().any(|p| p.as_rule() == Rule::k_exact);
                }
                Rule::k_exact => parts.exact = true,
                Rule::policy_duration | Rule::policy_shard => {
                    let shard = part.as_rule() == Rule::policy_shard;
                    let length = part.into_inner().find(|p| p.as_rule() == Rule::length).expect("a length is required");
                    let ns = match length.as_str() {
                        text if text.eq_ignore_ascii_case("inf") => 0,
                        text => literal::duration(text)?,
                    };
                    *(if shard { &mut parts.options.shard_duration_ns } else { &mut parts.options.duration_ns }) = Some(ns);
                }
                Rule::policy_replication => {
                    let n = part.into_inner().find(|p| p.as_rule() == Rule::integer).expect("a number is required");
                    let n: i64 = n.as_str().parse().unwrap_or(i64::MAX);
                    if n < 1 {
                        return Err(format!("invalid value {n}: must be 1 <= n <= 2147483647"));
                    }
                    parts.options.replication = Some(n);
                }
                Rule::policy_name => {
                    let name = part.into_inner().find(|p| p.as_rule() == Rule::name).expect("a name is required");
                    parts.options.name = Some(self.name(name)?);
                }
                Rule::policy_default => parts.options.default = true,
                other => parts.keywords.push(other),
            }
        }
        Ok(parts)
    }

    pub fn select(&self, pair: Pair<'_>) -> Read<Select> {
        let mut select = Select {
            fields: vec![],
            target: None,
            sources: vec![],
            condition: None,
            dimensions: vec![],
            fill: Fill::Unset,
            ordered: false,
            descending: false,
            limits: Limits::default(),
            zone: None,
        };
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::field => select.fields.push(self.field(part)?),
                Rule::into => select.target = Some(self.target(part)?),
                Rule::from => select.sources = self.sources(part)?,
                Rule::tail => {
                    let tail = self.tail(part)?;
                    select.condition = tail.condition;
                    select.dimensions = tail.dimensions;
                    select.fill = tail.fill;
                    (select.ordered, select.descending) = (tail.ordered, tail.descending);
                    select.limits = tail.limits;
                }
                Rule::zone => select.zone = Some(self.zone(part)?),
                _ => {}
            }
        }
        Ok(select)
    }

    fn field(&self, pair: Pair<'_>) -> Read<Field> {
        let place = literal::place(&pair);
        let mut alias = None;
        let mut expr = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::regex => expr = Some(Expr::Regex(literal::pattern(&part)?)),
                Rule::expr => expr = Some(self.expr(part)?),
                Rule::name => alias = Some(self.name(part)?),
                _ => {}
            }
        }
        let expr = expr.expect("a field is a regex or an expression");
        let mut wrong = None;
        expr.walk(&mut |e| {
            if let Expr::Binary { op, .. } = e
                && (op.is_comparison() || op.is_logical())
                && wrong.is_none()
            {
                wrong = Some(*op);
            }
        });
        match wrong {
            Some(op) => Err(format!("invalid operator {} in SELECT clause at {place}; operator is intended for WHERE clause", op.text())),
            None => Ok(Field { expr, alias }),
        }
    }

    fn target(&self, pair: Pair<'_>) -> Read<Target> {
        let target = pair.into_inner().find(|p| p.as_rule() == Rule::target).expect("INTO is followed by a target");
        let dots = target.as_str().contains("..");
        let mut names = Vec::new();
        let mut last = None;
        for part in target.into_inner() {
            match part.as_rule() {
                Rule::name => names.push(self.name(part)?),
                _ => {
                    let inner = part.into_inner().next().expect("a target has a last part");
                    last = match inner.as_rule() {
                        Rule::name => Some(self.name(inner)?),
                        _ => None,
                    };
                }
            }
        }
        let mut names = names.into_iter();
        let (first, second) = (names.next(), names.next());
        Ok(match (first, second) {
            (Some(database), Some(policy)) => Target { database: Some(database), policy: Some(policy), name: last },
            (Some(database), None) if dots => Target { database: Some(database), policy: None, name: last },
            (policy, _) => Target { database: None, policy, name: last },
        })
    }

    fn sources(&self, pair: Pair<'_>) -> Read<Vec<Source>> {
        let sources = pair.into_inner().filter(|p| p.as_rule() == Rule::source);
        sources.map(|source| self.source(source.into_inner().next().expect("a source is a sub-query or a path"))).collect()
    }

    fn source(&self, pair: Pair<'_>) -> Read<Source> {
        if pair.as_rule() == Rule::subquery {
            let select = pair.into_inner().find(|p| p.as_rule() == Rule::select).expect("a sub-query holds a SELECT");
            return Ok(Source::Subquery(Box::new(self.select(select)?)));
        }
        let (mut parts, mut name) = (vec![None], NameMatch::Name(String::new()));
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::segment => {
                    let name = part.into_inner().next().expect("a segment is a name");
                    *parts.last_mut().expect("starts with one") = Some(self.name(name)?);
                }
                Rule::dot => parts.push(None),
                Rule::regex => name = NameMatch::Regex(literal::pattern(&part)?),
                _ => name = self.name_match(part)?,
            }
        }
        parts.pop();
        let mut parts = parts.into_iter();
        let (first, second) = (parts.next(), parts.next());
        let (database, policy) = match second {
            Some(policy) => (first.flatten(), policy),
            None => (None, first.flatten()),
        };
        Ok(Source::Measurement(Measurement { database, policy, name }))
    }

    fn tail(&self, pair: Pair<'_>) -> Read<Tail> {
        let mut tail = Tail::default();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::r#where => tail.condition = Some(self.condition(part)?),
                Rule::group_by => {
                    for dimension in part.into_inner().filter(|p| p.as_rule() == Rule::dimension) {
                        tail.dimensions.push(self.regex_or_expr(dimension)?);
                    }
                }
                Rule::fill => tail.fill = self.fill(part)?,
                Rule::order_by => (tail.ordered, tail.descending) = (true, self.order(part)?),
                Rule::limit => tail.limits.limit = self.count(part, "LIMIT")?,
                Rule::offset => tail.limits.offset = self.count(part, "OFFSET")?,
                Rule::slimit => tail.limits.series_limit = self.count(part, "SLIMIT")?,
                Rule::soffset => tail.limits.series_offset = self.count(part, "SOFFSET")?,
                _ => {}
            }
        }
        Ok(tail)
    }

    fn condition(&self, pair: Pair<'_>) -> Read<Expr> {
        self.expr(pair.into_inner().find(|p| p.as_rule() == Rule::expr).expect("WHERE holds an expression"))
    }

    fn fill(&self, pair: Pair<'_>) -> Read<Fill> {
        let mut args = Vec::new();
        for arg in pair.into_inner().filter(|p| p.as_rule() == Rule::expr) {
            args.push(self.expr(arg)?);
        }
        if args.len() != 1 {
            return Err("fill requires an argument, e.g.: 0, null, none, previous, linear".into());
        }
        Ok(match &args[0] {
            Expr::Variable { name, .. } => match name.as_str() {
                "null" => Fill::Null,
                "none" => Fill::None,
                "previous" => Fill::Previous,
                "linear" => Fill::Linear,
                _ => return Err("expected number argument in fill()".into()),
            },
            Expr::Integer(v) => Fill::Integer(*v),
            Expr::Number(v) => Fill::Number(*v),
            _ => return Err("expected number argument in fill()".into()),
        })
    }

    fn order(&self, pair: Pair<'_>) -> Read<bool> {
        let mut descending = false;
        let mut count = 0;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::k_desc => descending = true,
                Rule::sort_field => {
                    count += 1;
                    for p in part.into_inner() {
                        match p.as_rule() {
                            Rule::name if self.name(p.clone())? != "time" => {
                                return Err("only ORDER BY time supported at this time".into());
                            }
                            Rule::k_desc => descending = true,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        if count > 1 {
            return Err("only ORDER BY time supported at this time".into());
        }
        Ok(descending)
    }

    fn count(&self, pair: Pair<'_>, word: &str) -> Read<usize> {
        let count = pair.into_inner().find(|p| p.as_rule() == Rule::count).expect("a count is required");
        let inner = count.into_inner().next().expect("a count is a number or a parameter");
        let place = literal::place(&inner);
        let value = match inner.as_rule() {
            Rule::param => self.param(inner)?,
            _ => literal::integer(inner.as_str(), || place.clone())?,
        };
        match value {
            Expr::Integer(v) if v >= 0 => Ok(usize::try_from(v).unwrap_or(usize::MAX)),
            Expr::Integer(_) => Err(format!("{word} must be >= 0 at {place}")),
            Expr::Unsigned(_) => Err(format!("unable to parse integer at {place}")),
            other => Err(format!("found {other}, expected integer at {place}")),
        }
    }

    fn zone(&self, pair: Pair<'_>) -> Read<chrono_tz::Tz> {
        let mut args = Vec::new();
        for arg in pair.into_inner().filter(|p| p.as_rule() == Rule::expr) {
            args.push(self.expr(arg)?);
        }
        match args.as_slice() {
            [Expr::String(name)] => name.parse().map_err(|_| format!("unable to find time zone {name}")),
            [_] => Err("expected string argument in tz()".into()),
            _ => Err("tz requires exactly one argument".into()),
        }
    }

    fn with_key(&self, pair: Pair<'_>) -> Read<KeyMatch> {
        let (mut op, mut names, mut pattern) = (String::new(), Vec::new(), None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::key_match | Rule::key_equals | Rule::k_in => op = part.as_str().to_ascii_lowercase(),
                Rule::name => names.push(self.name(part)?),
                Rule::regex => pattern = Some(literal::pattern(&part)?),
                _ => {}
            }
        }
        Ok(match (op.as_str(), pattern) {
            ("=~", Some(pattern)) => KeyMatch::Like(pattern),
            (_, Some(pattern)) => KeyMatch::NotLike(pattern),
            ("in", _) => KeyMatch::In(names),
            ("=", _) => KeyMatch::Is(names.into_iter().next().unwrap_or_default()),
            _ => KeyMatch::IsNot(names.into_iter().next().unwrap_or_default()),
        })
    }

    fn on(&self, pair: Pair<'_>) -> Read<String> {
        self.name(pair.into_inner().find(|p| p.as_rule() == Rule::name).expect("ON is followed by a name"))
    }

    fn name_match(&self, pair: Pair<'_>) -> Read<NameMatch> {
        if let Some(param) = pair.clone().into_inner().find(|p| p.as_rule() == Rule::param)
            && let Bound::Regex(pattern) = self.parameters.get(&literal::param_name(param))?
        {
            return Ok(NameMatch::Regex(pattern));
        }
        Ok(NameMatch::Name(self.name(pair)?))
    }

    pub fn name(&self, pair: Pair<'_>) -> Read<String> {
        let place = literal::place(&pair);
        let inner = pair.into_inner().next().expect("a name is quoted, bare or a parameter");
        Ok(match inner.as_rule() {
            Rule::quoted => literal::unquote(inner.as_str()),
            Rule::param => match self.parameters.get(&literal::param_name(inner))? {
                Bound::Identifier(name) => name,
                Bound::Regex(pattern) => return Err(format!("found {pattern}, expected identifier at {place}")),
                Bound::Literal(value) => return Err(format!("found {value}, expected identifier at {place}")),
            },
            _ => inner.as_str().into(),
        })
    }
}
