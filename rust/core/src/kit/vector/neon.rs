//! Vectors of NEON, which every 64-bit ARM processor has. Depends on `vector`.
//! Invariant: its functions are only reached where the processor has their instructions.
#![allow(clippy::needless_range_loop, reason = "iterators over arrays may stay calls inside code of other features")]

use std::arch::aarch64::*;

use super::Vector;
use crate::kit::simd::NeonMachine;

/// Asks for a cache line.
#[inline(always)]
fn fetch_line<T>(from: *const T) {
    // SAFETY: what is fetched need not be there.
    unsafe { std::arch::asm!("prfm pldl1keep, [{}]", in(reg) from, options(nostack, preserves_flags, readonly)) }
}

macro_rules! quad {
    ($name:ident, $register:ty, $type:ty, $lanes:literal, $set:ident, $load:ident, $load_one:literal, $store:ident, $fma:ident, $add:ident,
     $mul:ident, $sum:ident, $by_lane:ident [$($lane:literal)*], $evens:ident, $odds:ident, $low:ident, $high:ident, $($own:item)*) => {
        /// 128 bits.
        #[derive(Clone, Copy)]
        pub(crate) struct $name($register);

        // SAFETY of all functions: the processor has NEON, and memory is as the trait's callers vouch.
        impl Vector for $name {
            type Element = $type;
            type Machine = NeonMachine;
            const LANES: usize = $lanes;
            const MANY: bool = true;
            const BY_LANE: bool = true;

            #[inline(always)]
            fn fetch(from: *const $type) {
                fetch_line(from);
            }
            #[inline(always)]
            fn fetch_early(from: *const $type) {
                // SAFETY: what is fetched need not be there.
                unsafe { std::arch::asm!("prfm pldl2keep, [{}]", in(reg) from, options(nostack, preserves_flags, readonly)) }
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
            unsafe fn factor(from: *const $type) -> Self {
                let first;
                // Of a load that it knows, LLVM makes one that spreads the element, which takes a multiplier's time.
                // SAFETY: as above; the other lanes become 0.
                unsafe {
                    std::arch::asm!($load_one, out(vreg) first, in(reg) from, options(pure, readonly, nostack, preserves_flags));
                }
                Self(first)
            }
            #[inline(always)]
            unsafe fn load_some(from: *const $type, mask: u32) -> Self {
                let mut lanes = [0.0; $lanes];
                for i in 0..$lanes {
                    if mask >> i & 1 == 1 {
                        // SAFETY: as above; lanes outside the mask are not touched.
                        lanes[i] = unsafe { from.add(i).read_unaligned() };
                    }
                }
                // SAFETY: as above.
                Self(unsafe { $load(lanes.as_ptr()) })
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
                Self(unsafe { $fma(self.0, a.0, b.0) })
            }
            #[inline(always)]
            unsafe fn plus_scaled(self, a: Self, factor: Self) -> Self {
                // SAFETY: as above.
                unsafe { self.plus_lane::<0>(a, factor) }
            }
            #[inline(always)]
            unsafe fn plus_lane<const L: usize>(self, a: Self, b: Self) -> Self {
                // SAFETY: as above. An instruction's lane is a literal: a lane of the wider type would not compile here.
                unsafe {
                    match L {
                        $($lane => Self($by_lane::<$lane>(self.0, a.0, b.0)),)*
                        _ => unreachable!("the vector has so many lanes"),
                    }
                }
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
            #[inline(always)]
            unsafe fn zip(self, other: Self) -> [Self; 2] {
                // SAFETY: as above.
                unsafe { [Self($low(self.0, other.0)), Self($high(self.0, other.0))] }
            }
            #[inline(always)]
            unsafe fn evens(self, other: Self) -> Self {
                // SAFETY: as above.
                Self(unsafe { $evens(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn odds(self, other: Self) -> Self {
                // SAFETY: as above.
                Self(unsafe { $odds(self.0, other.0) })
            }
            $($own)*
        }
    };
}

quad!(
    F32x4, float32x4_t, f32, 4, vdupq_n_f32, vld1q_f32, "ldr {0:s}, [{1}]", vst1q_f32, vfmaq_f32, vaddq_f32, vmulq_f32, vaddvq_f32,
    vfmaq_laneq_f32 [0 1 2 3], vuzp1q_f32, vuzp2q_f32, vzip1q_f32, vzip2q_f32,
    #[inline(always)]
    unsafe fn zip_pairs(self, other: Self) -> [Self; 2] {
        // SAFETY: as above.
        unsafe {
            let (a, b) = (vreinterpretq_f64_f32(self.0), vreinterpretq_f64_f32(other.0));
            [Self(vreinterpretq_f32_f64(vzip1q_f64(a, b))), Self(vreinterpretq_f32_f64(vzip2q_f64(a, b)))]
        }
    }
    #[inline(always)]
    unsafe fn even_pairs(self, other: Self) -> Self {
        // SAFETY: as above. The even one of two pairs is the first.
        unsafe { self.zip_pairs(other)[0] }
    }
    #[inline(always)]
    unsafe fn turn(from: &[*const f32], to: *mut f32, to_row: usize) {
        // SAFETY: as above.
        unsafe {
            let (a, b, c, d) = (vld1q_f32(from[0]), vld1q_f32(from[1]), vld1q_f32(from[2]), vld1q_f32(from[3]));
            let (even, odd) = (Self(vtrn1q_f32(a, b)), Self(vtrn2q_f32(a, b)));
            let (next_even, next_odd) = (Self(vtrn1q_f32(c, d)), Self(vtrn2q_f32(c, d)));
            let ([first, third], [second, fourth]) = (even.zip_pairs(next_even), odd.zip_pairs(next_odd));
            first.store(to);
            second.store(to.add(to_row));
            third.store(to.add(2 * to_row));
            fourth.store(to.add(3 * to_row));
        }
    }
);
quad!(
    F64x2, float64x2_t, f64, 2, vdupq_n_f64, vld1q_f64, "ldr {0:d}, [{1}]", vst1q_f64, vfmaq_f64, vaddq_f64, vmulq_f64, vaddvq_f64,
    vfmaq_laneq_f64 [0 1], vuzp1q_f64, vuzp2q_f64, vzip1q_f64, vzip2q_f64,
    #[inline(always)]
    unsafe fn zip_pairs(self, other: Self) -> [Self; 2] {
        [self, other]
    }
    #[inline(always)]
    unsafe fn even_pairs(self, _: Self) -> Self {
        self
    }
    #[inline(always)]
    unsafe fn turn(from: &[*const f64], to: *mut f64, to_row: usize) {
        // SAFETY: as above.
        unsafe {
            let [upper, lower] = Self::load(from[0]).zip(Self::load(from[1]));
            upper.store(to);
            lower.store(to.add(to_row));
        }
    }
);
