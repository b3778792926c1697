//! What a Group needs and when: how often each value is computed, in which pass over the elements, and which values are needed at all.
//! Depends on `domain`, `program`, `group`. Invariant: a value's operands are available no later than the value.

use super::assign::lies_as_computed;
use super::domain::{Axis, Domain, Order, value_affines};
use super::program::Level;
use super::registers::width;
use crate::group::{Affine, Group, Instr, ValueId};

/// Facts about the values and stores of a Group under a walk.
pub(super) struct Levels {
    /// Per value: how often it is computed.
    pub(super) level: Vec<Level>,
    /// Per value: the first pass in which it can be used.
    pub(super) available: Vec<usize>,
    /// Per value: whether a store needs it.
    pub(super) needed: Vec<bool>,
    /// Per store: the pass that writes it; `None` where it is written once per row.
    pub(super) written: Vec<Option<usize>>,
    /// Per value: whether it is the same in all rows, and follows from its place alone.
    pub(super) same_in_rows: Vec<bool>,
    /// Number of passes over the elements.
    pub(super) passes: usize,
}

/// The operands of a step.
pub(super) fn operands(instr: &Instr) -> &[ValueId] {
    match instr {
        Instr::Pointwise { operands, .. } => operands,
        Instr::Cast { operand } | Instr::Check { operand, .. } | Instr::Reduce { operand, .. } => {
            std::slice::from_ref(operand)
        }
        _ => &[],
    }
}

impl Levels {
    pub(super) fn of(group: &Group, domain: &Domain) -> Self {
        let count = group.values.len();
        let mut level = Vec::with_capacity(count);
        let mut available = Vec::with_capacity(count);
        for value in &group.values {
            let own = value_affines(&value.instr).into_iter().map(|affine| level_of(affine, domain)).max();
            let from_operands = operands(&value.instr).iter().map(|&operand| level[operand]).max();
            let after = operands(&value.instr).iter().map(|&operand| available[operand]).max().unwrap_or(0);
            if let Instr::Reduce { .. } = value.instr {
                level.push(Level::Row);
                available.push(after + 1);
            } else {
                level.push(own.max(from_operands).unwrap_or(Level::Const));
                available.push(after);
            }
        }
        let mut needed = vec![false; count];
        for store in &group.stores {
            needed[store.value] = true;
        }
        for (id, value) in group.values.iter().enumerate().rev() {
            if needed[id] {
                operands(&value.instr).iter().for_each(|&operand| needed[operand] = true);
            }
        }
        let written = group
            .stores
            .iter()
            .map(|store| (level_of(&store.index, domain) == Level::Element).then_some(available[store.value]))
            .collect();
        let mut same_in_rows: Vec<bool> = Vec::with_capacity(count);
        for (id, value) in group.values.iter().enumerate() {
            let same = match &value.instr {
                _ if level[id] == Level::Const => true,
                Instr::Index { index } => domain.outer.iter().all(|axis| index.strides[axis.source] == 0),
                Instr::Cast { .. } | Instr::Pointwise { .. } => {
                    operands(&value.instr).iter().all(|&operand| same_in_rows[operand])
                }
                _ => false,
            };
            same_in_rows.push(same);
        }
        let mut levels = Self { level, available, needed, written, same_in_rows, passes: 0 };
        levels.delay_stores(group);
        let folds = levels.folds(group).map(|(_, _, pass)| pass);
        levels.passes = folds.chain(levels.written.iter().flatten().copied()).max().map_or(0, |last| last + 1);
        levels
    }

    /// The needed reductions: value, operand, and the pass that folds them.
    pub(super) fn folds<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = (ValueId, ValueId, usize)> + 'a {
        group.values.iter().enumerate().filter(|(id, _)| self.needed[*id]).filter_map(|(id, value)| match value.instr {
            Instr::Reduce { operand, .. } => Some((id, operand, self.available[operand])),
            _ => None,
        })
    }

    /// Element values that pass `pass` needs, if it keeps nothing from earlier ones.
    pub(super) fn closure(&self, group: &Group, pass: usize) -> Vec<bool> {
        let mut needed = vec![false; group.values.len()];
        for (_, operand, at) in self.folds(group) {
            needed[operand] |= at == pass;
        }
        for (store, at) in group.stores.iter().zip(&self.written) {
            needed[store.value] |= *at == Some(pass);
        }
        for (id, value) in group.values.iter().enumerate().rev() {
            needed[id] &= self.level[id] == Level::Element;
            if needed[id] {
                operands(&value.instr).iter().for_each(|&operand| needed[operand] = true);
            }
        }
        needed
    }

    /// Bytes per element of values that lie in registers at most: all but what is read and written in place.
    pub(super) fn held(&self, group: &Group, domain: &Domain) -> usize {
        let in_place = |index: &Affine, dtype| {
            let single = domain.inner.len() <= 1;
            single && lies_as_computed(dtype) && domain.inner.iter().all(|axis| index.strides[axis.source] == 1)
        };
        let bytes = |id: usize| width(group.values[id].dtype.compute());
        let values = group.values.iter().enumerate().filter(|(id, value)| {
            self.needed[*id]
                && self.level[*id] == Level::Element
                && !matches!(&value.instr, Instr::Load { access, .. } if in_place(&access.index, value.dtype))
        });
        let stored = |id: usize| {
            group.stores.iter().any(|store| store.value == id && in_place(&store.index, group.values[id].dtype))
        };
        values.filter(|(id, _)| !stored(*id)).map(|(id, _)| bytes(id)).sum()
    }

    /// Whether nothing is computed of the elements but their folds.
    pub(super) fn folds_memory(&self, group: &Group) -> bool {
        let element = |id: usize| self.needed[id] && self.level[id] == Level::Element;
        let loads = |instr: &Instr| matches!(instr, Instr::Load { .. });
        group.values.iter().enumerate().all(|(id, value)| !element(id) || loads(&value.instr))
            && self.folds(group).all(|(_, operand, _)| self.level[operand] == Level::Element)
            && self.written.iter().all(Option::is_none)
    }

    /// Whether the rows of what is read and written follow one another in memory, or all are one.
    pub(super) fn rows_join(&self, group: &Group, domain: &Domain) -> bool {
        let ([.., row], [element]) = (domain.outer.as_slice(), domain.inner.as_slice()) else { return false };
        let joins = |index: &Affine| {
            let step = index.strides[row.source];
            step == 0 || step == index.strides[element.source] * element.size as i64
        };
        let loads =
            group.values.iter().enumerate().filter(|(id, _)| self.needed[*id] && self.level[*id] == Level::Element);
        loads.filter_map(|(_, value)| value_affines(&value.instr).first().copied()).all(joins)
            && group.stores.iter().zip(&self.written).all(|(store, at)| at.is_none() || joins(&store.index))
    }

    /// A result may lie in the memory of an operand that is read at the same index: it is written in the last pass that reads such an operand.
    fn delay_stores(&mut self, group: &Group) {
        let passes = self.available.iter().max().map_or(1, |last| last + 1);
        for pass in (1..passes).rev() {
            let needed = self.closure(group, pass);
            for (store, written) in group.stores.iter().zip(&mut self.written) {
                let Some(at) = written.filter(|&at| at < pass) else { continue };
                let size = group.values[store.value].dtype.size();
                let clobbers = group.values.iter().enumerate().any(|(id, value)| match &value.instr {
                    Instr::Load { access, .. } => {
                        needed[id] && value.dtype.size() == size && access.index.strides == store.index.strides
                    }
                    _ => false,
                });
                *written = Some(if clobbers { pass } else { at });
            }
        }
    }
}

/// Whether a number varies along the elements, the rows, or not at all.
fn level_of(affine: &Affine, domain: &Domain) -> Level {
    let varies = |axes: &[Axis]| axes.iter().any(|axis| affine.strides[axis.source] != 0);
    if varies(&domain.inner) || (domain.order == Order::Blocks && varies(&domain.outer)) {
        Level::Element
    } else if varies(&domain.outer) {
        Level::Row
    } else {
        Level::Const
    }
}
