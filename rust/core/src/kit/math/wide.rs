//! f32 functions computed in f64 and rounded once, where f32 alone would lose digits. Depends on `simd`.
//! Invariant: at most 1 ULP of f32; sin, cos and tan need `needs_reduction` to be false.

use std::f64::consts::{FRAC_2_PI, LN_2, LOG2_E, LOG10_2, LOG10_E};

use super::double::{polynomial, scale};
use super::select;
use crate::kit::simd::Machine;

/// Adding it rounds to an integer, which then stands in the low bits: 1.5 · 2⁵².
const MAGIC: f64 = 6_755_399_441_055_744.0;
/// π/2 in two parts; a product of the first with a 20-bit integer is exact.
const HALF_PI_HIGH: f64 = 1.570_796_326_734_125_6;
const HALF_PI_LOW: f64 = 6.077_100_506_506_192e-11;

/// x = 2ᵏ · m with m in [√½, √2), for normal positive x: k and m − 1.
#[inline(always)]
fn log_parts(x: f64) -> (f64, f64) {
    const ONE: u64 = 1.0f64.to_bits();
    const ROOT_HALF: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
    const MANTISSA: u64 = (1 << 52) - 1;
    let moved = x.to_bits().wrapping_add(ONE - ROOT_HALF);
    // An integer below 2⁵² put into the mantissa of 2⁵² reads as a float without a conversion instruction.
    let k = f64::from_bits((moved >> 52) | 4_503_599_627_370_496.0f64.to_bits()) - (4_503_599_627_370_496.0 + 1023.0);
    (k, f64::from_bits((moved & MANTISSA) + ROOT_HALF) - 1.0)
}

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

/// The logarithm's values at the ends of its range, `value` inside it.
#[inline(always)]
fn log_edges(x: f32, value: f64) -> f32 {
    let edge = select(x == 0.0, f32::NEG_INFINITY, f32::NAN);
    let edge = select(x == f32::INFINITY, x, edge);
    select(x > 0.0 && x < f32::INFINITY, value as f32, edge)
}

/// log₂ x.
#[inline(always)]
pub fn log2<M: Machine>(x: f32) -> f32 {
    let (k, f) = log_parts(f64::from(x));
    log_edges(x, M::fma64(log_near_one::<M>(f), LOG2_E, k))
}

/// log₁₀ x.
#[inline(always)]
pub fn log10<M: Machine>(x: f32) -> f32 {
    let (k, f) = log_parts(f64::from(x));
    log_edges(x, M::fma64(log_near_one::<M>(f), LOG10_E, k * LOG10_2))
}

/// ln(1 + x); small x keep all their digits because f is x itself where no exponent is split off.
#[inline(always)]
pub fn log1p<M: Machine>(x: f32) -> f32 {
    let wide = f64::from(x);
    let (k, f) = log_parts(1.0 + wide);
    let value = M::fma64(k, LN_2, log_near_one::<M>(select(k == 0.0, wide, f)));
    let edge = select(x == -1.0, f32::NEG_INFINITY, f32::NAN);
    let edge = select(x == f32::INFINITY || x == 0.0, x, edge);
    select(x > -1.0 && x < f32::INFINITY && x != 0.0, value as f32, edge)
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
    let (k, f) = log_parts(f64::from(a.abs()));
    let y = f64::from(b) * M::fma64(k, LN_2, log_near_one::<M>(f));
    let y = select(y < -110.0, -110.0, y);
    let (p, power) = expm1_parts::<M>(select(y > 90.0, 90.0, y));
    let size = M::fma64(power, p, power) as f32;
    let half = b * 0.5;
    let whole = b.trunc() == b;
    let odd = whole & (half.trunc() != half);
    let below = select(whole, select(odd, -size, size), f32::NAN);
    select(a < 0.0, below, size)
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
