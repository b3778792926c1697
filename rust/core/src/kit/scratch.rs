//! Working memory of a thread: kept from chunk to chunk, aligned for vectors.
//! Depends on `error`. Invariant: exhaustion is an error, never an abort.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::Cell;
use std::ptr::NonNull;

use crate::error::{Error, ErrorKind, Result};

/// Bytes, of a cache line and of the longest vector.
const ALIGNMENT: usize = 64;
/// Larger memory is given back at once.
const KEPT_BYTES: usize = 8 << 20;

/// Uninitialised bytes.
pub(crate) struct Scratch {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: memory that is reached through its address alone; whoever uses that proves that no two threads meet.
unsafe impl Send for Scratch {}
// SAFETY: as above.
unsafe impl Sync for Scratch {}

impl Scratch {
    /// Room for so many elements.
    pub(crate) fn of<T>(elements: usize) -> Result<Self> {
        let exhausted = || {
            let size = size_of::<T>();
            let message = format!(
                "eval: no working memory for {elements} elements of {size} bytes. Free tensors or use smaller ones."
            );
            Error::new(ErrorKind::OutOfMemory, message)
        };
        let bytes = elements.checked_mul(size_of::<T>()).ok_or_else(exhausted)?.max(ALIGNMENT);
        let layout = Layout::from_size_align(bytes, ALIGNMENT).map_err(|_| exhausted())?;
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { alloc(layout) }).ok_or_else(exhausted)?;
        Ok(Self { start, layout })
    }

    /// Bytes that it has.
    pub(crate) fn bytes(&self) -> usize {
        self.layout.size()
    }

    /// The first element.
    pub(crate) fn start<T>(&self) -> *mut T {
        self.start.as_ptr().cast()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: `of` allocated it with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

thread_local! {
    /// Pieces for calls inside each other, the outermost's first.
    static HELD: Cell<[Option<Scratch>; 2]> = const { Cell::new([None, None]) };
}

/// Calls `body` with room for at least so many elements, which this thread may have used before.
pub(crate) fn with_scratch<T, R>(elements: usize, body: impl FnOnce(*mut T) -> R) -> Result<R> {
    let bytes = elements.saturating_mul(size_of::<T>());
    let [first, second] = HELD.take();
    let (held, left) = if first.is_some() { (first, second) } else { (second, None) };
    HELD.set([None, left]);
    let scratch = match held.filter(|scratch| scratch.bytes() >= bytes) {
        Some(scratch) => scratch,
        None => Scratch::of::<u8>(if bytes <= KEPT_BYTES { bytes.next_power_of_two() } else { bytes })?,
    };
    let result = body(scratch.start());
    if scratch.bytes() <= KEPT_BYTES {
        let [first, second] = HELD.take();
        HELD.set([Some(scratch), first.or(second)]);
    }
    Ok(result)
}
