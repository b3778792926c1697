//! Pointwise functions, conversions and folds as shader expressions. Depends on `code` and `types`.
//! Invariant: operands are names or bracketed expressions, each used where evaluating it twice is free.

use super::types::{Type, rounding, width, wrapped};
use crate::code::{Code, Fold};
use crate::dtype::DType;

/// A function of operands of `dtype` (for `Where`: of the chosen values).
pub(super) fn pointwise(code: Code, dtype: DType, kind: Type, operands: &[&str]) -> String {
    let a = operands[0];
    let b = operands.get(1).copied().unwrap_or_default();
    if code == Code::Where {
        return format!("select({}, {b}, {a})", operands[2]);
    }
    match kind {
        Type::Bool => of_bool(code, a, b),
        Type::F32 => of_float(code, a, b),
        Type::F64 => of_double(code, a, b),
        Type::I32 | Type::U32 | Type::I64 | Type::U64 => {
            let text = of_integer(code, dtype, kind, a, b);
            if code.is_predicate() { text } else { wrapped(dtype, text) }
        }
    }
}

/// The functions that have an operator of their own for every number.
fn operator(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::Add => "+",
        Code::Sub => "-",
        Code::Mul => "*",
        _ => return None,
    })
}

fn of_bool(code: Code, a: &str, b: &str) -> String {
    match code {
        Code::Not => format!("!{a}"),
        Code::Mul | Code::And | Code::Minimum => format!("{a} && {b}"),
        Code::Xor | Code::NotEqual => format!("{a} != {b}"),
        Code::Equal => format!("{a} == {b}"),
        Code::Less => format!("!{a} && {b}"),
        Code::LessEqual => format!("!{a} || {b}"),
        Code::Greater => format!("{a} && !{b}"),
        Code::GreaterEqual => format!("{a} || !{b}"),
        // Addition, or, maximum; the others take no booleans.
        _ => format!("{a} || {b}"),
    }
}

fn of_float(code: Code, a: &str, b: &str) -> String {
    if let Some(operator) = operator(code) {
        return format!("{a} {operator} {b}");
    }
    let function = match code {
        Code::Neg => return format!("-{a}"),
        Code::Div => return format!("{a} / {b}"),
        Code::NotEqual => return format!("!equal_f32({a}, {b})"),
        Code::Greater => return format!("less_f32({b}, {a})"),
        Code::GreaterEqual => return format!("less_equal_f32({b}, {a})"),
        Code::Abs => "abs",
        Code::Sign => "sign_f32",
        Code::Floor => "floor",
        Code::Ceil => "ceil",
        Code::Round => "round",
        Code::Trunc => "trunc",
        Code::Sqrt => "sqrt",
        Code::Exp => "exp_f32",
        Code::Expm1 => "expm1_f32",
        Code::Log => "log_f32",
        Code::Log1p => "log1p_f32",
        Code::Log2 => "log2_f32",
        Code::Log10 => "log10_f32",
        Code::Sin => "sin_f32",
        Code::Cos => "cos_f32",
        Code::Tan => "tan_f32",
        Code::Asin => "asin_f32",
        Code::Acos => "acos_f32",
        Code::Atan => "atan_f32",
        Code::Sinh => "sinh_f32",
        Code::Cosh => "cosh_f32",
        Code::Tanh => "tanh_f32",
        Code::Asinh => "asinh_f32",
        Code::Acosh => "acosh_f32",
        Code::Atanh => "atanh_f32",
        Code::Sigmoid => "sigmoid_f32",
        Code::Erf => "erf_f32",
        Code::IsNan => "is_nan",
        Code::IsInf => "is_infinite",
        Code::IsFinite => "is_finite",
        Code::FloorDiv => "floor_div_f32",
        Code::Mod => "mod_f32",
        Code::Pow => "pow_f32",
        Code::Atan2 => "atan2_f32",
        Code::Maximum => "maximum_f32",
        Code::Minimum => "minimum_f32",
        Code::Equal => "equal_f32",
        Code::Less => "less_f32",
        // `LessEqual`; the others take no floats.
        _ => "less_equal_f32",
    };
    if b.is_empty() { format!("{function}({a})") } else { format!("{function}({a}, {b})") }
}

/// The same in f64: mathematics has names of its own, since drivers have none in 64 bits.
fn of_double(code: Code, a: &str, b: &str) -> String {
    match code {
        Code::Add | Code::Sub | Code::Mul | Code::Div | Code::Neg => of_float(code, a, b),
        Code::Abs | Code::Sqrt | Code::Floor | Code::Ceil | Code::Round | Code::Trunc => of_float(code, a, b),
        _ => {
            let text = of_float(code, a, b);
            let (name, operands) = text.split_once('(').unwrap_or((&text, ""));
            format!("{}_f64({operands}", name.trim_end_matches("_f32"))
        }
    }
}

fn of_integer(code: Code, dtype: DType, kind: Type, a: &str, b: &str) -> String {
    if let Some(operator) = operator(code) {
        return format!("{a} {operator} {b}");
    }
    let signed = matches!(kind, Type::I32 | Type::I64);
    let name = kind.name();
    match code {
        Code::Neg => format!("{} - {a}", kind.zero()),
        Code::Abs if kind == Type::I64 => format!("abs_i64({a})"),
        Code::Sign if kind == Type::I64 => format!("sign_i64({a})"),
        Code::Sign if kind == Type::U64 => format!("min({a}, 1lu)"),
        // A negative amount becomes a number beyond the width.
        Code::Shl if kind.is_wide() => {
            format!("select({}, {a} << (u32({b}) & 63u), u64({b}) < 64lu)", kind.zero())
        }
        Code::Shr if kind == Type::I64 => format!("{a} >> u32(min(u64({b}), 63lu))"),
        Code::Shr if kind == Type::U64 => format!("select(0lu, {a} >> (u32({b}) & 63u), {b} < 64lu)"),
        Code::Abs if signed => format!("abs({a})"),
        Code::Sign if signed => format!("sign({a})"),
        Code::Sign => format!("min({a}, 1u)"),
        Code::Not => format!("~{a}"),
        Code::FloorDiv => format!("floor_div_{name}({a}, {b})"),
        Code::Mod => format!("mod_{name}({a}, {b})"),
        Code::Pow => format!("pow_{name}({a}, {b})"),
        Code::Maximum => format!("max({a}, {b})"),
        Code::Minimum => format!("min({a}, {b})"),
        Code::And => format!("{a} & {b}"),
        Code::Or => format!("{a} | {b}"),
        Code::Xor => format!("{a} ^ {b}"),
        // A negative amount becomes a number beyond the width.
        Code::Shl => format!("select({}, {a} << (u32({b}) & 31u), u32({b}) < {}u)", kind.zero(), width(dtype)),
        Code::Shr if signed => format!("{a} >> min(u32({b}), {}u)", width(dtype) - 1),
        Code::Shr => format!("select(0u, {a} >> ({b} & 31u), {b} < {}u)", width(dtype)),
        Code::Equal => format!("{a} == {b}"),
        Code::NotEqual => format!("{a} != {b}"),
        Code::Less => format!("{a} < {b}"),
        Code::LessEqual => format!("{a} <= {b}"),
        Code::Greater => format!("{a} > {b}"),
        Code::GreaterEqual => format!("{a} >= {b}"),
        // Rounding and the absolute value of unsigned numbers; the others take no integers.
        _ => a.to_owned(),
    }
}

/// The value `a` of type `from` as `dtype`.
pub(super) fn cast(from: Type, dtype: DType, to: Type, a: &str) -> String {
    let range = dtype.integer_range().filter(|_| dtype.size() < 4);
    match (from, to) {
        (Type::F32, Type::F32) | (Type::Bool, Type::Bool) | (Type::F64, Type::F64) => a.to_owned(),
        (Type::I64, Type::I64) | (Type::U64, Type::U64) => a.to_owned(),
        (Type::F64, Type::Bool) => format!("magnitude_f64({a}) != 0lu"),
        (Type::F64, Type::I32) => match range {
            Some((low, high)) => format!("clamp(to_i32_f64({a}), {low}, {high})"),
            None => format!("to_i32_f64({a})"),
        },
        (Type::F64, Type::U32) => match range {
            Some((_, high)) => format!("min(to_u32_f64({a}), {high}u)"),
            None => format!("to_u32_f64({a})"),
        },
        (Type::F64, Type::I64) => format!("to_i64_f64({a})"),
        (Type::F64, Type::U64) => format!("to_u64_f64({a})"),
        (Type::F32, Type::I64) => format!("to_i64({a})"),
        (Type::F32, Type::U64) => format!("to_u64({a})"),
        (Type::F32, Type::Bool) => format!("(bitcast<u32>({a}) & 0x7fffffffu) != 0u"),
        (Type::F32, Type::I32) => match range {
            Some((low, high)) => format!("clamp(to_i32({a}), {low}, {high})"),
            None => format!("to_i32({a})"),
        },
        (Type::F32, Type::U32) => match range {
            Some((_, high)) => format!("min(to_u32({a}), {high}u)"),
            None => format!("to_u32({a})"),
        },
        (Type::Bool, _) => format!("select({}, {}, {a})", to.zero(), to.one()),
        (_, Type::Bool) => format!("{a} != {}", from.zero()),
        (_, Type::F32 | Type::F64) => format!("{}({a})", to.name()),
        (_, _) => wrapped(dtype, format!("{}({a})", to.name())),
    }
}

/// What a fold carries from element to element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Folding {
    fold: Fold,
    dtype: DType,
    kind: Type,
}

impl Folding {
    /// The fold of operands of `dtype`.
    pub(super) fn new(fold: Fold, dtype: DType, kind: Type) -> Self {
        Self { fold, dtype, kind }
    }

    fn finds_position(self) -> bool {
        matches!(self.fold, Fold::ArgMax | Fold::ArgMin)
    }

    /// The type of the running value: for positions, the key of the value and where it stands.
    pub(super) fn carried(self) -> &'static str {
        match (self.finds_position(), self.kind.is_wide()) {
            (false, _) => self.kind.name(),
            (true, false) => "vec2<u32>",
            (true, true) => "vec2<u64>",
        }
    }

    /// How many elements the running value takes in memory, and their type.
    pub(super) fn elements(self) -> (usize, Type) {
        match (self.finds_position(), self.kind.is_wide()) {
            (false, _) => (1, self.kind),
            (true, false) => (2, Type::U32),
            (true, true) => (2, Type::U64),
        }
    }

    /// Whether the lanes of a subgroup can exchange running values.
    pub(super) fn travels(self) -> bool {
        self.carried() != "bool" && !self.kind.is_wide()
    }

    /// The running value of no elements.
    pub(super) fn identity(self) -> String {
        match (self.fold, self.kind) {
            // Any element comes first.
            (Fold::ArgMax | Fold::ArgMin, kind) if kind.is_wide() => "vec2<u64>(0lu, 0xfffffffffffffffflu)".to_owned(),
            (Fold::ArgMax | Fold::ArgMin, _) => "vec2<u32>(0u, 0xffffffffu)".to_owned(),
            (Fold::Sum, _) | (Fold::Max, Type::Bool | Type::U32 | Type::U64) => self.kind.zero().to_owned(),
            (Fold::Prod, _) | (Fold::Min, Type::Bool) => self.kind.one().to_owned(),
            (Fold::Max, Type::F32) => "from_bits(0xff800000u)".to_owned(),
            (Fold::Min, Type::F32) => "from_bits(0x7f800000u)".to_owned(),
            (Fold::Max, Type::I32) => "i32(-2147483648)".to_owned(),
            (Fold::Min, Type::I32) => "2147483647".to_owned(),
            (Fold::Min, Type::U32) => "0xffffffffu".to_owned(),
            (Fold::Max, Type::I64) => "(-9223372036854775807li - 1li)".to_owned(),
            (Fold::Min, Type::I64) => "9223372036854775807li".to_owned(),
            (Fold::Min, Type::U64) => "0xfffffffffffffffflu".to_owned(),
            (Fold::Max, Type::F64) => "-infinity_f64()".to_owned(),
            (Fold::Min, Type::F64) => "infinity_f64()".to_owned(),
        }
    }

    /// The running value of one element, the number of which is `element`.
    pub(super) fn lift(self, value: &str, element: &str) -> String {
        let reverse = match self.fold {
            Fold::ArgMax => false,
            Fold::ArgMin => true,
            _ => return value.to_owned(),
        };
        let key = match (self.kind, reverse) {
            (Type::F32, false) => format!("order_f32({value})"),
            (Type::F32, true) => format!("reverse_order_f32({value})"),
            (Type::F64, false) => format!("order_f64({value})"),
            (Type::F64, true) => format!("reverse_order_f64({value})"),
            (kind, _) => {
                let key = match kind {
                    Type::I64 => format!("order_i64({value})"),
                    Type::I32 => format!("order_i32({value})"),
                    Type::Bool => format!("select(0u, 1u, {value})"),
                    _ => value.to_owned(),
                };
                if reverse { format!("~{key}") } else { key }
            }
        };
        if self.kind.is_wide() {
            format!("vec2<u64>({key}, u64({element}))")
        } else {
            format!("vec2<u32>({key}, {element})")
        }
    }

    /// One running value of two.
    pub(super) fn combine(self, a: &str, b: &str) -> String {
        let code = match self.fold {
            Fold::ArgMax | Fold::ArgMin if self.kind.is_wide() => return format!("first_of_wide({a}, {b})"),
            Fold::ArgMax | Fold::ArgMin => return format!("first_of({a}, {b})"),
            Fold::Sum => Code::Add,
            Fold::Prod => Code::Mul,
            Fold::Max => Code::Maximum,
            Fold::Min => Code::Minimum,
        };
        pointwise(code, self.dtype, self.kind, &[a, b])
    }

    /// The result of the running value, of type `to`.
    pub(super) fn result(self, carried: &str, to: Type) -> String {
        match rounding(self.dtype) {
            _ if self.finds_position() => format!("{}({carried}.y)", to.name()),
            Some(round) => format!("{round}({carried})"),
            None => carried.to_owned(),
        }
    }
}
