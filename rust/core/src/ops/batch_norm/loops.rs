//! The loops over runs of one channel. Depends on `kit::simd`.
//! Invariant: a run is summed in `LANES` lanes, which are added in their order; what follows is added in float64.
#![allow(
    clippy::needless_range_loop,
    reason = "closures over arrays stay calls inside code compiled for other features"
)]

use std::ops::{Add, Mul, Sub};

use crate::kit::simd::{Kernel, Machine};

/// Lanes of a sum.
const LANES: usize = 64;

/// The floats that channels are computed in.
pub(super) trait Real:
    Copy + Default + Send + Sync + Add<Output = Self> + Mul<Output = Self> + Sub<Output = Self> + 'static
{
    /// The nearest value.
    fn of(number: f64) -> Self;
    /// The value, exactly.
    fn wide(self) -> f64;
}

impl Real for f32 {
    #[inline(always)]
    fn of(number: f64) -> Self {
        number as f32
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self.into()
    }
}

impl Real for f64 {
    #[inline(always)]
    fn of(number: f64) -> Self {
        number
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
}

/// Runs of one length that lie `between` elements apart.
#[derive(Clone, Copy)]
pub(super) struct Runs<T> {
    pub(super) start: *const T,
    pub(super) between: isize,
}

/// Sums over several runs: of `x − shift` where `g` is none (with `squared`, of its square), else of `g` and of `g · (x − shift)`.
pub(super) struct Totals<T> {
    pub(super) x: Runs<T>,
    pub(super) g: Option<Runs<T>>,
    pub(super) shift: T,
    pub(super) squared: bool,
    pub(super) runs: usize,
    pub(super) length: usize,
}

macro_rules! lanes {
    ($sums:ident, $rest:ident, $runs:expr, $length:expr, |$run:ident, $at:ident| $term:expr) => {
        let mut $sums = [T::default(); LANES];
        let mut $rest = 0.0f64;
        for $run in 0..$runs as isize {
            let mut start = 0;
            while start + LANES <= $length {
                for lane in 0..LANES {
                    let $at = start + lane;
                    $sums[lane] = $sums[lane] + $term;
                }
                start += LANES;
            }
            // A rest fills lanes from the first on, sixteen at a time while it can.
            while start + 16 <= $length {
                for lane in 0..16 {
                    let $at = start + lane;
                    $sums[lane] = $sums[lane] + $term;
                }
                start += 16;
            }
            let mut tail = T::default();
            while start < $length {
                let $at = start;
                tail = tail + $term;
                start += 1;
            }
            $rest += tail.wide();
        }
        // Short runs fill no lane.
        if $length >= 16 {
            for lane in 0..LANES {
                $rest += $sums[lane].wide();
            }
        }
    };
}

impl<T: Real> Kernel for Totals<T> {
    type Output = (f64, f64);

    #[inline(always)]
    fn run<M: Machine>(self) -> (f64, f64) {
        let Self { x, g, shift, squared, runs, length } = self;
        // SAFETY: the caller's runs have this length, and there are as many.
        unsafe {
            match (g, squared) {
                (None, false) => {
                    lanes!(sums, rest, runs, length, |run, at| *x.start.offset(run * x.between).add(at) - shift);
                    (rest, 0.0)
                }
                (None, true) => {
                    lanes!(sums, rest, runs, length, |run, at| {
                        let value = *x.start.offset(run * x.between).add(at) - shift;
                        value * value
                    });
                    (rest, 0.0)
                }
                (Some(g), _) => {
                    lanes!(first, plain, runs, length, |run, at| *g.start.offset(run * g.between).add(at));
                    lanes!(second, product, runs, length, |run, at| {
                        let value = *x.start.offset(run * x.between).add(at) - shift;
                        *g.start.offset(run * g.between).add(at) * value
                    });
                    (plain, product)
                }
            }
        }
    }
}

/// `target = g · scale + (x − mean) · slope + shift` along the runs of neighbouring channels; without `g`, the first term is left out,
/// without `x` the others.
pub(super) struct Blend<T> {
    /// Runs one after another.
    pub(super) target: *mut T,
    pub(super) g: *const T,
    pub(super) x: *const T,
    /// Distances of the runs of `g` and `x`.
    pub(super) between: [isize; 2],
    /// Scale, mean, slope and shift of each run's channel.
    pub(super) numbers: *const [T; 4],
    pub(super) runs: usize,
    pub(super) length: usize,
}

impl<T: Real> Kernel for Blend<T> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        let length = self.length;
        for run in 0..self.runs {
            let (of_g, of_x) = (run as isize * self.between[0], run as isize * self.between[1]);
            // SAFETY: there are as many runs of this length, and numbers for each.
            unsafe {
                let [scale, mean, slope, shift] = self.numbers.add(run).read();
                let target = self.target.add(run * length);
                let (g, x) = (self.g.wrapping_offset(of_g), self.x.wrapping_offset(of_x));
                match (self.g.is_null(), self.x.is_null()) {
                    (true, _) => {
                        for at in 0..length {
                            *target.add(at) = (*x.add(at) - mean) * slope + shift;
                        }
                    }
                    (false, true) => {
                        for at in 0..length {
                            *target.add(at) = *g.add(at) * scale;
                        }
                    }
                    (false, false) => {
                        for at in 0..length {
                            *target.add(at) = *g.add(at) * scale + ((*x.add(at) - mean) * slope + shift);
                        }
                    }
                }
            }
        }
    }
}
