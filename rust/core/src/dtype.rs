//! Element types, the compute types that kernels work in, and the promotion lattice of the Array API.
//! Depends on nothing. Invariant: `promote` is commutative and associative where it is defined.

use std::fmt;

/// The type of a tensor's elements as they lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DType {
    /// One byte, 0 or 1.
    Bool,
    /// Signed 8 bits.
    I8,
    /// Signed 16 bits.
    I16,
    /// Signed 32 bits.
    I32,
    /// Signed 64 bits.
    I64,
    /// Unsigned 8 bits.
    U8,
    /// Unsigned 16 bits.
    U16,
    /// Unsigned 32 bits.
    U32,
    /// Unsigned 64 bits.
    U64,
    /// IEEE binary16.
    F16,
    /// The upper half of an IEEE binary32.
    BF16,
    /// IEEE binary32.
    F32,
    /// IEEE binary64.
    F64,
}

/// The type that a kernel computes in; other dtypes convert when loaded and stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compute {
    /// `bool`, one byte.
    Mask,
    /// `int8`, `int16`, `int32`, `uint8`, `uint16`.
    I32,
    /// `int64`, `uint32`.
    I64,
    /// `uint64`.
    U64,
    /// `float16`, `bfloat16`, `float32`.
    F32,
    /// `float64`.
    F64,
}

use DType::*;

impl DType {
    /// Every element type.
    pub const ALL: [DType; 13] = [Bool, I8, I16, I32, I64, U8, U16, U32, U64, F16, BF16, F32, F64];

    /// Bytes of one element.
    #[inline]
    pub const fn size(self) -> usize {
        match self {
            Bool | I8 | U8 => 1,
            I16 | U16 | F16 | BF16 => 2,
            I32 | U32 | F32 => 4,
            I64 | U64 | F64 => 8,
        }
    }

    /// The name that users read and write.
    pub const fn name(self) -> &'static str {
        match self {
            Bool => "bool",
            I8 => "int8",
            I16 => "int16",
            I32 => "int32",
            I64 => "int64",
            U8 => "uint8",
            U16 => "uint16",
            U32 => "uint32",
            U64 => "uint64",
            F16 => "float16",
            BF16 => "bfloat16",
            F32 => "float32",
            F64 => "float64",
        }
    }

    /// The dtype of that name.
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|d| d.name() == name)
    }

    /// The type that kernels compute in.
    #[inline]
    pub const fn compute(self) -> Compute {
        match self {
            Bool => Compute::Mask,
            I8 | I16 | I32 | U8 | U16 => Compute::I32,
            I64 | U32 => Compute::I64,
            U64 => Compute::U64,
            F16 | BF16 | F32 => Compute::F32,
            F64 => Compute::F64,
        }
    }

    /// Whether this is a floating-point type.
    #[inline]
    pub const fn is_float(self) -> bool {
        matches!(self, F16 | BF16 | F32 | F64)
    }

    /// Whether this is a signed or unsigned integer type (not `bool`).
    pub const fn is_integer(self) -> bool {
        !self.is_float() && !matches!(self, Bool)
    }

    /// Whether this is an unsigned integer type.
    pub const fn is_unsigned(self) -> bool {
        matches!(self, U8 | U16 | U32 | U64)
    }

    /// Smallest and largest value of an integer type or `bool`.
    pub const fn integer_range(self) -> Option<(i128, i128)> {
        Some(match self {
            Bool => (0, 1),
            I8 => (i8::MIN as i128, i8::MAX as i128),
            I16 => (i16::MIN as i128, i16::MAX as i128),
            I32 => (i32::MIN as i128, i32::MAX as i128),
            I64 => (i64::MIN as i128, i64::MAX as i128),
            U8 => (0, u8::MAX as i128),
            U16 => (0, u16::MAX as i128),
            U32 => (0, u32::MAX as i128),
            U64 => (0, u64::MAX as i128),
            F16 | BF16 | F32 | F64 => return None,
        })
    }

    /// The common type of two operands, as NumPy 2 promotes arrays: signed and unsigned meet in the next wider signed
    /// type, int64 and uint64 in float64, an integer and a float in the float that holds the integer's range as NumPy has it.
    pub fn promote(self, other: DType) -> DType {
        let (a, b) = if self <= other { (self, other) } else { (other, self) };
        if a == b || a == Bool {
            return b;
        }
        match (a, b) {
            (F16, BF16) => F32,
            (_, F16 | BF16) if !a.is_float() => match a.size() {
                1 => b,
                2 => F32,
                _ => F64,
            },
            (_, F32) if !a.is_float() => {
                if a.size() <= 2 {
                    F32
                } else {
                    F64
                }
            }
            (_, F64) => F64,
            _ if a.is_unsigned() == b.is_unsigned() || a.is_float() => {
                if a.size() >= b.size() {
                    a.max(b)
                } else {
                    b
                }
            }
            // signed a with unsigned b
            _ if a.size() > b.size() => a,
            _ => match b {
                U8 => I16,
                U16 => I32,
                U32 => I64,
                _ => F64,
            },
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A Python scalar on its way into a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// `True` or `False`.
    Bool(bool),
    /// An integer; 128 bits hold every `int64` and `uint64`.
    Int(i128),
    /// A floating-point number.
    Float(f64),
}

/// f64 to f32, inexact values to the neighbour with an odd last bit: what is then rounded to 16 bits is rounded as if once.
/// (The `half` crate's own conversions from f64 drop the low half of the mantissa.)
#[inline(always)]
pub(crate) fn narrow_to_odd(x: f64) -> f32 {
    let nearest = x as f32;
    let (bits, back) = (nearest.to_bits(), f64::from(nearest));
    let towards = if back.abs() < x.abs() { 1 } else { u32::MAX };
    let inexact = back != x && !x.is_nan() && bits & 1 == 0;
    f32::from_bits(if inexact { bits.wrapping_add(towards) } else { bits })
}

impl Scalar {
    /// The value as a float.
    pub fn to_f64(self) -> f64 {
        match self {
            Scalar::Bool(b) => f64::from(u8::from(b)),
            Scalar::Int(i) => i as f64,
            Scalar::Float(f) => f,
        }
    }

    /// The 64 bits that stand for this value in a run-time slot of a kernel computing in `dtype`:
    /// floats as their bits (`f32` in the low half), integers as two's complement wrapped to `dtype`, masks as 0 or 1.
    pub fn to_slot(self, dtype: DType) -> u64 {
        match dtype.compute() {
            Compute::F32 => {
                let value = self.to_f64() as f32;
                let rounded = match dtype {
                    F16 => half::f16::from_f32(narrow_to_odd(self.to_f64())).to_f32(),
                    BF16 => half::bf16::from_f32(narrow_to_odd(self.to_f64())).to_f32(),
                    _ => value,
                };
                u64::from(rounded.to_bits())
            }
            Compute::F64 => self.to_f64().to_bits(),
            Compute::Mask => u64::from(match self {
                Scalar::Bool(b) => b,
                Scalar::Int(i) => i != 0,
                Scalar::Float(f) => f != 0.0,
            }),
            _ => {
                let wide: i128 = match self {
                    Scalar::Bool(b) => i128::from(b),
                    Scalar::Int(i) => i,
                    Scalar::Float(f) => f as i128,
                };
                (match dtype {
                    I8 => i64::from(wide as i8),
                    I16 => i64::from(wide as i16),
                    I32 => i64::from(wide as i32),
                    U8 => i64::from(wide as u8),
                    U16 => i64::from(wide as u16),
                    U32 => i64::from(wide as u32),
                    _ => wide as i64,
                }) as u64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_is_commutative_and_idempotent() {
        for a in DType::ALL {
            assert_eq!(a.promote(a), a);
            for b in DType::ALL {
                assert_eq!(a.promote(b), b.promote(a));
            }
        }
    }

    #[test]
    fn half_floats_round_once() {
        let slot = |x: f64, dtype| f32::from_bits(Scalar::Float(x).to_slot(dtype) as u32);
        // Just above halfway between neighbours, by less than f32 can see; and far ends.
        assert_eq!(slot(1.0 + 0.5f64.powi(11) + 0.5f64.powi(45), F16), 1.0 + 0.5f32.powi(10));
        assert_eq!(slot(1.0 + 0.5f64.powi(8) + 0.5f64.powi(45), BF16), 1.0 + 0.5f32.powi(7));
        assert_eq!(slot(1.0 + 0.5f64.powi(11), F16), 1.0);
        assert_eq!(slot(65_519.999_999, F16), 65504.0);
        assert_eq!((slot(1e300, BF16), slot(f64::NEG_INFINITY, F16)), (f32::INFINITY, f32::NEG_INFINITY));
    }

    #[test]
    fn promotion_follows_numpy() {
        assert_eq!(I32.promote(F32), F64);
        assert_eq!(I64.promote(F32), F64);
        assert_eq!(I16.promote(F32), F32);
        assert_eq!(I8.promote(U8), I16);
        assert_eq!(U32.promote(I32), I64);
        assert_eq!(U64.promote(I64), F64);
        assert_eq!(U8.promote(I32), I32);
        assert_eq!(F16.promote(BF16), F32);
        assert_eq!(F16.promote(F32), F32);
        assert_eq!(Bool.promote(I8), I8);
        assert_eq!(U8.promote(U32), U32);
    }
}
