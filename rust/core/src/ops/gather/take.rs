//! Entries of an axis chosen by a tensor of indices. Depends on `check` and `walk`.
//! Invariant: the result has the input's shape with the axis replaced by the shape of the indices.

use std::sync::{Arc, OnceLock};

use smallvec::{SmallVec, smallvec};

use super::super::axes::normalize_axis;
use super::super::walk::{self, Chunks, Walk, read_index};
use super::check::{checked, out_of_range};
use crate::backend::HostArguments;
use crate::error::Result;
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::plan::{Argument, Candidate, Caps, Structured};
use crate::shape::Shape;

/// The entries `indices` of `x` along `axis`; negative indices count from the end.
///
/// # Errors
/// For an axis that does not exist, and for indices that are no integers or out of range.
pub fn take(x: &Tensor, indices: &Tensor, axis: isize) -> Result<Tensor> {
    let axis = normalize_axis("take", axis, x.rank())?;
    take_checked(x, &checked("take", indices, x.shape()[axis], true)?, axis)
}

/// As `take`, for indices in range.
pub(crate) fn take_checked(x: &Tensor, indices: &Tensor, axis: usize) -> Result<Tensor> {
    apply(Take { axis }, &[x, indices])
}

#[derive(Clone, Debug)]
struct Take {
    axis: usize,
}

impl Op for Take {
    fn name(&self) -> &'static str {
        "take"
    }
    fn key(&self, key: &mut Key) {
        key.number(self.axis as u64);
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        let (x, indices) = (&inputs[0].shape, &inputs[1].shape);
        let sizes: SmallVec<[usize; 4]> =
            x[..self.axis].iter().chain(&indices[..]).chain(&x[self.axis + 1..]).copied().collect();
        Ok(smallvec![Meta::new(Shape::new(&sizes)?, inputs[0].dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let gradient = || Cotangent::Take { grad: cx.grad().clone(), indices: cx.inputs[1].clone(), axis: self.axis };
        Ok(smallvec![cx.needs[0].then(gradient), None])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

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
pub(crate) struct IndexError(OnceLock<i64>);

impl IndexError {
    /// The index as an offset, when it is inside the axis.
    pub(crate) fn inside(&self, index: i64, limit: usize) -> Option<isize> {
        if (0..limit as i64).contains(&index) {
            return Some(index as isize);
        }
        let _ = self.0.set(index);
        None
    }

    /// The error, where there was one.
    pub(crate) fn result(self, name: &str, limit: usize) -> Result<()> {
        self.0.into_inner().map_or(Ok(()), |index| Err(out_of_range(name, index, limit)))
    }
}

impl Structured for Take {
    fn name(&self) -> &'static str {
        "take"
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        let [x, indices, result] = host.arguments else { unreachable!("take has three arguments") };
        let parts = TakeAxes { axis: self.axis, rank: indices.layout.shape.rank() };
        let (limit, stride, size) = (x.layout.shape[self.axis], x.layout.strides[self.axis], x.dtype.size());
        let narrow = TakeAxes { axis: self.axis, rank: 1 }.around(&x.layout.strides);
        let bad = IndexError::default();
        let chunks = Chunks::of(&result.layout.shape, size);
        (host.parallel)(chunks.count, &|chunk| {
            let (sizes, (cut, start, _)) = (chunks.shape(chunk), chunks.range(chunk));
            let to = chunks.at(chunk, result.data, &result.layout.strides, size);
            let (mut from, mut first) = (x.data.0.cast_const(), indices.data.0.cast_const());
            // The cut lies before, in or after the axes of the indices.
            if cut < parts.axis {
                from = from.wrapping_offset(start as isize * x.layout.strides[cut] * size as isize);
            } else if cut < parts.axis + parts.rank {
                let stride = indices.layout.strides[cut - parts.axis];
                first = first.wrapping_offset(start as isize * stride * indices.dtype.size() as isize);
            } else if !sizes.is_empty() {
                from = from.wrapping_offset(start as isize * x.layout.strides[cut + 1 - parts.rank] * size as isize);
            }
            let entry = Walk::new(&parts.around(&sizes), &parts.around(&result.layout.strides), &narrow);
            let each = Walk::new(parts.inner(&sizes), parts.inner(&result.layout.strides), &indices.layout.strides);
            each.each(|place, at| {
                // SAFETY: `at` walks the indices' own layout; the index is inside the axis, so the entry is inside `x`;
                // chunks are disjoint boxes of the result.
                unsafe {
                    let index = read_index(indices.dtype, first.offset(at * indices.dtype.size() as isize));
                    if let Some(index) = bad.inside(index, limit) {
                        let from = from.offset(index * stride * size as isize);
                        walk::copy(size, &entry, to.offset(place * size as isize), from);
                    }
                }
            });
        });
        bad.result("take", limit)
    }

    fn gpu(&self, _arguments: &[Argument], _caps: &Caps) -> Vec<Candidate> {
        Vec::new()
    }
}
