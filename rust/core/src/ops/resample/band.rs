//! Weights along one axis: which elements an element of the result is the weighted sum of.
//! Depends on `pool::axis`. Invariant: the elements of one sum lie next to each other; transposing a band keeps that.

use std::ops::Range;

use super::super::pool::axis::Axis;
use crate::graph::Key;

/// What a window's sum is divided by, along one axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Divisor {
    /// The number of elements that the window takes.
    Inside,
    /// The size of the window, as far as it lies on the axis with this much padding after it.
    Padded(usize),
    /// A number.
    Fixed(f64),
}

/// How the elements of one axis come from those of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Weights {
    /// Sums of windows, divided.
    Mean(Axis, Divisor),
    /// One element for each: that before the place, or with `exact` the nearest.
    Nearest {
        /// Whether places are taken in the middle of elements.
        exact: bool,
        /// Elements of the input per element of the result, where that is not the quotient of the sizes.
        scale: Option<f64>,
    },
    /// The two elements around the place.
    Linear {
        /// Whether the outermost elements lie on each other, not the outermost edges.
        align_corners: bool,
        /// As in `Nearest`.
        scale: Option<f64>,
    },
    /// The four elements around the place, by the cubic convolution with a = −¾.
    Cubic {
        /// As in `Linear`.
        align_corners: bool,
        /// As in `Nearest`.
        scale: Option<f64>,
    },
}

/// The weights between two axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Side {
    /// Size of the input's axis, before a transposition.
    pub(crate) size: usize,
    /// Size of the result's axis, before a transposition.
    pub(crate) count: usize,
    /// How the one comes from the other.
    pub(crate) weights: Weights,
}

/// A band matrix: one row per element of the result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Band {
    /// Elements of the input that each row sums.
    pub(crate) rows: Vec<Range<usize>>,
    /// The weights, row after row; none where all are 1.
    pub(crate) weights: Vec<f64>,
    /// Where each row's weights begin.
    pub(crate) first: Vec<usize>,
    /// What the input's elements are divided by before.
    pub(crate) before: Option<Vec<f64>>,
    /// What the sums are divided by.
    pub(crate) after: Option<Vec<f64>>,
}

impl Side {
    /// An axis that stays as it is.
    pub(crate) fn whole(size: usize) -> Self {
        Self { size, count: size, weights: Weights::Mean(Axis::whole(size), Divisor::Fixed(1.0)) }
    }

    /// Writes the side to a plan's key.
    pub(crate) fn key(&self, key: &mut Key) {
        let scaled = |scale: Option<f64>| [u64::from(scale.is_some()), scale.unwrap_or_default().to_bits()];
        let words = |words: &[u64], key: &mut Key| key.list(words, |word| word);
        words(&[self.size as u64, self.count as u64], key);
        match self.weights {
            Weights::Mean(axis, divisor) => {
                axis.key(key);
                match divisor {
                    Divisor::Inside => words(&[0], key),
                    Divisor::Padded(after) => words(&[1, after as u64], key),
                    Divisor::Fixed(divisor) => words(&[2, divisor.to_bits(), 0], key),
                }
            }
            Weights::Nearest { exact, scale } => {
                let [given, bits] = scaled(scale);
                words(&[3, u64::from(exact), given, bits], key);
            }
            Weights::Linear { align_corners, scale } => {
                let [given, bits] = scaled(scale);
                words(&[4, u64::from(align_corners), given, bits], key);
            }
            Weights::Cubic { align_corners, scale } => {
                let [given, bits] = scaled(scale);
                words(&[5, u64::from(align_corners), given, bits], key);
            }
        }
    }

    /// The band, from the input to the result or, `transposed`, back.
    pub(crate) fn band(&self, transposed: bool) -> Band {
        let band = self.forward();
        if transposed { band.transposed(self.size) } else { band }
    }

    fn forward(&self) -> Band {
        match self.weights {
            Weights::Mean(axis, divisor) => self.windows(&axis, divisor),
            Weights::Nearest { exact, scale } => {
                let row = |number| (self.nearest(number, exact, scale), [1.0, 0.0, 0.0, 0.0], 1);
                self.rows(row, true)
            }
            Weights::Linear { align_corners, scale } => {
                let row = |number| {
                    let place = self.place(number, align_corners, scale).max(0.0);
                    let first = (place as isize).min(self.size as isize - 1);
                    let share = (place - first as f64).clamp(0.0, 1.0);
                    (first, [1.0 - share, share, 0.0, 0.0], 2)
                };
                self.rows(row, false)
            }
            Weights::Cubic { align_corners, scale } => {
                let row = |number| {
                    let place = self.place(number, align_corners, scale);
                    let first = place.floor();
                    (first as isize - 1, cubic(place - first), 4)
                };
                self.rows(row, false)
            }
        }
    }

    fn windows(&self, axis: &Axis, divisor: Divisor) -> Band {
        let whole = 0..self.size;
        let mut band = Band::default();
        let mut divisors = Vec::with_capacity(self.count);
        for number in 0..self.count {
            let span = axis.span(number, &whole);
            band.rows.push(span.start..span.start + span.count);
            divisors.push(match (divisor, axis) {
                (Divisor::Fixed(divisor), _) => divisor,
                (Divisor::Padded(after), &Axis::Sliding { kernel, stride, before, .. }) => {
                    (kernel.min(self.size + before + after - number * stride)) as f64
                }
                _ => span.count as f64,
            });
        }
        band.after = divisors.iter().any(|&divisor| divisor != 1.0).then_some(divisors);
        band
    }

    /// The row of an element: which input element comes first, and weights, the nearest existing element standing for others.
    fn rows(&self, row: impl Fn(usize) -> (isize, [f64; 4], usize), unit: bool) -> Band {
        let mut band = Band::default();
        let last = self.size as isize - 1;
        for number in 0..self.count {
            let (first, weights, count) = row(number);
            let at = |tap: usize| (first + tap as isize).clamp(0, last) as usize;
            let range = at(0)..at(count - 1) + 1;
            if !unit {
                band.first.push(band.weights.len());
                let start = band.weights.len();
                band.weights.resize(start + range.len(), 0.0);
                for (tap, weight) in weights.iter().enumerate().take(count) {
                    band.weights[start + at(tap) - range.start] += weight;
                }
            }
            band.rows.push(range);
        }
        band
    }

    /// The place on the input's axis of an element of the result.
    fn place(&self, number: usize, align_corners: bool, scale: Option<f64>) -> f64 {
        if align_corners {
            return if self.count > 1 { number as f64 * (self.size - 1) as f64 / (self.count - 1) as f64 } else { 0.0 };
        }
        (number as f64 + 0.5) * scale.unwrap_or(self.size as f64 / self.count as f64) - 0.5
    }

    /// The element that stands for one of the result. Places are rounded to float32 as they are elsewhere: another rounding
    /// would choose other elements.
    fn nearest(&self, number: usize, exact: bool, scale: Option<f64>) -> isize {
        if self.count == self.size && scale.is_none_or(|scale| scale == 1.0) {
            return number as isize;
        }
        let scale = scale.map_or(self.size as f32 / self.count as f32, |scale| scale as f32);
        let number = number as f32 + if exact { 0.5 } else { 0.0 };
        ((number * scale).floor() as isize).min(self.size as isize - 1)
    }
}

/// Weights of the elements at −1, 0, 1 and 2 for a place between 0 and 1.
fn cubic(t: f64) -> [f64; 4] {
    const A: f64 = -0.75;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

impl Band {
    /// The matrix on its side; it has `size` columns.
    fn transposed(self, size: usize) -> Self {
        let nothing = Range { start: usize::MAX, end: 0 };
        let mut rows: Vec<Range<usize>> = vec![nothing; size];
        for (number, columns) in self.rows.iter().enumerate() {
            for column in columns.clone() {
                rows[column] = rows[column].start.min(number)..number + 1;
            }
        }
        rows.iter_mut().filter(|row| row.start > row.end).for_each(|row| *row = 0..0);
        let mut result = Band { before: self.after, after: self.before, ..Band::default() };
        if !self.first.is_empty() {
            let mut total = 0;
            for row in &rows {
                result.first.push(total);
                total += row.len();
            }
            result.weights.resize(total, 0.0);
            for (number, columns) in self.rows.iter().enumerate() {
                for (place, column) in columns.clone().enumerate() {
                    let to = result.first[column] + number - rows[column].start;
                    result.weights[to] = self.weights[self.first[number] + place];
                }
            }
        }
        result.rows = rows;
        result
    }

    /// The elements of the input that some rows sum.
    pub(crate) fn reach(&self, rows: &Range<usize>) -> Range<usize> {
        let rows = self.rows[rows.clone()].iter().filter(|row| !row.is_empty());
        let reach = rows
            .fold(Range { start: usize::MAX, end: 0 }, |reach, row| reach.start.min(row.start)..reach.end.max(row.end));
        if reach.start < reach.end { reach } else { 0..0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(band: &Band, columns: usize) -> Vec<Vec<f64>> {
        let row = |number: usize| {
            let mut row = vec![0.0; columns];
            for (place, column) in band.rows[number].clone().enumerate() {
                row[column] = if band.first.is_empty() { 1.0 } else { band.weights[band.first[number] + place] };
                row[column] /= band.after.as_ref().map_or(1.0, |divisors| divisors[number]);
                row[column] /= band.before.as_ref().map_or(1.0, |divisors| divisors[column]);
            }
            row
        };
        (0..band.rows.len()).map(row).collect()
    }

    #[test]
    fn the_way_back_is_the_transpose() {
        let sliding = Axis::Sliding { size: 7, count: 4, kernel: 3, stride: 2, before: 1, dilation: 1 };
        let kinds = [
            Weights::Mean(sliding, Divisor::Inside),
            Weights::Mean(sliding, Divisor::Padded(1)),
            Weights::Mean(Axis::Adaptive { size: 7, count: 4 }, Divisor::Inside),
            Weights::Nearest { exact: false, scale: None },
            Weights::Nearest { exact: true, scale: Some(2.0) },
            Weights::Linear { align_corners: true, scale: None },
            Weights::Linear { align_corners: false, scale: Some(1.5) },
            Weights::Cubic { align_corners: false, scale: None },
        ];
        for weights in kinds {
            let side = Side { size: 7, count: 4, weights };
            let (there, back) = (dense(&side.band(false), 7), dense(&side.band(true), 4));
            for (i, row) in there.iter().enumerate() {
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12 || matches!(weights, Weights::Mean(..)));
                for (j, &weight) in row.iter().enumerate() {
                    assert!((weight - back[j][i]).abs() < 1e-15, "{weights:?} at {i}, {j}");
                }
            }
        }
    }

    #[test]
    fn linear_weights_between_elements() {
        let side = Side { size: 2, count: 4, weights: Weights::Linear { align_corners: false, scale: None } };
        let expected = [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]];
        assert_eq!(dense(&side.band(false), 2), expected.map(|row| row.to_vec()));
    }
}
