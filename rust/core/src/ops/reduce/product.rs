//! The gradient of a product: grad times the product of all other elements. Depends on `expr` and `movement`.
//! Invariant: right with any number of zeros, to any order.

use super::super::axes::Axes;
use super::super::expr::Expr;
use super::super::movement::{broadcast_to, flip, keep_axes, permute_axes, reshape_to, slice_axis};
use super::super::pointwise::{astype, mul};
use super::fold::{fold_axes, sum_axes};
use crate::code::{Code, Fold};
use crate::dtype::Scalar;
use crate::error::Result;
use crate::graph::{Tensor, grad_enabled};
use crate::ops::create::full;
use crate::ops::movement::concat;
use crate::shape::Shape;

/// grad · Π of the other elements.
pub(super) fn gradient(x: &Tensor, axes: &Axes, y: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let spread = |y: &Tensor| broadcast_to(&keep_axes(y, x.shape(), axes)?, x.shape());
    if grad_enabled() {
        return mul(&spread(grad)?, &others(x, axes)?);
    }
    // Once is enough: y / x where nothing is 0; the product of the rest at an only 0.
    let value = Expr::from(x);
    let zero = value.with(Code::Equal, 0.0);
    let filled = zero.choose(1.0, &value);
    let zeros = zero.then(|zero| spread(&sum_axes(&astype(zero, x.dtype())?, axes.clone())?));
    let rest = filled.then(|filled| spread(&fold_axes(Fold::Prod, filled, axes.clone())?));
    let only = zero.with(Code::And, zeros.with(Code::Equal, 1.0));
    let quotient = Expr::from(spread(y)) / filled;
    let product = only.choose(rest, zero.choose(0.0, quotient));
    (Expr::from(spread(grad)) * product).done()
}

/// At every element the product of all others, from products before and after it: differentiable wherever zeros lie.
fn others(x: &Tensor, axes: &Axes) -> Result<Tensor> {
    // The folded axes go last and become one.
    let order: Axes = (0..x.rank()).filter(|axis| !axes.contains(axis)).chain(axes.iter().copied()).collect();
    let moved = permute_axes(x, order.clone())?;
    let length: usize = axes.iter().map(|&axis| x.shape()[axis]).product();
    let rows = x.shape().elements().checked_div(length).unwrap_or(0);
    let flat = reshape_to(&moved, &Shape::from_sound([rows, length]))?;
    let before = exclusive(&flat)?;
    let after = flip(&exclusive(&flip(&flat, Some(&[1]))?)?, Some(&[1]))?;
    let product = reshape_to(&mul(&before, &after)?, moved.shape())?;
    let mut inverse: Axes = order.clone();
    for (to, &from) in order.iter().enumerate() {
        inverse[from] = to;
    }
    permute_axes(&product, inverse)
}

/// Products of the elements before each along axis 1, in log₂ steps that double the reach.
fn exclusive(x: &Tensor) -> Result<Tensor> {
    let length = x.shape()[1];
    let mut product = shifted(x, 1)?;
    let mut reach = 1;
    while reach < length {
        product = mul(&product, &shifted(&product, reach)?)?;
        reach *= 2;
    }
    Ok(product)
}

/// Moved by `by` places along axis 1, ones coming in.
fn shifted(x: &Tensor, by: usize) -> Result<Tensor> {
    let (rows, length) = (x.shape()[0], x.shape()[1]);
    let by = by.min(length);
    let ones = full(&[rows, by], Scalar::Int(1), x.dtype(), x.device())?;
    if by == length {
        return Ok(ones);
    }
    concat(&[ones, slice_axis(x, 1, 0, length - by)?], 1)
}
