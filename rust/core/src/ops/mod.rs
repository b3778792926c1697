//! The operations: what a call checks, the node that it makes, and the gradient of every primitive.
//! Depends on `graph` and the vocabulary. Invariant: every user error is raised by the call; gradients are built from these same functions.

mod accumulate;
mod autocast;
mod axes;
mod batch_norm;
mod composite;
mod conv;
mod create;
mod custom;
mod expr;
mod gather;
mod kernel;
mod matmul;
mod movement;
mod operand;
mod pointwise;
mod pool;
pub mod random;
mod recurrent;
mod reduce;
mod resample;
mod scan;
mod shader;
mod transfer;
mod walk;

pub use accumulate::accumulate;
pub use axes::{normalize_axes, normalize_axis};
pub use batch_norm::{Normalized, batch_norm};
pub use composite::*;
pub use conv::{Moves, Padding, conv, conv_transpose};
pub use create::{arange, eye, full, full_like, full_variable, linspace, zeros_like};
pub use custom::{Rule, part, with_joint_vjp, with_vjp};
pub use gather::{
    Index, argsort, embedding, index_get, index_set, one_hot, put_slice, put_take, scatter_add, sort, take,
    take_along_axis,
};
pub use kernel::UserKernel;
pub use matmul::{dot, linear, matmul, outer, vecdot};
pub use movement::*;
pub use operand::{Operand, default_integer, result_type};
pub use pointwise::*;
pub use pool::{Windows, adaptive_avg_pool, adaptive_max_pool, avg_pool, fold, max_pool, unfold};
pub use recurrent::{Recurrence, Unit, has_routine, recurrent};
pub use reduce::*;
pub use resample::{Interpolation, interpolate};
pub use scan::{Running, cumulative};
pub use transfer::to_device;
