//! Sums over channels: mean and variance, and what a gradient needs.
//! Depends on `loops`. Invariant: a block's sums are joined in the order of the blocks, cut by shape alone.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::super::movement::{reshape_to, slice_axis};
use super::loops::{Real, Runs, Totals};
use crate::backend::{HostArgument, HostArguments, HostPointer};
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::kit::scratch::with_scratch;
use crate::kit::simd::launch;
use crate::kit::threads::try_parallel;
use crate::plan::{Argument, Candidate, Caps, Cost, Structured};
use crate::shape::Shape;

/// Elements that are read twice in a row: they stay in the first-level cache.
const BLOCK: usize = 1 << 12;
/// Elements that one chunk of a region reads at least.
const CHUNK: usize = 1 << 14;
/// Parts of a channel at most.
const PARTS: usize = 16;

/// Mean and variance of each channel of `[batch, channels, length]`.
///
/// # Errors
/// None of its own.
pub(super) fn moments(x: &Tensor) -> Result<(Tensor, Tensor)> {
    halves(&apply(ChannelSums { products: false }, &[x])?)
}

/// Σ g and Σ g · (x − mean) of each channel.
///
/// # Errors
/// None of its own.
pub(super) fn products(g: &Tensor, x: &Tensor, mean: &Tensor) -> Result<(Tensor, Tensor)> {
    halves(&apply(ChannelSums { products: true }, &[g, x, mean])?)
}

/// The two rows of a matrix: one result, for those who read the rows element by element.
fn halves(rows: &Tensor) -> Result<(Tensor, Tensor)> {
    let shape = Shape::from_sound([rows.shape()[1]]);
    let row = |row| reshape_to(&slice_axis(rows, 0, row, 1)?, &shape);
    Ok((row(0)?, row(1)?))
}

#[derive(Clone, Debug)]
struct ChannelSums {
    products: bool,
}

impl Op for ChannelSums {
    fn name(&self) -> &'static str {
        "batch_norm"
    }
    fn key(&self, key: &mut Key) {
        key.number(u64::from(self.products));
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![Meta::new(Shape::new(&[2, inputs[0].shape[1]])?, inputs[0].dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        // Made without history, inside rules of their own.
        Ok(smallvec![None; cx.inputs.len()])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

/// The elements of an argument `[batch, channels, length]`.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a> {
    argument: &'a HostArgument<'a>,
    /// Whether runs can be read where they are.
    plain: bool,
}

impl<'a> Elements<'a> {
    pub(super) fn new<T>(argument: &'a HostArgument<'a>) -> Self {
        let next = argument.layout.strides[2] == 1 || argument.layout.shape[2] == 1;
        Self { argument, plain: next && (argument.data.0 as usize).is_multiple_of(align_of::<T>()) }
    }

    /// Whether runs can be read where they are.
    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }

    /// The runs of a channel's batch entries from `batch` on, each from element `first` on: where they are, or copied to `room`.
    ///
    /// # Safety
    /// The runs are there, and `room` has room for them.
    pub(super) unsafe fn runs<T: Copy>(
        &self,
        [batch, channel, first]: [usize; 3],
        [runs, length]: [usize; 2],
        room: *mut T,
    ) -> Runs<T> {
        let strides = &self.argument.layout.strides;
        let offset = batch as isize * strides[0] + channel as isize * strides[1] + first as isize * strides[2];
        let start = self.argument.data.0.cast::<T>().cast_const().wrapping_offset(offset);
        if self.plain {
            return Runs { start, between: strides[0] };
        }
        for run in 0..runs {
            for at in 0..length {
                // SAFETY: as the caller vouches; foreign memory may be unaligned.
                unsafe {
                    let from = start.wrapping_offset(run as isize * strides[0] + at as isize * strides[2]);
                    room.add(run * length + at).write(from.read_unaligned());
                }
            }
        }
        Runs { start: room, between: length as isize }
    }
}

impl ChannelSums {
    fn run<T: Real>(&self, host: &HostArguments<'_>) -> Result<()> {
        let x = Elements::new::<T>(&host.arguments[usize::from(self.products)]);
        let g = Elements::new::<T>(&host.arguments[0]);
        let shape = &host.arguments[0].layout.shape;
        let (batch, channels, length) = (shape[0], shape[1], shape[2]);
        // Channels are shared by threads; where there are few, each is cut too.
        let parts = (batch * length / (CHUNK * 4)).clamp(1, PARTS.min(batch.max(1)));
        let part = batch.div_ceil(parts).max(1);
        let mut found = vec![[0.0f64; 3]; channels * parts];
        let results = HostPointer(found.as_mut_ptr().cast());
        let units = channels * parts;
        let per = (CHUNK / (part * length).max(1)).clamp(1, units.max(1));
        try_parallel(host.parallel, units.div_ceil(per), &|chunk| {
            // The whole of it: an address alone is not shared between threads.
            let results: &HostPointer = &results;
            with_scratch(2 * BLOCK, |room: *mut T| {
                for unit in chunk * per..((chunk + 1) * per).min(units) {
                    let (channel, first) = (unit / parts, unit % parts * part);
                    let end = (first + part).min(batch);
                    let mut sums = [0.0; 3];
                    let entries = (BLOCK / length.max(1)).max(1);
                    for from in (first..end).step_by(entries) {
                        for start in (0..length).step_by(BLOCK) {
                            let block = [entries.min(end - from), BLOCK.min(length - start)];
                            // SAFETY: blocks lie inside the arguments, and the room holds two; the mean has an element
                            // per channel.
                            sums = unsafe {
                                let x = x.runs::<T>([from, channel, start], block, room);
                                if self.products {
                                    let g = g.runs::<T>([from, channel, start], block, room.add(BLOCK));
                                    let shift = mean_of::<T>(&host.arguments[2], channel);
                                    let [runs, length] = block;
                                    let totals = Totals { x, g: Some(g), shift, squared: false, runs, length };
                                    let (plain, product) = launch(totals);
                                    [0.0, sums[1] + plain, sums[2] + product]
                                } else {
                                    joined(sums, block_moments(x, block))
                                }
                            };
                        }
                    }
                    // SAFETY: every unit has a place of its own.
                    unsafe { results.0.cast::<[f64; 3]>().add(unit).write(sums) };
                }
            })
        })?;
        let count = (batch * length) as f64;
        for channel in 0..channels {
            let own = &found[channel * parts..(channel + 1) * parts];
            let total = match self.products {
                true => own.iter().fold([0.0; 3], |sum, part| [0.0, sum[1] + part[1], sum[2] + part[2]]),
                false => own.iter().fold([0.0; 3], |sum, &part| joined(sum, part)),
            };
            let pair = match self.products {
                true => [total[1], total[2]],
                false if count == 0.0 => [f64::NAN; 2],
                false => [total[1], total[2] / count],
            };
            let result = host.arguments[host.arguments.len() - 1].data.0.cast::<T>();
            for (row, value) in pair.into_iter().enumerate() {
                // SAFETY: the result is contiguous and has two rows of an element per channel.
                unsafe { result.add(row * channels + channel).write(T::of(value)) };
            }
        }
        Ok(())
    }
}

/// A channel's element of a vector.
///
/// # Safety
/// The vector is of type `T` and has the channel.
pub(super) unsafe fn mean_of<T: Copy>(vector: &HostArgument<'_>, channel: usize) -> T {
    // SAFETY: as the caller vouches; foreign memory may be unaligned.
    unsafe { vector.data.0.cast::<T>().offset(channel as isize * vector.layout.strides[0]).read_unaligned() }
}

/// Number, mean and sum of squared deviations of some runs, which are read twice.
fn block_moments<T: Real>(x: Runs<T>, [runs, length]: [usize; 2]) -> [f64; 3] {
    let count = (runs * length) as f64;
    let sum = |shift, squared| launch(Totals { x, g: None, shift, squared, runs, length }).0;
    // A value of the run as shift: the mean of large numbers that differ little is not lost in rounding.
    // SAFETY: no block is empty.
    let near = unsafe { x.start.read() };
    let near = if near.wide().is_finite() { near } else { T::default() };
    let mean = near.wide() + sum(near, false) / count;
    let rounded = T::of(mean);
    let squares = sum(rounded, true);
    // The rounded mean's deviations are larger than the mean's own by this.
    let excess = rounded.wide() - mean;
    let squares = squares - count * excess * excess;
    // Not `max`, which would hide NaN.
    [count, mean, if squares < 0.0 { 0.0 } else { squares }]
}

/// Number, mean and sum of squared deviations of two sets together.
fn joined(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    if a[0] == 0.0 {
        return b;
    }
    if b[0] == 0.0 {
        return a;
    }
    let count = a[0] + b[0];
    let apart = b[1] - a[1];
    [count, a[1] + apart * (b[0] / count), a[2] + b[2] + apart * apart * (a[0] * b[0] / count)]
}

impl Structured for ChannelSums {
    fn name(&self) -> &'static str {
        if self.products { "batch_norm_products" } else { "batch_norm_moments" }
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        // Two sums, of differences from the mean in both cases, and a product.
        Cost { flops: 4 * arguments[0].layout.shape.elements() as u64, ..Cost::moving(arguments) }
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        match host.arguments[0].dtype {
            DType::F64 => self.run::<f64>(host),
            _ => self.run::<f32>(host),
        }
    }

    fn gpu(&self, _arguments: &[Argument], _slots: usize, _caps: &Caps) -> Vec<Candidate> {
        // Other devices run the composition.
        Vec::new()
    }
}
