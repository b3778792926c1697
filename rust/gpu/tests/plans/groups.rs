//! Elementwise Groups: views, padding, random bits, checks, scalars, outputs in the place of inputs.

use adret_core::backend::{Bindings, BufferRef};
use adret_core::code::Code;
use adret_core::dtype::{DType, Scalar};
use adret_core::group::{Access, Affine, Guard, Instr, Linear, Scope};
use adret_core::plan::Place;
use smallvec::smallvec;

use crate::build::{Builder, affine, assert_agree, floats, gpu, plan, read, scattered};
use crate::naive::{Number, decode, encode, philox};

#[test]
fn chains_over_broadcast_and_turned_inputs() {
    let mut builder = Builder::new(&[6, 5, 7], &[]);
    let whole = builder.argument(Place::Input(0), DType::F32, 210);
    let row = builder.argument(Place::Input(1), DType::F32, 20);
    let column = builder.argument(Place::Input(2), DType::F32, 20);
    // Turned, backwards, repeated along axes; the second starts at element 3 of its buffer.
    let a = builder.load(whole, 28, &[35, -7, 1]);
    let b = builder.load(row, 0, &[0, 0, 2]);
    let c = builder.load(column, 12, &[-2, 0, 0]);
    let scalar = builder.push(Instr::Scalar { slot: 0 }, DType::F32, Scope::Row);
    let sum = builder.apply(Code::Add, &[a, b]);
    let product = builder.apply(Code::Mul, &[sum, c]);
    let result = builder.apply(Code::Maximum, &[product, scalar]);
    let flag = builder.apply(Code::Greater, &[product, b]);
    builder.store(result, Place::Output(0));
    builder.store(flag, Place::Output(1));
    let slot = Scalar::Float(-0.75).to_slot(DType::F32);
    let inputs = [(DType::F32, floats(210), 0), (DType::F32, floats(30), 3), (DType::F32, floats(20), 0)];
    let Some(results) = builder.run(&inputs, &[slot]) else { return };
    assert_agree(&results, 2.0 * f64::from(f32::EPSILON));
}

#[test]
fn padding_and_slices_by_slots() {
    let mut builder = Builder::new(&[8, 9], &[]);
    let argument = builder.argument(Place::Input(0), DType::I16, 12);
    let (mut offset, mut guards) = (Linear::default(), smallvec![]);
    for (axis, (size, stride)) in [(3usize, 4i64), (4, 1)].into_iter().enumerate() {
        offset.terms.push((axis, -stride));
        let mut position = affine(0, &[i64::from(axis == 0), i64::from(axis == 1)]);
        position.offset.terms.push((axis, -1));
        guards.push(Guard { position, size });
    }
    let index = Affine { offset, strides: smallvec![4, 1] };
    let access = Access { index, guards: guards.clone() };
    let padded = builder.push(Instr::Load { argument, access }, DType::I16, Scope::Row);
    let inside = builder.push(Instr::Inside { guards }, DType::Bool, Scope::Row);
    builder.store(padded, Place::Output(0));
    builder.store(inside, Place::Output(1));
    let data: Vec<Number> = scattered(12, -30000, 30000).into_iter().map(Number::Int).collect();
    for before in [[2u64, 3], [0, 0], [5, 5], [-1i64 as u64, 1]] {
        let Some(results) = builder.run(&[(DType::I16, data.clone(), 0)], &before) else { return };
        assert_agree(&results, 0.0);
    }
}

#[test]
fn random_bits() {
    // The published vector of counter 0 and key 0.
    assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    let mut builder = Builder::new(&[50, 3], &[]);
    let index = affine(1, &[1, 50]);
    let bits =
        builder.push(Instr::Random { index: index.clone(), key: 0, counter: 1, stream: 1 }, DType::U32, Scope::Row);
    let number = builder.push(Instr::Index { index }, DType::I64, Scope::Row);
    let number = builder.cast(number, DType::F32);
    builder.store(bits, Place::Output(0));
    builder.store(number, Place::Output(1));
    for slots in [[0u64, 0], [0x1234_5678_9abc_def0, u64::from(u32::MAX) - 3]] {
        let Some(results) = builder.run(&[], &slots) else { return };
        assert_agree(&results, 0.0);
    }
}

#[test]
fn indices_are_wrapped() {
    let mut builder = Builder::new(&[64], &[]);
    for (output, wrap) in [false, true].into_iter().enumerate() {
        let argument = builder.argument(Place::Input(output), DType::I32, 64);
        let index = builder.load(argument, 0, &[1]);
        let check = Instr::Check { operand: index, limit: 10, wrap, context: "take: index".to_owned() };
        let checked = builder.push(check, DType::I32, Scope::Row);
        builder.store(checked, Place::Output(output));
    }
    let data = |low| (DType::I32, scattered(64, low, 10).into_iter().map(Number::Int).collect(), 0);
    let Some(results) = builder.run(&[data(0), data(-10)], &[]) else { return };
    assert_agree(&results, 0.0);
}

#[test]
fn scalars_of_every_dtype_and_more_than_immediates_hold() {
    let mut builder = Builder::new(&[5], &[]);
    let mut slots = Vec::new();
    let argument = builder.argument(Place::Input(0), DType::F32, 5);
    let mut sum = builder.load(argument, 0, &[1]);
    for number in 0..50 {
        slots.push(Scalar::Float(f64::from(number) * 0.25).to_slot(DType::F32));
        let scalar = builder.push(Instr::Scalar { slot: number as usize }, DType::F32, Scope::Row);
        sum = builder.apply(Code::Add, &[sum, scalar]);
    }
    builder.store(sum, Place::Output(0));
    for (output, dtype) in [DType::I8, DType::U32, DType::Bool].into_iter().enumerate() {
        slots.push(Scalar::Int(if dtype == DType::U32 { 4_000_000_000 } else { -5 }).to_slot(dtype));
        let scalar = builder.push(Instr::Scalar { slot: 50 + output }, dtype, Scope::Row);
        builder.store(scalar, Place::Output(output + 1));
    }
    let Some(results) = builder.run(&[(DType::F32, floats(5), 0)], &slots) else { return };
    assert_agree(&results, 0.0);
    // Behind launches whose words are immediates, bound words must still start where bindings may.
    let Some(gpu) = gpu() else { return };
    let mut short = Builder::new(&[5], &[]);
    let argument = short.argument(Place::Input(0), DType::F32, 5);
    let value = short.load(argument, 0, &[1]);
    short.store(value, Place::Output(4));
    let kernels = vec![short.kernel(), builder.kernel(), short.kernel(), builder.kernel()];
    let outputs = [DType::F32, DType::I8, DType::U32, DType::Bool, DType::F32].map(|dtype| (dtype, 5));
    let input = [(DType::F32, encode(DType::F32, &floats(5)), 0)];
    let there = crate::build::run_plan(&*gpu, &plan(kernels, &outputs, &[]), &input, &slots);
    assert_eq!(there[4], input[0].1);
    assert_eq!(decode(DType::F32, &there[0]), results[0][0]);
}

#[test]
fn outputs_may_take_the_place_of_inputs() {
    let Some(gpu) = gpu() else { return };
    // p, m ← p − 0.5 m, 0.5 m + p, both in place.
    let count = 1000;
    let mut builder = Builder::new(&[count], &[]);
    let [p, m] = [0, 1].map(|n| builder.argument(Place::Input(n), DType::F32, count));
    let [p, m] = [p, m].map(|argument| builder.load(argument, 0, &[1]));
    let half = builder.push(Instr::Scalar { slot: 0 }, DType::F32, Scope::Row);
    let step = builder.apply(Code::Mul, &[m, half]);
    let next_p = builder.apply(Code::Sub, &[p, step]);
    let next_m = builder.apply(Code::Add, &[p, step]);
    builder.store(next_p, Place::Output(0));
    builder.store(next_m, Place::Output(1));
    let mut plan = plan(vec![builder.kernel()], &[(DType::F32, count), (DType::F32, count)], &[]);
    plan.commit = 0;
    let (p, m) = (floats(count), floats(2 * count)[count..].to_vec());
    let buffers: Vec<(BufferRef, isize)> =
        [&p, &m].map(|data| (gpu.upload(DType::F32, &encode(DType::F32, data)).unwrap(), 0)).to_vec();
    let slots = [Scalar::Float(0.5).to_slot(DType::F32)];
    let bindings =
        Bindings { inputs: &buffers, outputs: &buffers, arena: None, slots: &slots, cancelled: &|| true, watch: None };
    gpu.run(&plan, &bindings).unwrap();
    for (at, sign) in [(0, -0.5), (1, 0.5)] {
        let there = decode(DType::F32, &read(&*gpu, &buffers[at].0, DType::F32, count));
        let here: Vec<Number> = p.iter().zip(&m).map(|(p, m)| Number::Float(p.float() + sign * m.float())).collect();
        assert_agree(&[[here, there]], f64::from(f32::EPSILON));
    }
}

#[test]
fn more_elements_than_one_axis_of_workgroups() {
    let count = 65535 * 256 + 1000;
    let mut builder = Builder::new(&[count], &[]);
    let index = builder.push(Instr::Index { index: affine(5, &[3]) }, DType::I64, Scope::Row);
    let index = builder.cast(index, DType::I32);
    builder.store(index, Place::Output(0));
    let Some(gpu) = gpu() else { return };
    let plan = plan(vec![builder.kernel()], &[(DType::I32, count)], &[]);
    let bytes = crate::build::run_plan(&*gpu, &plan, &[], &[]);
    let right = |(n, element): (usize, &[u8])| i32::from_ne_bytes(element.try_into().unwrap()) == 5 + 3 * n as i32;
    assert!(bytes[0].chunks_exact(4).enumerate().all(right));
}
