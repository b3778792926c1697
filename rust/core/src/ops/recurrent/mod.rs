//! Recurrent layers whose steps are one routine. Depends on `graph`, `kit::lstm`, `matmul` and `movement`.
//! Invariant: a gradient that is to be differentiated again is made of ordinary operations, step by step.

mod gradient;
mod lstm;

pub use lstm::{Lstm, lstm};
