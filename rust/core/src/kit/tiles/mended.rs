//! Functions that are vector code for most operands and the standard library's for the rest. Depends on `loops` and `math`.
//! Invariant: which of both computes an element depends on its operands alone.

use super::loops::{Function, Mended, Splat, Stream, map_mended};
use super::number::Number;
use super::pointwise::Operand;
use crate::kit::math::{circle, power, wide};
use crate::kit::simd::Machine;

/// Functions of the circle: by vectors for moderate arguments, by the standard library for large ones.
macro_rules! circle_functions {
    ($($name:ident $function:ident)*) => {$(
        pub(super) struct $name;
        circle_functions!(one $name $function f32 wide);
        circle_functions!(one $name $function f64 circle);
    )*};
    (one $name:ident $function:ident $float:ident $module:ident) => {
        impl Function<($float,)> for $name {
            type Output = $float;
            #[inline(always)]
            fn apply<M: Machine>((x,): ($float,)) -> $float {
                $module::$function::<M>(x)
            }
        }

        impl Mended<($float,)> for $name {
            #[inline(always)]
            fn is_special((x,): ($float,)) -> bool {
                $module::needs_reduction(x)
            }
            fn special((x,): ($float,)) -> $float {
                f64::from(x).$function() as $float
            }
        }
    };
}

circle_functions! {
    Sin sin
    Cos cos
    Tan tan
}

/// aᵇ: by vectors but for special operands.
pub(super) struct Power;

macro_rules! powers {
    ($($float:ident $module:ident)*) => {$(
        impl Function<($float, $float)> for Power {
            type Output = $float;
            #[inline(always)]
            fn apply<M: Machine>((a, b): ($float, $float)) -> $float {
                $module::pow::<M>(a, b)
            }
        }

        impl Mended<($float, $float)> for Power {
            #[inline(always)]
            fn is_special((a, b): ($float, $float)) -> bool {
                $module::pow_is_special(a, b)
            }
            fn special((a, b): ($float, $float)) -> $float {
                a.powf(b)
            }
        }
    )*};
}

powers! {
    f32 wide
    f64 power
}

/// aᵇ over a tile.
///
/// # Safety
/// As `pointwise`; at least one operand is a tile.
pub(super) unsafe fn powers<T: Number>(n: usize, dst: *mut T, operands: &[Operand])
where
    Power: Mended<(T, T), Output = T>,
{
    let scalar = |bits: u64| Splat(T::from_slot(bits));
    // SAFETY: the caller's promises are the callee's.
    unsafe {
        match (operands[0], operands[1]) {
            (Operand::Vector(a), Operand::Vector(b)) => {
                map_mended(n, dst, (Stream(a.cast()), Stream(b.cast())), Power);
            }
            (Operand::Vector(a), Operand::Scalar(b)) => map_mended(n, dst, (Stream(a.cast()), scalar(b)), Power),
            (Operand::Scalar(a), Operand::Vector(b)) => map_mended(n, dst, (scalar(a), Stream(b.cast())), Power),
            _ => unreachable!("constants are computed once, rows one by one"),
        }
    }
}
