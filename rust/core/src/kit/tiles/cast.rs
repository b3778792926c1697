//! Conversions between dtypes, both in compute form. Depends on `loops` and `rounding`.
//! Invariant: float → integer truncates and saturates, NaN gives 0; integer → integer wraps; to bool is `!= 0`; to float rounds once.

use super::loops::{Splat, Stream, function, map, update};
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::rounding::round_tile;
use crate::dtype::{Compute, DType, narrow_to_odd};

/// Limits a tile of saturated integers to a narrower dtype's range, in place.
unsafe fn saturate(dtype: DType, n: usize, tile: *mut u8) {
    let integers = tile.cast::<i32>();
    let longs = tile.cast::<i64>();
    // SAFETY: the caller owns n values of the dtype's compute type.
    unsafe {
        match dtype {
            DType::I8 => {
                update(n, integers, Splat(0u8), function!(|x: i32, _unused: u8| -> i32 { x.clamp(-128, 127) }))
            }
            DType::I16 => {
                update(n, integers, Splat(0u8), function!(|x: i32, _unused: u8| -> i32 { x.clamp(-32768, 32767) }))
            }
            DType::U8 => update(n, integers, Splat(0u8), function!(|x: i32, _unused: u8| -> i32 { x.clamp(0, 0xff) })),
            DType::U16 => {
                update(n, integers, Splat(0u8), function!(|x: i32, _unused: u8| -> i32 { x.clamp(0, 0xffff) }))
            }
            DType::U32 => {
                update(n, longs, Splat(0u8), function!(|x: i64, _unused: u8| -> i64 { x.clamp(0, 0xffff_ffff) }))
            }
            _ => {}
        }
    }
}

/// One conversion between compute types.
macro_rules! convert {
    ($n:expr, $dst:expr, $src:expr, |$x:ident: $from:ty| -> $to:ty $body:block) => {
        map($n, $dst.cast::<$to>(), (Stream($src.cast::<$from>()),), function!(|$x: $from| -> $to $body))
    };
}

/// A float as `as i32` converts it, in a form that becomes vector code.
macro_rules! saturated {
    ($x:expr, $float:ty) => {{
        let (x, end) = ($x, 2_147_483_648.0 as $float);
        // NaN fails the first comparison and becomes 0, like what is too large and replaced below.
        let bounded = if x < end { x } else { 0.0 };
        let bounded = if bounded < -end { -end } else { bounded };
        // SAFETY: the bounded value is a number in [−2³¹, 2³¹).
        let integer = unsafe { bounded.to_int_unchecked::<i32>() };
        if x >= end { i32::MAX } else { integer }
    }};
}

/// Converts n values from one dtype to another, both in compute form; the result is a value of `to`.
///
/// # Safety
/// `src` and `dst` hold `n` values of the compute types of `from` and `to`; they coincide only where those are of equal size (or `to`'s
/// smaller), and otherwise do not overlap.
pub unsafe fn cast(from: DType, to: DType, n: usize, dst: *mut u8, src: *const u8) {
    // SAFETY: the caller's promises are the callees'.
    unsafe {
        if from == DType::F64 && matches!(to, DType::F16 | DType::BF16) {
            convert!(n, dst, src, |x: f64| -> f32 { narrow_to_odd(x) });
            return round_tile(to, n, dst);
        }
        match (from.compute(), to.compute()) {
            (a, b) if a == b => std::ptr::copy(src, dst, n * super::number::compute_size(a)),
            (Compute::Mask, Compute::I32) => convert!(n, dst, src, |x: u8| -> i32 { i32::from(x) }),
            (Compute::Mask, Compute::I64 | Compute::U64) => convert!(n, dst, src, |x: u8| -> i64 { i64::from(x) }),
            (Compute::Mask, Compute::F32) => convert!(n, dst, src, |x: u8| -> f32 { f32::from(x) }),
            (Compute::Mask, _) => convert!(n, dst, src, |x: u8| -> f64 { f64::from(x) }),
            (Compute::I32, Compute::Mask) => convert!(n, dst, src, |x: i32| -> u8 { u8::from(x != 0) }),
            (Compute::I32, Compute::F32) => convert!(n, dst, src, |x: i32| -> f32 { x as f32 }),
            (Compute::I32, Compute::F64) => convert!(n, dst, src, |x: i32| -> f64 { f64::from(x) }),
            (Compute::I32, _) => convert!(n, dst, src, |x: i32| -> i64 { i64::from(x) }),
            (Compute::I64 | Compute::U64, Compute::Mask) => convert!(n, dst, src, |x: u64| -> u8 { u8::from(x != 0) }),
            (Compute::I64 | Compute::U64, Compute::I32) => convert!(n, dst, src, |x: u64| -> i32 { x as i32 }),
            (Compute::I64, Compute::F32) => convert!(n, dst, src, |x: i64| -> f32 { x as f32 }),
            (Compute::I64, Compute::F64) => convert!(n, dst, src, |x: i64| -> f64 { x as f64 }),
            (Compute::U64, Compute::F32) => convert!(n, dst, src, |x: u64| -> f32 { x as f32 }),
            (Compute::U64, Compute::F64) => convert!(n, dst, src, |x: u64| -> f64 { x as f64 }),
            (Compute::I64 | Compute::U64, _) => std::ptr::copy(src, dst, n * 8),
            (Compute::F32, Compute::Mask) => convert!(n, dst, src, |x: f32| -> u8 { u8::from(x != 0.0) }),
            #[cfg(target_arch = "aarch64")]
            (Compute::F32, Compute::I32) if neon::available() => neon::i32_of_f32(n, src.cast(), dst.cast()),
            #[cfg(target_arch = "aarch64")]
            (Compute::F64, Compute::I32) if neon::available() => neon::i32_of_f64(n, src.cast(), dst.cast()),
            (Compute::F32, Compute::I32) => convert!(n, dst, src, |x: f32| -> i32 { saturated!(x, f32) }),
            (Compute::F32, Compute::I64) => convert!(n, dst, src, |x: f32| -> i64 { x as i64 }),
            (Compute::F32, Compute::U64) => convert!(n, dst, src, |x: f32| -> u64 { x as u64 }),
            (Compute::F32, _) => convert!(n, dst, src, |x: f32| -> f64 { f64::from(x) }),
            (Compute::F64, Compute::Mask) => convert!(n, dst, src, |x: f64| -> u8 { u8::from(x != 0.0) }),
            (Compute::F64, Compute::I32) => convert!(n, dst, src, |x: f64| -> i32 { saturated!(x, f64) }),
            (Compute::F64, Compute::I64) => convert!(n, dst, src, |x: f64| -> i64 { x as i64 }),
            (Compute::F64, Compute::U64) => convert!(n, dst, src, |x: f64| -> u64 { x as u64 }),
            (Compute::F64, _) => convert!(n, dst, src, |x: f64| -> f32 { x as f32 }),
        }
        if from.is_float() && !to.is_float() {
            saturate(to, n, dst);
        } else {
            round_tile(to, n, dst);
        }
    }
}
