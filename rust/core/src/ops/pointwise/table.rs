//! The table of pointwise functions: name and gradient of each `Code`. Depends on `expr`.
//! Invariant: row `i` belongs to `Code::ALL[i]`; gradients are linear in `grad` and differentiable again.

use std::f64::consts::{FRAC_2_SQRT_PI, LN_2, LN_10};

use super::super::expr::Expr;
use crate::code::Code::{self, *};

/// Where a gradient is taken: operands, result and the result's cotangent.
pub(crate) struct Point {
    /// Left operand.
    pub(crate) a: Expr,
    /// Right operand.
    pub(crate) b: Expr,
    /// The result.
    pub(crate) y: Expr,
    /// The result's cotangent.
    pub(crate) grad: Expr,
}

/// A derivative as a formula.
#[derive(Clone, Copy)]
pub(crate) enum Gradient {
    /// Piecewise constant, or not a function of floats.
    None,
    /// Of operand, result and cotangent.
    Unary(fn(&Expr, &Expr, &Expr) -> Expr),
    /// One formula per operand.
    Binary(fn(&Point) -> Expr, fn(&Point) -> Expr),
    /// Of the chosen operand only.
    Where,
}

/// A pointwise function.
pub(crate) struct Record {
    /// Which.
    pub(crate) code: Code,
    /// As users know it.
    pub(crate) name: &'static str,
    /// Its derivative.
    pub(crate) gradient: Gradient,
}

/// The record of a function.
pub(crate) fn record(code: Code) -> &'static Record {
    let record = &RECORDS[code as usize];
    debug_assert_eq!(record.code, code);
    record
}

const fn flat(code: Code, name: &'static str) -> Record {
    Record { code, name, gradient: Gradient::None }
}

const fn one(code: Code, name: &'static str, rule: fn(&Expr, &Expr, &Expr) -> Expr) -> Record {
    Record { code, name, gradient: Gradient::Unary(rule) }
}

const fn two(code: Code, name: &'static str, left: fn(&Point) -> Expr, right: fn(&Point) -> Expr) -> Record {
    Record { code, name, gradient: Gradient::Binary(left, right) }
}

static RECORDS: [Record; 54] = [
    one(Neg, "negative", |_, _, grad| -grad),
    one(Abs, "abs", |x, _, grad| grad * x.apply(Sign)),
    flat(Sign, "sign"),
    flat(Floor, "floor"),
    flat(Ceil, "ceil"),
    flat(Round, "round"),
    flat(Trunc, "trunc"),
    one(Sqrt, "sqrt", |_, y, grad| 0.5 * grad / y),
    one(Exp, "exp", |_, y, grad| grad * y),
    one(Expm1, "expm1", |_, y, grad| grad * (y + 1.0)),
    one(Log, "log", |x, _, grad| grad / x),
    one(Log1p, "log1p", |x, _, grad| grad / (x + 1.0)),
    one(Log2, "log2", |x, _, grad| grad / (x * LN_2)),
    one(Log10, "log10", |x, _, grad| grad / (x * LN_10)),
    one(Sin, "sin", |x, _, grad| grad * x.apply(Cos)),
    one(Cos, "cos", |x, _, grad| -(grad * x.apply(Sin))),
    one(Tan, "tan", |_, y, grad| grad * (1.0 + y * y)),
    one(Asin, "asin", |x, _, grad| grad / (1.0 - x * x).apply(Sqrt)),
    one(Acos, "acos", |x, _, grad| -(grad / (1.0 - x * x).apply(Sqrt))),
    one(Atan, "atan", |x, _, grad| grad / (1.0 + x * x)),
    one(Sinh, "sinh", |x, _, grad| grad * x.apply(Cosh)),
    one(Cosh, "cosh", |x, _, grad| grad * x.apply(Sinh)),
    one(Tanh, "tanh", |_, y, grad| grad * (1.0 - y * y)),
    one(Asinh, "asinh", |x, _, grad| grad / (x * x + 1.0).apply(Sqrt)),
    one(Acosh, "acosh", |x, _, grad| grad / ((x - 1.0) * (x + 1.0)).apply(Sqrt)),
    one(Atanh, "atanh", |x, _, grad| grad / (1.0 - x * x)),
    one(Sigmoid, "sigmoid", |_, y, grad| grad * y * (1.0 - y)),
    one(Erf, "erf", |x, _, grad| grad * (-(x * x)).apply(Exp) * FRAC_2_SQRT_PI),
    flat(Not, "bitwise_invert"),
    flat(IsNan, "isnan"),
    flat(IsInf, "isinf"),
    flat(IsFinite, "isfinite"),
    two(Add, "add", |p| p.grad.clone(), |p| p.grad.clone()),
    two(Sub, "subtract", |p| p.grad.clone(), |p| -&p.grad),
    two(Mul, "multiply", |p| &p.grad * &p.b, |p| &p.grad * &p.a),
    two(Div, "divide", |p| &p.grad / &p.b, |p| -(&p.grad * &p.y / &p.b)),
    flat(FloorDiv, "floor_divide"),
    two(Mod, "remainder", |p| p.grad.clone(), |p| -(&p.grad * p.a.with(FloorDiv, &p.b))),
    two(Pow, "pow", power_base, power_exponent),
    two(Atan2, "atan2", |p| &p.grad * &p.b / radius(p), |p| -(&p.grad * &p.a / radius(p))),
    two(Maximum, "maximum", |p| extreme(p, &p.a, &p.b, Greater), |p| extreme(p, &p.b, &p.a, Greater)),
    two(Minimum, "minimum", |p| extreme(p, &p.a, &p.b, Less), |p| extreme(p, &p.b, &p.a, Less)),
    flat(And, "bitwise_and"),
    flat(Or, "bitwise_or"),
    flat(Xor, "bitwise_xor"),
    flat(Shl, "bitwise_left_shift"),
    flat(Shr, "bitwise_right_shift"),
    flat(Equal, "equal"),
    flat(NotEqual, "not_equal"),
    flat(Less, "less"),
    flat(LessEqual, "less_equal"),
    flat(Greater, "greater"),
    flat(GreaterEqual, "greater_equal"),
    Record { code: Where, name: "where", gradient: Gradient::Where },
];

/// a² + b²
fn radius(p: &Point) -> Expr {
    p.a.squared() + p.b.squared()
}

/// The whole gradient where `this` is the extreme one, half of it on ties.
fn extreme(p: &Point, this: &Expr, other: &Expr, better: Code) -> Expr {
    let strict = this.with(better, other).choose(&p.grad, 0.0);
    this.with(Equal, other).choose(&p.grad * 0.5, strict)
}

/// b · aᵇ⁻¹; 0⁰ counts as constant, so that 0 · 0⁻¹ does not make NaN.
fn power_base(p: &Point) -> Expr {
    let constant = p.a.with(Equal, 0.0).with(And, p.b.with(Equal, 0.0));
    let exponent = constant.choose(0.0, &p.b - 1.0);
    &p.grad * &p.b * p.a.with(Pow, exponent)
}

/// aᵇ · ln a; 0 where a = 0 and b ≥ 0.
fn power_exponent(p: &Point) -> Expr {
    let constant = p.a.with(Equal, 0.0).with(And, p.b.with(GreaterEqual, 0.0));
    &p.grad * &p.y * constant.choose(1.0, &p.a).apply(Log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_the_vocabulary() {
        for (row, code) in RECORDS.iter().zip(Code::ALL) {
            assert_eq!(row.code, code);
            assert_eq!(matches!(row.gradient, Gradient::Unary(_)), code.arity() == 1 && has_gradient(row));
        }
    }

    fn has_gradient(row: &Record) -> bool {
        !matches!(row.gradient, Gradient::None)
    }
}
