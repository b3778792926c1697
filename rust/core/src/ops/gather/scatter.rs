//! What the routines that scatter share: parts of a result, and entries that indices name inside a part.
//! Depends on `walk`. Invariant: a part writes its own box only, entries in the order of their indices.

use std::sync::OnceLock;

use smallvec::SmallVec;

use super::super::walk::{self, Chunks, Walk, read_index};
use super::check::out_of_range;
use crate::backend::HostArgument;
use crate::error::Result;

/// The three parts of a taken tensor's axes: before the axis, those of the indices, after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TakeAxes {
    /// The axis that was indexed.
    pub(crate) axis: usize,
    /// Number of axes of the indices.
    pub(crate) rank: usize,
}

impl TakeAxes {
    /// Of a list with one entry per axis of the taken tensor: the entries of the indices' axes.
    pub(crate) fn inner<'a, T>(&self, wide: &'a [T]) -> &'a [T] {
        &wide[self.axis..self.axis + self.rank]
    }

    /// The entries of the axes that both tensors share.
    pub(crate) fn around<T: Copy>(&self, wide: &[T]) -> SmallVec<[T; 4]> {
        wide[..self.axis].iter().chain(&wide[self.axis + self.rank..]).copied().collect()
    }
}

/// The first bad index that a chunk met.
#[derive(Debug, Default)]
pub(crate) struct IndexError(OnceLock<(i64, usize)>);

impl IndexError {
    /// The index as an offset, when it is inside the axis.
    #[inline(always)]
    pub(crate) fn inside(&self, index: i64, limit: usize) -> Option<isize> {
        if (index as u64) < limit as u64 {
            return Some(index as isize);
        }
        self.note(index, limit);
        None
    }

    #[cold]
    fn note(&self, index: i64, limit: usize) {
        let _ = self.0.set((index, limit));
    }

    /// The error, where there was one.
    pub(crate) fn result(self, name: &str) -> Result<()> {
        self.0.into_inner().map_or(Ok(()), |(index, limit)| Err(out_of_range(name, index, limit)))
    }
}

/// A part of the result: `count` indices from `start` on of axis `axis`, all of the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// The axis that is cut.
    pub(crate) axis: usize,
    /// First index.
    pub(crate) start: usize,
    /// Number of indices.
    pub(crate) count: usize,
}

impl Part {
    /// The part of that chunk.
    pub(crate) fn of(chunks: &Chunks, chunk: usize) -> Self {
        let (axis, start, count) = chunks.range(chunk);
        Self { axis, start, count }
    }
}

/// Adds the elements of a slice's gradient that fall into the part.
///
/// # Safety
/// The part belongs to the caller alone, and the slice lies inside the result.
pub(crate) unsafe fn add_slice(
    part: Part,
    result: &HostArgument<'_>,
    grad: &HostArgument<'_>,
    starts: &[isize],
    steps: &[isize],
) {
    let size = result.dtype.size() as isize;
    let mut sizes: SmallVec<[usize; 4]> = SmallVec::from_slice(&grad.layout.shape);
    if sizes.contains(&0) {
        return;
    }
    let (mut to, mut from) = (0isize, 0isize);
    let mut strides: SmallVec<[isize; 4]> = SmallVec::new();
    for axis in 0..sizes.len() {
        let (mut start, step) = (starts[axis], steps[axis]);
        if axis == part.axis {
            let Some((first, count)) = positions_inside(start, step, sizes[axis], part) else { return };
            sizes[axis] = count;
            start += first * step;
            from += first * grad.layout.strides[axis];
        }
        to += start * result.layout.strides[axis];
        strides.push(step * result.layout.strides[axis]);
    }
    let walk = Walk::new(&sizes, [&strides, &grad.layout.strides]);
    // SAFETY: the slice lies inside the result, cut to the caller's part.
    unsafe { walk::add(result.dtype, &walk, result.data.0.offset(to * size), grad.data.0.offset(from * size)) };
}

/// First and number of the positions i < size whose `start + i · step` lies in the part.
fn positions_inside(start: isize, step: isize, size: usize, part: Part) -> Option<(isize, usize)> {
    // Bounds on i · step, mirrored so that the step is positive.
    let (low, high) = (part.start as isize - start, (part.start + part.count) as isize - 1 - start);
    let (low, high, step) = if step > 0 { (low, high, step) } else { (-high, -low, -step) };
    if high < 0 {
        return None;
    }
    let first = low.max(0).unsigned_abs().div_ceil(step.unsigned_abs()) as isize;
    let last = (high / step).min(size as isize - 1);
    (first <= last).then(|| (first, (last - first + 1) as usize))
}

/// Calls `put(walk, to, from)` for the entries of `source` along `axis` that `indices` place inside the part.
///
/// # Safety
/// The part belongs to the caller alone; `source` has the result's shape with `axis` replaced by the shape of `indices`.
pub(crate) unsafe fn scatter(
    part: Part,
    result: &HostArgument<'_>,
    source: &HostArgument<'_>,
    indices: &HostArgument<'_>,
    axis: usize,
    bad: &IndexError,
    put: impl Fn(&Walk<2>, *mut u8, *const u8),
) {
    let bytes = result.dtype.size() as isize;
    let wide = TakeAxes { axis, rank: indices.layout.shape.rank() };
    let narrow = TakeAxes { axis, rank: 1 };
    let mut sizes: SmallVec<[usize; 4]> = SmallVec::from_slice(&result.layout.shape);
    let limit = sizes[axis];
    let (mut to, mut from) = (result.data.0, source.data.0.cast_const());
    let cut_here = part.axis == axis;
    if !cut_here {
        sizes[part.axis] = part.count;
        let apart = if part.axis < axis { part.axis } else { part.axis + wide.rank - 1 };
        to = to.wrapping_offset(part.start as isize * result.layout.strides[part.axis] * bytes);
        from = from.wrapping_offset(part.start as isize * source.layout.strides[apart] * bytes);
    }
    let (to_strides, from_strides) = (narrow.around(&result.layout.strides), wide.around(&source.layout.strides));
    let entry = Walk::new(&narrow.around(&sizes), [&to_strides, &from_strides]);
    let each = Walk::new(&indices.layout.shape, [&indices.layout.strides, wide.inner(&source.layout.strides)]);
    let mine = part.start as isize..(part.start + part.count) as isize;
    each.each(|[at, place]| {
        // SAFETY: `at` walks the indices' own layout.
        let index = unsafe { read_index(indices.dtype, indices.data.0.offset(at * indices.dtype.size() as isize)) };
        let Some(index) = bad.inside(index, limit) else { return };
        if cut_here && !mine.contains(&index) {
            return;
        }
        let to = to.wrapping_offset(index * result.layout.strides[axis] * bytes);
        put(&entry, to, from.wrapping_offset(place * bytes));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_match_a_search() {
        for start in 0..9isize {
            for step in [-3isize, -2, -1, 1, 2, 3] {
                for size in 1..5usize {
                    for (low, count) in [(0, 3), (3, 3), (6, 3), (0, 9)] {
                        let part = Part { axis: 0, start: low, count };
                        let inside: Vec<isize> = (0..size as isize)
                            .filter(|i| (low as isize..(low + count) as isize).contains(&(start + i * step)))
                            .collect();
                        let expected = inside.first().map(|&first| (first, inside.len()));
                        assert_eq!(
                            positions_inside(start, step, size, part),
                            expected,
                            "{start} {step} {size} {part:?}"
                        );
                    }
                }
            }
        }
    }
}
