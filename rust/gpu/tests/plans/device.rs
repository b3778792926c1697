//! Copies, counters, interruptions and failures of the device itself.

use std::sync::atomic::{AtomicU32, Ordering};

use adret_core::backend::Bindings;
use adret_core::code::Code;
use adret_core::dtype::DType;
use adret_core::error::ErrorKind;
use adret_core::plan::Place;
use adret_core::wgsl::{DTYPES, WIDE_DTYPES};

use crate::build::{Builder, floats, gpu, plan, read, run_plan};
use crate::naive::{decode, encode};

#[test]
fn every_dtype_travels_both_ways() {
    let Some(gpu) = gpu() else { return };
    for dtype in DTYPES {
        assert!(gpu.supports(dtype));
        let data: Vec<u8> =
            (0..dtype.size() * 101).map(|n| if dtype == DType::Bool { n as u8 % 2 } else { (n * 7) as u8 }).collect();
        let buffer = gpu.upload(dtype, &data).unwrap();
        assert_eq!(buffer.bytes(), gpu.storage_bytes(dtype, 101));
        assert!(buffer.host().is_none());
        assert_eq!(read(&*gpu, &buffer, dtype, 101), data);
        let mut part = vec![0; dtype.size() * 10];
        gpu.download(&buffer, dtype, 7, &mut part).unwrap();
        assert_eq!(part, data[dtype.size() * 7..dtype.size() * 17]);
        gpu.download(&buffer, dtype, 0, &mut []).unwrap();
    }
    for dtype in WIDE_DTYPES {
        let data: Vec<u8> = (0..8 * 101).map(|n| (n * 7) as u8).collect();
        match gpu.upload(dtype, &data) {
            Ok(buffer) => assert_eq!(read(&*gpu, &buffer, dtype, 101), data),
            Err(error) => assert_eq!((error.kind, gpu.supports(dtype)), (ErrorKind::DType, false)),
        }
    }
    let large: Vec<u8> = (0..(5 << 20)).map(|n| (n / 3) as u8).collect();
    let buffer = gpu.upload(DType::U8, &large).unwrap();
    assert!(read(&*gpu, &buffer, DType::U8, large.len()) == large);
}

#[test]
fn more_memory_than_there_is_is_an_error() {
    let Some(gpu) = gpu() else { return };
    let error = gpu.allocate(1 << 50).unwrap_err();
    assert_eq!(error.kind, ErrorKind::OutOfMemory, "{error}");
    // The device goes on.
    let buffer = gpu.upload(DType::F32, &[0; 16]).unwrap();
    assert_eq!(read(&*gpu, &buffer, DType::F32, 4), [0; 16]);
    gpu.trim();
}

/// A plan of `length` kernels, each adding its input to itself, through temporaries.
fn doublings(length: usize, count: usize) -> adret_core::plan::Plan {
    let place = |at: usize| match at {
        0 => Place::Input(0),
        at if at == length => Place::Output(0),
        at => Place::Temporary(at - 1),
    };
    let kernel = |at: usize| {
        let mut builder = Builder::new(&[count], &[]);
        let argument = builder.argument(place(at), DType::I32, count);
        builder.arguments[argument].write = false;
        let value = builder.load(argument, 0, &[1]);
        let sum = builder.apply(Code::Add, &[value, value]);
        builder.store(sum, place(at + 1));
        builder.kernel()
    };
    plan((0..length).map(kernel).collect(), &[(DType::I32, count)], &vec![4 * count; length - 1])
}

#[test]
fn long_plans_reuse_temporaries_and_pipelines() {
    let Some(gpu) = gpu() else { return };
    let plan = doublings(200, 1000);
    let data: Vec<u8> = (0..1000i32).flat_map(|n| n.to_ne_bytes()).collect();
    let input = [(DType::I32, data, 0)];
    assert!(run_plan(&*gpu, &plan, &input, &[])[0].iter().all(|&byte| byte == 0));
    let short = doublings(20, 1000);
    let bytes = &run_plan(&*gpu, &short, &input, &[])[0];
    for (n, element) in bytes.chunks_exact(4).enumerate() {
        assert_eq!(i32::from_ne_bytes(element.try_into().unwrap()), (n as i32) << 20);
    }
}

#[test]
fn interruptions_leave_the_rest_undone() {
    let Some(gpu) = gpu() else { return };
    let plan = doublings(300, 64);
    let input = [(gpu.upload(DType::I32, &[1; 256]).unwrap(), 0)];
    let output = [(gpu.upload(DType::I32, &[7; 256]).unwrap(), 0)];
    let asked = AtomicU32::new(0);
    let cancelled = || asked.fetch_add(1, Ordering::Relaxed) >= 2;
    let bindings =
        Bindings { inputs: &input, outputs: &output, arena: None, slots: &[], cancelled: &cancelled, watch: None };
    assert_eq!(gpu.run(&plan, &bindings).unwrap_err().kind, ErrorKind::Interrupted);
    assert_eq!(read(&*gpu, &output[0].0, DType::I32, 64), [7; 256]);
    let bindings = Bindings { cancelled: &|| false, ..bindings };
    gpu.run(&plan, &bindings).unwrap();
    assert_eq!(read(&*gpu, &output[0].0, DType::I32, 64), [0; 256]);
}

#[test]
fn threads_share_the_device() {
    let Some(gpu) = gpu() else { return };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let plan = doublings(5, 300);
                let data = encode(DType::I32, &(0..300).map(crate::naive::Number::Int).collect::<Vec<_>>());
                for _ in 0..10 {
                    let there = run_plan(&*gpu, &plan, &[(DType::I32, data.clone(), 0)], &[]);
                    let there = decode(DType::I32, &there[0]);
                    assert!(
                        there.iter().enumerate().all(|(n, &value)| value == crate::naive::Number::Int(n as i64 * 32))
                    );
                }
            });
        }
    });
}

#[test]
fn adapters_are_listed_and_missing_ones_named() {
    let Some(gpu) = gpu() else { return };
    let adapters = adret_gpu::adapters();
    assert!(adapters.iter().any(|adapter| adapter.admitted()));
    assert!(gpu.describe().starts_with("gpu: "), "{}", gpu.describe());
    let error = adret_gpu::open(99).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Device);
    assert!(error.message.contains("gpu:99") && error.message.contains(&adapters[0].name), "{error}");
}

#[test]
fn floats_without_digits_lost_in_transit() {
    let Some(gpu) = gpu() else { return };
    let data = encode(DType::F32, &floats(1000));
    let buffer = gpu.upload(DType::F32, &data).unwrap();
    assert_eq!(read(&*gpu, &buffer, DType::F32, 1000), data);
}
