//! Gathering a tensor's partial gradients: many slices and takes of one tensor become one buffer, not one each.
//! Depends on `movement`, `gather`, `matmul` and `walk`. Invariant: pieces are added in their order, whatever the number of threads.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::create::full;
use super::gather::{IndexError, Part, add_slice, scatter, take_checked};
use super::matmul::{MANY, sum_of_products};
use super::movement::{SliceAxis, flip, pad_zeros, slice_axes};
use super::pointwise::add;
use super::shader::{Place, Put, boxes, entries, way};
use super::walk::{self, Chunks, Walk};
use crate::backend::{Device, HostArguments};
use crate::dtype::{DType, Scalar};
use crate::error::Result;
use crate::graph::{Cotangent, InScope, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::group::Linear;
use crate::plan::{Argument, Candidate, Caps, Cost, Structured};
use crate::shape::Shape;

/// The sum of gradient pieces of a tensor of that shape, dtype and device.
///
/// # Errors
/// None of its own.
pub fn accumulate(shape: &Shape, dtype: DType, device: Device, pieces: Vec<Cotangent>) -> Result<Tensor> {
    let mut dense: Option<Tensor> = None;
    let mut partial = Vec::new();
    let mut joined = Vec::new();
    let (mut lies_turned, mut scope) = (false, None);
    let is_joined = pieces.iter().filter(|piece| matches!(piece, Cotangent::Product { .. })).count() >= MANY;
    for piece in pieces {
        let grad = match piece {
            Cotangent::Product { lhs, rhs, product, turned } if is_joined => {
                lies_turned |= turned;
                joined.push((lhs, rhs));
                // The module that used the tensor last: the joined product is computed for all.
                scope.get_or_insert(product.node.scope);
                continue;
            }
            Cotangent::Dense(grad) | Cotangent::Product { product: grad, .. } => grad,
            other => {
                partial.push(other);
                continue;
            }
        };
        dense = Some(match dense {
            Some(sum) => add(&sum, &grad)?,
            None => grad,
        });
    }
    if let Some(scope) = scope {
        let _scope = InScope::enter(scope);
        let sum = sum_of_products(&joined, lies_turned)?;
        dense = Some(dense.map_or(Ok(sum.clone()), |others| add(&others, &sum))?);
    }
    match (&partial[..], dense) {
        ([], Some(sum)) => Ok(sum),
        ([], None) => full(shape, Scalar::Bool(false), dtype, device),
        ([Cotangent::Slice { grad, starts, steps }], dense) if steps.iter().all(|step| step.abs() == 1) => {
            let padded = padded(shape, grad, starts, steps)?;
            dense.map_or(Ok(padded.clone()), |sum| add(&sum, &padded))
        }
        (_, dense) => gathered(shape, dtype, dense, partial),
    }
}

/// A slice's gradient with zeros around it: a view.
fn padded(shape: &Shape, grad: &Tensor, starts: &[isize], steps: &[isize]) -> Result<Tensor> {
    let backwards: SmallVec<[isize; 4]> = (0..shape.rank() as isize).filter(|&axis| steps[axis as usize] < 0).collect();
    let grad = if backwards.is_empty() { grad.clone() } else { flip(grad, Some(&backwards))? };
    let before: SmallVec<[usize; 4]> = (0..shape.rank())
        .map(|axis| match (grad.shape()[axis], steps[axis]) {
            (0, _) => 0,
            (size, ..0) => starts[axis] as usize + 1 - size,
            _ => starts[axis] as usize,
        })
        .collect();
    let after: SmallVec<[usize; 4]> =
        (0..shape.rank()).map(|axis| shape[axis] - before[axis] - grad.shape()[axis]).collect();
    pad_zeros(&grad, &before, &after)
}

fn gathered(shape: &Shape, dtype: DType, dense: Option<Tensor>, partial: Vec<Cotangent>) -> Result<Tensor> {
    let (mut pieces, mut inputs) = (Vec::new(), Vec::new());
    if let Some(sum) = dense {
        pieces.push(Piece::Dense);
        inputs.push(sum);
    }
    for piece in partial {
        match piece {
            Cotangent::Dense(grad) | Cotangent::Product { product: grad, .. } => {
                pieces.push(Piece::Dense);
                inputs.push(grad);
            }
            Cotangent::Slice { grad, starts, steps } => {
                pieces.push(Piece::Slice { starts, steps });
                inputs.push(grad);
            }
            Cotangent::Take { grad, indices, axis } => {
                pieces.push(Piece::Take { axis });
                inputs.extend([grad, indices]);
            }
        }
    }
    apply(Accumulate { shape: shape.clone(), dtype, pieces }, &inputs.iter().collect::<Vec<_>>())
}

/// Where a piece belongs. Its inputs: the gradient, and for `Take` the indices.
#[derive(Clone, Debug)]
enum Piece {
    Dense,
    /// The starts are slots of the op.
    Slice {
        starts: SmallVec<[isize; 4]>,
        steps: SmallVec<[isize; 4]>,
    },
    Take {
        axis: usize,
    },
}

impl Piece {
    fn inputs(&self) -> usize {
        if matches!(self, Piece::Take { .. }) { 2 } else { 1 }
    }
}

#[derive(Clone, Debug)]
struct Accumulate {
    shape: Shape,
    dtype: DType,
    pieces: Vec<Piece>,
}

impl Accumulate {
    /// Every piece with the first of its inputs.
    fn placed(&self) -> impl Iterator<Item = (&Piece, usize)> {
        self.pieces.iter().scan(0, |next, piece| {
            let at = *next;
            *next += piece.inputs();
            Some((piece, at))
        })
    }

    /// The first slot of every piece, counted from the op's.
    fn first_slots(&self) -> impl Iterator<Item = usize> {
        self.pieces.iter().scan(0, |next, piece| {
            let at = *next;
            *next += if let Piece::Slice { starts, .. } = piece { starts.len() } else { 0 };
            Some(at)
        })
    }
}

impl Op for Accumulate {
    fn name(&self) -> &'static str {
        "accumulate"
    }
    fn key(&self, key: &mut Key) {
        key.list(&self.shape, |size| size as u64);
        for piece in &self.pieces {
            match piece {
                Piece::Dense => key.number(0),
                Piece::Slice { steps, .. } => {
                    key.number(1);
                    key.list(steps, |step| step as u64);
                }
                Piece::Take { axis } => {
                    key.number(2);
                    key.number(*axis as u64);
                }
            }
        }
    }
    fn slots(&self, slots: &mut Vec<u64>) {
        for piece in &self.pieces {
            if let Piece::Slice { starts, .. } = piece {
                slots.extend(starts.iter().map(|&start| start as u64));
            }
        }
    }
    fn infer(&self, _inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![Meta::new(self.shape.clone(), self.dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let mut gradients: SmallVec<[Option<Cotangent>; 2]> = smallvec![None; cx.inputs.len()];
        for (piece, at) in self.placed() {
            if !cx.needs[at] {
                continue;
            }
            gradients[at] = Some(Cotangent::Dense(match piece {
                Piece::Dense => cx.grad().clone(),
                Piece::Slice { starts, steps } => {
                    let sizes = cx.inputs[at].shape();
                    let windows: SmallVec<[SliceAxis; 4]> = (0..sizes.rank())
                        .map(|axis| SliceAxis { start: starts[axis], step: steps[axis], size: sizes[axis] })
                        .collect();
                    slice_axes(cx.grad(), &windows)?
                }
                Piece::Take { axis } => take_checked(cx.grad(), &cx.inputs[at + 1], *axis)?,
            }));
        }
        Ok(gradients)
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

impl Structured for Accumulate {
    fn name(&self) -> &'static str {
        "accumulate"
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        // Pieces are gradients, so floats; the other arguments are indices.
        let pieces = arguments.iter().filter(|argument| !argument.write && argument.dtype.is_float());
        Cost { flops: pieces.map(|piece| piece.layout.shape.elements() as u64).sum(), ..Cost::moving(arguments) }
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        let (result, inputs) = host.arguments.split_last().expect("accumulate has a result");
        let size = result.dtype.size();
        let bad = IndexError::default();
        // Parts along an axis that no piece indexes need not look at all indices.
        let indexed = |axis: usize| self.pieces.iter().any(|p| matches!(p, Piece::Take { axis: a } if *a == axis));
        let work = size * (1 + self.pieces.len());
        let mut chunks = Chunks::along(&self.shape, work, |axis| !indexed(axis));
        if chunks.count <= 1 {
            chunks = Chunks::of(&self.shape, work);
        }
        (host.parallel)(chunks.count, &|chunk| {
            let sizes = chunks.shape(chunk);
            let part = Part::of(&chunks, chunk);
            let to = chunks.at(chunk, result.data, &result.layout.strides, size);
            // SAFETY: parts are disjoint boxes of the result, and every piece adds inside its part only.
            unsafe {
                let dense = matches!(self.pieces.first(), Some(Piece::Dense));
                if dense {
                    let walk = Walk::new(&sizes, [&result.layout.strides, &inputs[0].layout.strides]);
                    walk::copy(size, &walk, to, chunks.at(chunk, inputs[0].data, &inputs[0].layout.strides, size));
                } else {
                    walk::zero(size, &Walk::new(&sizes, [&result.layout.strides, &result.layout.strides]), to);
                }
                for ((piece, at), slot) in self.placed().zip(self.first_slots()).skip(usize::from(dense)) {
                    match piece {
                        Piece::Dense => {
                            let walk = Walk::new(&sizes, [&result.layout.strides, &inputs[at].layout.strides]);
                            let from = chunks.at(chunk, inputs[at].data, &inputs[at].layout.strides, size);
                            walk::add(self.dtype, &walk, to, from);
                        }
                        Piece::Slice { steps, .. } => {
                            let starts: SmallVec<[isize; 4]> =
                                host.slots[slot..slot + steps.len()].iter().map(|&start| start as isize).collect();
                            add_slice(part, result, &inputs[at], &starts, steps);
                        }
                        Piece::Take { axis } => {
                            let (grad, indices) = (&inputs[at], &inputs[at + 1]);
                            scatter(part, result, grad, indices, *axis, &bad, |walk, to, from| {
                                walk::add(self.dtype, walk, to, from);
                            });
                        }
                    }
                }
            }
        });
        bad.result("take")
    }

    fn gpu(&self, arguments: &[Argument], slots: usize, caps: &Caps) -> Vec<Candidate> {
        let result = arguments.len() - 1;
        let strides = &arguments[result].layout.strides;
        let whole = Place::whole(result, strides);
        let mut launches = Vec::new();
        if !matches!(self.pieces.first(), Some(Piece::Dense)) {
            launches.push(boxes(arguments, caps, &self.shape, Put::Copy, whole.clone(), None));
        }
        for (number, ((piece, argument), slot)) in self.placed().zip(self.first_slots()).enumerate() {
            let grad = &arguments[argument].layout;
            let from = Place::whole(argument, &grad.strides);
            let put = if number == 0 && matches!(piece, Piece::Dense) { Put::Copy } else { Put::Add };
            launches.push(match piece {
                Piece::Dense => boxes(arguments, caps, &self.shape, put, whole.clone(), Some(from)),
                Piece::Slice { steps, .. } => {
                    let starts = (slots + slot..).zip(strides).map(|(slot, &stride)| (slot, stride as i64));
                    let first = Linear { constant: 0, terms: starts.filter(|(_, stride)| *stride != 0).collect() };
                    let steps: SmallVec<[isize; 4]> = steps.iter().zip(strides).map(|(&a, &b)| a * b).collect();
                    let to = Place { argument: result, first, strides: &steps };
                    boxes(arguments, caps, &grad.shape, put, to, Some(from))
                }
                Piece::Take { axis } => entries(arguments, caps, *axis, put, [result, argument, argument + 1]),
            });
        }
        way("pieces", launches)
    }
}
