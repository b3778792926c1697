//! Working memory of convolutions. Depends on `error`.
//! Invariant: exhaustion is an error; a thread keeps one piece of at most `KEPT` bytes.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::Cell;
use std::ptr::NonNull;

use crate::error::{Error, ErrorKind, Result};

/// Larger pieces are given back at once.
const KEPT: usize = 4 << 20;
const ALIGNMENT: usize = 64;

/// Uninitialised bytes, aligned to a cache line.
pub(super) struct Scratch {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: memory that is reached through its address alone; whoever uses that proves that no two threads meet.
unsafe impl Send for Scratch {}
// SAFETY: as above.
unsafe impl Sync for Scratch {}

impl Scratch {
    /// Room for so many elements.
    pub(super) fn of<T>(elements: usize) -> Result<Self> {
        let exhausted = || {
            let message =
                format!("conv: no room for {elements} elements of working memory. Free tensors or use smaller ones.");
            Error::new(ErrorKind::OutOfMemory, message)
        };
        let bytes = elements.checked_mul(size_of::<T>()).ok_or_else(exhausted)?.max(ALIGNMENT);
        let layout = Layout::from_size_align(bytes, ALIGNMENT).map_err(|_| exhausted())?;
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { alloc(layout) }).ok_or_else(exhausted)?;
        Ok(Self { start, layout })
    }

    /// The first element.
    pub(super) fn start<T>(&self) -> *mut T {
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
    static HELD: Cell<Option<Scratch>> = const { Cell::new(None) };
}

/// Calls `body` with room for so many elements, which this thread may have used before.
pub(super) fn with_scratch<T, R>(elements: usize, body: impl FnOnce(*mut T) -> R) -> Result<R> {
    let bytes = elements.saturating_mul(size_of::<T>());
    let held = HELD.with(Cell::take).filter(|scratch| scratch.layout.size() >= bytes);
    let scratch = match held {
        Some(scratch) => scratch,
        None => Scratch::of::<u8>(bytes)?,
    };
    let result = body(scratch.start());
    if scratch.layout.size() <= KEPT {
        HELD.with(|held| held.set(Some(scratch)));
    }
    Ok(result)
}
