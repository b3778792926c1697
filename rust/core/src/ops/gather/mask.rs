//! Positions of the true elements of a mask. Depends on `walk`.
//! Invariant: the number of positions is known when the node is made, so the mask's value must be there.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::super::operand::default_integer;
use super::super::pointwise::astype;
use super::super::transfer::to_device;
use super::super::walk::Walk;
use crate::backend::{Device, HostArguments};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::plan::{Argument, Candidate, Caps, Structured};
use crate::shape::Shape;

/// Row-major positions where `mask` is true, as the default integer of `device`, on it.
pub(super) fn positions(mask: &Tensor, device: Device) -> Result<Tensor> {
    let storage = mask.storage().and_then(|storage| Some((storage.buffer.host()?, &storage.layout)));
    let Some((base, layout)) = storage else {
        return Err(Error::value(
            "index: a boolean mask decides the result's shape, so its value must be known on the CPU. Evaluate it first.",
        ));
    };
    let base = base.wrapping_offset(layout.offset);
    let mut count = 0;
    Walk::new(&layout.shape, [&layout.strides]).each(|[at]| {
        // SAFETY: a storage's layout stays inside its buffer; a bool is one byte.
        count += usize::from(unsafe { *base.offset(at) } != 0);
    });
    to_device(&astype(&apply(Positions { count }, &[mask])?, default_integer(device))?, device)
}

/// Positions that are gathered before they are stored.
const BLOCK: usize = 1024;

#[derive(Clone, Debug)]
struct Positions {
    count: usize,
}

impl Op for Positions {
    fn name(&self) -> &'static str {
        "nonzero"
    }
    fn key(&self, key: &mut Key) {
        key.number(self.count as u64);
    }
    fn infer(&self, _inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![Meta::new(Shape::from_sound([self.count]), DType::I64)])
    }
    fn vjp(&self, _cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        Ok(smallvec![None])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

impl Structured for Positions {
    fn name(&self) -> &'static str {
        "nonzero"
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        let [mask, result] = host.arguments else { unreachable!("nonzero has two arguments") };
        let (mut position, mut found) = (0i64, 0usize);
        // Every position is written, and the next one in its place if it is false: no branch follows the mask.
        let (mut block, mut held) = ([0i64; BLOCK], 0usize);
        let mut store = |block: &[i64]| {
            for &position in block.iter().take(self.count - found.min(self.count)) {
                // SAFETY: `found` stays below the result's size.
                unsafe {
                    let to = result.data.0.cast::<i64>().offset(found as isize * result.layout.strides[0]);
                    to.write_unaligned(position);
                }
                found += 1;
            }
        };
        Walk::new(&mask.layout.shape, [&mask.layout.strides]).each(|[at]| {
            block[held] = position;
            // SAFETY: the walk stays inside the mask.
            held += usize::from(unsafe { *mask.data.0.offset(at) } != 0);
            position += 1;
            if held == BLOCK {
                store(&block);
                held = 0;
            }
        });
        store(&block[..held]);
        if found == self.count {
            return Ok(());
        }
        Err(Error::internal(format!("nonzero: {found} true elements where {} were counted.", self.count)))
    }

    fn gpu(&self, _arguments: &[Argument], _slots: usize, _caps: &Caps) -> Vec<Candidate> {
        Vec::new()
    }
}
