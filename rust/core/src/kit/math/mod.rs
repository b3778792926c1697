//! Elementary functions without branches, so that loops over them become vector code.
//! Depends on `simd`. Invariant: every function is right at NaN, infinities, zeros and denormals; errors are stated in units in the last place
//! (ULP) and held by the sweeps in `tests`.
//!
//! `single` works in f32; `wide` has the f32 functions that are computed in f64 and rounded once; `double`, `circle` and `power` are f64;
//! `angle` and `hyperbolic` have the inverse functions of both types.
//! Polynomials are minimax fits (Remez) on the reduced range.

pub mod angle;
pub mod circle;
pub mod double;
mod exact;
pub mod hyperbolic;
pub mod power;
pub mod single;
pub mod wide;

#[cfg(test)]
mod tests;

/// `condition ? yes : no` as one vector select, for values that are both computed anyway.
#[inline(always)]
pub(super) fn select<T: Copy>(condition: bool, yes: T, no: T) -> T {
    if condition { yes } else { no }
}
