//! Products of float matrices on one thread, written for the registers and caches of a processor.
//! Depends on `vector`, and for bfloat16 on `scratch` and `tiles`.
//! Invariant: a sum is made in ascending order of the summed index in pieces of a length that follows from the sizes alone; operands may have
//! any strides, and a thread's working memory is bounded.
//!
//! The right operand is packed into panels as wide as a register tile: beforehand for several threads, or panel by panel on its way through
//! the first-level cache. The left operand is read where it lies: a tile is so low that each of its rows has an address of its own.

mod factor;
mod micro;
mod pairs;
#[cfg(test)]
mod tests;
mod thin;

use std::cell::Cell;
use std::ops::Range;

pub(crate) use factor::Factor;
use micro::{HIGH, Micro, wide};
pub(crate) use pairs::gemm_pairs;
pub(crate) use thin::FEW_DOTS;

use super::simd::path;
use super::vector::{self, Element, Routine, Vector, launch};

/// Bytes of a panel of the right operand, of a length of the summed index that fits the first-level cache.
const PANEL_BYTES: usize = 40 << 10;
/// Rows of the left operand that are copied together.
const COPIED: usize = 48;
/// Length of the longest panel.
const DEEPEST: usize = 512;
/// A thread's working memory: a panel, and rows for it.
const ROOM_BYTES: usize = PANEL_BYTES + COPIED * DEEPEST * 8;

/// A matrix: its first element, and the steps to the next row and column in elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<E> {
    /// First element.
    pub(crate) start: *const E,
    /// Step to the next row.
    pub(crate) row: isize,
    /// Step to the next column.
    pub(crate) column: isize,
}

// SAFETY: an address with steps; what it leads to is only read, under the promises of those who read.
unsafe impl<E> Sync for Matrix<E> {}

impl<E> Matrix<E> {
    /// The matrix from this row and column on.
    #[inline(always)]
    pub(crate) fn from(self, row: usize, column: usize) -> Self {
        let elements = row as isize * self.row + column as isize * self.column;
        Self { start: self.start.wrapping_offset(elements), ..self }
    }

    /// Rows and columns exchanged.
    pub(crate) fn turned(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }
}

/// Sizes, operands and the result of one product.
#[derive(Clone, Copy)]
struct Product<E> {
    m: usize,
    n: usize,
    k: usize,
    c: *mut E,
    /// Elements from row to row of the result; neighbours of a row are adjacent.
    c_row: isize,
    a: Matrix<E>,
    b: Matrix<E>,
}

/// A cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "memory for other types")] [u8; 64]);

thread_local! {
    /// This thread's working memory; taken while in use, so that it is never lent twice.
    static ROOM: Cell<Option<Box<[Line]>>> = const { Cell::new(None) };
}

/// `c[i, j] = Σₚ a[i, p] · b[p, j]`; neighbours of a row of `c` are adjacent, its rows `c_row` apart. With `k` = 0 the result is zeros.
///
/// # Safety
/// All elements that sizes and strides reach are readable (of `c`: writable), and `c` overlaps neither operand.
pub(crate) unsafe fn gemm<E: Element>(
    m: usize,
    n: usize,
    k: usize,
    c: *mut E,
    c_row: isize,
    a: Matrix<E>,
    b: Matrix<E>,
) {
    let product = Product { m, n, k, c, c_row, a, b };
    // SAFETY: the path is the processor's; the rest as the caller vouches.
    unsafe { launch(path(), product) }
}

/// Columns of a panel: as wide as a register tile of the path in use.
pub(crate) fn panel_columns<E: Element>() -> usize {
    vector::lanes::<E>(path()) * if vector::many::<E>(path()) { 4 } else { 2 }
}

/// Packs panels of the right operand, `[panel][k][columns]`, the last one filled up with zeros; `packed` is where the first panel of all belongs.
///
/// # Safety
/// The operand holds `k` rows and `n` columns, and `packed` has room for the panels.
pub(crate) unsafe fn pack_panels<E: Element>(b: Matrix<E>, k: usize, n: usize, panels: Range<usize>, packed: *mut E) {
    let width = panel_columns::<E>();
    for panel in panels {
        let left = panel * width;
        let pack =
            Pack { b: b.from(0, left), depth: k, columns: width.min(n - left), to: packed.wrapping_add(left * k) };
        // SAFETY: the path is the processor's; the rest as the caller vouches.
        unsafe { launch(path(), pack) }
    }
}

/// As `gemm`, for a right operand that `pack_panels` has packed, `packed` being the panel of the first column.
///
/// # Safety
/// As for `gemm`.
pub(crate) unsafe fn multiply_packed<E: Element>(
    m: usize,
    n: usize,
    k: usize,
    c: *mut E,
    c_row: isize,
    a: Matrix<E>,
    packed: *const E,
) {
    let b = Matrix { start: packed, row: 0, column: 0 };
    let product = Product { m, n, k, c, c_row, a, b };
    // SAFETY: the path is the processor's; the rest as the caller vouches.
    unsafe { launch(path(), Packed(product)) }
}

/// A product whose right operand is packed.
struct Packed<E>(Product<E>);

impl<E: Element> Routine<E> for Packed<E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) {
        // SAFETY: as the caller vouches.
        unsafe { self.0.panels::<V>(true) }
    }
}

impl<E: Element> Routine<E> for Product<E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) {
        // SAFETY: as the caller vouches.
        unsafe {
            if self.k == 0 {
                self.clear();
            } else if !self.thin::<V>() {
                self.panels::<V>(false);
            }
        }
    }
}

impl<E: Element> Product<E> {
    unsafe fn clear(&self) {
        for row in 0..self.m {
            // SAFETY: the row belongs to the result, and zero bytes are zero.
            unsafe { self.c.offset(row as isize * self.c_row).write_bytes(0, self.n) };
        }
    }

    /// Piece after piece of the sums, panel after panel of the right operand, passed by all rows.
    #[inline(always)]
    unsafe fn panels<V: Vector<Element = E>>(&self, is_packed: bool) {
        let width = wide::<V>() * V::LANES;
        let longest = (PANEL_BYTES / (width * size_of::<E>())).min(DEEPEST);
        let depth = self.k.div_ceil(self.k.div_ceil(longest));
        // Adjacent rows whose columns share few sets of the cache are copied, some rows at a time; panels are not packed again for each time.
        let copies = self.a.row == 1 && depth > 64 && is_alike::<E>(self.a.column) && (is_packed || self.m <= COPIED);
        let together = if copies { COPIED } else { self.m };
        // No closure here: it would not be compiled for the vector's instructions.
        let mut room = match ROOM.take() {
            Some(room) => room,
            None => vec![Line([0; 64]); ROOM_BYTES / 64].into_boxed_slice(),
        };
        let own = room.as_mut_ptr().cast::<E>();
        for first in (0..self.k).step_by(depth) {
            let depth = depth.min(self.k - first);
            for top in (0..self.m).step_by(together) {
                let rows = together.min(self.m - top);
                let mut a = self.a.from(top, first);
                if copies {
                    // SAFETY: the rows are there, and the room has a part for so many.
                    unsafe {
                        let to = own.add(PANEL_BYTES / size_of::<E>());
                        copy_rows::<V>(a, rows, depth, to);
                        a = Matrix { start: to, row: 1, column: COPIED as isize };
                    }
                }
                for left in (0..self.n).step_by(width) {
                    let columns = width.min(self.n - left);
                    let b = self.b.from(first, left);
                    // Rows that pass a panel once or twice can read it where it lies.
                    let passes = if is_alike::<E>(b.row) { HIGH } else { 2 * HIGH };
                    let as_it_lies = b.column == 1 && columns.is_multiple_of(V::LANES) && rows <= passes;
                    // SAFETY: panels lie inside operand or room, tiles inside the result.
                    unsafe {
                        let (panel, step) = if is_packed {
                            (self.b.start.add(left * self.k + first * width), width as isize)
                        } else if as_it_lies {
                            (b.start, b.row)
                        } else {
                            Pack { b, depth, columns, to: own }.run::<V>();
                            (own.cast_const(), width as isize)
                        };
                        let c = self.c.offset(top as isize * self.c_row).add(left);
                        let part = Product { m: rows, n: columns, k: depth, c, a, ..*self };
                        part.tiles::<V>(panel, step, first > 0);
                    }
                }
            }
        }
        ROOM.set(Some(room));
    }

    /// All rows of the left operand times one panel.
    #[inline(always)]
    unsafe fn tiles<V: Vector<Element = E>>(&self, panel: *const E, step: isize, resume: bool) {
        // Tiles of nearly equal height: the last one is not a sliver.
        let tiles = self.m.div_ceil(HIGH);
        for tile in 0..tiles {
            let (top, bottom) = (self.m * tile / tiles, self.m * (tile + 1) / tiles);
            // SAFETY: as the caller vouches.
            unsafe {
                let micro = Micro {
                    depth: self.k,
                    a: self.a.from(top, 0).start,
                    a_row: self.a.row,
                    a_step: self.a.column,
                    b: panel,
                    b_step: step,
                    c: self.c.offset(top as isize * self.c_row),
                    c_row: self.c_row,
                    resume,
                };
                if self.n.is_multiple_of(V::LANES) {
                    micro.dispatch::<V>(bottom - top, self.n / V::LANES, E::ZERO);
                } else {
                    micro.partly::<V>(bottom - top, self.n, E::ZERO);
                }
            }
        }
    }
}

/// Whether lines that lie so many elements apart fall into a few sets of the first-level cache.
fn is_alike<E>(step: isize) -> bool {
    (step.unsigned_abs() * size_of::<E>()).is_multiple_of(512)
}

/// Copies adjacent rows, at most `COPIED`, of some columns: `to[column · COPIED + row]`.
#[inline(always)]
unsafe fn copy_rows<V: Vector>(a: Matrix<V::Element>, rows: usize, columns: usize, to: *mut V::Element) {
    for column in 0..columns {
        for row in (0..rows).step_by(V::LANES) {
            // SAFETY: as the caller vouches.
            unsafe {
                let (from, to) = (a.from(row, column).start, to.add(column * COPIED + row));
                load_first::<V>(from, rows - row).store(to);
            }
        }
    }
}

/// Up to a vector of elements, and zeros after them.
#[inline(always)]
unsafe fn load_first<V: Vector>(from: *const V::Element, count: usize) -> V {
    // SAFETY: as the caller vouches.
    unsafe { if count >= V::LANES { V::load(from) } else { V::load_some(from, (1 << count) - 1) } }
}

/// Packs up to one panel's columns of the right operand, `[row][column]`; zeros complete the last vector.
struct Pack<E> {
    b: Matrix<E>,
    depth: usize,
    columns: usize,
    to: *mut E,
}

impl<E: Element> Routine<E> for Pack<E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) {
        let Self { b, depth, columns, to } = self;
        let width = wide::<V>() * V::LANES;
        // SAFETY: as the caller vouches.
        unsafe {
            if b.column != 1 {
                if !columns.is_multiple_of(V::LANES) {
                    to.write_bytes(0, depth * width);
                }
                return turn::<V>(b.turned(), columns, depth, to, width);
            }
            for p in 0..depth {
                let (from, to) = (b.from(p, 0).start, to.add(p * width));
                for left in (0..columns).step_by(V::LANES) {
                    load_first::<V>(from.add(left), columns - left).store(to.add(left));
                }
            }
        }
    }
}

/// Copies rows (at most `to_row`) of `columns` elements so that neighbours of a column become adjacent: `to[j · to_row + i] = from[i, j]`.
/// What lies between is not defined.
#[inline(always)]
unsafe fn turn<V: Vector>(from: Matrix<V::Element>, rows: usize, columns: usize, to: *mut V::Element, to_row: usize) {
    /// Lanes of the longest vector.
    const LONGEST: usize = 16;
    // SAFETY: as the caller vouches.
    unsafe {
        if from.column != 1 || columns < V::LANES {
            for j in 0..columns {
                for i in 0..rows {
                    *to.add(j * to_row + i) = from.from(i, j).start.read_unaligned();
                }
            }
            return;
        }
        for top in (0..rows).step_by(V::LANES) {
            // Beyond the last row it is repeated, and a last square begins early enough.
            let mut lines = [from.start; LONGEST];
            for (i, line) in lines.iter_mut().enumerate() {
                *line = from.from((top + i).min(rows - 1), 0).start;
            }
            let mut left = 0;
            loop {
                let mut square = lines;
                for line in &mut square {
                    *line = line.add(left);
                }
                V::turn(&square, to.add(left * to_row + top), to_row);
                if left + V::LANES == columns {
                    break;
                }
                left = (left + V::LANES).min(columns - V::LANES);
            }
        }
    }
}
