//! Planes beside each other: the same pixel of several planes is one vector, so that windows of any form run at full width.
//! Depends on `kit::transpose` and `axis`. Invariant: which planes share a vector depends on their number alone.

use std::ops::Range;

use crate::backend::{HostArgument, HostArguments};
use crate::dtype::DType;
use crate::error::Result;
use crate::kit::threads::try_parallel;
use crate::kit::transpose::transpose;
use crate::shape::Shape;

/// Planes that share a vector where there are many.
pub(crate) const LANES: usize = 16;
/// Fewer planes than this run one by one.
const FEW: usize = 6;
/// Positions of the largest windows for which planes share vectors.
const LARGEST: usize = 1 << 16;
/// Pixels that are turned at a time: what lies below each other in several planes often shares a set of the cache.
const TURNED: usize = 64;
/// Planes that are turned at a time, for the same reason.
const TURNED_PLANES: usize = 8;
/// Bytes that one chunk of a region moves at least.
const CHUNK_BYTES: usize = 1 << 16;

/// How many of these planes share a vector, for windows of at most so many positions, which must be in memory together.
pub(crate) fn lanes(planes: usize, window: usize) -> usize {
    if planes < FEW || window > LARGEST { 1 } else { LANES }
}

/// Which axes of a tensor of rank 5 hold what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Whether the order is `[batch, depth, height, width, channels]`; else channels come second.
    pub(crate) channels_last: bool,
}

impl Order {
    /// The channels' axis.
    pub(crate) fn channels(self) -> usize {
        if self.channels_last { 4 } else { 1 }
    }

    /// The axis of the depth; height and width follow.
    pub(crate) fn first(self) -> usize {
        if self.channels_last { 1 } else { 2 }
    }

    /// The shape with other sizes of the planes.
    pub(crate) fn with_planes(self, shape: &[usize], sizes: [usize; 3]) -> crate::error::Result<Shape> {
        let mut result = [shape[0]; 5];
        result[self.channels()] = shape[self.channels()];
        result[self.first()..self.first() + 3].copy_from_slice(&sizes);
        Shape::new(&result)
    }

    /// Sizes of the planes.
    pub(crate) fn planes(self, shape: &[usize]) -> [usize; 3] {
        [0, 1, 2].map(|axis| shape[self.first() + axis])
    }

    /// Number of planes.
    pub(crate) fn number(self, shape: &[usize]) -> usize {
        shape[0] * shape[self.channels()]
    }
}

/// The planes of one argument.
#[derive(Clone, Copy)]
pub(crate) struct Planes<'a> {
    argument: &'a HostArgument<'a>,
    channels: usize,
    /// Distances of batches and of channels.
    around: [isize; 2],
    strides: [isize; 3],
    /// Number of planes.
    pub(crate) count: usize,
}

impl<'a> Planes<'a> {
    /// The planes of an argument of rank 5.
    pub(crate) fn new(argument: &'a HostArgument<'a>, order: Order) -> Self {
        let (shape, strides) = (&argument.layout.shape, &argument.layout.strides);
        Self {
            argument,
            channels: shape[order.channels()],
            around: [strides[0], strides[order.channels()]],
            strides: [0, 1, 2].map(|axis| strides[order.first() + axis]),
            count: order.number(shape),
        }
    }

    fn offset(&self, plane: usize) -> isize {
        (plane / self.channels) as isize * self.around[0] + (plane % self.channels) as isize * self.around[1]
    }

    /// Offsets of the first of a group's planes, the distance of its planes where that is one number, and how many there are.
    fn group<const L: usize>(&self, group: usize) -> (isize, Option<isize>, usize) {
        let (first, end) = (group * L, ((group + 1) * L).min(self.count));
        let step = if end - first > 1 { self.offset(first + 1) - self.offset(first) } else { 1 };
        let even = (first..end).all(|plane| self.offset(plane) == self.offset(first) + (plane - first) as isize * step);
        (self.offset(first), even.then_some(step), end - first)
    }

    /// Calls `run(memory offset, place in the box, pixels, distance of pixels)` for each run of pixels of a box.
    fn runs(&self, inside: &[Range<usize>; 3], mut run: impl FnMut(isize, usize, usize, isize)) {
        let [depth, height, width] = inside.clone().map(|range| range.len());
        let [sd, sh, sw] = self.strides;
        let start: isize = inside.iter().zip(self.strides).map(|(range, stride)| range.start as isize * stride).sum();
        let rows_meet = height == 1 || sh == width as isize * sw;
        let planes_meet = rows_meet && (depth == 1 || sd == (height * width) as isize * sw);
        let (runs, per) = match (planes_meet, rows_meet) {
            (true, _) => ([1, 1], depth * height * width),
            (_, true) => ([depth, 1], height * width),
            _ => ([depth, height], width),
        };
        for z in 0..runs[0] {
            for y in 0..runs[1] {
                run(start + z as isize * sd + y as isize * sh, (z * runs[1] + y) * per, per, sw);
            }
        }
    }

    /// Copies a box of a group's planes to `scratch`, `[pixels][L]`.
    ///
    /// # Safety
    /// The box lies inside the planes, `T` has the size of the elements, and `scratch` has room.
    pub(crate) unsafe fn load<T: Copy, const L: usize>(
        &self,
        group: usize,
        inside: &[Range<usize>; 3],
        scratch: *mut T,
    ) {
        let (first, step, valid) = self.group::<L>(group);
        let data = self.argument.data.0.cast::<T>().cast_const();
        // SAFETY: as the caller vouches; foreign memory may be unaligned.
        self.runs(inside, |offset, place, pixels, between| unsafe {
            let (from, to) = (data.wrapping_offset(first + offset), scratch.add(place * L));
            match step {
                Some(1) if valid == L && L > 1 => {
                    for pixel in 0..pixels {
                        let from = from.offset(pixel as isize * between);
                        std::ptr::copy_nonoverlapping(from.cast::<u8>(), to.add(pixel * L).cast(), L * size_of::<T>());
                    }
                }
                Some(1) if L == 1 && between == 1 => {
                    std::ptr::copy_nonoverlapping(from.cast::<u8>(), to.cast(), pixels * size_of::<T>());
                }
                Some(step) if between == 1 => {
                    for start in (0..pixels).step_by(TURNED) {
                        let columns = TURNED.min(pixels - start);
                        for lane in (0..valid).step_by(TURNED_PLANES) {
                            let from = from.wrapping_offset(lane as isize * step).add(start);
                            let rows = TURNED_PLANES.min(valid - lane);
                            let to = to.add(start * L + lane);
                            transpose(size_of::<T>(), rows, columns, from.cast(), step, to.cast(), L as isize);
                        }
                    }
                }
                _ => {
                    for lane in 0..valid {
                        let from = data.wrapping_offset(self.offset(group * L + lane) + offset);
                        for pixel in 0..pixels {
                            to.add(pixel * L + lane).write(from.offset(pixel as isize * between).read_unaligned());
                        }
                    }
                }
            }
        });
    }

    /// Copies `scratch`, `[pixels][L]`, to a box of a group's planes.
    ///
    /// # Safety
    /// As `load`, for memory that may be written and that no other chunk touches.
    pub(crate) unsafe fn store<T: Copy, const L: usize>(
        &self,
        group: usize,
        inside: &[Range<usize>; 3],
        scratch: *const T,
    ) {
        let (first, step, valid) = self.group::<L>(group);
        let data = self.argument.data.0.cast::<T>();
        // SAFETY: as the caller vouches.
        self.runs(inside, |offset, place, pixels, between| unsafe {
            let (from, to) = (scratch.add(place * L), data.wrapping_offset(first + offset));
            match step {
                Some(1) if valid == L && L > 1 => {
                    for pixel in 0..pixels {
                        let to = to.offset(pixel as isize * between);
                        std::ptr::copy_nonoverlapping(from.add(pixel * L).cast::<u8>(), to.cast(), L * size_of::<T>());
                    }
                }
                Some(1) if L == 1 && between == 1 => {
                    std::ptr::copy_nonoverlapping(from.cast::<u8>(), to.cast(), pixels * size_of::<T>());
                }
                Some(step) if between == 1 => {
                    for start in (0..pixels).step_by(TURNED) {
                        let rows = TURNED.min(pixels - start);
                        for lane in (0..valid).step_by(TURNED_PLANES) {
                            let to = to.wrapping_offset(lane as isize * step).add(start);
                            let columns = TURNED_PLANES.min(valid - lane);
                            let from = from.add(start * L + lane);
                            transpose(size_of::<T>(), rows, columns, from.cast(), L as isize, to.cast(), step);
                        }
                    }
                }
                _ => {
                    for lane in 0..valid {
                        let to = data.wrapping_offset(self.offset(group * L + lane) + offset);
                        for pixel in 0..pixels {
                            to.offset(pixel as isize * between).write_unaligned(from.add(pixel * L + lane).read());
                        }
                    }
                }
            }
        });
    }
}

/// Whether there is nothing to read or nothing to write, which is done then: sums of nothing are 0. One axis of such planes may be
/// longer than any memory, so nothing must be made for its elements.
pub(crate) fn sums_nothing(from: &HostArgument<'_>, to: &HostArgument<'_>) -> bool {
    let written = to.layout.shape.elements();
    if written > 0 && from.layout.shape.elements() > 0 {
        return false;
    }
    // SAFETY: results are contiguous, and all zero bits are 0 in every dtype.
    unsafe { to.data.0.write_bytes(0, written * to.dtype.size()) };
    true
}

/// Runs `work(group, block)` for every group of planes and every block of a plane, on all threads; chunks by shape alone.
///
/// # Errors
/// Those of `work`.
pub(crate) fn each_block(
    host: &HostArguments<'_>,
    groups: usize,
    blocks: usize,
    bytes: usize,
    work: &(dyn Fn(usize, usize) -> Result<()> + Sync),
) -> Result<()> {
    let units = groups * blocks;
    let per = (CHUNK_BYTES * units / bytes.max(1)).clamp(1, units.max(1));
    try_parallel(host.parallel, units.div_ceil(per), &|chunk| {
        (chunk * per..((chunk + 1) * per).min(units)).try_for_each(|unit| work(unit / blocks, unit % blocks))
    })
}

/// Calls a function for the type of a dtype and the number of lanes.
macro_rules! with_lanes {
    ($dtype:expr, $lanes:expr, floats $call:ident ( $($argument:expr),* )) => {
        match ($dtype, $lanes) {
            ($crate::dtype::DType::F64, 1) => $call::<f64, 1>($($argument),*),
            ($crate::dtype::DType::F64, _) => $call::<f64, 16>($($argument),*),
            (_, 1) => $call::<f32, 1>($($argument),*),
            (_, _) => $call::<f32, 16>($($argument),*),
        }
    };
    ($dtype:expr, $lanes:expr, numbers $call:ident ( $($argument:expr),* )) => {
        match ($dtype, $lanes) {
            ($crate::dtype::DType::I32, 1) => $call::<i32, 1>($($argument),*),
            ($crate::dtype::DType::I32, _) => $call::<i32, 16>($($argument),*),
            ($crate::dtype::DType::I64, 1) => $call::<i64, 1>($($argument),*),
            ($crate::dtype::DType::I64, _) => $call::<i64, 16>($($argument),*),
            ($crate::dtype::DType::U64, 1) => $call::<u64, 1>($($argument),*),
            ($crate::dtype::DType::U64, _) => $call::<u64, 16>($($argument),*),
            (dtype, _) => $crate::ops::pool::lanes::with_lanes!(dtype, $lanes, floats $call($($argument),*)),
        }
    };
}
pub(crate) use with_lanes;

/// The dtype in which values of another are compared and moved: one of those that `with_lanes` knows.
pub(crate) fn moved_as(dtype: DType) -> DType {
    match dtype {
        DType::I8 | DType::I16 | DType::U8 | DType::U16 => DType::I32,
        DType::U32 => DType::I64,
        DType::F16 | DType::BF16 => DType::F32,
        dtype => dtype,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::HostPointer;
    use crate::kit::scratch::with_scratch;
    use crate::layout::Layout;

    /// Loads and stores every group of planes of a box through vectors.
    fn round_trip<const L: usize>(shape: &[usize], strides: &[isize], order: Order, inside: [Range<usize>; 3]) {
        let span: usize = shape.iter().zip(strides).map(|(&size, &stride)| (size - 1) * stride as usize).sum();
        let mut from: Vec<f32> = (0..=span).map(|i| i as f32).collect();
        let mut to = vec![-1.0f32; span + 1];
        let layout = Layout { shape: Shape::new(shape).unwrap(), strides: strides.into(), offset: 0 };
        let argument = |data: &mut Vec<f32>| HostPointer(data.as_mut_ptr().cast());
        let (from, to) = (argument(&mut from), argument(&mut to));
        let host = |data| HostArgument { data, dtype: DType::F32, layout: &layout };
        let (read, written) = (host(from), host(to));
        let (read, written) = (Planes::new(&read, order), Planes::new(&written, order));
        let pixels: usize = inside.iter().map(|range| range.len()).product();
        for group in 0..read.count.div_ceil(L) {
            with_scratch(pixels * L, |memory: *mut f32| {
                // SAFETY: the boxes lie inside the planes, and the scratch has room for one.
                unsafe {
                    read.load::<f32, L>(group, &inside, memory);
                    written.store::<f32, L>(group, &inside, memory);
                }
            })
            .unwrap();
        }
        let (first, channels) = (order.first(), order.channels());
        let place = |index: [usize; 5]| index.iter().zip(strides).map(|(&i, &s)| i * s as usize).sum::<usize>();
        for batch in 0..shape[0] {
            for channel in 0..shape[channels] {
                for pixel in 0..shape[first] * shape[first + 1] * shape[first + 2] {
                    let (height, width) = (shape[first + 1], shape[first + 2]);
                    let at = [pixel / width / height, pixel / width % height, pixel % width];
                    let mut index = [batch; 5];
                    index[channels] = channel;
                    index[first..first + 3].copy_from_slice(&at);
                    let moved = (0..3).all(|axis| inside[axis].contains(&at[axis]));
                    let place = place(index);
                    // SAFETY: the vectors are still there.
                    let got = unsafe { to.0.cast::<f32>().add(place).read() };
                    assert_eq!(got, if moved { place as f32 } else { -1.0 }, "{shape:?} {strides:?} {index:?}");
                }
            }
        }
    }

    #[test]
    fn boxes_pass_through_vectors() {
        let (first, last) = (Order { channels_last: false }, Order { channels_last: true });
        for (shape, strides, order) in [
            ([2, 9, 1, 5, 7], [315, 35, 35, 7, 1], first),
            ([1, 21, 2, 3, 70], [8820, 420, 210, 70, 1], first),
            ([2, 9, 1, 5, 7], [1, 2, 18, 18, 90], first),
            ([2, 9, 1, 5, 7], [700, 70, 70, 14, 2], first),
            ([2, 1, 5, 7, 20], [700, 700, 140, 20, 1], last),
        ] {
            let sizes = order.planes(&shape);
            let whole = sizes.map(|size| 0..size);
            let part = [0..sizes[0], 1..sizes[1], 2..sizes[2] - 1];
            for inside in [whole, part] {
                round_trip::<1>(&shape, &strides, order, inside.clone());
                round_trip::<LANES>(&shape, &strides, order, inside);
            }
        }
    }
}
