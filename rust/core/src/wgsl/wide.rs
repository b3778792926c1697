//! `int64` in shaders: as 32 bits where the numbers provably fit, or where only their low bits count; else as it is, on adapters that
//! have it.
//! Depends on `group`. Invariant: a kernel in 32 bits computes what 64 bits would, except that scalars are taken to stay within
//! ±2³⁰ on adapters without 64 bits (the engine's own are axis sizes, diagonals and class numbers).

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::code::{Code, Fold};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::group::{Affine, Group, Instr, Value, ValueId};
use crate::plan::{Argument, Caps};

/// What is known of an `int64` value.
type Span = Option<(i128, i128)>;

const WORD: RangeInclusive<i128> = i32::MIN as i128..=i32::MAX as i128;
const SCALAR: (i128, i128) = (-(1 << 30), 1 << 30);

/// The arguments as they lie on the device: coordinates and positions that pass from kernel to kernel are words where there are no 64 bits.
pub(super) fn passing<'a>(arguments: &'a [Argument], caps: &Caps) -> Cow<'a, [Argument]> {
    let is_wide = |argument: &Argument| argument.dtype == DType::I64;
    if caps.dtypes.contains(&DType::I64) || !arguments.iter().any(is_wide) {
        return Cow::Borrowed(arguments);
    }
    let mut own = arguments.to_vec();
    own.iter_mut().filter(|argument| is_wide(argument)).for_each(|argument| argument.dtype = DType::I32);
    Cow::Owned(own)
}

/// The Group in dtypes that the adapter has, `int64` as words where that gives the same.
///
/// # Errors
/// Where it needs a dtype that the adapter does not have.
pub(super) fn fitted<'a>(group: &'a Group, arguments: &[Argument], caps: &Caps) -> Result<Cow<'a, Group>> {
    let lacking =
        |value: &&Value| matches!(value.dtype, DType::U64 | DType::F64) && !caps.dtypes.contains(&value.dtype);
    if let Some(value) = group.values.iter().find(lacking) {
        return Err(super::unsupported(value.dtype));
    }
    if !group.values.iter().any(|value| value.dtype == DType::I64) {
        return Ok(Cow::Borrowed(group));
    }
    let has = caps.dtypes.contains(&DType::I64);
    let outside =
        |value: &Value| value.dtype == DType::I64 && matches!(value.instr, Instr::Scalar { .. } | Instr::Load { .. });
    let stored = arguments.iter().any(|argument| argument.dtype == DType::I64);
    if has && (stored || group.values.iter().any(outside)) {
        return Ok(Cow::Borrowed(group));
    }
    if let Err(error) = check(group) {
        return if has { Ok(Cow::Borrowed(group)) } else { Err(error) };
    }
    let mut own = group.clone();
    own.values.iter_mut().filter(|value| value.dtype == DType::I64).for_each(|value| value.dtype = DType::I32);
    Ok(Cow::Owned(own))
}

/// Fails where 32 bits may not give what 64 would.
///
/// # Errors
/// Names the way out.
fn check(group: &Group) -> Result<()> {
    let wide = |id: ValueId| group.values[id].dtype == DType::I64;
    // A span where the number fits a word; none where only its low 32 bits are right.
    let mut spans: Vec<Span> = Vec::with_capacity(group.values.len());
    for value in &group.values {
        let span = match value.dtype {
            DType::I64 => span_of(group, value, &spans)?,
            dtype => dtype.integer_range(),
        };
        let needs_all = match &value.instr {
            Instr::Pointwise { code, .. } => !is_modular(*code),
            Instr::Cast { .. } => value.dtype.is_float() || value.dtype == DType::Bool,
            Instr::Reduce { fold, .. } => !matches!(fold, Fold::Sum | Fold::Prod),
            Instr::Check { .. } => true,
            _ => false,
        };
        if needs_all && operands(value).iter().any(|&id| wide(id) && spans[id].is_none()) {
            return Err(too_wide());
        }
        spans.push(span.filter(|(low, high)| WORD.contains(low) && WORD.contains(high)));
    }
    if group.stores.iter().any(|store| wide(store.value) && spans[store.value].is_none()) {
        return Err(too_wide());
    }
    Ok(())
}

fn too_wide() -> Error {
    Error::dtype(
        "gpu: int64 numbers beyond 32 bits may arise here, and this adapter does not hold them. Use astype to int32 or float32 \
         before, or the CPU.",
    )
}

/// Whether the low bits of the result depend on the low bits of the operands alone.
fn is_modular(code: Code) -> bool {
    matches!(
        code,
        Code::Add | Code::Sub | Code::Mul | Code::Neg | Code::And | Code::Or | Code::Xor | Code::Not | Code::Where
    )
}

fn span_of(group: &Group, value: &Value, spans: &[Span]) -> Result<Span> {
    let of = |id: ValueId| spans[id];
    let hull = |bounds: &[i128]| Some((*bounds.iter().min()?, *bounds.iter().max()?));
    let word = Some((*WORD.start(), *WORD.end()));
    Ok(match &value.instr {
        Instr::Index { index } => reach(index, group),
        Instr::Scalar { .. } => Some(SCALAR),
        Instr::Check { limit, .. } => Some((0, *limit as i128)),
        // Only what fits is stored.
        Instr::Load { .. } => word,
        Instr::Cast { operand } => match group.values[*operand].dtype {
            dtype if dtype.is_float() => return Err(too_wide()),
            _ => of(*operand),
        },
        Instr::Reduce { fold, operand } => match fold {
            Fold::ArgMax | Fold::ArgMin => Some((0, group.row_length() as i128)),
            Fold::Max | Fold::Min => of(*operand),
            Fold::Sum => of(*operand).and_then(|(low, high)| {
                let length = group.row_length() as i128;
                hull(&[low * length, high * length, 0])
            }),
            Fold::Prod => None,
        },
        Instr::Pointwise { code, operands } => {
            let last = |back: usize| of(operands[operands.len() - back]);
            match (code, operands.len()) {
                (Code::Neg, _) => last(1).and_then(|(low, high)| hull(&[-low, -high])),
                (Code::Abs, _) => last(1).and_then(|(low, high)| hull(&[0, -low, high])),
                (Code::Sign, _) => Some((-1, 1)),
                (_, 1) => word.filter(|_| last(1).is_some()),
                _ => match (last(2), last(1)) {
                    (Some((a, b)), Some((c, d))) => match code {
                        Code::Add => hull(&[a + c, b + d]),
                        Code::Sub => hull(&[a - d, b - c]),
                        Code::Mul => hull(&[a * c, a * d, b * c, b * d]),
                        Code::Maximum | Code::Minimum | Code::Where => hull(&[a, b, c, d]),
                        // Quotients and remainders are no larger than what they are of, but for INT_MIN / −1.
                        Code::FloorDiv | Code::Mod => hull(&[a, b, -a, -b, c, d]),
                        Code::And | Code::Or | Code::Xor | Code::Shr => word,
                        _ => None,
                    },
                    _ => None,
                },
            }
        }
        Instr::Random { .. } | Instr::Inside { .. } => None,
    })
}

fn operands(value: &Value) -> &[ValueId] {
    match &value.instr {
        Instr::Pointwise { operands, .. } => operands,
        Instr::Cast { operand } | Instr::Check { operand, .. } | Instr::Reduce { operand, .. } => {
            std::slice::from_ref(operand)
        }
        _ => &[],
    }
}

/// The numbers that an index takes; those with a run-time part are checked to fit when the plan runs.
fn reach(index: &Affine, group: &Group) -> Span {
    if !index.offset.terms.is_empty() {
        return Some((*WORD.start(), *WORD.end()));
    }
    let (mut low, mut high) = (i128::from(index.offset.constant), i128::from(index.offset.constant));
    for (size, &stride) in group.domain().zip(&index.strides) {
        let span = i128::from(stride) * size.saturating_sub(1) as i128;
        (low, high) = (low + span.min(0), high + span.max(0));
    }
    Some((low, high))
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::group::{Linear, Scope, Store};
    use crate::plan::row_major;

    /// Index · scalar `codes` …, at the end a conversion to `to`.
    fn kernel(codes: &[Code], to: DType) -> Group {
        let index = Affine { offset: Linear::default(), strides: smallvec![1] };
        let value = |instr, dtype| Value { instr, dtype, scope: Scope::Row, stage: 0 };
        let mut values = vec![value(Instr::Index { index }, DType::I64), value(Instr::Scalar { slot: 0 }, DType::I64)];
        for &code in codes {
            let operands = smallvec![if values.len() == 2 { 0 } else { values.len() - 1 }, 1];
            values.push(value(Instr::Pointwise { code, operands }, DType::I64));
        }
        values.push(value(Instr::Cast { operand: values.len() - 1 }, to));
        let stores = vec![Store { value: values.len() - 1, argument: 0, index: row_major(&[1000], 0) }];
        Group { outer: smallvec![1000], inner: smallvec![], values, stores }
    }

    #[test]
    fn ranges_wrap_soundly_and_the_rest_is_refused() {
        assert!(check(&kernel(&[Code::Mul, Code::Add], DType::I32)).is_ok());
        assert!(check(&kernel(&[Code::Mul, Code::Add], DType::F32)).is_err());
        assert!(check(&kernel(&[Code::Sub], DType::F32)).is_ok());
        assert!(check(&kernel(&[Code::Mul, Code::Maximum], DType::I32)).is_err());
    }
}
