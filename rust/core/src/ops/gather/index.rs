//! NumPy's indexing: integers, slices, new axes, an ellipsis, and arrays of integers or masks.
//! Depends on `take`, `put` and `movement`. Invariant: basic indexing is views; all arrays of one index become one `take`.

use smallvec::SmallVec;

use super::super::movement::{SliceAxis, broadcast_to, permute_axes, reshape_to, slice_axes};
use super::super::operand::{Operand, broadcast_shapes, place};
use super::super::pointwise::{astype, binary, where_};
use super::check::checked;
use super::mask::positions;
use super::put::{fill, put_checked, put_slice};
use super::take::take_checked;
use crate::code::Code;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::shape::Shape;

/// One entry of an index.
#[derive(Clone, Debug)]
pub enum Index {
    /// One position; the axis disappears.
    Int(isize),
    /// `start:stop:step` with Python's defaults.
    Slice {
        /// First position.
        start: Option<isize>,
        /// Position before which it ends.
        stop: Option<isize>,
        /// Distance, not 0.
        step: Option<isize>,
    },
    /// A new axis of size 1.
    NewAxis,
    /// As many whole axes as are left.
    Ellipsis,
    /// Positions, or a mask over as many axes as it has.
    Tensor(Tensor),
}

/// An array entry: the axes of the input that it indexes, and one position in them, flattened, per element.
struct Array {
    axes: SmallVec<[usize; 4]>,
    positions: Tensor,
}

/// An index, read against a shape.
struct Parsed {
    /// What each axis of the input keeps; array axes are whole.
    windows: SmallVec<[SliceAxis; 4]>,
    /// The result's axes before arrays come in: an axis of the input, or a new one.
    axes: SmallVec<[Option<usize>; 4]>,
    arrays: Vec<Array>,
    /// Where the arrays' axes stand among `axes`.
    arrays_at: usize,
}

/// The elements of `x` that an index names.
///
/// # Errors
/// For positions out of range, too many entries, and masks that are not evaluated.
pub fn index_get(x: &Tensor, index: &[Index]) -> Result<Tensor> {
    let x = &spread(x, index)?;
    let parsed = parse(x, index)?;
    let window = slice_axes(x, &parsed.windows)?;
    let basic = |sizes: &dyn Fn(usize) -> usize| -> SmallVec<[usize; 4]> {
        parsed.axes.iter().map(|axis| axis.map_or(1, sizes)).collect()
    };
    let sizes = basic(&|axis| parsed.windows[axis].size);
    let Some((merged, flat, _)) = merge(&window, &parsed)? else {
        return reshape_to(&window, &Shape::from_sound(sizes));
    };
    let taken = take_checked(&merged, &flat, 0)?;
    // [positions…, other axes] → the arrays' axes to their place.
    let rank = flat.rank();
    let wide: SmallVec<[usize; 4]> = flat.shape().iter().copied().chain(sizes).collect();
    let taken = reshape_to(&taken, &Shape::from_sound(wide.iter().copied()))?;
    let before = rank..rank + parsed.arrays_at;
    permute_axes(&taken, before.chain(0..rank).chain(rank + parsed.arrays_at..wide.len()).collect())
}

/// `x` with the elements that an index names replaced by `value`, which broadcasts to them and takes the dtype of `x`.
///
/// # Errors
/// As `index_get`, and when `value` does not broadcast.
pub fn index_set(x: &Tensor, index: &[Index], value: &Operand) -> Result<Tensor> {
    let value = match value {
        Operand::Tensor(tensor) => tensor.clone(),
        scalar => place("setitem", scalar, x.dtype(), &Shape::scalar(), x.device())?,
    };
    if let ([Index::Tensor(mask)], 1) = (index, value.shape().elements())
        && mask.dtype() == DType::Bool
    {
        check_mask(x, mask, 0)?;
        let sizes = mask.shape().iter().copied().chain(std::iter::repeat_n(1, x.rank() - mask.rank()));
        let mask = broadcast_to(&reshape_to(mask, &Shape::from_sound(sizes))?, x.shape())?;
        let value = fill(&value, x.shape(), x.dtype())?;
        return where_(&mask, &value.into(), &x.into());
    }
    let (shape, x) = (x.shape(), &spread(x, index)?);
    let parsed = parse(x, index)?;
    let window = slice_axes(x, &parsed.windows)?;
    let sizes: SmallVec<[usize; 4]> =
        parsed.axes.iter().map(|axis| axis.map_or(1, |axis| parsed.windows[axis].size)).collect();
    let replaced = match merge(&window, &parsed)? {
        None => {
            let value = fill(&value, &Shape::from_sound(sizes), x.dtype())?;
            reshape_to(&value, window.shape())?
        }
        Some((merged, flat, order)) => {
            let at = parsed.arrays_at;
            let wide = sizes[..at].iter().chain(&flat.shape()[..]).chain(&sizes[at..]).copied();
            let value = fill(&value, &Shape::from_sound(wide), x.dtype())?;
            // The arrays' axes go first, new axes disappear.
            let rank = flat.rank();
            let front = (at..at + rank).chain(0..at).chain(at + rank..value.rank()).collect();
            let kept = flat.shape().iter().copied().chain(merged.shape()[1..].iter().copied());
            let value = reshape_to(&permute_axes(&value, front)?, &Shape::from_sound(kept))?;
            let written = put_checked(&merged, &flat, 0, &value)?;
            let apart = Shape::from_sound(order.iter().map(|&axis| window.shape()[axis]));
            let mut inverse: SmallVec<[usize; 4]> = order.clone();
            for (to, &from) in order.iter().enumerate() {
                inverse[from] = to;
            }
            permute_axes(&reshape_to(&written, &apart)?, inverse)?
        }
    };
    reshape_to(&put_slice(x, &parsed.windows, &replaced)?, shape)
}

/// The window with all array axes merged into axis 0, the positions in it, and the order of axes that led there.
#[allow(clippy::type_complexity, reason = "three parts of one thing, used in two places")]
fn merge(window: &Tensor, parsed: &Parsed) -> Result<Option<(Tensor, Tensor, SmallVec<[usize; 4]>)>> {
    let Some(first) = parsed.arrays.first() else { return Ok(None) };
    let mut shape = first.positions.shape().clone();
    for array in &parsed.arrays[1..] {
        shape = broadcast_shapes("index", &shape, array.positions.shape())?;
    }
    let mut flat: Option<Tensor> = None;
    for array in &parsed.arrays {
        let size: usize = array.axes.iter().map(|&axis| window.shape()[axis]).product();
        let positions = broadcast_to(&array.positions, &shape)?;
        flat = Some(match flat {
            Some(outer) => {
                let scaled = binary(Code::Mul, &outer.into(), &Operand::from(size as i64))?;
                binary(Code::Add, &scaled.into(), &positions.into())?
            }
            None => positions,
        });
    }
    let indexed: SmallVec<[usize; 4]> = parsed.arrays.iter().flat_map(|array| array.axes.iter().copied()).collect();
    let others = (0..window.rank()).filter(|axis| !indexed.contains(axis));
    let order: SmallVec<[usize; 4]> = indexed.iter().copied().chain(others.clone()).collect();
    let merged = indexed.iter().map(|&axis| window.shape()[axis]).product();
    let sizes = std::iter::once(merged).chain(others.map(|axis| window.shape()[axis]));
    let merged = reshape_to(&permute_axes(window, order.clone())?, &Shape::from_sound(sizes))?;
    Ok(flat.map(|flat| (merged, flat, order)))
}

fn check_mask(x: &Tensor, mask: &Tensor, axis: usize) -> Result<()> {
    let fits = axis + mask.rank() <= x.rank() && x.shape()[axis..axis + mask.rank()] == mask.shape()[..];
    if fits {
        return Ok(());
    }
    Err(Error::index(format!(
        "index: the mask is {} and does not match the axes from {axis} on of {}. Use a mask of their sizes.",
        mask.shape(),
        x.shape()
    )))
}

/// Number of axes of the input that an entry uses up.
fn width(entry: &Index) -> usize {
    match entry {
        Index::Int(_) | Index::Slice { .. } => 1,
        Index::NewAxis | Index::Ellipsis => 0,
        Index::Tensor(tensor) if tensor.dtype() == DType::Bool => tensor.rank().max(1),
        Index::Tensor(_) => 1,
    }
}

/// `x` with an axis of size 1 for every single truth in the index, which keeps that axis or empties it.
fn spread(x: &Tensor, index: &[Index]) -> Result<Tensor> {
    let is_truth =
        |entry: &Index| matches!(entry, Index::Tensor(mask) if mask.dtype() == DType::Bool && mask.rank() == 0);
    if !index.iter().any(is_truth) {
        return Ok(x.clone());
    }
    let used: usize = index.iter().filter(|entry| !is_truth(entry)).map(width).sum();
    let mut rest = x.shape().iter().copied();
    let mut sizes: SmallVec<[usize; 4]> = SmallVec::new();
    for entry in index {
        match entry {
            Index::Ellipsis => sizes.extend(rest.by_ref().take(x.rank().saturating_sub(used))),
            entry if is_truth(entry) => sizes.push(1),
            entry => sizes.extend(rest.by_ref().take(width(entry))),
        }
    }
    sizes.extend(rest);
    reshape_to(x, &Shape::from_sound(sizes))
}

fn parse(x: &Tensor, index: &[Index]) -> Result<Parsed> {
    let used: usize = index.iter().map(width).sum();
    if used > x.rank() {
        return Err(Error::index(format!(
            "index: {used} axes are indexed, but {} has rank {}. Use fewer entries.",
            x.shape(),
            x.rank()
        )));
    }
    if index.iter().filter(|entry| matches!(entry, Index::Ellipsis)).count() > 1 {
        return Err(Error::index("index: the ellipsis occurs twice. Use it once."));
    }
    let whole = |axis: usize| SliceAxis { start: 0, step: 1, size: x.shape()[axis] };
    let has_arrays = index.iter().any(|entry| matches!(entry, Index::Tensor(_)));
    let mut parsed =
        Parsed { windows: SmallVec::new(), axes: SmallVec::new(), arrays: Vec::new(), arrays_at: usize::MAX };
    // Arrays, and integers beside arrays, must be neighbours for their axes to stay in place.
    let (mut apart, mut last_array) = (false, None);
    for (position, entry) in index.iter().enumerate() {
        let axis = parsed.windows.len();
        if has_arrays && matches!(entry, Index::Tensor(_) | Index::Int(_)) {
            apart |= last_array.is_some_and(|last| last + 1 != position);
            last_array = Some(position);
            parsed.arrays_at = parsed.arrays_at.min(parsed.axes.len());
        }
        match entry {
            Index::Int(at) => {
                let start = integer(*at, axis, x.shape())?;
                parsed.windows.push(SliceAxis { start, step: 1, size: 1 });
            }
            Index::Slice { start, stop, step } => {
                parsed.windows.push(window(*start, *stop, *step, x.shape()[axis])?);
                parsed.axes.push(Some(axis));
            }
            Index::NewAxis => parsed.axes.push(None),
            Index::Ellipsis => {
                for axis in axis..axis + x.rank() - used {
                    parsed.windows.push(whole(axis));
                    parsed.axes.push(Some(axis));
                }
            }
            Index::Tensor(tensor) => {
                let axes: SmallVec<[usize; 4]> = (axis..axis + width(entry)).collect();
                let positions = if tensor.dtype() == DType::Bool {
                    check_mask(x, tensor, axis)?;
                    positions(tensor, x.device())?
                } else {
                    let checked = checked("index", tensor, x.shape()[axis], true, None)?;
                    // Flat positions of several arrays need a type that holds them.
                    astype(
                        &checked,
                        if tensor.dtype().size() == 8 { DType::I64 } else { tensor.dtype().promote(DType::I32) },
                    )?
                };
                parsed.windows.extend(axes.iter().map(|&axis| whole(axis)));
                parsed.arrays.push(Array { axes, positions });
            }
        }
    }
    for axis in parsed.windows.len()..x.rank() {
        parsed.windows.push(whole(axis));
        parsed.axes.push(Some(axis));
    }
    if apart {
        parsed.arrays_at = 0;
    }
    Ok(parsed)
}

fn integer(at: isize, axis: usize, shape: &Shape) -> Result<isize> {
    let size = shape[axis] as isize;
    if at < -size || at >= size {
        return Err(Error::index(format!(
            "index: {at} is out of range for axis {axis} of {shape}. Use an index from {} to {}.",
            -size,
            size - 1
        )));
    }
    Ok(if at < 0 { at + size } else { at })
}

/// Python's slice of an axis.
fn window(start: Option<isize>, stop: Option<isize>, step: Option<isize>, size: usize) -> Result<SliceAxis> {
    let (step, size) = (step.unwrap_or(1), size as isize);
    if step == 0 {
        return Err(Error::value("index: the step of a slice is 0. Use a step that is not 0."));
    }
    // A backward walk may end before the first element, at −1.
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let bound = |at: Option<isize>, default: isize| {
        at.map_or(default, |at| if at < 0 { at.saturating_add(size).max(low) } else { at.min(high) })
    };
    let (start, stop) =
        if step > 0 { (bound(start, low), bound(stop, high)) } else { (bound(start, high), bound(stop, low)) };
    let span = if step > 0 { stop - start } else { start - stop };
    let count = if span <= 0 { 0 } else { (span - 1) / step.saturating_abs() + 1 };
    Ok(SliceAxis { start: if count == 0 { 0 } else { start }, step, size: count as usize })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_follow_python() {
        let count = |start, stop, step, size| {
            let window = window(start, stop, step, size).unwrap();
            (window.start, window.step, window.size)
        };
        assert_eq!(count(None, None, None, 5), (0, 1, 5));
        assert_eq!(count(None, None, Some(-1), 5), (4, -1, 5));
        assert_eq!(count(Some(-2), None, None, 5), (3, 1, 2));
        assert_eq!(count(Some(1), Some(100), Some(2), 5), (1, 2, 2));
        assert_eq!(count(Some(100), Some(-100), Some(-3), 5), (4, -3, 2));
        assert_eq!(count(Some(3), Some(1), None, 5), (0, 1, 0));
        assert_eq!(count(None, None, Some(-1), 0), (0, -1, 0));
        assert!(window(None, None, Some(0), 5).is_err());
    }
}
