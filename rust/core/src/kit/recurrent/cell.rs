//! The formulas of the recurrent units, each once: a step, and its gradient for numbers of any kind.
//! Depends on `simd`. Invariant: routines and ordinary operations differentiate by the same text.

use std::marker::PhantomData;

use super::Element;
use crate::kit::simd::Machine;

/// A recurrent unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// h ← tanh(given + own)
    RnnTanh,
    /// h ← relu(given + own)
    RnnRelu,
    /// c ← σ(f) · c + σ(i) · tanh(g), h ← σ(o) · tanh(c), [i f g o] = given + own
    Lstm,
    /// h ← n + σ(z) · (h − n), n = tanh(given + σ(r) · own), for gates [r z n]
    Gru,
}

/// Calls a generic function for a unit's cell, with the numbers of its gates and of what it saves.
macro_rules! of_unit {
    ($unit:expr, $($path:ident).+ ($($argument:expr),*)) => {{
        use $crate::kit::recurrent::{Gru, Lstm, RnnRelu, RnnTanh, Unit};
        match $unit {
            Unit::RnnTanh => $($path).+::<RnnTanh, 1, 0>($($argument),*),
            Unit::RnnRelu => $($path).+::<RnnRelu, 1, 0>($($argument),*),
            Unit::Lstm => $($path).+::<Lstm, 4, 4>($($argument),*),
            Unit::Gru => $($path).+::<Gru, 3, 4>($($argument),*),
        }
    }};
}
pub(crate) use of_unit;

impl Unit {
    /// Gates.
    pub fn gates(self) -> usize {
        match self {
            Unit::RnnTanh | Unit::RnnRelu => 1,
            Unit::Lstm => 4,
            Unit::Gru => 3,
        }
    }

    /// Blocks of values that the gradient needs, besides the states.
    pub(crate) fn saved(self) -> usize {
        if matches!(self, Unit::Lstm | Unit::Gru) { 4 } else { 0 }
    }

    /// Whether there is a cell beside h.
    pub fn has_cell(self) -> bool {
        self == Unit::Lstm
    }

    /// Whether a step reads h element by element, besides its product with the weight.
    pub(crate) fn reads_h(self) -> bool {
        self == Unit::Gru
    }

    /// Whether the product with the weight has a gradient other than that of what the inputs give, and a bias of its own.
    pub fn is_separate(self) -> bool {
        self == Unit::Gru
    }
}

/// What a gradient's formula is written for: floats of a routine, or tensors.
pub(crate) trait Number: Clone {
    /// x + y
    fn plus(&self, other: &Self) -> Self;
    /// x − y
    fn minus(&self, other: &Self) -> Self;
    /// x · y
    fn times(&self, other: &Self) -> Self;
    /// 1 − x
    fn rest(&self) -> Self;
    /// tanh x
    fn squashed(&self) -> Self;
    /// x where `by` is above 0 or not a number, else 0.
    fn where_positive(&self, by: &Self) -> Self;
    /// x · (1 − x)
    #[inline(always)]
    fn fall(&self) -> Self {
        self.times(&self.rest())
    }
    /// 1 − x²
    #[inline(always)]
    fn square_rest(&self) -> Self {
        self.times(self).rest()
    }
}

/// A float on the path of a machine.
pub(super) struct Lane<E, M>(pub(super) E, pub(super) PhantomData<M>);

impl<E: Copy, M> Copy for Lane<E, M> {}

impl<E: Copy, M> Clone for Lane<E, M> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<E: Element, M: Machine> Number for Lane<E, M> {
    #[inline(always)]
    fn plus(&self, other: &Self) -> Self {
        Lane(self.0 + other.0, PhantomData)
    }
    #[inline(always)]
    fn minus(&self, other: &Self) -> Self {
        Lane(self.0 - other.0, PhantomData)
    }
    #[inline(always)]
    fn times(&self, other: &Self) -> Self {
        Lane(self.0 * other.0, PhantomData)
    }
    #[inline(always)]
    fn rest(&self) -> Self {
        Lane(E::ONE - self.0, PhantomData)
    }
    #[inline(always)]
    fn squashed(&self) -> Self {
        Lane(self.0.tanh::<M>(), PhantomData)
    }
    #[inline(always)]
    fn where_positive(&self, by: &Self) -> Self {
        Lane(self.0.where_positive(by.0), PhantomData)
    }
}

/// What the gradient of a step reads. The *memory* of an LSTM is its cell, that of the others h.
pub(crate) struct Step<N, const S: usize> {
    /// What the step saved.
    pub(crate) saved: [N; S],
    /// Gradients of that, where it was used elsewhere.
    pub(crate) of_saved: Option<[N; S]>,
    /// The memory before and after the step.
    pub(crate) before: N,
    pub(crate) after: N,
    /// Gradients of h and of the memory after the step; what goes around the products comes by way of the memory.
    pub(crate) h: N,
    pub(crate) memory: N,
}

/// The gradient of a step.
pub(crate) struct Back<N, const G: usize> {
    /// Of what the inputs give.
    pub(crate) given: [N; G],
    /// Of the last gate's product with the weight, where it is another.
    pub(crate) own: Option<N>,
    /// Of the memory before the step.
    pub(crate) memory: N,
}

/// A unit with `G` gates that saves `S` blocks. All of it must be `#[inline(always)]`.
pub(crate) trait Cell<const G: usize, const S: usize>: Send + Sync + 'static {
    /// What is saved, h and the memory, from what the inputs give, the product with the weight, and the memory before.
    fn forward<E: Element, M: Machine>(given: [E; G], own: [E; G], memory: E) -> ([E; S], E, E);
    /// The gradient of that.
    fn backward<N: Number>(step: Step<N, S>) -> Back<N, G>;
}

/// See `Unit`.
pub(crate) struct RnnTanh;

impl Cell<1, 0> for RnnTanh {
    #[inline(always)]
    fn forward<E: Element, M: Machine>([given]: [E; 1], [own]: [E; 1], _memory: E) -> ([E; 0], E, E) {
        let h = (given + own).tanh::<M>();
        ([], h, h)
    }
    #[inline(always)]
    fn backward<N: Number>(step: Step<N, 0>) -> Back<N, 1> {
        Back { given: [step.h.times(&step.after.square_rest())], own: None, memory: step.memory }
    }
}

/// See `Unit`.
pub(crate) struct RnnRelu;

impl Cell<1, 0> for RnnRelu {
    #[inline(always)]
    fn forward<E: Element, M: Machine>([given]: [E; 1], [own]: [E; 1], _memory: E) -> ([E; 0], E, E) {
        let h = given + own;
        let h = h.where_positive(h);
        ([], h, h)
    }
    #[inline(always)]
    fn backward<N: Number>(step: Step<N, 0>) -> Back<N, 1> {
        Back { given: [step.h.where_positive(&step.after)], own: None, memory: step.memory }
    }
}

/// See `Unit`. Saves i, f, g, o after their functions.
pub(crate) struct Lstm;

impl Cell<4, 4> for Lstm {
    #[inline(always)]
    fn forward<E: Element, M: Machine>(given: [E; 4], own: [E; 4], memory: E) -> ([E; 4], E, E) {
        let i = (given[0] + own[0]).sigmoid::<M>();
        let f = (given[1] + own[1]).sigmoid::<M>();
        let g = (given[2] + own[2]).tanh::<M>();
        let o = (given[3] + own[3]).sigmoid::<M>();
        let c = f * memory + i * g;
        ([i, f, g, o], o * c.tanh::<M>(), c)
    }
    #[inline(always)]
    fn backward<N: Number>(step: Step<N, 4>) -> Back<N, 4> {
        let ([i, f, g, o], h) = (&step.saved, &step.h);
        let squashed = step.after.squashed();
        let c = step.memory.plus(&h.times(o).times(&squashed.square_rest()));
        let given = [
            plus(c.times(g), &step.of_saved, 0).times(&i.fall()),
            plus(c.times(&step.before), &step.of_saved, 1).times(&f.fall()),
            plus(c.times(i), &step.of_saved, 2).times(&g.square_rest()),
            plus(h.times(&squashed), &step.of_saved, 3).times(&o.fall()),
        ];
        Back { given, own: None, memory: c.times(f) }
    }
}

/// See `Unit`. Saves r, z, n after their functions, and the last gate's product.
pub(crate) struct Gru;

impl Cell<3, 4> for Gru {
    #[inline(always)]
    fn forward<E: Element, M: Machine>(given: [E; 3], own: [E; 3], memory: E) -> ([E; 4], E, E) {
        let r = (given[0] + own[0]).sigmoid::<M>();
        let z = (given[1] + own[1]).sigmoid::<M>();
        let n = (given[2] + r * own[2]).tanh::<M>();
        let h = n + z * (memory - n);
        ([r, z, n, own[2]], h, h)
    }
    #[inline(always)]
    fn backward<N: Number>(step: Step<N, 4>) -> Back<N, 3> {
        let ([r, z, n, own], h) = (&step.saved, &step.h.plus(&step.memory));
        let of_z = plus(h.times(&step.before.minus(n)), &step.of_saved, 1);
        let of_n = plus(h.times(&z.rest()), &step.of_saved, 2).times(&n.square_rest());
        let of_r = plus(of_n.times(own), &step.of_saved, 0);
        let of_own = plus(of_n.times(r), &step.of_saved, 3);
        Back { given: [of_r.times(&r.fall()), of_z.times(&z.fall()), of_n], own: Some(of_own), memory: h.times(z) }
    }
}

/// The gradient of one of the values that were saved, from the step and from elsewhere.
#[inline(always)]
fn plus<N: Number>(to: N, elsewhere: &Option<[N; 4]>, number: usize) -> N {
    match elsewhere {
        Some(elsewhere) => to.plus(&elsewhere[number]),
        None => to,
    }
}
