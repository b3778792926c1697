//! The gradient of a recurrent unit's steps. Depends on `cell`. Invariant: where a row has no step, gradients pass it by.
#![allow(clippy::needless_range_loop, reason = "iterators over arrays may stay calls inside code of other features")]

use std::marker::PhantomData;
use std::ops::Range;

use super::cell::Lane;
use super::{BLOCK, Cell, Element, Line, Parallel, Rows, Sequence, Sizes, Step, Target, clear, of_unit, packed, write};
use crate::error::Result;
use crate::kit::gemm::Matrix;
use crate::kit::scratch::with_scratch;
use crate::kit::simd::{self, Kernel, Machine};

/// What a backward pass reads and writes; all results are contiguous.
pub(crate) struct Backward<E> {
    /// Sizes, and the direction of the forward pass.
    pub(crate) sequence: Sequence,
    /// The recurrent weight, `[gates · hidden, state]`.
    pub(crate) weight: Matrix<E>,
    /// Maps h to a smaller one, `[state, hidden]`.
    pub(crate) projection: Option<Matrix<E>>,
    /// What the forward pass saved, `[step, row, block, hidden]`.
    pub(crate) saved: Option<Rows<E>>,
    /// Cells, or outputs where there are none, and the first of them.
    pub(crate) memory: [Rows<E>; 2],
    /// Cotangents of outputs.
    pub(crate) grads: Option<Rows<E>>,
    /// Cotangents of the last h and cell.
    pub(crate) last: [Option<Rows<E>>; 2],
    /// Gradient of what the inputs contribute, `[step, row, gates · hidden]`.
    pub(crate) given: Target<E>,
    /// The same of the products with the weight, where that is another.
    pub(crate) own: Option<Target<E>>,
    /// Gradients of the first h and cell, `[row, element]`.
    pub(crate) state: [Option<Target<E>>; 2],
    /// Gradients of what was projected, `[step, row, state]`.
    pub(crate) projected: Option<Target<E>>,
}

/// Working memory of some rows.
#[derive(Clone, Copy)]
struct Room<E> {
    /// What comes from the step after, for h by way of the product, and for the memory.
    h: *mut E,
    memory: *mut E,
    /// A product whose rows are not all wanted.
    product: *mut E,
    /// Gradients of h before its projection.
    unprojected: *mut E,
}

impl<E: Element> Backward<E> {
    /// Runs all steps.
    ///
    /// # Safety
    /// Everything lies in memory that nobody else writes.
    pub(crate) unsafe fn run(&self, parallel: &Parallel<'_>) -> Result<()> {
        let Sequence { hidden, state, .. } = self.sequence;
        // SAFETY: weights hold their elements.
        let weights = unsafe {
            let weight = packed(self.weight, self.sequence.width(), state, parallel)?;
            let project = |projection: Matrix<E>| packed(projection, state, hidden, parallel);
            (weight, self.projection.map(project).transpose()?)
        };
        let weight = Target(weights.0.start::<E>());
        let projection = weights.1.as_ref().map(|memory| Target(memory.start::<E>()));
        self.sequence.spread(parallel, &|rows, parallel| {
            with_scratch(rows.len() * 2 * (state + hidden), |h: *mut E| {
                let count = rows.len();
                // SAFETY: the scratch holds all four; the rows are this chunk's.
                unsafe {
                    let (memory, product) = (h.add(count * state), h.add(count * (state + hidden)));
                    let room = Room { h, memory, product, unprojected: product.add(count * state) };
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
        // SAFETY: as `run` vouches.
        unsafe {
            for ((to, last), width) in [room.h, room.memory].into_iter().zip(&self.last).zip([state, hidden]) {
                for row in rows.clone() {
                    let to = to.add((row - rows.start) * width);
                    match last {
                        Some(last) => last.row(0, row).copy_to(to, width),
                        None => clear(to, width),
                    }
                }
            }
            for n in (0..steps).rev() {
                let step = self.sequence.index(n);
                let reach = self.sequence.reach(&rows, step);
                let has = |row: &usize| step < self.sequence.end(*row);
                for row in rows.clone().filter(|row| !has(row)) {
                    self.skip(step, row);
                }
                if reach == 0 {
                    continue;
                }
                let reached = rows.start..rows.start + reach;
                if let (Some(projection), Some(projected)) = (projection, &self.projected) {
                    for row in reached.clone().filter(has) {
                        self.gather(step, row, room.h.add((row - rows.start) * state), projected);
                    }
                    let from = projected.rows(batch, state).matrix(step, rows.start);
                    Sizes { m: reach, n: hidden, k: state }.multiply(room.unprojected, from, projection, parallel);
                }
                if ends.is_none() {
                    self.rows(n, reached.clone(), rows.start, &room);
                } else {
                    for row in reached.clone().filter(has) {
                        self.rows(n, row..row + 1, rows.start, &room);
                    }
                }
                let own = self.own.as_ref().unwrap_or(&self.given).rows(batch, width).matrix(step, rows.start);
                let to = if ends.is_some() { room.product } else { room.h };
                Sizes { m: reach, n: state, k: width }.multiply(to, own, weight, parallel);
                if ends.is_some() {
                    for row in reached.filter(has) {
                        let at = (row - rows.start) * state;
                        std::ptr::copy_nonoverlapping(room.product.add(at), room.h.add(at), state);
                    }
                }
            }
            self.finish(rows, &room);
        }
    }

    /// The gradient of a projected h: its own, and what comes from the step after.
    unsafe fn gather(&self, step: usize, row: usize, after: *const E, projected: &Target<E>) {
        let Sequence { batch, state, .. } = self.sequence;
        let to = projected.at((step * batch + row) * state);
        let own = self.grads.as_ref().map(|grads| grads.row(step, row));
        for i in 0..state {
            // SAFETY: as `run` vouches.
            unsafe {
                let own = own.map_or(E::ZERO, |own| own.start.offset(i as isize * own.step).read_unaligned());
                *to.add(i) = own + *after.add(i);
            }
        }
    }

    /// The elements of one step for adjacent rows that have it; the working memory begins at the row `first`.
    unsafe fn rows(&self, n: usize, rows: Range<usize>, first: usize, room: &Room<E>) {
        let Sequence { unit, batch, hidden, .. } = self.sequence;
        let (step, row, place) = (self.sequence.index(n), rows.start, (rows.start - first) * hidden);
        let at = (step * batch + row) * self.sequence.width();
        let is_projected = self.projection.is_some();
        let grads = if is_projected { None } else { self.grads.as_ref() };
        // SAFETY: as `run` vouches.
        unsafe {
            let rows = BackwardRows {
                rows: rows.len(),
                hidden,
                saved: self.saved.as_ref().unwrap_or(&self.memory[0]).at(step, row),
                after: self.memory[0].at(step, row),
                before: match self.sequence.before(n, row) {
                    Some(before) => self.memory[0].at(before, row),
                    None => self.memory[1].at(0, row),
                },
                grads: grads.map(|grads| grads.at(step, row)),
                h: if is_projected { room.unprojected } else { room.h }.add(place),
                memory: room.memory.add(place),
                given: self.given.at(at),
                own: self.own.as_ref().map(|own| own.at(at)),
            };
            of_unit!(unit, rows.launch());
        }
    }

    /// Zeros where a row has no step.
    unsafe fn skip(&self, step: usize, row: usize) {
        let Sequence { batch, state, .. } = self.sequence;
        let (at, width) = (step * batch + row, self.sequence.width());
        // SAFETY: as `run` vouches.
        unsafe {
            clear(self.given.at(at * width), width);
            if let Some(own) = &self.own {
                clear(own.at(at * width), width);
            }
            if let Some(projected) = &self.projected {
                clear(projected.at(at * state), state);
            }
        }
    }

    /// Gradients of the first state; without a cell, what came by way of the memory is h's.
    unsafe fn finish(&self, rows: Range<usize>, room: &Room<E>) {
        let Sequence { unit, hidden, state, .. } = self.sequence;
        let [h, cell] = &self.state;
        // SAFETY: as `run` vouches.
        unsafe {
            if unit.reads_h() {
                for i in 0..rows.len() * hidden {
                    *room.h.add(i) = *room.h.add(i) + *room.memory.add(i);
                }
            }
            for (to, from, width) in [(h, room.h, state), (cell, room.memory, hidden)] {
                if let Some(to) = to {
                    std::ptr::copy_nonoverlapping(from, to.at(rows.start * width), rows.len() * width);
                }
            }
        }
    }
}

/// Adjacent rows of one step.
struct BackwardRows<E> {
    rows: usize,
    hidden: usize,
    saved: Rows<E>,
    after: Rows<E>,
    before: Rows<E>,
    grads: Option<Rows<E>>,
    h: *const E,
    /// The memory's gradient after the step, replaced by that before it.
    memory: *mut E,
    given: *mut E,
    own: Option<*mut E>,
}

impl<E: Element> BackwardRows<E> {
    fn launch<C: Cell<G, S>, const G: usize, const S: usize>(self) {
        simd::launch(BackwardCell::<E, C, G, S> { rows: self, cell: PhantomData });
    }
}

/// The same, of a cell.
struct BackwardCell<E, C, const G: usize, const S: usize> {
    rows: BackwardRows<E>,
    cell: PhantomData<C>,
}

impl<E: Element, C: Cell<G, S>, const G: usize, const S: usize> Kernel for BackwardCell<E, C, G, S> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        let BackwardRows { rows, hidden, saved, after, before, grads, h, memory, given, own } = self.rows;
        for row in 0..rows {
            let (saved, after, before) = (saved.row(0, row), after.row(0, row), before.row(0, row));
            let grad = grads.map(|grads| grads.row(0, row));
            let h = Line { start: h.wrapping_add(row * hidden), step: 1 };
            let memory = memory.wrapping_add(row * hidden);
            let first = row * G * hidden;
            for at in (0..hidden).step_by(BLOCK) {
                let count = BLOCK.min(hidden - at);
                // SAFETY: the row's elements, as `Backward::run` vouches.
                unsafe {
                    let mut kept = [[E::ZERO; BLOCK]; S];
                    for block in 0..S {
                        kept[block] = saved.read(block * hidden + at, count);
                    }
                    let (after, before) = (after.read(at, count), before.read(at, count));
                    let mut h = h.read(at, count);
                    if let Some(grad) = &grad {
                        let grad = grad.read(at, count);
                        for i in 0..BLOCK {
                            h[i] = grad[i] + h[i];
                        }
                    }
                    let mut carried = Line { start: memory.cast_const(), step: 1 }.read(at, count);
                    let mut to = [[E::ZERO; BLOCK]; G];
                    let mut last = [E::ZERO; BLOCK];
                    for i in 0..BLOCK {
                        let mut own = [Lane::<E, M>(E::ZERO, PhantomData); S];
                        for block in 0..S {
                            own[block].0 = kept[block][i];
                        }
                        let back = C::backward(Step {
                            saved: own,
                            of_saved: None,
                            before: Lane(before[i], PhantomData),
                            after: Lane(after[i], PhantomData),
                            h: Lane(h[i], PhantomData),
                            memory: Lane(carried[i], PhantomData),
                        });
                        for gate in 0..G {
                            to[gate][i] = back.given[gate].0;
                        }
                        if let Some(own) = back.own {
                            last[i] = own.0;
                        }
                        carried[i] = back.memory.0;
                    }
                    write(memory, at, count, carried);
                    for gate in 0..G {
                        write(given, first + gate * hidden + at, count, to[gate]);
                    }
                    if let Some(own) = own {
                        to[G - 1] = last;
                        for gate in 0..G {
                            write(own, first + gate * hidden + at, count, to[gate]);
                        }
                    }
                }
            }
        }
    }
}
