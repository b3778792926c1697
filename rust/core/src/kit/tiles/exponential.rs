//! exp(a − b) of rows, where b is one number per row, and the sums of rows in the same loop. Depends on `kit::vector` and `fold`.
//! Invariant: the bits of a difference, an exponential and a canonical sum one after the other.
#![allow(clippy::needless_range_loop, reason = "iterators over arrays may stay calls inside code of other features")]

use super::fold::{LANES, combine_sums};
use super::number::Number;
use crate::kit::simd::path;
use crate::kit::vector::{Routine, Vector, launch};

/// Rows of exponentials.
#[derive(Clone, Copy)]
pub struct Exponentials {
    /// How many rows there are.
    pub rows: usize,
    /// Elements of a row.
    pub length: usize,
    /// The minuends, row after row.
    pub a: *const f32,
    /// What is subtracted: one number per row.
    pub b: *const f32,
    /// Where the exponentials go, which may be `a`; null where only their sums are asked for.
    pub dst: *mut f32,
    /// Elements from a row to one that is asked of memory while its sum is computed; 0 for none.
    pub ahead: usize,
    /// Slots for the sums of rows of at most `BLOCK` elements; null where they are not asked for.
    pub sums: *mut u64,
}

impl Exponentials {
    /// Computes them.
    ///
    /// # Safety
    /// The pointers that are not null hold what is said of them.
    pub unsafe fn run(self) {
        // SAFETY: the path in use is one that the processor has; the rest is the caller's promise.
        unsafe { launch(path(), self) }
    }

    #[inline(always)]
    unsafe fn all<V: Vector<Element = f32>, const STORE: bool, const SUM: bool>(self) {
        let vectors = LANES / V::LANES;
        let whole = self.length / LANES * LANES;
        for row in 0..self.rows {
            // SAFETY: rows have `length` elements, and masks keep the rest of a row inside it.
            unsafe {
                let b = V::splat(-self.b.add(row).read_unaligned());
                let (a, dst) = (self.a.add(row * self.length), self.dst.wrapping_add(row * self.length));
                let mut sums = [V::splat(0.0); LANES / 2];
                let mut first = 0;
                while first < whole {
                    for k in 0..vectors {
                        let at = first + k * V::LANES;
                        if SUM {
                            V::fetch(a.wrapping_add(at + self.ahead));
                        }
                        let term = V::load(a.add(at)).plus(b).exp();
                        if STORE {
                            term.store(dst.add(at));
                        }
                        if SUM {
                            sums[k] = sums[k].plus(term);
                        }
                    }
                    first += LANES;
                }
                for k in 0..vectors {
                    let done = whole + k * V::LANES;
                    if done < self.length {
                        let left = self.length - done;
                        let mask = if left >= V::LANES { V::ALL } else { (1 << left) - 1 };
                        let term = V::load_some(a.add(done), mask).plus(b).exp();
                        if STORE {
                            term.store_packed(dst.add(done), mask);
                        }
                        if SUM {
                            let mut lanes = [0.0; LANES / 2];
                            term.store_packed(lanes.as_mut_ptr(), mask);
                            sums[k] = sums[k].plus(V::load(lanes.as_ptr()));
                        }
                    }
                }
                if SUM {
                    let mut lanes = [0.0; LANES];
                    for k in 0..vectors {
                        sums[k].store(lanes.as_mut_ptr().add(k * V::LANES));
                    }
                    self.sums.add(row).write(combine_sums(lanes).to_slot());
                }
            }
        }
    }
}

impl Routine<f32> for Exponentials {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = f32>>(self) {
        // SAFETY: as the caller of `Exponentials::run` vouches.
        unsafe {
            match (self.dst.is_null(), self.sums.is_null()) {
                (false, true) => self.all::<V, true, false>(),
                (false, false) => self.all::<V, true, true>(),
                (true, _) => self.all::<V, false, true>(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::math::single;
    use crate::kit::simd::{FusedMachine, Path, PortableMachine};

    /// Every sign and exponent, infinities, NaN, and numbers where results overflow or are denormal.
    fn samples() -> Vec<f32> {
        let spread = (0..1 << 16).map(|i: u32| f32::from_bits(i.wrapping_mul(0x0001_0347)));
        let near = (0..20_000).map(|i| -110.0 + 0.01 * i as f32);
        spread.chain(near).chain([0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN]).collect()
    }

    fn exact(path: Path, x: f32) -> f32 {
        if path == Path::Portable { single::exp::<PortableMachine>(x) } else { single::exp::<FusedMachine>(x) }
    }

    fn same(got: f32, expected: f32) -> bool {
        got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan())
    }

    #[test]
    fn every_path_has_the_bits_of_the_function() {
        let x = samples();
        for path in Path::available() {
            let mut y = vec![0.0; x.len()];
            let (a, dst) = (x.as_ptr(), y.as_mut_ptr());
            let routine =
                Exponentials { rows: 1, length: x.len(), a, b: &0.0, dst, ahead: 0, sums: std::ptr::null_mut() };
            // SAFETY: both hold `length` values, and the path is available.
            unsafe { launch(path, routine) };
            for (&x, &y) in x.iter().zip(&y) {
                assert!(same(y, exact(path, x)), "exp({x}) is {y} on {path:?}");
            }
        }
    }

    #[test]
    fn rows_of_any_length_are_stored_and_summed() {
        for path in Path::available() {
            for (rows, length) in [(1, 1), (3, 7), (2, 31), (5, 32), (2, 33), (3, 100), (1, 4096), (0, 5)] {
                let a: Vec<f32> = (0..rows * length).map(|i| (i * 37 % 101) as f32 / 9.0 - 8.0).collect();
                let b: Vec<f32> = (0..rows).map(|row| row as f32 * 0.7 - 1.0).collect();
                let terms: Vec<f32> = (0..rows * length).map(|i| exact(path, a[i] - b[i / length])).collect();
                let (mut stored, mut sums, mut alone) = (a.clone(), vec![0u64; rows], vec![0u64; rows]);
                let (dst, both) = (stored.as_mut_ptr(), sums.as_mut_ptr());
                let routine = Exponentials { rows, length, a: a.as_ptr(), b: b.as_ptr(), dst, ahead: 0, sums: both };
                // SAFETY: all have the sizes that the routine asks for; in the first, the result takes the place of its operand.
                unsafe {
                    launch(path, Exponentials { a: dst, ..routine });
                    launch(path, Exponentials { dst: std::ptr::null_mut(), sums: alone.as_mut_ptr(), ..routine });
                }
                assert_eq!(stored, terms, "{rows} rows of {length} on {path:?}");
                for row in 0..rows {
                    let mut lanes = [0.0f32; LANES];
                    (0..length).for_each(|i| lanes[i % LANES] += terms[row * length + i]);
                    let sum = combine_sums(lanes).to_slot();
                    assert_eq!((sums[row], alone[row]), (sum, sum), "row {row} of {length} on {path:?}");
                }
            }
        }
    }
}
