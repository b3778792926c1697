//! Operations with shaders of their own, and their gradients, on the adapter against the same on the processor.
//! Depends on `engine`. Invariant: every such operation has a row; the shaders' order of additions is the processor's.

use std::sync::Arc;

use adret_core::autograd::gradients;
use adret_core::backend::Device;
use adret_core::dtype::DType;
use adret_core::error::Result;
use adret_core::graph::{GradSlot, Tensor, leaf};
use adret_core::ops::{self, Index, Reduction, SliceAxis};

use crate::build::{floats, scattered};
use crate::engine::{assert_close, ready, tensor};
use crate::naive::Number;

/// A function of x `[6, 10]`, y `[6, 10]` and places `[2, 3]` (int32, −6 to 5).
type Function = fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>;

fn window(start: isize, step: isize, size: usize) -> SliceAxis {
    SliceAxis { start, step, size }
}

const FUNCTIONS: &[(&str, Function)] = &[
    ("concat", |x, y, _| ops::concat(&[x.clone(), ops::flip(y, None)?, x.clone()], 1)),
    ("stack", |x, y, _| ops::stack(&[x.clone(), y.clone()], 1)),
    ("concat of bool", |x, y, _| ops::concat(&[ops::less(x, y)?, ops::less(y, x)?], 0)),
    ("roll", |x, _, _| ops::roll(x, 3, Some(1))),
    ("take of rows", |x, _, places| ops::take(x, places, 0)),
    ("take of columns", |x, _, places| ops::take(&ops::matrix_transpose(x)?, places, 1)),
    ("take_along_axis", |x, y, _| ops::take_along_axis(x, &ops::argsort(y, 1, false)?, 1)),
    ("sort", |x, _, _| ops::sort(x, 0, false)),
    ("sort backwards", |x, _, _| ops::sort(&ops::matrix_transpose(x)?, 1, true)),
    ("argsort of integers", |_, _, places| ops::argsort(places, 1, true)),
    ("scatter_add", |x, y, places| {
        let spread = ops::broadcast_to(&ops::reshape(places, &[6, 1])?, x.shape())?;
        ops::scatter_add(x, &spread, 0, y)
    }),
    ("put_take", |x, y, places| {
        let rows = ops::slice(y, &[window(0, 1, 1), window(0, 1, 10)])?;
        ops::put_take(x, places, 0, &rows)
    }),
    ("put_slice", |x, y, _| {
        let part = ops::slice(y, &[window(1, 1, 2), window(0, 1, 4)])?;
        ops::put_slice(x, &[window(5, -3, 2), window(1, 2, 4)], &part)
    }),
    ("slices apart", |x, _, _| {
        let part = |start| ops::slice(x, &[window(start, 2, 3), window(9, -3, 3)]);
        ops::add(&part(0)?, &ops::mul(&part(1)?, &ops::exp(&part(0)?)?)?)
    }),
    ("takes and slices", |x, _, places| {
        let rows = ops::reduce(Reduction::Sum, &ops::exp(&ops::take(x, places, 0)?)?, Some(&[0, 1]), false)?;
        ops::mul(&rows, &ops::slice(x, &[window(2, 1, 3), window(0, 1, 10)])?)
    }),
    ("arrays of an index", |x, _, places| {
        ops::index_get(x, &[Index::Tensor(places.clone()), Index::Tensor(ops::abs(places)?)])
    }),
];

fn inputs(device: Device) -> [Tensor; 3] {
    let data = floats(120);
    let places: Vec<Number> = scattered(6, -6, 6).into_iter().map(Number::Int).collect();
    let make = |data: &[Number]| leaf(&tensor(&[6, 10], DType::F32, data, device), Arc::new(GradSlot::default()));
    [make(&data[..60]), make(&data[60..]), tensor(&[2, 3], DType::I32, &places, device)]
}

#[test]
fn shaders_of_their_own() {
    if !ready() {
        return;
    }
    for (name, function) in FUNCTIONS {
        let run = |device: Device| -> Vec<Tensor> {
            let [x, y, places] = inputs(device);
            let value = function(&x, &y, &places).unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut all = vec![value.clone()];
            if value.requires_grad() {
                let sum = ops::reduce(Reduction::Sum, &ops::square(&value).unwrap(), None, false).unwrap();
                let grads = gradients(&[(sum, None)], &[x, y], false, false).unwrap();
                all.extend(grads.into_iter().flatten());
            }
            all
        };
        eprintln!("{name}");
        for (here, there) in run(Device::Cpu).iter().zip(&run(Device::Gpu(0))) {
            // The processor's default integers are wider.
            assert_close(name, &ops::astype(here, there.dtype()).unwrap(), there);
        }
    }
}
