//! What fuses with what, seen in plans. Depends on `ops` and `cpu`.

use super::*;
use crate::backend::Device;
use crate::dtype::{DType, Scalar};
use crate::error::Result;
use crate::graph::{Storage, Tensor, from_storage};
use crate::layout::Layout;
use crate::ops;
use crate::plan::Work;
use crate::shape::Shape;

/// A leaf of that shape.
fn leaf(sizes: &[usize]) -> Tensor {
    let shape = Shape::new(sizes).unwrap();
    let buffer = crate::cpu::memory::allocate(shape.elements() * 4).unwrap();
    from_storage(DType::F32, Storage { buffer, layout: Layout::contiguous(shape) }, Device::Cpu)
}

/// The kernels of a plan: `group` with the number of stores, or `matmul` with those of its epilogue.
fn kernels(targets: &[Tensor]) -> Vec<String> {
    let options = Options { fuse: true };
    let Walk::Graph(snapshot) = Walk::from(targets, &[], Device::Cpu, options, Snapshot::default()) else {
        panic!("no graph")
    };
    let plan = plan(&snapshot, options, Limits::NONE);
    plan.kernels
        .iter()
        .map(|kernel| match &kernel.work {
            Work::Group(group) => format!("group {}", group.stores.len()),
            Work::Matmul(product) => match &product.epilogue {
                Some(group) => format!("matmul+{}", group.stores.len()),
                None => "matmul".to_owned(),
            },
            Work::Structured { routine, .. } => routine.name().to_owned(),
        })
        .collect()
}

#[test]
fn a_tree_of_pointwise_ops_is_one_group() -> Result<()> {
    let x = leaf(&[8, 5]);
    let y = ops::add(&ops::tanh(&x)?, &ops::mul(&x, &leaf(&[5]))?)?;
    assert_eq!(kernels(&[ops::exp(&y)?]), ["group 1"]);
    assert_eq!(kernels(&[ops::exp(&y)?, y]), ["group 2"]);
    Ok(())
}

#[test]
fn a_row_chain_is_one_group() -> Result<()> {
    let x = leaf(&[8, 5]);
    let shifted = ops::sub(&x, &ops::reduce(ops::Reduction::Max, &x, Some(&[1]), true)?)?;
    let exponentials = ops::exp(&shifted)?;
    let sum = ops::reduce(ops::Reduction::Sum, &exponentials, Some(&[1]), true)?;
    assert_eq!(kernels(&[ops::div(&exponentials, &sum)?]), ["group 1"]);
    Ok(())
}

#[test]
fn a_layer_is_a_product_with_epilogue() -> Result<()> {
    let x = leaf(&[8, 5]);
    let hidden = ops::relu(&ops::linear(&x, &leaf(&[7, 5]), Some(&leaf(&[7])))?)?;
    assert_eq!(kernels(std::slice::from_ref(&hidden)), ["matmul+1"]);
    // A residual connection round a product must not wait for itself.
    let out = ops::add(&ops::linear(&hidden, &leaf(&[7, 7]), None)?, &hidden)?;
    assert_eq!(kernels(&[out]), ["matmul+1", "matmul+1"]);
    Ok(())
}

#[test]
fn loss_and_its_reduction_fuse() -> Result<()> {
    let x = leaf(&[8, 5]);
    let mean = ops::reduce(ops::Reduction::Mean, &ops::square(&ops::sub(&x, &leaf(&[8, 5]))?)?, None, false)?;
    assert_eq!(
        kernels(&[ops::mul(&mean, &ops::full(&[], Scalar::Float(2.0), DType::F32, Device::Cpu)?)?]),
        ["group 1"]
    );
    Ok(())
}

#[test]
fn slices_and_pads_are_read_in_place() -> Result<()> {
    let x = ops::exp(&leaf(&[8, 5]))?;
    let part = ops::slice(
        &x,
        &[ops::SliceAxis { start: 6, step: -2, size: 3 }, ops::SliceAxis { start: 1, step: 1, size: 4 }],
    )?;
    let padded = ops::pad(&part, &[1, 0], &[0, 2], Scalar::Float(0.0))?;
    assert_eq!(kernels(&[ops::add(&padded, &leaf(&[4, 6]))?]), ["group 1"]);
    Ok(())
}

/// One training step of a small network, SGD with momentum, as `optimizer.step()` sees it.
#[test]
fn a_training_step_has_few_kernels() -> Result<()> {
    use crate::autograd;
    use crate::graph::{GradSlot, Handle, leaf as differentiable};
    use std::sync::Arc;
    let (x, labels) = (leaf(&[16, 12]), leaf(&[16, 4]));
    let slots: Vec<Arc<GradSlot>> = (0..4).map(|_| Arc::default()).collect();
    let shapes: [&[usize]; 4] = [&[8, 12], &[8], &[4, 8], &[4]];
    let parameters: Vec<Handle> =
        shapes.iter().zip(&slots).map(|(s, slot)| Handle::new(differentiable(&leaf(s), slot.clone()))).collect();
    let p: Vec<Tensor> = parameters.iter().map(Handle::tensor).collect();
    let hidden = ops::relu(&ops::linear(&x, &p[0], Some(&p[1]))?)?;
    let out = ops::linear(&hidden, &p[2], Some(&p[3]))?;
    let loss = ops::reduce(ops::Reduction::Mean, &ops::square(&ops::sub(&out, &labels)?)?, None, false)?;
    drop(p);
    autograd::backward(&[(loss.clone(), None)], false, false)?;
    let _mode = crate::graph::GradMode::set(false);
    let mut targets = Vec::new();
    for (parameter, slot) in parameters.iter().zip(&slots) {
        let velocity =
            ops::add(&ops::mul_scalar(&leaf(parameter.tensor().shape()), 0.9)?, &slot.get().unwrap().tensor())?;
        let new = ops::sub(&parameter.tensor(), &ops::mul_scalar(&velocity, 0.1)?)?;
        slot.set(None);
        parameter.rebind(differentiable(&new, slot.clone()));
        targets.extend([parameter.tensor(), velocity]);
    }
    drop((loss, out, hidden));
    let options = Options { fuse: true };
    let Walk::Graph(snapshot) = Walk::from(&targets, &[], Device::Cpu, options, Snapshot::default()) else {
        panic!("no graph")
    };
    let plan = plan(&snapshot, options, Limits::NONE);
    let names = kernels(&targets);
    // Three products for the values and the hidden gradient, two for the weights' gradients, and the updates.
    assert!(names.len() <= 12, "{names:?}");
    // Weights and their velocities are updated in place, at the end; biases are updated where their gradient is summed.
    assert_eq!(plan.outputs.iter().filter(|output| output.donor.is_some()).count(), 4, "{names:?} {:?}", plan.outputs);
    assert_eq!(plan.kernels.len() - plan.commit, 2);
    Ok(())
}
