//! Tensors as DLPack capsules.
//! Depends on `structs`. Invariant: what a consumer could write to is a copy; shared memory goes out marked read-only.

use std::ffi::CStr;

use adret_core::backend::{BufferRef, Device as Place, HostPointer};
use adret_core::dtype::DType;
use adret_core::error::{Error, Result};
use adret_core::evaluate;
use adret_core::graph::{Storage, Tensor};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::structs::*;
use crate::errors::{caught, exception};
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

/// Elements in memory that a consumer can reach.
struct Reachable {
    dtype: DType,
    storage: Storage,
    /// Address of the buffer's first byte, on the device.
    base: HostPointer,
    device: Device,
}

impl Reachable {
    /// A computed tensor in the processor's memory.
    fn on_host(tensor: &Tensor) -> Option<Self> {
        let storage = tensor.storage()?.clone();
        let base = HostPointer(storage.buffer.host()?);
        Some(Self { dtype: tensor.dtype(), storage, base, device: Device { kind: CPU, number: 0 } })
    }

    /// A computed tensor of a GPU, under CUDA's addresses; `copy` makes memory that the consumer may write.
    fn in_cuda(tensor: &Tensor, copy: bool) -> Result<Self> {
        let mut storage = tensor.storage().ok_or_else(|| Error::internal("__dlpack__: no value"))?.clone();
        let backend = evaluate::backend(tensor.device())?;
        let peer = backend.peer()?;
        if copy {
            storage.buffer = peer.copy(&storage.buffer)?;
        }
        let address = peer.share(&storage.buffer)?;
        let device = Device { kind: CUDA, number: peer.number() };
        let base = HostPointer(std::ptr::without_provenance_mut(address as usize));
        Ok(Self { dtype: tensor.dtype(), storage, base, device })
    }
}

/// The number of a tensor's GPU among CUDA's devices, where its elements can be shared as they are.
fn in_cuda(tensor: &Tensor) -> Result<i32> {
    let (device, dtype) = (tensor.device(), tensor.dtype());
    let backend = evaluate::backend(device)?;
    if device == Place::Cpu {
        return Err(Error::device("__dlpack__: the tensor is on the CPU. Move it with to(\"gpu\")."));
    }
    let number = backend.peer()?.number();
    if backend.storage_bytes(dtype, 1) != dtype.size() {
        return Err(Error::dtype(format!(
            "__dlpack__: {device} stores {dtype} in words of its own. Use astype(\"int32\")."
        )));
    }
    Ok(number)
}

fn capsule<'py, M: Capsule>(py: Python<'py>, shown: &Reachable, flags: u64) -> PyResult<Bound<'py, PyAny>> {
    let Reachable { dtype, storage, base, device } = shown;
    let layout = &storage.layout;
    let array = Array {
        data: base.0.wrapping_offset(layout.offset * dtype.size() as isize).cast(),
        device: *device,
        rank: layout.shape.rank() as i32,
        dtype: ElementType::of(*dtype),
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

/// Checks which stream a consumer of a GPU's elements names: none of them needs to wait, since everything is done by then.
fn check_stream(stream: Option<i64>) -> PyResult<()> {
    match stream {
        Some(0) => Err(PyBufferError::new_err(
            "stream 0 is ambiguous: pass 1 for CUDA's legacy default stream, 2 for the per-thread one",
        )),
        Some(stream) if stream < -1 => Err(PyBufferError::new_err(format!("there is no stream {stream}"))),
        _ => Ok(()),
    }
}

#[pymethods]
impl TensorObject {
    /// A DLPack capsule of the elements, evaluated first.
    ///
    /// Versioned capsules (`max_version=(1, 0)` or newer) share the memory and are marked read-only; capsules without version,
    /// which cannot be marked, carry a copy. Tensors of a GPU that CUDA knows share their memory with CUDA; those of other GPUs
    /// are copied to the CPU, which the capsule says. All work on the elements is done before the call returns, so any `stream`
    /// may use them at once.
    ///
    /// Raises:
    ///     GradError: If the tensor requires grad; export `x.detach()`.
    ///     BufferError: If the elements cannot be had on `dl_device`, or not without the copy that `copy=False` forbids.
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
        let here = tensor.device() == Place::Cpu;
        if here && stream.is_some_and(|stream| stream != -1) {
            return Err(PyBufferError::new_err("the CPU has no streams: pass stream=None"));
        }
        check_stream(stream)?;
        engine::evaluate(py, std::slice::from_ref(&tensor))?;
        let refused = |why: Error| PyBufferError::new_err(why.message);
        let cuda = match dl_device {
            Some((CPU, _)) => None,
            Some((CUDA, number)) => {
                let own = py.detach(|| caught(|| in_cuda(&tensor))).map_err(refused)?;
                if own != number {
                    return Err(PyBufferError::new_err(format!(
                        "the tensor's GPU is CUDA's device {own}, not {number}"
                    )));
                }
                Some(own)
            }
            Some((kind, _)) => {
                return Err(PyBufferError::new_err(format!(
                    "tensors are exported to the CPU (device type 1) and to CUDA (2), not to device type {kind}"
                )));
            }
            None if here => None,
            None => py.detach(|| caught(|| in_cuda(&tensor))).ok(),
        };
        let versioned = max_version.is_some_and(|(major, _)| major >= VERSION.major);
        let away = cuda.is_none() && !here;
        if copy == Some(false) && (away || !versioned) {
            return Err(PyBufferError::new_err(
                "only versioned capsules can say that shared memory is read-only, and only the CPU's memory and CUDA's can be \
                 shared: pass max_version=(1, 0), or allow a copy",
            ));
        }
        let copies = copy == Some(true) || away || !versioned;
        let shown = if cuda.is_some() {
            py.detach(|| caught(|| Reachable::in_cuda(&tensor, copies))).map_err(|error| exception(py, error))?
        } else {
            let tensor = if copies { data::copied(py, &tensor)? } else { tensor.clone() };
            Reachable::on_host(&tensor).ok_or_else(|| exception(py, engine::not_on_host("__dlpack__", &tensor)))?
        };
        match versioned {
            true => capsule::<ManagedVersioned>(py, &shown, if copies { IS_COPIED } else { READ_ONLY }),
            false => capsule::<Managed>(py, &shown, 0),
        }
    }

    /// DLPack's device type and number: CUDA's where a GPU's elements can be shared, the CPU's where they will be copied there.
    fn __dlpack_device__(&self, py: Python<'_>) -> (i32, i32) {
        let tensor = self.tensor();
        if tensor.device() == Place::Cpu {
            return (CPU, 0);
        }
        py.detach(|| caught(|| in_cuda(&tensor))).map_or((CPU, 0), |number| (CUDA, number))
    }
}
