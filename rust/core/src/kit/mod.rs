//! Below the ops: threads, choice of the vector path, vector mathematics, loops over tiles, matrix-product helpers, convolutions, recurrent units.
//! Depends on the vocabulary. Invariant: nothing here knows graphs, plans or groups.

pub mod columns;
pub mod conv;
pub(crate) mod gemm;
pub mod math;
pub mod matmul;
pub mod packed;
pub mod peak;
#[cfg(target_arch = "x86_64")]
mod quicksort;
pub mod recurrent;
pub(crate) mod scratch;
pub mod simd;
pub mod sort;
pub mod threads;
pub mod tiles;
pub mod transpose;
pub(crate) mod vector;

pub use matmul::matmul;
