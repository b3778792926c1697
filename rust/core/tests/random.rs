//! Random tensors: bits against the plain generator, and moments of the distributions.
//! Depends on `common`. Invariant: seeds are fixed, so that nothing fails by chance.

mod common;

use adret_core::backend::Device;
use adret_core::dtype::{DType, Scalar};
use adret_core::ops::{self, random};
use adret_core::rng::element;
use common::values;

const CPU: Device = Device::Cpu;
const COUNT: usize = 40_000;

fn moments(x: &[f64]) -> (f64, f64) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    (mean, x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64)
}

#[test]
fn uniform_numbers_are_the_generators_bits() {
    let (key, counter) = (0x1234_5678_9abc_def0, 7);
    let x = values(&random::uniform(&[3, 5], 0.0, 1.0, DType::F32, CPU, key, counter).unwrap());
    for (i, x) in x.into_iter().enumerate() {
        assert_eq!(x, f64::from(element(i as u64, key, counter, 0) >> 8) / 16_777_216.0);
    }
    let x = values(&random::uniform(&[6], 0.0, 1.0, DType::F64, CPU, key, counter).unwrap());
    for (i, x) in x.into_iter().enumerate() {
        let bits = |stream| u64::from(element(i as u64, key, counter, stream));
        assert_eq!(x, ((bits(0) >> 5 << 26) + (bits(1) >> 6)) as f64 / 2f64.powi(53));
    }
}

#[test]
fn distributions_have_their_moments() {
    for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
        let x = values(&random::uniform(&[COUNT], -1.0, 3.0, dtype, CPU, 1, 0).unwrap());
        let (mean, variance) = moments(&x);
        assert!((mean - 1.0).abs() < 0.02 && (variance - 16.0 / 12.0).abs() < 0.03, "{dtype}: {mean} {variance}");
        assert!(x.iter().all(|x| (-1.0..=3.0).contains(x)));
        let (mean, variance) = moments(&values(&random::normal(&[COUNT], 1.0, 2.0, dtype, CPU, 2, 0).unwrap()));
        assert!((mean - 1.0).abs() < 0.03 && (variance - 4.0).abs() < 0.1, "{dtype}: {mean} {variance}");
    }
    let x = values(&random::truncated_normal(&[COUNT], 0.0, 1.0, -2.0, 2.0, DType::F64, CPU, 3, 0).unwrap());
    let (mean, variance) = moments(&x);
    // 1 − 4 φ(2) / (2 Φ(2) − 1)
    assert!(mean.abs() < 0.02 && (variance - 0.773_741).abs() < 0.02, "{mean} {variance}");
    assert!(x.iter().all(|x| (-2.0..=2.0).contains(x)));
    let (mean, _) = moments(&values(&random::bernoulli(&[COUNT], 0.3, CPU, 4, 0).unwrap()));
    assert!((mean - 0.3).abs() < 0.01);
}

#[test]
fn truncated_normals_invert_erf() {
    // u = (erf z − erf a) / (erf b − erf a) must give the uniform numbers back.
    let u = values(&random::uniform(&[500], 0.0, 1.0, DType::F64, CPU, 5, 0).unwrap());
    let x = random::truncated_normal(&[500], 0.0, 1.0, -3.0, 2.5, DType::F64, CPU, 5, 0).unwrap();
    let erf = |x: f64| {
        let y = ops::erf(&common::tensor(&[], &[x * std::f64::consts::FRAC_1_SQRT_2])).unwrap();
        values(&y)[0]
    };
    let (low, high) = (erf(-3.0), erf(2.5));
    for (u, x) in u.into_iter().zip(values(&x)) {
        let back = (erf(x) - low) / (high - low);
        assert!((back - u).abs() < 1e-9, "{u} {back}");
    }
}

#[test]
fn integers_cover_their_range() {
    let x = values(&random::integers(&[COUNT], -2, 3, DType::I8, CPU, 6, 0).unwrap());
    for value in -2..3 {
        let share = x.iter().filter(|x| **x == f64::from(value)).count() as f64 / COUNT as f64;
        assert!((share - 0.2).abs() < 0.01, "{value}: {share}");
    }
    // The 32-bit steps and the 64-bit remainder are one formula.
    let wide = |i: usize| (u64::from(element(i as u64, 9, 3, 0)) << 32) | u64::from(element(i as u64, 9, 3, 1));
    for (low, high) in [(0, 65_536), (5, 1005), (-7, 1 << 40), (i64::MIN, i64::MAX)] {
        let x = random::integers(&[20], low, high, DType::I64, CPU, 9, 3).unwrap();
        let range = (i128::from(high) - i128::from(low)) as u64;
        for (i, x) in values(&x).into_iter().enumerate() {
            let expected = (i128::from(low) + i128::from(wide(i) % range)) as f64;
            assert_eq!(x, expected, "{low}..{high}");
        }
    }
}

#[test]
fn permutations_are_permutations() {
    let x = values(&random::permutation(1000, CPU, 8, 0).unwrap());
    let mut sorted = x.clone();
    sorted.sort_by(f64::total_cmp);
    assert!(sorted.iter().enumerate().all(|(i, x)| *x == i as f64));
    assert_ne!(x, sorted);
    let other = values(&random::permutation(1000, CPU, 8, random::blocks(1000)).unwrap());
    assert_ne!(x, other);
}

#[test]
fn dropout_keeps_the_mean() {
    let ones = ops::full(&[COUNT], Scalar::Float(1.0), DType::F32, CPU).unwrap();
    let x = values(&ops::dropout(&ones, 0.25, 10, 0).unwrap());
    let (mean, _) = moments(&x);
    assert!((mean - 1.0).abs() < 0.01);
    assert!(x.iter().all(|x| *x == 0.0 || (x - 4.0 / 3.0).abs() < 1e-6));
}
