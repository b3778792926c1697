//! Elements as numbers: bytes of a dtype to scalars and back.
//! Depends on the core's `dtype`. Invariant: `encode` after `decode` gives the same bytes (but for a NaN's payload).

use adret_core::dtype::{DType, Scalar};
use adret_core::error::{Error, Result};
use half::{bf16, f16};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

/// The elements of contiguous bytes of one dtype.
pub(crate) fn decode(dtype: DType, bytes: &[u8]) -> impl ExactSizeIterator<Item = Scalar> + '_ {
    bytes.chunks_exact(dtype.size()).map(move |element| one(dtype, element))
}

/// The element of a dtype that lies in the first bytes.
pub(crate) fn one(dtype: DType, bytes: &[u8]) -> Scalar {
    macro_rules! read {
        ($number:ty) => {{
            let mut raw = [0; size_of::<$number>()];
            raw.copy_from_slice(&bytes[..size_of::<$number>()]);
            <$number>::from_ne_bytes(raw)
        }};
    }
    match dtype {
        DType::Bool => Scalar::Bool(bytes[0] != 0),
        DType::I8 => Scalar::Int(read!(i8).into()),
        DType::I16 => Scalar::Int(read!(i16).into()),
        DType::I32 => Scalar::Int(read!(i32).into()),
        DType::I64 => Scalar::Int(read!(i64).into()),
        DType::U8 => Scalar::Int(bytes[0].into()),
        DType::U16 => Scalar::Int(read!(u16).into()),
        DType::U32 => Scalar::Int(read!(u32).into()),
        DType::U64 => Scalar::Int(read!(u64).into()),
        DType::F16 => Scalar::Float(read!(f16).to_f64()),
        DType::BF16 => Scalar::Float(read!(bf16).to_f64()),
        DType::F32 => Scalar::Float(read!(f32).into()),
        DType::F64 => Scalar::Float(read!(f64)),
    }
}

/// Appends a scalar as an element of `dtype`.
///
/// # Errors
/// When an integer does not fit the dtype.
pub(crate) fn encode(dtype: DType, scalar: Scalar, bytes: &mut Vec<u8>) -> Result<()> {
    if let (Some((low, high)), Scalar::Int(value)) = (dtype.integer_range(), scalar)
        && dtype != DType::Bool
        && !(low..=high).contains(&value)
    {
        return Err(Error::value(format!(
            "tensor: {value} does not fit {dtype}, whose range is {low} to {high}. Name a wider dtype."
        )));
    }
    match dtype {
        DType::F16 => bytes.extend(f16::from_f64(scalar.to_f64()).to_ne_bytes()),
        DType::BF16 => bytes.extend(bf16::from_f64(scalar.to_f64()).to_ne_bytes()),
        // The slot holds the element's value in its low bytes.
        _ => bytes.extend(&scalar.to_slot(dtype).to_le_bytes()[..dtype.size()]),
    }
    Ok(())
}

/// The Python number of a scalar.
pub(crate) fn to_python<'py>(py: Python<'py>, scalar: Scalar) -> PyResult<Bound<'py, PyAny>> {
    match scalar {
        Scalar::Bool(value) => value.into_bound_py_any(py),
        Scalar::Int(value) => match i64::try_from(value) {
            Ok(value) => value.into_bound_py_any(py),
            Err(_) => value.into_bound_py_any(py),
        },
        Scalar::Float(value) => value.into_bound_py_any(py),
    }
}
