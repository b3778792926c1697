//! Rounding and wrapping of values in compute form to narrower dtypes. Depends on `loops`.
//! Invariant: rounding a value that already is of its dtype changes nothing.

use super::loops::{Splat, Stream, function, map, update};
use crate::code::Code;
use crate::dtype::DType;

/// Whether a function of values of a narrow dtype can have a result that is not of that dtype.
#[inline]
pub(super) const fn leaves_dtype(code: Code) -> bool {
    !matches!(
        code,
        Code::Sign
            | Code::Floor
            | Code::Ceil
            | Code::Round
            | Code::Trunc
            | Code::Maximum
            | Code::Minimum
            | Code::And
            | Code::Or
            | Code::Xor
            | Code::Shr
            | Code::Where
    )
}

/// The nearest float16 number, halves to even.
#[inline(always)]
pub(super) fn round_f16(x: f32) -> f32 {
    let a = x.abs();
    let bits = a.to_bits();
    // Ten of 23 mantissa bits stay.
    let normal = f32::from_bits((bits + 0xfff + (bits >> 13 & 1)) & !0x1fff);
    // Below 2⁻¹⁴ float16 counts in steps of 2⁻²⁴, which is how f32 counts between ½ and 1.
    let denormal = (a + 0.5) - 0.5;
    let finite = if a < 6.103_515_6e-5 { denormal } else { normal };
    let rounded = if a >= 65520.0 { f32::INFINITY } else { finite };
    if x.is_nan() { x } else { rounded.copysign(x) }
}

/// The nearest bfloat16 number, halves to even.
#[inline(always)]
pub(super) fn round_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = f32::from_bits((bits.wrapping_add(0x7fff + (bits >> 16 & 1))) & 0xffff_0000);
    // The carry would turn some NaNs into infinities.
    if x.is_nan() { f32::from_bits((bits | 0x40_0000) & 0xffff_0000) } else { rounded }
}

/// Rounds or wraps a tile of compute form, in place, to `dtype`; other dtypes than the narrow ones stay.
///
/// # Safety
/// `tile` holds n values of `dtype`'s compute type.
pub(super) unsafe fn round_tile(dtype: DType, n: usize, tile: *mut u8) {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller's promise is the callee's.
    if super::neon::available() && unsafe { super::neon::round(dtype, n, tile) } {
        return;
    }
    let floats = tile.cast::<f32>();
    let integers = tile.cast::<i32>();
    let longs = tile.cast::<i64>();
    // SAFETY: the caller's promise is the callee's; source and destination coincide.
    unsafe {
        match dtype {
            DType::F16 => map(n, floats, (Stream(floats),), function!(|x: f32| -> f32 { round_f16(x) })),
            DType::BF16 => map(n, floats, (Stream(floats),), function!(|x: f32| -> f32 { round_bf16(x) })),
            DType::I8 => {
                update(n, integers, Splat(0u8), function!(|x: i32, _unused: u8| -> i32 { i32::from(x as i8) }))
            }
            DType::I16 => {
                update(n, integers, Splat(0u8), function!(|x: i32, _unused: u8| -> i32 { i32::from(x as i16) }))
            }
            DType::U8 => update(n, integers, Splat(0u8), function!(|x: i32, _unused: u8| -> i32 { x & 0xff })),
            DType::U16 => update(n, integers, Splat(0u8), function!(|x: i32, _unused: u8| -> i32 { x & 0xffff })),
            DType::U32 => update(n, longs, Splat(0u8), function!(|x: i64, _unused: u8| -> i64 { x & 0xffff_ffff })),
            _ => {}
        }
    }
}
