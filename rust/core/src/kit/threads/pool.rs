//! The pool's protocol: how a region is announced, joined, closed and left.
//! Depends on `sync`. Invariant: no worker touches a region's body after `run` has returned.
//!
//! A region is announced in one atomic word, `state`: a serial number, whether it is open, and how many workers are inside. Workers
//! join an open region by raising the count; the caller closes it when no chunk is left and waits for those inside only,
//! so that a sleeping or preempted worker delays nobody. Idle workers spin for a bounded time (cores may be shared), then
//! yield, then sleep. Locks are the standard library's: `parking_lot` keeps tables that a fork can catch locked.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p adret-core --lib loom` tries every order of events of small regions.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
#[cfg(not(loom))]
use std::time::{Duration, Instant};

use super::sync::{AtomicBool, AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering::*, Place, PoisonError};

/// How long an idle worker (or a caller that waits for workers) spins, and then yields, before it sleeps.
#[cfg(not(loom))]
const SPIN: Duration = Duration::from_micros(40);
#[cfg(not(loom))]
const YIELD: Duration = Duration::from_micros(100);

/// Bits of `state`: workers inside, whether the region is open, whether the caller sleeps; above them the serial number.
const INSIDE: u64 = 0xffff;
const OPEN: u64 = 1 << 16;
const WAITING: u64 = 1 << 17;
const SERIAL: u64 = 1 << 18;

/// What a region runs; lives on the caller's stack while the region has workers inside.
#[derive(Clone, Copy)]
struct Region {
    body: *const (dyn Fn(usize) + Sync),
    chunks: usize,
}

/// The pool of one process; leaked, so that workers may touch it at any time.
pub(super) struct Pool {
    state: AtomicU64,
    /// Held by the caller whose region runs; others run inline.
    busy: AtomicBool,
    /// Written by the holder of `busy` while the region is closed and empty, read by workers inside.
    region: Place<Region>,
    next: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    workers: AtomicUsize,
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    wake: Condvar,
    done: Condvar,
    /// Whether a model is over; workers of a process never end.
    #[cfg(loom)]
    ended: AtomicBool,
}

// SAFETY: `region` is the only field that is not Sync; the protocol of `state` and `busy` orders its one writer and its readers.
unsafe impl Sync for Pool {}

thread_local! {
    static INSIDE_REGION: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread runs a chunk.
pub(super) fn is_inside() -> bool {
    INSIDE_REGION.get()
}

/// Marks this thread as inside a region until dropped.
struct Inside;

impl Inside {
    fn enter() -> Self {
        INSIDE_REGION.set(true);
        Inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE_REGION.set(false);
    }
}

impl Pool {
    /// A pool without workers.
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            region: Place::new(Region { body: &|_| (), chunks: 0 }),
            next: AtomicUsize::new(0),
            panic: Mutex::new(None),
            workers: AtomicUsize::new(0),
            sleepers: AtomicUsize::new(0),
            lock: Mutex::new(()),
            wake: Condvar::new(),
            done: Condvar::new(),
            #[cfg(loom)]
            ended: AtomicBool::new(false),
        }
    }

    /// Makes this thread the only one that may call `run`; false where another is.
    pub(super) fn take(&self) -> bool {
        self.busy.compare_exchange(false, true, Acquire, Relaxed).is_ok()
    }

    /// One region; the caller has taken the pool, which is free again afterwards.
    pub(super) fn run(&'static self, threads: usize, chunks: usize, body: &(dyn Fn(usize) + Sync)) {
        // SAFETY: only the lifetime changes, and nobody uses the pointer after this function has closed and emptied the region.
        let body: &'static (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(body) };
        let region = Region { body, chunks };
        // SAFETY: the region is closed and empty, so no worker reads it, and `busy` keeps other callers out.
        unsafe { self.region.set(region) };
        self.next.store(0, Relaxed);
        let serial = (self.state.load(Relaxed) & !(SERIAL - 1)).wrapping_add(SERIAL);
        self.state.store(serial | OPEN, Release);
        // Read by writing: a worker that counts itself later sees the open region, one that did before is seen.
        if self.sleepers.fetch_add(0, AcqRel) > 0 {
            let _guard = lock(&self.lock);
            if threads == 2 {
                self.wake.notify_one();
            } else {
                self.wake.notify_all();
            }
        }
        self.take_chunks(region);
        if self.state.fetch_and(!OPEN, AcqRel) & INSIDE != 0 {
            self.wait_for_workers();
        }
        let panic = lock(&self.panic).take();
        self.busy.store(false, Release);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }

    /// Runs chunks until none is left; keeps the first panic for the caller.
    fn take_chunks(&self, region: Region) {
        let _inside = Inside::enter();
        loop {
            let chunk = self.next.fetch_add(1, Relaxed);
            if chunk >= region.chunks {
                return;
            }
            // SAFETY: the region is open or holds this worker, so the caller has not returned and its body is alive.
            let body = unsafe { &*region.body };
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| body(chunk))) {
                self.next.store(region.chunks, Relaxed);
                lock(&self.panic).get_or_insert(payload);
            }
        }
    }

    /// Waits until the closed region is empty.
    fn wait_for_workers(&self) {
        if idle_until(|| self.state.load(Acquire) & INSIDE == 0) {
            return;
        }
        let mut guard = lock(&self.lock);
        if self.state.fetch_or(WAITING, AcqRel) & INSIDE != 0 {
            while self.state.load(Acquire) & INSIDE != 0 {
                guard = self.done.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
        }
        self.state.fetch_and(!WAITING, AcqRel);
    }

    /// Starts workers up to this many; fewer where the system refuses. The caller has taken the pool.
    pub(super) fn start_workers(&'static self, wanted: usize) {
        for index in self.workers.load(Relaxed)..wanted {
            let worker = std::thread::Builder::new().name(format!("adret-{index}")).spawn(move || self.work(index));
            if worker.is_err() {
                return;
            }
            self.workers.store(index + 1, Relaxed);
        }
    }

    /// A worker's life.
    fn work(&self, index: usize) {
        let mut seen = 0;
        loop {
            self.serve(index, &mut seen);
        }
    }

    /// Joins a region that is open and not `seen`, or waits for one.
    fn serve(&self, index: usize, seen: &mut u64) {
        let state = self.state.load(Acquire);
        if state & OPEN == 0 || state & !(SERIAL - 1) == *seen {
            self.wait_for_region(*seen);
            return;
        }
        let joins = index + 1 < super::num_threads();
        if joins && self.state.compare_exchange(state, state + 1, AcqRel, Relaxed).is_err() {
            return;
        }
        *seen = state & !(SERIAL - 1);
        if joins {
            // SAFETY: the count in `state` holds the region open for reading until this worker leaves.
            self.take_chunks(unsafe { self.region.get() });
            let left = self.state.fetch_sub(1, AcqRel);
            if left & INSIDE == 1 && left & WAITING != 0 {
                let _guard = lock(&self.lock);
                self.done.notify_all();
            }
        }
    }

    /// Waits until a region is open that was not `seen`, or was: waking takes longer than a short region, and one that is followed by
    /// others finds them by spinning again, where sleeping on would miss them all.
    fn wait_for_region(&self, seen: u64) {
        let news = || {
            #[cfg(loom)]
            if self.ended.load(Acquire) {
                return true;
            }
            let state = self.state.load(Acquire);
            state & OPEN != 0 && state & !(SERIAL - 1) != seen
        };
        if idle_until(news) {
            return;
        }
        let mut guard = lock(&self.lock);
        self.sleepers.fetch_add(1, AcqRel);
        if !news() {
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, AcqRel);
        drop(guard);
    }
}

/// A lock taken whether or not a panic has passed it: what these locks guard is always whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks once: a model of all orders of events needs no patience.
#[cfg(loom)]
fn idle_until(condition: impl Fn() -> bool) -> bool {
    condition()
}

/// Spins, then yields, for a bounded time; whether the condition came true.
#[cfg(not(loom))]
fn idle_until(condition: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        for _ in 0..32 {
            if condition() {
                return true;
            }
            std::hint::spin_loop();
        }
        let waited = start.elapsed();
        if waited > SPIN + YIELD {
            return condition();
        }
        if waited > SPIN {
            std::thread::yield_now();
        }
    }
}

#[cfg(all(test, loom))]
mod loom {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering::*};

    use super::{AssertUnwindSafe, Pool, catch_unwind};

    impl Pool {
        /// Lets a worker that waits go.
        fn end(&self) {
            let _guard = super::lock(&self.lock);
            self.ended.store(true, Release);
            self.wake.notify_all();
        }
    }

    /// Regions of a caller, and a worker that serves as often as is told. Leaks a pool per order of events.
    fn regions(chunks: &'static [usize], services: usize) {
        crate::kit::threads::set_num_threads(2);
        loom::model(move || {
            let pool: &'static Pool = Box::leak(Box::new(Pool::new()));
            let worker = loom::thread::spawn(move || {
                let mut seen = 0;
                for _ in 0..services {
                    pool.serve(0, &mut seen);
                }
            });
            for &chunks in chunks {
                let counts: Arc<Vec<AtomicUsize>> = Arc::new((0..chunks).map(|_| AtomicUsize::new(0)).collect());
                let body = |index: usize| {
                    counts[index].fetch_add(1, Relaxed);
                };
                assert!(pool.take());
                pool.run(2, chunks, &body);
                // The body's data are the caller's again: every chunk ran once, and is seen.
                assert!(counts.iter().all(|count| count.load(Relaxed) == 1));
            }
            pool.end();
            worker.join().unwrap();
        });
    }

    #[test]
    fn loom_one_region() {
        // The worker comes early and sleeps, in time, or too late; the caller waits for it only where it is inside.
        regions(&[2], 2);
    }

    #[test]
    fn loom_two_regions() {
        regions(&[2, 2], 2);
    }

    #[test]
    fn loom_a_panic_reaches_the_caller() {
        crate::kit::threads::set_num_threads(2);
        loom::model(|| {
            let pool: &'static Pool = Box::leak(Box::new(Pool::new()));
            let worker = loom::thread::spawn(move || pool.serve(0, &mut 0));
            assert!(pool.take());
            let caught = catch_unwind(AssertUnwindSafe(|| pool.run(2, 2, &|index| assert!(index != 1, "one"))));
            assert!(caught.is_err());
            assert!(pool.take(), "the pool is free again");
            pool.end();
            worker.join().unwrap();
        });
    }
}
