//! Convolutions and transposed convolutions of one to three axes. Depends on `graph`, `movement` and `kit::conv`.
//! Invariant: there are three primitives, closed under differentiation; all calls are one of them between views.

mod calls;
mod gpu;
mod op;
mod tiled;

pub use calls::{Moves, Padding, conv, conv_transpose};
