//! Vectors of the processor, as far as products of matrices and convolutions need them. Depends on `simd`.
//! Invariant: an implementation beyond `Plain` is only reached through `launch`, which asks for its instructions.
#![allow(clippy::needless_range_loop, reason = "iterators over arrays may stay calls inside code of other features")]

use crate::kit::simd::Path;

/// A vector of floats. A set bit `i` of a mask stands for lane `i`.
pub(crate) trait Vector: Copy {
    /// What a lane holds.
    type Element: Copy;
    /// How many there are.
    const LANES: usize;
    /// Whether there are 32 registers, or 16.
    const MANY: bool;
    /// The mask of all lanes.
    const ALL: u32 = ((1u64 << Self::LANES) - 1) as u32;

    /// # Safety
    /// The processor has the vector's instructions; so for every function here.
    unsafe fn splat(x: Self::Element) -> Self;
    /// # Safety
    /// All lanes can be read.
    unsafe fn load(from: *const Self::Element) -> Self;
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
    /// self + a · b
    ///
    /// # Safety
    /// As for `splat`.
    unsafe fn plus_product(self, a: Self, b: Self) -> Self;
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
    /// Asks for what lies there, if the processor can.
    #[inline(always)]
    fn fetch(from: *const Self::Element) {
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
    #[cfg(target_arch = "x86_64")]
    #[doc(hidden)]
    type Wide: Vector<Element = Self>;
    #[cfg(target_arch = "x86_64")]
    #[doc(hidden)]
    type Half: Vector<Element = Self>;
    #[doc(hidden)]
    type Plain: Vector<Element = Self>;
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn masked(self, mask: u64) -> Self {
        Self::from_bits(self.to_bits() & mask as u32)
    }
    #[cfg(target_arch = "x86_64")]
    type Wide = x86::F32x16;
    #[cfg(target_arch = "x86_64")]
    type Half = x86::F32x8;
    type Plain = Plain<f32, 4>;
}

impl Element for f64 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn masked(self, mask: u64) -> Self {
        Self::from_bits(self.to_bits() & mask)
    }
    #[cfg(target_arch = "x86_64")]
    type Wide = x86::F64x8;
    #[cfg(target_arch = "x86_64")]
    type Half = x86::F64x4;
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
        // SAFETY: plain arrays ask for nothing.
        Path::Portable => unsafe { routine.run::<E::Plain>() },
    }
}

/// An array that the compiler makes vectors of.
#[derive(Clone, Copy)]
pub(crate) struct Plain<T, const L: usize>([T; L]);

macro_rules! plain {
    ($type:ty, $lanes:literal) => {
        impl Vector for Plain<$type, $lanes> {
            type Element = $type;
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

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Vector;

    macro_rules! wide {
        ($name:ident, $register:ty, $type:ty, $lanes:literal, $mask:ty, $set:ident, $load:ident, $load_some:ident, $store:ident,
         $store_some:ident, $pack:ident, $fma:ident, $add:ident, $mul:ident, $sum:ident, $($own:item),*) => {
            /// 512 bits.
            #[derive(Clone, Copy)]
            pub(crate) struct $name($register);

            // SAFETY of all functions: the processor has AVX-512, and memory is as the trait's callers vouch.
            impl Vector for $name {
                type Element = $type;
                const LANES: usize = $lanes;
                const MANY: bool = true;

                #[inline(always)]
                fn fetch(from: *const $type) {
                    // SAFETY: what is fetched need not be there.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
                }
                #[inline(always)]
                unsafe fn splat(x: $type) -> Self {
                    // SAFETY: as above.
                    Self(unsafe { $set(x) })
                }
                #[inline(always)]
                unsafe fn load(from: *const $type) -> Self {
                    // SAFETY: as above.
                    Self(unsafe { $load(from) })
                }
                #[inline(always)]
                unsafe fn load_some(from: *const $type, mask: u32) -> Self {
                    // SAFETY: as above; lanes outside the mask are not touched.
                    Self(unsafe { $load_some(mask as $mask, from) })
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut $type) {
                    // SAFETY: as above.
                    unsafe { $store(to, self.0) }
                }
                #[inline(always)]
                unsafe fn store_packed(self, to: *mut $type, mask: u32) {
                    // SAFETY: as above; as many elements are touched as the mask has lanes.
                    unsafe {
                        if mask == Self::ALL {
                            return $store(to, self.0);
                        }
                        $store_some(to, ((1u32 << mask.count_ones()) - 1) as $mask, $pack(mask as $mask, self.0));
                    }
                }
                #[inline(always)]
                unsafe fn plus_product(self, a: Self, b: Self) -> Self {
                    // SAFETY: as above.
                    Self(unsafe { $fma(a.0, b.0, self.0) })
                }
                #[inline(always)]
                unsafe fn plus(self, other: Self) -> Self {
                    // SAFETY: as above.
                    Self(unsafe { $add(self.0, other.0) })
                }
                #[inline(always)]
                unsafe fn times(self, other: Self) -> Self {
                    // SAFETY: as above.
                    Self(unsafe { $mul(self.0, other.0) })
                }
                #[inline(always)]
                unsafe fn sum(self) -> $type {
                    // SAFETY: as above.
                    unsafe { $sum(self.0) }
                }
                $($own)*
            }
        };
    }

    wide!(
        F32x16,
        __m512,
        f32,
        16,
        __mmask16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_maskz_loadu_ps,
        _mm512_storeu_ps,
        _mm512_mask_storeu_ps,
        _mm512_maskz_compress_ps,
        _mm512_fmadd_ps,
        _mm512_add_ps,
        _mm512_mul_ps,
        _mm512_reduce_add_ps,
        #[inline(always)]
        unsafe fn turn(from: &[*const f32], to: *mut f32, to_row: usize) {
            // SAFETY: as above.
            unsafe { turn_16(from, to, to_row) }
        },
        #[inline(always)]
        unsafe fn evens(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe {
                let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
                Self(_mm512_permutex2var_ps(self.0, even, other.0))
            }
        },
        #[inline(always)]
        unsafe fn zip(self, other: Self) -> [Self; 2] {
            // SAFETY: as above.
            unsafe {
                let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
                let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
                let low = _mm512_permutex2var_ps(self.0, low, other.0);
                [Self(low), Self(_mm512_permutex2var_ps(self.0, high, other.0))]
            }
        }
    );
    wide!(
        F64x8,
        __m512d,
        f64,
        8,
        __mmask8,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        _mm512_maskz_loadu_pd,
        _mm512_storeu_pd,
        _mm512_mask_storeu_pd,
        _mm512_maskz_compress_pd,
        _mm512_fmadd_pd,
        _mm512_add_pd,
        _mm512_mul_pd,
        _mm512_reduce_add_pd,
        #[inline(always)]
        unsafe fn evens(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe {
                let even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
                Self(_mm512_permutex2var_pd(self.0, even, other.0))
            }
        }
    );

    /// Sixteen rows of sixteen: pairs, then fours, then the quarters of registers change places.
    #[inline(always)]
    unsafe fn turn_16(from: &[*const f32], to: *mut f32, to_row: usize) {
        // SAFETY: as the callers of `turn` vouch.
        unsafe {
            let zero = _mm512_setzero_ps();
            let mut pairs = [zero; 16];
            for i in 0..8 {
                let (a, b) = (_mm512_loadu_ps(from[2 * i]), _mm512_loadu_ps(from[2 * i + 1]));
                pairs[2 * i] = _mm512_unpacklo_ps(a, b);
                pairs[2 * i + 1] = _mm512_unpackhi_ps(a, b);
            }
            let mut fours = [zero; 16];
            for i in 0..4 {
                for half in 0..2 {
                    let a = _mm512_castps_pd(pairs[4 * i + half]);
                    let b = _mm512_castps_pd(pairs[4 * i + half + 2]);
                    fours[4 * i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                    fours[4 * i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
                }
            }
            for j in 0..4 {
                let (a, b, c, d) = (fours[j], fours[4 + j], fours[8 + j], fours[12 + j]);
                let (ab, cd) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(c, d));
                _mm512_storeu_ps(to.add(j * to_row), _mm512_shuffle_f32x4::<0x88>(ab, cd));
                _mm512_storeu_ps(to.add((j + 8) * to_row), _mm512_shuffle_f32x4::<0xdd>(ab, cd));
                let (ab, cd) = (_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(c, d));
                _mm512_storeu_ps(to.add((j + 4) * to_row), _mm512_shuffle_f32x4::<0x88>(ab, cd));
                _mm512_storeu_ps(to.add((j + 12) * to_row), _mm512_shuffle_f32x4::<0xdd>(ab, cd));
            }
        }
    }

    /// Eight rows of eight, likewise.
    #[inline(always)]
    unsafe fn turn_8(from: &[*const f32], to: *mut f32, to_row: usize) {
        // SAFETY: as the callers of `turn` vouch.
        unsafe {
            let zero = _mm256_setzero_ps();
            let mut pairs = [zero; 8];
            for i in 0..4 {
                let (a, b) = (_mm256_loadu_ps(from[2 * i]), _mm256_loadu_ps(from[2 * i + 1]));
                pairs[2 * i] = _mm256_unpacklo_ps(a, b);
                pairs[2 * i + 1] = _mm256_unpackhi_ps(a, b);
            }
            for half in 0..2 {
                let (a, b) = (pairs[half], pairs[half + 2]);
                let (c, d) = (pairs[half + 4], pairs[half + 6]);
                let (ab, cd) = (_mm256_shuffle_ps::<0x44>(a, b), _mm256_shuffle_ps::<0x44>(c, d));
                _mm256_storeu_ps(to.add(2 * half * to_row), _mm256_permute2f128_ps::<0x20>(ab, cd));
                _mm256_storeu_ps(to.add((2 * half + 4) * to_row), _mm256_permute2f128_ps::<0x31>(ab, cd));
                let (ab, cd) = (_mm256_shuffle_ps::<0xee>(a, b), _mm256_shuffle_ps::<0xee>(c, d));
                _mm256_storeu_ps(to.add((2 * half + 1) * to_row), _mm256_permute2f128_ps::<0x20>(ab, cd));
                _mm256_storeu_ps(to.add((2 * half + 5) * to_row), _mm256_permute2f128_ps::<0x31>(ab, cd));
            }
        }
    }

    macro_rules! half {
        ($name:ident, $register:ty, $type:ty, $lanes:literal, $set:ident, $load:ident, $load_some:ident, $store:ident, $fma:ident, $add:ident, $mul:ident,
         $integer:ident, $ones:ident, $equal:ident, [$($bit:literal)*], $($turn:item)?) => {
            /// 256 bits.
            #[derive(Clone, Copy)]
            pub(crate) struct $name($register);

            // SAFETY of all functions: the processor has AVX2 and FMA, and memory is as the trait's callers vouch.
            impl Vector for $name {
                type Element = $type;
                const LANES: usize = $lanes;
                const MANY: bool = false;

                #[inline(always)]
                fn fetch(from: *const $type) {
                    // SAFETY: what is fetched need not be there.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
                }
                #[inline(always)]
                unsafe fn splat(x: $type) -> Self {
                    // SAFETY: as above.
                    Self(unsafe { $set(x) })
                }
                #[inline(always)]
                unsafe fn load(from: *const $type) -> Self {
                    // SAFETY: as above.
                    Self(unsafe { $load(from) })
                }
                #[inline(always)]
                unsafe fn load_some(from: *const $type, mask: u32) -> Self {
                    // SAFETY: as above; lanes outside the mask are not touched.
                    unsafe {
                        let bits = $integer($($bit),*);
                        Self($load_some(from, $equal(_mm256_and_si256($ones(mask as _), bits), bits)))
                    }
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut $type) {
                    // SAFETY: as above.
                    unsafe { $store(to, self.0) }
                }
                #[inline(always)]
                unsafe fn store_packed(self, to: *mut $type, mask: u32) {
                    // SAFETY: as above; as many elements are touched as the mask has lanes.
                    unsafe {
                        if mask == Self::ALL {
                            return $store(to, self.0);
                        }
                        let mut lanes = [0.0; $lanes];
                        $store(lanes.as_mut_ptr(), self.0);
                        let mut at = 0;
                        for i in 0..$lanes {
                            if mask >> i & 1 == 1 {
                                to.add(at).write_unaligned(lanes[i]);
                                at += 1;
                            }
                        }
                    }
                }
                #[inline(always)]
                unsafe fn plus_product(self, a: Self, b: Self) -> Self {
                    // SAFETY: as above.
                    Self(unsafe { $fma(a.0, b.0, self.0) })
                }
                #[inline(always)]
                unsafe fn plus(self, other: Self) -> Self {
                    // SAFETY: as above.
                    Self(unsafe { $add(self.0, other.0) })
                }
                #[inline(always)]
                unsafe fn times(self, other: Self) -> Self {
                    // SAFETY: as above.
                    Self(unsafe { $mul(self.0, other.0) })
                }
                #[inline(always)]
                unsafe fn sum(self) -> $type {
                    let mut lanes = [0.0; $lanes];
                    // SAFETY: as above.
                    unsafe { $store(lanes.as_mut_ptr(), self.0) };
                    let mut left = $lanes / 2;
                    while left > 0 {
                        for i in 0..left {
                            lanes[i] += lanes[i + left];
                        }
                        left /= 2;
                    }
                    lanes[0]
                }
                $($turn)?
            }
        };
    }

    half!(
        F32x8, __m256, f32, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_maskload_ps, _mm256_storeu_ps, _mm256_fmadd_ps, _mm256_add_ps, _mm256_mul_ps,
        _mm256_setr_epi32, _mm256_set1_epi32, _mm256_cmpeq_epi32, [1 2 4 8 16 32 64 128],
        #[inline(always)]
        unsafe fn turn(from: &[*const f32], to: *mut f32, to_row: usize) {
            // SAFETY: as above.
            unsafe { turn_8(from, to, to_row) }
        }
    );
    half!(
        F64x4, __m256d, f64, 4, _mm256_set1_pd, _mm256_loadu_pd, _mm256_maskload_pd, _mm256_storeu_pd, _mm256_fmadd_pd, _mm256_add_pd, _mm256_mul_pd,
        _mm256_setr_epi64x, _mm256_set1_epi64x, _mm256_cmpeq_epi64, [1 2 4 8],
    );
}
