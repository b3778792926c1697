//! Random tensors from a key and a counter that the caller keeps. Depends on `graph` and `expr`.
//! Invariant: element i depends on key, counter and i alone; uniform bits are the same on every device.

use smallvec::{SmallVec, smallvec};

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI, TAU};

use super::expr::Expr;
use super::gather::{argsort, take_checked};
use super::pointwise::astype;
use crate::backend::Device;
use crate::code::Code;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Pointwise, Tensor, Vjp, source};
use crate::shape::Shape;

/// Where random numbers come from, and how many.
struct Draw {
    shape: Shape,
    device: Device,
    key: u64,
    counter: u64,
}

impl Draw {
    fn new(shape: &[usize], device: Device, key: u64, counter: u64) -> Result<Self> {
        Ok(Self { shape: Shape::new(shape)?, device, key, counter })
    }

    /// 32 bits per element.
    fn bits(&self, stream: u32) -> Expr {
        self.drawn(stream, DType::U32)
    }

    fn drawn(&self, stream: u32, dtype: DType) -> Expr {
        let bits = Bits { shape: self.shape.clone(), key: self.key, counter: self.counter, stream, dtype };
        source(bits, self.device).into()
    }

    /// 64 bits per element, from streams 0 and 1.
    fn wide_bits(&self) -> Expr {
        let high = self.bits(0).then(|bits| astype(bits, DType::U64));
        let low = self.bits(1).then(|bits| astype(bits, DType::U64));
        high.with(Code::Shl, 32i64).with(Code::Or, low)
    }

    /// Multiples of 2⁻²⁴ (float64: 2⁻⁵³; float16: 2⁻¹¹; bfloat16: 2⁻⁸) from 0 up to but not 1, from `stream` and the next.
    fn unit(&self, dtype: DType, stream: u32) -> Expr {
        let top = |stream: u32, shift: i64, dtype: DType| {
            self.bits(stream).with(Code::Shr, shift).then(|bits| astype(bits, dtype))
        };
        match dtype {
            DType::F64 => {
                let (high, low) = (top(stream, 5, dtype), top(stream + 1, 6, dtype));
                (high * f64::from(1u32 << 26) + low) * 2f64.powi(-53)
            }
            DType::F16 => top(stream, 21, dtype) * 2f64.powi(-11),
            DType::BF16 => top(stream, 24, dtype) * 2f64.powi(-8),
            _ => self.drawn(stream, DType::F32),
        }
    }
}

/// How far the counter advances for that many elements.
pub fn blocks(elements: usize) -> u64 {
    elements.div_ceil(4) as u64
}

fn float(name: &str, dtype: DType) -> Result<()> {
    if dtype.is_float() {
        return Ok(());
    }
    Err(Error::dtype(format!("{name}: {dtype} is no float dtype. Use float32, or random.integers.")))
}

/// Uniform numbers from `low` up to but not `high` (rounding aside).
///
/// # Errors
/// For dtypes that are not floats.
pub fn uniform(
    shape: &[usize],
    low: f64,
    high: f64,
    dtype: DType,
    device: Device,
    key: u64,
    counter: u64,
) -> Result<Tensor> {
    float("uniform", dtype)?;
    finite("uniform", &[("low", low), ("high", high)])?;
    if low > high {
        return Err(Error::value(format!("uniform: low is {low} and high {high}. Use low <= high.")));
    }
    (Draw::new(shape, device, key, counter)?.unit(dtype, 0) * (high - low) + low).done()
}

fn finite(op: &str, numbers: &[(&str, f64)]) -> Result<()> {
    match numbers.iter().find(|(_, number)| !number.is_finite()) {
        Some((name, number)) => Err(Error::value(format!("{op}: {name} is {number}. Use a finite number."))),
        None => Ok(()),
    }
}

/// Normal numbers of that mean and standard deviation.
///
/// # Errors
/// For dtypes that are not floats, and bounds that are not finite.
pub fn normal(
    shape: &[usize],
    mean: f64,
    std: f64,
    dtype: DType,
    device: Device,
    key: u64,
    counter: u64,
) -> Result<Tensor> {
    float("normal", dtype)?;
    finite("normal", &[("mean", mean), ("std", std)])?;
    if std < 0.0 {
        return Err(Error::value(format!("normal: std is {std}. Use 0 or more.")));
    }
    let draw = Draw::new(shape, device, key, counter)?;
    let (wide, second) = if dtype == DType::F64 { (DType::F64, 2) } else { (DType::F32, 1) };
    // Box and Muller: √(−2 ln u) · cos 2πv; 1 − u is never 0.
    let radius = ((1.0 - draw.unit(wide, 0)).apply(Code::Log) * -2.0).apply(Code::Sqrt);
    let angle = (draw.unit(wide, second) * TAU).apply(Code::Cos);
    (radius * angle * std + mean).then(|x| astype(x, dtype)).done()
}

/// Normal numbers of that mean and standard deviation that lie between `low` and `high`.
///
/// # Errors
/// For dtypes that are not floats, and `low` not below `high`.
pub fn truncated_normal(
    shape: &[usize],
    mean: f64,
    std: f64,
    low: f64,
    high: f64,
    dtype: DType,
    device: Device,
    key: u64,
    counter: u64,
) -> Result<Tensor> {
    float("truncated_normal", dtype)?;
    let in_order = low < high && std > 0.0;
    if !in_order {
        return Err(Error::value(format!(
            "truncated_normal: from {low} to {high} with standard deviation {std}. Use low < high and a positive std."
        )));
    }
    let wide = dtype.promote(DType::F32);
    // erf z runs uniformly between its values at the bounds; z = (x − mean) / (std · √2).
    let bound = |x: f64| erf((x - mean) / std * FRAC_1_SQRT_2);
    let (from, to) = (bound(low), bound(high));
    let p = Draw::new(shape, device, key, counter)?.unit(wide, 0) * (to - from) + from;
    let x = erf_inverse(&p) * (std / FRAC_1_SQRT_2) + mean;
    x.with(Code::Maximum, low).with(Code::Minimum, high).then(|x| astype(x, dtype)).done()
}

/// erf⁻¹: Winitzki's estimate (error 2·10⁻³), then two of Halley's steps, which cube the error.
fn erf_inverse(p: &Expr) -> Expr {
    const A: f64 = 0.147;
    // At ±1 the logarithm is cut off instead of infinite; callers clip the result.
    let log = (1.0 - p * p).with(Code::Maximum, 1e-30).apply(Code::Log);
    let half = &log * 0.5 + 2.0 / (PI * A);
    let estimate =
        ((half.squared() - &log * (1.0 / A)).apply(Code::Sqrt) - half).with(Code::Maximum, 0.0).apply(Code::Sqrt)
            * p.apply(Code::Sign);
    (0..2).fold(estimate, |x, _| {
        let error = (x.apply(Code::Erf) - p) / ((-x.squared()).apply(Code::Exp) * FRAC_2_SQRT_PI);
        &x - &error / (&x * &error + 1.0)
    })
}

/// erf of one number, for the bounds: its series where it converges fast, else a continued fraction of 1 − erf.
fn erf(x: f64) -> f64 {
    let square = x * x;
    if x.abs() < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= -square / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return sum * FRAC_2_SQRT_PI;
    }
    let fraction = (1..=60).rev().fold(0.0, |rest, n| f64::from(n) * 0.5 / (x.abs() + rest));
    let complement = (-square).exp() / ((x.abs() + fraction) * PI.sqrt());
    (1.0 - complement).copysign(x)
}

/// True with probability `p`.
///
/// # Errors
/// When `p` is no probability.
pub fn bernoulli(shape: &[usize], p: f64, device: Device, key: u64, counter: u64) -> Result<Tensor> {
    if !(0.0..=1.0).contains(&p) {
        return Err(Error::value(format!("bernoulli: p is {p}. Use a probability from 0 to 1.")));
    }
    Draw::new(shape, device, key, counter)?.unit(DType::F32, 0).with(Code::Less, p).done()
}

/// Uniform integers from `low` up to but not `high`.
///
/// # Errors
/// When there are none, or the dtype cannot hold them.
pub fn integers(
    shape: &[usize],
    low: i64,
    high: i64,
    dtype: DType,
    device: Device,
    key: u64,
    counter: u64,
) -> Result<Tensor> {
    if low >= high {
        return Err(Error::value(format!("integers: there are none from {low} up to {high}. Use low < high.")));
    }
    let Some((least, most)) = dtype.integer_range() else {
        return Err(Error::dtype(format!("integers: {dtype} is no integer dtype. Use int64, or random.uniform.")));
    };
    if i128::from(low) < least || i128::from(high) - 1 > most {
        return Err(Error::value(format!("integers: {dtype} does not hold {low} to {}. Use a wider dtype.", high - 1)));
    }
    let draw = Draw::new(shape, device, key, counter)?;
    let range = i128::from(high) - i128::from(low);
    let offset = if range <= 1 << 16 {
        // (high · 2³² + low) mod range in 32-bit steps, which every device has.
        let (high, low) = (draw.bits(0), draw.bits(1));
        let next = |rest: Expr, digits: Expr| {
            let shifted = rest.with(Code::Shl, 16i64);
            // rest < 2¹⁶, so that nothing is lost.
            shifted.with(Code::Or, digits).with(Code::Mod, range)
        };
        let rest = next(high.with(Code::Mod, range), low.with(Code::Shr, 16i64));
        next(rest, low.with(Code::And, 0xffffi64))
    } else {
        draw.wide_bits().with(Code::Mod, range)
    };
    // Sums of wrapped integers are right whenever the result fits.
    let signed = if dtype.size() == 8 || range > 1 << 16 { DType::I64 } else { DType::I32 };
    let fits = signed == DType::I64 || i32::try_from(low).is_ok() && i32::try_from(high).is_ok();
    let signed = if fits { signed } else { DType::I64 };
    offset.then(|offset| astype(offset, signed)).with(Code::Add, low).then(|x| astype(x, dtype)).done()
}

/// The numbers 0 to n − 1 in random order, as the device's default integer.
///
/// # Errors
/// None of its own.
pub fn permutation(n: usize, device: Device, key: u64, counter: u64) -> Result<Tensor> {
    // Random keys of 64 bits, sorted: ties are as good as impossible.
    let draw = Draw::new(&[n], device, key, counter)?;
    if device == Device::Cpu {
        return argsort(&draw.wide_bits().done()?, 0, false);
    }
    // The same order in 32 bits, which every device has: by the lower halves, then, equal ones keeping it, by the upper.
    let lower = argsort(&draw.bits(1).done()?, 0, false)?;
    let upper = argsort(&take_checked(&draw.bits(0).done()?, &lower, 0)?, 0, false)?;
    take_checked(&lower, &upper, 0)
}

/// Philox bits as uint32, or their upper 24 as a float32 from 0 up to but not 1.
#[derive(Debug)]
struct Bits {
    shape: Shape,
    key: u64,
    counter: u64,
    stream: u32,
    dtype: DType,
}

impl Op for Bits {
    fn name(&self) -> &'static str {
        "random"
    }
    fn key(&self, key: &mut Key) {
        key.list(&self.shape, |size| size as u64);
        key.number(self.stream.into());
    }
    fn slots(&self, slots: &mut Vec<u64>) {
        slots.extend([self.key, self.counter]);
    }
    fn infer(&self, _inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![Meta::new(self.shape.clone(), self.dtype)])
    }
    fn vjp(&self, _cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        Ok(SmallVec::new())
    }
    fn lower(&self) -> Lowering {
        Lowering::Pointwise(Pointwise::Random { stream: self.stream })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_of_one_number() {
        for (x, y) in
            [(0.0, 0.0), (0.5, 0.520_499_877_813_046_5), (2.0, 0.995_322_265_018_952_7), (3.0, 0.999_977_909_503_001_4)]
        {
            assert!((erf(x) - y).abs() < 1e-14, "{x}: {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
    }

    #[test]
    fn user_errors() {
        let draw = |low, high, dtype| integers(&[2], low, high, dtype, Device::Cpu, 0, 0);
        assert!(draw(3, 3, DType::I64).is_err());
        assert!(draw(0, 300, DType::U8).is_err());
        assert!(draw(0, 256, DType::U8).is_ok());
        assert!(draw(0, 3, DType::F32).is_err());
        assert!(uniform(&[2], 0.0, 1.0, DType::I32, Device::Cpu, 0, 0).is_err());
        assert!(bernoulli(&[2], 1.5, Device::Cpu, 0, 0).is_err());
        assert_eq!(blocks(5), 2);
    }
}
