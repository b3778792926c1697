//! The inverse functions of the circle, in f32 and f64 alike. Depends on `simd`.
//! Invariant: at most 3 ULP over the whole range, signed zeros and infinities as in C.

use super::select;
use crate::kit::simd::Machine;

/// Declares the functions of one float type: the arctangent's polynomial in t² for |t| ≤ tan π/8, (arctan t − t) / t³; π/4 in two parts,
/// of which the first times 3 is exact; and from where on two numbers are made smaller before they are added.
macro_rules! angles {
    ($module:ident, $float:ident, $polynomial:path, $fma:ident, [$($coefficient:literal),*], $high:literal, $low:literal, $large:literal) => {
        /// The functions of one float type.
        pub mod $module {
            use super::*;

            type T = $float;
            const TAN_EIGHTH: T = 0.414_213_56;

            /// The angle of (x, y) in (−π, π]: in the first octant arctan t, t = y / x, near the diagonal π/4 + arctan((y − x) / (y + x));
            /// 2 ULP.
            #[inline(always)]
            pub fn atan2<M: Machine>(y: T, x: T) -> T {
                let (up, along) = (y.abs(), x.abs());
                let steep = up > along;
                let (a, b) = (select(steep, along, up), select(steep, up, along));
                // Equal ones, infinite or zero among them, have no quotient that could be used.
                let (same, zero) = (a == b, b == 0.0);
                let scale = select(b > $large, 0.25, 1.0);
                let a = select(same, select(zero, 0.0, 1.0), a * scale);
                let b = select(same, 1.0, b * scale);
                let diagonal = a > TAN_EIGHTH * b;
                let t = select(diagonal, a - b, a) / select(diagonal, a + b, b);
                let z = t * t;
                let angle = M::$fma(t * z, $polynomial(z, [$($coefficient),*]), t);
                // In quarters of π: mirrored at the diagonal, then at the vertical axis.
                let backward = x.is_sign_negative();
                let quarters = select(diagonal, 1.0, 0.0);
                let quarters = select(steep, 2.0 - quarters, quarters);
                let quarters = select(backward, 4.0 - quarters, quarters);
                let angle = select(steep != backward, -angle, angle);
                (quarters * $high + (quarters * $low + angle)).copysign(y)
            }

            /// arctan x; 2 ULP.
            #[inline(always)]
            pub fn atan<M: Machine>(x: T) -> T {
                atan2::<M>(x, 1.0)
            }

            /// arcsin x: the angle of (√(1 − x²), x); 3 ULP.
            #[inline(always)]
            pub fn asin<M: Machine>(x: T) -> T {
                atan2::<M>(x, ((1.0 - x) * (1.0 + x)).sqrt())
            }

            /// arccos x: the angle of (x, √(1 − x²)); 3 ULP.
            #[inline(always)]
            pub fn acos<M: Machine>(x: T) -> T {
                atan2::<M>(((1.0 - x) * (1.0 + x)).sqrt(), x)
            }
        }
    };
}

angles!(
    single,
    f32,
    crate::kit::math::single::polynomial::<M, _>,
    fma32,
    [-0.333_333_3, 0.199_995_6, -0.142_645_1, 0.107_488_655, -0.064_668_245],
    0.785_156_25,
    2.419_134e-4,
    1e38
);
angles!(
    double,
    f64,
    crate::kit::math::double::polynomial::<M, _>,
    fma64,
    [
        -0.333_333_333_333_333_3,
        0.199_999_999_999_998_15,
        -0.142_857_142_856_625_15,
        0.111_111_111_053_987_56,
        -0.090_909_087_648_010_1,
        0.076_922_966_813_403_06,
        -0.066_664_300_638_816_63,
        0.058_789_852_313_692_374,
        -0.052_308_466_620_040_14,
        0.045_532_937_489_060_21,
        -0.034_612_216_574_947_04,
        0.016_329_824_635_649_953
    ],
    0.785_398_163_367_062_8,
    3.038_550_253_253_096e-11,
    1e308
);
