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
/// Vectors of columns whose sums stay in registers; they cover whole cache lines.
const WIDE: usize = 8;
const HALF: usize = 4;
const LINE: usize = 64;
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
                    (4.., true) => self.dot_tiles::<V, 4, 6, 1>(top, c_row, c_column),
                    (2.., _) => self.dot_tiles::<V, 2, 4, 1>(top, c_row, c_column),
                    _ => self.dot_tiles::<V, 1, 4, 2>(top, c_row, c_column),
                };
                top += high;
            }
        }
    }

    /// All inner products of `R` rows of `a`, `N` columns of `b` at a time, each in `P` partial sums.
    #[inline(always)]
    unsafe fn dot_tiles<V: Vector<Element = E>, const R: usize, const N: usize, const P: usize>(
        &self,
        top: usize,
        c_row: isize,
        c_column: isize,
    ) -> usize {
        // SAFETY: as the caller vouches.
        unsafe {
            if self.n < N {
                for left in 0..self.n {
                    self.dot_tile::<V, R, 1, P>(top, left, c_row, c_column);
                }
                return R;
            }
            // The last tile begins early, so that it is whole: single columns would wait for their sums.
            for left in (0..self.n).step_by(N) {
                self.dot_tile::<V, R, N, P>(top, left.min(self.n - N), c_row, c_column);
            }
        }
        R
    }

    #[inline(always)]
    unsafe fn dot_tile<V: Vector<Element = E>, const R: usize, const N: usize, const P: usize>(
        &self,
        top: usize,
        left: usize,
        c_row: isize,
        c_column: isize,
    ) {
        // SAFETY: as the caller vouches.
        unsafe {
            let (a, b) = (self.a.from(top, 0), self.b.from(0, left));
            let mut sums = [[[V::splat(E::ZERO); P]; N]; R];
            let mut at = 0;
            while at + P * V::LANES <= self.k {
                for p in 0..P {
                    Self::add_products(a, b, at + p * V::LANES, V::ALL, p, &mut sums);
                }
                at += P * V::LANES;
            }
            while at < self.k {
                let lanes = if self.k - at >= V::LANES { V::ALL } else { (1u32 << (self.k - at)) - 1 };
                Self::add_products(a, b, at, lanes, 0, &mut sums);
                at += V::LANES;
            }
            for r in 0..R {
                for n in 0..N {
                    let mut sum = sums[r][n][0];
                    for p in 1..P {
                        sum = sum.plus(sums[r][n][p]);
                    }
                    let to = (top + r) as isize * c_row + (left + n) as isize * c_column;
                    *self.c.offset(to) = sum.sum();
                }
            }
        }
    }

    /// Adds the products of one vector of each row and column to partial sum `p`.
    #[inline(always)]
    unsafe fn add_products<V: Vector<Element = E>, const R: usize, const N: usize, const P: usize>(
        a: Matrix<E>,
        b: Matrix<E>,
        at: usize,
        lanes: u32,
        p: usize,
        sums: &mut [[[V; P]; N]; R],
    ) {
        // SAFETY: as the caller vouches.
        unsafe {
            let mut x = [sums[0][0][0]; R];
            for r in 0..R {
                x[r] = Self::read(a.start.offset(r as isize * a.row).add(at), lanes);
            }
            for n in 0..N {
                let y: V = Self::read(b.start.offset(n as isize * b.column).add(at), lanes);
                for r in 0..R {
                    sums[r][n][p] = sums[r][n][p].plus_product(x[r], y);
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

    /// Rows of the result as sums of scaled rows of `b`.
    #[inline(always)]
    unsafe fn scaled_rows<V: Vector<Element = E>>(&self) {
        // SAFETY: as the caller vouches.
        unsafe {
            match (V::MANY && V::LANES * size_of::<E>() >= LINE, self.m) {
                (true, 1) => self.column_tiles::<V, 1>(),
                (true, 2) => self.column_tiles::<V, 2>(),
                _ => self.added_rows::<V>(),
            }
        }
    }

    /// Both rows, or the only one, a few columns after the other, whose sums stay in registers.
    #[inline(always)]
    unsafe fn column_tiles<V: Vector<Element = E>, const R: usize>(&self) {
        // SAFETY: as the caller vouches.
        unsafe {
            match self.n / V::LANES {
                0 => self.column_tile::<V, R, 1>(0, (1u32 << self.n) - 1),
                1..HALF => self.whole_tiles::<V, R, 1>(),
                HALF..WIDE => self.whole_tiles::<V, R, HALF>(),
                WIDE.. => self.whole_tiles::<V, R, WIDE>(),
            }
        }
    }

    /// Tiles of `N` vectors, of which the last begins early, so that it is whole.
    #[inline(always)]
    unsafe fn whole_tiles<V: Vector<Element = E>, const R: usize, const N: usize>(&self) {
        for left in (0..self.n).step_by(N * V::LANES) {
            // SAFETY: as the caller vouches.
            unsafe { self.column_tile::<V, R, N>(left.min(self.n - N * V::LANES), V::ALL) };
        }
    }

    /// `N` vectors of columns of `R` rows; `lanes` are those of every vector.
    #[inline(always)]
    unsafe fn column_tile<V: Vector<Element = E>, const R: usize, const N: usize>(&self, left: usize, lanes: u32) {
        // SAFETY: as the caller vouches.
        unsafe {
            let mut sums = [[V::splat(E::ZERO); N]; R];
            for p in 0..self.k {
                let b = self.b.from(p, left).start;
                let mut scales = [sums[0][0]; R];
                for r in 0..R {
                    scales[r] = V::splat(self.a.from(r, p).start.read_unaligned());
                }
                for n in 0..N {
                    let x: V = Self::read(b.add(n * V::LANES), lanes);
                    for r in 0..R {
                        sums[r][n] = sums[r][n].plus_product(scales[r], x);
                    }
                }
            }
            for r in 0..R {
                let c = self.c.offset(r as isize * self.c_row).add(left);
                for n in 0..N {
                    match lanes == V::ALL {
                        true => sums[r][n].store(c.add(n * V::LANES)),
                        false => sums[r][n].store_packed(c.add(n * V::LANES), lanes),
                    }
                }
            }
        }
    }

    /// Rows of the result in the first-level cache, to which scaled rows of `b` are added, a few at a time.
    #[inline(always)]
    unsafe fn added_rows<V: Vector<Element = E>>(&self) {
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
