//! Device memory: buffers, and the pool that keeps them for reuse. Depends on `context`.
//! Invariant: a buffer is in the pool or in one `GpuBuffer`, never in both; work on one queue runs in order, so that a
//! buffer may change hands while earlier work still uses it.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use adret_core::backend::{Buffer, Stats};
use adret_core::error::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::context::Context;
use crate::groups::Groups;

/// Smallest buffer that is made.
const SMALLEST: u64 = 256;

/// Buffers that are not in use, by size, and the counters of memory.
#[derive(Default)]
struct Shelf {
    free: BTreeMap<u64, Vec<wgpu::Buffer>>,
    stats: Stats,
}

/// Hands out buffers and takes them back.
pub(crate) struct Pool {
    context: Arc<Context>,
    shelf: Mutex<Shelf>,
    pub(crate) groups: Groups,
    largest: u64,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

/// Sizes that buffers have: four to each doubling, so that at most a fifth of a buffer lies idle and few sizes occur.
fn size_class(bytes: u64) -> u64 {
    let bytes = bytes.max(SMALLEST);
    let step = ((1u64 << bytes.ilog2()) / 4).max(4);
    bytes.div_ceil(step) * step
}

impl Pool {
    pub(crate) fn new(context: Arc<Context>) -> Arc<Pool> {
        let largest = context.device.limits().max_buffer_size;
        Arc::new(Pool { context, shelf: Mutex::default(), groups: Groups::default(), largest })
    }

    /// Memory for `bytes` bytes, its content unspecified.
    ///
    /// # Errors
    /// `OutOfMemory` with bytes asked, in use and cached.
    pub(crate) fn allocate(self: &Arc<Self>, bytes: usize) -> Result<GpuBuffer> {
        self.context.check()?;
        let exact = (bytes as u64).div_ceil(4) * 4;
        let size = size_class(exact).min(self.largest.max(SMALLEST));
        if exact > size {
            return Err(self.exhausted(bytes, "more than one buffer of this adapter can hold"));
        }
        let reused = {
            let mut shelf = self.shelf.lock();
            shelf.stats.allocations += 1;
            shelf.free.get_mut(&size).and_then(Vec::pop).inspect(|_| shelf.stats.bytes_cached -= size)
        };
        let raw = match reused {
            Some(raw) => raw,
            None => {
                self.shelf.lock().stats.pool_misses += 1;
                self.create(size).or_else(|error| {
                    if error.kind != ErrorKind::OutOfMemory {
                        return Err(error);
                    }
                    self.trim();
                    self.create(size).map_err(|error| match error.kind {
                        ErrorKind::OutOfMemory => self.exhausted(bytes, "more than is free"),
                        _ => error,
                    })
                })?
            }
        };
        let mut shelf = self.shelf.lock();
        shelf.stats.bytes_in_use += size;
        shelf.stats.peak_bytes = shelf.stats.peak_bytes.max(shelf.stats.bytes_in_use);
        Ok(GpuBuffer { raw: Some(raw), bytes, integers: Mutex::new(None), pool: Arc::clone(self) })
    }

    fn create(&self, size: u64) -> Result<wgpu::Buffer> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        self.context.guarded(|| self.context.device.create_buffer(&descriptor))
    }

    fn exhausted(&self, bytes: usize, why: &str) -> Error {
        let stats = self.stats();
        Error::new(
            ErrorKind::OutOfMemory,
            format!(
                "gpu: {bytes} bytes asked for, {why}; {} bytes are in use, {} cached. Free tensors, or use smaller batches.",
                stats.bytes_in_use, stats.bytes_cached
            ),
        )
    }

    /// The counters of memory; those of work are 0.
    pub(crate) fn stats(&self) -> Stats {
        self.shelf.lock().stats
    }

    /// Sets the peak to what is in use.
    pub(crate) fn reset_peak(&self) {
        let stats = &mut self.shelf.lock().stats;
        stats.peak_bytes = stats.bytes_in_use;
    }

    /// Gives cached buffers back to the driver.
    pub(crate) fn trim(&self) {
        self.groups.clear();
        let mut shelf = self.shelf.lock();
        shelf.stats.bytes_cached = 0;
        let free = std::mem::take(&mut shelf.free);
        drop(shelf);
        drop(free);
    }
}

/// Memory on the device.
pub(crate) struct GpuBuffer {
    raw: Option<wgpu::Buffer>,
    bytes: usize,
    /// Smallest and largest of the integers inside, where they are known.
    integers: Mutex<Option<(i64, i64)>>,
    pool: Arc<Pool>,
}

impl GpuBuffer {
    /// Notes which integers are inside; `None` once kernels write there.
    pub(crate) fn note_integers(&self, range: Option<(i64, i64)>) {
        *self.integers.lock() = range;
    }

    /// wgpu's buffer.
    pub(crate) fn raw(&self) -> &wgpu::Buffer {
        self.raw.as_ref().expect("present until dropped")
    }

    /// Whether the buffer belongs to this pool's device.
    pub(crate) fn belongs_to(&self, pool: &Arc<Pool>) -> bool {
        Arc::ptr_eq(&self.pool, pool)
    }
}

impl fmt::Debug for GpuBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GpuBuffer({} bytes)", self.bytes)
    }
}

impl Drop for GpuBuffer {
    fn drop(&mut self) {
        let Some(raw) = self.raw.take() else { return };
        if self.pool.context.forked() {
            // The driver's part of the buffer belongs to the parent, and locks may be held by threads that are not here.
            std::mem::forget(raw);
            return;
        }
        let size = raw.size();
        let mut shelf = self.pool.shelf.lock();
        shelf.stats.bytes_in_use -= size;
        // A device that failed takes nothing back: whoever asks gets the error.
        shelf.stats.bytes_cached += size;
        shelf.free.entry(size).or_default().push(raw);
    }
}

impl Buffer for GpuBuffer {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn host(&self) -> Option<*mut u8> {
        None
    }

    fn recyclable(&self) -> bool {
        true
    }

    fn integers(&self) -> Option<(i64, i64)> {
        *self.integers.lock()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::size_class;

    #[test]
    fn size_classes_waste_little() {
        assert_eq!((size_class(0), size_class(256), size_class(257), size_class(1 << 20)), (256, 256, 320, 1 << 20));
        for bytes in (1..1 << 16).step_by(97) {
            let class = size_class(bytes);
            assert!(class >= bytes && class.is_multiple_of(4) && (bytes < 256 || class * 4 <= bytes * 5 + 4));
        }
    }
}
