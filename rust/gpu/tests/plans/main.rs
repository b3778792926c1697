//! Plans built by hand, run on an adapter and compared with their meaning on the processor.
//! Depends on the GPU crate and the core's vocabulary. Invariant: tests are left out only where no adapter answers at all.

mod build;
mod device;
mod engine;
mod functions;
mod gather;
mod groups;
mod matmul;
mod naive;
mod reductions;
mod units;
