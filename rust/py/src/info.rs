//! What the compiled part knows of the machine: what `python -m adret.info` shows.
//! Depends on the core's `kit` and on `engine`. Invariant: asking changes nothing.

use adret_core::cpu;
use adret_core::kit::simd::{self, Path};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::engine;
use crate::functions::add_functions;

/// The processor with its features and vector paths, and the adapters with the reasons why one is not used.
#[pyfunction]
fn _machine(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let adapters: Vec<(String, Option<String>)> =
        py.detach(engine::adapters).into_iter().map(|adapter| (adapter.line(), adapter.refusal)).collect();
    let paths: Vec<&str> = Path::available().iter().map(|path| path.name()).collect();
    let machine = PyDict::new(py);
    machine.set_item("processor", cpu::processor_name())?;
    machine.set_item("features", simd::features())?;
    machine.set_item("path", simd::path().name())?;
    machine.set_item("paths", paths)?;
    machine.set_item("path_error", simd::path_error())?;
    machine.set_item("gpu_support", cfg!(feature = "gpu"))?;
    machine.set_item("adapters", adapters)?;
    Ok(machine)
}

/// Puts the function into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(module, _machine);
    Ok(())
}
