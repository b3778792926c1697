//! Variance, norms and the logarithm of a sum of exponentials. Depends on `expr` and `fold`.
//! Invariant: half precision is computed in float32 and rounded once at the end.

use std::sync::Arc;

use smallvec::smallvec;

use super::super::autocast;
use super::super::axes::{Axes, normalize_axes};
use super::super::custom::{unrecorded, with_vjp};
use super::super::expr::Expr;
use super::super::movement::{broadcast_to, keep_axes};
use super::super::pointwise::{abs, astype};
use super::fold::{extreme, sum_axes};
use crate::code::{Code, Fold};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Tensor};

/// The float dtype of a statistic, and the tensor in the type that it is computed in.
fn widen(x: &Tensor) -> Result<(DType, Tensor)> {
    let x = &autocast::widened(x)?;
    let dtype = if x.dtype().is_float() { x.dtype() } else { DType::F32 };
    Ok((dtype, astype(x, dtype.promote(DType::F32))?))
}

/// `statistic` with its axes kept or dropped, as `dtype`.
fn finish(statistic: Expr, before: &Tensor, axes: &Axes, keepdims: bool, dtype: DType) -> Result<Tensor> {
    let result = astype(&statistic.done()?, dtype)?;
    if keepdims { keep_axes(&result, before.shape(), axes) } else { Ok(result) }
}

/// Σ (x − mean)² / (n − correction)
fn squared_deviation(x: &Tensor, axes: &Axes, correction: f64) -> Expr {
    let count: usize = axes.iter().map(|&axis| x.shape()[axis]).product();
    let x = Expr::from(x);
    let mean = x.then(|x| keep_axes(&sum_axes(x, axes.clone())?, x.shape(), axes)) / count as f64;
    (&x - mean).squared().then(|squares| sum_axes(squares, axes.clone())) / (count as f64 - correction).max(0.0)
}

/// Mean squared deviation from the mean: Σ (x − mean)² / (n − correction).
///
/// # Errors
/// For axes that do not exist.
pub fn variance(x: &Tensor, axes: Option<&[isize]>, correction: f64, keepdims: bool) -> Result<Tensor> {
    let axes = normalize_axes("var", axes, x.rank())?;
    let (dtype, x) = widen(x)?;
    finish(squared_deviation(&x, &axes, correction), &x, &axes, keepdims, dtype)
}

/// √variance; the gradient of equal elements is 0.
///
/// # Errors
/// For axes that do not exist.
pub fn std(x: &Tensor, axes: Option<&[isize]>, correction: f64, keepdims: bool) -> Result<Tensor> {
    let axes = normalize_axes("std", axes, x.rank())?;
    let (dtype, x) = widen(x)?;
    finish(root(&squared_deviation(&x, &axes, correction)), &x, &axes, keepdims, dtype)
}

/// √(Σ x²); the gradient of a zero vector is 0.
///
/// # Errors
/// For axes that do not exist.
pub fn norm(x: &Tensor, axes: Option<&[isize]>, keepdims: bool) -> Result<Tensor> {
    let axes = normalize_axes("norm", axes, x.rank())?;
    let (dtype, x) = widen(x)?;
    let squares = Expr::from(&x).squared().then(|squares| sum_axes(squares, axes.clone()));
    finish(root(&squares), &x, &axes, keepdims, dtype)
}

/// √x with gradient 0 at 0, to any order.
fn root(x: &Expr) -> Expr {
    let zero = x.with(Code::Equal, 0.0);
    zero.choose(0.0, zero.choose(1.0, x).apply(Code::Sqrt))
}

/// ln Σ eˣ, without overflow; the gradient is the softmax, also at ties and infinities.
///
/// # Errors
/// For axes that do not exist or have no elements.
pub fn logsumexp(x: &Tensor, axes: Option<&[isize]>, keepdims: bool) -> Result<Tensor> {
    let axes = normalize_axes("logsumexp", axes, x.rank())?;
    if let Some(axis) = axes.iter().find(|&&axis| x.shape()[axis] == 0) {
        return Err(Error::value(format!(
            "logsumexp: axis {axis} of {} has no elements. Give at least one element.",
            x.shape()
        )));
    }
    let (dtype, x) = widen(x)?;
    let value = unrecorded(|| log_sum(&x, &axes))?;
    let folded = axes.clone();
    let rule = with_vjp(
        &value,
        &[&x],
        Arc::new(move |cx| {
            let (x, y) = (&cx.inputs[0], Expr::from(&cx.outputs[0]));
            // A row of −∞ has the sum −∞; its elements weigh nothing.
            let y = y.with(Code::Equal, f64::NEG_INFINITY).choose(0.0, &y);
            let spread = |y: &Tensor| broadcast_to(&keep_axes(y, x.shape(), &folded)?, x.shape());
            let weights = (Expr::from(x) - y.then(spread)).apply(Code::Exp);
            let gradient = (Expr::from(cx.grad()).then(spread) * weights).done()?;
            Ok(smallvec![Some(Cotangent::Dense(gradient))])
        }),
        "logsumexp",
    );
    finish(Expr::from(rule), &x, &axes, keepdims, dtype)
}

fn log_sum(x: &Tensor, axes: &Axes) -> Result<Tensor> {
    let largest = Expr::from(extreme(Fold::Max, x, axes));
    let finite = largest.then(abs).with(Code::Less, f64::INFINITY);
    // An infinite maximum must not be subtracted from itself.
    let shift = finite.choose(&largest, 0.0);
    let sum = (Expr::from(x) - &shift).apply(Code::Exp).then(|terms| sum_axes(terms, axes.clone()));
    (sum.apply(Code::Log) + shift.then(|shift| drop_axes(shift, axes))).done()
}

/// Removes kept axes of size 1.
fn drop_axes(x: &Tensor, axes: &Axes) -> Result<Tensor> {
    let axes: Vec<isize> = axes.iter().map(|&axis| axis as isize).collect();
    super::super::movement::squeeze(x, Some(&axes))
}
