//! Walks over strided memory: copies, fills and sums of boxes, and cutting boxes into chunks by shape alone.
//! Depends on the vocabulary and `kit::transpose`. Invariant: a chunk's box depends on the shape, never on the number of threads.

use smallvec::SmallVec;

use crate::backend::HostPointer;
use crate::dtype::DType;
use crate::kit::transpose::transpose;

/// Bytes that one chunk moves at least: about 20 µs of work.
const CHUNK_BYTES: usize = 1 << 18;
/// Chunks at most.
const CHUNKS: usize = 64;
/// Elements of the last axis that stay together.
const SHORTEST_RUN: usize = 1024;
/// Rows and columns of the squares in which a transposing copy goes, so that both sides stay in L1.
const SQUARE: usize = 32;

/// Elements of a run that are moved one by one.
const SHORT: usize = 16;

/// A box cut along its longest leading axis into parts for several threads.
#[derive(Clone, Debug)]
pub(crate) struct Chunks {
    sizes: SmallVec<[usize; 4]>,
    axis: usize,
    part: usize,
    /// Number of parts.
    pub(crate) count: usize,
}

impl Chunks {
    /// Parts of a box of elements of `bytes` bytes.
    pub(crate) fn of(sizes: &[usize], bytes: usize) -> Self {
        Self::along(sizes, bytes, |_| true)
    }

    /// Parts cut only along axes that `allowed` admits; one part where none is worth it.
    pub(crate) fn along(sizes: &[usize], bytes: usize, allowed: impl Fn(usize) -> bool) -> Self {
        let total = sizes.iter().product::<usize>() * bytes;
        let wanted = (total / CHUNK_BYTES).clamp(1, CHUNKS);
        // Rows stay long: the last axis is cut into long pieces only.
        let least = |axis: usize| if axis + 1 == sizes.len() { SHORTEST_RUN } else { 1 };
        let axes = (0..sizes.len()).filter(|&axis| allowed(axis) && sizes[axis] > least(axis));
        // The first axis that yields enough parts, else the one that yields most.
        let pieces = |axis: usize| sizes[axis] / least(axis);
        let axis = axes.clone().find(|&axis| pieces(axis) >= wanted).or_else(|| axes.max_by_key(|&axis| pieces(axis)));
        match axis {
            Some(axis) if wanted > 1 && total > 0 => {
                let part = sizes[axis].div_ceil(wanted).max(least(axis));
                Self { sizes: SmallVec::from_slice(sizes), axis, part, count: sizes[axis].div_ceil(part) }
            }
            _ => Self { sizes: SmallVec::from_slice(sizes), axis: 0, part: usize::MAX, count: usize::from(total > 0) },
        }
    }

    /// First index and number of indices of the cut axis, and which axis that is.
    pub(crate) fn range(&self, chunk: usize) -> (usize, usize, usize) {
        if self.part == usize::MAX {
            return (self.axis, 0, self.sizes.first().copied().unwrap_or(1));
        }
        let start = chunk * self.part;
        (self.axis, start, self.part.min(self.sizes[self.axis] - start))
    }

    /// Sizes of a part.
    pub(crate) fn shape(&self, chunk: usize) -> SmallVec<[usize; 4]> {
        let mut sizes = self.sizes.clone();
        if self.part != usize::MAX {
            sizes[self.axis] = self.range(chunk).2;
        }
        sizes
    }

    /// The corner of a part in memory with these strides.
    pub(crate) fn at(&self, chunk: usize, base: HostPointer, strides: &[isize], bytes: usize) -> *mut u8 {
        if self.part == usize::MAX {
            return base.0;
        }
        base.0.wrapping_offset((chunk * self.part) as isize * strides[self.axis] * bytes as isize)
    }
}

/// A walk over one box in `N` memories, in row-major order; all distances in elements.
/// Axes that follow each other in every memory are merged.
#[derive(Clone, Debug)]
pub(crate) struct Walk<const N: usize> {
    /// Size and steps of the axes around the runs.
    axes: SmallVec<[(usize, [isize; N]); 4]>,
    /// The same of the innermost axis.
    run: (usize, [isize; N]),
}

impl<const N: usize> Walk<N> {
    /// A walk over a box of these sizes.
    pub(crate) fn new(sizes: &[usize], strides: [&[isize]; N]) -> Self {
        if sizes.contains(&0) {
            return Self { axes: SmallVec::new(), run: (0, [1; N]) };
        }
        let mut axes: SmallVec<[(usize, [isize; N]); 4]> = SmallVec::new();
        for (axis, &size) in sizes.iter().enumerate().filter(|&(_, &size)| size != 1) {
            let steps = strides.map(|strides| strides[axis]);
            match axes.last_mut() {
                Some((length, last)) if *last == steps.map(|step| step * size as isize) => {
                    (*length, *last) = (*length * size, steps);
                }
                _ => axes.push((size, steps)),
            }
        }
        let run = axes.pop().unwrap_or((1, [1; N]));
        Self { axes, run }
    }

    /// Calls `visit` with the offsets of every run's first element; within a run the steps are those of `run`.
    #[inline]
    fn runs(&self, mut visit: impl FnMut([isize; N])) {
        if self.run.0 == 0 {
            return;
        }
        let mut index: SmallVec<[usize; 4]> = SmallVec::from_elem(0, self.axes.len());
        let mut at = [0isize; N];
        loop {
            visit(at);
            let mut axis = self.axes.len();
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                let (size, steps) = self.axes[axis];
                index[axis] += 1;
                if index[axis] < size {
                    at = std::array::from_fn(|i| at[i] + steps[i]);
                    break;
                }
                at = std::array::from_fn(|i| at[i] - steps[i] * (size as isize - 1));
                index[axis] = 0;
            }
        }
    }

    /// Length and steps of a run, where the whole walk is one.
    pub(crate) fn single_run(&self) -> Option<(usize, [isize; N])> {
        self.axes.is_empty().then_some(self.run)
    }

    /// Calls `visit` with the offsets of every element, in order.
    #[inline]
    pub(crate) fn each(&self, mut visit: impl FnMut([isize; N])) {
        let (length, steps) = self.run;
        self.runs(|mut at| {
            let mut left = length;
            while left > 0 {
                left -= 1;
                visit(at);
                // Neither iterators nor closures, which may stay calls.
                let mut n = 0;
                while n < N {
                    at[n] += steps[n];
                    n += 1;
                }
            }
        });
    }
}

/// Copies `b` to `a`, elements of `bytes` bytes (1, 2, 4 or 8).
///
/// # Safety
/// The walk stays inside memory that may be written at `a` and read at `b`, and the two do not overlap.
pub(crate) unsafe fn copy(bytes: usize, walk: &Walk<2>, a: *mut u8, b: *const u8) {
    /// # Safety
    /// As `copy`.
    unsafe fn strided<T: Copy>(walk: &Walk<2>, a: *mut u8, b: *const u8) {
        let (a, b) = (a.cast::<T>(), b.cast::<T>());
        // SAFETY: the walk stays inside both boxes; foreign memory may be unaligned.
        let put = |to: isize, from: isize| unsafe { a.offset(to).write_unaligned(b.offset(from).read_unaligned()) };
        let (columns, [to_column, from_column]) = walk.run;
        let Some((&(rows, [to_row, from_row]), outer)) = walk.axes.split_last() else {
            return walk.each(|[to, from]| put(to, from));
        };
        if from_row.abs() >= from_column.abs() || columns == 0 {
            return walk.each(|[to, from]| put(to, from));
        }
        let outer = Walk { axes: outer.into(), run: (1, [1; 2]) };
        if from_row == 1 && to_column == 1 {
            // SAFETY: the squares are those of the boxes.
            return outer.runs(|[to, from]| unsafe {
                let (to, from) = (a.offset(to).cast(), b.offset(from).cast());
                transpose(size_of::<T>(), columns, rows, from, from_column, to, to_row);
            });
        }
        // A transposition: squares, whose lines of cache are used up before they are lost.
        outer.runs(|[to, from]| {
            for row in (0..rows).step_by(SQUARE) {
                for column in (0..columns).step_by(SQUARE) {
                    for row in row..(row + SQUARE).min(rows) {
                        let (to, from) = (to + row as isize * to_row, from + row as isize * from_row);
                        for column in column as isize..(column + SQUARE).min(columns) as isize {
                            put(to + column * to_column, from + column * from_column);
                        }
                    }
                }
            }
        });
    }
    /// Runs of a few elements, for which a call would be too much.
    ///
    /// # Safety
    /// As `copy`.
    unsafe fn short<T: Copy>(walk: &Walk<2>, a: *mut u8, b: *const u8) {
        let (a, b) = (a.cast::<T>(), b.cast::<T>());
        let length = walk.run.0 as isize;
        let (&(rows, [to_row, from_row]), outer) = walk.axes.split_last().unwrap_or((&(1, [0; 2]), &[]));
        Walk { axes: outer.into(), run: (1, [1; 2]) }.runs(|[mut to, mut from]| {
            for _ in 0..rows {
                for i in 0..length {
                    // SAFETY: the walk stays inside both boxes; foreign memory may be unaligned.
                    unsafe { a.offset(to + i).write_unaligned(b.offset(from + i).read_unaligned()) };
                }
                (to, from) = (to + to_row, from + from_row);
            }
        });
    }
    // SAFETY: the caller's boxes are valid.
    unsafe {
        match (walk.run, bytes) {
            ((length, [1, 1]), 4) if length <= SHORT => short::<u32>(walk, a, b),
            ((length, [1, 1]), 8) if length <= SHORT => short::<u64>(walk, a, b),
            ((length, [1, 1]), _) => {
                let size = bytes as isize;
                walk.runs(|[to, from]| {
                    std::ptr::copy_nonoverlapping(b.offset(from * size), a.offset(to * size), length * bytes);
                });
            }
            (_, 1) => strided::<u8>(walk, a, b),
            (_, 2) => strided::<u16>(walk, a, b),
            (_, 4) => strided::<u32>(walk, a, b),
            (_, _) => strided::<u64>(walk, a, b),
        }
    }
}

/// Sets `a` to zero.
///
/// # Safety
/// The walk stays inside memory that may be written.
pub(crate) unsafe fn zero(bytes: usize, walk: &Walk<2>, a: *mut u8) {
    let size = bytes as isize;
    // SAFETY: the caller's box is valid.
    unsafe {
        if let (length, [1, _]) = walk.run {
            walk.runs(|[to, _]| a.offset(to * size).write_bytes(0, length * bytes));
        } else {
            walk.each(|[to, _]| a.offset(to * size).write_bytes(0, bytes));
        }
    }
}

/// Calls a generic function with a dtype's element type and the sum of two of its elements.
macro_rules! with_sum {
    ($dtype:expr, $function:ident($($argument:expr),*)) => {{
        use half::{bf16, f16};
        match $dtype {
            DType::Bool => $function($($argument),*, |x: u8, y: u8| x | y),
            DType::I8 | DType::U8 => $function($($argument),*, u8::wrapping_add),
            DType::I16 | DType::U16 => $function($($argument),*, u16::wrapping_add),
            DType::I32 | DType::U32 => $function($($argument),*, u32::wrapping_add),
            DType::I64 | DType::U64 => $function($($argument),*, u64::wrapping_add),
            DType::F16 => $function($($argument),*, |x: f16, y: f16| f16::from_f32(x.to_f32() + y.to_f32())),
            DType::BF16 => $function($($argument),*, |x: bf16, y: bf16| bf16::from_f32(x.to_f32() + y.to_f32())),
            DType::F32 => $function($($argument),*, |x: f32, y: f32| x + y),
            DType::F64 => $function($($argument),*, |x: f64, y: f64| x + y),
        }
    }};
}

/// Adds `b` to `a`, both of `dtype`; every sum is rounded to the dtype.
///
/// # Safety
/// As `copy`.
pub(crate) unsafe fn add(dtype: DType, walk: &Walk<2>, a: *mut u8, b: *const u8) {
    /// # Safety
    /// As `copy`.
    unsafe fn typed<T: Copy>(walk: &Walk<2>, a: *mut u8, b: *const u8, sum: impl Fn(T, T) -> T) {
        let (a, b) = (a.cast::<T>(), b.cast::<T>());
        let put = |[to, from]: [isize; 2]| {
            // SAFETY: the walk stays inside the caller's boxes; foreign memory may be unaligned.
            unsafe {
                let to = a.offset(to);
                to.write_unaligned(sum(to.read_unaligned(), b.offset(from).read_unaligned()));
            }
        };
        if let (length, [1, 1]) = walk.run {
            // Known steps of 1 let the compiler vectorise.
            walk.runs(|[to, from]| (0..length as isize).for_each(|i| put([to + i, from + i])));
        } else {
            walk.each(put);
        }
    }
    // SAFETY: the caller's boxes are valid and of that dtype.
    unsafe { with_sum!(dtype, typed(walk, a, b)) }
}

/// `a[line + place] += b[source]` for a walk over `[line, index, source]`; `place` tells where the index leads, if anywhere.
///
/// # Safety
/// As `copy`, also for the places that `place` returns.
pub(crate) unsafe fn add_at(
    dtype: DType,
    walk: &Walk<3>,
    a: *mut u8,
    b: *const u8,
    place: impl Fn(isize) -> Option<isize>,
) {
    /// # Safety
    /// As `add_at`.
    unsafe fn typed<T: Copy>(
        walk: &Walk<3>,
        a: *mut u8,
        b: *const u8,
        place: &impl Fn(isize) -> Option<isize>,
        sum: impl Fn(T, T) -> T,
    ) {
        let (a, b) = (a.cast::<T>(), b.cast::<T>());
        walk.each(|[line, index, source]| {
            if let Some(at) = place(index) {
                // SAFETY: the caller vouches for places and walk; foreign memory may be unaligned.
                unsafe {
                    let to = a.offset(line + at);
                    to.write_unaligned(sum(to.read_unaligned(), b.offset(source).read_unaligned()));
                }
            }
        });
    }
    // SAFETY: the caller's boxes are valid and of that dtype.
    unsafe { with_sum!(dtype, typed(walk, a, b, &place)) }
}

/// Reads one index of an integer dtype.
///
/// # Safety
/// `at` points at an element of `dtype`.
pub(crate) unsafe fn read_index(dtype: DType, at: *const u8) -> i64 {
    // SAFETY: the caller vouches for the element; foreign memory may be unaligned.
    unsafe {
        match dtype {
            DType::I8 => i64::from(at.cast::<i8>().read_unaligned()),
            DType::I16 => i64::from(at.cast::<i16>().read_unaligned()),
            DType::I32 => i64::from(at.cast::<i32>().read_unaligned()),
            DType::U8 | DType::Bool => i64::from(at.read()),
            DType::U16 => i64::from(at.cast::<u16>().read_unaligned()),
            DType::U32 => i64::from(at.cast::<u32>().read_unaligned()),
            // Numbers beyond i64 are out of any range; saturation keeps them so.
            DType::U64 => i64::try_from(at.cast::<u64>().read_unaligned()).unwrap_or(i64::MAX),
            _ => at.cast::<i64>().read_unaligned(),
        }
    }
}

/// Integers of one dtype as indices.
pub(crate) trait Indices: Copy + Sync {
    /// The index `offset` elements after `base`.
    ///
    /// # Safety
    /// An element of the dtype lies there.
    unsafe fn read(self, base: *const u8, offset: isize) -> i64;
}

/// int64.
#[derive(Clone, Copy)]
pub(crate) struct Longs;

impl Indices for Longs {
    #[inline(always)]
    unsafe fn read(self, base: *const u8, offset: isize) -> i64 {
        // SAFETY: as the caller vouches; foreign memory may be unaligned.
        unsafe { base.cast::<i64>().offset(offset).read_unaligned() }
    }
}

/// int32.
#[derive(Clone, Copy)]
pub(crate) struct Ints;

impl Indices for Ints {
    #[inline(always)]
    unsafe fn read(self, base: *const u8, offset: isize) -> i64 {
        // SAFETY: as the caller vouches; foreign memory may be unaligned.
        unsafe { i64::from(base.cast::<i32>().offset(offset).read_unaligned()) }
    }
}

/// Any other integers.
#[derive(Clone, Copy)]
pub(crate) struct Others(pub(crate) DType);

impl Indices for Others {
    #[inline(always)]
    unsafe fn read(self, base: *const u8, offset: isize) -> i64 {
        // SAFETY: as the caller vouches.
        unsafe { read_index(self.0, base.offset(offset * self.0.size() as isize)) }
    }
}

/// Runs `$body` with `$indices` standing for the integers of a dtype: the usual ones in loops of their own.
macro_rules! with_indices {
    ($dtype:expr, $indices:ident => $body:expr) => {
        match $dtype {
            $crate::dtype::DType::I64 => {
                let $indices = $crate::ops::walk::Longs;
                $body
            }
            $crate::dtype::DType::I32 => {
                let $indices = $crate::ops::walk::Ints;
                $body
            }
            other => {
                let $indices = $crate::ops::walk::Others(other);
                $body
            }
        }
    };
}
pub(crate) use with_indices;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_transposes() {
        let from: Vec<u32> = (0..6).collect();
        let mut to = [0u32; 6];
        let walk = Walk::new(&[3, 2], [&[2, 1], &[1, 3]]);
        // SAFETY: both boxes have six elements.
        unsafe { copy(4, &walk, to.as_mut_ptr().cast(), from.as_ptr().cast()) };
        assert_eq!(to, [0, 3, 1, 4, 2, 5]);
        // SAFETY: as above.
        unsafe { add(DType::U32, &walk, to.as_mut_ptr().cast(), from.as_ptr().cast()) };
        assert_eq!(to, [0, 6, 2, 8, 4, 10]);
        // SAFETY: as above.
        unsafe { zero(4, &Walk::new(&[2], [&[3], &[0]]), to.as_mut_ptr().cast()) };
        assert_eq!(to, [0, 6, 2, 0, 4, 10]);
    }

    #[test]
    fn chunks_cover_their_box() {
        for sizes in [&[][..], &[7], &[3, 1 << 20], &[1 << 19, 3], &[2, 0], &[1, 1, 5]] {
            let chunks = Chunks::of(sizes, 4);
            let covered: usize = (0..chunks.count).map(|chunk| chunks.shape(chunk).iter().product::<usize>()).sum();
            assert_eq!(covered, sizes.iter().product::<usize>(), "{sizes:?}");
        }
    }

    #[test]
    fn empty_boxes_are_not_visited() {
        Walk::new(&[2, 0], [&[0, 1]]).each(|_| panic!("there is no element"));
    }
}
