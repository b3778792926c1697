//! Formulas on tensors in ordinary notation, for gradients and composites: `grad * (1.0 - y * y)`.
//! Depends on `operand` and `pointwise`. Invariant: the first error of a formula is the error of the whole.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::operand::Operand;
use super::pointwise::{binary, unary, where_};
use crate::code::Code;
use crate::dtype::Scalar;
use crate::error::Result;
use crate::graph::Tensor;

/// A tensor, or the error that making it met.
#[derive(Clone, Debug)]
pub(crate) struct Expr(Result<Tensor>);

/// A formula or a number.
pub(crate) enum Term {
    Expr(Expr),
    Number(Scalar),
}

impl From<Expr> for Term {
    fn from(expr: Expr) -> Self {
        Term::Expr(expr)
    }
}

impl From<&Expr> for Term {
    fn from(expr: &Expr) -> Self {
        Term::Expr(expr.clone())
    }
}

impl From<f64> for Term {
    fn from(number: f64) -> Self {
        Term::Number(Scalar::Float(number))
    }
}

impl From<i64> for Term {
    fn from(number: i64) -> Self {
        Term::Number(Scalar::Int(number.into()))
    }
}

impl From<i128> for Term {
    fn from(number: i128) -> Self {
        Term::Number(Scalar::Int(number))
    }
}

impl Term {
    fn operand(self) -> Result<Operand> {
        Ok(match self {
            Term::Expr(expr) => Operand::Tensor(expr.0?),
            Term::Number(number) => number.into(),
        })
    }
}

impl From<&Tensor> for Expr {
    fn from(tensor: &Tensor) -> Self {
        Expr(Ok(tensor.clone()))
    }
}

impl From<Result<Tensor>> for Expr {
    fn from(result: Result<Tensor>) -> Self {
        Expr(result)
    }
}

impl Expr {
    /// The tensor.
    pub(crate) fn done(self) -> Result<Tensor> {
        self.0
    }

    /// Any function of the tensor.
    pub(crate) fn then(&self, function: impl FnOnce(&Tensor) -> Result<Tensor>) -> Expr {
        Expr(match &self.0 {
            Ok(tensor) => function(tensor),
            Err(error) => Err(error.clone()),
        })
    }

    /// A pointwise function of it.
    pub(crate) fn apply(&self, code: Code) -> Expr {
        self.then(|tensor| unary(code, tensor))
    }

    /// A pointwise function of it and another.
    pub(crate) fn with(&self, code: Code, rhs: impl Into<Term>) -> Expr {
        combine(code, self.into(), rhs.into())
    }

    /// `yes` where this holds, else `no`.
    pub(crate) fn choose(&self, yes: impl Into<Term>, no: impl Into<Term>) -> Expr {
        let (yes, no) = (yes.into().operand(), no.into().operand());
        self.then(|cond| where_(cond, &yes?, &no?))
    }

    /// x²
    pub(crate) fn squared(&self) -> Expr {
        self * self
    }
}

fn combine(code: Code, lhs: Term, rhs: Term) -> Expr {
    Expr(lhs.operand().and_then(|lhs| binary(code, &lhs, &rhs.operand()?)))
}

macro_rules! operator {
    ($trait:ident $method:ident $code:ident: $($lhs:ty, $rhs:ty;)*) => {
        $(impl $trait<$rhs> for $lhs {
            type Output = Expr;
            fn $method(self, rhs: $rhs) -> Expr {
                combine(Code::$code, self.into(), rhs.into())
            }
        })*
    };
    ($($trait:ident $method:ident $code:ident;)*) => {
        $(operator! { $trait $method $code:
            Expr, Expr; Expr, &Expr; &Expr, Expr; &Expr, &Expr; Expr, f64; &Expr, f64; f64, Expr; f64, &Expr;
        })*
    };
}

operator! { Add add Add; Sub sub Sub; Mul mul Mul; Div div Div; }

impl Neg for Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        self.apply(Code::Neg)
    }
}

impl Neg for &Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        self.apply(Code::Neg)
    }
}
