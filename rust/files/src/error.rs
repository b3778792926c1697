//! What can go wrong with a file: the system, the content, or the engine that computes the values.
//! Depends on the core's `error`. Invariant: a fault of the content names the file, the byte and, where there is one, the tensor.

use std::io;
use std::path::{Path, PathBuf};

use adret_core::error::{Error, ErrorKind};

/// Result of reading and writing files.
pub type Result<T> = std::result::Result<T, FileError>;

/// Why a file could not be read or written.
#[derive(Debug)]
pub enum FileError {
    /// The system refused; with the path that was asked for.
    System(PathBuf, io::Error),
    /// The content breaks the format, a tensor could not be computed or placed, or the user interrupted.
    Engine(Error),
}

impl From<Error> for FileError {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

/// A break of the format, before it is known in which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Byte of the file.
    pub byte: u64,
    /// The tensor that it concerns.
    pub tensor: Option<String>,
    /// What is wrong, with values.
    pub text: String,
}

impl Fault {
    /// A fault of the file as a whole.
    pub(crate) fn new(byte: u64, text: impl Into<String>) -> Self {
        Self { byte, tensor: None, text: text.into() }
    }

    /// A fault of one tensor.
    pub(crate) fn of(tensor: &str, byte: u64, text: impl Into<String>) -> Self {
        Self { byte, tensor: Some(tensor.to_owned()), text: text.into() }
    }

    /// The error for the user of `operation`.
    pub(crate) fn within(self, operation: &str, path: &Path) -> FileError {
        let tensor = self.tensor.map_or_else(String::new, |name| format!(", tensor {:?}", shortened(&name)));
        FileError::Engine(Error::new(
            ErrorKind::Format,
            format!(
                "{operation}: {}, byte {}{tensor}: {}. The file is damaged or not in the safetensors format: save it \
                 or fetch it again.",
                path.display(),
                self.byte,
                self.text
            ),
        ))
    }
}

/// A name that is fit for a message.
pub(crate) fn shortened(name: &str) -> String {
    const MOST: usize = 200;
    if name.chars().count() <= MOST { name.to_owned() } else { name.chars().take(MOST).chain(['…']).collect() }
}
