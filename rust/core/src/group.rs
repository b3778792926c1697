//! The Group: one fused piece of work as plain data. Interpreted by the CPU tiles, printed as WGSL.
//! Depends on `dtype` and `code`. Invariant: `values` is in order of execution, operands before their users.
//!
//! A Group walks the *rows* `outer`, and for each row the *elements* `inner`. A value of scope `Row` exists once per
//! row, a value of scope `Element` once per row and element. Where `inner` is empty (an elementwise Group) every value
//! is a Row value. A `Reduce` folds an Element value over `inner` into a Row value; later Element values may read it,
//! which makes a row chain (softmax: maximum, then sum of exponentials, then quotient). `stage` counts the reductions that must be
//! complete before a value can be computed.
//!
//! Every value is rounded to its own dtype: fused or not, the bits are the same.

use smallvec::SmallVec;

use crate::code::{Code, Fold};
use crate::dtype::DType;

/// Index of a value in `Group::values`.
pub type ValueId = usize;

/// A whole number known when a plan runs: `constant + Σ slots[slot] · factor`.
/// Starts of slices and paddings are slots, so that another start needs no other plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Linear {
    /// The part known when the plan is made.
    pub constant: i64,
    /// Slot index and factor of each run-time term.
    pub terms: SmallVec<[(usize, i64); 1]>,
}

impl Linear {
    /// A number that does not depend on slots.
    pub fn constant(constant: i64) -> Self {
        Self { constant, terms: SmallVec::new() }
    }

    /// The number for these slots.
    pub fn resolve(&self, slots: &[u64]) -> i64 {
        self.terms.iter().fold(self.constant, |sum, &(slot, factor)| sum + slots[slot] as i64 * factor)
    }

    /// `self += other · factor`.
    pub fn add_scaled(&mut self, other: &Linear, factor: i64) {
        self.constant += other.constant * factor;
        for &(slot, f) in &other.terms {
            match self.terms.iter_mut().find(|(s, _)| *s == slot) {
                Some((_, sum)) => *sum += f * factor,
                None => self.terms.push((slot, f * factor)),
            }
        }
        self.terms.retain(|&mut (_, factor)| factor != 0);
        self.terms.sort_unstable();
    }
}

/// An affine function of the domain's coordinates `(outer…, inner…)`: `offset + Σ strides[a] · coordinate[a]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Affine {
    /// Value at the origin.
    pub offset: Linear,
    /// One factor per axis of `outer`, then per axis of `inner`.
    pub strides: SmallVec<[i64; 4]>,
}

/// Holds where `0 <= position < size`: an index inside what a `pad` surrounds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Guard {
    /// Index along the padded axis, before padding.
    pub position: Affine,
    /// Size of that axis before padding.
    pub size: usize,
}

/// How an indexed value is reached: its element `index`, where all guards hold (elsewhere it counts as 0 and memory is not touched).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// Element of the argument, counted from where its binding points.
    pub index: Affine,
    /// Conditions under which the element exists.
    pub guards: SmallVec<[Guard; 1]>,
}

/// Once per row, or once per row and element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Varies over `outer` only.
    Row,
    /// Varies over `outer` and `inner`.
    Element,
}

/// What computes a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Instr {
    /// An element of kernel argument `argument`, stored as `Value::dtype`.
    Load {
        /// Index into `Kernel::arguments`.
        argument: usize,
        /// Which element.
        access: Access,
    },
    /// A run-time scalar, encoded as `Scalar::to_slot` does for `Value::dtype`.
    Scalar {
        /// Index into the run's slots.
        slot: usize,
    },
    /// The value of `index` itself as `int64` (`Value::dtype` is I64): ranges and coordinates.
    Index {
        /// The number.
        index: Affine,
    },
    /// Philox4x32-10 bits as `uint32`, or with `Value::dtype` F32 their upper 24 as a multiple of 2⁻²⁴ below 1, of random element `index`:
    /// block `slots[counter] + index / 4`, lane `index % 4`, key `slots[key]`, third counter word `stream`.
    Random {
        /// Which random element.
        index: Affine,
        /// Slot of the 64-bit key (the seed): low word first.
        key: usize,
        /// Slot of the 64-bit block number that element 0 uses: counter words 0 (low) and 1 (high).
        counter: usize,
        /// Counter word 2; word 3 is 0.
        stream: u32,
    },
    /// Whether all guards hold (`Value::dtype` is Bool).
    Inside {
        /// The conditions.
        guards: SmallVec<[Guard; 1]>,
    },
    /// A pointwise function of one, two or three operands; which operand types it takes stands with `Code`.
    Pointwise {
        /// The function.
        code: Code,
        /// Its operands; `Row` operands of an `Element` value repeat along the row.
        operands: SmallVec<[ValueId; 3]>,
    },
    /// Conversion of the operand to `Value::dtype` (float → integer truncates and saturates, NaN gives 0; integer → integer wraps; to bool: `!= 0`).
    Cast {
        /// What is converted.
        operand: ValueId,
    },
    /// Passes an integer on and raises an index error unless `-limit <= operand < limit` (`0 <= operand` where not `wrap`);
    /// negative ones come out increased by `limit` when `wrap`, bad ones as 0.
    Check {
        /// The index.
        operand: ValueId,
        /// Size of what is indexed.
        limit: usize,
        /// Whether negative indices count from the end.
        wrap: bool,
        /// Completes the message: `take: index 7 …`; which op and where.
        context: String,
    },
    /// Folds an Element operand over `inner` to a Row value. The tree is fixed by the number of inner elements alone (see `cpu::reduce`).
    /// `Value::dtype` equals the operand's, but for `ArgMax` and `ArgMin`, which give I64.
    Reduce {
        /// How two become one.
        fold: Fold,
        /// What is folded.
        operand: ValueId,
    },
}

/// One step of a Group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Value {
    /// How it is computed.
    pub instr: Instr,
    /// Its type; the compute type is `dtype.compute()`.
    pub dtype: DType,
    /// Once per row or per element.
    pub scope: Scope,
    /// Reductions that precede it.
    pub stage: usize,
}

/// A value written to an argument.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// What is written, as its dtype.
    pub value: ValueId,
    /// Index into `Kernel::arguments`.
    pub argument: usize,
    /// Where, over `outer` and (for Element values) `inner`; Row values have stride 0 along `inner`.
    pub index: Affine,
}

/// One fused piece of work.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// Sizes of the row axes.
    pub outer: SmallVec<[usize; 4]>,
    /// Sizes of the axes that reductions fold; empty for elementwise work.
    pub inner: SmallVec<[usize; 4]>,
    /// The steps in order.
    pub values: Vec<Value>,
    /// The results.
    pub stores: Vec<Store>,
}

/// Where a whole number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// An element of a kernel argument.
    Argument(usize),
    /// A slot.
    Slot(usize),
    /// From 0 to below this: what a check lets pass, or the 0 where a guard does not hold.
    Below(usize),
}

impl Group {
    /// Where the numbers of a value come from, if each of them lies there as it is, unless it is negative.
    pub fn origins(&self, id: ValueId) -> Option<Vec<Origin>> {
        let (mut found, mut open) = (Vec::new(), vec![id]);
        while let Some(id) = open.pop() {
            let value = &self.values[id];
            match &value.instr {
                Instr::Load { argument, access } => {
                    found.push(Origin::Argument(*argument));
                    if !access.guards.is_empty() {
                        found.push(Origin::Below(1));
                    }
                }
                Instr::Scalar { slot } if value.dtype.is_integer() => found.push(Origin::Slot(*slot)),
                Instr::Check { limit, .. } => found.push(Origin::Below(*limit)),
                Instr::Cast { operand } if self.values[*operand].dtype.is_integer() && value.dtype.size() >= 4 => {
                    open.push(*operand);
                }
                Instr::Pointwise { code: Code::Where, operands } => open.extend(&operands[1..]),
                _ => return None,
            }
        }
        Some(found)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.outer.iter().product()
    }

    /// Number of elements of one row.
    pub fn row_length(&self) -> usize {
        self.inner.iter().product()
    }

    /// Whether nothing is folded.
    pub fn is_elementwise(&self) -> bool {
        self.inner.is_empty()
    }

    /// Sizes of all axes of the domain: rows, then elements.
    pub fn domain(&self) -> impl Iterator<Item = usize> + '_ {
        self.outer.iter().chain(&self.inner).copied()
    }
}
