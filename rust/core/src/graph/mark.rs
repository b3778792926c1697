//! Marks that a walk over the graph leaves on what it meets, instead of tables of its own.
//! Depends on nothing. Invariant: a mark is read and written by one walk at a time, which the engine's lock holds.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What the last walk that came by noted.
#[derive(Debug, Default)]
pub struct Mark {
    walk: AtomicU64,
    note: AtomicUsize,
}

/// A number that no walk had before.
pub fn new_walk() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

impl Mark {
    /// What this walk noted here.
    pub fn get(&self, walk: u64) -> Option<usize> {
        (self.walk.load(Ordering::Relaxed) == walk).then(|| self.note.load(Ordering::Relaxed))
    }

    /// Notes something in place of what is there.
    pub fn set(&self, walk: u64, note: usize) {
        self.note.store(note, Ordering::Relaxed);
        self.walk.store(walk, Ordering::Relaxed);
    }

    /// Forgets what is there.
    pub fn clear(&self) {
        self.walk.store(0, Ordering::Relaxed);
    }
}
