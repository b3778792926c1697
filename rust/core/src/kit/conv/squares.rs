//! Three by three taps with fewer products: squares of two by two targets, each from sixteen products instead of thirty-six.
//! Depends on `apart`, `line`, `space`, `vector`. Invariant: squares are numbered image by image, row by row.
//!
//! Winograd's F(2×2, 3×3): `Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` for a kernel g and the four by four sources d of a square. Between the
//! brackets channels are summed, so there are sixteen products of matrices, one per place. The gradient by g is the adjoint,
//! `Gᵀ [Σ (A y Aᵀ) ⊙ (Bᵀ d B)] G`. A sum has four of nine products and a few additions more: its error is that of the direct sum. What is
//! infinite or no number spreads over its square here, so whoever finds one in a result computes it all directly.
//!
//! Where taps lie apart, the targets of a square do too.

use std::ops::Range;

use super::apart::{Columns, Part, Rows};
use super::line::Line;
use super::space::{AHEAD, Inside, Operand, Space, copy, copy_pairs, fetch};
use crate::kit::vector::{Element, Vector};

/// Places of a square's sources: products per square.
pub(super) const PLACES: usize = 16;
/// Elements between the places in memory, so that they do not meet in one set of a cache.
pub(super) const APART: usize = 16;
/// Channels below which the additions cost what the products save: `inner · rows / (inner + rows)`.
const WORTH: usize = 12;
/// Channels of either side at least.
const FEWEST: usize = 16;
/// Squares at least; fewer are bound by the memory of the kernel.
const SQUARES: usize = 64;

/// How a copy is read: the phases of rows, and the columns.
pub(super) type Sides = (Vec<Rows>, Columns);

/// How targets fall into squares.
pub(super) struct Squares {
    /// Steps are squares, taps the four by four sources.
    pub(super) sources: Sides,
    /// Steps are squares, taps the two by two targets.
    pub(super) targets: Sides,
    /// Rows and columns of the squares of a phase.
    high: usize,
    wide: usize,
    /// Targets of an image.
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Squares {
    /// The squares of a sum, if it has three by three taps at equal distances and is large enough.
    pub(super) fn of<E: Element>(lines: &[Line; 3], batch: usize, inner: usize, rows: usize) -> Option<Self> {
        let single = lines[0].taps.len() == 1 && lines[0].target == 1 && lines[0].source == 1 && lines[0].is_one();
        let worth = inner.min(rows) >= FEWEST && inner * rows >= WORTH * (inner + rows);
        if !single || !worth || size_of::<E>() != size_of::<f32>() {
            return None;
        }
        let (height, width) = (lines[1].target, lines[2].target);
        let [(down, above), (along, before)] = [lines[1].spaced()?, lines[2].spaced()?];
        if down > height || along > width {
            return None;
        }
        let (high, wide) = (height.div_ceil(down).div_ceil(2), width.div_ceil(2 * along) * along);
        let squares = down * high * wide;
        // Squares that hang over the edge are computed whole.
        if batch * squares < SQUARES || 4 * squares * 2 > 3 * height * width {
            return None;
        }
        let sources = (
            Rows::phases(4, down, above, lines[1].source, height),
            Columns::new(4, along, before, lines[2].source, wide),
        );
        let targets = (Rows::phases(2, down, 0, height, height), Columns::new(2, along, 0, width, wide));
        Some(Self { sources, targets, high, wide, height, width })
    }

    /// Squares of an image.
    pub(super) fn per_image(&self) -> usize {
        self.per_phase() * self.down()
    }

    /// Squares of a phase of an image.
    fn per_phase(&self) -> usize {
        self.high * self.wide
    }

    /// Phases of the rows: rows from one target of a square to the one below.
    pub(super) fn down(&self) -> usize {
        self.sources.0.len()
    }

    /// Columns from one target of a square to the one beside it.
    pub(super) fn along(&self) -> usize {
        self.sources.1.distance
    }

    /// Elements that the copy of one channel may take, for so many squares beside each other.
    pub(super) fn copied(&self, squares: usize) -> usize {
        let (rows, columns) = match squares <= self.wide {
            true => (1, squares),
            false => ((squares.div_ceil(self.wide) + 1).min(self.high), self.wide),
        };
        let lines = [Line::one(), self.sources.0[0].line.clone(), self.sources.1.line.clone()];
        Space::dense(&lines, &[0..1, 0..rows as isize, 0..columns as isize]).copied + 3 * 16
    }

    /// What a range of squares touches of each phase of an image, as it is copied for `sides` (the sources or the targets).
    pub(super) fn pieces(&self, sides: &Sides, squares: &Range<usize>, lanes: usize) -> Vec<Piece> {
        let per_phase = self.per_phase();
        let mut found = Vec::new();
        for number in squares.start / per_phase..(squares.end - 1) / per_phase + 1 {
            let of = Of { image: number / self.down(), rows: &sides.0[number % self.down()], columns: &sides.1 };
            let first = squares.start.max(number * per_phase) - number * per_phase;
            let last = squares.end.min((number + 1) * per_phase) - number * per_phase;
            let mut at = number * per_phase + first - squares.start;
            let rows = first / self.wide..(last - 1) / self.wide + 1;
            if squares.len() > self.wide {
                found.push(self.piece(&of, rows, 0..self.wide, first..last, at, lanes));
                continue;
            }
            // Parts of one row or two: of a long row only what is wanted is copied.
            for row in rows {
                let begin = row * self.wide;
                let columns = first.max(begin) - begin..last.min(begin + self.wide) - begin;
                let wanted = begin + columns.start..begin + columns.end;
                found.push(self.piece(&of, row..row + 1, columns.clone(), wanted, at, lanes));
                at += columns.len();
            }
        }
        found
    }

    /// Some rows and columns of the squares of a phase, of which a range is wanted.
    fn piece(
        &self,
        of: &Of<'_>,
        rows: Range<usize>,
        columns: Range<usize>,
        wanted: Range<usize>,
        mut at: usize,
        lanes: usize,
    ) -> Piece {
        let steps = [0..1, rows.start as isize..rows.end as isize, columns.start as isize..columns.end as isize];
        let lines = [Line::one(), of.rows.line.clone(), of.columns.line.clone()];
        let space = Space::dense(&lines, &steps);
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
        Piece { image: of.image, rows: rows_of(of, &steps, &space), space, vectors }
    }

    /// Where the targets of a range of squares lie, from the first target of the first channel on; in `line` squares beside each other
    /// targets lie as they do in the image where the distance is one or two, else all left ones, then all right ones.
    pub(super) fn runs(&self, squares: &Range<usize>, image_step: usize, line: usize) -> Vec<Run> {
        let (down, along) = (self.down(), self.along());
        let mut found = Vec::new();
        let mut square = squares.start;
        while square < squares.end {
            let (number, rest) = (square / self.per_phase(), square % self.per_phase());
            let (row, column) = (rest / self.wide, rest % self.wide);
            let first = 2 * row * down + number % down;
            let to = number / down * image_step + first * self.width;
            let mut push = |at: usize, count: usize, column: usize| {
                if first < self.height && column < self.width {
                    let both = first + down < self.height;
                    found.push(Run { at, count: count.min(self.width - column), to: to + column, both });
                }
            };
            let at = square - squares.start;
            let there = (self.wide - column).min(squares.end - square);
            if along <= 2 {
                push(2 * at, 2 * there, 2 * column);
                square += there;
            } else {
                let (block, within) = (column / along, column % along);
                let there = there.min(along - within);
                push(at, there, 2 * block * along + within);
                push(line + at, there, (2 * block + 1) * along + within);
                square += there;
            }
        }
        found
    }
}

/// A phase of an image, and how its rows and columns are read.
struct Of<'a> {
    image: usize,
    rows: &'a Rows,
    columns: &'a Columns,
}

/// Squares of one vector of a copy: those of the mask, which go to places from `at` on.
pub(super) struct Packed {
    pub(super) flat: usize,
    pub(super) mask: u32,
    pub(super) at: usize,
}

/// A part of a row of a copy, and the row of the source.
struct Row {
    part: Part,
    row: isize,
}

/// What a copy has of its source; zeros are around.
fn rows_of(of: &Of<'_>, steps: &[Range<isize>; 3], space: &Space) -> Vec<Row> {
    let [_, high, wide] = space.reach;
    let line = &of.rows.line;
    let begin = steps[2].start as usize;
    let columns = [0, 1].map(|residue| of.columns.parts(begin..begin + wide, residue));
    let mut found = Vec::new();
    for down in 0..line.residues.len() {
        let rows = Inside::of(line, steps[1].start, down, high);
        for (along, parts) in columns.iter().enumerate() {
            let plane = (down * columns.len() + along) * high;
            for row in 0..rows.count {
                let to = (plane + rows.before + row) * wide;
                let from = of.rows.first + (rows.first + row as isize * line.stride) * of.rows.distance;
                found.extend(parts.iter().map(|part| Row { part: Part { to: to + part.to, ..*part }, row: from }));
            }
        }
    }
    found
}

/// Rows of squares of a phase of an image.
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
        for Row { part, row } in &piece.rows {
            let from = from.wrapping_offset(row * down + part.column * along);
            let to = self.copy.wrapping_add(part.to);
            // SAFETY: as the caller vouches. What is written behind a part are zeros, or the beginning of the next one, which follows.
            unsafe {
                match part.block {
                    0 => copy::<V>(to, from, part.count, along),
                    1 => copy::<V>(to, from, part.count, 2 * along),
                    _ => copy_pairs::<V>(to, from, part.count, along),
                }
            }
            if ahead {
                fetch::<V>(from.wrapping_offset(step), part.count * (1 + usize::from(part.block > 0)));
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
