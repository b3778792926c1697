//! The gradient of a recurrent unit over a sequence: one routine, or where it is to be differentiated itself, `stepwise`.
//! Depends on `sequence`, `stepwise` and `kit::recurrent`. Invariant: weights have one product for all steps.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::super::create::arange;
use super::super::expr::Expr;
use super::super::matmul::matmul;
use super::super::movement::{broadcast_to, concat, expand_dims, matrix_transpose, reshape_to, slice_axis};
use super::super::pointwise::{mul, tanh};
use super::super::reduce::{Reduction, reduce};
use super::routine::{matrix, optional, rows, sequence, target};
use super::sequence::{Inputs, Outputs, Steps, products};
use super::shaders;
use super::stepwise::stepwise;
use crate::backend::HostArguments;
use crate::code::Code;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply_multi, grad_enabled};
use crate::kit::recurrent::{Backward, Element, Unit, of_unit};
use crate::plan::{Argument, Candidate, Caps, Cost, Structured};
use crate::shape::Shape;

/// What going back through all steps gives.
pub(super) struct Found {
    /// Gradient of what the inputs give, `[step, batch, gates · hidden]`.
    pub(super) given: Tensor,
    /// The same of the products with the weight, where that is another.
    pub(super) own: Option<Tensor>,
    /// Gradients of the first h and cell.
    pub(super) h: Tensor,
    pub(super) c: Option<Tensor>,
    /// Gradients of what was projected, `[step, batch, state]`.
    pub(super) projected: Option<Tensor>,
}

/// Cotangents of the inputs.
pub(super) fn gradients(steps: &Steps, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
    let (inputs, outputs, grads) = (steps.inputs(cx.inputs), steps.outputs(cx.outputs), steps.outputs(cx.grads));
    let of_inside = [grads.cells, grads.saved].into_iter().flatten().any(Option::is_some);
    let found = if grad_enabled() || of_inside {
        of_unit!(steps.unit, stepwise(steps, &inputs, &outputs, &grads))?
    } else {
        routine(steps, &inputs, &outputs, &grads)?
    };
    let own = found.own.as_ref().unwrap_or(&found.given);
    let mut made = vec![
        Some(found.given.clone()),
        Some(product(own, &before(steps, outputs.h, inputs.h, inputs.lengths)?)?),
        Some(found.h),
    ];
    if steps.unit.has_cell() {
        made.push(found.c);
    }
    if steps.bias {
        made.push(Some(reduce(Reduction::Sum, own, Some(&[0, 1]), false)?));
    }
    if steps.lengths {
        made.push(None);
    }
    if let (Some(projected), Some(cells), Some(saved)) = (&found.projected, outputs.cells, outputs.saved) {
        let hidden = cells.shape()[2];
        let unprojected = mul(&slice_axis(saved, 2, 3 * hidden, hidden)?, &tanh(cells)?)?;
        made.push(Some(product(projected, &unprojected)?));
    }
    Ok(made.into_iter().zip(cx.needs).map(|(grad, &needed)| grad.filter(|_| needed).map(Cotangent::Dense)).collect())
}

/// aᵀ · b, summed over all steps and rows.
fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let flat = |x: &Tensor| {
        let [steps, batch, width] = x.shape()[..] else { unreachable!("a sequence of rows") };
        reshape_to(x, &Shape::from_sound([steps * batch, width]))
    };
    matmul(&matrix_transpose(&flat(a)?)?, &flat(b)?)
}

/// What each step of each row found as its state; anything where a row has no step.
pub(super) fn before(steps: &Steps, all: &Tensor, first: &Tensor, lengths: Option<&Tensor>) -> Result<Tensor> {
    let (count, first) = (all.shape()[0], expand_dims(first, 0)?);
    if !steps.reverse {
        return concat(&[first, slice_axis(all, 0, 0, count - 1)?], 0);
    }
    let shifted = concat(&[slice_axis(all, 0, 1, count - 1)?, first.clone()], 0)?;
    let Some(lengths) = lengths else { return Ok(shifted) };
    // A row begins with the first state wherever it ends.
    let next = arange(Scalar::Int(1), Scalar::Int(count as i128 + 1), Scalar::Int(1), DType::I64, all.device())?;
    let next = Expr::from(&reshape_to(&next, &Shape::from_sound([count, 1, 1]))?);
    let ends = Expr::from(&expand_dims(&expand_dims(lengths, 0)?, 2)?);
    let first = broadcast_to(&first, all.shape())?;
    next.with(Code::Less, ends).choose(Expr::from(&shifted), Expr::from(&first)).done()
}

/// The gradient by the routine.
fn routine(
    steps: &Steps,
    inputs: &Inputs<'_, Tensor>,
    outputs: &Outputs<'_, Tensor>,
    grads: &Outputs<'_, Option<Tensor>>,
) -> Result<Found> {
    let given = [Some(grads.h), Some(grads.last_h), grads.last_c].map(|grad| grad.and_then(Option::as_ref));
    let op = StepsGradient { steps: *steps, grads: given.map(|grad| grad.is_some()) };
    let mut list = vec![inputs.weight, outputs.cells.unwrap_or(outputs.h), inputs.c.unwrap_or(inputs.h)];
    list.extend([outputs.saved, inputs.lengths, inputs.projection].into_iter().chain(given).flatten());
    let made = apply_multi(op, &list)?;
    let made = op.results(&made);
    let owned = |tensor: Option<&Tensor>| tensor.cloned();
    Ok(Found {
        given: made.given.clone(),
        own: owned(made.own),
        h: made.h.clone(),
        c: owned(made.c),
        projected: owned(made.projected),
    })
}

/// The gradient as one routine, and which cotangents there are: of outputs, of the last h and of the last cell.
#[derive(Clone, Copy, Debug)]
struct StepsGradient {
    steps: Steps,
    grads: [bool; 3],
}

/// Results by name.
struct Results<'a, T> {
    given: &'a T,
    h: &'a T,
    own: Option<&'a T>,
    c: Option<&'a T>,
    projected: Option<&'a T>,
}

impl StepsGradient {
    fn results<'a, T>(&self, list: &'a [T]) -> Results<'a, T> {
        let mut rest = list[2..].iter();
        Results {
            given: &list[0],
            h: &list[1],
            own: optional(self.steps.unit.is_separate(), &mut rest),
            c: optional(self.steps.unit.has_cell(), &mut rest),
            projected: optional(self.steps.projection, &mut rest),
        }
    }

    /// # Safety
    /// The arguments hold elements of `E`.
    unsafe fn run<E: Element>(&self, host: &HostArguments<'_>) -> Result<()> {
        let unit = self.steps.unit;
        let results = 2 + [unit.is_separate(), unit.has_cell(), self.steps.projection].iter().filter(|&&is| is).count();
        let (inputs, results) = host.arguments.split_at(host.arguments.len() - results);
        let [weight, memory, first, rest @ ..] = inputs else { unreachable!("a weight and a memory") };
        let (mut rest, results) = (rest.iter(), self.results(results));
        let saved = optional(unit.saved() > 0, &mut rest);
        let lengths = optional(self.steps.lengths, &mut rest);
        let projection = optional(self.steps.projection, &mut rest);
        let [grads, last_h, last_c] = self.grads.map(|is_there| optional(is_there, &mut rest).map(rows));
        let backward = Backward::<E> {
            sequence: sequence(&self.steps, &memory.layout.shape, &weight.layout.shape, lengths),
            weight: matrix(weight),
            projection: projection.map(matrix),
            saved: saved.map(rows),
            memory: [rows(memory), rows(first)],
            grads,
            last: [last_h, last_c],
            given: target(results.given),
            own: results.own.map(target),
            state: [Some(target(results.h)), results.c.map(target)],
            projected: results.projected.map(target),
        };
        // SAFETY: the arguments hold what their layouts say; results are contiguous and nobody else's.
        unsafe { backward.run(host.parallel) }
    }
}

impl Op for StepsGradient {
    fn name(&self) -> &'static str {
        name(self.steps.unit)
    }
    fn key(&self, key: &mut Key) {
        self.steps.numbers(key);
        key.list(&self.grads, u64::from);
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        let (weight, memory, dtype) = (&inputs[0].shape, &inputs[1].shape, inputs[0].dtype);
        let (steps, batch, width, state) = (memory[0], memory[1], weight[0], weight[1]);
        let given = Meta::new(Shape::new(&[steps, batch, width])?, dtype);
        let mut made: SmallVec<[Meta; 1]> = smallvec![given.clone(), Meta::new(Shape::new(&[batch, state])?, dtype)];
        if self.steps.unit.is_separate() {
            made.push(given);
        }
        if self.steps.unit.has_cell() {
            made.push(inputs[2].clone());
        }
        if self.steps.projection {
            made.push(Meta::new(Shape::new(&[steps, batch, state])?, dtype));
        }
        Ok(made)
    }
    fn vjp(&self, _cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let name = name(self.steps.unit);
        Err(Error::internal(format!("{name}: the routine was recorded for another gradient. Please report this.")))
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(*self))
    }
}

fn name(unit: Unit) -> &'static str {
    match unit {
        Unit::RnnTanh | Unit::RnnRelu => "rnn_gradient",
        Unit::Lstm => "lstm_gradient",
        Unit::Gru => "gru_gradient",
    }
}

impl Structured for StepsGradient {
    fn name(&self) -> &'static str {
        name(self.steps.unit)
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        let (weight, memory) = (&arguments[0].layout.shape, &arguments[1].layout.shape);
        let flops = products(self.steps.unit, [memory[0], memory[1]], weight, self.steps.projection);
        Cost { flops, ..Cost::moving(arguments) }
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

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        if self.steps.lengths || self.steps.projection {
            return Vec::new();
        }
        let unit = self.steps.unit;
        let numbers: Vec<usize> = (0..arguments.len()).collect();
        let results = 2 + usize::from(unit.is_separate()) + usize::from(unit.has_cell());
        let (inputs, results) = numbers.split_at(numbers.len() - results);
        let [weight, memory, first, rest @ ..] = inputs else { unreachable!("a weight and a memory") };
        let (mut rest, results) = (rest.iter(), self.results(results));
        let of = shaders::Backward {
            weight,
            memory,
            first,
            saved: optional(unit.saved() > 0, &mut rest),
            grads: self.grads.map(|is_there| optional(is_there, &mut rest)),
            given: results.given,
            own: results.own,
            h: results.h,
            c: results.c,
        };
        shaders::backward(&self.steps, &of, arguments, caps).into_iter().collect()
    }
}
