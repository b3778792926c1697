//! Recurrent layers whose steps are one routine. Depends on `graph`, `kit::recurrent`, `matmul` and `movement`.
//! Invariant: a gradient that is to be differentiated again is made of ordinary operations, step by step.

mod gradient;
mod routine;
mod sequence;
mod stepwise;

pub use sequence::{Recurrence, recurrent};

pub use crate::kit::recurrent::Unit;
