//! Loops over tiles: short runs of values in compute form, on which Groups are interpreted.
//! Depends on `math`, `simd` and the vocabulary. Invariant: a value depends on its operands only, not on where in a tile it lies or on a
//! tile's length, so that work can be cut anywhere.
//!
//! Compute form: Mask is `u8` of 0 or 1; I32, I64, U64, F32 and F64 are those types. Pointers need no alignment. A destination may be
//! exactly an operand of elements at least as wide (in place) and must not overlap one otherwise.

mod best;
mod cast;
mod convert;
mod divide;
mod exponential;
mod few;
mod float;
mod fold;
mod integer;
mod loops;
mod mended;
#[cfg(target_arch = "aarch64")]
mod neon;
mod number;
mod pair;
mod pointwise;
mod random;
mod rounding;
mod sums;

#[cfg(test)]
mod tests;

pub use best::best_of_row;
pub use cast::cast;
pub use convert::{load, store};
pub use exponential::Exponentials;
pub use few::{Best, best_of_columns, fold_few};
pub use fold::{
    BLOCK, LANES, arg_better, combine, count_true, fold_block, fold_columns, fold_lanes, fold_rows, identity,
    round_lines, round_to,
};
pub use pair::{Then, is_first, pair};
pub use pointwise::{Operand, exp_of_difference, fill, index_ramp, pointwise};
pub use random::{Draw, Drawn, philox};
pub use sums::sum_rows;
