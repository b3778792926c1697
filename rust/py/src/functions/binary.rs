//! Functions of two operands, of which one may be a number; choice between values.
//! Depends on the core's `ops`. Invariant: function and method of one name are the same.

use adret_core::code::Code;
use adret_core::dtype::DType;
use adret_core::error::Result;
use adret_core::graph::Tensor;
use adret_core::ops::{self, Operand};
use pyo3::prelude::*;

use super::add_functions;
use crate::arguments::{OperandArgument, TensorArgument};
use crate::engine;
use crate::tensor::TensorObject;

macro_rules! binary_functions {
    ($($name:ident = $function:expr, $summary:literal, $lhs:literal, $rhs:literal => $output:literal;)*) => {
        $(
            #[doc = concat!(
                $summary,
                "\n\nShapes broadcast and dtypes promote; one of the two may be a number.",
                "\n\nExample:\n    >>> ad.", stringify!($name), "(ad.tensor(", $lhs, "), ", $rhs, ")\n    tensor(", $output, ")"
            )]
            #[pyfunction]
            #[pyo3(signature = (x1, x2, /))]
            pub(crate) fn $name(py: Python<'_>, x1: OperandArgument, x2: OperandArgument) -> PyResult<TensorObject> {
                engine::tensor(py, || $function(&x1.0, &x2.0))
            }
        )*

        #[pymethods]
        impl TensorObject {
            $(
                #[doc = concat!($summary, "\n\nThe function `adret.", stringify!($name), "` as a method.")]
                fn $name(&self, py: Python<'_>, other: OperandArgument) -> PyResult<Self> {
                    engine::tensor(py, || $function(&Operand::Tensor(self.tensor()), &other.0))
                }
            )*
        }

        fn register_binary(module: &Bound<'_, PyModule>) -> PyResult<()> {
            add_functions!(module, $($name),*);
            Ok(())
        }
    };
}

fn code(code: Code) -> impl Fn(&Operand, &Operand) -> Result<Tensor> {
    move |lhs, rhs| ops::binary(code, lhs, rhs)
}

/// A function of truths.
fn logical(code: Code) -> impl Fn(&Operand, &Operand) -> Result<Tensor> {
    let truth = |operand: &Operand| match operand {
        Operand::Tensor(tensor) => ops::astype(tensor, DType::Bool).map(Operand::Tensor),
        Operand::Scalar(number) => Ok(Operand::from(number.to_f64() != 0.0)),
        Operand::Variable(number) => Ok(Operand::from(number.get() != 0.0)),
    };
    move |lhs, rhs| ops::binary(code, &truth(lhs)?, &truth(rhs)?)
}

binary_functions! {
    add = code(Code::Add), "x1 + x2", "[1, 2]", "10" => "[11, 12]";
    subtract = code(Code::Sub), "x1 - x2", "[1, 2]", "10" => "[-9, -8]";
    multiply = code(Code::Mul), "x1 * x2", "[1, 2]", "10" => "[10, 20]";
    divide = code(Code::Div), "x1 / x2; integers give float32.", "[1.0, 2.0]", "4" => "[0.2500, 0.5000]";
    floor_divide = code(Code::FloorDiv), "The largest whole number not above x1 / x2.", "[7, -7]", "2" => "[ 3, -4]";
    remainder = code(Code::Mod), "x1 - floor(x1 / x2) * x2, with the sign of x2.", "[7, -7]", "3" => "[1, 2]";
    pow = code(Code::Pow), "x1 to the power x2.", "[2.0, 3.0]", "2" => "[4., 9.]";
    atan2 = code(Code::Atan2), "The angle of the point (x2, x1).", "[0.0, 1.0]", "1.0" => "[0.0000, 0.7854]";
    maximum = code(Code::Maximum), "The larger of the two; NaN wins; equal ones share the gradient.", "[1, 5]", "3" => "[3, 5]";
    minimum = code(Code::Minimum), "The smaller of the two; NaN wins; equal ones share the gradient.", "[1, 5]", "3" => "[1, 3]";
    equal = code(Code::Equal), "Whether x1 == x2.", "[1, 2]", "2" => "[False,  True]";
    not_equal = code(Code::NotEqual), "Whether x1 != x2.", "[1, 2]", "2" => "[ True, False]";
    less = code(Code::Less), "Whether x1 < x2.", "[1, 2]", "2" => "[ True, False]";
    less_equal = code(Code::LessEqual), "Whether x1 <= x2.", "[1, 3]", "2" => "[ True, False]";
    greater = code(Code::Greater), "Whether x1 > x2.", "[1, 3]", "2" => "[False,  True]";
    greater_equal = code(Code::GreaterEqual), "Whether x1 >= x2.", "[1, 2]", "2" => "[False,  True]";
    bitwise_and = code(Code::And), "Bits set in both.", "[6, 5]", "3" => "[2, 1]";
    bitwise_or = code(Code::Or), "Bits set in either.", "[6, 4]", "3" => "[7, 7]";
    bitwise_xor = code(Code::Xor), "Bits set in one of them.", "[6, 5]", "3" => "[5, 6]";
    bitwise_left_shift = code(Code::Shl), "x1 times 2 to the power x2.", "[1, 3]", "2" => "[ 4, 12]";
    bitwise_right_shift = code(Code::Shr), "x1 divided by 2 to the power x2, rounded down.", "[4, 13]", "2" => "[1, 3]";
    logical_and = logical(Code::And), "Whether both are other than 0.", "[0, 2]", "True" => "[False,  True]";
    logical_or = logical(Code::Or), "Whether one is other than 0.", "[0, 2]", "False" => "[False,  True]";
    logical_xor = logical(Code::Xor), "Whether exactly one is other than 0.", "[0, 2]", "True" => "[ True, False]";
}

/// x1 where the condition holds, x2 elsewhere.
///
/// Shapes broadcast; x1 and x2 promote to one dtype, and either may be a number.
///
/// Raises:
///     DTypeError: If the condition is not bool.
///
/// Example:
///     >>> x = ad.tensor([-1, 2])
///     >>> ad.where(x > 0, x, 0)
///     tensor([0, 2])
#[pyfunction]
#[pyo3(name = "where", signature = (condition, x1, x2, /))]
fn where_(
    py: Python<'_>,
    condition: TensorArgument,
    x1: OperandArgument,
    x2: OperandArgument,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::where_(&condition.0, &x1.0, &x2.0))
}

/// x held between `min` and `max`.
///
/// Example:
///     >>> ad.clip(ad.tensor([-2, 0, 5]), 0, 3)
///     tensor([0, 0, 3])
#[pyfunction]
#[pyo3(signature = (x, /, min = None, max = None))]
fn clip(
    py: Python<'_>,
    x: TensorArgument,
    min: Option<OperandArgument>,
    max: Option<OperandArgument>,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::clip(&x.0, min.map(|min| min.0), max.map(|max| max.0)))
}

#[pymethods]
impl TensorObject {
    /// The elements held between `min` and `max`.
    #[pyo3(name = "clip", signature = (min = None, max = None))]
    fn clipped(&self, py: Python<'_>, min: Option<OperandArgument>, max: Option<OperandArgument>) -> PyResult<Self> {
        engine::tensor(py, || ops::clip(&self.tensor(), min.map(|min| min.0), max.map(|max| max.0)))
    }
}

/// Puts the functions into the module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    register_binary(module)?;
    add_functions!(module, where_, clip);
    Ok(())
}
