//! The tile loops against naive scalar definitions, for every function and dtype they take.
//! Depends on `tiles`. Invariant: references are written from the docs of `Code` and `Fold`, in f64 or i128, not from the loops.

use super::number::{Number, compute_size, with_compute};
use super::*;
use crate::code::{Code, Fold};
use crate::dtype::{Compute, DType, Scalar};

/// A value of any dtype: floats exactly, integers and masks as numbers.
#[derive(Clone, Copy, Debug)]
enum Value {
    Int(i128),
    Float(f64),
}
use Value::{Float, Int};

impl Value {
    fn of(dtype: DType, slot: u64) -> Value {
        match dtype.compute() {
            Compute::F32 => Float(f64::from(f32::from_slot(slot))),
            Compute::F64 => Float(f64::from_slot(slot)),
            Compute::U64 => Int(i128::from(slot)),
            _ => Int(i128::from(slot as i64)),
        }
    }

    fn slot(self, dtype: DType) -> u64 {
        match self {
            Int(i) => Scalar::Int(i).to_slot(dtype),
            Float(f) => Scalar::Float(f).to_slot(dtype),
        }
    }
}

/// Memory that starts one byte off any alignment.
struct Tile(Vec<u8>);

impl Tile {
    fn new(compute: Compute, n: usize) -> Self {
        Tile(vec![0xAB; n * compute_size(compute) + 1])
    }
    fn of(compute: Compute, slots: &[u64]) -> Self {
        let mut tile = Tile::new(compute, slots.len());
        for (i, &slot) in slots.iter().enumerate() {
            // SAFETY: the tile has one value per slot.
            with_compute!(compute, T => unsafe { tile.start().cast::<T>().add(i).write_unaligned(T::from_slot(slot)) });
        }
        tile
    }
    fn start(&mut self) -> *mut u8 {
        self.0[1..].as_mut_ptr()
    }
    fn slots(&mut self, compute: Compute, n: usize) -> Vec<u64> {
        let start = self.start();
        let value = |i: usize| {
            // SAFETY: the tile has n values.
            with_compute!(compute, T => unsafe { start.cast::<T>().add(i).read_unaligned().to_slot() })
        };
        (0..n).map(value).collect()
    }
}

/// Interesting values of a dtype, in an order that meets every pair when two such lists are shifted.
fn samples(dtype: DType, n: usize, salt: u64) -> Vec<u64> {
    let specials: Vec<Value> = if let Some((low, high)) = dtype.integer_range() {
        [0, 1, 2, 3, 5, 7, 31, 63, 64, 100, -1, -2, -3, -7, low, low + 1, high, high - 1]
            .into_iter()
            .filter(|i| (low..=high).contains(i))
            .map(Int)
            .collect()
    } else {
        let floats =
            [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 3.0, 0.1, -7.3, 1e-3, 12.75, 100.0, 6e4, -6e4, 1e-7, 3e-5];
        let ends = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e30, -1e30];
        floats.into_iter().chain(ends).map(Float).collect()
    };
    let mut state = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            specials[(state >> 33) as usize % specials.len()].slot(dtype)
        })
        .collect()
}

fn naive_float(code: Code, a: f64, b: f64) -> f64 {
    let sign_rule = |r: f64| if r != 0.0 && (r < 0.0) != (b < 0.0) { r + b } else { r };
    match code {
        Code::Neg => -a,
        Code::Abs => a.abs(),
        Code::Sign => {
            if a > 0.0 {
                1.0
            } else if a < 0.0 {
                -1.0
            } else {
                a
            }
        }
        Code::Floor => a.floor(),
        Code::Ceil => a.ceil(),
        Code::Round => a.round_ties_even(),
        Code::Trunc => a.trunc(),
        Code::Sqrt => a.sqrt(),
        Code::Exp => a.exp(),
        Code::Expm1 => a.exp_m1(),
        Code::Log => a.ln(),
        Code::Log1p => a.ln_1p(),
        Code::Log2 => a.log2(),
        Code::Log10 => a.log10(),
        Code::Sin => a.sin(),
        Code::Cos => a.cos(),
        Code::Tan => a.tan(),
        Code::Asin => a.asin(),
        Code::Acos => a.acos(),
        Code::Atan => a.atan(),
        Code::Sinh => a.sinh(),
        Code::Cosh => a.cosh(),
        Code::Tanh => a.tanh(),
        Code::Asinh => a.asinh(),
        Code::Acosh => a.acosh(),
        Code::Atanh => a.atanh(),
        Code::Sigmoid => {
            if a < 0.0 {
                a.exp() / (1.0 + a.exp())
            } else {
                1.0 / (1.0 + (-a).exp())
            }
        }
        Code::Add => a + b,
        Code::Sub => a - b,
        Code::Mul => a * b,
        Code::Div => a / b,
        Code::Mod => sign_rule(a % b),
        Code::FloorDiv if b == 0.0 || !a.is_finite() || b.is_nan() => (a / b).floor(),
        Code::FloorDiv => {
            if b.is_infinite() {
                if a == 0.0 || (a < 0.0) == (b < 0.0) { 0.0 } else { -1.0 }
            } else {
                ((a - sign_rule(a % b)) / b).round()
            }
        }
        Code::Pow => a.powf(b),
        Code::Atan2 => a.atan2(b),
        Code::Maximum => {
            if a.is_nan() || b.is_nan() {
                f64::NAN
            } else {
                a.max(b)
            }
        }
        Code::Minimum => {
            if a.is_nan() || b.is_nan() {
                f64::NAN
            } else {
                a.min(b)
            }
        }
        _ => unreachable!("{code:?}"),
    }
}

fn naive_integer(code: Code, dtype: DType, a: i128, b: i128) -> i128 {
    let (low, high) = dtype.integer_range().unwrap();
    let width = 8 * dtype.size() as i128;
    if dtype == DType::Bool {
        return match code {
            Code::Not => 1 - a,
            Code::Add | Code::Or | Code::Maximum => a | b,
            Code::Mul | Code::And | Code::Minimum => a & b,
            Code::Xor => a ^ b,
            _ => unreachable!("{code:?}"),
        };
    }
    let floor_div = |a: i128, b: i128| a.div_euclid(b) - i128::from(b < 0 && a.rem_euclid(b) != 0);
    match code {
        Code::Neg => -a,
        Code::Abs => a.abs(),
        Code::Sign => a.signum(),
        Code::Floor | Code::Ceil | Code::Round | Code::Trunc => a,
        Code::Not => !a,
        Code::Add => a + b,
        Code::Sub => a - b,
        Code::Mul => a.wrapping_mul(b),
        Code::FloorDiv => {
            if b == 0 {
                0
            } else {
                floor_div(a, b)
            }
        }
        Code::Mod => {
            if b == 0 {
                0
            } else {
                a - floor_div(a, b) * b
            }
        }
        Code::Pow if b < 0 => match a {
            1 => 1,
            -1 => {
                if b % 2 == 0 {
                    1
                } else {
                    -1
                }
            }
            _ => 0,
        },
        Code::Pow => {
            // Squaring modulo 2⁶⁴ is exact for every dtype once wrapped; u128 keeps the products whole.
            let (mut power, mut base, mut left) = (1u128, a as u64 as u128, b as u128);
            while left > 0 {
                if left & 1 == 1 {
                    power = (power * base) & u128::from(u64::MAX);
                }
                base = (base * base) & u128::from(u64::MAX);
                left >>= 1;
            }
            power as i128
        }
        Code::Maximum => a.max(b),
        Code::Minimum => a.min(b),
        Code::And => a & b,
        Code::Or => a | b,
        Code::Xor => a ^ b,
        Code::Shl => {
            if (0..width).contains(&b) {
                a << b
            } else {
                0
            }
        }
        Code::Shr => {
            if (0..width).contains(&b) {
                a >> b
            } else if a < 0 {
                -1
            } else {
                0
            }
        }
        _ => unreachable!("{code:?} {low} {high}"),
    }
}

fn naive(code: Code, dtype: DType, a: u64, b: u64) -> u64 {
    let (x, y) = (Value::of(dtype, a), Value::of(dtype, b));
    if code.is_predicate() {
        return u64::from(match (x, y) {
            (Float(x), Float(y)) => match code {
                Code::IsNan => x.is_nan(),
                Code::IsInf => x.is_infinite(),
                Code::IsFinite => x.is_finite(),
                Code::Equal => x == y,
                Code::NotEqual => x != y,
                Code::Less => x < y,
                Code::LessEqual => x <= y,
                Code::Greater => x > y,
                _ => x >= y,
            },
            (Int(x), Int(y)) => match code {
                Code::Equal => x == y,
                Code::NotEqual => x != y,
                Code::Less => x < y,
                Code::LessEqual => x <= y,
                Code::Greater => x > y,
                _ => x >= y,
            },
            _ => unreachable!(),
        });
    }
    match (x, y) {
        (Float(x), Float(y)) => Float(naive_float(code, x, y)).slot(dtype),
        (Int(x), Int(y)) => Int(naive_integer(code, dtype, x, y)).slot(dtype),
        _ => unreachable!(),
    }
}

/// Whether two results agree: exactly, or for the elementary functions within a few units of the dtype.
fn agree(code: Code, dtype: DType, got: u64, exact: u64) -> bool {
    if got == exact || code.is_predicate() || !dtype.is_float() {
        return got == exact;
    }
    let (Float(x), Float(y)) = (Value::of(dtype, got), Value::of(dtype, exact)) else { unreachable!() };
    let unit = match dtype {
        DType::F16 => 1e-3,
        DType::BF16 => 8e-3,
        DType::F32 => 3e-7,
        _ => 1e-15,
    };
    let exactly = code.is_cheap() || matches!(code, Code::Sqrt | Code::Div | Code::Mod);
    (x.is_nan() && y.is_nan())
        || (x == y && (x != 0.0 || matches!(code, Code::FloorDiv | Code::Mod | Code::Maximum | Code::Minimum)))
        || (!exactly && (x - y).abs() <= unit * y.abs() + f64::from(f32::MIN_POSITIVE) * 1e-6)
}

fn check(code: Code, dtype: DType, n: usize) {
    let compute = dtype.compute();
    let result = if code.is_predicate() { Compute::Mask } else { compute };
    let (a, b) = (samples(dtype, n, 1), samples(dtype, n, 2 + code as u64));
    let (mut tile_a, mut tile_b) = (Tile::of(compute, &a), Tile::of(compute, &b));
    let vectors = [Operand::Vector(tile_a.start()), Operand::Vector(tile_b.start())];
    let mut mixes = vec![(vectors, 1, 1)];
    if n > 0 {
        mixes.push(([Operand::Scalar(a[0]), Operand::Scalar(b[0])], 0, 0));
        if code.arity() == 2 {
            mixes.push(([vectors[0], Operand::Scalar(b[0])], 1, 0));
            mixes.push(([Operand::Scalar(a[0]), vectors[1]], 0, 1));
        }
    }
    for (operands, step_a, step_b) in mixes {
        let mut out = Tile::new(result, n);
        // SAFETY: all tiles hold n values.
        unsafe { pointwise(code, dtype, n, out.start(), &operands[..code.arity()]) };
        for (i, got) in out.slots(result, n).into_iter().enumerate() {
            let (a, b) = (a[i * step_a], b[i * step_b]);
            let exact = naive(code, dtype, a, b);
            let values = (Value::of(dtype, a), Value::of(dtype, b), Value::of(dtype, got), Value::of(dtype, exact));
            assert!(agree(code, dtype, got, exact), "{code:?} {dtype} {values:?} (a, b, got, exact) at {i} of {n}");
        }
    }
    // In place, on either operand: the same bits.
    let mut out = Tile::new(result, n);
    // SAFETY: all tiles hold n values; masks in place of wider operands are allowed.
    unsafe {
        pointwise(code, dtype, n, out.start(), &vectors[..code.arity()]);
        let mut copy = Tile::of(compute, &a);
        let start = copy.start();
        pointwise(code, dtype, n, start, &[Operand::Vector(start), vectors[1]][..code.arity()]);
        assert_eq!(copy.slots(result, n), out.slots(result, n), "{code:?} {dtype} in place of a");
        if code.arity() == 2 {
            let mut copy = Tile::of(compute, &b);
            let start = copy.start();
            pointwise(code, dtype, n, start, &[vectors[0], Operand::Vector(start)]);
            assert_eq!(copy.slots(result, n), out.slots(result, n), "{code:?} {dtype} in place of b");
        }
    }
}

#[test]
fn functions_of_all_dtypes_match_their_definitions() {
    for code in Code::ALL.into_iter().filter(|&code| code != Code::Where && code != Code::Erf) {
        for dtype in DType::ALL.into_iter().filter(|&dtype| code.takes(dtype)) {
            for n in [0, 1, 64, 65, 700] {
                check(code, dtype, n);
            }
        }
    }
}

#[test]
fn where_takes_any_mix_of_tiles_and_scalars() {
    let n = 131;
    let masks = samples(DType::Bool, n, 5);
    for dtype in DType::ALL {
        let compute = dtype.compute();
        let (yes, no) = (samples(dtype, n, 6), samples(dtype, n, 7));
        let mut tiles = [Tile::of(Compute::Mask, &masks), Tile::of(compute, &yes), Tile::of(compute, &no)];
        for mix in 0..8 {
            let scalar = |k: usize| mix >> k & 1 == 1;
            let lists = [&masks, &yes, &no];
            let operands: Vec<Operand> = (0..3)
                .map(|k| if scalar(k) { Operand::Scalar(lists[k][0]) } else { Operand::Vector(tiles[k].start()) })
                .collect();
            let mut out = Tile::new(compute, n);
            // SAFETY: all tiles hold n values.
            unsafe { pointwise(Code::Where, dtype, n, out.start(), &operands) };
            let at = |k: usize, i: usize| lists[k][if scalar(k) { 0 } else { i }];
            let exact: Vec<u64> = (0..n).map(|i| if at(0, i) != 0 { at(1, i) } else { at(2, i) }).collect();
            assert_eq!(out.slots(compute, n), exact, "{dtype} mix {mix}");
        }
    }
}

#[test]
fn every_half_float_loads_and_stores_exactly() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    let n = all.len();
    for dtype in [DType::F16, DType::BF16] {
        let mut floats = vec![0f32; n];
        let mut back = vec![0u16; n];
        // SAFETY: the vectors hold n values.
        unsafe {
            load(dtype, n, all.as_ptr().cast(), 1, floats.as_mut_ptr().cast());
            store(dtype, n, floats.as_ptr().cast(), back.as_mut_ptr().cast(), 1);
        }
        for (i, &bits) in all.iter().enumerate() {
            let exact = if dtype == DType::F16 {
                half::f16::from_bits(bits).to_f32()
            } else {
                half::bf16::from_bits(bits).to_f32()
            };
            if exact.is_nan() {
                // Signalling ones may come back quiet.
                let quiet = if dtype == DType::F16 { 0x200 } else { 0x40 };
                assert!(floats[i].is_nan() && back[i] | quiet == bits | quiet, "{dtype} {bits:x} {:x}", back[i]);
            } else {
                assert_eq!((floats[i], back[i]), (exact, bits), "{dtype}");
            }
        }
    }
}

#[test]
fn rounding_to_half_floats_is_to_nearest_even() {
    let inputs: Vec<f32> = (0..1_000_000u32).map(|i| f32::from_bits(i.wrapping_mul(4297))).collect();
    for dtype in [DType::F16, DType::BF16] {
        let mut bits = vec![0u16; inputs.len()];
        // SAFETY: the vectors hold as many values.
        unsafe { store(dtype, inputs.len(), inputs.as_ptr().cast(), bits.as_mut_ptr().cast(), 1) };
        for (&x, &got) in inputs.iter().zip(&bits) {
            let (exact, nan) = if dtype == DType::F16 {
                (half::f16::from_f32(x).to_bits(), half::f16::from_bits(got).is_nan())
            } else {
                (half::bf16::from_f32(x).to_bits(), half::bf16::from_bits(got).is_nan())
            };
            assert!(got == exact || (x.is_nan() && nan), "{dtype} {x:e}: {got:x}, not {exact:x}");
            let rounded = Value::of(dtype, round_to(dtype, x.to_slot()));
            let Float(rounded) = rounded else { unreachable!() };
            let exact = Scalar::Float(f64::from(x)).to_slot(dtype);
            assert!(
                rounded.is_nan() == x.is_nan() && (x.is_nan() || (rounded as f32).to_slot() == exact),
                "{dtype} {x:e} {:x}: {rounded:e} {exact:x}",
                x.to_bits()
            );
        }
    }
}

#[test]
fn strided_loads_and_stores_walk_any_way() {
    for dtype in DType::ALL {
        let (n, compute) = (70, dtype.compute());
        let slots = samples(dtype, n, 9);
        let mut values = Tile::of(compute, &slots);
        for stride in [1isize, 2, 3, -1, -2] {
            let mut memory = vec![0u8; 3 * n * dtype.size()];
            let origin = if stride < 0 { (n - 1) * stride.unsigned_abs() } else { 0 };
            let mut back = Tile::new(compute, n);
            // SAFETY: the memory has room for n elements at this stride on this side of the origin.
            unsafe {
                let start = memory.as_mut_ptr().add(origin * dtype.size());
                store(dtype, n, values.start(), start, stride);
                load(dtype, n, start, stride, back.start());
                assert_eq!(back.slots(compute, n), slots, "{dtype} stride {stride}");
                load(dtype, n, start, 0, back.start());
            }
            assert_eq!(back.slots(compute, n), vec![slots[0]; n], "{dtype} repeated");
        }
    }
}

#[test]
fn casts_truncate_saturate_wrap_and_round() {
    for from in DType::ALL {
        for to in DType::ALL {
            let n = 300;
            let slots = samples(from, n, 3);
            let (mut src, mut dst) = (Tile::of(from.compute(), &slots), Tile::new(to.compute(), n));
            // SAFETY: the tiles hold n values.
            unsafe { cast(from, to, n, dst.start(), src.start()) };
            for (&slot, got) in slots.iter().zip(dst.slots(to.compute(), n)) {
                let value = Value::of(from, slot);
                let exact = match (value, to.integer_range()) {
                    (Int(i), Some(_)) if to == DType::Bool => u64::from(i != 0),
                    (Float(f), Some(_)) if to == DType::Bool => u64::from(f != 0.0),
                    (Float(f), Some((low, high))) => {
                        Int(if f.is_nan() { 0 } else { (f as i128).clamp(low, high) }).slot(to)
                    }
                    (Int(i), _) if to.is_float() => Float(i as f64).slot(to),
                    _ => value.slot(to),
                };
                let nan = matches!(value, Float(f) if f.is_nan()) && to.is_float();
                assert!(got == exact || nan, "{from} → {to}: {value:?} gave {got:x}, not {exact:x}");
            }
        }
    }
}

/// The canonical tree, written out.
fn naive_fold(fold: Fold, dtype: DType, slots: &[u64]) -> u64 {
    let mut lanes = vec![identity(fold, dtype); LANES];
    for (j, &slot) in slots.iter().enumerate() {
        lanes[j % LANES] = combine(fold, dtype, lanes[j % LANES], slot);
    }
    for width in [16, 8, 4, 2, 1] {
        for lane in 0..width {
            lanes[lane] = combine(fold, dtype, lanes[lane], lanes[lane + width]);
        }
    }
    lanes[0]
}

#[test]
fn rows_and_columns_fold_to_the_same_bits() {
    for dtype in DType::ALL {
        let compute = dtype.compute();
        for fold in [Fold::Sum, Fold::Prod, Fold::Max, Fold::Min] {
            for (rows, columns) in [(1, 3), (31, 1), (32, 5), (33, 2), (100, 70), (BLOCK, 2), (0, 4)] {
                let mut slots = samples(dtype, rows * columns, 11);
                if dtype.is_float() {
                    // Without infinities and NaN the sums say more; the NaN rule has its own test.
                    slots
                        .iter_mut()
                        .enumerate()
                        .for_each(|(i, slot)| *slot = Float(((i * 37) % 101) as f64 / 7.0 - 7.0).slot(dtype));
                }
                let mut src = Tile::of(compute, &slots);
                let mut acc = Tile::of(compute, &vec![identity(fold, dtype); LANES * columns]);
                let mut out = Tile::new(compute, columns);
                let first = rows / 3;
                // SAFETY: the tiles have the sizes that the functions ask for.
                unsafe {
                    let second = src.start().add(first * columns * compute_size(compute));
                    fold_rows(fold, dtype, first, columns, src.start(), 0, acc.start());
                    fold_rows(fold, dtype, rows - first, columns, second, first, acc.start());
                    fold_lanes(fold, dtype, columns, acc.start(), out.start());
                }
                for (column, got) in out.slots(compute, columns).into_iter().enumerate() {
                    let row: Vec<u64> = (0..rows).map(|r| slots[r * columns + column]).collect();
                    let exact = naive_fold(fold, dtype, &row);
                    // SAFETY: the tile holds one value per row.
                    let block = unsafe { fold_block(fold, dtype, rows, Tile::of(compute, &row).start()) };
                    assert_eq!((got, block), (exact, exact), "{fold:?} {dtype} {rows}×{columns}");
                }
            }
        }
    }
}

#[test]
fn extremes_take_the_first_and_nan_first_of_all() {
    let mut row: Vec<f32> = (0..10_000).map(|i| ((i * 7919) % 5000) as f32).collect();
    let find = |row: &[f32], fold| {
        // SAFETY: the row has as many values as said.
        let (bits, place) = unsafe { arg_extreme(fold, DType::F32, row.len(), row.as_ptr().cast()) };
        (f32::from_slot(bits), place)
    };
    let first = |row: &[f32], value: f32| row.iter().position(|&x| x == value).unwrap();
    assert_eq!(find(&row, Fold::ArgMax), (4999.0, first(&row, 4999.0)));
    assert_eq!(find(&row, Fold::ArgMin), (0.0, 0));
    row[4097] = f32::NAN;
    row[9000] = f32::NAN;
    assert_eq!(find(&row, Fold::ArgMin).1, 4097);
    assert_eq!(find(&row, Fold::ArgMax).1, 4097);
    assert_eq!(find(&[3.0], Fold::ArgMax), (3.0, 0));
    for fold in [Fold::Max, Fold::Min, Fold::Sum] {
        // SAFETY: one block of values.
        let folded = unsafe { fold_block(fold, DType::F32, 4096, row[4000..].as_ptr().cast()) };
        assert!(f32::from_slot(folded).is_nan(), "{fold:?}");
    }
    let (nan, one) = (f32::NAN.to_slot(), 1f32.to_slot());
    assert!(arg_better(Fold::ArgMax, DType::F32, nan, one) && !arg_better(Fold::ArgMax, DType::F32, one, nan));
    assert!(!arg_better(Fold::ArgMin, DType::F32, nan, nan) && !arg_better(Fold::ArgMax, DType::F32, one, one));
}

#[test]
fn random_bits_are_the_published_ones() {
    // Known answers of Philox4x32-10 that the counter layout (low word, high word, stream, 0) can express.
    let bits = |counter, key, stream| {
        let mut out = [0i64; 4];
        // SAFETY: four values.
        unsafe { philox(4, out.as_mut_ptr(), 0, 1, key, counter, stream) };
        out
    };
    assert_eq!(bits(0, 0, 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    // Any start, step and length sees the same sequence.
    let mut all = vec![0i64; 1000];
    // SAFETY: the vectors hold what is asked for.
    unsafe {
        philox(1000, all.as_mut_ptr(), 0, 1, 77, 5, 3);
        for (first, step, n) in
            [(0u64, 1i64, 999usize), (3, 1, 200), (66, 1, 1), (1, 7, 100), (999, -3, 300), (5, 0, 9)]
        {
            let mut some = vec![0i64; n];
            philox(n, some.as_mut_ptr(), first, step, 77, 5, 3);
            for (i, &got) in some.iter().enumerate() {
                assert_eq!(got, all[(first as i64 + i as i64 * step) as usize], "{first} {step} {i}");
            }
        }
    }
}

#[test]
fn ramps_and_fills() {
    let mut ramp = vec![0i64; 100];
    // SAFETY: a hundred values.
    unsafe { index_ramp(100, ramp.as_mut_ptr(), 5, -3) };
    assert!(ramp.iter().enumerate().all(|(i, &x)| x == 5 - 3 * i as i64));
    for dtype in DType::ALL {
        let slot = samples(dtype, 4, 1)[3];
        let mut tile = Tile::new(dtype.compute(), 50);
        // SAFETY: fifty values.
        unsafe { fill(dtype.compute(), 50, tile.start(), slot) };
        assert_eq!(tile.slots(dtype.compute(), 50), vec![slot; 50]);
    }
}
