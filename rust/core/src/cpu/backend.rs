//! The CPU as a backend: binds a plan's places to memory and runs its kernels in order.
//! Depends on `group`, `matmul`, `memory`, `backend`. Invariant: an error leaves every buffer unwritten that a tensor can see.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use smallvec::SmallVec;

use super::bound::{Bound, Span};
use super::monitor::Monitor;
use super::program::Program;
use super::{fault, group, matmul, memory};
use crate::backend::{Backend, Bindings, BufferRef, Device, HostArgument, HostArguments, HostPointer, Ran, Stats};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kit::{simd, threads};
use crate::plan::{Argument, Kernel, Place, Plan, Work};

/// The processor.
#[derive(Debug, Default)]
pub struct CpuBackend {
    kernels: AtomicU64,
    runs: AtomicU64,
    flops: AtomicU64,
}

impl CpuBackend {
    /// A backend; all share the memory pool and the threads.
    pub fn new() -> Self {
        Self::default()
    }

    /// The n-th kernel of a plan, timed where a profile is open.
    fn step(&self, number: usize, plan: &Plan, bindings: &Bindings<'_>, monitor: &Monitor<'_>) -> Result<()> {
        let kernel = &plan.kernels[number];
        let Some(watch) = bindings.watch else { return self.kernel(kernel, plan, bindings, monitor) };
        threads::take_widest();
        let start = Instant::now();
        let result = self.kernel(kernel, plan, bindings, monitor);
        watch.note(Ran { kernel: number, start, end: Instant::now(), threads: threads::take_widest() });
        result
    }

    fn kernel(&self, kernel: &Kernel, plan: &Plan, bindings: &Bindings<'_>, monitor: &Monitor<'_>) -> Result<()> {
        let mut spans: SmallVec<[Span; 8]> = SmallVec::new();
        for argument in &kernel.arguments {
            spans.push(span(argument, plan, bindings)?);
        }
        self.kernels.fetch_add(1, Relaxed);
        fault::kernel_begins();
        let foreign = || Error::internal("eval: a plan was prepared by another backend. Please report this.");
        match &kernel.work {
            Work::Group(work) => {
                let program = kernel.prepared.get_or_make(|| Program::new(work, false)).ok_or_else(foreign)?;
                // SAFETY: the plan's layouts stay inside the bound buffers, and only this run writes its outputs and temporaries.
                unsafe { group::run(&Bound::new(program, &spans, bindings.slots, monitor))? };
                monitor.result()
            }
            Work::Matmul(product) => {
                let prepared = kernel.prepared.get_or_make(|| matmul::Prepared::new(product)).ok_or_else(foreign)?;
                self.flops.fetch_add(product.flops(), Relaxed);
                // SAFETY: as above.
                unsafe { matmul::run(product, prepared, &kernel.arguments, &spans, bindings.slots, monitor) }
            }
            Work::Structured { routine, slots } => {
                let arguments: SmallVec<[HostArgument<'_>; 8]> = kernel
                    .arguments
                    .iter()
                    .zip(&spans)
                    .map(|(argument, span)| {
                        let offset = argument.layout.offset * argument.dtype.size() as isize;
                        let data = HostPointer(span.start.0.wrapping_offset(offset));
                        HostArgument { data, dtype: argument.dtype, layout: &argument.layout }
                    })
                    .collect();
                let slots = &bindings.slots[*slots..];
                // Chunks of an interrupted run are left out; what they were to write is never seen.
                let parallel = |chunks: usize, body: &(dyn Fn(usize) + Sync)| {
                    threads::parallel(chunks, &|chunk| {
                        if !monitor.stopped() {
                            body(chunk);
                        }
                    });
                };
                let done = routine.cpu(&HostArguments { arguments: &arguments, parallel: &parallel, slots });
                monitor.result()?;
                done
            }
        }
    }
}

/// The memory behind an argument.
fn span(argument: &Argument, plan: &Plan, bindings: &Bindings<'_>) -> Result<Span> {
    let size = argument.dtype.size() as isize;
    let (start, region) = match argument.place {
        Place::Input(index) | Place::Output(index) => {
            let bound = if matches!(argument.place, Place::Input(_)) { bindings.inputs } else { bindings.outputs };
            let (buffer, first) = &bound[index];
            let base = host(buffer)?;
            (base.wrapping_offset(first * size), (base as usize, buffer.bytes()))
        }
        Place::Temporary(index) => {
            let temporary = plan.temporaries[index];
            let arena =
                bindings.arena.ok_or_else(|| Error::internal("eval: a plan has no arena. Please report this."))?;
            let base = host(arena)?.wrapping_add(temporary.offset);
            (base, (base as usize, temporary.bytes))
        }
    };
    let start = start.wrapping_offset(argument.start.resolve(bindings.slots) as isize * size);
    Ok(Span { start: HostPointer(start), region })
}

fn host(buffer: &BufferRef) -> Result<*mut u8> {
    buffer.host().ok_or_else(|| Error::device("eval: a tensor of another device reached the CPU. Move it with `to`."))
}

impl Backend for CpuBackend {
    fn device(&self) -> Device {
        Device::Cpu
    }

    fn describe(&self) -> String {
        let count = threads::num_threads();
        let plural = if count == 1 { "" } else { "s" };
        format!("cpu: {} ({count} thread{plural}, {})", processor_name(), simd::path().name())
    }

    fn supports(&self, _dtype: DType) -> bool {
        true
    }

    fn allocate(&self, bytes: usize) -> Result<BufferRef> {
        memory::allocate(bytes)
    }

    fn upload(&self, _dtype: DType, data: &[u8]) -> Result<BufferRef> {
        let buffer = memory::allocate(data.len())?;
        // SAFETY: the buffer is new and at least as long as the data.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), host(&buffer)?, data.len()) };
        Ok(buffer)
    }

    fn download(&self, buffer: &BufferRef, dtype: DType, first: usize, data: &mut [u8]) -> Result<()> {
        let start = first * dtype.size();
        if start + data.len() > buffer.bytes() {
            return Err(Error::internal("download: the range ends beyond the buffer. Please report this."));
        }
        // SAFETY: the range lies inside the buffer; nobody writes a buffer that a tensor holds.
        unsafe { std::ptr::copy_nonoverlapping(host(buffer)?.add(start).cast_const(), data.as_mut_ptr(), data.len()) };
        Ok(())
    }

    fn storage_bytes(&self, dtype: DType, elements: usize) -> usize {
        dtype.size() * elements
    }

    fn wants_arena(&self) -> bool {
        true
    }

    fn run(&self, plan: &Plan, bindings: &Bindings<'_>) -> Result<()> {
        self.runs.fetch_add(1, Relaxed);
        let commit = plan.commit.min(plan.kernels.len());
        let monitor = Monitor::new(Some(bindings.cancelled));
        for kernel in 0..commit {
            if kernel > 0 && monitor.stopped() {
                return monitor.result();
            }
            self.step(kernel, plan, bindings, &monitor)?;
        }
        // From here on nothing interrupts: results replace old values.
        let monitor = Monitor::new(None);
        for kernel in commit..plan.kernels.len() {
            self.step(kernel, plan, bindings, &monitor)?;
        }
        Ok(())
    }

    fn stats(&self) -> Stats {
        Stats {
            launches: self.kernels.load(Relaxed),
            runs: self.runs.load(Relaxed),
            matmul_flops: self.flops.load(Relaxed),
            ..memory::stats()
        }
    }

    fn reset_peak(&self) {
        memory::reset_peak();
    }

    fn trim(&self) {
        memory::trim();
    }
}

/// The processor's name as the system knows it, else its architecture.
pub fn processor_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let known = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_string())
        });
        known.filter(|name| !name.is_empty()).unwrap_or_else(|| std::env::consts::ARCH.to_string())
    })
}
