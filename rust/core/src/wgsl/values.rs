//! The values of a Group as shader statements. Depends on `group` and the printers beside it.
//! Invariant: value `i` is the variable `v{i}`; a value is printed after its operands, in the innermost scope that it needs.

use super::domain::Domain;
use super::pointwise::{Folding, cast, pointwise};
use super::source::{Memory, Source};
use super::types::{Type, rounding};
use crate::dtype::DType;
use crate::group::{Group, Instr, Scope, Store, Value, ValueId};
use crate::plan::{Argument, IndexCheck, Parameter};

/// A reduction, what it folds, and how.
pub(super) type Reduction = (ValueId, ValueId, Folding);

/// A Group on its way into a shader.
pub(super) struct Printer<'a> {
    /// The shader.
    pub(super) source: Source<'a>,
    /// Its indices.
    pub(super) domain: Domain,
    /// An argument whose element at this place is at hand already, and the variable that holds it.
    pub(super) given: Option<(usize, String)>,
    group: &'a Group,
    kinds: Vec<Type>,
    /// Reductions that precede each value; a reduction counts itself.
    depths: Vec<usize>,
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
        Self { source: Source::new(arguments), domain: Domain::new(group), given: None, group, kinds, depths }
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
        let text = match instr {
            Instr::Load { argument, .. } if self.given.as_ref().is_some_and(|given| given.0 == *argument) => {
                self.given.as_ref().map(|given| given.1.clone()).unwrap_or_default()
            }
            Instr::Load { argument, access } => {
                let memory = self.source.memory(Memory { argument: *argument, element: kind, write: false });
                let index = self.domain.index(&mut self.source, &access.index, Some(*argument));
                let element = format!("load_{memory}({index})");
                if !access.guards.is_empty() {
                    let condition = self.domain.inside(&mut self.source, &access.guards);
                    self.source.line(format!("var v{id} = {};", kind.zero()));
                    self.source.line(format!("if ({condition}) {{"));
                    self.source.line(format!("v{id} = {element};"));
                    self.source.line("}");
                    return;
                }
                element
            }
            Instr::Scalar { slot } => match kind {
                // An int64 comes whole, so that one beyond 32 bits is noticed.
                Type::I32 => {
                    let mut number = crate::group::Linear::default();
                    number.terms.push((*slot, 1));
                    self.source.shared_parameter(Parameter::Linear(number), kind)
                }
                Type::Bool => {
                    let word = self.source.shared_parameter(Parameter::SlotLow(*slot), Type::U32);
                    format!("{word} != 0u")
                }
                Type::U32 | Type::F32 => self.source.shared_parameter(Parameter::SlotLow(*slot), kind),
                Type::I64 | Type::U64 | Type::F64 => {
                    let low = self.source.shared_parameter(Parameter::SlotLow(*slot), Type::U32);
                    let high = self.source.shared_parameter(Parameter::SlotHigh(*slot), Type::U32);
                    format!("bitcast<{}>(wide_bits({low}, {high}))", kind.name())
                }
            },
            Instr::Index { index } => {
                let index = self.domain.index(&mut self.source, index, None);
                if kind == Type::I64 { format!("i64({index})") } else { index }
            }
            Instr::Random { index, key, counter, stream } => {
                let index = self.domain.index(&mut self.source, index, None);
                let mut word = |parameter| self.source.shared_parameter(parameter, Type::U32);
                let key = [word(Parameter::SlotLow(*key)), word(Parameter::SlotHigh(*key))];
                let counter = [word(Parameter::SlotLow(*counter)), word(Parameter::SlotHigh(*counter))];
                let [low, high] = &counter;
                let bits = format!("philox(u32({index}), {}, {}, {low}, {high}, {stream}u)", key[0], key[1]);
                if *dtype == DType::F32 { format!("f32({bits} >> 8u) * 0x1p-24f") } else { bits }
            }
            Instr::Inside { guards } => self.domain.inside(&mut self.source, guards),
            Instr::Pointwise { code, operands } => {
                let names: Vec<String> = operands.iter().map(|operand| format!("v{operand}")).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let of = operands[operands.len() - 1];
                pointwise(*code, self.group.values[of].dtype, self.kinds[of], &names)
            }
            Instr::Cast { operand } => cast(self.kinds[*operand], *dtype, kind, &format!("v{operand}")),
            Instr::Check { operand, limit, wrap, context } => {
                let name = format!("v{operand}");
                let unsigned = !matches!(kind, Type::I32 | Type::I64);
                let check = IndexCheck { context: context.clone(), limit: *limit, wrap: *wrap, unsigned };
                let limit = self.source.number(*limit as i64);
                let place = self.source.check(check);
                let own = kind.name();
                let wrapped = if *wrap && !unsigned {
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
                return;
            }
            Instr::Reduce { .. } => return,
        };
        match rounding(*dtype).filter(|_| !matches!(instr, Instr::Load { .. })) {
            Some(round) => self.source.line(format!("let v{id} = {round}({text});")),
            None => self.source.line(format!("let v{id} = {text};")),
        }
    }

    /// Prints a store of a value that is there.
    pub(super) fn store(&mut self, store: &Store) {
        let kind = self.kinds[store.value];
        let memory = self.source.memory(Memory { argument: store.argument, element: kind, write: true });
        let index = self.domain.index(&mut self.source, &store.index, Some(store.argument));
        self.source.line(format!("store_{memory}({index}, v{});", store.value));
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
