//! Loops over tiles that no compiler finds, by NEON: 16-bit floats by the instructions that convert them, integers by those that saturate.
//! Depends on `simd` and the vocabulary. Invariant: results are those of the loops in `convert`, `rounding` and `cast`, but for the
//! payload of NaN; a tile may be its own source, where what is written is as narrow as what is read or narrower.

use std::arch::aarch64::*;

use crate::dtype::DType;
use crate::kit::simd::{Path, path};

/// Elements at a time: four registers of floats.
const STEP: usize = 16;

/// Whether these loops may run.
#[inline]
pub(super) fn available() -> bool {
    path() == Path::Neon
}

/// Runs `step` on 16 elements after 16, the last of them in a copy.
#[inline(always)]
unsafe fn each<A: Copy + Default, B: Copy + Default>(
    n: usize,
    src: *const A,
    dst: *mut B,
    step: impl Fn(*const A, *mut B),
) {
    let whole = n / STEP * STEP;
    for first in (0..whole).step_by(STEP) {
        step(src.wrapping_add(first), dst.wrapping_add(first));
    }
    let rest = n - whole;
    if rest > 0 {
        let (mut from, mut to) = ([A::default(); STEP], [B::default(); STEP]);
        // SAFETY: the caller vouches for n elements of both; addresses need no alignment.
        unsafe {
            let bytes = rest * size_of::<A>();
            std::ptr::copy_nonoverlapping(src.add(whole).cast::<u8>(), from.as_mut_ptr().cast::<u8>(), bytes);
            step(from.as_ptr(), to.as_mut_ptr());
            let bytes = rest * size_of::<B>();
            std::ptr::copy_nonoverlapping(to.as_ptr().cast::<u8>(), dst.add(whole).cast::<u8>(), bytes);
        }
    }
}

/// The four registers of 16 floats.
#[inline(always)]
unsafe fn floats(from: *const f32) -> [float32x4_t; 4] {
    // SAFETY: the caller vouches for 16 elements.
    [0, 4, 8, 12].map(|i| unsafe { vld1q_f32(from.add(i)) })
}

/// Two registers of float16 bits, rounded to nearest.
#[inline(always)]
unsafe fn narrow_f16(x: [float32x4_t; 4]) -> [uint16x8_t; 2] {
    // SAFETY: NEON belongs to the path.
    [0, 2].map(|i| unsafe { vreinterpretq_u16_f16(vcombine_f16(vcvt_f16_f32(x[i]), vcvt_f16_f32(x[i + 1]))) })
}

/// The values of float16 bits.
#[inline(always)]
unsafe fn wide_f16(x: [uint16x8_t; 2]) -> [float32x4_t; 4] {
    // SAFETY: NEON belongs to the path.
    unsafe {
        let [a, b] = x.map(|bits| vreinterpretq_f16_u16(bits));
        [
            vcvt_f32_f16(vget_low_f16(a)),
            vcvt_f32_f16(vget_high_f16(a)),
            vcvt_f32_f16(vget_low_f16(b)),
            vcvt_f32_f16(vget_high_f16(b)),
        ]
    }
}

/// The bits of the nearest bfloat16 numbers, halves to even, in the upper halves; the lower ones are not cleared.
#[inline(always)]
unsafe fn nearest_bf16(x: float32x4_t) -> uint32x4_t {
    // SAFETY: NEON belongs to the path.
    unsafe {
        let bits = vreinterpretq_u32_f32(x);
        let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
        let rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
        // The carry would turn some NaN into infinities.
        vbslq_u32(vceqq_f32(x, x), rounded, vorrq_u32(bits, vdupq_n_u32(0x40_0000)))
    }
}

/// As `convert::load` of adjacent elements, if there is a loop for the dtype; says whether there is.
///
/// # Safety
/// As there; the path is `Neon`.
pub(super) unsafe fn load(dtype: DType, n: usize, src: *const u8, dst: *mut u8) -> bool {
    // SAFETY: the caller vouches for n elements of both; each step touches 16.
    unsafe {
        match dtype {
            DType::F16 => each(n, src.cast::<u16>(), dst.cast::<f32>(), |src, dst| {
                let values = wide_f16([vld1q_u16(src), vld1q_u16(src.add(8))]);
                for (i, value) in values.into_iter().enumerate() {
                    vst1q_f32(dst.add(4 * i), value);
                }
            }),
            DType::BF16 => each(n, src.cast::<u16>(), dst.cast::<f32>(), |src, dst| {
                let zero = vdupq_n_u16(0);
                for half in [0, 8] {
                    let bits = vld1q_u16(src.add(half));
                    // Zeros below the bits.
                    vst1q_f32(dst.add(half), vreinterpretq_f32_u16(vzip1q_u16(zero, bits)));
                    vst1q_f32(dst.add(half + 4), vreinterpretq_f32_u16(vzip2q_u16(zero, bits)));
                }
            }),
            _ => return false,
        }
    }
    true
}

/// As `convert::store` of adjacent elements, likewise.
///
/// # Safety
/// As there; the path is `Neon`.
pub(super) unsafe fn store(dtype: DType, n: usize, src: *const u8, dst: *mut u8) -> bool {
    // SAFETY: as in `load`.
    unsafe {
        match dtype {
            DType::F16 => each(n, src.cast::<f32>(), dst.cast::<u16>(), |src, dst| {
                let [a, b] = narrow_f16(floats(src));
                vst1q_u16(dst, a);
                vst1q_u16(dst.add(8), b);
            }),
            DType::BF16 => each(n, src.cast::<f32>(), dst.cast::<u16>(), |src, dst| {
                let [a, b, c, d] = floats(src).map(|x| vreinterpretq_u16_u32(nearest_bf16(x)));
                // The upper halves.
                vst1q_u16(dst, vuzp2q_u16(a, b));
                vst1q_u16(dst.add(8), vuzp2q_u16(c, d));
            }),
            _ => return false,
        }
    }
    true
}

/// As `rounding::round_tile`, likewise.
///
/// # Safety
/// As there; the path is `Neon`.
pub(super) unsafe fn round(dtype: DType, n: usize, tile: *mut u8) -> bool {
    let tile = tile.cast::<f32>();
    // SAFETY: as in `load`; a step has read its elements before it writes them.
    unsafe {
        match dtype {
            DType::F16 => each(n, tile.cast_const(), tile, |src, dst| {
                for (i, value) in wide_f16(narrow_f16(floats(src))).into_iter().enumerate() {
                    vst1q_f32(dst.add(4 * i), value);
                }
            }),
            DType::BF16 => each(n, tile.cast_const(), tile, |src, dst| {
                for (i, x) in floats(src).into_iter().enumerate() {
                    let bits = vandq_u32(nearest_bf16(x), vdupq_n_u32(0xffff_0000));
                    vst1q_f32(dst.add(4 * i), vreinterpretq_f32_u32(bits));
                }
            }),
            _ => return false,
        }
    }
    true
}

/// f32 → i32, truncated and saturated; NaN gives 0.
///
/// # Safety
/// `src` and `dst` hold n elements, and coincide or are apart; the path is `Neon`.
pub(super) unsafe fn i32_of_f32(n: usize, src: *const f32, dst: *mut i32) {
    // SAFETY: as in `round`.
    unsafe {
        each(n, src, dst, |src, dst| {
            for (i, x) in floats(src).into_iter().enumerate() {
                vst1q_s32(dst.add(4 * i), vcvtq_s32_f32(x));
            }
        });
    }
}

/// f64 → i32, likewise: to 64 bits, and from there.
///
/// # Safety
/// As `i32_of_f32`.
pub(super) unsafe fn i32_of_f64(n: usize, src: *const f64, dst: *mut i32) {
    // SAFETY: as in `round`: what a step writes lies before what the next one reads.
    unsafe {
        each(n, src, dst, |src, dst| {
            let pairs = [0, 2, 4, 6, 8, 10, 12, 14].map(|i| vqmovn_s64(vcvtq_s64_f64(vld1q_f64(src.add(i)))));
            for (i, pair) in pairs.into_iter().enumerate() {
                vst1_s32(dst.add(2 * i), pair);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::convert::{from_f16, to_f16};
    use super::super::rounding::{round_bf16, round_f16};
    use super::*;

    /// Numbers of every exponent, of both signs, at and beside the halves of 16-bit floats, and what is no number.
    fn numbers() -> Vec<f32> {
        let ends = [0, 1, 0xfff, 0x1000, 0x1001, 0x1fff, 0x2000, 0x3000, 0x7fff, 0x8000, 0x8001, 0x1_8000, 0x7f_ffff];
        let parts = ends.into_iter().chain((0..40).map(|i| i * 209_719 % 0x80_0000));
        let signs = |bits: u32| [bits, bits | 1 << 31];
        parts
            .flat_map(|part| (0..256).map(move |exponent| exponent << 23 | part))
            .flat_map(signs)
            .map(f32::from_bits)
            .collect()
    }

    /// Equal bits, or both no numbers.
    fn check(found: f32, expected: f32, of: f32) {
        assert!(
            found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
            "{of}: {found}, {expected}"
        );
    }

    #[test]
    fn every_16_bit_float_is_read() {
        let bits: Vec<u16> = (0..=u16::MAX).collect();
        for n in [1, 15, 16, 17, 1 << 16] {
            let of = &bits[bits.len() - n..];
            for (dtype, value) in
                [(DType::F16, from_f16 as fn(u16) -> f32), (DType::BF16, |bits| f32::from_bits(u32::from(bits) << 16))]
            {
                let mut found = vec![1.5f32; n + 1];
                // SAFETY: the vectors hold n elements.
                assert!(unsafe { load(dtype, n, of.as_ptr().cast(), found.as_mut_ptr().cast()) });
                for (&bits, &found) in of.iter().zip(&found) {
                    check(found, value(bits), value(bits));
                }
                assert_eq!(found[n], 1.5);
            }
        }
    }

    #[test]
    fn floats_are_rounded_and_written_like_one_by_one() {
        let all = numbers();
        for n in [1, 31, 32, all.len()] {
            let of = &all[..n];
            for (dtype, round_one, write_one) in [
                (DType::F16, round_f16 as fn(f32) -> f32, to_f16 as fn(f32) -> u16),
                (DType::BF16, round_bf16, |x| (round_bf16(x).to_bits() >> 16) as u16),
            ] {
                let (mut rounded, mut written) = (of.to_vec(), vec![7u16; n + 1]);
                // SAFETY: the vectors hold n elements.
                unsafe {
                    assert!(round(dtype, n, rounded.as_mut_ptr().cast()));
                    assert!(store(dtype, n, of.as_ptr().cast(), written.as_mut_ptr().cast()));
                }
                for i in 0..n {
                    check(rounded[i], round_one(of[i]), of[i]);
                    assert_eq!(written[i], write_one(of[i]), "{dtype:?} {}", of[i]);
                }
                assert_eq!(written[n], 7);
            }
        }
    }

    #[test]
    fn integers_are_truncated_and_saturated_in_place_too() {
        let all = numbers();
        let doubles: Vec<f64> = all
            .iter()
            .map(|&x| f64::from(x))
            .chain([2_147_483_647.5, -2_147_483_648.5, 1e300, -1e300, 4_294_967_295.0, f64::NAN])
            .collect();
        for n in [1, 17, all.len()] {
            let mut found = vec![0i32; n];
            let (mut narrow, mut wide) = (all[..n].to_vec(), doubles[doubles.len() - n..].to_vec());
            // SAFETY: the vectors hold n elements; the last two are their own destinations.
            unsafe {
                i32_of_f32(n, all.as_ptr(), found.as_mut_ptr());
                i32_of_f32(n, narrow.as_ptr(), narrow.as_mut_ptr().cast());
                i32_of_f64(n, wide.as_ptr(), wide.as_mut_ptr().cast());
            }
            for i in 0..n {
                assert_eq!(found[i], all[i] as i32);
                assert_eq!(narrow[i].to_bits() as i32, all[i] as i32);
                // SAFETY: as many integers have been written there.
                let integer = unsafe { wide.as_ptr().cast::<i32>().add(i).read() };
                assert_eq!(integer, doubles[doubles.len() - n + i] as i32);
            }
        }
    }
}
