//! Executes plans on the CPU: tiles of Groups, matrix products, buffers.
//! Depends on `kit`, `plan`, `group`. Invariant: results do not depend on the number of threads.

mod access;
mod ahead;
mod assign;
mod backend;
mod bound;
mod check;
mod copy;
mod cut;
mod domain;
pub mod fault;
mod fused;
mod group;
mod levels;
mod machine;
mod matmul;
pub mod memory;
mod monitor;
mod padded;
mod prepare;
mod program;
mod reduce;
mod registers;
#[cfg(test)]
mod tests;
mod walk;

pub use backend::{CpuBackend, processor_name};
