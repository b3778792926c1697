//! The header: what tensors a file holds and where, checked so strictly that everything after it can rely on it.
//! Depends on `json`, `dtype`, serde, and the crate `safetensors` for the format's element types. Invariant: the entries of a `Header` cover
//! the data exactly, none overlaps another, every name is there once.
//!
//! That crate's own reader keeps the last of two tensors of a name and cannot say where a fault lies; so members are walked here.

use std::collections::{BTreeMap, HashSet};

use adret_core::dtype::DType;
use adret_core::error::{Error, Result};
use adret_core::shape::Shape;
use safetensors::Dtype;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::dtype;
use crate::error::{Fault, shortened};
use crate::json::{self, Members};

/// Bytes that a header may have: as much as other readers of the format take.
pub const LONGEST_HEADER: u64 = 100_000_000;
/// Bytes before the header: its length.
pub(crate) const PREFIX: u64 = 8;
/// The member that is no tensor.
const METADATA: &str = "__metadata__";
/// Axes that a tensor in a file may have, as in NumPy.
const MOST_AXES: usize = 64;

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, unique in the file.
    pub name: String,
    /// Type of its elements.
    pub dtype: DType,
    /// Its sizes.
    pub shape: Shape,
    /// Byte of the file where its elements begin.
    pub begin: u64,
    /// Bytes of its elements.
    pub bytes: u64,
}

/// An entry as the header writes it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    dtype: Dtype,
    shape: Vec<usize>,
    /// First byte and the one after the last, counted from the end of the header.
    data_offsets: (u64, u64),
}

impl Entry {
    /// What entries are sorted by: empty ones come before what begins at the same byte.
    fn place(&self) -> (u64, u64) {
        (self.begin, self.bytes)
    }
}

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The tensors, in the header's order.
    pub entries: Vec<Entry>,
    /// Texts by name.
    pub metadata: BTreeMap<String, String>,
    /// Bytes of the whole file.
    pub bytes: u64,
}

/// The length of the header of a file of so many bytes, from its first eight.
///
/// # Errors
/// A length that cannot be.
pub(crate) fn length(prefix: [u8; 8], file: u64) -> std::result::Result<u64, Fault> {
    let length = u64::from_le_bytes(prefix);
    if length > LONGEST_HEADER {
        return Err(Fault::new(0, format!("the header would have {length} bytes; {LONGEST_HEADER} are allowed")));
    }
    let rest = file - PREFIX;
    if length > rest {
        return Err(Fault::new(0, format!("the header would have {length} bytes, and the file ends after {rest}")));
    }
    Ok(length)
}

impl Header {
    /// The header of a file that is wholly in memory.
    ///
    /// # Errors
    /// The first break of the format.
    pub fn of_file(file: &[u8]) -> std::result::Result<Self, Fault> {
        let prefix = file.first_chunk().ok_or_else(|| too_short(file.len() as u64))?;
        let length = length(*prefix, file.len() as u64)?;
        Self::parse(&file[PREFIX as usize..(PREFIX + length) as usize], file.len() as u64)
    }

    /// The header of a file of `file` bytes.
    ///
    /// # Errors
    /// The first break of the format.
    pub fn parse(header: &[u8], file: u64) -> std::result::Result<Self, Fault> {
        let text = std::str::from_utf8(header).map_err(|error| {
            let at = error.valid_up_to();
            Fault::new(PREFIX + at as u64, format!("byte {:#04x} is not UTF-8", header[at]))
        })?;
        if !text.starts_with('{') {
            return Err(Fault::new(PREFIX, "the header does not begin with '{'"));
        }
        let Members(members) = serde_json::from_str(text).map_err(|error| {
            let (at, message) = json::describe(text, &error);
            Fault::new(PREFIX + at, format!("the header is no JSON object: {message}"))
        })?;
        let mut seen = HashSet::with_capacity(members.len());
        let data = PREFIX + header.len() as u64;
        let mut metadata = BTreeMap::new();
        let mut entries = Vec::with_capacity(members.len());
        let place = |value: &RawValue| PREFIX + json::place(text, value.get());
        if let Some((name, value)) = members.iter().find(|(name, _)| !seen.insert(name.as_str())) {
            return Err(Fault::of(name, place(value), "the name stands in the header twice"));
        }
        for (name, value) in &members {
            let at = place(value);
            if name == METADATA {
                metadata = texts(value.get(), at)?;
            } else {
                entries.push(entry(name, value.get(), at, data)?);
            }
        }
        cover(&entries, data, file)?;
        Ok(Self { entries, metadata, bytes: file })
    }

    /// The header of a file of these tensors, and its bytes from the prefix to where the data begin.
    ///
    /// Elements lie by falling size, so that each is aligned to its own size wherever the file is mapped.
    ///
    /// # Errors
    /// Names that are no tensor's or come twice, more axes than files may have, more tensors than a header holds.
    pub fn new(
        tensors: impl IntoIterator<Item = (String, DType, Shape)>,
        metadata: BTreeMap<String, String>,
    ) -> Result<(Self, Vec<u8>)> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        for (name, dtype, shape) in tensors {
            if name == METADATA || !seen.insert(name.clone()) {
                return Err(Error::value(format!(
                    "save: the name {:?} is {}. Choose another.",
                    shortened(&name),
                    if name == METADATA { "the format's own" } else { "there twice" }
                )));
            }
            if shape.rank() > MOST_AXES {
                return Err(Error::shape(format!(
                    "save: tensor {:?} has {} axes; files hold {MOST_AXES}. Reshape it.",
                    shortened(&name),
                    shape.rank()
                )));
            }
            let bytes = (shape.elements() * dtype.size()) as u64;
            entries.push(Entry { name, dtype, shape, begin: 0, bytes });
        }
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by_key(|&number| std::cmp::Reverse(entries[number].dtype.size()));
        let mut end = 0;
        for number in order {
            entries[number].begin = end;
            end += entries[number].bytes;
        }
        let mut bytes = vec![0; PREFIX as usize];
        bytes.extend(text(&entries, &metadata)?.as_bytes());
        // Spaces, so that the data begin at a multiple of 8.
        bytes.resize(bytes.len().next_multiple_of(8), b' ');
        let length = bytes.len() as u64 - PREFIX;
        if length > LONGEST_HEADER {
            return Err(Error::value(format!(
                "save: the names of {} tensors and their metadata take {length} bytes; files hold {LONGEST_HEADER}. Save \
                 fewer tensors, for instance several stacked in one.",
                entries.len()
            )));
        }
        bytes[..PREFIX as usize].copy_from_slice(&length.to_le_bytes());
        let data = bytes.len() as u64;
        entries.iter_mut().for_each(|entry| entry.begin += data);
        Ok((Self { entries, metadata, bytes: data + end }, bytes))
    }

    /// The numbers of the entries in the order in which their elements lie in the file.
    pub(crate) fn by_place(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_by_key(|&number| self.entries[number].place());
        order
    }
}

/// The fault of a file that is shorter than the prefix.
pub(crate) fn too_short(bytes: u64) -> Fault {
    Fault::new(bytes, format!("the file ends after {bytes} bytes, before the header's length"))
}

/// The metadata: an object of texts.
fn texts(value: &str, at: u64) -> std::result::Result<BTreeMap<String, String>, Fault> {
    let broken = |piece: &str, error: &serde_json::Error| {
        let (inner, message) = json::describe(piece, error);
        Fault::new(at + json::place(value, piece) + inner, format!("{METADATA} is no object of texts: {message}"))
    };
    let Members(members) = serde_json::from_str(value).map_err(|error| broken(value, &error))?;
    let mut texts = BTreeMap::new();
    for (name, value) in members {
        let text = serde_json::from_str(value.get()).map_err(|error| broken(value.get(), &error))?;
        if texts.insert(name.clone(), text).is_some() {
            return Err(Fault::new(at, format!("{METADATA} has the name {:?} twice", shortened(&name))));
        }
    }
    Ok(texts)
}

/// One tensor's entry, sound by itself.
fn entry(name: &str, value: &str, at: u64, data: u64) -> std::result::Result<Entry, Fault> {
    let fault = |text: String| Fault::of(name, at, text);
    if !value.starts_with('{') {
        return Err(fault("the entry is no object with dtype, shape and data_offsets".to_owned()));
    }
    let written: Written = serde_json::from_str(value).map_err(|error| {
        let (inner, message) = json::describe(value, &error);
        Fault::of(name, at + inner, message)
    })?;
    let dtype = dtype::from_files(written.dtype)
        .ok_or_else(|| fault(format!("elements of {} cannot be computed with here", written.dtype)))?;
    if written.shape.len() > MOST_AXES {
        return Err(fault(format!("{} axes are more than {MOST_AXES}", written.shape.len())));
    }
    let shape = Shape::new(&written.shape)
        .map_err(|_| fault(format!("the shape {:?} has more elements than memory can address", written.shape)))?;
    let (begin, end) = written.data_offsets;
    let bytes = end.checked_sub(begin).ok_or_else(|| fault(format!("data_offsets run backwards, {begin} to {end}")))?;
    let wanted = (shape.elements() * dtype.size()) as u64;
    if bytes != wanted {
        return Err(fault(format!("{shape} of {dtype} takes {wanted} bytes, and data_offsets have {bytes}")));
    }
    let begin = begin.checked_add(data).filter(|begin| begin.checked_add(bytes).is_some());
    let begin = begin.ok_or_else(|| fault(format!("data_offsets end beyond any file, at {end}")))?;
    Ok(Entry { name: name.to_owned(), dtype, shape, begin, bytes })
}

/// Checks that the entries fill the file from the end of the header to its own, each byte once.
fn cover(entries: &[Entry], data: u64, file: u64) -> std::result::Result<(), Fault> {
    let mut order: Vec<&Entry> = entries.iter().collect();
    order.sort_by_key(|entry| entry.place());
    let mut position = data;
    for entry in order {
        let (begin, end) = (entry.begin, entry.begin + entry.bytes);
        if end > file {
            let text = format!("the elements end at byte {end}, and the file ends at {file}");
            return Err(Fault::of(&entry.name, file, text));
        }
        if begin < position {
            let text = format!("the elements begin at byte {begin}, inside another tensor's, which end at {position}");
            return Err(Fault::of(&entry.name, begin, text));
        }
        if begin > position {
            let text = format!("the bytes from {position} to {begin}, before the elements, belong to no tensor");
            return Err(Fault::of(&entry.name, position, text));
        }
        position = end;
    }
    if position < file {
        return Err(Fault::new(position, format!("the last {} bytes belong to no tensor", file - position)));
    }
    Ok(())
}

/// The header's JSON; offsets count from the data.
fn text(entries: &[Entry], metadata: &BTreeMap<String, String>) -> Result<String> {
    let quoted = |error: serde_json::Error| Error::internal(format!("save: the header cannot be written: {error}"));
    let mut members = Vec::with_capacity(entries.len() + 1);
    if !metadata.is_empty() {
        members.push(format!("\"{METADATA}\":{}", serde_json::to_string(metadata).map_err(quoted)?));
    }
    for entry in entries {
        let written = Written {
            dtype: dtype::in_files(entry.dtype),
            shape: entry.shape.to_vec(),
            data_offsets: (entry.begin, entry.begin + entry.bytes),
        };
        let name = serde_json::to_string(&entry.name).map_err(quoted)?;
        members.push(format!("{name}:{}", serde_json::to_string(&written).map_err(quoted)?));
    }
    Ok(format!("{{{}}}", members.join(",")))
}
