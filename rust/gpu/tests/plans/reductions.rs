//! Folds and row chains, over rows short and long, along memory and across it.

use adret_core::code::{Code, Fold};
use adret_core::dtype::DType;
use adret_core::group::{Instr, Scope};
use adret_core::plan::Place;

use crate::build::{Builder, assert_agree, floats, scattered};
use crate::naive::{KNOWN, Number};

const FOLDS: [Fold; 6] = [Fold::Sum, Fold::Prod, Fold::Max, Fold::Min, Fold::ArgMax, Fold::ArgMin];

fn reduced(builder: &mut Builder, fold: Fold, operand: usize) -> usize {
    let finds = matches!(fold, Fold::ArgMax | Fold::ArgMin);
    let dtype = if finds { DType::I64 } else { builder.group.values[operand].dtype };
    let value = builder.push(Instr::Reduce { fold, operand }, dtype, Scope::Row);
    if finds { builder.cast(value, DType::I32) } else { value }
}

#[test]
fn folds_of_every_dtype() {
    // Rows, their length; then steps along rows and along elements.
    for (rows, length, strides) in [
        (9, 20, [20, 1]),
        (3, 700, [700, 1]),
        (2, 200, [1, 2]),
        (1500, 40, [1, 1500]),
        (4, 0, [0, 1]),
        (1, 70000, [0, 1]),
    ] {
        for dtype in KNOWN {
            let count = rows * length;
            let data: Vec<Number> = match dtype {
                DType::F32 => floats(count).into_iter().map(|n| Number::Float(n.float() + 4.5)).collect(),
                DType::Bool => scattered(count, 0, 2).into_iter().map(Number::Int).collect(),
                _ => scattered(count, dtype.integer_range().unwrap().0.max(-90) as i64, 90)
                    .into_iter()
                    .map(Number::Int)
                    .collect(),
            };
            let mut builder = Builder::new(&[rows], &[length]);
            let argument = builder.argument(Place::Input(0), dtype, count);
            let value = builder.load(argument, 0, &strides);
            let mut output = 0;
            for fold in FOLDS {
                // Rows without elements have neither extremes nor their positions; long products leave the range.
                let skip =
                    if length == 0 { fold != Fold::Sum } else { fold == Fold::Prod && length > 20 && dtype.is_float() };
                if !skip {
                    let result = reduced(&mut builder, fold, value);
                    builder.store(result, Place::Output(output));
                    output += 1;
                }
            }
            let Some(results) = builder.run(&[(dtype, data, 0)], &[]) else { return };
            eprintln!("{rows} rows of {length} {dtype}");
            assert_agree(&results, 2e-6);
        }
    }
}

#[test]
fn extremes_find_nan_and_the_first_of_equals() {
    for length in [8, 1000] {
        let mut builder = Builder::new(&[3], &[length]);
        let argument = builder.argument(Place::Input(0), DType::F32, 3 * length);
        let value = builder.load(argument, 0, &[length as i64, 1]);
        for (output, fold) in [Fold::Max, Fold::Min, Fold::ArgMax, Fold::ArgMin].into_iter().enumerate() {
            let result = reduced(&mut builder, fold, value);
            builder.store(result, Place::Output(output));
        }
        let mut data: Vec<Number> = (0..3 * length).map(|n| Number::Float((n % 3) as f64 - 1.0)).collect();
        data[length + 5] = Number::Float(f64::NAN);
        data[length + 7] = Number::Float(f64::NAN);
        for element in &mut data[2 * length..] {
            *element = Number::Float(-0.0);
        }
        data[2 * length + 3] = Number::Float(0.0);
        let Some(results) = builder.run(&[(DType::F32, data, 0)], &[]) else { return };
        assert_agree(&results, 0.0);
    }
}

#[test]
fn softmax_and_its_logarithm() {
    for (rows, length) in [(70, 10), (5, 1000), (3, 3000)] {
        let mut builder = Builder::new(&[rows], &[length]);
        let argument = builder.argument(Place::Input(0), DType::F32, rows * length);
        let x = builder.load(argument, 0, &[length as i64, 1]);
        let largest = reduced(&mut builder, Fold::Max, x);
        let shifted = builder.apply(Code::Sub, &[x, largest]);
        let power = builder.apply(Code::Exp, &[shifted]);
        let sum = reduced(&mut builder, Fold::Sum, power);
        let quotient = builder.apply(Code::Div, &[power, sum]);
        let logarithm = builder.apply(Code::Log, &[sum]);
        let difference = builder.apply(Code::Sub, &[shifted, logarithm]);
        builder.store(quotient, Place::Output(0));
        builder.store(difference, Place::Output(1));
        builder.store(logarithm, Place::Output(2));
        let Some(results) = builder.run(&[(DType::F32, floats(rows * length), 0)], &[]) else { return };
        assert_agree(&results, 4e-6);
    }
}

#[test]
fn variance_over_two_axes() {
    // [batch, channel, position]: mean and variance per channel, then the normalised values, written transposed.
    let (batch, channels, positions) = (4usize, 6usize, 50usize);
    let mut builder = Builder::new(&[channels], &[batch, positions]);
    let argument = builder.argument(Place::Input(0), DType::F32, batch * channels * positions);
    let x = builder.load(argument, 0, &[positions as i64, (channels * positions) as i64, 1]);
    let count = builder.push(Instr::Scalar { slot: 0 }, DType::F32, Scope::Row);
    let sum = reduced(&mut builder, Fold::Sum, x);
    let mean = builder.apply(Code::Div, &[sum, count]);
    let centred = builder.apply(Code::Sub, &[x, mean]);
    let square = builder.apply(Code::Mul, &[centred, centred]);
    let squares = reduced(&mut builder, Fold::Sum, square);
    let variance = builder.apply(Code::Div, &[squares, count]);
    let deviation = builder.apply(Code::Sqrt, &[variance]);
    let result = builder.apply(Code::Div, &[centred, deviation]);
    builder.store(result, Place::Output(0));
    builder.store(variance, Place::Output(1));
    let slot = u64::from(((batch * positions) as f32).to_bits());
    let Some(results) = builder.run(&[(DType::F32, floats(batch * channels * positions), 0)], &[slot]) else {
        return;
    };
    let [here, there] = &results[0];
    assert!(here.iter().zip(there).all(|(a, b)| (a.float() - b.float()).abs() < 1e-5));
    assert_agree(&results[1..], 4e-6);
}
