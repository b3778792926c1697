//! Python's buffer protocol, both ways: copies of others' arrays, and read-only windows on ours for NumPy.
//! Depends on `data`. Invariant: a window keeps the memory alive and pinned until it is released.

use std::ffi::{CStr, c_int};

use adret_core::backend::BufferRef;
use adret_core::dtype::DType;
use adret_core::graph::Tensor;
use pyo3::buffer::{ElementType, PyUntypedBuffer};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::errors::{call, exception};
use crate::foreign::Drain;
use crate::{data, engine};

fn element(format: &CStr) -> Option<DType> {
    // The library runs on little-endian machines only, so `<` is native.
    if matches!(format.to_bytes(), [b'>' | b'!', kind] if !b"?bBc".contains(kind)) {
        return None;
    }
    Some(match ElementType::from_format(format) {
        ElementType::Bool => DType::Bool,
        ElementType::SignedInteger { bytes: 1 } => DType::I8,
        ElementType::SignedInteger { bytes: 2 } => DType::I16,
        ElementType::SignedInteger { bytes: 4 } => DType::I32,
        ElementType::SignedInteger { bytes: 8 } => DType::I64,
        ElementType::UnsignedInteger { bytes: 1 } => DType::U8,
        ElementType::UnsignedInteger { bytes: 2 } => DType::U16,
        ElementType::UnsignedInteger { bytes: 4 } => DType::U32,
        ElementType::UnsignedInteger { bytes: 8 } => DType::U64,
        ElementType::Float { bytes: 2 } => DType::F16,
        ElementType::Float { bytes: 4 } => DType::F32,
        ElementType::Float { bytes: 8 } => DType::F64,
        _ => return None,
    })
}

/// A tensor of the elements of a buffer, whatever its strides; `None` where their type has no dtype here.
pub(crate) fn copy(py: Python<'_>, buffer: &PyUntypedBuffer) -> PyResult<Option<Tensor>> {
    let Some(dtype) = element(buffer.format()).filter(|dtype| dtype.size() == buffer.item_size()) else {
        return Ok(None);
    };
    let bytes = contiguous(buffer);
    call(py, || data::from_bytes(dtype, buffer.shape(), &bytes)).map(Some)
}

/// The elements in row-major order.
fn contiguous(buffer: &PyUntypedBuffer) -> Vec<u8> {
    let (shape, size, count) = (buffer.shape(), buffer.item_size(), buffer.item_count());
    let mut bytes = Vec::with_capacity(count * size);
    if count == 0 {
        return bytes;
    }
    if buffer.is_c_contiguous() {
        // SAFETY: the exporter holds `count` elements of `size` bytes there as long as the buffer lives, and Python's lock is held.
        bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>(), count * size) });
        return bytes;
    }
    let (outer, inner) = shape.split_at(shape.len() - 1);
    let step = buffer.strides()[outer.len()];
    let mut index = vec![0usize; shape.len()];
    for _ in 0..outer.iter().product() {
        let row = buffer.get_ptr(&index).cast::<u8>().cast_const();
        for position in 0..inner[0] as isize {
            // SAFETY: the position lies inside the shape, so the exporter has an element of `size` bytes there.
            bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(row.offset(position * step), size) });
        }
        for (position, &limit) in index.iter_mut().zip(outer).rev() {
            *position += 1;
            if *position < limit {
                break;
            }
            *position = 0;
        }
    }
    bytes
}

/// A read-only window on a computed tensor's memory.
#[pyclass(frozen, name = "Window", module = "adret._core")]
#[derive(Debug)]
pub(crate) struct Window {
    start: *mut u8,
    dtype: DType,
    shape: Vec<isize>,
    /// In bytes.
    strides: Vec<isize>,
    _memory: BufferRef,
    _drain: Drain,
}

// SAFETY: the memory belongs to a buffer that any thread may use and that `_memory` keeps; the rest is plain data.
unsafe impl Send for Window {}
// SAFETY: as above; nothing is written through the pointer.
unsafe impl Sync for Window {}

impl Window {
    /// A window on a tensor, evaluated first.
    ///
    /// # Errors
    /// Tensors on other devices.
    pub(crate) fn open(py: Python<'_>, tensor: &Tensor) -> PyResult<Self> {
        engine::evaluate(py, std::slice::from_ref(tensor))?;
        let storage = tensor.storage().filter(|storage| storage.buffer.host().is_some());
        let Some((storage, base)) = storage.and_then(|storage| Some((storage, storage.buffer.host()?))) else {
            return Err(exception(py, engine::not_on_host("numpy", tensor)));
        };
        let size = tensor.dtype().size() as isize;
        Ok(Self {
            start: base.wrapping_offset(storage.layout.offset * size),
            dtype: tensor.dtype(),
            shape: storage.layout.shape.iter().map(|&size| size as isize).collect(),
            strides: storage.layout.strides.iter().map(|&stride| stride * size).collect(),
            _memory: storage.buffer.clone(),
            _drain: Drain,
        })
    }

    /// The element type in the language of Python's `struct`.
    fn format(&self) -> &'static CStr {
        // NumPy tells the C types `long` and `long long` apart: name the one that its int64 is.
        let long = size_of::<std::ffi::c_long>() == 8;
        match self.dtype {
            DType::Bool => c"?",
            DType::I8 => c"b",
            DType::I16 => c"h",
            DType::I32 => c"i",
            DType::I64 if long => c"l",
            DType::I64 => c"q",
            DType::U8 => c"B",
            DType::U16 | DType::BF16 => c"H",
            DType::U32 => c"I",
            DType::U64 if long => c"L",
            DType::U64 => c"Q",
            DType::F16 => c"e",
            DType::F32 => c"f",
            DType::F64 => c"d",
        }
    }
}

#[pymethods]
impl Window {
    /// # Safety
    /// Python passes a view to be filled in.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE {
            return Err(PyBufferError::new_err("the memory of a tensor is read-only"));
        }
        if flags & ffi::PyBUF_STRIDES != ffi::PyBUF_STRIDES {
            return Err(PyBufferError::new_err("the memory of a tensor has strides"));
        }
        let window = slf.get();
        let count: isize = window.shape.iter().product();
        // SAFETY: Python passed a valid view; shape, strides and format live in the object, which the view owns a reference of.
        unsafe {
            (*view).buf = window.start.cast();
            (*view).len = count * window.dtype.size() as isize;
            (*view).itemsize = window.dtype.size() as isize;
            (*view).readonly = 1;
            (*view).ndim = window.shape.len() as c_int;
            (*view).format = if flags & ffi::PyBUF_FORMAT == ffi::PyBUF_FORMAT {
                window.format().as_ptr().cast_mut()
            } else {
                std::ptr::null_mut()
            };
            (*view).shape = window.shape.as_ptr().cast_mut();
            (*view).strides = window.strides.as_ptr().cast_mut();
            (*view).suboffsets = std::ptr::null_mut();
            (*view).internal = std::ptr::null_mut();
            (*view).obj = slf.into_any().into_ptr();
        }
        Ok(())
    }
}
