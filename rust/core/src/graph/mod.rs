//! The lazy graph: tensors, nodes, the op contract, live handles.
//! Depends on the vocabulary, `plan` and `backend`. Invariant: a node's shape and dtype are known from its birth; only its value comes later.

mod apply;
mod capture;
mod handle;
mod mark;
mod mode;
mod node;
mod op;
mod recorder;
mod slot;

pub use apply::{apply, apply_across, apply_multi, from_storage, identity, leaf, promise, source};
pub use capture::{begin_capture, end_capture, note};
pub use handle::{Handle, WeakHandle, live_pending, pending_nodes};
pub(crate) use handle::{RegistryGuard, registry};
pub use mark::{Mark, new_walk};
pub use mode::{
    GradMode, InScope, autocast, current_scope, grad_enabled, is_recording_scopes, pop_scope, push_scope, scope_name,
    set_autocast, set_grad_enabled,
};
pub use node::{History, Node, Output, Storage, Tensor, WeakTensor, next_id};
pub use op::{Cotangent, Key, Kind, Lowering, Meta, Op, Pointwise, View, Vjp};
pub use recorder::{
    Found, Origin, Recorder, SlotUse, Variable, note_variable, recording, start_recording, stop_recording,
};
pub use slot::{GradSlot, Hook};
