//! Below the ops: threads, choice of the vector path, vector mathematics, loops over tiles, matrix-product helpers, convolutions.
//! Depends on the vocabulary. Invariant: nothing here knows graphs, plans or groups.

pub mod conv;
pub mod math;
pub mod matmul;
pub mod simd;
pub mod sort;
pub mod threads;
pub mod tiles;
pub mod transpose;

pub use matmul::matmul;
