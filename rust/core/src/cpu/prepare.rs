//! Makes a Program of a Group: the walk, the steps of each pass, and where every value lies.
//! Depends on `domain`, `levels`, `walk`, `registers`, `program`. Invariant: steps are in an order in which operands come first.

use smallvec::SmallVec;

use super::access::Pattern;
use super::assign::{Node, Pass, Sites, lies_as_computed};
use super::domain::{Domain, Order, value_affines};
use super::levels::{Levels, operands};
use super::padded::Padded;
use super::program::{FoldStep, Folded, Level, Memory, Place, Program, RowUse, Segment, Slot, Step, StoreStep, Walk};
use super::reduce::{BLOCK, chunk_count, is_short, lane_bytes, line_bytes};
use super::registers::width;
use crate::code::{Code, Fold};
use crate::dtype::{Compute, DType};
use crate::group::{Affine, Group, Guard, Instr, ValueId};

/// Nanoseconds of an exponential of a difference.
const EXPONENTIAL: f64 = 0.4;

/// What is known while a program is made.
pub(super) struct Builder<'a> {
    pub(super) group: &'a Group,
    domain: Domain,
    pub(super) levels: Levels,
    pub(super) program: Program,
    /// Per value: its place in the memory of constants or rows.
    fixed: Vec<Place>,
}

impl Program {
    /// The program of a Group; `row_major` keeps elementwise work in row-major order, so that any flat range can be run alone.
    pub(super) fn new(group: &Group, row_major: bool) -> Self {
        let domain = Domain::choose(group, row_major);
        let levels = Levels::of(group, &domain);
        let rows = (levels.folds_memory(group), !row_major && levels.rows_join(group, &domain));
        let walk = Walk::choose(&domain, levels.passes, levels.held(group, &domain), !group.is_elementwise(), rows);
        let program = Program {
            walk,
            patterns: Vec::new(),
            linears: Vec::new(),
            prelude: Vec::new(),
            segments: (0..levels.passes).map(|index| Segment { index, ..Segment::default() }).collect(),
            finish: Vec::new(),
            row_stores: Vec::new(),
            const_bytes: 0,
            row_bytes: 0,
            tile_bytes: 0,
            pointers: 0,
            fetched: None,
            contexts: Vec::new(),
            cost: 0.0,
            arithmetic: 0.0,
            padded: Padded::of(group),
        };
        let mut builder = Builder { group, domain, levels, program, fixed: Vec::new() };
        builder.fix_places();
        builder.fixed_steps();
        builder.passes();
        builder.row_stores();
        (builder.program.cost, builder.program.arithmetic) = builder.cost();
        builder.program
    }
}

impl Builder<'_> {
    /// Gives constants and row values their places.
    fn fix_places(&mut self) {
        for (id, value) in self.group.values.iter().enumerate() {
            let place = match self.levels.level[id] {
                Level::Const => {
                    self.program.const_bytes += 8;
                    Place::Const(self.program.const_bytes - 8)
                }
                Level::Row => Place::Row(self.reserve_row(width(value.dtype.compute()))),
                // Assigned pass by pass.
                Level::Element => Place::Tile(0),
            };
            self.fixed.push(place);
        }
    }

    /// Row memory for one value of this width per row of a block.
    fn reserve_row(&mut self, width: usize) -> usize {
        let bytes = (self.program.walk.block * width).next_multiple_of(8);
        self.program.row_bytes += if bytes > 64 { bytes.next_multiple_of(64) } else { bytes };
        self.program.row_bytes - if bytes > 64 { bytes.next_multiple_of(64) } else { bytes }
    }

    /// Steps that are done once per run, or once per block of rows.
    fn fixed_steps(&mut self) {
        for id in 0..self.group.values.len() {
            let level = self.levels.level[id];
            let reduces = matches!(self.group.values[id].instr, Instr::Reduce { .. });
            if !self.levels.needed[id] || level == Level::Element || reduces {
                continue;
            }
            let places: SmallVec<[Place; 3]> =
                operands(&self.group.values[id].instr).iter().map(|&operand| self.fixed[operand]).collect();
            let step = self.step(id, &places, self.fixed[id]);
            let available = self.levels.available[id];
            match level {
                Level::Const => self.program.prelude.push(step),
                _ if available < self.program.segments.len() => self.program.segments[available].row.push(step),
                _ => self.program.finish.push(step),
            }
        }
    }

    /// The step that computes a value from operands at `places`; loads of elements are made elsewhere.
    pub(super) fn step(&mut self, id: ValueId, places: &[Place], dst: Place) -> Step {
        let group = self.group;
        let value = &group.values[id];
        let level = self.levels.level[id];
        match &value.instr {
            Instr::Load { .. } => Step::LoadRow { memory: self.load_memory(id), dst },
            Instr::Scalar { slot } => Step::Scalar { slot: *slot, dst },
            Instr::Index { index } => Step::Index { pattern: self.pattern(level, &[index]), dst },
            Instr::Random { index, key, counter, stream } => Step::Random {
                pattern: self.pattern(level, &[index]),
                key: *key,
                counter: *counter,
                stream: *stream,
                unit: value.dtype == DType::F32,
                dst,
            },
            Instr::Inside { guards } => {
                Step::Inside { pattern: self.pattern(level, &value_affines(&value.instr)), guards: sizes(guards), dst }
            }
            Instr::Pointwise { code, operands } => Step::Pointwise {
                code: *code,
                dtype: group.values[operands[operands.len() - 1]].dtype,
                operands: operands
                    .iter()
                    .zip(places)
                    .map(|(&operand, &place)| Slot { place, compute: group.values[operand].dtype.compute() })
                    .collect(),
                dst,
            },
            Instr::Cast { operand } => {
                Step::Cast { from: group.values[*operand].dtype, to: value.dtype, operand: places[0], dst }
            }
            Instr::Check { limit, wrap, context, .. } => {
                self.program.contexts.push(context.clone());
                Step::Check {
                    compute: value.dtype.compute(),
                    limit: *limit,
                    wrap: *wrap,
                    context: self.program.contexts.len() - 1,
                    operand: places[0],
                    dst,
                }
            }
            // Folds are no steps: `passes` places them at the end of their pass.
            Instr::Reduce { .. } => unreachable!("a reduction is not a step"),
        }
    }

    /// The memory that a Load reads.
    pub(super) fn load_memory(&mut self, id: ValueId) -> Memory {
        let value = &self.group.values[id];
        let Instr::Load { argument, access } = &value.instr else { unreachable!("only loads read memory") };
        let level = self.levels.level[id];
        let pattern = self.pattern(level, &value_affines(&value.instr));
        Memory { argument: *argument, dtype: value.dtype, pattern, guards: sizes(&access.guards) }
    }

    /// The memory that a store writes.
    pub(super) fn store_memory(&mut self, store: usize, level: Level) -> Memory {
        let store = &self.group.stores[store];
        let pattern = self.pattern(level, &[&store.index]);
        let dtype = self.group.values[store.value].dtype;
        Memory { argument: store.argument, dtype, pattern, guards: SmallVec::new() }
    }

    /// Affine numbers over the axes that a value of this level varies along.
    fn pattern(&mut self, level: Level, numbers: &[&Affine]) -> usize {
        let first = self.program.linears.len();
        self.program.linears.extend(numbers.iter().map(|affine| affine.offset.clone()));
        let outer = self.domain.outer.iter().copied();
        let inner = self.domain.inner.iter().copied();
        let none = std::iter::empty;
        let pattern = match (level, self.domain.order) {
            (Level::Const, _) => Pattern::new(first, numbers, none(), none()),
            (Level::Row, _) => Pattern::new(first, numbers, none(), outer),
            (Level::Element, Order::Rows) => Pattern::new(first, numbers, none(), outer.chain(inner)),
            (Level::Element, Order::Blocks) => Pattern::new(first, numbers, outer, inner),
            (Level::Element, Order::Columns) => {
                let lines = self.domain.outer.len() - 1;
                let (lines, column) = (outer.clone().take(lines), outer.skip(lines));
                if self.program.walk.rectangular {
                    Pattern::new(first, numbers, lines.chain(inner), column)
                } else {
                    Pattern::new(first, numbers, none(), lines.chain(inner).chain(column))
                }
            }
        };
        self.program.patterns.push(pattern);
        self.program.patterns.len() - 1
    }

    /// What a step on elements reads for an operand: a node of the tile, or a fixed place.
    pub(super) fn element_operand(&self, id: ValueId) -> Result<Node, Place> {
        match (self.levels.level[id], self.program.walk.row_use) {
            (Level::Element, _) => Ok(Node::Value(id)),
            (Level::Row, RowUse::Expand) => Ok(Node::Expanded(id)),
            _ => Err(self.fixed[id]),
        }
    }

    /// What a fold or a store reads for a value: a vector over the tile.
    pub(super) fn element_vector(&self, id: ValueId) -> Result<Node, Place> {
        match (self.levels.level[id], self.program.walk.row_use) {
            (Level::Element, _) => Ok(Node::Value(id)),
            (Level::Row, RowUse::Vector) => Err(self.fixed[id]),
            _ => Ok(Node::Expanded(id)),
        }
    }

    /// Whether every tile would compute the same for a value.
    pub(super) fn is_once(&self, id: ValueId) -> bool {
        let walk = self.program.walk;
        let whole_rows = walk.order == Order::Rows && walk.piece == walk.length && walk.block < walk.rows;
        whole_rows && self.levels.level[id] == Level::Element && self.levels.same_in_rows[id]
    }

    pub(super) fn fixed_slot(&self, id: ValueId) -> Slot {
        Slot { place: self.fixed[id], compute: self.group.values[id].dtype.compute() }
    }

    /// Steps, folds and stores of every pass over the elements.
    fn passes(&mut self) {
        let mut passes: Vec<Pass> = Vec::new();
        let mut done = vec![false; self.group.values.len()];
        for index in 0..self.levels.passes {
            passes.push(Pass::of(self, index, &mut done));
            if !self.program.walk.keeps() {
                done.fill(false);
            }
        }
        let mut first = 0;
        while first < passes.len() {
            let count = if self.program.walk.keeps() { passes.len() } else { 1 };
            let mut sites = Sites::assign(self, &passes[first..first + count]);
            for (offset, pass) in passes[first..first + count].iter().enumerate() {
                self.folds(first + offset, pass, &passes[first..first + count], &mut sites);
            }
            self.program.tile_bytes = self.program.tile_bytes.max(sites.registers.bytes());
            first += count;
        }
    }

    /// Places the folds of a pass and their memory.
    fn folds(&mut self, index: usize, pass: &Pass, passes: &[Pass], sites: &mut Sites) {
        let walk = self.program.walk;
        let chunks = chunk_count(walk.length);
        for &(id, operand) in &pass.folds {
            let Instr::Reduce { fold, .. } = self.group.values[id].instr else { continue };
            let dtype = self.group.values[operand].dtype;
            let is_arg = matches!(fold, Fold::ArgMax | Fold::ArgMin);
            let Place::Row(result) = self.fixed[id] else { continue };
            let partial = self.program.row_bytes;
            // Eight bytes per row hold any value; columns use as many as their type needs.
            self.program.row_bytes += chunks * line_bytes(walk.block);
            let positions = self.program.row_bytes;
            if is_arg {
                self.program.row_bytes += chunks * line_bytes(walk.block);
            }
            let lanes = sites.registers.reserve(lane_bytes(&walk, fold, dtype));
            let place = self.vector_place(operand, sites);
            let sums = fold == Fold::Sum && walk.order == Order::Rows && !is_short(&walk);
            // Rows of one block.
            let whole = walk.piece == walk.length && walk.length <= BLOCK;
            let last = if sums { pass.take_last(self, operand, place, passes, whole) } else { None };
            let operand = last.unwrap_or(Folded::At(place));
            if let Folded::Exponential { a: Place::Pointer(pointer), .. } = operand
                && self.is_read_in_place(pointer)
            {
                self.program.fetched = Some(pointer);
            }
            let step = FoldStep { fold, dtype, operand, result, partial, positions, lanes };
            self.program.segments[index].folds.push(step);
        }
    }

    /// Whether a pointer is that of a load of blocks of rows that lie in memory as registers would hold them.
    fn is_read_in_place(&self, pointer: usize) -> bool {
        let mut steps = self.program.segments.iter().flat_map(|segment| &segment.element);
        let reads = |step: &Step| match step {
            Step::Load { memory, pointer: own, .. } => *own == pointer && lies_as_computed(memory.dtype),
            _ => false,
        };
        self.program.walk.block > 1 && steps.any(reads)
    }

    pub(super) fn vector_place(&self, id: ValueId, sites: &Sites) -> Place {
        self.element_vector(id).map_or_else(|place| place, |node| sites.place(node))
    }

    /// Stores of row values, at the end of each block of rows.
    fn row_stores(&mut self) {
        for index in 0..self.group.stores.len() {
            if self.levels.written[index].is_none() {
                let memory = self.store_memory(index, Level::Row);
                let source = self.fixed[self.group.stores[index].value];
                self.program.row_stores.push(StoreStep { memory, source, direct: None });
            }
        }
    }

    /// Rough nanoseconds per element of the domain: of everything, and of arithmetic alone.
    fn cost(&self) -> (f64, f64) {
        let walk = self.program.walk;
        let memory = |step: &Step| match step {
            Step::Load { memory, .. } | Step::LoadRow { memory, .. } => 0.04 * memory.dtype.size() as f64,
            _ => 0.0,
        };
        let arithmetic = |step: &Step| match step {
            Step::Load { .. } | Step::LoadRow { .. } => 0.0,
            Step::Pointwise { code, dtype, .. } => {
                let width =
                    if matches!(dtype.compute(), Compute::F32 | Compute::I32 | Compute::Mask) { 1.0 } else { 2.0 };
                match code {
                    code if code.is_cheap() => 0.06 * width,
                    Code::Pow | Code::Mod | Code::FloorDiv => 1.2 * width,
                    _ => 0.5 * width,
                }
            }
            Step::Random { .. } => 1.0,
            Step::Pair { .. } => 0.08,
            Step::ExpOfDifference { .. } => EXPONENTIAL,
            Step::Scalar { .. } | Step::Expand { .. } => 0.0,
            _ => 0.15,
        };
        let sum = |steps: &[Step]| steps.iter().map(|step| memory(step) + arithmetic(step)).sum::<f64>();
        let mut per_element = 0.0;
        let mut heaviness = 0.0;
        let mut per_row = sum(&self.program.finish) + 0.3 * self.program.row_stores.len() as f64;
        for segment in &self.program.segments {
            per_row += sum(&segment.row) + 3.0 * segment.folds.len() as f64;
            let exponentials = segment.folds.iter().filter(|fold| matches!(fold.operand, Folded::Exponential { .. }));
            let exponentials = EXPONENTIAL * exponentials.count() as f64;
            per_element += sum(&segment.element) + exponentials + 0.08 * segment.folds.len() as f64;
            per_element += segment.stores.iter().map(|store| 0.06 * store.memory.dtype.size() as f64).sum::<f64>();
            heaviness += segment.element.iter().map(arithmetic).sum::<f64>() + exponentials;
        }
        (per_element + per_row / walk.length.max(1) as f64, heaviness)
    }
}

fn sizes(guards: &[Guard]) -> SmallVec<[usize; 1]> {
    guards.iter().map(|guard| guard.size).collect()
}
