//! A wgpu device with its queue, and how its failures become errors. Depends on wgpu.
//! Invariant: no failure of wgpu or a driver becomes a panic: every call that can fail runs inside `guarded`, or reports to the handlers.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use adret_core::backend::forks;
use adret_core::error::{Error, ErrorKind, Result};
use adret_core::wgsl::WORD_BYTES;
use parking_lot::Mutex;

use crate::adapter::{denied, ready};
use crate::fault::{self, Failure};

/// How long one wait for the device lasts before the caller is asked whether to go on.
const PATIENCE: Duration = Duration::from_millis(50);

/// Submissions that may be under way: enough to keep the device busy, few enough to be waited for.
const IN_FLIGHT: usize = 3;

/// Whether to give up waiting; asked now and then.
pub(crate) type GiveUp<'a> = dyn Fn() -> bool + 'a;

/// A device, its queue, and the failure that ended it, if any.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    failure: Arc<Mutex<Option<String>>>,
    /// Submissions under way. Held while work is handed over and while it is waited for: wgpu's wait miscounts submissions that arrive
    /// meanwhile.
    under_way: Mutex<VecDeque<wgpu::SubmissionIndex>>,
    submissions: AtomicU64,
    /// Nanoseconds spent waiting for the device.
    waited: AtomicU64,
    /// Side of the float16 matrices that subgroups multiply and add up in float32.
    pub(crate) cooperative: Option<u32>,
    /// Bytes at whose multiples bindings begin.
    pub(crate) alignment: usize,
    /// Forks before the device was opened.
    forks: u64,
}

impl Context {
    /// Opens an adapter with all that it offers of what kernels use.
    ///
    /// # Errors
    /// When the driver refuses.
    ///
    /// `units` says whether units for matrices are asked for, where the adapter has them.
    pub(crate) fn open(adapter: &wgpu::Adapter, units: bool) -> Result<Context> {
        let cooperative = if units { cooperative(adapter) } else { None };
        let mut wanted = wgpu::Features::IMMEDIATES | wgpu::Features::PIPELINE_CACHE | wgpu::Features::TIMESTAMP_QUERY;
        wanted |= wgpu::Features::SHADER_F16;
        if !denied("int64") {
            wanted |= wgpu::Features::SHADER_INT64;
            // Shaders make and take apart float64 as words.
            if !denied("float64") && adapter.features().contains(wgpu::Features::SHADER_INT64) {
                wanted |= wgpu::Features::SHADER_F64;
            }
        }
        if !denied("subgroup") {
            wanted |= wgpu::Features::SUBGROUP;
        }
        let mut experimental_features = wgpu::ExperimentalFeatures::disabled();
        if cooperative.is_some() {
            wanted |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
            // SAFETY: no other feature of this kind is asked for. Matrices lie in workgroup memory that the core's printer sizes, with
            // rows of whole 16 bytes, and their operations are reached by whole subgroups; a product is tried before others (`trial`).
            experimental_features = unsafe { wgpu::ExperimentalFeatures::enabled() };
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("adret"),
            required_features: adapter.features() & wanted,
            required_limits: adapter.limits(),
            experimental_features,
            ..Default::default()
        };
        let name = adapter.get_info().name;
        let failed = |why: String| {
            Error::device(format!(
                "device: {name} cannot be opened: {why}. Update its driver, free its memory, or use device='cpu'."
            ))
        };
        if fault::due().is_some() {
            return Err(failed("ordered by a test".to_owned()));
        }
        let opened = catch_unwind(AssertUnwindSafe(|| ready(adapter.request_device(&descriptor))));
        let (device, queue) = opened
            .map_err(|_| failed("its driver broke off".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        let failure = Arc::new(Mutex::new(None));
        let lost = Arc::clone(&failure);
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                lost.lock().get_or_insert(message);
            }
        });
        let uncaptured = Arc::clone(&failure);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            uncaptured.lock().get_or_insert(error.to_string());
        }));
        let alignment = device.limits().min_storage_buffer_offset_alignment as usize;
        Ok(Context {
            device,
            queue,
            failure,
            under_way: Mutex::default(),
            submissions: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            cooperative,
            alignment: alignment.max(WORD_BYTES),
            forks: forks(),
        })
    }

    /// Whether this is a fork of the process that opened the device.
    pub(crate) fn forked(&self) -> bool {
        forks() != self.forks
    }

    /// Fails where the device cannot be used any more.
    ///
    /// # Errors
    /// `DeviceLost` when it was lost, `Device` in a forked child.
    pub(crate) fn check(&self) -> Result<()> {
        if self.forked() {
            return Err(Error::device(
                "gpu: this process was forked from the one that opened the GPU, and drivers do not survive that. \
                 Start workers with the 'spawn' method, or move tensors to the CPU first.",
            ));
        }
        match &*self.failure.lock() {
            None => Ok(()),
            Some(message) => Err(Error::new(
                ErrorKind::DeviceLost,
                format!(
                    "gpu: the device stopped working: {message}. Its tensors are lost. Call ad.reset_device('gpu') and make them \
                     again from data on the CPU, or go on with device='cpu'."
                ),
            )),
        }
    }

    /// Ends the device: what is done on it from now on fails.
    pub(crate) fn end(&self, why: &str) {
        self.failure.lock().get_or_insert_with(|| why.to_owned());
    }

    /// Runs calls that can fail, and returns the first failure.
    ///
    /// # Errors
    /// `OutOfMemory` where memory ran out, `DeviceLost`, `Device` or `Internal` else.
    pub(crate) fn guarded<T>(&self, calls: impl FnOnce() -> T) -> Result<T> {
        self.check()?;
        match fault::due() {
            None => {}
            Some(Failure::Memory) => return Err(out_of_memory()),
            Some(Failure::Driver) => return Err(driver_failed("ordered by a test")),
            Some(Failure::Lost) => {
                self.end("ordered by a test");
                self.check()?;
            }
        }
        let filters = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory];
        let scopes = filters.map(|filter| self.device.push_error_scope(filter));
        let value = calls();
        let mut failure = None;
        for scope in scopes.into_iter().rev() {
            let error = ready(scope.pop());
            failure = failure.or(error);
        }
        match failure {
            None => self.check().map(|()| value),
            Some(wgpu::Error::OutOfMemory { .. }) => Err(out_of_memory()),
            Some(wgpu::Error::Validation { description, .. }) => {
                // A lost device refuses calls before it tells that it is lost.
                self.check()?;
                Err(Error::internal(format!("gpu: wgpu refused a call: {description}. Please report this.")))
            }
            Some(wgpu::Error::Internal { description, .. }) => Err(driver_failed(&description)),
        }
    }

    /// Records work and hands it to the device; waits while much is under way.
    ///
    /// # Errors
    /// As `guarded`; `Interrupted` when told to give up waiting, the work being handed over then.
    pub(crate) fn submit(
        &self,
        give_up: &GiveUp<'_>,
        work: impl FnOnce() -> Option<wgpu::CommandBuffer>,
    ) -> Result<()> {
        let commands = self.guarded(work)?;
        let oldest = {
            let mut under_way = self.under_way.lock();
            let index = self.guarded(|| self.queue.submit(commands))?;
            self.submissions.fetch_add(1, Relaxed);
            under_way.push_back(index);
            if under_way.len() > IN_FLIGHT { under_way.pop_front() } else { None }
        };
        oldest.map_or(Ok(()), |index| self.wait_for(Some(index), give_up))
    }

    /// Portions of work handed over so far.
    pub(crate) fn submissions(&self) -> u64 {
        self.submissions.load(Relaxed)
    }

    /// Waits until all submitted work is done.
    ///
    /// # Errors
    /// `Interrupted` when told to give up; when the device is lost.
    pub(crate) fn wait(&self, give_up: &GiveUp<'_>) -> Result<()> {
        self.wait_for(None, give_up)
    }

    /// Time spent waiting for the device so far.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Relaxed))
    }

    fn wait_for(&self, index: Option<wgpu::SubmissionIndex>, give_up: &GiveUp<'_>) -> Result<()> {
        let start = Instant::now();
        let outcome = self.wait_on(index, give_up);
        self.waited.fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
        outcome
    }

    fn wait_on(&self, index: Option<wgpu::SubmissionIndex>, give_up: &GiveUp<'_>) -> Result<()> {
        loop {
            let patience = wgpu::PollType::Wait { submission_index: index.clone(), timeout: Some(PATIENCE) };
            // A lost device is the one failure that wgpu reports by a panic, here alone.
            let outcome = {
                let mut under_way = self.under_way.lock();
                let outcome = catch_unwind(AssertUnwindSafe(|| self.device.poll(patience)));
                if index.is_none() && matches!(outcome, Ok(Ok(_))) {
                    under_way.clear();
                }
                outcome
            };
            match outcome {
                Ok(Ok(_)) => return self.check(),
                Ok(Err(wgpu::PollError::Timeout)) => {
                    self.check()?;
                    if give_up() {
                        return Err(Error::new(ErrorKind::Interrupted, "The evaluation was interrupted."));
                    }
                }
                Ok(Err(error)) => {
                    return Err(Error::internal(format!("gpu: waiting failed: {error}. Please report this.")));
                }
                Err(_) => {
                    self.end("waiting for it failed");
                    return self.check();
                }
            }
        }
    }
}

/// The largest square matrices of float16 with sums in float32 that an adapter multiplies, where lanes of one number hold them.
fn cooperative(adapter: &wgpu::Adapter) -> Option<u32> {
    let needed =
        wgpu::Features::SHADER_F16 | wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SUBGROUP;
    let info = adapter.get_info();
    let known = info.subgroup_min_size == info.subgroup_max_size;
    if denied("cooperative") || denied("subgroup") || !known || !adapter.features().contains(needed) {
        return None;
    }
    let (half, single) = (wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32);
    let offered = adapter.cooperative_matrix_properties().into_iter();
    offered
        .filter(|matrix| (matrix.ab_type, matrix.cr_type) == (half, single) && !matrix.saturating_accumulation)
        .filter(|matrix| matrix.m_size == matrix.n_size && matrix.n_size == matrix.k_size)
        .map(|matrix| matrix.m_size)
        .max()
}

fn out_of_memory() -> Error {
    Error::new(ErrorKind::OutOfMemory, "gpu: the device has no memory left. Free tensors, or use smaller batches.")
}

fn driver_failed(why: &str) -> Error {
    Error::device(format!("gpu: the driver failed: {why}. Update it, or use the CPU."))
}
