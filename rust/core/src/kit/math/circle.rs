//! f64 functions of the circle. Depends on `exact` and `double`. Invariant: at most 1 ULP, tan 2; `needs_reduction` must be false.

use super::double::{MAGIC, polynomial};
use super::exact::difference;
use super::select;
use crate::kit::simd::Machine;

/// π/2 in four parts; products of the first three with a 20-bit integer are exact.
const HALF_PI: [f64; 4] =
    [1.570_796_326_734_125_6, 6.077_100_506_303_966e-11, 2.022_266_248_711_166_5e-21, 8.478_427_660_368_9e-32];

/// Whether sin, cos and tan of x need more digits of π than the vector code has (or x is infinite).
#[inline(always)]
pub fn needs_reduction(x: f64) -> bool {
    x.abs() > 1_000_000.0
}

/// Sine and cosine of x − n·π/2, and n in the low bits.
#[inline(always)]
fn circle<M: Machine>(x: f64) -> (f64, f64, u64) {
    let shifted = M::fma64(x, std::f64::consts::FRAC_2_PI, MAGIC);
    let n = shifted - MAGIC;
    let (near, lost) = difference(x - n * HALF_PI[0], n * HALF_PI[1]);
    let (near, more) = difference(near, n * HALF_PI[2]);
    let rest = lost + (more - n * HALF_PI[3]);
    let r = near + rest;
    let low = (near - r) + rest;
    let z = r * r;
    let sine = polynomial::<M, 6>(
        z,
        [
            -0.166_666_666_666_666_66,
            0.008_333_333_333_330_948,
            -0.000_198_412_698_367_574_08,
            2.755_731_610_178_906e-6,
            -2.505_113_166_029_247e-8,
            1.591_811_451_157_248e-10,
        ],
    );
    let cosine = polynomial::<M, 6>(
        z,
        [
            0.041_666_666_666_666_664,
            -0.001_388_888_888_888_739_8,
            2.480_158_729_876_478_8e-5,
            -2.755_731_727_117_522_5e-7,
            2.087_614_613_858_505e-9,
            -1.138_262_225_238_421_6e-11,
        ],
    );
    let half = 0.5 * z;
    let near_one = 1.0 - half;
    let sine = r + M::fma64(r * z, sine, low * near_one);
    let cosine = near_one + (((1.0 - near_one) - half) + (z * z * cosine - r * low));
    (sine, cosine, shifted.to_bits())
}

/// The value with its sign changed where `quadrant` has its second bit.
#[inline(always)]
fn turned(value: f64, quadrant: u64) -> f64 {
    f64::from_bits(value.to_bits() ^ ((quadrant & 2) << 62))
}

/// sin x; 1 ULP.
#[inline(always)]
pub fn sin<M: Machine>(x: f64) -> f64 {
    let (sine, cosine, quadrant) = circle::<M>(x);
    select(x == 0.0, x, turned(select(quadrant & 1 == 0, sine, cosine), quadrant))
}

/// cos x; 1 ULP.
#[inline(always)]
pub fn cos<M: Machine>(x: f64) -> f64 {
    let (sine, cosine, quadrant) = circle::<M>(x);
    turned(select(quadrant & 1 == 0, cosine, sine), quadrant.wrapping_add(1))
}

/// tan x; 2 ULP.
#[inline(always)]
pub fn tan<M: Machine>(x: f64) -> f64 {
    let (sine, cosine, quadrant) = circle::<M>(x);
    let even = quadrant & 1 == 0;
    select(x == 0.0, x, select(even, sine, -cosine) / select(even, cosine, sine))
}
