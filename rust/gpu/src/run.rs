//! Runs a plan: buffers for temporaries, then one launch after the other, in few submissions.
//! Depends on `prepare` and `buffer`. Invariant: all memory is there before the first launch is recorded.

use std::sync::Arc;

use adret_core::backend::{Bindings, BufferRef};
use adret_core::error::{Error, ErrorKind, Result};
use adret_core::plan::{Caps, Kernel, Launch, Place, Plan};
use smallvec::SmallVec;

use crate::buffer::{GpuBuffer, Pool};
use crate::context::Context;
use crate::pipeline::{Pipeline, Pipelines};
use crate::prepare::{Lease, ready, temporary_bytes, words};

/// Launches that go to the device at a time.
const FLUSH: usize = 64;

/// What running needs of the backend.
pub(crate) struct Runner<'a> {
    pub(crate) context: &'a Context,
    pub(crate) pool: &'a Arc<Pool>,
    pub(crate) pipelines: &'a Arc<Pipelines>,
    pub(crate) caps: &'a Caps,
}

/// A launch with its buffers and words.
struct Step<'a> {
    launch: &'a Launch,
    pipeline: Arc<Pipeline>,
    buffers: SmallVec<[&'a GpuBuffer; 8]>,
    /// Words of the launch in the run's list.
    words: std::ops::Range<usize>,
    commit: bool,
}

/// Buffers of a plan's temporaries: those that are not needed at the same time share one.
struct Temporaries {
    buffers: Vec<GpuBuffer>,
    /// Buffer of each temporary.
    places: Vec<usize>,
    /// Buffers of each kernel's scratch.
    scratch: Vec<SmallVec<[usize; 2]>>,
}

impl Runner<'_> {
    /// Runs the plan and waits for its end; returns the number of launches.
    ///
    /// # Errors
    /// `Interrupted` before the commit phase, `OutOfMemory`, and what the driver reports.
    pub(crate) fn run(&self, plan: &Plan, bindings: &Bindings<'_>) -> Result<u64> {
        self.context.check()?;
        let leases =
            plan.kernels.iter().map(|kernel| ready(kernel, self.caps, self.pipelines)).collect::<Result<Vec<_>>>()?;
        let temporaries = self.temporaries(plan, &leases)?;
        let mut all_words = Vec::new();
        let mut steps = Vec::new();
        // Words that are bound start where a binding may.
        let alignment = (self.context.device.limits().min_storage_buffer_offset_alignment as usize / 4).max(1);
        for (number, (kernel, lease)) in plan.kernels.iter().zip(&leases).enumerate() {
            for (launch, pipeline) in &lease.launches {
                let buffers = self.bound(kernel, launch, number, &temporaries, bindings)?;
                if launch.parameters_bound {
                    all_words.resize(all_words.len().next_multiple_of(alignment), 0);
                }
                let first = all_words.len();
                let start = |argument: usize| match kernel.arguments.get(argument).map(|argument| argument.place) {
                    Some(Place::Input(input)) => bindings.inputs[input].1,
                    Some(Place::Output(output)) => bindings.outputs[output].1,
                    _ => 0,
                };
                words(launch, bindings.slots, &start, &mut all_words)?;
                let words = first..all_words.len();
                let pipeline = match aliased(launch, &buffers) {
                    0 => Arc::clone(pipeline),
                    writable => self.pipelines.get(launch, writable)?,
                };
                steps.push(Step { launch, pipeline, buffers, words, commit: number >= plan.commit });
            }
        }
        self.execute(&steps, &all_words, bindings)?;
        Ok(steps.len() as u64)
    }

    fn temporaries(&self, plan: &Plan, leases: &[Lease<'_>]) -> Result<Temporaries> {
        let bytes = temporary_bytes(&plan.kernels, plan.temporaries.len());
        let mut last = vec![0; bytes.len()];
        for (number, kernel) in plan.kernels.iter().enumerate() {
            for argument in &kernel.arguments {
                if let Place::Temporary(temporary) = argument.place {
                    last[temporary] = number;
                }
            }
        }
        let mut buffers: Vec<GpuBuffer> = Vec::new();
        let mut free: Vec<usize> = Vec::new();
        let mut take = |free: &mut Vec<usize>, bytes: usize| -> Result<usize> {
            // The smallest that fits and is not far too large.
            let fitting = (0..free.len())
                .filter(|&at| {
                    let size = buffers[free[at]].raw().size() as usize;
                    size >= bytes && size <= 2 * bytes.max(128)
                })
                .min_by_key(|&at| buffers[free[at]].raw().size());
            match fitting {
                Some(at) => Ok(free.swap_remove(at)),
                None => {
                    buffers.push(self.pool.allocate(bytes)?);
                    Ok(buffers.len() - 1)
                }
            }
        };
        let mut places = vec![usize::MAX; bytes.len()];
        let mut scratch = Vec::new();
        for (number, (kernel, lease)) in plan.kernels.iter().zip(leases).enumerate() {
            let mut ending: SmallVec<[usize; 4]> = SmallVec::new();
            for argument in &kernel.arguments {
                let Place::Temporary(temporary) = argument.place else { continue };
                if places[temporary] == usize::MAX {
                    places[temporary] = take(&mut free, bytes[temporary])?;
                }
                if last[temporary] == number && !ending.contains(&places[temporary]) {
                    ending.push(places[temporary]);
                }
            }
            let own = lease.scratch.iter().map(|&bytes| take(&mut free, bytes)).collect::<Result<SmallVec<_>>>()?;
            free.extend(own.iter().copied());
            free.extend(ending);
            scratch.push(own);
        }
        Ok(Temporaries { buffers, places, scratch })
    }

    /// The buffers of a launch, in the order of its bindings.
    fn bound<'b>(
        &self,
        kernel: &Kernel,
        launch: &Launch,
        number: usize,
        temporaries: &'b Temporaries,
        bindings: &'b Bindings<'_>,
    ) -> Result<SmallVec<[&'b GpuBuffer; 8]>> {
        let mut buffers = SmallVec::new();
        for binding in &launch.bindings {
            let buffer = match kernel.arguments.get(binding.argument).map(|argument| argument.place) {
                Some(Place::Input(input)) => self.own(&bindings.inputs[input].0)?,
                Some(Place::Output(output)) => self.own(&bindings.outputs[output].0)?,
                Some(Place::Temporary(temporary)) => &temporaries.buffers[temporaries.places[temporary]],
                None => {
                    let own = &temporaries.scratch[number];
                    &temporaries.buffers[own[binding.argument - kernel.arguments.len()]]
                }
            };
            let bytes = adret_core::backend::Buffer::bytes(buffer) as u64;
            if bytes > self.caps.binding_bytes {
                return Err(Error::new(
                    ErrorKind::Device,
                    format!(
                        "gpu: a tensor of {bytes} bytes is larger than this adapter binds in one piece ({} bytes). \
                         Split it, or use the CPU.",
                        self.caps.binding_bytes
                    ),
                ));
            }
            buffers.push(buffer);
        }
        Ok(buffers)
    }

    /// This device's buffer behind a shared one.
    fn own<'b>(&self, buffer: &'b BufferRef) -> Result<&'b GpuBuffer> {
        let found = buffer.as_any().downcast_ref::<GpuBuffer>().filter(|found| found.belongs_to(self.pool));
        found.ok_or_else(|| Error::internal("gpu: a plan got a buffer of another device. Please report this."))
    }

    fn execute(&self, steps: &[Step<'_>], all_words: &[u32], bindings: &Bindings<'_>) -> Result<()> {
        let bytes: Vec<u8> = all_words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let block = if steps.iter().any(|step| step.launch.parameters_bound) {
            let block = self.pool.allocate(bytes.len())?;
            self.context.guarded(|| self.context.queue.write_buffer(block.raw(), 0, &bytes))?;
            Some(block)
        } else {
            None
        };
        let split = steps.partition_point(|step| !step.commit);
        let (compute, commit) = steps.split_at(split);
        for flush in compute.chunks(FLUSH) {
            if (bindings.cancelled)() {
                return Err(Error::new(ErrorKind::Interrupted, "The evaluation was interrupted."));
            }
            self.submit(flush, &bytes, block.as_ref())?;
        }
        if !compute.is_empty() {
            self.context.wait(bindings.cancelled)?;
        }
        for flush in commit.chunks(FLUSH) {
            self.submit(flush, &bytes, block.as_ref())?;
        }
        if commit.is_empty() { Ok(()) } else { self.context.wait(&|| false) }
    }

    /// Records launches in one pass and sends them off.
    fn submit(&self, flush: &[Step<'_>], bytes: &[u8], block: Option<&GpuBuffer>) -> Result<()> {
        self.context.submit(|| {
            let mut encoder = self.context.device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for step in flush {
                self.record(&mut pass, step, bytes, block);
            }
            drop(pass);
            Some(encoder.finish())
        })
    }

    fn record(&self, pass: &mut wgpu::ComputePass<'_>, step: &Step<'_>, bytes: &[u8], block: Option<&GpuBuffer>) {
        let range = step.words.start * 4..step.words.end * 4;
        let limit = self.caps.binding_bytes;
        let whole = |buffer: &'_ GpuBuffer| buffer.raw().size().min(limit);
        let mut entries: SmallVec<[wgpu::BindGroupEntry<'_>; 8]> = SmallVec::new();
        let mut bind = |buffer, offset: u64, size: u64| {
            entries.push(wgpu::BindGroupEntry {
                binding: entries.len() as u32,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset,
                    size: std::num::NonZeroU64::new(size),
                }),
            });
        };
        for buffer in &step.buffers {
            bind(buffer.raw(), 0, whole(buffer));
        }
        if let Some(block) = block.filter(|_| step.launch.parameters_bound) {
            bind(block.raw(), range.start as u64, (range.end - range.start) as u64);
        }
        let group = self.context.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &step.pipeline.layout,
            entries: &entries,
        });
        pass.set_pipeline(&step.pipeline.raw);
        pass.set_bind_group(0, &group, &[]);
        if !step.launch.parameters_bound && !range.is_empty() {
            pass.set_immediates(0, &bytes[range]);
        }
        let [x, y, z] = step.launch.grid;
        pass.dispatch_workgroups(x, y, z);
    }
}

/// The read bindings whose buffer is also bound for writing: wgpu wants both declared writable.
fn aliased(launch: &Launch, buffers: &[&GpuBuffer]) -> u64 {
    let mut writable = 0;
    for (number, _) in launch.bindings.iter().enumerate().filter(|(_, binding)| !binding.write) {
        let same = |other: usize| launch.bindings[other].write && buffers[other].raw() == buffers[number].raw();
        if (0..buffers.len()).any(same) {
            writable |= 1 << number;
        }
    }
    writable
}
