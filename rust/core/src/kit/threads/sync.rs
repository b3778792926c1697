//! What the pool synchronises with: the standard library, or under `--cfg loom` a model of it that tries every order of events.
//! Depends on nothing.

#[cfg(loom)]
pub(super) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
#[cfg(loom)]
pub(super) use loom::sync::{Condvar, Mutex, MutexGuard};
pub(super) use std::sync::PoisonError;
#[cfg(not(loom))]
pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
#[cfg(not(loom))]
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};

/// A value that one thread writes and others read, ordered by other means.
pub(super) struct Place<T>(#[cfg(loom)] loom::cell::UnsafeCell<T>, #[cfg(not(loom))] std::cell::UnsafeCell<T>);

impl<T: Copy> Place<T> {
    pub(super) fn new(value: T) -> Self {
        #[cfg(loom)]
        return Self(loom::cell::UnsafeCell::new(value));
        #[cfg(not(loom))]
        Self(std::cell::UnsafeCell::new(value))
    }

    /// The value.
    ///
    /// # Safety
    /// Nobody writes it at the same time.
    pub(super) unsafe fn get(&self) -> T {
        // SAFETY: as for this function.
        #[cfg(loom)]
        return self.0.with(|value| unsafe { *value });
        // SAFETY: as for this function.
        #[cfg(not(loom))]
        unsafe {
            *self.0.get()
        }
    }

    /// Replaces the value.
    ///
    /// # Safety
    /// Nobody reads or writes it at the same time.
    pub(super) unsafe fn set(&self, new: T) {
        // SAFETY: as for this function.
        #[cfg(loom)]
        self.0.with_mut(|value| unsafe { *value = new });
        // SAFETY: as for this function.
        #[cfg(not(loom))]
        unsafe {
            *self.0.get() = new;
        }
    }
}
