//! The steps of passes over the elements in order, and the registers of their values.
//! Depends on `prepare`, `registers`, `program`. Invariant: a register is reused only after its value's last reader.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::domain::Order;
use super::fused::{counted, exponent, factors, fused};
use super::levels::operands;
use super::prepare::Builder;
use super::program::{Direct, Folded, Level, Place, Program, RowUse, Step, StoreStep};
use super::registers::Registers;
use crate::code::Code;
use crate::dtype::{Compute, DType};
use crate::group::{Instr, ValueId};

/// A vector over the elements of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Node {
    /// A value that varies along the elements.
    Value(ValueId),
    /// A constant or row value, repeated.
    Expanded(ValueId),
}

/// What one pass over the elements computes.
pub(super) struct Pass {
    index: usize,
    /// Repeated values, made before the first tile.
    hoisted: Vec<ValueId>,
    /// Values in order of execution.
    values: Vec<ValueId>,
    /// Reductions with their operands.
    pub(super) folds: Vec<(ValueId, ValueId)>,
    stores: Vec<usize>,
}

impl Pass {
    /// The pass that skips what is `done` already, and marks what it does.
    pub(super) fn of(builder: &Builder<'_>, index: usize, done: &mut [bool]) -> Self {
        let group = builder.group;
        let levels = &builder.levels;
        let folds: Vec<_> = levels.folds(group).filter(|fold| fold.2 == index).map(|fold| (fold.0, fold.1)).collect();
        let stores: Vec<_> = (0..group.stores.len()).filter(|&store| levels.written[store] == Some(index)).collect();
        let needed = levels.closure(group, index);
        let mut pass = Self { index, hoisted: Vec::new(), values: Vec::new(), folds, stores };
        for id in 0..group.values.len() {
            let is_leaf = operands(&group.values[id].instr).is_empty();
            if !needed[id] || levels.level[id] != Level::Element || done[id] || is_leaf {
                continue;
            }
            // Leaves come right before their first reader, which keeps few values alive.
            for &operand in operands(&group.values[id].instr) {
                pass.visit(builder.element_operand(operand).ok(), done);
            }
            pass.visit(Some(Node::Value(id)), done);
        }
        let roots =
            pass.folds.iter().map(|fold| fold.1).chain(pass.stores.iter().map(|&store| group.stores[store].value));
        for root in roots.collect::<Vec<_>>() {
            pass.visit(builder.element_vector(root).ok(), done);
        }
        pass.gather_pairs(builder);
        pass.values.iter().filter(|&&id| pass.is_exponent(builder, id)).for_each(|&id| done[id] = false);
        pass
    }

    /// Whether a value is nothing here but the exponent of an exponential, which can take a difference at once. A later pass that reads it had
    /// better subtract again than read it from where it was kept.
    fn is_exponent(&self, builder: &Builder<'_>, id: ValueId) -> bool {
        let group = builder.group;
        let instr = |id: ValueId| &group.values[id].instr;
        let at_hand =
            |id: ValueId| builder.levels.level[id] != Level::Element || matches!(instr(id), Instr::Load { .. });
        let is_scalar = builder.program.walk.row_use == RowUse::Scalar;
        let is_difference = is_scalar && matches!(instr(id), Instr::Pointwise { code: Code::Sub, .. });
        if !is_difference || group.values[id].dtype != DType::F32 || !operands(instr(id)).iter().all(|&x| at_hand(x)) {
            return false;
        }
        let mut readers = self.values.iter().filter(|&&reader| operands(instr(reader)).contains(&id));
        let is_exponential = |id: ValueId| matches!(instr(id), Instr::Pointwise { code: Code::Exp, .. });
        readers.all(|&reader| is_exponential(reader)) && !self.ends(builder).any(|node| node == Node::Value(id))
    }

    /// Lets a load that comes between two functions of a pair come before both, so that they can be one step.
    fn gather_pairs(&mut self, builder: &Builder<'_>) {
        let instr = |id: ValueId| &builder.group.values[id].instr;
        for at in 1..self.values.len().saturating_sub(1) {
            let [first, load, then] = [self.values[at - 1], self.values[at], self.values[at + 1]];
            let reads = |id: ValueId| operands(instr(then)).contains(&id);
            let are_functions = [first, then].iter().all(|&id| matches!(instr(id), Instr::Pointwise { .. }));
            if are_functions && matches!(instr(load), Instr::Load { .. }) && reads(first) && reads(load) {
                self.values.swap(at - 1, at);
            }
        }
    }

    /// Whether a value is read by the pass's own stores, or by another of the passes.
    fn keeps(&self, builder: &Builder<'_>, id: ValueId, others: &[Pass]) -> bool {
        let group = builder.group;
        let reads = |pass: &Pass| {
            pass.values.iter().any(|&reader| operands(&group.values[reader].instr).contains(&id))
                || pass.ends(builder).any(|node| node == Node::Value(id))
        };
        self.stores.iter().any(|&store| group.stores[store].value == id)
            || others.iter().any(|pass| pass.index != self.index && reads(pass))
    }

    /// How `operand`, which is summed, is computed, if that comes last: from a mask or, where sums are of `whole` rows, as a product, neither
    /// read by anybody else, or as exponentials. The sum does it then.
    pub(super) fn take_last(
        &self,
        builder: &mut Builder<'_>,
        operand: ValueId,
        place: Place,
        others: &[Pass],
        whole: bool,
    ) -> Option<Folded> {
        let is_operand_of_one = self.folds.iter().filter(|fold| fold.1 == operand).count() == 1;
        if !is_operand_of_one {
            return None;
        }
        let keeps = self.keeps(builder, operand, others);
        let steps = &mut builder.program.segments[self.index].element;
        let last = steps.last()?;
        let folded = match (exponent(last, place), factors(last, place), counted(last, place)) {
            (Some([a, b]), ..) if whole => Folded::Exponential { a, b, dst: keeps.then_some(place) },
            (_, Some(factors), _) if whole && !keeps => Folded::Product(factors),
            (.., Some(mask)) if !keeps => Folded::Mask(mask),
            _ => return None,
        };
        steps.pop();
        Some(folded)
    }

    fn visit(&mut self, node: Option<Node>, done: &mut [bool]) {
        match node {
            Some(Node::Value(id)) if !done[id] => {
                done[id] = true;
                self.values.push(id);
            }
            Some(Node::Expanded(id)) if !self.hoisted.contains(&id) => self.hoisted.push(id),
            _ => {}
        }
    }

    /// Nodes read at the end of the pass.
    fn ends<'a>(&'a self, builder: &'a Builder<'_>) -> impl Iterator<Item = Node> + 'a {
        let values = self.folds.iter().map(|fold| fold.1);
        let stores = self.stores.iter().map(|&store| builder.group.stores[store].value);
        values.chain(stores).filter_map(|id| builder.element_vector(id).ok())
    }
}

/// Where the values of some passes lie.
pub(super) struct Sites {
    places: HashMap<Node, Place>,
    /// Registers behind values, to give back.
    held: HashMap<Node, usize>,
    /// Where each version of a node is read last.
    last_use: HashMap<(Node, usize), usize>,
    /// How often a value was computed.
    versions: HashMap<Node, usize>,
    /// Per store that is written directly: pointer and fallback.
    directs: HashMap<usize, (usize, usize)>,
    pub(super) registers: Registers,
}

impl Sites {
    pub(super) fn place(&self, node: Node) -> Place {
        self.places[&node]
    }

    /// Assigns registers for passes that share them, and writes their steps.
    pub(super) fn assign(builder: &mut Builder<'_>, passes: &[Pass]) -> Self {
        let walk = builder.program.walk;
        let mut last_use = HashMap::new();
        let mut versions: HashMap<Node, usize> = HashMap::new();
        let mut position = 0;
        for pass in passes {
            for &id in &pass.values {
                for &operand in operands(&builder.group.values[id].instr) {
                    if let Ok(node) = builder.element_operand(operand) {
                        last_use.insert((node, versions.get(&node).copied().unwrap_or(0)), position);
                    }
                }
                *versions.entry(Node::Value(id)).or_default() += 1;
                position += 1;
            }
            last_use
                .extend(pass.ends(builder).map(|node| ((node, versions.get(&node).copied().unwrap_or(0)), position)));
            position += 1;
        }
        let registers = Registers::new(walk.block * walk.piece);
        let mut sites = Self {
            places: HashMap::new(),
            held: HashMap::new(),
            last_use,
            versions: HashMap::new(),
            directs: HashMap::new(),
            registers,
        };
        let mut position = 0;
        for pass in passes {
            position = sites.pass(builder, pass, position);
        }
        sites
    }

    fn pass(&mut self, builder: &mut Builder<'_>, pass: &Pass, mut position: usize) -> usize {
        for &id in &pass.hoisted {
            let node = Node::Expanded(id);
            if self.places.contains_key(&node) {
                continue;
            }
            let source = builder.fixed_slot(id);
            let dst = self.registers.fresh(source.compute);
            self.places.insert(node, Place::Tile(dst));
            builder.program.segments[pass.index].hoisted.push(Step::Expand { source, dst });
        }
        for &id in &pass.values {
            self.value(builder, pass, id, position);
            position += 1;
        }
        let end = position;
        for &store in &pass.stores {
            self.store(builder, pass, store);
        }
        let dead: Vec<Node> = pass.ends(builder).filter(|&node| self.ends_at(node, end)).collect();
        dead.into_iter().for_each(|node| self.release(builder, node));
        end + 1
    }

    fn value(&mut self, builder: &mut Builder<'_>, pass: &Pass, id: ValueId, position: usize) {
        let group = builder.group;
        let value = &group.values[id];
        let compute = value.dtype.compute();
        let places: SmallVec<[Place; 3]> = operands(&value.instr)
            .iter()
            .map(|&operand| builder.element_operand(operand).map_or_else(|place| place, |node| self.place(node)))
            .collect();
        let node = Node::Value(id);
        let is_load = matches!(value.instr, Instr::Load { .. });
        let memory = is_load.then(|| builder.load_memory(id));
        let period = memory.as_ref().and_then(|memory| period(&builder.program, memory.pattern));
        let once = builder.is_once(id);
        let register = if once || period.is_some() {
            self.registers.fresh(compute)
        } else {
            let register = self.registers.take(compute);
            self.held.insert(node, register);
            register
        };
        let direct = if !once && period.is_none() { self.direct(builder, pass, id, register, position) } else { None };
        let target = direct.map_or(Place::Tile(register), Place::Pointer);
        let segment = pass.index;
        if let Some(memory) = memory {
            let pointer = builder.program.pointers;
            builder.program.pointers += 1;
            let stores = pass.stores.iter().map(|&store| &group.stores[store]);
            // Stored as it was read, it must outlive every store of the pass.
            let stored = stores.clone().any(|store| store.value == id);
            let rivals = if stored { stores.map(|store| store.argument).collect() } else { SmallVec::new() };
            self.places.insert(node, Place::Pointer(pointer));
            builder.program.segments[segment].element.push(Step::Load { memory, dst: target, pointer, period, rivals });
        } else {
            self.places.insert(node, target);
            let step = builder.step(id, &places, target);
            if once {
                builder.program.segments[segment].once.push(step);
            } else {
                let dying = self.dying(builder, id, position);
                let steps = &mut builder.program.segments[segment].element;
                match steps.last().and_then(|before| fused(before, &step, &dying)) {
                    Some(both) => *steps.last_mut().expect("there is a step before") = both,
                    None => steps.push(step),
                }
            }
        }
        // Only now: a loop is faster where its result lies apart from its operands.
        let dying = operands(&value.instr).iter().filter_map(|&operand| builder.element_operand(operand).ok());
        for node in dying.filter(|&node| self.ends_at(node, position)).collect::<SmallVec<[Node; 3]>>() {
            self.release(builder, node);
        }
        *self.versions.entry(node).or_default() += 1;
    }

    /// Where the present version of a node is read last.
    fn last_use(&self, node: Node) -> Option<usize> {
        self.last_use.get(&(node, self.versions.get(&node).copied().unwrap_or(0))).copied()
    }

    /// Whether any version of a node is, those to come among them.
    fn is_read_after(&self, node: Node, position: usize) -> bool {
        self.last_use.iter().any(|(&(other, _), &last)| other == node && last > position)
    }

    fn ends_at(&self, node: Node, position: usize) -> bool {
        self.last_use(node) == Some(position)
    }

    /// Where the operands of a value lie that nobody reads after it.
    fn dying(&self, builder: &Builder<'_>, id: ValueId, position: usize) -> SmallVec<[Place; 3]> {
        let nodes = operands(&builder.group.values[id].instr).iter().map(|&operand| Node::Value(operand));
        nodes.filter(|&node| self.ends_at(node, position)).map(|node| self.place(node)).collect()
    }

    /// A pointer for a value that is written straight to an argument, where it may be.
    fn direct(
        &mut self,
        builder: &mut Builder<'_>,
        pass: &Pass,
        id: ValueId,
        fallback: usize,
        position: usize,
    ) -> Option<usize> {
        let group = builder.group;
        let store = *pass.stores.iter().find(|&&store| group.stores[store].value == id)?;
        if !lies_as_computed(group.values[id].dtype) {
            return None;
        }
        let memory = builder.store_memory(store, Level::Element);
        let mut rivals: SmallVec<[usize; 2]> = SmallVec::new();
        for (other, value) in group.values.iter().enumerate() {
            if let Instr::Load { argument, .. } = value.instr
                && self.is_read_after(Node::Value(other), position)
                && other != id
                && !rivals.contains(&argument)
            {
                rivals.push(argument);
            }
        }
        let pointer = builder.program.pointers;
        builder.program.pointers += 1;
        self.directs.insert(store, (pointer, fallback));
        builder.program.segments[pass.index].directs.push(Direct { memory, pointer, fallback, rivals });
        Some(pointer)
    }

    fn store(&mut self, builder: &mut Builder<'_>, pass: &Pass, store: usize) {
        let id = builder.group.stores[store].value;
        let memory = builder.store_memory(store, Level::Element);
        let source = builder.vector_place(id, self);
        builder.program.segments[pass.index].stores.push(StoreStep {
            memory,
            source,
            direct: self.directs.get(&store).copied(),
        });
    }

    fn release(&mut self, builder: &Builder<'_>, node: Node) {
        if let (Node::Value(id), Some(register)) = (node, self.held.remove(&node)) {
            self.registers.give(register, builder.group.values[id].dtype.compute());
        }
    }
}

/// How soon a load of a single flat walk repeats, where tiles are multiples of that.
fn period(program: &Program, pattern: usize) -> Option<usize> {
    let walk = program.walk;
    let period = program.patterns[pattern].period()?;
    let tile = walk.block * walk.piece;
    let repeats = !walk.rectangular && period <= tile && tile.is_multiple_of(period);
    let in_row = walk.rows == 1 && walk.piece < walk.length;
    let in_rows = walk.order == Order::Rows && walk.piece == walk.length && walk.block < walk.rows;
    (repeats && (in_row || in_rows)).then_some(period)
}

/// Whether elements of a dtype lie in memory as registers hold them.
#[inline]
pub(super) fn lies_as_computed(dtype: DType) -> bool {
    match dtype.compute() {
        Compute::Mask => true,
        Compute::I32 => dtype == DType::I32,
        Compute::I64 => dtype == DType::I64,
        Compute::F32 => dtype == DType::F32,
        Compute::U64 | Compute::F64 => true,
    }
}
