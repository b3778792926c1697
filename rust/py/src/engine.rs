//! The gate to evaluation and backward passes: Python's lock released, Ctrl-C heard, foreign memory given back.
//! Depends on the core's `evaluate` and `autograd`, and is the one place that knows `adret_gpu`.
//! Invariant: no thread waits for Python's lock while it holds a lock of the engine.

use std::cell::Cell;

use adret_core::autograd::{self, Root};
use adret_core::backend::Device;
use adret_core::compile;
use adret_core::dtype::DType;
use adret_core::error::{Error, ErrorKind, Result};
use adret_core::evaluate;
use adret_core::graph::{self, Tensor};
use adret_core::ops;
use pyo3::prelude::*;
use smallvec::SmallVec;

use crate::errors::{call, caught, exception};
use crate::tensor::TensorObject;
use crate::{foreign, interrupt};

/// Fewer pending nodes than this never cause an evaluation, so that the engine need not be asked.
const FEW_PENDING: usize = 4096;

/// Runs `body` without Python's lock until it ends, or until Ctrl-C has raised.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    body: impl Fn(&(dyn Fn() -> bool + Sync)) -> Result<T> + Send + Sync,
) -> PyResult<T> {
    loop {
        py.check_signals()?;
        interrupt::begin();
        let result = py.detach(|| caught(|| body(&interrupt::pending)));
        foreign::drain(py);
        match result {
            // Python's handler raises from `check_signals`; one that does not wants the evaluation to go on.
            Err(error) if error.kind == ErrorKind::Interrupted => {}
            other => return other.map_err(|error| exception(py, error)),
        }
    }
}

/// A value that Python asks for would be the same in every replay of a recording.
pub(crate) fn refuse_recording(py: Python<'_>) -> PyResult<()> {
    if graph::recording() {
        return Err(exception(
            py,
            compile::refuse(
                "compile: the function asks for a tensor's value (item, numpy, bool, print, …), which a recording would freeze. \
                 Return the tensor and look at it outside, or use where() instead of if.",
            ),
        ));
    }
    Ok(())
}

/// Gives these tensors their values.
pub(crate) fn evaluate(py: Python<'_>, tensors: &[Tensor]) -> PyResult<()> {
    refuse_recording(py)?;
    if tensors.iter().all(|tensor| tensor.storage().is_some()) {
        return Ok(());
    }
    run(py, |cancelled| evaluate::evaluate(tensors, cancelled))
}

/// The elements of a tensor, row-major, evaluated first.
pub(crate) fn read(py: Python<'_>, tensor: &Tensor) -> PyResult<Vec<u8>> {
    refuse_recording(py)?;
    run(py, |cancelled| evaluate::read(tensor, cancelled))
}

/// Builds the object of an operation's result.
pub(crate) fn tensor(py: Python<'_>, body: impl FnOnce() -> Result<Tensor>) -> PyResult<TensorObject> {
    let object = TensorObject::new(call(py, || body().and_then(result))?);
    relieve(py)?;
    Ok(object)
}

/// Builds the objects of an operation's results.
pub(crate) fn tensors(py: Python<'_>, body: impl FnOnce() -> Result<Vec<Tensor>>) -> PyResult<Vec<TensorObject>> {
    let found = call(py, || body()?.into_iter().map(result).collect::<Result<Vec<_>>>())?;
    relieve(py)?;
    Ok(found.into_iter().map(TensorObject::new).collect())
}

/// An operation that has nothing to do gives back its input; a result is never the leaf itself.
fn result(tensor: Tensor) -> Result<Tensor> {
    if tensor.node.slot.is_some() { derived(&tensor) } else { Ok(tensor) }
}

/// Another node of the same value, with a history of its own where one is recorded.
pub(crate) fn derived(tensor: &Tensor) -> Result<Tensor> {
    let sizes: SmallVec<[isize; 4]> = tensor.shape().iter().map(|&size| size as isize).collect();
    // Views of another shape and back: no view of the same shape makes a node.
    ops::reshape(&ops::expand_dims(tensor, 0)?, &sizes)
}

thread_local! {
    /// Whether a backward pass is calling Python on this thread.
    static SWEEPING: Cell<bool> = const { Cell::new(false) };
}

/// Runs what a backward pass calls in Python, without evaluations in between: each would end at the cotangents that wait
/// for their turn, and compute again what lies between them. The pass itself is relieved at its end.
pub(crate) fn sweeping<T>(body: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            SWEEPING.set(self.0);
        }
    }
    let _restore = Restore(SWEEPING.replace(true));
    body()
}

/// Evaluates the live tensors once too many nodes wait, so that graphs and memory stay bounded.
pub(crate) fn relieve(py: Python<'_>) -> PyResult<()> {
    if graph::pending_nodes() < FEW_PENDING || graph::recording() || SWEEPING.get() {
        return Ok(());
    }
    run(py, |cancelled| {
        evaluate::flush_if_large(cancelled);
        Ok(())
    })
}

/// Adds the gradients of the roots, weighted by their cotangents, to the slots of the leaves.
pub(crate) fn backward(py: Python<'_>, roots: &[Root], retain_graph: bool, create_graph: bool) -> PyResult<()> {
    run(py, |_| autograd::backward(roots, retain_graph, create_graph))?;
    relieve(py)
}

/// Gradients of the roots with respect to `inputs`; `None` where they do not depend on one.
pub(crate) fn gradients(
    py: Python<'_>,
    roots: &[Root],
    inputs: &[Tensor],
    retain_graph: bool,
    create_graph: bool,
) -> PyResult<Vec<Option<Tensor>>> {
    run(py, |_| autograd::gradients(roots, inputs, retain_graph, create_graph))
}

/// Gradients of the roots as functions of `inputs` alone.
pub(crate) fn direct_gradients(
    py: Python<'_>,
    roots: &[Root],
    inputs: &[Tensor],
    create_graph: bool,
) -> PyResult<Vec<Option<Tensor>>> {
    run(py, |_| autograd::direct_gradients(roots, inputs, create_graph))
}

/// Makes a device ready, or says why it is not there.
pub(crate) fn open(device: Device) -> Result<()> {
    evaluate::backend(device).map(drop)
}

/// The tensor in a dtype that the user named: what its device does not take is an error now, not when the value is asked for.
pub(crate) fn astype(x: &Tensor, dtype: DType) -> Result<Tensor> {
    evaluate::supporting(dtype, x.device())?;
    ops::astype(x, dtype)
}

/// The same on another device: converted on whichever of the two takes the dtype.
pub(crate) fn moved(x: &Tensor, dtype: DType, device: Device) -> Result<Tensor> {
    if evaluate::supporting(dtype, x.device()).is_ok() {
        ops::to_device(&ops::astype(x, dtype)?, device)
    } else {
        astype(&ops::to_device(x, device)?, dtype)
    }
}

/// Makes the GPU crate known; nothing is asked of a driver before a GPU is named.
pub(crate) fn register_gpu() {
    #[cfg(feature = "gpu")]
    evaluate::register_gpu(adret_gpu::open);
}

/// What is known of a device.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeviceFacts {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) vendor: String,
    pub(crate) driver: String,
    pub(crate) interface: String,
    pub(crate) limits: Vec<(&'static str, u64)>,
    pub(crate) features: Vec<&'static str>,
    /// What identifies it in other interfaces.
    pub(crate) uuid: Option<String>,
    /// Why it is not opened, if it is not.
    pub(crate) refusal: Option<String>,
}

impl DeviceFacts {
    /// One line for people.
    pub(crate) fn line(&self) -> String {
        if self.interface.is_empty() {
            return self.name.clone();
        }
        format!("{} ({}, {})", self.name, self.interface, self.driver)
    }
}

/// Every adapter, those too that are not opened.
pub(crate) fn adapters() -> Vec<DeviceFacts> {
    #[cfg(feature = "gpu")]
    return adret_gpu::adapters()
        .into_iter()
        .map(|adapter| DeviceFacts {
            name: adapter.name,
            kind: adapter.kind,
            vendor: adapter.vendor,
            driver: adapter.driver,
            interface: adapter.backend,
            limits: adapter.limits,
            features: adapter.features,
            uuid: adapter.uuid,
            refusal: adapter.refusal,
        })
        .collect();
    #[cfg(not(feature = "gpu"))]
    Vec::new()
}

/// The adapters that can be opened, in the order of their numbers.
fn admitted() -> impl Iterator<Item = DeviceFacts> {
    adapters().into_iter().filter(|adapter| adapter.refusal.is_none())
}

/// Makes the n-th call of a graphics driver from now on fail, for tests; whether an earlier order was still open.
pub(crate) fn fail_gpu(n: Option<u64>, kind: &str) -> Result<bool> {
    #[cfg(feature = "gpu")]
    {
        let failure = match kind {
            "memory" => adret_gpu::Failure::Memory,
            "driver" => adret_gpu::Failure::Driver,
            "lost" => adret_gpu::Failure::Lost,
            _ => return Err(Error::value(format!("fail_gpu: {kind:?} is no kind of failure."))),
        };
        Ok(adret_gpu::fail_call(n, failure))
    }
    #[cfg(not(feature = "gpu"))]
    {
        let _ = (n, kind);
        Ok(false)
    }
}

/// The first hardware GPU.
pub(crate) fn hardware_gpu() -> Option<Device> {
    let number = admitted().position(|adapter| adapter.kind != "software");
    number.map(|number| Device::Gpu(number as u32))
}

/// The devices of this machine, and what is known of them.
pub(crate) fn devices() -> Result<Vec<(Device, DeviceFacts)>> {
    let cpu = DeviceFacts {
        name: evaluate::backend(Device::Cpu)?.describe(),
        kind: "cpu".to_owned(),
        features: adret_core::kit::simd::features(),
        ..DeviceFacts::default()
    };
    let gpus = admitted().zip(0..).map(|(facts, number)| (Device::Gpu(number), facts));
    Ok(std::iter::once((Device::Cpu, cpu)).chain(gpus).collect())
}

/// The error of a thing that GPUs cannot do.
pub(crate) fn not_on_host(name: &str, tensor: &Tensor) -> Error {
    Error::device(format!("{name}: the tensor is on {}. Use .cpu() first.", tensor.device()))
}
