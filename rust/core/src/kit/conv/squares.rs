//! Three by three taps with fewer products: squares of two by two targets, each from sixteen products instead of thirty-six.
//! Depends on `line`, `space`, `vector`. Invariant: squares are numbered image by image, row by row.
//!
//! Winograd's F(2×2, 3×3): `Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` for a kernel g and the four by four sources d of a square. Between the
//! brackets channels are summed, so there are sixteen products of matrices, one per place. The gradient by g is the adjoint,
//! `Gᵀ [Σ (A y Aᵀ) ⊙ (Bᵀ d B)] G`. A sum has four of nine products and a few additions more: its error is that of the direct sum. What is
//! infinite or no number spreads over its square here, so whoever finds one in a result computes it all directly.

use std::ops::Range;

use super::line::Line;
use super::space::{Inside, Operand, Space, copy};
use crate::kit::vector::{Element, Vector};

/// Places of a square's sources: products per square.
pub(super) const PLACES: usize = 16;
/// Elements between the places in memory, so that they do not meet in one set of a cache.
pub(super) const APART: usize = 16;
/// Channels that are fetched ahead.
const AHEAD: usize = 2;
/// Channels below which the additions cost what the products save: `inner · rows / (inner + rows)`.
const WORTH: usize = 12;
/// Channels of either side at least.
const FEWEST: usize = 16;
/// Squares at least; fewer are bound by the memory of the kernel.
const SQUARES: usize = 64;

/// How targets fall into squares.
pub(super) struct Squares {
    /// Steps are squares, taps the four by four sources.
    pub(super) sources: [Line; 3],
    /// Steps are squares, taps the two by two targets.
    pub(super) targets: [Line; 3],
    /// Squares of an image.
    pub(super) high: usize,
    pub(super) wide: usize,
    /// Targets of an image.
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Squares {
    /// The squares of a sum, if it has three by three neighbouring taps and is large enough.
    pub(super) fn of<E: Element>(lines: &[Line; 3], batch: usize, inner: usize, rows: usize) -> Option<Self> {
        let single = lines[0].taps.len() == 1 && lines[0].target == 1 && lines[0].source == 1 && lines[0].is_one();
        let worth = inner.min(rows) >= FEWEST && inner * rows >= WORTH * (inner + rows);
        if !single || !worth || size_of::<E>() != size_of::<f32>() {
            return None;
        }
        let (height, width) = (lines[1].target, lines[2].target);
        let (high, wide) = (height.div_ceil(2), width.div_ceil(2));
        // Squares that hang over the edge are computed whole.
        if batch * high * wide < SQUARES || 4 * high * wide * 2 > 3 * height * width {
            return None;
        }
        let sources = [lines[0].clone(), lines[1].paired()?, lines[2].paired()?];
        let targets = [lines[0].clone(), Line::pairs(height), Line::pairs(width)];
        Some(Self { sources, targets, high, wide, height, width })
    }

    /// Squares of an image.
    pub(super) fn per_image(&self) -> usize {
        self.high * self.wide
    }

    /// Elements that the copy of one channel may take, for so many squares beside each other.
    pub(super) fn copied(&self, squares: usize) -> usize {
        let (rows, columns) = match squares <= self.wide {
            true => (1, squares),
            false => ((squares.div_ceil(self.wide) + 1).min(self.high), self.wide),
        };
        Space::padded(&self.sources, &[0..1, 0..rows as isize, 0..columns as isize]).copied + 3 * 16
    }

    /// What a range of squares touches of each image, as it is copied for `lines` (the sources or the targets).
    pub(super) fn pieces(&self, lines: &[Line; 3], squares: &Range<usize>, lanes: usize) -> Vec<Piece> {
        let per_image = self.per_image();
        let mut found = Vec::new();
        for image in squares.start / per_image..(squares.end - 1) / per_image + 1 {
            let first = squares.start.max(image * per_image) - image * per_image;
            let last = squares.end.min((image + 1) * per_image) - image * per_image;
            let mut at = image * per_image + first - squares.start;
            let rows = first / self.wide..(last - 1) / self.wide + 1;
            if squares.len() > self.wide {
                found.push(self.piece(lines, image, rows, 0..self.wide, first..last, at, lanes));
                continue;
            }
            // Parts of one row or two: of a long row only what is wanted is copied.
            for row in rows {
                let begin = row * self.wide;
                let columns = first.max(begin) - begin..last.min(begin + self.wide) - begin;
                let wanted = begin + columns.start..begin + columns.end;
                found.push(self.piece(lines, image, row..row + 1, columns.clone(), wanted, at, lanes));
                at += columns.len();
            }
        }
        found
    }

    /// Some rows and columns of the squares of an image, of which a range is wanted.
    fn piece(
        &self,
        lines: &[Line; 3],
        image: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        wanted: Range<usize>,
        mut at: usize,
        lanes: usize,
    ) -> Piece {
        let steps = [0..1, rows.start as isize..rows.end as isize, columns.start as isize..columns.end as isize];
        let space = Space::padded(lines, &steps);
        let pitch = space.step[1] as usize;
        let length = (rows.len() - 1) * pitch + columns.len();
        let mut vectors = Vec::with_capacity(length.div_ceil(lanes));
        for flat in (0..length).step_by(lanes) {
            let mut mask = 0;
            for lane in 0..lanes.min(length - flat) {
                let (row, column) = ((flat + lane) / pitch, (flat + lane) % pitch);
                let square = (rows.start + row) * self.wide + columns.start + column;
                if column < columns.len() && wanted.contains(&square) {
                    mask |= 1u32 << lane;
                }
            }
            if mask != 0 {
                vectors.push(Packed { flat, mask, at });
                at += mask.count_ones() as usize;
            }
        }
        Piece { image, rows: rows_of(lines, &steps, &space), space, vectors }
    }

    /// Where the targets of a range of squares lie, row by row, from the first target of the first channel on.
    pub(super) fn runs(&self, squares: &Range<usize>, image_step: usize) -> Vec<Run> {
        let mut found = Vec::new();
        let mut square = squares.start;
        while square < squares.end {
            let (image, rest) = (square / self.per_image(), square % self.per_image());
            let (row, column) = (rest / self.wide, rest % self.wide);
            let there = (self.wide - column).min(squares.end - square);
            found.push(Run {
                at: 2 * (square - squares.start),
                count: (2 * there).min(self.width - 2 * column),
                to: image * image_step + 2 * row * self.width + 2 * column,
                both: 2 * row + 1 < self.height,
            });
            square += there;
        }
        found
    }
}

/// Squares of one vector of a copy: those of the mask, which go to places from `at` on.
pub(super) struct Packed {
    pub(super) flat: usize,
    pub(super) mask: u32,
    pub(super) at: usize,
}

/// A row of a copy: its elements of one residue, and where the first one lies in the source.
struct Row {
    to: usize,
    count: usize,
    row: isize,
    column: isize,
}

/// What a copy has of its source; zeros are around.
fn rows_of(lines: &[Line; 3], steps: &[Range<isize>; 3], space: &Space) -> Vec<Row> {
    let [_, high, wide] = space.reach;
    let mut found = Vec::new();
    for down in 0..lines[1].residues.len() {
        let rows = Inside::of(&lines[1], steps[1].start, down, high);
        for along in 0..lines[2].residues.len() {
            let columns = Inside::of(&lines[2], steps[2].start, along, wide);
            let plane = (down * lines[2].residues.len() + along) * high;
            found.extend((0..rows.count).map(|row| Row {
                to: (plane + rows.before + row) * wide + columns.before,
                count: columns.count,
                row: rows.first + row as isize * lines[1].stride,
                column: columns.first,
            }));
        }
    }
    found
}

/// Rows of squares of one image.
pub(super) struct Piece {
    image: usize,
    rows: Vec<Row>,
    pub(super) space: Space,
    pub(super) vectors: Vec<Packed>,
}

/// Targets of neighbouring squares: two rows of `count`.
pub(super) struct Run {
    pub(super) at: usize,
    pub(super) count: usize,
    pub(super) to: usize,
    /// Whether the second row exists.
    pub(super) both: bool,
}

/// Channels that are read square by square.
pub(super) struct Squared<'a, E> {
    pub(super) pieces: &'a [Piece],
    pub(super) source: &'a Operand<E>,
    pub(super) first: usize,
    pub(super) channels: usize,
    /// Room for one channel.
    pub(super) copy: *mut E,
    /// `[places][channels][line]`, the places so far apart.
    pub(super) to: *mut E,
    pub(super) place: usize,
    pub(super) line: usize,
    /// Squares; up to the end of their last vector there are zeros.
    pub(super) squares: usize,
}

impl<E: Element> Squared<'_, E> {
    /// Zeros where a piece has no source, and behind it what vectors read in vain.
    ///
    /// # Safety
    /// There is room, and the processor has the vector's instructions.
    #[inline(always)]
    pub(super) unsafe fn begin<V: Vector<Element = E>>(&self, piece: &Piece) {
        for at in (0..piece.space.copied + V::LANES).step_by(V::LANES) {
            // SAFETY: as the caller vouches.
            unsafe { V::splat(E::ZERO).store(self.copy.add(at)) };
        }
    }

    /// Copies a channel of a piece, which has begun.
    ///
    /// # Safety
    /// As for `begin`; the source has the channel.
    #[inline(always)]
    pub(super) unsafe fn fill<V: Vector<Element = E>>(&self, piece: &Piece, channel: usize) {
        let [.., down, along] = self.source.strides;
        let from = self.source.channel(piece.image, self.first + channel);
        let ahead = channel + AHEAD < self.channels && along == 1;
        let step = AHEAD as isize * self.source.strides[1];
        for row in &piece.rows {
            let from = from.wrapping_offset(row.row * down + row.column * along);
            // SAFETY: as the caller vouches. What is written behind a row are zeros, or the beginning of the next one, which follows.
            unsafe { copy::<V>(self.copy.add(row.to), from, row.count, 2 * along) };
            if ahead {
                let from = from.wrapping_offset(step);
                for at in (0..2 * row.count).step_by(64 / size_of::<E>()) {
                    V::fetch(from.wrapping_add(at));
                }
            }
        }
    }

    /// Zeros behind the last square.
    ///
    /// # Safety
    /// There is room for whole vectors.
    #[inline(always)]
    pub(super) unsafe fn end<V: Vector<Element = E>>(&self, places: usize) {
        for at in self.squares..self.squares.next_multiple_of(V::LANES) {
            for place in 0..places {
                for channel in 0..self.channels {
                    // SAFETY: as the caller vouches.
                    unsafe { self.to.add(place * self.place + channel * self.line + at).write(E::ZERO) };
                }
            }
        }
    }
}
