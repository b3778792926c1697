//! Quicksort of unsigned keys by AVX-512: partitions by compressing vectors, short pieces by networks. Depends on nothing.
//! Invariant: only entered where `simd::Path` says that the processor has these instructions; equal keys cannot be told apart, so that
//! neither pivots nor pieces change the result.
#![allow(
    clippy::needless_range_loop,
    reason = "closures over arrays stay calls inside code compiled for other features"
)]

use std::arch::x86_64::{
    __m512i, _mm512_cmplt_epu32_mask, _mm512_cmplt_epu64_mask, _mm512_loadu_si512, _mm512_mask_blend_epi32,
    _mm512_mask_blend_epi64, _mm512_mask_loadu_epi32, _mm512_mask_loadu_epi64, _mm512_mask_storeu_epi32,
    _mm512_mask_storeu_epi64, _mm512_maskz_compress_epi32, _mm512_maskz_compress_epi64, _mm512_max_epu32,
    _mm512_max_epu64, _mm512_min_epu32, _mm512_min_epu64, _mm512_permutexvar_epi32, _mm512_permutexvar_epi64,
    _mm512_set1_epi32, _mm512_set1_epi64, _mm512_storeu_si512,
};

/// Registers of a piece that a network sorts.
const REGISTERS: usize = 8;
/// Bytes of a register, and keys at most.
const WIDTH: usize = 64;
pub(super) const REGISTER: usize = 16;
/// Partitions with bad pivots before a piece is left to another way of sorting, per halving of the keys.
const PATIENCE: u32 = 3;

/// A key whose register is sorted lane by lane.
///
/// # Safety
/// `LANES` keys fill a register, and every method is what its sentence says.
pub(super) unsafe trait Key: Copy + Ord + Default {
    /// Lanes of a register.
    const LANES: usize;
    /// The largest key: it fills up the last register of a piece.
    const LARGEST: Self;
    /// The next larger key.
    fn next(self) -> Option<Self>;
    /// The key in every lane.
    ///
    /// # Safety
    /// The processor has AVX-512F, as for all methods.
    unsafe fn splat(self) -> __m512i;
    /// Lanes of `a` below those of `b`.
    ///
    /// # Safety
    /// As for `splat`.
    unsafe fn below(a: __m512i, b: __m512i) -> u16;
    /// The first `count` lanes from memory; the largest key in the others.
    ///
    /// # Safety
    /// As for `splat`, and the memory has as many keys.
    unsafe fn load(from: *const Self, count: usize) -> __m512i;
    /// Writes the first `count` lanes.
    ///
    /// # Safety
    /// As for `splat`, and the memory has room for as many keys.
    unsafe fn store(to: *mut Self, count: usize, a: __m512i);
    /// Lane by lane the smaller, and the larger.
    ///
    /// # Safety
    /// As for `splat`.
    unsafe fn ordered(a: __m512i, b: __m512i) -> (__m512i, __m512i);
    /// The chosen lanes, moved together.
    ///
    /// # Safety
    /// As for `splat`.
    unsafe fn compress(mask: u16, a: __m512i) -> __m512i;
    /// Lane i of the result is lane i ^ `TURN`.
    ///
    /// # Safety
    /// As for `splat`.
    unsafe fn turned<const TURN: usize>(a: __m512i) -> __m512i;
    /// Every lane i and its partner i ^ `TURN` in order.
    ///
    /// # Safety
    /// As for `splat`.
    unsafe fn exchanged<const TURN: usize>(a: __m512i) -> __m512i;
}

macro_rules! keys {
    ($($key:ident $signed:ident $mask:ident $splat:ident $below:ident $min:ident $max:ident $compress:ident $permute:ident $blend:ident
    $load:ident $store:ident;)*) => {$(
        // SAFETY: the intrinsics are named after what they do.
        unsafe impl Key for $key {
            const LANES: usize = WIDTH / size_of::<$key>();
            const LARGEST: Self = $key::MAX;

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            #[inline]
            #[target_feature(enable = "avx512f")]
            unsafe fn splat(self) -> __m512i {
                $splat(self as $signed)
            }
            #[inline]
            #[target_feature(enable = "avx512f")]
            unsafe fn below(a: __m512i, b: __m512i) -> u16 {
                u16::from($below(a, b))
            }
            #[inline]
            #[target_feature(enable = "avx512f")]
            unsafe fn load(from: *const Self, count: usize) -> __m512i {
                let mask = ((1u32 << count.min(Self::LANES)) - 1) as $mask;
                // SAFETY: lanes beyond the mask are not read.
                unsafe { $load(Self::LARGEST.splat(), mask, from.cast()) }
            }
            #[inline]
            #[target_feature(enable = "avx512f")]
            unsafe fn store(to: *mut Self, count: usize, a: __m512i) {
                let mask = ((1u32 << count.min(Self::LANES)) - 1) as $mask;
                // SAFETY: lanes beyond the mask are not written.
                unsafe { $store(to.cast(), mask, a) }
            }
            #[inline]
            #[target_feature(enable = "avx512f")]
            unsafe fn ordered(a: __m512i, b: __m512i) -> (__m512i, __m512i) {
                ($min(a, b), $max(a, b))
            }
            #[inline]
            #[target_feature(enable = "avx512f")]
            unsafe fn compress(mask: u16, a: __m512i) -> __m512i {
                $compress(mask as $mask, a)
            }
            #[inline]
            #[target_feature(enable = "avx512f")]
            unsafe fn turned<const TURN: usize>(a: __m512i) -> __m512i {
                let from = const {
                    let mut from = [0 as $key; WIDTH / size_of::<$key>()];
                    let mut lane = 0;
                    while lane < from.len() {
                        from[lane] = (lane ^ TURN) as $key;
                        lane += 1;
                    }
                    from
                };
                // SAFETY: the array fills a register.
                $permute(unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }, a)
            }
            #[inline]
            #[target_feature(enable = "avx512f")]
            unsafe fn exchanged<const TURN: usize>(a: __m512i) -> __m512i {
                let upper = const {
                    let (mut upper, mut lane) = (0 as $mask, 0);
                    while lane < WIDTH / size_of::<$key>() {
                        // The larger of a pair goes to the lane that has the turn's top bit.
                        if lane & (TURN + 1).next_power_of_two() / 2 != 0 {
                            upper |= 1 << lane;
                        }
                        lane += 1;
                    }
                    upper
                };
                // SAFETY: as for this function.
                let partner = unsafe { Self::turned::<TURN>(a) };
                $blend(upper, $min(a, partner), $max(a, partner))
            }
        }
    )*};
}

keys! {
    u32 i32 u16 _mm512_set1_epi32 _mm512_cmplt_epu32_mask _mm512_min_epu32 _mm512_max_epu32 _mm512_maskz_compress_epi32
        _mm512_permutexvar_epi32 _mm512_mask_blend_epi32 _mm512_mask_loadu_epi32 _mm512_mask_storeu_epi32;
    u64 i64 u8 _mm512_set1_epi64 _mm512_cmplt_epu64_mask _mm512_min_epu64 _mm512_max_epu64 _mm512_maskz_compress_epi64
        _mm512_permutexvar_epi64 _mm512_mask_blend_epi64 _mm512_mask_loadu_epi64 _mm512_mask_storeu_epi64;
}

/// Whether this processor runs `sort`.
pub(super) fn available() -> bool {
    matches!(super::simd::path(), super::simd::Path::Avx512)
}

/// Sorts keys; `spare` is memory to work in: as long, and `REGISTER` more.
///
/// # Safety
/// `available` says yes.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn sort<K: Key>(keys: &mut [K], spare: &mut [K]) {
    assert!(spare.len() >= keys.len() + REGISTER);
    let depth = PATIENCE * keys.len().max(2).ilog2();
    // SAFETY: the caller vouches for the processor.
    unsafe { piece(keys, spare.as_mut_ptr(), depth) };
}

/// Moves keys below one of them to the front, and says how many there are: none where it is the least.
///
/// # Safety
/// As for `sort`; there are keys.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn split<K: Key>(keys: &mut [K], spare: &mut [K]) -> usize {
    assert!(spare.len() >= keys.len() + REGISTER);
    // SAFETY: the caller vouches for the processor.
    unsafe {
        let pivot = pivot(keys);
        partition(keys, spare.as_mut_ptr(), pivot)
    }
}

/// Sorts a piece.
///
/// # Safety
/// As for `sort`; `spare` has room for the piece and a register more.
#[target_feature(enable = "avx512f")]
unsafe fn piece<K: Key>(mut keys: &mut [K], spare: *mut K, mut depth: u32) {
    // SAFETY: as for this function.
    unsafe {
        while keys.len() > REGISTERS * K::LANES {
            if depth == 0 {
                keys.sort_unstable();
                return;
            }
            depth -= 1;
            let pivot = pivot(keys);
            let smaller = partition(keys, spare, pivot);
            if smaller == 0 {
                // The pivot is the least key: all of its equals come first, and are done.
                let Some(above) = pivot.next() else { return };
                let equal = partition(keys, spare, above);
                keys = &mut keys[equal..];
                continue;
            }
            let (low, high) = keys.split_at_mut(smaller);
            let (few, many) = if low.len() < high.len() { (low, high) } else { (high, low) };
            piece(few, spare, depth);
            keys = many;
        }
        network(keys);
    }
}

/// Moves keys below the pivot to the front, and says how many there are.
///
/// # Safety
/// As for `piece`.
#[target_feature(enable = "avx512f")]
unsafe fn partition<K: Key>(keys: &mut [K], spare: *mut K, pivot: K) -> usize {
    let length = keys.len();
    let start = keys.as_mut_ptr();
    let (mut small, mut large, mut first) = (0, 0, 0);
    // SAFETY: fewer keys are written to the front than were read from it, and a register more than that at most, which was read too.
    // The spare memory has room for all keys and a register.
    unsafe {
        let pivots = pivot.splat();
        while first + K::LANES <= length {
            let vector = _mm512_loadu_si512(start.add(first).cast());
            let below = K::below(vector, pivots);
            let all = (u32::MAX >> (32 - K::LANES)) as u16;
            _mm512_storeu_si512(start.add(small).cast(), K::compress(below, vector));
            _mm512_storeu_si512(spare.add(large).cast(), K::compress(!below & all, vector));
            let count = below.count_ones() as usize;
            small += count;
            large += K::LANES - count;
            first += K::LANES;
        }
        for i in first..length {
            let key = start.add(i).read();
            let below = key < pivot;
            *(if below { start.add(small) } else { spare.add(large) }) = key;
            small += usize::from(below);
            large += usize::from(!below);
        }
        std::ptr::copy_nonoverlapping(spare, start.add(small), large);
    }
    small
}

/// A key near the middle: the median of some.
///
/// # Safety
/// As for `sort`; there are keys.
#[target_feature(enable = "avx512f")]
unsafe fn pivot<K: Key>(keys: &[K]) -> K {
    /// From here on the median of more keys pays.
    const MANY: usize = 4096;
    let mut some = [K::LARGEST; REGISTERS * WIDTH / 4];
    let count = if keys.len() < MANY { K::LANES } else { REGISTERS * K::LANES };
    for i in 0..count {
        some[i] = keys[i * (keys.len() / count) + keys.len() / (2 * count)];
    }
    // SAFETY: as for this function.
    unsafe { network(&mut some[..count]) };
    some[count / 2]
}

/// Sorts at most `REGISTERS` registers of keys.
///
/// # Safety
/// As for `sort`.
#[target_feature(enable = "avx512f")]
unsafe fn network<K: Key>(keys: &mut [K]) {
    // SAFETY: as for this function; the network has room for all keys.
    unsafe {
        match keys.len().div_ceil(K::LANES) {
            0 => {}
            1 => registers::<K, 1>(keys),
            2 => registers::<K, 2>(keys),
            3..=4 => registers::<K, 4>(keys),
            _ => registers::<K, REGISTERS>(keys),
        }
    }
}

/// Repeats a statement for every number below one that is at most `REGISTERS`: with numbers known, arrays of registers stay registers.
macro_rules! unrolled {
    ($i:ident < $n:expr => $body:expr) => {
        unrolled!(0 1 2 3 4 5 6 7: $i < $n => $body)
    };
    ($($number:literal)*: $i:ident < $n:expr => $body:expr) => {$(
        if $number < $n {
            let $i = $number;
            $body;
        }
    )*};
}

/// Sorts keys that fit `N` registers: each register, then pairs of sorted runs made one by bitonic merges.
///
/// # Safety
/// As for `network`.
#[target_feature(enable = "avx512f")]
unsafe fn registers<K: Key, const N: usize>(keys: &mut [K]) {
    let (start, length) = (keys.as_mut_ptr(), keys.len());
    // SAFETY: no lane beyond the keys is touched.
    unsafe {
        let mut vectors = [K::LARGEST.splat(); N];
        for i in 0..N {
            vectors[i] = K::load(start.wrapping_add(i * K::LANES), length.saturating_sub(i * K::LANES));
        }
        unrolled!(i < N => vectors[i] = sorted_lanes::<K>(vectors[i]));
        if N >= 2 {
            merge::<K, N, 1>(&mut vectors);
        }
        if N >= 4 {
            merge::<K, N, 2>(&mut vectors);
        }
        if N >= 8 {
            merge::<K, N, 4>(&mut vectors);
        }
        for i in 0..N {
            K::store(start.wrapping_add(i * K::LANES), length.saturating_sub(i * K::LANES), vectors[i]);
        }
    }
}

/// Makes sorted runs of `RUN` registers one run, two by two.
///
/// # Safety
/// As for `network`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn merge<K: Key, const N: usize, const RUN: usize>(vectors: &mut [__m512i; N]) {
    let before = *vectors;
    // SAFETY: as for this function.
    unsafe {
        // Ends to ends: what is left are two runs that rise and fall, all of one below all of the other.
        unrolled!(i < N / 2 => {
            let (first, place) = (i / RUN * 2 * RUN, i % RUN);
            let back = reversed::<K>(before[first + 2 * RUN - 1 - place]);
            (vectors[first + place], vectors[first + RUN + place]) = K::ordered(before[first + place], back);
        });
        if RUN >= 4 {
            unrolled!(i < N => apart::<K, N, 2>(vectors, i));
        }
        if RUN >= 2 {
            unrolled!(i < N => apart::<K, N, 1>(vectors, i));
        }
        unrolled!(i < N => vectors[i] = merged_lanes::<K>(vectors[i]));
    }
}

/// Orders a register and the one at this distance from it, if it is the first of both.
///
/// # Safety
/// As for `network`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn apart<K: Key, const N: usize, const DISTANCE: usize>(vectors: &mut [__m512i; N], i: usize) {
    if i & DISTANCE == 0 {
        // SAFETY: as for this function.
        (vectors[i], vectors[i + DISTANCE]) = unsafe { K::ordered(vectors[i], vectors[i + DISTANCE]) };
    }
}

/// The lanes of a register in order.
///
/// # Safety
/// As for `network`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn sorted_lanes<K: Key>(vector: __m512i) -> __m512i {
    // SAFETY: as for this function.
    unsafe {
        let pairs = K::exchanged::<1>(vector);
        let fours = K::exchanged::<1>(K::exchanged::<3>(pairs));
        let eights = K::exchanged::<1>(K::exchanged::<2>(K::exchanged::<7>(fours)));
        if K::LANES == 8 { eights } else { merged_lanes_of_8::<K>(K::exchanged::<15>(eights)) }
    }
}

/// The lanes of a register that rise and fall in order.
///
/// # Safety
/// As for `network`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn merged_lanes<K: Key>(vector: __m512i) -> __m512i {
    // SAFETY: as for this function.
    unsafe { merged_lanes_of_8::<K>(if K::LANES == 8 { vector } else { K::exchanged::<8>(vector) }) }
}

/// As `merged_lanes` for every eight lanes.
///
/// # Safety
/// As for `network`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn merged_lanes_of_8<K: Key>(vector: __m512i) -> __m512i {
    // SAFETY: as for this function.
    unsafe { K::exchanged::<1>(K::exchanged::<2>(K::exchanged::<4>(vector))) }
}

/// The lanes of a register backwards.
///
/// # Safety
/// As for `network`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn reversed<K: Key>(vector: __m512i) -> __m512i {
    // SAFETY: as for this function.
    unsafe { if K::LANES == 8 { K::turned::<7>(vector) } else { K::turned::<15>(vector) } }
}
