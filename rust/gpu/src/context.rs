//! A wgpu device with its queue, and how its failures become errors. Depends on wgpu.
//! Invariant: no failure of wgpu or a driver becomes a panic: every call that can fail runs inside `guarded`, or reports to the handlers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use adret_core::error::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::adapter::ready;

/// How long one wait for the device lasts before the caller is asked whether to go on.
const PATIENCE: Duration = Duration::from_millis(50);

/// A device, its queue, and the failure that ended it, if any.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    failure: Arc<Mutex<Option<String>>>,
    /// Held while work is handed over and while it is waited for: wgpu's wait miscounts submissions that arrive meanwhile.
    order: Mutex<()>,
    process: u32,
}

impl Context {
    /// Opens an adapter with all that it offers of what kernels use.
    ///
    /// # Errors
    /// When the driver refuses.
    pub(crate) fn open(adapter: &wgpu::Adapter) -> Result<Context> {
        let wanted = wgpu::Features::IMMEDIATES | wgpu::Features::SUBGROUP;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("adret"),
            required_features: adapter.features() & wanted,
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let (device, queue) = ready(adapter.request_device(&descriptor)).map_err(|error| {
            Error::device(format!("device: {} cannot be opened: {error}. Use device='cpu'.", adapter.get_info().name))
        })?;
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
        Ok(Context { device, queue, failure, order: Mutex::new(()), process: std::process::id() })
    }

    /// Fails where the device cannot be used any more.
    ///
    /// # Errors
    /// When it was lost, or in a forked child.
    pub(crate) fn check(&self) -> Result<()> {
        if std::process::id() != self.process {
            return Err(Error::device(
                "gpu: this process was forked from the one that opened the GPU, and drivers do not survive that. \
                 Start workers with the 'spawn' method, or move tensors to the CPU first.",
            ));
        }
        match &*self.failure.lock() {
            None => Ok(()),
            Some(message) => Err(Error::device(format!(
                "gpu: the device stopped working: {message}. Its tensors are lost; start the process again, or use the CPU."
            ))),
        }
    }

    /// Runs calls that can fail, and returns the first failure.
    ///
    /// # Errors
    /// `OutOfMemory` where memory ran out, `Device` or `Internal` else.
    pub(crate) fn guarded<T>(&self, calls: impl FnOnce() -> T) -> Result<T> {
        self.check()?;
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
            Some(wgpu::Error::OutOfMemory { .. }) => Err(Error::new(
                ErrorKind::OutOfMemory,
                "gpu: the device has no memory left. Free tensors, or use smaller batches.",
            )),
            Some(wgpu::Error::Validation { description, .. }) => {
                Err(Error::internal(format!("gpu: wgpu refused a call: {description}. Please report this.")))
            }
            Some(wgpu::Error::Internal { description, .. }) => {
                Err(Error::device(format!("gpu: the driver failed: {description}. Update it, or use the CPU.")))
            }
        }
    }

    /// Records work and hands it to the device.
    ///
    /// # Errors
    /// As `guarded`.
    pub(crate) fn submit(&self, work: impl FnOnce() -> Option<wgpu::CommandBuffer>) -> Result<()> {
        let commands = self.guarded(work)?;
        let _order = self.order.lock();
        self.guarded(|| self.queue.submit(commands)).map(|_| ())
    }

    /// Waits until all submitted work is done; `give_up` is asked now and then.
    ///
    /// # Errors
    /// `Interrupted` when told to give up; when the device is lost.
    pub(crate) fn wait(&self, give_up: &dyn Fn() -> bool) -> Result<()> {
        loop {
            let patience = wgpu::PollType::Wait { submission_index: None, timeout: Some(PATIENCE) };
            // A lost device is the one failure that wgpu reports by a panic, here alone.
            let outcome = {
                let _order = self.order.lock();
                catch_unwind(AssertUnwindSafe(|| self.device.poll(patience)))
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
                    self.failure.lock().get_or_insert("waiting for it failed".to_owned());
                    return self.check();
                }
            }
        }
    }
}
