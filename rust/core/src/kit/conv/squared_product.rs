//! The gradient of a kernel by squares. Depends on `corners`, `product`, `squares`, `tile`.
//! Invariant: squares are cut into parts by shape alone, each with sums of its own, which are added in order.

use std::sync::atomic::{AtomicBool, Ordering};

use super::corners::{Folded, Sources, Targets, Widened};
use super::product::{CHUNKS, PARTS, Product, SMALL, SUMMED};
use super::squares::{APART, PLACES, Squared, Squares};
use super::tile::{Outer, outer_shape, run_outer};
use crate::backend::{HostPointer, Parallel};
use crate::error::Result;
use crate::kit::scratch::{Scratch, with_scratch};
use crate::kit::simd::Path;
use crate::kit::threads::try_parallel;
use crate::kit::transpose::transpose;
use crate::kit::vector::{Element, lanes, launch, many};

/// Channels of x and of y that are computed together.
const BLOCK: usize = 128;
/// Squares whose products are summed at a time.
const LINE: usize = 64;
/// Channels that are finished together.
const FINISHED: usize = 8;

/// The work of one call.
struct Job<'a, E> {
    product: &'a Product<E>,
    squares: &'a Squares,
    path: Path,
    lanes: usize,
    total: usize,
    parts: usize,
    /// Channels of a block of x and of y, and how many blocks there are.
    inputs: usize,
    outputs: usize,
    across: usize,
    down: usize,
    /// Offsets and vectors of a tile, rows of the sums, and elements of a line.
    shape: (usize, usize),
    rows: usize,
    line: usize,
    offsets: Vec<isize>,
    places: Vec<isize>,
}

impl<E: Element> Product<E> {
    /// Computes the kernel by squares; whether it is finite, and so right.
    ///
    /// # Errors
    /// When there is no working memory.
    ///
    /// # Safety
    /// As for `run`.
    pub(super) unsafe fn squared(&self, squares: &Squares, path: Path, parallel: &Parallel<'_>) -> Result<bool> {
        let lanes = lanes::<E>(path);
        let [across, down] = [self.outputs, self.inputs].map(|channels| channels.div_ceil(BLOCK));
        let (outputs, inputs) = (self.outputs.div_ceil(across), self.inputs.div_ceil(down));
        let shape = outer_shape(outputs.div_ceil(lanes), many::<E>(path));
        let line = outputs.next_multiple_of(shape.1 * lanes);
        let rows = inputs.next_multiple_of(shape.0);
        let total = self.batch * squares.per_image();
        let blocks = self.groups * across * down;
        let work = [self.groups, self.outputs, self.inputs, PLACES].iter().fold(total, |work, &size| work * size);
        let wanted = (work / SMALL).clamp(1, CHUNKS).div_ceil(blocks);
        let room = (SUMMED / (blocks * PLACES * rows * line)).clamp(1, PARTS);
        let mut offsets: Vec<isize> = (0..inputs).map(|channel| (channel * LINE) as isize).collect();
        offsets.resize(rows, 0);
        let job = Job {
            product: self,
            squares,
            path,
            lanes,
            total,
            parts: wanted.min(room).min(total.div_ceil(LINE)),
            inputs,
            outputs,
            across,
            down,
            shape,
            rows,
            line,
            offsets,
            places: (0..LINE as isize).collect(),
        };
        let sums = Scratch::of::<E>(job.sums().saturating_mul(blocks * job.parts))?;
        let start = HostPointer(sums.start());
        try_parallel(parallel, blocks * job.parts, &|chunk| {
            let sums = { start }.0.cast::<E>().wrapping_add(chunk * job.sums());
            with_scratch(job.rooms().iter().sum(), |scratch: *mut E| {
                // SAFETY: a chunk has sums of its own; the rest is as the caller vouches.
                unsafe { job.add(chunk % blocks, chunk / blocks, sums, scratch) }
            })
        })?;
        let pieces = inputs.div_ceil(FINISHED);
        let spoiled = AtomicBool::new(false);
        try_parallel(parallel, blocks * pieces, &|piece| {
            with_scratch(FINISHED * 9 * line, |scratch: *mut E| {
                let sums = { start }.0.cast::<E>().cast_const();
                // SAFETY: all sums are made, and each piece has targets of its own.
                if !unsafe { job.finish(sums, piece / pieces, piece % pieces * FINISHED, scratch) } {
                    spoiled.store(true, Ordering::Relaxed);
                }
            })
        })?;
        Ok(!spoiled.into_inner())
    }
}

impl<E: Element> Job<'_, E> {
    /// Elements of a chunk's sums: `[place][input][output]`.
    fn sums(&self) -> usize {
        (PLACES * self.sum_place()).next_multiple_of(16)
    }

    /// Elements from place to place of the sums, the sources, the targets and the turned targets.
    fn sum_place(&self) -> usize {
        self.rows * self.line + APART
    }
    fn source_place(&self) -> usize {
        self.inputs * LINE + APART
    }
    fn target_place(&self) -> usize {
        self.outputs * LINE + APART
    }
    fn turned_place(&self) -> usize {
        LINE * self.line + APART
    }

    /// Elements of the sources, the targets as they are and turned and widened, and a channel's copy.
    fn rooms(&self) -> [usize; 5] {
        let (sources, targets) = (PLACES * self.source_place(), 4 * self.target_place());
        let turned = 4 * self.turned_place();
        [sources, targets, turned, 4 * turned, self.squares.copied(LINE)].map(|room| room.next_multiple_of(16))
    }

    /// Group and first channels of a block, and how many there are: `[group, output, outputs, input, inputs]`.
    fn block(&self, block: usize) -> [usize; 5] {
        let (group, rest) = (block / (self.across * self.down), block % (self.across * self.down));
        let (output, input) = (rest % self.across * self.outputs, rest / self.across * self.inputs);
        let outputs = self.outputs.min(self.product.outputs.saturating_sub(output));
        [group, output, outputs, input, self.inputs.min(self.product.inputs.saturating_sub(input))]
    }

    /// Makes the sums of a block over a part of the squares.
    ///
    /// # Safety
    /// The sums are nobody else's, and the scratch has all rooms.
    unsafe fn add(&self, block: usize, part: usize, sums: *mut E, scratch: *mut E) {
        let (product, squares) = (self.product, self.squares);
        let [group, output, outputs, input, inputs] = self.block(block);
        let [sources, targets, turned, widened, _] = self.rooms();
        let pieces = self.total.div_ceil(LINE);
        // SAFETY: as the caller vouches.
        unsafe {
            for i in 0..self.sums() {
                sums.add(i).write(E::ZERO);
            }
            let targets = (scratch.add(sources), scratch.add(sources + targets));
            let wide = targets.1.add(turned);
            let copy = wide.add(widened);
            for i in 0..turned {
                targets.1.add(i).write(E::ZERO);
            }
            for piece in pieces * part / self.parts..pieces * (part + 1) / self.parts {
                let range = piece * LINE..((piece + 1) * LINE).min(self.total);
                let count = range.len();
                let of = squares.pieces(&squares.sources, &range, self.lanes);
                let first = group * product.inputs + input;
                let common = Squared {
                    pieces: &of,
                    source: &product.x,
                    first,
                    channels: inputs,
                    copy,
                    to: scratch,
                    place: self.source_place(),
                    line: LINE,
                    squares: count,
                };
                launch(self.path, Sources(common));
                let of = squares.pieces(&squares.targets, &range, self.lanes);
                let first = group * product.outputs + output;
                let common = Squared {
                    pieces: &of,
                    source: &product.y,
                    first,
                    channels: outputs,
                    copy,
                    to: targets.0,
                    place: self.target_place(),
                    line: LINE,
                    squares: count,
                };
                launch(self.path, Targets(common));
                let place = self.turned_place();
                for number in 0..4 {
                    let from = targets.0.add(number * self.target_place()).cast();
                    let to = targets.1.add(number * place).cast();
                    transpose(size_of::<E>(), outputs, count, from, LINE as isize, to, self.line as isize);
                }
                let elements = count * self.line;
                launch(self.path, Widened { from: targets.1, to: wide, elements, place });
                for number in 0..PLACES {
                    let source = scratch.add(number * self.source_place());
                    self.products(source, wide.add(number * place), sums.add(number * self.sum_place()), inputs, count);
                }
            }
        }
    }

    /// Adds the products of one place.
    ///
    /// # Safety
    /// Everything lies in memory.
    unsafe fn products(&self, source: *const E, lines: *const E, sums: *mut E, inputs: usize, count: usize) {
        for row in (0..inputs).step_by(self.shape.0) {
            for column in (0..self.line).step_by(self.shape.1 * self.lanes) {
                // SAFETY: as the caller vouches; offsets and sums have room for whole tiles.
                unsafe {
                    let tile = Outer {
                        count,
                        source,
                        places: self.places.as_ptr(),
                        offsets: self.offsets.as_ptr().add(row),
                        lines: lines.add(column),
                        line: self.line,
                        sums: sums.add(row * self.line + column),
                        row: self.line,
                    };
                    run_outer(self.path, &tile, self.shape.1);
                }
            }
        }
    }

    /// Writes the kernels of some channels of a block; whether they are finite.
    ///
    /// # Safety
    /// The sums are made, and nobody else writes these kernels.
    unsafe fn finish(&self, sums: *const E, block: usize, first: usize, scratch: *mut E) -> bool {
        let product = self.product;
        let [group, output, outputs, input, inputs] = self.block(block);
        let channels = FINISHED.min(inputs.saturating_sub(first));
        let blocks = product.groups * self.across * self.down;
        let mut finite = true;
        // SAFETY: as the caller vouches.
        unsafe {
            for channel in 0..channels {
                let folded = Folded {
                    from: sums.add(block * self.sums() + (first + channel) * self.line),
                    place: self.sum_place(),
                    part: blocks * self.sums(),
                    parts: self.parts,
                    to: scratch.add(channel * 9 * self.line),
                    line: self.line,
                };
                finite &= launch(self.path, folded);
            }
            let row = product.inputs * 9;
            let target = product.target.0.cast::<E>();
            let target = target.wrapping_add((group * product.outputs + output) * row + (input + first) * 9);
            let (from, to) = (scratch.cast(), target.cast());
            transpose(size_of::<E>(), channels * 9, outputs, from, self.line as isize, to, row as isize);
        }
        finite
    }
}
