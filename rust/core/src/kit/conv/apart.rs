//! Rows and columns of squares whose targets, and taps, lie apart. Depends on `line`.
//! Invariant: element k of residue e is the source's element (2·(k div d) + e)·d + k mod d − padding, for a distance d.
//!
//! At distance d, rows fall into d phases that never meet, each of them an axis with neighbouring taps. Columns stay together: blocks of d
//! go in turn to the two residues, so that a square's targets and taps are neighbouring blocks, whatever d is.

use std::ops::Range;

use super::line::{Line, Phase, Tap};

/// Taps of a square along an axis: even and odd ones from two residues, `step` elements from tap to tap of one.
fn taps(count: usize, step: isize) -> Vec<Tap> {
    (0..count).map(|tap| Tap { phase: 0, residue: tap % 2, shift: (tap / 2) as isize * step }).collect()
}

/// A phase of the rows: a line whose source are the elements `first + distance · i`.
pub(super) struct Rows {
    pub(super) line: Line,
    pub(super) first: isize,
    pub(super) distance: isize,
}

impl Rows {
    /// All phases, of squares with so many taps, for a source and targets of these sizes.
    pub(super) fn phases(count: usize, distance: usize, padding: isize, source: usize, targets: usize) -> Vec<Self> {
        let steps = targets.div_ceil(distance).div_ceil(2);
        let phase = |phase: usize| {
            let (before, apart) = (phase as isize - padding, distance as isize);
            let first = before.rem_euclid(apart);
            let source = source.saturating_sub(first as usize).div_ceil(distance);
            let phases = vec![Phase { offset: 0, steps: 0..steps as isize }];
            let line = Line::new(taps(count, 1), vec![0, 1], 2, -before.div_euclid(apart), source, phases, 1, steps);
            Self { line, first, distance: apart }
        };
        (0..distance).map(phase).collect()
    }
}

/// The columns.
pub(super) struct Columns {
    pub(super) line: Line,
    pub(super) distance: usize,
    padding: isize,
    source: usize,
}

/// Elements of a row that are copied together: whole, or one block of two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) to: usize,
    pub(super) count: usize,
    pub(super) column: isize,
    /// Elements of a block of which every second one is read; 0 where all are.
    pub(super) block: usize,
}

impl Columns {
    /// As for `Rows::phases`, for `steps` squares.
    pub(super) fn new(count: usize, distance: usize, padding: isize, source: usize, steps: usize) -> Self {
        let phases = vec![Phase { offset: 0, steps: 0..steps as isize }];
        let line = Line::new(taps(count, distance as isize), vec![0, 1], 2, padding, source, phases, 1, steps);
        Self { line, distance, padding, source }
    }

    /// The source's element, where there is one.
    fn reads(&self, at: usize, residue: usize) -> Option<isize> {
        let d = self.distance;
        let place = ((2 * (at / d) + residue) * d + at % d) as isize - self.padding;
        (0..self.source as isize).contains(&place).then_some(place)
    }

    /// What some elements of a residue are copied from; zeros are around.
    pub(super) fn parts(&self, elements: Range<usize>, residue: usize) -> Vec<Part> {
        let (begin, d) = (elements.start, self.distance);
        let mut found = Vec::new();
        let mut at = begin;
        while at < elements.end {
            let Some(column) = self.reads(at, residue) else {
                at += 1;
                continue;
            };
            let rest = (d - at % d).min(elements.end - at);
            let mut count = (1..rest).find(|&more| self.reads(at + more, residue).is_none()).unwrap_or(rest);
            // Blocks of one or two elements are sorted by vectors.
            let whole = d <= 2 && count == d;
            while whole && at + count + d <= elements.end && self.reads(at + count + d - 1, residue).is_some() {
                count += d;
            }
            found.push(Part { to: at - begin, count, column, block: if count > d { d } else { 0 } });
            at += count;
        }
        found
    }
}
