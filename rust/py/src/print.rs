//! How tensors print.
//! Depends on `values` and `engine`. Invariant: what is printed reads back as the same shape and dtype, up to 1000 elements.

use adret_core::dtype::{DType, Scalar};
use adret_core::error::Result;
use adret_core::graph::{self, GradMode, Tensor};
use adret_core::ops::{self, SliceAxis, default_integer};
use pyo3::prelude::*;

use crate::errors::call;
use crate::tensor::TensorObject;
use crate::{dtype, engine, values};

/// Tensors with more elements are summarised.
const MOST_ELEMENTS: usize = 1000;
/// Items shown at each end of an axis of a summary.
const EDGE: usize = 3;
/// Columns of a line.
const WIDTH: usize = 80;

/// How the numbers of one tensor are written: all alike, right-aligned.
enum Style {
    /// `True`, `False` and integers.
    Plain,
    /// Whole floats: `3.`
    Whole,
    /// `0.1235`
    Fixed,
    /// `1.2346e-05`
    Scientific,
}

impl Style {
    fn of(dtype: DType, elements: &[Scalar]) -> Self {
        if !dtype.is_float() {
            return Style::Plain;
        }
        let finite = || elements.iter().map(|element| element.to_f64().abs()).filter(|value| value.is_finite());
        let largest = finite().fold(0.0, f64::max);
        let smallest = finite().filter(|&value| value > 0.0).fold(f64::INFINITY, f64::min);
        if finite().all(|value| value.fract() == 0.0) {
            if largest >= 1e8 { Style::Scientific } else { Style::Whole }
        } else if largest >= 1e8 || smallest < 1e-4 || largest / smallest > 1e5 {
            Style::Scientific
        } else {
            Style::Fixed
        }
    }

    fn write(&self, element: Scalar) -> String {
        match (element, self) {
            (Scalar::Bool(value), _) => if value { "True" } else { "False" }.to_owned(),
            (Scalar::Int(value), _) => value.to_string(),
            (Scalar::Float(value), _) if value.is_nan() => "nan".to_owned(),
            (Scalar::Float(value), _) if value.is_infinite() => if value > 0.0 { "inf" } else { "-inf" }.to_owned(),
            (Scalar::Float(value), Style::Scientific) => scientific(value),
            (Scalar::Float(value), Style::Fixed) => format!("{value:.4}"),
            (Scalar::Float(value), _) => format!("{value:.0}."),
        }
    }
}

/// As Python writes it: a sign and at least two digits in the exponent.
fn scientific(value: f64) -> String {
    let text = format!("{value:.4e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// The edges of every long axis, as far as there are any.
fn summary(tensor: &Tensor) -> Result<Tensor> {
    let mut tensor = tensor.clone();
    for axis in 0..tensor.rank() {
        let size = tensor.shape()[axis];
        if size > 2 * EDGE {
            let window = |start: usize| {
                let mut windows: Vec<_> =
                    tensor.shape().iter().map(|&size| SliceAxis { start: 0, step: 1, size }).collect();
                windows[axis] = SliceAxis { start: start as isize, step: 1, size: EDGE };
                ops::slice(&tensor, &windows)
            };
            tensor = ops::concat(&[window(0)?, window(size - EDGE)?], axis as isize)?;
        }
    }
    Ok(tensor)
}

struct Printer<'a> {
    /// Sizes of the tensor, and of what is shown of it.
    sizes: &'a [usize],
    shown: &'a [usize],
    texts: &'a [String],
    width: usize,
}

impl Printer<'_> {
    /// Writes the items of axis `axis` from text `first` on; lines after the first are indented by `indent`.
    fn write(&self, axis: usize, first: usize, indent: usize, out: &mut String) {
        if axis == self.shown.len() {
            out.push_str(&format!("{:>width$}", self.texts[first], width = self.width));
            return;
        }
        let (cut, last) = (self.sizes[axis] != self.shown[axis], axis + 1 == self.shown.len());
        let stride: usize = self.shown[axis + 1..].iter().product();
        let (separator, columns) = match last {
            true => (", ".to_owned(), (WIDTH.saturating_sub(indent + 1) / (self.width + 2)).max(1)),
            false => (format!(",{}{}", "\n".repeat(self.shown.len() - axis - 1), " ".repeat(indent + 1)), usize::MAX),
        };
        out.push('[');
        for item in 0..self.shown[axis] {
            if item > 0 {
                match last && item % columns == 0 {
                    true => out.push_str(&format!(",\n{}", " ".repeat(indent + 1))),
                    false => out.push_str(&separator),
                }
            }
            if cut && item == EDGE {
                out.push_str("...");
                out.push_str(&separator);
            }
            self.write(axis + 1, first + item * stride, indent + 1, out);
        }
        out.push(']');
    }
}

/// The whole text.
fn text(py: Python<'_>, tensor: &Tensor, class: &str) -> PyResult<String> {
    let _off = GradMode::set(false);
    let plain = graph::identity(tensor);
    let elements = plain.shape().elements();
    engine::evaluate(py, std::slice::from_ref(tensor))?;
    let shown = if elements > MOST_ELEMENTS { call(py, || summary(&plain))? } else { plain.clone() };
    let numbers: Vec<_> = values::decode(tensor.dtype(), &engine::read(py, &shown)?).collect();
    let style = Style::of(tensor.dtype(), &numbers);
    let texts: Vec<_> = numbers.into_iter().map(|number| style.write(number)).collect();
    let width = texts.iter().map(String::len).max().unwrap_or(0);
    let mut out = format!("{class}(");
    let indent = out.len();
    if elements == 0 {
        out.push_str("[]");
    } else {
        Printer { sizes: plain.shape(), shown: shown.shape(), texts: &texts, width }.write(0, 0, indent, &mut out);
    }
    if elements == 0 && tensor.shape()[..] != [0] {
        out.push_str(&format!(", shape={}", tensor.shape()));
    }
    let usual = [dtype::default_float(), default_integer(tensor.device()), DType::Bool].contains(&tensor.dtype());
    if !usual || (elements == 0 && tensor.dtype() != dtype::default_float()) {
        out.push_str(&format!(", dtype={}", tensor.dtype()));
    }
    if tensor.device() != adret_core::backend::Device::Cpu {
        out.push_str(&format!(", device=\"{}\"", tensor.device()));
    }
    if tensor.requires_grad() {
        out.push_str(", requires_grad=True");
    }
    out.push(')');
    Ok(out)
}

#[pymethods]
impl TensorObject {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        text(py, &self.tensor(), "tensor")
    }
}
