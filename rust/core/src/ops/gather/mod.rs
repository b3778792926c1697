//! Elements chosen by integer tensors. Depends on `movement`, `pointwise` and `walk`.
//! Invariant: the primitives see only integers in `0..size`; `checked` makes them so.

mod check;
mod take;

pub use take::take;

pub(crate) use take::{IndexError, TakeAxes, take_checked};
