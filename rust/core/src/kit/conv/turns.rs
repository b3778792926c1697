//! Targets of two phases that take turns along the width, as a transposed convolution with a stride of 2 makes them. Depends on `vector`.
//! Invariant: only what is there is written, and nothing between the rows.

use std::ops::Range;

use crate::kit::vector::{Element, Routine, Vector};

/// Neighbouring lanes of two tiles, and where their pairs go.
pub(super) struct Turn {
    /// The first lane, and how many.
    pub(super) lane: usize,
    pub(super) count: usize,
    /// The place of the first pair's first element, which may lie before its row.
    pub(super) at: isize,
    /// Elements of the pairs that are there.
    pub(super) there: Range<usize>,
}

/// Writes two tiles element by element in turn.
pub(super) struct Zip<'a, E> {
    pub(super) tiles: [*const E; 2],
    /// Elements from row to row of a tile, of which there are `rows`.
    pub(super) line: usize,
    pub(super) rows: usize,
    pub(super) turns: &'a [Turn],
    pub(super) target: *mut E,
    /// Elements from row to row of the target.
    pub(super) row: usize,
}

impl<E: Element> Routine<E> for Zip<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) {
        let mask = |from: usize, to: usize| (((1u64 << to) - 1) & !((1u64 << from) - 1)) as u32;
        for turn in self.turns {
            let Range { start, end } = turn.there;
            for r in 0..self.rows {
                let tiles = self.tiles.map(|tile| tile.wrapping_add(r * self.line + turn.lane));
                let to = self.target.wrapping_add(r * self.row).wrapping_offset(turn.at);
                for lane in (0..turn.count).step_by(V::LANES) {
                    // SAFETY: tiles can be read a vector beyond their last lanes; what is there belongs to the caller.
                    unsafe {
                        let halves = V::load(tiles[0].add(lane)).zip(V::load(tiles[1].add(lane)));
                        for (half, pairs) in halves.into_iter().enumerate() {
                            let at = 2 * lane + half * V::LANES;
                            let first = start.saturating_sub(at).min(V::LANES);
                            let last = end.saturating_sub(at).min(V::LANES);
                            if first < last {
                                pairs.store_packed(to.wrapping_add(at + first), mask(first, last));
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Asks for the targets of a `Zip`.
pub(super) struct Ask<'a, 'b, E>(pub(super) &'a Zip<'b, E>);

impl<E: Element> Routine<E> for Ask<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) {
        for turn in self.0.turns {
            for r in 0..self.0.rows {
                let to = self.0.target.wrapping_add(r * self.0.row).wrapping_offset(turn.at);
                for at in turn.there.clone().step_by(64 / size_of::<E>()) {
                    V::fetch(to.wrapping_add(at));
                }
            }
        }
    }
}
