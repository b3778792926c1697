//! The engine's own plans: operations, losses, gradients and updates on the adapter against the same on the processor.

use std::sync::{Arc, OnceLock};

use adret_core::autograd::gradients;
use adret_core::backend::Device;
use adret_core::code::Code;
use adret_core::dtype::{DType, Scalar};
use adret_core::error::{ErrorKind, Result};
use adret_core::evaluate::{backend, evaluate, from_bytes, read, register_gpu};
use adret_core::graph::{GradSlot, Tensor, leaf};
use adret_core::ops::{self, Reduction};
use adret_core::shape::Shape;

use crate::build::{agree, floats, gpu, scattered};
use crate::naive::{Number, decode, encode};

/// Whether the engine has an adapter to work on.
pub(crate) fn ready() -> bool {
    static READY: OnceLock<bool> = OnceLock::new();
    *READY.get_or_init(|| {
        register_gpu(adret_gpu::open);
        gpu().is_some() && backend(Device::Gpu(0)).is_ok()
    })
}

pub(crate) fn tensor(shape: &[usize], dtype: DType, data: &[Number], device: Device) -> Tensor {
    from_bytes(dtype, &Shape::new(shape).unwrap(), &encode(dtype, data), device).unwrap()
}

fn values(x: &Tensor) -> Vec<Number> {
    decode(x.dtype(), &read(x, &|| false).unwrap_or_else(|error| panic!("{error}")))
}

/// A function of x `[6, 10]`, y `[6, 10]`, w `[10, 7]` and labels `[6]` (int32).
type Function = fn(&Tensor, &Tensor, &Tensor, &Tensor) -> Result<Tensor>;

const FUNCTIONS: &[(&str, Function)] = &[
    ("chain", |x, y, _, _| ops::mul(&ops::unary(Code::Tanh, &ops::add(x, y)?)?, &ops::unary(Code::Sigmoid, x)?)),
    ("broadcast", |x, y, _, _| ops::sub(x, &ops::reduce(Reduction::Mean, y, Some(&[0]), true)?)),
    ("transposed", |x, y, _, _| ops::add(&ops::matrix_transpose(x)?, &ops::matrix_transpose(y)?)),
    ("pad", |x, y, _, _| {
        ops::mul(
            &ops::pad(x, &[1, 2], &[0, 3], Scalar::Float(0.5))?,
            &ops::pad(y, &[0, 3], &[1, 2], Scalar::Float(-1.0))?,
        )
    }),
    ("flip", |x, y, _, _| ops::add(&ops::flip(x, None)?, y)),
    ("tril", |x, _, _, _| ops::tril(x, 1)),
    ("sum", |x, _, _, _| ops::reduce(Reduction::Sum, x, None, false)),
    ("columns", |x, _, _, _| ops::reduce(Reduction::Max, x, Some(&[0]), false)),
    ("variance", |x, _, _, _| ops::variance(x, Some(&[1]), 1.0, true)),
    ("norm", |x, y, _, _| ops::norm(&ops::sub(x, y)?, Some(&[1]), false)),
    ("argmax", |x, _, _, _| ops::astype(&ops::argmax(x, Some(1), false)?, DType::I32)),
    ("logsumexp", |x, _, _, _| ops::logsumexp(x, Some(&[1]), false)),
    ("softmax", |x, _, _, _| ops::softmax(x, 1)),
    ("log_softmax", |x, _, _, _| ops::log_softmax(x, 0)),
    ("layer_norm", |x, _, _, _| ops::layer_norm(x, 1, None, None, 1e-5)),
    ("gelu", |x, _, _, _| ops::gelu(x, false)),
    ("softplus", |x, _, _, _| ops::softplus(x)),
    ("matmul", |x, _, w, _| ops::matmul(x, w)),
    ("product of turned ones", |x, y, _, _| ops::matmul(&ops::matrix_transpose(x)?, y)),
    ("linear and rectifier", |x, _, w, _| ops::relu(&ops::add_scalar(&ops::matmul(x, w)?, 0.25)?)),
    ("product and softmax", |x, _, w, _| ops::softmax(&ops::matmul(x, w)?, 1)),
    ("one_hot", |_, _, _, labels| ops::one_hot(labels, 7, DType::F32)),
    ("cross_entropy", |x, _, w, labels| {
        ops::cross_entropy(&ops::matmul(x, w)?, labels, None, None, 0.1, ops::Reduce::Mean)
    }),
    ("mse", |x, y, _, _| ops::mse_loss(x, y, ops::Reduce::Mean)),
    ("arange", |x, _, _, _| ops::arange(Scalar::Int(3), Scalar::Int(100), Scalar::Int(7), DType::I32, x.device())),
    ("linspace", |x, _, _, _| ops::linspace(0.0, 1.0, 11, true, DType::F32, x.device())),
    ("eye", |x, _, _, _| ops::eye(4, 5, 1, DType::F32, x.device())),
    ("uniform", |x, _, _, _| ops::random::uniform(&[50], -1.0, 1.0, DType::F32, x.device(), 7, 1 << 40)),
    ("normal", |x, _, _, _| ops::random::normal(&[50], 0.0, 1.0, DType::F32, x.device(), 7, 3)),
    ("dropout", |x, _, _, _| ops::dropout(x, 0.5, 11, 5)),
    ("comparison", |x, y, _, _| ops::binary(Code::Less, &x.into(), &y.into())),
    ("where", |x, y, _, _| {
        let less = ops::binary(Code::Less, &x.into(), &y.into())?;
        ops::where_(&less, &x.into(), &(0.5f64).into())
    }),
    ("reshaped", |x, y, _, _| ops::mul(&ops::reshape(&ops::matrix_transpose(x)?, &[6, 10])?, y)),
    ("slices", |x, y, _, _| {
        let window = |start, step, size| ops::SliceAxis { start, step, size };
        let a = ops::slice(x, &[window(4, -2, 3), window(1, 3, 3)])?;
        ops::add(&a, &ops::slice(y, &[window(0, 1, 3), window(2, 1, 3)])?)
    }),
];

fn inputs(device: Device) -> [Tensor; 4] {
    let data = floats(190);
    let labels: Vec<Number> = scattered(6, 0, 7).into_iter().map(Number::Int).collect();
    [
        tensor(&[6, 10], DType::F32, &data[..60], device),
        tensor(&[6, 10], DType::F32, &data[60..120], device),
        tensor(&[10, 7], DType::F32, &data[120..], device),
        tensor(&[6], DType::I32, &labels, device),
    ]
}

pub(crate) fn assert_close(name: &str, here: &Tensor, there: &Tensor) {
    assert_eq!(here.shape(), there.shape(), "{name}");
    let (a, b) = (values(here), values(there));
    for (element, (&a, &b)) in a.iter().zip(&b).enumerate() {
        let close = agree(a, b, 2e-5) || (a.float() - b.float()).abs() < 2e-6;
        assert!(close, "{name}, element {element}: {a:?} here, {b:?} on the GPU");
    }
}

#[test]
fn operations() {
    if !ready() {
        return;
    }
    let [here, there] = [Device::Cpu, Device::Gpu(0)].map(inputs);
    for (name, function) in FUNCTIONS {
        let apply = |[x, y, w, labels]: &[Tensor; 4]| {
            function(x, y, w, labels).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        eprintln!("{name}");
        assert_close(name, &apply(&here), &apply(&there));
    }
}

#[test]
fn gradients_of_a_classifier() {
    if !ready() {
        return;
    }
    let run = |device: Device| -> Vec<Tensor> {
        let [x, _, w, labels] = inputs(device);
        let weights = leaf(&w, Arc::new(GradSlot::default()));
        let x = leaf(&x, Arc::new(GradSlot::default()));
        let hidden =
            ops::layer_norm(&ops::unary(Code::Tanh, &ops::matmul(&x, &weights).unwrap()).unwrap(), 1, None, None, 1e-5);
        let loss = ops::cross_entropy(&hidden.unwrap(), &labels, None, None, 0.0, ops::Reduce::Mean).unwrap();
        let grads = gradients(&[(loss.clone(), None)], &[x, weights.clone()], false, false).unwrap();
        let grads: Vec<Tensor> = grads.into_iter().map(Option::unwrap).collect();
        let step = ops::sub(&weights, &ops::mul_scalar(&grads[1], 0.1).unwrap()).unwrap();
        let all = [vec![loss, step], grads].concat();
        evaluate(&all, &|| false).unwrap();
        all
    };
    for (here, there) in run(Device::Cpu).iter().zip(&run(Device::Gpu(0))) {
        assert_close("classifier", here, there);
    }
}

#[test]
fn transfers_and_what_the_adapter_lacks() {
    if !ready() {
        return;
    }
    let [x, ..] = inputs(Device::Cpu);
    let there = ops::to_device(&ops::mul_scalar(&x, 2.0).unwrap(), Device::Gpu(0)).unwrap();
    let back = ops::to_device(&ops::add_scalar(&there, 1.0).unwrap(), Device::Cpu).unwrap();
    let here = ops::add_scalar(&ops::mul_scalar(&x, 2.0).unwrap(), 1.0).unwrap();
    assert_close("round trip", &here, &back);
    let [there, ..] = inputs(Device::Gpu(0));
    let known = |wide: Tensor| evaluate(std::slice::from_ref(&wide), &|| false).map(|()| wide);
    match ops::astype(&there, DType::F64).and_then(known) {
        Ok(wide) => assert_close("float64", &x, &ops::astype(&wide, DType::F32).unwrap()),
        Err(error) => assert_eq!(error.kind, ErrorKind::DType),
    }
}
