//! What the tests of operations share: tensors from numbers and back, and gradients by central differences in float64.
//! Depends on the public interface of the engine. Invariant: everything is deterministic.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::Arc;

use adret_core::autograd::gradients;
use adret_core::backend::Device;
use adret_core::dtype::{DType, Scalar};
use adret_core::error::Result;
use adret_core::evaluate::{evaluate, from_bytes, read};
use adret_core::graph::{GradSlot, Tensor, leaf};
use adret_core::ops;
use adret_core::shape::Shape;

/// A float64 tensor on the CPU.
pub(crate) fn tensor(shape: &[usize], values: &[f64]) -> Tensor {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    from_bytes(DType::F64, &Shape::new(shape).unwrap(), &bytes, Device::Cpu).unwrap()
}

/// An int64 tensor on the CPU.
pub(crate) fn integers(shape: &[usize], values: &[i64]) -> Tensor {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    from_bytes(DType::I64, &Shape::new(shape).unwrap(), &bytes, Device::Cpu).unwrap()
}

/// A bool tensor on the CPU.
pub(crate) fn mask(shape: &[usize], values: &[u8]) -> Tensor {
    from_bytes(DType::Bool, &Shape::new(shape).unwrap(), values, Device::Cpu).unwrap()
}

/// The elements as float64.
pub(crate) fn values(x: &Tensor) -> Vec<f64> {
    let wide = ops::astype(x, DType::F64).unwrap();
    let bytes = read(&wide, &|| false).unwrap_or_else(|error| panic!("{error}"));
    bytes.chunks_exact(8).map(|chunk| f64::from_ne_bytes(chunk.try_into().unwrap())).collect()
}

/// Asserts shape and elements, up to `tolerance`.
#[track_caller]
pub(crate) fn assert_close(x: &Tensor, shape: &[usize], expected: &[f64], tolerance: f64) {
    assert_eq!(&x.shape()[..], shape);
    let found = values(x);
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let close = (a - b).abs() <= tolerance * b.abs().max(1.0) || a == b || (a.is_nan() && b.is_nan());
        assert!(close, "element {i}: {a} instead of {b}\nfound {found:?}\nexpected {expected:?}");
    }
    assert_eq!(found.len(), expected.len());
}

/// Evaluates, for its errors.
pub(crate) fn run(x: &Tensor) -> Result<()> {
    evaluate(std::slice::from_ref(x), &|| false)
}

/// Numbers without pattern between `low` and `high`, from a linear congruence.
pub(crate) fn noise(count: usize, seed: u64, low: f64, high: f64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            low + (high - low) * ((state >> 11) as f64 / (1u64 << 53) as f64)
        })
        .collect()
}

/// A function under test.
pub(crate) type Function<'a> = &'a dyn Fn(&[Tensor]) -> Result<Tensor>;

/// One number that depends on every element of the result: Σ result · weights.
fn weighted(function: Function<'_>, inputs: &[Tensor]) -> Result<Tensor> {
    let result = function(inputs)?;
    let weights = tensor(result.shape(), &noise(result.shape().elements(), 77, 0.5, 1.5));
    ops::reduce(ops::Reduction::Sum, &ops::mul(&result, &weights)?, None, false)
}

fn leaves(shapes: &[Vec<usize>], points: &[Vec<f64>]) -> Vec<Tensor> {
    let make = |(shape, point): (&Vec<usize>, &Vec<f64>)| leaf(&tensor(shape, point), Arc::new(GradSlot::default()));
    shapes.iter().zip(points).map(make).collect()
}

/// Gradients with zeros for inputs that the result does not depend on.
fn dense_gradients(loss: &Tensor, inputs: &[Tensor], create_graph: bool) -> Result<Vec<Tensor>> {
    if !loss.requires_grad() {
        return inputs.iter().map(ops::zeros_like).collect();
    }
    let found = gradients(&[(loss.clone(), None)], inputs, create_graph, create_graph)?;
    found.into_iter().zip(inputs).map(|(grad, input)| grad.map_or_else(|| ops::zeros_like(input), Ok)).collect()
}

/// Compares the gradient of a scalar function with central differences.
fn compare(name: &str, shapes: &[Vec<usize>], points: &[Vec<f64>], function: Function<'_>, tolerance: f64) {
    const STEP: f64 = 1e-5;
    let fail = |error: adret_core::error::Error| -> Vec<Tensor> { panic!("{name}: {error}") };
    let inputs = leaves(shapes, points);
    let loss = function(&inputs).unwrap_or_else(|error| panic!("{name}: {error}"));
    let analytic = dense_gradients(&loss, &inputs, false).unwrap_or_else(fail);
    let at = |points: &[Vec<f64>]| values(&function(&leaves(shapes, points)).unwrap())[0];
    for (input, grad) in analytic.iter().enumerate() {
        assert_eq!(&grad.shape()[..], &shapes[input][..], "{name}: shape of gradient {input}");
        assert_eq!(grad.dtype(), DType::F64);
        for (element, found) in values(grad).into_iter().enumerate() {
            let mut moved = points.to_vec();
            moved[input][element] += STEP;
            let above = at(&moved);
            moved[input][element] -= 2.0 * STEP;
            let expected = (above - at(&moved)) / (2.0 * STEP);
            let scale = expected.abs().max(found.abs()).max(1.0);
            assert!(
                (found - expected).abs() <= tolerance * scale,
                "{name}: input {input}, element {element}: gradient {found}, differences {expected}, at {points:?}"
            );
        }
    }
}

/// Checks first and second derivatives at points drawn from `low..high`.
pub(crate) fn gradcheck(name: &str, shapes: &[&[usize]], low: f64, high: f64, function: Function<'_>) {
    let shapes: Vec<Vec<usize>> = shapes.iter().map(|shape| shape.to_vec()).collect();
    let points: Vec<Vec<f64>> = shapes
        .iter()
        .enumerate()
        .map(|(i, shape)| noise(shape.iter().product(), name.len() as u64 * 31 + i as u64, low, high))
        .collect();
    gradcheck_at(name, &shapes, &points, function);
}

/// Checks first and second derivatives at these points.
pub(crate) fn gradcheck_at(name: &str, shapes: &[Vec<usize>], points: &[Vec<f64>], function: Function<'_>) {
    compare(name, shapes, points, &|inputs| weighted(function, inputs), 1e-6);
    let name = format!("{name}, second order");
    compare(
        &name,
        shapes,
        points,
        &|inputs| {
            let loss = weighted(function, inputs)?;
            let mut sum = ops::full(&[], Scalar::Float(0.0), DType::F64, Device::Cpu)?;
            for (i, grad) in dense_gradients(&loss, inputs, true)?.iter().enumerate() {
                let weights = tensor(grad.shape(), &noise(grad.shape().elements(), 55 + i as u64, 0.5, 1.5));
                let part = ops::reduce(ops::Reduction::Sum, &ops::mul(grad, &weights)?, None, false)?;
                sum = ops::add(&sum, &part)?;
            }
            Ok(sum)
        },
        1e-5,
    );
}
