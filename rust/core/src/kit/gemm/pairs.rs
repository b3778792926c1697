//! Products of bfloat16 matrices by instructions that add two products to a sum. Depends on `scratch`, `tiles` and `vector`.
//! Invariant: two neighbours along the summed index share the 32 bits of an f32, the last of an odd number with a zero; sums are f32, made in
//! ascending order of the pairs however work is cut, and rounded once.

use std::ops::Range;

use half::bf16;

use super::{FEW_DOTS, Matrix, Pack, Packed, Product, panel_columns};
use crate::dtype::DType;
use crate::error::Result;
use crate::kit::scratch::with_scratch;
use crate::kit::simd::path;
use crate::kit::tiles;
use crate::kit::vector::{Routine, Vector, launch, launch_pairs};

/// Rows and columns of the result that are computed together: as f32 they stay in the second-level cache.
const ROWS: usize = 192;
const COLUMNS: usize = 256;
/// Elements from row to row of them: an odd number of cache lines, so that rows fall into different sets.
const RESULT_ROW: usize = COLUMNS + 16;
/// Bytes of the right operand that one thread packs at a time.
const PACKED_BYTES: usize = 1 << 20;

/// Pairs of so many elements.
pub(super) const fn pairs(k: usize) -> usize {
    k.div_ceil(2)
}

/// As `gemm`.
///
/// # Errors
/// Exhausted memory; nothing was done then.
///
/// # Safety
/// As for `gemm`; the processor has pairs, and `k` is not 0.
pub(crate) unsafe fn gemm_pairs(
    m: usize,
    n: usize,
    k: usize,
    c: *mut bf16,
    c_row: isize,
    a: Matrix<bf16>,
    b: Matrix<bf16>,
) -> Result<()> {
    let (deep, panel) = (pairs(k), panel_columns::<f32>());
    let wide = (PACKED_BYTES / (deep * size_of::<f32>()) / panel * panel).max(panel).min(n.next_multiple_of(panel));
    let left = Left::new(a, m, k);
    if left.lies && Left::new(b.turned(), n, k).lies && m.min(n) <= FEW_DOTS {
        // SAFETY: as the caller vouches.
        return unsafe { dots(m, n, k, c, c_row, a, b) };
    }
    with_scratch(wide * deep + left.room(), |packed: *mut f32| {
        for first in (0..n).step_by(wide) {
            let columns = wide.min(n - first);
            // SAFETY: as the caller vouches; the scratch has room for the panels and what `multiply` needs.
            unsafe {
                pack_panels(b.from(0, first), k, columns, 0..columns.div_ceil(panel), packed);
                left.multiply(columns, c.wrapping_add(first), c_row, packed, packed.add(wide * deep));
            }
        }
    })
}

/// As `gemm_pairs`, for few rows or columns of operands that lie in pairs.
unsafe fn dots(
    m: usize,
    n: usize,
    k: usize,
    c: *mut bf16,
    c_row: isize,
    a: Matrix<bf16>,
    b: Matrix<bf16>,
) -> Result<()> {
    with_scratch(ROWS * RESULT_ROW, |products: *mut f32| {
        for (top, first) in (0..m).step_by(ROWS).flat_map(|top| (0..n).step_by(COLUMNS).map(move |first| (top, first)))
        {
            let (a, b) = (a.from(top, 0), b.from(0, first));
            let a = Matrix { start: a.start.cast::<f32>(), row: a.row / 2, column: 1 };
            let b = Matrix { start: b.start.cast::<f32>(), row: 1, column: b.column / 2 };
            let (rows, columns) = (ROWS.min(m - top), COLUMNS.min(n - first));
            let c_row_here = RESULT_ROW as isize;
            let part = Product { m: rows, n: columns, k: pairs(k), c: products, c_row: c_row_here, a, b };
            // SAFETY: the processor has pairs; the scratch holds so many rows and columns, and `c` has them.
            unsafe {
                launch_pairs(Dots(part));
                round(&part, c.offset(top as isize * c_row).add(first), c_row);
            }
        }
    })
}

/// Inner products of rows and columns that lie adjacent.
struct Dots(Product<f32>);

impl Routine<f32> for Dots {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = f32>>(self) {
        // SAFETY: as the caller vouches.
        let done = unsafe { self.0.thin::<V>() };
        debug_assert!(done, "few rows or columns, of adjacent pairs");
    }
}

/// Rounds a part of the result to where it belongs.
unsafe fn round(part: &Product<f32>, c: *mut bf16, c_row: isize) {
    for row in 0..part.m as isize {
        // SAFETY: as the caller vouches.
        unsafe {
            let from = part.c.offset(row * part.c_row).cast();
            tiles::store(DType::BF16, part.n, from, c.offset(row * c_row).cast(), 1);
        }
    }
}

/// As `super::pack_panels`: `[panel][pair][columns]`.
///
/// # Safety
/// As there; the processor has pairs.
pub(super) unsafe fn pack_panels(b: Matrix<bf16>, k: usize, n: usize, panels: Range<usize>, packed: *mut f32) {
    let width = panel_columns::<f32>();
    for panel in panels {
        let left = panel * width;
        let to = packed.wrapping_add(left * pairs(k));
        // SAFETY: the path is the processor's; the rest as the caller vouches.
        unsafe { launch(path(), PackPairs { b: b.from(0, left), k, columns: width.min(n - left), to }) }
    }
}

/// As `super::multiply_packed`.
///
/// # Errors
/// Exhausted memory.
///
/// # Safety
/// As there; the processor has pairs.
pub(super) unsafe fn multiply_packed(
    m: usize,
    n: usize,
    k: usize,
    c: *mut bf16,
    c_row: isize,
    a: Matrix<bf16>,
    packed: *const f32,
) -> Result<()> {
    let left = Left::new(a, m, k);
    with_scratch(left.room(), |scratch: *mut f32| {
        // SAFETY: as the caller vouches; the scratch has the room.
        unsafe { left.multiply(n, c, c_row, packed, scratch) }
    })
}

/// A left operand.
struct Left {
    a: Matrix<bf16>,
    m: usize,
    k: usize,
    /// Whether its elements lie in pairs already.
    lies: bool,
    /// Rows that are multiplied together.
    rows: usize,
}

impl Left {
    fn new(a: Matrix<bf16>, m: usize, k: usize) -> Self {
        let lies = a.column == 1 && k.is_multiple_of(2) && (a.row % 2 == 0 || m == 1);
        Self { a, m, k, lies, rows: if lies { ROWS } else { panel_columns::<f32>() } }
    }

    /// Elements of the memory for results and, where they do not lie so, for pairs.
    fn room(&self) -> usize {
        self.rows * (RESULT_ROW + if self.lies { 0 } else { pairs(self.k) })
    }

    /// `c` = this · packed, of `n` columns.
    ///
    /// # Safety
    /// As for `multiply_packed`; `room` has as many elements as `room()`.
    unsafe fn multiply(&self, n: usize, c: *mut bf16, c_row: isize, packed: *const f32, room: *mut f32) {
        let (rows, deep) = (self.rows, pairs(self.k));
        let turned = room.wrapping_add(rows * RESULT_ROW);
        for top in (0..self.m).step_by(rows) {
            let (high, a) = (rows.min(self.m - top), self.a.from(top, 0));
            let mut left = Matrix { start: a.start.cast::<f32>(), row: a.row / 2, column: 1 };
            if !self.lies {
                // Rows become the columns of a panel.
                // SAFETY: the path is the processor's, and the room is a panel's.
                unsafe { launch(path(), PackPairs { b: a.turned(), k: self.k, columns: high, to: turned }) };
                left = Matrix { start: turned.cast_const(), row: 1, column: rows as isize };
            }
            for first in (0..n).step_by(COLUMNS) {
                let columns = COLUMNS.min(n - first);
                let b = Matrix { start: packed.wrapping_add(first * deep), row: 0, column: 0 };
                let part = Product { m: high, n: columns, k: deep, c: room, c_row: RESULT_ROW as isize, a: left, b };
                // SAFETY: the processor has pairs; the room holds so many rows and columns, and `c` has them.
                unsafe {
                    launch_pairs(Packed(part));
                    round(&part, c.offset(top as isize * c_row).add(first), c_row);
                }
            }
        }
    }
}

/// As `Pack`, for pairs of rows.
struct PackPairs {
    b: Matrix<bf16>,
    /// Rows.
    k: usize,
    columns: usize,
    to: *mut f32,
}

impl Routine<f32> for PackPairs {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = f32>>(self) {
        let Self { b, k, columns, to } = self;
        let (whole, width) = (k / 2, super::wide::<V>() * V::LANES);
        // SAFETY: as the caller vouches.
        unsafe {
            let mut moved = 0;
            if b.row == 1 && b.column % 2 == 0 {
                // Pairs lie together: they are moved as they are.
                let b = Matrix { start: b.start.cast::<f32>(), row: 1, column: b.column / 2 };
                Pack { b, depth: whole, columns, to }.run::<V>();
                moved = whole;
            }
            let zero = Matrix { start: &bf16::ZERO, row: 0, column: 0 };
            for pair in moved..pairs(k) {
                let lower = if pair < whole { b.from(2 * pair + 1, 0) } else { zero };
                zip::<V>(b.from(2 * pair, 0), lower, columns, to.add(pair * width));
            }
        }
    }
}

/// Pairs of the elements of two rows; zeros complete the last vector.
#[inline(always)]
unsafe fn zip<V: Vector>(upper: Matrix<bf16>, lower: Matrix<bf16>, columns: usize, to: *mut f32) {
    // SAFETY: as the caller vouches.
    unsafe {
        if upper.column == 1 && lower.column == 1 {
            for j in 0..columns {
                zip_one(upper.start.add(j), lower.start.add(j), to.add(j));
            }
        } else {
            for j in 0..columns {
                zip_one(upper.from(0, j).start, lower.from(0, j).start, to.add(j));
            }
        }
        for j in columns..columns.next_multiple_of(V::LANES) {
            to.add(j).write(0.0);
        }
    }
}

#[inline(always)]
unsafe fn zip_one(upper: *const bf16, lower: *const bf16, to: *mut f32) {
    // SAFETY: as the caller vouches.
    let (upper, lower) = unsafe { (upper.read_unaligned().to_bits(), lower.read_unaligned().to_bits()) };
    // SAFETY: likewise.
    unsafe { to.write(f32::from_bits(u32::from(upper) | u32::from(lower) << 16)) };
}
