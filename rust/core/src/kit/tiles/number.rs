//! The types that tiles are made of. Depends on `dtype`. Invariant: slots encode values as `Scalar::to_slot` does.

use crate::dtype::Compute;

/// A type of compute form or storage, and its encoding in 64-bit slots.
pub(super) trait Number: Copy + Default + PartialEq + PartialOrd + 'static {
    /// The value in a slot.
    fn from_slot(bits: u64) -> Self;
    /// The slot of a value.
    fn to_slot(self) -> u64;
}

macro_rules! integer_slots {
    ($($type:ty, $wide:ty;)*) => {$(
        impl Number for $type {
            #[inline(always)]
            fn from_slot(bits: u64) -> Self {
                bits as $type
            }
            #[inline(always)]
            fn to_slot(self) -> u64 {
                <$wide>::from(self) as u64
            }
        }
    )*};
}

integer_slots! {
    u8, u64;
    i8, i64;
    u16, u64;
    i16, i64;
    u32, u64;
    i32, i64;
    i64, i64;
    u64, u64;
}

impl Number for f32 {
    #[inline(always)]
    fn from_slot(bits: u64) -> Self {
        f32::from_bits(bits as u32)
    }
    #[inline(always)]
    fn to_slot(self) -> u64 {
        u64::from(self.to_bits())
    }
}

impl Number for f64 {
    #[inline(always)]
    fn from_slot(bits: u64) -> Self {
        f64::from_bits(bits)
    }
    #[inline(always)]
    fn to_slot(self) -> u64 {
        self.to_bits()
    }
}

/// Runs `$body` with `$type` standing for the type of a compute form.
macro_rules! with_compute {
    ($compute:expr, $type:ident => $body:expr) => {
        match $compute {
            $crate::dtype::Compute::Mask => {
                type $type = u8;
                $body
            }
            $crate::dtype::Compute::I32 => {
                type $type = i32;
                $body
            }
            $crate::dtype::Compute::I64 => {
                type $type = i64;
                $body
            }
            $crate::dtype::Compute::U64 => {
                type $type = u64;
                $body
            }
            $crate::dtype::Compute::F32 => {
                type $type = f32;
                $body
            }
            $crate::dtype::Compute::F64 => {
                type $type = f64;
                $body
            }
        }
    };
}
pub(super) use with_compute;

/// Bytes of one value in compute form.
pub(super) const fn compute_size(compute: Compute) -> usize {
    match compute {
        Compute::Mask => 1,
        Compute::I32 | Compute::F32 => 4,
        Compute::I64 | Compute::U64 | Compute::F64 => 8,
    }
}
