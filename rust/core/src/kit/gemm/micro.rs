//! The register tile: a few rows of the left operand by one panel of the right one. Depends on `vector`.
//! Invariant: each sum is made in ascending order of the summed index, whatever the tile, so that results do not depend on how work is cut.
#![allow(clippy::needless_range_loop, reason = "iterators over arrays may stay calls inside code of other features")]

use crate::kit::vector::{Vector, by_lane};

/// `c[i, j] (+)= Σₚ a[i, p] · b[p, j]` for a few rows and the columns of one panel. Steps are in elements.
#[derive(Clone, Copy)]
pub(super) struct Micro<E> {
    /// Length of the sums.
    pub(super) depth: usize,
    /// The left operand, and its steps to the next row and to the next product.
    pub(super) a: *const E,
    pub(super) a_row: isize,
    pub(super) a_step: isize,
    /// Whole vectors, lying side by side.
    pub(super) b: *const E,
    pub(super) b_step: isize,
    pub(super) c: *mut E,
    pub(super) c_row: isize,
    /// Whether the sums go on from what `c` holds.
    pub(super) resume: bool,
}

impl<E: Copy> Micro<E> {
    /// # Safety
    /// The operands hold `R` rows, `depth` products and `N` vectors, the result the rows and the lanes that exist; the processor has the
    /// vector's instructions.
    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>, const R: usize, const N: usize>(&self, zero: E) {
        // SAFETY: as the caller vouches.
        unsafe {
            if cfg!(target_arch = "aarch64") && V::BY_LANE {
                self.shared::<V, R, N>(zero)
            } else {
                self.sums::<V, R, N>(zero)
            }
        }
    }

    /// As `run`, as one function for all its callers: vectors that every processor of an architecture has need no code of other features
    /// around them.
    ///
    /// # Safety
    /// As for `run`.
    #[inline(never)]
    unsafe fn shared<V: Vector<Element = E>, const R: usize, const N: usize>(&self, zero: E) {
        // SAFETY: as the caller vouches.
        unsafe { self.sums::<V, R, N>(zero) }
    }

    /// # Safety
    /// As for `run`.
    #[inline(always)]
    unsafe fn sums<V: Vector<Element = E>, const R: usize, const N: usize>(&self, zero: E) {
        // The loops over sums are short, so that they are unrolled: an index that is not known keeps all sums in memory.
        // SAFETY: as the caller vouches.
        unsafe {
            let mut sums = [[V::splat(zero); N]; R];
            if self.resume {
                for r in 0..R {
                    for n in 0..N {
                        sums[r][n] = V::load(self.c.offset(r as isize * self.c_row).add(n * V::LANES));
                    }
                }
            }
            let (mut a, mut b) = (self.a, self.b);
            let mut left = self.depth;
            if V::BY_LANE && self.a_step == 1 {
                while left >= V::LANES {
                    by_lane::along(&mut sums, a, self.a_row, &mut b, self.b_step);
                    a = a.wrapping_add(V::LANES);
                    left -= V::LANES;
                }
            }
            let side_by_side = V::BY_LANE && self.a_row == 1 && R >= V::LANES;
            while side_by_side && left > 0 {
                let mut line = [V::load(b); N];
                for n in 1..N {
                    line[n] = V::load(b.add(n * V::LANES));
                }
                by_lane::adjacent(&mut sums, &line, a);
                a = a.wrapping_offset(self.a_step);
                b = b.wrapping_offset(self.b_step);
                left -= 1;
            }
            for _ in 0..left {
                let mut line = [V::load(b); N];
                for n in 1..N {
                    line[n] = V::load(b.add(n * V::LANES));
                }
                for r in 0..R {
                    let x = V::factor(a.offset(r as isize * self.a_row));
                    for n in 0..N {
                        sums[r][n] = sums[r][n].plus_scaled(line[n], x);
                    }
                }
                a = a.wrapping_offset(self.a_step);
                b = b.wrapping_offset(self.b_step);
            }
            for r in 0..R {
                for n in 0..N {
                    sums[r][n].store(self.c.offset(r as isize * self.c_row).add(n * V::LANES));
                }
            }
        }
    }

    /// As `dispatch` where only `columns` columns of the result are there: by way of a tile beside it.
    ///
    /// # Safety
    /// As for `run`, the result being `columns` wide.
    #[inline(always)]
    pub(super) unsafe fn partly<V: Vector<Element = E>>(self, rows: usize, columns: usize, zero: E) {
        let vectors = columns.div_ceil(V::LANES);
        let width = vectors * V::LANES;
        let mut beside = [zero; MOST];
        // SAFETY: as the caller vouches; the tile beside has room for all rows and vectors.
        unsafe {
            if self.resume {
                for r in 0..rows {
                    let from = self.c.offset(r as isize * self.c_row);
                    std::ptr::copy_nonoverlapping(from, beside.as_mut_ptr().add(r * width), columns);
                }
            }
            Micro { c: beside.as_mut_ptr(), c_row: width as isize, ..self }.dispatch::<V>(rows, vectors, zero);
            for r in 0..rows {
                let to = self.c.offset(r as isize * self.c_row);
                std::ptr::copy_nonoverlapping(beside.as_ptr().add(r * width), to, columns);
            }
        }
    }

    /// Runs the tile of so many rows and vectors, at most `HIGH` and `wide::<V>()`.
    ///
    /// # Safety
    /// As for `run`.
    #[inline(always)]
    pub(super) unsafe fn dispatch<V: Vector<Element = E>>(&self, rows: usize, vectors: usize, zero: E) {
        macro_rules! tiles {
            ($($r:literal)*) => {
                match (rows, vectors) {
                    $(
                        ($r, 4) if V::MANY => self.run::<V, $r, 4>(zero),
                        ($r, 3) if V::MANY => self.run::<V, $r, 3>(zero),
                        ($r, 2) => self.run::<V, $r, 2>(zero),
                        ($r, 1) => self.run::<V, $r, 1>(zero),
                    )*
                    _ => unreachable!("tiles are no larger than the registers allow"),
                }
            };
        }
        // SAFETY: as the caller vouches.
        unsafe { tiles!(1 2 3 4 5 6) }
    }
}

/// Rows of the highest tile: few enough that each has its address in a register.
pub(super) const HIGH: usize = 6;

/// Vectors of the widest tile: sums, one line of the right operand and one element fill the registers.
pub(super) const fn wide<V: Vector>() -> usize {
    if V::MANY { 4 } else { 2 }
}

/// Elements of the largest tile: its vectors have at most 16.
const MOST: usize = HIGH * 4 * 16;
