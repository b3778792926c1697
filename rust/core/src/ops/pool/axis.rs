//! Where windows lie along one axis, and the cutting of planes into blocks.
//! Depends on the vocabulary. Invariant: what is taken lies inside the axis; windows move forward only.

use std::ops::Range;

use crate::graph::Key;

/// Elements that a block of a plane may read or write: with the lanes beside each other they fit the second-level cache.
const BLOCK: usize = 1 << 12;

/// The windows along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Window `i` takes the positions `i · stride − before + t · dilation`, `t` below `kernel`.
    Sliding {
        /// Size of the axis.
        size: usize,
        /// Number of windows.
        count: usize,
        /// Positions of a window.
        kernel: usize,
        /// Distance of windows.
        stride: usize,
        /// Padding before the first element.
        before: usize,
        /// Distance of positions.
        dilation: usize,
    },
    /// Window `i` of `count` reaches from `⌊i · size / count⌋` to `⌈(i + 1) · size / count⌉`.
    Adaptive {
        /// Size of the axis.
        size: usize,
        /// Number of windows.
        count: usize,
    },
}

/// What one window takes of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// First position taken.
    pub(crate) start: usize,
    /// Which of the window's positions that is.
    pub(crate) first: usize,
    /// How many are taken.
    pub(crate) count: usize,
}

impl Axis {
    /// An axis that is left as it is.
    pub(crate) fn whole(size: usize) -> Self {
        Axis::Sliding { size, count: size, kernel: 1, stride: 1, before: 0, dilation: 1 }
    }

    /// Size of the axis.
    pub(crate) fn size(&self) -> usize {
        match *self {
            Axis::Sliding { size, .. } | Axis::Adaptive { size, .. } => size,
        }
    }

    /// Number of windows.
    pub(crate) fn count(&self) -> usize {
        match *self {
            Axis::Sliding { count, .. } | Axis::Adaptive { count, .. } => count,
        }
    }

    /// Positions of the largest window.
    pub(crate) fn kernel(&self) -> usize {
        match *self {
            Axis::Sliding { kernel, .. } => kernel,
            // Where the size is a multiple every window is alike; else one may begin and end inside an element's share.
            Axis::Adaptive { size, count } if size.is_multiple_of(count.max(1)) => size / count.max(1),
            Axis::Adaptive { size, count } => (size / count.max(1)).saturating_add(2).min(size),
        }
    }

    /// Distance of a window's positions.
    pub(crate) fn step(&self) -> usize {
        match *self {
            Axis::Sliding { dilation, .. } => dilation,
            Axis::Adaptive { .. } => 1,
        }
    }

    /// Distance of windows, where it is one number.
    pub(crate) fn stride(&self) -> usize {
        match *self {
            Axis::Sliding { stride, .. } => stride,
            Axis::Adaptive { size, count } => size / count.max(1),
        }
    }

    /// The place of a window's first position, which may lie before the axis.
    fn origin(&self, number: usize) -> isize {
        match *self {
            Axis::Sliding { stride, before, .. } => (number * stride) as isize - before as isize,
            Axis::Adaptive { size, count } => (number as u128 * size as u128 / count as u128) as isize,
        }
    }

    /// Positions of a window.
    fn positions(&self, number: usize) -> isize {
        match *self {
            Axis::Sliding { kernel, .. } => kernel as isize,
            Axis::Adaptive { size, count } => {
                let end = ((number as u128 + 1) * size as u128).div_ceil(count as u128);
                end as isize - self.origin(number)
            }
        }
    }

    /// What window `number` takes of the positions `within`.
    pub(crate) fn span(&self, number: usize, within: &Range<usize>) -> Span {
        let (origin, kernel, step) = (self.origin(number), self.positions(number), self.step() as isize);
        // The smallest t for which origin + t · step reaches a bound.
        let reaches = |bound: usize| {
            let apart = bound as isize - origin;
            if apart <= 0 { 0 } else { ((apart - 1) / step + 1).min(kernel) }
        };
        let (first, end) = (reaches(within.start), reaches(within.end));
        let start = (origin + first * step).clamp(within.start as isize, within.end as isize);
        Span { start: start as usize, first: first as usize, count: (end - first).max(0) as usize }
    }

    /// Positions around all that some windows take.
    pub(crate) fn reach(&self, windows: &Range<usize>) -> Range<usize> {
        if windows.is_empty() {
            return 0..0;
        }
        let last = windows.end - 1;
        let start = self.origin(windows.start).max(0) as usize;
        let end = self.origin(last) + (self.positions(last) - 1) * self.step() as isize + 1;
        let end = end.clamp(0, self.size() as isize) as usize;
        if start < end { start..end } else { 0..0 }
    }

    /// Windows around all that take one of some positions.
    pub(crate) fn touching(&self, positions: &Range<usize>) -> Range<usize> {
        if positions.is_empty() {
            return 0..0;
        }
        let (first, end) = match *self {
            Axis::Sliding { kernel, stride, before, dilation, .. } => {
                let reach = (kernel - 1) * dilation;
                (
                    (positions.start + before).saturating_sub(reach).div_ceil(stride),
                    (positions.end + before).div_ceil(stride),
                )
            }
            Axis::Adaptive { size, count } => {
                let scaled = |position: usize| position as u128 * count as u128;
                let size = size as u128;
                ((scaled(positions.start) / size) as usize, scaled(positions.end).div_ceil(size) as usize)
            }
        };
        let end = end.min(self.count());
        if first < end { first..end } else { 0..0 }
    }

    /// Writes the axis to a plan's key.
    pub(crate) fn key(&self, key: &mut Key) {
        match *self {
            Axis::Sliding { size, count, kernel, stride, before, dilation } => {
                key.list(&[size, count, kernel, stride, before, dilation], |number| number as u64);
            }
            Axis::Adaptive { size, count } => key.list(&[size, count], |number| number as u64),
        }
    }
}

/// A part of a box.
pub(crate) type Part = [Range<usize>; 3];

/// Cuts a box into blocks, by shape alone: leading axes first, until what a block reaches is small.
pub(crate) fn blocks(sizes: [usize; 3], reach: impl Fn(usize, &Range<usize>) -> Range<usize>) -> Vec<(Part, Part)> {
    let mut part = sizes;
    let elements = |part: &[usize; 3]| {
        let extent = |axis: usize| reach(axis, &(0..part[axis])).len().max(part[axis]);
        extent(0).saturating_mul(extent(1)).saturating_mul(extent(2))
    };
    while elements(&part) > BLOCK
        && let Some(axis) = (0..3).find(|&axis| part[axis] > 1)
    {
        part[axis] = part[axis].div_ceil(2);
    }
    let cuts = |axis: usize| {
        let (size, part) = (sizes[axis], part[axis].max(1));
        (0..size).step_by(part).map(move |start| start..(start + part).min(size))
    };
    let mut found = Vec::new();
    for z in cuts(0) {
        for y in cuts(1) {
            for x in cuts(2) {
                let reached = [reach(0, &z), reach(1, &y), reach(2, &x)];
                found.push(([z.clone(), y.clone(), x], reached));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_clipped_at_both_ends() {
        let axis = Axis::Sliding { size: 5, count: 3, kernel: 3, stride: 2, before: 1, dilation: 1 };
        assert_eq!(axis.span(0, &(0..5)), Span { start: 0, first: 1, count: 2 });
        assert_eq!(axis.span(1, &(0..5)), Span { start: 1, first: 0, count: 3 });
        assert_eq!(axis.span(2, &(0..5)), Span { start: 3, first: 0, count: 2 });
        assert_eq!(axis.span(1, &(2..3)), Span { start: 2, first: 1, count: 1 });
        assert_eq!(axis.reach(&(1..2)), 1..4);
        assert_eq!(axis.touching(&(3..4)), 1..3);
    }

    #[test]
    fn dilated_windows_may_take_nothing() {
        let axis = Axis::Sliding { size: 1, count: 1, kernel: 2, stride: 1, before: 1, dilation: 2 };
        assert_eq!(axis.span(0, &(0..1)).count, 0);
        assert_eq!(axis.reach(&(0..1)), 0..1);
    }

    #[test]
    fn reach_and_touching_hold_all_that_is_taken() {
        let sliding = |size, kernel, stride, before, dilation| {
            let count = (size + 2 * before - (kernel - 1) * dilation - 1) / stride + 1;
            Axis::Sliding { size, count, kernel, stride, before, dilation }
        };
        let axes = [
            sliding(9, 3, 2, 1, 1),
            sliding(11, 3, 1, 2, 2),
            sliding(7, 2, 3, 1, 3),
            sliding(20, 1, 4, 0, 1),
            Axis::Adaptive { size: 7, count: 3 },
            Axis::Adaptive { size: 3, count: 8 },
        ];
        for axis in axes {
            for (start, end) in (0..axis.count()).flat_map(|a| (a + 1..=axis.count()).map(move |b| (a, b))) {
                let reach = axis.reach(&(start..end));
                for number in start..end {
                    let span = axis.span(number, &(0..axis.size()));
                    let last = span.start + span.count.saturating_sub(1) * axis.step();
                    assert!(span.count == 0 || (reach.contains(&span.start) && reach.contains(&last)), "{axis:?}");
                }
            }
            for (start, end) in (0..axis.size()).flat_map(|a| (a + 1..=axis.size()).map(move |b| (a, b))) {
                let touching = axis.touching(&(start..end));
                let missed = |number: &usize| !touching.contains(number) && axis.span(*number, &(start..end)).count > 0;
                assert_eq!((0..axis.count()).find(missed), None, "{axis:?} {start} {end}");
            }
        }
    }

    #[test]
    fn adaptive_windows_cover_the_axis() {
        for (size, count) in [(7, 3), (6, 3), (3, 7), (1, 4), (10, 1)] {
            let axis = Axis::Adaptive { size, count };
            let spans: Vec<Span> = (0..count).map(|number| axis.span(number, &(0..size))).collect();
            assert_eq!(spans[0].start, 0);
            assert_eq!(spans[count - 1].start + spans[count - 1].count, size);
            assert!(spans.iter().all(|span| (1..=axis.kernel()).contains(&span.count)), "{size} {count}");
        }
    }

    #[test]
    fn blocks_cover_a_large_plane() {
        let axes = [Axis::whole(1), Axis::whole(300), Axis::whole(200)];
        let blocks = blocks([1, 300, 200], |axis, range| axes[axis].reach(range));
        assert!(blocks.len() > 4);
        let total: usize = blocks.iter().map(|(out, _)| out.iter().map(|range| range.len()).product::<usize>()).sum();
        assert_eq!(total, 300 * 200);
    }
}
