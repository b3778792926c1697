//! Pieces of reductions over rows and over columns that agree in every bit. Depends on `loops` and `rounding`.
//! Invariant: the canonical tree. A row is cut into blocks of `BLOCK` elements; element j of a block goes to lane j % `LANES`, each lane folds
//! its elements in order from the identity, and lanes are combined pairwise: l with l + 16, then + 8, + 4, + 2, + 1.
//! How blocks are combined is the caller's matter.

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
trait Folding<T: Number>: Function<(T, T), Output = T> {
    const IDENTITY: T;
    /// Whether it gives back one of its operands. LLVM then skips stores of unchanged accumulators, by slow masked stores.
    const CHOOSES: bool;
}

/// Declares a fold's function per type.
macro_rules! folding {
    ($($name:ident $chooses:literal { $($type:ty = $identity:expr, |$a:ident, $b:ident| $body:expr;)* })*) => {$(
        struct $name;
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
        f32 = f32::NEG_INFINITY, |a, b| larger(b, a);
        f64 = f64::NEG_INFINITY, |a, b| larger(b, a);
    }
    Smallest true {
        u8 = 1, |a, b| a & b;
        i32 = i32::MAX, |a, b| a.min(b);
        i64 = i64::MAX, |a, b| a.min(b);
        u64 = u64::MAX, |a, b| a.min(b);
        f32 = f32::INFINITY, |a, b| smaller(b, a);
        f64 = f64::INFINITY, |a, b| smaller(b, a);
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
        let mut lanes = [F::IDENTITY; LANES];
        let whole = self.n / LANES * LANES;
        let mut first = 0;
        while first < whole {
            // SAFETY: the source has n elements.
            let elements = unsafe { self.src.add(first).cast::<[T; LANES]>().read_unaligned() };
            for lane in 0..LANES {
                lanes[lane] = F::apply::<M>((lanes[lane], elements[lane]));
            }
            first += LANES;
        }
        for (lane, sum) in lanes.iter_mut().enumerate().take(self.n - whole) {
            // SAFETY: as above.
            let element = unsafe { self.src.add(whole + lane).read_unaligned() };
            *sum = F::apply::<M>((*sum, element));
        }
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                lanes[lane] = F::apply::<M>((lanes[lane], lanes[lane + width]));
            }
            width /= 2;
        }
        lanes[0]
    }
}

/// Folds one contiguous block of a row to the slot of its result; float16 and bfloat16 stay f32, integers are not yet wrapped: see `round_to`.
///
/// # Safety
/// `src` holds `n` (at most `BLOCK`) values of the compute type of `dtype`.
pub unsafe fn fold_block(fold: Fold, dtype: DType, n: usize, src: *const u8) -> u64 {
    with_fold!(fold, dtype, F, T => launch(Block::<T, F> { n, src: src.cast(), folding: PhantomData }).to_slot())
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

/// The first largest (`ArgMax`) or smallest (`ArgMin`) value of a contiguous piece, as its slot, and its position; the first NaN if there is one.
///
/// # Safety
/// `src` holds `n` (at least one) values of the compute type of `dtype`.
pub unsafe fn arg_extreme(fold: Fold, dtype: DType, n: usize, src: *const u8) -> (u64, usize) {
    with_compute!(dtype.compute(), T => {
        let src = src.cast::<T>();
        let (mut best, mut start) = (0, 0);
        for first in (0..n).step_by(BLOCK) {
            // SAFETY: the piece has n elements.
            let value = unsafe { fold_block(fold, dtype, BLOCK.min(n - first), src.add(first).cast()) };
            if first == 0 || arg_better(fold, dtype, value, best) {
                (best, start) = (value, first);
            }
        }
        // SAFETY: as above.
        let after = launch(Find { n: n - start, src: unsafe { src.add(start) }, value: T::from_slot(best) });
        (best, start + after)
    })
}

/// The first position of a value (of NaN: of any NaN); `n` where there is none.
struct Find<T> {
    n: usize,
    src: *const T,
    value: T,
}

impl<T: Number> Kernel for Find<T> {
    type Output = usize;

    #[inline(always)]
    fn run<M: Machine>(self) -> usize {
        /// Elements that are compared before the first branch.
        const STRIDE: usize = 128;
        let nan = is_nan(self.value);
        let is_it = |x: T| (x == self.value) | (nan & is_nan(x));
        let mut first = 0;
        while first + STRIDE <= self.n {
            let mut found = false;
            for i in first..first + STRIDE {
                // SAFETY: the source has n elements.
                found |= is_it(unsafe { self.src.add(i).read_unaligned() });
            }
            if found {
                break;
            }
            first += STRIDE;
        }
        // SAFETY: as above.
        (first..self.n).find(|&i| is_it(unsafe { self.src.add(i).read_unaligned() })).unwrap_or(self.n)
    }
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
