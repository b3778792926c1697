//! Writing: everything is computed, then streamed into a file that takes the place of the earlier one.
//! Depends on `header`, `atomic` and the core's `evaluate`. Invariant: no more than one tensor is in memory twice.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use adret_core::error::{Error, ErrorKind};
use adret_core::evaluate::{self, Cancelled};
use adret_core::graph::Tensor;

use crate::atomic::Replacement;
use crate::error::{FileError, Result};
use crate::header::Header;
use crate::read::in_native_order;

/// Writes tensors and texts to a path. Until everything is on the disk the path leads to the earlier file.
///
/// # Errors
/// When the system refuses, a tensor cannot be computed, a name cannot be written, or the user interrupts: the earlier file stands.
pub fn save(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: &BTreeMap<String, String>,
    cancelled: &Cancelled<'_>,
) -> Result<()> {
    let described = tensors.iter().map(|(name, tensor)| {
        (name.clone(), tensor.dtype(), adret_core::shape::Shape::from_sound(tensor.shape().iter().copied()))
    });
    let (header, start) = Header::new(described, metadata.clone())?;
    // All in one evaluation: they may share work.
    let values: Vec<Tensor> = tensors.iter().map(|(_, tensor)| tensor.clone()).collect();
    evaluate::evaluate(&values, cancelled)?;
    let system = |error| FileError::System(path.to_owned(), error);
    let mut file = Replacement::begin(path).map_err(system)?;
    file.write_all(&start).map_err(system)?;
    for number in header.by_place() {
        if cancelled() {
            return Err(Error::new(ErrorKind::Interrupted, "save: interrupted. The earlier file stands.").into());
        }
        let mut elements = evaluate::read(&values[number], cancelled)?;
        in_native_order(values[number].dtype(), &mut elements);
        file.write_all(&elements).map_err(system)?;
    }
    file.finish().map_err(system)
}
