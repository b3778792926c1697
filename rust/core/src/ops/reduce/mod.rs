//! Reductions: the fold primitive, and sums, means, extremes and norms made of it.
//! Depends on `pointwise` and `movement`. Invariant: the primitive drops its axes; `keepdims` is a reshape afterwards.

mod fold;
mod product;
mod statistics;

pub use fold::{argmax, argmin, reduce};
pub use statistics::{logsumexp, norm, std, variance};

pub(crate) use fold::{extreme, sum_axes, widened};

/// What a reduction makes of the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Sum; of `bool` and narrow integers in 64 bits.
    Sum,
    /// Product; of `bool` and narrow integers in 64 bits.
    Prod,
    /// Largest; NaN wins.
    Max,
    /// Smallest; NaN wins.
    Min,
    /// Mean; of integers as float32.
    Mean,
    /// Whether one is not zero.
    Any,
    /// Whether none is zero.
    All,
}

impl Reduction {
    /// The name that users know.
    pub fn name(self) -> &'static str {
        match self {
            Reduction::Sum => "sum",
            Reduction::Prod => "prod",
            Reduction::Max => "max",
            Reduction::Min => "min",
            Reduction::Mean => "mean",
            Reduction::Any => "any",
            Reduction::All => "all",
        }
    }
}
