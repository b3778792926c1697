//! The one map from the engine's errors to Python's exceptions, and the one boundary that panics do not cross.
//! Depends on the core's `error`. Invariant: every exception class is an `AdretError` and the natural builtin as well.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use adret_core::error::{Error, ErrorKind, Result};
use pyo3::exceptions::{
    PyException, PyIndexError, PyKeyboardInterrupt, PyMemoryError, PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

/// One row per class: kind, name, builtin that it also is, description.
const KINDS: [(ErrorKind, &str, &str); 11] = [
    (ErrorKind::Shape, "ShapeError", "Sizes or ranks that do not fit together."),
    (ErrorKind::DType, "DTypeError", "A dtype, or a kind of object, that an operation does not take."),
    (ErrorKind::Device, "DeviceError", "Tensors of different devices, or a device that is not there."),
    (
        ErrorKind::DeviceLost,
        "DeviceLostError",
        "A device that stopped working or was reset, and tensors that were on it.",
    ),
    (ErrorKind::Index, "OutOfRangeError", "An index, an axis or a label outside its range."),
    (ErrorKind::Value, "DomainError", "A value outside an operation's domain."),
    (ErrorKind::Grad, "GradError", "A backward pass, or an in-place write, that the graph does not allow."),
    (ErrorKind::Compile, "CompileError", "Something in a compiled function that cannot be recorded."),
    (ErrorKind::Format, "FileFormatError", "A file whose content breaks its format."),
    (ErrorKind::OutOfMemory, "OutOfMemoryError", "Memory exhausted; every tensor keeps its old value."),
    (ErrorKind::Internal, "InternalError", "A bug of the library itself."),
];

struct Classes {
    base: Py<PyType>,
    kinds: Vec<Py<PyType>>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

fn builtin(py: Python<'_>, kind: ErrorKind) -> Bound<'_, PyType> {
    match kind {
        ErrorKind::Shape | ErrorKind::Value | ErrorKind::Format => py.get_type::<PyValueError>(),
        ErrorKind::DType => py.get_type::<PyTypeError>(),
        ErrorKind::Index => py.get_type::<PyIndexError>(),
        ErrorKind::OutOfMemory => py.get_type::<PyMemoryError>(),
        ErrorKind::Interrupted => py.get_type::<PyKeyboardInterrupt>(),
        ErrorKind::Device
        | ErrorKind::DeviceLost
        | ErrorKind::Grad
        | ErrorKind::Compile
        | ErrorKind::Foreign
        | ErrorKind::Internal => py.get_type::<PyRuntimeError>(),
    }
}

/// A class of these bases, made as Python's `class` statement makes it.
fn class<'py>(py: Python<'py>, name: &str, doc: &str, bases: &[Bound<'py, PyType>]) -> PyResult<Py<PyType>> {
    let body = PyDict::new(py);
    body.set_item("__module__", "adret")?;
    body.set_item("__doc__", doc)?;
    let class = py.get_type::<PyType>().call1((name, PyTuple::new(py, bases)?, body))?;
    Ok(class.cast_into::<PyType>()?.unbind())
}

fn classes(py: Python<'_>) -> PyResult<&Classes> {
    CLASSES.get_or_try_init(py, || {
        let base = class(py, "AdretError", "The base of every error of the library.", &[py.get_type::<PyException>()])?;
        let kinds = KINDS
            .iter()
            .map(|&(kind, name, doc)| class(py, name, doc, &[base.bind(py).clone(), builtin(py, kind)]))
            .collect::<PyResult<Vec<_>>>()?;
        let at = |wanted: ErrorKind| KINDS.iter().position(|(kind, ..)| *kind == wanted).unwrap_or_default();
        // Whoever handles devices that are not there handles lost ones.
        let (lost, device) = (at(ErrorKind::DeviceLost), at(ErrorKind::Device));
        let mut kinds = kinds;
        kinds[lost] = class(py, KINDS[lost].1, KINDS[lost].2, &[kinds[device].bind(py).clone()])?;
        Ok(Classes { base, kinds })
    })
}

/// Puts the classes into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let classes = classes(module.py())?;
    module.add("AdretError", &classes.base)?;
    KINDS.iter().zip(&classes.kinds).try_for_each(|((_, name, _), class)| module.add(*name, class))
}

thread_local! {
    /// What a user's code raised inside the engine, on its way out.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// Takes an exception of a user's code through the engine; `exception` gives it back on the same thread.
pub(crate) fn passing(error: PyErr) -> Error {
    let old = RAISED.replace(Some(error));
    drop(old);
    Error::new(ErrorKind::Foreign, "An exception of a gradient rule or a hook.")
}

/// The Python exception of an error.
pub(crate) fn exception(py: Python<'_>, error: Error) -> PyErr {
    if error.kind == ErrorKind::Foreign
        && let Some(raised) = RAISED.take()
    {
        return raised;
    }
    let class = match (KINDS.iter().position(|(kind, ..)| *kind == error.kind), classes(py)) {
        (Some(row), Ok(classes)) => classes.kinds[row].bind(py).clone(),
        _ => builtin(py, error.kind),
    };
    PyErr::from_type(class, (error.message,))
}

/// What is said of an object of a kind that a function does not take.
pub(crate) fn wrong_kind(py: Python<'_>, message: impl Into<String>) -> PyErr {
    exception(py, Error::dtype(message))
}

fn describe(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Runs `body`; a panic becomes an `Internal` error.
pub(crate) fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    // The engine's state stays sound after a panic: its locks do not poison and nodes are set once.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        Err(Error::internal(format!(
            "adret: a bug in the library: {}. Please report it with the code that led here.",
            describe(&*panic)
        )))
    })
}

/// Calls into the engine.
pub(crate) fn call<T>(py: Python<'_>, body: impl FnOnce() -> Result<T>) -> PyResult<T> {
    caught(body).map_err(|error| exception(py, error))
}
