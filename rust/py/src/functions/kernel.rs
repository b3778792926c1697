//! Kernels that users write in WGSL.
//! Depends on the core's `ops` and `evaluate`. Invariant: what is wrong with a text is raised by the call.

use adret_core::evaluate;
use adret_core::graph::Meta;
use adret_core::ops;
use adret_core::shape::Shape;
use pyo3::prelude::*;

use super::add_functions;
use crate::arguments::TensorArgument;
use crate::dtype::DTypeArgument;
use crate::engine;
use crate::errors::call;
use crate::tensor::TensorObject;

/// Runs a user's kernel: named inputs, named outputs with shape and dtype, workgroups along each axis.
#[pyfunction]
fn _kernel(
    py: Python<'_>,
    name: &str,
    text: &str,
    inputs: Vec<(String, TensorArgument)>,
    outputs: Vec<(String, Vec<usize>, DTypeArgument)>,
    grid: [u32; 3],
) -> PyResult<Vec<TensorObject>> {
    let kernel = call(py, || {
        let given: Vec<(String, Meta)> =
            inputs.iter().map(|(name, tensor)| (name.clone(), tensor.0.meta().clone())).collect();
        let made = outputs
            .iter()
            .map(|(name, sizes, dtype)| Ok((name.clone(), Meta::new(Shape::new(sizes)?, dtype.0))))
            .collect::<adret_core::error::Result<Vec<_>>>()?;
        let kernel = ops::UserKernel::new(name, text, &given, &made, grid)?;
        evaluate::backend(inputs[0].1.0.device())?.compile(&kernel.launch())?;
        Ok(kernel)
    })?;
    let tensors: Vec<_> = inputs.iter().map(|(_, tensor)| &tensor.0).collect();
    engine::tensors(py, || kernel.apply(&tensors))
}

/// Puts the function into the module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(module, _kernel);
    Ok(())
}
