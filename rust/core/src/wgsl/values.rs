//! The values of a Group as shader statements. Depends on `group` and the printers beside it.
//! Invariant: value `i` is the variable `v{i}`, or the variables `v{i}_0`, … where an invocation works on several elements and the value
//! differs between them; a value is printed after its operands, in the innermost scope that it needs.

use super::domain::{Domain, FOUR, Lanes, Spread};
use super::pointwise::{Folding, cast, pointwise};
use super::source::{Memory, Source};
use super::types::{Type, rounding};
use crate::dtype::DType;
use crate::group::{Access, Affine, Group, Instr, Scope, Store, Value, ValueId};
use crate::plan::{Argument, IndexCheck, Parameter};

/// A reduction, what it folds, and how.
pub(super) type Reduction = (ValueId, ValueId, Folding);

/// A Group on its way into a shader.
pub(super) struct Printer<'a> {
    /// The shader.
    pub(super) source: Source<'a>,
    /// Its indices.
    pub(super) domain: Domain,
    /// An argument whose elements at this place are at hand already, and the expressions that hold them.
    pub(super) given: Option<(usize, Lanes)>,
    group: &'a Group,
    kinds: Vec<Type>,
    /// Reductions that precede each value; a reduction counts itself.
    depths: Vec<usize>,
    /// Whether each value differs between the elements of an invocation.
    differs: Vec<bool>,
    /// Whether four elements of 32 bits may be read and written at once.
    vectors: bool,
}

impl<'a> Printer<'a> {
    /// A shader for a merged Group.
    pub(super) fn new(group: &'a Group, arguments: &'a [Argument]) -> Self {
        let kinds: Vec<Type> = group.values.iter().map(|value| Type::of(value.dtype)).collect();
        let mut depths = vec![0; group.values.len()];
        for (id, value) in group.values.iter().enumerate() {
            let below = operands(value).iter().map(|&operand| depths[operand]).max().unwrap_or(0);
            depths[id] = below + usize::from(matches!(value.instr, Instr::Reduce { .. }));
        }
        let (source, domain) = (Source::new(arguments), Domain::new(group));
        let differs = vec![false; group.values.len()];
        Self { source, domain, given: None, group, kinds, depths, differs, vectors: false }
    }

    /// Says which elements of an elementwise Group an invocation works on, and whether it reads and writes them at once.
    pub(super) fn spread(&mut self, spread: Spread, vectors: bool) {
        self.domain.spread_rows(spread);
        self.vectors = vectors;
        for (id, value) in self.group.values.iter().enumerate() {
            let guards_differ =
                |guards: &[crate::group::Guard]| guards.iter().any(|guard| spread.differs(&guard.position.strides));
            self.differs[id] = match &value.instr {
                Instr::Load { access, .. } => spread.differs(&access.index.strides) || guards_differ(&access.guards),
                Instr::Index { index } | Instr::Random { index, .. } => spread.differs(&index.strides),
                Instr::Inside { guards } => guards_differ(guards),
                Instr::Scalar { .. } => false,
                Instr::Pointwise { .. } | Instr::Cast { .. } | Instr::Check { .. } | Instr::Reduce { .. } => {
                    operands(value).iter().any(|&operand| self.differs[operand])
                }
            };
        }
    }

    /// The variable of a value for one of the invocation's elements.
    fn name(&self, id: ValueId, lane: usize) -> String {
        if self.differs[id] { format!("v{id}_{lane}") } else { format!("v{id}") }
    }

    /// The type of a value.
    pub(super) fn kind(&self, id: ValueId) -> Type {
        self.kinds[id]
    }

    /// Number of passes over the elements that reductions need, one after the other.
    pub(super) fn passes(&self) -> usize {
        self.depths.iter().copied().max().unwrap_or(0)
    }

    /// The reductions of pass `pass`, counted from 1, with what they fold.
    pub(super) fn reductions(&self, pass: usize) -> Vec<Reduction> {
        let found = self.group.values.iter().enumerate().filter(|&(id, _)| self.depths[id] == pass);
        found
            .filter_map(|(id, value)| match value.instr {
                Instr::Reduce { fold, operand } => {
                    Some((id, operand, Folding::new(fold, self.group.values[operand].dtype, self.kinds[operand])))
                }
                _ => None,
            })
            .collect()
    }

    /// The values of `scope` that `roots` need, roots included, in order. Values of the other scope are where the search ends.
    pub(super) fn needed(&self, roots: impl IntoIterator<Item = ValueId>, scope: Scope) -> Vec<ValueId> {
        let mut marked = vec![false; self.group.values.len()];
        let mut open: Vec<ValueId> = roots.into_iter().collect();
        while let Some(id) = open.pop() {
            let value = &self.group.values[id];
            if value.scope == scope && !marked[id] {
                marked[id] = true;
                open.extend(operands(value));
            }
        }
        (0..marked.len()).filter(|&id| marked[id]).collect()
    }

    /// Row values, reductions left out, that can be computed when `pass` passes are done and could not before.
    pub(super) fn row_values(&self, pass: usize) -> Vec<ValueId> {
        let values = self.group.values.iter().enumerate();
        let ready = values.filter(|&(id, value)| value.scope == Scope::Row && self.depths[id] == pass);
        ready.filter(|(_, value)| !matches!(value.instr, Instr::Reduce { .. })).map(|(id, _)| id).collect()
    }

    /// Prints a value that is no reduction.
    pub(super) fn value(&mut self, id: ValueId) {
        let Value { instr, dtype, .. } = &self.group.values[id];
        let kind = self.kinds[id];
        let lanes = if self.differs[id] { FOUR } else { 1 };
        let texts: Lanes = match instr {
            Instr::Load { argument, .. } if self.given.as_ref().is_some_and(|given| given.0 == *argument) => {
                self.given.iter().flat_map(|given| given.1.clone()).collect()
            }
            Instr::Load { argument, access } => return self.load(id, *argument, access),
            Instr::Scalar { slot } => Lanes::from_iter([self.scalar(*slot, kind)]),
            Instr::Index { index } => {
                let texts = self.domain.indices(&mut self.source, index, None).0;
                texts.into_iter().map(|text| if kind == Type::I64 { format!("i64({text})") } else { text }).collect()
            }
            Instr::Random { index, key, counter, stream } => {
                let texts = self.domain.indices(&mut self.source, index, None).0;
                let mut word = |parameter| self.source.shared_parameter(parameter, Type::U32);
                let key = [word(Parameter::SlotLow(*key)), word(Parameter::SlotHigh(*key))];
                let counter = [word(Parameter::SlotLow(*counter)), word(Parameter::SlotHigh(*counter))];
                let [low, high] = &counter;
                let drawn = texts.into_iter().map(|index| {
                    let bits = format!("philox(u32({index}), {}, {}, {low}, {high}, {stream}u)", key[0], key[1]);
                    if *dtype == DType::F32 { format!("f32({bits} >> 8u) * 0x1p-24f") } else { bits }
                });
                drawn.collect()
            }
            Instr::Inside { guards } => self.domain.inside(&mut self.source, guards),
            Instr::Pointwise { code, operands } => {
                let of = operands[operands.len() - 1];
                let (dtype, kind) = (self.group.values[of].dtype, self.kinds[of]);
                let text = |lane| {
                    let names: Vec<String> = operands.iter().map(|&operand| self.name(operand, lane)).collect();
                    pointwise(*code, dtype, kind, &names.iter().map(String::as_str).collect::<Vec<_>>())
                };
                (0..lanes).map(text).collect()
            }
            Instr::Cast { operand } => {
                let text = |lane| cast(self.kinds[*operand], *dtype, kind, &self.name(*operand, lane));
                (0..lanes).map(text).collect()
            }
            Instr::Check { operand, limit, wrap, context } => {
                let check = IndexCheck {
                    context: context.clone(),
                    limit: *limit,
                    wrap: *wrap,
                    unsigned: !matches!(kind, Type::I32 | Type::I64),
                    origins: self.group.origins(*operand),
                };
                return self.check(id, *operand, check);
            }
            Instr::Reduce { .. } => return,
        };
        let round = rounding(*dtype).filter(|_| !matches!(instr, Instr::Load { .. }));
        for (lane, text) in texts.into_iter().enumerate() {
            let name = self.name(id, lane);
            match round {
                Some(round) => self.source.line(format!("let {name} = {round}({text});")),
                None => self.source.line(format!("let {name} = {text};")),
            }
        }
    }

    fn load(&mut self, id: ValueId, argument: usize, access: &Access) {
        let kind = self.kinds[id];
        let memory = self.source.memory(Memory { argument, element: kind, write: false });
        let (indices, start) = self.domain.indices(&mut self.source, &access.index, Some(argument));
        let conditions = match access.guards.is_empty() {
            true => Lanes::new(),
            false => self.domain.inside(&mut self.source, &access.guards),
        };
        if conditions.len() <= 1 && self.at_once(argument, &access.index, start.as_deref()) {
            let load = format!("load4_{memory}({})", indices[0]);
            match conditions.first() {
                None => self.source.line(format!("let q{id} = {load};")),
                Some(condition) => {
                    self.source.line(format!("var q{id} = vec4<{}>();", kind.name()));
                    self.source.line(format!("if ({condition}) {{"));
                    self.source.line(format!("q{id} = {load};"));
                    self.source.line("}");
                }
            }
            for (lane, part) in ["x", "y", "z", "w"].into_iter().enumerate() {
                self.source.line(format!("let v{id}_{lane} = q{id}.{part};"));
            }
            return;
        }
        for lane in 0..if self.differs[id] { FOUR } else { 1 } {
            let name = self.name(id, lane);
            let element = format!("load_{memory}({})", indices[lane.min(indices.len() - 1)]);
            if conditions.is_empty() {
                self.source.line(format!("let {name} = {element};"));
                continue;
            }
            self.source.line(format!("var {name} = {};", kind.zero()));
            self.source.line(format!("if ({}) {{", conditions[lane.min(conditions.len() - 1)]));
            self.source.line(format!("{name} = {element};"));
            self.source.line("}");
        }
    }

    /// Whether the invocation's elements at `index` are read or written at once. Notes what must be aligned for that.
    fn at_once(&mut self, argument: usize, index: &Affine, start: Option<&str>) -> bool {
        if !self.domain.is_together(&index.strides) {
            return false;
        }
        // Halves find their words wherever they start.
        if self.source.is_half(argument) {
            return true;
        }
        let steps = index.strides.split_last().map_or(&[][..], |(_, steps)| steps);
        let whole = self.domain.spread() == Spread::Apart || steps.iter().all(|step| step % FOUR as i64 == 0);
        if !(self.vectors && whole) {
            return false;
        }
        self.source.in_vectors(argument, start);
        true
    }

    fn scalar(&mut self, slot: usize, kind: Type) -> String {
        match kind {
            // An int64 comes whole, so that one beyond 32 bits is noticed.
            Type::I32 => {
                let mut number = crate::group::Linear::default();
                number.terms.push((slot, 1));
                self.source.shared_parameter(Parameter::Linear(number), kind)
            }
            Type::Bool => {
                let word = self.source.shared_parameter(Parameter::SlotLow(slot), Type::U32);
                format!("{word} != 0u")
            }
            Type::U32 | Type::F32 => self.source.shared_parameter(Parameter::SlotLow(slot), kind),
            Type::I64 | Type::U64 | Type::F64 => {
                let low = self.source.shared_parameter(Parameter::SlotLow(slot), Type::U32);
                let high = self.source.shared_parameter(Parameter::SlotHigh(slot), Type::U32);
                format!("bitcast<{}>(wide_bits({low}, {high}))", kind.name())
            }
        }
    }

    fn check(&mut self, id: ValueId, operand: ValueId, check: IndexCheck) {
        let (kind, unsigned, wrap) = (self.kinds[id], check.unsigned, check.wrap);
        let name = format!("v{operand}");
        let limit = self.source.number(check.limit as i64);
        let place = self.source.check(check);
        let own = kind.name();
        let wrapped = if wrap && !unsigned {
            format!("select({name}, {name} + {own}({limit}), {name} < {})", kind.zero())
        } else {
            name.clone()
        };
        // What is reported is a word.
        let (counts, told) = match kind {
            Type::I64 => ("u64", format!("i32(clamp({name}, -2147483648li, 2147483647li))")),
            Type::U64 => ("u64", format!("u32(min({name}, 0xfffffffflu))")),
            _ => ("u32", name.clone()),
        };
        self.source.line(format!("var v{id} = {wrapped};"));
        self.source.line(format!("if ({counts}(v{id}) >= {counts}({limit})) {{"));
        self.source.line(format!("report({place}, bitcast<u32>({told}));"));
        self.source.line(format!("v{id} = {};", kind.zero()));
        self.source.line("}");
    }

    /// Prints a store of a value that is there.
    pub(super) fn store(&mut self, store: &Store) {
        let kind = self.kinds[store.value];
        let memory = self.source.memory(Memory { argument: store.argument, element: kind, write: true });
        let (indices, start) = self.domain.indices(&mut self.source, &store.index, Some(store.argument));
        if self.at_once(store.argument, &store.index, start.as_deref()) {
            let names: Vec<String> = (0..FOUR).map(|lane| self.name(store.value, lane)).collect();
            let vector = format!("vec4<{}>({})", kind.name(), names.join(", "));
            self.source.line(format!("store4_{memory}({}, {vector});", indices[0]));
            return;
        }
        for (lane, index) in indices.into_iter().enumerate() {
            let name = self.name(store.value, lane);
            self.source.line(format!("store_{memory}({index}, {name});"));
        }
    }
}

/// The values that a value is computed from.
fn operands(value: &Value) -> &[ValueId] {
    match &value.instr {
        Instr::Pointwise { operands, .. } => operands,
        Instr::Cast { operand } | Instr::Check { operand, .. } | Instr::Reduce { operand, .. } => {
            std::slice::from_ref(operand)
        }
        Instr::Load { .. }
        | Instr::Scalar { .. }
        | Instr::Index { .. }
        | Instr::Random { .. }
        | Instr::Inside { .. } => &[],
    }
}
