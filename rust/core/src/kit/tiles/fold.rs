//! Pieces of reductions over rows and over columns that agree in every bit. Depends on `loops` and `rounding`.
//! Invariant: the canonical tree. A row is cut into blocks of `BLOCK` elements; element j of a block goes to lane j % `LANES`, each lane folds
//! its elements in order from the identity, and lanes are combined pairwise: l with l + 16, then + 8, + 4, + 2, + 1.
//! How blocks are combined is the caller's matter.
#![allow(
    clippy::needless_range_loop,
    reason = "closures over arrays stay calls inside code compiled for other features"
)]

use std::marker::PhantomData;

use super::float::{larger, smaller};
use super::loops::{Function, Stream, map, update};
use super::number::{Number, with_compute};
use super::rounding::round_tile;
use crate::code::Fold;
use crate::dtype::DType;
use crate::kit::simd::{Kernel, Machine, launch};

/// Accumulators of a block: four AVX2 registers of f32, so that additions overlap.
pub const LANES: usize = 32;
/// Elements of a block.
pub const BLOCK: usize = 4096;

/// A fold of one type: an associative function with an identity.
pub(super) trait Folding<T: Number>: Function<(T, T), Output = T> {
    const IDENTITY: T;
    /// Whether it gives back one of its operands. LLVM then skips stores of unchanged accumulators, by slow masked stores.
    const CHOOSES: bool;

    /// The fold of numbers, to the same bits: without the choice of NaN, which would lie between one element and the next.
    #[inline(always)]
    fn of_numbers<M: Machine>(acc: T, element: T) -> T {
        Self::apply::<M>((acc, element))
    }
}

/// Declares a fold's function per type.
macro_rules! folding {
    ($($name:ident $chooses:literal {
        $($type:ty = $identity:expr, |$a:ident, $b:ident| $body:expr $(, of numbers $numbers:expr)?;)*
    })*) => {$(
        pub(super) struct $name;
        $(
            impl Function<($type, $type)> for $name {
                type Output = $type;
                #[inline(always)]
                fn apply<M: Machine>(($a, $b): ($type, $type)) -> $type {
                    $body
                }
            }
            impl Folding<$type> for $name {
                const IDENTITY: $type = $identity;
                const CHOOSES: bool = $chooses;
                $(
                    #[inline(always)]
                    fn of_numbers<M: Machine>($a: $type, $b: $type) -> $type {
                        $numbers
                    }
                )?
            }
        )*
    )*};
}

folding! {
    Sum false {
        u8 = 0, |a, b| a | b;
        i32 = 0, |a, b| a.wrapping_add(b);
        i64 = 0, |a, b| a.wrapping_add(b);
        u64 = 0, |a, b| a.wrapping_add(b);
        f32 = 0.0, |a, b| a + b;
        f64 = 0.0, |a, b| a + b;
    }
    Product false {
        u8 = 1, |a, b| a & b;
        i32 = 1, |a, b| a.wrapping_mul(b);
        i64 = 1, |a, b| a.wrapping_mul(b);
        u64 = 1, |a, b| a.wrapping_mul(b);
        f32 = 1.0, |a, b| a * b;
        f64 = 1.0, |a, b| a * b;
    }
    Largest true {
        u8 = 0, |a, b| a | b;
        i32 = i32::MIN, |a, b| a.max(b);
        i64 = i64::MIN, |a, b| a.max(b);
        u64 = 0, |a, b| a.max(b);
        f32 = f32::NEG_INFINITY, |a, b| larger(b, a), of numbers if b > a { b } else { a };
        f64 = f64::NEG_INFINITY, |a, b| larger(b, a), of numbers if b > a { b } else { a };
    }
    Smallest true {
        u8 = 1, |a, b| a & b;
        i32 = i32::MAX, |a, b| a.min(b);
        i64 = i64::MAX, |a, b| a.min(b);
        u64 = u64::MAX, |a, b| a.min(b);
        f32 = f32::INFINITY, |a, b| smaller(b, a), of numbers if b < a { b } else { a };
        f64 = f64::INFINITY, |a, b| smaller(b, a), of numbers if b < a { b } else { a };
    }
}

/// Runs `$body` with `$folding` standing for the fold and `$type` for the compute type.
macro_rules! with_fold {
    ($fold:expr, $dtype:expr, $folding:ident, $type:ident => $body:expr) => {
        match $fold {
            Fold::Sum => {
                type $folding = Sum;
                with_compute!($dtype.compute(), $type => $body)
            }
            Fold::Prod => {
                type $folding = Product;
                with_compute!($dtype.compute(), $type => $body)
            }
            Fold::Max | Fold::ArgMax => {
                type $folding = Largest;
                with_compute!($dtype.compute(), $type => $body)
            }
            Fold::Min | Fold::ArgMin => {
                type $folding = Smallest;
                with_compute!($dtype.compute(), $type => $body)
            }
        }
    };
}

pub(super) use with_fold;

struct Block<T, F> {
    n: usize,
    src: *const T,
    folding: PhantomData<F>,
}

impl<T: Number, F: Folding<T>> Kernel for Block<T, F> {
    type Output = T;
    const NARROW: bool = true;

    #[inline(always)]
    fn run<M: Machine>(self) -> T {
        let whole = self.n / LANES * LANES;
        // Read whole later: the bytes have long been written by then.
        let rest = self.rest(whole);
        let mut lanes = [F::IDENTITY; LANES];
        let mut odd = [T::default(); LANES];
        let mut first = 0;
        while first < whole {
            // SAFETY: the source has n elements.
            let elements = unsafe { self.src.add(first).cast::<[T; LANES]>().read_unaligned() };
            for lane in 0..LANES {
                lanes[lane] = F::of_numbers::<M>(lanes[lane], elements[lane]);
                odd[lane] = if F::CHOOSES && is_nan(elements[lane]) { elements[lane] } else { odd[lane] };
            }
            first += LANES;
        }
        if first < self.n {
            for lane in 0..LANES {
                lanes[lane] = F::of_numbers::<M>(lanes[lane], rest[lane]);
                odd[lane] = if F::CHOOSES && is_nan(rest[lane]) { rest[lane] } else { odd[lane] };
            }
        }
        if F::CHOOSES && any_nan(odd) {
            return self.with_nan();
        }
        combine_lanes::<T, F, M>(lanes)
    }
}

impl<T: Number, F: Folding<T>> Block<T, F> {
    /// The elements from `whole` on, filled up with what changes nothing.
    #[inline(always)]
    fn rest(&self, whole: usize) -> [T; LANES] {
        let mut rest = [F::IDENTITY; LANES];
        // SAFETY: the source has n elements, fewer than LANES of them after `whole`.
        unsafe {
            let bytes = (self.n - whole) * size_of::<T>();
            std::ptr::copy_nonoverlapping(self.src.add(whole).cast::<u8>(), rest.as_mut_ptr().cast::<u8>(), bytes);
        }
        rest
    }

    /// The fold of elements of which some are NaN.
    #[cold]
    #[inline(never)]
    fn with_nan(&self) -> T {
        use crate::kit::simd::PortableMachine as Scalar;
        let mut lanes = [F::IDENTITY; LANES];
        for i in 0..self.n {
            let lane = &mut lanes[i % LANES];
            // SAFETY: the source has n elements.
            *lane = F::apply::<Scalar>((*lane, unsafe { self.src.add(i).read_unaligned() }));
        }
        combine_lanes::<T, F, Scalar>(lanes)
    }
}

/// Whether any of some values is NaN.
#[inline(always)]
fn any_nan<T: Number>(values: [T; LANES]) -> bool {
    let mut any = false;
    for lane in 0..LANES {
        any |= is_nan(values[lane]);
    }
    any
}

/// Lanes combined pairwise; in loops of fixed lengths, which become shuffles.
#[inline(always)]
fn combine_lanes<T: Number, F: Folding<T>, M: Machine>(mut lanes: [T; LANES]) -> T {
    macro_rules! halve {
        ($($width:literal)*) => {$(
            for lane in 0..$width {
                lanes[lane] = F::apply::<M>((lanes[lane], lanes[lane + $width]));
            }
        )*};
    }
    halve!(16 8 4 2 1);
    lanes[0]
}

/// The lanes of one row's sum, combined.
#[inline(always)]
pub(super) fn combine_sums<T: Number + std::ops::Add<Output = T>>(mut lanes: [T; LANES]) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = lanes[lane] + lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Folds one contiguous block of a row to the slot of its result; float16 and bfloat16 stay f32, integers are not yet wrapped: see `round_to`.
///
/// # Safety
/// `src` holds `n` (at most `BLOCK`) values of the compute type of `dtype`.
pub unsafe fn fold_block(fold: Fold, dtype: DType, n: usize, src: *const u8) -> u64 {
    with_fold!(fold, dtype, F, T => launch(Block::<T, F> { n, src: src.cast(), folding: PhantomData }).to_slot())
}

/// How many bytes are not zero.
///
/// # Safety
/// `src` holds `n` bytes.
pub unsafe fn count_true(n: usize, src: *const u8) -> u64 {
    // SAFETY: as the caller vouches.
    launch(Count(unsafe { std::slice::from_raw_parts(src, n) }))
}

struct Count<'a>(&'a [u8]);

impl Kernel for Count<'_> {
    type Output = u64;

    #[inline(always)]
    fn run<M: Machine>(self) -> u64 {
        const WIDTH: usize = 64;
        // Lanes of bytes do not overflow within so many lines.
        const LINES: usize = 255;
        let mut total = 0;
        let (lines, rest) = self.0.as_chunks::<WIDTH>();
        for lines in lines.chunks(LINES) {
            let mut lanes = [0u8; WIDTH];
            for line in lines {
                for i in 0..WIDTH {
                    lanes[i] += u8::from(line[i] != 0);
                }
            }
            for i in 0..WIDTH {
                total += u64::from(lanes[i]);
            }
        }
        for &byte in rest {
            total += u64::from(byte != 0);
        }
        total
    }
}

/// Two results made one.
pub fn combine(fold: Fold, dtype: DType, a: u64, b: u64) -> u64 {
    use crate::kit::simd::PortableMachine as Scalar;
    with_fold!(fold, dtype, F, T => <F as Function<(T, T)>>::apply::<Scalar>((T::from_slot(a), T::from_slot(b))).to_slot())
}

/// The result of folding nothing.
pub fn identity(fold: Fold, dtype: DType) -> u64 {
    with_fold!(fold, dtype, F, T => <F as Folding<T>>::IDENTITY.to_slot())
}

/// Finished results rounded or wrapped to their dtype.
///
/// # Safety
/// `results` holds `n` values of the compute type of `dtype`.
pub unsafe fn round_lines(dtype: DType, n: usize, results: *mut u8) {
    // SAFETY: as the caller vouches.
    unsafe { round_tile(dtype, n, results) };
}

/// A finished result rounded or wrapped to its dtype.
pub fn round_to(dtype: DType, bits: u64) -> u64 {
    with_compute!(dtype.compute(), T => {
        let mut value = T::from_slot(bits);
        // SAFETY: the local is one value of the dtype's compute type.
        unsafe { round_tile(dtype, 1, std::ptr::from_mut(&mut value).cast()) };
        value.to_slot()
    })
}

/// `acc[i] = fold(acc[i], src[i])`.
unsafe fn accumulate<T: Number, F: Folding<T>>(n: usize, acc: *mut T, src: *const T, folding: F) {
    // SAFETY: the caller's promises are the callees'.
    unsafe {
        if F::CHOOSES {
            map(n, acc, (Stream(acc.cast_const()), Stream(src)), folding);
        } else {
            update(n, acc, Stream(src), folding);
        }
    }
}

/// Folds rows `first_row..first_row + rows` of a block, `[rows, columns]` contiguous, into the accumulators of all columns, `[LANES, columns]`,
/// which the caller has filled with the identity.
///
/// # Safety
/// `src` and `acc` hold that many values of the compute type of `dtype` and do not overlap.
pub unsafe fn fold_rows(
    fold: Fold,
    dtype: DType,
    rows: usize,
    columns: usize,
    src: *const u8,
    first_row: usize,
    acc: *mut u8,
) {
    with_fold!(fold, dtype, F, T => {
        let (src, acc) = (src.cast::<T>(), acc.cast::<T>());
        // Consecutive rows belong to consecutive lanes, so the accumulators are a ring that the source runs along.
        let (ring, total) = (LANES * columns, rows * columns);
        let (mut done, mut place) = (0, first_row % LANES * columns);
        while done < total {
            let run = (ring - place).min(total - done);
            // SAFETY: both runs lie inside what the caller vouches for.
            unsafe {
                accumulate(run, acc.add(place), src.add(done), F {});
            }
            done += run;
            place = 0;
        }
    });
}

/// Rows that are folded at once: as many streams of memory, and an accumulator is read and written once for all of them.
const ROWS: usize = 8;

struct Columns<T, F> {
    rows: usize,
    columns: usize,
    src: *const T,
    step: isize,
    acc: *mut T,
    folding: PhantomData<F>,
}

impl<T: Number, F: Folding<T>> Kernel for Columns<T, F> {
    type Output = ();
    const NARROW: bool = true;

    #[inline(always)]
    fn run<M: Machine>(self) {
        /// Columns whose accumulators are registers.
        const STRIP: usize = 32;
        let whole = self.columns / STRIP * STRIP;
        for lane in 0..LANES.min(self.rows) {
            for first in (lane..self.rows).step_by(LANES * ROWS) {
                let rows = (self.rows - first).div_ceil(LANES).min(ROWS);
                // SAFETY: the matrix has `rows` rows and the accumulators LANES, `columns` elements each.
                unsafe {
                    let src = self.src.offset(first as isize * self.step);
                    let step = self.step * LANES as isize;
                    let acc = self.acc.add(lane * self.columns);
                    let mut column = 0;
                    while column < whole {
                        let place = acc.add(column).cast::<[T; STRIP]>();
                        let mut strip = if first == lane { [F::IDENTITY; STRIP] } else { place.read_unaligned() };
                        for row in 0..rows as isize {
                            let from = src.offset(row * step).add(column);
                            let elements = from.cast::<[T; STRIP]>().read_unaligned();
                            for i in 0..STRIP {
                                strip[i] = F::apply::<M>((strip[i], elements[i]));
                            }
                        }
                        place.write_unaligned(strip);
                        column += STRIP;
                    }
                    for column in whole..self.columns {
                        let mut sum = if first == lane { F::IDENTITY } else { acc.add(column).read_unaligned() };
                        for row in 0..rows as isize {
                            let element = src.offset(row * step).add(column).read_unaligned();
                            sum = F::apply::<M>((sum, element));
                        }
                        acc.add(column).write_unaligned(sum);
                    }
                }
            }
        }
    }
}

/// Folds the rows of a block, at most `BLOCK`, into accumulators `[LANES, columns]`: row i begins at element i · `step` of `src`. The first
/// `min(LANES, rows)` accumulators are written, whatever they held.
///
/// # Safety
/// `src` holds the rows, `acc` has room for the accumulators, of the compute type of `dtype`, and they do not overlap.
pub unsafe fn fold_columns(
    fold: Fold,
    dtype: DType,
    (rows, columns): (usize, usize),
    src: *const u8,
    step: isize,
    acc: *mut u8,
) {
    with_fold!(fold, dtype, F, T => {
        launch(Columns::<T, F> { rows, columns, src: src.cast(), step, acc: acc.cast(), folding: PhantomData });
    });
}

/// Combines the lanes of all columns; `acc` is used up.
///
/// # Safety
/// `acc` holds `[LANES, columns]` values of the compute type of `dtype`, `dst` has room for `columns`, and they do not overlap.
pub unsafe fn fold_lanes(fold: Fold, dtype: DType, columns: usize, acc: *mut u8, dst: *mut u8) {
    with_fold!(fold, dtype, F, T => {
        let (acc, dst) = (acc.cast::<T>(), dst.cast::<T>());
        // SAFETY: the halves lie inside the accumulators.
        unsafe {
            for width in [16, 8, 4, 2] {
                accumulate(width * columns, acc, acc.add(width * columns), F {});
            }
            map(columns, dst, (Stream(acc.cast_const()), Stream(acc.add(columns).cast_const())), F {});
        }
    });
}

#[inline(always)]
#[allow(clippy::eq_op, reason = "true for NaN only")]
fn is_nan<T: Number>(x: T) -> bool {
    x != x
}

/// Whether a later candidate replaces the best so far: strictly better, or the first NaN.
pub fn arg_better(fold: Fold, dtype: DType, candidate: u64, best: u64) -> bool {
    with_compute!(dtype.compute(), T => {
        let (candidate, best) = (T::from_slot(candidate), T::from_slot(best));
        let beats = if matches!(fold, Fold::ArgMin | Fold::Min) { candidate < best } else { candidate > best };
        !is_nan(best) && (is_nan(candidate) || beats)
    })
}
