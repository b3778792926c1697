//! Sweeps of the vector mathematics against f64 (or better) references on every path of this processor.
//! Depends on `math` and `simd`. Invariant: the bounds here are the ones that the functions' docs state.

use super::{angle, circle, double, hyperbolic, power, single, wide};
use crate::kit::simd::{Kernel, Machine, Path, launch_on};

/// A function of one f32 under test, as a kernel that maps a slice.
macro_rules! sweep {
    ($type:ty, $function:path) => {{
        struct Sweep<'a>(&'a [$type]);
        impl Kernel for Sweep<'_> {
            type Output = Vec<$type>;
            #[inline(always)]
            fn run<M: Machine>(self) -> Vec<$type> {
                self.0.iter().map(|&x| $function(x)).collect()
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
    check32("exp", 2.0, sweep!(f32, single::exp::<M>), f64::exp);
    check32("sigmoid", 3.0, sweep!(f32, single::sigmoid::<M>), |x| {
        if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
    });
    check32("tanh", 2.0, sweep!(f32, single::tanh::<M>), f64::tanh);
    check32("log", 1.0, sweep!(f32, single::log::<M>), f64::ln);
    check32("erf", 2.0, sweep!(f32, single::erf::<M>), erf_reference);
    check32("log2", 1.0, sweep!(f32, single::log2::<M>), f64::log2);
    check32("log10", 1.0, sweep!(f32, single::log10::<M>), f64::log10);
    check32("log1p", 2.0, sweep!(f32, single::log1p::<M>), f64::ln_1p);
    check32("sinh", 2.0, sweep!(f32, single::sinh::<M>), f64::sinh);
    check32("cosh", 2.0, sweep!(f32, single::cosh::<M>), f64::cosh);
    check32("asinh", 4.0, sweep!(f32, hyperbolic::single::asinh::<M>), |x| x.asinh());
    check32("acosh", 4.0, sweep!(f32, hyperbolic::single::acosh::<M>), f64::acosh);
    check32("atanh", 4.0, sweep!(f32, hyperbolic::single::atanh::<M>), f64::atanh);
    check32("atan", 2.0, sweep!(f32, angle::single::atan::<M>), f64::atan);
    check32("asin", 3.0, sweep!(f32, angle::single::asin::<M>), f64::asin);
    check32("acos", 3.0, sweep!(f32, angle::single::acos::<M>), f64::acos);
    check32("expm1", 1.0, sweep!(f32, wide::expm1::<M>), f64::exp_m1);
}

#[test]
fn circle_functions_stay_within_their_bounds() {
    macro_rules! check {
        ($check:ident, $float:ident, $module:ident, $name:ident, $bound:literal) => {{
            let fast = sweep!($float, $module::$name::<M>);
            let mended = |path: Path, inputs: &[$float]| -> Vec<$float> {
                let slow = |x: $float| f64::from(x).$name() as $float;
                let pairs = inputs.iter().zip(fast(path, inputs));
                pairs.map(|(&x, y)| if $module::needs_reduction(x) { slow(x) } else { y }).collect()
            };
            $check(stringify!($name), $bound, mended, f64::$name);
        }};
    }
    check!(check32, f32, wide, sin, 1.0);
    check!(check32, f32, wide, cos, 1.0);
    check!(check32, f32, wide, tan, 1.0);
    check!(check64, f64, circle, sin, 1.0);
    check!(check64, f64, circle, cos, 1.0);
    check!(check64, f64, circle, tan, 2.0);
}

/// Every pair of numbers spread over the range, with signs.
fn pairs() -> Vec<(f64, f64)> {
    let mut sizes = vec![0.0, f64::INFINITY, f64::NAN, f64::MAX, f64::MIN_POSITIVE, 5e-324, 1.0, 2.0, 0.5];
    sizes.extend([1e-40, 1e-30, 0.01, 0.999_999_94, 1.000_000_1, 1.5, 3.3, 0.1, 7.25, 31.0, 127.0, 1e5, 1.7e7, 1e30]);
    sizes.extend([f64::from(f32::MAX), f64::from(f32::MIN_POSITIVE), 1e-45, 1.0 + f64::EPSILON, 1.0 - f64::EPSILON]);
    // Quotients around tan π/8 and 1, where the arctangent's pieces meet, and exponents near overflow.
    sizes.extend((0..120).map(|i| 0.38 + 0.006 * f64::from(i)));
    sizes.extend((0..60).map(|i| 1.37f64.powi(i - 30)));
    let signed = |x: f64| [x, -x];
    let sizes: Vec<f64> = sizes.into_iter().flat_map(signed).collect();
    sizes.iter().flat_map(|&a| sizes.iter().map(move |&b| (a, b))).collect()
}

/// Functions of two numbers against the standard library's in f64, on every path.
macro_rules! check_pairs {
    ($name:literal, $float:ident, $error:ident, $bound:literal, $function:path, $special:expr, $exact:expr) => {{
        struct Sweep<'a>(&'a [($float, $float)]);
        impl Kernel for Sweep<'_> {
            type Output = Vec<$float>;
            #[inline(always)]
            fn run<M: Machine>(self) -> Vec<$float> {
                self.0.iter().map(|&(a, b)| $function(a, b)).collect()
            }
        }
        let pairs: Vec<($float, $float)> = pairs().into_iter().map(|(a, b)| (a as $float, b as $float)).collect();
        for path in Path::available() {
            // SAFETY: the path is available.
            let got = unsafe { launch_on(path, Sweep(&pairs)) };
            let mut worst = 0.0;
            for (&(a, b), y) in pairs.iter().zip(got) {
                if !$special(a, b) {
                    let exact: f64 = $exact(f64::from(a), f64::from(b));
                    let error = $error(y, exact);
                    worst = error.max(worst);
                    assert!(
                        error <= $bound,
                        "{}({a:e}, {b:e}) = {y:e}, not {exact:e}: {error} ULP on {}",
                        $name,
                        path.name()
                    );
                }
            }
            println!("{} {} {}: {worst:.3} ULP", $name, stringify!($float), path.name());
        }
    }};
}

#[test]
fn functions_of_two_numbers_stay_within_their_bounds() {
    let none = |_, _| false;
    check_pairs!("pow", f32, error32, 1.0, wide::pow::<M>, wide::pow_is_special, f64::powf);
    check_pairs!("atan2", f32, error32, 2.0, angle::single::atan2::<M>, none, f64::atan2);
    let none = |_, _| false;
    check_pairs!("pow", f64, error64, 1.0, power::pow::<M>, power::pow_is_special, f64::powf);
    check_pairs!("atan2", f64, error64, 2.0, angle::double::atan2::<M>, none, f64::atan2);
}

#[test]
fn logarithms_of_powers_of_the_base_are_whole() {
    for path in Path::available() {
        let tens: Vec<f64> = (0..=22).map(|n| format!("1e{n}").parse().unwrap()).collect();
        let twos: Vec<f64> = (-1074..1024).map(|n| f64::from(n).exp2()).collect();
        assert_eq!(sweep!(f64, power::log10::<M>)(path, &tens), (0..=22).map(f64::from).collect::<Vec<_>>());
        assert_eq!(sweep!(f64, power::log2::<M>)(path, &twos), (-1074..1024).map(f64::from).collect::<Vec<_>>());
        let (tens, twos) = (tens[..11].iter().map(|&x| x as f32), twos[925..1202].iter().map(|&x| x as f32));
        let (tens, twos): (Vec<f32>, Vec<f32>) = (tens.collect(), twos.collect());
        assert_eq!(sweep!(f32, single::log10::<M>)(path, &tens), (0..11).map(|n| n as f32).collect::<Vec<_>>());
        assert_eq!(sweep!(f32, single::log2::<M>)(path, &twos), (-149..128).map(|n| n as f32).collect::<Vec<_>>());
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

/// A function that is ln 2x far away, where the standard library's overflows.
fn far(x: f64, near: fn(f64) -> f64) -> f64 {
    let far = x.abs() > 1e100 && (x > 0.0 || near(x).is_infinite());
    if far { (x.abs().ln() + std::f64::consts::LN_2).copysign(x) } else { near(x) }
}

#[test]
fn f64_functions_stay_within_their_bounds() {
    check64("exp", 1.0, sweep!(f64, double::exp::<M>), f64::exp);
    check64("expm1", 3.0, sweep!(f64, double::expm1::<M>), f64::exp_m1);
    check64("tanh", 3.0, sweep!(f64, double::tanh::<M>), f64::tanh);
    check64("sigmoid", 3.0, sweep!(f64, double::sigmoid::<M>), |x| {
        if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
    });
    check64("log", 1.0, sweep!(f64, double::log::<M>), f64::ln);
    check64("log1p", 2.0, sweep!(f64, double::log1p::<M>), f64::ln_1p);
    // The references have an error of 1 ULP themselves.
    check64("log2", 2.0, sweep!(f64, power::log2::<M>), f64::log2);
    check64("log10", 2.0, sweep!(f64, power::log10::<M>), f64::log10);
    check64("sinh", 4.0, sweep!(f64, double::sinh::<M>), f64::sinh);
    check64("cosh", 2.0, sweep!(f64, double::cosh::<M>), f64::cosh);
    check64("asinh", 4.0, sweep!(f64, hyperbolic::double::asinh::<M>), |x| far(x, f64::asinh));
    check64("acosh", 4.0, sweep!(f64, hyperbolic::double::acosh::<M>), |x| {
        // The standard library's loses digits near 1.
        if x < 2.0 { 2.0 * ((x - 1.0) / 2.0).sqrt().asinh() } else { far(x, f64::acosh) }
    });
    check64("atanh", 4.0, sweep!(f64, hyperbolic::double::atanh::<M>), |x| x.abs().atanh().copysign(x));
    check64("atan", 2.0, sweep!(f64, angle::double::atan::<M>), f64::atan);
    check64("asin", 3.0, sweep!(f64, angle::double::asin::<M>), f64::asin);
    check64("acos", 3.0, sweep!(f64, angle::double::acos::<M>), f64::acos);
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
        let got = sweep!(f64, double::erf::<M>)(path, &inputs);
        for (i, &(x, y)) in known.iter().enumerate() {
            for (got, exact) in [(got[2 * i], y), (got[2 * i + 1], -y)] {
                assert!((got - exact).abs() <= 1e-15 * y.abs(), "erf {x}: {got:e}, not {exact:e}");
            }
        }
        assert!(sweep!(f64, double::erf::<M>)(path, &[f64::NAN])[0].is_nan());
    }
}
