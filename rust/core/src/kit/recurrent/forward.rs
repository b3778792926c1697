//! The steps of a recurrent unit. Depends on `cell`. Invariant: where a row has no step, outputs and what is saved are zeros.
#![allow(clippy::needless_range_loop, reason = "iterators over arrays may stay calls inside code of other features")]

use std::marker::PhantomData;
use std::ops::Range;

use super::{BLOCK, Cell, Element, Line, Parallel, Rows, Sequence, Sizes, Target, clear, of_unit, packed, write};
use crate::error::Result;
use crate::kit::gemm::Matrix;
use crate::kit::scratch::with_scratch;
use crate::kit::simd::{self, Kernel, Machine};

/// What a forward pass reads and writes; all results are contiguous, `[step, row, element]` and `[row, element]`.
pub(crate) struct Forward<E> {
    /// Sizes.
    pub(crate) sequence: Sequence,
    /// What the inputs contribute to the gates.
    pub(crate) given: Rows<E>,
    /// The recurrent weight, `[gates · hidden, state]`.
    pub(crate) weight: Matrix<E>,
    /// What is added to the product with it, `[gates · hidden]`.
    pub(crate) bias: Option<Line<E>>,
    /// Maps h to a smaller one, `[state, hidden]`.
    pub(crate) projection: Option<Matrix<E>>,
    /// The first h, and the first cell.
    pub(crate) start: [Rows<E>; 2],
    /// Outputs.
    pub(crate) h: Target<E>,
    /// Cells, where there are any.
    pub(crate) cells: Option<Target<E>>,
    /// What the gradient needs besides, `[step, row, block, hidden]`.
    pub(crate) saved: Option<Target<E>>,
    /// The last h and cell.
    pub(crate) last: [Option<Target<E>>; 2],
}

/// Working memory of some rows.
#[derive(Clone, Copy)]
struct Room<E> {
    product: *mut E,
    /// h after the step before, where outputs do not keep it.
    state: *mut E,
    /// h before its projection.
    unprojected: *mut E,
}

impl<E: Element> Forward<E> {
    /// Runs all steps.
    ///
    /// # Safety
    /// Everything lies in memory that nobody else writes.
    pub(crate) unsafe fn run(&self, parallel: &Parallel<'_>) -> Result<()> {
        let Sequence { hidden, state, .. } = self.sequence;
        // SAFETY: weights hold their elements.
        let weights = unsafe {
            let weight = packed(self.weight.turned(), state, self.sequence.width(), parallel)?;
            let project = |projection: Matrix<E>| packed(projection.turned(), hidden, state, parallel);
            (weight, self.projection.map(project).transpose()?)
        };
        let weight = Target(weights.0.start::<E>());
        let projection = weights.1.as_ref().map(|memory| Target(memory.start::<E>()));
        self.sequence.spread(parallel, &|rows, parallel| {
            let width = self.sequence.width();
            let (kept, unprojected) = (
                if self.sequence.ends.is_some() { state } else { 0 },
                if self.projection.is_some() { hidden } else { 0 },
            );
            with_scratch(rows.len() * (width + kept + unprojected), |product: *mut E| {
                // SAFETY: the scratch holds all three; the rows are this chunk's.
                unsafe {
                    let state = product.add(rows.len() * width);
                    let room = Room { product, state, unprojected: state.add(rows.len() * kept) };
                    clear(room.unprojected, rows.len() * unprojected);
                    self.chunk(rows, room, &weight, projection.as_ref(), parallel);
                }
            })
        })
    }

    /// All steps of some rows.
    unsafe fn chunk(
        &self,
        rows: Range<usize>,
        room: Room<E>,
        weight: &Target<E>,
        projection: Option<&Target<E>>,
        parallel: Option<&Parallel<'_>>,
    ) {
        let Sequence { steps, batch, hidden, state, ends, .. } = self.sequence;
        let width = self.sequence.width();
        let outputs = self.h.rows(batch, state);
        // SAFETY: as `run` vouches.
        unsafe {
            if ends.is_some() {
                for row in rows.clone() {
                    self.start[0].row(0, row).copy_to(room.state.add((row - rows.start) * state), state);
                }
            }
            for n in 0..steps {
                let step = self.sequence.index(n);
                let reach = self.sequence.reach(&rows, step);
                let before = match n {
                    _ if ends.is_some() => Matrix { start: room.state.cast_const(), row: state as isize, column: 1 },
                    0 => self.start[0].matrix(0, rows.start),
                    _ => outputs.matrix(self.sequence.index(n - 1), rows.start),
                };
                if reach > 0 {
                    Sizes { m: reach, n: width, k: state }.multiply(room.product, before, weight, parallel);
                }
                if ends.is_none() {
                    self.rows(n, rows.clone(), rows.start, &room);
                } else {
                    for row in (rows.start..rows.start + reach).filter(|&row| step < self.sequence.end(row)) {
                        self.rows(n, row..row + 1, rows.start, &room);
                    }
                }
                if let (Some(projection), true) = (projection, reach > 0) {
                    let h = Matrix { start: room.unprojected.cast_const(), row: hidden as isize, column: 1 };
                    let to = self.h.at((step * batch + rows.start) * state);
                    Sizes { m: reach, n: state, k: hidden }.multiply(to, h, projection, parallel);
                }
                if ends.is_some() {
                    for row in rows.clone() {
                        let output = self.h.at((step * batch + row) * state);
                        if step < self.sequence.end(row) {
                            let kept = room.state.add((row - rows.start) * state);
                            std::ptr::copy_nonoverlapping(output, kept, state);
                        } else {
                            self.skip(step, row);
                        }
                    }
                }
            }
            for row in rows {
                self.finish(row);
            }
        }
    }

    /// The elements of one step for adjacent rows that have it; the working memory begins at the row `first`.
    unsafe fn rows(&self, n: usize, rows: Range<usize>, first: usize, room: &Room<E>) {
        let Sequence { unit, batch, hidden, .. } = self.sequence;
        let (step, row, place) = (self.sequence.index(n), rows.start, rows.start - first);
        let at = (step * batch + row) * hidden;
        let before = |own: &Target<E>, start: &Rows<E>| match self.sequence.before(n, row) {
            Some(before) => own.rows(batch, hidden).at(before, row),
            None => start.at(0, row),
        };
        let memory = match &self.cells {
            Some(cells) => before(cells, &self.start[1]),
            None if unit.reads_h() => before(&self.h, &self.start[0]),
            None => self.given.at(step, row),
        };
        // SAFETY: as `run` vouches.
        unsafe {
            let rows = ForwardRows {
                rows: rows.len(),
                hidden,
                given: self.given.at(step, row),
                product: room.product.add(place * self.sequence.width()),
                bias: self.bias,
                memory,
                saved: self.saved.as_ref().map_or(std::ptr::null_mut(), |saved| saved.at(unit.saved() * at)),
                cells: self.cells.as_ref().map(|cells| cells.at(at)),
                h: if self.projection.is_some() { room.unprojected.add(place * hidden) } else { self.h.at(at) },
            };
            of_unit!(unit, rows.launch());
        }
    }

    /// Zeros where a row has no step.
    unsafe fn skip(&self, step: usize, row: usize) {
        let Sequence { unit, batch, hidden, state, .. } = self.sequence;
        let at = step * batch + row;
        // SAFETY: as `run` vouches.
        unsafe {
            clear(self.h.at(at * state), state);
            if let Some(cells) = &self.cells {
                clear(cells.at(at * hidden), hidden);
            }
            if let Some(saved) = &self.saved {
                clear(saved.at(at * hidden * unit.saved()), hidden * unit.saved());
            }
        }
    }

    /// The last h and cell of a row.
    unsafe fn finish(&self, row: usize) {
        let Sequence { batch, hidden, state, reverse, .. } = self.sequence;
        let step = self.sequence.end(row).checked_sub(1).map(|last| if reverse { 0 } else { last });
        let sequences = [(Some(&self.h), state), (self.cells.as_ref(), hidden)];
        for (((own, width), start), last) in sequences.into_iter().zip(&self.start).zip(&self.last) {
            if let (Some(own), Some(last)) = (own, last) {
                let line = match step {
                    Some(step) => own.rows(batch, width).row(step, row),
                    None => start.row(0, row),
                };
                // SAFETY: as `run` vouches.
                unsafe { line.copy_to(last.at(row * width), width) };
            }
        }
    }
}

/// Adjacent rows of one step.
struct ForwardRows<E> {
    rows: usize,
    hidden: usize,
    given: Rows<E>,
    product: *const E,
    bias: Option<Line<E>>,
    memory: Rows<E>,
    saved: *mut E,
    cells: Option<*mut E>,
    h: *mut E,
}

impl<E: Element> ForwardRows<E> {
    fn launch<C: Cell<G, S>, const G: usize, const S: usize>(self) {
        simd::launch(ForwardCell::<E, C, G, S> { rows: self, cell: PhantomData });
    }
}

/// The same, of a cell.
struct ForwardCell<E, C, const G: usize, const S: usize> {
    rows: ForwardRows<E>,
    cell: PhantomData<C>,
}

impl<E: Element, C: Cell<G, S>, const G: usize, const S: usize> Kernel for ForwardCell<E, C, G, S> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        let ForwardRows { rows, hidden, given, product, bias, memory, saved, cells, h } = self.rows;
        for row in 0..rows {
            let (given, memory) = (given.row(0, row), memory.row(0, row));
            let product = Line { start: product.wrapping_add(row * G * hidden), step: 1 };
            let (first, saved) = (row * hidden, saved.wrapping_add(row * S * hidden));
            for at in (0..hidden).step_by(BLOCK) {
                let count = BLOCK.min(hidden - at);
                // SAFETY: the row's elements, as `Forward::run` vouches.
                unsafe {
                    let (mut inputs, mut own) = ([[E::ZERO; BLOCK]; G], [[E::ZERO; BLOCK]; G]);
                    for gate in 0..G {
                        inputs[gate] = given.read(gate * hidden + at, count);
                        own[gate] = product.read(gate * hidden + at, count);
                        if let Some(bias) = &bias {
                            let bias = bias.read(gate * hidden + at, count);
                            for i in 0..BLOCK {
                                own[gate][i] = own[gate][i] + bias[i];
                            }
                        }
                    }
                    let before = memory.read(at, count);
                    let mut keep = [[E::ZERO; BLOCK]; S];
                    let (mut output, mut cell) = ([E::ZERO; BLOCK], [E::ZERO; BLOCK]);
                    for i in 0..BLOCK {
                        let (mut x, mut y) = ([E::ZERO; G], [E::ZERO; G]);
                        for gate in 0..G {
                            (x[gate], y[gate]) = (inputs[gate][i], own[gate][i]);
                        }
                        let (kept, h, after) = C::forward::<E, M>(x, y, before[i]);
                        for block in 0..S {
                            keep[block][i] = kept[block];
                        }
                        (output[i], cell[i]) = (h, after);
                    }
                    for block in 0..S {
                        write(saved, block * hidden + at, count, keep[block]);
                    }
                    if let Some(cells) = cells {
                        write(cells, first + at, count, cell);
                    }
                    write(h, first + at, count, output);
                }
            }
        }
    }
}
