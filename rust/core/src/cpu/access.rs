//! Walks the elements of a tile through memory: affine numbers over a range of the domain, cut into maximal inner runs.
//! Depends on `domain`, `group`. Invariant: runs of a tile come in the order of its registers and cover each element once.

use smallvec::SmallVec;

use super::domain::Axis;
use crate::group::Affine;

/// The part of the domain that a tile's registers hold, laid out `[slow][fast]`: flat ranges of two lists of axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub(super) slow_start: usize,
    pub(super) slow: usize,
    pub(super) fast_start: usize,
    pub(super) fast: usize,
}

impl Tile {
    /// A range of the fast axes alone.
    #[inline]
    pub(super) fn flat(start: usize, elements: usize) -> Self {
        Self { slow_start: 0, slow: 1, fast_start: start, fast: elements }
    }

    #[inline]
    pub(super) fn elements(&self) -> usize {
        self.slow * self.fast
    }
}

type Numbers = SmallVec<[i64; 4]>;

/// Sizes of axes, and per axis the strides of each affine number of an access.
#[derive(Clone, Debug)]
struct Dims {
    sizes: SmallVec<[usize; 4]>,
    /// `[axis][number]`.
    strides: Numbers,
}

impl Dims {
    /// These axes, neighbours joined where all numbers compose; at least one axis.
    fn new(axes: impl Iterator<Item = Axis>, numbers: &[&Affine]) -> Self {
        let mut dims = Self { sizes: SmallVec::new(), strides: SmallVec::new() };
        for axis in axes {
            let strides: Numbers = numbers.iter().map(|affine| affine.strides[axis.source]).collect();
            let tail = dims.strides.len().saturating_sub(numbers.len());
            let composes = dims.strides[tail..].iter().zip(&strides).all(|(&a, &b)| a == b * axis.size as i64);
            match dims.sizes.last_mut() {
                Some(size) if composes => {
                    *size *= axis.size;
                    dims.strides.truncate(tail);
                }
                _ => dims.sizes.push(axis.size),
            }
            dims.strides.extend(strides);
        }
        if dims.sizes.is_empty() {
            dims.sizes.push(1);
            dims.strides.extend(std::iter::repeat_n(0, numbers.len()));
        }
        dims
    }

    fn strides(&self, axis: usize, numbers: usize) -> &[i64] {
        &self.strides[axis * numbers..][..numbers]
    }
}

/// The affine numbers of one access over the two lists of axes of a tile.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// Where the offsets of its numbers stand among those of the program.
    first: usize,
    numbers: usize,
    slow: Dims,
    fast: Dims,
}

/// Neighbours along one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    /// Position of the first in the tile's registers.
    pub(super) at: usize,
    pub(super) elements: usize,
    /// The numbers at the first.
    pub(super) values: &'a [i64],
    /// How each number grows from one to the next.
    pub(super) steps: &'a [i64],
}

/// Runs of `size` elements, `step` apart, each run `line` after the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    /// Number 0 where the first run begins.
    pub(super) value: i64,
    /// The first element of that run that counts.
    pub(super) first: usize,
    pub(super) size: usize,
    pub(super) step: isize,
    pub(super) line: isize,
}

impl Pattern {
    pub(super) fn new(
        first: usize,
        numbers: &[&Affine],
        slow: impl Iterator<Item = Axis>,
        fast: impl Iterator<Item = Axis>,
    ) -> Self {
        Self { first, numbers: numbers.len(), slow: Dims::new(slow, numbers), fast: Dims::new(fast, numbers) }
    }

    /// This access's part of the program's resolved offsets.
    #[inline]
    fn offsets<'a>(&self, offsets: &'a [i64]) -> &'a [i64] {
        &offsets[self.first..][..self.numbers]
    }

    /// Number 0 at the first element and its step, where the whole tile is one run.
    pub(super) fn line(&self, offsets: &[i64], tile: Tile) -> Option<(i64, i64)> {
        if tile.slow != 1 {
            return None;
        }
        let mut value = offsets[self.first];
        if tile.slow_start != 0 {
            value += self.leading(&self.slow, self.slow.sizes.len(), tile.slow_start);
        }
        let last = self.fast.sizes.len() - 1;
        let step = self.fast.strides[last * self.numbers];
        let size = self.fast.sizes[last];
        let (line, rest) =
            if last == 0 { (0, tile.fast_start) } else { (tile.fast_start / size, tile.fast_start % size) };
        if rest + tile.fast > size {
            return None;
        }
        value += rest as i64 * step;
        if line != 0 {
            value += self.leading(&self.fast, last, line);
        }
        Some((value, step))
    }

    /// Number 0's part of a flat position in the first axes.
    fn leading(&self, dims: &Dims, axes: usize, mut flat: usize) -> i64 {
        let mut value = 0;
        for axis in (1..axes).rev() {
            value += (flat % dims.sizes[axis]) as i64 * dims.strides[axis * self.numbers];
            flat /= dims.sizes[axis];
        }
        if axes > 0 { value + flat as i64 * dims.strides[0] } else { value }
    }

    /// The numbers at the first element and their steps, where the whole tile is one run.
    pub(super) fn single_run(&self, offsets: &[i64], tile: Tile) -> Option<(SmallVec<[i64; 2]>, &[i64])> {
        if tile.slow != 1 {
            return None;
        }
        let last = self.fast.sizes.len() - 1;
        let rest = if last == 0 { tile.fast_start } else { tile.fast_start % self.fast.sizes[last] };
        if rest + tile.fast > self.fast.sizes[last] {
            return None;
        }
        let mut values = SmallVec::from_slice(self.offsets(offsets));
        self.add(&mut values, &self.slow, self.slow.sizes.len(), tile.slow_start);
        self.add(&mut values, &self.fast, self.fast.sizes.len(), tile.fast_start);
        Some((values, self.fast.strides(last, self.numbers)))
    }

    /// The runs of a tile, where they follow each other at equal distances.
    pub(super) fn lines(&self, offsets: &[i64], tile: Tile) -> Option<Lines> {
        let last = self.fast.sizes.len() - 1;
        if tile.slow != 1 || last == 0 {
            return None;
        }
        let (size, around) = (self.fast.sizes[last], last - 1);
        let (line, first) = (tile.fast_start / size, tile.fast_start % size);
        let lines = (first + tile.fast).div_ceil(size);
        let inside = around == 0 || line % self.fast.sizes[around] + lines <= self.fast.sizes[around];
        let mut value = offsets[self.first] + self.leading(&self.fast, last, line);
        value += self.leading(&self.slow, self.slow.sizes.len(), tile.slow_start);
        let stride = |axis: usize| self.fast.strides[axis * self.numbers] as isize;
        inside.then(|| Lines { value, first, size, step: stride(last), line: stride(around) })
    }

    /// Calls `body` for each run of a tile of one row, with its place in the tile, its length and number 0 at its first element: as `walk`, for
    /// a single number.
    #[inline]
    pub(super) fn each_run(&self, offsets: &[i64], tile: Tile, mut body: impl FnMut(usize, usize, i64)) {
        debug_assert!(self.numbers == 1 && tile.slow == 1);
        if tile.fast == 0 {
            return;
        }
        let last = self.fast.sizes.len() - 1;
        let (size, around) = (self.fast.sizes[last], last.saturating_sub(1));
        let lines = if around == 0 { usize::MAX } else { self.fast.sizes[around] };
        let (step, line_step) = (self.fast.strides[last], if last == 0 { 0 } else { self.fast.strides[around] });
        let start = offsets[self.first] + self.leading(&self.slow, self.slow.sizes.len(), tile.slow_start);
        let (mut at, mut line, mut rest) = (0, tile.fast_start / size, tile.fast_start % size);
        while at < tile.fast {
            // As far as the axis around the runs goes.
            let mut value = start + self.leading(&self.fast, last, line);
            let mut left = if around == 0 { lines } else { lines - line % lines };
            while left > 0 && at < tile.fast {
                let elements = (size - rest).min(tile.fast - at);
                body(at, elements, value + rest as i64 * step);
                value += line_step;
                (at, line, left, rest) = (at + elements, line + 1, left - 1, 0);
            }
        }
    }

    /// How number 0 grows along a run.
    pub(super) fn step(&self) -> isize {
        self.fast.strides[self.fast.strides.len() - self.numbers] as isize
    }

    /// Whether there is but one number.
    pub(super) fn is_single(&self) -> bool {
        self.numbers == 1
    }

    /// Steps of number 0 along the innermost slow and fast axis, where the tile crosses no other axis.
    pub(super) fn steps(&self, tile: Tile) -> Option<(i64, i64)> {
        let inside = |dims: &Dims, start: usize, count: usize| {
            let size = *dims.sizes.last()?;
            (start % size + count <= size).then(|| dims.strides[dims.strides.len() - self.numbers])
        };
        Some((inside(&self.slow, tile.slow_start, tile.slow)?, inside(&self.fast, tile.fast_start, tile.fast)?))
    }

    /// Number of trailing fast elements after which all numbers repeat: 1 for constants; none where they never do.
    pub(super) fn period(&self) -> Option<usize> {
        let varies = |axis: &usize| self.fast.strides(*axis, self.numbers).iter().any(|&stride| stride != 0);
        let first = (0..self.fast.sizes.len()).find(varies).unwrap_or(self.fast.sizes.len());
        (first > 0).then(|| self.fast.sizes[first..].iter().product())
    }

    /// Adds the numbers' parts of a flat position in the first `axes` axes.
    fn add(&self, values: &mut [i64], dims: &Dims, axes: usize, mut flat: usize) {
        for axis in (0..axes).rev() {
            let coordinate = if axis == 0 { flat } else { flat % dims.sizes[axis] };
            flat /= dims.sizes[axis].max(1);
            add_steps(values, dims.strides(axis, self.numbers), coordinate);
        }
    }

    /// Calls `body` for each run of the tile. Runs are often short, so the axis around them is a plain loop.
    #[inline]
    pub(super) fn walk(&self, offsets: &[i64], tile: Tile, mut body: impl FnMut(Run<'_>)) {
        if tile.elements() == 0 {
            return;
        }
        let offsets = self.offsets(offsets);
        let last = self.fast.sizes.len() - 1;
        let (size, steps) = (self.fast.sizes[last], self.fast.strides(last, self.numbers));
        let (line, start) =
            if last == 0 { (0, tile.fast_start) } else { (tile.fast_start / size, tile.fast_start % size) };
        // The axis around the runs, and those around that.
        let around = last.saturating_sub(1);
        let line_steps = if last == 0 { &[] } else { self.fast.strides(around, self.numbers) };
        let (lines, first_block, first_line) = match around {
            0 => (usize::MAX, 0, line),
            _ => (self.fast.sizes[around], line / self.fast.sizes[around], line % self.fast.sizes[around]),
        };
        let mut values = Numbers::from_elem(0, self.numbers);
        for index in 0..tile.slow {
            let (mut at, mut rest, mut left) = (index * tile.fast, start, tile.fast);
            let (mut block, mut line) = (first_block, first_line);
            'blocks: loop {
                values.copy_from_slice(offsets);
                self.add(&mut values, &self.slow, self.slow.sizes.len(), tile.slow_start + index);
                self.add(&mut values, &self.fast, around, block);
                add_steps(&mut values, line_steps, line);
                add_steps(&mut values, steps, rest);
                while line < lines {
                    let elements = left.min(size - rest);
                    body(Run { at, elements, values: &values, steps });
                    left -= elements;
                    if left == 0 {
                        break 'blocks;
                    }
                    for ((value, line), step) in values.iter_mut().zip(line_steps).zip(steps) {
                        *value += line - rest as i64 * step;
                    }
                    (at, rest, line) = (at + elements, 0, line + 1);
                }
                (block, line) = (block + 1, 0);
            }
        }
    }
}

fn add_steps(values: &mut [i64], steps: &[i64], count: usize) {
    if count != 0 {
        for (value, step) in values.iter_mut().zip(steps) {
            *value += step * count as i64;
        }
    }
}

/// The part `[from, to)` of a run of `elements` in which `0 <= value + step·i < size`.
pub(super) fn inside(value: i64, step: i64, size: usize, elements: usize) -> (usize, usize) {
    let size = size as i64;
    let (from, to) = match step {
        0 if value >= 0 && value < size => (0, elements as i64),
        0 => (0, 0),
        // The usual step needs no division.
        1 => (-value, size - value),
        _ if step > 0 => (ceil_div(-value, step), ceil_div(size - value, step)),
        _ => ((value - size).div_euclid(-step) + 1, value.div_euclid(-step) + 1),
    };
    let from = from.clamp(0, elements as i64);
    (from as usize, to.clamp(from, elements as i64) as usize)
}

fn ceil_div(a: i64, b: i64) -> i64 {
    -(-a).div_euclid(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Linear;

    #[test]
    fn guards_cut_runs() {
        for step in -3..=3i64 {
            for value in -7..=7i64 {
                for size in 0..6usize {
                    let (from, to) = inside(value, step, size, 8);
                    for i in 0..8 {
                        let position = value + step * i as i64;
                        assert_eq!(
                            (from..to).contains(&i),
                            position >= 0 && position < size as i64,
                            "{value} {step} {size}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn runs_cover_a_rectangle_in_order() {
        let affine = Affine { offset: Linear::constant(3), strides: SmallVec::from_slice(&[100, -7, 20, 1]) };
        let axes: Vec<Axis> =
            [3, 4, 5, 6].into_iter().enumerate().map(|(source, size)| Axis { size, source }).collect();
        let pattern = Pattern::new(0, &[&affine], axes[..2].iter().copied(), axes[2..].iter().copied());
        let tile = Tile { slow_start: 2, slow: 7, fast_start: 4, fast: 17 };
        let mut seen = Vec::new();
        pattern.walk(&[3], tile, |run| {
            assert_eq!(run.at, seen.len());
            seen.extend((0..run.elements).map(|i| run.values[0] + run.steps[0] * i as i64));
        });
        for (slow, part) in (2..9).zip(seen.chunks(17)) {
            let mut single = Vec::new();
            pattern.each_run(&[3], Tile { slow_start: slow, slow: 1, ..tile }, |at, elements, value| {
                assert_eq!(at, single.len());
                single.extend((0..elements as i64).map(|i| value + i));
            });
            assert_eq!(single, part);
        }
        let mut expected = Vec::new();
        for slow in 2..9 {
            for fast in 4..21 {
                expected.push(3 + slow / 4 * 100 - slow % 4 * 7 + fast / 6 * 20 + fast % 6);
            }
        }
        assert_eq!(seen, expected);
    }
}
