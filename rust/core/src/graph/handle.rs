//! Handles: what users hold. A handle names a tensor and can be rebound to another (in-place writing).
//! Depends on `node`. Invariant: the registry knows every pending node that a handle points at.

use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::node::{Node, PENDING, Tensor};
use super::recorder;

/// A live, rebindable name of a tensor. Clones are the same name.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Binding>);

#[derive(Debug)]
struct Binding(Mutex<Tensor>);

/// A handle that does not keep its name alive.
#[derive(Clone, Debug)]
pub struct WeakHandle(Weak<Binding>);

impl WeakHandle {
    /// The handle, as long as somebody holds it.
    pub fn upgrade(&self) -> Option<Handle> {
        self.0.upgrade().map(Handle)
    }
}

/// Pending nodes that handles point at; dead entries are swept when read, and before it grows. Its lock is the standard library's, which a fork can hold.
static REGISTRY: std::sync::Mutex<Vec<Weak<Node>>> = std::sync::Mutex::new(Vec::new());

/// The registry's lock.
pub(crate) type RegistryGuard = std::sync::MutexGuard<'static, Vec<Weak<Node>>>;

/// The registry, for a moment; to hold while the process forks.
pub(crate) fn registry() -> RegistryGuard {
    REGISTRY.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Entries up to which the registry grows unseen.
const FEW_ENTRIES: usize = 1024;

/// Adds an entry. A program that asks for no value never reads the registry, and every entry keeps the memory of a node
/// that is gone: where there is no room left, dead entries make way first. Room for twice the living keeps this rare.
fn add(registry: &mut Vec<Weak<Node>>, node: &Arc<Node>) {
    if registry.len() == registry.capacity() && registry.len() >= FEW_ENTRIES {
        registry.retain(|entry| entry.strong_count() > 0);
        registry.reserve(registry.len().max(1));
    }
    registry.push(Arc::downgrade(node));
}

fn enter(tensor: &Tensor) {
    let output = &tensor.node.outputs[tensor.output];
    output.live.fetch_add(1, Ordering::AcqRel);
    if output.storage.get().is_none() && !tensor.node.registered.swap(true, Ordering::AcqRel) {
        add(&mut registry(), &tensor.node);
    }
}

fn leave(tensor: &Tensor) {
    tensor.node.outputs[tensor.output].live.fetch_sub(1, Ordering::AcqRel);
}

impl Handle {
    /// A new name for a tensor.
    pub fn new(tensor: Tensor) -> Self {
        enter(&tensor);
        let handle = Self(Arc::new(Binding(Mutex::new(tensor))));
        if recorder::recording() {
            recorder::note_born(&handle);
        }
        handle
    }

    /// The tensor that it names now.
    pub fn tensor(&self) -> Tensor {
        let tensor = self.0.0.lock().clone();
        if recorder::recording() {
            recorder::note_read(self, &tensor);
        }
        tensor
    }

    /// The name without keeping it alive.
    pub fn downgrade(&self) -> WeakHandle {
        WeakHandle(Arc::downgrade(&self.0))
    }

    /// Names another tensor from now on. Concurrent rebinds: the last wins.
    pub fn rebind(&self, tensor: Tensor) {
        enter(&tensor);
        let old = std::mem::replace(&mut *self.0.0.lock(), tensor);
        if recorder::recording() {
            recorder::note_rebound(self, &old);
        }
        leave(&old);
    }

    /// Names another tensor, unless the handle has been rebound since `expected` was read; says whether it did.
    pub fn rebind_if(&self, expected: &Tensor, tensor: Tensor) -> bool {
        enter(&tensor);
        let mut current = self.0.0.lock();
        if current.key() != expected.key() {
            drop(current);
            leave(&tensor);
            return false;
        }
        let old = std::mem::replace(&mut *current, tensor);
        drop(current);
        leave(&old);
        true
    }

    /// Identifies the name.
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        leave(self.0.get_mut());
    }
}

/// Pending tensors with a live handle, oldest first. Sweeps entries that are computed, unnamed or gone.
pub fn live_pending() -> Vec<Tensor> {
    let mut registry = registry();
    let mut live = Vec::new();
    let mut gone = Vec::new();
    registry.retain(|entry| {
        let Some(node) = entry.upgrade() else { return false };
        let before = live.len();
        for (output, state) in node.outputs.iter().enumerate() {
            if state.storage.get().is_none() && state.live.load(Ordering::Acquire) > 0 {
                live.push(Tensor { node: node.clone(), output });
            }
        }
        let keep = live.len() > before;
        if !keep {
            node.registered.store(false, Ordering::Release);
            // A handle may have appeared between the look and the store.
            if node.outputs.iter().any(|o| o.storage.get().is_none() && o.live.load(Ordering::Acquire) > 0)
                && !node.registered.swap(true, Ordering::AcqRel)
            {
                return true;
            }
            gone.push(node);
        }
        keep
    });
    drop(registry);
    drop(gone);
    live.sort_unstable_by_key(Tensor::key);
    live
}

/// Number of nodes that exist and may still be pending: the measure of the automatic flush.
pub fn pending_nodes() -> usize {
    PENDING.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Device;
    use crate::dtype::{DType, Scalar};
    use crate::ops;

    fn pending() -> Tensor {
        ops::full(&[2], Scalar::Int(1), DType::F32, Device::Cpu).expect("a tensor")
    }

    #[test]
    fn entries_of_nodes_that_are_gone_do_not_pile_up() {
        let mut registry = Vec::new();
        for _ in 0..50_000 {
            add(&mut registry, &pending().node);
        }
        assert!(registry.capacity() <= 2 * FEW_ENTRIES, "{}", registry.capacity());
    }

    #[test]
    fn living_entries_stay() {
        let (mut registry, mut living) = (Vec::new(), Vec::new());
        for count in 0..5_000 {
            let tensor = pending();
            add(&mut registry, &tensor.node);
            if count % 2 == 0 {
                living.push(tensor);
            }
        }
        assert_eq!(registry.iter().filter(|entry| entry.strong_count() > 0).count(), living.len());
    }
}
