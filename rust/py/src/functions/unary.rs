//! Functions of one tensor, element by element: one row each.
//! Depends on the core's `ops`. Invariant: function and method of one name are the same.

use adret_core::ops;
use pyo3::prelude::*;

use super::add_functions;
use crate::arguments::TensorArgument;
use crate::engine;
use crate::tensor::TensorObject;

macro_rules! unary_functions {
    ($($name:ident = $function:path, $summary:literal, $input:literal => $output:literal;)*) => {
        $(
            #[doc = concat!(
                $summary,
                "\n\nExample:\n    >>> ad.", stringify!($name), "(ad.tensor(", $input, "))\n    tensor(", $output, ")"
            )]
            #[pyfunction]
            #[pyo3(signature = (x, /))]
            pub(crate) fn $name(py: Python<'_>, x: TensorArgument) -> PyResult<TensorObject> {
                engine::tensor(py, || $function(&x.0))
            }
        )*

        #[pymethods]
        impl TensorObject {
            $(
                #[doc = concat!($summary, "\n\nThe function `adret.", stringify!($name), "` as a method.")]
                fn $name(&self, py: Python<'_>) -> PyResult<Self> {
                    engine::tensor(py, || $function(&self.tensor()))
                }
            )*
        }

        /// Puts the functions into the module.
        pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
            add_functions!(module, $($name),*);
            Ok(())
        }
    };
}

unary_functions! {
    negative = ops::neg, "-x", "[1, -2]" => "[-1,  2]";
    positive = same, "x", "[1, -2]" => "[ 1, -2]";
    abs = ops::abs, "|x|", "[-1.5, 2.0]" => "[1.5000, 2.0000]";
    sign = ops::sign, "-1, 0 or 1; NaN stays.", "[-3, 0, 2]" => "[-1,  0,  1]";
    floor = ops::floor, "The largest whole number not above x.", "[1.5, -1.5]" => "[ 1., -2.]";
    ceil = ops::ceil, "The smallest whole number not below x.", "[1.5, -1.5]" => "[ 2., -1.]";
    round = ops::round, "The nearest whole number; halves to the even one.", "[0.5, 1.5, 2.4]" => "[0., 2., 2.]";
    trunc = ops::trunc, "x without its fraction.", "[1.5, -1.5]" => "[ 1., -1.]";
    sqrt = ops::sqrt, "The square root; NaN below 0.", "[4.0, 9.0]" => "[2., 3.]";
    rsqrt = ops::rsqrt, "1 / sqrt(x)", "[4.0, 16.0]" => "[0.5000, 0.2500]";
    square = ops::square, "x * x", "[2, -3]" => "[4, 9]";
    reciprocal = ops::reciprocal, "1 / x", "[4.0, 0.5]" => "[0.2500, 2.0000]";
    exp = ops::exp, "e to the power x.", "[0.0, 1.0]" => "[1.0000, 2.7183]";
    expm1 = ops::expm1, "e to the power x, minus 1; precise near 0.", "[0.0, 1.0]" => "[0.0000, 1.7183]";
    log = ops::log, "The natural logarithm; -inf at 0, NaN below.", "[1.0, 2.0]" => "[0.0000, 0.6931]";
    log1p = ops::log1p, "The natural logarithm of 1 + x; precise near 0.", "[0.0, 1.0]" => "[0.0000, 0.6931]";
    log2 = ops::log2, "The logarithm to base 2.", "[1.0, 8.0]" => "[0., 3.]";
    log10 = ops::log10, "The logarithm to base 10.", "[1.0, 1000.0]" => "[0., 3.]";
    sin = ops::sin, "The sine of x in radians.", "[0.0, 1.0]" => "[0.0000, 0.8415]";
    cos = ops::cos, "The cosine of x in radians.", "[0.0, 1.0]" => "[1.0000, 0.5403]";
    tan = ops::tan, "The tangent of x in radians.", "[0.0, 1.0]" => "[0.0000, 1.5574]";
    asin = ops::asin, "The angle whose sine is x; NaN outside [-1, 1].", "[0.0, 1.0]" => "[0.0000, 1.5708]";
    acos = ops::acos, "The angle whose cosine is x; NaN outside [-1, 1].", "[1.0, 0.0]" => "[0.0000, 1.5708]";
    atan = ops::atan, "The angle whose tangent is x.", "[0.0, 1.0]" => "[0.0000, 0.7854]";
    sinh = ops::sinh, "(exp(x) - exp(-x)) / 2", "[0.0, 1.0]" => "[0.0000, 1.1752]";
    cosh = ops::cosh, "(exp(x) + exp(-x)) / 2", "[0.0, 1.0]" => "[1.0000, 1.5431]";
    tanh = ops::tanh, "sinh(x) / cosh(x)", "[0.0, 1.0]" => "[0.0000, 0.7616]";
    asinh = ops::asinh, "The inverse of sinh.", "[0.0, 1.0]" => "[0.0000, 0.8814]";
    acosh = ops::acosh, "The inverse of cosh; NaN below 1.", "[1.0, 2.0]" => "[0.0000, 1.3170]";
    atanh = ops::atanh, "The inverse of tanh; NaN outside [-1, 1].", "[0.0, 0.5]" => "[0.0000, 0.5493]";
    sigmoid = ops::sigmoid, "1 / (1 + exp(-x))", "[0.0, 2.0]" => "[0.5000, 0.8808]";
    erf = ops::erf, "2 / sqrt(pi) times the integral of exp(-t * t) from 0 to x.", "[0.0, 1.0]" => "[0.0000, 0.8427]";
    relu = ops::relu, "x where x > 0, else 0; NaN stays; the gradient at 0 is 0.", "[-1.0, 2.0]" => "[0., 2.]";
    softplus = ops::softplus, "log(1 + exp(x)), without overflow.", "[0.0, 1.0]" => "[0.6931, 1.3133]";
    silu = ops::silu, "x * sigmoid(x)", "[0.0, 1.0]" => "[0.0000, 0.7311]";
    mish = ops::mish, "x * tanh(softplus(x))", "[0.0, 1.0]" => "[0.0000, 0.8651]";
    selu = ops::selu, "1.0507 * (x where x > 0, else 1.6733 * (exp(x) - 1))", "[0.0, 1.0]" => "[0.0000, 1.0507]";
    relu6 = ops::relu6, "x held between 0 and 6.", "[-1.0, 7.0]" => "[0., 6.]";
    hardsigmoid = ops::hardsigmoid, "x / 6 + 1 / 2 held between 0 and 1.", "[0.0, 3.0]" => "[0.5000, 1.0000]";
    hardswish = ops::hardswish, "x * hardsigmoid(x)", "[1.0, 3.0]" => "[0.6667, 3.0000]";
    softsign = ops::softsign, "x / (1 + |x|)", "[-1.0, 3.0]" => "[-0.5000,  0.7500]";
    logsigmoid = ops::logsigmoid, "log(sigmoid(x)), without underflow.", "[0.0, 1.0]" => "[-0.6931, -0.3133]";
    isnan = ops::isnan, "Whether x is NaN.", "[1.0, float(\"nan\")]" => "[False,  True]";
    isinf = ops::isinf, "Whether x is infinite.", "[1.0, float(\"inf\")]" => "[False,  True]";
    isfinite = ops::isfinite, "Whether x is neither infinite nor NaN.", "[1.0, float(\"inf\")]" => "[ True, False]";
    bitwise_invert = ops::invert, "The complement of an integer's bits, or of a truth.", "[0, 5]" => "[-1, -6]";
    logical_not = logical_not_of, "Whether x is 0.", "[0, 5]" => "[ True, False]";
}

fn same(x: &adret_core::graph::Tensor) -> adret_core::error::Result<adret_core::graph::Tensor> {
    Ok(x.clone())
}

fn logical_not_of(x: &adret_core::graph::Tensor) -> adret_core::error::Result<adret_core::graph::Tensor> {
    ops::invert(&ops::astype(x, adret_core::dtype::DType::Bool)?)
}
