//! Ends a run early: when the user interrupts it, or when an index is bad.
//! Depends on `error`. Invariant: the cancel callback is called on the calling thread only.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};

/// How often the callback is asked, at most.
const INTERVAL: Duration = Duration::from_millis(10);

/// What all chunks of a run share.
pub(super) struct Monitor<'a> {
    cancelled: Option<&'a (dyn Fn() -> bool + Sync)>,
    caller: ThreadId,
    started: Instant,
    /// Microseconds from `started` to the last question.
    asked: AtomicU64,
    stopped: AtomicBool,
    /// The error of the lowest chunk so far.
    error: Mutex<Option<(usize, Error)>>,
}

impl<'a> Monitor<'a> {
    /// A monitor for a run on this thread; without a callback nothing can interrupt it.
    pub(super) fn new(cancelled: Option<&'a (dyn Fn() -> bool + Sync)>) -> Self {
        Self {
            cancelled,
            caller: thread::current().id(),
            started: Instant::now(),
            asked: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            error: Mutex::new(None),
        }
    }

    /// Whether chunks should end. Cheap enough to ask every few microseconds.
    pub(super) fn stopped(&self) -> bool {
        if self.stopped.load(Relaxed) {
            return true;
        }
        let Some(cancelled) = self.cancelled else { return false };
        if thread::current().id() != self.caller {
            return false;
        }
        let now = self.started.elapsed().as_micros() as u64;
        if now.saturating_sub(self.asked.load(Relaxed)) < INTERVAL.as_micros() as u64 {
            return false;
        }
        self.asked.store(now, Relaxed);
        if cancelled() {
            self.fail(
                usize::MAX,
                Error::new(ErrorKind::Interrupted, "eval: interrupted. All tensors keep their values."),
            );
        }
        self.stopped.load(Relaxed)
    }

    /// Records an error of a chunk and stops the others.
    pub(super) fn fail(&self, chunk: usize, error: Error) {
        let mut first = self.error.lock();
        if first.as_ref().is_none_or(|(other, _)| chunk < *other) {
            *first = Some((chunk, error));
        }
        self.stopped.store(true, Relaxed);
    }

    /// The error, if there was one.
    pub(super) fn result(&self) -> Result<()> {
        if !self.stopped.load(Relaxed) {
            return Ok(());
        }
        self.error.lock().take().map_or(Ok(()), |(_, error)| Err(error))
    }
}
