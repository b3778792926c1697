//! Moving a value to another device. Depends on `graph`. Invariant: the gradient moves back.

use smallvec::{SmallVec, smallvec};

use super::movement::same;
use crate::backend::Device;
use crate::error::Result;
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};

#[derive(Debug)]
struct Transfer(Device);

impl Op for Transfer {
    fn name(&self) -> &'static str {
        "to"
    }
    fn key(&self, key: &mut Key) {
        key.number(match self.0 {
            Device::Cpu => 0,
            Device::Gpu(number) => u64::from(number) + 1,
        });
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![inputs[0].clone()])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let back = || to_device(cx.grad(), cx.inputs[0].device()).map(Cotangent::Dense);
        Ok(smallvec![cx.needs[0].then(back).transpose()?])
    }
    fn lower(&self) -> Lowering {
        Lowering::Transfer(self.0)
    }
}

/// The same value on `device`.
///
/// # Errors
/// When the device is not there.
pub fn to_device(x: &Tensor, device: Device) -> Result<Tensor> {
    if x.device() == device { same(x) } else { apply(Transfer(device), &[x]) }
}
