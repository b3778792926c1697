//! Reading: the header first, then the elements of one tensor after the other.
//! Depends on `header` and the core's `evaluate`. Invariant: what was read is a copy; the file may change afterwards.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use adret_core::backend::Device;
use adret_core::dtype::DType;
use adret_core::error::{Error, ErrorKind as Kind};
use adret_core::evaluate::{self, Cancelled};
use adret_core::graph::Tensor;

use crate::error::{Fault, FileError, Result, shortened};
use crate::header::{Entry, Header, PREFIX, length, too_short};

/// Tensors by name, in the header's order, and the metadata.
pub type Content = (Vec<(String, Tensor)>, BTreeMap<String, String>);

/// A file with its header read: the position is at the data.
fn open(operation: &str, path: &Path) -> Result<(File, Header)> {
    let system = |error| FileError::System(path.to_owned(), error);
    let kind = std::fs::metadata(path).map_err(system)?;
    if !kind.is_file() && !kind.is_dir() {
        // Opening a pipe could wait forever.
        return Err(Fault::new(0, "this is no ordinary file").within(operation, path));
    }
    let mut file = File::open(path).map_err(system)?;
    let bytes = file.metadata().map_err(system)?.len();
    let mut prefix = [0; PREFIX as usize];
    let fault = |fault: Fault| fault.within(operation, path);
    fill(&mut file, &mut prefix, || too_short(bytes)).map_err(|error| error.within(operation, path))?;
    let mut header = vec![0; length(prefix, bytes).map_err(fault)? as usize];
    let shrunk = || Fault::new(PREFIX, "the file ends inside the header");
    fill(&mut file, &mut header, shrunk).map_err(|error| error.within(operation, path))?;
    Ok((file, Header::parse(&header, bytes).map_err(fault)?))
}

/// Why bytes could not be read.
enum Unread {
    System(std::io::Error),
    Fault(Fault),
    Engine(Error),
}

impl Unread {
    fn within(self, operation: &str, path: &Path) -> FileError {
        match self {
            Unread::System(error) => FileError::System(path.to_owned(), error),
            Unread::Fault(fault) => fault.within(operation, path),
            Unread::Engine(error) => FileError::Engine(error),
        }
    }
}

/// Reads as many bytes as there is room; a file that ends before is a fault.
fn fill(file: &mut File, bytes: &mut [u8], ended: impl FnOnce() -> Fault) -> std::result::Result<(), Unread> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => Unread::Fault(ended()),
        _ => Unread::System(error),
    })
}

/// What a file holds, without reading a tensor.
///
/// # Errors
/// When the system refuses, or the header breaks the format.
pub fn inspect(path: &Path) -> Result<Header> {
    open("inspect", path).map(|(_, header)| header)
}

/// All tensors of a file, on a device.
///
/// # Errors
/// When the system refuses, the file breaks the format, or the device has no room or does not take a dtype.
pub fn load(path: &Path, device: Device, cancelled: &Cancelled<'_>) -> Result<Content> {
    let (mut file, header) = open("load", path)?;
    for entry in &header.entries {
        evaluate::supporting(entry.dtype, device)?;
    }
    let mut tensors: Vec<Option<Tensor>> = vec![None; header.entries.len()];
    let mut elements = Vec::new();
    for number in header.by_place() {
        if cancelled() {
            return Err(Error::new(Kind::Interrupted, "load: interrupted.").into());
        }
        let entry = &header.entries[number];
        take(&mut file, entry, &mut elements).map_err(|error| error.within("load", path))?;
        tensors[number] = Some(evaluate::from_bytes(entry.dtype, &entry.shape, &elements, device)?);
    }
    let named = header.entries.into_iter().zip(tensors);
    let tensors = named.filter_map(|(entry, tensor)| Some((entry.name, tensor?))).collect();
    Ok((tensors, header.metadata))
}

/// Reads the elements of the next tensor.
fn take(file: &mut File, entry: &Entry, elements: &mut Vec<u8>) -> std::result::Result<(), Unread> {
    elements.clear();
    let bytes = usize::try_from(entry.bytes).unwrap_or(usize::MAX);
    elements.try_reserve_exact(bytes).map_err(|_| Unread::Engine(exhausted(entry)))?;
    let got = file.by_ref().take(entry.bytes).read_to_end(elements).map_err(Unread::System)? as u64;
    if got < entry.bytes {
        let text = format!("the file was cut short while it was read: {got} of {} bytes are there", entry.bytes);
        return Err(Unread::Fault(Fault::of(&entry.name, entry.begin + got, text)));
    }
    in_native_order(entry.dtype, elements);
    let wrong = if entry.dtype == DType::Bool { elements.iter().position(|&byte| byte > 1) } else { None };
    wrong.map_or(Ok(()), |at| {
        let text = format!("{:#04x} is no bool: 0x00 or 0x01", elements[at]);
        Err(Unread::Fault(Fault::of(&entry.name, entry.begin + at as u64, text)))
    })
}

fn exhausted(entry: &Entry) -> Error {
    let text = format!("load: no memory for the {} bytes of tensor {:?}.", entry.bytes, shortened(&entry.name));
    Error::new(Kind::OutOfMemory, format!("{text} Drop tensors that are no longer needed."))
}

/// Elements between the order of bytes of files, little-endian, and the processor's.
pub(crate) fn in_native_order(dtype: DType, elements: &mut [u8]) {
    if cfg!(target_endian = "big") {
        elements.chunks_exact_mut(dtype.size()).for_each(<[u8]>::reverse);
    }
}
