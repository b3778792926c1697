//! Products by one lane of a register, for processors that have an instruction for them: factors that lie side by side are read together,
//! and none is spread over a register. Depends on `vector`.
//! Invariant: every sum is made in the order in which its factors are given.
#![allow(clippy::needless_range_loop, reason = "iterators over arrays may stay calls inside code of other features")]

use super::Vector;

/// Lanes are part of an instruction: what is done for each is written out, with `$lane` for its number.
macro_rules! each_lane {
    ($vector:ident, $lane:ident => $body:block) => {
        each_lane!($vector, $lane, $body, 0 1 2 3)
    };
    ($vector:ident, $lane:ident, $body:block, $($number:literal)*) => {
        $({
            const $lane: usize = $number;
            if $lane < $vector::LANES $body
        })*
    };
}

/// `sums[r][n] += line[n] · factors[r]`
///
/// # Safety
/// `R` factors can be read, and the processor has the vector's instructions.
#[inline(always)]
pub(crate) unsafe fn adjacent<V: Vector, const R: usize, const N: usize>(
    sums: &mut [[V; N]; R],
    line: &[V; N],
    factors: *const V::Element,
) {
    // SAFETY: as the caller vouches: the last factors are read as a vector that ends with them.
    unsafe {
        if R < V::LANES {
            for r in 0..R {
                let factor = V::factor(factors.add(r));
                for n in 0..N {
                    sums[r][n] = sums[r][n].plus_scaled(line[n], factor);
                }
            }
            return;
        }
        for first in 0..R / V::LANES {
            let first = first * V::LANES;
            let some = V::load(factors.add(first));
            each_lane!(V, L => {
                for n in 0..N {
                    sums[first + L][n] = sums[first + L][n].plus_lane::<L>(line[n], some);
                }
            });
        }
        let (first, rest) = (R - V::LANES, R % V::LANES);
        if rest > 0 {
            let some = V::load(factors.add(first));
            each_lane!(V, L => {
                if L + rest >= V::LANES {
                    for n in 0..N {
                        sums[first + L][n] = sums[first + L][n].plus_lane::<L>(line[n], some);
                    }
                }
            });
        }
    }
}

/// `sums[r][n] += Σₚ b[p][n] · a[r][p]` for as many products as a vector has lanes; `b` moves past them.
///
/// # Safety
/// As many factors of `R` rows, `a_row` apart, and as many lines of `N` vectors, `b_step` apart, can be read.
#[inline(always)]
pub(crate) unsafe fn along<V: Vector, const R: usize, const N: usize>(
    sums: &mut [[V; N]; R],
    a: *const V::Element,
    a_row: isize,
    b: &mut *const V::Element,
    b_step: isize,
) {
    // SAFETY: as the caller vouches.
    unsafe {
        let mut some = [V::load(a); R];
        for r in 1..R {
            some[r] = V::load(a.offset(r as isize * a_row));
        }
        each_lane!(V, L => {
            // One vector of the line at a time: sums and factors leave two registers.
            for n in 0..N {
                let line = V::load(b.add(n * V::LANES));
                for r in 0..R {
                    sums[r][n] = sums[r][n].plus_lane::<L>(line, some[r]);
                }
            }
            *b = b.wrapping_offset(b_step);
        });
    }
}
