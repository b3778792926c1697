//! Tests of the tile machine: random Groups against the scalar meaning, lengths around the tree's edges, in place, any number of threads.
//! Depends on `naive`, `random`. Invariant: results agree in every bit (NaN with NaN).

mod matmul;
mod naive;
mod random;

use smallvec::SmallVec;

use self::naive::Memory;
use self::random::{Case, Numbers, elements};
use super::CpuBackend;
use crate::backend::{Backend, Bindings, BufferRef};
use crate::code::{Code, Fold};
use crate::dtype::DType;
use crate::error::{ErrorKind, Result};
use crate::group::{Access, Affine, Group, Instr, Linear, Scope, Store, Value};
use crate::kit::threads::set_num_threads;
use crate::layout::Layout;
use crate::plan::{Argument, Kernel, Place, Plan, PlanOutput, Prepared, Work, row_major};
use crate::shape::Shape;

/// A plan of one Group, its results bound to fresh buffers or those of donors.
fn plan(case: &Case) -> Plan {
    let dtype_of = |argument: usize| {
        let loads = case.group.values.iter().find_map(|value| match value.instr {
            Instr::Load { argument: a, .. } if a == argument => Some(value.dtype),
            _ => None,
        });
        let stores = || case.group.stores.iter().find(|store| store.argument == argument);
        loads.or_else(|| stores().map(|store| case.group.values[store.value].dtype)).unwrap()
    };
    let mut outputs = Vec::new();
    let arguments = (0..case.memories.len())
        .map(|argument| {
            let dtype = dtype_of(argument);
            let place = match case.outputs[argument] {
                None => Place::Input(argument),
                Some(donor) => {
                    outputs.push(PlanOutput { dtype, elements: 0, donor });
                    Place::Output(outputs.len() - 1)
                }
            };
            let layout = Layout::contiguous(Shape::scalar());
            Argument { place, dtype, layout, start: Linear::default(), write: case.outputs[argument].is_some() }
        })
        .collect();
    let kernels = vec![Kernel::new(Work::Group(case.group.clone()), arguments)];
    Plan {
        kernels,
        commit: 0,
        temporaries: Vec::new(),
        arena: 0,
        outputs,
        constants: Vec::new(),
        prepared: Prepared::default(),
    }
}

fn buffer(backend: &CpuBackend, memory: &Memory) -> (BufferRef, isize) {
    (backend.upload(DType::U8, &memory.bytes).unwrap(), memory.first)
}

/// Runs a case; returns the memories of its results in order.
fn run(case: &Case, plan: &Plan, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<Vec<Vec<u8>>> {
    let backend = CpuBackend::new();
    let inputs: Vec<_> = case.memories.iter().map(|memory| buffer(&backend, memory)).collect();
    let written = (0..case.memories.len()).filter_map(|argument| Some((argument, case.outputs[argument]?)));
    let outputs: Vec<_> = written.map(|(argument, donor)| inputs[donor.unwrap_or(argument)].clone()).collect();
    let bindings =
        Bindings { inputs: &inputs, outputs: &outputs, arena: None, slots: &case.slots, cancelled, watch: None };
    backend.run(plan, &bindings)?;
    let sizes = (0..case.memories.len()).filter(|&a| case.outputs[a].is_some()).map(|a| case.memories[a].bytes.len());
    Ok(outputs
        .iter()
        .zip(sizes)
        .map(|((buffer, _), size)| {
            let mut bytes = vec![0; size];
            backend.download(buffer, DType::U8, 0, &mut bytes).unwrap();
            bytes
        })
        .collect())
}

/// Makes all NaN the same.
fn canonical(dtype: DType, bytes: &[u8]) -> Vec<u64> {
    bytes
        .chunks(dtype.size())
        .map(|element| {
            let mut padded = [0u8; 8];
            padded[..element.len()].copy_from_slice(element);
            let bits = u64::from_le_bytes(padded);
            let nan = match dtype {
                DType::F16 => bits & 0x7fff > 0x7c00,
                DType::BF16 => bits & 0x7fff > 0x7f80,
                DType::F32 => f32::from_bits(bits as u32).is_nan(),
                DType::F64 => f64::from_bits(bits).is_nan(),
                _ => false,
            };
            if nan { u64::MAX - 1 } else { bits }
        })
        .collect()
}

fn compare(case: &Case, name: &str) {
    let mut expected = case.memories.clone();
    naive::run(&case.group, &mut expected, &case.slots);
    let plan = plan(case);
    for threads in [1, 2, 4] {
        set_num_threads(threads);
        let results = run(case, &plan, &|| false).unwrap();
        let arguments = (0..case.memories.len()).filter(|&argument| case.outputs[argument].is_some());
        for (result, argument) in results.iter().zip(arguments) {
            let store = case.group.stores.iter().find(|store| store.argument == argument).unwrap();
            let dtype = case.group.values[store.value].dtype;
            let (result, expected) = (canonical(dtype, result), canonical(dtype, &expected[argument].bytes));
            if let Some(at) = (0..result.len()).find(|&i| result[i] != expected[i]) {
                panic!(
                    "{name}, {threads} threads, argument {argument}, element {at}: {:x}, expected {:x}\n{:#?}\n{:?}",
                    result[at], expected[at], case.group, case.outputs
                );
            }
        }
    }
}

#[test]
fn random_elementwise_groups() {
    let domains: &[&[usize]] = &[
        &[],
        &[1],
        &[0, 3],
        &[7],
        &[33],
        &[1024],
        &[5000],
        &[3, 5],
        &[40, 300],
        &[6, 1100],
        &[12, 17, 9],
        &[64, 70],
        &[2, 3, 4, 5],
        &[4, 1, 33],
        &[100, 10],
        &[20, 8, 40],
        &[3000, 7],
    ];
    for seed in 0..500u64 {
        let domain = domains[seed as usize % domains.len()];
        compare(&random::case(seed + 1, domain, &[]), &format!("seed {seed}"));
    }
}

#[test]
fn random_reductions() {
    let domains: &[(&[usize], &[usize])] = &[
        (&[], &[5]),
        (&[3], &[0]),
        (&[0], &[4]),
        (&[7], &[31]),
        (&[9], &[32]),
        (&[40], &[33]),
        (&[300], &[10]),
        (&[2, 3], &[130]),
        (&[3], &[4095]),
        (&[2], &[4096]),
        (&[], &[4097]),
        (&[5], &[4, 9]),
        (&[4, 9], &[5]),
        (&[2, 40], &[100]),
        (&[600], &[17]),
        (&[], &[9000]),
        (&[3], &[9, 1000]),
        (&[1], &[1]),
        (&[12, 5], &[3, 2]),
        (&[20], &[700]),
        (&[5], &[8200]),
        (&[30, 2], &[300]),
    ];
    for seed in 0..330u64 {
        let (outer, inner) = domains[seed as usize % domains.len()];
        compare(&random::case(seed + 7001, outer, inner), &format!("seed {seed}"));
    }
}

fn value(instr: Instr, dtype: DType, scope: Scope, stage: usize) -> Value {
    Value { instr, dtype, scope, stage }
}

fn pointwise(code: Code, operands: &[usize]) -> Instr {
    Instr::Pointwise { code, operands: SmallVec::from_slice(operands) }
}

fn access(strides: &[i64]) -> Access {
    let index = Affine { offset: Linear::default(), strides: SmallVec::from_slice(strides) };
    Access { index, guards: SmallVec::new() }
}

/// A Group with one input and one result.
fn single(outer: &[usize], inner: &[usize], values: Vec<Value>, input: &[i64], scope: Scope) -> Case {
    let mut numbers = Numbers::new(99);
    let sizes: Vec<usize> = outer.iter().chain(inner).copied().collect();
    let dtype = values[0].dtype;
    let result = values.len() - 1;
    let zeros = if scope == Scope::Row { inner.len() } else { 0 };
    let kept = sizes.len() - zeros;
    let count: usize = sizes[..kept].iter().product();
    let reach: i64 = sizes.iter().zip(input).map(|(&size, stride)| (size as i64 - 1) * stride).sum();
    let memories = vec![
        Memory { bytes: elements(&mut numbers, dtype, reach as usize + 1, false), first: 0 },
        Memory { bytes: vec![0; count * values[result].dtype.size()], first: 0 },
    ];
    let stores = vec![Store { value: result, argument: 1, index: row_major(&sizes[..kept], zeros) }];
    let group = Group { outer: SmallVec::from_slice(outer), inner: SmallVec::from_slice(inner), values, stores };
    Case { group, memories, outputs: vec![None, Some(None)], slots: Vec::new() }
}

/// Sum of everything, of rows, of columns, with lengths at the edges of lanes, blocks and runs.
#[test]
fn folds_at_the_edges_of_the_tree() {
    for dtype in [DType::F32, DType::F16, DType::I8] {
        for fold in [Fold::Sum, Fold::ArgMax] {
            let result = if fold == Fold::Sum { dtype } else { DType::I64 };
            for length in [1, 31, 32, 33, 4095, 4096, 4097, 70_000] {
                for (outer, strides) in [(1i64, [1, 1]), (3, [length, 1]), (5, [1, 5]), (40, [1, 40])] {
                    if outer == 40 && length > 5000 {
                        continue;
                    }
                    let load = Instr::Load { argument: 0, access: access(&strides) };
                    let values = vec![
                        value(load, dtype, Scope::Element, 0),
                        value(Instr::Reduce { fold, operand: 0 }, result, Scope::Row, 0),
                    ];
                    let case = single(&[outer as usize], &[length as usize], values, &strides, Scope::Row);
                    compare(&case, &format!("{fold:?} of {dtype} [{outer}, {length}]"));
                }
            }
        }
    }
}

/// softmax: two reductions and a quotient.
#[test]
fn softmax_in_rows_and_columns() {
    for (rows, length) in [(1usize, 20_000usize), (3, 9000), (50, 10), (20, 700), (5, 5000), (130, 64)] {
        for by_columns in [false, true] {
            let strides = if by_columns { [1, rows as i64] } else { [length as i64, 1] };
            let values = vec![
                value(Instr::Load { argument: 0, access: access(&strides) }, DType::F32, Scope::Element, 0),
                value(Instr::Reduce { fold: Fold::Max, operand: 0 }, DType::F32, Scope::Row, 0),
                value(pointwise(Code::Sub, &[0, 1]), DType::F32, Scope::Element, 1),
                value(pointwise(Code::Exp, &[2]), DType::F32, Scope::Element, 1),
                value(Instr::Reduce { fold: Fold::Sum, operand: 3 }, DType::F32, Scope::Row, 1),
                value(pointwise(Code::Div, &[3, 4]), DType::F32, Scope::Element, 2),
            ];
            let mut case = single(&[rows], &[length], values, &strides, Scope::Element);
            compare(&case, &format!("softmax [{rows}, {length}] columns {by_columns}"));
            case.group.stores[0].index.strides = SmallVec::from_slice(&strides);
            case.memories[1] = case.memories[0].clone();
            case.outputs[1] = Some(Some(0));
            compare(&case, &format!("softmax in place [{rows}, {length}] columns {by_columns}"));
        }
    }
}

/// m ← βm + g, v ← v + m², p ← p − m·v, all in place.
#[test]
fn several_results_in_place() {
    let load = |argument| Instr::Load { argument, access: access(&[1]) };
    let f32s = |instr| value(instr, DType::F32, Scope::Row, 0);
    let values = vec![
        f32s(load(0)),
        f32s(load(1)),
        f32s(load(2)),
        f32s(load(3)),
        f32s(pointwise(Code::Add, &[1, 0])),
        f32s(pointwise(Code::Mul, &[4, 4])),
        f32s(pointwise(Code::Add, &[2, 5])),
        f32s(pointwise(Code::Mul, &[4, 6])),
        f32s(pointwise(Code::Sub, &[3, 7])),
        // Reads the old momentum after the new one is known.
        f32s(pointwise(Code::Add, &[8, 1])),
    ];
    for n in [10usize, 3000, 100_000] {
        let mut numbers = Numbers::new(5);
        let mut memories: Vec<Memory> =
            (0..4).map(|_| Memory { bytes: elements(&mut numbers, DType::F32, n, false), first: 0 }).collect();
        for donor in 1..4 {
            memories.push(memories[donor].clone());
        }
        let store = |value, argument| Store { value, argument, index: row_major(&[n], 0) };
        let group = Group {
            outer: SmallVec::from_slice(&[n]),
            inner: SmallVec::new(),
            values: values.clone(),
            stores: vec![store(4, 4), store(6, 5), store(9, 6)],
        };
        let outputs = vec![None, None, None, None, Some(Some(1)), Some(Some(2)), Some(Some(3))];
        compare(&Case { group: group.clone(), memories: memories.clone(), outputs, slots: Vec::new() }, "optimiser");
        // Two tensors swapped: each result is the other's old value.
        let group = Group { stores: vec![store(1, 4), store(2, 5), store(3, 6)], ..group };
        let outputs = vec![None, None, None, None, Some(Some(2)), Some(Some(1)), Some(Some(3))];
        memories.swap(4, 5);
        compare(&Case { group, memories, outputs, slots: Vec::new() }, "swap");
    }
}

#[test]
fn runs_can_be_cancelled() {
    let load = value(Instr::Load { argument: 0, access: access(&[1]) }, DType::F32, Scope::Row, 0);
    // Long enough on any machine to be asked in the middle of the kernel.
    let exps = (0..12).map(|operand| value(pointwise(Code::Exp, &[operand]), DType::F32, Scope::Row, 0));
    let values: Vec<_> = std::iter::once(load).chain(exps).collect();
    let mut case = single(&[1], &[], values, &[12], Scope::Row);
    let n = 30_000_000;
    case.group.outer[0] = n;
    case.memories.iter_mut().for_each(|memory| memory.bytes = vec![0; 4 * n]);
    let mut plan = plan(&case);
    plan.commit = 1;
    let error = run(&case, &plan, &|| true).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Interrupted);
}

#[test]
fn bad_indices_are_errors() {
    let load = value(Instr::Load { argument: 0, access: access(&[1]) }, DType::I32, Scope::Row, 0);
    let check = Instr::Check { operand: 0, limit: 50, wrap: false, context: "take".into() };
    let mut case = single(&[5000], &[], vec![load, value(check, DType::I32, Scope::Row, 0)], &[1], Scope::Row);
    case.memories[0].bytes.fill(0);
    compare(&case, "good indices");
    case.memories[0].bytes[4 * 3210] = 50;
    let error = run(&case, &plan(&case), &|| false).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Index);
    assert_eq!(error.message, "take: index 50 is out of range for size 50. Use indices from 0 to 49.");
}
