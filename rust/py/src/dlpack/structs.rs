//! The C structures of DLPack 1.1, and its names of dtypes.
//! Depends on the core's `dtype`. Invariant: field order and sizes are those of `dlpack.h`.

use std::ffi::{CStr, c_void};

use adret_core::dtype::DType;

/// Name of a fresh capsule without version.
pub(super) const LEGACY: &CStr = c"dltensor";
/// Name of a taken capsule without version.
pub(super) const LEGACY_USED: &CStr = c"used_dltensor";
/// Name of a fresh capsule with version.
pub(super) const VERSIONED: &CStr = c"dltensor_versioned";
/// Name of a taken capsule with version.
pub(super) const VERSIONED_USED: &CStr = c"used_dltensor_versioned";

/// The processor's memory.
pub(super) const CPU: i32 = 1;
/// CUDA's memory.
pub(super) const CUDA: i32 = 2;
/// CUDA's memory that moves to whoever uses it.
pub(super) const CUDA_MANAGED: i32 = 13;
/// CUDA's stream that waits for all others that do not opt out, in DLPack's numbers.
pub(super) const LEGACY_STREAM: i64 = 1;
/// Flag: the consumer must not write.
pub(super) const READ_ONLY: u64 = 1;
/// Flag: the producer made a copy.
pub(super) const IS_COPIED: u64 = 2;
/// The version spoken here.
pub(super) const VERSION: Version = Version { major: 1, minor: 1 };

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) major: u32,
    pub(super) minor: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) kind: i32,
    pub(super) number: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ElementType {
    /// 0 signed, 1 unsigned, 2 IEEE float, 4 bfloat16, 6 bool.
    pub(super) code: u8,
    pub(super) bits: u8,
    pub(super) lanes: u16,
}

#[repr(C)]
#[derive(Debug)]
pub(super) struct Array {
    pub(super) data: *mut c_void,
    pub(super) device: Device,
    pub(super) rank: i32,
    pub(super) dtype: ElementType,
    pub(super) shape: *mut i64,
    /// In elements; null for row-major.
    pub(super) strides: *mut i64,
    pub(super) byte_offset: u64,
}

#[repr(C)]
#[derive(Debug)]
pub(super) struct Managed {
    pub(super) array: Array,
    pub(super) context: *mut c_void,
    pub(super) deleter: Option<unsafe extern "C" fn(*mut Managed)>,
}

#[repr(C)]
#[derive(Debug)]
pub(super) struct ManagedVersioned {
    pub(super) version: Version,
    pub(super) context: *mut c_void,
    pub(super) deleter: Option<unsafe extern "C" fn(*mut ManagedVersioned)>,
    pub(super) flags: u64,
    pub(super) array: Array,
}

impl ElementType {
    pub(super) fn of(dtype: DType) -> Self {
        let code = match dtype {
            DType::Bool => 6,
            DType::BF16 => 4,
            _ if dtype.is_float() => 2,
            _ if dtype.is_unsigned() => 1,
            _ => 0,
        };
        Self { code, bits: dtype.size() as u8 * 8, lanes: 1 }
    }

    pub(super) fn dtype(self) -> Option<DType> {
        DType::ALL.into_iter().find(|&dtype| Self::of(dtype) == self)
    }
}
