//! Vectors of the processor, as far as products of matrices, convolutions and row chains need them. Depends on `simd` and `math`.
//! Invariant: an implementation beyond `Plain` is only reached through `launch`, which asks for its instructions.
#![allow(clippy::needless_range_loop, reason = "iterators over arrays may stay calls inside code of other features")]

pub(crate) mod by_lane;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::kit::math::{double, single};
#[cfg(target_arch = "x86_64")]
use crate::kit::simd::path;
use crate::kit::simd::{Machine, Path, PortableMachine};

/// A vector of floats. A set bit `i` of a mask stands for lane `i`.
pub(crate) trait Vector: Copy {
    /// What a lane holds.
    type Element: Copy;
    /// Arithmetic on one lane, to the same bits.
    type Machine: Machine;
    /// How many there are.
    const LANES: usize;
    /// Whether there are 32 registers, or 16.
    const MANY: bool;
    /// Whether `plus_lane` is one instruction.
    const BY_LANE: bool = false;
    /// The mask of all lanes.
    const ALL: u32 = ((1u64 << Self::LANES) - 1) as u32;

    /// # Safety
    /// The processor has the vector's instructions; so for every function here.
    unsafe fn splat(x: Self::Element) -> Self;
    /// # Safety
    /// All lanes can be read.
    unsafe fn load(from: *const Self::Element) -> Self;
    /// An element for `plus_scaled`: in all lanes, or where `BY_LANE` in the first.
    ///
    /// # Safety
    /// It can be read.
    #[inline(always)]
    unsafe fn factor(from: *const Self::Element) -> Self {
        // SAFETY: as the caller vouches.
        unsafe { Self::splat(from.read_unaligned()) }
    }
    /// The lanes of a mask, and zeros.
    ///
    /// # Safety
    /// The lanes of the mask can be read.
    unsafe fn load_some(from: *const Self::Element, mask: u32) -> Self;
    /// # Safety
    /// All lanes can be written.
    unsafe fn store(self, to: *mut Self::Element);
    /// The lanes of a mask, one beside the other.
    ///
    /// # Safety
    /// As many elements as the mask has lanes can be written.
    unsafe fn store_packed(self, to: *mut Self::Element, mask: u32);
    /// As `store_packed`, for masks of which few are all lanes.
    ///
    /// # Safety
    /// As for `store_packed`.
    #[inline(always)]
    unsafe fn store_part(self, to: *mut Self::Element, mask: u32) {
        // SAFETY: as the caller vouches.
        unsafe { self.store_packed(to, mask) }
    }
    /// self + a · b
    ///
    /// # Safety
    /// As for `splat`.
    unsafe fn plus_product(self, a: Self, b: Self) -> Self;
    /// self + a · factor
    ///
    /// # Safety
    /// As for `splat`.
    #[inline(always)]
    unsafe fn plus_scaled(self, a: Self, factor: Self) -> Self {
        // SAFETY: as the caller vouches.
        unsafe { self.plus_product(a, factor) }
    }
    /// self + a · (lane `L` of b)
    ///
    /// # Safety
    /// As for `splat`.
    #[inline(always)]
    unsafe fn plus_lane<const L: usize>(self, a: Self, b: Self) -> Self {
        // SAFETY: as the caller vouches; there is room for the widest vector.
        unsafe {
            let mut lanes = [b.sum(); 16];
            b.store(lanes.as_mut_ptr());
            self.plus_product(a, Self::splat(lanes[L]))
        }
    }
    /// # Safety
    /// As for `splat`.
    unsafe fn plus(self, other: Self) -> Self;
    /// # Safety
    /// As for `splat`.
    unsafe fn times(self, other: Self) -> Self;
    /// The sum of the lanes.
    ///
    /// # Safety
    /// As for `splat`.
    unsafe fn sum(self) -> Self::Element;
    /// e to each lane, to the bits of `kit::math`.
    ///
    /// # Safety
    /// As for `splat`.
    #[inline(always)]
    unsafe fn exp(self) -> Self
    where
        Self::Element: Element,
    {
        // SAFETY: as the caller vouches; there is room for the widest vector.
        unsafe {
            let mut lanes = [Self::Element::ZERO; 16];
            self.store(lanes.as_mut_ptr());
            for i in 0..Self::LANES {
                lanes[i] = lanes[i].exp::<Self::Machine>();
            }
            Self::load(lanes.as_ptr())
        }
    }
    /// Asks for what lies there, if the processor can.
    #[inline(always)]
    fn fetch(from: *const Self::Element) {
        let _ = from;
    }
    /// Asks for what lies there, for the second-level cache: it is needed later.
    #[inline(always)]
    fn fetch_early(from: *const Self::Element) {
        let _ = from;
    }
    /// The lanes of both in turn: those of the lower halves, then those of the upper ones.
    ///
    /// # Safety
    /// As for `splat`.
    #[inline(always)]
    unsafe fn zip(self, other: Self) -> [Self; 2] {
        // SAFETY: as the caller vouches; there is room for the widest vector.
        unsafe {
            let zero = self.sum();
            let (mut a, mut b, mut lanes) = ([zero; 16], [zero; 16], [zero; 32]);
            self.store(a.as_mut_ptr());
            other.store(b.as_mut_ptr());
            for i in 0..Self::LANES {
                lanes[2 * i] = a[i];
                lanes[2 * i + 1] = b[i];
            }
            [Self::load(lanes.as_ptr()), Self::load(lanes.as_ptr().add(Self::LANES))]
        }
    }
    /// Every second lane of both, from the first on.
    ///
    /// # Safety
    /// As for `splat`.
    #[inline(always)]
    unsafe fn evens(self, other: Self) -> Self {
        // SAFETY: as the caller vouches; there is room for the widest vector.
        unsafe {
            let mut lanes = [self.sum(); 32];
            self.store(lanes.as_mut_ptr());
            other.store(lanes.as_mut_ptr().add(Self::LANES));
            for i in 1..Self::LANES {
                lanes[i] = lanes[2 * i];
            }
            Self::load(lanes.as_ptr())
        }
    }
    /// Every second lane of both, from the second on.
    ///
    /// # Safety
    /// As for `splat`.
    #[inline(always)]
    unsafe fn odds(self, other: Self) -> Self {
        // SAFETY: as the caller vouches; there is room for the widest vector.
        unsafe {
            let mut lanes = [self.sum(); 32];
            self.store(lanes.as_mut_ptr());
            other.store(lanes.as_mut_ptr().add(Self::LANES));
            for i in 0..Self::LANES {
                lanes[i] = lanes[2 * i + 1];
            }
            Self::load(lanes.as_ptr())
        }
    }
    /// As `zip`, pair by pair.
    ///
    /// # Safety
    /// As for `splat`.
    #[inline(always)]
    unsafe fn zip_pairs(self, other: Self) -> [Self; 2] {
        // SAFETY: as the caller vouches; there is room for the widest vector.
        unsafe {
            let zero = self.sum();
            let (mut a, mut b, mut lanes) = ([zero; 16], [zero; 16], [zero; 32]);
            self.store(a.as_mut_ptr());
            other.store(b.as_mut_ptr());
            for i in 0..Self::LANES {
                lanes[i / 2 * 4 + i % 2] = a[i];
                lanes[i / 2 * 4 + i % 2 + 2] = b[i];
            }
            [Self::load(lanes.as_ptr()), Self::load(lanes.as_ptr().add(Self::LANES))]
        }
    }
    /// As `evens`, pair by pair.
    ///
    /// # Safety
    /// As for `splat`.
    #[inline(always)]
    unsafe fn even_pairs(self, other: Self) -> Self {
        // SAFETY: as the caller vouches; there is room for the widest vector.
        unsafe {
            let mut lanes = [self.sum(); 32];
            self.store(lanes.as_mut_ptr());
            other.store(lanes.as_mut_ptr().add(Self::LANES));
            for i in 2..Self::LANES {
                lanes[i] = lanes[i / 2 * 4 + i % 2];
            }
            Self::load(lanes.as_ptr())
        }
    }
    /// Transposes a square as high as a vector: `to[j · to_row + i] = from[i][j]`.
    ///
    /// # Safety
    /// All lanes can be read from the rows that begin at `from`, of which there are `LANES`; and the square at `to` can be written.
    #[inline(always)]
    unsafe fn turn(from: &[*const Self::Element], to: *mut Self::Element, to_row: usize) {
        for i in 0..Self::LANES {
            for j in 0..Self::LANES {
                // SAFETY: as the caller vouches.
                unsafe { to.add(j * to_row + i).write(from[i].add(j).read_unaligned()) };
            }
        }
    }
}

/// Floats that are multiplied and summed, and their vectors on each path.
pub(crate) trait Element:
    Copy + Send + Sync + 'static + std::ops::Add<Output = Self> + From<f32> + Into<f64>
{
    /// 0
    const ZERO: Self;
    /// The bits that are set in a mask.
    fn masked(self, mask: u64) -> Self;
    /// eˣ
    fn exp<M: Machine>(self) -> Self;
    #[cfg(target_arch = "x86_64")]
    #[doc(hidden)]
    type Wide: Vector<Element = Self>;
    #[cfg(target_arch = "x86_64")]
    #[doc(hidden)]
    type Half: Vector<Element = Self>;
    #[cfg(target_arch = "aarch64")]
    #[doc(hidden)]
    type Neon: Vector<Element = Self>;
    #[doc(hidden)]
    type Plain: Vector<Element = Self>;
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn masked(self, mask: u64) -> Self {
        Self::from_bits(self.to_bits() & mask as u32)
    }
    #[inline(always)]
    fn exp<M: Machine>(self) -> Self {
        single::exp::<M>(self)
    }
    #[cfg(target_arch = "x86_64")]
    type Wide = x86::F32x16;
    #[cfg(target_arch = "x86_64")]
    type Half = x86::F32x8;
    #[cfg(target_arch = "aarch64")]
    type Neon = neon::F32x4;
    type Plain = Plain<f32, 4>;
}

impl Element for f64 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn masked(self, mask: u64) -> Self {
        Self::from_bits(self.to_bits() & mask)
    }
    #[inline(always)]
    fn exp<M: Machine>(self) -> Self {
        double::exp::<M>(self)
    }
    #[cfg(target_arch = "x86_64")]
    type Wide = x86::F64x8;
    #[cfg(target_arch = "x86_64")]
    type Half = x86::F64x4;
    #[cfg(target_arch = "aarch64")]
    type Neon = neon::F64x2;
    type Plain = Plain<f64, 2>;
}

/// Work that is written once for all vectors; all of it must be `#[inline(always)]`.
pub(crate) trait Routine<E: Element> {
    /// What it returns.
    type Output;
    /// # Safety
    /// The processor has the vector's instructions.
    unsafe fn run<V: Vector<Element = E>>(self) -> Self::Output;
}

/// Lanes of the vectors of a path.
pub(crate) fn lanes<E: Element>(path: Path) -> usize {
    match path {
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => E::Wide::LANES,
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => E::Half::LANES,
        #[cfg(target_arch = "aarch64")]
        Path::Neon => E::Neon::LANES,
        Path::Portable => E::Plain::LANES,
    }
}

/// Whether the vectors of a path have 32 registers.
pub(crate) fn many<E: Element>(path: Path) -> bool {
    match path {
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => E::Wide::MANY,
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => E::Half::MANY,
        #[cfg(target_arch = "aarch64")]
        Path::Neon => E::Neon::MANY,
        Path::Portable => E::Plain::MANY,
    }
}

/// Runs a routine with the vectors of a path.
///
/// # Safety
/// The processor has the path's instructions.
pub(crate) unsafe fn launch<E: Element, R: Routine<E>>(path: Path, routine: R) -> R::Output {
    match path {
        #[cfg(target_arch = "x86_64")]
        Path::Avx512 => {
            #[target_feature(
                enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512cd,avx512vbmi2,avx2,fma,f16c,popcnt,bmi2"
            )]
            unsafe fn wide<E: Element, R: Routine<E>>(routine: R) -> R::Output {
                // SAFETY: as the caller vouches.
                unsafe { routine.run::<E::Wide>() }
            }
            // SAFETY: as the caller vouches.
            unsafe { wide(routine) }
        }
        #[cfg(target_arch = "x86_64")]
        Path::Avx2 => {
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn half<E: Element, R: Routine<E>>(routine: R) -> R::Output {
                // SAFETY: as the caller vouches.
                unsafe { routine.run::<E::Half>() }
            }
            // SAFETY: as the caller vouches.
            unsafe { half(routine) }
        }
        #[cfg(target_arch = "aarch64")]
        Path::Neon => {
            #[target_feature(enable = "neon")]
            unsafe fn quad<E: Element, R: Routine<E>>(routine: R) -> R::Output {
                // SAFETY: as the caller vouches.
                unsafe { routine.run::<E::Neon>() }
            }
            // SAFETY: as the caller vouches.
            unsafe { quad(routine) }
        }
        // SAFETY: plain arrays ask for nothing.
        Path::Portable => unsafe { routine.run::<E::Plain>() },
    }
}

/// Whether the processor adds products of pairs of bfloat16 numbers, and the path in use may: `launch_pairs` needs it.
pub(crate) fn has_pairs() -> bool {
    #[cfg(target_arch = "x86_64")]
    return path() == Path::Avx512 && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Runs a routine with vectors of f32 whose `plus_product` takes the bits of each lane for two bfloat16 numbers: self + a₀ · b₀ + a₁ · b₁.
///
/// # Safety
/// `has_pairs()`.
pub(crate) unsafe fn launch_pairs<R: Routine<f32>>(routine: R) -> R::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512cd,avx512vbmi2,avx512bf16,avx2,fma,f16c")]
        unsafe fn wide<R: Routine<f32>>(routine: R) -> R::Output {
            // SAFETY: as the caller vouches.
            unsafe { routine.run::<x86::Pairs>() }
        }
        // SAFETY: as the caller vouches.
        unsafe { wide(routine) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = routine;
        unreachable!("no path of this architecture has pairs")
    }
}

/// An array that the compiler makes vectors of.
#[derive(Clone, Copy)]
pub(crate) struct Plain<T, const L: usize>([T; L]);

macro_rules! plain {
    ($type:ty, $lanes:literal) => {
        impl Vector for Plain<$type, $lanes> {
            type Element = $type;
            type Machine = PortableMachine;
            const LANES: usize = $lanes;
            const MANY: bool = cfg!(target_arch = "aarch64");

            #[inline(always)]
            unsafe fn splat(x: $type) -> Self {
                Self([x; $lanes])
            }
            #[inline(always)]
            unsafe fn load(from: *const $type) -> Self {
                // SAFETY: as the caller vouches.
                Self(unsafe { from.cast::<[$type; $lanes]>().read_unaligned() })
            }
            #[inline(always)]
            unsafe fn load_some(from: *const $type, mask: u32) -> Self {
                let mut lanes = [0.0; $lanes];
                for i in 0..$lanes {
                    if mask >> i & 1 == 1 {
                        // SAFETY: as the caller vouches.
                        lanes[i] = unsafe { from.add(i).read_unaligned() };
                    }
                }
                Self(lanes)
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $type) {
                // SAFETY: as the caller vouches.
                unsafe { to.cast::<[$type; $lanes]>().write_unaligned(self.0) }
            }
            #[inline(always)]
            unsafe fn store_packed(self, to: *mut $type, mask: u32) {
                let mut at = 0;
                for i in 0..$lanes {
                    if mask >> i & 1 == 1 {
                        // SAFETY: as the caller vouches.
                        unsafe { to.add(at).write_unaligned(self.0[i]) };
                        at += 1;
                    }
                }
            }
            #[inline(always)]
            unsafe fn plus_product(mut self, a: Self, b: Self) -> Self {
                for i in 0..$lanes {
                    self.0[i] = if cfg!(target_arch = "aarch64") {
                        a.0[i].mul_add(b.0[i], self.0[i])
                    } else {
                        self.0[i] + a.0[i] * b.0[i]
                    };
                }
                self
            }
            #[inline(always)]
            unsafe fn plus(mut self, other: Self) -> Self {
                for i in 0..$lanes {
                    self.0[i] += other.0[i];
                }
                self
            }
            #[inline(always)]
            unsafe fn times(mut self, other: Self) -> Self {
                for i in 0..$lanes {
                    self.0[i] *= other.0[i];
                }
                self
            }
            #[inline(always)]
            unsafe fn sum(self) -> $type {
                let mut sum = self.0[0];
                for i in 1..$lanes {
                    sum += self.0[i];
                }
                sum
            }
        }
    };
}

plain!(f32, 4);
plain!(f64, 2);
