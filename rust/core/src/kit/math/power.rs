//! f64 powers, and logarithms of other bases, by a natural logarithm of more digits than f64 has. Depends on `double` and `exact`.
//! Invariant: the logarithm's error is below 2⁻⁶⁴ of its value, so that a power's is at most 1 ULP.

use super::double::{LN2_HIGH, LN2_LOW, MAGIC, exponential_near_zero, log_parts, log_terms, polynomial, power_of_two};
use super::exact::{product, sum_ordered};
use super::select;
use crate::kit::simd::Machine;

const TWO_THIRDS: f64 = 0.666_666_666_666_666_6;
const TWO_THIRDS_LOW: f64 = 3.700_743_415_417_188e-17;
/// log₂ e, log₁₀ e and log₁₀ 2 in two parts.
const LOG2_E_HIGH: f64 = 1.442_694_664_001_464_8;
const LOG2_E_LOW: f64 = 3.768_874_985_636_099e-7;
const LOG10_E_HIGH: f64 = 0.434_294_462_203_979_5;
const LOG10_E_LOW: f64 = 1.969_927_233_546_362_7e-8;
const LOG10_2_HIGH: f64 = 0.301_029_995_663_611_77;
const LOG10_2_LOW: f64 = 3.694_239_077_158_931e-13;
/// Larger exponents overflow or underflow for every base but 1, as this one does.
const LARGEST_EXPONENT: f64 = 1_180_591_620_717_411_303_424.0;

/// ln x of positive finite x in two parts: k ln 2 + 2s + s³(2/3 + s²R(s²)), s = f / (2 + f), x = 2ᵏ(1 + f).
#[inline(always)]
fn log_exact<M: Machine>(x: f64) -> (f64, f64) {
    let denormal = x < f64::MIN_POSITIVE;
    let (k, f) = log_parts(select(denormal, x * 18_014_398_509_481_984.0, x));
    let k = k - select(denormal, 54.0, 0.0);
    let (divisor, divisor_low) = sum_ordered(2.0, f);
    let inverse = 1.0 / divisor;
    let s = f * inverse;
    let (back, back_low) = product::<M>(s, divisor);
    let s_low = (((f - back) - back_low) - s * divisor_low) * inverse;
    let (z, z_error) = product::<M>(s, s);
    let z_low = z_error + 2.0 * s * s_low;
    let tail = z * polynomial::<M, 8>(
        z,
        [
            0.4,
            0.285_714_285_714_293_75,
            0.222_222_222_216_513_3,
            0.181_818_183_363_224_08,
            0.153_845_948_722_242_33,
            0.133_348_091_952_989_2,
            0.117_061_250_738_590_6,
            0.117_242_589_764_625_2,
        ],
    );
    let (q, q_error) = sum_ordered(TWO_THIRDS, tail);
    let q_low = q_error + TWO_THIRDS_LOW;
    let (w, w_error) = product::<M>(q, z);
    let w_low = w_error + (q * z_low + q_low * z);
    let (cubic, cubic_error) = product::<M>(s, w);
    let cubic_low = cubic_error + (s * w_low + s_low * w);
    let (sum, sum_error) = sum_ordered(k * LN2_HIGH, 2.0 * s);
    let (sum, cubic_lost) = sum_ordered(sum, cubic);
    let low = sum_error + (cubic_lost + (2.0 * s_low + M::fma64(k, LN2_LOW, cubic_low)));
    sum_ordered(sum, low)
}

/// A logarithm's values at the ends of its range, `value` inside it.
#[inline(always)]
fn log_edges(x: f64, value: f64) -> f64 {
    let edge = select(x == 0.0, f64::NEG_INFINITY, f64::NAN);
    let edge = select(x == f64::INFINITY, x, edge);
    select(x > 0.0 && x < f64::INFINITY, value, edge)
}

/// k and ln(1 + f) times a constant in two parts, x = 2ᵏ(1 + f): the first part has 21 bits, like that of the logarithm, so that their
/// product is exact.
#[inline(always)]
fn log_times<M: Machine>(x: f64, high: f64, low: f64) -> (f64, f64, f64) {
    let denormal = x < f64::MIN_POSITIVE;
    let (k, f) = log_parts(select(denormal, x * 18_014_398_509_481_984.0, x));
    let (half_square, s, r) = log_terms::<M>(f);
    let upper = f64::from_bits((f - half_square).to_bits() & 0xffff_ffff_0000_0000);
    let lower = M::fma64(s, half_square + r, (f - upper) - half_square);
    (k - select(denormal, 54.0, 0.0), upper * high, M::fma64(lower + upper, low, lower * high))
}

/// log₂ x; 1 ULP, 2 from the standard library's.
#[inline(always)]
pub fn log2<M: Machine>(x: f64) -> f64 {
    let (k, upper, lower) = log_times::<M>(x, LOG2_E_HIGH, LOG2_E_LOW);
    let (sum, lost) = sum_ordered(k, upper);
    log_edges(x, sum + (lost + lower))
}

/// log₁₀ x; 1 ULP, 2 from the standard library's.
#[inline(always)]
pub fn log10<M: Machine>(x: f64) -> f64 {
    let (k, upper, lower) = log_times::<M>(x, LOG10_E_HIGH, LOG10_E_LOW);
    let (sum, lost) = sum_ordered(k * LOG10_2_HIGH, upper);
    log_edges(x, sum + (lost + M::fma64(k, LOG10_2_LOW, lower)))
}

/// Whether aᵇ needs the scalar routine: zero, infinite or NaN bases, NaN exponents.
#[inline(always)]
pub fn pow_is_special(a: f64, b: f64) -> bool {
    (a == 0.0) | !a.is_finite() | b.is_nan()
}

/// aᵇ = e^(b ln|a|), with the sign and NaN that negative a ask for; operands must not be special; 1 ULP.
#[inline(always)]
pub fn pow<M: Machine>(a: f64, b: f64) -> f64 {
    let (log, log_low) = log_exact::<M>(a.abs());
    let exponent = select(b > LARGEST_EXPONENT, LARGEST_EXPONENT, b);
    let exponent = select(exponent < -LARGEST_EXPONENT, -LARGEST_EXPONENT, exponent);
    let (y, y_error) = product::<M>(exponent, log);
    let bounded = select(y < -746.0, -746.0, y);
    let bounded = select(bounded > 710.0, 710.0, bounded);
    let y_low = select(bounded == y, y_error + exponent * log_low, 0.0);
    let shifted = M::fma64(bounded, std::f64::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let near = M::fma64(n, -LN2_HIGH, bounded);
    let rest = n * LN2_LOW - y_low;
    let r = near - rest;
    let r_low = (near - r) - rest;
    let size = power_of_two(1.0 + (exponential_near_zero::<M>(r) + r_low), shifted.to_bits());
    let half = b * 0.5;
    let whole = b.trunc() == b;
    let odd = whole & (half.trunc() != half);
    let below = select(whole, select(odd, -size, size), f64::NAN);
    select(a < 0.0, below, size)
}
