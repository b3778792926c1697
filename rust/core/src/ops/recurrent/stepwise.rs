//! The gradient of a recurrent unit in ordinary operations, step by step, which can be differentiated again.
//! Depends on `sequence` and on the formulas of `kit::recurrent`. Invariant: cotangents of everything that a node gives are counted.

use super::super::create::zeros_like;
use super::super::expr::{Expr, Term};
use super::super::matmul::matmul;
use super::super::movement::{concat, expand_dims, split, stack, unstack};
use super::gradient::{Found, before};
use super::sequence::{Inputs, Outputs, Steps};
use crate::code::Code;
use crate::error::Result;
use crate::graph::Tensor;
use crate::kit::recurrent::{Cell, Number, Step};

impl Number for Expr {
    fn plus(&self, other: &Self) -> Self {
        self + other
    }
    fn minus(&self, other: &Self) -> Self {
        self - other
    }
    fn times(&self, other: &Self) -> Self {
        self * other
    }
    fn rest(&self) -> Self {
        1.0 - self
    }
    fn squashed(&self) -> Self {
        self.apply(Code::Tanh)
    }
    fn where_positive(&self, by: &Self) -> Self {
        by.with(Code::LessEqual, 0.0).choose(0.0, self)
    }
}

/// Goes back through all steps.
pub(super) fn stepwise<C: Cell<G, S>, const G: usize, const S: usize>(
    steps: &Steps,
    inputs: &Inputs<'_, Tensor>,
    outputs: &Outputs<'_, Tensor>,
    grads: &Outputs<'_, Option<Tensor>>,
) -> Result<Found> {
    let (memory, first) = (outputs.cells.unwrap_or(outputs.h), inputs.c.unwrap_or(inputs.h));
    let befores = unstack(&before(steps, memory, first, inputs.lengths)?, 0)?;
    let memories = unstack(memory, 0)?;
    let saved = rows(outputs.saved)?;
    let of_saved = rows(grads.saved.and_then(Option::as_ref))?;
    let of_h = rows(grads.h.as_ref())?;
    let of_cells = rows(grads.cells.and_then(Option::as_ref))?;
    let last = |grad: Option<&Option<Tensor>>, like: &Tensor| match grad.and_then(Option::as_ref) {
        Some(grad) => Ok(grad.clone()),
        None => zeros_like(like),
    };
    let mut h = Expr::from(last(Some(grads.last_h), inputs.h));
    let mut carried = Expr::from(last(grads.last_c, first));
    let ends = inputs.lengths.map(|lengths| Expr::from(expand_dims(lengths, 1)));
    let count = memories.len();
    let (mut givens, mut owns, mut totals) = (vec![None; count], vec![None; count], vec![None; count]);
    for n in (0..count).rev() {
        let step = if steps.reverse { count - 1 - n } else { n };
        let has = ends.as_ref().map(|ends| ends.with(Code::Greater, step as i64));
        let total = with(&h, &of_h, step);
        let own = match inputs.projection {
            Some(projection) => total.then(|total| matmul(total, projection)),
            None => total.clone(),
        };
        let Some(saved) = blocks(&saved, step)? else { unreachable!("as many blocks as the unit saves") };
        let back = C::backward(Step {
            saved,
            of_saved: blocks(&of_saved, step)?,
            before: Expr::from(&befores[step]),
            after: Expr::from(&memories[step]),
            h: own,
            memory: with(&carried, &of_cells, step),
        });
        let mut gates = back.given.into_iter().map(Expr::done).collect::<Result<Vec<_>>>()?;
        let given = kept(&has, &Expr::from(concat(&gates, 1)), 0.0.into()).done()?;
        let own = match (back.own, gates.last_mut()) {
            (Some(own), Some(last)) => {
                *last = own.done()?;
                kept(&has, &Expr::from(concat(&gates, 1)), 0.0.into()).done()?
            }
            _ => given.clone(),
        };
        totals[step] = Some(kept(&has, &total, 0.0.into()).done()?);
        h = kept(&has, &Expr::from(matmul(&own, inputs.weight)), h.into());
        carried = kept(&has, &back.memory, carried.into());
        (givens[step], owns[step]) = (Some(given), Some(own));
    }
    let all = |list: Vec<Option<Tensor>>| stack(&list.into_iter().flatten().collect::<Vec<_>>(), 0);
    Ok(Found {
        given: all(givens)?,
        own: if steps.unit.is_separate() { Some(all(owns)?) } else { None },
        h: if steps.unit.reads_h() { (h + &carried).done()? } else { h.done()? },
        c: if steps.unit.has_cell() { Some(carried.done()?) } else { None },
        projected: if steps.projection { Some(all(totals)?) } else { None },
    })
}

/// The steps of a sequence; none without one.
fn rows(sequence: Option<&Tensor>) -> Result<Vec<Tensor>> {
    sequence.map_or(Ok(Vec::new()), |sequence| unstack(sequence, 0))
}

/// The blocks of a step of what was saved; `None` where they are not there.
fn blocks<const S: usize>(sequence: &[Tensor], step: usize) -> Result<Option<[Expr; S]>> {
    let parts = sequence.get(step).map_or(Ok(Vec::new()), |rows| split(rows, S, 1))?;
    Ok(parts.iter().map(Expr::from).collect::<Vec<_>>().try_into().ok())
}

/// A gradient, with that of a step of a sequence if there is one.
fn with(grad: &Expr, sequence: &[Tensor], step: usize) -> Expr {
    sequence.get(step).map_or_else(|| grad.clone(), |own| grad + Expr::from(own))
}

/// What a step made, where rows have it.
fn kept(has: &Option<Expr>, made: &Expr, otherwise: Term) -> Expr {
    has.as_ref().map_or_else(|| made.clone(), |has| has.choose(made, otherwise))
}
