//! Sorting along an axis. Depends on `along` and `walk`.
//! Invariant: the order is stable and total: NaN comes last, equal elements keep their places.

use std::cmp::Ordering;
use std::sync::Arc;

use half::{bf16, f16};
use smallvec::{SmallVec, smallvec};

use super::super::axes::normalize_axis;
use super::super::movement::moveaxis;
use super::super::walk::{Chunks, Walk};
use super::along::take_along_axis;
use crate::backend::HostArguments;
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::plan::{Argument, Candidate, Caps, Structured};

/// Positions (int64) that sort `x` along `axis`; equal elements keep their order, NaN comes last.
///
/// # Errors
/// For an axis that does not exist.
pub fn argsort(x: &Tensor, axis: isize, descending: bool) -> Result<Tensor> {
    let axis = normalize_axis("argsort", axis, x.rank())? as isize;
    moveaxis(&apply(ArgSort { descending }, &[&moveaxis(x, axis, -1)?])?, -1, axis)
}

/// `x` sorted along `axis`; NaN comes last.
///
/// # Errors
/// For an axis that does not exist.
pub fn sort(x: &Tensor, axis: isize, descending: bool) -> Result<Tensor> {
    take_along_axis(x, &argsort(x, axis, descending)?, axis)
}

/// Sorts the last axis.
#[derive(Clone, Debug)]
struct ArgSort {
    descending: bool,
}

impl Op for ArgSort {
    fn name(&self) -> &'static str {
        "argsort"
    }
    fn key(&self, key: &mut Key) {
        key.number(u64::from(self.descending));
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![Meta::new(inputs[0].shape.clone(), DType::I64)])
    }
    fn vjp(&self, _cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        Ok(smallvec![None])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

/// Numbers with NaN as the largest.
trait Sortable: Copy {
    fn order(self, other: Self) -> Ordering;
    fn is_last(self) -> bool {
        false
    }
}

macro_rules! sortable {
    ($($integer:ty)*; $($float:ty)*) => {
        $(impl Sortable for $integer {
            fn order(self, other: Self) -> Ordering {
                self.cmp(&other)
            }
        })*
        $(impl Sortable for $float {
            fn order(self, other: Self) -> Ordering {
                self.partial_cmp(&other).unwrap_or(Ordering::Equal)
            }
            fn is_last(self) -> bool {
                self.is_nan()
            }
        })*
    };
}

sortable! { i8 i16 i32 i64 u8 u16 u32 u64; f16 bf16 f32 f64 }

/// Sorts one row of `values` by the positions in `row`.
fn sort_row<T: Sortable>(row: &mut [(T, i64)], descending: bool) {
    row.sort_unstable_by(|a, b| {
        let order = if descending { b.0.order(a.0) } else { a.0.order(b.0) };
        a.0.is_last().cmp(&b.0.is_last()).then(order).then(a.1.cmp(&b.1))
    });
}

impl ArgSort {
    fn run<T: Sortable>(&self, host: &HostArguments<'_>) {
        let [x, result] = host.arguments else { unreachable!("argsort has two arguments") };
        let (rank, size) = (x.layout.shape.rank(), size_of::<T>());
        let length = x.layout.shape[rank - 1];
        let (x_step, result_step) = (x.layout.strides[rank - 1], result.layout.strides[rank - 1]);
        // A comparison sort does about log₂ length passes.
        let passes = length.max(2).ilog2() as usize;
        let chunks = Chunks::along(&x.layout.shape, size * passes, |axis| axis + 1 != rank);
        (host.parallel)(chunks.count, &|chunk| {
            let to = chunks.at(chunk, result.data, &result.layout.strides, 8).cast::<i64>();
            let from = chunks.at(chunk, x.data, &x.layout.strides, size).cast::<T>();
            let mut row: Vec<(T, i64)> = Vec::with_capacity(length);
            let sizes = &chunks.shape(chunk)[..rank - 1];
            Walk::new(sizes, [&result.layout.strides[..rank - 1], &x.layout.strides[..rank - 1]]).each(|[put, at]| {
                row.clear();
                // SAFETY: rows lie inside the input, chunks are disjoint boxes of the result.
                unsafe {
                    row.extend((0..length as isize).map(|i| (from.offset(at + i * x_step).read_unaligned(), i as i64)));
                    sort_row(&mut row, self.descending);
                    for (i, (_, position)) in row.iter().enumerate() {
                        to.offset(put + i as isize * result_step).write_unaligned(*position);
                    }
                }
            });
        });
    }
}

impl Structured for ArgSort {
    fn name(&self) -> &'static str {
        "argsort"
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        match host.arguments[0].dtype {
            DType::I8 => self.run::<i8>(host),
            DType::I16 => self.run::<i16>(host),
            DType::I32 => self.run::<i32>(host),
            DType::I64 => self.run::<i64>(host),
            DType::U8 | DType::Bool => self.run::<u8>(host),
            DType::U16 => self.run::<u16>(host),
            DType::U32 => self.run::<u32>(host),
            DType::U64 => self.run::<u64>(host),
            DType::F16 => self.run::<f16>(host),
            DType::BF16 => self.run::<bf16>(host),
            DType::F32 => self.run::<f32>(host),
            DType::F64 => self.run::<f64>(host),
        }
        Ok(())
    }

    fn gpu(&self, _arguments: &[Argument], _caps: &Caps) -> Vec<Candidate> {
        Vec::new()
    }
}
