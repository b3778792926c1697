//! The extreme of a row and its first position in one pass. Depends on `number`.
//! Invariant: the first NaN is more extreme than any number, and of equals the first.
#![allow(
    clippy::needless_range_loop,
    reason = "closures over arrays stay calls inside code compiled for other features"
)]

use super::number::{Number, with_compute};
use crate::code::Fold;
use crate::dtype::DType;
use crate::kit::simd::{Kernel, Machine, launch};

/// Elements that are compared at once, each with the best of its lane.
const LANES: usize = 16;

struct Row<T> {
    n: usize,
    src: *const T,
    largest: bool,
}

impl<T: Number> Kernel for Row<T> {
    type Output = (T, usize);

    #[inline(always)]
    fn run<M: Machine>(self) -> (T, usize) {
        // Positions as wide as the elements, so that one mask serves both.
        match (size_of::<T>() == 8, self.largest) {
            (true, true) => self.best::<i64, true>(),
            (true, false) => self.best::<i64, false>(),
            (false, true) => self.best::<i32, true>(),
            (false, false) => self.best::<i32, false>(),
        }
    }
}

impl<T: Number> Row<T> {
    #[inline(always)]
    fn best<P: Position, const LARGEST: bool>(&self) -> (T, usize) {
        // SAFETY: the row has n elements, at least one.
        let element = |i: usize| unsafe { self.src.add(i).read_unaligned() };
        if self.n < LANES {
            let (mut best, mut place) = (element(0), 0);
            for i in 1..self.n {
                let x = element(i);
                if is_better::<T, LARGEST>(x, best) {
                    (best, place) = (x, i);
                }
            }
            return (best, place);
        }
        // SAFETY: as above.
        let lanes = |first: usize| unsafe { self.src.add(first).cast::<[T; LANES]>().read_unaligned() };
        let mut best = lanes(0);
        let mut place = [P::at(0); LANES];
        let mut first = LANES;
        while first < self.n {
            // The last ones overlap what has been seen: the same elements at the same positions.
            first = first.min(self.n - LANES);
            let (values, here) = (lanes(first), P::at(first));
            for lane in 0..LANES {
                let better = is_better::<T, LARGEST>(values[lane], best[lane]);
                best[lane] = if better { values[lane] } else { best[lane] };
                place[lane] = if better { here } else { place[lane] };
            }
            first += LANES;
        }
        for lane in 0..LANES {
            place[lane] = place[lane].after(lane);
        }
        macro_rules! halve {
            ($($width:literal)*) => {$(
                for lane in 0..$width {
                    let (a, b) = (best[lane], best[lane + $width]);
                    let (earlier, later) = (place[lane], place[lane + $width]);
                    #[allow(clippy::eq_op, reason = "false for NaN only")]
                    let equal = (a == b) | ((a != a) & (b != b));
                    let better = is_better::<T, LARGEST>(b, a) | (equal & (later < earlier));
                    best[lane] = if better { b } else { a };
                    place[lane] = if better { later } else { earlier };
                }
            )*};
        }
        halve!(8 4 2 1);
        (best[0], place[0].index())
    }
}

/// Whether an element is better than the best so far: strictly better, or the first NaN.
#[inline(always)]
fn is_better<T: Number, const LARGEST: bool>(x: T, best: T) -> bool {
    let kept = if LARGEST { x <= best } else { x >= best };
    #[allow(clippy::eq_op, reason = "false for NaN only")]
    let is_number = best == best;
    !kept & is_number
}

/// A position in a row, in an integer of some width.
trait Position: Copy + PartialOrd {
    fn at(index: usize) -> Self;
    fn after(self, lanes: usize) -> Self;
    fn index(self) -> usize;
}

macro_rules! positions {
    ($($type:ident)*) => {$(
        impl Position for $type {
            #[inline(always)]
            fn at(index: usize) -> Self {
                index as $type
            }
            #[inline(always)]
            fn after(self, lanes: usize) -> Self {
                self + lanes as $type
            }
            #[inline(always)]
            fn index(self) -> usize {
                self as usize
            }
        }
    )*};
}

positions! { i32 i64 }

/// The extreme of a row, as its slot, and its first position.
///
/// # Safety
/// `src` holds `n` values, at least one and at most 2³⁰, of the compute type of `dtype`.
pub unsafe fn best_of_row(fold: Fold, dtype: DType, n: usize, src: *const u8) -> (u64, usize) {
    let largest = matches!(fold, Fold::ArgMax | Fold::Max);
    with_compute!(dtype.compute(), T => {
        let (best, place) = launch(Row::<T> { n, src: src.cast(), largest });
        (best.to_slot(), place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_extreme_is_found_in_rows_of_any_length() {
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, 1.0, 1.0, -2.0];
        let mut state = 1u32;
        for n in 1..100 {
            for kinds in [3, 8] {
                let row: Vec<f32> = (0..n)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        odd[8 - kinds + (state >> 16) as usize % kinds]
                    })
                    .collect();
                for (fold, largest) in [(Fold::ArgMax, true), (Fold::ArgMin, false)] {
                    let beats = |a: f32, b: f32| !b.is_nan() && (a.is_nan() || if largest { a > b } else { a < b });
                    let expected = (1..n).fold(0, |best, i| if beats(row[i], row[best]) { i } else { best });
                    // SAFETY: the row has n elements.
                    let (_, place) = unsafe { best_of_row(fold, DType::F32, n, row.as_ptr().cast()) };
                    assert_eq!(place, expected, "{row:?}");
                }
            }
        }
    }
}
