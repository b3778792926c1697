//! Normalisation to zero mean and unit variance, with a direct gradient. Depends on `expr` and `reduce`.
//! Invariant: constant rows stay finite: eps is added to the variance.

use std::sync::Arc;

use smallvec::smallvec;

use super::super::axes::{Axes, normalize_axes};
use super::super::custom::{unrecorded, with_vjp};
use super::super::expr::Expr;
use super::super::movement::{broadcast_to, keep_axes};
use super::super::pointwise::astype;
use super::super::reduce::sum_axes;
use super::in_float;
use crate::code::Code;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Tensor, Vjp, grad_enabled};

/// The mean over `axes` at every element.
fn spread_mean(x: &Expr, axes: &Axes) -> Expr {
    x.then(|x| {
        let count: usize = axes.iter().map(|&axis| x.shape()[axis]).product();
        let mean = (Expr::from(sum_axes(x, axes.clone())) / count as f64).done()?;
        broadcast_to(&keep_axes(&mean, x.shape(), axes)?, x.shape())
    })
}

/// (x − mean) and 1 / √(var + eps) at every element.
fn deviation(x: &Tensor, axes: &Axes, eps: f64) -> (Expr, Expr) {
    let x = Expr::from(x);
    let centred = &x - spread_mean(&x, axes);
    let scale = 1.0 / (spread_mean(&centred.squared(), axes) + eps).apply(Code::Sqrt);
    (centred, scale)
}

/// (x − mean) / √(var + eps) over `axes`; the variance divides by the number of elements.
///
/// # Errors
/// For axes that do not exist.
pub fn normalize(x: &Tensor, axes: &[isize], eps: f64) -> Result<Tensor> {
    let axes = normalize_axes("normalize", Some(axes), x.rank())?;
    in_float(x, |x| normalized(x, &axes, eps))
}

/// As `normalize`, of float32 or float64, over axes that there are.
pub(in super::super) fn normalized(x: &Tensor, axes: &Axes, eps: f64) -> Result<Tensor> {
    let (value, scale) = unrecorded(|| {
        let (centred, scale) = deviation(x, axes, eps);
        Ok(((centred * &scale).done()?, scale))
    })?;
    let axes = axes.clone();
    // dx = (g − mean g − y · mean(g · y)) / √(var + eps)
    let rule = move |cx: &Vjp<'_>| {
        let (y, grad) = (Expr::from(&cx.outputs[0]), Expr::from(cx.grad()));
        // Only a gradient that is differentiated again needs the scale's own history.
        let scale = if grad_enabled() { deviation(&cx.inputs[0], &axes, eps).1 } else { scale.clone() };
        let inner = &grad - spread_mean(&grad, &axes) - &y * spread_mean(&(&grad * &y), &axes);
        Ok(smallvec![Some(Cotangent::Dense((inner * scale).done()?))])
    };
    with_vjp(&value, &[x], Arc::new(rule), "normalize")
}

/// The last axes of `x`, `rank` of them, normalised; then times `weight`, plus `bias`, both of those axes' sizes.
///
/// # Errors
/// When there are fewer axes, or weight or bias have other sizes.
pub fn layer_norm(x: &Tensor, rank: usize, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Result<Tensor> {
    let axes = last_axes("layer_norm", x, rank, &[("weight", weight), ("bias", bias)])?;
    in_float(x, |x| {
        let mut result = Expr::from(normalized(x, &axes, eps));
        if let Some(weight) = weight {
            result = result * Expr::from(astype(weight, x.dtype()));
        }
        if let Some(bias) = bias {
            result = result + Expr::from(astype(bias, x.dtype()));
        }
        result.done()
    })
}

/// The last axes of `x`, `rank` of them, divided by their root mean square; then times `weight`.
///
/// # Errors
/// When there are fewer axes, or weight has other sizes.
pub fn rms_norm(x: &Tensor, rank: usize, weight: Option<&Tensor>, eps: f64) -> Result<Tensor> {
    let axes = last_axes("rms_norm", x, rank, &[("weight", weight)])?;
    in_float(x, |x| {
        let value = Expr::from(x);
        let scaled = &value / (spread_mean(&value.squared(), &axes) + eps).apply(Code::Sqrt);
        match weight {
            Some(weight) => (scaled * Expr::from(astype(weight, x.dtype()))).done(),
            None => scaled.done(),
        }
    })
}

fn last_axes(name: &str, x: &Tensor, rank: usize, parameters: &[(&str, Option<&Tensor>)]) -> Result<Axes> {
    let Some(first) = x.rank().checked_sub(rank) else {
        return Err(Error::shape(format!(
            "{name}: the last {rank} axes are normalised, but {} has rank {}. Normalise fewer.",
            x.shape(),
            x.rank()
        )));
    };
    for (what, parameter) in parameters {
        if let Some(parameter) = parameter.filter(|parameter| parameter.shape()[..] != x.shape()[first..]) {
            return Err(Error::shape(format!(
                "{name}: {what} is {} and the last {rank} axes of the input {}. Give them the same sizes.",
                parameter.shape(),
                x.shape()
            )));
        }
    }
    Ok((first..x.rank()).collect())
}
