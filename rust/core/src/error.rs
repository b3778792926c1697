//! Errors as data: a kind, and a message that reads `op: what is wrong: values. What to do.`
//! Depends on nothing. Invariant: no function of the engine panics on a user's mistake.

use std::fmt;

/// What went wrong; the Python package has one exception class per kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Sizes or ranks that do not fit together.
    Shape,
    /// A dtype that an operation does not take.
    DType,
    /// Tensors of different devices, or a device that is not there.
    Device,
    /// A device that stopped working or was reset, and tensors that were on it.
    DeviceLost,
    /// An index or a label outside its range.
    Index,
    /// A value outside an operation's domain.
    Value,
    /// A backward pass that the graph does not allow.
    Grad,
    /// Something that a recording cannot hold.
    Compile,
    /// A file whose content breaks its format.
    Format,
    /// Memory exhausted.
    OutOfMemory,
    /// The user interrupted the evaluation.
    Interrupted,
    /// Raised by a caller's own code inside the engine; the caller keeps the original.
    Foreign,
    /// A bug of the library itself.
    Internal,
}

/// An error of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Which exception this becomes.
    pub kind: ErrorKind,
    /// The whole text for the user.
    pub message: String,
}

/// Result of the engine's fallible functions.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of any kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
    /// Sizes or ranks that do not fit together.
    pub fn shape(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Shape, message)
    }
    /// A dtype that an operation does not take.
    pub fn dtype(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::DType, message)
    }
    /// Tensors of different devices, or a missing device.
    pub fn device(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Device, message)
    }
    /// An index outside its range.
    pub fn index(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Index, message)
    }
    /// A value outside an operation's domain.
    pub fn value(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Value, message)
    }
    /// A backward pass that the graph does not allow.
    pub fn grad(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Grad, message)
    }
    /// A bug of the library itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
