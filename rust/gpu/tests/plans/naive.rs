//! The meaning of Groups and products, evaluated one number at a time on the processor. Depends on the core's vocabulary.
//! Invariant: no code is shared with the shader printer; floats are computed in double precision and rounded to float32.

use adret_core::code::{Code, Fold};
use adret_core::dtype::DType;
use adret_core::group::{Affine, Group, Guard, Instr, Scope};

/// The dtypes that this reference computes in. Floats of 16 bits are compared with the CPU's by the table of operations, for every layout.
pub(crate) const KNOWN: [DType; 8] =
    [DType::F32, DType::I32, DType::U32, DType::I16, DType::U16, DType::I8, DType::U8, DType::Bool];

/// A number of any dtype.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Float(f64),
}

use Number::{Float, Int};

impl Number {
    pub(crate) fn float(self) -> f64 {
        match self {
            Int(i) => i as f64,
            Float(f) => f,
        }
    }

    fn int(self) -> i64 {
        match self {
            Int(i) => i,
            Float(f) => f as i64,
        }
    }

    fn rounded(self, dtype: DType) -> Number {
        match dtype {
            DType::F32 => Float(f64::from(self.float() as f32)),
            DType::Bool => Int(i64::from(self != Int(0) && self != Float(0.0))),
            DType::I8 => Int(i64::from(self.int() as i8)),
            DType::I16 => Int(i64::from(self.int() as i16)),
            DType::I32 => Int(i64::from(self.int() as i32)),
            DType::U8 => Int(i64::from(self.int() as u8)),
            DType::U16 => Int(i64::from(self.int() as u16)),
            DType::U32 => Int(i64::from(self.int() as u32)),
            _ => self,
        }
    }
}

/// A tensor's elements in memory order.
pub(crate) fn decode(dtype: DType, data: &[u8]) -> Vec<Number> {
    data.chunks_exact(dtype.size())
        .map(|b| match dtype {
            DType::F32 => Float(f64::from(f32::from_ne_bytes(b.try_into().unwrap()))),
            DType::Bool | DType::U8 => Int(i64::from(b[0])),
            DType::I8 => Int(i64::from(b[0] as i8)),
            DType::I16 => Int(i64::from(i16::from_ne_bytes(b.try_into().unwrap()))),
            DType::U16 => Int(i64::from(u16::from_ne_bytes(b.try_into().unwrap()))),
            DType::I32 => Int(i64::from(i32::from_ne_bytes(b.try_into().unwrap()))),
            DType::U32 => Int(i64::from(u32::from_ne_bytes(b.try_into().unwrap()))),
            _ => panic!("no such tensors here"),
        })
        .collect()
}

/// The bytes of elements.
pub(crate) fn encode(dtype: DType, numbers: &[Number]) -> Vec<u8> {
    let bytes = |n: &Number| match dtype {
        DType::F32 => (n.float() as f32).to_ne_bytes().to_vec(),
        _ => n.int().to_le_bytes()[..dtype.size()].to_vec(),
    };
    numbers.iter().flat_map(bytes).collect()
}

fn float(code: Code, a: f64, b: f64) -> Number {
    use Code::*;
    let truth = |holds: bool| Int(i64::from(holds));
    Float(match code {
        Neg => -a,
        Abs => a.abs(),
        Sign => {
            if a.is_nan() || a == 0.0 {
                a
            } else {
                a.signum()
            }
        }
        Floor => a.floor(),
        Ceil => a.ceil(),
        Round => a.round_ties_even(),
        Trunc => a.trunc(),
        Sqrt => a.sqrt(),
        Exp => a.exp(),
        Expm1 => a.exp_m1(),
        Log => a.ln(),
        Log1p => a.ln_1p(),
        Log2 => a.log2(),
        Log10 => a.log10(),
        Sin => a.sin(),
        Cos => a.cos(),
        Tan => a.tan(),
        Asin => a.asin(),
        Acos => a.acos(),
        Atan => a.atan(),
        Sinh => a.sinh(),
        Cosh => a.cosh(),
        Tanh => a.tanh(),
        Asinh if a.is_infinite() => a,
        Asinh => a.signum() * (a.abs() + a * a / (1.0 + (a * a + 1.0).sqrt())).ln_1p(),
        Acosh => a.acosh(),
        Atanh => a.atanh(),
        Sigmoid => 1.0 / (1.0 + (-a).exp()),
        Erf => erf(a),
        IsNan => return truth(a.is_nan()),
        IsInf => return truth(a.is_infinite()),
        IsFinite => return truth(a.is_finite()),
        Add => a + b,
        Sub => a - b,
        Mul => a * b,
        Div => a / b,
        FloorDiv => (a / b).floor(),
        Mod => a - (a / b).floor() * b,
        Pow => a.powf(b),
        Atan2 => a.atan2(b),
        Maximum => {
            if a.is_nan() || a > b {
                a
            } else {
                b
            }
        }
        Minimum => {
            if a.is_nan() || a < b {
                a
            } else {
                b
            }
        }
        Equal => return truth(a == b),
        NotEqual => return truth(a != b),
        Less => return truth(a < b),
        LessEqual => return truth(a <= b),
        Greater => return truth(a > b),
        GreaterEqual => return truth(a >= b),
        _ => panic!("{code:?} takes no floats"),
    })
}

/// By its series, and beyond 3 by the continued fraction of the complement.
fn erf(x: f64) -> f64 {
    if x.abs() > 3.0 {
        let mut fraction = 0.0;
        for k in (1..60).rev() {
            fraction = 0.5 * f64::from(k) / (x.abs() + fraction);
        }
        let complement = (-x * x).exp() / ((x.abs() + fraction) * std::f64::consts::PI.sqrt());
        return x.signum() * (1.0 - complement);
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..100 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

fn integer(code: Code, dtype: DType, a: i64, b: i64) -> Number {
    use Code::*;
    let width = dtype.size() as i64 * 8;
    let boolean = dtype == DType::Bool;
    Int(match code {
        Neg => a.wrapping_neg(),
        Abs => a.abs(),
        Sign => a.signum(),
        Floor | Ceil | Round | Trunc => a,
        Not if boolean => 1 - a,
        Not => !a,
        Add if boolean => a | b,
        Add => a + b,
        Sub => a - b,
        Mul => a.wrapping_mul(b),
        FloorDiv if b == 0 => 0,
        FloorDiv => (a as f64 / b as f64).floor() as i64,
        Mod if b == 0 => 0,
        Mod => a.rem_euclid(b.abs()) + if b < 0 && a.rem_euclid(b.abs()) != 0 { b } else { 0 },
        Pow if b >= 0 => a.wrapping_pow(b as u32),
        Pow => match a {
            1 => 1,
            -1 => 1 - 2 * (b & 1),
            _ => 0,
        },
        Maximum => a.max(b),
        Minimum => a.min(b),
        And => a & b,
        Or => a | b,
        Xor => a ^ b,
        Shl if (0..width).contains(&b) => a << b,
        Shl => 0,
        Shr => a >> if (0..width).contains(&b) { b } else { 63 },
        Equal => i64::from(a == b),
        NotEqual => i64::from(a != b),
        Less => i64::from(a < b),
        LessEqual => i64::from(a <= b),
        Greater => i64::from(a > b),
        GreaterEqual => i64::from(a >= b),
        _ => panic!("{code:?} takes no integers"),
    })
}

/// A pointwise function of operands of `dtype`.
pub(crate) fn pointwise(code: Code, dtype: DType, operands: &[Number]) -> Number {
    if code == Code::Where {
        return if operands[0] == Int(1) { operands[1] } else { operands[2] };
    }
    let b = operands.get(1).copied();
    let result = match operands[0] {
        Float(a) => float(code, a, b.map_or(0.0, Number::float)),
        Int(a) => integer(code, dtype, a, b.map_or(0, Number::int)),
    };
    result.rounded(if code.is_predicate() { DType::Bool } else { dtype })
}

fn cast(value: Number, dtype: DType) -> Number {
    match (value, dtype.integer_range()) {
        (Float(f), Some((low, high))) if dtype != DType::Bool => Int((f as i128).clamp(low, high) as i64),
        _ => value.rounded(dtype),
    }
}

/// Philox4x32-10.
pub(crate) fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let (p0, p1) = (u64::from(counter[0]) * 0xd251_1f53, u64::from(counter[2]) * 0xcd9e_8d57);
        counter =
            [(p1 >> 32) as u32 ^ counter[1] ^ key[0], p1 as u32, (p0 >> 32) as u32 ^ counter[3] ^ key[1], p0 as u32];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

fn position(affine: &Affine, slots: &[u64], at: &[usize]) -> i64 {
    affine.offset.resolve(slots) + affine.strides.iter().zip(at).map(|(&stride, &x)| stride * x as i64).sum::<i64>()
}

fn inside(guards: &[Guard], slots: &[u64], at: &[usize]) -> bool {
    guards.iter().all(|guard| (0..guard.size as i64).contains(&position(&guard.position, slots, at)))
}

/// Row-major coordinates of the `flat`-th index.
pub(crate) fn coordinates(mut flat: usize, sizes: &[usize]) -> Vec<usize> {
    let mut at = vec![0; sizes.len()];
    for axis in (0..sizes.len()).rev() {
        (at[axis], flat) = (flat % sizes[axis], flat / sizes[axis]);
    }
    at
}

fn fold(fold: Fold, dtype: DType, items: &[Number]) -> Number {
    let better = |a: Number, b: Number| match fold {
        Fold::Max | Fold::ArgMax => b.float() > a.float() || (b.float().is_nan() && !a.float().is_nan()),
        _ => b.float() < a.float() || (b.float().is_nan() && !a.float().is_nan()),
    };
    let best = || (0..items.len()).reduce(|a, b| if better(items[a], items[b]) { b } else { a }).unwrap();
    match fold {
        Fold::Sum | Fold::Prod => {
            let start = i64::from(fold == Fold::Prod);
            if dtype == DType::F32 {
                // In double precision: the shader's tree is another.
                let add = |a: f64, b: &Number| if start == 0 { a + b.float() } else { a * b.float() };
                return Float(items.iter().fold(start as f64, add)).rounded(dtype);
            }
            let code = if start == 0 { Code::Add } else { Code::Mul };
            items.iter().fold(Int(start), |a, &b| {
                if dtype == DType::Bool && start == 1 {
                    Int(a.int() & b.int())
                } else {
                    pointwise(code, dtype, &[a, b])
                }
            })
        }
        Fold::Max | Fold::Min => items[best()],
        Fold::ArgMax | Fold::ArgMin => Int(best() as i64),
    }
}

/// Runs a Group over the memories of its arguments, which start at element 0.
pub(crate) fn run(group: &Group, memories: &mut [Vec<Number>], starts: &[isize], slots: &[u64]) {
    let reading: Vec<Vec<Number>> = memories.to_vec();
    let length = group.row_length();
    for row in 0..group.rows() {
        let mut values: Vec<Vec<Number>> = Vec::new();
        for value in &group.values {
            let count = if value.scope == Scope::Row { 1 } else { length };
            let mut computed = Vec::with_capacity(count);
            for element in 0..count {
                let mut at = coordinates(row, &group.outer);
                if length > 0 {
                    at.extend(coordinates(element, &group.inner));
                }
                let of = |id: usize| values[id][if group.values[id].scope == Scope::Row { 0 } else { element }];
                computed.push(match &value.instr {
                    Instr::Load { argument, access } => {
                        if inside(&access.guards, slots, &at) {
                            let index = position(&access.index, slots, &at) + starts[*argument] as i64;
                            reading[*argument][index as usize]
                        } else {
                            if value.dtype == DType::F32 { Float(0.0) } else { Int(0) }
                        }
                    }
                    Instr::Scalar { slot } => match value.dtype {
                        DType::F32 => Float(f64::from(f32::from_bits(slots[*slot] as u32))),
                        dtype => Int(slots[*slot] as i64).rounded(dtype),
                    },
                    Instr::Index { index } => Int(position(index, slots, &at)),
                    Instr::Random { index, key, counter, stream } => {
                        let index = position(index, slots, &at) as u64;
                        let block = slots[*counter].wrapping_add(index / 4);
                        let words = philox(
                            [block as u32, (block >> 32) as u32, *stream, 0],
                            [slots[*key] as u32, (slots[*key] >> 32) as u32],
                        );
                        let bits = words[index as usize % 4];
                        match value.dtype {
                            DType::F32 => Float(f64::from(bits >> 8) / f64::from(1 << 24)),
                            _ => Int(i64::from(bits)),
                        }
                    }
                    Instr::Inside { guards } => Int(i64::from(inside(guards, slots, &at))),
                    Instr::Pointwise { code, operands } => {
                        let dtype = group.values[operands[operands.len() - 1]].dtype;
                        let numbers: Vec<Number> = operands.iter().map(|&id| of(id)).collect();
                        pointwise(*code, dtype, &numbers)
                    }
                    Instr::Cast { operand } => cast(of(*operand), value.dtype),
                    Instr::Check { operand, limit, wrap, .. } => {
                        let (index, limit) = (of(*operand).int(), *limit as i64);
                        let index = if *wrap && index < 0 { index + limit } else { index };
                        Int(if (0..limit).contains(&index) { index } else { 0 })
                    }
                    Instr::Reduce { fold: kind, operand } => {
                        fold(*kind, group.values[*operand].dtype, &values[*operand])
                    }
                });
            }
            values.push(computed);
        }
        for store in &group.stores {
            let whole = group.values[store.value].scope == Scope::Element;
            for (element, &value) in values[store.value].iter().enumerate() {
                let mut at = coordinates(row, &group.outer);
                if whole {
                    at.extend(coordinates(element, &group.inner));
                }
                let index = position(&store.index, slots, &at) + starts[store.argument] as i64;
                memories[store.argument][index as usize] = value;
            }
        }
    }
}
