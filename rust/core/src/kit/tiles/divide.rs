//! Integers divided by one number, by products: no processor divides vectors of them. Depends on `loops`.
//! Invariant: quotients are rounded down, as those of two tiles; division by 0 is not for here.

use super::loops::{Splat, Stream, function, map};
use crate::kit::simd::{Kernel, Machine, launch};

/// 1.5 · 2⁵²: adding it rounds to an integer, which then stands in the low bits.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// ⌊a / b⌋ of 32 bits, b ≠ 0: the nearest integer to a · b⁻¹ in f64, whose remainder tells whether it is too large.
///
/// # Safety
/// `a` holds `n` values, `dst` has room for as many, and is `a` or apart from it.
pub(super) unsafe fn floor_div_narrow(n: usize, dst: *mut i32, a: *const i32, b: i32) {
    let source = (Stream(a), Splat(b), Splat(1.0 / f64::from(b)));
    let quotient = function!(|a: i32, b: i32, inverse: f64| -> i32 {
        let quotient = (f64::from(a) * inverse + MAGIC).to_bits() as i32;
        let rest = a.wrapping_sub(quotient.wrapping_mul(b));
        quotient.wrapping_sub(i32::from((rest != 0) & ((rest < 0) != (b < 0))))
    });
    // SAFETY: as the caller vouches.
    unsafe { map(n, dst, source, quotient) };
}

/// Numbers nearer to 0 than this are f64 in all their digits, and so are their quotients and what these leave.
const SMALL: u64 = 1 << 50;

/// Whether all numbers are small.
struct AllSmall {
    n: usize,
    a: *const i64,
}

impl Kernel for AllSmall {
    type Output = bool;

    #[inline(always)]
    fn run<M: Machine>(self) -> bool {
        let mut high = 0;
        for i in 0..self.n {
            // SAFETY: whoever made the kernel vouches for n numbers.
            high |= unsafe { self.a.add(i).read_unaligned() as u64 }.wrapping_add(SMALL);
        }
        high < 2 * SMALL
    }
}

/// ⌊a / b⌋ of 64 bits, b ≠ 0. Of small numbers as that of 32 bits, but that what is left is a f64 too. Of others a · b⁻¹ in f64, the same of
/// what it leaves, and whether that is too large.
///
/// # Safety
/// As `floor_div_narrow`.
pub(super) unsafe fn floor_div_wide(n: usize, dst: *mut i64, a: *const i64, b: i64) {
    let source = (Stream(a), Splat(b), Splat(1.0 / b as f64));
    if launch(AllSmall { n, a }) {
        let quotient = function!(|a: i64, b: i64, inverse: f64| -> i64 {
            let divisor = b as f64;
            let a = f64::from_bits((a as u64).wrapping_add(MAGIC.to_bits())) - MAGIC;
            let nearest = (a * inverse + MAGIC) - MAGIC;
            let rest = a - nearest * divisor;
            let down = if (rest < 0.0) & (divisor > 0.0) | (rest > 0.0) & (divisor < 0.0) { 1.0 } else { 0.0 };
            ((nearest - down) + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()) as i64
        });
        // SAFETY: as the caller vouches.
        return unsafe { map(n, dst, source, quotient) };
    }
    let quotient = function!(|a: i64, b: i64, inverse: f64| -> i64 {
        let rough = (a as f64 * inverse) as i64;
        let left = a.wrapping_sub(rough.wrapping_mul(b));
        // Of small quotients the low bits of this sum are the nearest integer.
        let more = (left as f64 * inverse + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()) as i64;
        let rest = left.wrapping_sub(more.wrapping_mul(b));
        rough.wrapping_add(more).wrapping_sub(i64::from((rest != 0) & ((rest < 0) != (b < 0))))
    });
    // SAFETY: as the caller vouches.
    unsafe { map(n, dst, source, quotient) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_rounded_down() {
        let edges =
            [0, 1, 2, 3, 5, 7, 10, 255, 256, 641, 65_537, 1 << 30, i64::from(i32::MAX), 6_700_417, 1 << 62, i64::MAX];
        let mut numbers: Vec<i64> = edges.iter().flat_map(|&x| [x, -x, x.wrapping_sub(1), x.wrapping_add(1)]).collect();
        numbers.extend([i64::MIN, i64::MIN + 1, i64::from(i32::MIN), 1_234_567_891_011, -987_654_321_987_654_321]);
        for &b in numbers.iter().filter(|&&b| b != 0) {
            let mut results = vec![0; numbers.len() + 7];
            // SAFETY: the vectors have as many elements.
            unsafe { floor_div_wide(numbers.len(), results.as_mut_ptr(), numbers.as_ptr(), b) };
            let check = |numbers: &[i64], results: &[i64]| {
                for (&a, &result) in numbers.iter().zip(results) {
                    let exact = i128::from(a).div_euclid(i128::from(b));
                    let down = if b < 0 && i128::from(a).rem_euclid(i128::from(b)) != 0 { exact - 1 } else { exact };
                    assert_eq!(result, down as i64, "{a} // {b}");
                }
            };
            check(&numbers, &results);
            let least = -(SMALL as i64);
            let small: Vec<i64> =
                [least, least + 1, -1 - least, b.wrapping_neg(), b, b >> 1 << 1, (b >> 2).wrapping_mul(3)]
                    .into_iter()
                    .chain(numbers.iter().copied())
                    .filter(|&a| (least..-least).contains(&a))
                    .collect();
            // SAFETY: as above.
            unsafe { floor_div_wide(small.len(), results.as_mut_ptr(), small.as_ptr(), b) };
            check(&small, &results);
            let narrow: Vec<i32> = numbers.iter().map(|&a| a as i32).collect();
            let (b, mut results) = (b as i32, vec![0; narrow.len()]);
            if b == 0 {
                continue;
            }
            // SAFETY: as above.
            unsafe { floor_div_narrow(narrow.len(), results.as_mut_ptr(), narrow.as_ptr(), b) };
            for (&a, &result) in narrow.iter().zip(&results) {
                let down = (i64::from(a) as f64 / f64::from(b)).floor() as i64;
                assert_eq!(result, down as i32, "{a} // {b}");
            }
        }
    }
}
