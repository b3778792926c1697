//! Maxima of windows, and where they came from.
//! Depends on `axis` and `lanes`. Invariant: the first of equal elements is taken, the last NaN before all; `put` and `take`
//! along the places taken are each other's gradient.

use std::ops::Range;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::axis::{Axis, Span, blocks};
use super::lanes::{LANES, Order, Planes, each_block, lanes, sums_nothing, with_lanes};
use super::loops::{Forward, Number, Pick, Put, Tap};
use super::shaders;
use crate::backend::HostArguments;
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply, apply_multi};
use crate::kit::scratch::with_scratch;
use crate::kit::simd::launch;
use crate::plan::{Argument, Candidate, Caps, Cost, Structured};
use crate::shape::Shape;

/// The windows of a tensor of rank 5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Depth, height, width.
    pub(crate) axes: [Axis; 3],
    /// Which axes these are.
    pub(crate) order: Order,
}

impl Geometry {
    pub(super) fn sizes(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.axes[axis].size())
    }

    pub(super) fn counts(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.axes[axis].count())
    }

    pub(super) fn key(&self, key: &mut Key) {
        key.number(u64::from(self.order.channels_last));
        self.axes.iter().for_each(|axis| axis.key(key));
    }

    /// Elements that all windows of a plane take.
    fn taken(&self) -> u64 {
        let along = |axis: &Axis| -> u64 {
            let inside = 0..axis.size();
            (0..axis.count()).map(|window| axis.span(window, &inside).count as u64).sum()
        };
        self.axes.iter().map(along).product()
    }

    /// Numbers of a window's positions, from the first to the last of the largest window.
    fn taps(&self) -> usize {
        self.axes.iter().fold(1, |taps: usize, axis| taps.saturating_mul(axis.kernel()))
    }

    /// Planes that share a vector.
    fn lanes(&self, shape: &[usize]) -> usize {
        // Windows may share positions as well as positions windows, where there are more of them.
        let shared = |axis: &Axis| axis.kernel().max(axis.count().div_ceil(axis.size().max(1)));
        let window = self.axes.iter().fold(1usize, |window, axis| window.saturating_mul(shared(axis)));
        lanes(self.order.number(shape), window)
    }

    /// One number per window of every plane: `[groups, depth, height, width, lanes]`.
    fn tap_meta(&self, shape: &[usize]) -> Result<Meta> {
        let planes = self.order.number(shape);
        let [depth, height, width] = self.counts();
        let lanes = self.lanes(shape);
        let shape = Shape::new(&[planes.div_ceil(lanes), depth, height, width, lanes])?;
        Ok(Meta::new(shape, if self.taps() <= 256 { DType::U8 } else { DType::I32 }))
    }
}

/// A block: the windows and the positions that it treats.
pub(super) struct Part {
    pub(super) windows: [Range<usize>; 3],
    pub(super) inside: [Range<usize>; 3],
    /// What each window takes, counted from the block's first position.
    pub(super) spans: [Vec<Span>; 3],
}

impl Part {
    fn new(axes: &[Axis; 3], windows: [Range<usize>; 3], inside: [Range<usize>; 3]) -> Self {
        let spans = [0, 1, 2].map(|axis| {
            let within = &inside[axis];
            let span = |number| axes[axis].span(number, within);
            windows[axis].clone().map(span).map(|span| Span { start: span.start - within.start, ..span }).collect()
        });
        Self { windows, inside, spans }
    }

    /// Blocks of windows, with the positions that they take.
    fn of_windows(axes: &[Axis; 3], counts: [usize; 3]) -> Parts<'_> {
        Parts::new(axes, blocks(counts, |axis, windows| axes[axis].reach(windows)))
    }

    /// Blocks of positions, with the windows that take any of them.
    fn of_positions(axes: &[Axis; 3], sizes: [usize; 3]) -> Parts<'_> {
        let cut = blocks(sizes, |axis, positions| axes[axis].touching(positions));
        Parts::new(axes, cut.into_iter().map(|(inside, windows)| (windows, inside)).collect())
    }

    pub(super) fn pixels(ranges: &[Range<usize>; 3]) -> usize {
        ranges.iter().map(|range| range.len()).product()
    }
}

/// The blocks of a plane: made ahead where they are few, else when their turn comes, since all of them would take more memory
/// than the plane.
struct Parts<'a> {
    axes: &'a [Axis; 3],
    cut: Vec<Cut>,
    ready: Vec<Part>,
}

/// Windows and positions of a block.
type Cut = ([Range<usize>; 3], [Range<usize>; 3]);

/// Blocks that are made ahead.
const READY: usize = 64;

impl<'a> Parts<'a> {
    fn new(axes: &'a [Axis; 3], cut: Vec<Cut>) -> Self {
        let make = |(windows, inside): &Cut| Part::new(axes, windows.clone(), inside.clone());
        let ready = if cut.len() <= READY { cut.iter().map(make).collect() } else { Vec::new() };
        Self { axes, cut, ready }
    }

    fn len(&self) -> usize {
        self.cut.len()
    }

    /// Calls `work` with a block.
    fn with<R>(&self, number: usize, work: impl FnOnce(&Part) -> R) -> R {
        match self.ready.get(number) {
            Some(part) => work(part),
            None => {
                let (windows, inside) = &self.cut[number];
                work(&Part::new(self.axes, windows.clone(), inside.clone()))
            }
        }
    }
}

/// The maximum of every window; where `taps`, also which of its positions that was.
///
/// # Errors
/// None of its own.
pub(super) fn max_windows(x: &Tensor, geometry: &Geometry, taps: bool) -> Result<(Tensor, Option<Tensor>)> {
    let mut results = apply_multi(MaxPool { geometry: geometry.clone(), taps }, &[x])?;
    let taps = taps.then(|| results.remove(1));
    Ok((results.remove(0), taps))
}

/// The place in its plane of every window's maximum, in row-major order, as int64.
///
/// # Errors
/// None of its own.
pub(super) fn max_places(like: &Tensor, geometry: &Geometry, taps: &Tensor) -> Result<Tensor> {
    apply(Places { geometry: geometry.clone(), shape: like.shape().clone() }, &[taps])
}

#[derive(Clone, Debug)]
struct MaxPool {
    geometry: Geometry,
    taps: bool,
}

impl Op for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }
    fn key(&self, key: &mut Key) {
        self.geometry.key(key);
        key.number(u64::from(self.taps));
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        let shape = self.geometry.order.with_planes(&inputs[0].shape, self.geometry.counts())?;
        let mut metas = smallvec![Meta::new(shape, inputs[0].dtype)];
        if self.taps {
            metas.push(self.geometry.tap_meta(&inputs[0].shape)?);
        }
        Ok(metas)
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let (Some(grad), true) = (&cx.grads[0], cx.needs[0]) else { return Ok(smallvec![None]) };
        let taps = match cx.outputs.get(1) {
            Some(taps) => taps.clone(),
            None => apply_multi(Self { taps: true, ..self.clone() }, &[&cx.inputs[0]])?.remove(1),
        };
        let put = Along { geometry: self.geometry.clone(), put: true };
        Ok(smallvec![Some(Cotangent::Dense(apply(put, &[&taps, grad])?))])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

impl MaxPool {
    fn run<T: Number, const L: usize>(&self, host: &HostArguments<'_>) -> Result<()> {
        match host.arguments.get(2).map(|taps| taps.dtype) {
            Some(DType::I32) => self.run_with::<T, u32, L>(host),
            _ => self.run_with::<T, u8, L>(host),
        }
    }

    fn run_with<T: Number, P: Tap, const L: usize>(&self, host: &HostArguments<'_>) -> Result<()> {
        let Geometry { axes, order } = &self.geometry;
        let [x, result] = [0, 1].map(|argument| Planes::new(&host.arguments[argument], *order));
        if sums_nothing(&host.arguments[0], &host.arguments[1]) {
            return Ok(());
        }
        let counts = self.geometry.counts();
        let parts = Part::of_windows(axes, counts);
        let groups = x.count.div_ceil(L);
        let bytes = x.count * (self.geometry.sizes().iter().product::<usize>() * size_of::<T>());
        each_block(host, groups, parts.len(), bytes, &|group, part| {
            parts.with(part, |part| {
                let (read, written) = (Part::pixels(&part.inside) * L, Part::pixels(&part.windows) * L);
                with_scratch(read + written, |source: *mut T| {
                    // SAFETY: boxes and spans lie inside the planes and the scratch, which has room for both boxes; the taps
                    // have a place for every window of every lane, and chunks treat windows of their own.
                    unsafe {
                        let target = source.add(read);
                        x.load::<T, L>(group, &part.inside, source);
                        let taps = host
                            .arguments
                            .get(2)
                            .map(|taps| taps.data.0.cast::<P>().add(group * counts.iter().product::<usize>() * L));
                        launch(Forward::<T, P, L> { axes, part, source, target, taps, counts });
                        result.store::<T, L>(group, &part.windows, target);
                    }
                })
            })
        })
    }
}

impl Structured for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        let planes = self.geometry.order.number(&arguments[0].layout.shape) as u64;
        Cost { flops: planes * self.geometry.taken(), ..Cost::moving(arguments) }
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        let lanes = self.geometry.lanes(&host.arguments[0].layout.shape);
        with_lanes!(host.arguments[0].dtype, lanes, numbers self_run(self, host))
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        shaders::max_pool(&self.geometry, arguments, caps)
    }
}

fn self_run<T: Number, const L: usize>(op: &MaxPool, host: &HostArguments<'_>) -> Result<()> {
    op.run::<T, L>(host)
}

/// Elements put where the maxima came from, those of one place adding up; or taken from there.
#[derive(Clone, Debug)]
struct Along {
    geometry: Geometry,
    put: bool,
}

impl Op for Along {
    fn name(&self) -> &'static str {
        "max_pool"
    }
    fn key(&self, key: &mut Key) {
        self.geometry.key(key);
        key.number(2 + u64::from(self.put));
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        let sizes = if self.put { self.geometry.sizes() } else { self.geometry.counts() };
        Ok(smallvec![Meta::new(self.geometry.order.with_planes(&inputs[1].shape, sizes)?, inputs[1].dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let other = Self { put: !self.put, ..self.clone() };
        let gradient = || apply(other, &[&cx.inputs[0], cx.grad()]).map(Cotangent::Dense);
        Ok(smallvec![None, cx.needs[1].then(gradient).transpose()?])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

impl Along {
    fn run<T: Number, P: Tap, const L: usize>(&self, host: &HostArguments<'_>) -> Result<()> {
        let Geometry { axes, order } = &self.geometry;
        let [from, to] = [1, 2].map(|argument| Planes::new(&host.arguments[argument], *order));
        if sums_nothing(&host.arguments[1], &host.arguments[2]) {
            return Ok(());
        }
        let (counts, sizes) = (self.geometry.counts(), self.geometry.sizes());
        let parts = if self.put { Part::of_positions(axes, sizes) } else { Part::of_windows(axes, counts) };
        let groups = from.count.div_ceil(L);
        let bytes = from.count * (sizes.iter().product::<usize>() * size_of::<T>());
        each_block(host, groups, parts.len(), bytes, &|group, part| {
            parts.with(part, |part| {
                let (places, windows) = (Part::pixels(&part.inside) * L, Part::pixels(&part.windows) * L);
                with_scratch(places + windows, |memory: *mut T| {
                    let taps = host.arguments[0].data.0.cast::<P>().cast_const();
                    // SAFETY: as in `MaxPool`.
                    unsafe {
                        let (inside, outside) = (memory, memory.add(places));
                        let taps = taps.add(group * counts.iter().product::<usize>() * L);
                        if self.put {
                            from.load::<T, L>(group, &part.windows, outside);
                            launch(Put::<T, P, L> { axes, part, source: outside, target: inside, taps, counts });
                            to.store::<T, L>(group, &part.inside, inside);
                        } else {
                            from.load::<T, L>(group, &part.inside, inside);
                            launch(Pick::<T, P, L> { axes, part, source: inside, target: outside, taps, counts });
                            to.store::<T, L>(group, &part.windows, outside);
                        }
                    }
                })
            })
        })
    }
}

impl Structured for Along {
    fn name(&self) -> &'static str {
        if self.put { "max_pool_put" } else { "max_pool_take" }
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        // Windows may overlap: what comes back from them is added.
        let windows = arguments[1].layout.shape.elements() as u64;
        Cost { flops: if self.put { windows } else { 0 }, ..Cost::moving(arguments) }
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        fn run<T: Number, const L: usize>(op: &Along, host: &HostArguments<'_>) -> Result<()> {
            match host.arguments[0].dtype {
                DType::I32 => op.run::<T, u32, L>(host),
                _ => op.run::<T, u8, L>(host),
            }
        }
        let lanes = self.geometry.lanes(&host.arguments[1].layout.shape);
        with_lanes!(host.arguments[1].dtype, lanes, floats run(self, host))
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        shaders::along(&self.geometry, self.put, arguments, caps)
    }
}

/// Places in the plane from numbers of positions.
#[derive(Clone, Debug)]
struct Places {
    geometry: Geometry,
    /// Shape of the maxima.
    shape: Shape,
}

impl Op for Places {
    fn name(&self) -> &'static str {
        "max_pool"
    }
    fn key(&self, key: &mut Key) {
        self.geometry.key(key);
        key.list(&self.shape, |size| size as u64);
    }
    fn infer(&self, _inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![Meta::new(self.shape.clone(), DType::I64)])
    }
    fn vjp(&self, _cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        Ok(smallvec![None])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

impl Places {
    fn run<P: Tap, const L: usize>(&self, host: &HostArguments<'_>) -> Result<()> {
        let Geometry { axes, order } = &self.geometry;
        let result = Planes::new(&host.arguments[1], *order);
        if sums_nothing(&host.arguments[0], &host.arguments[1]) {
            return Ok(());
        }
        let (counts, sizes) = (self.geometry.counts(), self.geometry.sizes());
        let pixels = counts.iter().product::<usize>();
        let kernel = [0, 1, 2].map(|axis| axes[axis].kernel());
        // The position of tap 0 is wanted, which may lie before the axis: it is what the first taken one tells.
        let origins = [0, 1, 2].map(|axis| {
            let origin = |number| {
                let span = axes[axis].span(number, &(0..sizes[axis]));
                span.start as isize - (span.first * axes[axis].step()) as isize
            };
            (0..counts[axis]).map(origin).collect::<Vec<isize>>()
        });
        each_block(host, result.count.div_ceil(L), 1, result.count * pixels * 8, &|group, _| {
            with_scratch(pixels * L, |memory: *mut i64| {
                let taps = host.arguments[0].data.0.cast::<P>().cast_const();
                for pixel in 0..pixels {
                    let window = [pixel / counts[2] / counts[1], pixel / counts[2] % counts[1], pixel % counts[2]];
                    for lane in 0..L {
                        // SAFETY: the taps have a place for every window of every lane, and so has the scratch.
                        unsafe {
                            let tap = taps.add((group * pixels + pixel) * L + lane).read().number() as usize;
                            let tap = [tap / kernel[2] / kernel[1], tap / kernel[2] % kernel[1], tap % kernel[2]];
                            let place = (0..3).fold(0, |place, axis| {
                                let step = tap[axis] * axes[axis].step();
                                let at = origins[axis][window[axis]] + step as isize;
                                place * sizes[axis] as i64 + at.clamp(0, sizes[axis] as isize - 1) as i64
                            });
                            memory.add(pixel * L + lane).write(place);
                        }
                    }
                }
                // SAFETY: the box is all of the result's planes.
                unsafe { result.store::<i64, L>(group, &counts.map(|count| 0..count), memory) };
            })
        })
    }
}

impl Structured for Places {
    fn name(&self) -> &'static str {
        "max_pool_places"
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        match (host.arguments[0].dtype, self.geometry.lanes(&self.shape)) {
            (DType::I32, 1) => self.run::<u32, 1>(host),
            (DType::I32, _) => self.run::<u32, LANES>(host),
            (_, 1) => self.run::<u8, 1>(host),
            (_, _) => self.run::<u8, LANES>(host),
        }
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        shaders::places(&self.geometry, arguments, caps)
    }
}
