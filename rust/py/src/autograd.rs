//! Gradients: `backward`, recording on and off, and what the Python functions of `adret.autograd` build on.
//! Depends on `engine`. Invariant: recording is a property of the thread, and a block restores what it found.

use adret_core::error::Error;
use adret_core::graph::{self, GradMode};
use adret_core::ops;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::arguments::{OperandArgument, TensorArgument, truth};
use crate::engine;
use crate::errors::{call, exception, wrong_kind};
use crate::functions::add_functions;
use crate::tensor::TensorObject;

#[pymethods]
impl TensorObject {
    /// Adds the gradient of this tensor to the `grad` of every leaf that it came from.
    ///
    /// Args:
    ///     gradient: Weights of the elements; needed unless there is only one element.
    ///     retain_graph: Whether the history is kept for another pass; by default as `create_graph`.
    ///     create_graph: Whether the gradients can be differentiated themselves.
    ///
    /// Raises:
    ///     GradError: If the tensor has no history, or an earlier pass has used it up.
    ///
    /// Example:
    ///     >>> x = ad.tensor(3.0, requires_grad=True)
    ///     >>> (x * x).backward()
    ///     >>> x.grad
    ///     tensor(6.)
    #[pyo3(signature = (gradient = None, retain_graph = None, create_graph = false))]
    fn backward(
        &self,
        py: Python<'_>,
        gradient: Option<TensorArgument>,
        retain_graph: Option<bool>,
        #[pyo3(from_py_with = truth)] create_graph: bool,
    ) -> PyResult<()> {
        let root = (self.tensor(), gradient.map(|gradient| gradient.0));
        engine::backward(py, &[root], retain_graph.unwrap_or(create_graph), create_graph)
    }

    /// Makes the tensor require grad, or not, and returns it.
    #[pyo3(signature = (requires_grad = true))]
    fn requires_grad_<'py>(
        slf: &Bound<'py, Self>,
        #[pyo3(from_py_with = truth)] requires_grad: bool,
    ) -> PyResult<Bound<'py, Self>> {
        slf.get().require_grad(slf.py(), requires_grad)?;
        Ok(slf.clone())
    }

    /// Writes zeros everywhere, and returns the tensor.
    fn zero_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let py = slf.py();
        slf.get().write(py, "zero_", |old| call(py, || ops::zeros_like(old)))?;
        Ok(slf.clone())
    }

    /// Takes over the value of another tensor of the same shape and dtype, or a number, and returns the tensor.
    ///
    /// Raises:
    ///     ShapeError: If the shapes differ.
    ///     DTypeError: If the dtypes differ.
    ///     GradError: On a leaf that requires grad, outside `no_grad`.
    ///
    /// Example:
    ///     >>> x = ad.zeros(2)
    ///     >>> x.assign(ad.ones(2))
    ///     tensor([1., 1.])
    fn assign<'py>(slf: &Bound<'py, Self>, value: OperandArgument) -> PyResult<Bound<'py, Self>> {
        let py = slf.py();
        slf.get().write(py, "assign", |old| match value.0 {
            ops::Operand::Tensor(value) if value.device() != old.device() => {
                call(py, || ops::to_device(&value, old.device()))
            }
            ops::Operand::Tensor(value) => Ok(value),
            ops::Operand::Scalar(value) => call(py, || ops::full_like(old, value)),
            ops::Operand::Variable(value) => {
                call(py, || ops::full_variable(old.shape(), &value, old.dtype(), old.device()))
            }
        })?;
        Ok(slf.clone())
    }

    /// Takes over another tensor of any dtype and device; a leaf stays one, with its gradient slot. For `Module.to`.
    fn _rebind(&self, value: TensorArgument) {
        self.handle().rebind(match &self.tensor().node.slot {
            Some(slot) => graph::leaf(&value.0, slot.clone()),
            None => graph::identity(&value.0),
        });
    }
}

/// A block, or a function, in which recording is on or off. Blocks nest, on any thread.
#[derive(Debug)]
struct Mode {
    enabled: bool,
    found: Mutex<Vec<bool>>,
}

impl Mode {
    fn new(enabled: bool) -> Self {
        Self { enabled, found: Mutex::default() }
    }

    fn enter(&self) {
        self.found.lock().push(graph::set_grad_enabled(self.enabled));
    }

    fn exit(&self) {
        if let Some(found) = self.found.lock().pop() {
            graph::set_grad_enabled(found);
        }
    }
}

/// A function that runs inside a block of this kind each time.
fn decorated<'py>(block: &Bound<'py, PyAny>, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    block.py().import("adret.autograd")?.getattr("within")?.call1((block, function))
}

macro_rules! blocks {
    ($($class:ident $name:literal $enabled:literal $doc:literal;)*) => {
        $(
            #[doc = $doc]
            #[pyclass(frozen, name = $name, module = "adret")]
            #[derive(Debug)]
            struct $class(Mode);

            #[pymethods]
            impl $class {
                #[new]
                fn create() -> Self {
                    Self(Mode::new($enabled))
                }
                fn __enter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
                    slf.get().0.enter();
                    slf.clone()
                }
                #[pyo3(signature = (*_raised))]
                fn __exit__(&self, _raised: &Bound<'_, PyTuple>) {
                    self.0.exit();
                }
                fn __call__<'py>(slf: &Bound<'py, Self>, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                    decorated(slf.as_any(), function)
                }
            }
        )*
    };
}

blocks! {
    NoGrad "no_grad" false "A block, or a decorator, without recording: results have no history.\n\nExample:\n    >>> x = ad.ones(1, requires_grad=True)\n    >>> with ad.no_grad():\n    ...     y = x * 2\n    >>> y.requires_grad\n    False";
    EnableGrad "enable_grad" true "A block, or a decorator, with recording, inside one without.\n\nExample:\n    >>> with ad.no_grad(), ad.enable_grad():\n    ...     ad.is_grad_enabled()\n    True";
}

/// Switches recording on or off: at once, and for the block where it is used as one.
///
/// Example:
///     >>> with ad.set_grad_enabled(False):
///     ...     ad.is_grad_enabled()
///     False
#[pyclass(frozen, name = "set_grad_enabled", module = "adret")]
#[derive(Debug)]
struct SetGradEnabled(bool, bool);

#[pymethods]
impl SetGradEnabled {
    #[new]
    fn create(mode: bool) -> Self {
        Self(mode, graph::set_grad_enabled(mode))
    }
    fn __enter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        graph::set_grad_enabled(slf.get().0);
        slf.clone()
    }
    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, _raised: &Bound<'_, PyTuple>) {
        graph::set_grad_enabled(self.1);
    }
    fn __call__<'py>(slf: &Bound<'py, Self>, function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        // As a decorator it concerns the function only.
        graph::set_grad_enabled(slf.get().1);
        let block = if slf.get().0 {
            Py::new(slf.py(), EnableGrad::create())?.into_any()
        } else {
            Py::new(slf.py(), NoGrad::create())?.into_any()
        };
        decorated(block.bind(slf.py()), function)
    }
}

/// Whether operations are recorded on this thread.
///
/// Example:
///     >>> ad.is_grad_enabled()
///     True
#[pyfunction]
fn is_grad_enabled() -> bool {
    graph::grad_enabled()
}

/// A tensor of the same value to differentiate by: with its history where it has one, else a new leaf.
#[pyfunction]
fn _variable(py: Python<'_>, x: TensorArgument) -> PyResult<TensorObject> {
    let x = x.0;
    if !x.dtype().is_float() {
        return Err(exception(
            py,
            Error::dtype(format!("grad: a {} tensor has no gradient. Use .astype(ad.float32) first.", x.dtype())),
        ));
    }
    let _on = GradMode::set(true);
    let variable = call(py, || match x.requires_grad() {
        true => engine::derived(&x),
        false => Ok(graph::leaf(&x, Default::default())),
    })?;
    Ok(TensorObject::new(variable))
}

/// Gradients of `outputs`, weighted by `cotangents`, with respect to `inputs`; `None` where they do not depend on one.
#[pyfunction]
#[pyo3(signature = (outputs, cotangents, inputs, retain_graph, create_graph))]
fn _gradients(
    py: Python<'_>,
    outputs: Vec<TensorArgument>,
    cotangents: Vec<Option<TensorArgument>>,
    inputs: Vec<TensorArgument>,
    #[pyo3(from_py_with = truth)] retain_graph: bool,
    #[pyo3(from_py_with = truth)] create_graph: bool,
) -> PyResult<Vec<Option<TensorObject>>> {
    if outputs.len() != cotangents.len() {
        return Err(wrong_kind(
            py,
            format!(
                "vjp: there are {} outputs and {} cotangents. Give one per output.",
                outputs.len(),
                cotangents.len()
            ),
        ));
    }
    let roots: Vec<_> =
        outputs.into_iter().zip(cotangents).map(|(output, cotangent)| (output.0, cotangent.map(|c| c.0))).collect();
    let inputs: Vec<_> = inputs.into_iter().map(|input| input.0).collect();
    let gradients = engine::gradients(py, &roots, &inputs, retain_graph, create_graph)?;
    engine::relieve(py)?;
    Ok(gradients.into_iter().map(|gradient| gradient.map(TensorObject::new)).collect())
}

/// Puts classes and functions into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<NoGrad>()?;
    module.add_class::<EnableGrad>()?;
    module.add_class::<SetGradEnabled>()?;
    add_functions!(module, is_grad_enabled, _variable, _gradients);
    Ok(())
}
