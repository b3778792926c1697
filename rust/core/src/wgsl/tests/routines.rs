//! The shaders of structured routines, forward and in gradients, as plans hold them: all must be valid WGSL.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{caps, check};
use crate::autograd::gradients;
use crate::backend::Device;
use crate::dtype::DType;
use crate::error::Result;
use crate::evaluate::from_bytes;
use crate::graph::{GradSlot, Tensor, leaf};
use crate::ops::{self, Interpolation, Moves, Padding, Running, Windows};
use crate::plan::{Caps, Work};
use crate::schedule::{Limits, Options, Snapshot, Walk, plan};
use crate::shape::Shape;
use crate::wgsl::lower;

fn tensor(dtype: DType, sizes: &[usize]) -> Tensor {
    let shape = Shape::new(sizes).unwrap();
    from_bytes(dtype, &shape, &vec![0; shape.elements() * dtype.size()], Device::Cpu).unwrap()
}

/// Names of the routines of a plan, all shaders of which are valid.
fn routines(targets: &[Tensor]) -> Vec<String> {
    let options = Options { fuse: true };
    let Walk::Graph(snapshot) = Walk::from(targets, &[], Device::Cpu, options, Snapshot::default()) else {
        panic!("no graph")
    };
    let plan = plan(&snapshot, options, Limits::NONE);
    let mut names = Vec::new();
    for kernel in &plan.kernels {
        if let Work::Structured { routine, .. } = &kernel.work {
            names.push(routine.name().to_owned());
        }
        for (subgroup, tile, vectors) in
            [((0, 0), None, None), ((8, 32), Some(32), Some(true)), ((32, 32), Some(128), Some(false))]
        {
            let caps = Caps { subgroup, tile, vectors, bindings: 32, ..caps() };
            for launch in lower(kernel, &caps).unwrap().iter().flat_map(|way| &way.launches) {
                check(&launch.wgsl);
                launch.otherwise.iter().for_each(|other| check(&other.wgsl));
            }
        }
    }
    names
}

/// The routines of a function of float tensors and of its gradients.
fn with_gradients(dtype: DType, shapes: &[&[usize]], function: impl Fn(&[Tensor]) -> Result<Tensor>) -> Vec<String> {
    let inputs: Vec<Tensor> =
        shapes.iter().map(|sizes| leaf(&tensor(dtype, sizes), Arc::new(GradSlot::default()))).collect();
    let y = function(&inputs).unwrap();
    let loss = ops::reduce(ops::Reduction::Sum, &ops::square(&y).unwrap(), None, false).unwrap();
    let grads = gradients(&[(loss, None)], &inputs, true, false).unwrap();
    let targets: Vec<Tensor> = grads.into_iter().flatten().chain([y]).collect();
    routines(&targets)
}

fn windows(kernel: &[usize]) -> Windows {
    let same = |number: usize| SmallVec::from_elem(number, kernel.len());
    Windows {
        kernel: SmallVec::from_slice(kernel),
        stride: same(2),
        padding: same(1),
        dilation: same(1),
        ceil_mode: true,
    }
}

const FLOATS: [DType; 4] = [DType::F32, DType::F16, DType::BF16, DType::F64];

#[test]
fn convolutions() {
    for dtype in FLOATS {
        for (rank, x, w, groups) in [
            (1, &[2, 3, 9][..], &[4, 3, 3][..], 1),
            (2, &[2, 16, 9, 9], &[16, 16, 3, 3], 1),
            (2, &[2, 6, 9, 9], &[6, 1, 3, 3], 6),
            (3, &[1, 4, 5, 5, 5], &[6, 2, 2, 2, 2], 2),
        ] {
            let moves =
                Moves { stride: &[2], padding: Padding::Sizes(&[1]), dilation: &[1], groups, channels_last: false };
            let bias = [w[0]];
            let names = with_gradients(dtype, &[x, w, &bias], |t| ops::conv(rank, &t[0], &t[1], Some(&t[2]), &moves));
            assert!(names.len() >= 3, "{names:?}");
        }
    }
}

#[test]
fn pools_and_windows() {
    for dtype in FLOATS {
        for (kernel, x) in [(&[3][..], &[2, 3, 9][..]), (&[2, 3], &[2, 3, 8, 9]), (&[2, 2, 2], &[1, 2, 5, 5, 5])] {
            let windows = windows(kernel);
            with_gradients(dtype, &[x], |t| Ok(ops::max_pool(&t[0], &windows, false, false)?.0));
            with_gradients(dtype, &[x], |t| ops::avg_pool(&t[0], &windows, true, None, false));
            let counts: Vec<Option<usize>> = kernel.iter().map(|_| Some(2)).collect();
            with_gradients(dtype, &[x], |t| ops::adaptive_avg_pool(&t[0], &counts, true));
            with_gradients(dtype, &[x], |t| Ok(ops::adaptive_max_pool(&t[0], &counts, false, false)?.0));
            let sizes = vec![5; kernel.len()];
            with_gradients(dtype, &[x], |t| ops::interpolate(&t[0], &sizes, &[], Interpolation::Linear, false));
        }
        with_gradients(dtype, &[&[2, 3, 8, 9]], |t| ops::unfold(&t[0], &windows(&[2, 3])));
    }
}

#[test]
fn what_moves_elements() {
    for dtype in FLOATS.into_iter().chain([DType::I32, DType::U8, DType::I64]) {
        let x = tensor(dtype, &[6, 5000]);
        let at = tensor(DType::I32, &[7]);
        let along = tensor(DType::I32, &[6, 9]);
        let targets = [
            ops::take(&x, &at, 0),
            ops::take_along_axis(&x, &along, 1),
            ops::scatter_add(&x, &along, 1, &tensor(dtype, &[6, 9])),
            ops::put_take(&x, &at, 0, &tensor(dtype, &[7, 5000])),
            ops::concat(&[x.clone(), tensor(dtype, &[2, 5000])], 0),
            ops::sort(&x, 1, false),
            ops::sort(&x, 0, true),
            ops::argsort(&x, 1, true),
            ops::cumulative(Running::Sum, &x, 1, None),
            ops::cumulative(Running::Product, &x, 0, None),
        ];
        for target in targets {
            routines(&[target.unwrap()]);
        }
    }
    for dtype in FLOATS {
        let at = tensor(DType::I32, &[7]);
        let along = tensor(DType::I32, &[6, 9]);
        with_gradients(dtype, &[&[6, 40]], |t| ops::take(&t[0], &at, 0));
        with_gradients(dtype, &[&[6, 40]], |t| ops::take_along_axis(&t[0], &along, 1));
        with_gradients(dtype, &[&[6, 40]], |t| ops::sort(&t[0], 1, false));
        with_gradients(dtype, &[&[6, 40]], |t| ops::cumulative(Running::Sum, &t[0], 1, None));
    }
}

#[test]
fn recurrent_units() {
    use ops::Unit;
    for dtype in [DType::F32, DType::F64] {
        for unit in [Unit::RnnTanh, Unit::RnnRelu, Unit::Lstm, Unit::Gru] {
            let width = unit.gates() * 5;
            let (given, weight, state, bias) = ([3, 2, width], [width, 5], [2, 5], [width]);
            let mut shapes: Vec<&[usize]> = vec![&given, &weight, &state];
            shapes.extend(unit.has_cell().then_some(&state[..]));
            shapes.extend(unit.is_separate().then_some(&bias[..]));
            for reverse in [false, true] {
                let names = with_gradients(dtype, &shapes, |t| {
                    let (given, weight, h) = (&t[0], &t[1], &t[2]);
                    let (c, bias) = (t.get(3).filter(|_| unit.has_cell()), t.get(3).filter(|_| unit.is_separate()));
                    let what =
                        ops::Recurrence { unit, given, weight, h, c, bias, lengths: None, projection: None, reverse };
                    let made = ops::recurrent(&what)?;
                    made[1..].iter().try_fold(made[0].clone(), |sum, last| ops::add(&sum, last))
                });
                assert!(names.iter().filter(|name| name.contains("gradient")).count() == 1, "{names:?}");
            }
        }
    }
}
