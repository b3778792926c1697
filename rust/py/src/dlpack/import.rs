//! DLPack capsules of other libraries as tensors that share their memory.
//! Depends on `structs` and `foreign`. Invariant: a capsule is taken only once everything about it has been checked;
//! until then its own destructor frees it.

use std::ffi::CStr;

use adret_core::backend::Device;
use adret_core::cpu::memory::ForeignBuffer;
use adret_core::dtype::DType;
use adret_core::error::{Error, Result};
use adret_core::graph::{self, Storage, Tensor};
use adret_core::layout::Layout;
use adret_core::shape::Shape;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};

use super::structs::*;
use crate::errors::{call, exception};
use crate::foreign;

/// A managed array that is ours to release.
struct Taken<M>(*mut M, unsafe extern "C" fn(*mut M));

// SAFETY: DLPack lets a consumer release from any thread.
unsafe impl<M> Send for Taken<M> {}
// SAFETY: the pointer is used once, by `release`.
unsafe impl<M> Sync for Taken<M> {}

impl<M> Taken<M> {
    fn release(self) {
        // SAFETY: the producer's deleter, called once with its own structure.
        unsafe { self.1(self.0) }
    }
}

/// A tensor on the memory of any object with `__dlpack__`.
///
/// # Errors
/// Other devices than the CPU, dtypes unknown here, and what the producer raises.
pub(crate) fn share(object: &Bound<'_, PyAny>, copy: bool) -> PyResult<Tensor> {
    let py = object.py();
    if let Ok(place) = object.call_method0("__dlpack_device__") {
        check_device(py, place.extract::<(i32, i32)>()?.0)?;
    }
    let keywords = PyDict::new(py);
    keywords.set_item("max_version", (VERSION.major, VERSION.minor))?;
    if copy {
        keywords.set_item("copy", true)?;
    }
    let capsule = match object.call_method("__dlpack__", (), Some(&keywords)) {
        // Producers from before DLPack 1.0 take no such argument.
        Err(error) if !copy && error.is_instance_of::<PyTypeError>(py) => object.call_method0("__dlpack__")?,
        other => other?,
    };
    take(capsule.cast::<PyCapsule>().map_err(|_| PyTypeError::new_err("__dlpack__ returned no capsule"))?)
}

fn check_device(py: Python<'_>, kind: i32) -> PyResult<()> {
    if kind == CPU {
        return Ok(());
    }
    Err(exception(
        py,
        Error::device(format!(
            "from_dlpack: the array is on DLPack device type {kind}; only the CPU's memory (1) can be shared. Copy it \
             to the CPU first."
        )),
    ))
}

fn pointer<M>(capsule: &Bound<'_, PyCapsule>, name: &CStr) -> Option<*mut M> {
    // SAFETY: asks a live capsule for its name, then for the pointer that the name promises.
    unsafe {
        (ffi::PyCapsule_IsValid(capsule.as_ptr(), name.as_ptr()) == 1)
            .then(|| ffi::PyCapsule_GetPointer(capsule.as_ptr(), name.as_ptr()).cast())
    }
}

fn take(capsule: &Bound<'_, PyCapsule>) -> PyResult<Tensor> {
    let py = capsule.py();
    if let Some(managed) = pointer::<ManagedVersioned>(capsule, VERSIONED) {
        // SAFETY: a fresh capsule of this name points at a live structure that begins with its version.
        let version = unsafe { (*managed).version };
        if version.major != VERSION.major {
            return Err(exception(
                py,
                Error::value(format!(
                    "from_dlpack: the capsule speaks version {}.{}, this library {}.{}. Update the older one.",
                    version.major, version.minor, VERSION.major, VERSION.minor
                )),
            ));
        }
        // SAFETY: the version says that the structure has this form.
        let (array, deleter) = unsafe { (&(*managed).array, (*managed).deleter) };
        return adopt(capsule, VERSIONED_USED, array, Taken(managed, deleter.unwrap_or(keep)));
    }
    if let Some(managed) = pointer::<Managed>(capsule, LEGACY) {
        // SAFETY: a fresh capsule of this name points at a live structure of this form.
        let (array, deleter) = unsafe { (&(*managed).array, (*managed).deleter) };
        return adopt(capsule, LEGACY_USED, array, Taken(managed, deleter.unwrap_or(keep)));
    }
    Err(exception(py, Error::value("from_dlpack: the capsule was taken before. Ask the producer for a new one.")))
}

/// The deleter of producers that have none.
unsafe extern "C" fn keep<M>(_managed: *mut M) {}

fn adopt<M: 'static>(
    capsule: &Bound<'_, PyCapsule>,
    used: &'static CStr,
    array: &Array,
    taken: Taken<M>,
) -> PyResult<Tensor> {
    let py = capsule.py();
    call(py, crate::data::refuse_recording)?;
    check_device(py, array.device.kind)?;
    let (dtype, start, layout) = call(py, || describe(array))?;
    // SAFETY: the capsule is live and `used` lives for the program; from here on the structure is ours to release.
    if unsafe { ffi::PyCapsule_SetName(capsule.as_ptr(), used.as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    let size = dtype.size() as isize;
    let (low, high) = layout.reach().unwrap_or((0, -1));
    let bytes = (high - low + 1) * size;
    let layout = Layout { offset: -low, ..layout };
    // Arrays without elements may have no address.
    let start = if bytes <= 0 {
        std::ptr::NonNull::<u64>::dangling().as_ptr().cast()
    } else {
        start.wrapping_offset(low * size)
    };
    let release = Box::new(move || foreign::enqueue(Box::new(move || taken.release())));
    // SAFETY: the producer vouches for all elements that shape and strides reach, until its deleter has run;
    // the user was told not to write them while a tensor reads them.
    let buffer = unsafe { ForeignBuffer::share(start, bytes.max(0) as usize, release) };
    Ok(graph::from_storage(dtype, Storage { buffer, layout }, Device::Cpu))
}

/// Dtype, address of index `(0, …, 0)` and layout counted from there.
fn describe(array: &Array) -> Result<(DType, *mut u8, Layout)> {
    let dtype = array.dtype.dtype().ok_or_else(|| {
        let ElementType { code, bits, lanes } = array.dtype;
        Error::dtype(format!(
            "from_dlpack: elements of DLPack type code {code} with {bits} bits and {lanes} lanes have no dtype here. \
             Convert the array first."
        ))
    })?;
    let rank = usize::try_from(array.rank).unwrap_or(0);
    let list = |pointer: *const i64| match pointer.is_null() || rank == 0 {
        true => None,
        // SAFETY: the structure holds `rank` numbers where its pointers are not null.
        false => Some(unsafe { std::slice::from_raw_parts(pointer, rank) }),
    };
    let sizes = list(array.shape).unwrap_or(&[]).iter().map(|&size| {
        usize::try_from(size).map_err(|_| Error::shape(format!("from_dlpack: size {size} of a shape is negative.")))
    });
    let shape = Shape::new(&sizes.collect::<Result<Vec<_>>>()?)?;
    let strides = match list(array.strides) {
        Some(strides) => strides.iter().map(|&stride| stride as isize).collect(),
        None => shape.strides(),
    };
    let start = array.data.cast::<u8>().wrapping_add(array.byte_offset as usize);
    Ok((dtype, start, Layout { shape, strides, offset: 0 }))
}

/// A tensor on the memory of an array of another library.
///
/// The memory is shared: do not write it while a tensor that reads it is pending or differentiable. Strides of any kind are
/// taken as they are.
///
/// Args:
///     x: Any object with `__dlpack__`.
///     device: Where the tensor shall live; another device than the CPU copies.
///     copy: `True` copies, `False` and `None` share.
///
/// Raises:
///     DeviceError: If the array is not in the CPU's memory.
///     DTypeError: If its elements have no dtype here.
///
/// Example:
///     >>> import numpy as np
///     >>> ad.from_dlpack(np.arange(3.0))
///     tensor([0., 1., 2.], dtype=float64)
#[pyfunction]
#[pyo3(signature = (x, /, *, device = None, copy = None))]
pub(crate) fn from_dlpack(
    x: &Bound<'_, PyAny>,
    device: Option<crate::device::DeviceArgument>,
    copy: Option<bool>,
) -> PyResult<crate::tensor::TensorObject> {
    let py = x.py();
    let mut tensor = share(x, false)?;
    if copy == Some(true) {
        tensor = crate::data::copied(py, &tensor)?;
    }
    let home = device.map_or(Device::Cpu, |device| device.0);
    if copy == Some(false) && home != Device::Cpu {
        return Err(exception(
            py,
            Error::device(format!("from_dlpack: the CPU's memory cannot be shared with {home}. Allow a copy.")),
        ));
    }
    Ok(crate::tensor::TensorObject::new(crate::data::place(py, tensor, None, home)?))
}
