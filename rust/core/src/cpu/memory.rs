//! Host memory: buffers from a pool of size classes, and buffers that others own.
//! Depends on `backend` and `error`. Invariant: the pool's lock is the last that any thread takes, and no memory is asked of or given to
//! the system by aborting: exhaustion is an error.
//!
//! Freshly mapped memory costs a page fault per page, several times the price of the arithmetic that fills it; so freed buffers are kept.

use std::alloc::{Layout, alloc, dealloc};
use std::any::Any;
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::backend::{Buffer, BufferRef, Stats};
use crate::error::{Error, ErrorKind, Result};

/// Alignment of every pooled buffer: a cache line, and the widest vector.
pub const ALIGNMENT: usize = 64;
/// Cached bytes that are kept however little is in use.
const CACHE_FLOOR: usize = 256 << 20;
/// From here on buffers are aligned to huge pages and advised to use them.
const HUGE_FROM: usize = 2 << 20;
/// From here on a block may serve a buffer of half its size, and makes way for a larger one.
const SHARED_FROM: usize = 1 << 20;
/// Sizes of buffers that an error lists.
const LISTED: usize = 3;
/// Bytes of a huge page on x86-64 and on AArch64 with 4 KiB pages.
const HUGE_PAGE: usize = 2 << 20;

/// Free blocks by size class, and the counters.
struct Pool {
    free: Vec<Vec<Block>>,
    /// Buffers in use, by the class that they were asked in.
    live: Vec<usize>,
    in_use: usize,
    peak: usize,
    /// Largest `in_use` ever: bounds the cache, not touched by `reset_peak`.
    high_water: usize,
    cached: usize,
    misses: u64,
    allocations: u64,
    /// The n-th next allocation fails; for tests.
    fail_after: Option<u64>,
}

static POOL: Mutex<Pool> = Mutex::new(Pool::EMPTY);

/// The pool, for a moment. A mutex of the standard library, because `parking_lot` keeps tables that a fork can catch locked.
fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One piece of memory from the system, of the size of its class.
#[derive(Clone, Copy)]
struct Block {
    start: NonNull<u8>,
    class: usize,
}

// SAFETY: a block is plain memory; whoever holds the value owns it.
unsafe impl Send for Block {}
// SAFETY: as above; shared access to the bytes is ruled by the plans that use them.
unsafe impl Sync for Block {}

/// Classes from one size to its double.
const DOUBLING: usize = 8;

/// Class of a request: classes are 8 per doubling, so a block is at most 12.5 % larger than asked (up to 512 bytes: the next multiple of 64).
fn class_of(bytes: usize) -> usize {
    let units = bytes.div_ceil(ALIGNMENT).max(1);
    if units <= 8 {
        return units - 1;
    }
    let doublings = (usize::BITS - 1 - (units - 1).leading_zeros()) as usize - 3;
    let step = 1usize << doublings;
    doublings * 8 + units.div_ceil(step) - 1
}

/// Bytes of the blocks of a class; `None` beyond what addresses can span.
fn class_bytes(class: usize) -> Option<usize> {
    if class < 8 {
        return Some((class + 1) * ALIGNMENT);
    }
    let doublings = class / 8 - 1;
    (class % 8 + 9).checked_mul(ALIGNMENT.checked_shl(doublings as u32)?)
}

/// The system's layout for a class.
fn system_layout(class: usize) -> Option<Layout> {
    let bytes = class_bytes(class)?;
    Layout::from_size_align(bytes, if bytes >= HUGE_FROM { HUGE_PAGE } else { ALIGNMENT }).ok()
}

/// Memory from the system, or `None`.
fn system_allocate(class: usize) -> Option<Block> {
    let layout = system_layout(class)?;
    // SAFETY: the layout has a size above zero.
    let start = NonNull::new(unsafe { alloc(layout) })?;
    #[cfg(target_os = "linux")]
    if layout.size() >= HUGE_FROM {
        // SAFETY: the range was just allocated and starts on a page; the advice changes no content and may fail freely.
        unsafe { libc::madvise(start.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE) };
    }
    Some(Block { start, class })
}

/// Gives a block back to the system.
fn system_free(block: Block) {
    if let Some(layout) = system_layout(block.class) {
        // SAFETY: the block came from `system_allocate` of this class, and its owner gave it up.
        unsafe { dealloc(block.start.as_ptr(), layout) }
    }
}

impl Pool {
    const EMPTY: Self = Self {
        free: Vec::new(),
        live: Vec::new(),
        in_use: 0,
        peak: 0,
        high_water: 0,
        cached: 0,
        misses: 0,
        allocations: 0,
        fail_after: None,
    };

    /// Takes blocks out of the cache until it is within `limit`, large ones first, those of class `spare` last.
    fn shrink(&mut self, limit: usize, spare: Option<usize>, out: &mut Vec<Block>) {
        let order = (0..self.free.len()).rev().filter(|class| Some(*class) != spare).chain(spare);
        for class in order {
            let bytes = class_bytes(class).unwrap_or(0);
            while self.cached > limit {
                let Some(block) = self.free.get_mut(class).and_then(Vec::pop) else { break };
                self.cached -= bytes;
                out.push(block);
            }
        }
    }

    /// A free block for a request of that class: of the class, or if it is large, of one that is not twice as large.
    fn take(&mut self, class: usize) -> Option<Block> {
        let shared = class_bytes(class)? >= SHARED_FROM;
        let classes = class..=if shared { class + DOUBLING - 1 } else { class };
        let block = classes.filter_map(|class| self.free.get_mut(class)?.pop()).next()?;
        self.cached -= class_bytes(block.class).unwrap_or(0);
        Some(block)
    }

    /// Takes out free blocks that one of this class can serve for from now on, as many as it is large.
    fn replace(&mut self, class: usize, out: &mut Vec<Block>) {
        let mut left = class_bytes(class).filter(|&bytes| bytes >= SHARED_FROM).unwrap_or(0);
        for smaller in (class.saturating_sub(DOUBLING - 1)..class).rev() {
            let bytes = class_bytes(smaller).unwrap_or(0);
            while bytes <= left
                && let Some(block) = self.free.get_mut(smaller).and_then(Vec::pop)
            {
                left -= bytes;
                self.cached -= bytes;
                out.push(block);
            }
        }
    }

    fn hand_out(&mut self, class: usize) {
        if self.live.len() <= class {
            self.live.resize(class + 1, 0);
        }
        self.live[class] += 1;
        self.in_use += class_bytes(class).unwrap_or(0);
        self.peak = self.peak.max(self.in_use);
        self.high_water = self.high_water.max(self.in_use);
    }
}

/// Pooled memory of the processor, 64-byte aligned, not initialised.
pub struct HostBuffer {
    block: Block,
    bytes: usize,
}

impl Buffer for HostBuffer {
    fn bytes(&self) -> usize {
        self.bytes
    }
    fn host(&self) -> Option<*mut u8> {
        Some(self.block.start.as_ptr())
    }
    fn recyclable(&self) -> bool {
        true
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl fmt::Debug for HostBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostBuffer({} bytes)", self.bytes)
    }
}

impl Drop for HostBuffer {
    fn drop(&mut self) {
        let (asked, class) = (class_of(self.bytes), self.block.class);
        let mut surplus = Vec::new();
        let mut state = pool();
        state.in_use -= class_bytes(asked).unwrap_or(0);
        state.live[asked] -= 1;
        state.cached += class_bytes(class).unwrap_or(0);
        if state.free.len() <= class {
            state.free.resize_with(class + 1, Vec::new);
        }
        state.free[class].push(self.block);
        let limit = state.high_water.max(CACHE_FLOOR);
        if state.cached > limit {
            state.shrink(limit, Some(class), &mut surplus);
        }
        drop(state);
        surplus.into_iter().for_each(system_free);
    }
}

/// A buffer of at least `bytes` bytes from the pool; its content is arbitrary.
///
/// # Errors
/// `OutOfMemory` when the system has no more, even after the cache was given back.
pub fn allocate(bytes: usize) -> Result<BufferRef> {
    #[cfg(unix)]
    guard_fork();
    let class = class_of(bytes);
    let size = class_bytes(class);
    let mut state = pool();
    state.allocations += 1;
    if let Some(left) = state.fail_after.as_mut() {
        *left = left.saturating_sub(1);
        if *left == 0 {
            state.fail_after = None;
            return Err(exhausted(bytes, &state));
        }
    }
    if let Some(block) = state.take(class) {
        state.hand_out(class);
        return Ok(Arc::new(HostBuffer { block, bytes }));
    }
    state.misses += 1;
    // What is asked for now counts as in use, so that sizes which are no longer used make room for new ones.
    let mut surplus = Vec::new();
    state.replace(class, &mut surplus);
    let wanted = state.in_use.saturating_add(state.cached).saturating_add(size.unwrap_or(usize::MAX));
    let ceiling = state.high_water.saturating_add(CACHE_FLOOR);
    if wanted > ceiling && state.cached > CACHE_FLOOR {
        let limit = state.cached.saturating_sub(wanted - ceiling).max(CACHE_FLOOR);
        state.shrink(limit, None, &mut surplus);
    }
    drop(state);
    surplus.into_iter().for_each(system_free);
    let block = system_allocate(class).or_else(|| {
        trim();
        system_allocate(class)
    });
    let mut state = pool();
    match block {
        Some(block) => {
            state.hand_out(class);
            Ok(Arc::new(HostBuffer { block, bytes }))
        }
        None => Err(exhausted(bytes, &state)),
    }
}

fn exhausted(bytes: usize, state: &Pool) -> Error {
    let largest: Vec<String> = (0..state.live.len())
        .rev()
        .filter(|&class| state.live[class] > 0)
        .take(LISTED)
        .map(|class| format!("{} of {} bytes", state.live[class], class_bytes(class).unwrap_or(0)))
        .collect();
    let largest =
        if largest.is_empty() { String::new() } else { format!("; the largest tensors: {}", largest.join(", ")) };
    Error::new(
        ErrorKind::OutOfMemory,
        format!(
            "allocate: asked {bytes} bytes, {} in use, {} cached{largest}. \
             Use smaller batches or tensors, or drop those no longer needed.",
            state.in_use, state.cached
        ),
    )
}

/// Gives all cached memory back to the system.
pub fn trim() {
    let mut surplus = Vec::new();
    pool().shrink(0, None, &mut surplus);
    surplus.into_iter().for_each(system_free);
}

/// The memory counters; those of runs are left at zero.
pub fn stats() -> Stats {
    let state = pool();
    Stats {
        pool_misses: state.misses,
        allocations: state.allocations,
        bytes_in_use: state.in_use as u64,
        peak_bytes: state.peak as u64,
        bytes_cached: state.cached as u64,
        ..Stats::default()
    }
}

/// Sets the peak to what is in use now.
pub fn reset_peak() {
    let mut state = pool();
    state.peak = state.in_use;
}

/// Makes the n-th next allocation fail as if memory were exhausted (1 is the very next); `None` takes the order back. For tests.
pub fn fail_allocation(n: Option<u64>) {
    pool().fail_after = n;
}

/// Keeps the pool's lock sound across `fork`: registers handlers that hold it while the process splits. The first allocation calls it;
/// handlers of locks under which memory is allocated must be registered after a call of this, so that those locks are taken before.
#[cfg(unix)]
pub fn guard_fork() {
    static REGISTERED: std::sync::Once = std::sync::Once::new();
    thread_local! {
        /// The lock of a thread that forks, from before to after; the child's only thread is a copy of that thread.
        static HELD: std::cell::Cell<Option<MutexGuard<'static, Pool>>> = const { std::cell::Cell::new(None) };
    }
    extern "C" fn hold() {
        HELD.set(Some(pool()));
    }
    extern "C" fn release() {
        HELD.set(None);
    }
    REGISTERED.call_once(|| {
        // SAFETY: the handlers are functions of the process's whole life that touch nothing but the lock.
        unsafe { libc::pthread_atfork(Some(hold), Some(release), Some(release)) };
    });
}

/// Called when a foreign buffer is no longer needed.
pub type Release = Box<dyn FnOnce() + Send + Sync>;

/// Memory that others own and share with us.
pub struct ForeignBuffer {
    start: *mut u8,
    bytes: usize,
    release: Option<Release>,
}

// SAFETY: whoever made it vouched that the memory may be used from any thread until `release` runs.
unsafe impl Send for ForeignBuffer {}
// SAFETY: as above.
unsafe impl Sync for ForeignBuffer {}

impl ForeignBuffer {
    /// Wraps memory that stays valid until `release` has run.
    ///
    /// # Safety
    /// `start` points to `bytes` readable bytes that nobody writes and nobody frees before `release` runs, usable from any thread.
    pub unsafe fn share(start: *mut u8, bytes: usize, release: Release) -> BufferRef {
        Arc::new(Self { start, bytes, release: Some(release) })
    }
}

impl Buffer for ForeignBuffer {
    fn bytes(&self) -> usize {
        self.bytes
    }
    fn host(&self) -> Option<*mut u8> {
        Some(self.start)
    }
    fn recyclable(&self) -> bool {
        false
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl fmt::Debug for ForeignBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ForeignBuffer({} bytes)", self.bytes)
    }
}

impl Drop for ForeignBuffer {
    fn drop(&mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn classes_cover_requests_with_little_waste() {
        let mut last = 0;
        for bytes in (0..4000).chain((12..40).flat_map(|p| [(1 << p) - 1, 1 << p, (1 << p) + 1, 3 << (p - 1)])) {
            let class = class_of(bytes);
            let size = class_bytes(class).unwrap();
            assert!(size >= bytes && size.is_multiple_of(ALIGNMENT), "{bytes} in {size}");
            assert!(size <= ALIGNMENT.max(bytes + bytes / 8 + ALIGNMENT - 1), "{bytes} in {size}");
            assert!(class == 0 || class_bytes(class - 1).unwrap() < bytes, "{bytes} fits class {}", class - 1);
            last = last.max(class);
        }
        assert!((1..last).all(|c| class_bytes(c) > class_bytes(c - 1)));
    }

    #[test]
    fn impossible_requests_are_errors() {
        let error = allocate(isize::MAX as usize).unwrap_err();
        assert_eq!(error.kind, ErrorKind::OutOfMemory);
        assert!(error.message.starts_with("allocate: asked 9223372036854775807 bytes"), "{error}");
        assert!(allocate(usize::MAX).is_err());
    }

    #[test]
    fn buffers_come_back_from_the_pool() {
        // A size that no other test asks for.
        let bytes = 7_654_321;
        let first = allocate(bytes).unwrap();
        let start = first.host().unwrap();
        assert_eq!(start as usize % ALIGNMENT, 0);
        // SAFETY: the buffer has this many bytes and this test owns it.
        unsafe { start.write_bytes(7, bytes) };
        assert!(stats().bytes_in_use >= bytes as u64 && stats().peak_bytes >= bytes as u64);
        drop(first);
        assert!(stats().bytes_cached >= bytes as u64);
        assert_eq!(allocate(bytes).unwrap().host().unwrap(), start);
        assert_eq!(allocate(0).unwrap().bytes(), 0);
    }

    #[test]
    fn large_blocks_serve_smaller_buffers_and_make_way_for_larger_ones() {
        let mut pool = Pool { free: vec![Vec::new(); 400], ..Pool::EMPTY };
        let class = |mebibytes: usize| class_of(mebibytes << 20);
        let block = |class| system_allocate(class).unwrap();
        pool.free[class(60)].push(block(class(60)));
        pool.cached = class_bytes(class(60)).unwrap();
        assert!(pool.take(class(61)).is_none() && pool.take(class(29)).is_none());
        let taken = pool.take(class(31)).unwrap();
        assert_eq!((taken.class, pool.cached), (class(60), 0));
        pool.free[taken.class].push(taken);
        pool.cached = class_bytes(taken.class).unwrap();
        let mut out = Vec::new();
        pool.replace(class(130), &mut out);
        assert!(out.is_empty());
        pool.replace(class(100), &mut out);
        assert_eq!((out.len(), pool.cached), (1, 0));
        out.into_iter().for_each(system_free);
    }

    #[cfg(unix)]
    #[test]
    fn a_child_forked_amid_allocations_can_allocate() {
        static STOP: AtomicBool = AtomicBool::new(false);
        let busy = std::thread::spawn(|| {
            while !STOP.load(Ordering::Relaxed) {
                drop(allocate(300));
            }
        });
        for _ in 0..50 {
            // SAFETY: the child only allocates and leaves by `_exit`.
            unsafe {
                let child = libc::fork();
                if child == 0 {
                    libc::_exit(if allocate(300).is_ok() { 0 } else { 1 });
                }
                let mut status = 0;
                libc::waitpid(child, &mut status, 0);
                assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
            }
        }
        STOP.store(true, Ordering::Relaxed);
        busy.join().unwrap();
    }

    #[test]
    fn foreign_memory_is_released_once() {
        static RELEASED: AtomicBool = AtomicBool::new(false);
        let mut memory = [1u8; 16];
        let release = Box::new(|| assert!(!RELEASED.swap(true, Ordering::SeqCst)));
        // SAFETY: the array outlives the buffer.
        let buffer = unsafe { ForeignBuffer::share(memory.as_mut_ptr(), 16, release) };
        let other = Arc::clone(&buffer);
        drop(buffer);
        assert!(!RELEASED.load(Ordering::SeqCst) && !other.recyclable());
        drop(other);
        assert!(RELEASED.load(Ordering::SeqCst));
    }
}
