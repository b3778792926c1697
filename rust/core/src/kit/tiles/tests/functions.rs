//! Pointwise functions, ramps and random bits against their definitions. Depends on `tiles`.
//! Invariant: every function meets every dtype that it takes, in every mix of tiles and scalars, and in place.

use super::*;
use crate::code::Code;

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
fn random_bits_are_the_published_ones() {
    // Known answers of Philox4x32-10 that the counter layout (low word, high word, stream, 0) can express.
    let bits = |counter, key, stream| {
        let mut out = [0i64; 4];
        // SAFETY: four values.
        unsafe { philox(4, out.as_mut_ptr(), 0, 1, Draw { key, counter, stream }) };
        out
    };
    assert_eq!(bits(0, 0, 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    // Any start, step and length sees the same sequence.
    let draw = Draw { key: 77, counter: 5, stream: 3 };
    let mut all = vec![0i64; 1000];
    // SAFETY: the vectors hold what is asked for.
    unsafe {
        philox(1000, all.as_mut_ptr(), 0, 1, draw);
        for (first, step, n) in
            [(0u64, 1i64, 999usize), (3, 1, 200), (66, 1, 1), (1, 7, 100), (999, -3, 300), (5, 0, 9)]
        {
            let mut some = vec![0i64; n];
            philox(n, some.as_mut_ptr(), first, step, draw);
            for (i, &got) in some.iter().enumerate() {
                assert_eq!(got, all[(first as i64 + i as i64 * step) as usize], "{first} {step} {i}");
            }
            let mut units = vec![0f32; n];
            philox(n, units.as_mut_ptr(), first, step, draw);
            for (&unit, &bits) in units.iter().zip(&some) {
                assert_eq!(f64::from(unit), (bits >> 8) as f64 / 16_777_216.0, "{first} {step}");
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

#[test]
fn pairs_have_the_bits_of_their_steps() {
    const N: usize = 150;
    let dtype = DType::F32;
    let compute = dtype.compute();
    let slots: Vec<Vec<u64>> = (0..3).map(|seed| samples(dtype, N, seed + 3)).collect();
    let mut tiles: Vec<Tile> = slots.iter().map(|slots| Tile::of(compute, slots)).collect();
    let starts: Vec<*const u8> = tiles.iter_mut().map(|tile| tile.start().cast_const()).collect();
    let forms = |i: usize| [Operand::Vector(starts[i]), Operand::Scalar(slots[i][7])];
    for first in [Code::Add, Code::Sub, Code::Mul] {
        for (code, between) in [(Code::Add, 0), (Code::Sub, 0), (Code::Sub, 1), (Code::Mul, 1)] {
            for (b, c) in (0..4).map(|mix| (forms(1)[mix % 2], forms(2)[mix / 2])) {
                let a = Operand::Vector(starts[0]);
                let (mut once, mut between_tile, mut twice) =
                    (Tile::new(compute, N), Tile::new(compute, N), Tile::new(compute, N));
                // SAFETY: all tiles have N values.
                unsafe {
                    pair(first, Then::of(code, between).unwrap(), N, once.start(), [a, b, c]);
                    pointwise(first, dtype, N, between_tile.start(), &[a, b]);
                    let value = Operand::Vector(between_tile.start());
                    let operands = if between == 0 { [value, c] } else { [c, value] };
                    pointwise(code, dtype, N, twice.start(), &operands);
                }
                let bits = |tile: &mut Tile| tile.slots(compute, N);
                let (once, twice) = (bits(&mut once), bits(&mut twice));
                let is_nan = |slot: u64| f32::from_slot(slot).is_nan();
                let alike = once.iter().zip(&twice).all(|(&x, &y)| x == y || (is_nan(x) && is_nan(y)));
                assert!(alike, "{first:?} {code:?} {between}");
            }
        }
    }
}

/// A tile of rows and one value per row, against the value repeated over the row: apart and in place, for short and long rows.
#[test]
fn values_of_rows_have_the_bits_of_repeated_values() {
    const ROWS: usize = 3;
    let usual = [
        [Code::Add, Code::Sub, Code::Mul, Code::Div, Code::Maximum],
        [Code::Minimum, Code::Less, Code::Equal, Code::GreaterEqual, Code::Pow],
    ]
    .concat();
    for dtype in [DType::F32, DType::F64, DType::F16, DType::I32, DType::I8, DType::I64, DType::U64, DType::Bool] {
        let compute = dtype.compute();
        let takes = |code: Code| match code {
            Code::Div | Code::Pow => dtype.is_float(),
            Code::Less | Code::Equal | Code::GreaterEqual => true,
            _ => dtype != DType::Bool,
        };
        let taken = usual.iter().copied().filter(|&code| takes(code));
        for (code, length) in taken.flat_map(|code| [1, 7, 63, 64, 65, 130, 200].map(|n| (code, n))) {
            let n = ROWS * length;
            let result = if code.is_predicate() { Compute::Mask } else { compute };
            let (own, per_row) = (samples(dtype, n, 5), samples(dtype, ROWS, 6));
            let repeated: Vec<u64> = (0..n).map(|i| per_row[i / length]).collect();
            let mut rows = Tile::of(compute, &per_row);
            let rows = Operand::Rows { start: rows.start(), length };
            let mut all = Tile::of(compute, &repeated);
            for turned in [false, true] {
                let order = |a: Operand, b: Operand| if turned { [b, a] } else { [a, b] };
                let (mut x, mut expected, mut got) =
                    (Tile::of(compute, &own), Tile::new(result, n), Tile::new(result, n));
                let tile = Operand::Vector(x.start());
                // SAFETY: tiles have n values, and there is a value for each row; masks are narrower than what they are made of.
                unsafe {
                    pointwise(code, dtype, n, expected.start(), &order(tile, Operand::Vector(all.start())));
                    pointwise(code, dtype, n, got.start(), &order(tile, rows));
                    pointwise(code, dtype, n, x.start(), &order(tile, rows));
                }
                let expected = expected.slots(result, n);
                let is_nan = |slot: u64| matches!(Value::of(dtype, slot), Float(x) if x.is_nan());
                for got in [got.slots(result, n), x.slots(result, n)] {
                    let alike = got.iter().zip(&expected).all(|(&x, &y)| x == y || (is_nan(x) && is_nan(y)));
                    assert!(alike, "{code:?} {dtype} {length} {turned}");
                }
            }
        }
    }
}

#[test]
fn pairs_take_values_of_rows() {
    const ROWS: usize = 4;
    let (dtype, compute) = (DType::F32, Compute::F32);
    for length in [5, 64, 100] {
        let n = ROWS * length;
        let mut tiles: Vec<Tile> = (0..3).map(|seed| Tile::of(compute, &samples(dtype, n, seed + 3))).collect();
        let mut rows: Vec<Tile> = (0..2).map(|seed| Tile::of(compute, &samples(dtype, ROWS, seed + 9))).collect();
        let vectors: Vec<Operand> = tiles.iter_mut().map(|tile| Operand::Vector(tile.start())).collect();
        let values: Vec<Operand> = rows.iter_mut().map(|tile| Operand::Rows { start: tile.start(), length }).collect();
        for (b, c) in [(values[0], values[1]), (values[0], vectors[2]), (vectors[1], values[1])] {
            let (mut once, mut between, mut twice) =
                (Tile::new(compute, n), Tile::new(compute, n), Tile::new(compute, n));
            // SAFETY: all tiles have n values, and there is a value for each row.
            unsafe {
                pair(Code::Sub, Then::Mul, n, once.start(), [vectors[0], b, c]);
                pointwise(Code::Sub, dtype, n, between.start(), &[vectors[0], b]);
                pointwise(Code::Mul, dtype, n, twice.start(), &[Operand::Vector(between.start()), c]);
            }
            let is_nan = |slot: u64| f32::from_slot(slot).is_nan();
            let pairs = once.slots(compute, n).into_iter().zip(twice.slots(compute, n));
            assert!(pairs.into_iter().all(|(x, y)| x == y || (is_nan(x) && is_nan(y))), "rows of {length}");
        }
    }
}
