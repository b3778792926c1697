//! Sums of whole rows, and of products of two, several rows at once. Depends on `kit::vector` and `fold`.
//! Invariant: the canonical tree of `fold`; products are rounded before they are added.
#![allow(clippy::needless_range_loop, reason = "iterators over arrays may stay calls inside code of other features")]

use super::fold::{LANES, combine_sums};
use crate::dtype::Compute;
use crate::kit::simd::path;
use crate::kit::vector::{Element, Routine, Vector, launch};

/// Rows at once: their additions do not wait for one another.
const ROWS: usize = 4;

struct Sums<E> {
    rows: usize,
    n: usize,
    a: *const E,
    /// The other factor; null where there is none.
    b: *const E,
    sums: *mut u64,
}

impl<E: Summed> Routine<E> for Sums<E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) {
        // SAFETY: as the caller of `sum_rows` vouches.
        unsafe { if self.b.is_null() { self.all::<V, false>() } else { self.all::<V, true>() } }
    }
}

impl<E: Summed> Sums<E> {
    #[inline(always)]
    unsafe fn all<V: Vector<Element = E>, const PRODUCT: bool>(&self) {
        let mut row = 0;
        // SAFETY: as the caller of `sum_rows` vouches.
        unsafe {
            // A vector of sixteen lanes needs two accumulators per row.
            while V::LANES * 2 >= LANES && row + ROWS <= self.rows {
                self.some::<V, PRODUCT, ROWS>(row);
                row += ROWS;
            }
            while row < self.rows {
                self.some::<V, PRODUCT, 1>(row);
                row += 1;
            }
        }
    }

    /// The sums of `COUNT` rows from `row` on.
    #[inline(always)]
    unsafe fn some<V: Vector<Element = E>, const PRODUCT: bool, const COUNT: usize>(&self, row: usize) {
        let vectors = LANES / V::LANES;
        let whole = self.n / LANES * LANES;
        // SAFETY: rows have n elements, and masks keep the rest of a row inside it.
        unsafe {
            let mut sums = [[V::splat(E::ZERO); LANES / 2]; COUNT];
            let mut first = 0;
            while first < whole {
                for i in 0..COUNT {
                    let at = (row + i) * self.n + first;
                    for k in 0..vectors {
                        let a = V::load(self.a.add(at + k * V::LANES));
                        let term = if PRODUCT { a.times(V::load(self.b.add(at + k * V::LANES))) } else { a };
                        sums[i][k] = sums[i][k].plus(term);
                    }
                }
                first += LANES;
            }
            for k in 0..vectors {
                let done = whole + k * V::LANES;
                if done < self.n {
                    let mask = if self.n - done >= V::LANES { V::ALL } else { (1 << (self.n - done)) - 1 };
                    for i in 0..COUNT {
                        let at = (row + i) * self.n + done;
                        let a = V::load_some(self.a.add(at), mask);
                        let term = if PRODUCT { a.times(V::load_some(self.b.add(at), mask)) } else { a };
                        sums[i][k] = sums[i][k].plus(term);
                    }
                }
            }
            for i in 0..COUNT {
                let mut lanes = [E::ZERO; LANES];
                for k in 0..vectors {
                    sums[i][k].store(lanes.as_mut_ptr().add(k * V::LANES));
                }
                self.sums.add(row + i).write(E::combined(lanes));
            }
        }
    }
}

/// Floats that are summed.
trait Summed: Element {
    /// The slot of the sum of lanes.
    fn combined(lanes: [Self; LANES]) -> u64;
}

macro_rules! summed {
    ($($type:ty)*) => {$(
        impl Summed for $type {
            #[inline(always)]
            fn combined(lanes: [Self; LANES]) -> u64 {
                super::number::Number::to_slot(combine_sums(lanes))
            }
        }
    )*};
}

summed!(f32 f64);

/// Sums each of `rows` contiguous rows of `n` elements, or of their products with `b` if that is not null, to the slots `sums`.
///
/// # Safety
/// `a` and `b` hold `rows · n` values of float32 or float64, each row at most `BLOCK`; `sums` has room for `rows`.
pub unsafe fn sum_rows(compute: Compute, rows: usize, n: usize, a: *const u8, b: *const u8, sums: *mut u64) {
    // SAFETY: the path in use is one that the processor has; the rest is the caller's promise.
    unsafe {
        match compute {
            Compute::F64 => launch(path(), Sums::<f64> { rows, n, a: a.cast(), b: b.cast(), sums }),
            _ => launch(path(), Sums::<f32> { rows, n, a: a.cast(), b: b.cast(), sums }),
        }
    }
}
