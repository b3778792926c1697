//! Calls of pointwise functions: which dtype they compute in, and rewrites that depend on a scalar's value.
//! Depends on `operand`. Invariant: a scalar's value decides the graph's structure only here.

use std::cmp::Ordering;

use super::super::create::full;
use super::super::movement::{broadcast_to, same};
use super::super::operand::{Operand, agree, check_scalar, common_shape, place, result_type};
use super::order::apply_in_order;
use super::{Apply, refused, table::record};
use crate::code::Code;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::Tensor;

/// The dtype that a function computes operands of `dtype` in: functions of real numbers take integers as float32.
fn compute_dtype(code: Code, dtype: DType) -> DType {
    if !dtype.is_float() && code.takes(DType::F32) && !code.takes(DType::I64) { DType::F32 } else { dtype }
}

/// A function of one operand. Functions of real numbers convert integers and `bool` to float32; rounding leaves integers as they are.
///
/// # Errors
/// For dtypes that the function does not take.
pub fn unary(code: Code, x: &Tensor) -> Result<Tensor> {
    debug_assert_eq!(code.arity(), 1);
    if x.dtype().is_integer() && matches!(code, Code::Floor | Code::Ceil | Code::Round | Code::Trunc) {
        return same(x);
    }
    let dtype = compute_dtype(code, x.dtype());
    if dtype == x.dtype() {
        apply_in_order(Apply(code), &[x])
    } else {
        apply_in_order(Apply(code), &[&super::astype(x, dtype)?])
    }
}

/// A function of two operands, promoted to one dtype and broadcast to one shape. `Div` of integers gives float32.
///
/// # Errors
/// For shapes that do not broadcast, dtypes that the function does not take, two scalars, and integer scalars that the dtype cannot hold.
pub fn binary(code: Code, lhs: &Operand, rhs: &Operand) -> Result<Tensor> {
    debug_assert_eq!(code.arity(), 2);
    if let (Code::Pow, Operand::Tensor(base), Operand::Scalar(exponent)) = (code, lhs, rhs) {
        check_power(base.dtype(), *exponent)?;
        if let Some(result) = simple_power(base, *exponent) {
            return result;
        }
    }
    if let Some(result) = beyond_range(code, lhs, rhs) {
        return result;
    }
    let [lhs, rhs] = agree(record(code).name, lhs, rhs, |dtype| compute_dtype(code, dtype))?;
    apply_in_order(Apply(code), &[&lhs, &rhs])
}

/// What a comparison with an integer that the tensor's dtype cannot hold comes to: all elements are on one side of it.
fn beyond_range(code: Code, lhs: &Operand, rhs: &Operand) -> Option<Result<Tensor>> {
    let (tensor, number, is_left) = match (lhs, rhs) {
        (Operand::Tensor(tensor), Operand::Scalar(Scalar::Int(number))) => (tensor, *number, true),
        (Operand::Scalar(Scalar::Int(number)), Operand::Tensor(tensor)) => (tensor, *number, false),
        _ => return None,
    };
    let (low, high) = result_type(&[lhs, rhs], tensor.device()).integer_range()?;
    let side = match number {
        _ if number < low => Ordering::Greater,
        _ if number > high => Ordering::Less,
        _ => return None,
    };
    let order = if is_left { side } else { side.reverse() };
    let holds = match code {
        Code::Equal => false,
        Code::NotEqual => true,
        Code::Less | Code::LessEqual => order.is_lt(),
        Code::Greater | Code::GreaterEqual => order.is_gt(),
        _ => return None,
    };
    Some(full(tensor.shape(), Scalar::Bool(holds), DType::Bool, tensor.device()))
}

/// Refuses negative powers of integers, which are no integers.
fn check_power(base: DType, exponent: Scalar) -> Result<()> {
    match exponent {
        Scalar::Int(power) if power < 0 && !base.is_float() => Err(Error::value(format!(
            "pow: the base is {base} and the exponent {power}, whose result is no integer. Convert the base with astype to float32."
        ))),
        _ => Ok(()),
    }
}

/// Powers that are cheaper and more exact as something else.
fn simple_power(base: &Tensor, exponent: Scalar) -> Option<Result<Tensor>> {
    let value = exponent.to_f64();
    let float = base.dtype().is_float();
    let stays = float || (base.dtype().is_integer() && matches!(exponent, Scalar::Int(_)));
    if !stays {
        return None;
    }
    let square = || super::mul(base, base);
    Some(match value {
        1.0 => same(base),
        2.0 => square(),
        3.0 => square().and_then(|square| super::mul(&square, base)),
        0.5 if float => super::sqrt(base),
        -0.5 if float => super::rsqrt(base),
        -1.0 if float => super::reciprocal(base),
        -2.0 if float => square().and_then(|square| super::reciprocal(&square)),
        _ => return None,
    })
}

/// `a` where `cond` holds, else `b`; the three broadcast.
///
/// # Errors
/// When `cond` is not `bool`, and for shapes that do not broadcast.
pub fn where_(cond: &Tensor, a: &Operand, b: &Operand) -> Result<Tensor> {
    if cond.dtype() != DType::Bool {
        return Err(Error::dtype(format!(
            "where: the condition is {}, not bool. Compare first, for instance `x != 0`.",
            cond.dtype()
        )));
    }
    let (shape, device) = common_shape("where", &[&cond.into(), a, b])?;
    let dtype = result_type(&[a, b], device);
    let cond = broadcast_to(cond, &shape)?;
    let (a, b) = (place("where", a, dtype, &shape, device)?, place("where", b, dtype, &shape, device)?);
    apply_in_order(Apply(Code::Where), &[&cond, &a, &b])
}

/// `x` limited to `min ..= max`; ties share the gradient as in `maximum` and `minimum`.
///
/// # Errors
/// As `binary`.
pub fn clip(x: &Tensor, min: Option<Operand>, max: Option<Operand>) -> Result<Tensor> {
    if x.dtype() == DType::Bool {
        return Err(refused("clip", DType::Bool));
    }
    for bound in [&min, &max].into_iter().flatten() {
        if let Operand::Scalar(number) = bound {
            check_scalar("clip", *number, result_type(&[&x.into(), bound], x.device()))?;
        }
    }
    let mut result = x.clone();
    if let Some(min) = &min {
        result = binary(Code::Maximum, &result.into(), min)?;
    }
    if let Some(max) = &max {
        result = binary(Code::Minimum, &result.into(), max)?;
    }
    if min.is_none() && max.is_none() { same(x) } else { Ok(result) }
}

macro_rules! scalar_functions {
    ($($(#[$doc:meta])* $name:ident $code:ident;)*) => {
        $($(#[$doc])*
        ///
        /// # Errors
        /// For dtypes that the function does not take.
        pub fn $name(x: &Tensor, number: f64) -> Result<Tensor> {
            binary(Code::$code, &x.into(), &number.into())
        })*
    };
}

scalar_functions! {
    /// x + number
    add_scalar Add;
    /// x − number
    sub_scalar Sub;
    /// x · number
    mul_scalar Mul;
    /// x / number
    div_scalar Div;
    /// The larger of x and number.
    maximum_scalar Maximum;
    /// The smaller of x and number.
    minimum_scalar Minimum;
}

/// number − x
///
/// # Errors
/// For dtypes that the function does not take.
pub fn rsub_scalar(x: &Tensor, number: f64) -> Result<Tensor> {
    binary(Code::Sub, &number.into(), &x.into())
}
