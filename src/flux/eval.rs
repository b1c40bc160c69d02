//! Evaluation of a script's top level: values, scopes, closures, options.

pub mod interpret;
pub mod value;

pub use interpret::{Interpreter, Scope};
pub use value::{FunctionValue, Record, Value};
