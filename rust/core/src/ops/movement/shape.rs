//! Calls that change the shape and keep the order of elements. Depends on `view`.
//! Invariant: the number of elements never changes, but for `broadcast_to`.

use smallvec::SmallVec;

use super::super::axes::{normalize_axes, normalize_axis};
use super::same;
use super::view::{Expand, Reshape};
use crate::error::{Error, Result};
use crate::graph::{Tensor, apply};
use crate::shape::{Shape, Tuple};

/// Another shape for the same elements in row-major order; one size may be −1 and follows from the others.
///
/// # Errors
/// When the numbers of elements differ, or −1 is ambiguous.
pub fn reshape(x: &Tensor, sizes: &[isize]) -> Result<Tensor> {
    let elements = x.shape().elements();
    let fail = |advice: &str| {
        Err(Error::shape(format!(
            "reshape: {} with {elements} elements does not fit {}. {advice}",
            x.shape(),
            Tuple(sizes)
        )))
    };
    let mut unknown = None;
    let mut known: SmallVec<[usize; 4]> = SmallVec::new();
    for (axis, &size) in sizes.iter().enumerate() {
        match (size, unknown) {
            (-1, None) => unknown = Some(axis),
            (-1, Some(_)) => return fail("Use -1 once at most."),
            (..-1, _) => return fail("Use sizes of at least 0, or one -1."),
            _ => {}
        }
        known.push(if size < 0 { 1 } else { size as usize });
    }
    if let Some(axis) = unknown {
        let others = Shape::new(&known)?.elements();
        if others == 0 || !elements.is_multiple_of(others) {
            return fail("The size -1 must follow from the others.");
        }
        known[axis] = elements / others;
    }
    let shape = Shape::new(&known)?;
    if shape.elements() != elements {
        return fail("Use sizes whose product is the number of elements; one may be -1.");
    }
    reshape_to(x, &shape)
}

/// As `reshape`, to a shape that is known to fit.
pub(crate) fn reshape_to(x: &Tensor, shape: &Shape) -> Result<Tensor> {
    if x.shape() == shape { same(x) } else { apply(Reshape(shape.clone()), &[x]) }
}

/// Repeats axes of size 1, and new leading axes, to the sizes of `shape`.
///
/// # Errors
/// When a size is neither 1 nor that of `shape`.
pub fn broadcast_to(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    if x.shape()[..] == *shape {
        return same(x);
    }
    let shape = Shape::new(shape)?;
    let lead = shape.rank().checked_sub(x.rank());
    let fits =
        lead.is_some_and(|lead| x.shape().iter().zip(&shape[lead..]).all(|(&from, &to)| from == to || from == 1));
    if !fits {
        return Err(Error::shape(format!(
            "broadcast_to: {} cannot become {shape}. Every size must be 1 or equal, counted from the last axis.",
            x.shape()
        )));
    }
    apply(Expand(shape), &[x])
}

/// Removes axes of size 1: the named ones, or all.
///
/// # Errors
/// When a named axis has another size, or does not exist.
pub fn squeeze(x: &Tensor, axes: Option<&[isize]>) -> Result<Tensor> {
    let drop: SmallVec<[usize; 4]> = match axes {
        None => (0..x.rank()).filter(|&axis| x.shape()[axis] == 1).collect(),
        Some(_) => normalize_axes("squeeze", axes, x.rank())?,
    };
    if let Some(axis) = drop.iter().find(|&&axis| x.shape()[axis] != 1) {
        return Err(Error::shape(format!(
            "squeeze: axis {axis} of {} has size {}, not 1. Name axes of size 1.",
            x.shape(),
            x.shape()[*axis]
        )));
    }
    let kept = (0..x.rank()).filter(|axis| !drop.contains(axis)).map(|axis| x.shape()[axis]);
    reshape_to(x, &Shape::from_sound(kept))
}

/// A new axis of size 1, at position `axis` of the result.
///
/// # Errors
/// When the result has no such axis.
pub fn expand_dims(x: &Tensor, axis: isize) -> Result<Tensor> {
    let axis = normalize_axis("expand_dims", axis, x.rank() + 1)?;
    let mut sizes: SmallVec<[usize; 4]> = SmallVec::from_slice(x.shape());
    sizes.insert(axis, 1);
    reshape_to(x, &Shape::from_sound(sizes))
}

/// Merges the axes from `start` to `end`, both included.
///
/// # Errors
/// For axes that do not exist or are out of order.
pub fn flatten(x: &Tensor, start: isize, end: isize) -> Result<Tensor> {
    if x.rank() == 0 {
        return reshape_to(x, &Shape::from_sound([1]));
    }
    let (first, last) = (normalize_axis("flatten", start, x.rank())?, normalize_axis("flatten", end, x.rank())?);
    if first > last {
        return Err(Error::shape(format!("flatten: axis {start} comes after axis {end}. Swap them.")));
    }
    let merged: usize = x.shape()[first..=last].iter().product();
    let sizes = x.shape()[..first].iter().copied().chain([merged]).chain(x.shape()[last + 1..].iter().copied());
    reshape_to(x, &Shape::from_sound(sizes))
}

/// Puts reduced `axes` (ascending) of a tensor of shape `before` back, with size 1.
pub(crate) fn keep_axes(reduced: &Tensor, before: &Shape, axes: &[usize]) -> Result<Tensor> {
    let sizes = (0..before.rank()).map(|axis| if axes.contains(&axis) { 1 } else { before[axis] });
    reshape_to(reduced, &Shape::from_sound(sizes))
}
