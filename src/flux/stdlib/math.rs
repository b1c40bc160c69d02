//! Package `math`: functions of floats, with Go's results at the edges (Flux v0.200). A null argument gives null.

mod inverse_error;

use super::{
    Call,
    function::{FromValue, functions},
};
use crate::flux::{
    diagnostic::{FluxError, FluxResult},
    eval::Value,
};
use inverse_error::erfinv;

/// A function of one argument.
fn one<A: FromValue>(call: &mut Call<'_>, name: &str, code: impl Fn(A) -> Value) -> FluxResult<Value> {
    Ok(call.optional(name)?.map_or(Value::Null, code))
}

/// A function of two arguments.
fn two<A: FromValue, B: FromValue>(call: &mut Call<'_>, names: [&str; 2], code: impl Fn(A, B) -> Value) -> FluxResult<Value> {
    let (first, second) = (call.optional(names[0])?, call.optional(names[1])?);
    Ok(first.zip(second).map_or(Value::Null, |(a, b)| code(a, b)))
}

/// A function whose result is a record, which cannot be null.
fn parts(call: &mut Call<'_>, name: &str, code: impl Fn(f64) -> Value) -> FluxResult<Value> {
    let function = call.function.name;
    let value = call.optional(name)?.ok_or_else(|| FluxError::invalid(format!("{function} does not support null values")).at(call.span))?;
    Ok(code(value))
}

fn of_x(call: &mut Call<'_>, code: fn(f64) -> f64) -> FluxResult<Value> {
    one(call, "x", |x| Value::Float(code(x)))
}

fn of_xy(call: &mut Call<'_>, code: fn(f64, f64) -> f64) -> FluxResult<Value> {
    two(call, ["x", "y"], |x, y| Value::Float(code(x, y)))
}

functions! {
    "abs" "(x: float) => float" "The distance from zero." |c| of_x(c, f64::abs);
    "acos" "(x: float) => float" "Arc cosine." |c| of_x(c, f64::acos);
    "acosh" "(x: float) => float" "Inverse hyperbolic cosine." |c| of_x(c, f64::acosh);
    "asin" "(x: float) => float" "Arc sine." |c| of_x(c, f64::asin);
    "asinh" "(x: float) => float" "Inverse hyperbolic sine." |c| of_x(c, f64::asinh);
    "atan" "(x: float) => float" "Arc tangent." |c| of_x(c, f64::atan);
    "atan2" "(y: float, x: float) => float" "The angle of the point (x, y)."
        |c| two(c, ["y", "x"], |y: f64, x: f64| Value::Float(y.atan2(x)));
    "atanh" "(x: float) => float" "Inverse hyperbolic tangent." |c| of_x(c, f64::atanh);
    "cbrt" "(x: float) => float" "Cube root." |c| of_x(c, f64::cbrt);
    "ceil" "(x: float) => float" "The next whole number up." |c| of_x(c, f64::ceil);
    "copysign" "(x: float, y: float) => float" "x with the sign of y." |c| of_xy(c, f64::copysign);
    "cos" "(x: float) => float" "Cosine." |c| of_x(c, f64::cos);
    "cosh" "(x: float) => float" "Hyperbolic cosine." |c| of_x(c, f64::cosh);
    "dim" "(x: float, y: float) => float" "x - y, or 0 when that is negative."
        |c| of_xy(c, |x, y| if x - y <= 0.0 { 0.0 } else { x - y });
    "erf" "(x: float) => float" "The error function." |c| of_x(c, libm::erf);
    "erfc" "(x: float) => float" "The complement of the error function, 1 - erf(x)." |c| of_x(c, libm::erfc);
    "erfcinv" "(x: float) => float" "The inverse of erfc." |c| of_x(c, |x| erfinv(1.0 - x));
    "erfinv" "(x: float) => float" "The inverse of erf; NaN outside of -1 to 1." |c| of_x(c, erfinv);
    "exp" "(x: float) => float" "e to the power of x." |c| of_x(c, f64::exp);
    "exp2" "(x: float) => float" "2 to the power of x." |c| of_x(c, f64::exp2);
    "expm1" "(x: float) => float" "e to the power of x, less one." |c| of_x(c, f64::exp_m1);
    "float64bits" "(f: float) => uint" "The IEEE 754 bits of f." |c| one(c, "f", |f: f64| Value::UInt(f.to_bits()));
    "float64frombits" "(b: uint) => float" "The float with these IEEE 754 bits." |c| one(c, "b", |b| Value::Float(f64::from_bits(b)));
    "floor" "(x: float) => float" "The next whole number down." |c| of_x(c, f64::floor);
    "frexp" "(f: float) => {frac: float, exp: int}" "f as frac * 2^exp, frac from 0.5 to 1."
        |c| parts(c, "f", |f| {
            let (frac, exp) = if f.is_finite() { libm::frexp(f) } else { (f, 0) };
            Value::record([("frac", Value::Float(frac)), ("exp", Value::Int(exp.into()))])
        });
    "gamma" "(x: float) => float" "The gamma function." |c| of_x(c, libm::tgamma);
    "hypot" "(p: float, q: float) => float" "The square root of p*p + q*q."
        |c| two(c, ["p", "q"], |p: f64, q: f64| Value::Float(p.hypot(q)));
    "ilogb" "(x: float) => int" "The binary exponent of x." |c| one(c, "x", |x| Value::Int(ilogb(x)));
    "isInf" "(f: float, sign: int) => bool" "Whether f is infinite: positive for sign > 0, negative for sign < 0, either for 0."
        |c| two(c, ["f", "sign"], |f: f64, sign: i64| {
            Value::Bool(sign >= 0 && f == f64::INFINITY || sign <= 0 && f == f64::NEG_INFINITY)
        });
    "isNaN" "(f: float) => bool" "Whether f is not a number." |c| one(c, "f", |f: f64| Value::Bool(f.is_nan()));
    "j0" "(x: float) => float" "The Bessel function of the first kind of order 0." |c| of_x(c, libm::j0);
    "j1" "(x: float) => float" "The Bessel function of the first kind of order 1." |c| of_x(c, libm::j1);
    "jn" "(n: int, x: float) => float" "The Bessel function of the first kind of order n."
        |c| two(c, ["n", "x"], |n, x| Value::Float(libm::jn(clamp(n), x)));
    "ldexp" "(frac: float, exp: int) => float" "frac * 2^exp."
        |c| two(c, ["frac", "exp"], |frac, exp| Value::Float(libm::ldexp(frac, clamp(exp))));
    "lgamma" "(x: float) => {lgamma: float, sign: int}" "The natural logarithm of the gamma function's size, and its sign."
        |c| parts(c, "x", |x| {
            let (log, sign) = if x == f64::NEG_INFINITY { (x, 1) } else { libm::lgamma_r(x) };
            Value::record([("lgamma", Value::Float(log)), ("sign", Value::Int(if sign < 0 { -1 } else { 1 }))])
        });
    "log" "(x: float) => float" "Natural logarithm." |c| of_x(c, f64::ln);
    "log10" "(x: float) => float" "Decimal logarithm." |c| of_x(c, f64::log10);
    "log1p" "(x: float) => float" "Natural logarithm of 1 + x." |c| of_x(c, f64::ln_1p);
    "log2" "(x: float) => float" "Binary logarithm." |c| of_x(c, f64::log2);
    "logb" "(x: float) => float" "The binary exponent of x as a float."
        |c| of_x(c, |x| match x {
            0.0 => f64::NEG_INFINITY,
            x if !x.is_finite() => x.abs(),
            x => ilogb(x) as f64,
        });
    "mInf" "(sign: int) => float" "Infinity, negative for a negative sign."
        |c| one(c, "sign", |sign: i64| Value::Float(if sign < 0 { f64::NEG_INFINITY } else { f64::INFINITY }));
    "mMax" "(x: float, y: float) => float" "The larger one; NaN if either is and neither is +Inf."
        |c| of_xy(c, |x, y| if x == f64::INFINITY || y == f64::INFINITY { f64::INFINITY } else if x.is_nan() || y.is_nan() { f64::NAN } else { x.max(y) });
    "mMin" "(x: float, y: float) => float" "The smaller one; NaN if either is and neither is -Inf."
        |c| of_xy(c, |x, y| if x == f64::NEG_INFINITY || y == f64::NEG_INFINITY { f64::NEG_INFINITY } else if x.is_nan() || y.is_nan() { f64::NAN } else { x.min(y) });
    "mod" "(x: float, y: float) => float" "The rest of x / y, with the sign of x." |c| of_xy(c, |x, y| x % y);
    "modf" "(f: float) => {int: float, frac: float}" "The whole part and the rest."
        |c| parts(c, "f", |f| {
            // Infinity less itself is NaN, as in Go.
            Value::record([("int", Value::Float(f.trunc())), ("frac", Value::Float((f - f.trunc()).copysign(f)))])
        });
    "NaN" "() => float" "Not a number." |_| Ok(Value::Float(f64::NAN));
    "nextafter" "(x: float, y: float) => float" "The next float from x towards y." |c| of_xy(c, libm::nextafter);
    "pow" "(x: float, y: float) => float" "x to the power of y." |c| of_xy(c, f64::powf);
    "pow10" "(n: int) => float" "10 to the power of n."
        |c| one(c, "n", |n: i64| Value::Float(match n {
            ..=-324 => 0.0,
            309.. => f64::INFINITY,
            n => format!("1e{n}").parse().unwrap_or(f64::NAN),
        }));
    "remainder" "(x: float, y: float) => float" "x less the multiple of y nearest to it." |c| of_xy(c, libm::remainder);
    "round" "(x: float) => float" "The nearest whole number; halves go away from zero." |c| of_x(c, f64::round);
    "roundtoeven" "(x: float) => float" "The nearest whole number; halves go to the even one." |c| of_x(c, f64::round_ties_even);
    "signbit" "(x: float) => bool" "Whether x is negative or negative zero." |c| one(c, "x", |x: f64| Value::Bool(x.is_sign_negative()));
    "sin" "(x: float) => float" "Sine." |c| of_x(c, f64::sin);
    "sincos" "(x: float) => {sin: float, cos: float}" "Sine and cosine."
        |c| parts(c, "x", |x| Value::record([("sin", Value::Float(x.sin())), ("cos", Value::Float(x.cos()))]));
    "sinh" "(x: float) => float" "Hyperbolic sine." |c| of_x(c, f64::sinh);
    "sqrt" "(x: float) => float" "Square root." |c| of_x(c, f64::sqrt);
    "tan" "(x: float) => float" "Tangent." |c| of_x(c, f64::tan);
    "tanh" "(x: float) => float" "Hyperbolic tangent." |c| of_x(c, f64::tanh);
    "trunc" "(x: float) => float" "The whole part." |c| of_x(c, f64::trunc);
    "y0" "(x: float) => float" "The Bessel function of the second kind of order 0." |c| of_x(c, libm::y0);
    "y1" "(x: float) => float" "The Bessel function of the second kind of order 1." |c| of_x(c, libm::y1);
    "yn" "(n: int, x: float) => float" "The Bessel function of the second kind of order n."
        |c| two(c, ["n", "x"], |n, x| Value::Float(libm::yn(clamp(n), x)));
}

/// Orders and exponents beyond 32 bits act like the largest.
fn clamp(n: i64) -> i32 {
    n.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// The binary exponent; the ends of `i32` where there is none (Go's `Ilogb`).
fn ilogb(x: f64) -> i64 {
    match x {
        0.0 => i32::MIN.into(),
        x if !x.is_finite() => i32::MAX.into(),
        x => libm::ilogb(x).into(),
    }
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
