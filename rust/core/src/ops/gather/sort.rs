//! Sorting along an axis. Depends on `along` and `walk`.
//! Invariant: the order is stable and total: NaN comes last, equal elements keep their places.

use std::sync::Arc;

use half::{bf16, f16};
use smallvec::{SmallVec, smallvec};

use super::super::axes::normalize_axis;
use super::super::movement::moveaxis;
use super::super::operand::default_integer;
use super::super::pointwise::astype;
use super::super::shader::{Place, Shader, way};
use super::super::walk::{Chunks, Walk};
use super::along::take_along_axis;
use crate::backend::HostArguments;
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::plan::{Argument, Candidate, Caps, Structured};
use crate::wgsl::Type;

/// Positions (int64) that sort `x` along `axis`; equal elements keep their order, NaN comes last.
///
/// # Errors
/// For an axis that does not exist.
pub fn argsort(x: &Tensor, axis: isize, descending: bool) -> Result<Tensor> {
    let axis = normalize_axis("argsort", axis, x.rank())? as isize;
    let order = apply(ArgSort { descending }, &[&moveaxis(x, axis, -1)?])?;
    moveaxis(&astype(&order, default_integer(x.device()))?, -1, axis)
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

/// Numbers with a key in the same order.
trait Sortable: Copy {
    /// Bits of the key.
    const WIDTH: u32;
    /// The key; NaN has the largest, both zeros have one.
    fn key(self) -> u64;
    /// Whether it comes last in either direction.
    fn is_last(self) -> bool {
        false
    }
}

macro_rules! sortable {
    (unsigned $($type:ty)*) => {
        $(impl Sortable for $type {
            const WIDTH: u32 = <$type>::BITS;
            fn key(self) -> u64 {
                self.into()
            }
        })*
    };
    (signed $($type:ty, $unsigned:ty;)*) => {
        $(impl Sortable for $type {
            const WIDTH: u32 = <$type>::BITS;
            fn key(self) -> u64 {
                (self as $unsigned ^ (1 << (Self::WIDTH - 1))).into()
            }
        })*
    };
    (float $($type:ty, $unsigned:ty, $zero:expr;)*) => {
        $(impl Sortable for $type {
            const WIDTH: u32 = <$unsigned>::BITS;
            fn key(self) -> u64 {
                let sign = 1 << (Self::WIDTH - 1);
                let bits = if self == $zero { 0 } else { self.to_bits() };
                // Negative numbers run backwards, below the positive ones.
                let key: $unsigned = if bits & sign != 0 { !bits } else { bits | sign };
                if self.is_nan() { <$unsigned>::MAX.into() } else { key.into() }
            }
            fn is_last(self) -> bool {
                self.is_nan()
            }
        })*
    };
}

sortable! { unsigned u8 u16 u32 u64 }
sortable! { signed i8, u8; i16, u16; i32, u32; i64, u64; }
sortable! { float f16, u16, f16::ZERO; bf16, u16, bf16::ZERO; f32, u32, 0.0; f64, u64, 0.0; }

impl ArgSort {
    /// The key of a stored element as a `u32` expression: as `key`, in 32 bits.
    fn shader_key(&self, dtype: DType, element: &str) -> Option<String> {
        let key = match Type::of(dtype)? {
            Type::Bool | Type::U32 => element.to_owned(),
            Type::I32 => format!("(bitcast<u32>({element}) ^ 0x80000000u)"),
            Type::F32 => return Some(format!("sort_key(bitcast<u32>({element}), {}u)", u32::from(self.descending))),
        };
        Some(if self.descending { format!("(0xffffffffu - {key})") } else { key })
    }

    /// The key in the order asked for; what comes last does so in both.
    fn key<T: Sortable>(&self, value: T) -> u64 {
        let largest = u64::MAX >> (64 - T::WIDTH);
        if self.descending && !value.is_last() { largest - value.key() } else { value.key() }
    }

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
            let sizes = &chunks.shape(chunk)[..rank - 1];
            // Key and position as one number: equal keys stay in order, and comparing is one instruction.
            let (mut narrow, mut wide): (Vec<u64>, Vec<u128>) = (Vec::new(), Vec::new());
            Walk::new(sizes, [&result.layout.strides[..rank - 1], &x.layout.strides[..rank - 1]]).each(|[put, at]| {
                // SAFETY: rows lie inside the input.
                let key = |i: usize| self.key(unsafe { from.offset(at + i as isize * x_step).read_unaligned() });
                // SAFETY: chunks are disjoint boxes of the result.
                let write = |i: usize, position: i64| unsafe {
                    to.offset(put + i as isize * result_step).write_unaligned(position);
                };
                if T::WIDTH <= 32 && u32::try_from(length).is_ok() {
                    narrow.clear();
                    narrow.extend((0..length).map(|i| (key(i) << 32) | i as u64));
                    narrow.sort_unstable();
                    narrow.iter().enumerate().for_each(|(i, entry)| write(i, i64::from(*entry as u32)));
                } else {
                    wide.clear();
                    wide.extend((0..length).map(|i| (u128::from(key(i)) << 64) | i as u128));
                    wide.sort_unstable();
                    wide.iter().enumerate().for_each(|(i, entry)| write(i, *entry as i64));
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

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        let [x, result] = [0, 1].map(|argument| &arguments[argument].layout);
        let rank = x.shape.rank();
        let dtype = arguments[0].dtype;
        let launch = || {
            // Each thread counts the elements that come before its own: its position.
            let mut shader = Shader::new(arguments, &x.shape);
            let here = shader.here.clone();
            let length = shader.number(x.shape[rank - 1]);
            let own = shader.element(&Place::whole(0, &x.strides), false, &here)?;
            let mut there = here.clone();
            there[rank - 1] = "other".to_owned();
            let other = shader.element(&Place::whole(0, &x.strides), false, &there)?;
            shader.line(format!("let own = {};", self.shader_key(dtype, &own)?));
            shader.line("var before = 0;");
            shader.line(format!("for (var other = 0; other < {length}; other = other + 1) {{"));
            shader.line(format!("let key = {};", self.shader_key(dtype, &other)?));
            shader.line(format!("let first = key < own || (key == own && other < {});", here[rank - 1]));
            shader.line("before = before + select(0, 1, first);");
            shader.line("}");
            there[rank - 1] = "before".to_owned();
            let to = shader.element(&Place::whole(1, &result.strides), true, &there)?;
            shader.line(format!("{to} = {};", here[rank - 1]));
            Some(shader.finish("argsort: a thread per element", caps))
        };
        way("ranks", [launch()])
    }
}
