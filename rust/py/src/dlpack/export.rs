//! Tensors as DLPack capsules.
//! Depends on `structs`. Invariant: what a consumer could write to is a copy; shared memory goes out marked read-only.

use std::ffi::CStr;

use adret_core::backend::BufferRef;
use adret_core::error::Error;
use adret_core::graph::Tensor;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::structs::*;
use crate::errors::exception;
use crate::tensor::TensorObject;
use crate::{data, engine};

/// The structure that a capsule points at, with all that it refers to.
#[repr(C)]
struct Export<M> {
    managed: M,
    shape: Vec<i64>,
    strides: Vec<i64>,
    _memory: BufferRef,
}

/// What the two kinds of capsule differ in.
trait Capsule: Sized {
    const FRESH: &'static CStr;
    fn wrap(array: Array, flags: u64) -> Self;
    fn array(&mut self) -> &mut Array;
    /// # Safety
    /// `managed` is valid and nobody uses it any more.
    unsafe fn delete(managed: *mut Self);
}

macro_rules! capsule {
    ($managed:ty, $fresh:expr, |$array:ident, $flags:ident| $make:expr) => {
        impl Capsule for $managed {
            const FRESH: &'static CStr = $fresh;
            fn wrap($array: Array, $flags: u64) -> Self {
                $make
            }
            fn array(&mut self) -> &mut Array {
                &mut self.array
            }
            unsafe fn delete(managed: *mut Self) {
                // SAFETY: the caller vouches for the pointer.
                unsafe {
                    if let Some(deleter) = (*managed).deleter {
                        deleter(managed);
                    }
                }
            }
        }
    };
}

capsule!(Managed, LEGACY, |array, _flags| Managed { array, context: std::ptr::null_mut(), deleter: Some(release) });
capsule!(ManagedVersioned, VERSIONED, |array, flags| ManagedVersioned {
    version: VERSION,
    context: std::ptr::null_mut(),
    deleter: Some(release),
    flags,
    array,
});

/// Frees an export; runs on any thread, and needs no lock of Python's.
unsafe extern "C" fn release<M: Capsule>(managed: *mut M) {
    // SAFETY: `capsule` leaked this box, at whose first field (so at the box) the consumer points, and the consumer calls this once.
    drop(unsafe { Box::from_raw(managed.cast::<Export<M>>()) });
}

/// Frees what a capsule that nobody took holds.
unsafe extern "C" fn destructor<M: Capsule>(capsule: *mut ffi::PyObject) {
    // SAFETY: Python calls this with a live capsule; a taken one has another name and is left to its consumer.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, M::FRESH.as_ptr()) == 1 {
            M::delete(ffi::PyCapsule_GetPointer(capsule, M::FRESH.as_ptr()).cast());
        }
    }
}

fn capsule<'py, M: Capsule>(py: Python<'py>, tensor: &Tensor, flags: u64) -> PyResult<Bound<'py, PyAny>> {
    let host = tensor.storage().and_then(|storage| Some((storage, storage.buffer.host()?)));
    let Some((storage, base)) = host else {
        return Err(exception(py, engine::not_on_host("__dlpack__", tensor)));
    };
    let layout = &storage.layout;
    let size = tensor.dtype().size() as isize;
    let array = Array {
        data: base.wrapping_offset(layout.offset * size).cast(),
        device: Device { kind: CPU, number: 0 },
        rank: layout.shape.rank() as i32,
        dtype: ElementType::of(tensor.dtype()),
        shape: std::ptr::null_mut(),
        strides: std::ptr::null_mut(),
        byte_offset: 0,
    };
    let mut export = Box::new(Export {
        managed: M::wrap(array, flags),
        shape: layout.shape.iter().map(|&size| size as i64).collect(),
        strides: layout.strides.iter().map(|&stride| stride as i64).collect(),
        _memory: storage.buffer.clone(),
    });
    let (shape, strides) = (export.shape.as_mut_ptr(), export.strides.as_mut_ptr());
    export.managed.array().shape = shape;
    export.managed.array().strides = strides;
    let export = Box::into_raw(export);
    // SAFETY: the box is live; the capsule's name is a constant; on failure the box is taken back.
    unsafe {
        let capsule = ffi::PyCapsule_New(export.cast(), M::FRESH.as_ptr(), Some(destructor::<M>));
        Bound::from_owned_ptr_or_err(py, capsule).inspect_err(|_| drop(Box::from_raw(export)))
    }
}

#[pymethods]
impl TensorObject {
    /// A DLPack capsule of the elements, evaluated first.
    ///
    /// Versioned capsules (`max_version=(1, 0)` or newer) share the memory and are marked read-only; capsules without version,
    /// which cannot be marked, carry a copy.
    ///
    /// Raises:
    ///     GradError: If the tensor requires grad; export `x.detach()`.
    ///     DeviceError: If the tensor is not on the CPU and `dl_device` does not ask for a copy there.
    #[pyo3(signature = (*, stream = None, max_version = None, dl_device = None, copy = None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<i64>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let tensor = self.tensor();
        if tensor.requires_grad() {
            return Err(exception(
                py,
                Error::grad("__dlpack__: the tensor requires grad, which no other library sees. Use .detach() first."),
            ));
        }
        if stream.is_some_and(|stream| stream != -1) {
            return Err(PyBufferError::new_err("the CPU has no streams: pass stream=None"));
        }
        if dl_device.is_some_and(|(kind, _)| kind != CPU) {
            return Err(PyBufferError::new_err("tensors are exported to the CPU (device 1, 0) only"));
        }
        engine::evaluate(py, std::slice::from_ref(&tensor))?;
        let versioned = max_version.is_some_and(|(major, _)| major >= VERSION.major);
        let elsewhere = tensor.storage().is_none_or(|storage| storage.buffer.host().is_none());
        if elsewhere && dl_device.is_none() {
            return Err(exception(py, engine::not_on_host("__dlpack__", &tensor)));
        }
        if copy == Some(false) && (elsewhere || !versioned) {
            return Err(PyBufferError::new_err(
                "only versioned capsules can say that shared memory is read-only, and only the CPU's memory can be \
                 shared: pass max_version=(1, 0), or allow a copy",
            ));
        }
        let copies = copy == Some(true) || elsewhere || !versioned;
        let tensor = if copies { data::copied(py, &tensor)? } else { tensor };
        match versioned {
            true => capsule::<ManagedVersioned>(py, &tensor, if copies { IS_COPIED } else { READ_ONLY }),
            false => capsule::<Managed>(py, &tensor, 0),
        }
    }

    /// DLPack's device type and number.
    fn __dlpack_device__(&self, py: Python<'_>) -> PyResult<(i32, i32)> {
        let tensor = self.tensor();
        match tensor.device() {
            adret_core::backend::Device::Cpu => Ok((CPU, 0)),
            _ => Err(exception(py, engine::not_on_host("__dlpack_device__", &tensor))),
        }
    }
}
