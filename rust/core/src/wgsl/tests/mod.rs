//! Every printed shader must be valid WGSL, checked with naga; and sizes must not show in the text.

mod routines;

use smallvec::{SmallVec, smallvec};

use super::*;
use crate::code::{Code, Fold};
use crate::dtype::DType;
use crate::group::{Access, Affine, Group, Guard, Instr, Linear, Scope, Store, Value};
use crate::layout::Layout;
use crate::plan::{Argument, Matmul, Parameter, Place, row_major};
use crate::shape::Shape;

pub(super) fn caps() -> Caps {
    Caps {
        subgroup: (0, 0),
        workgroup_bytes: 16384,
        workgroup_invocations: 256,
        bindings: 8,
        binding_bytes: 1 << 27,
        immediates: 128,
        grid: 65535,
        dtypes: DTYPES.into_iter().chain(WIDE_DTYPES).collect(),
        tile: None,
        vectors: None,
        cooperative: None,
    }
}

fn argument(place: Place, dtype: DType, sizes: &[usize]) -> Argument {
    let write = !matches!(place, Place::Input(_));
    Argument { place, dtype, layout: Layout::contiguous(Shape::new(sizes).unwrap()), start: Linear::default(), write }
}

fn validate(kernel: &Kernel) -> Vec<Candidate> {
    // A few windows on the largest argument.
    let largest = kernel.arguments.iter().map(|argument| 4 * argument.layout.shape.elements() as u64).max();
    let windowed = (largest.unwrap_or(0) / 4).next_multiple_of(256).max(1024);
    for (subgroup, binding_bytes, tile, vectors) in [
        ((8, 32), 1 << 27, Some(16), true),
        ((0, 0), 1 << 27, Some(32), true),
        ((4, 64), 1 << 27, Some(64), false),
        ((0, 0), windowed, Some(128), true),
    ] {
        let other = Caps { subgroup, binding_bytes, tile, vectors: Some(vectors), bindings: 64, ..caps() };
        for launch in lower(kernel, &other).unwrap().iter().flat_map(|way| &way.launches) {
            check(&launch.wgsl);
            launch.otherwise.iter().for_each(|other| check(&other.wgsl));
        }
    }
    let ways = lower(kernel, &caps()).unwrap();
    assert!(!ways.is_empty());
    for launch in ways.iter().flat_map(|way| &way.launches) {
        check(&launch.wgsl);
        assert_eq!(launch.parameters_bound, launch.parameters.len() * 4 > 128);
        assert!(launch.bindings.len() + usize::from(launch.parameters_bound) <= 8);
    }
    ways
}

pub(super) fn check(text: &str) {
    let module =
        naga::front::wgsl::parse_str(text).unwrap_or_else(|error| panic!("{}\n{text}", error.emit_to_string(text)));
    let mut validator = naga::valid::Validator::new(
        naga::valid::ValidationFlags::all(),
        naga::valid::Capabilities::IMMEDIATES
            | naga::valid::Capabilities::SUBGROUP
            | naga::valid::Capabilities::SHADER_INT64
            | naga::valid::Capabilities::FLOAT64
            | naga::valid::Capabilities::SHADER_FLOAT16
            | naga::valid::Capabilities::COOPERATIVE_MATRIX,
    );
    validator.validate(&module).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
}

fn load(argument: usize, dtype: DType, scope: Scope, strides: &[i64]) -> Value {
    let index = Affine { offset: Linear::default(), strides: SmallVec::from_slice(strides) };
    value(Instr::Load { argument, access: Access { index, guards: smallvec![] } }, dtype, scope)
}

fn value(instr: Instr, dtype: DType, scope: Scope) -> Value {
    Value { instr, dtype, scope, stage: 0 }
}

/// A kernel that loads operands, applies one instruction and stores what comes out.
fn pointwise_kernel(operands: &[DType], result: DType, instr: impl FnOnce(SmallVec<[usize; 3]>) -> Instr) -> Kernel {
    let mut arguments: Vec<Argument> =
        operands.iter().enumerate().map(|(n, &dtype)| argument(Place::Input(n), dtype, &[5, 7])).collect();
    arguments.push(argument(Place::Output(0), result, &[5, 7]));
    let mut values: Vec<Value> =
        operands.iter().enumerate().map(|(n, &dtype)| load(n, dtype, Scope::Row, &[7, 1])).collect();
    values.push(value(instr((0..operands.len()).collect()), result, Scope::Row));
    let stores = vec![Store { value: operands.len(), argument: operands.len(), index: row_major(&[5, 7], 0) }];
    Kernel::new(Work::Group(Group { outer: smallvec![5, 7], inner: smallvec![], values, stores }), arguments)
}

#[test]
fn pointwise_functions_and_conversions() {
    for dtype in DTYPES.into_iter().chain(WIDE_DTYPES) {
        for code in Code::ALL.into_iter().filter(|code| code.takes(dtype)) {
            let mut operands = vec![dtype; code.arity()];
            if code == Code::Where {
                operands[0] = DType::Bool;
            }
            let result = if code.is_predicate() { DType::Bool } else { dtype };
            validate(&pointwise_kernel(&operands, result, |operands| Instr::Pointwise { code, operands }));
        }
        for to in DTYPES.into_iter().chain(WIDE_DTYPES) {
            validate(&pointwise_kernel(&[dtype], to, |_| Instr::Cast { operand: 0 }));
        }
        validate(&pointwise_kernel(&[], dtype, |_| Instr::Scalar { slot: 3 }));
    }
    for wrap in [false, true] {
        for dtype in [DType::I32, DType::U8, DType::I64, DType::U64] {
            let check = |_: SmallVec<[usize; 3]>| Instr::Check { operand: 0, limit: 9, wrap, context: String::new() };
            validate(&pointwise_kernel(&[dtype], dtype, check));
        }
    }
    let index = || Affine { offset: Linear::constant(-3), strides: smallvec![-2, 1] };
    validate(&pointwise_kernel(&[], DType::U32, |_| Instr::Random { index: index(), key: 0, counter: 1, stream: 2 }));
    let guards = smallvec![Guard { position: index(), size: 4 }];
    validate(&pointwise_kernel(&[], DType::Bool, |_| Instr::Inside { guards }));
}

fn reduction(dtype: DType, fold: Fold, sizes: [usize; 3]) -> Kernel {
    let result = if matches!(fold, Fold::ArgMax | Fold::ArgMin) { DType::I64 } else { dtype };
    let [rows, length, columns] = sizes;
    let mut values = vec![load(0, dtype, Scope::Element, &[(length * columns) as i64, 1, columns as i64])];
    values.push(value(Instr::Reduce { fold, operand: 0 }, result, Scope::Row));
    let mut stored = result;
    if result == DType::I64 {
        values.push(value(Instr::Cast { operand: 1 }, DType::I32, Scope::Row));
        stored = DType::I32;
    }
    let store = Store { value: values.len() - 1, argument: 1, index: row_major(&[rows, columns], 1) };
    let group = Group { outer: smallvec![rows, columns], inner: smallvec![length], values, stores: vec![store] };
    let arguments =
        vec![argument(Place::Input(0), dtype, &sizes), argument(Place::Output(0), stored, &[rows, columns])];
    Kernel::new(Work::Group(group), arguments)
}

#[test]
fn folds() {
    for dtype in DTYPES.into_iter().chain(WIDE_DTYPES) {
        for fold in [Fold::Sum, Fold::Prod, Fold::Max, Fold::Min, Fold::ArgMax, Fold::ArgMin] {
            assert_eq!(validate(&reduction(dtype, fold, [3, 300, 5])).len(), 2);
            let ways = validate(&reduction(dtype, fold, [1, 1 << 18, 3]));
            assert_eq!((ways.len(), ways[0].launches.len(), ways[0].temporaries.len()), (3, 2, 1));
        }
    }
}

#[test]
fn sizes_do_not_show_in_the_text() {
    let keys = |sizes| -> Vec<String> {
        validate(&reduction(DType::F32, Fold::Sum, sizes)).into_iter().map(|way| way.launches[0].key.clone()).collect()
    };
    assert_eq!(keys([3, 300, 5]), keys([70, 444, 9]));
    assert_ne!(keys([3, 300, 5]), keys([1, 300, 5]));
}

#[test]
fn contiguous_work_needs_no_coordinates() {
    let ways = validate(&pointwise_kernel(&[DType::F32], DType::F32, |operands| Instr::Pointwise {
        code: Code::Neg,
        operands,
    }));
    let launch = &ways[0].launches[0];
    assert!(!launch.wgsl.contains('%'), "{}", launch.wgsl);
    assert_eq!(launch.parameters.len(), 3);
    assert_eq!(launch.parameters[0], Parameter::Word(35));
}

#[test]
fn guarded_and_broadcast_loads() {
    let mut padded = load(0, DType::F32, Scope::Row, &[3, 1]);
    if let Instr::Load { access, .. } = &mut padded.instr {
        access.index.offset.terms.push((0, -3));
        for axis in 0..2 {
            let mut position = Affine { offset: Linear::default(), strides: smallvec![0, 0] };
            position.offset.terms.push((axis, -1));
            position.strides[axis] = 1;
            access.guards.push(Guard { position, size: 3 });
        }
    }
    let mut values = vec![padded];
    let mut arguments = vec![argument(Place::Input(0), DType::F32, &[3, 3])];
    for (n, strides) in [[0i64, 1], [1, 0], [0, 0], [1, 8]].iter().enumerate() {
        arguments.push(argument(Place::Input(n + 1), DType::F32, &[8, 8]));
        values.push(load(n + 1, DType::F32, Scope::Row, strides));
        values.push(value(
            Instr::Pointwise { code: Code::Add, operands: smallvec![2 * n, 2 * n + 1] },
            DType::F32,
            Scope::Row,
        ));
    }
    arguments.push(argument(Place::Temporary(0), DType::F32, &[8, 9]));
    let stores = vec![Store { value: values.len() - 1, argument: 5, index: row_major(&[8, 9], 0) }];
    let group = Group { outer: smallvec![8, 9], inner: smallvec![], values, stores };
    validate(&Kernel::new(Work::Group(group), arguments));
}

#[test]
fn many_parameters_move_to_a_buffer() {
    let mut values = vec![load(0, DType::F32, Scope::Row, &[1])];
    for slot in 0..40 {
        values.push(value(Instr::Scalar { slot }, DType::F32, Scope::Row));
        let operands = smallvec![2 * slot, 2 * slot + 1];
        values.push(value(Instr::Pointwise { code: Code::Add, operands }, DType::F32, Scope::Row));
    }
    let stores = vec![Store { value: 80, argument: 1, index: row_major(&[6], 0) }];
    let group = Group { outer: smallvec![6], inner: smallvec![], values, stores };
    let arguments = vec![argument(Place::Input(0), DType::F32, &[6]), argument(Place::Output(0), DType::F32, &[6])];
    let ways = validate(&Kernel::new(Work::Group(group), arguments));
    assert!(ways[0].launches[0].parameters_bound);
}

/// Softmax over the last axis, with the rows' maxima as a second output.
fn softmax() -> Kernel {
    let strides: [i64; 2] = [50, 1];
    let pointwise = |code, operands: &[usize], scope| {
        value(Instr::Pointwise { code, operands: SmallVec::from_slice(operands) }, DType::F32, scope)
    };
    let reduce = |fold, operand| value(Instr::Reduce { fold, operand }, DType::F32, Scope::Row);
    let values = vec![
        load(0, DType::F32, Scope::Element, &strides),
        reduce(Fold::Max, 0),
        pointwise(Code::Sub, &[0, 1], Scope::Element),
        pointwise(Code::Exp, &[2], Scope::Element),
        reduce(Fold::Sum, 3),
        pointwise(Code::Div, &[3, 4], Scope::Element),
    ];
    let stores = vec![
        Store { value: 5, argument: 1, index: row_major(&[20, 50], 0) },
        Store { value: 1, argument: 2, index: row_major(&[20], 1) },
    ];
    let group = Group { outer: smallvec![20], inner: smallvec![50], values, stores };
    let arguments = vec![
        argument(Place::Input(0), DType::F32, &[20, 50]),
        argument(Place::Output(0), DType::F32, &[20, 50]),
        argument(Place::Output(1), DType::F32, &[20]),
    ];
    Kernel::new(Work::Group(group), arguments)
}

#[test]
fn row_chains() {
    assert_eq!(validate(&softmax()).len(), 2);
}

#[test]
fn matrix_products() {
    for (dtype, batch) in [
        (DType::F32, &[2usize, 3][..]),
        (DType::I32, &[]),
        (DType::U8, &[4]),
        (DType::F16, &[]),
        (DType::F64, &[]),
        (DType::I64, &[2]),
    ] {
        let sizes = |tail: [usize; 2]| [batch, &tail].concat();
        let mut arguments = vec![
            argument(Place::Input(0), dtype, &sizes([20, 30])),
            argument(Place::Input(1), dtype, &sizes([30, 40])),
            argument(Place::Temporary(0), dtype, &sizes([20, 40])),
            argument(Place::Output(0), dtype, &sizes([20, 40])),
        ];
        let rank = batch.len();
        arguments[0].layout.strides.swap(rank, rank + 1);
        if rank > 1 {
            arguments[1].layout.strides[1] = 0;
        }
        let rows = batch.iter().product::<usize>() * 20;
        let values = vec![
            load(2, dtype, Scope::Row, &[40, 1]),
            value(Instr::Pointwise { code: Code::Mul, operands: smallvec![0, 0] }, dtype, Scope::Row),
        ];
        let stores = vec![Store { value: 1, argument: 3, index: row_major(&[rows, 40], 0) }];
        let epilogue = Some(Group { outer: smallvec![rows, 40], inner: smallvec![], values, stores });
        let batch = SmallVec::from_slice(batch);
        let product = Matmul { batch, m: 20, n: 40, k: 30, dtype, lhs: 0, rhs: 1, result: 2, epilogue };
        let ways = validate(&Kernel::new(Work::Matmul(product), arguments));
        // The epilogue works on elements as they are finished.
        assert_eq!(ways[0].launches.len(), 1);
    }
}

#[test]
fn vectors_and_long_sums() {
    for (m, n, k, launches) in
        [(1, 500, 64, 1), (500, 1, 64, 1), (1, 1, 5000, 1), (20, 20, 4096, 2), (300, 400, 500, 1)]
    {
        let arguments = vec![
            argument(Place::Input(0), DType::F32, &[m, k]),
            argument(Place::Input(1), DType::F32, &[k, n]),
            argument(Place::Output(0), DType::F32, &[m, n]),
        ];
        let batch = SmallVec::new();
        let product = Matmul { batch, m, n, k, dtype: DType::F32, lhs: 0, rhs: 1, result: 2, epilogue: None };
        assert_eq!(validate(&Kernel::new(Work::Matmul(product), arguments))[0].launches.len(), launches);
    }
}

#[test]
fn products_on_units_for_matrices() {
    for (side, lanes) in [(16, 32), (8, 8)] {
        let caps = Caps { cooperative: Some(side), subgroup: (lanes, lanes), workgroup_bytes: 32768, ..caps() };
        for (sizes, transposed, epilogue) in
            [([64, 64, 64], false, true), ([70, 52, 45], true, true), ([33, 47, 100], false, false)]
        {
            let [m, n, k] = sizes;
            let mut arguments = vec![
                argument(Place::Input(0), DType::F16, &[m, k]),
                argument(Place::Input(1), DType::F16, &[k, n]),
                argument(Place::Temporary(0), DType::F16, &[m, n]),
                argument(Place::Output(0), DType::F32, &[m, n]),
            ];
            if transposed {
                arguments[0].layout.strides = smallvec![1, m as isize];
            }
            let values = vec![
                load(2, DType::F16, Scope::Row, &[n as i64, 1]),
                value(Instr::Cast { operand: 0 }, DType::F32, Scope::Row),
            ];
            let stores = vec![Store { value: 1, argument: 3, index: row_major(&[m, n], 0) }];
            let group = Group { outer: smallvec![m, n], inner: smallvec![], values, stores };
            let product = Matmul {
                batch: SmallVec::new(),
                m,
                n,
                k,
                dtype: DType::F16,
                lhs: 0,
                rhs: 1,
                result: 2,
                epilogue: epilogue.then_some(group),
            };
            let ways = lower(&Kernel::new(Work::Matmul(product), arguments), &caps).unwrap();
            let launch = &ways[0].launches[0];
            check(&launch.wgsl);
            launch.otherwise.iter().for_each(|other| check(&other.wgsl));
            assert!(launch.wgsl.contains(&format!("coop_mat{side}x{side}<f32, C>")), "{}", launch.wgsl);
        }
    }
}

#[test]
fn nothing_to_do_needs_no_launch() {
    let kernel = reduction(DType::F32, Fold::Sum, [0, 4, 3]);
    assert!(lower(&kernel, &caps()).unwrap()[0].launches.is_empty());
    validate(&reduction(DType::F32, Fold::Sum, [2, 0, 3]));
}

#[test]
fn what_a_device_cannot_do_is_an_error() {
    let kernel =
        pointwise_kernel(&[DType::F64], DType::F64, |_| Instr::Pointwise { code: Code::Neg, operands: smallvec![0] });
    let mut narrow = caps();
    narrow.dtypes.retain(|&dtype| dtype != DType::F64);
    assert!(lower(&kernel, &narrow).unwrap_err().message.contains("float64"));
    let mut few = caps();
    few.bindings = 2;
    let kernel = pointwise_kernel(&[DType::F32, DType::F32], DType::F32, |operands| Instr::Pointwise {
        code: Code::Add,
        operands,
    });
    assert!(lower(&kernel, &few).unwrap_err().message.contains("3 buffers"));
}

#[test]
fn bindings_can_be_made_writable() {
    let ways = validate(&softmax());
    let text = with_writable(&ways[0].launches[0].wgsl, 0);
    assert!(text.contains("@binding(0) var<storage, read_write> b0"));
    check(&text);
}
