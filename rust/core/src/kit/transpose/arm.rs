//! Register tiles of transpositions by NEON, which belongs to 64-bit ARM. Depends on nothing.
//! Invariant: what a tile's caller vouches for is read and written, and nothing else.

use std::arch::aarch64::*;

/// Four rows of four 32-bit elements.
#[inline(always)]
pub(super) unsafe fn quarter(src: *const f32, src_row: isize, dst: *mut f32, dst_row: isize) {
    // SAFETY: the caller vouches for the elements.
    unsafe {
        let (a, b) = (vld1q_f32(src), vld1q_f32(src.offset(src_row)));
        let (c, d) = (vld1q_f32(src.offset(2 * src_row)), vld1q_f32(src.offset(3 * src_row)));
        let (ab_even, ab_odd) = (vreinterpretq_f64_f32(vtrn1q_f32(a, b)), vreinterpretq_f64_f32(vtrn2q_f32(a, b)));
        let (cd_even, cd_odd) = (vreinterpretq_f64_f32(vtrn1q_f32(c, d)), vreinterpretq_f64_f32(vtrn2q_f32(c, d)));
        vst1q_f32(dst, vreinterpretq_f32_f64(vtrn1q_f64(ab_even, cd_even)));
        vst1q_f32(dst.offset(dst_row), vreinterpretq_f32_f64(vtrn1q_f64(ab_odd, cd_odd)));
        vst1q_f32(dst.offset(2 * dst_row), vreinterpretq_f32_f64(vtrn2q_f64(ab_even, cd_even)));
        vst1q_f32(dst.offset(3 * dst_row), vreinterpretq_f32_f64(vtrn2q_f64(ab_odd, cd_odd)));
    }
}

/// Two rows of two 64-bit elements.
#[inline(always)]
pub(super) unsafe fn pair(src: *const f64, src_row: isize, dst: *mut f64, dst_row: isize) {
    // SAFETY: the caller vouches for the elements.
    unsafe {
        let (a, b) = (vld1q_f64(src), vld1q_f64(src.offset(src_row)));
        vst1q_f64(dst, vtrn1q_f64(a, b));
        vst1q_f64(dst.offset(dst_row), vtrn2q_f64(a, b));
    }
}

/// Eight rows of eight bytes: pairs, fours and eights of rows change places.
#[inline(always)]
pub(super) unsafe fn eight_bytes(src: *const u8, src_row: isize, dst: *mut u8, dst_row: isize) {
    // SAFETY: the caller vouches for the elements.
    unsafe {
        // Row i and row i + 4 share a register.
        let two =
            |row: isize| vcombine_u8(vld1_u8(src.offset(row * src_row)), vld1_u8(src.offset((row + 4) * src_row)));
        let (a, b, c, d) = (two(0), two(1), two(2), two(3));
        let words = |x: uint8x16_t| vreinterpretq_u16_u8(x);
        let (ab_even, ab_odd) = (words(vtrn1q_u8(a, b)), words(vtrn2q_u8(a, b)));
        let (cd_even, cd_odd) = (words(vtrn1q_u8(c, d)), words(vtrn2q_u8(c, d)));
        // Columns j and j + 4 of four rows in each half of a register.
        let fours = [
            vtrn1q_u16(ab_even, cd_even),
            vtrn1q_u16(ab_odd, cd_odd),
            vtrn2q_u16(ab_even, cd_even),
            vtrn2q_u16(ab_odd, cd_odd),
        ];
        for (j, four) in (0..).zip(fours) {
            let four = vreinterpretq_u32_u16(four);
            // Lanes: column j of the upper rows, j + 4 of them, and the same of the lower rows.
            let lower = vextq_u32::<2>(four, four);
            let (left, right) = (vtrn1q_u32(four, lower), vtrn2q_u32(four, lower));
            vst1_u8(dst.offset(j * dst_row), vreinterpret_u8_u32(vget_low_u32(left)));
            vst1_u8(dst.offset((j + 4) * dst_row), vreinterpret_u8_u32(vget_low_u32(right)));
        }
    }
}

/// Eight rows of eight 16-bit elements.
#[inline(always)]
pub(super) unsafe fn eight_words(src: *const u16, src_row: isize, dst: *mut u16, dst_row: isize) {
    // SAFETY: the caller vouches for the elements.
    unsafe {
        let line = |row: isize| vld1q_u16(src.offset(row * src_row));
        let twos = |row: isize| {
            let (a, b) = (line(row), line(row + 1));
            (vreinterpretq_u32_u16(vtrn1q_u16(a, b)), vreinterpretq_u32_u16(vtrn2q_u16(a, b)))
        };
        // Of four rows: columns 0 and 4, 1 and 5, 2 and 6, 3 and 7.
        let fours = |row: isize| {
            let ((a, b), (c, d)) = (twos(row), twos(row + 2));
            [vtrn1q_u32(a, c), vtrn1q_u32(b, d), vtrn2q_u32(a, c), vtrn2q_u32(b, d)].map(|x| vreinterpretq_u64_u32(x))
        };
        for (j, (upper, lower)) in (0..).zip(fours(0).into_iter().zip(fours(4))) {
            vst1q_u16(dst.offset(j * dst_row), vreinterpretq_u16_u64(vtrn1q_u64(upper, lower)));
            vst1q_u16(dst.offset((j + 4) * dst_row), vreinterpretq_u16_u64(vtrn2q_u64(upper, lower)));
        }
    }
}
