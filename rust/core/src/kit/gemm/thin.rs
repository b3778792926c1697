//! Products with few rows or columns, which are bound by memory: nothing is packed. Depends on `vector`.
//! Invariant: the large operand is read once, along its adjacent elements.
#![allow(clippy::needless_range_loop, reason = "iterators over arrays may stay calls inside code of other features")]

use super::{Matrix, Product};
use crate::kit::vector::{Element, Vector};

/// Rows of the small operand up to which inner products and scaled rows are faster than tiles; their sums are made in another order.
pub(crate) const FEW_DOTS: usize = 8;
const FEW_ROWS: usize = 2;
/// Rows of the large operand that are scaled and added at a time.
const TOGETHER: usize = 8;
/// Results of a row that stay in the first-level cache while rows are added.
const NEAR: usize = 2048;

impl<E: Element> Product<E> {
    /// Computes the product if it is thin; says whether it did.
    #[inline(always)]
    pub(super) unsafe fn thin<V: Vector<Element = E>>(&self) -> bool {
        let flipped = Product { m: self.n, n: self.m, a: self.b.turned(), b: self.a.turned(), ..*self };
        let adjacent = |x: Matrix<E>| x.column == 1;
        // SAFETY: as the caller vouches.
        unsafe {
            if adjacent(self.a) && adjacent(self.b.turned()) && self.m.min(self.n) <= FEW_DOTS {
                match self.m <= self.n {
                    true => self.dots::<V>(self.c_row, 1),
                    false => flipped.dots::<V>(1, self.c_row),
                }
                return true;
            }
            if self.m <= FEW_ROWS && adjacent(self.b) {
                self.scaled_rows::<V>();
                return true;
            }
            // A column of results that lies as a row.
            if self.n == 1 && self.c_row == 1 && adjacent(flipped.b) {
                flipped.scaled_rows::<V>();
                return true;
            }
        }
        false
    }

    /// Inner products of rows of `a` with columns of `b`, both of adjacent elements; results lie `c_row` and `c_column` apart.
    #[inline(always)]
    unsafe fn dots<V: Vector<Element = E>>(&self, c_row: isize, c_column: isize) {
        let mut top = 0;
        while top < self.m {
            let left = self.m - top;
            // SAFETY: as the caller vouches.
            unsafe {
                let high = match (left, V::MANY) {
                    (4.., true) => self.dot_tiles::<V, 4, 6>(top, c_row, c_column),
                    (2.., _) => self.dot_tiles::<V, 2, 4>(top, c_row, c_column),
                    _ => self.dot_tiles::<V, 1, 8>(top, c_row, c_column),
                };
                top += high;
            }
        }
    }

    /// All inner products of `R` rows of `a`, `N` columns of `b` at a time.
    #[inline(always)]
    unsafe fn dot_tiles<V: Vector<Element = E>, const R: usize, const N: usize>(
        &self,
        top: usize,
        c_row: isize,
        c_column: isize,
    ) -> usize {
        let mut left = 0;
        // SAFETY: as the caller vouches.
        unsafe {
            while left + N <= self.n {
                self.dot_tile::<V, R, N>(top, left, c_row, c_column);
                left += N;
            }
            while left < self.n {
                self.dot_tile::<V, R, 1>(top, left, c_row, c_column);
                left += 1;
            }
        }
        R
    }

    #[inline(always)]
    unsafe fn dot_tile<V: Vector<Element = E>, const R: usize, const N: usize>(
        &self,
        top: usize,
        left: usize,
        c_row: isize,
        c_column: isize,
    ) {
        // SAFETY: as the caller vouches.
        unsafe {
            let (a, b) = (self.a.from(top, 0), self.b.from(0, left));
            let mut sums = [[V::splat(E::ZERO); N]; R];
            let whole = self.k / V::LANES * V::LANES;
            let mut at = 0;
            while at < self.k {
                let lanes = if at < whole { V::ALL } else { (1u32 << (self.k - whole)) - 1 };
                let mut x = [sums[0][0]; R];
                for r in 0..R {
                    x[r] = Self::read(a.start.offset(r as isize * a.row).add(at), lanes);
                }
                for n in 0..N {
                    let y: V = Self::read(b.start.offset(n as isize * b.column).add(at), lanes);
                    for r in 0..R {
                        sums[r][n] = sums[r][n].plus_product(x[r], y);
                    }
                }
                at += V::LANES;
            }
            for r in 0..R {
                for n in 0..N {
                    let to = (top + r) as isize * c_row + (left + n) as isize * c_column;
                    *self.c.offset(to) = sums[r][n].sum();
                }
            }
        }
    }

    /// The lanes that exist.
    #[inline(always)]
    unsafe fn read<V: Vector<Element = E>>(from: *const E, lanes: u32) -> V {
        // SAFETY: as the caller vouches.
        unsafe { if lanes == V::ALL { V::load(from) } else { V::load_some(from, lanes) } }
    }

    /// Rows of the result as sums of scaled rows of `b`, a few of these at a time.
    #[inline(always)]
    unsafe fn scaled_rows<V: Vector<Element = E>>(&self) {
        for left in (0..self.n).step_by(NEAR) {
            let part =
                Product { n: NEAR.min(self.n - left), c: self.c.wrapping_add(left), b: self.b.from(0, left), ..*self };
            for first in (0..self.k).step_by(TOGETHER) {
                for row in 0..self.m {
                    // SAFETY: as the caller vouches.
                    unsafe {
                        match self.k - first {
                            TOGETHER.. => part.add_rows::<V, TOGETHER>(row, first),
                            together => {
                                for p in first..first + together {
                                    part.add_rows::<V, 1>(row, p);
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Adds `P` scaled rows of `b` to a row of the result, which they begin if they are the first.
    #[inline(always)]
    unsafe fn add_rows<V: Vector<Element = E>, const P: usize>(&self, row: usize, first: usize) {
        // SAFETY: as the caller vouches.
        unsafe {
            let c = self.c.offset(row as isize * self.c_row);
            let b = self.b.from(first, 0);
            let mut scales = [V::splat(E::ZERO); P];
            for p in 0..P {
                scales[p] = V::splat(self.a.from(row, first + p).start.read_unaligned());
            }
            let whole = self.n / V::LANES * V::LANES;
            let mut at = 0;
            while at < whole {
                let to = c.add(at);
                let mut sum = if first == 0 { V::splat(E::ZERO) } else { V::load(to) };
                for p in 0..P {
                    sum = sum.plus_product(scales[p], V::load(b.start.offset(p as isize * b.row).add(at)));
                }
                sum.store(to);
                at += V::LANES;
            }
            if at < self.n {
                let (to, lanes) = (c.add(at), (1u32 << (self.n - at)) - 1);
                let mut sum = if first == 0 { V::splat(E::ZERO) } else { V::load_some(to, lanes) };
                for p in 0..P {
                    sum = sum.plus_product(scales[p], V::load_some(b.start.offset(p as isize * b.row).add(at), lanes));
                }
                sum.store_packed(to, lanes);
            }
        }
    }
}
