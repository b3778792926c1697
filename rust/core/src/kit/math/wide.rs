//! f32 functions computed in f64 and rounded once, where f32 alone would lose digits. Depends on `simd` and `double`.
//! Invariant: at most 1 ULP of f32; sin, cos and tan need `needs_reduction` to be false.

use std::f64::consts::{FRAC_2_PI, LN_2, LOG2_E};

use super::double::{MAGIC, log_parts, polynomial, scale};
use super::{select, single};
use crate::kit::simd::Machine;

/// π/2 in two parts; a product of the first with a 20-bit integer is exact.
const HALF_PI_HIGH: f64 = 1.570_796_326_734_125_6;
const HALF_PI_LOW: f64 = 6.077_100_506_506_192e-11;

/// ln(1 + f) for 1 + f in [√½, √2), to 10⁻¹¹.
#[inline(always)]
fn log_near_one<M: Machine>(f: f64) -> f64 {
    let s = f / (2.0 + f);
    let z = s * s;
    let r = polynomial::<M, 5>(
        z,
        [
            0.666_666_666_673_953_5,
            0.399_999_987_723_729,
            0.285_717_592_738_409_2,
            0.221_911_163_738_779_75,
            0.193_679_411_500_846_3,
        ],
    );
    s * M::fma64(z, r, 2.0)
}

/// e^r − 1 = r + r²·p(r) and 2ⁿ, with x = n ln 2 + r; |x| below 2⁹.
#[inline(always)]
fn expm1_parts<M: Machine>(x: f64) -> (f64, f64) {
    let shifted = M::fma64(x, LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = M::fma64(n, -LN_2, x);
    let p = polynomial::<M, 7>(
        r,
        [
            0.499_999_999_999_087_23,
            0.166_666_667_193_873_6,
            0.041_666_666_855_858_375,
            0.008_333_298_200_781_197,
            0.001_388_882_364_162_496,
            0.000_198_995_085_757_351_65,
            2.487_646_632_829_293_4e-5,
        ],
    );
    (M::fma64(r * r, p, r), scale(shifted.to_bits()))
}

/// eˣ − 1.
#[inline(always)]
pub fn expm1<M: Machine>(x: f32) -> f32 {
    let clamped = select(x < -104.0, -104.0, x);
    let (p, power) = expm1_parts::<M>(f64::from(select(clamped > 89.0, 89.0, clamped)));
    select(x == 0.0, x, M::fma64(power, p, power - 1.0) as f32)
}

/// Whether |aᵇ| needs the scalar routine: zero, infinite or NaN operands.
#[inline(always)]
pub fn pow_is_special(a: f32, b: f32) -> bool {
    (a == 0.0) | !a.is_finite() | !b.is_finite()
}

/// aᵇ = e^(b ln|a|), with the sign and NaN that negative a ask for; operands must not be special.
#[inline(always)]
pub fn pow<M: Machine>(a: f32, b: f32) -> f32 {
    if M::FUSED {
        return single::pow::<M>(a, b);
    }
    // All in f64: vectors of one width.
    let (a, b) = (f64::from(a), f64::from(b));
    let (k, f) = log_parts(a.abs());
    let y = b * M::fma64(k, LN_2, log_near_one::<M>(f));
    let y = select(y < -110.0, -110.0, y);
    let (p, power) = expm1_parts::<M>(select(y > 90.0, 90.0, y));
    let size = M::fma64(power, p, power);
    // Rounded to a whole number, whose lowest bit, in the sign's place, meets the sign of a.
    let rounded = b + MAGIC;
    let sign = (rounded.to_bits() << 63) & a.to_bits();
    let value = f64::from_bits(size.to_bits() ^ sign);
    select((a < 0.0) & (rounded - MAGIC != b), f64::NAN, value) as f32
}

/// Whether sin, cos and tan of x need more digits of π than the vector code has (or x is infinite).
#[inline(always)]
pub fn needs_reduction(x: f32) -> bool {
    x.abs() > 1_000_000.0
}

/// Sine and cosine of x − n·π/2, and n in the low bits.
#[inline(always)]
fn circle<M: Machine>(x: f32) -> (f64, f64, u64) {
    let x = f64::from(x);
    let shifted = M::fma64(x, FRAC_2_PI, MAGIC);
    let n = shifted - MAGIC;
    let r = M::fma64(n, -HALF_PI_LOW, M::fma64(n, -HALF_PI_HIGH, x));
    let z = r * r;
    let sine = polynomial::<M, 5>(
        z,
        [
            -0.166_666_666_666_638_62,
            0.008_333_333_331_063_3,
            -0.000_198_412_669_011_677_4,
            2.755_598_607_307_974e-6,
            -2.480_518_163_536_868_6e-8,
        ],
    );
    let cosine = polynomial::<M, 5>(
        z,
        [
            -0.499_999_999_999_635_9,
            0.041_666_666_637_193_64,
            -0.001_388_888_507_121_157,
            2.479_985_597_561_678_4e-5,
            -2.723_655_755_614_768_4e-7,
        ],
    );
    (r * M::fma64(z, sine, 1.0), M::fma64(z, cosine, 1.0), shifted.to_bits())
}

/// The value with its sign changed where `quadrant` has its second bit.
#[inline(always)]
fn turned(value: f64, quadrant: u64) -> f32 {
    f64::from_bits(value.to_bits() ^ ((quadrant & 2) << 62)) as f32
}

/// sin x.
#[inline(always)]
pub fn sin<M: Machine>(x: f32) -> f32 {
    let (sine, cosine, quadrant) = circle::<M>(x);
    turned(select(quadrant & 1 == 0, sine, cosine), quadrant)
}

/// cos x.
#[inline(always)]
pub fn cos<M: Machine>(x: f32) -> f32 {
    let (sine, cosine, quadrant) = circle::<M>(x);
    turned(select(quadrant & 1 == 0, cosine, sine), quadrant.wrapping_add(1))
}

/// tan x.
#[inline(always)]
pub fn tan<M: Machine>(x: f32) -> f32 {
    let (sine, cosine, quadrant) = circle::<M>(x);
    let even = quadrant & 1 == 0;
    (select(even, sine, -cosine) / select(even, cosine, sine)) as f32
}
