//! Writes the fused pieces down as kernels: clusters become Groups, products get their epilogues, arguments their places.
//! Depends on `cluster` and `snapshot`. Invariant: a Group's values are in order of execution, each computed once.

use std::collections::{BTreeMap, HashMap};

use smallvec::SmallVec;

use super::cluster::{Cluster, Fused, Piece};
use super::map::IndexMap;
use super::snapshot::{Snapshot, Source};
use super::strided::Strided;
use crate::dtype::DType;
use crate::graph::{Lowering, Pointwise, View};
use crate::group::{Access, Affine, Group, Instr, Linear, Scope, Store, Value, ValueId};
use crate::layout::Layout;
use crate::plan::{Argument, Kernel, Matmul, Place, Work, row_major};

/// Kernels in no particular order, how old each is, and how many temporaries they name.
pub(super) struct Emitted {
    pub(super) kernels: Vec<Kernel>,
    /// The entry that each kernel is for: a product rather than what follows in its epilogue.
    pub(super) ages: Vec<usize>,
    /// Bytes of each temporary's elements: dtype and number.
    pub(super) temporaries: Vec<(DType, usize)>,
    /// Slots of the plan itself.
    pub(super) constants: Vec<u64>,
}

struct Emitter<'a> {
    snapshot: &'a Snapshot,
    fused: &'a Fused,
    places: HashMap<(usize, usize), Place>,
    temporaries: Vec<(DType, usize)>,
}

/// Writes every piece as a kernel.
pub(super) fn emit(snapshot: &Snapshot, fused: &Fused) -> Emitted {
    let places = snapshot.outputs.iter().enumerate().map(|(index, &output)| (output, Place::Output(index))).collect();
    let mut emitter = Emitter { snapshot, fused, places, temporaries: Vec::new() };
    let pieces = 0..fused.pieces.len();
    let aged = |piece: usize| {
        let (kernel, age) = emitter.kernel(piece).zip(fused.pieces[piece].age())?;
        Some((Kernel { entry: age, ..kernel }, age))
    };
    let (kernels, ages) = pieces.filter_map(aged).unzip();
    // One constant: zero, in any dtype's encoding.
    Emitted { kernels, ages, temporaries: emitter.temporaries, constants: vec![0] }
}

impl Emitter<'_> {
    fn kernel(&mut self, piece: usize) -> Option<Kernel> {
        let mut arguments = Vec::new();
        let work = match &self.fused.pieces[piece] {
            Piece::Merged => return None,
            Piece::Cluster(cluster) => Work::Group(self.group(piece, cluster, &mut arguments)),
            Piece::Structured { entry } => {
                let Lowering::Structured(routine) = self.snapshot.lowering(*entry) else {
                    unreachable!("the fuser opened it as structured")
                };
                for &input in &self.snapshot.entries[*entry].inputs {
                    let argument = self.operand(input);
                    arguments.push(argument);
                }
                for output in 0..self.snapshot.entries[*entry].node.outputs.len() {
                    let argument = self.contiguous(*entry, output, true);
                    arguments.push(argument);
                }
                Work::Structured { routine, slots: self.snapshot.entries[*entry].slots }
            }
            Piece::Matmul { entry, epilogue } => {
                let inputs = &self.snapshot.entries[*entry].inputs;
                let (lhs, rhs) = (self.operand(inputs[0]), self.operand(inputs[1]));
                let shape = &self.snapshot.entries[*entry].node.outputs[0].meta.shape;
                let rank = shape.rank();
                let product = Matmul {
                    batch: shape[..rank - 2].iter().copied().collect(),
                    m: shape[rank - 2],
                    n: shape[rank - 1],
                    k: lhs.layout.shape[rank - 1],
                    dtype: lhs.dtype,
                    lhs: 0,
                    rhs: 1,
                    result: 2,
                    epilogue: None,
                };
                arguments.extend([lhs, rhs, self.contiguous(*entry, 0, true)]);
                let epilogue = epilogue.as_ref().map(|cluster| self.group(piece, cluster, &mut arguments));
                Work::Matmul(Matmul { epilogue, ..product })
            }
        };
        Some(Kernel::new(work, arguments))
    }

    fn place(&mut self, entry: usize, output: usize) -> Place {
        let meta = &self.snapshot.entries[entry].node.outputs[output].meta;
        *self.places.entry((entry, output)).or_insert_with(|| {
            self.temporaries.push((meta.dtype, meta.shape.elements()));
            Place::Temporary(self.temporaries.len() - 1)
        })
    }

    fn contiguous(&mut self, entry: usize, output: usize, write: bool) -> Argument {
        let meta = self.snapshot.entries[entry].node.outputs[output].meta.clone();
        let place = self.place(entry, output);
        Argument { place, dtype: meta.dtype, layout: Layout::contiguous(meta.shape), start: Linear::default(), write }
    }

    /// Whether the Group of `piece` finds the entry in memory: another kernel's result, or the product that it completes.
    fn is_there(&self, entry: usize, piece: usize) -> bool {
        let completes =
            |home| matches!(self.fused.pieces[home], Piece::Matmul { entry: product, .. } if product == entry);
        self.fused.home(entry).is_some_and(|home| home != piece || completes(home))
    }

    /// The memory of a tensor that lies there, as a window of its base; `None` while no composing base is in memory.
    fn window(&self, source: Source, piece: usize) -> Option<Strided> {
        let stored = |base: Source| match base {
            Source::Leaf(_) => true,
            Source::Entry(entry, _) => self.is_there(entry, piece),
        };
        let whole = Strided::of(self.snapshot, source).filter(|strided| stored(strided.base));
        whole.or_else(|| {
            let copied = |entry: usize| self.fused.home(entry).is_some();
            Strided::until(self.snapshot, source, copied).filter(|strided| stored(strided.base))
        })
    }

    /// Memory of `source` for a kernel other than its home. A view with a home of its own is read from there.
    fn memory(&self, source: Source, piece: usize) -> Option<Strided> {
        if let Source::Entry(entry, _) = source
            && self.fused.home(entry).is_some()
        {
            let shape = self.snapshot.meta(source).shape.clone();
            let strides = shape.strides();
            return self.is_there(entry, piece).then_some(Strided {
                base: source,
                shape,
                strides,
                offset: Linear::default(),
            });
        }
        self.window(source, piece)
    }

    fn argument(&mut self, strided: &Strided, layout: Layout) -> Argument {
        let dtype = self.snapshot.meta(strided.base).dtype;
        let place = match strided.base {
            Source::Leaf(leaf) => Place::Input(leaf),
            Source::Entry(entry, output) => self.place(entry, output),
        };
        Argument { place, dtype, layout, start: Linear::default(), write: false }
    }

    /// An operand of a product or a routine: a window with any strides.
    fn operand(&mut self, source: Source) -> Argument {
        let strided = self.memory(source, usize::MAX).expect("operands of products and routines are in memory");
        let layout = Layout { shape: strided.shape.clone(), strides: strided.strides.clone(), offset: 0 };
        Argument { start: strided.offset.clone(), ..self.argument(&strided, layout) }
    }

    fn group(&mut self, piece: usize, cluster: &Cluster, arguments: &mut Vec<Argument>) -> Group {
        // From stores down: what is needed, and where. Inputs have smaller numbers than users.
        let mut needed: Needed = BTreeMap::new();
        let mut leaves: Vec<(usize, IndexMap)> = Vec::new();
        let mut steps: Vec<((usize, usize), IndexMap, How)> = Vec::new();
        for store in &cluster.stores {
            demand(store.source, &store.map, &mut needed, &mut leaves);
        }
        while let Some(((entry, output), maps)) = needed.pop_last() {
            for map in maps {
                let how = self.how((entry, output), &map, piece, cluster);
                match &how {
                    How::Load(_) => {}
                    How::Through(map) | How::Reduce(map) => {
                        demand(self.snapshot.entries[entry].inputs[0], map, &mut needed, &mut leaves);
                    }
                    How::Compute => {
                        for &input in &self.snapshot.entries[entry].inputs {
                            demand(input, &map, &mut needed, &mut leaves);
                        }
                    }
                }
                steps.push(((entry, output), map, how));
            }
        }
        let group = Group {
            outer: cluster.domain[..cluster.split].iter().copied().collect(),
            inner: cluster.domain[cluster.split..].iter().copied().collect(),
            values: Vec::new(),
            stores: Vec::new(),
        };
        let mut writer = GroupWriter { group, known: HashMap::new(), zero: self.snapshot.slots.len() };
        for (leaf, map) in leaves {
            let source = Source::Leaf(leaf);
            let strided = self.window(source, piece).expect("leaves are in memory");
            let value = self.load(&strided, &map, &mut writer, arguments);
            writer.known.insert((source, map), value);
        }
        for ((entry, output), map, how) in steps.into_iter().rev() {
            let value = self.step(entry, &map, &how, &mut writer, arguments);
            writer.known.insert((Source::Entry(entry, output), map), value);
        }
        for store in &cluster.stores {
            let value = writer.known[&(store.source, store.map.clone())];
            let argument = self.contiguous(store.entry, 0, true);
            let per_row = argument.layout.shape.elements() == writer.group.rows();
            let argument = push_argument(arguments, argument);
            let inner = writer.group.inner.len();
            let (value, index) = match writer.group.values[value].scope {
                Scope::Row if per_row => (value, row_major(&writer.group.outer, inner)),
                _ => (writer.as_element(value), row_major(&cluster.domain, 0)),
            };
            writer.group.stores.push(Store { value, argument, index });
        }
        writer.group
    }

    fn how(&self, (entry, output): (usize, usize), map: &IndexMap, piece: usize, cluster: &Cluster) -> How {
        let source = Source::Entry(entry, output);
        if let Some(strided) = self.memory(source, piece) {
            return How::Load(strided);
        }
        let input = self.snapshot.entries[entry].inputs.first().copied();
        match (self.snapshot.lowering(entry), input) {
            (Lowering::View(view), Some(input)) => {
                let (from, to) = (&self.snapshot.meta(input).shape, &self.snapshot.meta(source).shape);
                match map.through(&view, from, to, self.snapshot.entries[entry].slots, &cluster.domain) {
                    Some(map) => How::Through(map),
                    None => How::Load(self.window(source, piece).expect("views that cannot be walked lie in memory")),
                }
            }
            (Lowering::Reduce { axes, .. }, Some(input)) => {
                How::Reduce(map.unreduced(&self.snapshot.meta(input).shape, &axes, cluster.split))
            }
            _ => How::Compute,
        }
    }

    fn load(
        &mut self,
        strided: &Strided,
        map: &IndexMap,
        writer: &mut GroupWriter,
        arguments: &mut Vec<Argument>,
    ) -> ValueId {
        let base = match strided.base {
            Source::Leaf(leaf) => Layout { offset: 0, ..self.snapshot.leaves[leaf].storage().layout.clone() },
            Source::Entry(..) => Layout::contiguous(self.snapshot.meta(strided.base).shape.clone()),
        };
        let argument = self.argument(strided, base);
        let dtype = argument.dtype;
        let argument = push_argument(arguments, argument);
        let Access { index, guards } = map.access(&strided.strides, &strided.offset);
        let access = Access {
            index: writer.pad(index),
            guards: guards
                .into_iter()
                .map(|guard| crate::group::Guard { position: writer.pad(guard.position), ..guard })
                .collect(),
        };
        let scope =
            writer.scope(std::iter::once(&access.index).chain(access.guards.iter().map(|guard| &guard.position)));
        writer.push(Instr::Load { argument, access }, dtype, scope, 0)
    }

    fn step(
        &mut self,
        entry: usize,
        map: &IndexMap,
        how: &How,
        writer: &mut GroupWriter,
        arguments: &mut Vec<Argument>,
    ) -> ValueId {
        let node = &self.snapshot.entries[entry];
        let meta = &node.node.outputs[0].meta;
        let slots = node.slots;
        match how {
            How::Load(strided) => self.load(strided, map, writer, arguments),
            How::Through(inner) => {
                let value = writer.known[&(node.inputs[0], inner.clone())];
                let padded = matches!(self.snapshot.view(entry), Some(View::Pad { .. }));
                if padded { writer.padded(value, inner, meta.dtype) } else { value }
            }
            How::Reduce(inner) => {
                let Lowering::Reduce { fold, .. } = self.snapshot.lowering(entry) else {
                    unreachable!("only reductions are reduced")
                };
                let operand = writer.known[&(node.inputs[0], inner.clone())];
                let operand = writer.as_element(operand);
                let stage = writer.group.values[operand].stage;
                writer.push(Instr::Reduce { fold, operand }, meta.dtype, Scope::Row, stage)
            }
            How::Compute => {
                let Lowering::Pointwise(work) = self.snapshot.lowering(entry) else {
                    unreachable!("everything else is loaded, walked through or reduced")
                };
                let operands: SmallVec<[ValueId; 3]> =
                    node.inputs.iter().map(|&input| writer.known[&(input, map.clone())]).collect();
                let scope = operands.iter().map(|&o| writer.group.values[o].scope).max().unwrap_or(Scope::Row);
                let stage = operands.iter().map(|&o| writer.available(o)).max().unwrap_or(0);
                let index = || writer.pad(map.linear(&meta.shape));
                match work {
                    Pointwise::Code(code) => writer.push(Instr::Pointwise { code, operands }, meta.dtype, scope, stage),
                    Pointwise::Cast => writer.push(Instr::Cast { operand: operands[0] }, meta.dtype, scope, stage),
                    Pointwise::Check { limit, wrap, context } => writer.push(
                        Instr::Check { operand: operands[0], limit, wrap, context },
                        meta.dtype,
                        scope,
                        stage,
                    ),
                    Pointwise::Scalar => writer.push(Instr::Scalar { slot: slots }, meta.dtype, Scope::Row, 0),
                    Pointwise::Index => {
                        let index = index();
                        let scope = writer.scope([&index]);
                        writer.push(Instr::Index { index }, meta.dtype, scope, 0)
                    }
                    Pointwise::Random { stream } => {
                        let index = index();
                        let scope = writer.scope([&index]);
                        let instr = Instr::Random { index, key: slots, counter: slots + 1, stream };
                        writer.push(instr, meta.dtype, scope, 0)
                    }
                }
            }
        }
    }
}

/// Outputs of entries that a cluster needs, and where.
type Needed = BTreeMap<(usize, usize), Vec<IndexMap>>;

/// Notes that a Group needs `source` at `map`.
fn demand(source: Source, map: &IndexMap, needed: &mut Needed, leaves: &mut Vec<(usize, IndexMap)>) {
    match source {
        Source::Entry(entry, output) => {
            let maps = needed.entry((entry, output)).or_default();
            if !maps.contains(map) {
                maps.push(map.clone());
            }
        }
        Source::Leaf(leaf) => {
            if !leaves.iter().any(|(known, m)| *known == leaf && m == map) {
                leaves.push((leaf, map.clone()));
            }
        }
    }
}

/// How a Group gets an entry's value.
enum How {
    Load(Strided),
    Through(IndexMap),
    Reduce(IndexMap),
    Compute,
}

/// The argument's number, shared with an equal one.
fn push_argument(arguments: &mut Vec<Argument>, argument: Argument) -> usize {
    if let Some(known) = arguments.iter().position(|a| Argument { write: argument.write, ..a.clone() } == argument) {
        arguments[known].write |= argument.write;
        return known;
    }
    arguments.push(argument);
    arguments.len() - 1
}

struct GroupWriter {
    group: Group,
    known: HashMap<(Source, IndexMap), ValueId>,
    /// Slot of the constant zero.
    zero: usize,
}

impl GroupWriter {
    /// Strides for every axis of the domain.
    fn pad(&self, mut affine: Affine) -> Affine {
        affine.strides.resize(self.group.outer.len() + self.group.inner.len(), 0);
        affine
    }

    fn scope<'a>(&self, indices: impl IntoIterator<Item = &'a Affine>) -> Scope {
        let rows = self.group.outer.len();
        let varies = indices.into_iter().any(|index| index.strides[rows..].iter().any(|&stride| stride != 0));
        if varies { Scope::Element } else { Scope::Row }
    }

    /// Reductions that must be complete before users of the value can be computed.
    fn available(&self, value: ValueId) -> usize {
        let step = &self.group.values[value];
        step.stage + usize::from(matches!(step.instr, Instr::Reduce { .. }))
    }

    fn push(&mut self, instr: Instr, dtype: DType, scope: Scope, stage: usize) -> ValueId {
        let value = Value { instr, dtype, scope, stage };
        let pure = !matches!(value.instr, Instr::Check { .. });
        if let Some(known) = self.group.values.iter().position(|v| pure && *v == value) {
            return known;
        }
        self.group.values.push(value);
        self.group.values.len() - 1
    }

    /// `value` where the map's guards hold, else zero. Loads see to that themselves.
    fn padded(&mut self, value: ValueId, map: &IndexMap, dtype: DType) -> ValueId {
        if matches!(self.group.values[value].instr, Instr::Load { .. }) || map.guards.is_empty() {
            return value;
        }
        let guards: SmallVec<[crate::group::Guard; 1]> = map
            .guards
            .iter()
            .map(|guard| crate::group::Guard { position: self.pad(guard.position.clone()), size: guard.size })
            .collect();
        let scope = self.scope(guards.iter().map(|guard| &guard.position));
        let inside = self.push(Instr::Inside { guards }, DType::Bool, scope, 0);
        let zero = self.push(Instr::Scalar { slot: self.zero }, dtype, Scope::Row, 0);
        let scope = scope.max(self.group.values[value].scope);
        let stage = self.available(value);
        let operands = SmallVec::from_slice(&[inside, value, zero]);
        self.push(Instr::Pointwise { code: crate::code::Code::Where, operands }, dtype, scope, stage)
    }

    /// A reduction folds Element values, and what varies along the row is stored from them: a Row value is repeated along the row first.
    fn as_element(&mut self, value: ValueId) -> ValueId {
        let Value { dtype, scope, .. } = self.group.values[value].clone();
        if scope == Scope::Element || self.group.is_elementwise() {
            return value;
        }
        let stage = self.available(value);
        self.group.values.push(Value { instr: Instr::Cast { operand: value }, dtype, scope: Scope::Element, stage });
        self.group.values.len() - 1
    }
}
