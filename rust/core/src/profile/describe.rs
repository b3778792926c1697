//! What a kernel does and costs, from its plan alone. Depends on `plan` and `group`.
//! Invariant: kernels with different sizes have different names.
//!
//! Counted are one operation per pointwise function and element, one per element folded, two per multiplication with
//! addition in a product. Conversions, indices, random bits and copies count nothing. Bytes are what a kernel must move
//! if the cache holds all that it meets twice: every element read once, every element written once.

use std::sync::Arc;

use crate::code::Code;
use crate::dtype::DType;
use crate::group::{Affine, Group, Instr, Scope};
use crate::plan::{Argument, Cost, Kernel, Matmul, Work};

/// Words in the name of a Group.
const MOST_WORDS: usize = 8;
/// Shapes of inputs in the name of a routine.
const MOST_SHAPES: usize = 2;

/// What a kernel does and costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The operations with their sizes; the dtype too where it is not float32.
    pub name: String,
    /// Arithmetic and memory.
    pub cost: Cost,
    /// Whether it computes in float64.
    pub double: bool,
}

impl Description {
    /// A name that costs nothing.
    pub fn named(name: String) -> Self {
        Self { name, ..Self::default() }
    }
}

/// The description of a kernel, made when it is first asked for.
pub fn describe(kernel: &Kernel) -> Arc<Description> {
    let known = kernel.described.get_or_make(|| Arc::new(fresh(kernel)));
    known.cloned().unwrap_or_else(|| Arc::new(fresh(kernel)))
}

fn fresh(kernel: &Kernel) -> Description {
    let arguments = &kernel.arguments;
    let (name, cost, dtype) = match &kernel.work {
        Work::Group(group) => {
            let kind = if group.is_elementwise() { "group" } else { "rows" };
            let dtype = group.stores.first().map_or(DType::F32, |store| group.values[store.value].dtype);
            (format!("{kind} {} {}", words(group), sizes(group.domain())), group_cost(group, arguments, None), dtype)
        }
        Work::Matmul(product) => {
            let mut name = format!("matmul {}x{}x{}", product.m, product.k, product.n);
            if !product.batch.is_empty() {
                name = format!("{name} batch {}", sizes(product.batch.iter().copied()));
            }
            if let Some(epilogue) = &product.epilogue {
                name = format!("{name} + {}", words(epilogue));
            }
            (name, matmul_cost(product, arguments), product.dtype)
        }
        Work::Structured { routine, .. } => {
            let result = arguments.iter().rev().find(|argument| argument.write);
            let shape = |argument: &Argument| sizes(argument.layout.shape.iter().copied());
            let dtype = result.map_or(DType::F32, |result| result.dtype);
            let mut read: Vec<String> = arguments.iter().filter(|argument| !argument.write).map(shape).collect();
            if read.len() > MOST_SHAPES {
                read.truncate(MOST_SHAPES);
                read.push("…".to_owned());
            }
            let to = result.map(|result| format!(" -> {}", shape(result))).unwrap_or_default();
            (format!("{} {}{to}", routine.name(), read.join(", ")), routine.cost(arguments), dtype)
        }
    };
    let double = match &kernel.work {
        Work::Group(group) => group.values.iter().any(|value| value.dtype == DType::F64),
        _ => dtype == DType::F64,
    };
    let name = if dtype == DType::F32 { name } else { format!("{name} {dtype}") };
    Description { name, cost, double }
}

fn sizes(sizes: impl Iterator<Item = usize>) -> String {
    let words: Vec<String> = sizes.map(|size| size.to_string()).collect();
    if words.is_empty() { "1".to_owned() } else { words.join("x") }
}

/// What a Group computes: its functions and folds, each once, in order. Of many, those that take longest.
fn words(group: &Group) -> String {
    let mut found: Vec<(String, bool)> = Vec::new();
    let mut note = |word: String, cheap: bool| {
        if !found.iter().any(|(known, _)| *known == word) {
            found.push((word, cheap));
        }
    };
    for (number, value) in group.values.iter().enumerate() {
        match &value.instr {
            Instr::Pointwise { code: Code::LessEqual, .. } if is_mask_of_relu(group, number) => {}
            Instr::Pointwise { code: Code::Where, operands } if is_relu(group, operands) => note("relu".into(), true),
            Instr::Pointwise { code, .. } => note(snake(&format!("{code:?}")), code.is_cheap()),
            Instr::Reduce { fold, .. } => note(snake(&format!("{fold:?}")), false),
            Instr::Random { .. } => note("random".into(), false),
            Instr::Index { .. } => note("index".into(), true),
            Instr::Load { .. }
            | Instr::Scalar { .. }
            | Instr::Inside { .. }
            | Instr::Cast { .. }
            | Instr::Check { .. } => {}
        }
    }
    if found.is_empty() {
        let moves = group.values.iter().any(|value| matches!(value.instr, Instr::Load { .. }));
        return if moves { "copy" } else { "fill" }.to_owned();
    }
    let mut omitted = "";
    while found.len() > MOST_WORDS {
        let last = found.iter().rposition(|(_, cheap)| *cheap).unwrap_or(found.len() - 1);
        found.remove(last);
        omitted = "+…";
    }
    let words: Vec<String> = found.into_iter().map(|(word, _)| word).collect();
    words.join("+") + omitted
}

/// `where(x <= s, t, x)` with scalars `s` and `t`: relu, and what differs from it by its threshold only.
fn is_relu(group: &Group, operands: &[usize]) -> bool {
    let scalar = |value: usize| matches!(group.values[value].instr, Instr::Scalar { .. });
    match (operands, operands.first().map(|&mask| &group.values[mask].instr)) {
        ([_, other, kept], Some(Instr::Pointwise { code: Code::LessEqual, operands: compared })) => {
            compared[0] == *kept && scalar(compared[1]) && scalar(*other)
        }
        _ => false,
    }
}

/// Whether a comparison serves nothing but a relu.
fn is_mask_of_relu(group: &Group, mask: usize) -> bool {
    let mut users = group.values.iter().filter_map(|value| match &value.instr {
        Instr::Pointwise { code, operands } if operands.contains(&mask) => Some((*code, operands)),
        _ => None,
    });
    users.next().is_some_and(|(code, operands)| code == Code::Where && is_relu(group, operands))
        && users.next().is_none()
}

/// `LessEqual` as `less_equal`.
fn snake(name: &str) -> String {
    let mut word = String::new();
    for (place, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && place > 0 {
            word.push('_');
        }
        word.extend(letter.to_lowercase());
    }
    word
}

/// Cost of a Group; `cached` is an argument that it finds in the cache, since the same kernel has just written it.
fn group_cost(group: &Group, arguments: &[Argument], cached: Option<usize>) -> Cost {
    let (rows, elements) = (group.rows() as u64, group.rows() as u64 * group.row_length() as u64);
    let mut cost = Cost::default();
    let mut read = vec![0u64; arguments.len()];
    let varying = varying(group);
    for (value, varies) in group.values.iter().zip(varying) {
        let count = match value.scope {
            _ if !varies => elements.min(1),
            Scope::Row => rows,
            Scope::Element => elements,
        };
        match &value.instr {
            Instr::Pointwise { .. } => cost.flops += count,
            Instr::Reduce { .. } => cost.flops += elements,
            Instr::Load { argument, access } => read[*argument] += distinct(group, &access.index),
            _ => {}
        }
    }
    for (number, argument) in arguments.iter().enumerate().filter(|(number, _)| Some(*number) != cached) {
        // Several loads may meet the same elements, and padding makes a domain larger than what it reads.
        cost.read += read[number].min(argument.elements()) * argument.dtype.size() as u64;
    }
    for store in &group.stores {
        cost.written += distinct(group, &store.index) * arguments[store.argument].dtype.size() as u64;
    }
    cost
}

/// Which values differ from element to element; the others are computed once.
fn varying(group: &Group) -> Vec<bool> {
    let mut varying: Vec<bool> = Vec::with_capacity(group.values.len());
    for value in &group.values {
        let moves = |index: &Affine| index.strides.iter().any(|&stride| stride != 0);
        varying.push(match &value.instr {
            Instr::Load { access, .. } => {
                moves(&access.index) || access.guards.iter().any(|guard| moves(&guard.position))
            }
            Instr::Index { index } | Instr::Random { index, .. } => moves(index),
            Instr::Inside { guards } => guards.iter().any(|guard| moves(&guard.position)),
            Instr::Pointwise { operands, .. } => operands.iter().any(|&operand| varying[operand]),
            Instr::Cast { operand } | Instr::Check { operand, .. } => varying[*operand],
            Instr::Scalar { .. } => false,
            Instr::Reduce { .. } => true,
        });
    }
    varying
}

/// Elements that an index meets: the sizes of the axes along which it moves.
fn distinct(group: &Group, index: &Affine) -> u64 {
    let moving = group.domain().zip(&index.strides).map(|(size, &stride)| if stride == 0 { size.min(1) } else { size });
    moving.map(|size| size as u64).product()
}

fn matmul_cost(product: &Matmul, arguments: &[Argument]) -> Cost {
    let bytes = |argument: usize| arguments[argument].elements() * arguments[argument].dtype.size() as u64;
    let mut cost = match &product.epilogue {
        Some(epilogue) => group_cost(epilogue, arguments, Some(product.result)),
        None => Cost::default(),
    };
    cost.flops += product.flops();
    cost.read += bytes(product.lhs) + bytes(product.rhs);
    cost.written += bytes(product.result);
    cost
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::group::{Access, Linear, Store, Value};
    use crate::layout::Layout;
    use crate::plan::{Place, row_major};
    use crate::shape::Shape;

    fn argument(shape: &[usize], write: bool) -> Argument {
        let layout = Layout::contiguous(Shape::new(shape).unwrap());
        Argument { place: Place::Input(0), dtype: DType::F32, layout, start: Linear::default(), write }
    }

    fn value(instr: Instr) -> Value {
        Value { instr, dtype: DType::F32, scope: Scope::Row, stage: 0 }
    }

    /// relu(x + row) over [3, 4], the row repeated.
    fn group() -> Group {
        let load = |argument, strides: [i64; 2]| {
            let index = Affine { offset: Linear::default(), strides: smallvec![strides[0], strides[1]] };
            value(Instr::Load { argument, access: Access { index, guards: smallvec![] } })
        };
        let apply = |code, operands: &[usize]| value(Instr::Pointwise { code, operands: operands.into() });
        let values = vec![
            load(0, [4, 1]),
            load(1, [0, 1]),
            value(Instr::Scalar { slot: 0 }),
            apply(Code::Add, &[0, 1]),
            Value { dtype: DType::Bool, ..apply(Code::LessEqual, &[3, 2]) },
            apply(Code::Where, &[4, 2, 3]),
        ];
        let stores = vec![Store { value: 5, argument: 2, index: row_major(&[3, 4], 0) }];
        Group { outer: smallvec![3, 4], inner: smallvec![], values, stores }
    }

    #[test]
    fn a_group_counts_functions_and_distinct_elements() {
        let arguments = vec![argument(&[3, 4], false), argument(&[4], false), argument(&[3, 4], true)];
        let found = describe(&Kernel::new(Work::Group(group()), arguments));
        assert_eq!(found.name, "group add+relu 3x4");
        assert_eq!(found.cost, Cost { flops: 36, read: 64, written: 48 });
        assert!(!found.double);
    }

    #[test]
    fn a_product_counts_its_epilogue_without_the_product_itself() {
        let mut product = Matmul {
            batch: smallvec![],
            m: 3,
            n: 4,
            k: 5,
            dtype: DType::F32,
            lhs: 3,
            rhs: 4,
            result: 0,
            epilogue: None,
        };
        let mut arguments = vec![argument(&[3, 4], true), argument(&[4], false), argument(&[3, 4], true)];
        arguments.extend([argument(&[3, 5], false), argument(&[5, 4], false)]);
        let plain = describe(&Kernel::new(Work::Matmul(product.clone()), arguments.clone()));
        assert_eq!(plain.name, "matmul 3x5x4");
        assert_eq!(plain.cost, Cost { flops: 120, read: 4 * 35, written: 48 });
        product.epilogue = Some(group());
        let whole = describe(&Kernel::new(Work::Matmul(product), arguments));
        assert_eq!(whole.name, "matmul 3x5x4 + add+relu");
        assert_eq!(whole.cost, Cost { flops: 156, read: 4 * 39, written: 96 });
    }

    #[test]
    fn long_names_keep_what_takes_longest() {
        let codes = [Code::Neg, Code::Abs, Code::Add, Code::Sub, Code::Mul, Code::Maximum, Code::Minimum, Code::Exp];
        let mut group = group();
        group.values.truncate(1);
        for code in codes.into_iter().chain([Code::Tanh, Code::Floor, Code::Log]) {
            group.values.push(value(Instr::Pointwise { code, operands: smallvec![0; code.arity()] }));
        }
        assert_eq!(words(&group), "neg+abs+add+sub+mul+exp+tanh+log+…");
        assert_eq!(snake("LessEqual"), "less_equal");
    }
}
