//! Evaluation on demand, counters, threads, defaults, module paths.
//! Depends on `engine`. Invariant: counters only count; nothing depends on them.

use adret_core::backend::Device;
use adret_core::dtype::DType;
use adret_core::error::Error;
use adret_core::graph::{self, Tensor};
use adret_core::kit::threads;
use adret_core::{cpu, evaluate};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::arguments::Count;
use crate::dtype::{DTypeArgument, DTypeObject};
use crate::errors::{exception, wrong_kind};
use crate::functions::add_functions;
use crate::tensor::TensorObject;
use crate::{dtype, engine, foreign};

fn gather(object: &Bound<'_, PyAny>, found: &mut Vec<Tensor>) -> PyResult<()> {
    if let Ok(tensor) = object.cast::<TensorObject>() {
        found.push(tensor.get().tensor());
    } else if let Ok(items) = object.cast::<PyDict>() {
        items.values().iter().try_for_each(|item| gather(&item, found))?;
    } else if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        object.try_iter()?.try_for_each(|item| gather(&item?, found))?;
    } else {
        return Err(wrong_kind(
            object.py(),
            format!(
                "eval: expected tensors, or lists, tuples and dicts of them, not {}. Make one with ad.tensor(…).",
                object.get_type().name()?
            ),
        ));
    }
    Ok(())
}

/// Computes the values of tensors now, in one run, together with live tensors that share work with them.
///
/// Example:
///     >>> x = ad.ones(2) + 1
///     >>> ad.eval(x)
#[pyfunction]
#[pyo3(signature = (*tensors))]
fn eval(py: Python<'_>, tensors: &Bound<'_, PyTuple>) -> PyResult<()> {
    let mut found = Vec::with_capacity(tensors.len());
    tensors.iter().try_for_each(|item| gather(&item, &mut found))?;
    // A recording evaluates at its end.
    if !graph::recording() {
        engine::evaluate(py, &found)?;
    }
    foreign::drain(py);
    Ok(())
}

/// Counters since the start of the process, by name.
///
/// `plan_misses` (plans made), `pending_nodes`, `runs`, `launches`, `pool_misses`, `allocations`, `bytes_in_use`,
/// `peak_bytes`, `bytes_cached`, `matmul_flops`, `shaders` (compiled for GPUs), `submissions` (portions of work
/// handed to GPUs), `bind_groups` (made for launches), `launch_nanoseconds` (that the processor took to launch on GPUs).
///
/// Example:
///     >>> ad.stats()["bytes_in_use"] >= 0
///     True
#[pyfunction]
fn stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let stats = py.detach(evaluate::stats);
    let counters = PyDict::new(py);
    for (name, value) in [
        ("plan_misses", stats.plan_misses),
        ("pending_nodes", stats.pending_nodes),
        ("runs", stats.devices.runs),
        ("launches", stats.devices.launches),
        ("pool_misses", stats.devices.pool_misses),
        ("allocations", stats.devices.allocations),
        ("bytes_in_use", stats.devices.bytes_in_use),
        ("peak_bytes", stats.devices.peak_bytes),
        ("bytes_cached", stats.devices.bytes_cached),
        ("matmul_flops", stats.devices.matmul_flops),
        ("shaders", stats.devices.shaders),
        ("submissions", stats.devices.submissions),
        ("bind_groups", stats.devices.bind_groups),
        ("launch_nanoseconds", stats.devices.launch_nanoseconds),
    ] {
        counters.set_item(name, value)?;
    }
    Ok(counters)
}

/// Measures `peak_bytes` anew from now on.
///
/// Example:
///     >>> ad.reset_peak_memory()
#[pyfunction]
fn reset_peak_memory(py: Python<'_>) {
    py.detach(evaluate::reset_peak);
}

/// Gives memory that no tensor uses, kept for reuse, back to the system, on every device.
///
/// Example:
///     >>> ad.trim_memory()
#[pyfunction]
fn trim_memory(py: Python<'_>) {
    py.detach(evaluate::trim);
}

/// Sets how many threads compute on the CPU; 0 restores the default.
///
/// Results do not depend on it.
///
/// Example:
///     >>> ad.set_num_threads(1)
///     >>> ad.get_num_threads()
///     1
///     >>> ad.set_num_threads(0)
#[pyfunction]
fn set_num_threads(threads: Count) {
    threads::set_num_threads(threads.0);
}

/// How many threads compute on the CPU.
///
/// Example:
///     >>> ad.get_num_threads() >= 1
///     True
#[pyfunction]
fn get_num_threads() -> usize {
    threads::num_threads()
}

/// Sets the dtype of tensors made from Python's floats.
///
/// Raises:
///     DTypeError: If it is not a floating-point dtype.
///
/// Example:
///     >>> ad.set_default_dtype(ad.float32)
#[pyfunction]
fn set_default_dtype(py: Python<'_>, dtype: DTypeArgument) -> PyResult<()> {
    if !dtype.0.is_float() {
        return Err(exception(
            py,
            Error::dtype(format!("set_default_dtype: {} is no floating-point dtype. Use float32 or float64.", dtype.0)),
        ));
    }
    dtype::set_default_float(dtype.0);
    Ok(())
}

/// The dtype of tensors made from Python's floats.
///
/// Example:
///     >>> ad.get_default_dtype()
///     adret.float32
#[pyfunction]
fn get_default_dtype(py: Python<'_>) -> PyResult<Py<DTypeObject>> {
    dtype::object(py, dtype::default_float())
}

/// The dtype that two dtypes promote to.
#[pyfunction]
fn promote_types(py: Python<'_>, first: DTypeArgument, second: DTypeArgument) -> PyResult<Py<DTypeObject>> {
    dtype::object(py, DType::promote(first.0, second.0))
}

/// Sets the dtype of products of float32 tensors on the CPU or on GPUs, for this thread; returns what was in force.
#[pyfunction]
fn _set_autocast(py: Python<'_>, device: &str, dtype: Option<DTypeArgument>) -> PyResult<Option<Py<DTypeObject>>> {
    let device = if device == "cpu" { Device::Cpu } else { Device::Gpu(0) };
    let old = graph::set_autocast(device, dtype.map(|dtype| dtype.0));
    old.map(|old| dtype::object(py, old)).transpose()
}

/// Enters a module: errors name its path from now on.
#[pyfunction]
fn push_scope(name: &str) {
    graph::push_scope(name);
}

/// Leaves the innermost module.
#[pyfunction]
fn pop_scope() {
    graph::pop_scope();
}

/// Turns the sharing of kernels on or off for tests; values do not depend on it. Returns what was in force.
#[pyfunction]
fn _set_fusion(py: Python<'_>, fuse: bool) -> bool {
    py.detach(|| evaluate::set_fusion(fuse))
}

/// Lets the n-th allocation from now on fail, for tests; `None` ends that.
#[pyfunction]
#[pyo3(signature = (n))]
fn _fail_allocation(n: Option<u64>) {
    cpu::memory::fail_allocation(n);
}

/// Makes the n-th kernel from now on panic, for tests; `None` ends that.
#[pyfunction]
#[pyo3(signature = (n))]
fn _panic_in_kernel(n: Option<u64>) {
    cpu::fault::panic_in_kernel(n);
}

/// Puts the functions into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(
        module,
        eval,
        stats,
        reset_peak_memory,
        trim_memory,
        set_num_threads,
        get_num_threads,
        set_default_dtype,
        get_default_dtype,
        promote_types,
        _set_autocast,
        push_scope,
        pop_scope,
        _set_fusion,
        _fail_allocation,
        _panic_in_kernel,
    );
    Ok(())
}
