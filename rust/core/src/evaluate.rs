//! Evaluation: from tensors asked for to values, on whichever device they live.
//! Depends on `schedule`, `cpu`, `backend`. Invariant: a failed run leaves every node as it was, to be evaluated again.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use smallvec::SmallVec;

use crate::backend::{Backend, Bindings, Device, Memory, Stats, Watch, announce};
use crate::cpu::{CpuBackend, memory};
use crate::dtype::DType;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{RegistryGuard, Storage, Tensor, from_storage, live_pending, pending_nodes, registry};
use crate::layout::Layout;
use crate::plan::Plan;
use crate::profile::{self, Activity};
use crate::schedule::{self, Limits, Options, PlanCache, Snapshot, Walk};
use crate::shape::Shape;

/// Opens the n-th graphics adapter.
pub type GpuOpener = fn(u32) -> Result<Arc<dyn Backend>>;

/// Nodes that may be pending before live tensors are evaluated unasked.
const FLUSH_AT: usize = 4096;

static CPU: LazyLock<Arc<dyn Backend>> = LazyLock::new(|| Arc::new(CpuBackend::new()));
static GPU_OPENER: OnceLock<GpuOpener> = OnceLock::new();
static GPUS: parking_lot::Mutex<Vec<(u32, Arc<dyn Backend>)>> = parking_lot::Mutex::new(Vec::new());
static NEXT_FLUSH: AtomicUsize = AtomicUsize::new(FLUSH_AT);

/// What one evaluation at a time may touch.
#[derive(Default)]
struct Engine {
    /// Plans, by device; few are ever in use.
    caches: Vec<(Device, PlanCache)>,
    options: Options,
    /// Memory for the next snapshot.
    spare: Snapshot,
}

/// A lock of the standard library: `parking_lot` keeps tables that a fork can catch locked.
static ENGINE: LazyLock<Mutex<Engine>> = LazyLock::new(|| {
    guard_fork();
    Mutex::default()
});

/// The engine, as soon as no other evaluation runs. A panic of another one poisons nothing: it changed no node.
fn engine() -> MutexGuard<'static, Engine> {
    ENGINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets a fork wait for the running evaluation and hold the engine's locks while the process splits, in the order in which they are taken:
/// engine, registry, memory.
#[cfg(unix)]
fn guard_fork() {
    thread_local! {
        /// The locks of a thread that forks, from before to after; the child's only thread is a copy of that thread.
        static HELD: Cell<Option<(MutexGuard<'static, Engine>, RegistryGuard)>> = const { Cell::new(None) };
    }
    extern "C" fn hold() {
        HELD.set(Some((engine(), registry())));
    }
    extern "C" fn release() {
        HELD.set(None);
    }
    // Handlers that come before a fork run in the reverse of this order.
    memory::guard_fork();
    // SAFETY: the handlers are functions of the process's whole life that touch nothing but the locks.
    unsafe { libc::pthread_atfork(Some(hold), Some(release), Some(release)) };
}

#[cfg(not(unix))]
fn guard_fork() {}

/// Asked now and then during a run; true ends it.
pub type Cancelled<'a> = dyn Fn() -> bool + Sync + 'a;

/// Makes graphics adapters available: `opener` is called at the first use of one.
pub fn register_gpu(opener: GpuOpener) {
    let _ = GPU_OPENER.set(opener);
}

/// The backend of a device; opens an adapter at its first use.
///
/// # Errors
/// When there is no such device.
pub fn backend(device: Device) -> Result<Arc<dyn Backend>> {
    let Device::Gpu(index) = device else { return Ok(CPU.clone()) };
    let mut open = GPUS.lock();
    if let Some((_, backend)) = open.iter().find(|(known, _)| *known == index) {
        return Ok(backend.clone());
    }
    let opener = GPU_OPENER.get().ok_or_else(|| {
        Error::device(format!("device: {device} is not available: this build has no GPU backend. Use device=\"cpu\"."))
    })?;
    let backend = opener(index)?;
    announce(index, &*backend);
    open.push((index, backend.clone()));
    Ok(backend)
}

/// Forgets a graphics adapter that was opened: its tensors are lost, and the next use opens it anew.
///
/// # Errors
/// For the processor, which cannot be lost.
pub fn reset_device(device: Device) -> Result<()> {
    let Device::Gpu(index) = device else {
        return Err(Error::device("reset_device: the CPU needs no reset. Name a GPU, as in reset_device(\"gpu\")."));
    };
    let mut engine = engine();
    engine.caches.retain(|(known, _)| *known != device);
    let mut open = GPUS.lock();
    let old: Vec<_> = open.extract_if(.., |(known, _)| *known == index).collect();
    drop(open);
    drop(engine);
    old.iter().for_each(|(_, backend)| backend.close());
    Ok(())
}

/// Gives memory that no tensor uses back to the system, on every device in use.
pub fn trim() {
    CPU.trim();
    let open: Vec<_> = GPUS.lock().iter().map(|(_, backend)| backend.clone()).collect();
    open.iter().for_each(|backend| backend.trim());
}

/// The process ends: waits for the devices, and keeps what the next process can use.
pub fn close() {
    let open: Vec<_> = GPUS.lock().iter().map(|(_, backend)| backend.clone()).collect();
    open.iter().for_each(|backend| backend.close());
}

/// Whether pointwise work and reductions share kernels; returns what was in force. Values do not depend on it.
pub fn set_fusion(fuse: bool) -> bool {
    std::mem::replace(&mut engine().options.fuse, fuse)
}

/// Gives the tensors their values, together with every live tensor that shares pending work with them.
///
/// # Errors
/// Bad indices, exhausted memory, interruption: nothing has changed then.
pub fn evaluate(targets: &[Tensor], cancelled: &Cancelled<'_>) -> Result<()> {
    if targets.iter().all(|target| target.storage().is_some()) {
        return Ok(());
    }
    let _watched = profile::watch(Activity::Evaluate);
    engine().evaluate(targets, cancelled)
}

/// Evaluates all live tensors once the pending graph has grown large. A failure shows when a value is asked for.
pub fn flush_if_large(cancelled: &Cancelled<'_>) {
    // The mark that a large graph has set comes down when the graph is gone.
    let pending = pending_nodes();
    if pending < NEXT_FLUSH.fetch_min(pending + FLUSH_AT, Ordering::Relaxed) {
        return;
    }
    let live = live_pending();
    if evaluate(&live, cancelled).is_err_and(|error| error.kind != ErrorKind::Interrupted) {
        // One tensor that is bad, or too large, must not keep the others waiting.
        for tensor in &live {
            let _ = evaluate(std::slice::from_ref(tensor), cancelled);
        }
    }
    NEXT_FLUSH.store(pending_nodes() + FLUSH_AT, Ordering::Relaxed);
}

/// What came of `evaluate_seen`.
pub(crate) enum Seen<T> {
    /// It ran; what `see` made.
    Ran(T),
    /// Nothing was done: a tensor would have to come from another device first.
    Transfers,
    /// Nothing was done: some of the tensors have their values, from another thread's evaluation.
    Early,
}

/// Evaluates tensors of one device together; `see` meets their graph and its plan first.
pub(crate) fn evaluate_seen<T>(
    asked: &[Tensor],
    device: Device,
    cancelled: &Cancelled<'_>,
    see: impl FnOnce(&Snapshot, &Arc<Plan>) -> T,
) -> Result<Seen<T>> {
    let _watched = profile::watch(Activity::Evaluate);
    let mut engine = engine();
    if asked.iter().any(|tensor| tensor.storage().is_some()) {
        return Ok(Seen::Early);
    }
    let Walk::Graph(snapshot) = engine.walk(asked, &[], device) else {
        return Ok(Seen::Transfers);
    };
    let backend = backend(device)?;
    let plan = engine.plan(&snapshot, &*backend);
    let seen = see(&snapshot, &plan);
    run(&snapshot, &plan, &*backend, cancelled)?;
    Ok(Seen::Ran(seen))
}

/// Waits for the running evaluation, and keeps others from starting while `body` runs.
pub fn alone<T>(body: impl FnOnce() -> T) -> T {
    let _engine = engine();
    body()
}

impl Engine {
    fn evaluate(&mut self, targets: &[Tensor], cancelled: &Cancelled<'_>) -> Result<()> {
        loop {
            let mut pending = targets.iter().filter(|target| target.storage().is_none());
            let Some(first) = pending.next() else { return Ok(()) };
            let device = first.device();
            let mut asked: SmallVec<[Tensor; 4]> =
                std::iter::once(first).chain(pending.filter(|target| target.device() == device)).cloned().collect();
            asked.sort_unstable_by_key(Tensor::key);
            asked.dedup_by_key(|tensor| tensor.key());
            let live = live_pending();
            match self.attempt(&asked, &live, device, cancelled) {
                // The bad index may belong to a live tensor that nobody asked for.
                Err(error) if error.kind == ErrorKind::Index && !live.is_empty() => {
                    self.attempt(&asked, &[], device, cancelled)?;
                }
                result => result?,
            }
        }
    }

    fn attempt(&mut self, asked: &[Tensor], live: &[Tensor], device: Device, cancelled: &Cancelled<'_>) -> Result<()> {
        match self.walk(asked, live, device) {
            Walk::Transfers(transfers) => transfers.iter().try_for_each(|transfer| self.transfer(transfer, cancelled)),
            Walk::Graph(snapshot) => {
                let backend = backend(device)?;
                let plan = self.plan(&snapshot, &*backend);
                run(&snapshot, &plan, &*backend, cancelled)?;
                self.spare = snapshot.recycle();
                Ok(())
            }
        }
    }

    fn walk(&mut self, asked: &[Tensor], live: &[Tensor], device: Device) -> Walk {
        Walk::from(asked, live, device, self.options, std::mem::take(&mut self.spare))
    }

    /// The plan of a snapshot, made where no graph of its structure came before.
    fn plan(&mut self, snapshot: &Snapshot, backend: &dyn Backend) -> Arc<Plan> {
        let (options, device) = (self.options, backend.device());
        let known = self.caches.iter().position(|(known, _)| *known == device).unwrap_or_else(|| {
            self.caches.push((device, PlanCache::default()));
            self.caches.len() - 1
        });
        self.caches[known].1.get(&snapshot.key, || {
            let _watched = profile::watch(Activity::Plan);
            schedule::plan(snapshot, options, Limits::of(backend))
        })
    }

    /// Moves a value to another device.
    fn transfer(&mut self, tensor: &Tensor, cancelled: &Cancelled<'_>) -> Result<()> {
        let input = tensor.node.with_inputs(|inputs| inputs.first().cloned());
        let (None, Some(input)) = (tensor.storage(), input) else { return Ok(()) };
        self.evaluate(std::slice::from_ref(&input), cancelled)?;
        let bytes = read_ready(&input)?;
        let buffer = backend(tensor.device())?.upload(tensor.dtype(), &bytes)?;
        tensor.node.set_value(tensor.output, Storage { buffer, layout: Layout::contiguous(tensor.shape().clone()) });
        tensor.node.drop_spent_inputs();
        Ok(())
    }
}

fn run(snapshot: &Snapshot, plan: &Plan, backend: &dyn Backend, cancelled: &Cancelled<'_>) -> Result<()> {
    let inputs: SmallVec<[Memory; 8]> =
        snapshot.leaves().map(|storage| (storage.buffer.clone(), storage.layout.offset)).collect();
    let slots: SmallVec<[u64; 16]> = snapshot.slots.iter().chain(&plan.constants).copied().collect();
    let scope = |kernel: usize| snapshot.scope(plan.kernels[kernel].entry);
    snapshot.publish(&execute(plan, &inputs, &slots, backend, cancelled, &scope)?);
    Ok(())
}

/// Runs a plan on its leaves and run-time numbers; the results. All memory is taken before the first kernel.
/// `scope` names, for profiles, the module path that the n-th kernel computes for.
pub(crate) fn execute(
    plan: &Plan,
    inputs: &[Memory],
    slots: &[u64],
    backend: &dyn Backend,
    cancelled: &Cancelled<'_>,
    scope: &dyn Fn(usize) -> u32,
) -> Result<SmallVec<[Memory; 4]>> {
    let watch = profile::is_on().then(Watch::default);
    let _watched = profile::watch(Activity::Run);
    // First what every run asks for alike: a result could be handed its memory.
    let arena =
        (backend.wants_arena() && !plan.temporaries.is_empty()).then(|| backend.allocate(plan.arena)).transpose()?;
    let mut outputs: SmallVec<[Memory; 4]> = SmallVec::new();
    for output in &plan.outputs {
        let buffer = match output.donor {
            Some(leaf) => inputs[leaf].0.clone(),
            None => backend.allocate(backend.storage_bytes(output.dtype, output.elements))?,
        };
        outputs.push((buffer, 0));
    }
    if !plan.kernels.is_empty() {
        let (arena, watching) = (arena.as_ref(), watch.as_ref());
        let bindings = Bindings { inputs, outputs: &outputs, arena, slots, cancelled, watch: watching };
        let result = backend.run(plan, &bindings);
        if let Some(watch) = watch {
            let about = |kernel: usize| (profile::describe(&plan.kernels[kernel]), scope(kernel));
            profile::record(backend.device(), &watch.into_inner(), about);
        }
        result?;
    }
    Ok(outputs)
}

/// Elements of a tensor, row-major, as the processor stores them; evaluates it first.
///
/// # Errors
/// As `evaluate`.
pub fn read(tensor: &Tensor, cancelled: &Cancelled<'_>) -> Result<Vec<u8>> {
    evaluate(std::slice::from_ref(tensor), cancelled)?;
    read_ready(tensor)
}

fn read_ready(tensor: &Tensor) -> Result<Vec<u8>> {
    let storage = tensor.storage().ok_or_else(|| Error::internal("read: the tensor has no value"))?;
    let (backend, size) = (backend(tensor.device())?, tensor.dtype().size());
    let Some((low, high)) = storage.layout.reach() else { return Ok(Vec::new()) };
    let mut window = vec![0; (high - low + 1) as usize * size];
    backend.download(&storage.buffer, tensor.dtype(), low as usize, &mut window)?;
    if storage.layout.is_contiguous() {
        return Ok(window);
    }
    let mut out = Vec::with_capacity(tensor.shape().elements() * size);
    let mut index = vec![0usize; tensor.rank()];
    let mut position = storage.layout.offset - low;
    'elements: loop {
        let first = position as usize * size;
        out.extend_from_slice(&window[first..first + size]);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            position += storage.layout.strides[axis];
            if index[axis] < tensor.shape()[axis] {
                continue 'elements;
            }
            position -= storage.layout.strides[axis] * index[axis] as isize;
            index[axis] = 0;
        }
        return Ok(out);
    }
}

/// A tensor of these elements, row-major, as the processor stores them.
///
/// # Errors
/// When memory is exhausted, the device is missing or does not take the dtype.
pub fn from_bytes(dtype: DType, shape: &Shape, data: &[u8], device: Device) -> Result<Tensor> {
    if data.len() != shape.elements() * dtype.size() {
        return Err(Error::internal(format!("from_bytes: {} bytes do not fill {shape} of {dtype}", data.len())));
    }
    let backend = supporting(dtype, device)?;
    let buffer = backend.upload(dtype, data)?;
    Ok(from_storage(dtype, Storage { buffer, layout: Layout::contiguous(shape.clone()) }, device))
}

/// The backend of a device that takes `dtype`.
///
/// # Errors
/// A dtype error that names the way out.
pub fn supporting(dtype: DType, device: Device) -> Result<Arc<dyn Backend>> {
    let backend = backend(device)?;
    if backend.supports(dtype) {
        return Ok(backend);
    }
    let instead = match dtype {
        DType::I64 | DType::U64 => "int32",
        _ => "float32",
    };
    Err(Error::dtype(format!(
        "{device}: {dtype} is not supported by this device. Convert first, as in x.astype(\"{instead}\"), or stay on the CPU."
    )))
}

/// Counters of the engine and its devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Plans that had to be made.
    pub plan_misses: u64,
    /// Nodes that exist and may still be evaluated.
    pub pending_nodes: u64,
    /// Sums over the devices in use.
    pub devices: Stats,
}

/// Counters since the start of the process.
pub fn stats() -> EngineStats {
    let plan_misses = engine().caches.iter().map(|(_, cache)| cache.misses).sum();
    let mut sum = CPU.stats();
    for (_, backend) in GPUS.lock().iter() {
        let stats = backend.stats();
        sum.pool_misses += stats.pool_misses;
        sum.allocations += stats.allocations;
        sum.bytes_in_use += stats.bytes_in_use;
        sum.peak_bytes += stats.peak_bytes;
        sum.bytes_cached += stats.bytes_cached;
        sum.launches += stats.launches;
        sum.runs += stats.runs;
        sum.matmul_flops += stats.matmul_flops;
        sum.shaders += stats.shaders;
        sum.submissions += stats.submissions;
        sum.bind_groups += stats.bind_groups;
        sum.launch_nanoseconds += stats.launch_nanoseconds;
    }
    EngineStats { plan_misses, pending_nodes: pending_nodes() as u64, devices: sum }
}

/// Starts measuring peaks anew, on every device in use.
pub fn reset_peak() {
    CPU.reset_peak();
    for (_, backend) in GPUS.lock().iter() {
        backend.reset_peak();
    }
}
