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

/// Elements that are compared at once, each with the best of its lane: in short rows, and in long ones, where comparisons need not wait for
/// one another then.
const FEW: usize = 16;
const MANY: usize = 64;

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
            (true, true) => self.of_length::<i64, true>(),
            (true, false) => self.of_length::<i64, false>(),
            (false, true) => self.of_length::<i32, true>(),
            (false, false) => self.of_length::<i32, false>(),
        }
    }
}

impl<T: Number> Row<T> {
    #[inline(always)]
    fn of_length<P: Position, const LARGEST: bool>(&self) -> (T, usize) {
        match self.n {
            0..FEW => self.one_by_one::<LARGEST>(),
            FEW..256 => self.best::<P, LARGEST, FEW>(),
            _ => self.best::<P, LARGEST, MANY>(),
        }
    }

    /// The general way, which knows NaN.
    #[inline(never)]
    fn one_by_one<const LARGEST: bool>(&self) -> (T, usize) {
        // SAFETY: the row has n elements, at least one.
        let element = |i: usize| unsafe { self.src.add(i).read_unaligned() };
        let (mut best, mut place) = (element(0), 0);
        for i in 1..self.n {
            let x = element(i);
            if is_number(best) && (beats::<T, LARGEST>(x, best) || !is_number(x)) {
                (best, place) = (x, i);
            }
        }
        (best, place)
    }

    #[inline(always)]
    fn best<P: Position, const LARGEST: bool, const LANES: usize>(&self) -> (T, usize) {
        // SAFETY: the row has n elements, as many as lanes at least.
        let lanes = |first: usize| unsafe { self.src.add(first).cast::<[T; LANES]>().read_unaligned() };
        let mut best = lanes(0);
        let mut place = [P::at(0); LANES];
        let mut odd = [false; LANES];
        for lane in 0..LANES {
            odd[lane] = !is_number(best[lane]);
        }
        let mut first = LANES;
        while first < self.n {
            // The last ones overlap what has been seen: the same elements at the same positions.
            first = first.min(self.n - LANES);
            let (values, here) = (lanes(first), P::at(first));
            for lane in 0..LANES {
                let better = beats::<T, LARGEST>(values[lane], best[lane]);
                odd[lane] |= !is_number(values[lane]);
                best[lane] = if better { values[lane] } else { best[lane] };
                place[lane] = if better { here } else { place[lane] };
            }
            first += LANES;
        }
        let mut any = false;
        for lane in 0..LANES {
            any |= odd[lane];
            place[lane] = place[lane].after(lane);
        }
        if any {
            return self.one_by_one::<LARGEST>();
        }
        macro_rules! halve {
            ($($width:literal)*) => {$(
                if $width < LANES {
                    for lane in 0..$width {
                        let (a, b) = (best[lane], best[lane + $width]);
                        let (earlier, later) = (place[lane], place[lane + $width]);
                        let better = beats::<T, LARGEST>(b, a) | ((a == b) & (later < earlier));
                        best[lane] = if better { b } else { a };
                        place[lane] = if better { later } else { earlier };
                    }
                }
            )*};
        }
        halve!(32 16 8 4 2 1);
        (best[0], place[0].index())
    }
}

/// Whether a number is strictly better than another.
#[inline(always)]
fn beats<T: Number, const LARGEST: bool>(x: T, best: T) -> bool {
    if LARGEST { x > best } else { x < best }
}

#[inline(always)]
#[allow(clippy::eq_op, reason = "false for NaN only")]
fn is_number<T: Number>(x: T) -> bool {
    x == x
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
        for n in 1..400 {
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
