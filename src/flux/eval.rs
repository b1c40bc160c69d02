//! Evaluation of a script's top level: values, scopes, closures, options.

pub mod interpret;
pub mod operator;
pub mod text;
pub mod value;

pub use interpret::{Interpreter, Scope, Session};
pub use value::{FunctionValue, Record, Value};
