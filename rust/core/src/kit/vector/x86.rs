//! Vectors of AVX-512 and of AVX2 with FMA. Depends on `vector`.
//! Invariant: its functions are only reached where the processor has their instructions.
#![allow(clippy::needless_range_loop, reason = "iterators over arrays may stay calls inside code of other features")]

use std::arch::x86_64::*;

use super::Vector;
use crate::kit::math::single::{EXP, EXP_RANGE, LN2_HIGH, LN2_LOW, MAGIC};
use crate::kit::simd::FusedMachine;

macro_rules! wide {
    ($name:ident, $register:ty, $type:ty, $lanes:literal, $mask:ty, $set:ident, $load:ident, $load_some:ident, $store:ident,
     $store_some:ident, $pack:ident, $fma:ident, $add:ident, $mul:ident, $sum:ident, $($own:item),*) => {
        /// 512 bits.
        #[derive(Clone, Copy)]
        pub(crate) struct $name($register);

        // SAFETY of all functions: the processor has AVX-512, and memory is as the trait's callers vouch.
        impl Vector for $name {
            type Element = $type;
            type Machine = FusedMachine;
            const LANES: usize = $lanes;
            const MANY: bool = true;

            #[inline(always)]
            fn fetch(from: *const $type) {
                // SAFETY: what is fetched need not be there.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
            }
            #[inline(always)]
            fn fetch_early(from: *const $type) {
                // SAFETY: as for `fetch`.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
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
                    self.store_part(to, mask);
                }
            }
            #[inline(always)]
            unsafe fn store_part(self, to: *mut $type, mask: u32) {
                // SAFETY: as for `store_packed`.
                unsafe { $store_some(to, ((1u32 << mask.count_ones()) - 1) as $mask, $pack(mask as $mask, self.0)) }
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
    unsafe fn exp(self) -> Self {
        // SAFETY: as above.
        Self(unsafe { exp_16(self.0) })
    },
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
    unsafe fn odds(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            Self(_mm512_permutex2var_ps(self.0, odd, other.0))
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
    },
    #[inline(always)]
    unsafe fn even_pairs(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            let even = _mm512_setr_epi32(0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29);
            Self(_mm512_permutex2var_ps(self.0, even, other.0))
        }
    },
    #[inline(always)]
    unsafe fn zip_pairs(self, other: Self) -> [Self; 2] {
        // SAFETY: as above.
        unsafe {
            let low = _mm512_setr_epi32(0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23);
            let high = _mm512_setr_epi32(8, 9, 24, 25, 10, 11, 26, 27, 12, 13, 28, 29, 14, 15, 30, 31);
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

wide!(
    Pairs,
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
    plus_pairs,
    _mm512_add_ps,
    _mm512_mul_ps,
    _mm512_reduce_add_ps,
);

/// The sum of `sum` and both products of each lane of bfloat16 pairs.
#[inline(always)]
unsafe fn plus_pairs(a: __m512, b: __m512, sum: __m512) -> __m512 {
    // SAFETY: the processor has AVX-512 BF16; any bits are bfloat16 numbers.
    unsafe {
        _mm512_dpbf16_ps(sum, std::mem::transmute::<__m512, __m512bh>(a), std::mem::transmute::<__m512, __m512bh>(b))
    }
}

/// `single::exp` of sixteen, where one instruction multiplies by 2ⁿ and rounds once. Of two operands, one of them NaN, minimum and maximum
/// are the second.
#[inline(always)]
unsafe fn exp_16(x: __m512) -> __m512 {
    // SAFETY: the processor has AVX-512.
    unsafe {
        let x = _mm512_min_ps(_mm512_set1_ps(EXP_RANGE[1]), _mm512_max_ps(_mm512_set1_ps(EXP_RANGE[0]), x));
        let magic = _mm512_set1_ps(MAGIC);
        let n = _mm512_sub_ps(_mm512_fmadd_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E), magic), magic);
        let r = _mm512_fmadd_ps(n, _mm512_set1_ps(-LN2_LOW), _mm512_fmadd_ps(n, _mm512_set1_ps(-LN2_HIGH), x));
        let mut p = _mm512_set1_ps(EXP[6]);
        let mut i = 6;
        while i > 0 {
            i -= 1;
            p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(EXP[i]));
        }
        _mm512_scalef_ps(p, n)
    }
}

/// `single::exp` of eight.
#[inline(always)]
unsafe fn exp_8(x: __m256) -> __m256 {
    // SAFETY: the processor has AVX2 and FMA.
    unsafe {
        let x = _mm256_min_ps(_mm256_set1_ps(EXP_RANGE[1]), _mm256_max_ps(_mm256_set1_ps(EXP_RANGE[0]), x));
        let magic = _mm256_set1_ps(MAGIC);
        let shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(std::f32::consts::LOG2_E), magic);
        let n = _mm256_sub_ps(shifted, magic);
        let r = _mm256_fmadd_ps(n, _mm256_set1_ps(-LN2_LOW), _mm256_fmadd_ps(n, _mm256_set1_ps(-LN2_HIGH), x));
        let mut p = _mm256_set1_ps(EXP[6]);
        let mut i = 6;
        while i > 0 {
            i -= 1;
            p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP[i]));
        }
        let bias = _mm256_set1_epi32((MAGIC.to_bits() as i32).wrapping_sub(254));
        let biased = _mm256_sub_epi32(_mm256_castps_si256(shifted), bias);
        let half = _mm256_srli_epi32::<1>(biased);
        let first = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(half));
        let rest = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_sub_epi32(biased, half)));
        _mm256_mul_ps(_mm256_mul_ps(p, first), rest)
    }
}

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
     $integer:ident, $ones:ident, $equal:ident, [$($bit:literal)*], $($own:item),*) => {
        /// 256 bits.
        #[derive(Clone, Copy)]
        pub(crate) struct $name($register);

        // SAFETY of all functions: the processor has AVX2 and FMA, and memory is as the trait's callers vouch.
        impl Vector for $name {
            type Element = $type;
            type Machine = FusedMachine;
            const LANES: usize = $lanes;
            const MANY: bool = false;

            #[inline(always)]
            fn fetch(from: *const $type) {
                // SAFETY: what is fetched need not be there.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
            }
            #[inline(always)]
            fn fetch_early(from: *const $type) {
                // SAFETY: as for `fetch`.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
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
            $($own)*
        }
    };
}

half!(
    F32x8, __m256, f32, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_maskload_ps, _mm256_storeu_ps, _mm256_fmadd_ps, _mm256_add_ps, _mm256_mul_ps,
    _mm256_setr_epi32, _mm256_set1_epi32, _mm256_cmpeq_epi32, [1 2 4 8 16 32 64 128],
    #[inline(always)]
    unsafe fn exp(self) -> Self {
        // SAFETY: as above.
        Self(unsafe { exp_8(self.0) })
    },
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
