//! The names that element types have in files.
//! Depends on the core's `dtype`. Invariant: every dtype of the library has a name; not every name has a dtype.

use adret_core::dtype::DType;
use safetensors::Dtype;

/// One row per dtype.
const NAMES: [(DType, Dtype); 13] = [
    (DType::Bool, Dtype::BOOL),
    (DType::I8, Dtype::I8),
    (DType::I16, Dtype::I16),
    (DType::I32, Dtype::I32),
    (DType::I64, Dtype::I64),
    (DType::U8, Dtype::U8),
    (DType::U16, Dtype::U16),
    (DType::U32, Dtype::U32),
    (DType::U64, Dtype::U64),
    (DType::F16, Dtype::F16),
    (DType::BF16, Dtype::BF16),
    (DType::F32, Dtype::F32),
    (DType::F64, Dtype::F64),
];

/// As files call it.
pub(crate) fn in_files(dtype: DType) -> Dtype {
    // The rows are in the order of the enumeration, which a test holds.
    NAMES[dtype as usize].1
}

/// The dtype of a name; `None` for formats that the library does not compute in.
pub(crate) fn from_files(name: Dtype) -> Option<DType> {
    NAMES.iter().find(|row| row.1 == name).map(|row| row.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dtype_has_its_row() {
        for dtype in DType::ALL {
            assert_eq!(NAMES[dtype as usize].0, dtype);
            assert_eq!(from_files(in_files(dtype)), Some(dtype));
            assert_eq!(in_files(dtype).bitsize(), 8 * dtype.size());
        }
        assert_eq!(from_files(Dtype::C64), None);
    }
}
