//! A network of 2, 8 and 2 neurons learns exclusive or: forward, backward and update in the engine's own functions.
//!
//! `cargo run --release --example xor -p adret-core`. Depends on adret-core alone. It fails with a status where it has not learned.

use std::error::Error;
use std::sync::Arc;

use adret_core::autograd::gradients;
use adret_core::backend::Device;
use adret_core::dtype::DType;
use adret_core::error::Result;
use adret_core::evaluate::{evaluate, from_bytes, read};
use adret_core::graph::{GradMode, GradSlot, Tensor, leaf};
use adret_core::ops::{self, Reduce, random};
use adret_core::shape::Shape;

const STEPS: usize = 300;
const RATE: f64 = 0.5;

/// A tensor of these numbers.
fn tensor<T: bytemuck::NoUninit>(dtype: DType, shape: &[usize], values: &[T]) -> Result<Tensor> {
    from_bytes(dtype, &Shape::new(shape)?, bytemuck::cast_slice(values), Device::Cpu)
}

/// The numbers of a tensor, computed now.
fn values<T: bytemuck::AnyBitPattern>(x: &Tensor) -> Result<Vec<T>> {
    Ok(read(x, &|| false)?.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect())
}

/// Logits `[batch, 2]` = tanh(x · w1 + b1) · w2 + b2.
fn forward(x: &Tensor, parameters: &[Tensor]) -> Result<Tensor> {
    let [w1, b1, w2, b2] = parameters else { unreachable!("two layers") };
    let hidden = ops::tanh(&ops::add(&ops::matmul(x, w1)?, b1)?)?;
    ops::add(&ops::matmul(&hidden, w2)?, b2)
}

/// w − rate · grad, as a leaf that the next step differentiates.
fn descend(parameter: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let _unrecorded = GradMode::set(false);
    let step = ops::mul_scalar(grad, RATE)?;
    Ok(leaf(&ops::sub(parameter, &step)?, Arc::new(GradSlot::default())))
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let x = tensor::<f32>(DType::F32, &[4, 2], &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
    let labels = tensor::<i64>(DType::I64, &[4], &[0, 1, 1, 0])?;
    let shapes: [&[usize]; 4] = [&[2, 8], &[8], &[8, 2], &[2]];
    let mut parameters = Vec::new();
    for (key, shape) in shapes.iter().enumerate() {
        let start = random::uniform(shape, -1.0, 1.0, DType::F32, Device::Cpu, key as u64, 0)?;
        parameters.push(leaf(&start, Arc::new(GradSlot::default())));
    }

    for step in 0..=STEPS {
        // Nothing is computed here: the loss, its gradients and the update are one graph.
        let loss = ops::cross_entropy(&forward(&x, &parameters)?, &labels, None, None, 0.0, Reduce::Mean)?;
        let grads = gradients(&[(loss.clone(), None)], &parameters, false, false)?;
        for (parameter, grad) in parameters.iter_mut().zip(&grads) {
            *parameter = descend(parameter, grad.as_ref().ok_or("the loss depends on every parameter")?)?;
        }
        // Now it is computed, together; from the second step on, by the plan of the first.
        let asked: Vec<Tensor> = parameters.iter().chain([&loss]).cloned().collect();
        evaluate(&asked, &|| false)?;
        if step % 100 == 0 {
            println!("step {step:3}: loss {:.4}", values::<f32>(&loss)?[0]);
        }
    }

    let found: Vec<i64> = values(&ops::argmax(&forward(&x, &parameters)?, Some(1), false)?)?;
    println!("0^0, 0^1, 1^0, 1^1: {found:?}");
    if found == [0, 1, 1, 0] { Ok(()) } else { Err("exclusive or was not learned".into()) }
}

#[test]
fn exclusive_or_is_learned() {
    main().unwrap();
}
