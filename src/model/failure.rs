//! What went wrong, named by what the caller can do about it.
//!
//! Every module has its own error type that carries evidence; each of them turns into a [`Failure`]
//! before it reaches a door. A door owns one table from [`ErrorKind`] to its status codes and knows nothing else.

use std::fmt;

/// The outcome of a failed operation, from the caller's point of view.
///
/// The comments name the InfluxDB 2.7 API code each kind is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request itself is wrong; sending it again cannot help (`invalid`, 400).
    Invalid,
    /// A required value is missing or empty (`empty value`, 400).
    EmptyValue,
    /// The request is well formed but clashes with stored data (`unprocessable entity`, 422).
    Unprocessable,
    /// The thing to be created exists already (`conflict`, 422 in InfluxDB 2.7).
    Conflict,
    /// There is no such thing, or the caller may not know of it (`not found`, 404).
    NotFound,
    /// No or wrong credentials (`unauthorized`, 401).
    Unauthorized,
    /// Known caller without the right (`forbidden`, 403).
    Forbidden,
    /// Past a size limit (`request too large`, 413).
    TooLarge,
    /// Past a rate or concurrency limit: wait, then again (`too many requests`, 429).
    TooMany,
    /// Not now: wait, then again (`unavailable`, 503).
    Unavailable,
    /// Past the time budget of a query (`unavailable`, 503 in InfluxDB 2.7).
    Timeout,
    /// InfluxDB knows this, Tidegauge does not do it (`not implemented`, 501).
    NotImplemented,
    /// Ours to repair (`internal error`, 500).
    Internal,
}

/// A failed operation: its kind, a sentence for the user, and when to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: ErrorKind,
    pub message: String,
    /// Seconds after which the same request may succeed (`Retry-After`).
    pub retry_after_s: Option<u32>,
}

pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), retry_after_s: None }
    }

    pub fn invalid(message: impl Into<String>) -> Failure {
        Failure::new(ErrorKind::Invalid, message)
    }

    pub fn not_found(message: impl Into<String>) -> Failure {
        Failure::new(ErrorKind::NotFound, message)
    }

    pub fn internal(message: impl Into<String>) -> Failure {
        Failure::new(ErrorKind::Internal, message)
    }

    /// A query wanted more than it may have. It begins as Flux says it (v0.200), then tells who asked for how much, and who holds
    /// most.
    pub fn out_of_memory(what: impl fmt::Display) -> Failure {
        let message = format!("memory allocation limit reached: {what}; ask for less at a time, or give queries more memory");
        Failure::new(ErrorKind::Unavailable, message)
    }

    /// The same failure with more said in front: `message: inner`, as InfluxDB joins them.
    pub fn context(mut self, message: impl fmt::Display) -> Failure {
        self.message = format!("{message}: {}", self.message);
        self
    }

    pub fn retry_after(mut self, seconds: u32) -> Failure {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Failure {
        Failure::internal(e.to_string())
    }
}

impl From<datafusion::error::DataFusionError> for Failure {
    /// A `Failure` that travelled through DataFusion comes out as it went in; an exhausted memory pool is
    /// `Unavailable` (the same query may succeed later), a plan the user's text asked for is `Invalid`.
    fn from(e: datafusion::error::DataFusionError) -> Failure {
        use datafusion::error::DataFusionError as E;
        if let Some(failure) = bad_pattern(e.find_root()) {
            return failure;
        }
        match e {
            E::External(inner) => match inner.downcast::<Failure>() {
                Ok(failure) => *failure,
                Err(other) => Failure::internal(other.to_string()),
            },
            E::Context(_, inner) => (*inner).into(),
            E::Diagnostic(_, inner) => (*inner).into(),
            E::Collection(mut several) if !several.is_empty() => several.swap_remove(0).into(),
            E::Shared(inner) => match inner.find_root() {
                E::External(other) => match other.downcast_ref::<Failure>() {
                    Some(failure) => failure.clone(),
                    None => Failure::internal(inner.to_string()),
                },
                E::ResourcesExhausted(m) => Failure::out_of_memory(m),
                _ => Failure::internal(inner.to_string()),
            },
            E::ResourcesExhausted(m) => Failure::out_of_memory(m),
            E::SQL(..) | E::Plan(_) | E::SchemaError(..) | E::Configuration(_) | E::Execution(_) => Failure::invalid(e.strip_backtrace()),
            E::ArrowError(inner, _) => match *inner {
                arrow::error::ArrowError::ExternalError(other) => match other.downcast::<Failure>() {
                    Ok(failure) => *failure,
                    Err(other) => Failure::internal(other.to_string()),
                },
                other => Failure::invalid(other.to_string()),
            },
            E::NotImplemented(m) => Failure::new(ErrorKind::NotImplemented, m),
            other => Failure::internal(other.strip_backtrace()),
        }
    }
}

/// A regular expression of the user's that does not compile, which DataFusion often calls an error of its own. `None`: something
/// else went wrong.
fn bad_pattern(root: &datafusion::error::DataFusionError) -> Option<Failure> {
    use datafusion::error::DataFusionError as E;
    let text = match root {
        E::Internal(text) | E::Execution(text) => text,
        E::ArrowError(e, _) => &e.to_string(),
        E::External(e) if !e.is::<Failure>() => &e.to_string(),
        _ => return None,
    };
    // What follows is a `regex::Error` as Rust shows it, over several lines, or the expression itself.
    let (_, why) = text.split_once("Regular expression did not compile: ").or_else(|| text.split_once("regex parse error:"))?;
    if why.starts_with("CompiledTooBig") {
        return Some(Failure::invalid("regular expression is too large; repeat fewer times or use smaller classes"));
    }
    let reason = why.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or(why);
    Some(Failure::invalid(format!("invalid regular expression: {reason}")))
}

impl From<arrow::error::ArrowError> for Failure {
    fn from(e: arrow::error::ArrowError) -> Failure {
        datafusion::error::DataFusionError::from(e).into()
    }
}

impl From<Failure> for datafusion::error::DataFusionError {
    fn from(f: Failure) -> Self {
        datafusion::error::DataFusionError::External(Box::new(f))
    }
}
