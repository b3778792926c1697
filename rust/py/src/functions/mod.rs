//! The functions of the namespace, and the methods of `Tensor` that are the same functions.
//! Depends on `arguments` and the core's `ops`. Invariant: a binding is delegation; what it means stands in the engine.

mod binary;
mod conv;
mod gather;
mod kernel;
mod losses;
mod matrix;
mod movement;
mod neural;
mod pool;
mod reduce;
mod scan;
mod unary;

use pyo3::prelude::*;

/// Puts functions into a module.
macro_rules! add_functions {
    ($module:expr, $($name:path),* $(,)?) => {
        $($module.add_function(pyo3::wrap_pyfunction!($name, $module)?)?;)*
    };
}
pub(crate) use add_functions;

/// Puts all functions into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    unary::register(module)?;
    scan::register(module)?;
    binary::register(module)?;
    reduce::register(module)?;
    movement::register(module)?;
    matrix::register(module)?;
    conv::register(module)?;
    gather::register(module)?;
    kernel::register(module)?;
    neural::register(module)?;
    pool::register(module)?;
    losses::register(module)
}
