//! Sums and products of f64 as two numbers: the rounded one and what rounding lost. Depends on `simd`.
//! Invariant: products are exact for factors below 2⁹⁰⁰ whose product is above 2⁻⁹⁰⁰, on every path.

use crate::kit::simd::Machine;

/// a · b.
#[inline(always)]
pub(super) fn product<M: Machine>(a: f64, b: f64) -> (f64, f64) {
    let high = a * b;
    if M::FUSED {
        return (high, M::fma64(a, b, -high));
    }
    // Halves of 26 bits, whose products are exact.
    let halves = |x: f64| {
        let moved = 134_217_729.0 * x;
        let upper = moved - (moved - x);
        (upper, x - upper)
    };
    let ((a_high, a_low), (b_high, b_low)) = (halves(a), halves(b));
    (high, ((a_high * b_high - high) + a_high * b_low + a_low * b_high) + a_low * b_low)
}

/// a + b where |a| ≥ |b| or a = 0.
#[inline(always)]
pub(super) fn sum_ordered(a: f64, b: f64) -> (f64, f64) {
    let high = a + b;
    (high, b - (high - a))
}

/// a − b.
#[inline(always)]
pub(super) fn difference(a: f64, b: f64) -> (f64, f64) {
    let high = a - b;
    let part = high - a;
    (high, (a - (high - part)) - (b + part))
}
