//! Values leaving a tensor: numbers, lists, NumPy arrays, pickles; copies and conversions.
//! Depends on `engine`, `values`, `buffers`. Invariant: whatever leaves has been evaluated.

use adret_core::backend::Device;
use adret_core::dtype::{DType, Scalar};
use adret_core::error::Error;
use adret_core::graph::{self, Tensor};
use adret_core::ops;
use adret_core::shape::Shape;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyType};

use crate::buffers::Window;
use crate::device::DeviceArgument;
use crate::dtype::DTypeArgument;
use crate::errors::{call, exception, wrong_kind};
use crate::tensor::{TensorObject, check_numpy};
use crate::{dtype, engine, values};

/// The only element.
fn only(py: Python<'_>, name: &str, tensor: &Tensor) -> PyResult<Scalar> {
    if tensor.shape().elements() != 1 {
        return Err(exception(
            py,
            Error::value(format!(
                "{name}: the tensor is {} and has {} elements, not one. Use .tolist(), or reduce it first.",
                tensor.shape(),
                tensor.shape().elements()
            )),
        ));
    }
    Ok(values::one(tensor.dtype(), &engine::read(py, tensor)?))
}

/// Lists of lists down to the last axis.
fn nest<'py>(
    py: Python<'py>,
    sizes: &[usize],
    elements: &mut impl Iterator<Item = Scalar>,
) -> PyResult<Bound<'py, PyAny>> {
    match sizes {
        [] => values::to_python(py, elements.next().unwrap_or(Scalar::Int(0))),
        [size, rest @ ..] => {
            let items = (0..*size).map(|_| nest(py, rest, elements)).collect::<PyResult<Vec<_>>>()?;
            Ok(PyList::new(py, items)?.into_any())
        }
    }
}

impl TensorObject {
    fn array<'py>(&self, py: Python<'py>, copy: bool) -> PyResult<Bound<'py, PyAny>> {
        let tensor = self.tensor();
        call(py, || check_numpy(&tensor))?;
        let tensor = if tensor.device() == Device::Cpu {
            tensor
        } else {
            call(py, || ops::to_device(&graph::identity(&tensor), Device::Cpu))?
        };
        let window = Py::new(py, Window::open(py, &tensor)?)?;
        // Looked up once: the import alone would cost as much as a small evaluation.
        static ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        static AS_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let (function, name) = if copy { (&ARRAY, "array") } else { (&AS_ARRAY, "asarray") };
        function.import(py, "numpy", name)?.call1((window,))
    }

    /// The tensor in a dtype and on a device; the object itself where nothing changes.
    fn moved<'py>(slf: &Bound<'py, Self>, dtype: Option<DType>, device: Option<Device>) -> PyResult<Bound<'py, Self>> {
        let tensor = slf.get().tensor();
        let (dtype, device) = (dtype.unwrap_or(tensor.dtype()), device.unwrap_or(tensor.device()));
        if (dtype, device) == (tensor.dtype(), tensor.device()) {
            return Ok(slf.clone());
        }
        let moved = engine::tensor(slf.py(), || {
            if device == tensor.device() {
                engine::astype(&tensor, dtype)
            } else {
                engine::moved(&tensor, dtype, device)
            }
        })?;
        Bound::new(slf.py(), moved)
    }
}

#[pymethods]
impl TensorObject {
    /// The elements as a NumPy array: a read-only view without copy, or a writable copy.
    ///
    /// Raises:
    ///     GradError: If the tensor requires grad; use `.detach().numpy()`.
    ///     DTypeError: For bfloat16, which NumPy does not have.
    ///
    /// Example:
    ///     >>> ad.tensor([1.0, 2.0]).numpy()
    ///     array([1., 2.], dtype=float32)
    #[pyo3(signature = (copy = false))]
    fn numpy<'py>(&self, py: Python<'py>, copy: bool) -> PyResult<Bound<'py, PyAny>> {
        if self.tensor().requires_grad() {
            return Err(exception(
                py,
                Error::grad("numpy: the tensor requires grad, which NumPy does not see. Use .detach().numpy()."),
            ));
        }
        self.array(py, copy)
    }

    #[pyo3(signature = (dtype = None, copy = None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let array = self.numpy(py, copy == Some(true))?;
        match dtype {
            None => Ok(array),
            Some(dtype) => {
                let keywords = PyDict::new(py);
                keywords.set_item("copy", false)?;
                let converted = array.call_method("astype", (dtype,), Some(&keywords))?;
                if copy == Some(false) && !converted.is(&array) {
                    return Err(exception(py, Error::value("__array__: another dtype needs a copy. Allow one.")));
                }
                Ok(converted)
            }
        }
    }

    /// The only element as a Python number.
    ///
    /// Raises:
    ///     DomainError: If the tensor has another number of elements than one.
    ///
    /// Example:
    ///     >>> ad.tensor([2.5]).item()
    ///     2.5
    fn item<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::to_python(py, only(py, "item", &self.tensor())?)
    }

    /// The elements as nested lists of Python numbers.
    ///
    /// Example:
    ///     >>> ad.tensor([[1, 2], [3, 4]]).tolist()
    ///     [[1, 2], [3, 4]]
    fn tolist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let tensor = self.tensor();
        let bytes = engine::read(py, &tensor)?;
        nest(py, tensor.shape(), &mut values::decode(tensor.dtype(), &bytes))
    }

    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        let tensor = self.tensor();
        if tensor.shape().elements() != 1 {
            return Err(exception(
                py,
                Error::value(format!(
                    "bool: the truth of {} elements is ambiguous. Use .any() or .all().",
                    tensor.shape().elements()
                )),
            ));
        }
        Ok(only(py, "bool", &tensor)?.to_f64() != 0.0)
    }

    fn __float__(&self, py: Python<'_>) -> PyResult<f64> {
        Ok(only(py, "float", &self.tensor())?.to_f64())
    }

    fn __int__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.item(py)?.call_method0("__int__")
    }

    fn __index__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let tensor = self.tensor();
        if !tensor.dtype().is_integer() {
            return Err(wrong_kind(
                py,
                format!("index: a {} tensor is no index. Convert with astype, for instance to int64.", tensor.dtype()),
            ));
        }
        self.item(py)
    }

    fn __format__(slf: &Bound<'_, Self>, format: &Bound<'_, PyString>) -> PyResult<String> {
        let elements = slf.get().tensor().shape().elements();
        if elements == 1 && slf.get().tensor().rank() == 0 && !format.is_empty()? {
            return slf.get().item(slf.py())?.call_method1("__format__", (format,))?.extract();
        }
        slf.str()?.call_method1("__format__", (format,)).and_then(|text| text.extract()).map_err(|_| {
            let shape = slf.get().tensor().shape().to_string();
            wrong_kind(
                slf.py(),
                format!("format: the tensor is {shape}, and {format:?} formats numbers. Format its elements, as tolist() gives them."),
            )
        })
    }

    /// The tensor without its history: gradients stop here.
    fn detach(&self, py: Python<'_>) -> PyResult<Self> {
        engine::tensor(py, || Ok(graph::identity(&self.tensor())))
    }

    /// A tensor of the same elements, with history. As writes are never shared, nothing is copied.
    fn clone(&self, py: Python<'_>) -> PyResult<Self> {
        engine::tensor(py, || Ok(self.tensor()))
    }

    fn __copy__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        duplicate(slf)
    }

    fn __deepcopy__(slf: &Bound<'_, Self>, memo: &Bound<'_, PyDict>) -> PyResult<Py<PyAny>> {
        let copy = duplicate(slf)?;
        if let (Some(grad), Ok(leaf)) = (slf.get().grad(), copy.bind(slf.py()).cast::<Self>()) {
            // What the copy gathers from now on is its own.
            let grad = engine::tensor(slf.py(), || Ok(graph::identity(&grad.tensor())))?;
            leaf.setattr("grad", grad)?;
        }
        memo.set_item(slf.as_ptr() as usize, &copy)?;
        Ok(copy)
    }

    /// Pickles hold values, not places: they arrive on the CPU, since the reader's machine may have no such device.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let py = slf.py();
        let tensor = slf.get().tensor();
        let bytes = PyBytes::new(py, &engine::read(py, &tensor)?);
        let arguments = (
            slf.get_type(),
            bytes,
            dtype::object(py, tensor.dtype())?,
            crate::tensor::shape_tuple(py, &tensor)?,
            tensor.requires_grad() && tensor.is_leaf(),
        );
        let rebuild = py.import("adret._core")?.getattr("_rebuild")?;
        Ok((rebuild, arguments.into_pyobject(py)?.into_any()))
    }

    /// The tensor in another dtype; the gradient comes back in this one.
    ///
    /// Example:
    ///     >>> ad.tensor([1.7, -1.7]).astype(ad.int32)
    ///     tensor([ 1, -1], dtype=int32)
    #[pyo3(signature = (dtype, *, copy = true))]
    fn astype(&self, py: Python<'_>, dtype: DTypeArgument, copy: bool) -> PyResult<Self> {
        // Tensors never change, so that a copy cannot be told from the tensor itself.
        let _ = copy;
        engine::tensor(py, || engine::astype(&self.tensor(), dtype.0))
    }

    /// The tensor on another device, or in another dtype; itself where nothing changes.
    ///
    /// Example:
    ///     >>> ad.ones(2).to("cpu").device
    ///     'cpu'
    #[pyo3(signature = (target = None, *, device = None, dtype = None))]
    fn to<'py>(
        slf: &Bound<'py, Self>,
        target: Option<&Bound<'py, PyAny>>,
        device: Option<DeviceArgument>,
        dtype: Option<DTypeArgument>,
    ) -> PyResult<Bound<'py, Self>> {
        let (mut device, mut dtype) = (device.map(|device| device.0), dtype.map(|dtype| dtype.0));
        if let Some(target) = target {
            if let Ok(other) = target.cast::<Self>() {
                let other = other.get().tensor();
                (device, dtype) = (Some(other.device()), Some(other.dtype()));
            } else if target.extract::<String>().is_ok_and(|name| DType::from_name(&name).is_none()) {
                device = Some(target.extract::<DeviceArgument>()?.0);
            } else {
                dtype = Some(target.extract::<DTypeArgument>()?.0);
            }
        }
        Self::moved(slf, dtype, device)
    }

    /// The tensor on the CPU.
    fn cpu<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        Self::moved(slf, None, Some(Device::Cpu))
    }

    /// The tensor in float32.
    fn float<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        Self::moved(slf, Some(DType::F32), None)
    }

    /// The tensor in float64.
    fn double<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        Self::moved(slf, Some(DType::F64), None)
    }

    /// The tensor in float16.
    fn half<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        Self::moved(slf, Some(DType::F16), None)
    }

    /// The tensor in int64.
    fn long<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        Self::moved(slf, Some(DType::I64), None)
    }

    /// The tensor in int32.
    fn int<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        Self::moved(slf, Some(DType::I32), None)
    }

    /// The tensor in bool: whether each element is not 0.
    fn bool<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        Self::moved(slf, Some(DType::Bool), None)
    }
}

/// An object of the same class and value; a leaf that requires grad becomes a leaf of its own.
fn duplicate(object: &Bound<'_, TensorObject>) -> PyResult<Py<PyAny>> {
    let py = object.py();
    let tensor = object.get().tensor();
    if !tensor.is_leaf() {
        return Err(exception(
            py,
            Error::grad("copy: the tensor has a history, which is not copied. Use .detach() or .clone()."),
        ));
    }
    let plain = TensorObject::new(graph::identity(&tensor));
    rebuilt(&object.get_type(), plain, tensor.requires_grad())
}

/// An object of class `class` of a plain tensor.
fn rebuilt(class: &Bound<'_, PyType>, plain: TensorObject, requires_grad: bool) -> PyResult<Py<PyAny>> {
    let py = class.py();
    let plain = Py::new(py, plain)?;
    if class.is(py.get_type::<TensorObject>()) {
        plain.get().require_grad(py, requires_grad)?;
        return Ok(plain.into_any());
    }
    let keywords = PyDict::new(py);
    keywords.set_item("requires_grad", requires_grad)?;
    Ok(class.call((plain,), Some(&keywords))?.unbind())
}

/// Rebuilds a pickled tensor.
#[pyfunction]
pub(crate) fn _rebuild(
    py: Python<'_>,
    owner: &Bound<'_, PyType>,
    data: &[u8],
    dtype: DTypeArgument,
    shape: Vec<usize>,
    requires_grad: bool,
) -> PyResult<Py<PyAny>> {
    let tensor = call(py, || {
        let wanted = Shape::new(&shape)?.elements() * dtype.0.size();
        if data.len() != wanted || (dtype.0 == DType::Bool && data.iter().any(|&byte| byte > 1)) {
            return Err(Error::value(format!(
                "_rebuild: {} bytes are no {shape:?} of {}, which takes {wanted}. The pickle is damaged; make it again.",
                data.len(),
                dtype.0
            )));
        }
        crate::data::from_bytes(dtype.0, &shape, data)
    })?;
    rebuilt(owner, TensorObject::new(tensor), requires_grad)
}
