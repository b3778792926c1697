//! Activation functions. Depends on `expr`.
//! Invariant: the branch that is not taken stays finite, so that its gradient cannot spoil the other's.

use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::sync::Arc;

use smallvec::smallvec;

use super::super::custom::{unrecorded, with_vjp};
use super::super::expr::Expr;
use super::float;
use crate::code::Code;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Tensor, Vjp};

/// ln(1 + eˣ) = max(x, 0) + ln(1 + e^(−|x|)); the gradient is the sigmoid.
///
/// # Errors
/// None of its own.
pub fn softplus(x: &Tensor) -> Result<Tensor> {
    softplus_of(&float(x)).done()
}

pub(super) fn softplus_of(x: &Expr) -> Expr {
    x.then(|x| {
        let value = unrecorded(|| {
            let x = Expr::from(x);
            (x.with(Code::Maximum, 0.0) + (-x.apply(Code::Abs)).apply(Code::Exp).apply(Code::Log1p)).done()
        })?;
        let rule = |cx: &Vjp<'_>| {
            let gradient = Expr::from(cx.grad()) * Expr::from(&cx.inputs[0]).apply(Code::Sigmoid);
            Ok(smallvec![Some(Cotangent::Dense(gradient.done()?))])
        };
        with_vjp(&value, &[x], Arc::new(rule), "softplus")
    })
}

/// ln(1 / (1 + e⁻ˣ))
///
/// # Errors
/// None of its own.
pub fn logsigmoid(x: &Tensor) -> Result<Tensor> {
    (-softplus_of(&-float(x))).done()
}

/// x / (1 + e⁻ˣ)
///
/// # Errors
/// None of its own.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    let x = float(x);
    (&x * x.apply(Code::Sigmoid)).done()
}

/// x · tanh(softplus(x))
///
/// # Errors
/// None of its own.
pub fn mish(x: &Tensor) -> Result<Tensor> {
    let x = float(x);
    (&x * softplus_of(&x).apply(Code::Tanh)).done()
}

/// x · Φ(x) = x/2 · (1 + erf(x/√2)); `approximate`: x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))).
///
/// # Errors
/// None of its own.
pub fn gelu(x: &Tensor, approximate: bool) -> Result<Tensor> {
    let x = float(x);
    let inner = if approximate {
        ((&x + x.squared() * &x * 0.044_715) * (2.0 / PI).sqrt()).apply(Code::Tanh)
    } else {
        (&x * FRAC_1_SQRT_2).apply(Code::Erf)
    };
    (&x * 0.5 * (inner + 1.0)).done()
}

/// x where x > 0, else slope · x.
///
/// # Errors
/// None of its own.
pub fn leaky_relu(x: &Tensor, slope: f64) -> Result<Tensor> {
    let x = float(x);
    x.with(Code::Greater, 0.0).choose(&x, &x * slope).done()
}

/// x where x > 0, else alpha · (e^(x / width) − 1).
fn exponential(x: &Expr, alpha: f64, width: f64) -> Expr {
    let positive = x.with(Code::Greater, 0.0);
    let below = positive.choose(0.0, x);
    let scaled = if width == 1.0 { below } else { below / width };
    positive.choose(x, scaled.apply(Code::Expm1) * alpha)
}

/// x where x > 0, else alpha · (eˣ − 1).
///
/// # Errors
/// None of its own.
pub fn elu(x: &Tensor, alpha: f64) -> Result<Tensor> {
    exponential(&float(x), alpha, 1.0).done()
}

/// x where x > 0, else alpha · (e^(x / alpha) − 1).
///
/// # Errors
/// When alpha is 0.
pub fn celu(x: &Tensor, alpha: f64) -> Result<Tensor> {
    if alpha == 0.0 {
        return Err(Error::value("celu: alpha is 0, and x / alpha is not defined. Use relu."));
    }
    exponential(&float(x), alpha, alpha).done()
}

/// The ELU that keeps mean 0 and variance 1 (Klambauer et al. 2017).
///
/// # Errors
/// None of its own.
pub fn selu(x: &Tensor) -> Result<Tensor> {
    const ALPHA: f64 = 1.673_263_242_354_377_2;
    const SCALE: f64 = 1.050_700_987_355_480_5;
    (exponential(&float(x), ALPHA, 1.0) * SCALE).done()
}

/// x limited to `min ..= max`; the gradient is 0 from the bounds on.
///
/// # Errors
/// When `min` is above `max`.
pub fn hardtanh(x: &Tensor, min: f64, max: f64) -> Result<Tensor> {
    if min > max {
        return Err(Error::value(format!("hardtanh: min {min} is above max {max}. Swap them.")));
    }
    limited(&float(x), min, max).done()
}

fn limited(x: &Expr, min: f64, max: f64) -> Expr {
    let upper = x.with(Code::GreaterEqual, max).choose(max, x);
    x.with(Code::LessEqual, min).choose(min, upper)
}

/// x limited to 0 ..= 6.
///
/// # Errors
/// None of its own.
pub fn relu6(x: &Tensor) -> Result<Tensor> {
    limited(&float(x), 0.0, 6.0).done()
}

/// (x + 3) / 6 limited to 0 ..= 1.
///
/// # Errors
/// None of its own.
pub fn hardsigmoid(x: &Tensor) -> Result<Tensor> {
    (limited(&(float(x) + 3.0), 0.0, 6.0) / 6.0).done()
}

/// x · hardsigmoid(x)
///
/// # Errors
/// None of its own.
pub fn hardswish(x: &Tensor) -> Result<Tensor> {
    let x = float(x);
    (&x * limited(&(&x + 3.0), 0.0, 6.0) / 6.0).done()
}

/// x / (1 + |x|)
///
/// # Errors
/// None of its own.
pub fn softsign(x: &Tensor) -> Result<Tensor> {
    let x = float(x);
    (&x / (x.apply(Code::Abs) + 1.0)).done()
}
