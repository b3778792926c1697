//! The shaders of a Group: one invocation per element or four, per row, or a workgroup per row. Depends on `values` and `fours`.
//! Invariant: an invocation reads all that a pass needs before it stores, and stores in the last pass only, so that an output
//! may lie in the place of an input that is read at the same index.

use super::domain::merged;
use super::fours;
use super::source::{Source, WORKGROUP};
use super::split;
use super::values::{Printer, Reduction};
use super::wide;
use crate::error::Result;
use crate::group::{Group, Instr, Scope, Store};
use crate::plan::{Argument, Candidate, Caps, Launch};

/// Rows up to this length are folded by one invocation each; longer ones where neighbours in memory are neighbouring rows.
const SHORT_ROW: usize = 32;

/// Fewer rows than this leave a GPU idle when one invocation folds a row.
const MANY_ROWS: usize = 1024;

/// The ways to run a Group, best first; none where it has nothing to do.
pub(super) fn candidates(group: &Group, arguments: &[Argument], caps: &Caps) -> Result<Vec<Candidate>> {
    if group.rows() == 0 || group.stores.is_empty() {
        return Ok(vec![Candidate { key: "nothing".to_owned(), temporaries: Vec::new(), launches: Vec::new() }]);
    }
    let fitted = wide::fitted(group, arguments, caps)?;
    let group = merged(&fitted)?;
    if group.is_elementwise() {
        return Ok(vec![elementwise(&group, arguments, caps)?]);
    }
    let mut ways = vec![tree(&group, arguments, caps)?, serial(&group, arguments, caps)?];
    let length = group.row_length();
    if split::pays(&group) {
        // It takes buffers for what chunks make; where there are not so many, whole rows are folded.
        ways.splice(0..0, split::candidate(&group, arguments, caps));
    } else if length <= SHORT_ROW || (group.rows() >= MANY_ROWS && walks_across_rows(&group)) {
        ways.swap(0, 1);
    }
    Ok(ways)
}

/// Whether neighbouring rows, not neighbouring elements, lie next to each other in most of what is read.
fn walks_across_rows(group: &Group) -> bool {
    let split = group.outer.len();
    let mut votes = 0i32;
    for value in &group.values {
        if let Instr::Load { access, .. } = &value.instr {
            let strides = &access.index.strides;
            votes += i32::from(split > 0 && strides[split - 1].abs() == 1);
            votes -= i32::from(strides.last().is_some_and(|stride| stride.abs() == 1) && strides.len() > split);
        }
    }
    votes > 0
}

fn single(key: &str, launch: Launch) -> Candidate {
    Candidate { key: key.to_owned(), temporaries: Vec::new(), launches: vec![launch] }
}

/// One invocation per element, or four elements each.
fn elementwise(group: &Group, arguments: &[Argument], caps: &Caps) -> Result<Candidate> {
    let launch = match fours::spread(group, arguments, caps) {
        None => one_by_one(group, arguments, caps)?,
        Some(spread) => {
            let mut launch = fours::launch(group, arguments, spread, true, caps)?;
            if !launch.aligned.is_empty() {
                launch.otherwise = Some(Box::new(match fours::stores_halves(group, arguments) {
                    true => fours::launch(group, arguments, spread, false, caps)?,
                    false => one_by_one(group, arguments, caps)?,
                }));
            }
            launch
        }
    };
    Ok(single("elementwise", launch))
}

fn one_by_one(group: &Group, arguments: &[Argument], caps: &Caps) -> Result<Launch> {
    let mut printer = Printer::new(group, arguments);
    open_rows(&mut printer.source, group.rows());
    printer.domain.open_row(&mut printer.source);
    for id in printer.needed(group.stores.iter().map(|store| store.value), Scope::Row) {
        printer.value(id);
    }
    group.stores.iter().for_each(|store| printer.store(store));
    printer.source.line("}");
    let units = group.rows().div_ceil(WORKGROUP as usize);
    printer.source.finish("elementwise: one invocation per element", WORKGROUP, units, caps)
}

/// Opens a block for the invocation's own row.
fn open_rows(source: &mut Source<'_>, rows: usize) {
    let rows = source.size(rows);
    source.line(format!("let row = unit * {WORKGROUP}u + lane;"));
    source.line(format!("if (row < {rows}) {{"));
}

/// One invocation per row: for short rows, and where neighbouring rows are neighbours in memory.
fn serial(group: &Group, arguments: &[Argument], caps: &Caps) -> Result<Candidate> {
    let mut printer = Printer::new(group, arguments);
    open_rows(&mut printer.source, group.rows());
    rows(&mut printer, group, None, caps);
    printer.source.line("}");
    let units = group.rows().div_ceil(WORKGROUP as usize);
    Ok(single("serial", printer.source.finish("rows: one invocation per row", WORKGROUP, units, caps)?))
}

/// A workgroup per row: invocations take every n-th element, then a tree in workgroup memory makes one value of theirs.
fn tree(group: &Group, arguments: &[Argument], caps: &Caps) -> Result<Candidate> {
    let mut printer = Printer::new(group, arguments);
    printer.source.subgroup = caps.subgroup.1;
    let invocations = if group.row_length() <= 256 { 64 } else { WORKGROUP };
    let count = printer.source.size(group.rows());
    // The same for the whole workgroup, so that the barriers below are reached by all or none.
    printer.source.line("let row = unit;");
    printer.source.line(format!("if (row < {count}) {{"));
    rows(&mut printer, group, Some(invocations), caps);
    printer.source.line("}");
    let what = "rows: one workgroup per row, a tree over its invocations";
    Ok(single("tree", printer.source.finish(what, invocations, group.rows(), caps)?))
}

/// The passes over one row. `together` is the number of invocations that share it; `None` where one walks it alone.
fn rows(printer: &mut Printer<'_>, group: &Group, together: Option<u32>, caps: &Caps) {
    printer.source.steps = 16 * (group.row_length() as u64).div_ceil(together.unwrap_or(1).into());
    printer.domain.open_row(&mut printer.source);
    let length = printer.source.size(group.row_length());
    let many = together.is_some_and(|step| fours::folds_many(group, group.row_length(), step, caps));
    for pass in 0..=printer.passes() {
        printer.row_values(pass).into_iter().for_each(|id| printer.value(id));
        let reductions = printer.reductions(pass + 1);
        if reductions.is_empty() {
            continue;
        }
        open_folds(printer, &reductions);
        match together {
            Some(step) if many => fold_many(printer, &reductions, "lane", &length, step),
            _ => {
                open_elements(printer, &length, together);
                fold_elements(printer, &reductions);
                printer.source.line("}");
            }
        }
        close_folds(printer, &reductions, together);
    }
    let elements: Vec<_> = group.stores.iter().filter(|store| !is_row(group, store)).collect();
    if !elements.is_empty() {
        open_elements(printer, &length, together);
        for id in printer.needed(elements.iter().map(|store| store.value), Scope::Element) {
            printer.value(id);
        }
        elements.into_iter().for_each(|store| printer.store(store));
        printer.source.line("}");
    }
    store_rows(printer, group, together);
}

fn is_row(group: &Group, store: &Store) -> bool {
    group.values[store.value].scope == Scope::Row
}

/// Stores the Row values, once.
pub(super) fn store_rows(printer: &mut Printer<'_>, group: &Group, together: Option<u32>) {
    let rows: Vec<_> = group.stores.iter().filter(|store| is_row(group, store)).collect();
    if rows.is_empty() {
        return;
    }
    if together.is_some() {
        printer.source.line("if (lane == 0u) {");
    }
    rows.into_iter().for_each(|store| printer.store(store));
    if together.is_some() {
        printer.source.line("}");
    }
}

fn open_elements(printer: &mut Printer<'_>, length: &str, together: Option<u32>) {
    let (first, step) = together.map_or(("0u".to_owned(), 1), |invocations| ("lane".to_owned(), invocations));
    let head = format!("for (var element = {first}; element < {length}; element = element + {step}u) {{");
    printer.source.line(head);
    printer.domain.open_element(&mut printer.source);
}

/// Declares the running values `a{id}` of reductions.
pub(super) fn open_folds(printer: &mut Printer<'_>, reductions: &[Reduction]) {
    for (id, _, folding) in reductions {
        printer.source.line(format!("var a{id} = {};", folding.identity()));
    }
}

/// Takes the element that is open into the running values.
pub(super) fn fold_elements(printer: &mut Printer<'_>, reductions: &[Reduction]) {
    for id in printer.needed(reductions.iter().map(|&(_, operand, _)| operand), Scope::Element) {
        printer.value(id);
    }
    for (id, operand, folding) in reductions {
        let lifted = folding.lift(&format!("v{operand}"), "element");
        printer.source.line(format!("a{id} = {};", folding.combine(&format!("a{id}"), &lifted)));
    }
}

/// Folds the elements `first`, `first + step`, … below `end`, four at a time: their reads are on the way together. The order stays.
pub(super) fn fold_many(printer: &mut Printer<'_>, reductions: &[Reduction], first: &str, end: &str, step: u32) {
    let last = 3 * step;
    printer.source.line(format!("for (var next = {first}; next < {end}; next = next + {}u) {{", 4 * step));
    printer.source.line(format!("if (next + {last}u < {end}) {{"));
    for number in 0..4 {
        printer.source.line("{");
        printer.source.line(format!("let element = next + {}u;", number * step));
        printer.domain.open_element(&mut printer.source);
        fold_elements(printer, reductions);
        printer.source.line("}");
    }
    printer.source.line("} else {");
    printer.source.line(format!("for (var element = next; element < {end}; element = element + {step}u) {{"));
    printer.domain.open_element(&mut printer.source);
    fold_elements(printer, reductions);
    printer.source.line("}");
    printer.source.line("}");
    printer.source.line("}");
}

/// Makes `t{id}`, the running value of the workgroup, of those of its invocations.
pub(super) fn tree_of_folds(printer: &mut Printer<'_>, reductions: &[Reduction], invocations: u32) {
    for (id, _, folding) in reductions {
        let source = &mut printer.source;
        let memory = source.workgroup(folding.carried(), invocations);
        let largest = source.subgroup;
        if (1..=64).contains(&largest) && invocations.is_multiple_of(largest) && folding.travels() {
            // Halves of the subgroup meet, again and again; then every invocation folds what the subgroups found.
            let met = folding.combine(&format!("a{id}"), &format!("other{id}"));
            source.line("for (var span = subgroup_size >> 1u; span > 0u; span = span >> 1u) {");
            source.line(format!("let other{id} = subgroupShuffleXor(a{id}, span);"));
            source.line(format!("a{id} = {met};"));
            source.line("}");
            source.line("if (subgroup_lane == 0u) {");
            source.line(format!("{memory}[subgroup] = a{id};"));
            source.line("}");
            source.line("workgroupBarrier();");
            source.line(format!("var t{id} = {memory}[0];"));
            source.line("for (var part = 1u; part < subgroups; part = part + 1u) {");
            let folded = folding.combine(&format!("t{id}"), &format!("{memory}[part]"));
            source.line(format!("t{id} = {folded};"));
            source.line("}");
            source.line("workgroupBarrier();");
            continue;
        }
        let combined = folding.combine(&format!("{memory}[lane]"), &format!("{memory}[lane + span]"));
        source.line(format!("{memory}[lane] = a{id};"));
        source.line("workgroupBarrier();");
        source.line(format!("for (var span = {}u; span > 0u; span = span >> 1u) {{", invocations / 2));
        source.line("if (lane < span) {");
        source.line(format!("{memory}[lane] = {combined};"));
        source.line("}");
        source.line("workgroupBarrier();");
        source.line("}");
        source.line(format!("let t{id} = {memory}[0];"));
        source.line("workgroupBarrier();");
    }
}

/// Makes the reductions' values of their running values.
pub(super) fn close_folds(printer: &mut Printer<'_>, reductions: &[Reduction], together: Option<u32>) {
    let mut carried = "a";
    if let Some(invocations) = together {
        tree_of_folds(printer, reductions, invocations);
        carried = "t";
    }
    for (id, _, folding) in reductions {
        let result = folding.result(&format!("{carried}{id}"), printer.kind(*id));
        printer.source.line(format!("let v{id} = {result};"));
    }
}
