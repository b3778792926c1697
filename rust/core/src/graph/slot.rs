//! Where gradients are gathered and who is asked about them on the way: the slot of a leaf, or of a watched result.
//! Depends on `handle`. Invariant: hooks run in the order in which they were added, each seeing what the last one made of the gradient.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::handle::Handle;
use super::node::Tensor;
use super::recorder;
use crate::error::{Error, Result};

/// Called with a tensor's complete gradient; may put another in its place.
pub type Hook = Arc<dyn Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync>;

static NEXT_HOOK: AtomicU64 = AtomicU64::new(1);

/// Where a tensor's gradient is gathered. A leaf's is shared by the handle and the leaves that it is bound to in turn.
#[derive(Default)]
pub struct GradSlot {
    grad: Mutex<Option<Handle>>,
    hooks: Mutex<Vec<(u64, Hook)>>,
    retains: AtomicBool,
}

impl GradSlot {
    /// The gradient gathered so far.
    pub fn get(self: &Arc<Self>) -> Option<Handle> {
        let grad = self.grad.lock().clone();
        if recorder::recording() {
            recorder::note_slot_read(self, grad.as_ref());
        }
        grad
    }

    /// Replaces the gradient.
    pub fn set(self: &Arc<Self>, grad: Option<Handle>) {
        if recorder::recording() {
            recorder::note_slot_written(self);
        }
        let old = std::mem::replace(&mut *self.grad.lock(), grad);
        drop(old);
    }

    /// Gathers the gradient of a tensor that is not a leaf, too.
    pub fn retain(&self) {
        self.retains.store(true, Ordering::Release);
    }

    /// Whether `retain` was called.
    pub fn retains(&self) -> bool {
        self.retains.load(Ordering::Acquire)
    }

    /// Whether hooks are called with the gradient.
    pub fn has_hooks(&self) -> bool {
        !self.hooks.lock().is_empty()
    }

    /// Adds a hook; the number removes it.
    pub fn add_hook(&self, hook: Hook) -> u64 {
        let number = NEXT_HOOK.fetch_add(1, Ordering::Relaxed);
        self.hooks.lock().push((number, hook));
        number
    }

    /// Removes a hook, unless it is gone already.
    pub fn remove_hook(&self, number: u64) {
        let mut hooks = self.hooks.lock();
        let removed = hooks.iter().position(|(other, _)| *other == number).map(|at| hooks.remove(at));
        // What a hook owns may run any code when it goes.
        drop(hooks);
        drop(removed);
    }

    /// Removes all hooks.
    pub fn clear_hooks(&self) {
        let removed = std::mem::take(&mut *self.hooks.lock());
        drop(removed);
    }

    /// What the hooks make of a gradient.
    ///
    /// # Errors
    /// Those of the hooks, and when one changes shape, dtype or device.
    pub fn hooked(&self, grad: Tensor) -> Result<Tensor> {
        let hooks: Vec<Hook> = self.hooks.lock().iter().map(|(_, hook)| hook.clone()).collect();
        hooks.into_iter().try_fold(grad, |grad, hook| {
            let Some(new) = hook(&grad)? else { return Ok(grad) };
            if new.meta() != grad.meta() || new.device() != grad.device() {
                return Err(Error::shape(format!(
                    "register_hook: the gradient is {} of {} on {} and the hook returned {} of {} on {}. Return a \
                     tensor like the gradient, or None.",
                    grad.shape(),
                    grad.dtype(),
                    grad.device(),
                    new.shape(),
                    new.dtype(),
                    new.device()
                )));
            }
            Ok(new)
        })
    }
}

impl fmt::Debug for GradSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GradSlot({:?}, {} hooks)", self.grad.lock(), self.hooks.lock().len())
    }
}
