//! Matrix products: cut into blocks by shape alone, with the epilogue on finished rows while they are in the cache.
//! Depends on `group`, `kit::matmul`, `kit::threads`. Invariant: blocks partition the result, and follow from sizes alone.

use std::sync::atomic::{AtomicUsize, Ordering::AcqRel};

use smallvec::SmallVec;

use super::bound::{Bound, Span};
use super::group;
use super::monitor::Monitor;
use super::program::Program;
use super::scratch::Scratch;
use crate::backend::HostPointer;
use crate::dtype::DType;
use crate::error::Result;
use crate::kit::matmul::matmul;
use crate::kit::threads::parallel;
use crate::kit::transpose::transpose;
use crate::layout::Layout;
use crate::plan::{Argument, Matmul};

/// Nanoseconds of estimated work below which a product is one block, and that a block should have.
const SMALL: f64 = 24_000.0;
const BLOCK: f64 = 16_000.0;
/// Blocks of a large product, unless a block would then take too long to be interrupted.
const BLOCKS: usize = 16;
const LONGEST_BLOCK: f64 = 50e6;
/// Blocks thinner than this waste the work of packing the other operand.
const FEWEST_ROWS: usize = 32;
const FEWEST_COLUMNS: usize = 64;
/// Columns that one piece of a transposition turns.
const TURNED_COLUMNS: usize = 128;
/// Fewer columns are multiplied as they lie.
const FEWEST_TURNED: usize = 24;

/// A product made ready.
pub(super) struct Prepared {
    epilogue: Option<Program>,
}

impl Prepared {
    pub(super) fn new(product: &Matmul) -> Self {
        Self { epilogue: product.epilogue.as_ref().map(|epilogue| Program::new(epilogue, true)) }
    }
}

/// One operand: where its first element lies, and steps in elements.
struct Operand {
    start: HostPointer,
    batch: SmallVec<[isize; 4]>,
    row: isize,
    column: isize,
    /// Memory of its own, where it had to be packed.
    _packed: Option<Scratch>,
}

impl Operand {
    fn new(span: &Span, layout: &Layout, dtype: DType) -> Self {
        let axes = layout.strides.len() - 2;
        Self {
            start: HostPointer(span.start.0.wrapping_offset(layout.offset * dtype.size() as isize)),
            batch: SmallVec::from_slice(&layout.strides[..axes]),
            row: layout.strides[axes],
            column: layout.strides[axes + 1],
            _packed: None,
        }
    }

    /// First element of one matrix, whose coordinates along the batch axes of these sizes are those of `index`.
    fn matrix(&self, mut index: usize, sizes: &[usize], size: usize) -> *mut u8 {
        let mut offset = 0;
        for (&length, &stride) in sizes.iter().zip(&self.batch).rev() {
            offset += (index % length) as isize * stride;
            index /= length;
        }
        self.start.0.wrapping_offset(offset * size as isize)
    }

    /// A row-major copy of matrices that are contiguous along neither axis.
    ///
    /// # Safety
    /// The operand's memory holds `[batch…, rows, columns]` elements.
    unsafe fn packed(self, sizes: &[usize], rows: usize, columns: usize, dtype: DType) -> Result<Self> {
        let awkward = |step: isize, length: usize| step != 1 && length > 1;
        if !(awkward(self.row, rows) && awkward(self.column, columns)) {
            return Ok(self);
        }
        // A repeated matrix is packed once.
        let repeats = self.batch.iter().all(|&stride| stride == 0);
        let matrices = if repeats { 1 } else { sizes.iter().product() };
        let size = dtype.size();
        let memory = Scratch::new(matrices * rows * columns * size)?;
        let target = HostPointer(memory.start());
        let lines = matrices * rows;
        let chunks = (lines * columns / 16_384).clamp(1, lines.clamp(1, 64));
        parallel(chunks, &|chunk| {
            for line in lines * chunk / chunks..lines * (chunk + 1) / chunks {
                let (matrix, row) = (line / rows, line % rows);
                let from = self.matrix(matrix, sizes, size).wrapping_offset(row as isize * self.row * size as isize);
                // SAFETY: each line belongs to one chunk and has room for its elements.
                unsafe { copy_line(size, columns, from, self.column, group::at(target).add(line * columns * size)) };
            }
        });
        let mut batch: SmallVec<[isize; 4]> = SmallVec::from_elem(0, sizes.len());
        let mut step = (rows * columns) as isize;
        if !repeats {
            for (stride, &length) in batch.iter_mut().zip(sizes).rev() {
                *stride = step;
                step *= length as isize;
            }
        }
        Ok(Self { start: target, batch, row: columns as isize, column: 1, _packed: Some(memory) })
    }

    /// A row-major copy of matrices whose columns are contiguous, if several blocks of rows would else turn them each for itself.
    ///
    /// # Safety
    /// As for `packed`.
    unsafe fn turned(self, cut: &Cut, sizes: &[usize], dtype: DType) -> Result<Self> {
        let pays =
            matches!(dtype, DType::F32 | DType::F64) && cut.pieces().0 > 1 && cut.k > 2 && cut.n >= FEWEST_TURNED;
        if !pays || self.row != 1 || self.column.unsigned_abs() == 1 {
            return Ok(self);
        }
        let (size, n, k) = (dtype.size(), cut.n, cut.k);
        // An odd number of cache lines from row to row: they fall into different sets.
        let line = ((n * size).div_ceil(64) | 1) * 64;
        let memory = Scratch::new(cut.batch * k * line)?;
        let target = HostPointer(memory.start());
        let pieces = n.div_ceil(TURNED_COLUMNS);
        parallel(cut.batch * pieces, &|index| {
            let (matrix, first) = (index / pieces, index % pieces * TURNED_COLUMNS);
            let columns = TURNED_COLUMNS.min(n - first);
            let from = self.matrix(matrix, sizes, size).wrapping_offset(first as isize * self.column * size as isize);
            // SAFETY: each piece writes columns of its own.
            unsafe {
                let to = group::at(target).add(matrix * k * line + first * size);
                transpose(size, columns, k, from, self.column, to, (line / size) as isize);
            }
        });
        let mut batch: SmallVec<[isize; 4]> = SmallVec::from_elem(0, sizes.len());
        let mut step = (k * line / size) as isize;
        for (stride, &length) in batch.iter_mut().zip(sizes).rev() {
            *stride = step;
            step *= length as isize;
        }
        Ok(Self { start: target, batch, row: (line / size) as isize, column: 1, _packed: Some(memory) })
    }
}

/// Copies elements of `size` bytes that lie `step` elements apart.
///
/// # Safety
/// The source holds them, and `to` has room for them.
unsafe fn copy_line(size: usize, count: usize, from: *const u8, step: isize, to: *mut u8) {
    /// # Safety
    /// As for `copy_line`.
    unsafe fn copy<T>(count: usize, from: *const u8, step: isize, to: *mut u8) {
        let (from, to) = (from.cast::<T>(), to.cast::<T>());
        for i in 0..count {
            // SAFETY: as the caller vouches.
            unsafe { to.add(i).write_unaligned(from.wrapping_offset(i as isize * step).read_unaligned()) };
        }
    }
    // SAFETY: as the caller vouches.
    unsafe {
        match size {
            1 => copy::<u8>(count, from, step, to),
            2 => copy::<u16>(count, from, step, to),
            4 => copy::<u32>(count, from, step, to),
            _ => copy::<u64>(count, from, step, to),
        }
    }
}

/// Sizes of the product and of its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
    /// Rows and columns of a block.
    rows: usize,
    columns: usize,
    /// Whole matrices of a block; more than one only where `rows` and `columns` are all of them.
    matrices: usize,
}

impl Cut {
    fn new(batch: usize, m: usize, n: usize, k: usize, size: usize) -> Self {
        let whole = Self { batch, m, n, k, rows: m, columns: n, matrices: batch };
        let per_matrix = 0.02 * (m * n * k) as f64 + 0.05 * (size * (m * k + k * n + m * n)) as f64;
        let total = per_matrix * batch as f64;
        if total < SMALL {
            return whole;
        }
        let wanted = (total / BLOCK).min(BLOCKS as f64).max(total / LONGEST_BLOCK);
        let per_block = total / wanted;
        if per_matrix <= per_block {
            return Self { matrices: (per_block / per_matrix) as usize, ..whole };
        }
        let pieces = (per_matrix / per_block).ceil() as usize;
        // Blocks wider than high: neither operand is packed often, and rows are finished early.
        let square = (6.0 * pieces as f64 * m as f64 / n as f64).sqrt().round() as usize;
        let by_columns = pieces.div_ceil(square.clamp(1, m.div_ceil(FEWEST_ROWS))).min(n.div_ceil(FEWEST_COLUMNS));
        let by_rows = pieces.div_ceil(by_columns).min(m.div_ceil(FEWEST_ROWS));
        let rows = m.div_ceil(by_rows).next_multiple_of(16).min(m);
        let columns = n.div_ceil(by_columns).next_multiple_of(16).min(n);
        Self { rows, columns, matrices: 1, ..whole }
    }

    fn pieces(&self) -> (usize, usize) {
        (self.m.div_ceil(self.rows), self.n.div_ceil(self.columns))
    }

    fn blocks(&self) -> usize {
        let (rows, columns) = self.pieces();
        self.batch.div_ceil(self.matrices) * rows * columns
    }
}

/// Runs a product and its epilogue.
///
/// # Safety
/// The spans hold the arguments, and the elements written are read by nobody else.
pub(super) unsafe fn run(
    product: &Matmul,
    prepared: &Prepared,
    arguments: &[Argument],
    spans: &[Span],
    slots: &[u64],
    monitor: &Monitor<'_>,
) -> Result<()> {
    let (dtype, size) = (product.dtype, product.dtype.size());
    let (mut m, n, k) = (product.m, product.n, product.k);
    let mut sizes: &[usize] = &product.batch;
    if sizes.iter().product::<usize>() * m * n == 0 {
        return Ok(());
    }
    let mut lhs = Operand::new(&spans[product.lhs], &arguments[product.lhs].layout, dtype);
    let rhs = Operand::new(&spans[product.rhs], &arguments[product.rhs].layout, dtype);
    if let Some((rows, step)) = joined(&lhs, &rhs, sizes, m) {
        (m, lhs.row, sizes) = (rows, step, &[]);
        lhs.batch.clear();
    }
    // SAFETY: the arguments hold their layouts' elements.
    let (lhs, rhs) = unsafe { (lhs.packed(sizes, m, k, dtype)?, rhs.packed(sizes, k, n, dtype)?) };
    let cut = Cut::new(sizes.iter().product(), m, n, k, size);
    // SAFETY: as above.
    let rhs = unsafe { rhs.turned(&cut, sizes, dtype)? };
    let layout = &arguments[product.result].layout;
    let result = HostPointer(spans[product.result].start.0.wrapping_offset(layout.offset * size as isize));
    // SAFETY: as for this function.
    let bound = prepared.epilogue.as_ref().map(|program| unsafe { Bound::new(program, spans, slots, monitor) });
    // Constants of the epilogue are read before the product is there: with a single element that is the product itself.
    let follows = cut.batch * m * n > 1;
    let (down, across) = cut.pieces();
    // Blocks still missing of each block of whole rows; the last one is followed by the epilogue.
    let missing: SmallVec<[AtomicUsize; 16]> = (0..cut.blocks() / across).map(|_| AtomicUsize::new(across)).collect();
    let block = |index: usize| {
        if monitor.stopped() {
            return;
        }
        let (column, row) = (index % across * cut.columns, index / across % down * cut.rows);
        let (columns, rows) = (cut.columns.min(n - column), cut.rows.min(m - row));
        let first = index / across / down * cut.matrices;
        let matrices = first..(first + cut.matrices).min(cut.batch);
        for matrix in matrices.clone() {
            let step = size as isize;
            let left = lhs.matrix(matrix, sizes, size).wrapping_offset(row as isize * lhs.row * step);
            let right = rhs.matrix(matrix, sizes, size).wrapping_offset(column as isize * rhs.column * step);
            // SAFETY: blocks partition the result; the operands hold their matrices.
            unsafe {
                let dst = group::at(result).add(((matrix * m + row) * n + column) * size);
                matmul(dtype, rows, columns, k, dst, n as isize, left, lhs.row, lhs.column, right, rhs.row, rhs.column);
            }
        }
        if let Some(bound) = bound.as_ref().filter(|_| follows)
            && missing[index / across].fetch_sub(1, AcqRel) == 1
        {
            let start = (matrices.start * m + row) * n;
            let elements = if down > 1 { rows * n } else { matrices.len() * m * n };
            // SAFETY: these rows are complete, and belong to this chunk.
            if let Err(error) = unsafe { group::run_range(bound, start..start + elements) } {
                monitor.fail(index, error);
            }
        }
    };
    if cut.blocks() == 1 {
        block(0)
    } else {
        parallel(cut.blocks(), &block)
    }
    monitor.result()?;
    if let Some(program) = prepared.epilogue.as_ref().filter(|_| !follows) {
        // SAFETY: as for this function; the product is complete.
        unsafe { group::run(&Bound::new(program, spans, slots, monitor))? };
    }
    Ok(())
}

/// Rows of one matrix and their step, where all matrices of `lhs` lie as one and `rhs` is the same for all.
fn joined(lhs: &Operand, rhs: &Operand, sizes: &[usize], m: usize) -> Option<(usize, isize)> {
    if sizes.is_empty() || rhs.batch.iter().zip(sizes).any(|(&stride, &length)| stride != 0 && length > 1) {
        return None;
    }
    let (mut rows, mut step, mut next) = (1usize, lhs.row, lhs.row);
    let axes = sizes.iter().zip(&lhs.batch).chain([(&m, &lhs.row)]);
    for (&length, &stride) in axes.rev().filter(|(length, _)| **length > 1) {
        if rows == 1 {
            (step, next) = (stride, stride);
        }
        if stride != next {
            return None;
        }
        rows *= length;
        next *= length as isize;
    }
    Some((rows, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_the_result() {
        for (batch, m, n, k) in
            [(1, 1, 4096, 4096), (1, 64, 512, 512), (1, 2048, 2048, 2048), (1000, 8, 8, 8), (3, 700, 1, 900)]
        {
            let cut = Cut::new(batch, m, n, k, 4);
            let (down, across) = cut.pieces();
            assert!(down * cut.rows >= m && across * cut.columns >= n, "{cut:?}");
            assert!(cut.matrices == 1 || (down, across) == (1, 1), "{cut:?}");
            assert!(cut.blocks() <= 2 * BLOCKS + 2, "{cut:?}");
        }
        assert_eq!(Cut::new(1, 8, 8, 8, 4).blocks(), 1);
        assert!(Cut::new(1, 1, 4096, 4096, 4).blocks() > 1);
    }
}
