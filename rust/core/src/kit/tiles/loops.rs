//! The shape of every loop over a tile: read sources, apply a function, write the destination.
//! Depends on `simd`. Invariant: an element goes through the same arithmetic wherever in a tile it lies.
//!
//! Where the destination is apart from all sources, whole chunks run as one plain loop, and once more the last chunk of what is left. In place, LLVM's run-time checks for overlap would
//! fail and leave scalar code; there, and for short tiles, a chunk's results are collected in a local array, which aliases
//! nothing, and then copied out. The rest of a tile is its last whole chunk: that comes first, while its operands are unchanged, and is
//! written last, some of its results for the second time. Only a tile shorter than a chunk is padded to one.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::number::Number;
use super::pointwise::Operand;
use crate::kit::simd::{Kernel, Machine, PortableMachine, launch};

/// Elements of a chunk: enough for the loop vectoriser, few enough that the padded rest costs little.
pub(super) const CHUNK: usize = 64;
/// Elements of a whole chunk that are done at a time where registers are small.
const STEP: usize = 16;

/// Where a loop's operands come from.
pub(super) trait Source: Copy {
    /// One element, or a tuple of one per operand.
    type Item: Copy;
    /// Room for a padded copy of a rest.
    type Pad: Copy;

    /// Element `i`.
    unsafe fn at(self, i: usize) -> Self::Item;
    /// The source from element `i` on.
    unsafe fn after(self, i: usize) -> Self;
    /// The source of a row of `length` elements.
    ///
    /// # Safety
    /// The row is one of its rows.
    #[inline(always)]
    unsafe fn row(self, row: usize, length: usize) -> Self {
        // SAFETY: as the caller vouches.
        unsafe { self.after(row * length) }
    }
    /// Whether its first `n` elements share memory with the `bytes` bytes at `dst`.
    fn meets(self, n: usize, dst: usize, bytes: usize) -> bool;
    /// A source of `CHUNK` elements whose first `n` (at least one) are this one's.
    unsafe fn padded(self, n: usize, pad: &mut MaybeUninit<Self::Pad>) -> Self;
}

/// Consecutive elements.
#[derive(Clone, Copy)]
pub(super) struct Stream<T>(pub(super) *const T);

impl<T: Number> Source for Stream<T> {
    type Item = T;
    type Pad = [T; CHUNK];

    #[inline(always)]
    unsafe fn at(self, i: usize) -> T {
        // SAFETY: the caller keeps within the source.
        unsafe { self.0.add(i).read_unaligned() }
    }
    #[inline(always)]
    unsafe fn after(self, i: usize) -> Self {
        // SAFETY: as above.
        Stream(unsafe { self.0.add(i) })
    }
    #[inline(always)]
    fn meets(self, n: usize, dst: usize, bytes: usize) -> bool {
        (self.0 as usize) < dst + bytes && dst < self.0 as usize + n * size_of::<T>()
    }
    #[inline(always)]
    unsafe fn padded(self, n: usize, pad: &mut MaybeUninit<[T; CHUNK]>) -> Self {
        // SAFETY: the source has n elements, at least one; what pads is a copy of the first, a value that the function meets anyway.
        unsafe {
            let pad = pad.write([self.at(0); CHUNK]).as_mut_ptr();
            std::ptr::copy_nonoverlapping(self.0.cast::<u8>(), pad.cast::<u8>(), n * size_of::<T>());
            Stream(pad)
        }
    }
}

/// One value for all elements.
#[derive(Clone, Copy)]
pub(super) struct Splat<T>(pub(super) T);

impl<T: Number> Source for Splat<T> {
    type Item = T;
    type Pad = ();

    #[inline(always)]
    unsafe fn at(self, _: usize) -> T {
        self.0
    }
    #[inline(always)]
    unsafe fn after(self, _: usize) -> Self {
        self
    }
    #[inline(always)]
    fn meets(self, _: usize, _: usize, _: usize) -> bool {
        false
    }
    #[inline(always)]
    unsafe fn padded(self, _: usize, _: &mut MaybeUninit<()>) -> Self {
        self
    }
}

/// One value for all elements of a row.
#[derive(Clone, Copy)]
pub(super) struct PerRow<T> {
    value: T,
    /// The values of all rows; null where they are one.
    rows: *const T,
}

impl<T: Number> PerRow<T> {
    /// The values of an operand that is no tile.
    #[inline(always)]
    pub(super) fn of(operand: Operand) -> Self {
        match operand {
            Operand::Scalar(bits) => Self { value: T::from_slot(bits), rows: std::ptr::null() },
            Operand::Rows { start, .. } => Self { value: T::default(), rows: start.cast() },
            Operand::Vector(_) => unreachable!("a tile has a value per element"),
        }
    }
}

impl<T: Number> Source for PerRow<T> {
    type Item = T;
    type Pad = ();

    #[inline(always)]
    unsafe fn at(self, _: usize) -> T {
        self.value
    }
    #[inline(always)]
    unsafe fn after(self, _: usize) -> Self {
        self
    }
    #[inline(always)]
    unsafe fn row(self, row: usize, _: usize) -> Self {
        // SAFETY: as the caller vouches.
        if self.rows.is_null() { self } else { Self { value: unsafe { self.rows.add(row).read_unaligned() }, ..self } }
    }
    #[inline(always)]
    fn meets(self, _: usize, _: usize, _: usize) -> bool {
        false
    }
    #[inline(always)]
    unsafe fn padded(self, _: usize, _: &mut MaybeUninit<()>) -> Self {
        self
    }
}

/// Sources side by side.
macro_rules! tuple_source {
    ($($part:ident $pad:ident $index:tt),*) => {
        impl<$($part: Source),*> Source for ($($part,)*) {
            type Item = ($($part::Item,)*);
            type Pad = ($(MaybeUninit<$part::Pad>,)*);

            #[inline(always)]
            unsafe fn at(self, i: usize) -> Self::Item {
                // SAFETY: as the parts ask.
                unsafe { ($(self.$index.at(i),)*) }
            }
            #[inline(always)]
            unsafe fn after(self, i: usize) -> Self {
                // SAFETY: as the parts ask.
                unsafe { ($(self.$index.after(i),)*) }
            }
            #[inline(always)]
            unsafe fn row(self, row: usize, length: usize) -> Self {
                // SAFETY: as the parts ask.
                unsafe { ($(self.$index.row(row, length),)*) }
            }
            #[inline(always)]
            fn meets(self, n: usize, dst: usize, bytes: usize) -> bool {
                $(self.$index.meets(n, dst, bytes))||*
            }
            #[inline(always)]
            unsafe fn padded(self, n: usize, pad: &mut MaybeUninit<Self::Pad>) -> Self {
                let pad = pad.write(($(MaybeUninit::<$part::Pad>::uninit(),)*));
                // SAFETY: as the parts ask.
                unsafe { ($(self.$index.padded(n, &mut pad.$index),)*) }
            }
        }
    };
}

tuple_source!(A a 0);
tuple_source!(A a 0, B b 1);
tuple_source!(A a 0, B b 1, C c 2);

/// A function of one element of each operand.
pub(super) trait Function<Item> {
    /// Type of the result.
    type Output: Number;
    /// The result; `#[inline(always)]`.
    fn apply<M: Machine>(item: Item) -> Self::Output;
}

/// A function that is fast on most operands and right on all: where `is_special`, `special` replaces `apply`.
pub(super) trait Mended<Item>: Function<Item> {
    /// Whether the fast result is of no use.
    fn is_special(item: Item) -> bool;
    /// The slow, general result.
    fn special(item: Item) -> Self::Output;
}

/// Defines a function in place: `function!(|a: f32, b: f32| -> f32 { a + b })`.
macro_rules! function {
    (|$($x:ident: $t:ty),*| -> $r:ty $body:block) => {{
        struct Local;
        impl $crate::kit::tiles::loops::Function<($($t,)*)> for Local {
            type Output = $r;
            #[inline(always)]
            fn apply<M: $crate::kit::simd::Machine>(($($x,)*): ($($t,)*)) -> $r $body
        }
        Local
    }};
}
pub(super) use function;

struct Map<S, F, R> {
    rows: usize,
    /// Elements of a row.
    n: usize,
    dst: *mut R,
    source: S,
    function: PhantomData<F>,
}

/// Writes the first `n` of a chunk's results.
#[inline(always)]
unsafe fn write<R: Number, const LENGTH: usize>(dst: *mut R, results: &MaybeUninit<[R; LENGTH]>, n: usize) {
    const PIECE: usize = 8;
    let results = results.as_ptr().cast::<R>();
    // SAFETY: the caller has filled the results and owns n elements at dst.
    unsafe {
        if n == LENGTH {
            for piece in 0..LENGTH / PIECE {
                let values = results.add(piece * PIECE).cast::<[R; PIECE]>().read();
                dst.add(piece * PIECE).cast::<[R; PIECE]>().write_unaligned(values);
            }
        } else {
            std::ptr::copy_nonoverlapping(results.cast::<u8>(), dst.cast::<u8>(), n * size_of::<R>());
        }
    }
}

/// The starts of chunks that cover elements `first..n`: the last one, where it overlaps its neighbour, comes first.
struct Chunks {
    n: usize,
    first: usize,
    /// Whether the last chunk is still to come.
    overlapping: bool,
}

impl Chunks {
    #[inline(always)]
    fn new(first: usize, n: usize) -> Self {
        Self { n, first, overlapping: n > CHUNK && !n.is_multiple_of(CHUNK) }
    }
    /// Start of the next chunk, and whether its results must wait.
    #[inline(always)]
    fn next(&mut self) -> Option<(usize, bool)> {
        if self.overlapping {
            self.overlapping = false;
            return Some((self.n - CHUNK, true));
        }
        let whole = if self.n > CHUNK { self.n & !(CHUNK - 1) } else { self.n };
        let start = self.first;
        self.first += CHUNK;
        (start < whole).then_some((start, false))
    }
}

/// What is done with a chunk. A trait and no closure: a closure is a function of its own, compiled without the path's instructions.
trait Work<S: Source> {
    /// Type of the results.
    type Output: Number;
    /// Fills results from a source of `LENGTH` elements, the first `count` of which are real; `#[inline(always)]`.
    ///
    /// # Safety
    /// There is room for `LENGTH` results.
    unsafe fn fill<M: Machine, const LENGTH: usize>(source: S, count: usize, out: *mut Self::Output);
}

/// Does work on chunks of elements `first..n`.
///
/// # Safety
/// Source and destination have n elements.
#[inline(always)]
unsafe fn each_chunk<M: Machine, S: Source, W: Work<S>>(first: usize, n: usize, dst: *mut W::Output, source: S) {
    let mut held = MaybeUninit::<[W::Output; CHUNK]>::uninit();
    let mut waiting = None;
    let mut chunks = Chunks::new(first, n);
    while let Some((start, waits)) = chunks.next() {
        let count = CHUNK.min(n - start);
        if M::SHORT && count == CHUNK && !waits {
            for step in (start..start + CHUNK).step_by(STEP) {
                let mut results = MaybeUninit::<[W::Output; STEP]>::uninit();
                // SAFETY: steps lie inside the chunk.
                unsafe {
                    W::fill::<M, STEP>(source.after(step), STEP, results.as_mut_ptr().cast());
                    write(dst.add(step), &results, STEP);
                }
            }
            continue;
        }
        let mut results = MaybeUninit::<[W::Output; CHUNK]>::uninit();
        let mut pad = MaybeUninit::uninit();
        // SAFETY: chunks lie inside the n elements.
        unsafe {
            let mut source = source.after(start);
            if count < CHUNK {
                source = source.padded(count, &mut pad);
            }
            W::fill::<M, CHUNK>(source, count, results.as_mut_ptr().cast());
            if waits {
                held = results;
                waiting = Some(start);
            } else {
                write(dst.add(start), &results, count);
            }
        }
    }
    if let Some(start) = waiting {
        // SAFETY: as above; the chunk that waited is filled.
        unsafe { write(dst.add(start), &held, CHUNK) };
    }
}

/// A function of every element.
struct Plain<F>(PhantomData<F>);

impl<S: Source, F: Function<S::Item>> Work<S> for Plain<F> {
    type Output = F::Output;

    #[inline(always)]
    unsafe fn fill<M: Machine, const LENGTH: usize>(source: S, _: usize, out: *mut F::Output) {
        for i in 0..LENGTH {
            // SAFETY: source and results have LENGTH elements.
            unsafe { out.add(i).write(F::apply::<M>(source.at(i))) };
        }
    }
}

impl<S: Source, F: Function<S::Item>> Kernel for Map<S, F, F::Output> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        let n = self.n;
        for row in 0..self.rows {
            // SAFETY: sources and destination have n elements per row, by the contract of `map_rows`.
            unsafe {
                let (source, dst) = (self.source.row(row, n), self.dst.add(row * n));
                if n < CHUNK || source.meets(n, dst as usize, n * size_of::<F::Output>()) {
                    each_chunk::<M, S, Plain<F>>(0, n, dst, source);
                    continue;
                }
                // Whole chunks, then the last one, which may do elements again.
                let (mut first, mut last) = (0, n & !(CHUNK - 1));
                loop {
                    while first < last {
                        dst.add(first).write_unaligned(F::apply::<M>(source.at(first)));
                        first += 1;
                    }
                    if last == n {
                        break;
                    }
                    (first, last) = (n - CHUNK, n);
                }
            }
        }
    }
}

/// `dst[i] = function(source[i])` for i below n, as vector code.
///
/// # Safety
/// Source and destination have n elements; they coincide or are apart, as the module's head says.
pub(super) unsafe fn map<S: Source, F: Function<S::Item>>(n: usize, dst: *mut F::Output, source: S, _: F) {
    launch(Map { rows: 1, n, dst, source, function: PhantomData::<F> });
}

/// As `map`, for `rows` rows of `n` elements each.
///
/// # Safety
/// As `map`, for every row.
pub(super) unsafe fn map_rows<S: Source, F>((rows, n): (usize, usize), dst: *mut F::Output, source: S, _: F)
where
    F: Function<S::Item>,
{
    launch(Map { rows, n, dst, source, function: PhantomData::<F> });
}

struct Update<T, S, F> {
    n: usize,
    tile: *mut T,
    source: S,
    function: PhantomData<F>,
}

impl<T: Number, S: Source, F: Function<(T, S::Item), Output = T>> Kernel for Update<T, S, F> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        for i in 0..self.n {
            // Read and written through one pointer: LLVM sees that iterations do not touch each other.
            // SAFETY: tile and source have n elements, by the contract of `update`.
            unsafe {
                let element = self.tile.add(i);
                element.write_unaligned(F::apply::<M>((element.read_unaligned(), self.source.at(i))));
            }
        }
    }
}

/// `tile[i] = function(tile[i], source[i])` for i below n, for cheap functions.
///
/// # Safety
/// Tile and source have n elements and do not overlap.
pub(super) unsafe fn update<T: Number, S: Source, F>(n: usize, tile: *mut T, source: S, _: F)
where
    F: Function<(T, S::Item), Output = T>,
{
    launch(Update { n, tile, source, function: PhantomData::<F> });
}

struct MendedMap<S, F, R>(Map<S, F, R>);

/// A function of every element, and another one of special elements.
struct Mending<F>(PhantomData<F>);

impl<S: Source, F: Mended<S::Item>> Work<S> for Mending<F> {
    type Output = F::Output;

    #[inline(always)]
    unsafe fn fill<M: Machine, const LENGTH: usize>(source: S, count: usize, out: *mut F::Output) {
        let mut specials = 0u32;
        // SAFETY: source and results have LENGTH elements; the source is still unchanged when special elements are done again.
        unsafe {
            for i in 0..LENGTH {
                let item = source.at(i);
                specials |= u32::from(F::is_special(item));
                out.add(i).write(F::apply::<M>(item));
            }
            if specials != 0 {
                for i in 0..count {
                    let item = source.at(i);
                    if F::is_special(item) {
                        out.add(i).write(F::special(item));
                    }
                }
            }
        }
    }
}

impl<S: Source, F: Mended<S::Item>> Kernel for MendedMap<S, F, F::Output> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        let map = self.0;
        let mut whole = 0;
        // SAFETY: source and destination have n elements, by the contract of `map`.
        unsafe {
            if !map.source.meets(map.n, map.dst as usize, map.n * size_of::<F::Output>()) {
                let mut specials = 0u32;
                while whole < map.n & !(CHUNK - 1) {
                    let item = map.source.at(whole);
                    specials |= u32::from(F::is_special(item));
                    map.dst.add(whole).write_unaligned(F::apply::<M>(item));
                    whole += 1;
                }
                if specials != 0 {
                    for i in 0..whole {
                        let item = map.source.at(i);
                        if F::is_special(item) {
                            map.dst.add(i).write_unaligned(F::special(item));
                        }
                    }
                }
            }
            each_chunk::<M, S, Mending<F>>(whole, map.n, map.dst, map.source);
        }
    }
}

/// As `map`, for a function with special operands.
///
/// # Safety
/// As `map`.
pub(super) unsafe fn map_mended<S: Source, F: Mended<S::Item>>(n: usize, dst: *mut F::Output, source: S, _: F) {
    launch(MendedMap(Map { rows: 1, n, dst, source, function: PhantomData::<F> }));
}

/// Elements that may all be one and the same, decided at run time: for functions so slow that one compiled loop serves all cases.
#[derive(Clone, Copy)]
pub(super) struct Strided<T> {
    start: *const T,
    stride: usize,
    splat: T,
}

impl<T: Number> Strided<T> {
    /// Consecutive elements, or one value.
    pub(super) fn new(operand: Operand) -> Self {
        match operand {
            Operand::Vector(start) => Self { start: start.cast(), stride: 1, splat: T::default() },
            Operand::Rows { .. } => unreachable!("rows come one by one"),
            Operand::Scalar(bits) => Self { start: std::ptr::null(), stride: 0, splat: T::from_slot(bits) },
        }
    }

    /// Element `i`.
    #[inline(always)]
    unsafe fn at(&self, i: usize) -> T {
        // SAFETY: the caller keeps within the source.
        if self.stride == 0 { self.splat } else { unsafe { self.start.add(i).read_unaligned() } }
    }
}

/// `dst[i] = function(a[i], b[i])` one by one.
///
/// # Safety
/// As `map`.
pub(super) unsafe fn each<T: Number, F: Function<(T, T)>>(
    n: usize,
    dst: *mut F::Output,
    a: Strided<T>,
    b: Strided<T>,
    _: F,
) {
    for i in 0..n {
        // SAFETY: operands and destination have n elements.
        unsafe { dst.add(i).write_unaligned(F::apply::<PortableMachine>((a.at(i), b.at(i)))) };
    }
}
