//! The functions of the hyperbola and their inverses. Depends on `simd` and the exponentials and logarithms beside it.
//! Invariant: at most 4 ULP over the whole range, cosh and sinh of f32 at most 1.

use super::select;
use crate::kit::simd::Machine;

/// Declares the inverse functions of one float type by its ln(1 + x); from `$large` on x ± 1 is x.
macro_rules! inverses {
    ($module:ident, $float:ident, $large:literal, $ln_2:path) => {
        /// The inverse functions of one float type.
        pub mod $module {
            use super::*;
            use crate::kit::math::$module::log1p;

            type T = $float;

            /// arsinh x = ln(1 + |x| + x² / (1 + √(x² + 1))), with the sign of x; 4 ULP.
            #[inline(always)]
            pub fn asinh<M: Machine>(x: T) -> T {
                let a = x.abs();
                let large = a > $large;
                let square = select(large, 0.0, a * a);
                let near = a + square / (1.0 + (square + 1.0).sqrt());
                (log1p::<M>(near) + select(large, $ln_2, 0.0)).copysign(x)
            }

            /// arcosh x = ln(1 + t + √(2t + t²)), t = x − 1; 4 ULP.
            #[inline(always)]
            pub fn acosh<M: Machine>(x: T) -> T {
                let large = x > $large;
                let t = select(large, 0.0, x - 1.0);
                let near = select(large, x, t + (t * (2.0 + t)).sqrt());
                let value = log1p::<M>(near) + select(large, $ln_2, 0.0);
                select(x < 1.0, T::NAN, value)
            }

            /// artanh x = ½ ln(1 + 2|x| / (1 − |x|)), with the sign of x; 4 ULP.
            #[inline(always)]
            pub fn atanh<M: Machine>(x: T) -> T {
                let a = x.abs();
                (0.5 * log1p::<M>((a + a) / (1.0 - a))).copysign(x)
            }
        }
    };
}

inverses!(single, f32, 67_108_864.0, std::f32::consts::LN_2);
inverses!(double, f64, 1_152_921_504_606_846_976.0, std::f64::consts::LN_2);
