//! Losses between tensors of one shape. Depends on `expr`.
//! Invariant: input and target have one shape; nothing broadcasts behind the user's back.

use super::super::expr::Expr;
use super::{Reduce, float, same_shape};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::graph::Tensor;

/// input − target
fn difference(name: &str, input: &Tensor, target: &Tensor) -> Result<Expr> {
    same_shape(name, input, target)?;
    Ok(float(input) - float(target))
}

/// (input − target)²
///
/// # Errors
/// When the shapes differ.
pub fn mse_loss(input: &Tensor, target: &Tensor, reduction: Reduce) -> Result<Tensor> {
    difference("mse_loss", input, target)?.squared().then(|losses| reduction.of(losses)).done()
}

/// |input − target|
///
/// # Errors
/// When the shapes differ.
pub fn l1_loss(input: &Tensor, target: &Tensor, reduction: Reduce) -> Result<Tensor> {
    difference("l1_loss", input, target)?.apply(Code::Abs).then(|losses| reduction.of(losses)).done()
}

/// d² / (2 beta) where d = |input − target| < beta, else d − beta / 2.
///
/// # Errors
/// When the shapes differ, or beta is negative.
pub fn smooth_l1_loss(input: &Tensor, target: &Tensor, beta: f64, reduction: Reduce) -> Result<Tensor> {
    if beta < 0.0 {
        return Err(Error::value(format!("smooth_l1_loss: beta is {beta}. Use a number of at least 0.")));
    }
    if beta == 0.0 {
        return l1_loss(input, target, reduction);
    }
    let distance = difference("smooth_l1_loss", input, target)?.apply(Code::Abs);
    let near = distance.squared() * (0.5 / beta);
    let losses = distance.with(Code::Less, beta).choose(near, &distance - 0.5 * beta);
    losses.then(|losses| reduction.of(losses)).done()
}

/// d² / 2 where d = |input − target| ≤ delta, else delta · (d − delta / 2).
///
/// # Errors
/// When the shapes differ, or delta is not positive.
pub fn huber_loss(input: &Tensor, target: &Tensor, delta: f64, reduction: Reduce) -> Result<Tensor> {
    let positive = delta > 0.0;
    if !positive {
        return Err(Error::value(format!("huber_loss: delta is {delta}. Use a positive number.")));
    }
    let distance = difference("huber_loss", input, target)?.apply(Code::Abs);
    let near = distance.squared() * 0.5;
    let losses = distance.with(Code::LessEqual, delta).choose(near, (&distance - 0.5 * delta) * delta);
    losses.then(|losses| reduction.of(losses)).done()
}

/// target · (ln target − input), where `input` holds logarithms; 0 where the target is 0.
///
/// # Errors
/// When the shapes differ.
pub fn kl_div(input: &Tensor, target: &Tensor, reduction: Reduce) -> Result<Tensor> {
    same_shape("kl_div", input, target)?;
    let (input, target) = (float(input), float(target));
    let positive = target.with(Code::Greater, 0.0);
    let entropy = positive.choose(&target * positive.choose(&target, 1.0).apply(Code::Log), 0.0);
    (entropy - &target * input).then(|losses| reduction.of(losses)).done()
}
