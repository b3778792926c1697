//! The `DType` class and what functions accept in its place.
//! Depends on the core's `dtype`. Invariant: one object per dtype.

use adret_core::backend::Device;
use adret_core::dtype::{DType, Scalar};
use adret_core::error::Error;
use adret_core::ops::default_integer;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString, PyType};

use crate::errors::exception;

/// The type of a tensor's elements: `adret.float32`, `adret.int64`, …
///
/// Functions take the object, its name as a string, or NumPy's dtype.
///
/// Example:
///     >>> ad.ones(2).dtype == ad.float32
///     True
#[pyclass(frozen, eq, hash, name = "DType", module = "adret")]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct DTypeObject(pub(crate) DType);

static OBJECTS: PyOnceLock<Vec<Py<DTypeObject>>> = PyOnceLock::new();
static DEFAULT_FLOAT: Mutex<DType> = Mutex::new(DType::F32);

/// The object of a dtype.
pub(crate) fn object(py: Python<'_>, dtype: DType) -> PyResult<Py<DTypeObject>> {
    let objects = OBJECTS.get_or_try_init(py, || {
        DType::ALL.iter().map(|&dtype| Py::new(py, DTypeObject(dtype))).collect::<PyResult<_>>()
    })?;
    Ok(objects[dtype as usize].clone_ref(py))
}

/// The dtype of new floating-point tensors.
pub(crate) fn default_float() -> DType {
    *DEFAULT_FLOAT.lock()
}

/// Changes the dtype of new floating-point tensors.
pub(crate) fn set_default_float(dtype: DType) {
    *DEFAULT_FLOAT.lock() = dtype;
}

/// The dtype that a Python scalar has by itself on a device.
pub(crate) fn of_scalar(scalar: Scalar, device: Device) -> DType {
    match scalar {
        Scalar::Bool(_) => DType::Bool,
        Scalar::Int(value) if value > i128::from(i64::MAX) => DType::U64,
        Scalar::Int(_) => default_integer(device),
        Scalar::Float(_) => default_float(),
    }
}

#[pymethods]
impl DTypeObject {
    /// The name, as in `adret.float32`.
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name()
    }
    /// Bytes of one element.
    #[getter]
    fn itemsize(&self) -> usize {
        self.0.size()
    }
    /// Whether this is a floating-point type.
    #[getter]
    fn is_floating_point(&self) -> bool {
        self.0.is_float()
    }
    fn __repr__(&self) -> String {
        format!("adret.{}", self.0)
    }
    fn __reduce__(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, (&'static str,))> {
        Ok((py.import("adret")?.getattr("dtype")?.unbind(), (self.0.name(),)))
    }
}

/// A dtype as the user names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DTypeArgument(pub(crate) DType);

impl<'py> FromPyObject<'_, 'py> for DTypeArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let py = object.py();
        if let Ok(dtype) = object.cast::<DTypeObject>() {
            return Ok(Self(dtype.get().0));
        }
        if let Ok(class) = object.cast::<PyType>() {
            for (builtin, dtype) in [
                (py.get_type::<PyBool>(), DType::Bool),
                (py.get_type::<PyInt>(), DType::I64),
                (py.get_type::<PyFloat>(), default_float()),
            ] {
                if class.is(&builtin) {
                    return Ok(Self(dtype));
                }
            }
        }
        // NumPy's dtypes carry `name`, its scalar classes `__name__`; the class of bool is `bool_` before NumPy 2. PyTorch's are
        // written `torch.float32`.
        let name = if let Ok(text) = object.cast::<PyString>() {
            text.to_string()
        } else {
            let attribute = if object.is_instance_of::<PyType>() { "__name__" } else { "name" };
            let name = object.getattr(attribute).and_then(|name| name.extract::<String>());
            name.or_else(|_| object.str().map(|text| text.to_string().trim_start_matches("torch.").to_owned()))?
        };
        let name = name.trim_end_matches('_');
        DType::from_name(name).map(Self).ok_or_else(|| {
            let known: Vec<_> = DType::ALL.iter().map(|dtype| dtype.name()).collect();
            let shown = object.repr().map_or_else(|_| "the value".to_owned(), |text| text.to_string());
            exception(
                py,
                Error::dtype(format!("dtype: {shown} is not an element type. Use one of {}.", known.join(", "))),
            )
        })
    }
}

/// The element type of a name, of NumPy's dtype or of a Python number class.
///
/// Example:
///     >>> ad.dtype("float64")
///     adret.float64
#[pyfunction]
pub(crate) fn dtype(py: Python<'_>, name: DTypeArgument) -> PyResult<Py<DTypeObject>> {
    object(py, name.0)
}

/// Puts the class and the objects into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<DTypeObject>()?;
    module.add_function(wrap_pyfunction!(dtype, module)?)?;
    DType::ALL.iter().try_for_each(|&dtype| module.add(dtype.name(), object(module.py(), dtype)?))
}
