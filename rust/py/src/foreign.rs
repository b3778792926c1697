//! Memory that Python objects own: their deleters wait in a queue until a thread holds Python's lock.
//! Depends on nothing of the engine. Invariant: a deleter, which may run any Python code, never runs inside the engine.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pyo3::prelude::*;

/// Gives foreign memory back.
pub(crate) type Deleter = Box<dyn FnOnce() + Send + Sync>;

static QUEUE: Mutex<Vec<Deleter>> = Mutex::new(Vec::new());
static FILLED: AtomicBool = AtomicBool::new(false);

/// Hands over a deleter, from any thread, whatever locks it holds.
pub(crate) fn enqueue(deleter: Deleter) {
    QUEUE.lock().push(deleter);
    FILLED.store(true, Ordering::Release);
}

/// Runs the waiting deleters. The caller holds no lock of the engine.
pub(crate) fn drain(_py: Python<'_>) {
    if FILLED.swap(false, Ordering::AcqRel) {
        let deleters = std::mem::take(&mut *QUEUE.lock());
        deleters.into_iter().for_each(|deleter| deleter());
    }
}

/// Drains the queue when dropped: the last field of what Python can free, so that memory goes with its last tensor.
#[derive(Debug)]
pub(crate) struct Drain;

impl Drop for Drain {
    fn drop(&mut self) {
        if FILLED.load(Ordering::Acquire) {
            let _ = Python::try_attach(drain);
        }
    }
}
