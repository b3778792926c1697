//! The functions of the hyperbola and their inverses. Depends on `simd` and the exponentials and logarithms beside it.
//! Invariant: at most 4 ULP over the whole range.

use super::select;
use crate::kit::simd::Machine;

/// Declares the inverse functions of one float type by its ln(1 + x), but for arsinh, which is given; from `$large` on x ± 1 is x.
macro_rules! inverses {
    ($module:ident, $float:ident, $large:literal, $ln_2:path, $asinh:item) => {
        /// The inverse functions of one float type.
        pub mod $module {
            use super::*;
            use crate::kit::math::$module::log1p;

            type T = $float;

            $asinh

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

inverses!(
    single,
    f32,
    67_108_864.0,
    std::f32::consts::LN_2,
    /// arsinh x: odd polynomial below 0.6, from there ln(|x| + √(x² + 1)), with the sign of x; 4 ULP.
    #[inline(always)]
    pub fn asinh<M: Machine>(x: T) -> T {
        use crate::kit::math::single::{log_parts_normal, log_value, polynomial};
        let a = x.abs();
        let square = a * a;
        let p = polynomial::<M, 6>(
            square,
            [-0.166_666_57, 7.499_482_5e-2, -4.454_505e-2, 2.951_627_8e-2, -1.833_952_6e-2, 7.149_105e-3],
        );
        let small = M::fma32(a * square, p, a);
        // Where x² would overflow, 1 beside it has long been lost.
        let large = a > 67_108_864.0;
        let (k, f) = log_parts_normal(select(large, a, a + (square + 1.0).sqrt()));
        let k = k as f32 + select(large, 1.0, 0.0);
        let value = select(a < 0.6, small, log_value::<M>(k, f, 0.0));
        // Infinity and NaN stay.
        select(a < T::INFINITY, value, a).copysign(x)
    }
);
inverses!(
    double,
    f64,
    1_152_921_504_606_846_976.0,
    std::f64::consts::LN_2,
    /// arsinh x = ln(1 + |x| + x² / (1 + √(x² + 1))), with the sign of x; 4 ULP.
    #[inline(always)]
    pub fn asinh<M: Machine>(x: T) -> T {
        let a = x.abs();
        let large = a > 1_152_921_504_606_846_976.0;
        let square = select(large, 0.0, a * a);
        let near = a + square / (1.0 + (square + 1.0).sqrt());
        (log1p::<M>(near) + select(large, std::f64::consts::LN_2, 0.0)).copysign(x)
    }
);
