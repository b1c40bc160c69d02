//! Package `math`: functions of floats.

use super::{Call, Function};
use crate::flux::{diagnostic::FluxResult, eval::Value};

fn one(call: &mut Call<'_>, code: fn(f64) -> f64) -> FluxResult<Value> {
    Ok(Value::Float(code(call.required("x")?)))
}

macro_rules! of_x {
    ($($constant:ident $name:literal $summary:literal $code:expr;)*) => {
        $(static $constant: Function = Function { name: $name, signature: "(x: float) => float", summary: $summary, examples: &[], call: |call| one(call, $code) };)*
        const OF_X: &[&Function] = &[$(&$constant),*];
    };
}

of_x! {
    ABS "abs" "The distance from zero." f64::abs;
    ACOS "acos" "Arc cosine." f64::acos;
    ACOSH "acosh" "Inverse hyperbolic cosine." f64::acosh;
    ASIN "asin" "Arc sine." f64::asin;
    ASINH "asinh" "Inverse hyperbolic sine." f64::asinh;
    ATAN "atan" "Arc tangent." f64::atan;
    ATANH "atanh" "Inverse hyperbolic tangent." f64::atanh;
    CBRT "cbrt" "Cube root." f64::cbrt;
    CEIL "ceil" "The next whole number up." f64::ceil;
    COS "cos" "Cosine." f64::cos;
    COSH "cosh" "Hyperbolic cosine." f64::cosh;
    EXP "exp" "e to the power of x." f64::exp;
    EXP2 "exp2" "2 to the power of x." f64::exp2;
    EXPM1 "expm1" "e to the power of x, less one." f64::exp_m1;
    FLOOR "floor" "The next whole number down." f64::floor;
    LOG "log" "Natural logarithm." f64::ln;
    LOG10 "log10" "Decimal logarithm." f64::log10;
    LOG1P "log1p" "Natural logarithm of 1 + x." f64::ln_1p;
    LOG2 "log2" "Binary logarithm." f64::log2;
    ROUND "round" "The nearest whole number; halves go away from zero." f64::round;
    ROUNDTOEVEN "roundtoeven" "The nearest whole number; halves go to the even one." f64::round_ties_even;
    SIN "sin" "Sine." f64::sin;
    SINH "sinh" "Hyperbolic sine." f64::sinh;
    SQRT "sqrt" "Square root." f64::sqrt;
    TAN "tan" "Tangent." f64::tan;
    TANH "tanh" "Hyperbolic tangent." f64::tanh;
    TRUNC "trunc" "The whole part." f64::trunc;
}

macro_rules! of_two {
    ($($constant:ident $name:literal $a:literal $b:literal $signature:literal $summary:literal $code:expr;)*) => {
        $(static $constant: Function = Function {
            name: $name,
            signature: $signature,
            summary: $summary,
            examples: &[],
            call: |call| {
                let code: fn(f64, f64) -> f64 = $code;
                Ok(Value::Float(code(call.required($a)?, call.required($b)?)))
            },
        };)*
        const OF_TWO: &[&Function] = &[$(&$constant),*];
    };
}

of_two! {
    ATAN2 "atan2" "y" "x" "(y: float, x: float) => float" "The angle of the point (x, y)." f64::atan2;
    COPYSIGN "copysign" "x" "y" "(x: float, y: float) => float" "x with the sign of y." f64::copysign;
    DIM "dim" "x" "y" "(x: float, y: float) => float" "x - y, or 0 when that is negative." |x, y| if x - y <= 0.0 { 0.0 } else { x - y };
    HYPOT "hypot" "p" "q" "(p: float, q: float) => float" "The square root of p*p + q*q." f64::hypot;
    MMAX "mMax" "x" "y" "(x: float, y: float) => float" "The larger one; NaN if either is." |x, y| if x.is_nan() || y.is_nan() { f64::NAN } else { x.max(y) };
    MMIN "mMin" "x" "y" "(x: float, y: float) => float" "The smaller one; NaN if either is." |x, y| if x.is_nan() || y.is_nan() { f64::NAN } else { x.min(y) };
    MOD "mod" "x" "y" "(x: float, y: float) => float" "The rest of x / y, with the sign of x." |x, y| x % y;
    POW "pow" "x" "y" "(x: float, y: float) => float" "x to the power of y." f64::powf;
}

static IS_NAN: Function = Function {
    name: "isNaN",
    signature: "(f: float) => bool",
    summary: "Whether f is not a number.",
    examples: &[],
    call: |call| Ok(Value::Bool(call.required::<f64>("f")?.is_nan())),
};

static IS_INF: Function = Function {
    name: "isInf",
    signature: "(f: float, sign: int) => bool",
    summary: "Whether f is infinite: positive for sign > 0, negative for sign < 0, either for 0.",
    examples: &[],
    call: |call| {
        let (f, sign) = (call.required::<f64>("f")?, call.required::<i64>("sign")?);
        Ok(Value::Bool(sign >= 0 && f == f64::INFINITY || sign <= 0 && f == f64::NEG_INFINITY))
    },
};

static SIGNBIT: Function = Function {
    name: "signbit",
    signature: "(x: float) => bool",
    summary: "Whether x is negative or negative zero.",
    examples: &[],
    call: |call| Ok(Value::Bool(call.required::<f64>("x")?.is_sign_negative())),
};

static NAN: Function =
    Function { name: "NaN", signature: "() => float", summary: "Not a number.", examples: &[], call: |_| Ok(Value::Float(f64::NAN)) };

pub fn functions() -> Vec<&'static Function> {
    [OF_X, OF_TWO, &[&IS_NAN, &IS_INF, &SIGNBIT, &NAN]].concat()
}

pub fn values() -> Vec<(&'static str, Value)> {
    use std::f64::consts::*;
    let phi = (1.0 + 5f64.sqrt()) / 2.0;
    let float = |name, v| (name, Value::Float(v));
    vec![
        float("pi", PI),
        float("e", E),
        float("phi", phi),
        float("sqrt2", SQRT_2),
        float("sqrte", E.sqrt()),
        float("sqrtpi", PI.sqrt()),
        float("sqrtphi", phi.sqrt()),
        float("ln2", LN_2),
        float("log2e", 1.0 / LN_2),
        float("ln10", LN_10),
        float("log10e", 1.0 / LN_10),
        float("maxfloat", f64::MAX),
        float("smallestNonzeroFloat", f64::from_bits(1)),
        ("maxint", Value::Int(i64::MAX)),
        ("minint", Value::Int(i64::MIN)),
        ("maxuint", Value::UInt(u64::MAX)),
    ]
}
