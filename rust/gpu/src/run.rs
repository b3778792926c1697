//! Runs a plan: buffers for temporaries, then one launch after the other, in few submissions.
//! Depends on `prepare` and `buffer`. Invariant: all memory is there before the first launch is recorded.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use adret_core::backend::{Bindings, BufferRef, Watch};
use adret_core::dtype::DType;
use adret_core::error::{Error, ErrorKind, Result};
use adret_core::plan::{Argument, Binding, Caps, Launch, Place, Plan};
use adret_core::wgsl::{WORD_BYTES, element_bytes};
use smallvec::SmallVec;

use crate::buffer::{GpuBuffer, Pool};
use crate::context::Context;
use crate::groups::Span;
use crate::pipeline::{Pipeline, Pipelines};
use crate::places::Temporaries;
use crate::prepare::{Lease, Ready, aligned, ready, words};
use crate::ranges::Ranges;
use crate::timing::{self, Timing};
use crate::transfer::Transfer;

/// Launches that go to the device at a time.
const FLUSH: usize = timing::MOST;

/// Elementary steps, about, that go to the device at a time: a fraction of a second, so that Ctrl-C is heard and no watchdog bites.
const WORK: u64 = 1 << 32;

/// The same for adapters that the processor plays.
const SOFTWARE_WORK: u64 = 1 << 28;

/// What running needs of the backend.
pub(crate) struct Runner<'a> {
    pub(crate) context: &'a Context,
    pub(crate) pool: &'a Arc<Pool>,
    pub(crate) pipelines: &'a Arc<Pipelines>,
    pub(crate) transfer: &'a Transfer,
    pub(crate) caps: &'a Caps,
    pub(crate) software: bool,
}

/// A launch with its buffers and words.
struct Step<'a> {
    launch: &'a Launch,
    pipeline: Cow<'a, Arc<Pipeline>>,
    spans: SmallVec<[Span<'a>; 8]>,
    /// The launch's words in the run's bytes.
    words: Range<usize>,
    /// Place of its kernel in the plan.
    kernel: usize,
    commit: bool,
}

/// Where an argument's bindings begin: its buffer, and the element at which window 0 starts.
struct Placed<'a> {
    buffer: &'a GpuBuffer,
    base: usize,
    start: isize,
    elements: usize,
}

/// An input of a user's kernel that lies where no binding may begin, copied before the first launch.
struct Copied {
    /// The kernel, and its argument.
    whose: (usize, usize),
    to: GpuBuffer,
    from: wgpu::Buffer,
    first: u64,
    bytes: u64,
}

impl Runner<'_> {
    /// Hands the plan's launches over; returns their number. Waits for their end only where they check indices.
    ///
    /// # Errors
    /// `Interrupted` before the commit phase, `Index`, `OutOfMemory`, and what the driver reports.
    pub(crate) fn run(&self, plan: &Plan, bindings: &Bindings<'_>) -> Result<u64> {
        self.context.check()?;
        let leases =
            plan.kernels.iter().map(|kernel| ready(kernel, self.caps, self.pipelines)).collect::<Result<Vec<_>>>()?;
        let temporaries = Temporaries::take(plan, &leases, self.pool, self.pipelines)?;
        let checks: usize =
            leases.iter().flat_map(|lease| &lease.launches).map(|(launch, _)| launch.checks.len()).sum();
        let faults = if checks > 0 { Some(self.pool.allocate(2 * WORD_BYTES * checks)?) } else { None };
        let copied = self.copies(plan, &leases, bindings)?;
        let mut all_words = Vec::new();
        let mut steps = Vec::with_capacity(leases.iter().map(|lease| lease.launches.len()).sum());
        let mut first_check = 0;
        for (number, (kernel, lease)) in plan.kernels.iter().zip(&leases).enumerate() {
            let placed = kernel
                .arguments
                .iter()
                .map(|argument| self.placed(argument, &temporaries, bindings))
                .collect::<Result<SmallVec<[Placed<'_>; 8]>>>()?;
            let start = |argument: usize| placed[argument].start - placed[argument].base as isize;
            for (launch, pipeline) in &lease.launches {
                let (launch, pipeline) = match &launch.otherwise {
                    Some(other) if !aligned(launch, bindings.slots, &start)? => {
                        (&**other, Cow::Owned(self.pipelines.get(other, 0)?))
                    }
                    _ => (launch, Cow::Borrowed(pipeline)),
                };
                let spans = match launch.foreign {
                    None => self.spans(launch, &placed, &temporaries, number, faults.as_ref())?,
                    Some(_) => self.exact_spans(launch, &placed, &temporaries, number, &copied)?,
                };
                if launch.parameters_bound {
                    // Words that are bound start where a binding may.
                    all_words.resize(all_words.len().next_multiple_of(self.alignment()), 0);
                }
                let first = all_words.len();
                words(launch, bindings.slots, &start, 2 * first_check as u32, &mut all_words)?;
                first_check += launch.checks.len();
                let words = first..all_words.len();
                let pipeline = match aliased(launch, &spans) {
                    0 => pipeline,
                    writable => Cow::Owned(self.pipelines.get(launch, writable)?),
                };
                steps.push(Step { launch, pipeline, spans, words, kernel: number, commit: number >= plan.commit });
            }
        }
        // What is known to be sound is not waited for.
        let known = Ranges { plan, places: temporaries.places(), bindings };
        let mut all = leases.iter().enumerate().flat_map(|(kernel, lease)| {
            lease.launches.iter().flat_map(move |(launch, _)| launch.checks.iter().map(move |check| (kernel, check)))
        });
        let faults = faults.as_ref().filter(|_| !all.all(|(kernel, check)| known.hold(kernel, check)));
        self.execute(&steps, &all_words, faults, &copied, bindings)?;
        for (output, _) in bindings.outputs {
            self.own(output)?.note_integers(None);
        }
        Ok(steps.len() as u64)
    }

    fn alignment(&self) -> usize {
        self.context.alignment
    }

    /// Where an argument lies.
    fn placed<'b>(
        &self,
        argument: &Argument,
        temporaries: &'b Temporaries<'_>,
        bindings: &'b Bindings<'_>,
    ) -> Result<Placed<'b>> {
        let (buffer, start) = match argument.place {
            Place::Input(input) => (self.own(&bindings.inputs[input].0)?, bindings.inputs[input].1),
            Place::Output(output) => (self.own(&bindings.outputs[output].0)?, bindings.outputs[output].1),
            Place::Temporary(temporary) => (temporaries.of(temporary), 0),
        };
        let mut base = 0;
        if buffer.size() > self.caps.binding_bytes
            && let Some((low, _)) = argument.layout.reach()
        {
            // Windows begin near the first element that the kernel reaches.
            let low = start + low + argument.start.resolve(bindings.slots) as isize;
            let bytes = low.max(0) as usize * element_bytes(argument.dtype);
            base = bytes / self.alignment() * self.alignment() / element_bytes(argument.dtype);
        }
        Ok(Placed { buffer, base, start, elements: argument.layout.shape.elements() })
    }

    /// What a launch binds, in the order of its bindings.
    fn spans<'b>(
        &self,
        launch: &Launch,
        placed: &[Placed<'b>],
        temporaries: &'b Temporaries<'_>,
        number: usize,
        faults: Option<&'b GpuBuffer>,
    ) -> Result<SmallVec<[Span<'b>; 8]>> {
        let mut spans = SmallVec::new();
        for binding in &launch.bindings {
            let (buffer, first, limit) = if binding.argument == Binding::FAULTS {
                let faults = faults.ok_or_else(|| Error::internal("gpu: a check has nowhere to report."))?;
                (faults, 0, self.caps.binding_bytes)
            } else if let Some(Placed { buffer, base, .. }) = placed.get(binding.argument) {
                let several =
                    launch.bindings.iter().any(|other| other.argument == binding.argument && other.window > 0);
                let window = if several { self.caps.window_bytes() } else { self.caps.binding_bytes };
                let bytes = element_bytes(launch.dtypes[binding.argument]);
                let first = (base * bytes) as u64 + u64::from(binding.window) * window;
                // The last window may lie beyond the end: nothing reads it then.
                let first = if first < buffer.size() { first } else { (base * bytes) as u64 };
                (*buffer, first, window)
            } else {
                (temporaries.scratch(number, binding.argument - placed.len()), 0, self.caps.binding_bytes)
            };
            let limit = limit / WORD_BYTES as u64 * WORD_BYTES as u64;
            spans.push(Span { buffer, first, bytes: (buffer.size() - first).min(limit) });
        }
        Ok(spans)
    }

    /// Inputs of users' kernels that lie where no binding may begin.
    fn copies(&self, plan: &Plan, leases: &[Lease<'_, Ready>], bindings: &Bindings<'_>) -> Result<Vec<Copied>> {
        let mut copied = Vec::new();
        for (number, (kernel, lease)) in plan.kernels.iter().zip(leases).enumerate() {
            if lease.launches.iter().all(|(launch, _)| launch.foreign.is_none()) {
                continue;
            }
            for (position, argument) in kernel.arguments.iter().enumerate() {
                let Place::Input(input) = argument.place else { continue };
                let first = bindings.inputs[input].1.max(0) as u64 * WORD_BYTES as u64;
                if first.is_multiple_of(self.alignment() as u64) {
                    continue;
                }
                let bytes = exact_bytes(argument.layout.shape.elements());
                let to = self.pool.allocate(bytes as usize)?;
                let from = self.own(&bindings.inputs[input].0)?.raw();
                copied.push(Copied { whose: (number, position), to, from, first, bytes });
            }
        }
        Ok(copied)
    }

    /// What a user's kernel binds: exactly its tensors.
    fn exact_spans<'b>(
        &self,
        launch: &Launch,
        placed: &[Placed<'b>],
        temporaries: &'b Temporaries<'_>,
        number: usize,
        copied: &'b [Copied],
    ) -> Result<SmallVec<[Span<'b>; 8]>> {
        let mut spans = SmallVec::new();
        for (position, binding) in launch.bindings.iter().enumerate() {
            let bytes = exact_bytes(placed[position].elements);
            if bytes > self.caps.binding_bytes {
                return Err(Error::device(format!(
                    "{}: a tensor of {bytes} bytes is larger than a user's kernel can bind on this adapter ({} bytes). Cut it.",
                    launch.foreign.as_ref().map_or("kernel", |foreign| &foreign.name),
                    self.caps.binding_bytes
                )));
            }
            let copy = copied.iter().find(|copy| copy.whose == (number, binding.argument));
            let (buffer, first) = match (copy, placed.get(binding.argument)) {
                (Some(copy), _) => (&copy.to, 0),
                (None, Some(placed)) => (placed.buffer, placed.start.max(0) as u64 * WORD_BYTES as u64),
                (None, None) => (temporaries.scratch(number, binding.argument - placed.len()), 0),
            };
            spans.push(Span { buffer, first, bytes });
        }
        Ok(spans)
    }

    /// This device's buffer behind a shared one.
    fn own<'b>(&self, buffer: &'b BufferRef) -> Result<&'b GpuBuffer> {
        own(buffer, self.pool)
    }

    fn execute(
        &self,
        steps: &[Step<'_>],
        bytes: &[u8],
        faults: Option<&GpuBuffer>,
        copied: &[Copied],
        bindings: &Bindings<'_>,
    ) -> Result<()> {
        let block = if steps.iter().any(|step| step.launch.parameters_bound) {
            let block = self.pool.allocate(bytes.len())?;
            self.context.guarded(|| self.context.queue.write_buffer(&block.raw(), 0, bytes))?;
            Some(block)
        } else {
            None
        };
        let split = steps.partition_point(|step| !step.commit);
        let (compute, commit) = steps.split_at(split);
        let mut cleared = faults;
        let timing = match bindings.watch {
            Some(watch) => Timing::new(self.context, self.pool)?.map(|timing| (timing, watch)),
            None => None,
        };
        let timing = timing.as_ref().map(|(timing, watch)| (timing, *watch));
        if !copied.is_empty() {
            self.context.submit(bindings.cancelled, || {
                let mut encoder = self.context.device.create_command_encoder(&Default::default());
                for Copied { to, from, first, bytes, .. } in copied {
                    encoder.copy_buffer_to_buffer(from, *first, &to.raw(), 0, *bytes);
                }
                Some(encoder.finish())
            })?;
        }
        // Both phases go over together, unless it is to be seen between them whether indices were good.
        let phases = if faults.is_some() { [compute, commit] } else { [steps, &[]] };
        for (number, phase) in phases.into_iter().enumerate() {
            for flush in self.flushes(phase) {
                if !flush[0].commit && (bindings.cancelled)() {
                    return Err(Error::new(ErrorKind::Interrupted, "The evaluation was interrupted."));
                }
                let commits = flush.iter().any(|step| step.commit);
                let give_up = || !commits && (bindings.cancelled)();
                self.submit(flush, bytes, block.as_ref(), cleared.take(), timing, &give_up)?;
            }
            if let Some(faults) = faults.filter(|_| number == 0 && cleared.is_none()) {
                self.report(compute, faults, bindings)?;
            }
        }
        Ok(())
    }

    /// Cuts launches into portions of bounded number and work.
    fn flushes<'s, 'l>(&self, steps: &'s [Step<'l>]) -> impl Iterator<Item = &'s [Step<'l>]> {
        let most = if self.software { SOFTWARE_WORK } else { WORK };
        let mut rest = steps;
        std::iter::from_fn(move || {
            let mut work = 0u64;
            let mut count = 0;
            while count < rest.len().min(FLUSH) && (count == 0 || work + rest[count].launch.work <= most) {
                work = work.saturating_add(rest[count].launch.work);
                count += 1;
            }
            let (flush, after) = rest.split_at(count);
            rest = after;
            (count > 0).then_some(flush)
        })
    }

    /// Waits for the checks of indices, and raises what the first bad one says.
    fn report(&self, steps: &[Step<'_>], faults: &GpuBuffer, bindings: &Bindings<'_>) -> Result<()> {
        self.context.wait(bindings.cancelled)?;
        let checks = steps.iter().flat_map(|step| &step.launch.checks);
        let mut words = vec![0u8; checks.clone().count() * 2 * WORD_BYTES];
        self.transfer.download(faults, DType::U32, 0, &mut words)?;
        let word =
            |at: usize| words[at * WORD_BYTES..][..WORD_BYTES].iter().rev().fold(0, |all, &b| all << 8 | u32::from(b));
        for (number, check) in checks.enumerate() {
            if word(2 * number) != 0 {
                return Err(check.error(word(2 * number + 1)));
            }
        }
        Ok(())
    }

    /// Records launches in one pass and sends them off.
    fn submit(
        &self,
        flush: &[Step<'_>],
        bytes: &[u8],
        block: Option<&GpuBuffer>,
        cleared: Option<&GpuBuffer>,
        timing: Option<(&Timing, &Watch)>,
        give_up: &dyn Fn() -> bool,
    ) -> Result<()> {
        self.context.submit(give_up, || {
            let mut encoder = self.context.device.create_command_encoder(&Default::default());
            if let Some(faults) = cleared {
                encoder.clear_buffer(&faults.raw(), 0, None);
            }
            if let Some((timing, _)) = timing {
                // A pass for each launch: their times are those of passes.
                for (number, step) in flush.iter().enumerate() {
                    let timestamp_writes = Some(timing.writes(number));
                    let mut pass =
                        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes });
                    self.record(&mut pass, step, bytes, block);
                }
                timing.resolve(&mut encoder, flush.len());
            } else {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                flush.iter().for_each(|step| self.record(&mut pass, step, bytes, block));
            }
            Some(encoder.finish())
        })?;
        let Some((timing, watch)) = timing else { return Ok(()) };
        let kernels: Vec<usize> = flush.iter().map(|step| step.kernel).collect();
        timing.note(self.context, self.transfer, &kernels, watch)
    }

    fn record(&self, pass: &mut wgpu::ComputePass<'_>, step: &Step<'_>, bytes: &[u8], block: Option<&GpuBuffer>) {
        let words = step.words.clone();
        let bound = block.filter(|_| step.launch.parameters_bound);
        let bound = bound.map(|buffer| Span { buffer, first: words.start as u64, bytes: words.len() as u64 });
        let spans = step.spans.iter().copied().chain(bound);
        let group = self.pool.groups.get(&self.context.device, &step.pipeline.layout, spans);
        pass.set_pipeline(&step.pipeline.raw);
        pass.set_bind_group(0, &group, &[]);
        if !step.launch.parameters_bound && !words.is_empty() {
            pass.set_immediates(0, &bytes[words]);
        }
        let [x, y, z] = step.launch.grid;
        pass.dispatch_workgroups(x, y, z);
    }
}

/// This device's buffer behind a shared one.
///
/// # Errors
/// `DeviceLost` for a buffer of a device that is no more.
pub(crate) fn own<'b>(buffer: &'b BufferRef, pool: &Arc<Pool>) -> Result<&'b GpuBuffer> {
    let found = buffer.as_any().downcast_ref::<GpuBuffer>();
    let found = found.ok_or_else(|| Error::internal("gpu: the buffer is of another backend. Please report this."))?;
    if found.belongs_to(pool) {
        return Ok(found);
    }
    Err(Error::new(
        ErrorKind::DeviceLost,
        "gpu: the tensor was on a device that has been lost or reset. Make it again from data on the CPU.",
    ))
}

/// The read bindings whose buffer is also bound for writing: wgpu wants both declared writable.
fn aliased(launch: &Launch, spans: &[Span<'_>]) -> u64 {
    let mut writable = 0;
    for (number, _) in launch.bindings.iter().enumerate().filter(|(_, binding)| !binding.write) {
        let same = |other: usize| {
            launch.bindings[other].write && spans[other].buffer.number() == spans[number].buffer.number()
        };
        if (0..spans.len()).any(same) {
            writable |= 1 << number;
        }
    }
    writable
}

/// Bytes of a tensor in a user's kernel.
fn exact_bytes(elements: usize) -> u64 {
    (elements * WORD_BYTES).max(WORD_BYTES) as u64
}
