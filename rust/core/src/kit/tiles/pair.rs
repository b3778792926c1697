//! Two functions in one loop: what lies between them stays in a register of the processor. Depends on `loops` and `pointwise`.
//! Invariant: every intermediate result is rounded as if it were written.

use super::loops::{Function, PerRow, Stream, function, map_rows};
use super::pointwise::{Operand, row_length};
use crate::code::Code;
use crate::dtype::Compute;

/// c follows a ∘ b.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// (a ∘ b) + c
    Add,
    /// (a ∘ b) − c
    Sub,
    /// c − (a ∘ b)
    SubFrom,
    /// (a ∘ b) · c
    Mul,
}

impl Then {
    /// The function of `code` whose operand `between` is a ∘ b.
    pub fn of(code: Code, between: usize) -> Option<Self> {
        match (code, between) {
            (Code::Add, _) => Some(Then::Add),
            (Code::Mul, _) => Some(Then::Mul),
            (Code::Sub, 0) => Some(Then::Sub),
            (Code::Sub, _) => Some(Then::SubFrom),
            _ => None,
        }
    }
}

/// Whether a function may be the first of a pair.
pub fn is_first(code: Code) -> bool {
    matches!(code, Code::Add | Code::Sub | Code::Mul)
}

/// `dst[i] = then(first(a[i], b[i]), c[i])` in f32; `first` is one of those that `is_first` allows.
///
/// # Safety
/// As `pointwise`; a is a vector.
pub unsafe fn pair(first: Code, then: Then, n: usize, dst: *mut u8, operands: [Operand; 3]) {
    let length = row_length(&operands).unwrap_or(n).max(1);
    if n.is_multiple_of(length) {
        // SAFETY: as for this function.
        unsafe { pair_of_rows(first, then, (n / length, length), dst.cast(), operands) };
        return;
    }
    for (row, start) in (0..n).step_by(length).enumerate() {
        // SAFETY: as for this function, for the elements of the row.
        unsafe {
            let operands = operands.map(|operand| operand.of_row(Compute::F32, row, start));
            let size = (1, length.min(n - start));
            pair_of_rows(first, then, size, dst.add(start * size_of::<f32>()).cast(), operands);
        }
    }
}

/// # Safety
/// As `pair`.
unsafe fn pair_of_rows(first: Code, then: Then, size: (usize, usize), dst: *mut f32, operands: [Operand; 3]) {
    macro_rules! table {
        ($($first:ident $a:ident $b:ident $between:expr;)*) => {
            match (first, then) {
                $(
                    (Code::$first, Then::Add) => {
                        each_form(size, dst, operands, function!(|$a: f32, $b: f32, c: f32| -> f32 { $between + c }))
                    }
                    (Code::$first, Then::Sub) => {
                        each_form(size, dst, operands, function!(|$a: f32, $b: f32, c: f32| -> f32 { $between - c }))
                    }
                    (Code::$first, Then::SubFrom) => {
                        each_form(size, dst, operands, function!(|$a: f32, $b: f32, c: f32| -> f32 { c - $between }))
                    }
                    (Code::$first, Then::Mul) => {
                        each_form(size, dst, operands, function!(|$a: f32, $b: f32, c: f32| -> f32 { $between * c }))
                    }
                )*
                _ => unreachable!("{first:?} is no first function of a pair"),
            }
        };
    }
    // SAFETY: the caller's promises are the callees'.
    unsafe {
        table! {
            Add a b (a + b);
            Sub a b (a - b);
            Mul a b (a * b);
        }
    }
}

/// The loop for each mix of vectors and scalars.
///
/// # Safety
/// As `pair`.
unsafe fn each_form<F>(size: (usize, usize), dst: *mut f32, operands: [Operand; 3], f: F)
where
    F: Function<(f32, f32, f32), Output = f32>,
{
    use Operand::Vector;
    // SAFETY: the caller's promises are the callee's.
    unsafe {
        match operands {
            [Vector(a), Vector(b), Vector(c)] => {
                map_rows(size, dst, (Stream(a.cast()), Stream(b.cast()), Stream(c.cast())), f);
            }
            [Vector(a), Vector(b), c] => {
                map_rows(size, dst, (Stream(a.cast()), Stream(b.cast()), PerRow::<f32>::of(c)), f);
            }
            [Vector(a), b, Vector(c)] => {
                map_rows(size, dst, (Stream(a.cast()), PerRow::<f32>::of(b), Stream(c.cast())), f);
            }
            [Vector(a), b, c] => {
                map_rows(size, dst, (Stream(a.cast()), PerRow::<f32>::of(b), PerRow::<f32>::of(c)), f);
            }
            _ => unreachable!("the first operand of a pair is a vector"),
        }
    }
}
