//! Ends a run early: when the user interrupts it, or when an index is bad.
//! Depends on `error`. Invariant: the cancel callback is called on the calling thread only.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};

/// How often the callback is asked, at most.
const INTERVAL: Duration = Duration::from_millis(10);

thread_local! {
    /// Its address tells a thread from the others, at less cost than an identity that can be printed.
    static HERE: u8 = const { 0 };
}

fn here() -> usize {
    HERE.with(|here| std::ptr::from_ref(here) as usize)
}

static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Microseconds from the epoch to the last question.
#[derive(Default)]
struct Asked(AtomicU64);

impl Asked {
    /// Never.
    const NEVER: u64 = 0;
    /// Once, without a look at the clock, which would take longer than the smallest kernels.
    const ONCE: u64 = 1;

    /// Whether it is time for another question, which this one then is. The first interval counts from the second call on.
    fn is_time(&self) -> bool {
        let last = self.0.load(Relaxed);
        if last == Self::NEVER {
            self.0.store(Self::ONCE, Relaxed);
            return false;
        }
        let now = EPOCH.elapsed().as_micros() as u64 + Self::ONCE + 1;
        let due = last != Self::ONCE && now.saturating_sub(last) >= INTERVAL.as_micros() as u64;
        if due || last == Self::ONCE {
            self.0.store(now, Relaxed);
        }
        due
    }
}

/// What all chunks of a run share.
pub(super) struct Monitor<'a> {
    cancelled: Option<&'a (dyn Fn() -> bool + Sync)>,
    caller: usize,
    asked: Asked,
    stopped: AtomicBool,
    /// The error of the lowest chunk so far.
    error: Mutex<Option<(usize, Error)>>,
}

impl<'a> Monitor<'a> {
    /// A monitor for a run on this thread; without a callback nothing can interrupt it.
    pub(super) fn new(cancelled: Option<&'a (dyn Fn() -> bool + Sync)>) -> Self {
        Self {
            cancelled,
            caller: here(),
            asked: Asked::default(),
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
        if here() != self.caller || !self.asked.is_time() {
            return false;
        }
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
