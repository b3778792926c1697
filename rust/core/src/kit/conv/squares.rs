//! Three by three taps with fewer products: squares of two by two targets, each from sixteen products instead of thirty-six.
//! Depends on `line`, `space`, `vector`. Invariant: squares are numbered image by image, row by row.
//!
//! Winograd's F(2×2, 3×3): `Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` for a kernel g and the four by four sources d of a square. Between the
//! brackets channels are summed, so there are sixteen products of matrices, one per place. The gradient by g is the adjoint,
//! `Gᵀ [Σ (A y Aᵀ) ⊙ (Bᵀ d B)] G`. A sum has four of nine products and a few additions more: its error is that of the direct sum. What is
//! infinite or no number spreads over its square here, so whoever finds one in a result computes it all directly.
//!
//! Taps that lie apart read every so-manieth row and column: image and targets fall into phases that never meet, each of them a smaller
//! image with neighbouring taps.

use std::ops::Range;

use super::line::{Dilated, Line};
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
    /// Steps are squares, taps the four by four sources, per phase of rows and of columns.
    pub(super) sources: [Vec<Dilated>; 2],
    /// Steps are squares, taps the two by two targets.
    pub(super) targets: [Vec<Dilated>; 2],
    /// Squares of a phase.
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
        let sources = [lines[1].paired()?, lines[2].paired()?];
        let [down, along] = [sources[0].len(), sources[1].len()];
        let (high, wide) = (height.div_ceil(down).div_ceil(2), width.div_ceil(along).div_ceil(2));
        let squares = high * wide * down * along;
        // Squares that hang over the edge are computed whole.
        if batch * squares < SQUARES || 4 * squares * 2 > 3 * height * width {
            return None;
        }
        let targets = [Line::pairs(height, down), Line::pairs(width, along)];
        Some(Self { sources, targets, high, wide, height, width })
    }

    /// Squares of an image.
    pub(super) fn per_image(&self) -> usize {
        self.per_phase() * self.sources[0].len() * self.sources[1].len()
    }

    /// Squares of a phase of an image.
    fn per_phase(&self) -> usize {
        self.high * self.wide
    }

    /// Image and phases of rows and columns, of a phase numbered through all images.
    fn phase(&self, number: usize) -> [usize; 3] {
        let [down, along] = [self.sources[0].len(), self.sources[1].len()];
        [number / (down * along), number / along % down, number % along]
    }

    /// Elements from a target to the next one of its phase.
    pub(super) fn step(&self) -> usize {
        self.sources[1].len()
    }

    /// Elements from a target to the one below of its phase.
    pub(super) fn row(&self) -> usize {
        self.sources[0].len() * self.width
    }

    /// Elements that the copy of one channel may take, for so many squares beside each other.
    pub(super) fn copied(&self, squares: usize) -> usize {
        let (rows, columns) = match squares <= self.wide {
            true => (1, squares),
            false => ((squares.div_ceil(self.wide) + 1).min(self.high), self.wide),
        };
        let lines = [Line::one(), self.sources[0][0].line.clone(), self.sources[1][0].line.clone()];
        Space::padded(&lines, &[0..1, 0..rows as isize, 0..columns as isize]).copied + 3 * 16
    }

    /// What a range of squares touches of each phase of an image, as it is copied for `lines` (the sources or the targets).
    pub(super) fn pieces(&self, lines: &[Vec<Dilated>; 2], squares: &Range<usize>, lanes: usize) -> Vec<Piece> {
        let per_phase = self.per_phase();
        let mut found = Vec::new();
        for number in squares.start / per_phase..(squares.end - 1) / per_phase + 1 {
            let [image, down, along] = self.phase(number);
            let of = Of { image, down: &lines[0][down], along: &lines[1][along] };
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
        let lines = [Line::one(), of.down.line.clone(), of.along.line.clone()];
        let space = Space::padded(&lines, &steps);
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
        Piece { image: of.image, rows: rows_of(of, &steps, &space), jump: 2 * of.along.dilation, space, vectors }
    }

    /// Where the targets of a range of squares lie, row by row, from the first target of the first channel on.
    pub(super) fn runs(&self, squares: &Range<usize>, image_step: usize) -> Vec<Run> {
        let mut found = Vec::new();
        let mut square = squares.start;
        while square < squares.end {
            let [image, down, along] = self.phase(square / self.per_phase());
            let rest = square % self.per_phase();
            let (row, column) = (rest / self.wide, rest % self.wide);
            let [height, width] = [&self.targets[0][down], &self.targets[1][along]].map(|phase| phase.line.source);
            let there = (self.wide - column).min(squares.end - square);
            // A phase may have a row or a column less than the first one.
            if 2 * row < height && 2 * column < width {
                found.push(Run {
                    at: 2 * (square - squares.start),
                    count: (2 * there).min(width - 2 * column),
                    to: image * image_step
                        + 2 * row * self.row()
                        + down * self.width
                        + 2 * column * self.step()
                        + along,
                    both: 2 * row + 1 < height,
                });
            }
            square += there;
        }
        found
    }
}

/// A phase of an image, and how its rows and columns are read.
struct Of<'a> {
    image: usize,
    down: &'a Dilated,
    along: &'a Dilated,
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
fn rows_of(of: &Of<'_>, steps: &[Range<isize>; 3], space: &Space) -> Vec<Row> {
    let [_, high, wide] = space.reach;
    let (lines, wides) = (&of.down.line, &of.along.line);
    let place = |of: &Dilated, at: isize| of.first + at * of.dilation;
    let mut found = Vec::new();
    for down in 0..lines.residues.len() {
        let rows = Inside::of(lines, steps[1].start, down, high);
        for along in 0..wides.residues.len() {
            let columns = Inside::of(wides, steps[2].start, along, wide);
            if columns.count == 0 {
                continue;
            }
            let plane = (down * wides.residues.len() + along) * high;
            found.extend((0..rows.count).map(|row| Row {
                to: (plane + rows.before + row) * wide + columns.before,
                count: columns.count,
                row: place(of.down, rows.first + row as isize * lines.stride),
                column: place(of.along, columns.first),
            }));
        }
    }
    found
}

/// Rows of squares of a phase of an image.
pub(super) struct Piece {
    image: usize,
    rows: Vec<Row>,
    /// Elements of the source from one of a row to the next.
    jump: isize,
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
            unsafe { copy::<V>(self.copy.add(row.to), from, row.count, piece.jump * along) };
            if ahead {
                let from = from.wrapping_offset(step);
                for at in (0..piece.jump as usize * row.count).step_by(64 / size_of::<E>()) {
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
