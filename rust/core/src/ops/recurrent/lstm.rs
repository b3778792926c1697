//! An LSTM over a sequence. Depends on `gradient` and `kit::lstm`.
//! Invariant: outputs, cells and gates of all steps are results of one node; the gates serve the gradient.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::gradient::gradients;
use crate::backend::{HostArgument, HostArguments};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply_multi};
use crate::kit::gemm::Matrix;
use crate::kit::lstm::{Element, Forward, Rows, Sequence, Target};
use crate::plan::{Argument, Candidate, Caps, Cost, Structured};
use crate::shape::Shape;

/// What an LSTM makes of a sequence.
#[derive(Clone, Debug)]
pub struct Lstm {
    /// The outputs of all steps, `[step, batch, hidden]`.
    pub h: Tensor,
    /// The cells after all steps, `[step, batch, hidden]`.
    pub c: Tensor,
}

/// c ← σ(f) · c + σ(i) · tanh(g), h ← σ(o) · tanh(c) with [i f g o] = given + h · weightᵀ, for every step of `given`
/// `[step, batch, 4 · hidden]`, from the state `h`, `c` `[batch, hidden]` on; the last step first if `reverse`.
///
/// # Errors
/// For shapes that do not fit, and dtypes other than float32 or float64 for all.
pub fn lstm(given: &Tensor, weight: &Tensor, h: &Tensor, c: &Tensor, reverse: bool) -> Result<Lstm> {
    let hidden = weight.shape().last().copied().unwrap_or(0);
    let fits = given.rank() == 3
        && weight.shape()[..] == [4 * hidden, hidden]
        && given.shape()[2] == 4 * hidden
        && [h, c].iter().all(|state| state.shape()[..] == [given.shape()[1], hidden]);
    if !fits {
        return Err(Error::shape(format!(
            "lstm: given is {}, weight {}, h {} and c {}. Use [step, batch, 4 · hidden], [4 · hidden, hidden] and twice [batch, hidden].",
            given.shape(),
            weight.shape(),
            h.shape(),
            c.shape()
        )));
    }
    let dtype = given.dtype();
    if !matches!(dtype, DType::F32 | DType::F64) || [weight, h, c].iter().any(|other| other.dtype() != dtype) {
        return Err(Error::dtype(format!(
            "lstm: given is {dtype}, weight {}, h {} and c {}. Use float32 or float64 for all.",
            weight.dtype(),
            h.dtype(),
            c.dtype()
        )));
    }
    let mut outputs = apply_multi(Steps { reverse }, &[given, weight, h, c])?.into_iter();
    let (Some(h), Some(c)) = (outputs.next(), outputs.next()) else { unreachable!("an LSTM has three outputs") };
    Ok(Lstm { h, c })
}

#[derive(Clone, Debug)]
struct Steps {
    reverse: bool,
}

impl Op for Steps {
    fn name(&self) -> &'static str {
        "lstm"
    }
    fn key(&self, key: &mut Key) {
        key.number(self.reverse.into());
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        let (given, dtype) = (&inputs[0].shape, inputs[0].dtype);
        let state = Shape::new(&[given[0], given[1], given[2] / 4])?;
        Ok(smallvec![Meta::new(state.clone(), dtype), Meta::new(state, dtype), Meta::new(given.clone(), dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let found = gradients(cx, self.reverse)?;
        Ok(found.into_iter().zip(cx.needs).map(|(grad, &needed)| needed.then_some(Cotangent::Dense(grad))).collect())
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

/// An argument as rows.
pub(super) fn rows<E>(argument: &HostArgument<'_>) -> Rows<E> {
    let strides = &argument.layout.strides;
    let step = if strides.len() == 3 { strides[0] } else { 0 };
    let [.., row, element] = strides[..] else { unreachable!("states and sequences have rows") };
    Rows { start: argument.data.0.cast::<E>().cast_const(), strides: [step, row, element] }
}

/// An argument as a matrix.
pub(super) fn matrix<E>(argument: &HostArgument<'_>) -> Matrix<E> {
    let strides = &argument.layout.strides;
    Matrix { start: argument.data.0.cast::<E>().cast_const(), row: strides[0], column: strides[1] }
}

/// A result.
pub(super) fn target<E>(argument: &HostArgument<'_>) -> Target<E> {
    Target(argument.data.0.cast())
}

/// Sizes from those of the gates.
pub(super) fn sequence(gates: &[usize], reverse: bool) -> Sequence {
    Sequence { steps: gates[0], batch: gates[1], hidden: gates[2] / 4, reverse }
}

impl Steps {
    /// # Safety
    /// The arguments hold elements of `E`.
    unsafe fn run<E: Element>(&self, host: &HostArguments<'_>) -> Result<()> {
        let [given, weight, h, c, to_h, to_c, to_gates] = host.arguments else {
            unreachable!("four inputs, three outputs")
        };
        let forward = Forward::<E> {
            sequence: sequence(&given.layout.shape, self.reverse),
            given: rows(given),
            weight: matrix(weight),
            start: [rows(h), rows(c)],
            h: target(to_h),
            c: target(to_c),
            gates: target(to_gates),
        };
        // SAFETY: the arguments hold what their layouts say; results are contiguous and nobody else's.
        unsafe { forward.run(host.parallel) }
    }
}

/// The work of the products with the recurrent weight, whose sizes are those of the gates.
pub(super) fn cost(gates: &[usize], arguments: &[Argument]) -> Cost {
    let products = gates.iter().map(|&size| size as u64).product::<u64>() * (gates[2] as u64 / 4) * 2;
    Cost { flops: products, ..Cost::moving(arguments) }
}

impl Structured for Steps {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        cost(&arguments[0].layout.shape, arguments)
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        // SAFETY: the dtypes say what the arguments hold; the call admits no others.
        unsafe {
            match host.arguments[0].dtype {
                DType::F64 => self.run::<f64>(host),
                _ => self.run::<f32>(host),
            }
        }
    }

    fn gpu(&self, _arguments: &[Argument], _slots: usize, _caps: &Caps) -> Vec<Candidate> {
        Vec::new()
    }
}
