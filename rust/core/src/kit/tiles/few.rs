//! Folds of many columns at once, straight into their results: of few rows, and positions of extremes. Depends on `fold`.
//! Invariant: results have the bits of the canonical tree, see `fold`.
#![allow(
    clippy::needless_range_loop,
    reason = "closures over arrays stay calls inside code compiled for other features"
)]

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::fold::{Folding, LANES, Largest, Product, Smallest, Sum, with_fold};
use super::number::{Number, with_compute};
use crate::code::Fold;
use crate::dtype::DType;
use crate::kit::simd::{Kernel, Machine, launch};

/// Columns whose values are registers.
const STRIP: usize = 16;

/// Calls `$body` for strips of columns: `STRIP` of them, the last ones overlapping, or one by one where there are fewer.
macro_rules! strips {
    ($columns:expr, $column:ident, $width:ident => $body:expr) => {
        if $columns >= STRIP {
            const $width: usize = STRIP;
            let mut next = 0;
            while next < $columns {
                let $column = if next + STRIP <= $columns { next } else { $columns - STRIP };
                $body;
                next += STRIP;
            }
        } else {
            const $width: usize = 1;
            let mut $column = 0;
            while $column < $columns {
                $body;
                $column += 1;
            }
        }
    };
}

struct FewRows<T, F> {
    rows: usize,
    columns: usize,
    src: *const T,
    step: isize,
    dst: *mut T,
    folding: PhantomData<F>,
}

impl<T: Number, F: Folding<T>> FewRows<T, F> {
    /// The elements of a row, folded with the identity as every lane begins.
    #[inline(always)]
    unsafe fn row<M: Machine, const N: usize>(&self, row: usize, column: usize) -> [T; N] {
        // SAFETY: the caller names a row and columns of the source.
        let mut values =
            unsafe { self.src.offset(row as isize * self.step).add(column).cast::<[T; N]>().read_unaligned() };
        // What chooses among its operands gives back the element.
        if !F::CHOOSES {
            for i in 0..N {
                values[i] = F::apply::<M>((F::IDENTITY, values[i]));
            }
        }
        values
    }

    /// Lane `lane` of `2 · half` after the tree's first step, of `rows` rows.
    #[inline(always)]
    unsafe fn lane<M: Machine, const N: usize>(&self, rows: usize, lane: usize, half: usize, column: usize) -> [T; N] {
        // SAFETY: as the caller vouches.
        unsafe {
            let values = self.row::<M, N>(lane, column);
            if lane + half < rows { both::<T, F, M, N>(values, self.row::<M, N>(lane + half, column)) } else { values }
        }
    }

    /// The tree over the `rows` rows of `N` columns.
    #[inline(always)]
    unsafe fn strip<M: Machine, const N: usize>(&self, rows: usize, column: usize) {
        let mut half = rows.next_power_of_two() / 2;
        // SAFETY: as the caller vouches; the lanes below `half` are written before they are read.
        unsafe {
            let result = match half {
                0 => self.row::<M, N>(0, column),
                1 => self.lane::<M, N>(rows, 0, 1, column),
                2 => both::<T, F, M, N>(self.lane::<M, N>(rows, 0, 2, column), self.lane::<M, N>(rows, 1, 2, column)),
                _ => {
                    let mut lanes = MaybeUninit::<[[T; N]; LANES / 2]>::uninit();
                    let lanes = lanes.as_mut_ptr().cast::<[T; N]>();
                    for lane in 0..half {
                        lanes.add(lane).write(self.lane::<M, N>(rows, lane, half, column));
                    }
                    while half > 1 {
                        half /= 2;
                        for lane in 0..half {
                            let upper = lanes.add(lane + half).read();
                            lanes.add(lane).write(both::<T, F, M, N>(lanes.add(lane).read(), upper));
                        }
                    }
                    lanes.read()
                }
            };
            self.dst.add(column).cast::<[T; N]>().write_unaligned(result);
        }
    }
}

/// Two lanes made one.
#[inline(always)]
fn both<T: Number, F: Folding<T>, M: Machine, const N: usize>(mut a: [T; N], b: [T; N]) -> [T; N] {
    for i in 0..N {
        a[i] = F::apply::<M>((a[i], b[i]));
    }
    a
}

impl<T: Number, F: Folding<T>> Kernel for FewRows<T, F> {
    type Output = ();
    const NARROW: bool = true;

    #[inline(always)]
    fn run<M: Machine>(self) {
        /// Strips of so many rows; where the number is known, each strip is code without branches.
        macro_rules! all_of {
            ($rows:expr) => {
                // SAFETY: strips lie inside the columns.
                strips!(self.columns, column, WIDTH => unsafe { self.strip::<M, WIDTH>($rows, column) })
            };
        }
        match self.rows {
            2 => all_of!(2),
            3 => all_of!(3),
            4 => all_of!(4),
            rows => all_of!(rows),
        }
    }
}

/// Folds all rows of columns that have 1 to `LANES` of them, row i beginning at element i · `step` of `src`, to one result per column.
///
/// # Safety
/// `src` holds the rows, `dst` has room for the results, of the compute type of `dtype`, and they do not overlap.
pub unsafe fn fold_few(
    fold: Fold,
    dtype: DType,
    (rows, columns): (usize, usize),
    src: *const u8,
    step: isize,
    dst: *mut u8,
) {
    with_fold!(fold, dtype, F, T => {
        launch(FewRows::<T, F> { rows, columns, src: src.cast(), step, dst: dst.cast(), folding: PhantomData });
    });
}

/// Best values and their positions per column so far.
#[derive(Clone, Copy)]
pub struct Best {
    /// A value of the compute type per column.
    pub values: *mut u8,
    /// Where it was.
    pub positions: *mut i64,
}

struct Positions<T> {
    rows: usize,
    columns: usize,
    src: *const T,
    step: isize,
    /// Position of the first row; whether there is nothing before it.
    first: i64,
    fresh: bool,
    largest: bool,
    values: *mut T,
    positions: *mut i64,
}

impl<T: Number> Positions<T> {
    /// The rows of `N` columns; `P` is as wide as the elements, so that one mask serves both.
    #[inline(always)]
    unsafe fn strip<P: Row, const N: usize, const LARGEST: bool>(&self, column: usize) {
        // SAFETY: as the caller vouches.
        unsafe {
            let value_place = self.values.add(column).cast::<[T; N]>();
            let position_place = self.positions.add(column).cast::<[i64; N]>();
            let source = self.src.add(column);
            let mut best =
                if self.fresh { source.cast::<[T; N]>().read_unaligned() } else { value_place.read_unaligned() };
            let mut place = [if self.fresh { P::at(0) } else { P::NONE }; N];
            for row in usize::from(self.fresh)..self.rows {
                let values = source.offset(row as isize * self.step).cast::<[T; N]>().read_unaligned();
                let here = P::at(row);
                for i in 0..N {
                    // Not beaten, and the best is a number: true for better values and for the first NaN.
                    let kept = if LARGEST { values[i] <= best[i] } else { values[i] >= best[i] };
                    #[allow(clippy::eq_op, reason = "false for NaN only")]
                    let better = !kept & (best[i] == best[i]);
                    best[i] = if better { values[i] } else { best[i] };
                    place[i] = if better { here } else { place[i] };
                }
            }
            value_place.write_unaligned(best);
            let mut positions = if self.fresh { [0; N] } else { position_place.read_unaligned() };
            for i in 0..N {
                let place = place[i].place();
                positions[i] = if place >= 0 { self.first + place } else { positions[i] };
            }
            position_place.write_unaligned(positions);
        }
    }

    #[inline(always)]
    fn sweep<P: Row>(self) {
        if self.largest {
            // SAFETY: strips lie inside the columns.
            strips!(self.columns, column, WIDTH => unsafe { self.strip::<P, WIDTH, true>(column) });
        } else {
            // SAFETY: as above.
            strips!(self.columns, column, WIDTH => unsafe { self.strip::<P, WIDTH, false>(column) });
        }
    }
}

/// The number of a row, in an integer of some width.
trait Row: Copy {
    const NONE: Self;
    fn at(row: usize) -> Self;
    fn place(self) -> i64;
}

impl Row for i32 {
    const NONE: Self = -1;
    #[inline(always)]
    fn at(row: usize) -> Self {
        row as i32
    }
    #[inline(always)]
    fn place(self) -> i64 {
        i64::from(self)
    }
}

impl Row for i64 {
    const NONE: Self = -1;
    #[inline(always)]
    fn at(row: usize) -> Self {
        row as i64
    }
    #[inline(always)]
    fn place(self) -> i64 {
        self
    }
}

impl<T: Number> Kernel for Positions<T> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        if size_of::<T>() == 8 { self.sweep::<i64>() } else { self.sweep::<i32>() }
    }
}

/// Takes rows of columns into the best values so far and their positions, the first row being number `first`: it begins anew where `fresh`.
/// A row is better where it is strictly better, or the first NaN.
///
/// # Safety
/// `src` holds the rows (at most 2³¹ of them), `best` a place per column, and they do not overlap.
pub unsafe fn best_of_columns(
    fold: Fold,
    dtype: DType,
    (rows, columns): (usize, usize),
    src: *const u8,
    step: isize,
    (first, fresh): (usize, bool),
    best: Best,
) {
    let largest = matches!(fold, Fold::ArgMax | Fold::Max);
    let (first, positions) = (first as i64, best.positions);
    with_compute!(dtype.compute(), T => {
        let (src, values) = (src.cast::<T>(), best.values.cast::<T>());
        launch(Positions { rows, columns, src, step, first, fresh, largest, values, positions });
    });
}
