//! Movement of elements: views, and copies that join or repeat. Depends on `graph`.
//! Invariant: calls that change nothing return their input, but never a leaf under another name.

mod arrange;
mod join;
mod shape;
mod view;

pub use arrange::{flip, matrix_transpose, moveaxis, pad, permute_dims, slice, transpose, tril, triu};
pub use join::{concat, repeat, roll, split, split_sizes, stack, tile, unstack};
pub use shape::{broadcast_to, expand_dims, flatten, reshape, squeeze};

pub(crate) use arrange::{pad_zeros, permute_axes, slice_axes, slice_axis};
pub(crate) use shape::{keep_axes, reshape_to};

use crate::error::Result;
use crate::graph::{Tensor, apply};

/// Elements `start`, `start + step`, … of an axis, `size` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceAxis {
    /// First index.
    pub start: isize,
    /// Distance between neighbours; negative walks backwards, never 0.
    pub step: isize,
    /// How many.
    pub size: usize,
}

/// The tensor itself; of a leaf, a node of its own with the same value.
pub(crate) fn same(x: &Tensor) -> Result<Tensor> {
    if x.node.slot.is_some() { apply(view::Same, &[x]) } else { Ok(x.clone()) }
}
