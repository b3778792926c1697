//! Few long rows: each is cut into chunks, one workgroup for each, and a second launch folds what the chunks give.
//! Depends on `kernels` and `values`. Invariant: chunks depend on the shape alone.

use super::fours::folds_many;
use super::kernels::{close_folds, fold_elements, fold_many, open_folds, store_rows, tree_of_folds};
use super::source::{Memory, WORKGROUP};
use super::types::Type;
use super::values::{Printer, Reduction};
use crate::error::Result;
use crate::group::{Group, Instr, Scope};
use crate::plan::{Argument, Candidate, Caps};

/// Rows from which on there are workgroups enough without cutting.
const FEW_ROWS: usize = 256;

/// Elements of a chunk.
const CHUNK: usize = 1 << 13;

/// Most chunks of a row: the second launch folds them with one workgroup.
const MOST_CHUNKS: usize = 1 << 10;

/// Whether the Group is one set of folds over rows that are worth cutting.
pub(super) fn pays(group: &Group) -> bool {
    let is_row = |store: &crate::group::Store| group.values[store.value].scope == Scope::Row;
    group.rows() < FEW_ROWS
        && group.row_length() >= 4 * CHUNK
        && group.stores.iter().all(is_row)
        && is_single_pass(group)
}

/// Whether no Element value depends on a reduction.
fn is_single_pass(group: &Group) -> bool {
    let mut reduced = vec![false; group.values.len()];
    for (id, value) in group.values.iter().enumerate() {
        reduced[id] = match &value.instr {
            Instr::Reduce { .. } => true,
            Instr::Pointwise { operands, .. } => operands.iter().any(|&operand| reduced[operand]),
            Instr::Cast { operand } | Instr::Check { operand, .. } => reduced[*operand],
            _ => false,
        };
        if reduced[id] && value.scope == Scope::Element {
            return false;
        }
    }
    true
}

/// Both launches.
pub(super) fn candidate(group: &Group, arguments: &[Argument], caps: &Caps) -> Result<Candidate> {
    let chunks = group.row_length().div_ceil(CHUNK).min(MOST_CHUNKS);
    let length = group.row_length().div_ceil(chunks);
    let units = group.rows() * chunks;

    let mut first = Printer::new(group, arguments);
    first.source.subgroup = caps.subgroup.1;
    let [all, per_row, chunk, total] = [units, chunks, length, group.row_length()].map(|size| first.source.size(size));
    first.source.line(format!("if (unit < {all}) {{"));
    first.source.line(format!("let row = unit / {per_row};"));
    first.source.line(format!("let start = unit % {per_row} * {chunk};"));
    first.source.line(format!("let end = min(start + {chunk}, {total});"));
    first.domain.open_row(&mut first.source);
    first.row_values(0).into_iter().for_each(|id| first.value(id));
    let reductions = first.reductions(1);
    open_folds(&mut first, &reductions);
    if folds_many(group, length, WORKGROUP, caps) {
        fold_many(&mut first, &reductions, "start + lane", "end", WORKGROUP);
    } else {
        first
            .source
            .line(format!("for (var element = start + lane; element < end; element = element + {WORKGROUP}u) {{"));
        first.domain.open_element(&mut first.source);
        fold_elements(&mut first, &reductions);
        first.source.line("}");
    }
    tree_of_folds(&mut first, &reductions, WORKGROUP);
    first.source.line("if (lane == 0u) {");
    for (number, reduction) in reductions.iter().enumerate() {
        let (id, _, folding) = reduction;
        let memory = first.source.memory(partial(arguments, number, reduction, true));
        match folding.elements() {
            (1, _) => first.source.line(format!("store_{memory}(i32(unit), t{id});")),
            _ => {
                first.source.line(format!("store_{memory}(i32(unit * 2u), t{id}.x);"));
                first.source.line(format!("store_{memory}(i32(unit * 2u + 1u), t{id}.y);"));
            }
        }
    }
    first.source.line("}");
    first.source.line("}");

    let mut second = Printer::new(group, arguments);
    second.source.subgroup = caps.subgroup.1;
    let [rows, per_row] = [group.rows(), chunks].map(|size| second.source.size(size));
    second.source.line("let row = unit;");
    second.source.line(format!("if (row < {rows}) {{"));
    second.domain.open_row(&mut second.source);
    second.row_values(0).into_iter().for_each(|id| second.value(id));
    open_folds(&mut second, &reductions);
    second.source.line(format!("for (var part = lane; part < {per_row}; part = part + {WORKGROUP}u) {{"));
    second.source.line(format!("let at = row * {per_row} + part;"));
    for (number, reduction) in reductions.iter().enumerate() {
        let (id, _, folding) = reduction;
        let memory = second.source.memory(partial(arguments, number, reduction, false));
        let carried = match folding.elements() {
            (1, _) => format!("load_{memory}(i32(at))"),
            _ => format!("{}(load_{memory}(i32(at * 2u)), load_{memory}(i32(at * 2u + 1u)))", folding.carried()),
        };
        second.source.line(format!("a{id} = {};", folding.combine(&format!("a{id}"), &carried)));
    }
    second.source.line("}");
    close_folds(&mut second, &reductions, Some(WORKGROUP));
    second.row_values(1).into_iter().for_each(|id| second.value(id));
    store_rows(&mut second, group, Some(WORKGROUP));
    second.source.line("}");

    let bytes = |(_, _, folding): &Reduction| {
        let (count, kind) = folding.elements();
        units * count * kind.bytes()
    };
    let what = "chunks of rows: one workgroup per chunk";
    Ok(Candidate {
        key: "split".to_owned(),
        temporaries: reductions.iter().map(bytes).collect(),
        launches: vec![
            first.source.finish(what, WORKGROUP, units, caps)?,
            second.source.finish("rows of chunks: one workgroup per row", WORKGROUP, group.rows(), caps)?,
        ],
    })
}

/// Where the chunks' running values of a reduction lie.
fn partial(arguments: &[Argument], number: usize, (_, _, folding): &Reduction, write: bool) -> Memory {
    let element: Type = folding.elements().1;
    Memory { argument: arguments.len() + number, element, write }
}
