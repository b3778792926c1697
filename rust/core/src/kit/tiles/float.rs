//! The functions of `Code` on f32 and f64 tiles, one table each. Depends on `loops` and `math`.
//! Invariant: what stands in a table is what `Code`'s docs say, at NaN, infinities and zeros too.

use super::loops::{Function, Mended, Stream, Strided, each, function, map, map_mended};
use super::pointwise::{Operand, binary, symmetric, tile};
use crate::code::Code;
use crate::kit::math::{double, single, wide};
use crate::kit::simd::Machine;

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
            Code::Exp => map(n, dst, tile(operands), function!(|x: f32| -> f32 { single::exp::<M>(x) })),
            Code::Log => map(n, dst, tile(operands), function!(|x: f32| -> f32 { single::log::<M>(x) })),
            Code::Tanh => map(n, dst, tile(operands), function!(|x: f32| -> f32 { single::tanh::<M>(x) })),
            Code::Sigmoid => map(n, dst, tile(operands), function!(|x: f32| -> f32 { single::sigmoid::<M>(x) })),
            Code::Erf => map(n, dst, tile(operands), function!(|x: f32| -> f32 { single::erf::<M>(x) })),
            Code::Expm1 => map(n, dst, tile(operands), function!(|x: f32| -> f32 { wide::expm1::<M>(x) })),
            Code::Log1p => map(n, dst, tile(operands), function!(|x: f32| -> f32 { wide::log1p::<M>(x) })),
            Code::Log2 => map(n, dst, tile(operands), function!(|x: f32| -> f32 { wide::log2::<M>(x) })),
            Code::Log10 => map(n, dst, tile(operands), function!(|x: f32| -> f32 { wide::log10::<M>(x) })),
            Code::Sin => map_mended(n, dst, tile(operands), Sin),
            Code::Cos => map_mended(n, dst, tile(operands), Cos),
            Code::Tan => map_mended(n, dst, tile(operands), Tan),
            Code::Pow => power(n, dst, operands),
            Code::Atan2 => {
                two(n, dst, operands, function!(|a: f32, b: f32| -> f32 { f64::from(a).atan2(f64::from(b)) as f32 }));
            }
            _ => {
                // f64 has the digits for one rounding only, whatever the system's f32 routines do.
                let function = scalar_function(code);
                let (Stream(source),) = tile::<f32>(operands);
                for i in 0..n {
                    dst.add(i).write_unaligned(function(f64::from(source.add(i).read_unaligned())) as f32);
                }
            }
        }
    }
}

unsafe fn more_f64(code: Code, n: usize, dst: *mut f64, operands: &[Operand]) {
    // SAFETY: the caller's promises are the callees'.
    unsafe {
        match code {
            Code::Exp => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::exp::<M>(x) })),
            Code::Log => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::log::<M>(x) })),
            Code::Tanh => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::tanh::<M>(x) })),
            Code::Sigmoid => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::sigmoid::<M>(x) })),
            Code::Erf => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::erf::<M>(x) })),
            Code::Expm1 => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::expm1::<M>(x) })),
            Code::Log1p => map(n, dst, tile(operands), function!(|x: f64| -> f64 { double::log1p::<M>(x) })),
            Code::Pow => two(n, dst, operands, function!(|a: f64, b: f64| -> f64 { a.powf(b) })),
            Code::Atan2 => two(n, dst, operands, function!(|a: f64, b: f64| -> f64 { a.atan2(b) })),
            _ => {
                let function = scalar_function(code);
                let (Stream(source),) = tile::<f64>(operands);
                for i in 0..n {
                    dst.add(i).write_unaligned(function(source.add(i).read_unaligned()));
                }
            }
        }
    }
}

/// Functions of one operand that the standard library computes.
fn scalar_function(code: Code) -> fn(f64) -> f64 {
    match code {
        Code::Log2 => f64::log2,
        Code::Log10 => f64::log10,
        Code::Sin => f64::sin,
        Code::Cos => f64::cos,
        Code::Tan => f64::tan,
        Code::Asin => f64::asin,
        Code::Acos => f64::acos,
        Code::Atan => f64::atan,
        Code::Sinh => f64::sinh,
        Code::Cosh => f64::cosh,
        Code::Asinh => f64::asinh,
        Code::Acosh => f64::acosh,
        Code::Atanh => f64::atanh,
        other => unreachable!("{other:?} takes no floats"),
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

/// A function of the circle: by vectors for moderate arguments, by the standard library for large ones.
macro_rules! circle_function {
    ($name:ident, $function:ident) => {
        struct $name;

        impl Function<(f32,)> for $name {
            type Output = f32;
            #[inline(always)]
            fn apply<M: Machine>((x,): (f32,)) -> f32 {
                wide::$function::<M>(x)
            }
        }

        impl Mended<(f32,)> for $name {
            #[inline(always)]
            fn is_special((x,): (f32,)) -> bool {
                wide::needs_reduction(x)
            }
            fn special((x,): (f32,)) -> f32 {
                f64::from(x).$function() as f32
            }
        }
    };
}

circle_function!(Sin, sin);
circle_function!(Cos, cos);
circle_function!(Tan, tan);

struct Power;

impl Function<(f32, f32)> for Power {
    type Output = f32;
    #[inline(always)]
    fn apply<M: Machine>((a, b): (f32, f32)) -> f32 {
        wide::pow::<M>(a, b)
    }
}

impl Mended<(f32, f32)> for Power {
    #[inline(always)]
    fn is_special((a, b): (f32, f32)) -> bool {
        wide::pow_is_special(a, b)
    }
    fn special((a, b): (f32, f32)) -> f32 {
        a.powf(b)
    }
}

/// aᵇ of f32.
unsafe fn power(n: usize, dst: *mut f32, operands: &[Operand]) {
    use super::loops::Splat;
    let scalar = |bits: u64| Splat(f32::from_bits(bits as u32));
    // SAFETY: the caller's promises are the callee's.
    unsafe {
        match (operands[0], operands[1]) {
            (Operand::Vector(a), Operand::Vector(b)) => {
                map_mended(n, dst, (Stream(a.cast()), Stream(b.cast())), Power);
            }
            (Operand::Vector(a), Operand::Scalar(b)) => map_mended(n, dst, (Stream(a.cast()), scalar(b)), Power),
            (Operand::Scalar(a), Operand::Vector(b)) => map_mended(n, dst, (scalar(a), Stream(b.cast())), Power),
            (Operand::Scalar(_), Operand::Scalar(_)) => unreachable!("constants are computed once"),
        }
    }
}
