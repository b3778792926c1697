//! What a device must offer to run plans, and the buffers that it hands out.
//! Depends on `plan` and the vocabulary. Invariant: nothing here knows which backends exist.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
#[cfg(unix)]
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

use crate::dtype::DType;
use crate::error::Result;
use crate::layout::Layout;
use crate::plan::{Launch, Plan};

/// Where tensors live and are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Device {
    /// The processor.
    Cpu,
    /// The n-th admitted graphics adapter.
    Gpu(u32),
}

/// Forks between the first process and this one: asked at every launch, so it costs no call of the system.
pub fn forks() -> u64 {
    static FORKS: AtomicU64 = AtomicU64::new(0);
    #[cfg(unix)]
    {
        static REGISTERED: Once = Once::new();
        extern "C" fn count() {
            FORKS.fetch_add(1, Relaxed);
        }
        // SAFETY: the handler lives as long as the process and does one atomic addition.
        REGISTERED.call_once(|| unsafe {
            libc::pthread_atfork(None, None, Some(count));
        });
    }
    FORKS.load(Relaxed)
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Gpu(0) => f.write_str("gpu"),
            Device::Gpu(n) => write!(f, "gpu:{n}"),
        }
    }
}

/// Memory of a device. Dropping the last handle gives it back to the device's pool (or its foreign owner).
pub trait Buffer: Any + Send + Sync + fmt::Debug {
    /// Size in bytes that tensors may use.
    fn bytes(&self) -> usize;
    /// First byte, where the processor can read the memory directly.
    fn host(&self) -> Option<*mut u8>;
    /// Whether plans may write over it once no tensor holds it: false for memory that others own.
    fn recyclable(&self) -> bool;
    /// Smallest and largest of the integers that the buffer was filled with and holds still, where the backend has noted them.
    fn integers(&self) -> Option<(i64, i64)> {
        None
    }
    /// For the backend that made it.
    fn as_any(&self) -> &dyn Any;
}

/// What is known of an opened graphics adapter.
#[derive(Clone, Copy)]
struct Known {
    adapter: u32,
    /// Dtypes that it computes in, as bits of their numbers.
    dtypes: u32,
    bindings: usize,
}

static KNOWN: RwLock<Vec<Known>> = RwLock::new(Vec::new());

fn known(adapter: u32) -> Option<Known> {
    KNOWN.read().iter().find(|known| known.adapter == adapter).copied()
}

/// Notes what an adapter can do, when it is opened.
pub fn announce(adapter: u32, backend: &dyn Backend) {
    let bits =
        DType::ALL.iter().filter(|dtype| backend.supports(**dtype)).fold(0, |bits, dtype| bits | 1 << *dtype as u32);
    let mut known = KNOWN.write();
    known.retain(|known| known.adapter != adapter);
    known.push(Known { adapter, dtypes: bits, bindings: backend.bindings() });
}

/// Whether a device can be given results of this dtype. Integers of 64 bits pass from kernel to kernel as coordinates everywhere.
pub fn computes(device: Device, dtype: DType) -> bool {
    let Device::Gpu(adapter) = device else { return true };
    dtype == DType::I64 || known(adapter).is_none_or(|known| known.dtypes >> dtype as u32 & 1 == 1)
}

/// Buffers that one kernel can use on a device.
pub fn binds(device: Device) -> usize {
    let Device::Gpu(adapter) = device else { return usize::MAX };
    known(adapter).map_or(0, |known| known.bindings)
}

/// A shared buffer.
pub type BufferRef = Arc<dyn Buffer>;

/// A buffer, and the element where an argument starts.
pub type Memory = (BufferRef, isize);

/// What a run reads and writes.
pub struct Bindings<'a> {
    /// One per `Place::Input`.
    pub inputs: &'a [Memory],
    /// One per `Place::Output`; a donated one is the donor's own buffer.
    pub outputs: &'a [Memory],
    /// The arena of temporaries; `None` where the plan needs none or the backend plans its own.
    pub arena: Option<&'a BufferRef>,
    /// Run-time numbers.
    pub slots: &'a [u64],
    /// Asked now and then during the compute phase; true ends it with an `Interrupted` error.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Where a backend that can notes the kernels that it ran, while a profile is open.
    pub watch: Option<&'a Watch>,
}

/// One kernel that ran.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// Its place in the plan.
    pub kernel: usize,
    /// When it began.
    pub start: Instant,
    /// When it was done.
    pub end: Instant,
    /// Threads that its widest part was spread over; 0 on a GPU.
    pub threads: usize,
}

/// The kernels of one run, in the order in which they ended.
#[derive(Debug, Default)]
pub struct Watch(Mutex<Vec<Ran>>);

impl Watch {
    /// Notes a kernel.
    pub fn note(&self, ran: Ran) {
        self.0.lock().push(ran);
    }

    /// What was noted.
    pub fn into_inner(self) -> Vec<Ran> {
        self.0.into_inner()
    }
}

/// Counters since the start of the process; tests assert on them, not on time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Buffers asked for that the pool did not have.
    pub pool_misses: u64,
    /// Buffers asked for.
    pub allocations: u64,
    /// Bytes that live tensors and runs hold.
    pub bytes_in_use: u64,
    /// Largest `bytes_in_use` since the last reset of the peak.
    pub peak_bytes: u64,
    /// Bytes that the pool keeps for reuse.
    pub bytes_cached: u64,
    /// Kernels run (on a GPU: launches).
    pub launches: u64,
    /// Runs of plans.
    pub runs: u64,
    /// Multiply-adds of matrix products, times two.
    pub matmul_flops: u64,
    /// Shaders compiled.
    pub shaders: u64,
    /// Portions of work handed to a device.
    pub submissions: u64,
    /// Bind groups made: what a launch binds, kept for the next launch that binds the same.
    pub bind_groups: u64,
    /// Nanoseconds in which the processor made launches ready, recorded them and handed them over; waiting for the device left out.
    pub launch_nanoseconds: u64,
}

/// CUDA's view of a graphics adapter: the same memory, under CUDA's addresses.
pub trait Peer {
    /// The adapter's number among CUDA's devices.
    fn number(&self) -> i32;

    /// CUDA's address of a buffer's first byte, all work on it done. From now on nothing overwrites the buffer; the address holds
    /// as long as the buffer lives.
    ///
    /// # Errors
    /// `OutOfMemory`, and what the drivers report.
    fn share(&self, buffer: &BufferRef) -> Result<u64>;

    /// Another buffer of the same content, made to be shared.
    ///
    /// # Errors
    /// As `share`.
    fn copy(&self, buffer: &BufferRef) -> Result<BufferRef>;

    /// A new buffer with what lies at an address of CUDA's, whose writers the default stream has been made to wait for.
    ///
    /// # Errors
    /// As `share`.
    ///
    /// # Safety
    /// `bytes` bytes are allocated there.
    unsafe fn receive(&self, address: u64, bytes: usize) -> Result<BufferRef>;
}

/// A device that runs plans.
pub trait Backend: Send + Sync {
    /// Which device this is.
    fn device(&self) -> Device;

    /// One line for people: processor or adapter, and path in use.
    fn describe(&self) -> String;

    /// Whether tensors of this dtype can live and be computed here.
    fn supports(&self, dtype: DType) -> bool;

    /// Buffers that one kernel can use.
    fn bindings(&self) -> usize {
        usize::MAX
    }

    /// Bytes of a buffer that one binding spans; a larger one takes several.
    fn binding_bytes(&self) -> u64 {
        u64::MAX
    }

    /// Uninitialised memory from the pool.
    ///
    /// # Errors
    /// `OutOfMemory` with bytes asked, in use and cached.
    fn allocate(&self, bytes: usize) -> Result<BufferRef>;

    /// Copies `data` (elements of `dtype` as the processor stores them) into a new buffer.
    ///
    /// # Errors
    /// As `allocate`.
    fn upload(&self, dtype: DType, data: &[u8]) -> Result<BufferRef>;

    /// Copies `data.len()` bytes' worth of elements from element `first` on to the processor's storage form.
    ///
    /// # Errors
    /// When the device is lost.
    fn download(&self, buffer: &BufferRef, dtype: DType, first: usize, data: &mut [u8]) -> Result<()>;

    /// Bytes that `elements` of `dtype` take in this device's buffers.
    fn storage_bytes(&self, dtype: DType, elements: usize) -> usize;

    /// Whether runs need `Bindings::arena`.
    fn wants_arena(&self) -> bool;

    /// Runs a plan: the compute phase, then the commit phase.
    ///
    /// # Errors
    /// `Interrupted` or an index error from the compute phase, after which no visible buffer has changed.
    fn run(&self, plan: &Plan, bindings: &Bindings<'_>) -> Result<()>;

    /// Compiles the shader of a launch that a user wrote, so that its errors are known before a run.
    ///
    /// # Errors
    /// What is wrong with the text, or that the device runs no shaders.
    fn compile(&self, launch: &Launch) -> Result<()> {
        let name = launch.foreign.as_ref().map_or("kernel", |foreign| &foreign.name);
        Err(crate::error::Error::device(format!(
            "{name}: a kernel in WGSL runs on a GPU, and its inputs are on the CPU. Move them with to('gpu'), or write the same \
             with tensor operations."
        )))
    }

    /// The way to CUDA, where the device has one.
    ///
    /// # Errors
    /// Why it has none.
    fn peer(&self) -> Result<&dyn Peer> {
        Err(crate::error::Error::device(format!(
            "{}: memory is shared with CUDA on Linux alone, on NVIDIA's adapters.",
            self.device()
        )))
    }

    /// The counters.
    fn stats(&self) -> Stats;

    /// Sets `peak_bytes` to `bytes_in_use`.
    fn reset_peak(&self);

    /// Gives cached memory back to the system.
    fn trim(&self);

    /// The process ends: waits for work under way and keeps what the next process can use.
    fn close(&self) {}
}

/// An address that chunks on several threads may use; each chunk writes elements that no other chunk touches.
#[derive(Clone, Copy, Debug)]
pub struct HostPointer(pub *mut u8);

// SAFETY: an address alone can do no harm; whoever reads or writes through it proves that its chunk owns the elements.
unsafe impl Send for HostPointer {}
// SAFETY: as above.
unsafe impl Sync for HostPointer {}

/// Runs `body(chunk)` for every chunk below a number, on all threads.
pub type Parallel<'a> = dyn Fn(usize, &(dyn Fn(usize) + Sync)) + Sync + 'a;

/// An argument of a structured kernel on the CPU: memory with a layout.
pub struct HostArgument<'a> {
    /// Where index `(0, …, 0)` lies, `layout.offset` already added.
    pub data: HostPointer,
    /// Type of the elements.
    pub dtype: DType,
    /// Shape and strides.
    pub layout: &'a Layout,
}

/// What a structured kernel gets on the CPU.
pub struct HostArguments<'a> {
    /// In the kernel's order.
    pub arguments: &'a [HostArgument<'a>],
    /// Spreads chunks over the threads; the number of chunks depends on shapes alone.
    pub parallel: &'a Parallel<'a>,
    /// The op's run-time numbers, and what follows them.
    pub slots: &'a [u64],
}
