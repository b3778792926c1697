//! The functions of `Code` on f32 and f64 tiles, one table each. Depends on `loops` and `math`.
//! Invariant: what stands in a table is what `Code`'s docs say, at NaN, infinities and zeros too.

use super::exponential::Exponentials;
use super::loops::{Function, Strided, each, function, map, map_mended};
use super::mended::{Cos, Sin, Tan, powers};
use super::pointwise::{Operand, binary, symmetric, tile};
use crate::code::Code;
use crate::kit::math::{angle, double, hyperbolic, power, single, wide};

/// x − ⌊x / y⌋ · y with the sign of y: the exact remainder, moved into y's range.
macro_rules! floor_remainder {
    ($a:expr, $b:expr) => {{
        let remainder = $a % $b;
        if remainder == 0.0 {
            // The sign of a zero is that of b, as in Python.
            remainder.abs().copysign($b)
        } else if (remainder < 0.0) != ($b < 0.0) {
            remainder + $b
        } else {
            remainder
        }
    }};
}

/// ⌊x / y⌋ without the rounding of x / y: by the exact remainder.
macro_rules! floor_quotient {
    ($a:expr, $b:expr) => {{
        let remainder = $a % $b;
        let quotient = ($a - remainder) / $b;
        if $b == 0.0 || $b.is_nan() || $a.is_nan() || $a.is_infinite() {
            // x / 0 is ±∞ or NaN, ∞ / y is ±∞ or NaN.
            ($a / $b).floor()
        } else if remainder != 0.0 && (remainder < 0.0) != ($b < 0.0) {
            (quotient - 1.0).round()
        } else if quotient == 0.0 {
            (0.0 * quotient).copysign($a / $b)
        } else {
            quotient.round()
        }
    }};
}

/// The functions that both float types have word for word; `$more` takes the others.
macro_rules! float_table {
    ($name:ident, $type:ident, $more:ident) => {
        /// One function over a tile.
        ///
        /// # Safety
        /// As `pointwise`; at least one operand is a tile.
        pub(super) unsafe fn $name(code: Code, n: usize, dst: *mut $type, operands: &[Operand]) {
            type T = $type;
            // SAFETY: the caller's promises are the callees'; a predicate's destination holds n masks.
            unsafe {
                let mask = dst.cast::<u8>();
                match code {
                    Code::Neg => map(n, dst, tile(operands), function!(|x: T| -> T { -x })),
                    Code::Abs => map(n, dst, tile(operands), function!(|x: T| -> T { x.abs() })),
                    Code::Sign => map(n, dst, tile(operands), function!(|x: T| -> T { sign(x) })),
                    Code::Floor => map(n, dst, tile(operands), function!(|x: T| -> T { x.floor() })),
                    Code::Ceil => map(n, dst, tile(operands), function!(|x: T| -> T { x.ceil() })),
                    Code::Round => map(n, dst, tile(operands), function!(|x: T| -> T { x.round_ties_even() })),
                    Code::Trunc => map(n, dst, tile(operands), function!(|x: T| -> T { x.trunc() })),
                    Code::Sqrt => map(n, dst, tile(operands), function!(|x: T| -> T { x.sqrt() })),
                    Code::IsNan => map(n, mask, tile(operands), function!(|x: T| -> u8 { u8::from(x.is_nan()) })),
                    Code::IsInf => {
                        map(n, mask, tile(operands), function!(|x: T| -> u8 { u8::from(x.abs() == T::INFINITY) }))
                    }
                    Code::IsFinite => {
                        map(n, mask, tile(operands), function!(|x: T| -> u8 { u8::from(x.abs() < T::INFINITY) }))
                    }
                    Code::Add => symmetric(n, dst, operands, function!(|a: T, b: T| -> T { a + b })),
                    Code::Sub => binary(n, dst, operands, function!(|a: T, b: T| -> T { a - b })),
                    Code::Mul => symmetric(n, dst, operands, function!(|a: T, b: T| -> T { a * b })),
                    Code::Div => binary(n, dst, operands, function!(|a: T, b: T| -> T { a / b })),
                    Code::Maximum => symmetric(n, dst, operands, function!(|a: T, b: T| -> T { larger(a, b) })),
                    Code::Minimum => symmetric(n, dst, operands, function!(|a: T, b: T| -> T { smaller(a, b) })),
                    Code::Equal => symmetric(n, mask, operands, function!(|a: T, b: T| -> u8 { u8::from(a == b) })),
                    Code::NotEqual => symmetric(n, mask, operands, function!(|a: T, b: T| -> u8 { u8::from(a != b) })),
                    Code::Less => binary(n, mask, operands, function!(|a: T, b: T| -> u8 { u8::from(a < b) })),
                    Code::LessEqual => binary(n, mask, operands, function!(|a: T, b: T| -> u8 { u8::from(a <= b) })),
                    Code::Greater => $name(Code::Less, n, dst, &[operands[1], operands[0]]),
                    Code::GreaterEqual => $name(Code::LessEqual, n, dst, &[operands[1], operands[0]]),
                    Code::FloorDiv => two(n, dst, operands, function!(|a: T, b: T| -> T { floor_quotient!(a, b) })),
                    Code::Mod => two(n, dst, operands, function!(|a: T, b: T| -> T { floor_remainder!(a, b) })),
                    _ => $more(code, n, dst, operands),
                }
            }
            #[inline(always)]
            fn sign(x: T) -> T {
                let negative = if x < 0.0 { -1.0 } else { x };
                if x > 0.0 { 1.0 } else { negative }
            }
        }
    };
}

float_table!(f32s, f32, more_f32);
float_table!(f64s, f64, more_f64);

/// The larger, or NaN where there is one.
#[inline(always)]
pub(super) fn larger<T: PartialOrd + Copy>(a: T, b: T) -> T {
    let larger = if a > b { a } else { b };
    #[allow(clippy::eq_op, reason = "true for NaN only")]
    if a != a { a } else { larger }
}

/// The smaller, or NaN where there is one.
#[inline(always)]
pub(super) fn smaller<T: PartialOrd + Copy>(a: T, b: T) -> T {
    let smaller = if a < b { a } else { b };
    #[allow(clippy::eq_op, reason = "true for NaN only")]
    if a != a { a } else { smaller }
}

unsafe fn more_f32(code: Code, n: usize, dst: *mut f32, operands: &[Operand]) {
    // SAFETY: the caller's promises are the callees'.
    unsafe {
        match code {
            Code::Exp => {
                let a = tile::<f32>(operands).0.0;
                Exponentials { rows: 1, length: n, a, b: &0.0, dst, ahead: 0, sums: std::ptr::null_mut() }.run();
            }
            Code::Expm1 => map(n, dst, tile(operands), function!(|x: f32| -> f32 { wide::expm1::<M>(x) })),
            Code::Log => map(n, dst, tile(operands), function!(|x: f32| -> f32 { single::log::<M>(x) })),
            Code::Log1p => map(n, dst, tile(operands), function!(|x: f32| -> f32 { single::log1p::<M>(x) })),
            Code::Log2 => map(n, dst, tile(operands), function!(|x: f32| -> f32 { single::log2::<M>(x) })),
            Code::Log10 => map(n, dst, tile(operands), function!(|x: f32| -> f32 { single::log10::<M>(x) })),
            Code::Tanh => map(n, dst, tile(operands), function!(|x: f32| -> f32 { single::tanh::<M>(x) })),
            Code::Sinh => map(n, dst, tile(operands), function!(|x: f32| -> f32 { single::sinh::<M>(x) })),
            Code::Cosh => map(n, dst, tile(operands), function!(|x: f32| -> f32 { single::cosh::<M>(x) })),
            Code::Asinh => {
                map(n, dst, tile(operands), function!(|x: f32| -> f32 { hyperbolic::single::asinh::<M>(x) }))
            }
            Code::Acosh => {
                map(n, dst, tile(operands), function!(|x: f32| -> f32 { hyperbolic::single::acosh::<M>(x) }))
            }
            Code::Atanh => {
                map(n, dst, tile(operands), function!(|x: f32| -> f32 { hyperbolic::single::atanh::<M>(x) }))
            }
            Code::Asin => map(n, dst, tile(operands), function!(|x: f32| -> f32 { angle::single::asin::<M>(x) })),
            Code::Acos => map(n, dst, tile(operands), function!(|x: f32| -> f32 { angle::single::acos::<M>(x) })),
            Code::Atan => map(n, dst, tile(operands), function!(|x: f32| -> f32 { angle::single::atan::<M>(x) })),
            Code::Sigmoid => map(n, dst, tile(operands), function!(|x: f32| -> f32 { single::sigmoid::<M>(x) })),
            Code::Erf => map(n, dst, tile(operands), function!(|x: f32| -> f32 { single::erf::<M>(x) })),
            Code::Sin => map_mended(n, dst, tile::<f32>(operands), Sin),
            Code::Cos => map_mended(n, dst, tile::<f32>(operands), Cos),
            Code::Tan => map_mended(n, dst, tile::<f32>(operands), Tan),
            Code::Pow => powers(n, dst, operands),
            Code::Atan2 => {
                binary(n, dst, operands, function!(|y: f32, x: f32| -> f32 { angle::single::atan2::<M>(y, x) }))
            }
            other => unreachable!("{other:?} takes no floats"),
        }
    }
}

unsafe fn more_f64(code: Code, n: usize, dst: *mut f64, operands: &[Operand]) {
    // SAFETY: the caller's promises are the callees'.
    unsafe {
        match code {
            Code::Exp => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::exp::<M>(x) })),
            Code::Expm1 => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::expm1::<M>(x) })),
            Code::Log => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::log::<M>(x) })),
            Code::Log1p => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::log1p::<M>(x) })),
            Code::Log2 => map(n, dst, tile(operands), function!(|x: f64| -> f64 { power::log2::<M>(x) })),
            Code::Log10 => map(n, dst, tile(operands), function!(|x: f64| -> f64 { power::log10::<M>(x) })),
            Code::Tanh => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::tanh::<M>(x) })),
            Code::Sinh => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::sinh::<M>(x) })),
            Code::Cosh => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::cosh::<M>(x) })),
            Code::Asinh => {
                map(n, dst, tile(operands), function!(|x: f64| -> f64 { hyperbolic::double::asinh::<M>(x) }))
            }
            Code::Acosh => {
                map(n, dst, tile(operands), function!(|x: f64| -> f64 { hyperbolic::double::acosh::<M>(x) }))
            }
            Code::Atanh => {
                map(n, dst, tile(operands), function!(|x: f64| -> f64 { hyperbolic::double::atanh::<M>(x) }))
            }
            Code::Asin => map(n, dst, tile(operands), function!(|x: f64| -> f64 { angle::double::asin::<M>(x) })),
            Code::Acos => map(n, dst, tile(operands), function!(|x: f64| -> f64 { angle::double::acos::<M>(x) })),
            Code::Atan => map(n, dst, tile(operands), function!(|x: f64| -> f64 { angle::double::atan::<M>(x) })),
            Code::Sigmoid => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::sigmoid::<M>(x) })),
            Code::Erf => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::erf::<M>(x) })),
            Code::Sin => map_mended(n, dst, tile::<f64>(operands), Sin),
            Code::Cos => map_mended(n, dst, tile::<f64>(operands), Cos),
            Code::Tan => map_mended(n, dst, tile::<f64>(operands), Tan),
            Code::Pow => powers(n, dst, operands),
            Code::Atan2 => {
                binary(n, dst, operands, function!(|y: f64, x: f64| -> f64 { angle::double::atan2::<M>(y, x) }))
            }
            other => unreachable!("{other:?} takes no floats"),
        }
    }
}

/// A slow function of two operands, one by one.
unsafe fn two<T, F>(n: usize, dst: *mut F::Output, operands: &[Operand], f: F)
where
    T: super::number::Number,
    F: Function<(T, T)>,
{
    // SAFETY: the caller's promises are the callee's.
    unsafe { each(n, dst, Strided::new(operands[0]), Strided::new(operands[1]), f) }
}
