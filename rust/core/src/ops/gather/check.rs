//! Range checks of indices: at the call where the values are there, in the graph where they are not.
//! Depends on `graph`, `walk` and `kit`. Invariant: what `checked` returns lies in `0..limit`, or its evaluation fails.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use smallvec::{SmallVec, smallvec};

use super::super::expr::Expr;
use super::super::movement::same;
use super::super::operand::Operand;
use super::super::pointwise::{binary, where_};
use super::super::walk::{Walk, read_index};
use crate::backend::HostPointer;
use crate::code::{Code, Fold};
use crate::dtype::{Compute, DType};
use crate::error::{Error, Result};
use crate::graph::{
    Cotangent, Key, Lowering, Meta, Op, Pointwise, Storage, Tensor, Vjp, apply, current_scope, recording, scope_name,
};
use crate::kit::threads::parallel;
use crate::kit::tiles::{BLOCK, fold_block};

#[derive(Debug)]
struct Check {
    name: &'static str,
    limit: usize,
    wrap: bool,
    /// The module path in force at the call, for the message.
    scope: String,
}

impl Check {
    fn new(name: &'static str, limit: usize, wrap: bool) -> Self {
        Self { name, limit, wrap, scope: scope_name(current_scope()) }
    }
}

impl Op for Check {
    fn name(&self) -> &'static str {
        self.name
    }
    fn key(&self, key: &mut Key) {
        key.text("check");
        key.number(self.limit as u64);
        key.number(u64::from(self.wrap));
        key.text(&self.scope);
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![inputs[0].clone()])
    }
    fn vjp(&self, _cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        Ok(smallvec![None])
    }
    fn lower(&self) -> Lowering {
        let context =
            if self.scope.is_empty() { self.name.to_owned() } else { format!("{}: {}", self.scope, self.name) };
        Lowering::Pointwise(Pointwise::Check { limit: self.limit, wrap: self.wrap, context })
    }
}

/// The integer dtype in which labels are compared with class numbers: 32 bits where they hold every label.
pub(crate) fn label_dtype(dtype: DType) -> DType {
    if dtype.compute() == Compute::I32 { DType::I32 } else { DType::I64 }
}

/// Integers in `0..limit`: `indices` themselves, or negative ones counted from the end where `wrap`.
/// Entries equal to `except` (an ignored label) are let through as they are.
///
/// # Errors
/// For dtypes other than integers, and for values out of range that are there to be seen.
pub(crate) fn checked(
    name: &'static str,
    indices: &Tensor,
    limit: usize,
    wrap: bool,
    except: Option<i64>,
) -> Result<Tensor> {
    if !indices.dtype().is_integer() {
        return Err(Error::dtype(format!(
            "{name}: indices are {}, not integers. Convert with astype, for instance to int64.",
            indices.dtype()
        )));
    }
    // Another replay of a recording has other values.
    let there = indices.storage().filter(|_| !recording());
    if let Some((low, high)) = there.and_then(|storage| storage.buffer.integers())
        && low >= 0
        && high < limit as i64
    {
        return same(indices);
    }
    let Some((low, high)) = there.and_then(|storage| range(storage, indices.dtype(), except)) else {
        return checked_later(name, indices, limit, wrap, except);
    };
    let floor = if wrap { -(limit as i64) } else { 0 };
    for value in [low, high] {
        if low <= high && (value < floor || value >= limit as i64) {
            return Err(out_of_range(name, value, limit));
        }
    }
    if low < 0 && low <= high { checked_later(name, indices, limit, wrap, except) } else { same(indices) }
}

/// The check as part of the graph.
fn checked_later(
    name: &'static str,
    indices: &Tensor,
    limit: usize,
    wrap: bool,
    except: Option<i64>,
) -> Result<Tensor> {
    let Some(label) = except else { return apply(Check::new(name, limit, wrap), &[indices]) };
    let representable = indices.dtype().integer_range().is_some_and(|(low, high)| (low..=high).contains(&label.into()));
    if !representable {
        return apply(Check::new(name, limit, wrap), &[indices]);
    }
    let ignored = Expr::from(indices).then(|x| binary(Code::Equal, &x.into(), &label.into()));
    let zero = Operand::from(0i64);
    let safe = ignored.then(|ignored| where_(ignored, &zero, &indices.into())).done()?;
    let safe = apply(Check::new(name, limit, wrap), &[&safe])?;
    ignored.then(|ignored| where_(ignored, &indices.into(), &Operand::from(&safe))).done()
}

/// The error for an index outside its axis.
pub(crate) fn out_of_range(name: &str, index: i64, limit: usize) -> Error {
    Error::index(format!("{name}: index {index} is out of range for size {limit}. Use indices below {limit}."))
}

/// Elements of a part of a search for the smallest and largest.
const PART: usize = 1 << 16;

/// Smallest and largest of integers that the processor can read, `except` left out; (0, −1) of none.
fn range(storage: &Storage, dtype: DType, except: Option<i64>) -> Option<(i64, i64)> {
    let layout = &storage.layout;
    if layout.shape.elements() == 0 {
        return Some((0, -1));
    }
    let base = storage.buffer.host()?.wrapping_offset(layout.offset * dtype.size() as isize);
    let walk = Walk::new(&layout.shape, [&layout.strides]);
    if let (Some((length, [1])), DType::I32 | DType::I64, None) = (walk.single_run(), dtype, except) {
        return Some(range_of_run(HostPointer(base), dtype, length));
    }
    let (mut low, mut high) = (i64::MAX, i64::MIN);
    walk.each(|[at]| {
        // SAFETY: a storage's layout stays inside its buffer, whose values are written before it becomes a storage.
        let value = unsafe { read_index(dtype, base.offset(at * dtype.size() as isize)) };
        if Some(value) != except {
            (low, high) = (low.min(value), high.max(value));
        }
    });
    Some(if low > high { (0, -1) } else { (low, high) })
}

/// Smallest and largest of neighbours in memory, int32 or int64.
fn range_of_run(base: HostPointer, dtype: DType, length: usize) -> (i64, i64) {
    let (low, high) = (AtomicI64::new(i64::MAX), AtomicI64::new(i64::MIN));
    let base = &base;
    parallel(length.div_ceil(PART), &|part| {
        let last = ((part + 1) * PART).min(length);
        for first in (part * PART..last).step_by(BLOCK) {
            let count = BLOCK.min(last - first);
            // SAFETY: the caller's memory holds the block.
            let [least, most] = [Fold::Min, Fold::Max]
                .map(|fold| unsafe { fold_block(fold, dtype, count, base.0.add(first * dtype.size())) } as i64);
            low.fetch_min(least, Relaxed);
            high.fetch_max(most, Relaxed);
        }
    });
    (low.into_inner(), high.into_inner())
}
