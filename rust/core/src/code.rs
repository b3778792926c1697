//! The pointwise functions and folds that kernels know: names and types, no meaning in code here.
//! Depends on `dtype`. Invariant: each function's CPU loop stands in `kit`, its WGSL in `wgsl`, its VJP in `ops::pointwise`.

use crate::dtype::DType;

/// A function of one, two or three numbers. Operands of one value share one dtype, but for `Where`, whose first is `bool`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    // One operand, result of the same dtype.
    /// −x
    Neg,
    /// |x|
    Abs,
    /// −1, 0 or 1; NaN stays
    Sign,
    /// x rounded down
    Floor,
    /// x rounded up
    Ceil,
    /// x rounded to nearest, halves to even
    Round,
    /// x rounded towards zero
    Trunc,
    /// √x
    Sqrt,
    /// eˣ
    Exp,
    /// eˣ − 1
    Expm1,
    /// ln x
    Log,
    /// ln(1 + x)
    Log1p,
    /// log₂ x
    Log2,
    /// log₁₀ x
    Log10,
    /// sin x
    Sin,
    /// cos x
    Cos,
    /// tan x
    Tan,
    /// arcsin x
    Asin,
    /// arccos x
    Acos,
    /// arctan x
    Atan,
    /// sinh x
    Sinh,
    /// cosh x
    Cosh,
    /// tanh x
    Tanh,
    /// arsinh x
    Asinh,
    /// arcosh x
    Acosh,
    /// artanh x
    Atanh,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// 2/√π ∫₀ˣ e^(−t²) dt
    Erf,
    /// ~x: bitwise for integers, logical for bool
    Not,
    // One operand, result bool.
    /// x is NaN
    IsNan,
    /// x is +∞ or −∞
    IsInf,
    /// x is neither NaN nor infinite
    IsFinite,
    // Two operands, result of the same dtype.
    /// a + b (bool: or)
    Add,
    /// a − b
    Sub,
    /// a · b (bool: and)
    Mul,
    /// a / b, floats only
    Div,
    /// ⌊a / b⌋; integers by zero give 0
    FloorDiv,
    /// a − ⌊a / b⌋·b, the sign of b; integers by zero give 0
    Mod,
    /// aᵇ; integers: repeated multiplication, 0 for negative b unless a is ±1
    Pow,
    /// angle of the point (b, a)
    Atan2,
    /// the larger; NaN wins
    Maximum,
    /// the smaller; NaN wins
    Minimum,
    /// bitwise and; bool: logical
    And,
    /// bitwise or; bool: logical
    Or,
    /// bitwise exclusive or; bool: logical
    Xor,
    /// a · 2ᵇ; 0 for shifts of the width or more, or negative ones
    Shl,
    /// ⌊a / 2ᵇ⌋; 0 or −1 for shifts of the width or more, or negative ones
    Shr,
    // Two operands, result bool.
    /// a = b
    Equal,
    /// a ≠ b
    NotEqual,
    /// a < b
    Less,
    /// a ≤ b
    LessEqual,
    /// a > b
    Greater,
    /// a ≥ b
    GreaterEqual,
    // Three operands.
    /// b where a, else c
    Where,
}

use Code::*;

impl Code {
    /// Every function.
    pub const ALL: [Code; 54] = [
        Neg,
        Abs,
        Sign,
        Floor,
        Ceil,
        Round,
        Trunc,
        Sqrt,
        Exp,
        Expm1,
        Log,
        Log1p,
        Log2,
        Log10,
        Sin,
        Cos,
        Tan,
        Asin,
        Acos,
        Atan,
        Sinh,
        Cosh,
        Tanh,
        Asinh,
        Acosh,
        Atanh,
        Sigmoid,
        Erf,
        Not,
        IsNan,
        IsInf,
        IsFinite,
        Add,
        Sub,
        Mul,
        Div,
        FloorDiv,
        Mod,
        Pow,
        Atan2,
        Maximum,
        Minimum,
        And,
        Or,
        Xor,
        Shl,
        Shr,
        Equal,
        NotEqual,
        Less,
        LessEqual,
        Greater,
        GreaterEqual,
        Where,
    ];

    /// Number of operands.
    pub const fn arity(self) -> usize {
        match self {
            Where => 3,
            _ if (self as u8) < Add as u8 => 1,
            _ => 2,
        }
    }

    /// Whether the result is `bool` whatever the operands.
    #[inline]
    pub const fn is_predicate(self) -> bool {
        matches!(self, IsNan | IsInf | IsFinite | Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual)
    }

    /// Whether the function takes operands of this dtype (for `Where`: of the chosen values).
    pub const fn takes(self, dtype: DType) -> bool {
        match self {
            Sqrt | Exp | Expm1 | Log | Log1p | Log2 | Log10 | Sin | Cos | Tan | Asin | Acos | Atan | Sinh | Cosh
            | Tanh | Asinh | Acosh | Atanh | Sigmoid | Erf | Div | Atan2 | IsNan | IsInf | IsFinite => dtype.is_float(),
            Neg | Abs | Sign | Sub | FloorDiv | Mod | Pow | Floor | Ceil | Round | Trunc => {
                !matches!(dtype, DType::Bool)
            }
            Not | And | Or | Xor => !dtype.is_float(),
            Shl | Shr => dtype.is_integer(),
            _ => true,
        }
    }

    /// Whether evaluating it again costs about as much as reading its result from memory.
    pub const fn is_cheap(self) -> bool {
        matches!(
            self,
            Neg | Abs
                | Sign
                | Floor
                | Ceil
                | Round
                | Trunc
                | Not
                | IsNan
                | IsInf
                | IsFinite
                | Add
                | Sub
                | Mul
                | Maximum
                | Minimum
                | And
                | Or
                | Xor
                | Shl
                | Shr
                | Equal
                | NotEqual
                | Less
                | LessEqual
                | Greater
                | GreaterEqual
                | Where
        )
    }
}

/// How a reduction makes one of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fold {
    /// Sum; identity 0.
    Sum,
    /// Product; identity 1.
    Prod,
    /// Largest, NaN wins; of `bool`: any.
    Max,
    /// Smallest, NaN wins; of `bool`: all.
    Min,
    /// Position of the first largest (first NaN) in the row's order.
    ArgMax,
    /// Position of the first smallest (first NaN).
    ArgMin,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_order_and_complete() {
        for (i, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, i);
        }
        assert_eq!(Code::ALL.last(), Some(&Where));
        assert_eq!((Not.arity(), IsFinite.arity(), Add.arity(), GreaterEqual.arity()), (1, 1, 2, 2));
    }
}
