//! Matrix products on one thread, from storage form to storage form. Depends on `gemm`, `tiles` and `transpose`.
//! Invariant: the destination is overwritten, whatever it held; sums of float16 and bfloat16 are made in f32, integers wrap.

use super::gemm;
use super::scratch::with_scratch;
use super::simd::{Kernel, Machine, launch};
use super::tiles;
use super::transpose::transpose;
use super::vector::{Element, has_pairs};
use crate::dtype::{Compute, DType};
use crate::error::Result;

/// Bytes of a packed panel of the right operand: stays in L2 while the left operand's rows pass.
const PANEL_BYTES: usize = 1 << 20;
/// Panels are multiples of this many columns wide.
const PANEL_STEP: usize = 64;
/// Rows, and elements of a sum, that are converted at a time.
const HIGHEST: usize = 256;
const DEEPEST: usize = 4096;

/// A matrix operand: where its first element lies, and the steps to the next row and column, in elements.
#[derive(Clone, Copy)]
struct Matrix {
    start: *const u8,
    row: isize,
    column: isize,
}

impl Matrix {
    /// The matrix from this row and column on.
    unsafe fn from(self, size: usize, row: usize, column: usize) -> Self {
        let elements = row as isize * self.row + column as isize * self.column;
        // SAFETY: the caller stays inside the matrix.
        Self { start: unsafe { self.start.offset(elements * size as isize) }, ..self }
    }

    /// Rows and columns exchanged.
    fn turned(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    fn typed<E>(self) -> gemm::Matrix<E> {
        gemm::Matrix { start: self.start.cast(), row: self.row, column: self.column }
    }
}

/// `dst[i, j] = Σₖ lhs[i, k] · rhs[k, j]` for `m` × `n` results; `bool`: whether any `lhs[i, k] and rhs[k, j]`. Strides are in elements;
/// neighbours of a row of `dst` are adjacent. With `k` = 0 the result is zeros.
///
/// # Errors
/// Exhausted memory.
///
/// # Safety
/// All elements that sizes and strides reach are readable (of `dst`: writable), and `dst` overlaps neither operand.
pub unsafe fn matmul(
    dtype: DType,
    m: usize,
    n: usize,
    k: usize,
    dst: *mut u8,
    dst_row: isize,
    lhs: *const u8,
    lhs_row: isize,
    lhs_col: isize,
    rhs: *const u8,
    rhs_row: isize,
    rhs_col: isize,
) -> Result<()> {
    if m == 0 || n == 0 {
        return Ok(());
    }
    let size = dtype.size();
    if k == 0 {
        for row in 0..m {
            // SAFETY: the row belongs to the destination, and zero bytes are zero in every dtype.
            unsafe { dst.offset(row as isize * dst_row * size as isize).write_bytes(0, n * size) };
        }
        return Ok(());
    }
    let lhs = Matrix { start: lhs, row: lhs_row, column: lhs_col };
    let rhs = Matrix { start: rhs, row: rhs_row, column: rhs_col };
    // SAFETY: the caller's promises are the callees'.
    unsafe {
        match dtype {
            DType::F32 => floats::<f32>(m, n, k, dst.cast(), dst_row, lhs, rhs),
            DType::F64 => floats::<f64>(m, n, k, dst.cast(), dst_row, lhs, rhs),
            DType::BF16 if has_pairs() => {
                return gemm::gemm_pairs(m, n, k, dst.cast(), dst_row, lhs.typed(), rhs.typed());
            }
            _ => return converted(dtype, m, n, k, dst, dst_row, lhs, rhs),
        }
    }
    Ok(())
}

/// Adds the pieces of sums, one after the other in memory, in their order: `dst[i] = Σₚ pieces[p, i]`.
///
/// # Safety
/// Numbers that are computed as they are stored; there are `count` of them in each piece and in `dst`.
pub unsafe fn add_pieces(dtype: DType, count: usize, pieces: usize, from: *const u8, dst: *mut u8) {
    let bytes = count * dtype.size();
    // SAFETY: as the caller vouches.
    unsafe {
        std::ptr::copy_nonoverlapping(from, dst, bytes);
        (1..pieces).for_each(|piece| add_all(dtype, count, from.add(piece * bytes), dst));
    }
}

/// Columns of a panel of the right operand of so many rows, and the elements from one packed row to the next: an odd number of cache lines, so
/// that rows fall into different cache sets.
fn panel(size: usize, n: usize, k: usize) -> (usize, usize) {
    let fitting = PANEL_BYTES / (k * size) / PANEL_STEP * PANEL_STEP;
    let columns = fitting.max(PANEL_STEP).min(n);
    let lines = (columns * size).div_ceil(64) | 1;
    (columns, lines * 64 / size)
}

/// A product of floats.
unsafe fn floats<E: Element>(m: usize, n: usize, k: usize, dst: *mut E, dst_row: isize, lhs: Matrix, rhs: Matrix) {
    // SAFETY: the caller's promises are the callee's.
    unsafe { gemm::gemm(m, n, k, dst, dst_row, lhs.typed(), rhs.typed()) }
}

/// Bytes of one value in compute form.
const fn compute_size(dtype: DType) -> usize {
    match dtype.compute() {
        Compute::Mask => 1,
        Compute::I32 | Compute::F32 => 4,
        Compute::I64 | Compute::U64 | Compute::F64 => 8,
    }
}

/// Whether numbers are computed as they are stored: sums of 16-bit floats are not, they are made in 32 bits.
pub const fn is_computed_as_stored(dtype: DType) -> bool {
    compute_size(dtype) == dtype.size()
}

/// Loads a matrix to compute form, row-major with `packed_row` elements from row to row.
unsafe fn pack(dtype: DType, rows: usize, columns: usize, from: Matrix, to: *mut u8, packed_row: usize) {
    let (storage, compute) = (dtype.size(), compute_size(dtype));
    // SAFETY: the caller vouches for both matrices.
    unsafe {
        if from.column.unsigned_abs() == 1 || from.row != 1 || columns == 1 {
            for row in 0..rows {
                let line = from.from(storage, row, 0);
                tiles::load(dtype, columns, line.start, line.column, to.add(row * packed_row * compute));
            }
            return;
        }
        // Contiguous columns: loaded one by one and then turned, a few at a time so that they stay in L1.
        const TURNED: usize = 32;
        const DEEP: usize = 128;
        let mut lines = [0u64; TURNED * DEEP];
        let lines = lines.as_mut_ptr().cast::<u8>();
        for top in (0..rows).step_by(DEEP) {
            let depth = DEEP.min(rows - top);
            for left in (0..columns).step_by(TURNED) {
                let width = TURNED.min(columns - left);
                for column in 0..width {
                    let line = from.from(storage, top, left + column);
                    tiles::load(dtype, depth, line.start, 1, lines.add(column * DEEP * compute));
                }
                let corner = to.add((top * packed_row + left) * compute);
                transpose(compute, width, depth, lines, DEEP as isize, corner, packed_row as isize);
            }
        }
    }
}

/// A product by way of the compute type: 16-bit floats through f32, integers and masks through a loop of their own. Long sums are made in pieces.
unsafe fn converted(
    dtype: DType,
    m: usize,
    n: usize,
    k: usize,
    dst: *mut u8,
    dst_row: isize,
    lhs: Matrix,
    rhs: Matrix,
) -> Result<()> {
    let (storage, compute) = (dtype.size(), compute_size(dtype));
    let (high, deep) = (m.min(HIGHEST), k.div_ceil(k.div_ceil(DEEPEST)));
    let (width, packed_row) = panel(compute, n, deep);
    let (lhs_bytes, rhs_bytes) = ((high * deep * compute).next_multiple_of(64), deep * packed_row * compute);
    let result_bytes = high * packed_row * compute;
    with_scratch(lhs_bytes + rhs_bytes + 2 * result_bytes, |scratch: *mut u8| {
        // SAFETY: the scratch holds the packed matrices one after the other; pieces lie inside the operands.
        unsafe {
            let left = scratch;
            let right = left.add(lhs_bytes);
            let result = right.add(rhs_bytes);
            let piece = result.add(result_bytes);
            for top in (0..m).step_by(HIGHEST) {
                let rows = high.min(m - top);
                for first in (0..n).step_by(width) {
                    let columns = width.min(n - first);
                    for from in (0..k).step_by(deep) {
                        let depth = deep.min(k - from);
                        if first == 0 || deep < k {
                            pack(dtype, rows, depth, lhs.from(storage, top, from), left, depth);
                        }
                        let b = rhs.from(storage, from, first);
                        // Few columns lie as rows: their sums are inner products.
                        let right = if n <= gemm::FEW_DOTS {
                            pack(dtype, columns, depth, b.turned(), right, depth);
                            Matrix { start: right, row: 1, column: depth as isize }
                        } else {
                            pack(dtype, depth, columns, b, right, packed_row);
                            Matrix { start: right, row: packed_row as isize, column: 1 }
                        };
                        let left = Matrix { start: left, row: depth as isize, column: 1 };
                        let sizes = (rows, columns, depth);
                        let to = if from == 0 { result } else { piece };
                        match dtype.compute() {
                            Compute::F32 => {
                                floats::<f32>(rows, columns, depth, to.cast(), packed_row as isize, left, right);
                            }
                            Compute::Mask => exact::<u8>(sizes, left, right, to, packed_row),
                            Compute::I32 => exact::<u32>(sizes, left, right, to, packed_row),
                            _ => exact::<u64>(sizes, left, right, to, packed_row),
                        }
                        if from > 0 {
                            add_all(dtype, (rows - 1) * packed_row + columns, piece, result);
                        }
                    }
                    for row in 0..rows {
                        let to = dst.offset(((top + row) as isize * dst_row + first as isize) * storage as isize);
                        tiles::store(dtype, columns, result.add(row * packed_row * compute), to, 1);
                    }
                }
            }
        }
    })
}

/// Adds numbers in compute form to others.
///
/// # Safety
/// Both hold so many, and do not overlap.
unsafe fn add_all(dtype: DType, count: usize, from: *const u8, to: *mut u8) {
    // SAFETY: as the caller vouches.
    unsafe {
        match dtype.compute() {
            Compute::Mask => add_each::<u8>(count, from, to, |a, b| a | b),
            Compute::I32 => add_each::<u32>(count, from, to, u32::wrapping_add),
            Compute::I64 | Compute::U64 => add_each::<u64>(count, from, to, u64::wrapping_add),
            Compute::F32 => add_each::<f32>(count, from, to, |a, b| a + b),
            Compute::F64 => add_each::<f64>(count, from, to, |a, b| a + b),
        }
    }
}

unsafe fn add_each<T: Copy>(count: usize, from: *const u8, to: *mut u8, add: impl Fn(T, T) -> T) {
    let (from, to) = (from.cast::<T>(), to.cast::<T>());
    for i in 0..count {
        // SAFETY: as the caller vouches.
        unsafe { *to.add(i) = add(*to.add(i), *from.add(i)) };
    }
}

/// Types whose sums of products do not depend on order: wrapping integers (signed ones as unsigned, the bits are the same), and masks.
trait Exact: Copy + Default {
    fn add_product(self, a: Self, b: Self) -> Self;
}

impl Exact for u8 {
    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        self | (a & b)
    }
}

impl Exact for u32 {
    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        self.wrapping_add(a.wrapping_mul(b))
    }
}

impl Exact for u64 {
    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        self.wrapping_add(a.wrapping_mul(b))
    }
}

/// A product of packed operands: rows of the left one are adjacent, and rows of the right one, or its columns.
struct ExactProduct<T> {
    sizes: (usize, usize, usize),
    lhs: *const T,
    rhs: *const T,
    rhs_row: usize,
    rhs_column: usize,
    dst: *mut T,
    dst_row: usize,
}

impl<T: Exact> Kernel for ExactProduct<T> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        // SAFETY: as who made it vouches.
        unsafe { if self.rhs_column == 1 { self.scaled_rows() } else { self.dots() } }
    }
}

impl<T: Exact> ExactProduct<T> {
    /// A few columns at a time, whose sums stay in registers.
    #[inline(always)]
    unsafe fn scaled_rows(&self) {
        const COLUMNS: usize = 32;
        let (m, n, k) = self.sizes;
        for left in (0..n).step_by(COLUMNS) {
            let width = COLUMNS.min(n - left);
            for row in 0..m {
                let mut sums = [T::default(); COLUMNS];
                for depth in 0..k {
                    // SAFETY: inside the packed operands.
                    unsafe {
                        let a = *self.lhs.add(row * k + depth);
                        let line = self.rhs.add(depth * self.rhs_row + left);
                        if width == COLUMNS {
                            let line = line.cast::<[T; COLUMNS]>().read();
                            for (sum, b) in sums.iter_mut().zip(line) {
                                *sum = sum.add_product(a, b);
                            }
                        } else {
                            for (column, sum) in sums.iter_mut().enumerate().take(width) {
                                *sum = sum.add_product(a, *line.add(column));
                            }
                        }
                    }
                }
                // SAFETY: the result has this row and these columns.
                unsafe { std::ptr::copy_nonoverlapping(sums.as_ptr(), self.dst.add(row * self.dst_row + left), width) };
            }
        }
    }

    /// One inner product after the other.
    #[inline(always)]
    unsafe fn dots(&self) {
        let (m, n, k) = self.sizes;
        for row in 0..m {
            for column in 0..n {
                let mut sum = T::default();
                // SAFETY: inside the packed operands and the result.
                unsafe {
                    let (a, b) = (self.lhs.add(row * k), self.rhs.add(column * self.rhs_column));
                    for depth in 0..k {
                        sum = sum.add_product(*a.add(depth), *b.add(depth));
                    }
                    *self.dst.add(row * self.dst_row + column) = sum;
                }
            }
        }
    }
}

/// A product of packed integers or masks.
unsafe fn exact<T: Exact>(sizes: (usize, usize, usize), lhs: Matrix, rhs: Matrix, dst: *mut u8, dst_row: usize) {
    let (rhs_row, rhs_column) = (rhs.row as usize, rhs.column as usize);
    launch(ExactProduct::<T> {
        sizes,
        lhs: lhs.start.cast(),
        rhs: rhs.start.cast(),
        rhs_row,
        rhs_column,
        dst: dst.cast(),
        dst_row,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Scalar;

    /// Elements of any dtype in storage form, and back as numbers.
    fn stored(dtype: DType, values: &[i64]) -> Vec<u8> {
        let mut bytes = vec![0u8; values.len() * dtype.size()];
        for (i, &value) in values.iter().enumerate() {
            let slot = Scalar::Int(i128::from(value)).to_slot(dtype).to_ne_bytes();
            // SAFETY: a slot holds the compute form in its low bytes; there is room for element i.
            unsafe { tiles::store(dtype, 1, slot.as_ptr(), bytes.as_mut_ptr().add(i * dtype.size()), 1) };
        }
        bytes
    }

    #[test]
    fn products_match_the_definition() {
        let sizes =
            [(1, 1, 1), (3, 5, 0), (1, 40, 33), (5, 1, 70), (4, 24, 3), (7, 100, 65), (33, 70, 300), (9, 130, 2)];
        for dtype in DType::ALL {
            for (m, n, k) in sizes {
                // Small numbers: exact in every dtype but the narrowest, whose sums wrap.
                let lhs: Vec<i64> = (0..m * k).map(|i| (i * 7 % 3) as i64).collect();
                let rhs: Vec<i64> = (0..k * n).map(|i| (i * 5 % 4) as i64 % 2).collect();
                for (turn_lhs, turn_rhs) in [(false, false), (false, true), (true, false), (true, true)] {
                    let turned = |values: &[i64], rows: usize, columns: usize| -> Vec<i64> {
                        (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect()
                    };
                    let (a, a_row, a_col) = if turn_lhs { (turned(&lhs, m, k), 1, m) } else { (lhs.clone(), k, 1) };
                    let (b, b_row, b_col) = if turn_rhs { (turned(&rhs, k, n), 1, k) } else { (rhs.clone(), n, 1) };
                    let (a, b) = (stored(dtype, &a), stored(dtype, &b));
                    let dst_row = n + 2;
                    let mut dst = vec![0x5Au8; m * dst_row * dtype.size()];
                    // SAFETY: the vectors hold the matrices.
                    unsafe {
                        matmul(
                            dtype,
                            m,
                            n,
                            k,
                            dst.as_mut_ptr(),
                            dst_row as isize,
                            a.as_ptr(),
                            a_row as isize,
                            a_col as isize,
                            b.as_ptr(),
                            b_row as isize,
                            b_col as isize,
                        )
                        .unwrap();
                    }
                    for i in 0..m {
                        let sums: Vec<i64> =
                            (0..n).map(|j| (0..k).map(|p| lhs[i * k + p] * rhs[p * n + j]).sum()).collect();
                        let sums = stored(dtype, &sums);
                        let row = &dst[i * dst_row * dtype.size()..][..n * dtype.size()];
                        assert_eq!(row, sums, "{dtype} {m}×{n}×{k}, turned {turn_lhs} {turn_rhs}, row {i}");
                    }
                }
            }
        }
    }
}
