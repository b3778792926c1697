//! The GPU as a `Backend` of the core. Depends on all files beside it.
//! Invariant: one evaluation runs at a time on a device.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use adret_core::backend::{Backend, Bindings, BufferRef, Device, Stats};
use adret_core::dtype::DType;
use adret_core::error::{Error, Result};
use adret_core::plan::{Caps, Plan, Work};
use adret_core::wgsl::{DTYPES, ELEMENT_BYTES};
use parking_lot::Mutex;

use crate::adapter::admitted;
use crate::buffer::{GpuBuffer, Pool};
use crate::context::Context;
use crate::pipeline::Pipelines;
use crate::run::Runner;
use crate::transfer::{Transfer, check_dtype};

/// An opened adapter.
struct GpuBackend {
    index: u32,
    name: String,
    context: Arc<Context>,
    pool: Arc<Pool>,
    pipelines: Arc<Pipelines>,
    transfer: Transfer,
    caps: Caps,
    running: Mutex<()>,
    launches: AtomicU64,
    runs: AtomicU64,
    matmul_flops: AtomicU64,
}

/// Opens the `index`-th admitted adapter.
///
/// # Errors
/// When there is none, or its driver refuses.
pub fn open(index: u32) -> Result<Arc<dyn Backend>> {
    let adapter = admitted(index)?;
    let info = adapter.get_info();
    let context = Arc::new(Context::open(&adapter)?);
    let software = if info.device_type == wgpu::DeviceType::Cpu { ", software" } else { "" };
    Ok(Arc::new(GpuBackend {
        index,
        name: format!("{} ({}{software})", info.name, info.backend),
        pool: Pool::new(Arc::clone(&context)),
        pipelines: Arc::new(Pipelines::new(Arc::clone(&context))),
        transfer: Transfer::new(Arc::clone(&context)),
        caps: caps(&context.device, &info),
        context,
        running: Mutex::new(()),
        launches: AtomicU64::new(0),
        runs: AtomicU64::new(0),
        matmul_flops: AtomicU64::new(0),
    }))
}

/// What the opened device can do.
fn caps(device: &wgpu::Device, info: &wgpu::AdapterInfo) -> Caps {
    let limits = device.limits();
    let has = |feature| device.features().contains(feature);
    Caps {
        subgroup: if has(wgpu::Features::SUBGROUP) { (info.subgroup_min_size, info.subgroup_max_size) } else { (0, 0) },
        workgroup_bytes: limits.max_compute_workgroup_storage_size,
        workgroup_invocations: limits.max_compute_invocations_per_workgroup,
        bindings: limits.max_storage_buffers_per_shader_stage.min(limits.max_bindings_per_bind_group),
        binding_bytes: limits.max_storage_buffer_binding_size,
        immediates: if has(wgpu::Features::IMMEDIATES) { limits.max_immediate_size } else { 0 },
        grid: limits.max_compute_workgroups_per_dimension,
        dtypes: DTYPES.to_vec(),
    }
}

impl GpuBackend {
    fn own<'a>(&self, buffer: &'a BufferRef) -> Result<&'a GpuBuffer> {
        let found = buffer.as_any().downcast_ref::<GpuBuffer>().filter(|found| found.belongs_to(&self.pool));
        found.ok_or_else(|| Error::internal("gpu: the buffer is of another device. Please report this."))
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

    fn allocate(&self, bytes: usize) -> Result<BufferRef> {
        Ok(Arc::new(self.pool.allocate(bytes)?))
    }

    fn upload(&self, dtype: DType, data: &[u8]) -> Result<BufferRef> {
        Ok(Arc::new(self.transfer.upload(&self.pool, dtype, data)?))
    }

    fn download(&self, buffer: &BufferRef, dtype: DType, first: usize, data: &mut [u8]) -> Result<()> {
        check_dtype(dtype)?;
        self.transfer.download(self.own(buffer)?, dtype, first, data)
    }

    fn storage_bytes(&self, _dtype: DType, elements: usize) -> usize {
        elements * ELEMENT_BYTES
    }

    fn wants_arena(&self) -> bool {
        false
    }

    fn run(&self, plan: &Plan, bindings: &Bindings<'_>) -> Result<()> {
        let _running = self.running.lock();
        let runner = Runner { context: &self.context, pool: &self.pool, pipelines: &self.pipelines, caps: &self.caps };
        let launches = runner.run(plan, bindings)?;
        self.launches.fetch_add(launches, Ordering::Relaxed);
        self.runs.fetch_add(1, Ordering::Relaxed);
        let flops: u64 = plan.kernels.iter().map(|kernel| matmul_flops(&kernel.work)).sum();
        self.matmul_flops.fetch_add(flops, Ordering::Relaxed);
        Ok(())
    }

    fn stats(&self) -> Stats {
        Stats {
            launches: self.launches.load(Ordering::Relaxed),
            runs: self.runs.load(Ordering::Relaxed),
            matmul_flops: self.matmul_flops.load(Ordering::Relaxed),
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
}

fn matmul_flops(work: &Work) -> u64 {
    match work {
        Work::Matmul(product) => product.flops(),
        Work::Group(_) | Work::Structured { .. } => 0,
    }
}
