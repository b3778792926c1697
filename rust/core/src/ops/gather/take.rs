//! Entries of an axis chosen by a tensor of indices. Depends on `check` and `scatter`.
//! Invariant: the result has the input's shape with the axis replaced by the shape of the indices.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::super::axes::normalize_axis;
use super::super::create::ramp;
use super::super::movement::expand_dims;
use super::super::pointwise::{astype, equal};
use super::super::shader::{Place, Put, Shader, way};
use super::super::walk::{self, Chunks, Indices, Walk, read_index, with_indices};
use super::check::{checked, label_dtype};
use super::scatter::{IndexError, TakeAxes};
use crate::backend::HostArguments;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::plan::{Argument, Candidate, Caps, Cost, Structured};
use crate::shape::Shape;

/// The entries `indices` of `x` along `axis`; negative indices count from the end.
///
/// # Errors
/// For an axis that does not exist, and for indices that are no integers or out of range.
pub fn take(x: &Tensor, indices: &Tensor, axis: isize) -> Result<Tensor> {
    let axis = normalize_axis("take", axis, x.rank())?;
    take_checked(x, &checked("take", indices, x.shape()[axis], true, None)?, axis)
}

/// The rows of a matrix that `indices` name, which do not count from the end: a negative label is a mistake.
///
/// # Errors
/// For weights that are no matrix, and for indices that are no integers or name no row.
pub fn embedding(indices: &Tensor, weight: &Tensor) -> Result<Tensor> {
    if weight.rank() != 2 {
        return Err(Error::shape(format!("embedding: weight is {}. Use a matrix (rows, columns).", weight.shape())));
    }
    take_checked(weight, &checked("embedding", indices, weight.shape()[0], false, None)?, 0)
}

/// As `take`, for indices in range.
pub(crate) fn take_checked(x: &Tensor, indices: &Tensor, axis: usize) -> Result<Tensor> {
    apply(Take { axis }, &[x, indices])
}

/// 1 at `labels[…]` of a new last axis of size `classes`, else 0.
///
/// # Errors
/// For labels that are no integers or not below `classes`.
pub fn one_hot(labels: &Tensor, classes: usize, dtype: DType) -> Result<Tensor> {
    let labels = checked("one_hot", labels, classes, false, None)?;
    let labels = astype(&labels, label_dtype(labels.dtype()))?;
    let numbers = astype(&ramp(classes, labels.device())?, labels.dtype())?;
    astype(&equal(&expand_dims(&labels, -1)?, &numbers)?, dtype)
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

/// What a chunk reads and writes whose entries are single elements.
struct Places<'a> {
    to: *mut u8,
    from: *const u8,
    first: *const u8,
    step: isize,
    limit: usize,
    bad: &'a IndexError,
}

impl Places<'_> {
    /// Elements of the size of `T`, for a walk over result and indices.
    ///
    /// # Safety
    /// The walk stays inside both, and an index below `limit` leads into the memory at `from`.
    unsafe fn fill<T: Copy, I: Indices>(&self, walk: &Walk<2>, integers: I) {
        let (to, from) = (self.to.cast::<T>(), self.from.cast::<T>());
        walk.each(|[place, at]| {
            // SAFETY: as the caller vouches; foreign memory may be unaligned.
            unsafe {
                if let Some(index) = self.bad.inside(integers.read(self.first, at), self.limit) {
                    to.offset(place).write_unaligned(from.offset(index * self.step).read_unaligned());
                }
            }
        });
    }
}

/// Elements of an entry that are moved one by one.
const SHORT: usize = 16;

impl Places<'_> {
    /// Entries of a few elements.
    ///
    /// # Safety
    /// As `fill`, for all elements of an entry.
    unsafe fn fill_short<T: Copy, I: Indices>(&self, walk: &Walk<2>, integers: I, length: usize) {
        let (to, from) = (self.to.cast::<T>(), self.from.cast::<T>());
        walk.each(|[place, at]| {
            // SAFETY: as the caller vouches; foreign memory may be unaligned.
            unsafe {
                if let Some(index) = self.bad.inside(integers.read(self.first, at), self.limit) {
                    let (to, from) = (to.offset(place), from.offset(index * self.step));
                    for element in 0..length {
                        to.add(element).write_unaligned(from.add(element).read_unaligned());
                    }
                }
            }
        });
    }

    /// Entries of `bytes` bytes, of elements of `size` bytes.
    ///
    /// # Safety
    /// As `fill`, for all elements of an entry.
    unsafe fn fill_rows<I: Indices>(&self, walk: &Walk<2>, integers: I, size: usize, bytes: usize) {
        let size = size as isize;
        walk.each(|[place, at]| {
            // SAFETY: as the caller vouches.
            unsafe {
                if let Some(index) = self.bad.inside(integers.read(self.first, at), self.limit) {
                    let from = self.from.offset(index * self.step * size);
                    std::ptr::copy_nonoverlapping(from, self.to.offset(place * size), bytes);
                }
            }
        });
    }
}

impl Structured for Take {
    fn name(&self) -> &'static str {
        "take"
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        Cost::looking_up(arguments)
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        let [x, indices, result] = host.arguments else { unreachable!("take has three arguments") };
        let parts = TakeAxes { axis: self.axis, rank: indices.layout.shape.rank() };
        let (limit, stride, size) = (x.layout.shape[self.axis], x.layout.strides[self.axis], x.dtype.size());
        let narrow = TakeAxes { axis: self.axis, rank: 1 }.around(&x.layout.strides);
        let around = parts.around(&result.layout.strides);
        let bad = IndexError::default();
        let chunks = Chunks::of(&result.layout.shape, size);
        (host.parallel)(chunks.count, &|chunk| {
            let (sizes, (cut, start, _)) = (chunks.shape(chunk), chunks.range(chunk));
            let to = chunks.at(chunk, result.data, &result.layout.strides, size);
            let (mut from, mut first) = (x.data.0.cast_const(), indices.data.0.cast_const());
            // The cut lies before, in or after the axes of the indices.
            if start > 0 && cut >= parts.axis && cut < parts.axis + parts.rank {
                let stride = indices.layout.strides[cut - parts.axis];
                first = first.wrapping_offset(start as isize * stride * indices.dtype.size() as isize);
            } else if start > 0 {
                let axis = if cut < parts.axis { cut } else { cut + 1 - parts.rank };
                from = from.wrapping_offset(start as isize * x.layout.strides[axis] * size as isize);
            }
            let entry = Walk::new(&parts.around(&sizes), [&around, &narrow]);
            let each = Walk::new(parts.inner(&sizes), [parts.inner(&result.layout.strides), &indices.layout.strides]);
            if let Some((1, _)) = entry.single_run() {
                // SAFETY: as below, entries being single elements.
                with_indices!(indices.dtype, integers => unsafe {
                    let places = Places { to, from, first, step: stride, limit, bad: &bad };
                    match size {
                        1 => places.fill::<u8, _>(&each, integers),
                        2 => places.fill::<u16, _>(&each, integers),
                        4 => places.fill::<u32, _>(&each, integers),
                        _ => places.fill::<u64, _>(&each, integers),
                    }
                });
                return;
            }
            if let Some((length, [1, 1])) = entry.single_run() {
                // SAFETY: as below, entries being elements next to each other.
                with_indices!(indices.dtype, integers => unsafe {
                    let places = Places { to, from, first, step: stride, limit, bad: &bad };
                    match size {
                        4 if length <= SHORT => places.fill_short::<u32, _>(&each, integers, length),
                        8 if length <= SHORT => places.fill_short::<u64, _>(&each, integers, length),
                        _ => places.fill_rows(&each, integers, size, length * size),
                    }
                });
                return;
            }
            each.each(|[place, at]| {
                // SAFETY: `at` walks the indices' own layout; the index is inside the axis, so the entry is inside `x`;
                // chunks are disjoint boxes of the result.
                unsafe {
                    let index = read_index(indices.dtype, first.offset(at * indices.dtype.size() as isize));
                    if let Some(index) = bad.inside(index, limit) {
                        let from = from.wrapping_offset(index * stride * size as isize);
                        walk::copy(size, &entry, to.wrapping_offset(place * size as isize), from);
                    }
                }
            });
        });
        bad.result("take")
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        let [x, indices, result] = [0, 1, 2].map(|argument| &arguments[argument].layout);
        let parts = TakeAxes { axis: self.axis, rank: indices.shape.rank() };
        let launch = || {
            let mut shader = Shader::new(arguments, &result.shape);
            let here = shader.here.clone();
            let to = shader.target(&Place::whole(2, &result.strides), &here)?;
            let place = shader.element(&Place::whole(1, &indices.strides), parts.inner(&here))?;
            let last = shader.number(x.shape[self.axis].saturating_sub(1));
            // Bad indices were reported where they were checked; here they must only do no harm.
            shader.line(format!("let at = clamp(i32({place}), 0, {last});"));
            let mut from = here;
            from.splice(self.axis..self.axis + parts.rank, ["at".to_owned()]);
            let from = shader.element(&Place::whole(0, &x.strides), &from)?;
            shader.line(Put::Copy.statement(arguments[2].dtype, &to, &from));
            Some(shader.finish("take: a thread per element", caps))
        };
        way("elements", [launch()])
    }
}
