//! f64 functions computed in f64. Depends on `simd`. Invariant: at most 3 ULP, cosh and sinh 4, erf within 10⁻¹⁵ of its value, over the
//! whole range.

use super::select;
use crate::kit::simd::Machine;

/// Adding it rounds to an integer, which then stands in the low bits: 1.5 · 2⁵².
pub(super) const MAGIC: f64 = 6_755_399_441_055_744.0;
/// ln 2 in two parts; a product of the first with an 11-bit integer is exact.
pub(super) const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
pub(super) const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// c₀ + c₁x + c₂x² + …
#[inline(always)]
pub(super) fn polynomial<M: Machine, const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut sum = coefficients[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        sum = M::fma64(sum, x, coefficients[i]);
    }
    sum
}

/// 2ⁿ, n standing in the low 11 bits and the result being normal.
#[inline(always)]
pub(super) fn scale(bits: u64) -> f64 {
    f64::from_bits((bits << 52).wrapping_add(1023 << 52))
}

/// e^r − 1 for |r| ≤ ½ ln 2.
#[inline(always)]
pub(super) fn exponential_near_zero<M: Machine>(r: f64) -> f64 {
    let p = polynomial::<M, 10>(
        r,
        [
            0.5,
            0.166_666_666_666_666_74,
            0.041_666_666_666_623_47,
            0.008_333_333_333_322_037,
            0.001_388_888_891_754_006_8,
            0.000_198_412_698_871_126_2,
            2.480_152_079_022_440_7e-5,
            2.755_724_174_806_465e-6,
            2.762_032_840_014_239_7e-7,
            2.511_027_125_255_816_4e-8,
        ],
    );
    M::fma64(r * r, p, r)
}

/// e^r − 1 and the bits of MAGIC + n, with x = n ln 2 + r.
#[inline(always)]
fn exp_parts<M: Machine>(x: f64) -> (f64, u64) {
    let shifted = M::fma64(x, std::f64::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = M::fma64(n, -LN2_LOW, M::fma64(n, -LN2_HIGH, x));
    (exponential_near_zero::<M>(r), shifted.to_bits())
}

/// value · 2ⁿ, n given as the bits of MAGIC + n; the factor in two steps, so that denormals and infinity come out rounded once.
#[inline(always)]
pub(super) fn power_of_two(value: f64, bits: u64) -> f64 {
    let biased = bits.wrapping_sub(MAGIC.to_bits()).wrapping_add(2046);
    let half = biased >> 1;
    value * f64::from_bits(half << 52) * f64::from_bits(biased.wrapping_sub(half) << 52)
}

/// eˣ for x in [−746, 710].
#[inline(always)]
fn exp_clamped<M: Machine>(x: f64) -> f64 {
    let (p, bits) = exp_parts::<M>(x);
    power_of_two(1.0 + p, bits)
}

/// eˣ; 1 ULP.
#[inline(always)]
pub fn exp<M: Machine>(x: f64) -> f64 {
    let x = select(x < -746.0, -746.0, x);
    exp_clamped::<M>(select(x > 710.0, 710.0, x))
}

/// eˣ − 1 = 2(2ⁿ⁻¹p + (2ⁿ⁻¹ − ½)), halved so that the largest results do not overflow on the way; 3 ULP.
#[inline(always)]
pub fn expm1<M: Machine>(x: f64) -> f64 {
    let clamped = select(x < -40.0, -40.0, x);
    let (p, bits) = exp_parts::<M>(select(clamped > 710.0, 710.0, clamped));
    let half_power = scale(bits.wrapping_sub(1));
    let value = 2.0 * M::fma64(half_power, p, half_power - 0.5);
    select(x.abs() < 1e-17, x, value)
}

/// A quarter of e^|x| and of e^|x| − 1, so that neither overflows before sinh and cosh do.
#[inline(always)]
fn quarters<M: Machine>(x: f64) -> (f64, f64) {
    let a = x.abs();
    let (p, bits) = exp_parts::<M>(select(a > 710.6, 710.6, a));
    let quarter = scale(bits.wrapping_sub(2));
    (M::fma64(quarter, p, quarter), M::fma64(quarter, p, quarter - 0.25))
}

/// sinh x = ½(t + t / (t + 1)), t = e^|x| − 1, with the sign of x; 4 ULP.
#[inline(always)]
pub fn sinh<M: Machine>(x: f64) -> f64 {
    let (_, t) = quarters::<M>(x);
    // The quotient is ¼ long before t is infinite.
    let bounded = select(t > 1e17, 1e17, t);
    let value = 2.0 * (t + bounded / (4.0 * bounded + 1.0)).copysign(x);
    select(x.abs() < 1e-17, x, value)
}

/// cosh x = ½(e^|x| + e^−|x|); 2 ULP.
#[inline(always)]
pub fn cosh<M: Machine>(x: f64) -> f64 {
    let (e, _) = quarters::<M>(x);
    2.0 * (e + 0.062_5 / e)
}

/// 1 / (1 + e⁻ˣ), by e^(−|x|), which never overflows; 3 ULP.
#[inline(always)]
pub fn sigmoid<M: Machine>(x: f64) -> f64 {
    let fall = -x.abs();
    let z = exp_clamped::<M>(select(fall < -746.0, -746.0, fall));
    select(x < 0.0, z, 1.0) / (1.0 + z)
}

/// tanh x = −t / (2 + t), t = e^(−2|x|) − 1; 3 ULP.
#[inline(always)]
pub fn tanh<M: Machine>(x: f64) -> f64 {
    let t = expm1::<M>(-2.0 * x.abs());
    (-t / (2.0 + t)).copysign(x)
}

/// x = 2ᵏ · m with m in [√½, √2), for normal positive x: k and m − 1.
#[inline(always)]
pub(super) fn log_parts(x: f64) -> (f64, f64) {
    const ONE: u64 = 1.0f64.to_bits();
    const ROOT_HALF: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
    const MANTISSA: u64 = (1 << 52) - 1;
    let moved = x.to_bits().wrapping_add(ONE - ROOT_HALF);
    // An integer below 2⁵² put into the mantissa of 2⁵² reads as a float without a conversion instruction.
    let k = f64::from_bits((moved >> 52) | 4_503_599_627_370_496.0f64.to_bits()) - (4_503_599_627_370_496.0 + 1023.0);
    (k, f64::from_bits((moved & MANTISSA) + ROOT_HALF) - 1.0)
}

/// ln(1 + f) = f − f²/2 + s(f²/2 + R(s²)), s = f / (2 + f): f²/2, s and R.
#[inline(always)]
pub(super) fn log_terms<M: Machine>(f: f64) -> (f64, f64, f64) {
    let s = f / (2.0 + f);
    let z = s * s;
    let r = z * polynomial::<M, 7>(
        z,
        [
            0.666_666_666_666_667,
            0.399_999_999_998_966_35,
            0.285_714_286_272_170_2,
            0.222_222_109_398_425_52,
            0.181_829_028_766_606_4,
            0.153_312_768_955_171_54,
            0.146_218_178_945_750_6,
        ],
    );
    (0.5 * f * f, s, r)
}

/// k ln 2 + ln(1 + f) + correction.
#[inline(always)]
fn log_sum<M: Machine>(k: f64, f: f64, correction: f64) -> f64 {
    let (half_square, s, r) = log_terms::<M>(f);
    let tail = M::fma64(s, half_square + r, M::fma64(k, LN2_LOW, correction));
    M::fma64(k, LN2_HIGH, f - (half_square - tail))
}

/// ln x; 1 ULP.
#[inline(always)]
pub fn log<M: Machine>(x: f64) -> f64 {
    let denormal = x < f64::MIN_POSITIVE;
    let (k, f) = log_parts(select(denormal, x * 18_014_398_509_481_984.0, x));
    let value = log_sum::<M>(k - select(denormal, 54.0, 0.0), f, 0.0);
    let edge = select(x == 0.0, f64::NEG_INFINITY, f64::NAN);
    let edge = select(x == f64::INFINITY, x, edge);
    select(x > 0.0 && x < f64::INFINITY, value, edge)
}

/// ln(1 + x), with what 1 + x lost put back as a correction; 2 ULP.
#[inline(always)]
pub fn log1p<M: Machine>(x: f64) -> f64 {
    let sum = 1.0 + x;
    let lost = select(x >= 1.0, 1.0 - (sum - x), x - (sum - 1.0));
    let (k, f) = log_parts(sum);
    let value = log_sum::<M>(k, f, lost / sum);
    let edge = select(x == -1.0, f64::NEG_INFINITY, f64::NAN);
    let edge = select(x == f64::INFINITY || x == 0.0, x, edge);
    select(x > -1.0 && x < f64::INFINITY && x != 0.0, value, edge)
}

/// 2/√π ∫₀ˣ e^(−t²) dt: odd polynomial below 1; from there 1 − e^(−x²)·q((|x| − 3) / (|x| + 3)) with q the scaled erfc.
#[inline(always)]
pub fn erf<M: Machine>(x: f64) -> f64 {
    let a = x.abs();
    let p = polynomial::<M, 13>(
        x * x,
        [
            0.128_379_167_095_512_6,
            -0.376_126_389_031_837_5,
            0.112_837_916_709_548_85,
            -0.026_866_170_645_077_87,
            0.005_223_977_624_828_39,
            -0.000_854_832_698_142_365_7,
            0.000_120_553_311_329_015_85,
            -1.492_559_577_118_289_5e-5,
            1.646_100_846_608_547_8e-6,
            -1.635_039_613_866_315_2e-7,
            1.466_032_839_375_987_4e-8,
            -1.137_495_527_547_373e-9,
            5.960_685_774_541_766e-11,
        ],
    );
    let small = M::fma64(x, p, x);
    let a_bounded = select(a > 6.0, 6.0, a);
    let q = polynomial::<M, 13>(
        (a_bounded - 3.0) / (a_bounded + 3.0),
        [
            0.179_001_151_181_39,
            -0.326_233_560_043_162_6,
            0.245_603_801_707_810_63,
            -0.150_115_936_545_657_4,
            0.071_665_837_440_522_59,
            -0.024_392_489_968_652_533,
            0.004_269_232_728_504_772,
            0.000_708_305_554_001_251_8,
            -0.000_595_000_064_723_056_6,
            5.021_858_260_017_492e-5,
            7.162_404_390_953_882e-5,
            -6.440_954_415_666_561e-6,
            -6.579_405_337_932_246e-6,
        ],
    );
    let large = (1.0 - exp_clamped::<M>(-a_bounded * a_bounded) * q).copysign(x);
    select(a < 1.0, small, large)
}
