//! Joining, cutting and repeating tensors. Depends on `view` and `walk`.
//! Invariant: `concat` is the only copy here; all else is views of it.

use smallvec::{SmallVec, smallvec};

use super::super::axes::normalize_axis;
use super::super::pointwise::{astype, common_order, inverse};
use super::super::shader::{Place, Put, boxes, way};
use super::super::walk::{self, Chunks, Walk};
use super::{broadcast_to, expand_dims, permute_axes, reshape_to, same, slice_axis};
use crate::backend::{HostArguments, HostPointer};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::group::Linear;
use crate::plan::{Argument, Candidate, Caps, Structured};
use crate::shape::{Shape, Tuple};

/// Tensors one after another along `axis`, promoted to one dtype.
///
/// # Errors
/// When there is none, or other axes differ in size.
pub fn concat(tensors: &[Tensor], axis: isize) -> Result<Tensor> {
    let Some(first) = tensors.first() else {
        return Err(Error::value("concat: the list of tensors is empty. Give at least one."));
    };
    let axis = normalize_axis("concat", axis, first.rank())?;
    for (position, tensor) in tensors.iter().enumerate() {
        let alike = tensor.rank() == first.rank()
            && (0..first.rank()).all(|other| other == axis || tensor.shape()[other] == first.shape()[other]);
        if !alike {
            return Err(Error::shape(format!(
                "concat: tensor 0 is {} and tensor {position} is {}: they may differ along axis {axis} only.",
                first.shape(),
                tensor.shape()
            )));
        }
    }
    let dtype = tensors.iter().map(Tensor::dtype).fold(first.dtype(), DType::promote);
    let tensors = tensors.iter().map(|tensor| astype(tensor, dtype)).collect::<Result<Vec<_>>>()?;
    if let [only] = &tensors[..] {
        return same(only);
    }
    // Where all lie alike, the result does too.
    if let Some(order) = common_order(&tensors.iter().collect::<Vec<_>>()) {
        let turned = tensors.iter().map(|tensor| permute_axes(tensor, order.clone())).collect::<Result<Vec<_>>>()?;
        let along = order.iter().position(|&other| other == axis).unwrap_or(axis);
        return permute_axes(&joined(&turned, along)?, inverse(&order));
    }
    joined(&tensors, axis)
}

/// Tensors of one dtype that differ along `axis` only.
fn joined(tensors: &[Tensor], axis: usize) -> Result<Tensor> {
    let total = tensors.iter().fold(0usize, |sum, tensor| sum.saturating_add(tensor.shape()[axis]));
    let mut sizes: SmallVec<[usize; 4]> = SmallVec::from_slice(tensors[0].shape());
    sizes[axis] = total;
    let op = Concat { axis, shape: Shape::new(&sizes)? };
    apply(op, &tensors.iter().collect::<Vec<_>>())
}

/// Tensors of one shape side by side along a new axis.
///
/// # Errors
/// When there is none, or shapes differ.
pub fn stack(tensors: &[Tensor], axis: isize) -> Result<Tensor> {
    let Some(first) = tensors.first() else {
        return Err(Error::value("stack: the list of tensors is empty. Give at least one."));
    };
    let axis = normalize_axis("stack", axis, first.rank() + 1)? as isize;
    if let Some((position, other)) = tensors.iter().enumerate().find(|(_, tensor)| tensor.shape() != first.shape()) {
        return Err(Error::shape(format!(
            "stack: tensor 0 is {} and tensor {position} is {}. Give tensors of one shape.",
            first.shape(),
            other.shape()
        )));
    }
    concat(&tensors.iter().map(|tensor| expand_dims(tensor, axis)).collect::<Result<Vec<_>>>()?, axis)
}

/// `sections` parts of equal size along `axis`.
///
/// # Errors
/// When the size is not a multiple of `sections`.
pub fn split(x: &Tensor, sections: usize, axis: isize) -> Result<Vec<Tensor>> {
    let at = normalize_axis("split", axis, x.rank())?;
    let size = x.shape()[at];
    if sections == 0 || !size.is_multiple_of(sections) {
        return Err(Error::shape(format!(
            "split: axis {at} of {} has size {size}, which {sections} does not divide. Give the sizes of the parts.",
            x.shape()
        )));
    }
    split_sizes(x, &vec![size / sections; sections], axis)
}

/// Parts of these sizes along `axis`.
///
/// # Errors
/// When they do not add up to the axis.
pub fn split_sizes(x: &Tensor, sizes: &[usize], axis: isize) -> Result<Vec<Tensor>> {
    let axis = normalize_axis("split", axis, x.rank())?;
    let total = sizes.iter().fold(0usize, |sum, &size| sum.saturating_add(size));
    if total != x.shape()[axis] {
        return Err(Error::shape(format!(
            "split: sizes {} add up to {total}, but axis {axis} of {} has size {}. Make them equal.",
            Tuple(sizes),
            x.shape(),
            x.shape()[axis]
        )));
    }
    let mut start = 0;
    sizes
        .iter()
        .map(|&size| {
            start += size;
            slice_axis(x, axis, start - size, size)
        })
        .collect()
}

/// The tensors along `axis`, without it.
///
/// # Errors
/// When there is no such axis.
pub fn unstack(x: &Tensor, axis: isize) -> Result<Vec<Tensor>> {
    let at = normalize_axis("unstack", axis, x.rank())?;
    let rest = Shape::from_sound((0..x.rank()).filter(|&other| other != at).map(|other| x.shape()[other]));
    (0..x.shape()[at]).map(|index| reshape_to(&slice_axis(x, at, index, 1)?, &rest)).collect()
}

/// Every element `count` times in a row along `axis`; without an axis, of the flattened tensor.
///
/// # Errors
/// When there is no such axis.
pub fn repeat(x: &Tensor, count: usize, axis: Option<isize>) -> Result<Tensor> {
    let Some(axis) = axis else {
        return repeat(&reshape_to(x, &Shape::from_sound([x.shape().elements()]))?, count, Some(0));
    };
    let axis = normalize_axis("repeat", axis, x.rank())?;
    let mut sizes: SmallVec<[usize; 4]> = SmallVec::from_slice(x.shape());
    sizes.insert(axis + 1, count);
    let spread = broadcast_to(&expand_dims(x, axis as isize + 1)?, &sizes)?;
    sizes.remove(axis + 1);
    sizes[axis] = sizes[axis].saturating_mul(count);
    reshape_to(&spread, &Shape::new(&sizes)?)
}

/// The whole tensor `counts[axis]` times along each axis; missing leading counts or axes are 1.
///
/// # Errors
/// When the result is too large.
pub fn tile(x: &Tensor, counts: &[usize]) -> Result<Tensor> {
    let rank = x.rank().max(counts.len());
    let size = |axis: usize| (axis + x.rank()).checked_sub(rank).map_or(1, |own| x.shape()[own]);
    let count = |axis: usize| (axis + counts.len()).checked_sub(rank).map_or(1, |own| counts[own]);
    let apart = Shape::from_sound((0..rank).flat_map(|axis| [1, size(axis)]));
    let spread: SmallVec<[usize; 8]> = (0..rank).flat_map(|axis| [count(axis), size(axis)]).collect();
    let merged: SmallVec<[usize; 4]> = (0..rank).map(|axis| size(axis).saturating_mul(count(axis))).collect();
    reshape_to(&broadcast_to(&reshape_to(x, &apart)?, &spread)?, &Shape::new(&merged)?)
}

/// Elements moved by `shift` places along `axis`, those that fall off coming back at the other end; without an axis, of the flattened tensor.
///
/// # Errors
/// When there is no such axis.
pub fn roll(x: &Tensor, shift: isize, axis: Option<isize>) -> Result<Tensor> {
    let Some(axis) = axis else {
        let flat = reshape_to(x, &Shape::from_sound([x.shape().elements()]))?;
        return reshape_to(&roll(&flat, shift, Some(0))?, x.shape());
    };
    let axis = normalize_axis("roll", axis, x.rank())?;
    let size = x.shape()[axis];
    let shift = if size == 0 { 0 } else { shift.rem_euclid(size as isize) as usize };
    if shift == 0 {
        return same(x);
    }
    let (front, back) = (slice_axis(x, axis, 0, size - shift)?, slice_axis(x, axis, size - shift, shift)?);
    concat(&[back, front], axis as isize)
}

/// A copy of the inputs one after another.
#[derive(Clone, Debug)]
struct Concat {
    axis: usize,
    shape: Shape,
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }
    fn key(&self, key: &mut Key) {
        key.number(self.axis as u64);
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![Meta::new(self.shape.clone(), inputs[0].dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let mut start = 0;
        cx.inputs
            .iter()
            .zip(cx.needs)
            .map(|(input, &needed)| {
                let size = input.shape()[self.axis];
                start += size;
                needed.then(|| slice_axis(cx.grad(), self.axis, start - size, size).map(Cotangent::Dense)).transpose()
            })
            .collect()
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(std::sync::Arc::new(self.clone()))
    }
}

impl Structured for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        let (result, inputs) = host.arguments.split_last().expect("a concat has a result");
        let mut start = 0isize;
        for input in inputs {
            let size = input.dtype.size();
            let place =
                HostPointer(result.data.0.wrapping_offset(start * result.layout.strides[self.axis] * size as isize));
            start += input.layout.shape[self.axis] as isize;
            let chunks = Chunks::of(&input.layout.shape, size);
            (host.parallel)(chunks.count, &|chunk| {
                let walk = Walk::new(&chunks.shape(chunk), [&result.layout.strides, &input.layout.strides]);
                // SAFETY: `place` is the corner of this input's part of the result, which is as large as the input;
                // chunks are disjoint boxes of it.
                unsafe {
                    let from = chunks.at(chunk, input.data, &input.layout.strides, size);
                    walk::copy(size, &walk, chunks.at(chunk, place, &result.layout.strides, size), from);
                }
            });
        }
        Ok(())
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        let result = arguments.len() - 1;
        let strides = &arguments[result].layout.strides;
        let mut first = 0;
        let copies = (0..result).map(|argument| {
            let layout = &arguments[argument].layout;
            let to = Place { argument: result, first: Linear::constant(first), strides };
            first += (layout.shape[self.axis] as isize * strides[self.axis]) as i64;
            boxes(arguments, caps, &layout.shape, Put::Copy, to, Some(Place::whole(argument, &layout.strides)))
        });
        way("copies", copies)
    }
}
