//! The `Tensor` class: what it holds, and its attributes.
//! Depends on the core's `graph`. Invariant: the object never changes identity; in-place writing rebinds its handle.

use std::sync::Arc;

use adret_core::dtype::DType;
use adret_core::error::Error;
use adret_core::graph::{self, GradSlot, Handle, Tensor};
use adret_core::ops;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::device::DeviceArgument;
use crate::dtype::{DTypeArgument, DTypeObject};
use crate::errors::{call, exception, wrong_kind};
use crate::foreign::Drain;
use crate::{data, dtype, engine};

/// An array of numbers of one dtype on one device, whose value is computed when it is asked for.
///
/// Make one with `tensor`, `zeros`, `arange`, … Arithmetic follows NumPy: shapes broadcast, dtypes promote, Python
/// scalars are weak. Indexing gives snapshots: writing to `x` never changes what was read from it before.
///
/// Args:
///     data: Numbers, nested lists of them, an array or a tensor.
///     dtype: Element type; by default that of the data.
///     device: Where the tensor lives.
///     requires_grad: Whether `backward` gathers a gradient in `grad`.
///
/// Example:
///     >>> x = ad.tensor([1.0, 2.0, 3.0], requires_grad=True)
///     >>> (x * x).sum().backward()
///     >>> x.grad
///     tensor([2., 4., 6.])
#[pyclass(frozen, subclass, weakref, name = "Tensor", module = "adret")]
#[derive(Debug)]
pub(crate) struct TensorObject {
    handle: Handle,
    // After the handle: memory that its drop set free goes back now.
    _drain: Drain,
}

impl TensorObject {
    /// A new object for a tensor.
    pub(crate) fn new(tensor: Tensor) -> Self {
        Self::of_handle(Handle::new(tensor))
    }

    /// An object for a handle that the engine keeps.
    pub(crate) fn of_handle(handle: Handle) -> Self {
        Self { handle, _drain: Drain }
    }

    /// The tensor that it stands for now.
    pub(crate) fn tensor(&self) -> Tensor {
        self.handle.tensor()
    }

    /// The handle, for gradients.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    fn slot(&self) -> Option<Arc<GradSlot>> {
        let tensor = self.tensor();
        tensor.node.slot_of(tensor.output)
    }

    /// Rebinds to a value that `write` makes of the present one: in-place writing.
    /// A leaf that requires grad stays one, with the same gradient slot.
    pub(crate) fn write(
        &self,
        py: Python<'_>,
        name: &str,
        write: impl FnOnce(&Tensor) -> PyResult<Tensor>,
    ) -> PyResult<()> {
        let old = self.tensor();
        if old.node.slot.is_some() && graph::grad_enabled() {
            return Err(exception(
                py,
                Error::grad(format!(
                    "{name}: a leaf that requires grad cannot be written in place. Write under ad.no_grad(), or on \
                     .detach()."
                )),
            ));
        }
        let new = write(&old)?;
        if new.shape() != old.shape() || new.dtype() != old.dtype() {
            let kind = if new.shape() == old.shape() { Error::dtype } else { Error::shape };
            return Err(exception(
                py,
                kind(format!(
                    "{name}: the tensor is {} of {} and the result {} of {}. In-place writing keeps both; write \
                     x = x … instead.",
                    old.shape(),
                    old.dtype(),
                    new.shape(),
                    new.dtype()
                )),
            ));
        }
        let new = match &old.node.slot {
            Some(slot) => graph::leaf(&new, slot.clone()),
            None if !graph::grad_enabled() && new.requires_grad() => graph::identity(&new),
            // A recording must see the writing, also of a tensor that is there.
            None if graph::recording() && !new.requires_grad() => graph::identity(&new),
            None if graph::recording() => call(py, || engine::derived(&new))?,
            None if new.node.slot.is_some() => call(py, || engine::derived(&new))?,
            None => new,
        };
        self.handle.rebind(new);
        engine::relieve(py)
    }

    /// Makes it a leaf that requires grad, or a plain tensor.
    pub(crate) fn require_grad(&self, py: Python<'_>, required: bool) -> PyResult<()> {
        let tensor = self.tensor();
        if required == tensor.requires_grad() {
            return Ok(());
        }
        if !required && !tensor.is_leaf() {
            return Err(exception(
                py,
                Error::grad(
                    "requires_grad: only a leaf can be switched off. Use .detach() for a tensor without history.",
                ),
            ));
        }
        if required && !tensor.dtype().is_float() {
            return Err(exception(
                py,
                Error::dtype(format!(
                    "requires_grad: {} has no gradient. Use .astype(ad.float32) first.",
                    tensor.dtype()
                )),
            ));
        }
        self.handle.rebind(if required { graph::leaf(&tensor, Arc::default()) } else { graph::identity(&tensor) });
        Ok(())
    }
}

/// A tensor's shape as a Python tuple.
pub(crate) fn shape_tuple<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, tensor.shape().iter())
}

#[pymethods]
impl TensorObject {
    #[new]
    #[pyo3(signature = (data, dtype = None, device = None, requires_grad = false))]
    fn create(
        data: &Bound<'_, PyAny>,
        dtype: Option<DTypeArgument>,
        device: Option<DeviceArgument>,
        requires_grad: bool,
    ) -> PyResult<Self> {
        let tensor = data::tensor_of(data, dtype, device)?;
        let object = Self::new(tensor);
        object.require_grad(data.py(), requires_grad)?;
        Ok(object)
    }

    /// Sizes of the axes.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        shape_tuple(py, &self.tensor())
    }

    /// Element type.
    #[getter]
    fn dtype(&self, py: Python<'_>) -> PyResult<Py<DTypeObject>> {
        dtype::object(py, self.tensor().dtype())
    }

    /// Name of the device where it lives.
    #[getter]
    fn device(&self) -> String {
        self.tensor().device().to_string()
    }

    /// Number of axes.
    #[getter]
    fn ndim(&self) -> usize {
        self.tensor().rank()
    }

    /// Number of elements.
    #[getter]
    fn size(&self) -> usize {
        self.tensor().shape().elements()
    }

    /// Bytes of one element.
    #[getter]
    fn itemsize(&self) -> usize {
        self.tensor().dtype().size()
    }

    /// Bytes of all elements.
    #[getter]
    fn nbytes(&self) -> usize {
        let tensor = self.tensor();
        tensor.shape().elements() * tensor.dtype().size()
    }

    /// The transpose of a matrix.
    #[getter(T)]
    fn transposed(&self, py: Python<'_>) -> PyResult<Self> {
        let tensor = self.tensor();
        if tensor.rank() != 2 {
            return Err(exception(
                py,
                Error::shape(format!(
                    "T: the tensor is {}, not a matrix. Use .mT for the last two axes, or permute_dims.",
                    tensor.shape()
                )),
            ));
        }
        engine::tensor(py, || ops::matrix_transpose(&tensor))
    }

    /// The tensor with its last two axes exchanged.
    #[getter(mT)]
    fn matrix_transposed(&self, py: Python<'_>) -> PyResult<Self> {
        engine::tensor(py, || ops::matrix_transpose(&self.tensor()))
    }

    /// Whether gradients flow into it.
    #[getter]
    fn requires_grad(&self) -> bool {
        self.tensor().requires_grad()
    }

    #[setter]
    fn set_requires_grad(&self, py: Python<'_>, required: bool) -> PyResult<()> {
        self.require_grad(py, required)
    }

    /// Whether it is not the result of a recorded operation.
    #[getter]
    fn is_leaf(&self) -> bool {
        self.tensor().is_leaf()
    }

    /// The gradient gathered by `backward`; `None` before, and on tensors that are not leaves unless `retain_grad` was called.
    #[getter]
    pub(crate) fn grad(&self) -> Option<Self> {
        self.slot().and_then(|slot| slot.get()).map(Self::of_handle)
    }

    #[setter]
    fn set_grad(&self, py: Python<'_>, grad: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let tensor = self.tensor();
        let handle = match grad {
            None => None,
            Some(object) => {
                let object = object
                    .cast::<Self>()
                    .map_err(|_| wrong_kind(py, "grad: expected a Tensor or None. Make one with ad.tensor(…)."))?
                    .get();
                let grad = object.tensor();
                if grad.shape() != tensor.shape() || grad.dtype() != tensor.dtype() || grad.device() != tensor.device()
                {
                    return Err(exception(
                        py,
                        Error::shape(format!(
                            "grad: the tensor is {} of {} on {} and the gradient {} of {} on {}. They must agree.",
                            tensor.shape(),
                            tensor.dtype(),
                            tensor.device(),
                            grad.shape(),
                            grad.dtype(),
                            grad.device()
                        )),
                    ));
                }
                Some(object.handle().clone())
            }
        };
        match (self.slot(), handle) {
            (Some(slot), handle) => slot.set(handle),
            (None, None) => {}
            (None, Some(_)) => {
                return Err(exception(
                    py,
                    Error::grad("grad: the tensor is not a leaf that requires grad. Call requires_grad_() first."),
                ));
            }
        }
        Ok(())
    }

    #[classattr]
    fn __array_priority__() -> f64 {
        1000.0
    }

    /// NumPy leaves `array + tensor` to the tensor.
    #[classattr]
    fn __array_ufunc__(py: Python<'_>) -> Py<PyAny> {
        py.None()
    }

    #[pyo3(signature = (*, api_version = None))]
    fn __array_namespace__<'py>(&self, py: Python<'py>, api_version: Option<&str>) -> PyResult<Bound<'py, PyModule>> {
        match api_version {
            None | Some("2021.12" | "2022.12" | "2023.12" | "2024.12" | "2025.12") => py.import("adret"),
            Some(other) => Err(exception(
                py,
                Error::value(format!("__array_namespace__: version {other:?} is unknown. Use \"2025.12\".")),
            )),
        }
    }
}

/// Whether a tensor's elements can be handed to NumPy, which has no bfloat16.
pub(crate) fn check_numpy(tensor: &Tensor) -> Result<(), Error> {
    if tensor.dtype() == DType::BF16 {
        return Err(Error::dtype("numpy: NumPy has no bfloat16. Use .astype(ad.float32) first."));
    }
    Ok(())
}
