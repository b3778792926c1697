//! Products of float16 on the units for small matrices that some devices have: the lanes of a subgroup hold a matrix together.
//! Depends on `matmul`. Invariant: sums are in float32; tiles are in workgroup memory with zeros beyond the operands, so that any
//! sizes and strides do; the printed extension is one that the device said to have.

use super::domain::FOUR;
use super::fours::in_one_window;
use super::matmul::{Finish, Operand, operands};
use super::source::{Memory, Source};
use super::squares::ENOUGH;
use super::types::Type;
use super::values::Printer;
use crate::dtype::DType;
use crate::error::Result;
use crate::group::{Group, Instr, Value};
use crate::plan::{Argument, Caps, Launch, Matmul};

/// Rows and columns of the result that a workgroup makes, with two by two subgroups.
const SIDE: usize = 64;

/// Terms that lie in workgroup memory at a time.
const DEPTH: usize = 32;

/// Elements from row to row of the tiles: a little more than they hold, so that rows begin in different banks of memory.
const LEFT_STEP: usize = DEPTH + 8;
const RIGHT_STEP: usize = SIDE + 8;

/// Bytes of workgroup memory: both tiles, and the sums on their way out.
const BYTES: usize = 2 * SIDE * LEFT_STEP + 2 * DEPTH * RIGHT_STEP + 4 * SIDE * SIDE;

/// Fewest rows, columns and terms that are worth it.
const LEAST: usize = 32;

/// Whether such a product is made so.
pub(super) fn pays(matmul: &Matmul, arguments: &[Argument], caps: &Caps) -> bool {
    let Matmul { m, n, k, .. } = *matmul;
    let squares = m.div_ceil(SIDE) * n.div_ceil(SIDE) * matmul.batch.iter().product::<usize>();
    let offered = matches!(caps.cooperative, Some(8 | 16))
        && caps.subgroup.0 == caps.subgroup.1
        && (8..=64).contains(&caps.subgroup.1)
        && caps.workgroup_bytes as usize >= BYTES
        && 4 * caps.subgroup.1 <= caps.workgroup_invocations;
    let group = matmul.epilogue.as_ref();
    let reads_operands = group.is_some_and(|group| {
        let loads = |value: &Value| {
            matches!(value.instr, Instr::Load { argument, .. } if [matmul.lhs, matmul.rhs].contains(&argument))
        };
        group.values.iter().any(loads)
    });
    offered
        && !reads_operands
        && caps.tile.is_none()
        && matmul.dtype == DType::F16
        && m.min(n).min(k) >= LEAST
        // Few long sums are better cut into parts.
        && (squares >= ENOUGH || k < 1024)
        && [matmul.lhs, matmul.rhs, matmul.result].into_iter().all(|number| in_one_window(&arguments[number], caps))
}

/// A workgroup per square; `vectors` asks for operands that start where vectors of four do.
pub(super) fn launch(
    matmul: &Matmul,
    arguments: &[Argument],
    epilogue: Option<&Group>,
    vectors: bool,
    caps: &Caps,
) -> Result<Launch> {
    let side = caps.cooperative.unwrap_or(16) as usize;
    let lanes = caps.subgroup.1 as usize;
    let invocations = 4 * lanes;
    let mut printer = epilogue.map(|group| Printer::new(group, arguments));
    let mut source = printer
        .as_mut()
        .map_or_else(|| Source::new(arguments), |printer| std::mem::replace(&mut printer.source, Source::new(&[])));
    source.enable("f16");
    source.enable("wgpu_cooperative_matrix");
    source.steps = (matmul.k * SIDE * SIDE / invocations / 4) as u64;
    let result = source.memory(Memory { argument: matmul.result, element: Type::F32, write: true });
    let [rows, columns, length] = [matmul.m, matmul.n, matmul.k].map(|size| source.size(size));
    let batches: usize = matmul.batch.iter().product();
    let [tiles_down, tiles_across] = [matmul.m, matmul.n].map(|size| size.div_ceil(SIDE));
    let [down, across, count] = [tiles_down, tiles_across, batches].map(|size| source.size(size));
    source.workgroup_named("tile_a", "f16", (SIDE * LEFT_STEP) as u32);
    source.workgroup_named("tile_b", "f16", (DEPTH * RIGHT_STEP) as u32);
    source.workgroup_named("outcome", "f32", (SIDE * SIDE) as u32);
    source.line(format!("let tile_column = (unit % {across}) * {SIDE}u;"));
    source.line(format!("let tile_row = (unit / {across}) % {down} * {SIDE}u;"));
    source.line(format!("let batch = unit / {across} / {down};"));
    source.line(format!("if (batch < {count}) {{"));
    let [lhs, rhs] = operands(&mut source, matmul, arguments, Type::F32)?;
    // A quarter of the square for each subgroup.
    source.line(format!("let own_row = subgroup / 2u * {}u;", SIDE / 2));
    source.line(format!("let own_column = subgroup % 2u * {}u;", SIDE / 2));
    let blocks = SIDE / 2 / side;
    let each = || (0..blocks).flat_map(|i| (0..blocks).map(move |j| (i, j)));
    for (i, j) in each() {
        source.line(format!("var sum_{i}_{j} = coop_mat{side}x{side}<f32, C>();"));
    }
    source.line(format!("for (var first = 0u; first < {length}; first = first + {DEPTH}u) {{"));
    for (operand, along_rows) in [(&lhs, true), (&rhs, false)] {
        bring(&mut source, matmul, arguments, operand, along_rows, vectors, invocations, [&rows, &columns, &length]);
    }
    source.line("workgroupBarrier();");
    for step in 0..DEPTH / side {
        for i in 0..blocks {
            let at = format!("(own_row + {}u) * {LEFT_STEP}u + {}u", i * side, step * side);
            source.line(format!(
                "let a{step}_{i} = coopLoadT<coop_mat{side}x{side}<f16, A>>(&tile_a[{at}], {LEFT_STEP}u);"
            ));
        }
        for j in 0..blocks {
            let at = format!("{}u + own_column + {}u", step * side * RIGHT_STEP, j * side);
            source.line(format!(
                "let b{step}_{j} = coopLoadT<coop_mat{side}x{side}<f16, B>>(&tile_b[{at}], {RIGHT_STEP}u);"
            ));
        }
        for (i, j) in each() {
            source.line(format!("sum_{i}_{j} = coopMultiplyAdd(a{step}_{i}, b{step}_{j}, sum_{i}_{j});"));
        }
    }
    source.line("workgroupBarrier();");
    source.line("}");
    for (i, j) in each() {
        let at = format!("(own_row + {}u) * {SIDE}u + own_column + {}u", i * side, j * side);
        source.line(format!("coopStoreT(sum_{i}_{j}, &outcome[{at}], {SIDE}u);"));
    }
    source.line("workgroupBarrier();");
    let finish = Finish::new(matmul, arguments, epilogue, vectors, caps);
    let step = if finish.fours { FOUR } else { 1 };
    source.line(format!(
        "for (var number = lane * {step}u; number < {}u; number = number + {}u) {{",
        SIDE * SIDE,
        step * invocations
    ));
    source.line(format!("let down = tile_row + number / {SIDE}u;"));
    source.line(format!("let along = tile_column + number % {SIDE}u;"));
    if finish.fours {
        source.line(
            "var sum = vec4<f32>(outcome[number], outcome[number + 1u], outcome[number + 2u], outcome[number + 3u]);",
        );
    } else {
        source.line("var sum = outcome[number];");
    }
    source.line(format!("if (down < {rows} && along < {columns}) {{"));
    source.line(format!("let row = (batch * {rows} + down) * {columns} + along;"));
    let mut source = finish.print(source, &result, printer);
    source.line("}");
    source.line("}");
    source.line("}");
    let units = tiles_down * tiles_across * batches;
    source.finish("matmul: a workgroup per square, a matrix per subgroup", invocations as u32, units, caps)
}

/// Brings a tile of an operand: rows of the left one are rows of its tile, so are rows of the right one.
fn bring(
    source: &mut Source<'_>,
    matmul: &Matmul,
    arguments: &[Argument],
    operand: &Operand,
    left: bool,
    vectors: bool,
    invocations: usize,
    [rows, columns, length]: [&String; 3],
) {
    let (argument, m, n) = if left { (matmul.lhs, matmul.m, matmul.k) } else { (matmul.rhs, matmul.k, matmul.n) };
    let (tile, step) = if left { ("tile_a", LEFT_STEP) } else { ("tile_b", RIGHT_STEP) };
    let (high, wide) = if left { (SIDE, DEPTH) } else { (DEPTH, SIDE) };
    source.as_stored(argument);
    let strides = &arguments[argument].layout.strides;
    let rank = matmul.batch.len();
    // Neighbours in memory go to neighbouring invocations.
    let down = operand.unit[0];
    let (axis, size) = if down { (rank, m) } else { (rank + 1, n) };
    let steps = strides.iter().enumerate().filter(|&(other, _)| other != axis);
    let vectors = vectors
        && strides[axis] == 1
        && size.is_multiple_of(FOUR)
        && steps.map(|(_, stride)| stride).all(|stride| stride % FOUR as isize == 0);
    if vectors {
        source.in_vectors(argument, operand.first.as_deref());
    }
    let each = if vectors { FOUR } else { 1 };
    source.line(format!(
        "for (var number = lane * {each}u; number < {}u; number = number + {}u) {{",
        high * wide,
        each * invocations
    ));
    if down {
        source.line(format!("let place = number % {high}u;"));
        source.line(format!("let term = number / {high}u;"));
    } else {
        source.line(format!("let place = number / {wide}u;"));
        source.line(format!("let term = number % {wide}u;"));
    }
    let (row, column, row_bound, column_bound) = if left {
        ("(tile_row + place)", "(first + term)", rows, length)
    } else {
        ("(first + place)", "(tile_column + term)", length, columns)
    };
    let (kind, four) = if vectors { ("vec4<f16>", "4") } else { ("f16", "") };
    source.line(format!("var value = {kind}();"));
    source.line(format!("if ({row} < {row_bound} && {column} < {column_bound}) {{"));
    source.line(format!("value = load{four}_{}({});", operand.memory, operand.index(row, column)));
    source.line("}");
    for lane in 0..each {
        let part = if vectors { [".x", ".y", ".z", ".w"][lane] } else { "" };
        let offset = if down { lane * step } else { lane };
        source.line(format!("{tile}[place * {step}u + term + {offset}u] = value{part};"));
    }
    source.line("}");
}
