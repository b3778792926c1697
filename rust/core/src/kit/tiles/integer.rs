//! The functions of `Code` on integer and mask tiles. Depends on `loops`.
//! Invariant: nothing traps: arithmetic wraps, division by zero gives 0, shifts beyond the width give 0 or the sign.

use super::divide::{floor_div_narrow, floor_div_wide};
use super::loops::{Strided, each, function, map};
use super::pointwise::{Operand, binary, symmetric, tile};
use crate::code::Code;

/// Functions of one integer type; `$abs` and `$sign` differ for unsigned ones.
macro_rules! integer_table {
    ($name:ident, $type:ident, $abs:expr, $sign:expr, $floor_div:expr, $floor_mod:expr, $pow:expr, $divide:expr) => {
        /// One function over a tile.
        ///
        /// # Safety
        /// As `pointwise`; at least one operand is a tile.
        pub(super) unsafe fn $name(code: Code, n: usize, dst: *mut $type, operands: &[Operand]) {
            type T = $type;
            const WIDTH: T = T::BITS as T;
            // SAFETY: the caller's promises are the callees'; a predicate's destination holds n masks.
            unsafe {
                let mask = dst.cast::<u8>();
                let pair = || (Strided::new(operands[0]), Strided::new(operands[1]));
                match code {
                    Code::Neg => map(n, dst, tile(operands), function!(|x: T| -> T { x.wrapping_neg() })),
                    Code::Abs => map(n, dst, tile(operands), function!(|x: T| -> T { $abs(x) })),
                    Code::Sign => map(n, dst, tile(operands), function!(|x: T| -> T { $sign(x) })),
                    Code::Not => map(n, dst, tile(operands), function!(|x: T| -> T { !x })),
                    Code::Add => symmetric(n, dst, operands, function!(|a: T, b: T| -> T { a.wrapping_add(b) })),
                    Code::Sub => binary(n, dst, operands, function!(|a: T, b: T| -> T { a.wrapping_sub(b) })),
                    Code::Mul => symmetric(n, dst, operands, function!(|a: T, b: T| -> T { a.wrapping_mul(b) })),
                    Code::Maximum => symmetric(n, dst, operands, function!(|a: T, b: T| -> T { a.max(b) })),
                    Code::Minimum => symmetric(n, dst, operands, function!(|a: T, b: T| -> T { a.min(b) })),
                    Code::And => symmetric(n, dst, operands, function!(|a: T, b: T| -> T { a & b })),
                    Code::Or => symmetric(n, dst, operands, function!(|a: T, b: T| -> T { a | b })),
                    Code::Xor => symmetric(n, dst, operands, function!(|a: T, b: T| -> T { a ^ b })),
                    Code::Shl => binary(
                        n,
                        dst,
                        operands,
                        function!(|a: T, b: T| -> T {
                            let shifted = a.wrapping_shl(b as u32);
                            if (0..WIDTH).contains(&b) { shifted } else { 0 }
                        }),
                    ),
                    Code::Shr => binary(
                        n,
                        dst,
                        operands,
                        function!(|a: T, b: T| -> T {
                            let shifted = a.wrapping_shr(b as u32);
                            // −1 for negative a, else 0.
                            #[allow(unused_comparisons, reason = "unsigned types come through here too")]
                            let sign = if a < 0 { !0 } else { 0 };
                            if (0..WIDTH).contains(&b) { shifted } else { sign }
                        }),
                    ),
                    Code::Equal => symmetric(n, mask, operands, function!(|a: T, b: T| -> u8 { u8::from(a == b) })),
                    Code::NotEqual => symmetric(n, mask, operands, function!(|a: T, b: T| -> u8 { u8::from(a != b) })),
                    Code::Less => binary(n, mask, operands, function!(|a: T, b: T| -> u8 { u8::from(a < b) })),
                    Code::LessEqual => binary(n, mask, operands, function!(|a: T, b: T| -> u8 { u8::from(a <= b) })),
                    Code::Greater => $name(Code::Less, n, dst, &[operands[1], operands[0]]),
                    Code::GreaterEqual => $name(Code::LessEqual, n, dst, &[operands[1], operands[0]]),
                    Code::FloorDiv => {
                        if let [Operand::Vector(a), Operand::Scalar(bits)] = *operands
                            && $divide(n, dst, a.cast(), bits as T)
                        {
                            return;
                        }
                        let (a, b) = pair();
                        each(n, dst, a, b, function!(|a: T, b: T| -> T { if b == 0 { 0 } else { $floor_div(a, b) } }));
                    }
                    Code::Mod => {
                        let (a, b) = pair();
                        each(n, dst, a, b, function!(|a: T, b: T| -> T { if b == 0 { 0 } else { $floor_mod(a, b) } }));
                    }
                    Code::Pow => {
                        let (a, b) = pair();
                        each(n, dst, a, b, function!(|a: T, b: T| -> T { $pow(a, b) }));
                    }
                    Code::Floor | Code::Ceil | Code::Round | Code::Trunc => {
                        map(n, dst, tile(operands), function!(|x: T| -> T { x }));
                    }
                    other => unreachable!("{other:?} takes no integers"),
                }
            }
        }
    };
}

macro_rules! signed_table {
    ($name:ident, $type:ident, $divide:ident) => {
        integer_table!(
            $name,
            $type,
            |x: $type| x.wrapping_abs(),
            |x: $type| <$type>::from(x > 0) - <$type>::from(x < 0),
            |a: $type, b: $type| {
                let quotient = a.wrapping_div(b);
                let exact = quotient.wrapping_mul(b) == a;
                if !exact && (a < 0) != (b < 0) { quotient - 1 } else { quotient }
            },
            |a: $type, b: $type| {
                let remainder = a.wrapping_rem(b);
                if remainder != 0 && (remainder < 0) != (b < 0) { remainder + b } else { remainder }
            },
            |a: $type, b: $type| match (a, b) {
                (1, _) => 1,
                (-1, b) if b < 0 =>
                    if b & 1 == 0 {
                        1
                    } else {
                        -1
                    },
                (_, b) if b < 0 => 0,
                _ => {
                    let (mut power, mut base, mut left) = (1 as $type, a, b);
                    while left != 0 {
                        if left & 1 != 0 {
                            power = power.wrapping_mul(base);
                        }
                        base = base.wrapping_mul(base);
                        left >>= 1;
                    }
                    power
                }
            },
            // SAFETY: the tiles are those of the table.
            |n, dst, a: *const u8, b: $type| b != 0 && {
                $divide(n, dst, a.cast(), b);
                true
            }
        );
    };
}

signed_table!(i32s, i32, floor_div_narrow);
signed_table!(i64s, i64, floor_div_wide);
integer_table!(
    u64s,
    u64,
    |x: u64| x,
    |x: u64| x.min(1),
    |a: u64, b: u64| a / b,
    |a: u64, b: u64| a % b,
    |a: u64, b: u64| {
        let (mut power, mut base, mut left) = (1u64, a, b);
        while left != 0 {
            if left & 1 != 0 {
                power = power.wrapping_mul(base);
            }
            base = base.wrapping_mul(base);
            left >>= 1;
        }
        power
    },
    |_, _, _: *const u8, _: u64| false
);

/// One function over a tile of masks.
///
/// # Safety
/// As `pointwise`; at least one operand is a tile.
pub(super) unsafe fn masks(code: Code, n: usize, dst: *mut u8, operands: &[Operand]) {
    // SAFETY: the caller's promises are the callees'.
    unsafe {
        match code {
            Code::Not => map(n, dst, tile(operands), function!(|x: u8| -> u8 { x ^ 1 })),
            Code::Add | Code::Or | Code::Maximum => {
                symmetric(n, dst, operands, function!(|a: u8, b: u8| -> u8 { a | b }));
            }
            Code::Mul | Code::And | Code::Minimum => {
                symmetric(n, dst, operands, function!(|a: u8, b: u8| -> u8 { a & b }));
            }
            Code::Xor | Code::NotEqual => symmetric(n, dst, operands, function!(|a: u8, b: u8| -> u8 { a ^ b })),
            Code::Equal => symmetric(n, dst, operands, function!(|a: u8, b: u8| -> u8 { a ^ b ^ 1 })),
            Code::Less => binary(n, dst, operands, function!(|a: u8, b: u8| -> u8 { (a ^ 1) & b })),
            Code::LessEqual => binary(n, dst, operands, function!(|a: u8, b: u8| -> u8 { (a ^ 1) | b })),
            Code::Greater => masks(Code::Less, n, dst, &[operands[1], operands[0]]),
            Code::GreaterEqual => masks(Code::LessEqual, n, dst, &[operands[1], operands[0]]),
            other => unreachable!("{other:?} takes no masks"),
        }
    }
}
