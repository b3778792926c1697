//! Sums of products of two sources: the gradient of a convolution's kernel. Depends on `line`, `space`, `tile`.
//! Invariant: pixels are cut into at most `PARTS` parts by shape alone, each with sums of its own, which are added in order.
//!
//! Pixels of y are turned to lines of channels. A register tile holds the sums of some taps by some vectors of channels; it reads x at
//! the same offsets as the convolution itself. With few channels per group the vectors run along the pixels instead.

use super::line::Line;
use super::shifted::{cut, parts};
use super::space::{Operand, Space, Steps, count};
use super::sums::Chunk;
use super::tile::{INNER, outer_shape};
use crate::backend::{HostPointer, Parallel};
use crate::error::Result;
use crate::kit::scratch::{Scratch, with_scratch};
use crate::kit::simd::Path;
use crate::kit::threads::try_parallel;
use crate::kit::transpose::transpose;
use crate::kit::vector::{Element, lanes, many};

/// Parts of the pixels, and elements that their sums may take together.
pub(super) const PARTS: usize = 16;
pub(super) const SUMMED: usize = 2 << 20;
/// Elements of a copy or a panel.
const COPIED: usize = 96 << 10;
/// Elements of a panel's channel at most, unless a copy would be larger.
const PANEL: usize = 1 << 20;
/// Pixels that are turned at a time.
pub(super) const BLOCK: usize = 128;
/// Planes of fewer pixels are gathered from several images.
const SMALL_PLANE: usize = 40;
/// Products of a chunk of work at least.
pub(super) const SMALL: usize = 512 << 10;
pub(super) const CHUNKS: usize = 32;

/// `target[g·outputs + o, i, tap] = Σ y[n, g·outputs + o, p] · x[n, g·inputs + i, …]`
pub(super) struct Product<E> {
    pub(super) batch: usize,
    pub(super) groups: usize,
    /// Channels of x and y, per group.
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// From x to y.
    pub(super) lines: [Line; 3],
    pub(super) x: Operand<E>,
    pub(super) y: Operand<E>,
    /// Contiguous.
    pub(super) target: HostPointer,
}

/// The work of one call.
pub(super) struct Job<'a, E> {
    pub(super) product: &'a Product<E>,
    pub(super) taps: usize,
    pub(super) areas: Vec<Steps>,
    /// Where x is read in place, if it can be.
    pub(super) in_place: bool,
    pub(super) gathers: bool,
    /// Whether vectors run along the pixels.
    pub(super) inner: bool,
    /// Parts of the pixels, and blocks of the channels of x.
    pub(super) parts: usize,
    pub(super) blocks: usize,
    /// Channels of x in a block.
    pub(super) channels: usize,
    /// Offsets and vectors of a tile.
    pub(super) shape: (usize, usize),
    /// Elements of a line of y, and of a block's sums.
    pub(super) line: usize,
    pub(super) sums: usize,
    /// Whether the pixels of a channel of y lie one behind the other.
    pub(super) dense: bool,
    pub(super) lanes: usize,
    pub(super) path: Path,
}

impl<E: Element> Product<E> {
    /// Computes the whole kernel.
    ///
    /// # Errors
    /// When there is no working memory.
    ///
    /// # Safety
    /// Operands and target lie in memory, nobody else reads or writes the target, and the processor has the path's instructions.
    pub(super) unsafe fn run(&self, path: Path, parallel: &Parallel<'_>) -> Result<()> {
        let pixels: usize = self.lines.iter().map(|line| count(&line.steps)).product();
        if self.batch * pixels == 0 {
            let taps: usize = self.lines.iter().map(|line| line.taps.len()).product();
            for at in 0..self.groups * self.outputs * self.inputs * taps {
                // SAFETY: the target has room for the kernel.
                unsafe { self.target.0.cast::<E>().add(at).write(E::ZERO) };
            }
            return Ok(());
        }
        let job = Job::new(self, path);
        let blocks = self.groups * job.blocks;
        let chunks = blocks * job.parts;
        let sums = Scratch::of::<E>(job.sums.saturating_mul(chunks))?;
        let start = HostPointer(sums.start());
        try_parallel(parallel, chunks, &|chunk| {
            let to = { start }.0.cast::<E>().wrapping_add(chunk * job.sums);
            with_scratch(job.workspace(), |scratch: *mut E| {
                // SAFETY: a chunk has sums of its own; the rest is as the caller vouches.
                unsafe { Chunk { job: &job, chunk, sums: to, scratch }.run() };
            })
        })?;
        // SAFETY: all sums are made, and each block has targets of its own.
        let finish = |block: usize| unsafe { job.finish({ start }.0.cast::<E>(), block) };
        if blocks * job.sums * job.parts < COPIED {
            (0..blocks).for_each(finish)
        } else {
            parallel(blocks, &finish)
        }
        Ok(())
    }
}

impl<'a, E: Element> Job<'a, E> {
    fn new(product: &'a Product<E>, path: Path) -> Self {
        let lines = &product.lines;
        let lanes = lanes::<E>(path);
        let steps: Steps = std::array::from_fn(|axis| lines[axis].steps.clone());
        let sizes: [usize; 3] = std::array::from_fn(|axis| count(&steps[axis]));
        let pixels: usize = sizes.iter().product();
        let taps: usize = lines.iter().map(|line| line.taps.len()).product();
        let inner = product.outputs * 2 < lanes;
        let strides = &product.x.strides;
        let in_place =
            Space::in_place(lines, strides, &steps).is_some_and(|space| !inner || sizes[2] == 1 || space.step[2] == 1);
        let smallest = std::array::from_fn(|axis| steps[axis].start..steps[axis].start + 1);
        let one = Space::padded(lines, &smallest).copied;
        let empty = lines.iter().any(|line| line.source == 0);
        let small = pixels < SMALL_PLANE && taps * BLOCK <= PANEL;
        let gathers = !empty && (small || (!in_place && one > COPIED && taps * BLOCK <= one));

        let elements = product.groups * product.inputs * product.outputs * taps;
        let work = elements.saturating_mul(product.batch * pixels);
        let wanted = (work / SMALL).clamp(1, CHUNKS);
        let most = (COPIED / (BLOCK * taps)).max(1);
        let mut channels = if gathers { product.inputs.min(most) } else { product.inputs };
        let spans = std::array::from_fn(|axis| ((lines[axis].high - lines[axis].low) as usize).max(1));
        let mut cuts = parts(&steps, [1; 3], spans, |sizes| {
            let reach = (0..3).map(|axis| lines[axis].reach(sizes[axis]) * lines[axis].residues.len());
            let copied = reach.fold(1, usize::saturating_mul);
            gathers || in_place || copied <= COPIED
        });
        let axis = if sizes[0] > 1 {
            0
        } else if sizes[1] > 1 {
            1
        } else {
            2
        };
        let areas = |cuts: [usize; 3]| cuts.iter().product::<usize>();
        let most_parts = wanted.min(PARTS).min((SUMMED / elements.max(1)).max(1));
        while !gathers
            && product.batch * areas(cuts) < most_parts
            && sizes[axis].div_ceil(cuts[axis]) >= if axis == 2 { 1024 } else { 16 }
        {
            cuts[axis] *= 2;
        }
        let areas = cut(&steps, cuts);
        let pieces = if gathers { product.batch } else { product.batch * areas.len() };
        let parts = most_parts.min(pieces).max(1);
        // Copies of many channels are made block by block.
        if !gathers && !in_place {
            let reach = (0..3).map(|axis| lines[axis].reach(count(&areas[0][axis])) * lines[axis].residues.len());
            let copied = reach.fold(1, usize::saturating_mul);
            channels = channels.min((2 * COPIED / copied.max(1)).max(1));
        }
        let fewest = (64 / taps).max(1);
        while product.groups * product.inputs.div_ceil(channels) * parts < wanted && channels >= 2 * fewest {
            channels = channels.div_ceil(2);
        }
        let shape = outer_shape(product.outputs.div_ceil(lanes), many::<E>(path));
        let line = product.outputs.div_ceil(shape.1 * lanes) * shape.1 * lanes;
        let rows = |size: usize, step: usize| size.div_ceil(step) * step;
        let sums =
            if inner { product.outputs * rows(channels * taps, INNER) } else { rows(channels * taps, shape.0) * line };
        let y = &product.y.strides;
        let dense = (sizes[2] == 1 || y[4] == 1)
            && (sizes[1] == 1 || y[3] == sizes[2] as isize)
            && (sizes[0] == 1 || y[2] == (sizes[1] * sizes[2]) as isize);
        Self {
            product,
            taps,
            areas,
            in_place,
            gathers,
            inner,
            parts,
            blocks: product.inputs.div_ceil(channels),
            channels,
            shape,
            line,
            sums: sums.next_multiple_of(16),
            dense,
            lanes,
            path,
        }
    }

    /// Elements of the copy (or the panel), and of the lines of y.
    pub(super) fn rooms(&self) -> [usize; 2] {
        let lines = &self.product.lines;
        let spaces = self.areas.iter().map(|steps| Space::padded(lines, steps).copied);
        let copied = if self.gathers {
            self.taps.saturating_mul(BLOCK)
        } else if self.in_place {
            0
        } else {
            spaces.max().unwrap_or(0)
        };
        let plane = if self.inner && !self.gathers {
            self.areas.iter().map(|steps| count(&steps[1]) * count(&steps[2])).max().unwrap_or(0)
        } else {
            BLOCK
        };
        let copy = copied.saturating_mul(self.channels).saturating_add(4 * self.lanes);
        let turned = if self.inner { plane } else { BLOCK * self.line };
        [copy.next_multiple_of(16), turned.next_multiple_of(16)]
    }

    fn workspace(&self) -> usize {
        self.rooms().iter().fold(0, |sum, &room| sum.saturating_add(room))
    }

    /// Adds the parts' sums of a block and writes them to the kernel.
    ///
    /// # Safety
    /// The sums are made, and nobody else writes the block's targets.
    unsafe fn finish(&self, sums: *mut E, block: usize) {
        let product = self.product;
        let (group, first) = (block / self.blocks, block % self.blocks * self.channels);
        let depth = self.channels.min(product.inputs - first) * self.taps;
        let part = |part: usize| sums.wrapping_add((part * product.groups * self.blocks + block) * self.sums);
        let total = part(0);
        let row = product.inputs * self.taps;
        let target = self.product.target.0.cast::<E>().wrapping_add(group * product.outputs * row + first * self.taps);
        // SAFETY: as the caller vouches.
        unsafe {
            for number in 1..self.parts {
                let other = part(number);
                for i in 0..self.sums {
                    *total.add(i) = *total.add(i) + *other.add(i);
                }
            }
            if self.inner {
                let line = (self.channels * self.taps).div_ceil(INNER) * INNER;
                for o in 0..product.outputs {
                    std::ptr::copy_nonoverlapping(total.add(o * line), target.add(o * row), depth);
                }
            } else {
                let (from, to) = (total.cast::<u8>(), target.cast::<u8>());
                transpose(size_of::<E>(), depth, product.outputs, from, self.line as isize, to, row as isize);
            }
        }
    }
}
