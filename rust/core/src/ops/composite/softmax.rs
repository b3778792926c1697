//! Softmax and its logarithm, with direct gradients. Depends on `expr` and `reduce`.
//! Invariant: the largest element is subtracted first, so that nothing overflows.

use std::sync::Arc;

use smallvec::smallvec;

use super::super::axes::{Axes, normalize_axis};
use super::super::custom::{unrecorded, with_vjp};
use super::super::expr::Expr;
use super::super::movement::{broadcast_to, keep_axes};
use super::super::reduce::{extreme, sum_axes};
use super::in_float;
use crate::code::{Code, Fold};
use crate::error::Result;
use crate::graph::{Cotangent, Tensor, Vjp};

/// The sum along `axis` at every element.
fn spread_sum(x: &Expr, axis: usize) -> Expr {
    let axes: Axes = smallvec![axis];
    x.then(|x| broadcast_to(&keep_axes(&sum_axes(x, axes.clone())?, x.shape(), &axes)?, x.shape()))
}

/// x minus the largest along `axis`; an axis without elements has none.
fn centred(x: &Tensor, axis: usize) -> Expr {
    let largest = if x.shape()[axis] == 0 { return x.into() } else { extreme(Fold::Max, x, &smallvec![axis]) };
    Expr::from(x) - Expr::from(largest)
}

/// exp(xᵢ) / Σ exp(x) along `axis`.
///
/// # Errors
/// For an axis that does not exist.
pub fn softmax(x: &Tensor, axis: isize) -> Result<Tensor> {
    let axis = normalize_axis("softmax", axis, x.rank())?;
    in_float(x, |x| {
        let value = unrecorded(|| {
            let terms = centred(x, axis).apply(Code::Exp);
            // A quotient per row instead of one per element.
            (&terms * (1.0 / spread_sum(&terms, axis))).done()
        })?;
        let rule = move |cx: &Vjp<'_>| {
            let (y, grad) = (Expr::from(&cx.outputs[0]), Expr::from(cx.grad()));
            let gradient = &y * (&grad - spread_sum(&(&grad * &y), axis));
            Ok(smallvec![Some(Cotangent::Dense(gradient.done()?))])
        };
        with_vjp(&value, &[x], Arc::new(rule), "softmax")
    })
}

/// ln softmax: xᵢ − ln Σ exp(x) along `axis`.
///
/// # Errors
/// For an axis that does not exist.
pub fn log_softmax(x: &Tensor, axis: isize) -> Result<Tensor> {
    let axis = normalize_axis("log_softmax", axis, x.rank())?;
    in_float(x, |x| {
        let value = unrecorded(|| {
            let centred = centred(x, axis);
            (&centred - spread_sum(&centred.apply(Code::Exp), axis).apply(Code::Log)).done()
        })?;
        let rule = move |cx: &Vjp<'_>| {
            let (y, grad) = (Expr::from(&cx.outputs[0]), Expr::from(cx.grad()));
            let gradient = &grad - y.apply(Code::Exp) * spread_sum(&grad, axis);
            Ok(smallvec![Some(Cotangent::Dense(gradient.done()?))])
        };
        with_vjp(&value, &[x], Arc::new(rule), "log_softmax")
    })
}
