//! Every pointwise function and conversion over values that try its edges.

use adret_core::code::Code;
use adret_core::dtype::DType;
use adret_core::plan::Place;

use crate::build::{Builder, assert_agree, floats, scattered};
use crate::naive::{KNOWN, Number};

/// Values of a dtype: its edges, then scattered ones.
fn values(dtype: DType, count: usize) -> Vec<Number> {
    let mut values: Vec<Number> = match dtype {
        DType::F32 => {
            [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 1e-3, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 3e38, 1e-30]
                .into_iter()
                .map(|f: f64| Number::Float(f64::from(f as f32)))
                .collect()
        }
        _ => {
            let (low, high) = dtype.integer_range().unwrap();
            [0, 1, low as i64, high as i64, (high - 1) as i64, 2, 3].map(Number::Int).to_vec()
        }
    };
    match dtype {
        DType::F32 => values.extend(floats(count)),
        DType::Bool => values.extend(scattered(count, 0, 2).into_iter().map(Number::Int)),
        _ => {
            let (low, high) = dtype.integer_range().unwrap();
            values.extend(scattered(count / 2, low as i64, high as i64).into_iter().map(Number::Int));
            let small = low.max(-9) as i64;
            values.extend(scattered(count, small, 9).into_iter().map(Number::Int));
        }
    }
    if dtype == DType::Bool {
        values.iter_mut().for_each(|value| *value = Number::Int(i64::from(*value != Number::Int(0))));
    }
    values.truncate(count);
    values
}

/// Relative error that a float function may have against its rounded result, in units of 2⁻²³.
fn tolerance(code: Code) -> f64 {
    use Code::*;
    f64::from(f32::EPSILON)
        * match code {
            Sinh | Cosh | Tan | Asinh | Acosh | Atanh | Pow | Tanh => 8.0,
            Mod => 1e5,
            _ => 4.0,
        }
}

#[test]
fn functions_of_every_dtype() {
    for dtype in KNOWN {
        for code in Code::ALL.into_iter().filter(|code| code.takes(dtype)) {
            let count = 400;
            let mut builder = Builder::new(&[count], &[]);
            let mut inputs = Vec::new();
            for operand in 0..code.arity() {
                let of = if code == Code::Where && operand == 0 { DType::Bool } else { dtype };
                let mut data = values(of, count);
                // Each operand in another order, so that edges meet.
                data.rotate_right(operand * 37);
                for (n, value) in values(of, 13).into_iter().enumerate() {
                    data[40 + (n + operand * 5) % 13] = value;
                }
                inputs.push((of, data, 0));
                let argument = builder.argument(Place::Input(operand), of, count);
                builder.load(argument, 0, &[1]);
            }
            let operands: Vec<usize> = (0..code.arity()).collect();
            let result = builder.apply(code, &operands);
            builder.store(result, Place::Output(0));
            let Some(mut results) = builder.run(&inputs, &[]) else { return };
            if dtype == DType::F32 && matches!(code, Code::Mod | Code::FloorDiv) {
                drop_unsteady(&inputs, &mut results);
            }
            eprintln!("{code:?} {dtype}");
            assert_agree(&results, tolerance(code));
        }
    }
}

/// Quotients that lie next to a whole number round either way, and huge ones leave no digits.
fn drop_unsteady(inputs: &[(DType, Vec<Number>, isize)], results: &mut [[Vec<Number>; 2]]) {
    for element in 0..inputs[0].1.len() {
        let (a, b) = (inputs[0].1[element].float(), inputs[1].1[element].float());
        let quotient = a / b;
        let rest = (quotient - quotient.round()).abs();
        let large = quotient.is_nan() || quotient.abs() >= 1e4;
        if large || (rest < 1e-3 * quotient.abs().max(1.0)) {
            results[0].iter_mut().for_each(|side| side[element] = Number::Int(0));
        }
    }
}

#[test]
fn far_angles() {
    let angles: Vec<Number> = (0..300)
        .map(|n| 4000.0 * 1.31f64.powi(n) * if n % 2 == 0 { 1.0 } else { -1.0 })
        .filter(|angle| angle.abs() < 3e38)
        .map(|angle| Number::Float(f64::from(angle as f32)))
        .collect();
    for code in [Code::Sin, Code::Cos] {
        let mut builder = Builder::new(&[angles.len()], &[]);
        let argument = builder.argument(Place::Input(0), DType::F32, angles.len());
        let angle = builder.load(argument, 0, &[1]);
        let value = builder.apply(code, &[angle]);
        builder.store(value, Place::Output(0));
        let Some(results) = builder.run(&[(DType::F32, angles.clone(), 0)], &[]) else { return };
        for (here, there) in results[0][0].iter().zip(&results[0][1]) {
            assert!((here.float() - there.float()).abs() < 2e-7, "{code:?}: {here:?}, {there:?}");
        }
    }
}

#[test]
fn conversions() {
    for from in KNOWN {
        for to in KNOWN {
            let mut data = values(from, 300);
            if from == DType::F32 {
                data.extend([1e10, -1e10, 2147483648.0, 4294967296.0, 127.9, -128.9, 65535.5].map(Number::Float));
            }
            let mut builder = Builder::new(&[data.len()], &[]);
            let argument = builder.argument(Place::Input(0), from, data.len());
            let value = builder.load(argument, 0, &[1]);
            let value = builder.cast(value, to);
            builder.store(value, Place::Output(0));
            let Some(results) = builder.run(&[(from, data, 0)], &[]) else { return };
            eprintln!("{from} to {to}");
            assert_agree(&results, 0.0);
        }
    }
}
