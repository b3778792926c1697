//! `pointwise`: the functions of `Code` over tiles, by compute type. Depends on `loops` and the tables in `float` and `integer`.
//! Invariant: the result is rounded or wrapped to its dtype before it leaves this file.

use super::exponential::Exponentials;
use super::loops::{Function, PerRow, Source, Splat, Stream, function, map, map_rows};
use super::number::{Number, compute_size, with_compute};
use super::{float, integer, rounding};
use crate::code::Code;
use crate::dtype::{Compute, DType};
use crate::kit::math::single;
use crate::kit::simd::Machine;

/// An operand of a tile function: a tile, or one value for all elements.
#[derive(Clone, Copy, Debug)]
pub enum Operand {
    /// First of n values in compute form.
    Vector(*const u8),
    /// One value, encoded as `Scalar::to_slot` does for the compute type.
    Scalar(u64),
    /// One value for every `length` elements: the first of them, each of these bytes.
    Rows {
        /// First of the values in compute form.
        start: *const u8,
        /// Elements that share a value.
        length: usize,
    },
}

/// `dst[i] = code(operands[0][i], …)`, computed in the compute type of `dtype`, then rounded (float16, bfloat16) or wrapped to `dtype`;
/// predicates write masks. `dtype` is the operands' dtype; for `Where` (whose first operand is a mask) that of the chosen values.
///
/// # Safety
/// `dst` and every vector operand hold `n` values of their compute types; `dst` may be exactly an operand of elements at least as wide as
/// its own and otherwise overlaps none. `code` takes `dtype` and gets as many operands as its arity.
pub unsafe fn pointwise(code: Code, dtype: DType, n: usize, dst: *mut u8, operands: &[Operand]) {
    if n == 0 {
        return;
    }
    let compute = dtype.compute();
    let result = if code.is_predicate() { Compute::Mask } else { compute };
    if let Some(length) = row_length(operands)
        && !takes_rows(code, compute, n, operands)
    {
        // SAFETY: the caller's promises are the callee's.
        unsafe { by_rows(code, dtype, (n, length), dst, operands) };
        return;
    }
    if operands.iter().all(|operand| matches!(operand, Operand::Scalar(_))) {
        // SAFETY: the locals hold one value of any compute type.
        unsafe { constant(code, dtype, n, dst, operands, result) };
        return;
    }
    // SAFETY: the caller's promises are the callees'.
    unsafe {
        match compute {
            _ if code == Code::Where => choose(compute, n, dst, operands),
            Compute::Mask => integer::masks(code, n, dst, operands),
            Compute::I32 => integer::i32s(code, n, dst.cast(), operands),
            Compute::I64 => integer::i64s(code, n, dst.cast(), operands),
            Compute::U64 => integer::u64s(code, n, dst.cast(), operands),
            Compute::F32 => float::f32s(code, n, dst.cast(), operands),
            Compute::F64 => float::f64s(code, n, dst.cast(), operands),
        }
        if !code.is_predicate() && rounding::leaves_dtype(code) {
            rounding::round_tile(dtype, n, dst);
        }
    }
}

/// Elements that share a value of an operand, where there is such an operand.
pub(super) fn row_length(operands: &[Operand]) -> Option<usize> {
    operands.iter().find_map(|operand| match operand {
        Operand::Rows { length, .. } => Some(*length),
        _ => None,
    })
}

/// Rows, and elements of each.
pub(super) fn rows_of(n: usize, operands: &[Operand]) -> (usize, usize) {
    row_length(operands).map_or((1, n), |length| (n / length, length))
}

/// Whether one loop goes over all rows of a tile and one value for each: the functions that chains of rows are made of.
fn takes_rows(code: Code, compute: Compute, n: usize, operands: &[Operand]) -> bool {
    let computes = matches!(code, Code::Add | Code::Sub | Code::Mul | Code::Div | Code::Maximum | Code::Minimum);
    let orders = matches!(code, Code::Less | Code::LessEqual | Code::Greater | Code::GreaterEqual);
    let is_usual = computes || orders || matches!(code, Code::Equal | Code::NotEqual);
    let has_tile = operands.iter().any(|operand| matches!(operand, Operand::Vector(_)));
    let whole = row_length(operands).is_some_and(|length| length > 0 && n.is_multiple_of(length));
    is_usual && compute != Compute::Mask && has_tile && whole
}

/// Some operands have one value per row: row after row, with scalars in their place.
///
/// # Safety
/// As `pointwise`.
unsafe fn by_rows(code: Code, dtype: DType, (n, length): (usize, usize), dst: *mut u8, operands: &[Operand]) {
    let compute_of = |operand: usize| if code == Code::Where && operand == 0 { Compute::Mask } else { dtype.compute() };
    let size = compute_size(if code.is_predicate() { Compute::Mask } else { dtype.compute() });
    let mut of_row = [Operand::Scalar(0); 3];
    for (row, first) in (0..n).step_by(length).enumerate() {
        for (i, (operand, all)) in of_row.iter_mut().zip(operands).enumerate() {
            // SAFETY: vectors hold n values, rows one value per row.
            *operand = unsafe { all.of_row(compute_of(i), row, first) };
        }
        // SAFETY: as for this function, for the elements of the row.
        unsafe {
            let dst = dst.add(first * size);
            pointwise(code, dtype, length.min(n - first), dst, &of_row[..operands.len()]);
        }
    }
}

impl Operand {
    /// The operand for a row, or a part of it, that begins at element `first`.
    ///
    /// # Safety
    /// The row is one of those that the operand has values of.
    pub(super) unsafe fn of_row(self, compute: Compute, row: usize, first: usize) -> Self {
        // SAFETY: as the caller vouches.
        unsafe {
            match self {
                Operand::Vector(start) => Operand::Vector(start.add(first * compute_size(compute))),
                Operand::Scalar(bits) => Operand::Scalar(bits),
                Operand::Rows { start, .. } => with_compute!(compute, T => {
                    Operand::Scalar(start.cast::<T>().add(row).read_unaligned().to_slot())
                }),
            }
        }
    }
}

/// `dst[i] = exp(a[i] − b[i])` in f32: the difference is rounded as if it were written.
///
/// # Safety
/// As `pointwise`.
pub unsafe fn exp_of_difference(n: usize, dst: *mut u8, operands: [Operand; 2]) {
    let length = row_length(&operands).unwrap_or(n).max(1);
    if let [Operand::Vector(a), Operand::Rows { start, .. }] = operands
        && n.is_multiple_of(length)
    {
        let (a, b, dst) = (a.cast(), start.cast(), dst.cast());
        // SAFETY: as for this function: there is a number for each of the rows.
        unsafe { Exponentials { rows: n / length, length, a, b, dst, ahead: 0, sums: std::ptr::null_mut() }.run() };
        return;
    }
    for (row, first) in (0..n).step_by(length).enumerate() {
        // SAFETY: as for this function, for the elements of the row.
        unsafe {
            let [a, b] = operands.map(|operand| operand.of_row(Compute::F32, row, first));
            let (count, dst) = (length.min(n - first), dst.add(first * size_of::<f32>()));
            if let (Operand::Vector(a), Operand::Scalar(b)) = (a, b) {
                let b = f32::from_bits(b as u32);
                let sums = std::ptr::null_mut();
                Exponentials { rows: 1, length: count, a: a.cast(), b: &b, dst: dst.cast(), ahead: 0, sums }.run();
            } else if matches!((a, b), (Operand::Scalar(_), Operand::Scalar(_))) {
                pointwise(Code::Sub, DType::F32, count, dst, &[a, b]);
                pointwise(Code::Exp, DType::F32, count, dst, &[Operand::Vector(dst)]);
            } else {
                binary(count, dst.cast(), &[a, b], function!(|a: f32, b: f32| -> f32 { single::exp::<M>(a - b) }));
            }
        }
    }
}

/// All operands are scalars: one value is computed and repeated.
unsafe fn constant(code: Code, dtype: DType, n: usize, dst: *mut u8, operands: &[Operand], result: Compute) {
    let mut values = [0u64; 3];
    for (i, (slot, operand)) in values.iter_mut().zip(operands).enumerate() {
        let Operand::Scalar(bits) = *operand else { continue };
        let compute = if code == Code::Where && i == 0 { Compute::Mask } else { dtype.compute() };
        // SAFETY: a slot has room for one value of any compute type.
        with_compute!(compute, T => unsafe { std::ptr::from_mut(slot).cast::<T>().write(T::from_slot(bits)) });
    }
    let vectors = [0, 1, 2].map(|i: usize| Operand::Vector(std::ptr::from_ref(&values[i]).cast()));
    let mut value = 0u64;
    let out = std::ptr::from_mut(&mut value).cast::<u8>();
    // SAFETY: every operand and the destination hold one value.
    unsafe {
        pointwise(code, dtype, 1, out, &vectors[..operands.len()]);
        let bits = with_compute!(result, T => out.cast::<T>().read().to_slot());
        fill(result, n, dst, bits);
    }
}

/// Loops over a function of two operands for each mix of tiles and scalars (two scalars do not come here).
///
/// # Safety
/// As `pointwise`.
pub(super) unsafe fn binary<T: Number, F>(n: usize, dst: *mut F::Output, operands: &[Operand], f: F)
where
    F: Function<(T, T)>,
{
    let shape = rows_of(n, operands);
    // SAFETY: the caller's promises are the callee's.
    unsafe {
        match (operands[0], operands[1]) {
            (Operand::Vector(a), Operand::Vector(b)) => map(n, dst, (Stream(a.cast()), Stream(b.cast())), f),
            (Operand::Vector(a), b) => map_rows(shape, dst, (Stream(a.cast()), PerRow::<T>::of(b)), f),
            (a, Operand::Vector(b)) => map_rows(shape, dst, (PerRow::<T>::of(a), Stream(b.cast())), f),
            _ => unreachable!("constants are computed once"),
        }
    }
}

/// As `binary` for functions that do not care about the order of their operands: half the code.
///
/// # Safety
/// As `pointwise`.
pub(super) unsafe fn symmetric<T: Number, F>(n: usize, dst: *mut F::Output, operands: &[Operand], f: F)
where
    F: Function<(T, T)>,
{
    let shape = rows_of(n, operands);
    // SAFETY: the caller's promises are the callee's.
    unsafe {
        match (operands[0], operands[1]) {
            (Operand::Vector(a), Operand::Vector(b)) => map(n, dst, (Stream(a.cast()), Stream(b.cast())), f),
            (Operand::Vector(a), b) | (b, Operand::Vector(a)) => {
                map_rows(shape, dst, (Stream(a.cast()), PerRow::<T>::of(b)), f);
            }
            _ => unreachable!("constants are computed once"),
        }
    }
}

/// The tile of a unary function's operand.
pub(super) fn tile<T: Number>(operands: &[Operand]) -> (Stream<T>,) {
    match operands[0] {
        Operand::Vector(start) => (Stream(start.cast()),),
        _ => unreachable!("constants are computed once, rows one by one"),
    }
}

/// `Where`: only the width of the chosen values matters.
unsafe fn choose(compute: Compute, n: usize, dst: *mut u8, operands: &[Operand]) {
    // SAFETY: the caller's promises are the callees'.
    unsafe {
        match compute_size(compute) {
            1 => choose_wide::<u8>(n, dst, operands),
            4 => choose_wide::<u32>(n, dst, operands),
            _ => choose_wide::<u64>(n, dst, operands),
        }
    }
}

unsafe fn choose_wide<T: Number>(n: usize, dst: *mut u8, operands: &[Operand]) {
    struct Choose;
    impl<T: Number> Function<(u8, T, T)> for Choose {
        type Output = T;
        #[inline(always)]
        fn apply<M: Machine>((mask, yes, no): (u8, T, T)) -> T {
            if mask != 0 { yes } else { no }
        }
    }
    unsafe fn with<T: Number, Y: Source<Item = T>, N: Source<Item = T>>(
        n: usize,
        dst: *mut T,
        from: (*const u8, Y, N),
    ) {
        // SAFETY: the caller's promises are the callee's.
        unsafe { map(n, dst, (Stream(from.0), from.1, from.2), Choose) }
    }
    let out: *mut T = dst.cast();
    let scalar = T::from_slot;
    // SAFETY: the caller's promises are the callees'.
    unsafe {
        match (operands[0], operands[1], operands[2]) {
            (Operand::Vector(mask), Operand::Vector(yes), Operand::Vector(no)) => {
                with(n, out, (mask, Stream(yes.cast()), Stream(no.cast())));
            }
            (Operand::Vector(mask), Operand::Vector(yes), Operand::Scalar(no)) => {
                with(n, out, (mask, Stream(yes.cast()), Splat(scalar(no))));
            }
            (Operand::Vector(mask), Operand::Scalar(yes), Operand::Vector(no)) => {
                with(n, out, (mask, Splat(scalar(yes)), Stream(no.cast())));
            }
            (Operand::Vector(mask), Operand::Scalar(yes), Operand::Scalar(no)) => {
                with(n, out, (mask, Splat(scalar(yes)), Splat(scalar(no))));
            }
            (Operand::Scalar(mask), yes, no) => match if mask != 0 { yes } else { no } {
                Operand::Vector(chosen) => std::ptr::copy(chosen, dst, n * size_of::<T>()),
                Operand::Scalar(bits) => repeat(n, out, scalar(bits)),
                Operand::Rows { .. } => unreachable!("rows come one by one"),
            },
            _ => unreachable!("rows come one by one"),
        }
    }
}

/// Writes one value n times.
///
/// # Safety
/// `dst` has room for `n` values of the compute type.
pub unsafe fn fill(compute: Compute, n: usize, dst: *mut u8, bits: u64) {
    // SAFETY: the caller's promise is the callee's.
    with_compute!(compute, T => unsafe { repeat(n, dst.cast::<T>(), T::from_slot(bits)) });
}

unsafe fn repeat<T: Number>(n: usize, dst: *mut T, value: T) {
    for i in 0..n {
        // SAFETY: the caller owns n elements.
        unsafe { dst.add(i).write_unaligned(value) };
    }
}

/// `dst[i] = first + i · step`, wrapping.
///
/// # Safety
/// `dst` has room for `n` values.
pub unsafe fn index_ramp(n: usize, dst: *mut i64, first: i64, step: i64) {
    let mut value = first;
    for i in 0..n {
        // SAFETY: the caller owns n elements.
        unsafe { dst.add(i).write_unaligned(value) };
        value = value.wrapping_add(step);
    }
}
