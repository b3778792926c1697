//! The GPU as a `Backend` of the core. Depends on all files beside it.
//! Invariant: one evaluation runs at a time on a device.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use adret_core::backend::{Backend, Bindings, BufferRef, Device, Stats};
#[cfg(target_os = "linux")]
use adret_core::backend::{Buffer, Peer};
use adret_core::dtype::DType;
use adret_core::error::{Error, Result};
use adret_core::plan::{Caps, Launch, Plan, Work};
use adret_core::wgsl::{DTYPES, WIDE_DTYPES, element_bytes};
use parking_lot::Mutex;

use crate::adapter::{admitted, denied, number};
#[cfg(target_os = "linux")]
use crate::buffer::GpuBuffer;
use crate::buffer::Pool;
use crate::context::Context;
use crate::elements::check_dtype;
use crate::pipeline::Pipelines;
use crate::run::{Runner, own};
#[cfg(target_os = "linux")]
use crate::share;
use crate::transfer::Transfer;
use crate::trial;

/// An opened adapter.
struct GpuBackend {
    index: u32,
    name: String,
    context: Arc<Context>,
    pool: Arc<Pool>,
    pipelines: Arc<Pipelines>,
    transfer: Transfer,
    caps: Caps,
    software: bool,
    running: Mutex<()>,
    launches: AtomicU64,
    runs: AtomicU64,
    matmul_flops: AtomicU64,
    launch_nanoseconds: AtomicU64,
}

/// Opens the `index`-th admitted adapter.
///
/// # Errors
/// When there is none, or its driver refuses.
pub fn open(index: u32) -> Result<Arc<dyn Backend>> {
    let adapter = admitted(index)?;
    let backend = opened(index, &adapter, true)?;
    if backend.caps.cooperative.is_none() || trial::multiplies(&backend).is_ok_and(|right| right) {
        return Ok(Arc::new(backend));
    }
    // What a driver did wrong may have ended the device.
    Ok(Arc::new(opened(index, &adapter, false)?))
}

fn opened(index: u32, adapter: &wgpu::Adapter, units: bool) -> Result<GpuBackend> {
    let info = adapter.get_info();
    let context = Arc::new(Context::open(adapter, units)?);
    let software = info.device_type == wgpu::DeviceType::Cpu;
    Ok(GpuBackend {
        index,
        name: format!("{} ({}{})", info.name, info.backend, if software { ", software" } else { "" }),
        software,
        pool: Pool::new(Arc::clone(&context)),
        pipelines: Arc::new(Pipelines::new(Arc::clone(&context), &info)),
        transfer: Transfer::new(Arc::clone(&context)),
        caps: caps(&context, &info),
        context,
        running: Mutex::new(()),
        launches: AtomicU64::new(0),
        runs: AtomicU64::new(0),
        matmul_flops: AtomicU64::new(0),
        launch_nanoseconds: AtomicU64::new(0),
    })
}

/// What the opened device can do.
fn caps(context: &Context, info: &wgpu::AdapterInfo) -> Caps {
    let device = &context.device;
    let limits = device.limits();
    let has = |feature| device.features().contains(feature);
    let offered = |dtype| match dtype {
        DType::I64 | DType::U64 => has(wgpu::Features::SHADER_INT64),
        DType::F64 => has(wgpu::Features::SHADER_F64),
        _ => true,
    };
    let bindings = limits.max_storage_buffers_per_shader_stage.min(limits.max_bindings_per_bind_group);
    Caps {
        subgroup: if has(wgpu::Features::SUBGROUP) { (info.subgroup_min_size, info.subgroup_max_size) } else { (0, 0) },
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        workgroup_invocations: limits.max_compute_invocations_per_workgroup,
        bindings: number("ADRET_GPU_BINDINGS").map_or(bindings, |asked| asked.clamp(1, bindings.into()) as u32),
        binding_bytes: number("ADRET_GPU_BINDING_BYTES").map_or(limits.max_storage_buffer_binding_size, |bytes| {
            bytes.clamp(256, limits.max_storage_buffer_binding_size)
        }),
        immediates: if has(wgpu::Features::IMMEDIATES) { limits.max_immediate_size } else { 0 },
        grid: number("ADRET_GPU_GRID").map_or(limits.max_compute_workgroups_per_dimension, |groups| {
            groups.clamp(1, limits.max_compute_workgroups_per_dimension.into()) as u32
        }),
        dtypes: DTYPES
            .into_iter()
            .chain(WIDE_DTYPES)
            .filter(|dtype| offered(*dtype) && !denied(dtype.name()))
            .collect(),
        tile: number("ADRET_GPU_TILE").map(|side| side as u32),
        vectors: number("ADRET_GPU_VECTORS").map(|wanted| wanted != 0),
        cooperative: context.cooperative,
    }
}

impl Backend for GpuBackend {
    fn device(&self) -> Device {
        Device::Gpu(self.index)
    }

    fn describe(&self) -> String {
        format!("{}: {}", self.device(), self.name)
    }

    fn supports(&self, dtype: DType) -> bool {
        self.caps.dtypes.contains(&dtype)
    }

    fn bindings(&self) -> usize {
        self.caps.bindings as usize
    }

    fn binding_bytes(&self) -> u64 {
        self.caps.binding_bytes
    }

    fn allocate(&self, bytes: usize) -> Result<BufferRef> {
        Ok(Arc::new(self.pool.allocate(bytes)?))
    }

    fn upload(&self, dtype: DType, data: &[u8]) -> Result<BufferRef> {
        Ok(Arc::new(self.transfer.upload(&self.pool, &self.caps.dtypes, dtype, data)?))
    }

    fn download(&self, buffer: &BufferRef, dtype: DType, first: usize, data: &mut [u8]) -> Result<()> {
        check_dtype(&self.caps.dtypes, dtype)?;
        // The tensor may not move meanwhile.
        let _running = self.running.lock();
        self.transfer.download(own(buffer, &self.pool)?, dtype, first, data)
    }

    fn storage_bytes(&self, dtype: DType, elements: usize) -> usize {
        elements * element_bytes(dtype)
    }

    fn wants_arena(&self) -> bool {
        false
    }

    fn run(&self, plan: &Plan, bindings: &Bindings<'_>) -> Result<()> {
        let _running = self.running.lock();
        let runner = Runner {
            context: &self.context,
            pool: &self.pool,
            pipelines: &self.pipelines,
            transfer: &self.transfer,
            caps: &self.caps,
            software: self.software,
        };
        let (start, waited) = (Instant::now(), self.context.waited());
        let launches = runner.run(plan, bindings)?;
        let busy = start.elapsed().saturating_sub(self.context.waited().saturating_sub(waited));
        self.launch_nanoseconds.fetch_add(busy.as_nanos() as u64, Ordering::Relaxed);
        self.launches.fetch_add(launches, Ordering::Relaxed);
        self.runs.fetch_add(1, Ordering::Relaxed);
        let flops: u64 = plan.kernels.iter().map(|kernel| matmul_flops(&kernel.work)).sum();
        self.matmul_flops.fetch_add(flops, Ordering::Relaxed);
        Ok(())
    }

    fn compile(&self, launch: &Launch) -> Result<()> {
        let fits = launch.grid.iter().all(|&size| size <= self.caps.grid);
        let name = launch.foreign.as_ref().map_or("kernel", |foreign| &foreign.name);
        if !fits || launch.bindings.len() > self.caps.bindings as usize {
            return Err(Error::value(format!(
                "{name}: {} arrays and a grid of {:?} workgroups are asked for; this adapter has {} bindings and takes {} workgroups \
                 along each axis. Use several axes of the grid.",
                launch.bindings.len(),
                launch.grid,
                self.caps.bindings,
                self.caps.grid
            )));
        }
        self.context.check()?;
        self.pipelines.get(launch, 0).map(drop)
    }

    #[cfg(target_os = "linux")]
    fn peer(&self) -> Result<&dyn Peer> {
        self.context.check()?;
        self.pool.sharing.cuda(&self.context)?;
        Ok(self)
    }

    fn stats(&self) -> Stats {
        Stats {
            launches: self.launches.load(Ordering::Relaxed),
            runs: self.runs.load(Ordering::Relaxed),
            matmul_flops: self.matmul_flops.load(Ordering::Relaxed),
            launch_nanoseconds: self.launch_nanoseconds.load(Ordering::Relaxed),
            shaders: self.pipelines.count() as u64,
            submissions: self.context.submissions(),
            bind_groups: self.pool.groups.made(),
            ..self.pool.stats()
        }
    }

    fn reset_peak(&self) {
        self.pool.reset_peak();
    }

    fn trim(&self) {
        self.pool.trim();
        self.transfer.trim();
    }

    fn close(&self) {
        if self.context.wait(&|| false).is_ok() {
            self.pipelines.save();
        }
    }
}

#[cfg(target_os = "linux")]
impl Peer for GpuBackend {
    fn number(&self) -> i32 {
        self.pool.sharing.cuda(&self.context).map_or(-1, |cuda| cuda.number)
    }

    fn share(&self, buffer: &BufferRef) -> Result<u64> {
        let _running = self.running.lock();
        share::share(&self.context, &self.pool, own(buffer, &self.pool)?)
    }

    fn copy(&self, buffer: &BufferRef) -> Result<BufferRef> {
        let _running = self.running.lock();
        let bytes = own(buffer, &self.pool)?.bytes();
        let page = share::filled(&self.context, &self.pool, own(buffer, &self.pool)?)?;
        Ok(Arc::new(GpuBuffer::in_page(page, bytes, &self.pool)))
    }

    unsafe fn receive(&self, address: u64, bytes: usize) -> Result<BufferRef> {
        let page = self.pool.page(bytes)?;
        // SAFETY: the page has at least so many bytes; the caller vouches for the source.
        unsafe { self.pool.sharing.cuda(&self.context)?.copy(page.address(), address, bytes)? };
        Ok(Arc::new(GpuBuffer::in_page(page, bytes, &self.pool)))
    }
}

fn matmul_flops(work: &Work) -> u64 {
    match work {
        Work::Matmul(product) => product.flops(),
        Work::Group(_) | Work::Structured { .. } => 0,
    }
}
