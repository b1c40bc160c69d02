//! Package `runtime`.

use super::function::functions;
use crate::flux::eval::Value;

functions! {
    "version" "() => string" "The version of Tidegauge." |_| Ok(Value::string(env!("CARGO_PKG_VERSION")));
}
