//! Elements chosen by integer tensors and masks. Depends on `movement`, `pointwise` and `walk`.
//! Invariant: the primitives see only integers in `0..size`; `checked` makes them so.

mod along;
mod check;
mod index;
mod mask;
mod put;
mod scatter;
mod sort;
mod sort_shaders;
mod take;

pub use along::{scatter_add, take_along_axis};
pub use index::{Index, index_get, index_set};
pub use put::{put_slice, put_take};
pub use sort::{argsort, sort};
pub use take::{embedding, one_hot, take};

pub(crate) use along::take_along_checked;
pub(crate) use check::{checked, label_dtype};
pub(crate) use scatter::{IndexError, Part, add_slice, scatter};
pub(crate) use take::take_checked;
