//! Python bindings of adret: the module `adret._core`.
//! Depends on the core, the GPU crate and PyO3. Invariant: translation only; every rule about values stands in the core.

mod arguments;
mod autograd;
mod buffers;
mod compiled;
mod convert;
mod creation;
mod data;
mod device;
mod dlpack;
mod dtype;
mod engine;
mod errors;
mod files;
mod foreign;
mod functions;
mod indexing;
mod info;
mod interrupt;
mod nested;
mod operators;
mod print;
mod profile;
mod random;
mod rules;
mod settings;
mod signature;
mod tensor;
mod values;

use pyo3::prelude::*;

/// The compiled part of adret.
#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    engine::register_gpu();
    errors::register(module)?;
    dtype::register(module)?;
    module.add_class::<tensor::TensorObject>()?;
    module.add_function(wrap_pyfunction!(convert::_rebuild, module)?)?;
    device::register(module)?;
    creation::register(module)?;
    functions::register(module)?;
    random::register(module)?;
    autograd::register(module)?;
    rules::register(module)?;
    compiled::register(module)?;
    settings::register(module)?;
    profile::register(module)?;
    files::register(module)?;
    info::register(module)
}
