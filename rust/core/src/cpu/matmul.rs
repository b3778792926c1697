//! Matrix products: cut into blocks by shape alone, with the epilogue on finished rows while they are in the cache.
//! Depends on `group`, `kit::matmul`, `kit::threads`. Invariant: blocks partition the result, and follow from sizes alone.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel};

use half::bf16;
use smallvec::SmallVec;

use super::bound::{Bound, Span};
use super::cut::Cut;
use super::group;
use super::monitor::Monitor;
use super::program::Program;
use crate::backend::HostPointer;
use crate::dtype::DType;
use crate::error::Result;
use crate::kit::gemm::{self, Factor};
use crate::kit::matmul::{add_pieces, matmul};
use crate::kit::scratch::Scratch;
use crate::kit::threads::parallel;
use crate::kit::vector::has_pairs;
use crate::layout::Layout;
use crate::plan::{Argument, Matmul};

/// Bytes of the right operand that are packed for all threads at a time.
const SHARED_BYTES: usize = 8 << 20;
/// Elements that one thread packs at a time.
const PACKED: usize = 1 << 15;

thread_local! {
    /// Memory of a packed operand, kept from product to product: new memory costs more than packing. At most `SHARED_BYTES`, but for one panel of
    /// very long sums.
    static PACKED_MEMORY: Cell<Option<Scratch>> = const { Cell::new(None) };
}

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
}

impl Operand {
    fn new(span: &Span, layout: &Layout, dtype: DType) -> Self {
        let axes = layout.strides.len() - 2;
        Self {
            start: HostPointer(span.start.0.wrapping_offset(layout.offset * dtype.size() as isize)),
            batch: SmallVec::from_slice(&layout.strides[..axes]),
            row: layout.strides[axes],
            column: layout.strides[axes + 1],
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
    let cut = Cut::new(sizes.iter().product(), m, n, k, dtype, product.epilogue.is_some());
    let layout = &arguments[product.result].layout;
    let result = HostPointer(spans[product.result].start.0.wrapping_offset(layout.offset * size as isize));
    // SAFETY: as for this function.
    let bound = prepared.epilogue.as_ref().map(|program| unsafe { Bound::new(program, spans, slots, monitor) });
    // Constants of the epilogue are read before the product is there: with a single element that is the product itself.
    let follows = cut.batch * m * n > 1;
    let work = Blocks { dtype, cut, sizes, lhs, rhs, result, epilogue: bound.as_ref().filter(|_| follows), monitor };
    // SAFETY: the arguments hold their layouts' elements.
    unsafe {
        match dtype {
            _ if cut.sum_pieces() > 1 => work.deep()?,
            DType::F32 if cut.shares() => work.shared::<f32>(),
            DType::F64 if cut.shares() => work.shared::<f64>(),
            DType::BF16 if cut.shares() && has_pairs() => work.shared::<bf16>(),
            _ => work.separate(),
        }
    }
    monitor.result()?;
    if let Some(program) = prepared.epilogue.as_ref().filter(|_| !follows) {
        // SAFETY: as for this function; the product is complete.
        unsafe { group::run(&Bound::new(program, spans, slots, monitor))? };
    }
    Ok(())
}

/// A product whose blocks are about to be computed.
struct Blocks<'a> {
    dtype: DType,
    cut: Cut,
    /// Sizes of the batch axes.
    sizes: &'a [usize],
    lhs: Operand,
    rhs: Operand,
    result: HostPointer,
    epilogue: Option<&'a Bound<'a>>,
    monitor: &'a Monitor<'a>,
}

impl Blocks<'_> {
    /// First element of the result in this row and column of a matrix.
    fn target(&self, matrix: usize, row: usize, column: usize) -> *mut u8 {
        let element = (matrix * self.cut.m + row) * self.cut.n + column;
        self.result.0.wrapping_add(element * self.dtype.size())
    }

    /// First element of a row of the left operand's matrix.
    fn left(&self, matrix: usize, row: usize) -> *mut u8 {
        let bytes = row as isize * self.lhs.row * self.dtype.size() as isize;
        self.lhs.matrix(matrix, self.sizes, self.dtype.size()).wrapping_offset(bytes)
    }

    /// `rows` × `columns` sums of `depth` products each, from parts of both operands that begin here.
    ///
    /// # Safety
    /// As for `matmul`.
    unsafe fn multiply(
        &self,
        [rows, columns, depth]: [usize; 3],
        to: *mut u8,
        left: *const u8,
        right: *const u8,
    ) -> Result<()> {
        let (Self { dtype, lhs, rhs, .. }, row) = (self, self.cut.n as isize);
        // SAFETY: as the caller vouches.
        unsafe { matmul(*dtype, rows, columns, depth, to, row, left, lhs.row, lhs.column, right, rhs.row, rhs.column) }
    }

    /// Every block reads both operands where they lie.
    ///
    /// # Safety
    /// The operands hold their matrices.
    unsafe fn separate(&self) {
        let Cut { batch, m, n, k, rows, columns, matrices, .. } = self.cut;
        let (down, across) = self.cut.pieces();
        let missing = Missing::new(self.cut.blocks() / across, across);
        let block = |index: usize| {
            if self.monitor.stopped() {
                return;
            }
            let (column, row) = (index % across * columns, index / across % down * rows);
            let (columns, rows) = (columns.min(n - column), rows.min(m - row));
            let first = index / across / down * matrices;
            let matrices = first..(first + matrices).min(batch);
            for matrix in matrices.clone() {
                let step = column as isize * self.rhs.column * self.dtype.size() as isize;
                let right = self.rhs.matrix(matrix, self.sizes, self.dtype.size()).wrapping_offset(step);
                let (dst, left) = (self.target(matrix, row, column), self.left(matrix, row));
                // SAFETY: blocks partition the result; the operands hold their matrices.
                if let Err(error) = unsafe { self.multiply([rows, columns, k], dst, left, right) } {
                    return self.monitor.fail(index, error);
                }
            }
            if missing.completes(index / across) {
                let elements = if down > 1 { rows * n } else { matrices.len() * m * n };
                // SAFETY: these rows are complete, and belong to this block.
                unsafe { self.finish((matrices.start * m + row) * n..(matrices.start * m + row) * n + elements) };
            }
        };
        if self.cut.blocks() == 1 { block(0) } else { parallel(self.cut.blocks(), &block) }
    }

    /// Pieces of the sums of one matrix are made side by side, and added in their order.
    ///
    /// # Safety
    /// The operands hold their matrices.
    unsafe fn deep(&self) -> Result<()> {
        let Cut { m, n, k, depth, .. } = self.cut;
        let (pieces, size) = (self.cut.sum_pieces(), self.dtype.size());
        let memory = Scratch::of::<u8>(pieces * m * n * size)?;
        let sums = HostPointer(memory.start());
        parallel(pieces, &|piece| {
            if self.monitor.stopped() {
                return;
            }
            let first = piece * depth;
            let from = |operand: &Operand, step: isize| {
                operand.matrix(0, self.sizes, size).wrapping_offset(first as isize * step * size as isize)
            };
            let (left, right) = (from(&self.lhs, self.lhs.column), from(&self.rhs, self.rhs.row));
            let (to, depth) = (group::at(sums).wrapping_add(piece * m * n * size), depth.min(k - first));
            // SAFETY: every piece has sums of its own; the operands hold their matrices.
            if let Err(error) = unsafe { self.multiply([m, n, depth], to, left, right) } {
                self.monitor.fail(piece, error);
            }
        });
        if !self.monitor.stopped() {
            // SAFETY: all pieces are there, and the result is this product's.
            unsafe {
                add_pieces(self.dtype, m * n, pieces, sums.0, self.target(0, 0, 0));
                self.finish(0..m * n);
            }
        }
        Ok(())
    }

    /// The right operand is packed once for all blocks, as much of it at a time as fits the last cache.
    ///
    /// # Safety
    /// The operands hold their matrices; the elements are of type `E`.
    unsafe fn shared<E: Factor>(&self) {
        let Cut { batch, m, n, k, rows, columns, .. } = self.cut;
        let size = size_of::<E>();
        let (panel, deep) = (E::panel_columns(), E::panel_rows(k));
        let wide = (SHARED_BYTES / (deep * size) / panel * panel).max(panel).min(n.next_multiple_of(panel));
        let bytes = deep * wide * size;
        let held = PACKED_MEMORY.take().filter(|memory| memory.bytes() >= bytes);
        let Some(memory) = held.or_else(|| Scratch::of::<u8>(bytes).ok()) else {
            // SAFETY: as for this function.
            return unsafe { self.separate() };
        };
        let packed = HostPointer(memory.start());
        let down = m.div_ceil(rows);
        for matrix in 0..batch {
            let (lhs, rhs) = (self.operand::<E>(&self.lhs, matrix), self.operand::<E>(&self.rhs, matrix));
            let across = |left: usize| wide.min(n - left).div_ceil(columns);
            let missing = Missing::new(down, (0..n).step_by(wide).map(across).sum());
            for left in (0..n).step_by(wide) {
                let (wide, across) = (wide.min(n - left), across(left));
                let (panels, together) = (wide.div_ceil(panel), (PACKED / (k * panel)).max(1));
                parallel(panels.div_ceil(together), &|index| {
                    let panels = index * together..((index + 1) * together).min(panels);
                    // SAFETY: every panel is written once, by one thread.
                    unsafe { E::pack_panels(rhs.from(0, left), k, wide, panels, group::at(packed).cast()) };
                });
                parallel(down * across, &|index| {
                    if self.monitor.stopped() {
                        return;
                    }
                    let (row, column) = (index / across * rows, index % across * columns);
                    let (high, columns) = (rows.min(m - row), columns.min(wide - column));
                    let dst = self.target(matrix, row, left + column).cast::<E>();
                    // SAFETY: blocks partition the result; they begin with a panel.
                    unsafe {
                        let packed = group::at(packed).cast::<E>().add(column * deep);
                        let lhs = lhs.from(row, 0);
                        if let Err(error) = E::multiply_packed(high, columns, k, dst, n as isize, lhs, packed) {
                            return self.monitor.fail(index, error);
                        }
                        if missing.completes(index / across) {
                            let first = (matrix * m + row) * n;
                            self.finish(first..first + high * n);
                        }
                    }
                });
            }
        }
        PACKED_MEMORY.set(Some(memory));
    }

    /// One matrix of an operand.
    fn operand<E>(&self, operand: &Operand, matrix: usize) -> gemm::Matrix<E> {
        let start = operand.matrix(matrix, self.sizes, size_of::<E>()).cast::<E>().cast_const();
        gemm::Matrix { start, row: operand.row, column: operand.column }
    }

    /// Runs the epilogue on finished elements.
    ///
    /// # Safety
    /// They are complete, and nobody else works on them.
    unsafe fn finish(&self, elements: Range<usize>) {
        let Some(bound) = self.epilogue else { return };
        let chunk = elements.start;
        // SAFETY: as the caller vouches.
        if let Err(error) = unsafe { group::run_range(bound, elements) } {
            self.monitor.fail(chunk, error);
        }
    }
}

/// Blocks still missing of each group of whole rows; the last one is followed by the epilogue.
struct Missing(SmallVec<[AtomicUsize; 16]>);

impl Missing {
    fn new(rows: usize, blocks: usize) -> Self {
        Self((0..rows).map(|_| AtomicUsize::new(blocks)).collect())
    }

    /// Counts one block; whether it was the last.
    fn completes(&self, rows: usize) -> bool {
        self.0[rows].fetch_sub(1, AcqRel) == 1
    }
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
