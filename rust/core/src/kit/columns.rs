//! Sorting of many short rows at once: each in a column of its own, so that one comparison of vectors serves as many rows as there are lanes.
//! Depends on `simd` and `transpose`. Invariant: entries that differ have one order, so that no network changes the result.
#![allow(
    clippy::needless_range_loop,
    reason = "closures over arrays stay calls inside code compiled for other features"
)]

use super::simd::{Kernel, Machine, launch};
use super::transpose::transpose;

/// Longest rows that are sorted so: the comparisons per entry grow faster than those of one row's own sorting.
pub const LONGEST: usize = 32;
/// Rows that are sorted at once.
pub const TOGETHER: usize = 32;

/// A number that vectors order.
pub trait Lane: Copy + Default + PartialOrd {}

impl Lane for u32 {}
impl Lane for u64 {}

/// Sorts each of `TOGETHER` rows of `length` entries, at most `LONGEST`; `spare` has as many.
pub fn sort_rows<T: Lane>(rows: &mut [T], spare: &mut [T], length: usize) {
    assert!(length <= LONGEST && rows.len() == TOGETHER * length && spare.len() == rows.len());
    let (size, across, along) = (size_of::<T>(), length as isize, TOGETHER as isize);
    let (rows, columns) = (rows.as_mut_ptr(), spare.as_mut_ptr());
    // SAFETY: both memories hold `TOGETHER · length` entries.
    unsafe {
        transpose(size, TOGETHER, length, rows.cast_const().cast(), across, columns.cast(), along);
        launch(Network { columns, length });
        transpose(size, length, TOGETHER, columns.cast_const().cast(), along, rows.cast(), across);
    }
}

/// Batcher's network of comparisons between lines of entries, `[length][TOGETHER]`.
struct Network<T> {
    columns: *mut T,
    length: usize,
}

impl<T: Lane> Kernel for Network<T> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        let mut run = 1;
        while run < self.length {
            let mut step = run;
            while step > 0 {
                let mut first = step % run;
                while first + step < self.length {
                    for low in first..(first + step).min(self.length - step) {
                        if low / (2 * run) == (low + step) / (2 * run) {
                            // SAFETY: both lines are below `length`.
                            unsafe { self.exchange(low, low + step) };
                        }
                    }
                    first += 2 * step;
                }
                step /= 2;
            }
            run *= 2;
        }
    }
}

impl<T: Lane> Network<T> {
    /// The smaller entries of two lines to the first of them, the larger to the second.
    #[inline(always)]
    unsafe fn exchange(&self, low: usize, high: usize) {
        // SAFETY: as the caller vouches.
        unsafe {
            let (low, high) = (self.columns.add(low * TOGETHER), self.columns.add(high * TOGETHER));
            let (low, high) = (low.cast::<[T; TOGETHER]>(), high.cast::<[T; TOGETHER]>());
            let (a, b) = (low.read(), high.read());
            let (mut smaller, mut larger) = (a, b);
            for lane in 0..TOGETHER {
                smaller[lane] = if b[lane] < a[lane] { b[lane] } else { a[lane] };
                larger[lane] = if b[lane] < a[lane] { a[lane] } else { b[lane] };
            }
            low.write(smaller);
            high.write(larger);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of numbers without order below a limit.
    fn rows<T: Lane>(length: usize, limit: u64, number: impl Fn(u64) -> T) -> Vec<T> {
        let next = |x: &u64| Some(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        let numbers = std::iter::successors(Some(limit + length as u64), next);
        numbers.map(|x| number((x >> 7) % limit)).take(TOGETHER * length).collect()
    }

    fn check<T: Lane + Ord + std::fmt::Debug>(length: usize, limit: u64, number: impl Fn(u64) -> T) {
        let mut sorted = rows(length, limit, number);
        let mut expected = sorted.clone();
        expected.chunks_mut(length).for_each(<[T]>::sort_unstable);
        let mut spare = vec![T::default(); sorted.len()];
        sort_rows(&mut sorted, &mut spare, length);
        assert_eq!(sorted, expected, "rows of {length} below {limit}");
    }

    #[test]
    fn rows_of_any_length_are_sorted() {
        for length in 1..=LONGEST {
            for limit in [2, 100, u64::MAX >> 8] {
                check(length, limit, |x| x as u32);
                check(length, limit, |x| x.wrapping_mul(0x1_0000_0001));
            }
        }
    }
}
