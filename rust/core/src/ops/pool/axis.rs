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

    /// What window `number` takes of the positions `within`.
    pub(crate) fn span(&self, number: usize, within: &Range<usize>) -> Span {
        let (origin, kernel, step) = match *self {
            Axis::Sliding { kernel, stride, before, dilation, .. } => {
                ((number * stride) as i128 - before as i128, kernel, dilation as i128)
            }
            Axis::Adaptive { size, count } => {
                let (number, size, count) = (number as u128, size as u128, count as u128);
                let start = number * size / count;
                let end = ((number + 1) * size).div_ceil(count);
                (start as i128, (end - start) as usize, 1)
            }
        };
        // The smallest t for which origin + t · step reaches a bound.
        let reaches = |bound: usize| ((bound as i128 - origin + step - 1).div_euclid(step)).clamp(0, kernel as i128);
        let (first, end) = (reaches(within.start), reaches(within.end));
        let start = (origin + first * step).clamp(within.start as i128, within.end as i128);
        Span { start: start as usize, first: first as usize, count: (end - first).max(0) as usize }
    }

    /// The positions that some windows take, from the first to the last.
    pub(crate) fn reach(&self, windows: &Range<usize>) -> Range<usize> {
        let whole = 0..self.size();
        let spans = windows.clone().map(|number| self.span(number, &whole)).filter(|span| span.count > 0);
        let reach = spans.fold(usize::MAX..0, |reach, span| {
            let end = span.start + (span.count - 1) * self.step() + 1;
            reach.start.min(span.start)..reach.end.max(end)
        });
        if reach.start < reach.end { reach } else { 0..0 }
    }

    /// The windows that take one of some positions at least, from the first to the last.
    pub(crate) fn touching(&self, positions: &Range<usize>) -> Range<usize> {
        let taken = |number: &usize| self.span(*number, positions).count > 0;
        let first = (0..self.count()).find(taken);
        first.map_or(0..0, |first| first..(first..self.count()).rev().find(taken).unwrap_or(first) + 1)
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

/// Cuts a box into blocks, by shape alone: leading axes first, until what a block reaches is small.
pub(crate) fn blocks(
    sizes: [usize; 3],
    reach: impl Fn(usize, &Range<usize>) -> Range<usize>,
) -> Vec<([Range<usize>; 3], [Range<usize>; 3])> {
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
        assert_eq!(axis.reach(&(0..1)), 0..0);
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
