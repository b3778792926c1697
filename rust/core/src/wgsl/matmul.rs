//! Matrix products as shaders: squares of the result whose parts are kept in registers, and vectors apart.
//! Depends on `source`, `values`, `types` and `pointwise`.
//! Invariant: operands may have any strides; elements outside the matrices count as 0 and are not read; sums are in float32 or in
//! the integers' own type.

use smallvec::SmallVec;

use super::domain::{Walk, merge, merged};
use super::source::{Memory, Source, WORKGROUP, too_large};
use super::squares::{ENOUGH, Square};
use super::types::{Type, WORD_BYTES, element_bytes, rounding, wrapped};
use super::values::Printer;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::group::{Affine, Group, Instr, Linear, Scope};
use crate::plan::{Argument, Candidate, Caps, Launch, Matmul, row_major};

/// Shortest sum that is worth cutting into parts.
const LONG: usize = 1024;

/// The way to run a product with its epilogue.
pub(super) fn candidates(matmul: &Matmul, arguments: &[Argument], caps: &Caps) -> Result<Vec<Candidate>> {
    if matmul.dtype == DType::Bool || (element_bytes(matmul.dtype) > WORD_BYTES && !caps.dtypes.contains(&matmul.dtype))
    {
        return Err(Error::dtype(format!(
            "matmul: this GPU does not multiply matrices of {}. Use astype to float32.",
            matmul.dtype
        )));
    }
    let kind = Type::of(matmul.dtype);
    let elements = matmul.batch.iter().product::<usize>() * matmul.m * matmul.n;
    if elements > i32::MAX as usize {
        return Err(too_large());
    }
    let mut way = Candidate { key: "product".to_owned(), temporaries: Vec::new(), launches: Vec::new() };
    let epilogue = matmul.epilogue.as_ref().filter(|group| group.rows() > 0 && !group.stores.is_empty());
    if elements == 0 {
        return Ok(vec![way]);
    }
    let after = |way: &mut Candidate| -> Result<()> {
        if let Some(group) = epilogue {
            let first = super::kernels::candidates(group, arguments, caps)?.into_iter().next();
            way.launches.extend(first.into_iter().flat_map(|first| first.launches));
        }
        Ok(())
    };
    if caps.tile.is_none() && (matmul.m == 1 || matmul.n == 1) && matmul.k >= 32 {
        way.launches.push(vector(matmul, arguments, kind, caps)?);
        after(&mut way)?;
        return Ok(vec![way]);
    }
    let batches = matmul.batch.iter().product();
    let square = Square::of(matmul.m, matmul.n, batches, caps);
    let parts = (ENOUGH / square.count(matmul.m, matmul.n, batches).max(1)).min(matmul.k / (LONG / 4)).max(1);
    if parts > 1 && matmul.k >= LONG && kind == Type::F32 {
        way.temporaries.push(parts * elements * WORD_BYTES);
        way.launches.push(squares(matmul, arguments, kind, square, parts, None, caps)?);
        way.launches.push(summed(matmul, arguments, elements, parts, caps)?);
        after(&mut way)?;
        return Ok(vec![way]);
    }
    let fitted = epilogue.map(|group| super::wide::fitted(group, arguments, caps)).transpose()?;
    let inside = fitted.map(|group| merged(&group)).transpose()?;
    let inside = inside.filter(|group| works_in_place(group, matmul.result));
    // An epilogue that binds too much runs as a launch of its own.
    match squares(matmul, arguments, kind, square, 1, inside.as_ref(), caps) {
        Ok(launch) => {
            way.launches.push(launch);
            if inside.is_none() {
                after(&mut way)?;
            }
        }
        Err(_) if inside.is_some() => {
            way.launches.push(squares(matmul, arguments, kind, square, 1, None, caps)?);
            after(&mut way)?;
        }
        Err(error) => return Err(error),
    }
    Ok(vec![way])
}

/// Whether a Group reads the product only at the element that it works on.
fn works_in_place(group: &Group, result: usize) -> bool {
    let own = row_major(&group.outer, 0);
    let loads = group.values.iter().filter_map(|value| match &value.instr {
        Instr::Load { argument, access } if *argument == result => Some(access),
        _ => None,
    });
    group.is_elementwise() && loads.into_iter().all(|access| access.index == own && access.guards.is_empty())
}

/// Squares of the result, or of the parts of the sums where there are several; `epilogue` works on finished elements.
fn squares(
    matmul: &Matmul,
    arguments: &[Argument],
    kind: Type,
    square: Square,
    parts: usize,
    epilogue: Option<&Group>,
    caps: &Caps,
) -> Result<Launch> {
    let Square { side, each, depth } = square;
    let invocations = square.invocations();
    let mut printer = epilogue.map(|group| Printer::new(group, arguments));
    let mut source = printer
        .as_mut()
        .map_or_else(|| Source::new(arguments), |printer| std::mem::replace(&mut printer.source, Source::new(&[])));
    source.steps = 2 * (matmul.k.div_ceil(parts) * each * each) as u64;
    let to = if parts > 1 { arguments.len() } else { matmul.result };
    let result = source.memory(Memory { argument: to, element: kind, write: true });
    let [rows, columns, length] = [matmul.m, matmul.n, matmul.k].map(|size| source.size(size));
    let batches: usize = matmul.batch.iter().product();
    let [tiles_down, tiles_across] = [matmul.m, matmul.n].map(|size| size.div_ceil(side));
    let [down, across, count] = [tiles_down, tiles_across, batches].map(|size| source.size(size));
    let tiles = square.tiles(&mut source, kind);
    let [tile_a, tile_b] = &tiles;
    source.line(format!("let tile_column = (unit % {across}) * {side}u;"));
    source.line(format!("let tile_row = (unit / {across}) % {down} * {side}u;"));
    if parts > 1 {
        let chunk = source.size(matmul.k.div_ceil(parts));
        source.line(format!("let number = unit / {across} / {down};"));
        source.line(format!("let batch = number % {count};"));
        source.line(format!("let part = number / {count};"));
        let parts = source.size(parts);
        source.line(format!("let begin = part * {chunk};"));
        source.line(format!("let end = min(begin + {chunk}, {length});"));
        source.line(format!("if (part < {parts}) {{"));
    } else {
        source.line(format!("let batch = unit / {across} / {down};"));
        source.line("let begin = 0u;");
        source.line(format!("let end = {length};"));
        source.line(format!("if (batch < {count}) {{"));
    }
    let [lhs, rhs] = operands(&mut source, matmul, arguments, kind)?;
    square.open_sums(&mut source, kind);
    source.line(format!("for (var first = begin; first < end; first = first + {depth}u) {{"));
    // Each invocation brings every `invocations`-th element of both tiles; neighbours in memory go to neighbouring invocations.
    let bring =
        |source: &mut Source<'_>, tile: &str, operand: &Operand, along_rows: bool, origin: &str, bound: &str| {
            for load in 0..square.loads() {
                let number = format!("(lane + {}u)", load * invocations);
                let (place, term) = if operand.unit_step(along_rows) {
                    (format!("({number} % {side}u)"), format!("({number} / {side}u)"))
                } else {
                    (format!("({number} / {depth}u)"), format!("({number} % {depth}u)"))
                };
                source.line("{");
                source.line(format!("let place = {place};"));
                source.line(format!("let term = {term};"));
                source.line(format!("var value = {};", kind.zero()));
                source.line(format!("if ({origin} + place < {bound} && first + term < end) {{"));
                let (row, column) = (format!("({origin} + place)"), "(first + term)".to_owned());
                let (row, column) = if along_rows { (row, column) } else { (column, row) };
                source.line(format!("value = {};", operand.element(&row, &column)));
                source.line("}");
                square.put(source, tile);
                source.line("}");
            }
        };
    bring(&mut source, tile_a, &lhs, true, "tile_row", &rows);
    bring(&mut source, tile_b, &rhs, false, "tile_column", &columns);
    square.multiply(&mut source, &tiles);
    source.line("}");
    square.open_results(&mut source, kind);
    source.line(format!("if (down < {rows} && along < {columns}) {{"));
    source.line(format!("let row = (batch * {rows} + down) * {columns} + along;"));
    if parts > 1 {
        source.line(format!("store_{result}(i32((part * {count} * {rows}) * {columns} + row), sum);"));
    } else {
        let start = source.start(Some(matmul.result), &Linear::constant(arguments[matmul.result].layout.offset as i64));
        let start = start.map_or(String::new(), |start| format!("{start} + "));
        let finished = match rounding(matmul.dtype) {
            Some(round) => format!("{round}(sum)"),
            None => wrapped(matmul.dtype, "sum".to_owned()),
        };
        source.line(format!("sum = {finished};"));
        source.line(format!("store_{result}({start}i32(row), sum);"));
    }
    if let (Some(printer), Some(group)) = (printer.as_mut(), epilogue) {
        printer.source = source;
        printer.given = Some((matmul.result, "sum".to_owned()));
        printer.domain.open_row(&mut printer.source);
        for id in printer.needed(group.stores.iter().map(|store| store.value), Scope::Row) {
            printer.value(id);
        }
        group.stores.iter().for_each(|store| printer.store(store));
        source = std::mem::replace(&mut printer.source, Source::new(&[]));
    }
    source.line("}");
    source.line("}");
    source.line("}");
    let units = tiles_down * tiles_across * batches * parts;
    source.finish(&format!("matmul: a workgroup per square of {side}"), invocations as u32, units, caps)
}

/// Adds up the parts of the sums.
fn summed(matmul: &Matmul, arguments: &[Argument], elements: usize, parts: usize, caps: &Caps) -> Result<Launch> {
    let mut source = Source::new(arguments);
    let from = source.memory(Memory { argument: arguments.len(), element: Type::F32, write: false });
    let result = source.memory(Memory { argument: matmul.result, element: Type::F32, write: true });
    let [count, parts] = [elements, parts].map(|size| source.size(size));
    source.line(format!("let element = unit * {WORKGROUP}u + lane;"));
    source.line(format!("if (element < {count}) {{"));
    source.line("var sum = 0.0;");
    source.line(format!("for (var part = 0u; part < {parts}; part = part + 1u) {{"));
    source.line(format!("sum = sum + load_{from}(i32(part * {count} + element));"));
    source.line("}");
    let start = source.start(Some(matmul.result), &Linear::constant(arguments[matmul.result].layout.offset as i64));
    let start = start.map_or(String::new(), |start| format!("{start} + "));
    source.line(format!("store_{result}({start}i32(element), sum);"));
    source.line("}");
    source.finish("matmul: sums of parts", WORKGROUP, elements.div_ceil(WORKGROUP as usize), caps)
}

/// A matrix and a vector: 16 invocations share a sum, 16 sums a workgroup.
fn vector(matmul: &Matmul, arguments: &[Argument], kind: Type, caps: &Caps) -> Result<Launch> {
    const SHARE: usize = 16;
    let mut source = Source::new(arguments);
    source.steps = 2 * (matmul.k / SHARE) as u64;
    let result = source.memory(Memory { argument: matmul.result, element: kind, write: true });
    let batches: usize = matmul.batch.iter().product();
    let sums = matmul.m * matmul.n;
    let groups = sums.div_ceil(SHARE);
    let [length, sums_, groups_, count] = [matmul.k, sums, groups, batches].map(|size| source.size(size));
    let partial = source.workgroup(kind.name(), WORKGROUP);
    source.line(format!("let batch = unit / {groups_};"));
    source.line(format!("if (batch < {count}) {{"));
    let [lhs, rhs] = operands(&mut source, matmul, arguments, kind)?;
    // Neighbours in the matrix's memory go to neighbouring invocations.
    let (matrix, along_rows) = if matmul.n == 1 { (&lhs, true) } else { (&rhs, false) };
    let (place, part) = if matrix.unit_step(along_rows) {
        (format!("lane % {SHARE}u"), format!("lane / {SHARE}u"))
    } else {
        (format!("lane / {SHARE}u"), format!("lane % {SHARE}u"))
    };
    source.line(format!("let place = {place};"));
    source.line(format!("let part = {part};"));
    source.line(format!("let output = unit % {groups_} * {SHARE}u + place;"));
    source.line(format!("var sum = {};", kind.zero()));
    source.line(format!("if (output < {sums_}) {{"));
    source.line(format!("for (var term = part; term < {length}; term = term + {SHARE}u) {{"));
    let (row, column) = if matmul.n == 1 { ("output", "0u") } else { ("0u", "output") };
    source.line(format!("sum = sum + {} * {};", lhs.element(row, "term"), rhs.element("term", column)));
    source.line("}");
    source.line("}");
    source.line(format!("{partial}[place * {SHARE}u + part] = sum;"));
    source.line("workgroupBarrier();");
    source.line(format!("let own = unit % {groups_} * {SHARE}u + lane;"));
    source.line(format!("if (lane < {SHARE}u && own < {sums_}) {{"));
    source.line(format!("var total = {partial}[lane * {SHARE}u];"));
    for part in 1..SHARE {
        source.line(format!("total = total + {partial}[lane * {SHARE}u + {part}u];"));
    }
    let start = source.start(Some(matmul.result), &Linear::constant(arguments[matmul.result].layout.offset as i64));
    let start = start.map_or(String::new(), |start| format!("{start} + "));
    let total = wrapped(matmul.dtype, "total".to_owned());
    source.line(format!("store_{result}({start}i32(batch * {sums_} + own), {total});"));
    source.line("}");
    source.line("}");
    source.finish("matmul: a matrix and a vector", WORKGROUP, groups * batches, caps)
}

/// An operand: where its matrix of the batch starts, and its steps along rows and columns.
struct Operand {
    memory: String,
    start: &'static str,
    steps: [Option<String>; 2],
    /// Whether neighbours along rows and along columns are neighbours in memory.
    unit: [bool; 2],
}

impl Operand {
    /// Whether the next row (or the next column) is the next element in memory.
    fn unit_step(&self, along_rows: bool) -> bool {
        self.unit[usize::from(!along_rows)]
    }

    /// The element at these coordinates, which are `u32` expressions.
    fn element(&self, row: &str, column: &str) -> String {
        let mut index = self.start.to_owned();
        for (coordinate, step) in [row, column].into_iter().zip(&self.steps) {
            if let Some(step) = step {
                index.push_str(&format!(" + i32({coordinate}){step}"));
            }
        }
        format!("load_{}({index})", self.memory)
    }
}

/// Declares where the operands' matrices start for the number `batch`.
fn operands(source: &mut Source<'_>, matmul: &Matmul, arguments: &[Argument], kind: Type) -> Result<[Operand; 2]> {
    let rank = matmul.batch.len();
    let mut affines = [matmul.lhs, matmul.rhs].map(|argument| {
        let layout = &arguments[argument].layout;
        let strides = layout.strides[..rank].iter().map(|&stride| stride as i64).collect();
        Affine { offset: Linear::constant(layout.offset as i64), strides }
    });
    for argument in [matmul.lhs, matmul.rhs] {
        let (low, high) = arguments[argument].layout.reach().unwrap_or((0, 0));
        if i32::try_from(low).is_err() || i32::try_from(high).is_err() {
            return Err(too_large());
        }
    }
    let mut strides = vec![SmallVec::new(); 2];
    let sizes = merge(&matmul.batch, 0, &affines.each_mut(), &mut strides);
    let mut walk = Walk::new(&sizes, "batch", "n");
    walk.open(source);
    let mut bound = |argument: usize, name: &'static str, strides: &[i64]| {
        let layout = &arguments[argument].layout;
        let memory = source.memory(Memory { argument, element: kind, write: false });
        let offset = Linear::constant(layout.offset as i64);
        let mut terms: Vec<String> = source.start(Some(argument), &offset).into_iter().collect();
        walk.terms(strides, &mut |_, stride| source.number(stride), &mut terms);
        let start = if terms.is_empty() { "0".to_owned() } else { terms.join(" + ") };
        source.line(format!("let {name} = {start};"));
        let steps = [layout.strides[rank], layout.strides[rank + 1]].map(|stride| match stride {
            0 => None,
            1 => Some(String::new()),
            _ => Some(format!(" * {}", source.number(stride as i64))),
        });
        let unit = [layout.strides[rank], layout.strides[rank + 1]].map(|stride| stride == 1);
        Operand { memory, start: name, steps, unit }
    };
    Ok([bound(matmul.lhs, "lhs", &strides[0]), bound(matmul.rhs, "rhs", &strides[1])])
}
