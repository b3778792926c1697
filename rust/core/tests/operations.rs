//! Values of operations against plain definitions: promotion, movement, reductions, gathering, indexing, losses.
//! Depends on `common`. Invariant: expected numbers are written out or computed by the plainest loop.

mod common;

use adret_core::backend::Device;
use adret_core::code::Code;
use adret_core::dtype::{DType, Scalar};
use adret_core::ops::{self, Index, Operand, Reduction, SliceAxis};
use common::{assert_close, integers, mask, noise, tensor, values};

const CPU: Device = Device::Cpu;

fn range(shape: &[usize]) -> adret_core::graph::Tensor {
    let count: usize = shape.iter().product();
    tensor(shape, &(0..count).map(|i| i as f64).collect::<Vec<_>>())
}

#[test]
fn scalars_are_weak() {
    let of = |dtype| ops::full(&[2], Scalar::Int(1), dtype, CPU).unwrap();
    let sum = |dtype, scalar: Scalar| {
        ops::binary(Code::Add, &of(dtype).into(), &scalar.into()).map(|x| x.dtype()).map_err(|error| error.kind)
    };
    assert_eq!(sum(DType::F16, Scalar::Float(1.0)), Ok(DType::F16));
    assert_eq!(sum(DType::I8, Scalar::Int(1)), Ok(DType::I8));
    assert_eq!(sum(DType::I8, Scalar::Bool(true)), Ok(DType::I8));
    assert_eq!(sum(DType::Bool, Scalar::Int(1)), Ok(DType::I64));
    assert_eq!(sum(DType::I64, Scalar::Float(1.0)), Ok(DType::F32));
    assert_eq!(sum(DType::U8, Scalar::Int(256)), Err(adret_core::error::ErrorKind::Value));
    let div = ops::div(&of(DType::I32), &of(DType::I32)).unwrap();
    assert_eq!(div.dtype(), DType::F32);
    assert_eq!(ops::exp(&of(DType::I64)).unwrap().dtype(), DType::F32);
    assert_eq!(ops::add(&of(DType::I32), &of(DType::F32)).unwrap().dtype(), DType::F64);
    assert_eq!(ops::reduce(Reduction::Sum, &of(DType::Bool), None, false).unwrap().dtype(), DType::I64);
    assert_eq!(ops::reduce(Reduction::Sum, &of(DType::U8), None, false).unwrap().dtype(), DType::U64);
    assert_eq!(ops::reduce(Reduction::Mean, &of(DType::I64), None, false).unwrap().dtype(), DType::F32);
}

#[test]
fn ranges() {
    let int = |i: i128| Scalar::Int(i);
    let arange = |a, b, c, dtype| ops::arange(a, b, c, dtype, CPU).unwrap();
    assert_close(&arange(int(0), int(5), int(2), DType::I64), &[3], &[0.0, 2.0, 4.0], 0.0);
    assert_close(&arange(int(5), int(0), int(-2), DType::I32), &[3], &[5.0, 3.0, 1.0], 0.0);
    assert_close(&arange(int(3), int(3), int(1), DType::I64), &[0], &[], 0.0);
    let quarter = arange(Scalar::Float(0.0), Scalar::Float(1.0), Scalar::Float(0.25), DType::F32);
    assert_close(&quarter, &[4], &[0.0, 0.25, 0.5, 0.75], 0.0);
    let line = ops::linspace(0.0, 1.0, 4, true, DType::F32, CPU).unwrap();
    assert_close(&line, &[4], &[0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0], 1e-7);
    assert_close(&ops::linspace(2.0, 3.0, 1, true, DType::F64, CPU).unwrap(), &[1], &[2.0], 0.0);
    assert_close(&ops::linspace(0.0, 1.0, 2, false, DType::F64, CPU).unwrap(), &[2], &[0.0, 0.5], 0.0);
    let eye = ops::eye(2, 3, 1, DType::F32, CPU).unwrap();
    assert_close(&eye, &[2, 3], &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0], 0.0);
}

#[test]
fn movement() {
    let x = range(&[2, 3]);
    let t = |x: &adret_core::error::Result<adret_core::graph::Tensor>, shape: &[usize], expected: &[f64]| {
        assert_close(x.as_ref().unwrap(), shape, expected, 0.0);
    };
    t(&ops::reshape(&x, &[3, -1]), &[3, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    t(&ops::transpose(&x, 0, 1), &[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    t(&ops::flip(&x, Some(&[1])), &[2, 3], &[2.0, 1.0, 0.0, 5.0, 4.0, 3.0]);
    t(
        &ops::pad(&x, &[0, 1], &[1, 0], Scalar::Int(9)),
        &[3, 4],
        &[9.0, 0.0, 1.0, 2.0, 9.0, 3.0, 4.0, 5.0, 9.0, 9.0, 9.0, 9.0],
    );
    t(&ops::tril(&x, 0), &[2, 3], &[0.0, 0.0, 0.0, 3.0, 4.0, 0.0]);
    t(&ops::triu(&x, 1), &[2, 3], &[0.0, 1.0, 2.0, 0.0, 0.0, 5.0]);
    t(&ops::concat(&[x.clone(), x.clone()], 1), &[2, 6], &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 3.0, 4.0, 5.0]);
    t(
        &ops::stack(&[x.clone(), x.clone()], 2),
        &[2, 3, 2],
        &[0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 5.0, 5.0],
    );
    t(&ops::roll(&x, 1, Some(1)), &[2, 3], &[2.0, 0.0, 1.0, 5.0, 3.0, 4.0]);
    t(&ops::roll(&x, -2, None), &[2, 3], &[2.0, 3.0, 4.0, 5.0, 0.0, 1.0]);
    t(&ops::moveaxis(&range(&[1, 2, 2]), 0, -1), &[2, 2, 1], &[0.0, 1.0, 2.0, 3.0]);
    t(&ops::flatten(&range(&[1, 2, 2]), 1, -1), &[1, 4], &[0.0, 1.0, 2.0, 3.0]);
    t(&ops::squeeze(&range(&[1, 2, 1]), None), &[2], &[0.0, 1.0]);
    t(&ops::tile(&range(&[2]), &[2, 2]), &[2, 4], &[0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
    t(&ops::repeat(&range(&[2, 2]), 2, Some(0)), &[4, 2], &[0.0, 1.0, 0.0, 1.0, 2.0, 3.0, 2.0, 3.0]);
    let parts = ops::split_sizes(&x, &[1, 2], 1).unwrap();
    assert_close(&parts[1], &[2, 2], &[1.0, 2.0, 4.0, 5.0], 0.0);
    assert_close(&ops::unstack(&x, 1).unwrap()[2], &[2], &[2.0, 5.0], 0.0);
}

#[test]
fn reductions() {
    let x = tensor(&[2, 3], &[3.0, 1.0, 2.0, 5.0, 4.0, 6.0]);
    let r = |kind, axes: Option<&[isize]>, keepdims| ops::reduce(kind, &x, axes, keepdims).unwrap();
    assert_close(&r(Reduction::Sum, None, false), &[], &[21.0], 0.0);
    assert_close(&r(Reduction::Sum, Some(&[0]), true), &[1, 3], &[8.0, 5.0, 8.0], 0.0);
    assert_close(&r(Reduction::Prod, Some(&[-1]), false), &[2], &[6.0, 120.0], 0.0);
    assert_close(&r(Reduction::Max, Some(&[1]), false), &[2], &[3.0, 6.0], 0.0);
    assert_close(&r(Reduction::Mean, Some(&[1]), false), &[2], &[2.0, 5.0], 0.0);
    assert_close(&ops::argmax(&x, Some(1), false).unwrap(), &[2], &[0.0, 2.0], 0.0);
    assert_close(&ops::argmin(&x, None, true).unwrap(), &[1, 1], &[1.0], 0.0);
    assert_close(&ops::argmax(&tensor(&[], &[4.0]), None, false).unwrap(), &[], &[0.0], 0.0);
    assert_close(&ops::variance(&x, Some(&[1]), 1.0, false).unwrap(), &[2], &[1.0, 1.0], 1e-15);
    assert_close(&ops::norm(&tensor(&[2], &[3.0, 4.0]), None, false).unwrap(), &[], &[5.0], 1e-15);
    let large = tensor(&[2], &[1000.0, 1000.0]);
    assert_close(&ops::logsumexp(&large, None, true).unwrap(), &[1], &[1000.0 + 2f64.ln()], 1e-15);
    let half = ops::full(&[4096], Scalar::Float(1000.0), DType::F16, CPU).unwrap();
    assert_close(&ops::reduce(Reduction::Mean, &half, None, false).unwrap(), &[], &[1000.0], 0.0);
    let truth = mask(&[2, 2], &[1, 0, 1, 1]);
    assert_close(&ops::reduce(Reduction::All, &truth, Some(&[1]), false).unwrap(), &[2], &[0.0, 1.0], 0.0);
    assert_close(&ops::reduce(Reduction::Any, &truth, None, false).unwrap(), &[], &[1.0], 0.0);
    let empty = tensor(&[0, 2], &[]);
    assert_close(&ops::reduce(Reduction::Sum, &empty, Some(&[0]), false).unwrap(), &[2], &[0.0, 0.0], 0.0);
    assert_close(&ops::reduce(Reduction::Prod, &empty, Some(&[0]), false).unwrap(), &[2], &[1.0, 1.0], 0.0);
    assert_close(&ops::reduce(Reduction::Max, &empty, Some(&[1]), false).unwrap(), &[0], &[], 0.0);
}

#[test]
fn matrix_products_match_loops() {
    let (m, k, n) = (3, 4, 5);
    let (a, b) = (noise(m * k, 1, -1.0, 1.0), noise(k * n, 2, -1.0, 1.0));
    let mut expected = vec![0.0; m * n];
    for i in 0..m {
        for j in 0..n {
            expected[i * n + j] = (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
        }
    }
    let (a, b) = (tensor(&[m, k], &a), tensor(&[k, n], &b));
    assert_close(&ops::matmul(&a, &b).unwrap(), &[m, n], &expected, 1e-14);
    let bt = ops::matrix_transpose(&ops::add_scalar(&ops::matrix_transpose(&b).unwrap(), 0.0).unwrap()).unwrap();
    assert_close(&ops::matmul(&a, &bt).unwrap(), &[m, n], &expected, 1e-14);
    let integer = ops::matmul(&ops::astype(&range(&[2, 2]), DType::I32).unwrap(), &integers(&[2], &[1, 2])).unwrap();
    assert_eq!(integer.dtype(), DType::I64);
    assert_close(&integer, &[2], &[2.0, 8.0], 0.0);
    assert_close(
        &ops::matmul(&range(&[2, 1, 2]), &range(&[2, 2, 1])).unwrap(),
        &[2, 1, 1],
        &[1.0, 2.0 * 2.0 + 9.0],
        0.0,
    );
    assert_close(&ops::matmul(&range(&[2, 0]), &range(&[0, 2])).unwrap(), &[2, 2], &[0.0; 4], 0.0);
}

#[test]
fn gathering() {
    let x = range(&[3, 2]);
    let at = integers(&[2, 1], &[2, -3]);
    assert_close(&ops::take(&x, &at, 0).unwrap(), &[2, 1, 2], &[4.0, 5.0, 0.0, 1.0], 0.0);
    assert_close(
        &ops::take(&x, &integers(&[3], &[1, 0, 1]), 1).unwrap(),
        &[3, 3],
        &[1.0, 0.0, 1.0, 3.0, 2.0, 3.0, 5.0, 4.0, 5.0],
        0.0,
    );
    let along = integers(&[1, 2], &[2, 0]);
    assert_close(&ops::take_along_axis(&x, &along, 0).unwrap(), &[1, 2], &[4.0, 1.0], 0.0);
    let twice = integers(&[2, 2], &[1, 1, 1, 2]);
    let added = ops::scatter_add(&x, &twice, 0, &tensor(&[2, 2], &[10.0, 20.0, 30.0, 40.0])).unwrap();
    assert_close(&added, &[3, 2], &[0.0, 1.0, 42.0, 23.0, 4.0, 45.0], 0.0);
    let put = ops::put_take(&x, &integers(&[3], &[0, 2, 0]), 0, &tensor(&[3, 1], &[7.0, 8.0, 9.0])).unwrap();
    assert_close(&put, &[3, 2], &[9.0, 9.0, 2.0, 3.0, 8.0, 8.0], 0.0);
    let odd = [SliceAxis { start: 2, step: -2, size: 2 }, SliceAxis { start: 1, step: 1, size: 1 }];
    let put = ops::put_slice(&x, &odd, &tensor(&[2, 1], &[7.0, 8.0])).unwrap();
    assert_close(&put, &[3, 2], &[0.0, 8.0, 2.0, 3.0, 4.0, 7.0], 0.0);
    let hot = ops::one_hot(&integers(&[2], &[2, 0]), 3, DType::F32).unwrap();
    assert_close(&hot, &[2, 3], &[0.0, 0.0, 1.0, 1.0, 0.0, 0.0], 0.0);
    let sorted = ops::sort(&tensor(&[4], &[2.0, f64::NAN, -1.0, 2.0]), 0, false).unwrap();
    assert_close(&sorted, &[4], &[-1.0, 2.0, 2.0, f64::NAN], 0.0);
    let order = ops::argsort(&tensor(&[2, 3], &[1.0, 3.0, 3.0, 0.0, 5.0, 4.0]), 1, true).unwrap();
    assert_close(&order, &[2, 3], &[1.0, 2.0, 0.0, 1.0, 2.0, 0.0], 0.0);
}

/// Position in a `[3, 4, 2]` range.
fn at(i: usize, j: usize, k: usize) -> f64 {
    (i * 8 + j * 2 + k) as f64
}

#[test]
fn indexing_follows_numpy() {
    let x = range(&[3, 4, 2]);
    let whole = || Index::Slice { start: None, stop: None, step: None };
    let get = |index: &[Index]| ops::index_get(&x, index).unwrap();
    assert_close(&get(&[Index::Int(-1), Index::Int(0)]), &[2], &[at(2, 0, 0), at(2, 0, 1)], 0.0);
    let strided = Index::Slice { start: Some(-1), stop: None, step: Some(-3) };
    assert_close(&get(&[Index::Int(1), strided, Index::Int(1)]), &[2], &[at(1, 3, 1), at(1, 0, 1)], 0.0);
    assert_close(
        &get(&[Index::Ellipsis, Index::NewAxis, Index::Int(0)]),
        &[3, 4, 1],
        &(0..12).map(|i| 2.0 * i as f64).collect::<Vec<_>>(),
        0.0,
    );
    // One array in the middle keeps its place.
    let two = || Index::Tensor(integers(&[2], &[3, -4]));
    assert_close(&get(&[Index::Int(1), two()]), &[2, 2], &[at(1, 3, 0), at(1, 3, 1), at(1, 0, 0), at(1, 0, 1)], 0.0);
    assert_eq!(&get(&[whole(), two()]).shape()[..], &[3, 2, 2]);
    // Arrays apart, or an integer apart from an array, send the arrays' axes to the front.
    assert_eq!(&get(&[Index::Int(0), whole(), Index::Tensor(integers(&[5], &[0; 5]))]).shape()[..], &[5, 4]);
    assert_eq!(&get(&[Index::Int(0), Index::Tensor(integers(&[5], &[0; 5])), whole()]).shape()[..], &[5, 2]);
    let pairs = [Index::Tensor(integers(&[2, 1], &[0, 2])), Index::Tensor(integers(&[2], &[1, 3]))];
    let expected: Vec<f64> =
        [(0, 1), (0, 3), (2, 1), (2, 3)].iter().flat_map(|&(i, j)| [at(i, j, 0), at(i, j, 1)]).collect();
    assert_close(&get(&pairs), &[2, 2, 2], &expected, 0.0);
    let chosen = Index::Tensor(mask(&[3, 4], &[0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0]));
    assert_close(
        &get(std::slice::from_ref(&chosen)),
        &[2, 2],
        &[at(0, 2, 0), at(0, 2, 1), at(2, 0, 0), at(2, 0, 1)],
        0.0,
    );
    assert_close(&get(&[chosen.clone(), Index::Int(1)]), &[2], &[at(0, 2, 1), at(2, 0, 1)], 0.0);

    let zero = ops::zeros_like(&x).unwrap();
    let set = |index: &[Index], value: &Operand| values(&ops::index_set(&zero, index, value).unwrap());
    let marked = |places: &[(usize, usize, usize, f64)]| {
        let mut expected = vec![0.0; 24];
        for &(i, j, k, value) in places {
            expected[at(i, j, k) as usize] = value;
        }
        expected
    };
    assert_eq!(set(&[Index::Int(1), Index::Int(2), Index::Int(0)], &Operand::from(5.0)), marked(&[(1, 2, 0, 5.0)]));
    let value = Operand::Tensor(tensor(&[1, 2], &[5.0, 6.0]));
    assert_eq!(set(&[Index::Int(1), Index::Int(2)], &value), marked(&[(1, 2, 0, 5.0), (1, 2, 1, 6.0)]));
    assert_eq!(
        set(&[Index::Int(1), two(), Index::Int(1)], &Operand::Tensor(tensor(&[2], &[5.0, 6.0]))),
        marked(&[(1, 3, 1, 5.0), (1, 0, 1, 6.0)])
    );
    assert_eq!(
        set(std::slice::from_ref(&chosen), &Operand::Tensor(tensor(&[2, 1], &[5.0, 6.0]))),
        marked(&[(0, 2, 0, 5.0), (0, 2, 1, 5.0), (2, 0, 0, 6.0), (2, 0, 1, 6.0)])
    );
    assert_eq!(set(&[chosen], &Operand::from(1.0)).iter().sum::<f64>(), 4.0);
}

#[test]
fn losses_match_their_formulas() {
    let logits = tensor(&[2, 3], &[1.0, 2.0, 3.0, 1000.0, 1001.0, 999.0]);
    let labels = integers(&[2], &[2, 0]);
    let norm = |x: &[f64]| x.iter().map(|x| x.exp()).sum::<f64>().ln();
    let first = norm(&[1.0, 2.0, 3.0]) - 3.0;
    let second = norm(&[0.0, 1.0, -1.0]);
    let loss = |weight: Option<&adret_core::graph::Tensor>, ignored, smoothing, reduction| {
        ops::cross_entropy(&logits, &labels, weight, ignored, smoothing, reduction).unwrap()
    };
    assert_close(&loss(None, None, 0.0, ops::Reduce::None), &[2], &[first, second], 1e-14);
    assert_close(&loss(None, None, 0.0, ops::Reduce::Mean), &[], &[(first + second) / 2.0], 1e-14);
    assert_close(&loss(None, Some(0), 0.0, ops::Reduce::Mean), &[], &[first], 1e-14);
    let weight = tensor(&[3], &[1.0, 5.0, 3.0]);
    let weighted = (3.0 * first + second) / 4.0;
    assert_close(&loss(Some(&weight), None, 0.0, ops::Reduce::Mean), &[], &[weighted], 1e-14);
    let even = norm(&[1.0, 2.0, 3.0]) * 3.0 - 6.0;
    let smooth = 0.9 * first + 0.1 / 3.0 * even;
    assert_close(&loss(None, Some(0), 0.1, ops::Reduce::Sum), &[], &[smooth], 1e-14);
    let log = ops::log_softmax(&logits, 1).unwrap();
    let nll = ops::nll_loss(&log, &labels, None, Some(-100), ops::Reduce::None).unwrap();
    assert_close(&nll, &[2], &[first, second], 1e-14);
    let certain = tensor(&[2], &[0.0, 1.0]);
    let bce = ops::bce_loss(&certain, &tensor(&[2], &[1.0, 1.0]), None, ops::Reduce::None).unwrap();
    assert_close(&bce, &[2], &[100.0, 0.0], 0.0);
    let extreme = tensor(&[2], &[-1000.0, 1000.0]);
    let bce = ops::bce_with_logits(&extreme, &tensor(&[2], &[1.0, 1.0]), None, None, ops::Reduce::None).unwrap();
    assert_close(&bce, &[2], &[1000.0, 0.0], 0.0);
    assert_close(&ops::softmax(&extreme, 0).unwrap(), &[2], &[0.0, 1.0], 0.0);
}

#[test]
fn half_precision_is_computed_in_single() {
    let x = ops::astype(&tensor(&[1, 4], &[200.0, 201.0, 202.0, 203.0]), DType::F16).unwrap();
    let y = ops::layer_norm(&x, 1, None, None, 1e-5).unwrap();
    assert_eq!(y.dtype(), DType::F16);
    let scale = 1.25f64.sqrt();
    assert_close(&y, &[1, 4], &[-1.5 / scale, -0.5 / scale, 0.5 / scale, 1.5 / scale], 1e-3);
}

#[test]
fn large_moves_match_loops() {
    // Large enough for several chunks and for the transposing copy.
    let (rows, columns) = (700, 900);
    let numbers = noise(rows * columns, 3, -1.0, 1.0);
    let x = tensor(&[rows, columns], &numbers);
    let turned = ops::matrix_transpose(&x).unwrap();
    let joined = values(&ops::concat(&[turned.clone(), turned], 1).unwrap());
    for (i, j) in [(0, 0), (31, 32), (899, 699), (450, 1399), (5, 700)] {
        assert_eq!(joined[i * 2 * rows + j], numbers[(j % rows) * columns + i]);
    }
    assert_eq!(joined.len(), 2 * numbers.len());
    for axis in [0, 1] {
        let order = ops::argsort(&x, axis, false).unwrap();
        let sorted = values(&ops::take_along_axis(&x, &order, axis).unwrap());
        let (step, line, lines) = if axis == 0 { (columns, 1, columns) } else { (1, columns, rows) };
        let length = rows * columns / lines;
        for l in (0..lines).step_by(97) {
            let mut expected: Vec<f64> = (0..length).map(|i| numbers[l * line + i * step]).collect();
            expected.sort_by(f64::total_cmp);
            let found: Vec<f64> = (0..length).map(|i| sorted[l * line + i * step]).collect();
            assert_eq!(found, expected);
        }
        // Putting sorted elements back where they came from restores the tensor.
        let zero = ops::zeros_like(&x).unwrap();
        let back = ops::scatter_add(&zero, &order, axis, &tensor(&[rows, columns], &sorted)).unwrap();
        assert_eq!(values(&back), numbers);
    }
    for dtype in [DType::I8, DType::U16, DType::I64, DType::F16, DType::F32] {
        let few = ops::astype(&tensor(&[5], &[3.0, -1.0, 0.0, 3.0, 2.0]), DType::F32).unwrap();
        let few = ops::astype(&few, if dtype == DType::U16 { DType::I32 } else { dtype }).unwrap();
        let few = if dtype == DType::U16 { ops::astype(&ops::abs(&few).unwrap(), dtype).unwrap() } else { few };
        let expected = if dtype == DType::U16 { [2.0, 1.0, 4.0, 0.0, 3.0] } else { [1.0, 2.0, 4.0, 0.0, 3.0] };
        assert_close(&ops::argsort(&few, 0, false).unwrap(), &[5], &expected, 0.0);
    }
}

#[test]
fn large_gathers_match_loops() {
    let (size, width, count) = (3000, 70, 5000);
    let table = tensor(&[size, width], &noise(size * width, 4, -1.0, 1.0));
    let places: Vec<i64> = noise(count, 5, 0.0, size as f64).into_iter().map(|x| x as i64).collect();
    let updates = noise(count * width, 6, -1.0, 1.0);
    let leaf = adret_core::graph::leaf(&table, Default::default());
    let taken = ops::take(&leaf, &integers(&[count], &places), 0).unwrap();
    let found = values(&taken);
    let numbers = values(&table);
    for (i, &place) in places.iter().enumerate() {
        assert_eq!(found[i * width..][..width], numbers[place as usize * width..][..width]);
    }
    let sum = ops::reduce(Reduction::Sum, &ops::mul(&taken, &tensor(&[count, width], &updates)).unwrap(), None, false);
    let grads = adret_core::autograd::gradients(&[(sum.unwrap(), None)], &[leaf], false, false).unwrap();
    let mut expected = vec![0.0; size * width];
    for (i, &place) in places.iter().enumerate() {
        for j in 0..width {
            expected[place as usize * width + j] += updates[i * width + j];
        }
    }
    assert_eq!(values(grads[0].as_ref().unwrap()), expected);
}
