//! Conversion of dtypes. Depends on `graph`.
//! Invariant: gradients flow between floats only, and come back in the input's dtype.

use smallvec::{SmallVec, smallvec};

use super::super::movement::same;
use super::order::apply_in_order;
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Pointwise, Tensor, Vjp};

#[derive(Debug)]
struct Cast(DType);

impl Op for Cast {
    fn name(&self) -> &'static str {
        "astype"
    }
    fn key(&self, key: &mut Key) {
        key.number(self.0 as u64);
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![Meta::new(inputs[0].shape.clone(), self.0)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let from = cx.inputs[0].dtype();
        Ok(smallvec![if cx.needs[0] && from.is_float() {
            Some(Cotangent::Dense(astype(cx.grad(), from)?))
        } else {
            None
        }])
    }
    fn lower(&self) -> Lowering {
        Lowering::Pointwise(Pointwise::Cast)
    }
}

/// The tensor with elements of another dtype: floats truncate to integers (NaN gives 0), integers wrap, `bool` is `!= 0`.
///
/// # Errors
/// None of its own.
pub fn astype(x: &Tensor, dtype: DType) -> Result<Tensor> {
    if x.dtype() == dtype { same(x) } else { apply_in_order(Cast(dtype), &[x]) }
}
