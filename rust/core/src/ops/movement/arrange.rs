//! Calls that put elements elsewhere without a copy: permutations, slices, flips, padding, triangles.
//! Depends on `view` and `pointwise`. Invariant: every slice lies inside its axis.

use smallvec::SmallVec;

use super::super::axes::{normalize_axes, normalize_axis, unordered_axes};
use super::super::create::{diagonal_and_column, full};
use super::super::operand::{Operand, check_scalar};
use super::super::pointwise::{binary, where_};
use super::view::{Pad, Permute, Slice};
use super::{SliceAxis, same};
use crate::code::Code;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::{Tensor, apply};
use crate::shape::{Shape, Tuple};

/// Axes in another order: axis `i` of the result is axis `axes[i]` of `x`.
///
/// # Errors
/// When `axes` is not a permutation.
pub fn permute_dims(x: &Tensor, axes: &[isize]) -> Result<Tensor> {
    if axes.len() != x.rank() {
        return Err(Error::index(format!(
            "permute_dims: axes {} are {} of {}, whose rank is {}. Name every axis once.",
            Tuple(axes),
            axes.len(),
            x.shape(),
            x.rank()
        )));
    }
    permute_axes(x, unordered_axes("permute_dims", axes, x.rank())?)
}

/// As `permute_dims`, for a known permutation.
pub(crate) fn permute_axes(x: &Tensor, order: SmallVec<[usize; 4]>) -> Result<Tensor> {
    if order.iter().enumerate().all(|(to, &from)| to == from) { same(x) } else { apply(Permute(order), &[x]) }
}

/// Two axes exchanged.
///
/// # Errors
/// When one does not exist.
pub fn transpose(x: &Tensor, a: isize, b: isize) -> Result<Tensor> {
    let mut order: SmallVec<[usize; 4]> = (0..x.rank()).collect();
    order.swap(normalize_axis("transpose", a, x.rank())?, normalize_axis("transpose", b, x.rank())?);
    permute_axes(x, order)
}

/// The last two axes exchanged.
///
/// # Errors
/// When there are fewer than two.
pub fn matrix_transpose(x: &Tensor) -> Result<Tensor> {
    if x.rank() < 2 {
        return Err(Error::shape(format!(
            "matrix_transpose: {} has rank {}; a matrix has at least 2 axes. Add one with expand_dims.",
            x.shape(),
            x.rank()
        )));
    }
    transpose(x, -2, -1)
}

/// Axis `source` moved to position `target`, the others keeping their order.
///
/// # Errors
/// When one does not exist.
pub fn moveaxis(x: &Tensor, source: isize, target: isize) -> Result<Tensor> {
    let (from, to) = (normalize_axis("moveaxis", source, x.rank())?, normalize_axis("moveaxis", target, x.rank())?);
    let mut order: SmallVec<[usize; 4]> = (0..x.rank()).filter(|&axis| axis != from).collect();
    order.insert(to, from);
    permute_axes(x, order)
}

/// One window per axis.
///
/// # Errors
/// When a window leaves its axis.
pub fn slice(x: &Tensor, windows: &[SliceAxis]) -> Result<Tensor> {
    if windows.len() != x.rank() {
        return Err(Error::index(format!(
            "slice: {} windows for rank {}. Give one per axis.",
            windows.len(),
            x.rank()
        )));
    }
    for (axis, (window, &size)) in windows.iter().zip(x.shape().iter()).enumerate() {
        let inside = |index: isize| (0..size as isize).contains(&index);
        let last = window.start.saturating_add(window.step.saturating_mul(window.size as isize - 1));
        if window.step == 0 || (window.size > 0 && !(inside(window.start) && inside(last))) {
            return Err(Error::index(format!(
                "slice: {} elements from {} in steps of {} leave axis {axis} of size {size}. Stay inside the axis.",
                window.size, window.start, window.step
            )));
        }
    }
    slice_axes(x, windows)
}

/// As `slice`, for windows that are known to fit.
pub(crate) fn slice_axes(x: &Tensor, windows: &[SliceAxis]) -> Result<Tensor> {
    let whole = |(window, &size): (&SliceAxis, &usize)| *window == SliceAxis { start: 0, step: 1, size };
    if windows.iter().zip(x.shape().iter()).all(whole) {
        return same(x);
    }
    let op = Slice {
        starts: windows.iter().map(|window| if window.size == 0 { 0 } else { window.start }).collect(),
        steps: windows.iter().map(|window| window.step).collect(),
        sizes: Shape::from_sound(windows.iter().map(|window| window.size)),
    };
    apply(op, &[x])
}

/// The whole tensor but for one axis, of which `size` elements from `start` on are taken.
pub(crate) fn slice_axis(x: &Tensor, axis: usize, start: usize, size: usize) -> Result<Tensor> {
    let mut windows: SmallVec<[SliceAxis; 4]> =
        x.shape().iter().map(|&size| SliceAxis { start: 0, step: 1, size }).collect();
    windows[axis] = SliceAxis { start: start as isize, step: 1, size };
    slice_axes(x, &windows)
}

/// Axes reversed: the named ones, or all.
///
/// # Errors
/// When one does not exist.
pub fn flip(x: &Tensor, axes: Option<&[isize]>) -> Result<Tensor> {
    let axes = normalize_axes("flip", axes, x.rank())?;
    let windows: SmallVec<[SliceAxis; 4]> = (0..x.rank())
        .map(|axis| match (axes.contains(&axis), x.shape()[axis]) {
            (true, size) if size > 0 => SliceAxis { start: size as isize - 1, step: -1, size },
            (_, size) => SliceAxis { start: 0, step: 1, size },
        })
        .collect();
    slice_axes(x, &windows)
}

/// `value` around the elements: `before[axis]` and `after[axis]` of it.
///
/// # Errors
/// When the amounts are not one per axis, or the dtype cannot hold the value.
pub fn pad(x: &Tensor, before: &[usize], after: &[usize], value: Scalar) -> Result<Tensor> {
    if before.len() != x.rank() || after.len() != x.rank() {
        return Err(Error::shape(format!(
            "pad: {} and {} amounts for rank {}. Give one pair per axis.",
            before.len(),
            after.len(),
            x.rank()
        )));
    }
    check_scalar("pad", value, x.dtype())?;
    let padded = pad_zeros(x, before, after)?;
    if value.to_f64() == 0.0 || padded.shape() == x.shape() {
        return Ok(padded);
    }
    let inside = pad_zeros(&full(x.shape(), Scalar::Bool(true), DType::Bool, x.device())?, before, after)?;
    let value = full(padded.shape(), value, x.dtype(), x.device())?;
    where_(&inside, &Operand::Tensor(padded), &Operand::Tensor(value))
}

/// Zeros around the elements.
pub(crate) fn pad_zeros(x: &Tensor, before: &[usize], after: &[usize]) -> Result<Tensor> {
    if before.iter().chain(after).all(|&amount| amount == 0) {
        return same(x);
    }
    let sizes: SmallVec<[usize; 4]> =
        (0..x.rank()).map(|axis| x.shape()[axis].saturating_add(before[axis]).saturating_add(after[axis])).collect();
    apply(Pad { before: before.iter().map(|&amount| amount as isize).collect(), sizes: Shape::new(&sizes)? }, &[x])
}

/// Zeros above the `k`-th diagonal of the last two axes (`k` > 0 lies above the main one).
///
/// # Errors
/// When there are fewer than two axes.
pub fn tril(x: &Tensor, k: i64) -> Result<Tensor> {
    triangle("tril", x, k, Code::LessEqual)
}

/// Zeros below the `k`-th diagonal of the last two axes.
///
/// # Errors
/// When there are fewer than two axes.
pub fn triu(x: &Tensor, k: i64) -> Result<Tensor> {
    triangle("triu", x, k, Code::GreaterEqual)
}

fn triangle(name: &str, x: &Tensor, k: i64, keeps: Code) -> Result<Tensor> {
    if x.rank() < 2 {
        return Err(Error::shape(format!(
            "{name}: {} has rank {}; a matrix has at least 2 axes. Add one with expand_dims.",
            x.shape(),
            x.rank()
        )));
    }
    let [diagonal, column] = diagonal_and_column(x.shape(), k, x.device())?;
    let kept = binary(keeps, &column.into(), &diagonal.into())?;
    where_(&kept, &x.into(), &Operand::Scalar(Scalar::Bool(false)))
}
