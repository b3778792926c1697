//! How element types appear in shaders. Depends on `dtype`.
//! Invariant: an element is one 32-bit word, but for 16-bit floats, of which two share a word, and dtypes of 64 bits, which take two.

use crate::dtype::DType;

/// The type of a variable in a shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Type {
    Bool,
    I32,
    U32,
    F32,
    I64,
    U64,
    F64,
}

impl Type {
    /// The type that values of `dtype` have.
    pub(crate) fn of(dtype: DType) -> Type {
        match dtype {
            DType::Bool => Type::Bool,
            DType::I8 | DType::I16 | DType::I32 => Type::I32,
            DType::U8 | DType::U16 | DType::U32 => Type::U32,
            DType::F16 | DType::BF16 | DType::F32 => Type::F32,
            DType::I64 => Type::I64,
            DType::U64 => Type::U64,
            DType::F64 => Type::F64,
        }
    }

    /// Whether it has 64 bits, which not every adapter computes in.
    pub(crate) fn is_wide(self) -> bool {
        matches!(self, Type::I64 | Type::U64 | Type::F64)
    }

    /// Bytes of an element of a temporary.
    pub(crate) fn bytes(self) -> usize {
        if self.is_wide() { 2 * WORD_BYTES } else { WORD_BYTES }
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Type::Bool => "bool",
            Type::I32 => "i32",
            Type::U32 => "u32",
            Type::F32 => "f32",
            Type::I64 => "i64",
            Type::U64 => "u64",
            Type::F64 => "f64",
        }
    }

    /// The type of its elements in memory: booleans are words, 0 or 1.
    pub(super) fn stored(self) -> Type {
        if self == Type::Bool { Type::U32 } else { self }
    }

    /// The value 0.
    pub(crate) fn zero(self) -> &'static str {
        match self {
            Type::Bool => "false",
            Type::I32 => "0",
            Type::U32 => "0u",
            Type::F32 => "0.0",
            Type::I64 => "0li",
            Type::U64 => "0lu",
            Type::F64 => "0.0lf",
        }
    }

    /// The value 1.
    pub(crate) fn one(self) -> &'static str {
        match self {
            Type::Bool => "true",
            Type::I32 => "1",
            Type::U32 => "1u",
            Type::F32 => "1.0",
            Type::I64 => "1li",
            Type::U64 => "1lu",
            Type::F64 => "1.0lf",
        }
    }

    /// A value as it was read from memory, from the stored word.
    pub(super) fn unpack(self, word: &str) -> String {
        if self == Type::Bool { format!("({word} != 0u)") } else { word.to_owned() }
    }

    /// The word to store for a value.
    pub(super) fn pack(self, value: &str) -> String {
        if self == Type::Bool { format!("select(0u, 1u, {value})") } else { value.to_owned() }
    }
}

/// Bits of an integer dtype in a shader.
pub(super) fn width(dtype: DType) -> u32 {
    dtype.size() as u32 * 8
}

/// Brings the result of 32-bit arithmetic back into the range of a narrower dtype.
pub(crate) fn wrapped(dtype: DType, value: String) -> String {
    if dtype.is_integer() && dtype.size() < 4 { format!("extractBits({value}, 0u, {}u)", width(dtype)) } else { value }
}

/// The element types that tensors may have where shaders offer 32-bit types only.
pub const DTYPES: [DType; 10] = [
    DType::Bool,
    DType::I8,
    DType::I16,
    DType::I32,
    DType::U8,
    DType::U16,
    DType::U32,
    DType::F16,
    DType::BF16,
    DType::F32,
];

/// Those of 64 bits, which some adapters have.
pub const WIDE_DTYPES: [DType; 3] = [DType::I64, DType::U64, DType::F64];

/// Bytes of a word.
pub const WORD_BYTES: usize = 4;

/// Bytes of one stored element.
pub const fn element_bytes(dtype: DType) -> usize {
    match dtype {
        DType::F16 | DType::BF16 => 2,
        DType::I64 | DType::U64 | DType::F64 => 2 * WORD_BYTES,
        _ => WORD_BYTES,
    }
}

/// The function of the library that rounds a value to a dtype narrower than what shaders compute in.
pub(crate) fn rounding(dtype: DType) -> Option<&'static str> {
    match dtype {
        DType::F16 => Some("round_f16"),
        DType::BF16 => Some("round_bf16"),
        _ => None,
    }
}
