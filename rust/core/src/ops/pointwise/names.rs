//! The pointwise functions by name, for Rust callers. Depends on `calls`.
//! Invariant: each is its `Code`, or two or three of them.

use super::calls::{binary, unary};
use crate::code::Code;
use crate::dtype::Scalar;
use crate::error::Result;
use crate::graph::Tensor;
use crate::ops::operand::Operand;

macro_rules! unary_functions {
    ($($(#[$doc:meta])* $name:ident $code:ident;)*) => {
        $($(#[$doc])*
        ///
        /// # Errors
        /// For dtypes that the function does not take.
        pub fn $name(x: &Tensor) -> Result<Tensor> {
            unary(Code::$code, x)
        })*
    };
}

macro_rules! binary_functions {
    ($($(#[$doc:meta])* $name:ident $code:ident;)*) => {
        $($(#[$doc])*
        ///
        /// # Errors
        /// For shapes that do not broadcast and dtypes that the function does not take.
        pub fn $name(lhs: &Tensor, rhs: &Tensor) -> Result<Tensor> {
            binary(Code::$code, &lhs.into(), &rhs.into())
        })*
    };
}

unary_functions! {
    /// −x
    neg Neg;
    /// |x|; the gradient at 0 is 0.
    abs Abs;
    /// −1, 0 or 1.
    sign Sign;
    /// x rounded down.
    floor Floor;
    /// x rounded up.
    ceil Ceil;
    /// x rounded to nearest, halves to even.
    round Round;
    /// x rounded towards zero.
    trunc Trunc;
    /// √x
    sqrt Sqrt;
    /// eˣ
    exp Exp;
    /// eˣ − 1
    expm1 Expm1;
    /// ln x
    log Log;
    /// ln(1 + x)
    log1p Log1p;
    /// log₂ x
    log2 Log2;
    /// log₁₀ x
    log10 Log10;
    /// sin x
    sin Sin;
    /// cos x
    cos Cos;
    /// tan x
    tan Tan;
    /// arcsin x
    asin Asin;
    /// arccos x
    acos Acos;
    /// arctan x
    atan Atan;
    /// sinh x
    sinh Sinh;
    /// cosh x
    cosh Cosh;
    /// tanh x
    tanh Tanh;
    /// arsinh x
    asinh Asinh;
    /// arcosh x
    acosh Acosh;
    /// artanh x
    atanh Atanh;
    /// 1 / (1 + e⁻ˣ)
    sigmoid Sigmoid;
    /// The error function.
    erf Erf;
    /// Bitwise complement; of `bool`: logical not.
    invert Not;
    /// Whether x is NaN.
    isnan IsNan;
    /// Whether x is infinite.
    isinf IsInf;
    /// Whether x is neither NaN nor infinite.
    isfinite IsFinite;
}

binary_functions! {
    /// a + b
    add Add;
    /// a − b
    sub Sub;
    /// a · b
    mul Mul;
    /// a / b
    div Div;
    /// ⌊a / b⌋
    floor_divide FloorDiv;
    /// a − ⌊a / b⌋ · b
    remainder Mod;
    /// aᵇ
    pow Pow;
    /// The angle of the point (b, a).
    atan2 Atan2;
    /// The larger; ties share the gradient.
    maximum Maximum;
    /// The smaller; ties share the gradient.
    minimum Minimum;
    /// Bitwise and.
    bitwise_and And;
    /// Bitwise or.
    bitwise_or Or;
    /// Bitwise exclusive or.
    bitwise_xor Xor;
    /// a · 2ᵇ
    shift_left Shl;
    /// ⌊a / 2ᵇ⌋
    shift_right Shr;
    /// a = b
    equal Equal;
    /// a ≠ b
    not_equal NotEqual;
    /// a < b
    less Less;
    /// a ≤ b
    less_equal LessEqual;
    /// a > b
    greater Greater;
    /// a ≥ b
    greater_equal GreaterEqual;
}

/// x · x
///
/// # Errors
/// None of its own.
pub fn square(x: &Tensor) -> Result<Tensor> {
    mul(x, x)
}

/// 1 / x
///
/// # Errors
/// None of its own.
pub fn reciprocal(x: &Tensor) -> Result<Tensor> {
    binary(Code::Div, &Operand::Scalar(Scalar::Int(1)), &x.into())
}

/// 1 / √x
///
/// # Errors
/// None of its own.
pub fn rsqrt(x: &Tensor) -> Result<Tensor> {
    reciprocal(&sqrt(x)?)
}

/// x where x > 0, else 0; NaN stays; the gradient at 0 is 0.
///
/// # Errors
/// None of its own.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    let zero = Operand::Scalar(Scalar::Int(0));
    let below = binary(Code::LessEqual, &x.into(), &zero)?;
    super::where_(&below, &zero, &x.into())
}
