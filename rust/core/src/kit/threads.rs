//! One fork-join pool: `parallel` runs numbered chunks on all threads, the caller among them.
//! Depends on nothing. Invariant: no worker touches a region's body after `parallel` has returned.
//!
//! A region is announced in one atomic word, `state`: a serial number, whether it is open, and how many workers are inside. Workers
//! join an open region by raising the count; the caller closes it when no chunk is left and waits for those inside only,
//! so that a sleeping or preempted worker delays nobody. Idle workers spin for a bounded time (cores may be shared), then
//! yield, then sleep. Locks are the standard library's: `parking_lot` keeps tables that a fork can catch locked.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering::*};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an idle worker (or a caller that waits for workers) spins, and then yields, before it sleeps.
const SPIN: Duration = Duration::from_micros(40);
const YIELD: Duration = Duration::from_micros(100);
/// Most threads that can be asked for.
const MOST_THREADS: usize = 1024;

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
struct Pool {
    state: AtomicU64,
    /// Held by the caller whose region runs; others run inline.
    busy: AtomicBool,
    /// Written by the holder of `busy` while the region is closed and empty, read by workers inside.
    region: std::cell::UnsafeCell<Region>,
    next: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    workers: AtomicUsize,
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    wake: Condvar,
    done: Condvar,
}

// SAFETY: `region` is the only field that is not Sync; the protocol of `state` and `busy` orders its one writer and its readers.
unsafe impl Sync for Pool {}

static POOL: AtomicPtr<Pool> = AtomicPtr::new(std::ptr::null_mut());
/// Threads to use; 0 until first asked.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static INSIDE_REGION: Cell<bool> = const { Cell::new(false) };
}

/// Sets how many threads regions use, the caller included; 0 restores the default.
pub fn set_num_threads(n: usize) {
    THREADS.store(if n == 0 { default_threads() } else { n.min(MOST_THREADS) }, Relaxed);
}

/// How many threads regions use: as set, or `ADRET_NUM_THREADS`, or as many as the process may run at once.
pub fn num_threads() -> usize {
    match THREADS.load(Relaxed) {
        0 => {
            let n = default_threads();
            // Another thread may have set a number meanwhile: that one counts.
            THREADS.compare_exchange(0, n, Relaxed, Relaxed).err().unwrap_or(n)
        }
        n => n,
    }
}

fn default_threads() -> usize {
    std::env::var("ADRET_NUM_THREADS")
        .ok()
        .and_then(|text| text.trim().parse::<usize>().ok())
        .filter(|&n| n > 0)
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()))
        .min(MOST_THREADS)
}

/// Runs `body(0)`, …, `body(chunks - 1)`, each once, in any order, on all threads, and returns when all are done.
/// One chunk, one thread, a call from inside a region, or a pool that another thread uses: all chunks run in order on the caller.
///
/// # Panics
/// When a body panicked: with its payload, after the region has ended; chunks not yet begun are skipped then.
pub fn parallel(chunks: usize, body: &(dyn Fn(usize) + Sync)) {
    let threads = num_threads();
    if chunks > 1 && threads > 1 && !INSIDE_REGION.get() {
        let pool = pool();
        if pool.busy.compare_exchange(false, true, Acquire, Relaxed).is_ok() {
            pool.run(threads.min(chunks), chunks, body);
            return;
        }
    }
    (0..chunks).for_each(body);
}

/// This process's pool. After a fork the child has none yet: its workers did not come along.
fn pool() -> &'static Pool {
    let mut pool = POOL.load(Acquire);
    if pool.is_null() {
        forget_after_fork();
        let fresh = Box::into_raw(Box::new(Pool::new()));
        pool = match POOL.compare_exchange(std::ptr::null_mut(), fresh, AcqRel, Acquire) {
            Ok(_) => fresh,
            Err(other) => {
                // SAFETY: nobody else has seen `fresh`.
                drop(unsafe { Box::from_raw(fresh) });
                other
            }
        };
    }
    // SAFETY: a published pool is never freed.
    unsafe { &*pool }
}

/// Makes a forked child start without a pool; what the parent's held is left alone, whatever state it was copied in.
fn forget_after_fork() {
    #[cfg(unix)]
    {
        static REGISTERED: std::sync::Once = std::sync::Once::new();
        extern "C" fn forget() {
            POOL.store(std::ptr::null_mut(), Release);
        }
        // SAFETY: the handler lives as long as the process and does one atomic store.
        REGISTERED.call_once(|| unsafe {
            libc::pthread_atfork(None, None, Some(forget));
        });
    }
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
    fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            region: std::cell::UnsafeCell::new(Region { body: &|_| (), chunks: 0 }),
            next: AtomicUsize::new(0),
            panic: Mutex::new(None),
            workers: AtomicUsize::new(0),
            sleepers: AtomicUsize::new(0),
            lock: Mutex::new(()),
            wake: Condvar::new(),
            done: Condvar::new(),
        }
    }

    /// One region; the caller holds `busy`.
    fn run(&'static self, threads: usize, chunks: usize, body: &(dyn Fn(usize) + Sync)) {
        self.start_workers(threads - 1);
        // SAFETY: only the lifetime changes, and nobody uses the pointer after this function has closed and emptied the region.
        let body: &'static (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(body) };
        let region = Region { body, chunks };
        // SAFETY: the region is closed and empty, so no worker reads it, and `busy` keeps other callers out.
        unsafe { *self.region.get() = region };
        self.next.store(0, Relaxed);
        let serial = (self.state.load(Relaxed) & !(SERIAL - 1)).wrapping_add(SERIAL);
        self.state.store(serial | OPEN, SeqCst);
        if self.sleepers.load(SeqCst) > 0 {
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

    /// Starts workers up to this many; fewer where the system refuses.
    fn start_workers(&'static self, wanted: usize) {
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
            let state = self.state.load(Acquire);
            if state & OPEN != 0 && state & !(SERIAL - 1) != seen {
                let joins = index + 1 < num_threads();
                if joins && self.state.compare_exchange(state, state + 1, AcqRel, Relaxed).is_err() {
                    continue;
                }
                seen = state & !(SERIAL - 1);
                if joins {
                    // SAFETY: the count in `state` holds the region open for reading until this worker leaves.
                    self.take_chunks(unsafe { *self.region.get() });
                    let left = self.state.fetch_sub(1, AcqRel);
                    if left & INSIDE == 1 && left & WAITING != 0 {
                        let _guard = lock(&self.lock);
                        self.done.notify_all();
                    }
                }
                continue;
            }
            let news = |order| {
                let state = self.state.load(order);
                state & OPEN != 0 && state & !(SERIAL - 1) != seen
            };
            if !idle_until(|| news(Acquire)) {
                let mut guard = lock(&self.lock);
                self.sleepers.fetch_add(1, SeqCst);
                while !news(SeqCst) {
                    guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
                }
                self.sleepers.fetch_sub(1, SeqCst);
            }
        }
    }
}

/// A lock taken whether or not a panic has passed it: what these locks guard is always whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Spins, then yields, for a bounded time; whether the condition came true.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(chunks: usize) -> Vec<usize> {
        let counts: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
        parallel(chunks, &|i| {
            counts[i].fetch_add(1, Relaxed);
        });
        counts.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_chunk_runs_once() {
        for threads in [1, 2, 5] {
            set_num_threads(threads);
            for chunks in [0, 1, 2, 3, 17, 1000] {
                for _ in 0..20 {
                    assert!(counts(chunks).iter().all(|&n| n == 1));
                }
            }
            std::thread::sleep(Duration::from_millis(2));
            assert!(counts(50).iter().all(|&n| n == 1));
        }
        set_num_threads(0);
    }

    #[test]
    fn nested_and_concurrent_regions_run() {
        let total = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        parallel(8, &|_| {
                            parallel(3, &|_| {
                                total.fetch_add(1, Relaxed);
                            })
                        });
                    }
                });
            }
        });
        assert_eq!(total.into_inner(), 4 * 100 * 8 * 3);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        for _ in 0..20 {
            let caught = catch_unwind(|| parallel(64, &|i| assert!(i != 13, "thirteen")));
            assert!(caught.is_err());
            assert!(counts(64).iter().all(|&n| n == 1));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_forked_child_has_a_pool_of_its_own() {
        assert!(counts(64).iter().all(|&n| n == 1));
        // SAFETY: the child only uses this module and leaves by `_exit`.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                let sum = AtomicUsize::new(0);
                parallel(100, &|i| {
                    sum.fetch_add(i, Relaxed);
                });
                libc::_exit(if sum.into_inner() == 4950 { 0 } else { 1 });
            }
            let mut status = 0;
            libc::waitpid(child, &mut status, 0);
            assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
        }
    }
}
