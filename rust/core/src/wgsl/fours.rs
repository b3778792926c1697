//! Elementwise Groups whose invocations make four neighbouring elements each: they read and write vectors of four words, and whole words
//! of 16-bit floats. Depends on `values`.
//! Invariant: whether a shader has this form depends on sizes, but its text holds none; where an argument does not start at a multiple
//! of four, another shader runs, or one element is taken at a time.

use super::domain::{Domain, FOUR, Spread};
use super::source::WORKGROUP;
use super::types::{Type, element_bytes, rounding};
use super::values::Printer;
use crate::code::Code;
use crate::error::Result;
use crate::group::{Group, Instr, Scope, Value};
use crate::plan::{Argument, Caps, Launch};

/// Elements from which on a quarter of the invocations keeps a GPU busy.
const MANY: usize = 1 << 16;

/// Work on one element up to which reading and writing is what takes the time. Beyond it, four copies of the work only make long shaders.
const LITTLE: usize = 96;

/// How the invocations of an elementwise Group take four elements each; `None` where one is better.
pub(super) fn spread(group: &Group, arguments: &[Argument], caps: &Caps) -> Option<Spread> {
    if !possible(group, arguments, caps) {
        return None;
    }
    let quick = group.rows() >= MANY && group.values.iter().map(work).sum::<usize>() <= LITTLE;
    if !(quick || caps.vectors == Some(true) || stores_halves(group, arguments)) {
        return None;
    }
    let spread = along_or_apart(group);
    let mut domain = Domain::new(group);
    domain.spread_rows(spread);
    let loads = group.values.iter().filter_map(|value| match &value.instr {
        Instr::Load { access, .. } => Some(&access.index),
        _ => None,
    });
    let mut indices = loads.chain(group.stores.iter().map(|store| &store.index));
    indices.any(|index| domain.is_together(&index.strides)).then_some(spread)
}

/// Whether invocations that fold every `step`-th of `length` elements read four at a time: one read at a time would not keep the memory
/// busy.
pub(super) fn folds_many(group: &Group, length: usize, step: u32, caps: &Caps) -> bool {
    let enough = length >= 8 * step as usize && group.values.iter().map(work).sum::<usize>() <= LITTLE / 2;
    caps.vectors.unwrap_or(enough)
}

/// Whether invocations can take four elements of such a Group.
pub(super) fn possible(group: &Group, arguments: &[Argument], caps: &Caps) -> bool {
    let narrow = |value: &Value| !Type::of(value.dtype).is_wide() && !matches!(value.instr, Instr::Check { .. });
    caps.vectors != Some(false)
        && arguments.iter().all(|argument| in_one_window(argument, caps))
        && group.values.iter().all(narrow)
}

/// Whether one binding spans all that is reached of an argument.
pub(super) fn in_one_window(argument: &Argument, caps: &Caps) -> bool {
    let span = argument.layout.reach().map_or(0, |(low, high)| (high - low + 1) as u64);
    caps.windows(span * element_bytes(argument.dtype) as u64) == 1
}

/// How four neighbours of the walk lie, the first of which has a number that is a multiple of four.
pub(super) fn along_or_apart(group: &Group) -> Spread {
    let whole = group.outer.len() < 2 || group.outer.last().is_some_and(|last| last % FOUR == 0);
    if whole { Spread::Along } else { Spread::Apart }
}

/// Whether 16-bit floats are stored: two invocations that share a word write it by atomics, which are slow.
pub(super) fn stores_halves(group: &Group, arguments: &[Argument]) -> bool {
    group.stores.iter().any(|store| rounding(arguments[store.argument].dtype).is_some())
}

/// Operations that a value takes, about.
fn work(value: &Value) -> usize {
    match &value.instr {
        Instr::Random { .. } => 64,
        Instr::Pointwise { code, .. } => match code {
            Code::Add | Code::Sub | Code::Mul | Code::Neg | Code::Abs | Code::Where | Code::Maximum | Code::Minimum => {
                1
            }
            Code::Div | Code::Sqrt | Code::Less | Code::LessEqual | Code::Greater | Code::GreaterEqual => 2,
            Code::Equal | Code::NotEqual | Code::And | Code::Or | Code::Xor | Code::Not | Code::Sign => 2,
            Code::Exp | Code::Sigmoid | Code::Tanh | Code::Log => 16,
            _ => 32,
        },
        _ if rounding(value.dtype).is_some() => 4,
        _ => 1,
    }
}

/// The shader. With `vectors`, arguments of 32-bit elements are vectors of four where they can be.
pub(super) fn launch(
    group: &Group,
    arguments: &[Argument],
    spread: Spread,
    vectors: bool,
    caps: &Caps,
) -> Result<Launch> {
    let mut printer = Printer::new(group, arguments);
    printer.spread(spread, vectors);
    let rows = printer.source.size(group.rows());
    printer.source.line(format!("let first = (unit * {WORKGROUP}u + lane) * {FOUR}u;"));
    printer.source.line(format!("if (first + {}u < {rows}) {{", FOUR - 1));
    for lane in 0..FOUR {
        printer.source.line(format!("let row_{lane} = first + {lane}u;"));
    }
    elements(&mut printer, group);
    printer.source.line("}");
    if !group.rows().is_multiple_of(FOUR) {
        // One invocation has what is left.
        printer
            .source
            .line(format!("for (var row = first; row < {rows} && {rows} < first + {FOUR}u; row = row + 1u) {{"));
        printer.spread(Spread::Single, false);
        elements(&mut printer, group);
        printer.source.line("}");
    }
    printer.source.steps = 32;
    let units = group.rows().div_ceil(FOUR).div_ceil(WORKGROUP as usize);
    let what = if vectors { "elementwise: four elements per invocation" } else { "elementwise: words of two elements" };
    printer.source.finish(what, WORKGROUP, units, caps)
}

/// The Group's work on the elements that are open.
fn elements(printer: &mut Printer<'_>, group: &Group) {
    printer.domain.open_row(&mut printer.source);
    for id in printer.needed(group.stores.iter().map(|store| store.value), Scope::Row) {
        printer.value(id);
    }
    group.stores.iter().for_each(|store| printer.store(store));
}
