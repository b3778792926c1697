//! f32 functions computed in f32. Depends on `simd`. Invariant: at most 2 ULP, sigmoid at most 3, over the whole range.

use super::select;
use crate::kit::simd::Machine;

/// Adding it rounds to an integer, which then stands in the low bits: 1.5 · 2²³.
pub(in crate::kit) const MAGIC: f32 = 12_582_912.0;
/// ln 2 in two parts; a product of the first with a 9-bit integer is exact.
pub(in crate::kit) const LN2_HIGH: f32 = 0.693_359_4;
pub(in crate::kit) const LN2_LOW: f32 = -2.121_944_4e-4;
/// eʳ for |r| ≤ ½ ln 2, the constant first.
pub(in crate::kit) const EXP: [f32; 7] = [1.0, 1.0, 0.5, 0.166_665_76, 4.166_637_4e-2, 8.363_295e-3, 1.394_132_3e-3];
/// Below the first, eˣ is 0; above the second, it is infinite.
pub(in crate::kit) const EXP_RANGE: [f32; 2] = [-104.0, 89.0];

/// c₀ + c₁x + c₂x² + …
#[inline(always)]
pub(super) fn polynomial<M: Machine, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = coefficients[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        sum = M::fma32(sum, x, coefficients[i]);
    }
    sum
}

/// eˣ = 2ⁿ · p: p in [0.7, 1.42], and n in the low bits of MAGIC + n. |x| must be below 2¹⁵.
#[inline(always)]
fn exp_parts<M: Machine>(x: f32) -> (f32, u32) {
    let shifted = M::fma32(x, std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = M::fma32(n, -LN2_LOW, M::fma32(n, -LN2_HIGH, x));
    (polynomial::<M, 7>(r, EXP), shifted.to_bits())
}

/// eˣ where the result is a normal number: x in [−87, 88].
#[inline(always)]
fn exp_normal<M: Machine>(x: f32) -> f32 {
    let (p, bits) = exp_parts::<M>(x);
    p * f32::from_bits((bits << 23).wrapping_add(127 << 23))
}

/// eˣ for x in [−104, 89]; the factor 2ⁿ in two steps, so that denormals and infinity come out rounded once.
#[inline(always)]
fn exp_clamped<M: Machine>(x: f32) -> f32 {
    let (p, bits) = exp_parts::<M>(x);
    let biased = bits.wrapping_sub(MAGIC.to_bits()).wrapping_add(254);
    let half = biased >> 1;
    p * f32::from_bits(half << 23) * f32::from_bits(biased.wrapping_sub(half) << 23)
}

/// eˣ; 2 ULP.
#[inline(always)]
pub fn exp<M: Machine>(x: f32) -> f32 {
    let [least, most] = EXP_RANGE;
    let x = select(x < least, least, x);
    exp_clamped::<M>(select(x > most, most, x))
}

/// 1 / (1 + e⁻ˣ), by e^(−|x|), which never overflows; 3 ULP.
#[inline(always)]
pub fn sigmoid<M: Machine>(x: f32) -> f32 {
    let fall = -x.abs();
    let z = exp_clamped::<M>(select(fall < -104.0, -104.0, fall));
    select(x < 0.0, z, 1.0) / (1.0 + z)
}

/// Of x = n ln 2 + r: 2ⁿ/4, 2⁻ⁿ/4, cosh r − 1 and sinh r; for x in [0, 89.6].
#[inline(always)]
fn hyperbola<M: Machine>(x: f32) -> (f32, f32, f32, f32) {
    let shifted = M::fma32(x, std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = M::fma32(n, -LN2_LOW, M::fma32(n, -LN2_HIGH, x));
    let z = r * r;
    let cosine = z * polynomial::<M, 3>(z, [0.5, 4.166_625e-2, 1.394_737_3e-3]);
    let sine = M::fma32(r * z, polynomial::<M, 3>(z, [0.166_666_67, 8.333_287e-3, 1.990_623e-4]), r);
    let n = shifted.to_bits().wrapping_sub(MAGIC.to_bits()) as i32;
    let (rise, fall) = ((125 + n) as u32, (125 - n).max(0) as u32);
    (f32::from_bits(rise << 23), f32::from_bits(fall << 23), cosine, sine)
}

/// sinh(n ln 2 + r) = sinh(n ln 2) cosh r + cosh(n ln 2) sinh r, with the sign of x; 2 ULP.
#[inline(always)]
pub fn sinh<M: Machine>(x: f32) -> f32 {
    let a = x.abs();
    let (rise, fall, cosine, sine) = hyperbola::<M>(select(a > 89.6, 89.6, a));
    let value = (rise - fall) + M::fma32(cosine, rise - fall, sine * (rise + fall));
    // Halves of the least numbers would be rounded.
    select(a < 1e-4, x, (value + value).copysign(x))
}

/// cosh(n ln 2 + r) = cosh(n ln 2) cosh r + sinh(n ln 2) sinh r; 2 ULP.
#[inline(always)]
pub fn cosh<M: Machine>(x: f32) -> f32 {
    let a = x.abs();
    let (rise, fall, cosine, sine) = hyperbola::<M>(select(a > 89.6, 89.6, a));
    let value = (rise + fall) + M::fma32(cosine, rise + fall, sine * (rise - fall));
    value + value
}

/// tanh x: odd polynomial below 0.625, from there 1 − 2 / (e^(2|x|) + 1); 2 ULP.
#[inline(always)]
pub fn tanh<M: Machine>(x: f32) -> f32 {
    let a = x.abs();
    let square = a * a;
    let p = polynomial::<M, 5>(square, [-0.333_333_28, 0.133_327_95, -5.385_407e-2, 2.101_008_2e-2, -6.113_193e-3]);
    let small = M::fma32(a * square, p, a);
    // From 10 on the result rounds to 1.
    let e = exp_normal::<M>(2.0 * select(a > 10.0, 10.0, a));
    select(a < 0.625, small, 1.0 - 2.0 / (e + 1.0)).copysign(x)
}

/// Bits of √½: subtracting them moves mantissas from √2 on to the next exponent.
const ROOT_HALF: u32 = 0x3f35_04f3;

/// x = 2ᵏ(1 + f) with 1 + f in [√½, √2), for positive x: k and f.
#[inline(always)]
fn log_parts(x: f32) -> (f32, f32) {
    let denormal = x < f32::MIN_POSITIVE;
    let bits = select(denormal, x * 33_554_432.0, x).to_bits();
    let exponent = (bits.wrapping_sub(ROOT_HALF) as i32) >> 23;
    let f = f32::from_bits(bits.wrapping_sub((exponent << 23) as u32)) - 1.0;
    (exponent as f32 - select(denormal, 25.0, 0.0), f)
}

/// ln(1 + f) = f − f²/2 + f³·q(f), for 1 + f in [√½, √2): the second term and the third.
#[inline(always)]
fn log_terms<M: Machine>(f: f32) -> (f32, f32) {
    let half_square = 0.5 * f * f;
    let q = polynomial::<M, 8>(
        f,
        [
            0.333_333_3,
            -0.250_008_23,
            0.200_012_27,
            -0.166_233_57,
            0.142_017_62,
            -0.131_601_94,
            0.127_615_5,
            -0.076_344_3,
        ],
    );
    (half_square, (f * f) * (f * q))
}

/// A logarithm's values at both ends of its range, `value` inside it: 0 gives −∞, negative and NaN give NaN, +∞ stays.
#[inline(always)]
fn log_edges(x: f32, value: f32) -> f32 {
    let edge = select(x < 0.0, f32::NAN, x);
    let edge = select(x == 0.0, f32::NEG_INFINITY, edge);
    // Positive finite numbers, as integers.
    select(x.to_bits().wrapping_sub(1) < f32::INFINITY.to_bits() - 1, value, edge)
}

/// ln x; 1 ULP.
#[inline(always)]
pub fn log<M: Machine>(x: f32) -> f32 {
    let (k, f) = log_parts(x);
    log_edges(x, log_value::<M>(k, f, 0.0))
}

/// k ln 2 + ln(1 + f) + `more`.
#[inline(always)]
pub(super) fn log_value<M: Machine>(k: f32, f: f32, more: f32) -> f32 {
    let (half_square, tail) = log_terms::<M>(f);
    let tail = tail + M::fma32(k, LN2_LOW, more);
    M::fma32(k, LN2_HIGH, f - (half_square - tail))
}

/// x = 2ᵏ(1 + f) with 1 + f in [√½, √2), for positive x that are no denormals: k and f.
#[inline(always)]
pub(super) fn log_parts_normal(x: f32) -> (i32, f32) {
    let bits = x.to_bits();
    let exponent = (bits.wrapping_sub(ROOT_HALF) as i32) >> 23;
    (exponent, f32::from_bits(bits.wrapping_sub((exponent << 23) as u32)) - 1.0)
}

/// ln(1 + x), with what 1 + x lost put back as a correction; 2 ULP.
#[inline(always)]
pub fn log1p<M: Machine>(x: f32) -> f32 {
    let sum = 1.0 + x;
    let kept = sum - 1.0;
    let lost = (1.0 - (sum - kept)) + (x - kept);
    let (k, f) = log_parts_normal(sum);
    // lost / sum, with 1 / (1 + f) to a few digits: more do not count.
    let power = f32::from_bits(((127 - k).max(0) as u32) << 23);
    let value = log_value::<M>(k as f32, f, lost * power * M::fma32(f, f - 1.0, 1.0));
    // Zeros keep their sign.
    log_edges(sum, value.copysign(x))
}

/// ln(1 + f) times a constant whose first part has 12 bits, like the first part here of the logarithm: their product is exact.
#[inline(always)]
fn log_times<M: Machine>(f: f32, high: f32, low: f32) -> (f32, f32) {
    let (half_square, tail) = log_terms::<M>(f);
    let upper = f32::from_bits((f - half_square).to_bits() & 0xffff_f000);
    let lower = ((f - upper) - half_square) + tail;
    (upper * high, (lower + upper) * low + lower * high)
}

/// log₂ x; 1 ULP.
#[inline(always)]
pub fn log2<M: Machine>(x: f32) -> f32 {
    let (k, f) = log_parts(x);
    let (upper, lower) = log_times::<M>(f, 1.442_382_8, 3.122_284e-4);
    log_edges(x, lower + upper + k)
}

/// 2/(n ln 2) in one part, or in two.
const LOG2_1: (f32, f32) = (2.885_39, 3.851_926e-8);
const LOG2_3: (f32, f32) = (0.961_796_7, -7.028_462e-9);

/// log₂ x of positive x in two parts, the second below an ULP of the first: k + s(c₁ + c₃s² + …), s = f / (2 + f), each product and sum
/// with what its rounding lost. Of use where `fma32` rounds once.
#[inline(always)]
fn log2_exact<M: Machine>(x: f32) -> (f32, f32) {
    let (k, f) = log_parts(x);
    let divisor = 2.0 + f;
    let inverse = 1.0 / divisor;
    let s = f * inverse;
    let s_low = (M::fma32(-s, divisor, f) - s * (f - (divisor - 2.0))) * inverse;
    let z = s * s;
    let z_low = M::fma32(s, s, -z) + 2.0 * s * s_low;
    let tail = z * polynomial::<M, 4>(z, [0.577_078_04, 0.412_198_57, 0.320_598_9, 0.262_308_18]);
    let c = LOG2_3.0 + tail;
    let c_low = ((LOG2_3.0 - c) + tail) + LOG2_3.1;
    let w = z * c;
    let w_low = M::fma32(z, c, -w) + M::fma32(z, c_low, z_low * c);
    let u = LOG2_1.0 + w;
    let u_low = ((LOG2_1.0 - u) + w) + (w_low + LOG2_1.1);
    let h = s * u;
    let h_low = M::fma32(s, u, -h) + M::fma32(s, u_low, s_low * u);
    let sum = k + h;
    (sum, ((k - sum) + h) + h_low)
}

/// aᵇ = 2^(b log₂|a|), with the sign and NaN that negative a ask for, where `fma32` rounds once; zero, infinite and NaN operands must not
/// come; 1 ULP.
#[inline(always)]
pub fn pow<M: Machine>(a: f32, b: f32) -> f32 {
    let (log, log_low) = log2_exact::<M>(a.abs());
    let y = b * log;
    let bounded = select(y < -160.0, -160.0, y);
    let bounded = select(bounded > 140.0, 140.0, bounded);
    let y_low = select(bounded == y, M::fma32(b, log, -y) + b * log_low, 0.0);
    let shifted = bounded + MAGIC;
    let r = (bounded - (shifted - MAGIC)) + y_low;
    let p = polynomial::<M, 7>(
        r,
        [1.0, std::f32::consts::LN_2, 0.240_226_48, 5.550_36e-2, 9.618_506e-3, 1.339_080_6e-3, 1.532_646_1e-4],
    );
    // The factor in two steps, so that denormals and infinity come out rounded once.
    let biased = shifted.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(254);
    let half = ((biased as i32) >> 1) as u32;
    let size = p * f32::from_bits(half << 23) * f32::from_bits(biased.wrapping_sub(half) << 23);
    let halved = b * 0.5;
    let whole = b.trunc() == b;
    let odd = whole & (halved.trunc() != halved);
    let value = select(odd, size.copysign(a), size);
    select((a < 0.0) & !whole, f32::NAN, value)
}

/// log₁₀ x; 1 ULP.
#[inline(always)]
pub fn log10<M: Machine>(x: f32) -> f32 {
    let (k, f) = log_parts(x);
    let (upper, lower) = log_times::<M>(f, 0.434_204_1, 9.038_034e-5);
    log_edges(x, (M::fma32(k, 4.605_039e-6, lower) + upper) + k * 0.301_025_4)
}

/// 2/√π ∫₀ˣ e^(−t²) dt: odd polynomial below 1, from there 1 − e^q(|x|) with q = ln erfc; 2 ULP.
#[inline(always)]
pub fn erf<M: Machine>(x: f32) -> f32 {
    let a = x.abs();
    let p = polynomial::<M, 7>(
        x * x,
        [0.128_379_17, -0.376_126_26, 0.112_836, -2.685_444_4e-2, 5.189_535e-3, -8.020_842e-4, 7.889_122e-5],
    );
    let small = M::fma32(a, p, a);
    let q = polynomial::<M, 7>(
        select(a > 4.0, 4.0, a),
        [-3.537_193e-4, -1.127_04, -0.638_225_7, -0.103_037_37, 2.180_531_8e-2, -2.939_607_2e-3, 1.855_74e-4],
    );
    select(a < 1.0, small, 1.0 - exp_normal::<M>(q)).copysign(x)
}
