//! Weighted sums along the axes of planes: averages of windows, interpolation, and their gradients.
//! Depends on `pool`. Invariant: every axis has a band of weights, and the gradient is the same operation with the bands
//! transposed, so that it exists to any order.

pub(super) mod band;
mod interpolate;
mod loops;
mod shaders;

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

pub use interpolate::{Interpolation, interpolate};

use super::pool::axis::blocks;
use super::pool::lanes::{Order, Planes, each_block, lanes, sums_nothing, with_lanes};
use crate::backend::HostArguments;
use crate::error::Result;
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::kit::scratch::with_scratch;
use crate::kit::simd::launch;
use crate::plan::{Argument, Candidate, Caps, Cost, Structured};
use band::{Band, Side};
use loops::{Part, Real, Sums};

/// Blocks of a plane that are made ahead.
const READY: usize = 64;

/// Weighted sums along depth, height and width of a tensor of rank 5.
#[derive(Clone, Debug)]
pub(super) struct Resample {
    /// Shown to users.
    pub(super) name: &'static str,
    pub(super) sides: [Side; 3],
    pub(super) order: Order,
    /// Whether the gradient of the sums is meant.
    pub(super) transposed: bool,
}

/// The sums, of a float tensor of rank 5.
///
/// # Errors
/// None of its own.
pub(super) fn resample(x: &Tensor, name: &'static str, sides: [Side; 3], order: Order) -> Result<Tensor> {
    apply(Resample { name, sides, order, transposed: false }, &[x])
}

impl Resample {
    fn bands(&self) -> [Band; 3] {
        [0, 1, 2].map(|axis| self.sides[axis].band(self.transposed))
    }

    fn counts(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| if self.transposed { self.sides[axis].size } else { self.sides[axis].count })
    }

    fn run<T: Real, const L: usize>(&self, host: &HostArguments<'_>, bands: &[Band; 3]) -> Result<()> {
        let [x, result] = [0, 1].map(|argument| Planes::new(&host.arguments[argument], self.order));
        let cut = blocks(self.counts(), |axis, rows| bands[axis].reach(rows));
        let make = |number: usize| Part::<T>::new(bands, cut[number].0.clone(), cut[number].1.clone());
        // Blocks are made ahead where they are few.
        let ready: Vec<Part<T>> = if cut.len() <= READY { (0..cut.len()).map(make).collect() } else { Vec::new() };
        let larger = |axis: usize| self.sides[axis].size.max(self.sides[axis].count);
        let bytes = x.count * larger(0) * larger(1) * larger(2) * size_of::<T>();
        each_block(host, x.count.div_ceil(L), cut.len(), bytes, &|group, number| {
            let made = if ready.is_empty() { Some(make(number)) } else { None };
            let part = made.as_ref().unwrap_or_else(|| &ready[number]);
            let [read, written, row] = [part.read(), part.written(), part.row()].map(|pixels| pixels * L);
            with_scratch(read + written + row, |source: *mut T| {
                // SAFETY: boxes lie inside the planes, rows of bands inside the box that was read; the scratch has room
                // for both boxes and a row, and chunks write boxes of their own.
                unsafe {
                    let (target, row) = (source.add(read), source.add(read + written));
                    x.load::<T, L>(group, &part.inside, source);
                    launch(Sums::<T, L> { part, source, target, row });
                    result.store::<T, L>(group, &part.rows, target);
                }
            })
        })
    }
}

impl Op for Resample {
    fn name(&self) -> &'static str {
        self.name
    }
    fn key(&self, key: &mut Key) {
        self.sides.iter().for_each(|side| side.key(key));
        key.number(u64::from(self.order.channels_last) * 2 + u64::from(self.transposed));
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![Meta::new(self.order.with_planes(&inputs[0].shape, self.counts())?, inputs[0].dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let other = Self { transposed: !self.transposed, ..self.clone() };
        Ok(smallvec![Some(Cotangent::Dense(apply(other, &[cx.grad()])?))])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

impl Structured for Resample {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        let planes = self.order.number(&arguments[0].layout.shape) as u64;
        let bands = self.bands();
        let summed = bands.iter().map(|band| band.rows.iter().map(|row| row.len() as u64).sum::<u64>());
        // An addition for each element of a sum, and where there are weights a multiplication.
        let each = if bands.iter().all(|band| band.weights.is_empty()) { 1 } else { 2 };
        Cost { flops: each * planes * summed.product::<u64>(), ..Cost::moving(arguments) }
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        fn run<T: Real, const L: usize>(op: &Resample, host: &HostArguments<'_>, bands: &[Band; 3]) -> Result<()> {
            op.run::<T, L>(host, bands)
        }
        let [from, to] = [&host.arguments[0], &host.arguments[1]];
        if sums_nothing(from, to) {
            return Ok(());
        }
        let bands = self.bands();
        let longest = |band: &Band| band.rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let window = bands.iter().fold(1usize, |window, band| window.saturating_mul(longest(band).max(1)));
        let lanes = lanes(self.order.number(&from.layout.shape), window);
        with_lanes!(host.arguments[0].dtype, lanes, floats run(self, host, &bands))
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        shaders::sums(self, arguments, caps)
    }
}
