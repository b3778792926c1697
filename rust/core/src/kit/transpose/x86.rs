//! Register tiles of transpositions by SSE2, which belongs to x86-64. Depends on nothing.
//! Invariant: what a tile's caller vouches for is read and written, and nothing else.

use std::arch::x86_64::*;

/// Four rows of four 32-bit elements.
#[inline(always)]
pub(super) unsafe fn quarter(src: *const f32, src_row: isize, dst: *mut f32, dst_row: isize) {
    // SAFETY: the caller vouches for the elements; SSE2 belongs to x86-64.
    unsafe {
        let (a, b) = (_mm_loadu_ps(src), _mm_loadu_ps(src.offset(src_row)));
        let (c, d) = (_mm_loadu_ps(src.offset(2 * src_row)), _mm_loadu_ps(src.offset(3 * src_row)));
        let (ab_low, cd_low) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
        let (ab_high, cd_high) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
        _mm_storeu_ps(dst, _mm_movelh_ps(ab_low, cd_low));
        _mm_storeu_ps(dst.offset(dst_row), _mm_movehl_ps(cd_low, ab_low));
        _mm_storeu_ps(dst.offset(2 * dst_row), _mm_movelh_ps(ab_high, cd_high));
        _mm_storeu_ps(dst.offset(3 * dst_row), _mm_movehl_ps(cd_high, ab_high));
    }
}

/// Two rows of two 64-bit elements.
#[inline(always)]
pub(super) unsafe fn pair(src: *const f64, src_row: isize, dst: *mut f64, dst_row: isize) {
    // SAFETY: the caller vouches for the elements; SSE2 belongs to x86-64.
    unsafe {
        let (a, b) = (_mm_loadu_pd(src), _mm_loadu_pd(src.offset(src_row)));
        _mm_storeu_pd(dst, _mm_unpacklo_pd(a, b));
        _mm_storeu_pd(dst.offset(dst_row), _mm_unpackhi_pd(a, b));
    }
}

/// Eight rows of eight bytes.
#[inline(always)]
pub(super) unsafe fn eight_bytes(src: *const u8, src_row: isize, dst: *mut u8, dst_row: isize) {
    // SAFETY: the caller vouches for the elements; SSE2 belongs to x86-64.
    unsafe {
        let line = |row: isize| _mm_loadl_epi64(src.offset(row * src_row).cast());
        let twos = |row: isize| _mm_unpacklo_epi8(line(row), line(row + 1));
        let (a, b, c, d) = (twos(0), twos(2), twos(4), twos(6));
        let (ab_low, ab_high) = (_mm_unpacklo_epi16(a, b), _mm_unpackhi_epi16(a, b));
        let (cd_low, cd_high) = (_mm_unpacklo_epi16(c, d), _mm_unpackhi_epi16(c, d));
        let columns: [__m128i; 4] = [
            _mm_unpacklo_epi32(ab_low, cd_low),
            _mm_unpackhi_epi32(ab_low, cd_low),
            _mm_unpacklo_epi32(ab_high, cd_high),
            _mm_unpackhi_epi32(ab_high, cd_high),
        ];
        let mut to = dst;
        for two in columns {
            _mm_storel_epi64(to.cast(), two);
            _mm_storel_epi64(to.offset(dst_row).cast(), _mm_unpackhi_epi64(two, two));
            to = to.wrapping_offset(2 * dst_row);
        }
    }
}

/// Eight rows of eight 16-bit elements.
#[inline(always)]
pub(super) unsafe fn eight_words(src: *const u16, src_row: isize, dst: *mut u16, dst_row: isize) {
    // SAFETY: the caller vouches for the elements; SSE2 belongs to x86-64.
    unsafe {
        let line = |row: isize| _mm_loadu_si128(src.offset(row * src_row).cast());
        let twos = |row: isize| {
            let (a, b) = (line(row), line(row + 1));
            (_mm_unpacklo_epi16(a, b), _mm_unpackhi_epi16(a, b))
        };
        let fours = |a: __m128i, b: __m128i| (_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
        let ((a, e), (b, f), (c, g), (d, h)) = (twos(0), twos(2), twos(4), twos(6));
        let ((ab, ab_next), (cd, cd_next)) = (fours(a, b), fours(c, d));
        let ((ef, ef_next), (gh, gh_next)) = (fours(e, f), fours(g, h));
        let mut to = dst;
        for (upper, lower) in [(ab, cd), (ab_next, cd_next), (ef, gh), (ef_next, gh_next)] {
            _mm_storeu_si128(to.cast(), _mm_unpacklo_epi64(upper, lower));
            _mm_storeu_si128(to.offset(dst_row).cast(), _mm_unpackhi_epi64(upper, lower));
            to = to.wrapping_offset(2 * dst_row);
        }
    }
}
