//! DLPack capsules of other libraries as tensors that share their memory, or copy it from CUDA's.
//! Depends on `structs` and `foreign`. Invariant: a capsule is taken only once everything about it has been checked;
//! until then its own destructor frees it.

use std::ffi::CStr;

use adret_core::backend::Device;
use adret_core::cpu::memory::ForeignBuffer;
use adret_core::dtype::DType;
use adret_core::error::{Error, Result};
use adret_core::evaluate;
use adret_core::graph::{self, Storage, Tensor};
use adret_core::layout::Layout;
use adret_core::shape::Shape;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};

use super::structs::*;
use crate::errors::{call, caught, exception, wrong_kind};
use crate::{engine, foreign};

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

/// A tensor on the memory of any object with `__dlpack__`; of arrays elsewhere a copy on the CPU, where `may_copy` allows it.
///
/// # Errors
/// Dtypes unknown here, arrays elsewhere that may not or cannot be copied, and what the producer raises.
pub(crate) fn share(object: &Bound<'_, PyAny>, may_copy: bool) -> PyResult<Tensor> {
    match place_of(object)? {
        None | Some((CPU, _)) => take(&capsule(object, None)?),
        Some((kind, _)) if may_copy => {
            let keywords = PyDict::new(object.py());
            keywords.set_item("max_version", (VERSION.major, VERSION.minor))?;
            keywords.set_item("dl_device", (CPU, 0))?;
            keywords.set_item("copy", true)?;
            match object.call_method("__dlpack__", (), Some(&keywords)) {
                // Older producers know no such arguments, or copy nowhere.
                Err(error) if unable(object.py(), &error) => Err(elsewhere(object.py(), kind, Some(error))),
                other => take(&as_capsule(other?)?),
            }
        }
        Some((kind, _)) => Err(elsewhere(object.py(), kind, None)),
    }
}

fn unable(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyTypeError>(py) || error.is_instance_of::<PyBufferError>(py)
}

/// DLPack's device type and number of an array, where it tells.
fn place_of(object: &Bound<'_, PyAny>) -> PyResult<Option<(i32, i32)>> {
    match object.call_method0("__dlpack_device__") {
        Ok(place) => place.extract().map(Some),
        Err(_) => Ok(None),
    }
}

/// What an array gives out where it lies; `stream` is the one that shall wait for its elements.
fn capsule<'py>(object: &Bound<'py, PyAny>, stream: Option<i64>) -> PyResult<Bound<'py, PyCapsule>> {
    let py = object.py();
    let keywords = PyDict::new(py);
    if let Some(stream) = stream {
        keywords.set_item("stream", stream)?;
    }
    let old = keywords.copy()?;
    keywords.set_item("max_version", (VERSION.major, VERSION.minor))?;
    as_capsule(match object.call_method("__dlpack__", (), Some(&keywords)) {
        // Producers from before DLPack 1.0 take no such argument.
        Err(error) if error.is_instance_of::<PyTypeError>(py) => object.call_method("__dlpack__", (), Some(&old))?,
        other => other?,
    })
}

fn as_capsule(object: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyCapsule>> {
    object
        .cast_into::<PyCapsule>()
        .map_err(|_| PyTypeError::new_err("from_dlpack: __dlpack__ returned no capsule. Ask the other library."))
}

/// Why an array in other memory than the processor's cannot be taken.
fn elsewhere(py: Python<'_>, kind: i32, cause: Option<PyErr>) -> PyErr {
    let error = exception(
        py,
        Error::device(format!(
            "from_dlpack: the array is on DLPack device type {kind}; only the CPU's memory (1) can be shared. Copy it \
             to the CPU first."
        )),
    );
    error.set_cause(py, cause);
    error
}

fn check_device(py: Python<'_>, kind: i32) -> PyResult<()> {
    if kind == CPU { Ok(()) } else { Err(elsewhere(py, kind, None)) }
}

/// The GPU that is CUDA's device `number`: `wanted`, or the first that is. Adapters are opened to be asked.
fn gpu_of(number: i32, wanted: Option<Device>) -> Option<Device> {
    let is = |device: &Device| {
        evaluate::backend(*device).is_ok_and(|backend| backend.peer().is_ok_and(|peer| peer.number() == number))
    };
    match wanted {
        Some(device) => Some(device).filter(is),
        None => engine::devices().ok()?.into_iter().map(|(device, _)| device).find(is),
    }
}

/// A tensor on the GPU with the elements of an array in CUDA's memory, copied there by the device itself; `None` where that cannot be
/// done, because no adapter is that device or it stores such elements otherwise.
fn receive(object: &Bound<'_, PyAny>, wanted: Option<Device>) -> PyResult<Option<Tensor>> {
    let py = object.py();
    let Some((CUDA | CUDA_MANAGED, number)) = place_of(object)? else { return Ok(None) };
    if wanted == Some(Device::Cpu) {
        return Ok(None);
    }
    call(py, crate::data::refuse_recording)?;
    let Some(device) = py.detach(|| gpu_of(number, wanted)) else { return Ok(None) };
    // The copy runs in the legacy default stream. The capsule's own destructor gives the array back.
    let capsule = capsule(object, Some(LEGACY_STREAM))?;
    let Some((array, _)) = examine(&capsule)? else { return Err(taken_before(py)) };
    let (dtype, start, layout) = call(py, || describe(array))?;
    let backend = call(py, || evaluate::backend(device))?;
    let same = array.device.number == number && matches!(array.device.kind, CUDA | CUDA_MANAGED);
    if !same || !backend.supports(dtype) || backend.storage_bytes(dtype, 1) != dtype.size() {
        return Ok(None);
    }
    let size = dtype.size();
    let (low, high) = layout.reach().unwrap_or((0, -1));
    let address = start.wrapping_offset(low * size as isize).addr() as u64;
    let bytes = (high - low + 1) as usize * size;
    let buffer = py.detach(|| {
        // SAFETY: the producer vouches for all elements that shape and strides reach as long as the capsule lives.
        caught(|| unsafe { backend.peer()?.receive(address, bytes) })
    });
    let buffer = buffer.map_err(|error| exception(py, error))?;
    let layout = Layout { offset: -low, ..layout };
    Ok(Some(graph::from_storage(dtype, Storage { buffer, layout }, device)))
}

fn pointer<M>(capsule: &Bound<'_, PyCapsule>, name: &CStr) -> Option<*mut M> {
    // SAFETY: asks a live capsule for its name, then for the pointer that the name promises.
    unsafe {
        (ffi::PyCapsule_IsValid(capsule.as_ptr(), name.as_ptr()) == 1)
            .then(|| ffi::PyCapsule_GetPointer(capsule.as_ptr(), name.as_ptr()).cast())
    }
}

/// The array of a fresh capsule, and whether it has a version; `None` where the capsule was taken before.
fn examine<'a>(capsule: &'a Bound<'_, PyCapsule>) -> PyResult<Option<(&'a Array, bool)>> {
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
        // SAFETY: the version says that the structure has this form; it lives as long as the capsule is not taken.
        return Ok(Some((unsafe { &(*managed).array }, true)));
    }
    // SAFETY: a fresh capsule of this name points at a live structure of this form.
    Ok(pointer::<Managed>(capsule, LEGACY).map(|managed| (unsafe { &(*managed).array }, false)))
}

fn taken_before(py: Python<'_>) -> PyErr {
    exception(py, Error::value("from_dlpack: the capsule was taken before. Ask the producer for a new one."))
}

fn take(capsule: &Bound<'_, PyCapsule>) -> PyResult<Tensor> {
    match examine(capsule)? {
        Some((array, true)) => {
            let managed = pointer::<ManagedVersioned>(capsule, VERSIONED).unwrap_or(std::ptr::null_mut());
            // SAFETY: `examine` found a live structure of this form there.
            let deleter = unsafe { (*managed).deleter };
            adopt(capsule, VERSIONED_USED, array, Taken(managed, deleter.unwrap_or(keep)))
        }
        Some((array, false)) => {
            let managed = pointer::<Managed>(capsule, LEGACY).unwrap_or(std::ptr::null_mut());
            // SAFETY: `examine` found a live structure of this form there.
            let deleter = unsafe { (*managed).deleter };
            adopt(capsule, LEGACY_USED, array, Taken(managed, deleter.unwrap_or(keep)))
        }
        None => Err(taken_before(capsule.py())),
    }
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
/// taken as they are. An array in CUDA's memory is copied: by the device itself to the GPU that it is on, where adret knows
/// that, else through its library to the CPU.
///
/// Args:
///     x: Any object with `__dlpack__`.
///     device: Where the tensor shall live; another device than the array's copies.
///     copy: `True` copies, `False` raises where a copy is needed, `None` shares where it can.
///
/// Raises:
///     DeviceError: If the array is neither in the CPU's memory nor in CUDA's, or a copy is needed and `copy` is False.
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
    if !x.hasattr("__dlpack__")? {
        return Err(wrong_kind(
            py,
            format!("from_dlpack: {} has no __dlpack__. Make a tensor with ad.tensor(…).", x.get_type().name()?),
        ));
    }
    let wanted = device.map(|device| device.0);
    let received = if copy == Some(false) { None } else { receive(x, wanted)? };
    let tensor = match received {
        Some(tensor) => tensor,
        None => {
            let shared = share(x, copy != Some(false))?;
            if copy == Some(true) { crate::data::copied(py, &shared)? } else { shared }
        }
    };
    let home = wanted.unwrap_or(tensor.device());
    if copy == Some(false) && home != Device::Cpu {
        return Err(exception(
            py,
            Error::device(format!("from_dlpack: the CPU's memory cannot be shared with {home}. Allow a copy.")),
        ));
    }
    Ok(crate::tensor::TensorObject::new(crate::data::place(py, tensor, None, home)?))
}
