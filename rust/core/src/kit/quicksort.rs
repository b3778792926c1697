//! Quicksort of unsigned keys by AVX-512: partitions by compressing vectors, short pieces by networks. Depends on nothing.
//! Invariant: only entered where `simd::Path` says that the processor has these instructions; equal keys cannot be told apart, so that
//! neither pivots nor pieces change the result.
#![allow(
    clippy::needless_range_loop,
    reason = "closures over arrays stay calls inside code compiled for other features"
)]

use std::arch::x86_64::{
    __m512i, _mm512_cmplt_epu32_mask, _mm512_cmplt_epu64_mask, _mm512_loadu_si512, _mm512_mask_loadu_epi32,
    _mm512_mask_loadu_epi64, _mm512_mask_max_epu32, _mm512_mask_max_epu64, _mm512_mask_storeu_epi32,
    _mm512_mask_storeu_epi64, _mm512_maskz_compress_epi32, _mm512_maskz_compress_epi64, _mm512_max_epu32,
    _mm512_max_epu64, _mm512_min_epu32, _mm512_min_epu64, _mm512_permutex2var_epi32, _mm512_permutex2var_epi64,
    _mm512_permutexvar_epi32, _mm512_permutexvar_epi64, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_storeu_si512,
};

/// Registers of a piece that a network sorts.
const REGISTERS: usize = 16;
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
    /// Every lane i with lane i ^ `TURN` of the other register: the smaller of both where the turn's top bit is not in i, else the larger.
    ///
    /// # Safety
    /// As for `splat`.
    unsafe fn met<const TURN: usize>(a: __m512i, b: __m512i) -> __m512i;
    /// The lanes of both in turns: the first half of these, and the second.
    ///
    /// # Safety
    /// As for `splat`.
    unsafe fn interleaved(a: __m512i, b: __m512i) -> (__m512i, __m512i);
}

macro_rules! keys {
    ($($key:ident $signed:ident $mask:ident $splat:ident $below:ident $min:ident $max:ident $compress:ident $permute:ident $max_some:ident
    $permute_two:ident $load:ident $store:ident;)*) => {$(
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
            unsafe fn met<const TURN: usize>(a: __m512i, b: __m512i) -> __m512i {
                let (from, upper) = const {
                    let (mut from, mut upper, mut lane) = ([0 as $key; WIDTH / size_of::<$key>()], 0 as $mask, 0);
                    while lane < from.len() {
                        from[lane] = (lane ^ TURN) as $key;
                        if lane & (TURN + 1).next_power_of_two() / 2 != 0 {
                            upper |= 1 << lane;
                        }
                        lane += 1;
                    }
                    (from, upper)
                };
                // SAFETY: the array fills a register.
                let partner = $permute(unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }, b);
                $max_some($min(a, partner), upper, a, partner)
            }
            #[inline]
            #[target_feature(enable = "avx512f")]
            unsafe fn interleaved(a: __m512i, b: __m512i) -> (__m512i, __m512i) {
                let from = const {
                    const LANES: usize = WIDTH / size_of::<$key>();
                    let (mut from, mut lane) = ([[0 as $key; LANES]; 2], 0);
                    while lane < 2 * LANES {
                        // The lanes of the second register count on from those of the first.
                        from[lane / LANES][lane % LANES] = (lane / 2 + lane % 2 * LANES) as $key;
                        lane += 1;
                    }
                    from
                };
                // SAFETY: the arrays fill registers.
                let low = unsafe { _mm512_loadu_si512(from[0].as_ptr().cast()) };
                // SAFETY: as above.
                let high = unsafe { _mm512_loadu_si512(from[1].as_ptr().cast()) };
                ($permute_two(a, low, b), $permute_two(a, high, b))
            }
        }
    )*};
}

keys! {
    u32 i32 u16 _mm512_set1_epi32 _mm512_cmplt_epu32_mask _mm512_min_epu32 _mm512_max_epu32 _mm512_maskz_compress_epi32
        _mm512_permutexvar_epi32 _mm512_mask_max_epu32 _mm512_permutex2var_epi32 _mm512_mask_loadu_epi32 _mm512_mask_storeu_epi32;
    u64 i64 u8 _mm512_set1_epi64 _mm512_cmplt_epu64_mask _mm512_min_epu64 _mm512_max_epu64 _mm512_maskz_compress_epi64
        _mm512_permutexvar_epi64 _mm512_mask_max_epu64 _mm512_permutex2var_epi64 _mm512_mask_loadu_epi64 _mm512_mask_storeu_epi64;
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
/// As for `sort`; there are more keys than a network sorts.
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
#[target_feature(enable = "avx512f,popcnt")]
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
        let rest = length - first;
        let vector = K::load(start.add(first), rest);
        let existing = ((1u32 << rest) - 1) as u16;
        let below = K::below(vector, pivots) & existing;
        let count = below.count_ones() as usize;
        K::store(start.add(small), count, K::compress(below, vector));
        _mm512_storeu_si512(spare.add(large).cast(), K::compress(!below & existing, vector));
        small += count;
        std::ptr::copy_nonoverlapping(spare, start.add(small), length - small);
    }
    small
}

/// A key near the middle: the median of medians of three, or of nine, keys per lane.
///
/// # Safety
/// As for `sort`; there are more keys than a network sorts.
#[target_feature(enable = "avx512f")]
unsafe fn pivot<K: Key>(keys: &[K]) -> K {
    /// From here on the median of more keys pays.
    const MANY: usize = 4096;
    let mut some = [K::LARGEST; REGISTER];
    // SAFETY: as for this function; registers that begin before the last eighth of so many keys end among them.
    unsafe {
        let register = |sixteenth: usize| _mm512_loadu_si512(keys.as_ptr().add(keys.len() / 16 * sixteenth).cast());
        let median = if keys.len() < MANY {
            median_lanes::<K>(register(3), register(7), register(11))
        } else {
            let first = median_lanes::<K>(register(1), register(2), register(4));
            let second = median_lanes::<K>(register(6), register(7), register(9));
            median_lanes::<K>(first, second, median_lanes::<K>(register(11), register(13), register(14)))
        };
        K::store(some.as_mut_ptr(), K::LANES, sorted_lanes::<K>(median));
    }
    some[K::LANES / 2]
}

/// Lane by lane the median.
///
/// # Safety
/// As for `network`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn median_lanes<K: Key>(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    // SAFETY: as for this function.
    unsafe {
        let (low, high) = K::ordered(a, b);
        K::ordered(low, K::ordered(high, c).0).1
    }
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
            5..=8 => registers::<K, 8>(keys),
            _ => registers::<K, REGISTERS>(keys),
        }
    }
}

/// Repeats a statement for every number below one that is at most `REGISTERS`: with numbers known, arrays of registers stay registers.
macro_rules! unrolled {
    ($i:ident < $n:expr => $body:expr) => {
        unrolled!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15: $i < $n => $body)
    };
    ($($number:literal)*: $i:ident < $n:expr => $body:expr) => {$(
        if $number < $n {
            let $i = $number;
            $body;
        }
    )*};
}

/// Exchanges pairs of registers whose lanes are not in order.
macro_rules! compared {
    ($key:ident $vectors:ident: $($low:literal $high:literal),*) => {{
        $(($vectors[$low], $vectors[$high]) = $key::ordered($vectors[$low], $vectors[$high]);)*
    }};
}

/// Sorts keys that fit `N` registers. First each lane by itself, through all registers; then neighbouring lanes, two, four and all, are
/// merged, which moves little between lanes; last the keys, which now follow each other down the lanes, are laid along the registers.
///
/// # Safety
/// As for `network`.
#[target_feature(enable = "avx512f")]
unsafe fn registers<K: Key, const N: usize>(keys: &mut [K]) {
    let (start, length) = (keys.as_mut_ptr(), keys.len());
    // SAFETY: no lane beyond the keys is touched.
    unsafe {
        let mut vectors = [K::LARGEST.splat(); N];
        unrolled!(i < N => vectors[i] = K::load(start.wrapping_add(i * K::LANES), length.saturating_sub(i * K::LANES)));
        columns::<K, N>(&mut vectors);
        merge::<K, N, 1>(&mut vectors);
        merge::<K, N, 2>(&mut vectors);
        merge::<K, N, 4>(&mut vectors);
        if K::LANES == 16 {
            merge::<K, N, 8>(&mut vectors);
        }
        // Each time the place of a key, its register and lane as one number, is turned by a bit.
        if N >= 2 {
            interleave::<K, N>(&mut vectors);
        }
        if N >= 4 {
            interleave::<K, N>(&mut vectors);
        }
        if N >= 8 {
            interleave::<K, N>(&mut vectors);
        }
        if N >= 16 {
            interleave::<K, N>(&mut vectors);
        }
        unrolled!(i < N => K::store(start.wrapping_add(i * K::LANES), length.saturating_sub(i * K::LANES), vectors[i]));
    }
}

/// Sorts every lane through all registers, by the shortest networks known.
///
/// # Safety
/// As for `network`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn columns<K: Key, const N: usize>(v: &mut [__m512i; N]) {
    // SAFETY: as for this function.
    unsafe {
        match N {
            2 => compared!(K v: 0 1),
            4 => compared!(K v: 0 2, 1 3, 0 1, 2 3, 1 2),
            8 => {
                compared!(K v: 0 2, 1 3, 4 6, 5 7, 0 4, 1 5, 2 6, 3 7, 0 1, 2 3, 4 5, 6 7, 2 4, 3 5, 1 4, 3 6, 1 2, 3 4, 5 6)
            }
            16 => {
                compared!(K v: 0 13, 1 12, 2 15, 3 14, 4 8, 5 6, 7 11, 9 10, 0 5, 1 7, 2 9, 3 4, 6 13, 8 14, 10 15, 11 12,
                0 1, 2 3, 4 5, 6 8, 7 9, 10 11, 12 13, 14 15, 0 2, 1 3, 4 10, 5 11, 6 7, 8 9, 12 14, 13 15,
                1 2, 3 12, 4 6, 5 7, 8 10, 9 11, 13 14, 1 4, 2 6, 5 8, 7 10, 9 13, 11 14, 2 4, 3 6, 9 12, 11 13,
                3 5, 6 8, 7 9, 10 12, 3 4, 5 6, 7 8, 9 10, 11 12, 6 7, 8 9)
            }
            _ => {}
        }
    }
}

/// Makes sorted runs of `RUN` lanes one run, two by two.
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
        unrolled!(i < N => vectors[i] = match RUN {
            1 => K::met::<1>(before[i], before[N - 1 - i]),
            2 => K::met::<3>(before[i], before[N - 1 - i]),
            4 => K::met::<7>(before[i], before[N - 1 - i]),
            _ => K::met::<15>(before[i], before[N - 1 - i]),
        });
        if RUN >= 8 {
            unrolled!(i < N => vectors[i] = K::met::<4>(vectors[i], vectors[i]));
        }
        if RUN >= 4 {
            unrolled!(i < N => vectors[i] = K::met::<2>(vectors[i], vectors[i]));
        }
        if RUN >= 2 {
            unrolled!(i < N => vectors[i] = K::met::<1>(vectors[i], vectors[i]));
        }
        if N >= 16 {
            unrolled!(i < N => apart::<K, N, 8>(vectors, i));
        }
        if N >= 8 {
            unrolled!(i < N => apart::<K, N, 4>(vectors, i));
        }
        if N >= 4 {
            unrolled!(i < N => apart::<K, N, 2>(vectors, i));
        }
        if N >= 2 {
            unrolled!(i < N => apart::<K, N, 1>(vectors, i));
        }
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

/// Lanes of the first half of the registers and of the second in turns.
///
/// # Safety
/// As for `network`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn interleave<K: Key, const N: usize>(vectors: &mut [__m512i; N]) {
    let before = *vectors;
    // SAFETY: as for this function.
    unrolled!(i < N / 2 => (vectors[2 * i], vectors[2 * i + 1]) = unsafe { K::interleaved(before[i], before[i + N / 2]) });
}

/// The lanes of a register in order.
///
/// # Safety
/// As for `network`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn sorted_lanes<K: Key>(vector: __m512i) -> __m512i {
    let mut vectors = [vector];
    // SAFETY: as for this function.
    unsafe {
        merge::<K, 1, 1>(&mut vectors);
        merge::<K, 1, 2>(&mut vectors);
        merge::<K, 1, 4>(&mut vectors);
        if K::LANES == 16 {
            merge::<K, 1, 8>(&mut vectors);
        }
    }
    vectors[0]
}
