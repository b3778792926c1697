//! Recurrent layers whose steps are one routine. Depends on `graph`, `kit::recurrent`, `matmul` and `movement`.
//! Invariant: a gradient that is to be differentiated again is made of ordinary operations, step by step.

mod gates;
mod gradient;
mod routine;
mod sequence;
mod shaders;
mod stepwise;

pub use sequence::{Recurrence, has_routine, recurrent};

pub use crate::kit::recurrent::Unit;
