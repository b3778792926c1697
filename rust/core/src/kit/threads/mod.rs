//! One fork-join pool per process: `parallel` runs numbered chunks on all threads, the caller among them.
//! Depends on `error`. Invariant: no worker touches a region's body after `parallel` has returned.

mod pool;
mod sync;

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*};

use pool::{Pool, is_inside};

use crate::backend::Parallel;
use crate::error::Result;

/// Most threads that can be asked for.
const MOST_THREADS: usize = 1024;

static POOL: AtomicPtr<Pool> = AtomicPtr::new(std::ptr::null_mut());
/// Threads to use; 0 until first asked.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Threads that a region of this thread was spread over, at most, since last asked.
    static WIDEST: Cell<usize> = const { Cell::new(1) };
}

/// Threads that this thread's regions were spread over, at most, since the last call.
pub fn take_widest() -> usize {
    WIDEST.replace(1)
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
    if chunks > 1 && threads > 1 && !is_inside() {
        let pool = pool();
        if pool.take() {
            pool.start_workers(threads.min(chunks) - 1);
            WIDEST.set(WIDEST.get().max(threads.min(chunks)));
            pool.run(threads.min(chunks), chunks, body);
            return;
        }
    }
    (0..chunks).for_each(body);
}

/// Runs chunks by `parallel` that may fail.
///
/// # Errors
/// One of those that chunks met; the others have run nevertheless.
pub fn try_parallel(parallel: &Parallel<'_>, chunks: usize, body: &(dyn Fn(usize) -> Result<()> + Sync)) -> Result<()> {
    if chunks == 1 {
        return body(0);
    }
    let failed = OnceLock::new();
    parallel(chunks, &|chunk| {
        if let Err(error) = body(chunk) {
            let _ = failed.set(error);
        }
    });
    failed.into_inner().map_or(Ok(()), Err)
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

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::catch_unwind;
    use std::time::Duration;

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
