//! Range checks of indices: at the call where the values are there, in the graph where they are not.
//! Depends on `graph` and `walk`. Invariant: what `checked` returns lies in `0..limit`, or its evaluation fails.

use smallvec::{SmallVec, smallvec};

use super::super::movement::same;
use super::super::walk::{Walk, read_index};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Pointwise, Storage, Tensor, Vjp, apply};

#[derive(Debug)]
struct Check {
    name: &'static str,
    limit: usize,
    wrap: bool,
}

impl Op for Check {
    fn name(&self) -> &'static str {
        self.name
    }
    fn key(&self, key: &mut Key) {
        key.text("check");
        key.number(self.limit as u64);
        key.number(u64::from(self.wrap));
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![inputs[0].clone()])
    }
    fn vjp(&self, _cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        Ok(smallvec![None])
    }
    fn lower(&self) -> Lowering {
        let context = self.name.to_owned();
        Lowering::Pointwise(Pointwise::Check { limit: self.limit, wrap: self.wrap, context })
    }
}

/// Integers in `0..limit`: `indices` themselves, or negative ones counted from the end where `wrap`.
///
/// # Errors
/// For dtypes other than integers, and for values out of range that are there to be seen.
pub(crate) fn checked(name: &'static str, indices: &Tensor, limit: usize, wrap: bool) -> Result<Tensor> {
    if !indices.dtype().is_integer() {
        return Err(Error::dtype(format!(
            "{name}: indices are {}, not integers. Convert with astype, for instance to int64.",
            indices.dtype()
        )));
    }
    let Some((low, high)) = indices.storage().and_then(|storage| range(storage, indices.dtype())) else {
        return apply(Check { name, limit, wrap }, &[indices]);
    };
    let floor = if wrap { -(limit as i64) } else { 0 };
    for value in [low, high] {
        if low <= high && (value < floor || value >= limit as i64) {
            return Err(out_of_range(name, value, limit));
        }
    }
    if low < 0 { apply(Check { name, limit, wrap }, &[indices]) } else { same(indices) }
}

/// The error for an index outside its axis.
pub(crate) fn out_of_range(name: &str, index: i64, limit: usize) -> Error {
    Error::index(format!("{name}: index {index} is out of range for size {limit}. Use indices below {limit}."))
}

/// Smallest and largest of integers that the processor can read; (0, −1) of none.
fn range(storage: &Storage, dtype: DType) -> Option<(i64, i64)> {
    let layout = &storage.layout;
    if layout.shape.elements() == 0 {
        return Some((0, -1));
    }
    let base = storage.buffer.host()?.wrapping_offset(layout.offset * dtype.size() as isize);
    let (mut low, mut high) = (i64::MAX, i64::MIN);
    Walk::new(&layout.shape, &layout.strides, &layout.strides).each(|at, _| {
        // SAFETY: a storage's layout stays inside its buffer, whose values are written before it becomes a storage.
        let value = unsafe { read_index(dtype, base.offset(at * dtype.size() as isize)) };
        (low, high) = (low.min(value), high.max(value));
    });
    Some((low, high))
}
