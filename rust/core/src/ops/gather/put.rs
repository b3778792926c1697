//! Tensors with some entries replaced. Depends on `scatter`, `movement` and `accumulate`.
//! Invariant: the input is never written; of entries named twice the last value stays and alone gets a gradient.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::super::accumulate::accumulate;
use super::super::axes::normalize_axis;
use super::super::create::{full, full_like, ramp, zeros_like};
use super::super::custom::with_vjp;
use super::super::expr::Expr;
use super::super::movement::{SliceAxis, broadcast_to, reshape_to};
use super::super::pointwise::{astype, where_};
use super::super::shader::{Place, Put, boxes, entries, way};
use super::super::walk::{self, Chunks, Walk};
use super::check::checked;
use super::scatter::{IndexError, Part, scatter};
use super::take::take_checked;
use crate::backend::HostArguments;
use crate::code::Code;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::plan::{Argument, Candidate, Caps, Structured};
use crate::shape::Shape;

/// `x` with the elements of a slice replaced by `value`, which broadcasts to the slice and takes the dtype of `x`.
///
/// # Errors
/// When a window leaves its axis, or `value` does not broadcast.
pub fn put_slice(x: &Tensor, windows: &[SliceAxis], value: &Tensor) -> Result<Tensor> {
    // The slice itself checks the windows and is the shape to fill.
    let target = super::super::movement::slice(x, windows)?;
    let value = fill(value, target.shape(), x.dtype())?;
    if target.shape() == x.shape() && windows.iter().all(|window| window.step == 1) {
        // What was there does not matter any more, which makes its gradient zero, not absent.
        let rule = |cx: &Vjp<'_>| {
            let zeros = cx.needs[0].then(|| zeros_like(&cx.inputs[0])).transpose()?;
            Ok(smallvec![zeros.map(Cotangent::Dense), Some(Cotangent::Dense(cx.grad().clone()))])
        };
        return if x.requires_grad() { with_vjp(&value, &[x, &value], Arc::new(rule), "put_slice") } else { Ok(value) };
    }
    let place = |grad: Tensor| {
        let starts = windows.iter().map(|window| if window.size == 0 { 0 } else { window.start }).collect();
        let steps = windows.iter().map(|window| window.step).collect();
        accumulate(x.shape(), grad.dtype(), x.device(), vec![Cotangent::Slice { grad, starts, steps }])
    };
    let inside = place(full(target.shape(), Scalar::Bool(true), DType::Bool, x.device())?)?;
    where_(&inside, &place(value)?.into(), &x.into())
}

/// `value` with the dtype and shape that it replaces; leading axes of size 1 too many are dropped, as NumPy does.
pub(super) fn fill(value: &Tensor, shape: &Shape, dtype: DType) -> Result<Tensor> {
    let extra = value.rank().saturating_sub(shape.rank());
    let trimmed = if value.shape()[..extra].iter().all(|&size| size == 1) {
        reshape_to(value, &Shape::from_sound(value.shape()[extra..].iter().copied()))?
    } else {
        value.clone()
    };
    let fits = trimmed.rank() <= shape.rank()
        && trimmed.shape().iter().rev().zip(shape.iter().rev()).all(|(&from, &to)| from == to || from == 1);
    if !fits {
        return Err(Error::shape(format!(
            "setitem: the value is {} and does not broadcast to the {shape} elements that it replaces. Reshape it.",
            value.shape()
        )));
    }
    broadcast_to(&astype(&trimmed, dtype)?, shape)
}

/// `x` with its entries `indices` along `axis` replaced by `value`, which broadcasts to them.
///
/// # Errors
/// For indices that are no integers or out of range, and a `value` that does not broadcast.
pub fn put_take(x: &Tensor, indices: &Tensor, axis: isize, value: &Tensor) -> Result<Tensor> {
    let axis = normalize_axis("put_take", axis, x.rank())?;
    let indices = checked("put_take", indices, x.shape()[axis], true, None)?;
    put_checked(x, &indices, axis, value)
}

/// As `put_take`, for indices in range.
pub(super) fn put_checked(x: &Tensor, indices: &Tensor, axis: usize, value: &Tensor) -> Result<Tensor> {
    let sizes = x.shape()[..axis].iter().chain(&indices.shape()[..]).chain(&x.shape()[axis + 1..]).copied();
    let value = fill(value, &Shape::from_sound(sizes), x.dtype())?;
    apply(PutTake { axis }, &[x, indices, &value])
}

#[derive(Clone, Debug)]
struct PutTake {
    axis: usize,
}

impl PutTake {
    /// Whether each index is the last of its kind, of the shape of `indices`.
    fn last(&self, indices: &Tensor, size: usize) -> Result<Tensor> {
        let device = indices.device();
        let order = reshape_to(&ramp(indices.shape().elements(), device)?, indices.shape())?;
        let none = full(&[size], Scalar::Int(-1), DType::I64, device)?;
        let winner = take_checked(&put_checked(&none, indices, 0, &order)?, indices, 0)?;
        Expr::from(&winner).with(Code::Equal, Expr::from(&order)).done()
    }
}

impl Op for PutTake {
    fn name(&self) -> &'static str {
        "put_take"
    }
    fn key(&self, key: &mut Key) {
        key.number(self.axis as u64);
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![inputs[0].clone()])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let (grad, indices) = (cx.grad(), &cx.inputs[1]);
        let kept = || {
            let zeros = zeros_like(&cx.inputs[2])?;
            apply(self.clone(), &[grad, indices, &zeros]).map(Cotangent::Dense)
        };
        let taken = || {
            let taken = take_checked(grad, indices, self.axis)?;
            let last = self.last(indices, cx.inputs[0].shape()[self.axis])?;
            let after = cx.inputs[0].rank() - self.axis - 1;
            let sizes = last.shape().iter().copied().chain(std::iter::repeat_n(1, after));
            let last = broadcast_to(&reshape_to(&last, &Shape::from_sound(sizes))?, taken.shape())?;
            where_(&last, &(&taken).into(), &full_like(&taken, Scalar::Bool(false))?.into()).map(Cotangent::Dense)
        };
        Ok(smallvec![cx.needs[0].then(kept).transpose()?, None, cx.needs[2].then(taken).transpose()?])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

impl Structured for PutTake {
    fn name(&self) -> &'static str {
        "put_take"
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        let [x, indices, value, result] = host.arguments else { unreachable!("put_take has four arguments") };
        let size = x.dtype.size();
        let bad = IndexError::default();
        let mut chunks = Chunks::along(&x.layout.shape, size, |axis| axis != self.axis);
        if chunks.count <= 1 {
            chunks = Chunks::of(&x.layout.shape, size);
        }
        (host.parallel)(chunks.count, &|chunk| {
            let to = chunks.at(chunk, result.data, &result.layout.strides, size);
            let copied = Walk::new(&chunks.shape(chunk), [&result.layout.strides, &x.layout.strides]);
            // SAFETY: chunks are disjoint boxes of the result, and entries are put inside the chunk only.
            unsafe {
                walk::copy(size, &copied, to, chunks.at(chunk, x.data, &x.layout.strides, size));
                scatter(Part::of(&chunks, chunk), result, value, indices, self.axis, &bad, |walk, to, from| {
                    walk::copy(size, walk, to, from);
                });
            }
        });
        bad.result("put_take")
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        let (x, result) = (&arguments[0].layout, &arguments[3].layout);
        let to = Place::whole(3, &result.strides);
        let from = Place::whole(0, &x.strides);
        let copied = boxes(arguments, caps, &x.shape, Put::Copy, to, Some(from));
        way("segments", [copied, entries(arguments, caps, self.axis, Put::Copy, [3, 2, 1])])
    }
}
