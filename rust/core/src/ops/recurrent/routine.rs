//! What the routines of recurrent units make of a kernel's arguments. Depends on `backend` and `kit::recurrent`.
//! Invariant: optional arguments stand in the order in which they are asked for.

use super::sequence::Steps;
use crate::backend::HostArgument;
use crate::kit::gemm::Matrix;
use crate::kit::recurrent::{Line, Rows, Sequence, Target};

/// The next of a list, if the next thing is in it.
pub(super) fn optional<'a, T>(is_there: bool, rest: &mut std::slice::Iter<'a, T>) -> Option<&'a T> {
    if is_there { rest.next() } else { None }
}

/// An argument as rows.
pub(super) fn rows<E>(argument: &HostArgument<'_>) -> Rows<E> {
    let strides = &argument.layout.strides;
    let step = if strides.len() == 3 { strides[0] } else { 0 };
    let [.., row, element] = strides[..] else { unreachable!("states and sequences have rows") };
    Rows { start: argument.data.0.cast::<E>().cast_const(), strides: [step, row, element] }
}

/// An argument as one row.
pub(super) fn line<E>(argument: &HostArgument<'_>) -> Line<E> {
    Line { start: argument.data.0.cast::<E>().cast_const(), step: argument.layout.strides[0] }
}

/// An argument as a matrix.
pub(super) fn matrix<E>(argument: &HostArgument<'_>) -> Matrix<E> {
    let strides = &argument.layout.strides;
    Matrix { start: argument.data.0.cast::<E>().cast_const(), row: strides[0], column: strides[1] }
}

/// A result.
pub(super) fn target<E>(argument: &HostArgument<'_>) -> Target<E> {
    Target(argument.data.0.cast())
}

/// Sizes from those of a sequence `[step, batch, …]` and of the recurrent weight.
pub(super) fn sequence(
    steps: &Steps,
    rows: &[usize],
    weight: &[usize],
    lengths: Option<&HostArgument<'_>>,
) -> Sequence {
    Sequence {
        unit: steps.unit,
        steps: rows[0],
        batch: rows[1],
        hidden: weight[0] / steps.unit.gates(),
        state: weight[1],
        reverse: steps.reverse,
        ends: lengths.map(line),
    }
}
