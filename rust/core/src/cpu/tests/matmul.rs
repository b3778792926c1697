//! Tests of matrix products: batches, broadcasting, strides, dtypes, epilogues, against sums in float64.
//! Depends on `random`. Invariant: any number of threads gives the same bits.

use smallvec::SmallVec;

use super::random::{Numbers, elements};
use super::{access, pointwise, value};
use crate::backend::{Backend, Bindings, BufferRef};
use crate::code::Code;
use crate::cpu::CpuBackend;
use crate::dtype::{DType, Scalar};
use crate::group::{Group, Instr, Linear, Scope, Store};
use crate::kit::threads::set_num_threads;
use crate::kit::tiles;
use crate::layout::{Layout, Strides};
use crate::plan::{Argument, Kernel, Matmul, Place, Plan, PlanOutput, Prepared, Temporary, Work, row_major};
use crate::shape::Shape;

/// Elements of a result that are looked at.
const SAMPLES: usize = 300;

/// How the two matrix axes and the batch of an operand lie in memory.
#[derive(Clone, Copy, Debug)]
enum Form {
    Plain,
    Turned,
    Backwards,
    Spread,
    Repeated,
}

/// A layout of `[batch…, rows, columns]` and the elements that its memory needs; element 0 is where the first index lies after the offset.
fn layout(batch: &[usize], rows: usize, columns: usize, form: Form) -> (Layout, usize) {
    let sizes: Vec<usize> = batch.iter().copied().chain([rows, columns]).collect();
    let (row, column, gap) = match form {
        Form::Turned => (1, rows as isize, 1),
        Form::Spread => (2 * columns as isize + 1, 2, 3),
        _ => (columns as isize, 1, 1),
    };
    let matrix = gap * rows.max(1) as isize * columns.max(1) as isize;
    let mut strides: Strides = SmallVec::from_elem(0, batch.len());
    let mut step = matrix;
    if !matches!(form, Form::Repeated) {
        for (stride, &size) in strides.iter_mut().zip(batch).rev() {
            *stride = step;
            step *= size as isize;
        }
    }
    let backwards = matches!(form, Form::Backwards);
    strides.extend([if backwards { -row } else { row }, column]);
    let offset = if backwards { row * (rows as isize - 1) } else { 0 };
    (Layout { shape: Shape::new(&sizes).unwrap(), strides, offset }, step as usize + 8)
}

fn number(dtype: DType, memory: &[u8], element: isize) -> f64 {
    let source = &memory[element as usize * dtype.size()..][..dtype.size()];
    let (mut bits, mut wide) = (0u64, 0f64);
    // SAFETY: one element is there, and the locals hold any value.
    unsafe {
        tiles::load(dtype, 1, source.as_ptr(), 1, (&raw mut bits).cast());
        tiles::cast(dtype, DType::F64, 1, (&raw mut wide).cast(), (&raw const bits).cast());
    }
    wide
}

fn check(dtype: DType, batch: &[usize], [m, n, k]: [usize; 3], [left, right]: [Form; 2], with_epilogue: bool) {
    let name = format!("{dtype} {batch:?} {m}×{n}×{k} {left:?} {right:?} {with_epilogue}");
    let backend = CpuBackend::new();
    let mut numbers = Numbers::new((m * 31 + n * 7 + k) as u64);
    let operands = [layout(batch, m, k, left), layout(batch, k, n, right)];
    let counts = [operands[0].1, operands[1].1, n + 1];
    let memories: Vec<Vec<u8>> = counts.into_iter().map(|count| elements(&mut numbers, dtype, count, false)).collect();
    let count = batch.iter().product::<usize>() * m * n;
    let sizes: Vec<usize> = batch.iter().copied().chain([m, n]).collect();
    let result = Layout::contiguous(Shape::new(&sizes).unwrap());
    let bias = Layout::contiguous(Shape::new(&[n]).unwrap());
    // max(product + bias, 1)
    let row = row_major(&sizes, 0).strides;
    let mut column: SmallVec<[i64; 4]> = SmallVec::from_elem(0, sizes.len());
    column[sizes.len() - 1] = 1;
    let values = vec![
        value(Instr::Load { argument: 3, access: access(&row) }, dtype, Scope::Row, 0),
        value(Instr::Load { argument: 2, access: access(&column) }, dtype, Scope::Row, 0),
        value(pointwise(Code::Add, &[0, 1]), dtype, Scope::Row, 0),
        value(Instr::Scalar { slot: 0 }, dtype, Scope::Row, 0),
        value(pointwise(Code::Maximum, &[2, 3]), dtype, Scope::Row, 0),
    ];
    let epilogue = Group {
        outer: SmallVec::from_slice(&sizes),
        inner: SmallVec::new(),
        values,
        stores: vec![Store { value: 4, argument: 4, index: row_major(&sizes, 0) }],
    };
    let argument = |place, layout: &Layout, write| Argument {
        place,
        dtype,
        layout: layout.clone(),
        start: Linear::default(),
        write,
    };
    let arguments = vec![
        argument(Place::Input(0), &operands[0].0, false),
        argument(Place::Input(1), &operands[1].0, false),
        argument(Place::Input(2), &bias, false),
        argument(if with_epilogue { Place::Temporary(0) } else { Place::Output(0) }, &result, true),
        argument(Place::Output(0), &result, true),
    ];
    let work = Matmul {
        batch: SmallVec::from_slice(batch),
        m,
        n,
        k,
        dtype,
        lhs: 0,
        rhs: 1,
        result: 3,
        epilogue: with_epilogue.then_some(epilogue),
    };
    let bytes = (count * dtype.size()).next_multiple_of(64);
    let plan = Plan {
        kernels: vec![Kernel::new(Work::Matmul(work), arguments)],
        commit: 1,
        temporaries: vec![Temporary { offset: 0, bytes }],
        arena: bytes,
        outputs: vec![PlanOutput { dtype, elements: count, donor: None }],
        constants: Vec::new(),
        prepared: Prepared::default(),
    };
    let inputs: Vec<(BufferRef, isize)> =
        memories.iter().map(|memory| (backend.upload(DType::U8, memory).unwrap(), 0)).collect();
    let arena = backend.allocate(bytes).unwrap();
    let one = if dtype.is_float() { Scalar::Float(1.0) } else { Scalar::Int(1) };
    let slots = [one.to_slot(dtype)];
    let mut seen: Option<Vec<u8>> = None;
    for threads in [1, 2, 4] {
        set_num_threads(threads);
        let outputs = vec![(backend.allocate(bytes).unwrap(), 0)];
        let cancelled = || false;
        let bindings = Bindings {
            inputs: &inputs,
            outputs: &outputs,
            arena: Some(&arena),
            slots: &slots,
            cancelled: &cancelled,
            watch: None,
        };
        backend.run(&plan, &bindings).unwrap();
        let mut got = vec![0u8; count * dtype.size()];
        backend.download(&outputs[0].0, DType::U8, 0, &mut got).unwrap();
        assert!(seen.as_ref().is_none_or(|other| *other == got), "{name}: {threads} threads differ");
        seen = Some(got);
    }
    let got = seen.unwrap();
    for at in 0..count.min(SAMPLES) {
        let at = if count > SAMPLES { numbers.below(count) } else { at };
        let (mut rest, mut offsets) = (at / (m * n), [operands[0].0.offset, operands[1].0.offset]);
        for axis in (0..batch.len()).rev() {
            for (offset, (layout, _)) in offsets.iter_mut().zip(&operands) {
                *offset += (rest % batch[axis]) as isize * layout.strides[axis];
            }
            rest /= batch[axis];
        }
        let (i, j) = ((at / n % m) as isize, (at % n) as isize);
        let [l, r] = [&operands[0].0.strides[batch.len()..], &operands[1].0.strides[batch.len()..]];
        let terms = (0..k as isize).map(|p| {
            let x = number(dtype, &memories[0], offsets[0] + i * l[0] + p * l[1]);
            x * number(dtype, &memories[1], offsets[1] + p * r[0] + j * r[1])
        });
        let mut expected: f64 = terms.clone().sum();
        let scale: f64 = terms.map(f64::abs).sum::<f64>() + 1.0;
        if with_epilogue {
            expected = (expected + number(dtype, &memories[2], j)).max(1.0);
        }
        let found = number(dtype, &got, at as isize);
        let tolerance = match dtype {
            DType::F16 => 2e-3,
            DType::BF16 => 2e-2,
            DType::F32 => 1e-5,
            DType::F64 => 1e-13,
            _ => 0.0,
        };
        assert!((found - expected).abs() <= tolerance * scale, "{name} at {at}: {found}, expected {expected}");
    }
}

#[test]
fn products_of_every_form() {
    use Form::*;
    let shapes =
        [[1, 1, 1], [3, 5, 0], [7, 4, 9], [1, 300, 70], [130, 1, 200], [64, 130, 300], [260, 270, 80], [600, 10, 128]];
    for (index, shape) in shapes.into_iter().enumerate() {
        for forms in [[Plain, Plain], [Plain, Turned], [Turned, Plain], [Backwards, Spread], [Spread, Turned]] {
            check(DType::F32, &[], shape, forms, index % 2 == 0);
            check(DType::F32, &[], shape, forms, index % 2 == 1);
        }
    }
}

#[test]
fn batches_and_repeated_operands() {
    use Form::*;
    for shape in [[4, 5, 6], [40, 50, 60], [100, 80, 90]] {
        for batch in [&[3usize][..], &[2, 5], &[40], &[0], &[1, 1]] {
            for forms in [[Plain, Plain], [Plain, Repeated], [Repeated, Turned], [Turned, Plain], [Spread, Repeated]] {
                check(DType::F32, batch, shape, forms, shape[0] == 40);
            }
        }
    }
}

#[test]
fn products_of_every_dtype() {
    for dtype in [DType::F64, DType::F16, DType::BF16, DType::I64] {
        for shape in [[5, 6, 7], [70, 90, 110]] {
            check(dtype, &[2], shape, [Form::Plain, Form::Turned], true);
        }
    }
}

#[test]
fn bfloat16_products_of_every_form() {
    use Form::*;
    // Of odd and even depth, of one block and of several that share a packed operand.
    for (index, shape) in
        [[1, 1, 1], [3, 5, 0], [7, 4, 9], [1, 300, 70], [130, 1, 201], [64, 130, 300], [260, 270, 81], [600, 10, 128]]
            .into_iter()
            .enumerate()
    {
        for forms in [[Plain, Plain], [Plain, Turned], [Turned, Plain], [Backwards, Spread], [Spread, Turned]] {
            check(DType::BF16, &[], shape, forms, index % 2 == 0);
            check(DType::BF16, &[], shape, forms, index % 2 == 1);
        }
    }
    for forms in [[Plain, Plain], [Plain, Repeated], [Repeated, Turned], [Turned, Plain], [Spread, Repeated]] {
        check(DType::BF16, &[2, 5], [40, 50, 61], forms, true);
        check(DType::BF16, &[3], [100, 80, 90], forms, false);
    }
}
