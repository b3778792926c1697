//! Files of tensors in the safetensors format: reading that trusts nothing, writing that replaces a file as a whole.
//! Depends on the core and on the crate `safetensors`; knows no Python. Invariant: a file is read to its last byte or refused, and at
//! every instant a path leads to the earlier file or to the complete new one.
//!
//! A file is the header's length (8 bytes, little-endian), the header (JSON: names with dtype, shape and place; `__metadata__` with texts),
//! and the elements of all tensors, row-major, without gaps.

mod atomic;
mod dtype;
mod error;
mod header;
mod json;
mod read;
mod write;

pub use error::{Fault, FileError, Result};
pub use header::{Entry, Header, LONGEST_HEADER};
pub use read::{Content, inspect, load};
pub use write::save;
