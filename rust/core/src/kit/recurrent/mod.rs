//! Recurrent units over whole sequences, and their gradients. Depends on `gemm`, `math`, `scratch`, `simd` and `threads`.
//! Invariant: rows of a batch do not meet, so a thread takes some rows through all steps, and how they are cut changes no bit.
#![allow(clippy::needless_range_loop, reason = "iterators over arrays may stay calls inside code of other features")]

mod backward;
mod cell;
mod forward;

use std::ops::Range;

pub(crate) use backward::Backward;
pub use cell::Unit;
pub(crate) use cell::{Back, Cell, Gru, Lstm, Number, RnnRelu, RnnTanh, Step, of_unit};
pub(crate) use forward::Forward;

use super::gemm::{Matrix, multiply_packed, pack_panels, panel_columns};
use super::math::{double, single};
use super::scratch::Scratch;
use super::simd::Machine;
use super::threads::num_threads;
use super::vector;
use crate::error::Result;

/// Rows that a thread takes at least through all steps, and at most.
const FEWEST_ROWS: usize = 8;
const MOST_ROWS: usize = 64;
/// Bytes of a weight from which on few rows are multiplied by all threads together.
const SHARED_BYTES: usize = 256 << 10;
/// Elements of a state that are worked on together.
const BLOCK: usize = 16;

/// The floats of a recurrent unit.
pub(crate) trait Element: vector::Element + std::ops::Sub<Output = Self> + std::ops::Mul<Output = Self> {
    /// 1
    const ONE: Self;
    /// 1 / (1 + e⁻ˣ)
    fn sigmoid<M: Machine>(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh<M: Machine>(self) -> Self;
    /// x where `by` is above 0 or not a number, else 0.
    fn where_positive(self, by: Self) -> Self;
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
            #[inline(always)]
            fn where_positive(self, by: Self) -> Self {
                if by <= 0.0 { 0.0 } else { self }
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

impl<E: Copy> Rows<E> {
    #[inline(always)]
    fn row(&self, step: usize, row: usize) -> Line<E> {
        let start = step as isize * self.strides[0] + row as isize * self.strides[1];
        Line { start: self.start.wrapping_offset(start), step: self.strides[2] }
    }

    /// The rows of one step from one on.
    #[inline(always)]
    fn at(&self, step: usize, row: usize) -> Self {
        Self { start: self.row(step, row).start, ..*self }
    }

    fn matrix(&self, step: usize, row: usize) -> Matrix<E> {
        Matrix { start: self.row(step, row).start, row: self.strides[1], column: self.strides[2] }
    }
}

/// One row.
#[derive(Clone, Copy)]
pub(crate) struct Line<E> {
    /// First element.
    pub(crate) start: *const E,
    /// Elements from one to the next.
    pub(crate) step: isize,
}

// SAFETY: addresses; what they lead to is only read.
unsafe impl<E> Sync for Line<E> {}

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

    /// Writes all its elements one beside the other.
    unsafe fn copy_to(&self, to: *mut E, count: usize) {
        for i in 0..count {
            // SAFETY: as the caller vouches.
            unsafe { *to.add(i) = self.start.offset(i as isize * self.step).read_unaligned() };
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

impl<E: Element> Target<E> {
    fn at(&self, element: usize) -> *mut E {
        self.0.wrapping_add(element)
    }

    /// What was written, as rows `[step, row, width]`.
    fn rows(&self, batch: usize, width: usize) -> Rows<E> {
        Rows { start: self.0.cast_const(), strides: [(batch * width) as isize, width as isize, 1] }
    }
}

/// Sets elements to 0.
unsafe fn clear<E: Element>(to: *mut E, count: usize) {
    for i in 0..count {
        // SAFETY: as the caller vouches.
        unsafe { *to.add(i) = E::ZERO };
    }
}

/// Sizes of a sequence, and the way through it.
#[derive(Clone, Copy)]
pub(crate) struct Sequence {
    /// What is done in a step.
    pub(crate) unit: Unit,
    /// Steps, at least one.
    pub(crate) steps: usize,
    /// Rows of the batch.
    pub(crate) batch: usize,
    /// Elements of a gate.
    pub(crate) hidden: usize,
    /// Elements of a state: a projected one is shorter.
    pub(crate) state: usize,
    /// Whether the last step comes first.
    pub(crate) reverse: bool,
    /// How many steps each row has, if not all have all.
    pub(crate) ends: Option<Line<i64>>,
}

type Parallel<'a> = dyn Fn(usize, &(dyn Fn(usize) + Sync)) + Sync + 'a;
type Body<'a> = dyn Fn(Range<usize>, Option<&Parallel<'_>>) -> Result<()> + Sync + 'a;

impl Sequence {
    /// Elements of all gates.
    fn width(&self) -> usize {
        self.unit.gates() * self.hidden
    }

    /// Index of the n-th step that is done.
    fn index(&self, n: usize) -> usize {
        if self.reverse { self.steps - 1 - n } else { n }
    }

    /// Steps of a row.
    fn end(&self, row: usize) -> usize {
        let Some(ends) = self.ends else { return self.steps };
        // SAFETY: there is one end for each row.
        let end = unsafe { ends.start.offset(row as isize * ends.step).read_unaligned() };
        end.clamp(0, self.steps as i64) as usize
    }

    /// The step before the n-th one, if the row has it.
    fn before(&self, n: usize, row: usize) -> Option<usize> {
        (n > 0).then(|| self.index(n - 1)).filter(|&step| step < self.end(row))
    }

    /// How many rows, from the first, are to be looked at: after them none has this step.
    fn reach(&self, rows: &Range<usize>, step: usize) -> usize {
        match self.ends {
            None => rows.len(),
            Some(_) => rows.clone().rposition(|row| step < self.end(row)).map_or(0, |last| last + 1),
        }
    }

    /// As many chunks of rows as there are threads, as long as they are neither short nor long.
    fn chunks(&self) -> usize {
        num_threads().min(self.batch / FEWEST_ROWS).max(self.batch.div_ceil(MOST_ROWS)).max(1)
    }

    fn rows(&self, chunk: usize, chunks: usize) -> Range<usize> {
        self.batch * chunk / chunks..self.batch * (chunk + 1) / chunks
    }

    /// Runs a body for the rows of every chunk; the first error is returned. A body that has all rows may use all threads.
    fn spread(&self, parallel: &Parallel<'_>, body: &Body<'_>) -> Result<()> {
        if self.chunks() == 1 {
            return body(0..self.batch, Some(parallel));
        }
        let (chunks, failed) = (self.chunks(), std::sync::Mutex::new(Ok(())));
        parallel(chunks, &|chunk| {
            if let Err(error) = body(self.rows(chunk, chunks), None) {
                *failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Err(error);
            }
        });
        failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Sizes of a product.
#[derive(Clone, Copy)]
struct Sizes {
    m: usize,
    n: usize,
    k: usize,
}

impl Sizes {
    /// The product with a packed right operand; rows of `c` are adjacent. With `parallel`, threads share the columns of a large operand.
    ///
    /// # Safety
    /// As for `multiply_packed`.
    unsafe fn multiply<E: Element>(self, c: *mut E, a: Matrix<E>, packed: &Target<E>, parallel: Option<&Parallel<'_>>) {
        let Self { m, n, k } = self;
        let (width, to) = (panel_columns::<E>(), Target(c));
        let panels = n.div_ceil(width);
        let part = |columns: Range<usize>| {
            // SAFETY: as the caller vouches; parts write different columns.
            unsafe {
                let (to, packed) = (to.at(columns.start), packed.at(columns.start * k));
                multiply_packed(m, columns.len(), k, to, n as isize, a, packed);
            }
        };
        match parallel.filter(|_| k * n * size_of::<E>() >= SHARED_BYTES) {
            Some(parallel) => {
                let parts = num_threads().min(panels);
                parallel(parts, &|number| {
                    let edge = |number: usize| (panels * number / parts * width).min(n);
                    part(edge(number)..edge(number + 1));
                });
            }
            None => part(0..n),
        }
    }
}

/// A packed copy of a right operand of `k` rows and `n` columns.
unsafe fn packed<E: Element>(b: Matrix<E>, k: usize, n: usize, parallel: &Parallel<'_>) -> Result<Scratch> {
    let panels = n.div_ceil(panel_columns::<E>());
    let memory = Scratch::of::<E>(k * panels * panel_columns::<E>())?;
    let to = Target(memory.start::<E>());
    parallel(panels, &|panel| {
        // SAFETY: each panel has its own room.
        unsafe { pack_panels(b, k, n, panel..panel + 1, to.at(0)) };
    });
    Ok(memory)
}
