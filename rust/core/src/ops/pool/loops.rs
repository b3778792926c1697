//! The loops of max pooling over one block: `[pixels][lanes]` in, the same out.
//! Depends on `kit::simd` and `axis`. Invariant: every lane goes through the same arithmetic.
#![allow(
    clippy::needless_range_loop,
    reason = "closures over arrays stay calls inside code compiled for other features"
)]

use super::axis::{Axis, Span};
use super::max::Part;
use crate::kit::simd::{Kernel, Machine};

/// What can be compared.
pub(crate) trait Number:
    Copy + PartialOrd + Default + Send + Sync + std::ops::Add<Output = Self> + 'static
{
    /// Not more than anything else.
    const LEAST: Self;
}

macro_rules! numbers {
    ($($type:ty, $least:expr;)*) => { $(impl Number for $type { const LEAST: Self = $least; })* };
}

numbers! { f32, f32::NEG_INFINITY; f64, f64::NEG_INFINITY; i32, i32::MIN; i64, i64::MIN; u64, 0; }

/// How the number of a position is stored.
pub(crate) trait Tap: Copy + Send + Sync + 'static {
    /// The stored form.
    fn of(number: u32) -> Self;
    /// The number.
    fn number(self) -> u32;
}

impl Tap for u8 {
    #[inline(always)]
    fn of(number: u32) -> Self {
        number as u8
    }
    #[inline(always)]
    fn number(self) -> u32 {
        self.into()
    }
}

impl Tap for u32 {
    #[inline(always)]
    fn of(number: u32) -> Self {
        number
    }
    #[inline(always)]
    fn number(self) -> u32 {
        self
    }
}

/// What the loops share: how a block's windows lie in its positions.
#[derive(Clone, Copy)]
struct Windows<'a> {
    part: &'a Part,
    /// Distances of positions along the axes, in pixels of the block.
    steps: [usize; 3],
    rows: [usize; 2],
    kernel: [usize; 3],
    counts: [usize; 3],
}

impl<'a> Windows<'a> {
    #[inline(always)]
    fn new(axes: &[Axis; 3], part: &'a Part, counts: [usize; 3]) -> Self {
        let (height, width) = (part.inside[1].len(), part.inside[2].len());
        let rows = [height * width, width];
        let steps = [axes[0].step() * rows[0], axes[1].step() * rows[1], axes[2].step()];
        Self { part, steps, rows, kernel: [0, 1, 2].map(|axis| axes[axis].kernel()), counts }
    }

    /// The number in the plane of the first window of a row of the block.
    #[inline(always)]
    fn row(&self, z: usize, y: usize) -> usize {
        let row = (self.part.windows[0].start + z) * self.counts[1] + self.part.windows[1].start + y;
        row * self.counts[2] + self.part.windows[2].start
    }

    /// The first pixel that a window takes, and the number of that position.
    #[inline(always)]
    fn first(&self, [depth, height, width]: [Span; 3]) -> (usize, u32) {
        let pixel = depth.start * self.rows[0] + height.start * self.rows[1] + width.start;
        (pixel, ((depth.first * self.kernel[1] + height.first) * self.kernel[2] + width.first) as u32)
    }
}

/// Runs a body for every window: its number in the block, its number in the plane, what it takes. Not a closure, which
/// would stay a call.
macro_rules! each_window {
    ($windows:ident, |$window:ident, $place:ident, $spans:ident| $body:block) => {
        let mut $window = 0;
        for (z, &depth) in $windows.part.spans[0].iter().enumerate() {
            for (y, &height) in $windows.part.spans[1].iter().enumerate() {
                let mut $place = $windows.row(z, y);
                for &width in &$windows.part.spans[2] {
                    let $spans = [depth, height, width];
                    $body
                    $window += 1;
                    $place += 1;
                }
            }
        }
    };
}

/// Runs a body for every position that a window takes: its pixel and its number. The usual windows are unrolled.
macro_rules! each_position {
    ($windows:ident, $spans:ident, |$pixel:ident, $tap:ident| $body:block) => {
        let (first, number) = $windows.first($spans);
        match [$spans[0].count, $spans[1].count, $spans[2].count] {
            [1, 2, 2] => each_position!(fixed 2, $windows, first, number, |$pixel, $tap| $body),
            [1, 3, 3] => each_position!(fixed 3, $windows, first, number, |$pixel, $tap| $body),
            [depth, height, width] => {
                for z in 0..depth {
                    for y in 0..height {
                        let row = first + z * $windows.steps[0] + y * $windows.steps[1];
                        let number = number + ((z * $windows.kernel[1] + y) * $windows.kernel[2]) as u32;
                        for x in 0..width {
                            let ($pixel, $tap) = (row + x * $windows.steps[2], number + x as u32);
                            $body
                        }
                    }
                }
            }
        }
    };
    (fixed $size:literal, $windows:ident, $first:ident, $number:ident, |$pixel:ident, $tap:ident| $body:block) => {
        for y in 0..$size {
            for x in 0..$size {
                let $pixel = $first + y * $windows.steps[1] + x * $windows.steps[2];
                let $tap = $number + (y * $windows.kernel[2] + x) as u32;
                $body
            }
        }
    };
}

/// The maximum of every window, and which position had it.
pub(super) struct Forward<'a, T, P, const L: usize> {
    pub(super) axes: &'a [Axis; 3],
    pub(super) part: &'a Part,
    pub(super) source: *const T,
    pub(super) target: *mut T,
    /// The group's taps, for all windows of the plane.
    pub(super) taps: Option<*mut P>,
    pub(super) counts: [usize; 3],
}

impl<T: Number, P: Tap, const L: usize> Kernel for Forward<'_, T, P, L> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        let windows = Windows::new(self.axes, self.part, self.counts);
        each_window!(windows, |window, place, spans| {
            let mut best = [T::LEAST; L];
            let mut at = [windows.first(spans).1; L];
            each_position!(windows, spans, |pixel, tap| {
                // SAFETY: spans lie inside the block, which the source holds.
                let values = unsafe { self.source.add(pixel * L).cast::<[T; L]>().read_unaligned() };
                for lane in 0..L {
                    // What is not equal to itself is NaN, which nothing replaces but another.
                    #[allow(clippy::eq_op, reason = "NaN")]
                    let taken = (values[lane] > best[lane]) | (values[lane] != values[lane]);
                    best[lane] = if taken { values[lane] } else { best[lane] };
                    at[lane] = if taken { tap } else { at[lane] };
                }
            });
            // SAFETY: the target holds the block's windows, the taps the plane's.
            unsafe {
                self.target.add(window * L).cast::<[T; L]>().write_unaligned(best);
                if let Some(taps) = self.taps {
                    let mut stored = [P::of(0); L];
                    for lane in 0..L {
                        stored[lane] = P::of(at[lane]);
                    }
                    taps.add(place * L).cast::<[P; L]>().write_unaligned(stored);
                }
            }
        });
    }
}

/// Every window's value added at the position that its tap names.
pub(super) struct Put<'a, T, P, const L: usize> {
    pub(super) axes: &'a [Axis; 3],
    pub(super) part: &'a Part,
    pub(super) source: *const T,
    pub(super) target: *mut T,
    pub(super) taps: *const P,
    pub(super) counts: [usize; 3],
}

impl<T: Number, P: Tap, const L: usize> Kernel for Put<'_, T, P, L> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        let windows = Windows::new(self.axes, self.part, self.counts);
        // SAFETY: source, target and taps hold the block's windows, its positions and the plane's windows.
        unsafe {
            self.target.write_bytes(0, Part::pixels(&self.part.inside) * L);
            each_window!(windows, |window, place, spans| {
                let values = self.source.add(window * L).cast::<[T; L]>().read_unaligned();
                let stored = self.taps.add(place * L).cast::<[P; L]>().read_unaligned();
                let mut taps = [0u32; L];
                for lane in 0..L {
                    taps[lane] = stored[lane].number();
                }
                each_position!(windows, spans, |pixel, tap| {
                    let to = self.target.add(pixel * L).cast::<[T; L]>();
                    let mut sums = to.read_unaligned();
                    for lane in 0..L {
                        let added = if taps[lane] == tap { values[lane] } else { T::default() };
                        sums[lane] = sums[lane] + added;
                    }
                    to.write_unaligned(sums);
                });
            });
        }
    }
}

/// The element at the position that every window's tap names.
pub(super) struct Pick<'a, T, P, const L: usize> {
    pub(super) axes: &'a [Axis; 3],
    pub(super) part: &'a Part,
    pub(super) source: *const T,
    pub(super) target: *mut T,
    pub(super) taps: *const P,
    pub(super) counts: [usize; 3],
}

impl<T: Number, P: Tap, const L: usize> Kernel for Pick<'_, T, P, L> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        let windows = Windows::new(self.axes, self.part, self.counts);
        // SAFETY: as in `Put`.
        unsafe {
            each_window!(windows, |window, place, spans| {
                let taps = self.taps.add(place * L).cast::<[P; L]>().read_unaligned();
                let mut found = [T::default(); L];
                each_position!(windows, spans, |pixel, tap| {
                    let values = self.source.add(pixel * L).cast::<[T; L]>().read_unaligned();
                    for lane in 0..L {
                        found[lane] = if taps[lane].number() == tap { values[lane] } else { found[lane] };
                    }
                });
                self.target.add(window * L).cast::<[T; L]>().write_unaligned(found);
            });
        }
    }
}
