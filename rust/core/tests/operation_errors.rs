//! What users see when they err: the kind of error, the values in its text, and when it is raised.
//! Depends on `common`. Invariant: every error is raised by the call, but for indices that are not computed yet.

mod common;

use adret_core::code::Code;
use adret_core::dtype::{DType, Scalar};
use adret_core::error::{ErrorKind, Result};
use adret_core::graph::Tensor;
use adret_core::ops::{self, Index, Operand, Reduction};
use common::{integers, mask, tensor};

#[track_caller]
fn expect<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind, parts: &[&str]) {
    let error = result.expect_err("the call must fail");
    assert_eq!(error.kind, kind, "{error}");
    for part in parts {
        assert!(error.message.contains(part), "{part:?} is missing in: {error}");
    }
}

fn zeros(shape: &[usize]) -> Tensor {
    tensor(shape, &vec![0.0; shape.iter().product()])
}

#[test]
fn shapes() {
    use ErrorKind::Shape;
    expect(
        ops::add(&zeros(&[2, 3]), &zeros(&[2, 4])),
        Shape,
        &["add:", "(2, 3)", "(2, 4)", "sizes 3 and 4", "axis -1"],
    );
    let wrong = ops::matmul(&zeros(&[32, 784]), &zeros(&[128, 784]));
    expect(
        wrong,
        Shape,
        &[
            "matmul: a is (32, 784) and b is (128, 784): inner sizes 784 (axis 1 of a) and 128 (axis 0 of b) differ; did you mean b.T?",
        ],
    );
    expect(ops::matmul(&zeros(&[2, 3]), &zeros(&[4])), Shape, &["(2, 3)", "(4,)"]);
    expect(ops::matmul(&zeros(&[]), &zeros(&[4])), Shape, &["0-d", "multiply"]);
    expect(ops::matmul(&zeros(&[2, 1, 3]), &zeros(&[3, 3, 1])), Shape, &["(2, 1, 3)", "(3, 3, 1)", "(2,) and (3,)"]);
    expect(ops::linear(&zeros(&[2, 3]), &zeros(&[4, 5]), None), Shape, &["(2, 3)", "(4, 5)"]);
    expect(ops::linear(&zeros(&[2, 3]), &zeros(&[4, 3]), Some(&zeros(&[3]))), Shape, &["(3,)", "(4,)"]);
    expect(ops::reshape(&zeros(&[2, 3]), &[4, -1]), Shape, &["(2, 3)", "(4, -1)"]);
    expect(ops::reshape(&zeros(&[2, 3]), &[-1, -1]), Shape, &["once"]);
    expect(ops::reshape(&zeros(&[0, 3]), &[0, -1]), Shape, &["-1"]);
    expect(ops::broadcast_to(&zeros(&[2, 3]), &[3]), Shape, &["(2, 3)", "(3,)"]);
    expect(ops::squeeze(&zeros(&[2, 1]), Some(&[0])), Shape, &["axis 0", "size 2"]);
    expect(ops::concat(&[zeros(&[2, 3]), zeros(&[3, 3])], 1), Shape, &["tensor 1", "(3, 3)"]);
    expect(ops::stack(&[zeros(&[2]), zeros(&[3])], 0), Shape, &["tensor 1"]);
    expect(ops::split(&zeros(&[5]), 2, 0), Shape, &["size 5", "2"]);
    expect(ops::split_sizes(&zeros(&[5]), &[2, 2], 0), Shape, &["(2, 2)", "4"]);
    expect(ops::full(&[usize::MAX, 2], Scalar::Int(0), DType::F32, adret_core::backend::Device::Cpu), Shape, &[]);
    expect(ops::mse_loss(&zeros(&[2, 1]), &zeros(&[2]), ops::Reduce::Mean), Shape, &["(2, 1)", "(2,)"]);
    let labels = integers(&[3], &[0; 3]);
    let loss = ops::cross_entropy(&zeros(&[2, 3]), &labels, None, None, 0.0, ops::Reduce::Mean);
    expect(loss, Shape, &["(2, 3)", "(3,)", "(2,)"]);
    expect(ops::layer_norm(&zeros(&[2, 3]), 1, Some(&zeros(&[2])), None, 1e-5), Shape, &["weight", "(2,)"]);
    let set = ops::index_set(&zeros(&[2, 3]), &[Index::Int(0)], &Operand::Tensor(zeros(&[2])));
    expect(set, Shape, &["(2,)", "(3,)"]);
}

#[test]
fn dtypes() {
    use ErrorKind::DType;
    let truth = mask(&[2], &[0, 1]);
    expect(ops::neg(&truth), DType, &["negative:", "bool", "astype"]);
    expect(ops::sub(&truth, &truth), DType, &["subtract:", "bool"]);
    expect(ops::matmul(&truth, &truth), DType, &["matmul:", "astype"]);
    expect(ops::bitwise_and(&zeros(&[2]), &zeros(&[2])), DType, &["bitwise_and:", "float64"]);
    expect(ops::where_(&zeros(&[2]), &Operand::from(1.0), &Operand::from(0.0)), DType, &["where:", "float64"]);
    expect(ops::take(&zeros(&[2]), &zeros(&[1]), 0), DType, &["take:", "float64", "astype"]);
    expect(ops::binary(Code::Add, &Operand::from(1.0), &Operand::from(1.0)), DType, &["add:", "scalar"]);
}

#[test]
fn axes_and_indices() {
    use ErrorKind::Index;
    expect(ops::reduce(Reduction::Sum, &zeros(&[2]), Some(&[1]), false), Index, &["sum:", "axis 1", "rank 1"]);
    expect(ops::reduce(Reduction::Sum, &zeros(&[2, 2]), Some(&[0, -2]), false), Index, &["twice"]);
    expect(ops::permute_dims(&zeros(&[2, 2]), &[0]), Index, &["(0,)", "(2, 2)"]);
    expect(ops::take(&zeros(&[3]), &integers(&[2], &[0, 3]), 0), Index, &["take: index 3 is out of range for size 3"]);
    expect(ops::take(&zeros(&[3]), &integers(&[2], &[0, -4]), 0), Index, &["take: index -4"]);
    expect(ops::one_hot(&integers(&[1], &[-1]), 3, DType::F32), Index, &["one_hot: index -1"]);
    let labels = integers(&[2], &[0, 3]);
    let loss = ops::cross_entropy(&zeros(&[2, 3]), &labels, None, Some(-100), 0.0, ops::Reduce::Mean);
    expect(loss, Index, &["cross_entropy: index 3 is out of range for size 3"]);
    expect(
        ops::index_get(&zeros(&[2, 3]), &[self::Index::Int(0), self::Index::Int(3)]),
        Index,
        &["3", "axis 1", "(2, 3)"],
    );
    expect(ops::index_get(&zeros(&[2]), &[self::Index::Int(0), self::Index::Int(0)]), Index, &["2 axes", "rank 1"]);
    let chosen = self::Index::Tensor(mask(&[3], &[1, 1, 1]));
    expect(ops::index_get(&zeros(&[2]), &[chosen]), Index, &["mask", "(3,)", "(2,)"]);
}

#[test]
fn pending_indices_are_checked_when_evaluated() {
    let late = ops::binary(Code::Add, &integers(&[2], &[0, 1]).into(), &Operand::from(2i64)).unwrap();
    let taken = ops::take(&zeros(&[3]), &late, 0).unwrap();
    expect(common::run(&taken), ErrorKind::Index, &["take: index 3 is out of range for size 3"]);
    let loss = ops::cross_entropy(&zeros(&[2, 3]), &late, None, Some(2), 0.0, ops::Reduce::Mean).unwrap();
    expect(common::run(&loss), ErrorKind::Index, &["cross_entropy: index 3"]);
    adret_core::graph::push_scope("net");
    let inside = ops::take(&zeros(&[3]), &late, 0);
    adret_core::graph::pop_scope();
    expect(common::run(&inside.unwrap()), ErrorKind::Index, &["net: take: index 3"]);
    let fine = ops::take(&tensor(&[4], &[0.0, 1.0, 2.0, 3.0]), &ops::neg(&late).unwrap(), 0).unwrap();
    common::assert_close(&fine, &[2], &[2.0, 1.0], 0.0);
}

#[test]
fn values() {
    use ErrorKind::Value;
    expect(ops::reduce(Reduction::Max, &zeros(&[0, 2]), Some(&[0]), false), Value, &["max:", "axis 0", "(0, 2)"]);
    expect(ops::argmax(&zeros(&[0]), None, false), Value, &["argmax:"]);
    expect(ops::concat(&[], 0), Value, &["concat:"]);
    expect(ops::dropout(&zeros(&[2]), 1.5, 0, 0), Value, &["dropout:", "1.5"]);
    let small = ops::astype(&zeros(&[2]), DType::U8).unwrap();
    expect(ops::binary(Code::Add, &small.into(), &Operand::from(-1i64)), Value, &["add:", "-1", "uint8", "0 to 255"]);
    let range =
        ops::arange(Scalar::Int(0), Scalar::Int(3), Scalar::Int(0), DType::I64, adret_core::backend::Device::Cpu);
    expect(range, Value, &["arange:", "step"]);
}
