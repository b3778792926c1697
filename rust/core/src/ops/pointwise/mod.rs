//! Pointwise operations: one table of records, one op that reads it, and the calls.
//! Depends on `operand`. Invariant: the primitive's operands have one shape; promotion and broadcasting happened before.

mod calls;
mod cast;
mod names;
mod order;
mod table;

pub use calls::{
    add_scalar, binary, clip, div_scalar, maximum_scalar, minimum_scalar, mul_scalar, rsub_scalar, sub_scalar, unary,
    where_,
};
pub use cast::astype;
pub use names::*;

pub(crate) use order::{common_order, folded_in_order, inverse};

use smallvec::{SmallVec, smallvec};

use super::expr::Expr;
use crate::code::Code;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Lowering, Meta, Op, Pointwise, Vjp};
use table::{Gradient, Point, record};

/// A function of `Code` applied at every index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Apply(pub(crate) Code);

impl Op for Apply {
    fn name(&self) -> &'static str {
        record(self.0).name
    }

    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        let values = if self.0 == Code::Where { &inputs[1..] } else { inputs };
        let dtype = values[0].dtype;
        if !self.0.takes(dtype) {
            return Err(refused(self.name(), dtype));
        }
        if values.iter().any(|meta| meta.dtype != dtype) || inputs.iter().any(|meta| meta.shape != inputs[0].shape) {
            return Err(Error::internal(format!("{}: operands differ in shape or dtype: {inputs:?}.", self.name())));
        }
        let dtype = if self.0.is_predicate() { DType::Bool } else { dtype };
        Ok(smallvec![Meta::new(inputs[0].shape.clone(), dtype)])
    }

    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let expr = |i: usize| Expr::from(&cx.inputs[i]);
        let (y, grad) = (Expr::from(&cx.outputs[0]), Expr::from(cx.grad()));
        let when = |needed: bool, formula: &dyn Fn() -> Expr| {
            needed.then(|| formula().done().map(Cotangent::Dense)).transpose()
        };
        Ok(match record(self.0).gradient {
            Gradient::None => smallvec![None; cx.inputs.len()],
            Gradient::Unary(rule) => smallvec![when(cx.needs[0], &|| rule(&expr(0), &y, &grad))?],
            Gradient::Binary(left, right) => {
                let point = Point { a: expr(0), b: expr(1), y, grad };
                smallvec![when(cx.needs[0], &|| left(&point))?, when(cx.needs[1], &|| right(&point))?]
            }
            Gradient::Where => smallvec![
                None,
                when(cx.needs[1], &|| expr(0).choose(&grad, 0.0))?,
                when(cx.needs[2], &|| expr(0).choose(0.0, &grad))?,
            ],
        })
    }

    fn lower(&self) -> Lowering {
        Lowering::Pointwise(Pointwise::Code(self.0))
    }
}

/// The error for a dtype that a function does not take.
fn refused(name: &str, dtype: DType) -> Error {
    let advice = match dtype {
        DType::Bool => "Convert with astype, for instance to int64",
        _ if dtype.is_float() => "Convert with astype to an integer dtype",
        _ => "Convert with astype to float32 or float64",
    };
    Error::dtype(format!("{name}: {dtype} is not a dtype that this function takes. {advice}."))
}
