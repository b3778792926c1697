//! Dropout. Depends on `random`. Invariant: the mask is recomputed from its counter, never stored as numbers.

use super::super::expr::Expr;
use super::super::movement::same;
use super::super::random::uniform;
use super::float;
use crate::code::Code;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::Tensor;

/// Elements set to 0 with probability `p`, the others divided by 1 − p. Uses `random::blocks` of the counter.
///
/// # Errors
/// When `p` is no probability.
pub fn dropout(x: &Tensor, p: f64, key: u64, counter: u64) -> Result<Tensor> {
    if !(0.0..=1.0).contains(&p) {
        return Err(Error::value(format!("dropout: p is {p}. Use a probability from 0 to 1.")));
    }
    if p == 0.0 {
        return same(x);
    }
    let kept = Expr::from(uniform(x.shape(), 0.0, 1.0, DType::F32, x.device(), key, counter));
    let scale = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
    kept.with(Code::GreaterEqual, p).choose(float(x) * scale, 0.0).done()
}
