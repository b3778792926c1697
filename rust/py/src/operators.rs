//! The operators of `Tensor`: arithmetic, comparison, in-place forms, and what Python asks of numbers and sequences.
//! Depends on `arguments` and the core's `ops`. Invariant: an operand of an unknown class gives `NotImplemented`, so that its own class may try.

// PyO3's glue for reflected operators, expanded inside the table below.
#![allow(unsafe_op_in_unsafe_fn)]

use adret_core::code::Code;
use adret_core::error::{Error, Result};
use adret_core::graph::Tensor;
use adret_core::ops::{self, Operand};
use pyo3::basic::CompareOp;
use pyo3::prelude::*;

use crate::arguments::{operand_beside, whole_or_none};
use crate::engine;
use crate::errors::{call, exception, wrong_kind};
use crate::tensor::TensorObject;

type Reply = PyResult<Py<PyAny>>;

/// `tensor · other`, or `other · tensor` where `reflected`.
fn apply(
    tensor: &TensorObject,
    other: &Bound<'_, PyAny>,
    reflected: bool,
    function: impl FnOnce(&Operand, &Operand) -> Result<Tensor>,
) -> Reply {
    let py = other.py();
    let tensor = tensor.tensor();
    let Some(other) = operand_beside(other, &tensor)? else { return Ok(py.NotImplemented()) };
    let tensor = Operand::Tensor(tensor);
    let result = engine::tensor(py, || if reflected { function(&other, &tensor) } else { function(&tensor, &other) })?;
    Ok(Py::new(py, result)?.into_any())
}

/// The matrix product takes tensors only.
fn product(lhs: &Operand, rhs: &Operand) -> Result<Tensor> {
    match (lhs, rhs) {
        (Operand::Tensor(lhs), Operand::Tensor(rhs)) => ops::matmul(lhs, rhs),
        _ => Err(Error::shape("matmul: an operand is a number, which has no axes. Use * instead.")),
    }
}

fn code(code: Code) -> impl FnOnce(&Operand, &Operand) -> Result<Tensor> {
    move |lhs, rhs| ops::binary(code, lhs, rhs)
}

/// `tensor · = other`.
fn write(
    tensor: &TensorObject,
    other: &Bound<'_, PyAny>,
    name: &str,
    function: impl FnOnce(&Operand, &Operand) -> Result<Tensor>,
) -> PyResult<()> {
    let py = other.py();
    tensor.write(py, name, |old| {
        let other = operand_beside(other, old)?
            .ok_or_else(|| wrong_kind(py, format!("{name}: expected a Tensor or a number on the right.")))?;
        call(py, || function(&Operand::Tensor(old.clone()), &other))
    })
}

macro_rules! operators {
    ($($plain:ident $reflected:ident $inplace:ident $symbol:literal $function:expr;)*) => {
        #[pymethods]
        impl TensorObject {
            $(
                fn $plain(&self, other: &Bound<'_, PyAny>) -> Reply {
                    apply(self, other, false, $function)
                }
                fn $reflected(&self, other: &Bound<'_, PyAny>) -> Reply {
                    apply(self, other, true, $function)
                }
                fn $inplace(&self, other: &Bound<'_, PyAny>) -> PyResult<()> {
                    write(self, other, $symbol, $function)
                }
            )*
        }
    };
}

operators! {
    __add__ __radd__ __iadd__ "+=" code(Code::Add);
    __sub__ __rsub__ __isub__ "-=" code(Code::Sub);
    __mul__ __rmul__ __imul__ "*=" code(Code::Mul);
    __truediv__ __rtruediv__ __itruediv__ "/=" code(Code::Div);
    __floordiv__ __rfloordiv__ __ifloordiv__ "//=" code(Code::FloorDiv);
    __mod__ __rmod__ __imod__ "%=" code(Code::Mod);
    __and__ __rand__ __iand__ "&=" code(Code::And);
    __or__ __ror__ __ior__ "|=" code(Code::Or);
    __xor__ __rxor__ __ixor__ "^=" code(Code::Xor);
    __lshift__ __rlshift__ __ilshift__ "<<=" code(Code::Shl);
    __rshift__ __rrshift__ __irshift__ ">>=" code(Code::Shr);
    __matmul__ __rmatmul__ __imatmul__ "@=" product;
}

#[pymethods]
impl TensorObject {
    fn __pow__(&self, exponent: &Bound<'_, PyAny>, modulo: Option<&Bound<'_, PyAny>>) -> Reply {
        match modulo {
            None => apply(self, exponent, false, code(Code::Pow)),
            Some(_) => Ok(exponent.py().NotImplemented()),
        }
    }

    fn __rpow__(&self, base: &Bound<'_, PyAny>, modulo: Option<&Bound<'_, PyAny>>) -> Reply {
        match modulo {
            None => apply(self, base, true, code(Code::Pow)),
            Some(_) => Ok(base.py().NotImplemented()),
        }
    }

    fn __ipow__(&self, exponent: &Bound<'_, PyAny>, _modulo: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        write(self, exponent, "**=", code(Code::Pow))
    }

    fn __divmod__(&self, other: &Bound<'_, PyAny>) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
        Ok((self.__floordiv__(other)?, self.__mod__(other)?))
    }

    fn __richcmp__(&self, other: &Bound<'_, PyAny>, comparison: CompareOp) -> Reply {
        apply(
            self,
            other,
            false,
            code(match comparison {
                CompareOp::Lt => Code::Less,
                CompareOp::Le => Code::LessEqual,
                CompareOp::Eq => Code::Equal,
                CompareOp::Ne => Code::NotEqual,
                CompareOp::Gt => Code::Greater,
                CompareOp::Ge => Code::GreaterEqual,
            }),
        )
    }

    /// By identity: tensors serve as keys, like other objects that change.
    fn __hash__(slf: &Bound<'_, Self>) -> isize {
        // Objects are aligned, so the low bits carry nothing.
        (slf.as_ptr() as isize) >> 4
    }

    fn __neg__(&self, py: Python<'_>) -> PyResult<Self> {
        engine::tensor(py, || ops::unary(Code::Neg, &self.tensor()))
    }

    fn __pos__(&self, py: Python<'_>) -> PyResult<Self> {
        engine::tensor(py, || Ok(self.tensor()))
    }

    fn __abs__(&self, py: Python<'_>) -> PyResult<Self> {
        engine::tensor(py, || ops::unary(Code::Abs, &self.tensor()))
    }

    fn __invert__(&self, py: Python<'_>) -> PyResult<Self> {
        engine::tensor(py, || ops::unary(Code::Not, &self.tensor()))
    }

    #[pyo3(signature = (ndigits = None))]
    fn __round__(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = whole_or_none)] ndigits: Option<isize>,
    ) -> PyResult<Self> {
        match ndigits {
            None | Some(0) => engine::tensor(py, || ops::unary(Code::Round, &self.tensor())),
            Some(digits) => Err(wrong_kind(
                py,
                format!("round: ndigits is {digits}, and tensors round to whole numbers. Scale before and after."),
            )),
        }
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let tensor = self.tensor();
        tensor.shape().first().copied().ok_or_else(|| {
            exception(py, Error::dtype("len: a 0-d tensor has no length. Use .size, or .item() for its number."))
        })
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let tensor = self.tensor();
        if tensor.rank() == 0 {
            return Err(exception(py, Error::dtype("iter: a 0-d tensor has no items. Use .item() for its number.")));
        }
        let rows = engine::tensors(py, || ops::unstack(&tensor, 0))?;
        Ok(pyo3::types::PyList::new(py, rows)?.try_iter()?.into_any())
    }

    fn __contains__(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = value.py();
        let tensor = self.tensor();
        let Some(value) = operand_beside(value, &tensor)? else { return Ok(false) };
        let found = call(py, || {
            let equal = ops::binary(Code::Equal, &Operand::Tensor(tensor), &value)?;
            ops::reduce(ops::Reduction::Any, &equal, None, false)
        })?;
        Ok(engine::read(py, &found)?[0] != 0)
    }
}
