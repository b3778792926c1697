//! Matrix products: any strides, batches that repeat, epilogues, several kernels with temporaries between them.

use adret_core::code::Code;
use adret_core::dtype::DType;
use adret_core::group::Linear;
use adret_core::layout::Layout;
use adret_core::plan::{Argument, Kernel, Matmul, Place, Work};
use adret_core::shape::Shape;
use smallvec::SmallVec;

use crate::build::{Builder, assert_agree, floats, gpu, plan, run_plan, scattered};
use crate::naive::{Number, coordinates, decode, encode};

/// An operand with the strides of a contiguous one whose last axes are turned, or whose batch repeats.
fn operand(place: Place, dtype: DType, sizes: &[usize], turned: bool, repeats: bool) -> Argument {
    let mut stored = sizes.to_vec();
    let rank = sizes.len();
    if repeats {
        stored[..rank - 2].fill(1);
    }
    if turned {
        stored.swap(rank - 2, rank - 1);
    }
    let mut layout = Layout::contiguous(Shape::new(&stored).unwrap());
    if turned {
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 2, rank - 1);
        layout = layout.permute(&order);
    }
    layout = layout.expand(&Shape::new(sizes).unwrap());
    Argument { place, dtype, layout, start: Linear::default(), write: !matches!(place, Place::Input(_)) }
}

fn at(argument: &Argument, data: &[Number], index: &[usize]) -> f64 {
    let layout = &argument.layout;
    let element = layout.offset + layout.strides.iter().zip(index).map(|(&s, &i)| s * i as isize).sum::<isize>();
    data[element as usize].float()
}

#[test]
fn products_of_any_strides() {
    let Some(gpu) = gpu() else { return };
    for (case, &(batch, m, n, k)) in [
        (&[][..], 20, 33, 17),
        (&[][..], 1, 70, 40),
        (&[][..], 64, 64, 64),
        (&[3][..], 16, 16, 5),
        (&[2, 3][..], 9, 4, 30),
        (&[][..], 5, 6, 0),
    ]
    .iter()
    .enumerate()
    {
        for dtype in [DType::F32, DType::I32, DType::U8] {
            let sizes = |tail: [usize; 2]| [batch, &tail].concat();
            let lhs = operand(Place::Input(0), dtype, &sizes([m, k]), case % 2 == 1, case == 4);
            let rhs = operand(Place::Input(1), dtype, &sizes([k, n]), case % 3 == 1, false);
            let count: usize = batch.iter().product::<usize>() * m * n;
            let result = operand(Place::Output(0), dtype, &sizes([m, n]), false, false);
            let values = |argument: &Argument| -> Vec<Number> {
                let count = argument.layout.reach().map_or(0, |(_, high)| high as usize + 1);
                if dtype.is_float() {
                    floats(count)
                } else {
                    scattered(count, if dtype == DType::U8 { 0 } else { -50 }, 50)
                        .into_iter()
                        .map(Number::Int)
                        .collect()
                }
            };
            let data = [values(&lhs), values(&rhs)];
            let here: Vec<Number> = (0..count)
                .map(|flat| {
                    let index = coordinates(flat, &sizes([m, n]));
                    let (row, column) = (index[batch.len()], index[batch.len() + 1]);
                    let mut sum = 0.0;
                    for step in 0..k {
                        let of = |r: usize, c: usize| [&index[..batch.len()], &[r, c]].concat();
                        sum += at(&lhs, &data[0], &of(row, step)) * at(&rhs, &data[1], &of(step, column));
                    }
                    match dtype {
                        DType::F32 => Number::Float(sum),
                        DType::U8 => Number::Int(sum as i64 & 0xff),
                        _ => Number::Int(sum as i64),
                    }
                })
                .collect();
            let product = Matmul {
                batch: SmallVec::from_slice(batch),
                m,
                n,
                k,
                dtype,
                lhs: 0,
                rhs: 1,
                result: 2,
                epilogue: None,
            };
            let plan = plan(vec![Kernel::new(Work::Matmul(product), vec![lhs, rhs, result])], &[(dtype, count)], &[]);
            let inputs = [0, 1].map(|n| (dtype, encode(dtype, &data[n]), 0));
            let there = decode(dtype, &run_plan(&*gpu, &plan, &inputs, &[])[0]);
            for (&a, &b) in here.iter().zip(&there) {
                let close = (a.float() - b.float()).abs() <= if dtype.is_float() { 2e-4 } else { 0.0 };
                assert!(close, "case {case}, {dtype}: {a:?} here, {b:?} on the GPU");
            }
        }
    }
}

/// Two layers with biases and rectifiers in their epilogues; what lies between them is a temporary.
#[test]
fn a_network_of_two_layers() {
    let Some(gpu) = gpu() else { return };
    let (rows, wide, narrow) = (30usize, 40usize, 20usize);
    let layer = |input: Place, columns: usize, length: usize, weights: usize, raw: usize, output: Place| {
        let mut builder = Builder::new(&[rows, columns], &[]);
        builder.arguments = vec![
            operand(input, DType::F32, &[rows, length], false, false),
            operand(Place::Input(weights), DType::F32, &[length, columns], true, false),
            operand(Place::Temporary(raw), DType::F32, &[rows, columns], false, false),
        ];
        let product = builder.load(2, 0, &[columns as i64, 1]);
        let bias = builder.argument(Place::Input(weights + 1), DType::F32, columns);
        let bias = builder.load(bias, 0, &[0, 1]);
        let sum = builder.apply(Code::Add, &[product, bias]);
        let absolute = builder.apply(Code::Abs, &[sum]);
        builder.store(absolute, output);
        let product = Matmul {
            batch: SmallVec::new(),
            m: rows,
            n: columns,
            k: length,
            dtype: DType::F32,
            lhs: 0,
            rhs: 1,
            result: 2,
            epilogue: Some(builder.group),
        };
        Kernel::new(Work::Matmul(product), builder.arguments)
    };
    let kernels = vec![
        layer(Place::Input(0), wide, narrow, 1, 0, Place::Temporary(1)),
        layer(Place::Temporary(1), narrow, wide, 3, 2, Place::Output(0)),
    ];
    let plan = plan(kernels, &[(DType::F32, rows * narrow)], &[4 * rows * wide, 4 * rows * wide, 4 * rows * narrow]);
    let sizes = [rows * narrow, narrow * wide, wide, wide * narrow, narrow];
    let data: Vec<Vec<Number>> = sizes.iter().map(|&count| floats(count)).collect();
    let inputs: Vec<_> = data.iter().map(|data| (DType::F32, encode(DType::F32, data), 0)).collect();
    let before = gpu.stats();
    let there = decode(DType::F32, &run_plan(&*gpu, &plan, &inputs, &[])[0]);
    let apply = |x: &[f64], weights: &[Number], bias: &[Number], length: usize, columns: usize| -> Vec<f64> {
        let of = |r: usize, c: usize| {
            (0..length).map(|k| x[r * length + k] * weights[c * length + k].float()).sum::<f64>() + bias[c].float()
        };
        (0..rows * columns).map(|flat| of(flat / columns, flat % columns).abs()).collect()
    };
    let x: Vec<f64> = data[0].iter().map(|n| n.float()).collect();
    let hidden = apply(&x, &data[1], &data[2], narrow, wide);
    let here = apply(&hidden, &data[3], &data[4], wide, narrow);
    let here = here.into_iter().map(Number::Float).collect();
    assert_agree(&[[here, there]], 1e-3);
    let first = gpu.stats();
    assert!(first.launches >= before.launches + 2 && first.matmul_flops >= before.matmul_flops + 4 * 30 * 40 * 20);
}
