//! The gradient of an LSTM: one routine, or where it is to be differentiated itself, ordinary operations step by step.
//! Depends on `lstm` and `kit::lstm`. Invariant: both follow the same formulas.
//!
//! With τ = tanh(c), from the last step to the first, δh and δc gathering what comes from the step after:
//! δc += δh · o · (1 − τ²), and before their functions δi = δc · g · i (1 − i), δf = δc · c₋ · f (1 − f), δg = δc · i · (1 − g²),
//! δo = δh · τ · o (1 − o); to the step before go δh = [δi δf δg δo] · weight and δc · f.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::super::create::zeros_like;
use super::super::expr::Expr;
use super::super::matmul::matmul;
use super::super::movement::{concat, expand_dims, matrix_transpose, reshape_to, slice_axis, split, stack, unstack};
use super::super::pointwise::{add, tanh};
use super::lstm::{cost, matrix, rows, sequence, target};
use crate::backend::HostArguments;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply_multi, grad_enabled};
use crate::kit::lstm::{Backward, Element};
use crate::plan::{Argument, Candidate, Caps, Cost, Structured};
use crate::shape::Shape;

/// Gradients of an LSTM with respect to what it was given, the weight, and the first state and cell.
pub(super) fn gradients(cx: &Vjp<'_>, reverse: bool) -> Result<[Tensor; 4]> {
    let ([_, weight, h, c], [outputs, cells, gates]) = (cx.inputs, cx.outputs) else {
        unreachable!("an LSTM has four inputs and three outputs")
    };
    let grad = |number: usize| match &cx.grads[number] {
        Some(grad) => Ok(grad.clone()),
        None => zeros_like(&cx.outputs[number]),
    };
    let grads = [grad(0)?, grad(1)?];
    let [given, state, cell] = if grad_enabled() || cx.grads[2].is_some() {
        stepwise(weight, gates, cells, c, &grads, cx.grads[2].as_ref(), reverse)?
    } else {
        let made = apply_multi(StepsGradient { reverse }, &[weight, gates, cells, c, &grads[0], &grads[1]])?;
        let Ok(made) = made.try_into() else { unreachable!("three gradients") };
        made
    };
    Ok([given.clone(), weight_gradient(&given, outputs, h, reverse)?, state, cell])
}

/// Σ over steps and rows of what the gates receive times the state before: one product.
fn weight_gradient(given: &Tensor, outputs: &Tensor, h: &Tensor, reverse: bool) -> Result<Tensor> {
    let [steps, batch, width] = given.shape()[..] else { unreachable!("a sequence of rows") };
    let first = expand_dims(h, 0)?;
    let before = if reverse {
        concat(&[slice_axis(outputs, 0, 1, steps - 1)?, first], 0)?
    } else {
        concat(&[first, slice_axis(outputs, 0, 0, steps - 1)?], 0)?
    };
    let flat = |x: &Tensor, size: usize| reshape_to(x, &Shape::from_sound([steps * batch, size]));
    matmul(&matrix_transpose(&flat(given, width)?)?, &flat(&before, width / 4)?)
}

/// The gradient in ordinary operations, with a cotangent of the gates besides.
fn stepwise(
    weight: &Tensor,
    gates: &Tensor,
    cells: &Tensor,
    c: &Tensor,
    grads: &[Tensor; 2],
    of_gates: Option<&Tensor>,
    reverse: bool,
) -> Result<[Tensor; 3]> {
    let steps = gates.shape()[0];
    let (gates, cells) = (unstack(gates, 0)?, unstack(cells, 0)?);
    let (grad_h, grad_c) = (unstack(&grads[0], 0)?, unstack(&grads[1], 0)?);
    let of_gates = of_gates.map(|grad| unstack(grad, 0)).transpose()?;
    let index = |n: usize| if reverse { steps - 1 - n } else { n };
    let mut made: Vec<Option<Tensor>> = vec![None; steps];
    let mut after: Option<(Tensor, Tensor)> = None;
    for n in (0..steps).rev() {
        let step = index(n);
        let parts: Vec<Expr> = split(&gates[step], 4, 1)?.iter().map(Expr::from).collect();
        let [input, forget, candidate, output] = &parts[..] else { unreachable!("four gates") };
        let before = Expr::from(if n == 0 { c } else { &cells[index(n - 1)] });
        let (mut h, mut cell) = (grad_h[step].clone(), grad_c[step].clone());
        if let Some((next_h, next_c)) = &after {
            (h, cell) = (add(&h, next_h)?, add(&cell, next_c)?);
        }
        let (h, squashed) = (Expr::from(&h), Expr::from(&tanh(&cells[step])?));
        let cell = Expr::from(&cell) + &h * output * (1.0 - squashed.squared());
        let mut to = [&cell * candidate, &cell * &before, &cell * input, &h * &squashed];
        if let Some(of_gates) = &of_gates {
            for (to, own) in to.iter_mut().zip(split(&of_gates[step], 4, 1)?) {
                *to = &*to + Expr::from(&own);
            }
        }
        let [i, f, g, o] = to;
        let given = concat(
            &[
                (i * input * (1.0 - input)).done()?,
                (f * forget * (1.0 - forget)).done()?,
                (g * (1.0 - candidate.squared())).done()?,
                (o * output * (1.0 - output)).done()?,
            ],
            1,
        )?;
        after = Some((matmul(&given, weight)?, (&cell * forget).done()?));
        made[step] = Some(given);
    }
    let made: Vec<Tensor> = made.into_iter().flatten().collect();
    match after {
        Some((h, cell)) => Ok([stack(&made, 0)?, h, cell]),
        None => Err(Error::internal("lstm: a sequence without steps has a gradient. Please report this.")),
    }
}

/// The gradient as one routine.
#[derive(Clone, Debug)]
struct StepsGradient {
    reverse: bool,
}

impl Op for StepsGradient {
    fn name(&self) -> &'static str {
        "lstm_gradient"
    }
    fn key(&self, key: &mut Key) {
        key.number(self.reverse.into());
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![inputs[1].clone(), inputs[3].clone(), inputs[3].clone()])
    }
    fn vjp(&self, _cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        Err(Error::internal("lstm: the gradient's routine was recorded for another gradient. Please report this."))
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

impl StepsGradient {
    /// # Safety
    /// The arguments hold elements of `E`.
    unsafe fn run<E: Element>(&self, host: &HostArguments<'_>) -> Result<()> {
        let [weight, gates, cells, c, grad_h, grad_c, given, state, cell] = host.arguments else {
            unreachable!("six inputs, three outputs")
        };
        let backward = Backward::<E> {
            sequence: sequence(&gates.layout.shape, self.reverse),
            weight: matrix(weight),
            gates: rows(gates),
            c: rows(cells),
            start: rows(c),
            grads: [rows(grad_h), rows(grad_c)],
            given: target(given),
            state: [target(state), target(cell)],
        };
        // SAFETY: the arguments hold what their layouts say; results are contiguous and nobody else's.
        unsafe { backward.run(host.parallel) }
    }
}

impl Structured for StepsGradient {
    fn name(&self) -> &'static str {
        "lstm_gradient"
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        cost(&arguments[1].layout.shape, arguments)
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
