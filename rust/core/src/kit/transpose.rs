//! Transposition of matrices from one place to another. Depends on `simd`.
//! Invariant: source and destination are walked in square tiles, so that both are touched by whole cache lines.
#![allow(
    clippy::needless_range_loop,
    reason = "closures over arrays stay calls inside code compiled for other features"
)]

use crate::kit::simd::{Kernel, Machine, launch};

/// Rows and columns of a register tile.
const TILE: usize = 8;
/// Rows and columns of a cache tile: the source's lines of one tile stay in L1 while their elements are spread.
const PANEL: usize = 32;

struct Transpose<T> {
    rows: usize,
    columns: usize,
    src: *const T,
    src_row: isize,
    dst: *mut T,
    dst_row: isize,
}

impl<T: Copy + Default> Transpose<T> {
    /// One register tile at its place.
    #[inline(always)]
    unsafe fn tile(&self, row: usize, column: usize) {
        // LLVM finds no shuffles in the general form below.
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller checked that the tile lies inside the matrix.
        unsafe {
            let src = self.src.offset(row as isize * self.src_row + column as isize);
            let dst = self.dst.offset(column as isize * self.dst_row + row as isize);
            match size_of::<T>() {
                1 => return eight_bytes(src.cast(), self.src_row, dst.cast(), self.dst_row),
                2 => return eight_words(src.cast(), self.src_row, dst.cast(), self.dst_row),
                4 => {
                    let (src, dst) = (src.cast::<f32>(), dst.cast::<f32>());
                    for (i, j) in [(0, 0), (0, 4), (4, 0), (4, 4)] {
                        let (from, to) = (src.offset(i * self.src_row + j), dst.offset(j * self.dst_row + i));
                        quarter(from, self.src_row, to, self.dst_row);
                    }
                    return;
                }
                8 => {
                    let (src, dst) = (src.cast::<f64>(), dst.cast::<f64>());
                    for j in (0..TILE as isize).step_by(2) {
                        for i in (0..TILE as isize).step_by(2) {
                            let (from, to) = (src.offset(i * self.src_row + j), dst.offset(j * self.dst_row + i));
                            pair(from, self.src_row, to, self.dst_row);
                        }
                    }
                    return;
                }
                _ => {}
            }
        }
        let mut lines = [[T::default(); TILE]; TILE];
        // SAFETY: the caller checked that the tile lies inside the matrix.
        unsafe {
            let src = self.src.offset(row as isize * self.src_row + column as isize);
            for (i, line) in lines.iter_mut().enumerate() {
                *line = src.offset(i as isize * self.src_row).cast::<[T; TILE]>().read_unaligned();
            }
            let dst = self.dst.offset(column as isize * self.dst_row + row as isize);
            for j in 0..TILE {
                let mut turned = [T::default(); TILE];
                for (element, line) in turned.iter_mut().zip(&lines) {
                    *element = line[j];
                }
                dst.offset(j as isize * self.dst_row).cast::<[T; TILE]>().write_unaligned(turned);
            }
        }
    }
}

/// Four rows of four 32-bit elements.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn quarter(src: *const f32, src_row: isize, dst: *mut f32, dst_row: isize) {
    use std::arch::x86_64::{
        _mm_loadu_ps, _mm_movehl_ps, _mm_movelh_ps, _mm_storeu_ps, _mm_unpackhi_ps, _mm_unpacklo_ps,
    };
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
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn pair(src: *const f64, src_row: isize, dst: *mut f64, dst_row: isize) {
    use std::arch::x86_64::{_mm_loadu_pd, _mm_storeu_pd, _mm_unpackhi_pd, _mm_unpacklo_pd};
    // SAFETY: the caller vouches for the elements; SSE2 belongs to x86-64.
    unsafe {
        let (a, b) = (_mm_loadu_pd(src), _mm_loadu_pd(src.offset(src_row)));
        _mm_storeu_pd(dst, _mm_unpacklo_pd(a, b));
        _mm_storeu_pd(dst.offset(dst_row), _mm_unpackhi_pd(a, b));
    }
}

/// Eight rows of eight bytes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn eight_bytes(src: *const u8, src_row: isize, dst: *mut u8, dst_row: isize) {
    use std::arch::x86_64::{
        __m128i, _mm_loadl_epi64, _mm_storel_epi64, _mm_unpackhi_epi16, _mm_unpackhi_epi32, _mm_unpackhi_epi64,
        _mm_unpacklo_epi8, _mm_unpacklo_epi16, _mm_unpacklo_epi32,
    };
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
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn eight_words(src: *const u16, src_row: isize, dst: *mut u16, dst_row: isize) {
    use std::arch::x86_64::{
        __m128i, _mm_loadu_si128, _mm_storeu_si128, _mm_unpackhi_epi16, _mm_unpackhi_epi32, _mm_unpackhi_epi64,
        _mm_unpacklo_epi16, _mm_unpacklo_epi32, _mm_unpacklo_epi64,
    };
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

impl<T: Copy + Default> Kernel for Transpose<T> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        for top in (0..self.rows).step_by(PANEL) {
            for left in (0..self.columns).step_by(PANEL) {
                let (bottom, right) = ((top + PANEL).min(self.rows), (left + PANEL).min(self.columns));
                let (whole_bottom, whole_right) = (bottom - (bottom - top) % TILE, right - (right - left) % TILE);
                for row in (top..whole_bottom).step_by(TILE) {
                    for column in (left..whole_right).step_by(TILE) {
                        // SAFETY: the tile ends before the panel does.
                        unsafe { self.tile(row, column) };
                    }
                }
                let rest = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
                    for row in rows {
                        for column in columns.clone() {
                            // SAFETY: inside the matrix.
                            unsafe {
                                let x = self.src.offset(row as isize * self.src_row + column as isize).read_unaligned();
                                self.dst.offset(column as isize * self.dst_row + row as isize).write_unaligned(x);
                            }
                        }
                    }
                };
                rest(top..whole_bottom, whole_right..right);
                rest(whole_bottom..bottom, left..right);
            }
        }
    }
}

/// `dst[j, i] = src[i, j]` for a source of `rows` × `columns` elements of `size` bytes (1, 2, 4 or 8); rows lie `src_row` and `dst_row` elements
/// apart, elements of a row next to each other.
///
/// # Safety
/// Both matrices lie in memory that the caller may read and write, and do not overlap.
pub unsafe fn transpose(
    size: usize,
    rows: usize,
    columns: usize,
    src: *const u8,
    src_row: isize,
    dst: *mut u8,
    dst_row: isize,
) {
    match size {
        1 => launch(Transpose::<u8> { rows, columns, src, src_row, dst, dst_row }),
        2 => launch(Transpose::<u16> { rows, columns, src: src.cast(), src_row, dst: dst.cast(), dst_row }),
        4 => launch(Transpose::<u32> { rows, columns, src: src.cast(), src_row, dst: dst.cast(), dst_row }),
        _ => launch(Transpose::<u64> { rows, columns, src: src.cast(), src_row, dst: dst.cast(), dst_row }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_changes_place() {
        for (rows, columns) in [(0, 3), (1, 1), (3, 70), (64, 64), (65, 129), (8, 16), (200, 7)] {
            for size in [1, 2, 4, 8] {
                let (src_row, dst_row) = (columns + 3, rows + 1);
                let src: Vec<u8> = (0..rows.max(1) * src_row * size).map(|i| (i * 31 % 251) as u8).collect();
                let mut dst = vec![0u8; columns * dst_row * size + size];
                // SAFETY: the vectors hold the matrices with their gaps.
                unsafe {
                    let (from, to) = (src.as_ptr(), dst.as_mut_ptr());
                    transpose(size, rows, columns, from, src_row as isize, to, dst_row as isize);
                }
                for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                    let (from, to) = ((i * src_row + j) * size, (j * dst_row + i) * size);
                    assert_eq!(src[from..from + size], dst[to..to + size], "{rows}×{columns} of {size} at {i}, {j}");
                }
            }
        }
    }
}
