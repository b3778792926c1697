//! First and second derivatives of pointwise functions and activations against central differences.
//! Depends on `common`. Invariant: every function with a derivative has a row.

mod common;

use adret_core::code::Code;
use adret_core::ops::{self, Operand};
use common::{gradcheck, gradcheck_at};

#[test]
fn unary_functions() {
    use Code::*;
    let rows: &[(Code, f64, f64)] = &[
        (Neg, -2.0, 2.0),
        (Abs, 0.1, 2.0),
        (Abs, -2.0, -0.1),
        (Sign, 0.1, 2.0),
        (Floor, 0.1, 0.9),
        (Ceil, 0.1, 0.9),
        (Round, 0.1, 0.4),
        (Trunc, 0.1, 0.9),
        (Sqrt, 0.3, 3.0),
        (Exp, -2.0, 2.0),
        (Expm1, -2.0, 2.0),
        (Log, 0.3, 3.0),
        (Log1p, -0.5, 3.0),
        (Log2, 0.3, 3.0),
        (Log10, 0.3, 3.0),
        (Sin, -2.0, 2.0),
        (Cos, -2.0, 2.0),
        (Tan, -1.0, 1.0),
        (Asin, -0.8, 0.8),
        (Acos, -0.8, 0.8),
        (Atan, -2.0, 2.0),
        (Sinh, -2.0, 2.0),
        (Cosh, -2.0, 2.0),
        (Tanh, -2.0, 2.0),
        (Asinh, -2.0, 2.0),
        (Acosh, 1.2, 3.0),
        (Atanh, -0.8, 0.8),
        (Sigmoid, -3.0, 3.0),
        (Erf, -2.0, 2.0),
    ];
    for &(code, low, high) in rows {
        gradcheck(&format!("{code:?}"), &[&[2, 3]], low, high, &|x| ops::unary(code, &x[0]));
    }
}

#[test]
fn binary_functions() {
    use Code::*;
    for code in [Add, Sub, Mul, Div, Pow, Atan2, Maximum, Minimum] {
        gradcheck(&format!("{code:?}"), &[&[2, 3], &[2, 3]], 0.5, 2.0, &|x| {
            ops::binary(code, &(&x[0]).into(), &(&x[1]).into())
        });
        gradcheck(&format!("{code:?}, broadcast"), &[&[2, 1], &[3]], 0.5, 2.0, &|x| {
            ops::binary(code, &(&x[0]).into(), &(&x[1]).into())
        });
    }
    let points = [vec![7.3, -7.3, 2.6], vec![2.0, 2.0, -1.7]];
    gradcheck_at("remainder", &[vec![3], vec![3]], &points, &|x| ops::remainder(&x[0], &x[1]));
}

#[test]
fn powers_of_scalars() {
    for exponent in [0.0, 1.0, 2.0, 3.0, 0.5, -0.5, -1.0, -2.0, 1.7] {
        gradcheck(&format!("x to {exponent}"), &[&[4]], 0.5, 2.0, &|x| {
            ops::binary(Code::Pow, &(&x[0]).into(), &exponent.into())
        });
        gradcheck(&format!("{exponent} to x"), &[&[4]], 0.5, 2.0, &|x| {
            ops::binary(Code::Pow, &exponent.abs().max(0.1).into(), &(&x[0]).into())
        });
    }
    // At base 0, whole exponents from 1 on have finite derivatives.
    let at = |base: f64, exponent: f64| {
        let leaf = adret_core::graph::leaf(&common::tensor(&[], &[base]), Default::default());
        let y = ops::binary(Code::Pow, &(&leaf).into(), &common::tensor(&[], &[exponent]).into()).unwrap();
        let grads = adret_core::autograd::gradients(&[(y, None)], &[leaf], false, false).unwrap();
        common::values(grads[0].as_ref().unwrap())[0]
    };
    assert_eq!([at(0.0, 1.0), at(0.0, 2.0), at(0.0, 0.0)], [1.0, 0.0, 0.0]);
}

#[test]
fn choices() {
    let cond = common::mask(&[2, 3], &[1, 0, 1, 0, 0, 1]);
    gradcheck("where", &[&[2, 3], &[3]], -1.0, 1.0, &|x| ops::where_(&cond, &(&x[0]).into(), &(&x[1]).into()));
    gradcheck("where, scalar", &[&[2, 3]], -1.0, 1.0, &|x| ops::where_(&cond, &Operand::from(2.0), &(&x[0]).into()));
    gradcheck("clip", &[&[2, 8]], -1.0, 1.0, &|x| ops::clip(&x[0], Some((-0.5).into()), Some(0.5.into())));
    gradcheck("relu", &[&[2, 8]], -1.0, 1.0, &|x| ops::relu(&x[0]));
}

#[test]
fn activations() {
    type Activation = fn(&adret_core::graph::Tensor) -> adret_core::error::Result<adret_core::graph::Tensor>;
    let rows: &[(&str, Activation)] = &[
        ("softplus", ops::softplus),
        ("logsigmoid", ops::logsigmoid),
        ("silu", ops::silu),
        ("mish", ops::mish),
        ("gelu", |x| ops::gelu(x, false)),
        ("gelu, approximate", |x| ops::gelu(x, true)),
        ("leaky_relu", |x| ops::leaky_relu(x, 0.1)),
        ("elu", |x| ops::elu(x, 0.7)),
        ("celu", |x| ops::celu(x, 0.7)),
        ("selu", ops::selu),
        ("hardtanh", |x| ops::hardtanh(x, -0.5, 0.5)),
        ("relu6", ops::relu6),
        ("hardsigmoid", ops::hardsigmoid),
        ("hardswish", ops::hardswish),
        ("softsign", ops::softsign),
    ];
    for (name, activation) in rows {
        gradcheck(name, &[&[7]], -2.0, 2.0, &|x| activation(&x[0]));
    }
}

#[test]
fn gradients_at_ties_and_kinks() {
    let gradient = |points: &[f64], function: common::Function<'_>| {
        let leaf = adret_core::graph::leaf(&common::tensor(&[points.len()], points), Default::default());
        let sum =
            ops::reduce(ops::Reduction::Sum, &function(std::slice::from_ref(&leaf)).unwrap(), None, false).unwrap();
        let grads = adret_core::autograd::gradients(&[(sum, None)], &[leaf], false, false).unwrap();
        common::values(grads[0].as_ref().unwrap())
    };
    assert_eq!(gradient(&[-1.0, 0.0, 1.0], &|x| ops::relu(&x[0])), [0.0, 0.0, 1.0]);
    assert_eq!(gradient(&[-1.0, 0.0, 1.0], &|x| ops::abs(&x[0])), [-1.0, 0.0, 1.0]);
    assert_eq!(gradient(&[-1.0, 0.0, 1.0], &|x| ops::maximum_scalar(&x[0], 0.0)), [0.0, 0.5, 1.0]);
    assert_eq!(gradient(&[2.0, 5.0, 5.0], &|x| ops::reduce(ops::Reduction::Max, &x[0], None, false)), [0.0, 0.5, 0.5]);
    assert_eq!(gradient(&[0.0, 0.0], &|x| ops::norm(&x[0], None, false)), [0.0, 0.0]);
    assert_eq!(gradient(&[3.0, 3.0], &|x| ops::std(&x[0], None, 0.0, false)), [0.0, 0.0]);
    assert_eq!(gradient(&[0.0], &|x| ops::softplus(&x[0])), [0.5]);
    let infinite = f64::NEG_INFINITY;
    assert_eq!(gradient(&[infinite, 0.0], &|x| ops::logsumexp(&x[0], None, false)), [0.0, 1.0]);
    assert_eq!(gradient(&[infinite, infinite], &|x| ops::logsumexp(&x[0], None, false)), [0.0, 0.0]);
    // A choice keeps the other branch's infinity to itself.
    let guarded = |x: &[adret_core::graph::Tensor]| {
        let positive = ops::binary(Code::Greater, &(&x[0]).into(), &Operand::from(0.0))?;
        let safe = ops::where_(&positive, &(&x[0]).into(), &Operand::from(1.0))?;
        ops::where_(&positive, &ops::log(&safe)?.into(), &Operand::from(0.0))
    };
    assert_eq!(gradient(&[0.0, 2.0], &guarded), [0.0, 0.5]);
}
