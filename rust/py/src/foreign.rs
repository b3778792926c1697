//! Memory that Python objects own: their deleters wait in a queue until a thread holds Python's lock.
//! Depends on nothing of the engine. Invariant: a deleter, which may run any Python code, never runs inside the engine.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pyo3::prelude::*;

/// Gives foreign memory back.
pub(crate) type Deleter = Box<dyn FnOnce() + Send + Sync>;

static QUEUE: Mutex<Vec<Deleter>> = Mutex::new(Vec::new());
static FILLED: AtomicBool = AtomicBool::new(false);
static DRAINING: AtomicBool = AtomicBool::new(false);

/// Hands over a deleter, from any thread, whatever locks it holds.
pub(crate) fn enqueue(deleter: Deleter) {
    QUEUE.lock().push(deleter);
    FILLED.store(true, Ordering::Release);
}

/// Runs the waiting deleters. The caller holds no lock of the engine.
pub(crate) fn drain(_py: Python<'_>) {
    // What a deleter frees may enqueue more: a loop, since chains of owners may be longer than the stack.
    while FILLED.load(Ordering::Acquire) && !DRAINING.swap(true, Ordering::AcqRel) {
        let _done = Done;
        FILLED.store(false, Ordering::Release);
        let deleters = std::mem::take(&mut *QUEUE.lock());
        deleters.into_iter().for_each(|deleter| deleter());
    }
}

/// Ends the draining, also where a deleter panics.
struct Done;

impl Drop for Done {
    fn drop(&mut self) {
        DRAINING.store(false, Ordering::Release);
    }
}

/// A Python object that the engine holds; dropped through the queue, wherever the engine lets go of it.
#[derive(Debug)]
pub(crate) struct Held(Option<Py<PyAny>>);

impl Held {
    /// Holds an object.
    pub(crate) fn new(object: Py<PyAny>) -> Self {
        Self(Some(object))
    }

    /// The object.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, PyAny>> {
        self.0.as_ref().map(|object| object.bind(py))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            enqueue(Box::new(move || {
                let _ = Python::try_attach(|_| drop(object));
            }));
        }
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
