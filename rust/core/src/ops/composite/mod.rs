//! Operations made of others: activations, normalisations, losses. Depends on the primitives.
//! Invariant: each is a chain of pointwise work and row reductions, so that it fuses; half precision is computed in float32.

mod activation;
mod classification;
mod dropout;
mod normalization;
mod regression;
mod softmax;

pub use activation::{
    celu, elu, gelu, hardsigmoid, hardswish, hardtanh, leaky_relu, logsigmoid, mish, relu6, selu, silu, softplus,
    softsign,
};
pub use classification::{bce_loss, bce_with_logits, cross_entropy, nll_loss};
pub use dropout::dropout;
pub(super) use normalization::normalized;
pub use normalization::{layer_norm, normalize, rms_norm};
pub use regression::{huber_loss, kl_div, l1_loss, mse_loss, smooth_l1_loss};
pub use softmax::{log_softmax, softmax};

use super::autocast::widened;
use super::expr::Expr;
use super::pointwise::astype;
use super::reduce::{Reduction, reduce};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::Tensor;

/// What becomes of the losses of single elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    /// They stay.
    None,
    /// Their mean.
    Mean,
    /// Their sum.
    Sum,
}

impl Reduce {
    fn of(self, losses: &Tensor) -> Result<Tensor> {
        match self {
            Reduce::None => Ok(losses.clone()),
            Reduce::Mean => reduce(Reduction::Mean, losses, None, false),
            Reduce::Sum => reduce(Reduction::Sum, losses, None, false),
        }
    }
}

/// Runs `function` on the tensor as a float of at least 32 bits; the result takes the tensor's dtype (float32 for integers).
fn in_float(x: &Tensor, function: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let x = &widened(x)?;
    let dtype = if x.dtype().is_float() { x.dtype() } else { DType::F32 };
    astype(&function(&astype(x, dtype.promote(DType::F32))?)?, dtype)
}

/// The tensor as a float formula.
fn float(x: &Tensor) -> Expr {
    Expr::from(widened(x).and_then(|x| astype(&x, if x.dtype().is_float() { x.dtype() } else { DType::F32 })))
}

fn same_shape(name: &str, input: &Tensor, target: &Tensor) -> Result<()> {
    if input.shape() == target.shape() {
        return Ok(());
    }
    Err(Error::shape(format!(
        "{name}: input is {} and target is {}. Give both one shape.",
        input.shape(),
        target.shape()
    )))
}
