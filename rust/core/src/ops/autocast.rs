//! Mixed precision: which ops compute in 16 bits inside a block of it, and which in 32. Depends on `graph`.
//! Invariant: outside such a block both functions give their input back.

use super::pointwise::astype;
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::{Tensor, autocast};

/// An operand of a product: in the block's 16-bit dtype where it is a float of at most 32 bits.
pub(super) fn narrowed(x: &Tensor) -> Result<Tensor> {
    match (autocast(x.device()), x.dtype()) {
        (Some(dtype), DType::F16 | DType::BF16 | DType::F32) => astype(x, dtype),
        _ => Ok(x.clone()),
    }
}

/// An operand of sums, exponentials, norms and losses: in float32 where it is a 16-bit float.
pub(super) fn widened(x: &Tensor) -> Result<Tensor> {
    match (autocast(x.device()), x.dtype()) {
        (Some(_), DType::F16 | DType::BF16) => astype(x, DType::F32),
        _ => Ok(x.clone()),
    }
}
