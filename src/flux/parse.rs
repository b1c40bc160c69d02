//! Flux text to syntax: a recursive-descent parser over bytes, without a separate lexer, since what a `/` or a digit
//! begins depends on the position (Flux v0.200 scanner and parser).
//!
//! It knows no names and no types. The first error ends it.

use super::{
    ast::*,
    diagnostic::{FluxError, Stage},
};
use crate::model::{Duration, duration, time::parse_rfc3339};
use std::sync::Arc;

/// Nested expressions; what is deeper is refused.
const DEPTH_MAX: usize = 200;

/// The syntax of a script, or what is wrong with it.
pub fn parse(text: &str) -> Result<File, Vec<FluxError>> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    parser.file().map_err(|e| vec![e])
}

type Parsed<T> = Result<T, FluxError>;

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

const RESERVED: &[&str] =
    &["and", "or", "not", "exists", "if", "then", "else", "import", "package", "option", "builtin", "testcase", "return"];

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn span(&self, start: usize) -> Span {
        Span { start: start as u32, stop: self.at as u32 }
    }

    fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        let stop = self.at + self.rest().chars().next().map_or(0, char::len_utf8);
        let span = Span { start: self.at as u32, stop: stop as u32 };
        Err(FluxError { stage: Stage::Compile, ..FluxError::invalid(message) }.at(span))
    }

    /// Skips space and comments.
    fn space(&mut self) {
        loop {
            let trimmed = self.rest().trim_start();
            self.at = self.text.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn peek(&mut self, token: &str) -> bool {
        self.space();
        self.rest().starts_with(token)
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.peek(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Parsed<()> {
        if self.eat(token) {
            return Ok(());
        }
        let found: String = self.rest().chars().take(12).collect();
        self.fail(format!("expected {token}, found {}", if found.is_empty() { "the end of the script".to_string() } else { found }))
    }

    fn word(&mut self) -> &'t str {
        self.space();
        let rest = self.rest();
        let mut end = 0;
        for (at, c) in rest.char_indices() {
            let fits = c == '_' || c.is_alphabetic() || (at > 0 && c.is_numeric());
            if !fits {
                break;
            }
            end = at + c.len_utf8();
        }
        &rest[..end]
    }

    fn keyword(&mut self, name: &str) -> bool {
        let found = self.word() == name;
        if found {
            self.at += name.len();
        }
        found
    }

    fn ident(&mut self) -> Parsed<Ident> {
        let word = self.word();
        if word.is_empty() || RESERVED.contains(&word) {
            return self.fail(format!(
                "expected an identifier, found {}",
                if word.is_empty() { self.rest().get(..1).unwrap_or("the end of the script") } else { word }
            ));
        }
        let start = self.at;
        self.at += word.len();
        Ok(Ident { name: word.into(), span: self.span(start) })
    }

    fn file(&mut self) -> Parsed<File> {
        let mut file = File::default();
        if self.at == 0 && self.text.starts_with('\u{feff}') {
            self.at = 3;
        }
        self.attributes()?;
        if self.keyword("package") {
            file.package = Some(self.ident()?);
        }
        loop {
            self.attributes()?;
            let start = self.at;
            if !self.keyword("import") {
                break;
            }
            let alias = if self.peek("\"") { None } else { Some(self.ident()?) };
            let path = self.plain_string()?;
            file.imports.push(Import { alias, path, span: self.span(start) });
        }
        loop {
            self.attributes()?;
            self.space();
            if self.rest().is_empty() {
                return Ok(file);
            }
            file.body.push(self.statement()?);
        }
    }

    /// `@edition("2022.1")`: read and left aside.
    fn attributes(&mut self) -> Parsed<()> {
        while self.eat("@") {
            self.ident()?;
            if self.eat("(") {
                while !self.peek(")") {
                    self.primary()?;
                    if !self.eat(",") {
                        break;
                    }
                }
                self.expect(")")?;
            }
        }
        Ok(())
    }

    /// `=`, not `==`, `=~` or `=>`.
    fn assigns(&mut self) -> bool {
        self.peek("=") && !["==", "=~", "=>"].iter().any(|t| self.rest().starts_with(t))
    }

    fn statement(&mut self) -> Parsed<Statement> {
        self.space();
        let start = self.at;
        let kind = if self.keyword("option") {
            let first = self.ident()?;
            let (package, name) = if self.eat(".") { (Some(first), self.ident()?) } else { (None, first) };
            self.expect("=")?;
            StatementKind::Option { package, name, value: self.expression()? }
        } else if self.keyword("return") {
            StatementKind::Return(self.expression()?)
        } else if self.keyword("testcase") {
            let name = self.ident()?;
            let extends = if self.keyword("extends") { Some(self.plain_string()?) } else { None };
            StatementKind::Testcase { name, extends, body: self.block()? }
        } else {
            let word = self.word();
            let before = self.at;
            if !word.is_empty() && !RESERVED.contains(&word) {
                let name = self.ident()?;
                if self.assigns() {
                    self.at += 1;
                    let value = self.expression()?;
                    return Ok(Statement { kind: StatementKind::Assign { name, value }, span: self.span(start) });
                }
                self.at = before;
            }
            StatementKind::Expression(self.expression()?)
        };
        Ok(Statement { kind, span: self.span(start) })
    }

    fn block(&mut self) -> Parsed<Vec<Statement>> {
        self.expect("{")?;
        let mut body = vec![];
        while !self.eat("}") {
            self.attributes()?;
            body.push(self.statement()?);
        }
        Ok(body)
    }

    fn make(&self, start: usize, kind: ExprKind) -> Expr {
        Expr { kind, span: self.span(start) }
    }

    fn expression(&mut self) -> Parsed<Expr> {
        if self.depth >= DEPTH_MAX {
            return self.fail("expressions are nested too deeply");
        }
        self.depth += 1;
        let parsed = stacker::maybe_grow(128 << 10, 2 << 20, || self.conditional());
        self.depth -= 1;
        parsed
    }

    fn conditional(&mut self) -> Parsed<Expr> {
        self.space();
        let start = self.at;
        if !self.keyword("if") {
            return self.logical(LogicalOp::Or);
        }
        let test = Box::new(self.expression()?);
        if !self.keyword("then") {
            return self.fail("expected then");
        }
        let then = Box::new(self.expression()?);
        if !self.keyword("else") {
            return self.fail("expected else");
        }
        let otherwise = Box::new(self.expression()?);
        Ok(self.make(start, ExprKind::If { test, then, otherwise }))
    }

    fn logical(&mut self, op: LogicalOp) -> Parsed<Expr> {
        let inner = |p: &mut Self| if op == LogicalOp::Or { p.logical(LogicalOp::And) } else { p.negation() };
        self.space();
        let start = self.at;
        let mut left = inner(self)?;
        while self.keyword(if op == LogicalOp::Or { "or" } else { "and" }) {
            let right = Box::new(inner(self)?);
            left = self.make(start, ExprKind::Logical { op, left: Box::new(left), right });
        }
        Ok(left)
    }

    fn negation(&mut self) -> Parsed<Expr> {
        self.space();
        let start = self.at;
        for (word, op) in [("not", UnaryOp::Not), ("exists", UnaryOp::Exists)] {
            if self.keyword(word) {
                let operand = Box::new(self.negation()?);
                return Ok(self.make(start, ExprKind::Unary { op, operand }));
            }
        }
        self.binary(0)
    }

    /// Binary operators, loose to tight; all of them bind to the left.
    fn binary(&mut self, level: usize) -> Parsed<Expr> {
        use BinaryOp::*;
        let levels: [&[(&str, BinaryOp)]; 4] = [
            &[
                ("==", Equal),
                ("!=", NotEqual),
                ("=~", Match),
                ("!~", NotMatch),
                ("<=", LessEqual),
                (">=", GreaterEqual),
                ("<", Less),
                (">", Greater),
            ],
            &[("+", Add), ("-", Sub)],
            &[("*", Mul), ("/", Div), ("%", Mod)],
            &[("^", Pow)],
        ];
        let Some(operators) = levels.get(level) else { return self.pipe() };
        self.space();
        let start = self.at;
        let mut left = self.binary(level + 1)?;
        loop {
            self.space();
            // `<-` is no operator but the pipe parameter's default.
            let found = operators.iter().find(|(token, _)| self.rest().starts_with(token) && !self.rest().starts_with("=>"));
            let Some((token, op)) = found else { return Ok(left) };
            self.at += token.len();
            let right = Box::new(self.binary(level + 1)?);
            left = self.make(start, ExprKind::Binary { op: *op, left: Box::new(left), right });
        }
    }

    fn pipe(&mut self) -> Parsed<Expr> {
        self.space();
        let start = self.at;
        let mut left = self.unary()?;
        while self.eat("|>") {
            let call = self.unary()?;
            if !matches!(call.kind, ExprKind::Call { .. }) {
                return self.fail("pipe destination must be a function call");
            }
            left = self.make(start, ExprKind::Pipe { left: Box::new(left), call: Box::new(call) });
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed<Expr> {
        self.space();
        let start = self.at;
        for (token, op) in [("-", UnaryOp::Minus), ("+", UnaryOp::Plus)] {
            if self.eat(token) {
                let operand = Box::new(self.unary()?);
                return Ok(self.make(start, ExprKind::Unary { op, operand }));
            }
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Parsed<Expr> {
        self.space();
        let start = self.at;
        let mut object = self.primary()?;
        let mut end = self.at;
        loop {
            if self.eat("(") {
                let arguments = self.properties(")")?;
                object = self.make(start, ExprKind::Call { callee: Box::new(object), arguments });
            } else if self.eat(".") {
                let property = if self.peek("\"") {
                    let at = self.at;
                    let name = self.plain_string()?;
                    Ident { name, span: self.span(at) }
                } else {
                    self.ident()?
                };
                object = self.make(start, ExprKind::Member { object: Box::new(object), property });
            } else if self.eat("[") {
                let index = self.expression()?;
                self.expect("]")?;
                object = match index.kind {
                    ExprKind::String(name) => {
                        let property = Ident { name, span: index.span };
                        self.make(start, ExprKind::Member { object: Box::new(object), property })
                    }
                    _ => self.make(start, ExprKind::Index { array: Box::new(object), index: Box::new(index) }),
                };
            } else {
                self.at = end;
                return Ok(object);
            }
            end = self.at;
        }
    }

    /// `name: value, name2` up to the closing token.
    fn properties(&mut self, close: &str) -> Parsed<Vec<Property>> {
        let mut out: Vec<Property> = vec![];
        while !self.eat(close) {
            self.space();
            let at = self.at;
            let key = if self.rest().starts_with('"') {
                let name = self.plain_string()?;
                Ident { name, span: self.span(at) }
            } else {
                self.ident()?
            };
            let value = if self.eat(":") { self.expression()? } else { Expr { kind: ExprKind::Ident(key.name.clone()), span: key.span } };
            if out.iter().any(|p| p.key.name == key.name) {
                return Err(
                    FluxError { stage: Stage::Compile, ..FluxError::invalid(format!("duplicate property {}", key.name)) }.at(key.span)
                );
            }
            out.push(Property { key, value });
            if !self.eat(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(out)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        self.space();
        let start = self.at;
        let kind = match self.rest().bytes().next() {
            Some(b'"') => self.string()?,
            Some(b'/') => self.regex()?,
            Some(b'0'..=b'9') => self.number()?,
            Some(b'.') if self.rest().as_bytes().get(1).is_some_and(u8::is_ascii_digit) => self.number()?,
            Some(b'.') => {
                self.at += 1;
                ExprKind::Label(self.ident()?.name)
            }
            Some(b'<') if self.eat("<-") => ExprKind::PipeValue,
            Some(b'(') => {
                if self.is_function() {
                    return self.function();
                }
                self.at += 1;
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Some(b'[') => {
                self.at += 1;
                self.list()?
            }
            Some(b'{') => {
                self.at += 1;
                let before = self.at;
                let mut with = None;
                if !self.peek("\"") && !self.peek("}") {
                    let name = self.ident()?;
                    if self.keyword("with") { with = Some(name) } else { self.at = before }
                }
                ExprKind::Record { with, properties: self.properties("}")? }
            }
            _ => match self.ident()?.name {
                name if name.as_ref() == "true" => ExprKind::Bool(true),
                name if name.as_ref() == "false" => ExprKind::Bool(false),
                name => ExprKind::Ident(name),
            },
        };
        Ok(self.make(start, kind))
    }

    fn list(&mut self) -> Parsed<ExprKind> {
        if self.eat("]") {
            return Ok(ExprKind::Array(vec![]));
        }
        if self.eat(":") {
            self.expect("]")?;
            return Ok(ExprKind::Dict(vec![]));
        }
        let first = self.expression()?;
        if self.eat(":") {
            let mut entries = vec![(first, self.expression()?)];
            while self.eat(",") && !self.peek("]") {
                let key = self.expression()?;
                self.expect(":")?;
                entries.push((key, self.expression()?));
            }
            self.expect("]")?;
            return Ok(ExprKind::Dict(entries));
        }
        let mut items = vec![first];
        while self.eat(",") && !self.peek("]") {
            items.push(self.expression()?);
        }
        self.expect("]")?;
        Ok(ExprKind::Array(items))
    }

    /// Whether the parenthesis here opens a parameter list: `()`, `(a,`, `(a=`, or `(a) =>`.
    fn is_function(&mut self) -> bool {
        let before = self.at;
        self.at += 1;
        let answer = self.eat(")") || self.ident().is_ok() && (self.peek(",") || self.assigns() || (self.eat(")") && self.peek("=>")));
        self.at = before;
        answer
    }

    fn function(&mut self) -> Parsed<Expr> {
        let start = self.at;
        self.expect("(")?;
        let mut parameters = vec![];
        while !self.eat(")") {
            let name = self.ident()?;
            let default = if self.eat("=") { Some(self.expression()?) } else { None };
            parameters.push(Parameter { name, default });
            if !self.eat(",") {
                self.expect(")")?;
                break;
            }
        }
        self.expect("=>")?;
        let body = if self.peek("{") { FunctionBody::Block(self.block()?) } else { FunctionBody::Expr(self.expression()?) };
        let literal = FunctionLiteral { parameters, body, span: self.span(start) };
        Ok(self.make(start, ExprKind::Function(Arc::new(literal))))
    }

    fn digits(&self, from: usize) -> usize {
        self.text[from..].bytes().take_while(u8::is_ascii_digit).count()
    }

    fn number(&mut self) -> Parsed<ExprKind> {
        let start = self.at;
        let whole = self.digits(start);
        let rest = &self.text[start + whole..];
        if whole == 4
            && rest.starts_with('-')
            && self.digits(start + 5) == 2
            && self.text[start + 7..].starts_with('-')
            && self.digits(start + 8) == 2
        {
            return self.time();
        }
        const UNITS: [(&str, i64, i64); 11] = [
            ("mo", 1, 0),
            ("ms", 0, duration::MILLISECOND),
            ("us", 0, duration::MICROSECOND),
            ("µs", 0, duration::MICROSECOND),
            ("ns", 0, 1),
            ("y", 12, 0),
            ("w", 0, duration::WEEK),
            ("d", 0, duration::DAY),
            ("h", 0, duration::HOUR),
            ("m", 0, duration::MINUTE),
            ("s", 0, duration::SECOND),
        ];
        let unit = |at: usize| UNITS.iter().find(|u| self.text[at..].starts_with(u.0));
        if whole > 0 && unit(start + whole).is_some() {
            let mut total = Duration::ZERO;
            let mut at = start;
            loop {
                let count = self.digits(at);
                let Some((name, months, ns)) = (count > 0).then(|| unit(at + count)).flatten() else { break };
                let part = self.text[at..at + count].parse::<i64>().ok();
                let add = |sum: i64, each: i64| sum.checked_add(part?.checked_mul(each)?);
                match (add(total.months, *months), add(total.nanoseconds, *ns)) {
                    (Some(months), Some(nanoseconds)) => total = Duration { months, nanoseconds, negative: false },
                    _ => return self.fail("duration is too long"),
                }
                at += count + name.len();
            }
            self.at = at;
            return Ok(ExprKind::Duration(total));
        }
        if rest.starts_with('.') {
            self.at = start + whole + 1 + self.digits(start + whole + 1);
            let text = &self.text[start..self.at];
            return text.parse().map(ExprKind::Float).or_else(|_| self.fail(format!("invalid float literal {text}")));
        }
        let text = &self.text[start..start + whole];
        if text.len() > 1 && text.starts_with('0') {
            return self.fail(format!("invalid integer literal {text}: leading zeros are not allowed"));
        }
        let Ok(value) = text.parse() else { return self.fail(format!("integer literal {text} is out of range")) };
        self.at = start + whole;
        Ok(ExprKind::Int(value))
    }

    fn time(&mut self) -> Parsed<ExprKind> {
        let start = self.at;
        let mut end = start + 10;
        if self.text[end..].starts_with('T') {
            let tail = &self.text[end..];
            let clock = tail.find(|c: char| !(c.is_ascii_digit() || "T:.".contains(c))).unwrap_or(tail.len());
            end += clock;
            match self.text[end..].bytes().next() {
                Some(b'Z') => end += 1,
                Some(b'+' | b'-') => {
                    let offset = &self.text[end + 1..];
                    end += 1 + offset.find(|c: char| !(c.is_ascii_digit() || c == ':')).unwrap_or(offset.len());
                }
                _ => {}
            }
        }
        let text = &self.text[start..end];
        let time = if end == start + 10 { parse_rfc3339(&format!("{text}T00:00:00Z")) } else { parse_rfc3339(text) };
        let Some(time) = time else { return self.fail(format!("invalid date time literal {text}")) };
        self.at = end;
        Ok(ExprKind::Time(time))
    }

    fn regex(&mut self) -> Parsed<ExprKind> {
        self.at += 1;
        let mut pattern = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '/' => {
                    self.at += at + 1;
                    if let Err(e) = regex::Regex::new(&pattern) {
                        return self.fail(e.to_string());
                    }
                    return Ok(ExprKind::Regex(pattern.into()));
                }
                '\\' => match chars.next() {
                    Some((_, '/')) => pattern.push('/'),
                    Some((_, other)) => pattern.extend(['\\', other]),
                    None => break,
                },
                c => pattern.push(c),
            }
        }
        self.fail("regular expression without its closing /")
    }

    fn plain_string(&mut self) -> Parsed<Arc<str>> {
        self.space();
        if !self.rest().starts_with('"') {
            return self.fail("expected a string");
        }
        match self.string()? {
            ExprKind::String(text) => Ok(text),
            _ => self.fail("string interpolation is not allowed here"),
        }
    }

    fn string(&mut self) -> Parsed<ExprKind> {
        self.at += 1;
        let (mut parts, mut text): (Vec<StringPart>, Vec<u8>) = (vec![], vec![]);
        let utf8 = |p: &Self, bytes: &mut Vec<u8>| match String::from_utf8(std::mem::take(bytes)) {
            Ok(text) => Ok(Arc::<str>::from(text)),
            Err(_) => p.fail("string escapes must form valid UTF-8"),
        };
        loop {
            let stop = memchr::memchr3(b'"', b'\\', b'$', self.rest().as_bytes());
            let Some(stop) = stop else { return self.fail("string without its closing quote") };
            text.extend_from_slice(&self.rest().as_bytes()[..stop]);
            self.at += stop;
            if self.rest().starts_with('"') {
                self.at += 1;
                let last = utf8(self, &mut text)?;
                if parts.is_empty() {
                    return Ok(ExprKind::String(last));
                }
                if !last.is_empty() {
                    parts.push(StringPart::Text(last));
                }
                return Ok(ExprKind::Interpolation(parts));
            }
            if self.rest().starts_with("${") {
                let before = utf8(self, &mut text)?;
                if !before.is_empty() {
                    parts.push(StringPart::Text(before));
                }
                self.at += 2;
                parts.push(StringPart::Expr(self.expression()?));
                self.expect("}")?;
                continue;
            }
            if self.rest().starts_with('$') {
                text.push(b'$');
                self.at += 1;
                continue;
            }
            let escape = self.rest().as_bytes().get(1).copied();
            let plain = match escape {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(c @ (b'"' | b'\\' | b'$')) => c,
                Some(b'x') => {
                    let Some(byte) = self.rest().get(2..4).and_then(|h| u8::from_str_radix(h, 16).ok()) else {
                        return self.fail("invalid escape sequence in string");
                    };
                    text.push(byte);
                    self.at += 4;
                    continue;
                }
                _ => return self.fail("invalid escape sequence in string"),
            };
            text.push(plain);
            self.at += 2;
        }
    }
}
