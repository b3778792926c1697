//! Softmax and its logarithm, with direct gradients. Depends on `expr` and `reduce`.
//! Invariant: the largest element is subtracted first, so that nothing overflows.

use std::sync::Arc;

use smallvec::smallvec;

use super::super::axes::{Axes, normalize_axis};
use super::super::custom::{Rule, unrecorded, with_vjp};
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

/// The largest along `axis`; 0 where there are no elements.
fn largest(x: &Tensor, axis: usize) -> Expr {
    if x.shape()[axis] == 0 { Expr::from(x) } else { extreme(Fold::Max, x, &smallvec![axis]).into() }
}

/// The gradient of y = softmax(x) along `axis`: y · (g − Σ g · y).
pub(super) fn softmax_rule(axis: usize) -> Rule {
    Arc::new(move |cx: &Vjp<'_>| {
        let (y, grad) = (Expr::from(&cx.outputs[0]), Expr::from(cx.grad()));
        let gradient = &y * (&grad - spread_sum(&(&grad * &y), axis));
        Ok(smallvec![Some(Cotangent::Dense(gradient.done()?))])
    })
}

/// exp(xᵢ) / Σ exp(x) along `axis`.
///
/// # Errors
/// For an axis that does not exist.
pub fn softmax(x: &Tensor, axis: isize) -> Result<Tensor> {
    let axis = normalize_axis("softmax", axis, x.rank())?;
    in_float(x, |x| {
        let value = unrecorded(|| {
            let terms = (Expr::from(x) - largest(x, axis)).apply(Code::Exp);
            // A quotient per row instead of one per element.
            (&terms * (1.0 / spread_sum(&terms, axis))).done()
        })?;
        with_vjp(&value, &[x], softmax_rule(axis), "softmax")
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
            let (x, largest) = (Expr::from(x), largest(x, axis));
            // Made twice: the one is part of the exponentials, the other of the result, and neither is kept.
            let [for_sum, centred] = [&x - &largest, &x - &largest];
            (centred - spread_sum(&for_sum.apply(Code::Exp), axis).apply(Code::Log)).done()
        })?;
        let rule = move |cx: &Vjp<'_>| {
            let (y, grad) = (Expr::from(&cx.outputs[0]), Expr::from(cx.grad()));
            let gradient = &grad - y.apply(Code::Exp) * spread_sum(&grad, axis);
            Ok(smallvec![Some(Cotangent::Dense(gradient.done()?))])
        };
        with_vjp(&value, &[x], Arc::new(rule), "log_softmax")
    })
}
