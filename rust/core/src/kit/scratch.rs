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
    /// Memory of at least `bytes`.
    pub(crate) fn new(bytes: usize) -> Result<Self> {
        let exhausted = || {
            let message = format!("eval: no {bytes} bytes of working memory. Free tensors or use smaller ones.");
            Error::new(ErrorKind::OutOfMemory, message)
        };
        let layout = Layout::from_size_align(bytes.max(ALIGNMENT), ALIGNMENT).map_err(|_| exhausted())?;
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { alloc(layout) }).ok_or_else(exhausted)?;
        Ok(Self { start, layout })
    }

    /// Bytes that it has.
    pub(crate) fn bytes(&self) -> usize {
        self.layout.size()
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: `new` allocated it with this layout.
        unsafe { dealloc(self.start(), self.layout) }
    }
}

thread_local! {
    static HELD: Cell<Option<Scratch>> = const { Cell::new(None) };
}

/// Calls `body` with at least `bytes` of this thread's working memory.
pub(crate) fn with_scratch<R>(bytes: usize, body: impl FnOnce(*mut u8) -> R) -> Result<R> {
    let held = HELD.with(Cell::take).filter(|scratch| scratch.bytes() >= bytes);
    let scratch = match held {
        Some(scratch) => scratch,
        None => Scratch::new(bytes.next_power_of_two())?,
    };
    let result = body(scratch.start());
    if scratch.layout.size() <= KEPT_BYTES {
        HELD.with(|held| held.set(Some(scratch)));
    }
    Ok(result)
}
