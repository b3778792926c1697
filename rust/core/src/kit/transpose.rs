//! Transposition of matrices from one place to another. Depends on `simd`.
//! Invariant: source and destination are walked in square tiles, so that both are touched by whole cache lines.
#![allow(
    clippy::needless_range_loop,
    reason = "closures over arrays stay calls inside code compiled for other features"
)]

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
use arm::{eight_bytes, eight_words, pair, quarter};
#[cfg(target_arch = "x86_64")]
use x86::{eight_bytes, eight_words, pair, quarter};

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
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
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
