//! Steps that are one loop together. Depends on `program` and `kit::tiles`. Invariant: the bits are those of the steps one by one.

use super::program::{Place, Slot, Step};
use crate::code::Code;
use crate::dtype::DType;
use crate::kit::tiles::{self, Then};

/// Two steps as one, where nobody else reads what the first writes; `dying` are the places that only the second reads from now on.
pub(super) fn fused(before: &Step, step: &Step, dying: &[Place]) -> Option<Step> {
    let (
        Step::Pointwise { code: first, dtype: DType::F32, operands: firsts, dst: between },
        Step::Pointwise { code, dtype: DType::F32, operands, dst },
    ) = (before, step)
    else {
        return None;
    };
    if !dying.contains(between) {
        return None;
    }
    match (firsts.as_slice(), operands.as_slice()) {
        ([a, b], [_]) if (first, code) == (&Code::Sub, &Code::Exp) => {
            Some(Step::ExpOfDifference { operands: [*a, *b], dst: *dst })
        }
        ([a, b], [x, y]) if tiles::is_first(*first) => {
            let place = usize::from(x.place != *between);
            let other = if place == 0 { y } else { x };
            // A function of one value twice is no pair.
            if other.place == *between {
                return None;
            }
            let then = Then::of(*code, place)?;
            let (a, b) = match (is_vector(a), is_vector(b)) {
                (true, _) => (a, b),
                (false, true) if *first != Code::Sub => (b, a),
                _ => return None,
            };
            Some(Step::Pair { first: *first, then, operands: [*a, *b, *other], dst: *dst })
        }
        _ => None,
    }
}

/// The factors of a product that a step writes to `place`.
pub(super) fn factors(step: &Step, place: Place) -> Option<[Place; 2]> {
    match step {
        Step::Pointwise { code: Code::Mul, dtype: DType::F32 | DType::F64, operands, dst }
            if *dst == place && operands.iter().all(is_vector) =>
        {
            Some([operands[0].place, operands[1].place])
        }
        _ => None,
    }
}

/// The minuend and the row value of exp(a − b) that a step writes to `place`.
pub(super) fn exponent(step: &Step, place: Place) -> Option<[Place; 2]> {
    match step {
        Step::ExpOfDifference { operands: [a, b], dst }
            if *dst == place && is_vector(a) && matches!(b.place, Place::Row(_)) =>
        {
            Some([a.place, b.place])
        }
        _ => None,
    }
}

/// The mask whose elements a step writes to `place` as ones and zeros.
pub(super) fn counted(step: &Step, place: Place) -> Option<Place> {
    match step {
        Step::Cast { from: DType::Bool, to: DType::I32 | DType::I64, operand, dst }
            if *dst == place && matches!(operand, Place::Tile(_) | Place::Pointer(_)) =>
        {
            Some(*operand)
        }
        _ => None,
    }
}

/// Whether a slot certainly holds a value for every element.
fn is_vector(slot: &Slot) -> bool {
    matches!(slot.place, Place::Tile(_) | Place::Pointer(_))
}
