//! Device memory: buffers, and the pool that keeps them for reuse. Depends on `context` and `share`.
//! Invariant: a buffer is in the pool or in one `GpuBuffer`, never in both; work on one queue runs in order, so that a
//! buffer may change hands while earlier work still uses it.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use adret_core::backend::{Buffer, Stats};
use adret_core::error::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::context::Context;
use crate::groups::Groups;
#[cfg(target_os = "linux")]
use crate::share::{SharedPage, Sharing};

/// Smallest buffer that is made.
const SMALLEST: u64 = 256;

/// The number of a buffer that is made now: no two buffers have the same.
pub(crate) fn new_number() -> u64 {
    static MADE: AtomicU64 = AtomicU64::new(0);
    MADE.fetch_add(1, Relaxed)
}

/// Buffers that are not in use, by size, and the counters of memory. The one made first is taken first, so that equal steps
/// come to use equal buffers, whose bind groups are there.
#[derive(Default)]
struct Shelf {
    /// With their numbers, the one made first at the end.
    free: BTreeMap<u64, Vec<(u64, wgpu::Buffer)>>,
    #[cfg(target_os = "linux")]
    pages: BTreeMap<u64, Vec<SharedPage>>,
    stats: Stats,
}

impl Shelf {
    /// Counts a buffer that someone has now.
    fn in_use(&mut self, size: u64) {
        self.stats.bytes_in_use += size;
        self.stats.peak_bytes = self.stats.peak_bytes.max(self.stats.bytes_in_use);
    }
}

/// Hands out buffers and takes them back.
pub(crate) struct Pool {
    context: Arc<Context>,
    shelf: Mutex<Shelf>,
    pub(crate) groups: Groups,
    #[cfg(target_os = "linux")]
    pub(crate) sharing: Sharing,
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
        Arc::new(Pool {
            context,
            shelf: Mutex::default(),
            groups: Groups::default(),
            #[cfg(target_os = "linux")]
            sharing: Sharing::default(),
            largest,
        })
    }

    /// Memory for `bytes` bytes, its content unspecified.
    ///
    /// # Errors
    /// `OutOfMemory` with bytes asked, in use and cached.
    pub(crate) fn allocate(self: &Arc<Self>, bytes: usize) -> Result<GpuBuffer> {
        self.context.check()?;
        let size = self.size(bytes)?;
        let reused = {
            let mut shelf = self.shelf.lock();
            shelf.stats.allocations += 1;
            let reused = shelf.free.get_mut(&size).and_then(Vec::pop);
            if reused.is_some() {
                shelf.stats.bytes_cached -= size;
                shelf.in_use(size);
            }
            reused
        };
        let memory = match reused {
            Some((number, raw)) => Memory::Own(number, raw),
            None => {
                let raw = self.missing(bytes, || self.create(size))?;
                self.shelf.lock().in_use(size);
                Memory::Own(new_number(), raw)
            }
        };
        Ok(GpuBuffer::new(memory, bytes, self))
    }

    /// Size of the buffer that holds so many bytes.
    ///
    /// # Errors
    /// `OutOfMemory` where no buffer does.
    pub(crate) fn size(&self, bytes: usize) -> Result<u64> {
        let exact = (bytes as u64).div_ceil(4) * 4;
        let size = size_class(exact).min(self.largest.max(SMALLEST));
        if exact > size {
            return Err(self.exhausted(bytes, "more than one buffer of this adapter can hold"));
        }
        Ok(size)
    }

    /// Makes what the pool does not have; where memory is short, once more without what is cached.
    fn missing<T>(&self, bytes: usize, make: impl Fn() -> Result<T>) -> Result<T> {
        self.shelf.lock().stats.pool_misses += 1;
        make().or_else(|error| {
            if error.kind != ErrorKind::OutOfMemory {
                return Err(error);
            }
            self.trim();
            make().map_err(|error| match error.kind {
                ErrorKind::OutOfMemory => self.exhausted(bytes, "more than is free"),
                _ => error,
            })
        })
    }

    /// Memory for `bytes` bytes that CUDA sees too, its content unspecified.
    ///
    /// # Errors
    /// As `allocate`, and where nothing can be shared.
    #[cfg(target_os = "linux")]
    pub(crate) fn page(self: &Arc<Self>, bytes: usize) -> Result<SharedPage> {
        let cuda = self.sharing.cuda(&self.context)?;
        let size = self.size(bytes)?;
        let reused = {
            let mut shelf = self.shelf.lock();
            shelf.stats.allocations += 1;
            shelf.pages.get_mut(&size).and_then(Vec::pop).inspect(|_| shelf.stats.bytes_cached -= size)
        };
        match reused {
            Some(page) => {
                // Work that CUDA was given before its side let go of the page may still run.
                cuda.synchronize()?;
                Ok(page)
            }
            None => self.missing(bytes, || SharedPage::make(&self.context, cuda, size)),
        }
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
        #[cfg(target_os = "linux")]
        let pages = std::mem::take(&mut shelf.pages);
        drop(shelf);
        drop(free);
        #[cfg(target_os = "linux")]
        drop(pages);
    }

    /// Takes memory back. A device that failed takes back too: whoever asks next gets the error.
    fn keep(shelf: &mut Shelf, memory: Memory) {
        let size = memory.raw().size();
        shelf.stats.bytes_cached += size;
        match memory {
            Memory::Own(number, raw) => {
                let free = shelf.free.entry(size).or_default();
                let place = free.partition_point(|(other, _)| *other > number);
                free.insert(place, (number, raw));
            }
            #[cfg(target_os = "linux")]
            Memory::Page(page) => shelf.pages.entry(size).or_default().push(page),
        }
    }
}

/// What a buffer lies in.
enum Memory {
    /// A buffer of wgpu's own, with its number.
    Own(u64, wgpu::Buffer),
    /// A page that CUDA sees too.
    #[cfg(target_os = "linux")]
    Page(SharedPage),
}

impl Memory {
    fn raw(&self) -> &wgpu::Buffer {
        match self {
            Memory::Own(_, raw) => raw,
            #[cfg(target_os = "linux")]
            Memory::Page(page) => &page.raw,
        }
    }

    fn number(&self) -> u64 {
        match self {
            Memory::Own(number, _) => *number,
            #[cfg(target_os = "linux")]
            Memory::Page(page) => page.number,
        }
    }
}

/// Memory on the device.
pub(crate) struct GpuBuffer {
    /// Present until dropped; replaced once, where a tensor moves to a page.
    memory: Mutex<Option<Memory>>,
    /// The memory's number, which names it.
    number: AtomicU64,
    bytes: usize,
    size: u64,
    /// Smallest and largest of the integers inside, where they are known.
    integers: Mutex<Option<(i64, i64)>>,
    /// Whether another library may be reading.
    handed_out: AtomicBool,
    pool: Arc<Pool>,
}

impl GpuBuffer {
    /// Memory that counts as in use already.
    fn new(memory: Memory, bytes: usize, pool: &Arc<Pool>) -> GpuBuffer {
        let (size, number) = (memory.raw().size(), AtomicU64::new(memory.number()));
        let (memory, pool) = (Mutex::new(Some(memory)), Arc::clone(pool));
        GpuBuffer { memory, number, bytes, size, integers: Mutex::new(None), handed_out: AtomicBool::new(false), pool }
    }

    /// Notes which integers are inside; `None` once kernels write there.
    pub(crate) fn note_integers(&self, range: Option<(i64, i64)>) {
        *self.integers.lock() = range;
    }

    /// wgpu's buffer.
    pub(crate) fn raw(&self) -> wgpu::Buffer {
        self.memory.lock().as_ref().expect("present until dropped").raw().clone()
    }

    /// What names wgpu's buffer: no other ever has the same number.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Relaxed)
    }

    /// Bytes of wgpu's buffer.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether the buffer belongs to this pool's device.
    pub(crate) fn belongs_to(&self, pool: &Arc<Pool>) -> bool {
        Arc::ptr_eq(&self.pool, pool)
    }

    /// A buffer in a page.
    #[cfg(target_os = "linux")]
    pub(crate) fn in_page(page: SharedPage, bytes: usize, pool: &Arc<Pool>) -> GpuBuffer {
        pool.shelf.lock().in_use(page.raw.size());
        GpuBuffer::new(Memory::Page(page), bytes, pool)
    }

    /// CUDA's address of the first byte, where the buffer lies in a page; nothing overwrites it from now on.
    #[cfg(target_os = "linux")]
    pub(crate) fn hand_out(&self) -> Option<u64> {
        match self.memory.lock().as_ref() {
            Some(Memory::Page(page)) => {
                self.handed_out.store(true, Relaxed);
                Some(page.address())
            }
            _ => None,
        }
    }

    /// Moves to a page that holds the same bytes. Nothing may be about to use the old memory.
    #[cfg(target_os = "linux")]
    pub(crate) fn move_to(&self, page: SharedPage) {
        self.number.store(page.number, Relaxed);
        let old = self.memory.lock().replace(Memory::Page(page));
        old.into_iter().for_each(|old| Pool::keep(&mut self.pool.shelf.lock(), old));
    }

    /// A buffer that was made elsewhere.
    #[cfg(all(test, target_os = "linux"))]
    pub(crate) fn of(raw: wgpu::Buffer, bytes: usize, pool: &Arc<Pool>) -> GpuBuffer {
        pool.shelf.lock().in_use(raw.size());
        GpuBuffer::new(Memory::Own(new_number(), raw), bytes, pool)
    }
}

impl fmt::Debug for GpuBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GpuBuffer({} bytes)", self.bytes)
    }
}

impl Drop for GpuBuffer {
    fn drop(&mut self) {
        let Some(memory) = self.memory.get_mut().take() else { return };
        if self.pool.context.forked() {
            // The driver's part of the buffer belongs to the parent, and locks may be held by threads that are not here.
            std::mem::forget(memory);
            return;
        }
        let mut shelf = self.pool.shelf.lock();
        shelf.stats.bytes_in_use -= self.size;
        Pool::keep(&mut shelf, memory);
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
        !self.handed_out.load(Relaxed)
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
