//! Sweeps of the vector mathematics against f64 (or better) references on every path of this processor.
//! Depends on `math` and `simd`. Invariant: the bounds here are the ones that the functions' docs state.

use super::{double, single, wide};
use crate::kit::simd::{Kernel, Machine, Path, launch_on};

/// A function of one f32 under test, as a kernel that maps a slice.
macro_rules! sweep {
    ($type:ty, $module:ident :: $name:ident) => {{
        struct Sweep<'a>(&'a [$type]);
        impl Kernel for Sweep<'_> {
            type Output = Vec<$type>;
            #[inline(always)]
            fn run<M: Machine>(self) -> Vec<$type> {
                self.0.iter().map(|&x| $module::$name::<M>(x)).collect()
            }
        }
        |path: Path, inputs: &[$type]| -> Vec<$type> {
            // SAFETY: the tests only pass available paths.
            unsafe { launch_on(path, Sweep(inputs)) }
        }
    }};
}

/// Distance of `got` from the exact value in units of the last place of f32; 0 where both are the same NaN, infinity or zero.
fn error32(got: f32, exact: f64) -> f64 {
    let nearest = exact as f32;
    if got.to_bits() == nearest.to_bits() || (got.is_nan() && exact.is_nan()) {
        return 0.0;
    }
    if got.is_nan() || exact.is_nan() || (got == 0.0 && nearest == 0.0) {
        return f64::INFINITY;
    }
    let exponent = nearest.abs().max(f32::MIN_POSITIVE).log2().floor().min(127.0);
    let unit = f64::from((exponent - 23.0).exp2());
    if got.is_infinite() || nearest.is_infinite() {
        // The neighbour of infinity counts as the next number of the scale.
        let finite = |v: f64| v.clamp(-(f64::from(f32::MAX) + unit), f64::from(f32::MAX) + unit);
        return (finite(f64::from(got)) - finite(exact)).abs() / unit;
    }
    (f64::from(got) - exact).abs() / unit
}

/// Every sign and exponent with mantissas spread over each binade, and the special values.
fn inputs32() -> Vec<f32> {
    let mut inputs =
        vec![0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1.0, -1.0, 0.5, 0.625, 88.722_84, -103.97];
    for exponent in 0..255u32 {
        // More mantissas where functions bend.
        let count: u32 = if (100..140).contains(&exponent) { 4000 } else { 150 };
        for i in 0..count {
            let mantissa = (u64::from(i) * 0x7f_ffff / u64::from(count - 1)) as u32 ^ (i.wrapping_mul(0x9e37) & 0x3f);
            let bits = exponent << 23 | (mantissa & 0x7f_ffff);
            inputs.extend([f32::from_bits(bits), f32::from_bits(bits | 1 << 31)]);
        }
    }
    inputs
}

fn check32(name: &str, bound: f64, got: impl Fn(Path, &[f32]) -> Vec<f32>, exact: impl Fn(f64) -> f64) {
    let inputs = inputs32();
    for path in Path::available() {
        let mut worst = (0.0, 0.0, 0.0);
        for (&x, &y) in inputs.iter().zip(&got(path, &inputs)) {
            let error = error32(y, exact(f64::from(x)));
            if error > worst.0 {
                worst = (error, x, y);
            }
        }
        println!("{name} {}: {:.3} ULP at {:e} -> {:e}", path.name(), worst.0, worst.1, worst.2);
        assert!(worst.0 <= bound, "{name} on {}: {} ULP at {:e} -> {:e}", path.name(), worst.0, worst.1, worst.2);
    }
}

#[test]
fn f32_functions_stay_within_their_bounds() {
    check32("exp", 2.0, sweep!(f32, single::exp), f64::exp);
    check32("sigmoid", 3.0, sweep!(f32, single::sigmoid), |x| {
        if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
    });
    check32("tanh", 2.0, sweep!(f32, single::tanh), f64::tanh);
    check32("log", 1.0, sweep!(f32, single::log), f64::ln);
    check32("erf", 2.0, sweep!(f32, single::erf), erf_reference);
    check32("log2", 1.0, sweep!(f32, wide::log2), f64::log2);
    check32("log10", 1.0, sweep!(f32, wide::log10), f64::log10);
    check32("log1p", 1.0, sweep!(f32, wide::log1p), f64::ln_1p);
    check32("expm1", 1.0, sweep!(f32, wide::expm1), f64::exp_m1);
}

#[test]
fn f32_circle_functions_stay_within_their_bounds() {
    let near = |f: fn(Path, &[f32]) -> Vec<f32>, slow: fn(f64) -> f64| {
        move |path: Path, inputs: &[f32]| -> Vec<f32> {
            let fast = f(path, inputs);
            inputs
                .iter()
                .zip(fast)
                .map(|(&x, y)| if wide::needs_reduction(x) { slow(f64::from(x)) as f32 } else { y })
                .collect()
        }
    };
    check32("sin", 1.0, near(sweep!(f32, wide::sin), f64::sin), f64::sin);
    check32("cos", 1.0, near(sweep!(f32, wide::cos), f64::cos), f64::cos);
    check32("tan", 1.0, near(sweep!(f32, wide::tan), f64::tan), f64::tan);
}

#[test]
fn f32_powers_are_those_of_f64() {
    struct Powers<'a>(&'a [(f32, f32)]);
    impl Kernel for Powers<'_> {
        type Output = Vec<f32>;
        #[inline(always)]
        fn run<M: Machine>(self) -> Vec<f32> {
            self.0.iter().map(|&(a, b)| wide::pow::<M>(a, b)).collect()
        }
    }
    let mut pairs = Vec::new();
    for a in [1e-40f32, 1e-30, 0.01, 0.5, 0.999_999_94, 1.0, 1.000_000_1, 1.5, 2.0, 3.3, 700.0, 1e20, f32::MAX] {
        for b in [0.0f32, 1e-30, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 7.25, 31.0, 127.0, 1e5, 1.7e7, 1e30] {
            pairs.extend([(a, b), (a, -b), (-a, b), (-a, -b)]);
        }
    }
    for path in Path::available() {
        // SAFETY: the path is available.
        let got = unsafe { launch_on(path, Powers(&pairs)) };
        for (&(a, b), y) in pairs.iter().zip(got) {
            let error = error32(y, f64::from(a).powf(f64::from(b)));
            assert!(error <= 1.0, "{a:e}^{b:e} = {y:e}: {error} ULP on {}", path.name());
        }
    }
}

/// erf by its power series below 3.5, which f64 sums to about 10⁻¹³ there, and by the continued fraction of erfc above.
fn erf_reference(x: f64) -> f64 {
    let a = x.abs();
    if x.is_nan() || a > 6.0 {
        return if x.is_nan() { x } else { x.signum() };
    }
    if a < 2.0 {
        let (mut term, mut sum) = (a, a);
        for n in 1..80 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return (sum * std::f64::consts::FRAC_2_SQRT_PI).copysign(x);
    }
    let mut tail = 0.0;
    for n in (1..200).rev() {
        tail = f64::from(n) / 2.0 / (a + tail);
    }
    (1.0 - (-a * a).exp() / (a + tail) / std::f64::consts::PI.sqrt()).copysign(x)
}

/// Distance in units of the last place of f64.
fn error64(got: f64, exact: f64) -> f64 {
    if got.to_bits() == exact.to_bits() || (got.is_nan() && exact.is_nan()) {
        return 0.0;
    }
    if got.is_sign_negative() != exact.is_sign_negative() || got.is_nan() || exact.is_nan() {
        return f64::INFINITY;
    }
    // Neighbours of one sign differ by one in their bits.
    (got.to_bits() as i64 - exact.to_bits() as i64).unsigned_abs() as f64
}

fn check64(name: &str, bound: f64, got: impl Fn(Path, &[f64]) -> Vec<f64>, exact: impl Fn(f64) -> f64) {
    let mut inputs =
        vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.0, -1.0, 709.78, -745.1, 710.5, -746.5];
    for exponent in 0..2047u64 {
        let count: u64 = if (1000..1040).contains(&exponent) { 2000 } else { 30 };
        for i in 0..count {
            let bits = exponent << 52 | (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 12);
            inputs.extend([f64::from_bits(bits), f64::from_bits(bits | 1 << 63)]);
        }
    }
    for path in Path::available() {
        let mut worst = (0.0, 0.0, 0.0);
        for (&x, &y) in inputs.iter().zip(&got(path, &inputs)) {
            let error = error64(y, exact(x));
            if error > worst.0 {
                worst = (error, x, y);
            }
        }
        println!("f64 {name} {}: {:.0} ULP at {:e} -> {:e}", path.name(), worst.0, worst.1, worst.2);
        assert!(worst.0 <= bound, "{name} on {}: {} ULP at {:e} -> {:e}", path.name(), worst.0, worst.1, worst.2);
    }
}

#[test]
fn f64_functions_stay_within_their_bounds() {
    check64("exp", 1.0, sweep!(f64, double::exp), f64::exp);
    check64("expm1", 3.0, sweep!(f64, double::expm1), f64::exp_m1);
    check64("tanh", 3.0, sweep!(f64, double::tanh), f64::tanh);
    check64("sigmoid", 3.0, sweep!(f64, double::sigmoid), |x| {
        if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
    });
    check64("log", 1.0, sweep!(f64, double::log), f64::ln);
    check64("log1p", 2.0, sweep!(f64, double::log1p), f64::ln_1p);
}

#[test]
fn f64_erf_matches_known_values() {
    let known = [
        (1e-300, 1.128_379_167_095_512_6e-300),
        (1e-9, 1.128_379_167_095_512_7e-9),
        (0.1, 0.112_462_916_018_284_9),
        (0.25, 0.276_326_390_168_236_96),
        (0.5, 0.520_499_877_813_046_5),
        (0.75, 0.711_155_633_653_515_1),
        (0.999, 0.842_285_270_206_496_9),
        (1.0, 0.842_700_792_949_714_9),
        (1.001, 0.843_115_485_478_076_2),
        (1.25, 0.922_900_128_256_458_3),
        (1.5, 0.966_105_146_475_310_8),
        (2.0, 0.995_322_265_018_952_7),
        (2.5, 0.999_593_047_982_555),
        (3.0, 0.999_977_909_503_001_4),
        (4.0, 0.999_999_984_582_742_1),
        (5.5, 0.999_999_999_999_992_7),
        (6.0, 1.0),
        (f64::INFINITY, 1.0),
        (0.0, 0.0),
    ];
    let inputs: Vec<f64> = known.iter().flat_map(|&(x, _)| [x, -x]).collect();
    for path in Path::available() {
        let got = sweep!(f64, double::erf)(path, &inputs);
        for (i, &(x, y)) in known.iter().enumerate() {
            for (got, exact) in [(got[2 * i], y), (got[2 * i + 1], -y)] {
                assert!((got - exact).abs() <= 1e-15 * y.abs(), "erf {x}: {got:e}, not {exact:e}");
            }
        }
        assert!(sweep!(f64, double::erf)(path, &[f64::NAN])[0].is_nan());
    }
}
