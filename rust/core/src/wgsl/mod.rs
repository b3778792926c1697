//! Prints kernels as WGSL text. Nothing else in the core knows the language's syntax.
//! Depends on `group`, `plan` and the vocabulary. Invariant: the text of a shader depends on structure alone (ranks, dtypes,
//! instructions, which strides are 0 or 1); sizes, strides, starts and scalars reach it as parameters.
//!
//! In shaders an element is one 32-bit word: booleans and narrow integers are widened when they are copied to the device.
//! Two 16-bit floats share a word; dtypes of 64 bits, where the adapter has them, take two.

mod cooperative;
mod domain;
mod fours;
mod kernels;
mod library;
mod matmul;
mod pointwise;
mod source;
mod split;
mod squares;
mod stored;
#[cfg(test)]
mod tests;
mod types;
mod values;
mod wide;

pub use source::with_writable;
pub(crate) use source::{Memory, Source, WORKGROUP};
pub(crate) use squares::{ENOUGH, Square};
pub use types::{DTYPES, WIDE_DTYPES, WORD_BYTES, element_bytes};
pub(crate) use types::{Type, wrapped};

use crate::code::Code;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::plan::{Candidate, Caps, Kernel, Place, Work};

/// A function of operands of a dtype, as an expression.
pub(crate) fn function(code: Code, dtype: DType, operands: &[&str]) -> String {
    pointwise::pointwise(code, dtype, Type::of(dtype), operands)
}

/// The ways to run a kernel on a GPU, best first.
///
/// # Errors
/// When the device cannot hold a dtype, bind so many buffers or count so many elements, or where an op has no shader.
pub fn lower(kernel: &Kernel, caps: &Caps) -> Result<Vec<Candidate>> {
    for argument in &kernel.arguments {
        // Coordinates and positions may pass from kernel to kernel, see `wide`.
        let passing = argument.dtype == DType::I64 && matches!(argument.place, Place::Temporary(_));
        if !caps.dtypes.contains(&argument.dtype) && !passing {
            return Err(unsupported(argument.dtype));
        }
    }
    let arguments = wide::passing(&kernel.arguments, caps);
    match &kernel.work {
        Work::Group(group) => kernels::candidates(group, &arguments, caps),
        Work::Matmul(product) => matmul::candidates(product, &arguments, caps),
        Work::Structured { routine, slots } => {
            let ways = routine.gpu(&arguments, *slots, caps);
            if ways.is_empty() {
                return Err(Error::device(format!(
                    "{}: this op has no GPU kernel yet. Move its inputs to the CPU with to('cpu').",
                    routine.name()
                )));
            }
            Ok(ways)
        }
    }
}

fn unsupported(dtype: DType) -> Error {
    Error::dtype(format!(
        "gpu: this adapter does not compute in {dtype}. Use astype to float32, int32 or uint32 before, or the CPU."
    ))
}
