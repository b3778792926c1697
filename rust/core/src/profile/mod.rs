//! Profiles: what ran between two moments, which kernel, when, for how long.
//! Depends on `backend` and `plan`. Invariant: while no profile is open, nothing is written and a run costs one relaxed load.
//!
//! Backends note the kernels that they ran in the run's `Watch`; `evaluate` adds what they cannot know and puts them
//! here. All profiles that are open share one log and remember where they begin in it, so they may be nested or overlap.

mod describe;

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use describe::{Description, describe};

use crate::backend::{Device, Ran};

/// Records (and, apart from them, spans) that the log keeps; more are counted only.
const MOST: usize = 1 << 20;

/// One kernel that ran. Times are nanoseconds on the process's clock.
#[derive(Clone, Debug)]
pub struct Record {
    /// What the kernel does and costs.
    pub description: Arc<Description>,
    /// Where it ran.
    pub device: Device,
    /// Number of the module path that it computes for, see `graph::scope_name`; 0 where there is none.
    pub scope: u32,
    /// When it began.
    pub start: u64,
    /// When it was done.
    pub end: u64,
    /// Threads that its widest part was spread over; 0 on a GPU.
    pub threads: usize,
    /// Number of the thread that asked.
    pub thread: u32,
}

/// What the host does around kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// From the call that asks for values to the values: contains all that follows.
    Evaluate,
    /// A plan is made, since no graph of this structure was met before.
    Plan,
    /// A plan runs.
    Run,
}

/// A stretch of time on the host.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// What was done.
    pub activity: Activity,
    /// When it began.
    pub start: u64,
    /// When it was done.
    pub end: u64,
    /// Number of the thread that did it.
    pub thread: u32,
}

/// What one profile saw.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// When it was opened.
    pub start: u64,
    /// When it was closed, or now.
    pub end: u64,
    /// Kernels in the order in which their runs ended.
    pub records: Vec<Record>,
    /// The host's time.
    pub spans: Vec<Span>,
    /// Records and spans for which the log had no room.
    pub dropped: u64,
}

/// An open profile: its number and where it begins.
struct Opened {
    number: u64,
    start: u64,
    record: usize,
    span: usize,
    dropped: u64,
}

#[derive(Default)]
struct Log {
    records: Vec<Record>,
    spans: Vec<Span>,
    dropped: u64,
    open: Vec<Opened>,
    profiles: u64,
}

static OPEN: AtomicUsize = AtomicUsize::new(0);
/// A lock of the standard library, as for every lock that a fork can meet. Nobody waits for another lock while holding it.
static LOG: Mutex<Log> =
    Mutex::new(Log { records: Vec::new(), spans: Vec::new(), dropped: 0, open: Vec::new(), profiles: 0 });
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

fn log() -> MutexGuard<'static, Log> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a profile is open.
#[inline]
pub fn is_on() -> bool {
    OPEN.load(Relaxed) != 0
}

/// A moment on the process's clock.
pub fn moment(instant: Instant) -> u64 {
    instant.saturating_duration_since(*EPOCH).as_nanos() as u64
}

/// Number of this thread: threads are counted as profiles meet them.
fn thread() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    thread_local! {
        static NUMBER: u32 = NEXT.fetch_add(1, Relaxed);
    }
    NUMBER.with(|number| *number)
}

/// Puts the kernels of a run into the log. `complete` says what ran as the n-th kernel, and for which module.
pub fn record(device: Device, ran: &[Ran], complete: impl Fn(usize) -> (Arc<Description>, u32)) {
    let thread = thread();
    let mut log = log();
    let room = MOST.saturating_sub(log.records.len());
    log.dropped += ran.len().saturating_sub(room) as u64;
    log.records.extend(ran.iter().take(room).map(|ran| {
        let (description, scope) = complete(ran.kernel);
        let (start, end) = (moment(ran.start), moment(ran.end));
        Record { description, device, scope, start, end, threads: ran.threads, thread }
    }));
}

/// Measures an activity of the host until dropped; nothing where no profile is open.
#[derive(Debug)]
pub struct Watched(Option<(Activity, Instant)>);

/// Begins an activity.
#[inline]
pub fn watch(activity: Activity) -> Watched {
    Watched(is_on().then(|| (activity, Instant::now())))
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some((activity, start)) = self.0 {
            let span = Span { activity, start: moment(start), end: moment(Instant::now()), thread: thread() };
            let mut log = log();
            if log.spans.len() < MOST {
                log.spans.push(span);
            } else {
                log.dropped += 1;
            }
        }
    }
}

/// A profile that is open until it is closed or dropped.
#[derive(Debug)]
pub struct Profile {
    number: u64,
}

impl Profile {
    /// Records, from now on, what the process runs.
    pub fn open() -> Self {
        LazyLock::force(&EPOCH);
        let mut log = log();
        log.profiles += 1;
        let opened = Opened {
            number: log.profiles,
            start: moment(Instant::now()),
            record: log.records.len(),
            span: log.spans.len(),
            dropped: log.dropped,
        };
        let number = opened.number;
        log.open.push(opened);
        OPEN.fetch_add(1, Relaxed);
        Self { number }
    }

    /// What was recorded so far.
    pub fn read(&self) -> Report {
        let log = log();
        log.open.iter().find(|opened| opened.number == self.number).map_or_else(Report::default, |opened| Report {
            start: opened.start,
            end: moment(Instant::now()),
            // A log that was emptied meanwhile, in a forked child for instance, is shorter than remembered.
            records: log.records.get(opened.record..).unwrap_or_default().to_vec(),
            spans: log.spans.get(opened.span..).unwrap_or_default().to_vec(),
            dropped: log.dropped - opened.dropped,
        })
    }

    /// Stops recording.
    pub fn close(self) -> Report {
        self.read()
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Relaxed);
        let mut log = log();
        log.open.retain(|opened| opened.number != self.number);
        if log.open.is_empty() {
            (log.records, log.spans, log.dropped) = (Vec::new(), Vec::new(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kernels: usize) {
        let ran: Vec<Ran> =
            (0..kernels).map(|kernel| Ran { kernel, start: Instant::now(), end: Instant::now(), threads: 1 }).collect();
        record(Device::Cpu, &ran, |kernel| (Arc::new(Description::named(format!("kernel {kernel}"))), 7));
    }

    /// Other tests of the process may evaluate meanwhile: only what this one wrote counts.
    fn own(report: &Report) -> Vec<&str> {
        let names = report.records.iter().map(|record| record.description.name.as_str());
        names.filter(|name| name.starts_with("kernel")).collect()
    }

    #[test]
    fn profiles_may_overlap() {
        let outer = Profile::open();
        run(1);
        let inner = Profile::open();
        assert!(is_on());
        run(2);
        let first = outer.close();
        run(1);
        let second = inner.close();
        assert_eq!(own(&first), ["kernel 0", "kernel 0", "kernel 1"]);
        assert_eq!(own(&second), ["kernel 0", "kernel 1", "kernel 0"]);
        assert!(first.records.iter().all(|record| first.start <= record.start && record.start <= record.end));
        assert!(first.start < second.start && first.end < second.end);
        drop(watch(Activity::Plan));
        assert_eq!(own(&Profile::open().close()).len(), 0);
    }
}
