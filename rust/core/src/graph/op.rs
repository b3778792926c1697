//! The op contract: everything that the engine asks of an operation.
//! Depends on the vocabulary and `plan`. Invariant: an op is pure data; equal keys and slots mean equal results.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use super::node::Tensor;
use crate::backend::Device;
use crate::code::{Code, Fold};
use crate::dtype::DType;
use crate::error::Result;
use crate::plan::Structured;
use crate::shape::Shape;

/// Shape and dtype of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Sizes.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
}

impl Meta {
    /// A shape with a dtype.
    pub fn new(shape: Shape, dtype: DType) -> Self {
        Self { shape, dtype }
    }
}

/// An operation of the graph: its meaning to the planner and its gradient. One value per node.
pub trait Op: fmt::Debug + Send + Sync {
    /// The name that users know.
    fn name(&self) -> &'static str;

    /// Writes the static attributes: with the inputs' shapes and dtypes they determine the work. The name is written by the caller.
    fn key(&self, _key: &mut Key) {}

    /// Appends the run-time numbers (scalar values, starts of slices, random counters), always equally many for equal keys and shapes.
    fn slots(&self, _slots: &mut Vec<u64>) {}

    /// Shapes and dtypes of the outputs.
    ///
    /// # Errors
    /// The user's mistake, as `op: what is wrong: values. What to do.`
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>>;

    /// Gradients with respect to the inputs, built from graph ops, linear in `cx.grads`; `None` where there is none.
    ///
    /// # Errors
    /// When no derivative exists.
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>>;

    /// What the planner makes of it.
    fn lower(&self) -> Lowering;

    /// Number of leading inputs that the value depends on; the others serve the gradient only.
    fn computed_inputs(&self, inputs: usize) -> usize {
        inputs
    }
}

/// How an op appears to the planner.
#[derive(Clone, Debug)]
pub enum Lowering {
    /// The input's elements in other places: runs nothing.
    View(View),
    /// One element from the elements of the inputs (all of the output's shape) at the same index.
    Pointwise(Pointwise),
    /// Folds `axes` of input 0, which disappear from the shape.
    Reduce {
        /// How two become one.
        fold: Fold,
        /// Ascending axes.
        axes: SmallVec<[usize; 4]>,
    },
    /// `[batch…, m, k] · [batch…, k, n]`, batch axes equal.
    Matmul,
    /// A routine of its own; arguments are the computed inputs, then the outputs.
    Structured(Arc<dyn Structured>),
    /// The input's value on another device.
    Transfer(Device),
}

/// The sort of a lowering: what a walk over the graph asks of every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The input's elements in other places.
    View,
    /// Computed again rather than kept.
    Cheap,
    /// Kept where a gradient will read it.
    Dear,
    /// A value that comes from another device.
    Transfer,
}

impl Lowering {
    /// Of which sort it is.
    pub fn kind(&self) -> Kind {
        match self {
            Lowering::View(_) => Kind::View,
            Lowering::Pointwise(_) => Kind::Cheap,
            Lowering::Reduce { .. } | Lowering::Matmul | Lowering::Structured(_) => Kind::Dear,
            Lowering::Transfer(_) => Kind::Transfer,
        }
    }
}

/// Pointwise work; operands are the node's inputs in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Pointwise {
    /// A function.
    Code(Code),
    /// Conversion to the output's dtype.
    Cast,
    /// The op's slot 0, everywhere (no inputs).
    Scalar,
    /// The row-major number of the element, as int64 (no inputs).
    Index,
    /// Philox bits as uint32; slot 0 is the key, slot 1 the block of element 0 (no inputs).
    Random {
        /// Third counter word.
        stream: u32,
    },
    /// Range check of an index, see `Instr::Check`.
    Check {
        /// Size of what is indexed.
        limit: usize,
        /// Whether negative indices count from the end.
        wrap: bool,
        /// Which op asks, for the message.
        context: String,
    },
}

/// Layout algebra: where an output element lies in the input. Sizes come from the shapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// The same elements.
    Identity,
    /// The same row-major order under another shape.
    Reshape,
    /// Output axis `i` is input axis `order[i]`.
    Permute(SmallVec<[usize; 4]>),
    /// New leading axes, and axes of size 1 repeated.
    Expand,
    /// Output index `i` of an axis is input index `start + i · step`; starts are the op's slots, one per axis.
    Slice {
        /// Starts now (the slots' values).
        starts: SmallVec<[isize; 4]>,
        /// Steps, not 0.
        steps: SmallVec<[isize; 4]>,
    },
    /// Input index is output index − before; outside, the value is 0. Amounts before are the op's slots, one per axis.
    Pad {
        /// Amounts before now (the slots' values).
        before: SmallVec<[isize; 4]>,
    },
}

/// What a VJP may read.
pub struct Vjp<'a> {
    /// The node's inputs.
    pub inputs: &'a [Tensor],
    /// The node's outputs.
    pub outputs: &'a [Tensor],
    /// Cotangents of the outputs; `None` where an output is unused.
    pub grads: &'a [Option<Tensor>],
    /// Which inputs need a gradient.
    pub needs: &'a [bool],
}

impl Vjp<'_> {
    /// The cotangent of the only output.
    pub fn grad(&self) -> &Tensor {
        self.grads[0].as_ref().expect("the sweep visits only nodes with a cotangent")
    }
}

/// A gradient on its way to an input. Partial ones are collected, so that many slices of one tensor cost one buffer.
#[derive(Clone, Debug)]
pub enum Cotangent {
    /// Of the input's shape.
    Dense(Tensor),
    /// Belongs to the elements `start + i · step` of the input, the rest being 0.
    Slice {
        /// Values of the slice's shape.
        grad: Tensor,
        /// First indices.
        starts: SmallVec<[isize; 4]>,
        /// Steps.
        steps: SmallVec<[isize; 4]>,
    },
    /// The product `lhs · rhs` of two matrices; many of them become one product of longer matrices.
    Product {
        /// `[m, k]`.
        lhs: Tensor,
        /// `[k, n]`.
        rhs: Tensor,
        /// Their product by itself, which is not computed if others join.
        product: Tensor,
        /// Whether the sum is to lie in memory as its transpose.
        turned: bool,
    },
    /// Is added to the entries `indices` of the input along `axis`, the rest being 0.
    Take {
        /// Values; the input's shape with `axis` replaced by the shape of `indices`.
        grad: Tensor,
        /// Integers in `0..size`.
        indices: Tensor,
        /// Axis that was indexed.
        axis: usize,
    },
}

/// Bytes that identify a graph's structure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key(pub Vec<u8>);

impl Key {
    /// Appends one number.
    pub fn number(&mut self, number: u64) {
        // Small numbers, the common case, take one byte.
        if number < 0xff {
            self.0.push(number as u8);
        } else {
            self.0.push(0xff);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Appends a list with its length.
    pub fn list<T: Copy>(&mut self, items: &[T], number: impl Fn(T) -> u64) {
        self.number(items.len() as u64);
        for &item in items {
            self.number(number(item));
        }
    }

    /// Appends a text with its length.
    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }
}
