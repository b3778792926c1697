//! The loop of weighted sums over one block: `[pixels][lanes]` in, the same out.
//! Depends on `band` and `kit::simd`. Invariant: rows are summed first, then along the row, in the order of the elements.
#![allow(
    clippy::needless_range_loop,
    reason = "closures over arrays stay calls inside code compiled for other features"
)]

use std::ops::{Add, Div, Mul, Range};

use super::band::Band;
use crate::kit::simd::{Kernel, Machine};

/// The floats that sums are computed in.
pub(super) trait Real:
    Copy + Default + Send + Sync + Add<Output = Self> + Mul<Output = Self> + Div<Output = Self> + 'static
{
    /// The nearest value.
    fn of(number: f64) -> Self;
}

impl Real for f32 {
    fn of(number: f64) -> Self {
        number as f32
    }
}

impl Real for f64 {
    fn of(number: f64) -> Self {
        number
    }
}

/// One axis of a block: for every row of the band its first element in the block, how many it sums, and its weights.
struct Axis<T> {
    spans: Vec<(usize, usize, usize)>,
    weights: Vec<T>,
    before: Option<Vec<f64>>,
    after: Option<Vec<f64>>,
}

impl<T: Real> Axis<T> {
    fn new(band: &Band, rows: &Range<usize>, inside: &Range<usize>) -> Self {
        let weights = match (band.first.get(rows.start), rows.end.checked_sub(1)) {
            (Some(&first), Some(last)) => first..band.first[last] + band.rows[last].len(),
            _ => 0..0,
        };
        let span = |row: usize| {
            let columns = &band.rows[row];
            let first = band.first.get(row).map_or(0, |first| first - weights.start);
            (columns.start.saturating_sub(inside.start), columns.len(), first)
        };
        Self {
            spans: rows.clone().map(span).collect(),
            weights: band.weights[weights.clone()].iter().map(|&weight| T::of(weight)).collect(),
            before: band.before.as_ref().map(|divisors| divisors[inside.clone()].to_vec()),
            after: band.after.as_ref().map(|divisors| divisors[rows.clone()].to_vec()),
        }
    }

    /// The weight of the n-th element of a span.
    #[inline(always)]
    fn weight(&self, (_, _, first): (usize, usize, usize), nth: usize) -> Option<T> {
        if self.weights.is_empty() { None } else { Some(self.weights[first + nth]) }
    }
}

/// A block of the result.
pub(super) struct Part<T> {
    pub(super) rows: [Range<usize>; 3],
    pub(super) inside: [Range<usize>; 3],
    axes: [Axis<T>; 3],
}

impl<T: Real> Part<T> {
    pub(super) fn new(bands: &[Band; 3], rows: [Range<usize>; 3], inside: [Range<usize>; 3]) -> Self {
        let axes = [0, 1, 2].map(|axis| Axis::new(&bands[axis], &rows[axis], &inside[axis]));
        Self { rows, inside, axes }
    }

    /// Pixels that are read.
    pub(super) fn read(&self) -> usize {
        self.inside.iter().map(|range| range.len()).product()
    }

    /// Pixels that are written.
    pub(super) fn written(&self) -> usize {
        self.rows.iter().map(|range| range.len()).product()
    }

    /// Pixels of a row that is read.
    pub(super) fn row(&self) -> usize {
        self.inside[2].len()
    }
}

/// The sums of a block.
pub(super) struct Sums<'a, T, const L: usize> {
    pub(super) part: &'a Part<T>,
    pub(super) source: *mut T,
    pub(super) target: *mut T,
    pub(super) row: *mut T,
}

impl<T: Real, const L: usize> Sums<'_, T, L> {
    /// Divides every pixel of a box by the product of its axes' divisors.
    #[inline(always)]
    unsafe fn divide(&self, at: *mut T, sizes: [usize; 3], divisors: [Option<&[f64]>; 3]) {
        if divisors.iter().all(Option::is_none) {
            return;
        }
        let mut pixel = 0;
        for z in 0..sizes[0] {
            for y in 0..sizes[1] {
                let outer = divisors[0].map_or(1.0, |divisors| divisors[z]) * divisors[1].map_or(1.0, |d| d[y]);
                for x in 0..sizes[2] {
                    let divisor = T::of(outer * divisors[2].map_or(1.0, |divisors| divisors[x]));
                    // SAFETY: the caller's box has these sizes.
                    unsafe {
                        let place = at.add(pixel * L).cast::<[T; L]>();
                        let mut values = place.read_unaligned();
                        for lane in 0..L {
                            values[lane] = values[lane] / divisor;
                        }
                        place.write_unaligned(values);
                    }
                    pixel += 1;
                }
            }
        }
    }

    /// `row = weight · source` or `row += weight · source`, along a row.
    #[inline(always)]
    unsafe fn gather(&self, source: *const T, width: usize, weight: Option<T>, begin: bool) {
        // SAFETY: both rows have this width.
        unsafe {
            match (weight, begin) {
                (None, true) => self.row.copy_from_nonoverlapping(source, width * L),
                (None, false) => {
                    for i in 0..width * L {
                        *self.row.add(i) = *self.row.add(i) + *source.add(i);
                    }
                }
                (Some(weight), true) => {
                    for i in 0..width * L {
                        *self.row.add(i) = weight * *source.add(i);
                    }
                }
                (Some(weight), false) => {
                    for i in 0..width * L {
                        *self.row.add(i) = *self.row.add(i) + weight * *source.add(i);
                    }
                }
            }
        }
    }
}

impl<T: Real, const L: usize> Kernel for Sums<'_, T, L> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        let [depths, heights, widths] = &self.part.axes;
        let [depth, height, width] = [0, 1, 2].map(|axis| self.part.inside[axis].len());
        let before = [0, 1, 2].map(|axis| self.part.axes[axis].before.as_deref());
        let after = [0, 1, 2].map(|axis| self.part.axes[axis].after.as_deref());
        // SAFETY: spans lie inside the block that was read; row and target have room for a row and for the block.
        unsafe {
            self.divide(self.source, [depth, height, width], before);
            let mut target = self.target;
            for &z in &depths.spans {
                for &y in &heights.spans {
                    let mut begin = true;
                    // A single row of weight 1 is read where it is.
                    let only = z.1 == 1 && y.1 == 1 && depths.weights.is_empty() && heights.weights.is_empty();
                    for i in 0..if only { 0 } else { z.1 } {
                        for j in 0..y.1 {
                            let source = self.source.add(((z.0 + i) * height + y.0 + j) * width * L);
                            let weight = match (depths.weight(z, i), heights.weight(y, j)) {
                                (Some(a), Some(b)) => Some(a * b),
                                (a, b) => a.or(b),
                            };
                            self.gather(source, width, weight, begin);
                            begin = false;
                        }
                    }
                    let row = match only {
                        true => self.source.add((z.0 * height + y.0) * width * L),
                        false => self.row,
                    };
                    if begin && !only {
                        row.write_bytes(0, width * L);
                    }
                    for &x in &widths.spans {
                        let mut sums = [T::default(); L];
                        for k in 0..x.1 {
                            let values = row.add((x.0 + k) * L).cast::<[T; L]>().read_unaligned();
                            match widths.weight(x, k) {
                                Some(weight) => {
                                    for lane in 0..L {
                                        sums[lane] = sums[lane] + weight * values[lane];
                                    }
                                }
                                None if k == 0 => sums = values,
                                None => {
                                    for lane in 0..L {
                                        sums[lane] = sums[lane] + values[lane];
                                    }
                                }
                            }
                        }
                        target.cast::<[T; L]>().write_unaligned(sums);
                        target = target.add(L);
                    }
                }
            }
            self.divide(self.target, [0, 1, 2].map(|axis| self.part.rows[axis].len()), after);
        }
    }
}
