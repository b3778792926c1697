//! Loads from storage to compute form and stores back, contiguous or strided. Depends on `loops` and `rounding`.
//! Invariant: a load followed by a store of the same dtype leaves the bytes as they were (bool: normalised to 0 and 1).

use super::loops::{Function, Source, Stream, function, map};
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::number::Number;
use super::rounding::{round_bf16, round_f16};
use crate::dtype::DType;
use crate::kit::simd::PortableMachine;

/// The value of float16 bits, exactly.
#[inline(always)]
pub(super) fn from_f16(half: u16) -> f32 {
    let bits = u32::from(half);
    // With the exponent bias corrected by a multiplication, denormals come out right too.
    let size = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
    let special = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(size.to_bits() | special | (bits & 0x8000) << 16)
}

/// The float16 bits of a value, rounded to nearest.
#[inline(always)]
pub(super) fn to_f16(x: f32) -> u16 {
    let rounded = round_f16(x);
    let a = rounded.abs();
    let normal = (a.to_bits() >> 13).wrapping_sub(112 << 10);
    // Steps of 2⁻²⁴ stand in the low bits once ½ is added.
    let denormal = (a + 0.5).to_bits() & 0x7ff;
    let finite = if a < 6.103_515_6e-5 { denormal } else { normal };
    let special = if x.is_nan() { 0x7e00 | (x.to_bits() >> 13 & 0x3ff) } else { 0x7c00 };
    let size = if a < f32::INFINITY { finite } else { special };
    (size | x.to_bits() >> 16 & 0x8000) as u16
}

/// `dst[i] = function(src[i · stride])`.
unsafe fn gather<T: Number, F: Function<(T,)>>(n: usize, src: *const u8, stride: isize, dst: *mut F::Output, f: F) {
    let src: *const T = src.cast();
    // SAFETY: the caller vouches for n elements at this stride, and for dst.
    unsafe {
        if stride == 1 {
            return map(n, dst, (Stream(src),), f);
        }
        for i in 0..n {
            let item = (src.offset(i as isize * stride).read_unaligned(),);
            dst.add(i).write_unaligned(F::apply::<PortableMachine>(item));
        }
    }
}

/// `dst[i · stride] = function(src[i])`.
unsafe fn scatter<T: Number, F: Function<(T,)>>(n: usize, src: *const u8, dst: *mut F::Output, stride: isize, f: F) {
    let source = (Stream(src.cast::<T>()),);
    // SAFETY: the caller vouches for n elements at this stride, and for src.
    unsafe {
        if stride == 1 {
            return map(n, dst, source, f);
        }
        for i in 0..n {
            dst.offset(i as isize * stride).write_unaligned(F::apply::<PortableMachine>(source.at(i)));
        }
    }
}

/// Copies values of storage form, `stride` elements apart, to compute form.
///
/// # Safety
/// `src` has `n` elements of `dtype` at that stride; `dst` has room for `n` values of its compute type and does not overlap `src`.
pub unsafe fn load(dtype: DType, n: usize, src: *const u8, stride: isize, dst: *mut u8) {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller's promises are the callee's.
    if stride == 1 && neon::available() && unsafe { neon::load(dtype, n, src, dst) } {
        return;
    }
    // SAFETY: the caller's promises are the callees'.
    unsafe {
        match dtype {
            DType::Bool => gather(n, src, stride, dst, function!(|x: u8| -> u8 { u8::from(x != 0) })),
            DType::I8 => gather(n, src, stride, dst.cast(), function!(|x: i8| -> i32 { i32::from(x) })),
            DType::I16 => gather(n, src, stride, dst.cast(), function!(|x: i16| -> i32 { i32::from(x) })),
            DType::U8 => gather(n, src, stride, dst.cast(), function!(|x: u8| -> i32 { i32::from(x) })),
            DType::U16 => gather(n, src, stride, dst.cast(), function!(|x: u16| -> i32 { i32::from(x) })),
            DType::U32 => gather(n, src, stride, dst.cast(), function!(|x: u32| -> i64 { i64::from(x) })),
            DType::F16 => gather(n, src, stride, dst.cast(), function!(|x: u16| -> f32 { from_f16(x) })),
            DType::BF16 => {
                gather(n, src, stride, dst.cast(), function!(|x: u16| -> f32 { f32::from_bits(u32::from(x) << 16) }));
            }
            DType::I32 | DType::F32 => gather(n, src, stride, dst.cast(), function!(|x: u32| -> u32 { x })),
            DType::I64 | DType::U64 | DType::F64 => {
                gather(n, src, stride, dst.cast(), function!(|x: u64| -> u64 { x }))
            }
        }
    }
}

/// Copies values of compute form to storage form, `stride` elements apart; floats are rounded, integers wrapped.
///
/// # Safety
/// `src` has `n` values of the compute type of `dtype`; `dst` has room for `n` elements at that stride and does not overlap `src`.
pub unsafe fn store(dtype: DType, n: usize, src: *const u8, dst: *mut u8, stride: isize) {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller's promises are the callee's.
    if stride == 1 && neon::available() && unsafe { neon::store(dtype, n, src, dst) } {
        return;
    }
    // SAFETY: the caller's promises are the callees'.
    unsafe {
        match dtype {
            DType::Bool => scatter(n, src, dst, stride, function!(|x: u8| -> u8 { x })),
            DType::I8 | DType::U8 => scatter(n, src, dst, stride, function!(|x: i32| -> u8 { x as u8 })),
            DType::I16 | DType::U16 => scatter(n, src, dst.cast(), stride, function!(|x: i32| -> u16 { x as u16 })),
            DType::U32 => scatter(n, src, dst.cast(), stride, function!(|x: i64| -> u32 { x as u32 })),
            DType::F16 => scatter(n, src, dst.cast(), stride, function!(|x: f32| -> u16 { to_f16(x) })),
            DType::BF16 => {
                scatter(
                    n,
                    src,
                    dst.cast(),
                    stride,
                    function!(|x: f32| -> u16 { (round_bf16(x).to_bits() >> 16) as u16 }),
                );
            }
            DType::I32 | DType::F32 => scatter(n, src, dst.cast(), stride, function!(|x: u32| -> u32 { x })),
            DType::I64 | DType::U64 | DType::F64 => {
                scatter(n, src, dst.cast(), stride, function!(|x: u64| -> u64 { x }))
            }
        }
    }
}
