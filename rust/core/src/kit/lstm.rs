//! The steps of an LSTM over a whole sequence, and their gradient. Depends on `gemm`, `math`, `scratch` and `simd`.
//! Invariant: rows of a batch do not meet, so a thread takes some rows through all steps, and how they are cut changes no bit.
#![allow(clippy::needless_range_loop, reason = "iterators over arrays may stay calls inside code of other features")]

use std::ops::{Mul, Range, Sub};

use super::gemm::{Matrix, multiply_packed, pack_panels, panel_columns};
use super::math::{double, single};
use super::scratch::{Scratch, with_scratch};
use super::simd::{self, Kernel, Machine};
use super::vector;
use crate::error::Result;

/// Rows that a thread takes at least through all steps.
const FEWEST_ROWS: usize = 8;
/// Elements of a state that are worked on together.
const BLOCK: usize = 16;

/// The floats of an LSTM.
pub(crate) trait Element: vector::Element + Sub<Output = Self> + Mul<Output = Self> {
    /// 1
    const ONE: Self;
    /// 1 / (1 + e⁻ˣ)
    fn sigmoid<M: Machine>(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh<M: Machine>(self) -> Self;
}

macro_rules! element {
    ($type:ty, $functions:ident) => {
        impl Element for $type {
            const ONE: Self = 1.0;
            #[inline(always)]
            fn sigmoid<M: Machine>(self) -> Self {
                $functions::sigmoid::<M>(self)
            }
            #[inline(always)]
            fn tanh<M: Machine>(self) -> Self {
                $functions::tanh::<M>(self)
            }
        }
    };
}

element!(f32, single);
element!(f64, double);

/// A sequence of rows `[step, row, element]` with any strides, or a state `[row, element]`, whose first stride is then 0.
#[derive(Clone, Copy)]
pub(crate) struct Rows<E> {
    /// First element.
    pub(crate) start: *const E,
    /// Elements from step to step, row to row and element to element.
    pub(crate) strides: [isize; 3],
}

// SAFETY: addresses; what they lead to is only read.
unsafe impl<E> Sync for Rows<E> {}

impl<E: Element> Rows<E> {
    fn row(&self, step: usize, row: usize) -> Line<E> {
        let start = step as isize * self.strides[0] + row as isize * self.strides[1];
        Line { start: self.start.wrapping_offset(start), step: self.strides[2] }
    }

    fn matrix(&self, step: usize, row: usize) -> Matrix<E> {
        Matrix { start: self.row(step, row).start, row: self.strides[1], column: self.strides[2] }
    }
}

/// One row.
#[derive(Clone, Copy)]
struct Line<E> {
    start: *const E,
    step: isize,
}

impl<E: Element> Line<E> {
    /// Up to a block of elements from `at` on; zeros after them.
    #[inline(always)]
    unsafe fn read(&self, at: usize, count: usize) -> [E; BLOCK] {
        // SAFETY: as the caller vouches.
        unsafe {
            if count == BLOCK && self.step == 1 {
                return self.start.add(at).cast::<[E; BLOCK]>().read_unaligned();
            }
            let mut block = [E::ZERO; BLOCK];
            for i in 0..count {
                block[i] = self.start.offset((at + i) as isize * self.step).read_unaligned();
            }
            block
        }
    }
}

/// Writes the first elements of a block.
#[inline(always)]
unsafe fn write<E: Element>(to: *mut E, at: usize, count: usize, block: [E; BLOCK]) {
    // SAFETY: as the caller vouches.
    unsafe {
        if count == BLOCK {
            return to.add(at).cast::<[E; BLOCK]>().write_unaligned(block);
        }
        for i in 0..count {
            *to.add(at + i) = block[i];
        }
    }
}

/// An address that threads write different parts of.
#[derive(Clone, Copy)]
pub(crate) struct Target<E>(pub(crate) *mut E);

// SAFETY: an address; each row is written by one thread.
unsafe impl<E> Sync for Target<E> {}

impl<E> Target<E> {
    fn at(&self, element: usize) -> *mut E {
        self.0.wrapping_add(element)
    }
}

/// Sizes of a sequence, and the direction in which it is read.
#[derive(Clone, Copy)]
pub(crate) struct Sequence {
    /// Steps.
    pub(crate) steps: usize,
    /// Rows of the batch.
    pub(crate) batch: usize,
    /// Elements of the state.
    pub(crate) hidden: usize,
    /// Whether the last step comes first.
    pub(crate) reverse: bool,
}

type Parallel<'a> = dyn Fn(usize, &(dyn Fn(usize) + Sync)) + Sync + 'a;

impl Sequence {
    /// Index of the n-th step that is done.
    fn index(&self, n: usize) -> usize {
        if self.reverse { self.steps - 1 - n } else { n }
    }

    fn chunks(&self) -> usize {
        (self.batch / FEWEST_ROWS).clamp(1, 16)
    }

    fn rows(&self, chunk: usize) -> Range<usize> {
        let chunks = self.chunks();
        self.batch * chunk / chunks..self.batch * (chunk + 1) / chunks
    }

    /// A packed copy of a right operand of `k` rows and `n` columns.
    unsafe fn packed<E: Element>(&self, b: Matrix<E>, k: usize, n: usize, parallel: &Parallel<'_>) -> Result<Scratch> {
        let columns = n.next_multiple_of(panel_columns::<E>());
        let memory = Scratch::new(k * columns * size_of::<E>())?;
        let to = Target(memory.start().cast::<E>());
        parallel(columns / panel_columns::<E>(), &|panel| {
            // SAFETY: each panel has its own room.
            unsafe { pack_panels(b, k, n, panel..panel + 1, to.at(0)) };
        });
        Ok(memory)
    }
}

/// What a forward pass reads and writes; all results are contiguous, `[step, row, element]`.
pub(crate) struct Forward<E> {
    /// Sizes.
    pub(crate) sequence: Sequence,
    /// What the inputs contribute to the gates i, f, g, o.
    pub(crate) given: Rows<E>,
    /// The recurrent weight, `[4 · hidden, hidden]`.
    pub(crate) weight: Matrix<E>,
    /// The first state and cell.
    pub(crate) start: [Rows<E>; 2],
    /// Outputs.
    pub(crate) h: Target<E>,
    /// Cells.
    pub(crate) c: Target<E>,
    /// The gates after their functions.
    pub(crate) gates: Target<E>,
}

impl<E: Element> Forward<E> {
    /// Runs all steps.
    ///
    /// # Safety
    /// Everything lies in memory that nobody else writes.
    pub(crate) unsafe fn run(&self, parallel: &Parallel<'_>) -> Result<()> {
        let Sequence { steps, batch, hidden, .. } = self.sequence;
        // SAFETY: the weight holds its elements.
        let packed = unsafe { self.sequence.packed(self.weight.turned(), hidden, 4 * hidden, parallel)? };
        let weight = Target(packed.start().cast::<E>());
        let exhausted = std::sync::Mutex::new(Ok(()));
        parallel(self.sequence.chunks(), &|chunk| {
            let rows = self.sequence.rows(chunk);
            let done = with_scratch(rows.len() * 4 * hidden * size_of::<E>(), |scratch| {
                let product = scratch.cast::<E>();
                for n in 0..steps {
                    let step = self.sequence.index(n);
                    let before = |own: &Target<E>, start: &Rows<E>| match n {
                        0 => *start,
                        _ => {
                            let at = self.sequence.index(n - 1) * batch * hidden;
                            Rows { start: own.at(at).cast_const(), strides: [0, hidden as isize, 1] }
                        }
                    };
                    let (h, c) = (before(&self.h, &self.start[0]), before(&self.c, &self.start[1]));
                    // SAFETY: the scratch holds the product; the rows are this chunk's.
                    unsafe {
                        let (h, width) = (h.matrix(0, rows.start), 4 * hidden);
                        multiply_packed(rows.len(), width, hidden, product, width as isize, h, weight.at(0));
                        for row in rows.clone() {
                            let at = (step * batch + row) * hidden;
                            simd::launch(ForwardRow {
                                hidden,
                                given: self.given.row(step, row),
                                product: product.add((row - rows.start) * width),
                                before: c.row(0, row),
                                gates: self.gates.at(4 * at),
                                c: self.c.at(at),
                                h: self.h.at(at),
                            });
                        }
                    }
                }
            });
            if let Err(error) = done {
                *exhausted.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Err(error);
            }
        });
        exhausted.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// One row of one step.
struct ForwardRow<E> {
    hidden: usize,
    given: Line<E>,
    product: *const E,
    before: Line<E>,
    gates: *mut E,
    c: *mut E,
    h: *mut E,
}

impl<E: Element> Kernel for ForwardRow<E> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        let product = Line { start: self.product, step: 1 };
        for at in (0..self.hidden).step_by(BLOCK) {
            let count = BLOCK.min(self.hidden - at);
            // SAFETY: the row's elements, as `Forward::run` vouches.
            unsafe {
                let mut gates = [[E::ZERO; BLOCK]; 4];
                for gate in 0..4 {
                    let place = gate * self.hidden + at;
                    let (x, y) = (self.given.read(place, count), product.read(place, count));
                    for i in 0..BLOCK {
                        let sum = x[i] + y[i];
                        gates[gate][i] = if gate == 2 { sum.tanh::<M>() } else { sum.sigmoid::<M>() };
                    }
                    write(self.gates, place, count, gates[gate]);
                }
                let [input, forget, candidate, output] = gates;
                let before = self.before.read(at, count);
                let (mut c, mut h) = ([E::ZERO; BLOCK], [E::ZERO; BLOCK]);
                for i in 0..BLOCK {
                    c[i] = forget[i] * before[i] + input[i] * candidate[i];
                    h[i] = output[i] * c[i].tanh::<M>();
                }
                write(self.c, at, count, c);
                write(self.h, at, count, h);
            }
        }
    }
}

/// What a backward pass reads and writes; all results are contiguous.
pub(crate) struct Backward<E> {
    /// Sizes, and the direction of the forward pass.
    pub(crate) sequence: Sequence,
    /// The recurrent weight, `[4 · hidden, hidden]`.
    pub(crate) weight: Matrix<E>,
    /// The gates after their functions, the cells, and the first cell.
    pub(crate) gates: Rows<E>,
    /// Cells.
    pub(crate) c: Rows<E>,
    /// The first cell.
    pub(crate) start: Rows<E>,
    /// Cotangents of outputs and cells.
    pub(crate) grads: [Rows<E>; 2],
    /// Gradient of what the inputs contribute, `[step, row, 4 · hidden]`.
    pub(crate) given: Target<E>,
    /// Gradients of the first state and cell, `[row, hidden]`.
    pub(crate) state: [Target<E>; 2],
}

impl<E: Element> Backward<E> {
    /// Runs all steps.
    ///
    /// # Safety
    /// Everything lies in memory that nobody else writes.
    pub(crate) unsafe fn run(&self, parallel: &Parallel<'_>) -> Result<()> {
        let Sequence { steps, batch, hidden, .. } = self.sequence;
        // SAFETY: the weight holds its elements.
        let packed = unsafe { self.sequence.packed(self.weight, 4 * hidden, hidden, parallel)? };
        let weight = Target(packed.start().cast::<E>());
        parallel(self.sequence.chunks(), &|chunk| {
            let rows = self.sequence.rows(chunk);
            let (count, first) = (rows.len() * hidden, rows.start * hidden);
            // What comes from the step after lies where the gradients of the first state will be.
            let [h, c] = [self.state[0].at(first), self.state[1].at(first)];
            // SAFETY: the rows are this chunk's.
            unsafe {
                for i in 0..count {
                    *h.add(i) = E::ZERO;
                    *c.add(i) = E::ZERO;
                }
                for n in (0..steps).rev() {
                    let step = self.sequence.index(n);
                    for row in rows.clone() {
                        let place = (row - rows.start) * hidden;
                        simd::launch(BackwardRow {
                            hidden,
                            gates: self.gates.row(step, row),
                            c: self.c.row(step, row),
                            before: match n {
                                0 => self.start.row(0, row),
                                _ => self.c.row(self.sequence.index(n - 1), row),
                            },
                            grads: [self.grads[0].row(step, row), self.grads[1].row(step, row)],
                            after: [h.add(place), c.add(place)],
                            given: self.given.at((step * batch + row) * 4 * hidden),
                        });
                    }
                    let given = self.given.at((step * batch + rows.start) * 4 * hidden).cast_const();
                    let given = Matrix { start: given, row: 4 * hidden as isize, column: 1 };
                    multiply_packed(rows.len(), hidden, 4 * hidden, h, hidden as isize, given, weight.at(0));
                }
            }
        });
        Ok(())
    }
}

/// One row of one step.
struct BackwardRow<E> {
    hidden: usize,
    gates: Line<E>,
    c: Line<E>,
    before: Line<E>,
    grads: [Line<E>; 2],
    /// Cotangents that come from the step after; that of the cell is replaced by what goes to the step before.
    after: [*mut E; 2],
    given: *mut E,
}

impl<E: Element> Kernel for BackwardRow<E> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        let after = self.after.map(|start| Line { start: start.cast_const(), step: 1 });
        for at in (0..self.hidden).step_by(BLOCK) {
            let count = BLOCK.min(self.hidden - at);
            // SAFETY: the row's elements, as `Backward::run` vouches.
            unsafe {
                let input = self.gates.read(at, count);
                let forget = self.gates.read(self.hidden + at, count);
                let candidate = self.gates.read(2 * self.hidden + at, count);
                let output = self.gates.read(3 * self.hidden + at, count);
                let (c, before) = (self.c.read(at, count), self.before.read(at, count));
                let (own_h, own_c) = (self.grads[0].read(at, count), self.grads[1].read(at, count));
                let (next_h, next_c) = (after[0].read(at, count), after[1].read(at, count));
                let mut to = [[E::ZERO; BLOCK]; 4];
                let mut back = [E::ZERO; BLOCK];
                for i in 0..BLOCK {
                    let squashed = c[i].tanh::<M>();
                    let h = own_h[i] + next_h[i];
                    let cell = own_c[i] + next_c[i] + h * output[i] * (E::ONE - squashed * squashed);
                    to[0][i] = cell * candidate[i] * input[i] * (E::ONE - input[i]);
                    to[1][i] = cell * before[i] * forget[i] * (E::ONE - forget[i]);
                    to[2][i] = cell * input[i] * (E::ONE - candidate[i] * candidate[i]);
                    to[3][i] = h * squashed * output[i] * (E::ONE - output[i]);
                    back[i] = cell * forget[i];
                }
                for gate in 0..4 {
                    write(self.given, gate * self.hidden + at, count, to[gate]);
                }
                write(self.after[1], at, count, back);
            }
        }
    }
}
