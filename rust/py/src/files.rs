//! Files of tensors: what `adret.save`, `load` and `inspect` stand on.
//! Depends on `adret_files` and `engine`. Invariant: what the system refuses is the `OSError` that Python itself would raise, with the path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use adret_core::backend::Device;
use adret_core::error::Result;
use adret_core::graph::Tensor;
use adret_files::FileError;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::device::DeviceArgument;
use crate::dtype::{self, DTypeObject};
use crate::errors::call;
use crate::functions::add_functions;
use crate::tensor::TensorObject;
use crate::{data, engine};

/// Runs a body that may meet the system's refusal, without Python's lock.
fn run<T: Send>(
    py: Python<'_>,
    body: impl Fn(&(dyn Fn() -> bool + Sync)) -> adret_files::Result<T> + Send + Sync,
) -> PyResult<T> {
    let outcome = engine::run(py, |cancelled| -> Result<std::result::Result<T, (PathBuf, std::io::Error)>> {
        match body(cancelled) {
            Ok(value) => Ok(Ok(value)),
            Err(FileError::System(path, error)) => Ok(Err((path, error))),
            Err(FileError::Engine(error)) => Err(error),
        }
    })?;
    outcome.map_err(|(path, error)| refusal(py, &path, &error))
}

/// Python's exception: the subclass of `OSError` that the number stands for.
fn refusal(py: Python<'_>, path: &Path, error: &std::io::Error) -> PyErr {
    let Some(number) = error.raw_os_error() else {
        return PyOSError::new_err(format!("{}: {error}", path.display()));
    };
    let name = path.as_os_str();
    if cfg!(windows) {
        // Python finds its own number from the system's.
        return PyOSError::new_err((0, error.to_string(), name.to_owned(), number));
    }
    let text = py.import("os").and_then(|os| os.getattr("strerror")?.call1((number,))?.extract::<String>());
    PyOSError::new_err((number, text.unwrap_or_else(|_| error.to_string()), name.to_owned()))
}

/// Writes named tensors and texts to a file, which replaces the earlier one as a whole.
#[pyfunction]
fn _save_file(
    py: Python<'_>,
    path: PathBuf,
    tensors: Vec<(String, Py<TensorObject>)>,
    metadata: BTreeMap<String, String>,
) -> PyResult<()> {
    engine::refuse_recording(py)?;
    let tensors: Vec<(String, Tensor)> =
        tensors.into_iter().map(|(name, object)| (name, object.get().tensor())).collect();
    run(py, |cancelled| adret_files::save(&path, &tensors, &metadata, cancelled))
}

/// Named tensors on a device, the CPU unless it is named, and the texts of a file.
#[pyfunction]
fn _load_file<'py>(
    py: Python<'py>,
    path: PathBuf,
    device: Option<DeviceArgument>,
) -> PyResult<(Bound<'py, PyDict>, BTreeMap<String, String>)> {
    call(py, data::refuse_recording)?;
    let device = device.map_or(Device::Cpu, |device| device.0);
    let (tensors, metadata) = run(py, |cancelled| adret_files::load(&path, device, cancelled))?;
    let named = PyDict::new(py);
    tensors.into_iter().try_for_each(|(name, tensor)| named.set_item(name, TensorObject::new(tensor)))?;
    Ok((named, metadata))
}

/// Name, shape, dtype and bytes of one tensor.
type Described = (String, Vec<usize>, Py<DTypeObject>, u64);

/// The tensors of a file, its texts and its bytes; no tensor is read.
#[pyfunction]
fn _inspect_file(py: Python<'_>, path: PathBuf) -> PyResult<(Vec<Described>, BTreeMap<String, String>, u64)> {
    let header = run(py, |_| adret_files::inspect(&path))?;
    let described = header
        .entries
        .into_iter()
        .map(|entry| Ok((entry.name, entry.shape.to_vec(), dtype::object(py, entry.dtype)?, entry.bytes)));
    Ok((described.collect::<PyResult<_>>()?, header.metadata, header.bytes))
}

/// Puts the functions into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(module, _save_file, _load_file, _inspect_file);
    Ok(())
}
