//! DLPack: arrays handed to and taken from other libraries without copying.
//! Depends on `engine`. Invariant: every capsule's deleter runs exactly once, on whatever thread.

pub(crate) mod export;
pub(crate) mod import;
mod structs;
