//! Matrix products as shaders: squares of the result whose parts are kept in registers, and vectors apart.
//! Depends on `source`, `values`, `types` and `pointwise`.
//! Invariant: operands may have any strides; elements outside the matrices count as 0 and are not read; sums are in float32 or in
//! the integers' own type.

use smallvec::SmallVec;

use super::cooperative;
use super::domain::{FOUR, Spread, Walk, merge, merged};
use super::fours::{along_or_apart, in_one_window, possible};
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
    if parts > 1 && matmul.k >= LONG && kind == Type::F32 && !cooperative::pays(matmul, arguments, caps) {
        way.temporaries.push(parts * elements * WORD_BYTES);
        way.launches.push(tiled(matmul, arguments, square, parts, None, caps)?);
        way.launches.push(summed(matmul, arguments, elements, parts, caps)?);
        after(&mut way)?;
        return Ok(vec![way]);
    }
    let fitted = epilogue.map(|group| super::wide::fitted(group, arguments, caps)).transpose()?;
    let inside = fitted.map(|group| merged(&group)).transpose()?;
    let inside = inside.filter(|group| works_in_place(group, matmul.result));
    // An epilogue that binds too much runs as a launch of its own.
    match tiled(matmul, arguments, square, 1, inside.as_ref(), caps) {
        Ok(launch) => {
            way.launches.push(launch);
            if inside.is_none() {
                after(&mut way)?;
            }
        }
        Err(_) if inside.is_some() => {
            way.launches.push(tiled(matmul, arguments, square, 1, None, caps)?);
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

/// Squares of the result, and what runs where operands are not aligned as vectors want it.
fn tiled(
    matmul: &Matmul,
    arguments: &[Argument],
    square: Square,
    parts: usize,
    epilogue: Option<&Group>,
    caps: &Caps,
) -> Result<Launch> {
    let cooperative = parts == 1 && cooperative::pays(matmul, arguments, caps);
    let vectors = (cooperative || square.per() == FOUR) && caps.vectors != Some(false);
    let print = |vectors: bool| match cooperative {
        true => cooperative::launch(matmul, arguments, epilogue, vectors, caps),
        false => squares(matmul, arguments, square, parts, epilogue, vectors, caps),
    };
    let mut launch = print(vectors)?;
    if !launch.aligned.is_empty() {
        let scalars = print(false)?;
        // The checks of an epilogue are counted before it is known which of both runs.
        if !launch.checks.is_empty() {
            return Ok(scalars);
        }
        launch.otherwise = Some(Box::new(scalars));
    }
    Ok(launch)
}

/// Squares of the result, or of the parts of the sums where there are several; `epilogue` works on finished elements.
fn squares(
    matmul: &Matmul,
    arguments: &[Argument],
    square: Square,
    parts: usize,
    epilogue: Option<&Group>,
    vectors: bool,
    caps: &Caps,
) -> Result<Launch> {
    let Square { side, each, depth } = square;
    let (kind, invocations) = (Type::of(matmul.dtype), square.invocations());
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
    let turns = square.turns(kind);
    let tiles = square.tiles(&mut source, kind, turns);
    let chunk = matmul.k.div_ceil(parts).next_multiple_of(FOUR);
    source.line(format!("let tile_column = (unit % {across}) * {side}u;"));
    source.line(format!("let tile_row = (unit / {across}) % {down} * {side}u;"));
    if parts > 1 {
        let chunk = source.size(chunk);
        source.line(format!("let number = unit / {across} / {down};"));
        source.line(format!("let batch = number % {count};"));
        source.line(format!("let part = number / {count};"));
        let parts = source.size(parts);
        source.line(format!("let begin = min(part * {chunk}, {length});"));
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
    let sides = [
        Bringing::new(&mut source, matmul, arguments, &lhs, true, square, vectors, caps),
        Bringing::new(&mut source, matmul, arguments, &rhs, false, square, vectors, caps),
    ];
    let bounds = [("tile_row", &rows), ("tile_column", &columns)];
    if turns == 1 {
        source.line(format!("for (var first = begin; first < end; first = first + {depth}u) {{"));
        for ((bringing, tile), (origin, bound)) in sides.iter().zip(&tiles).zip(bounds) {
            bringing.fetch(&mut source, origin, bound);
            bringing.put(&mut source, tile, "");
        }
        square.multiply(&mut source, &tiles);
    } else {
        // What is on its way from memory is waited for only after a tile has been multiplied. A tile is written when all have done with
        // the one before the last, so one barrier is enough.
        let vectors = side * depth / square.per();
        source.line("var turn = 0u;");
        source.line(format!("for (var first = begin; first < end + {depth}u; first = first + {depth}u) {{"));
        for (bringing, (origin, bound)) in sides.iter().zip(bounds) {
            bringing.fetch(&mut source, origin, bound);
        }
        source.line("if (first > begin) {");
        square.add(&mut source, &tiles, "turn + ");
        source.line("}");
        source.line(format!("turn = {vectors}u - turn;"));
        for (bringing, tile) in sides.iter().zip(&tiles) {
            bringing.put(&mut source, tile, "turn + ");
        }
        source.line("workgroupBarrier();");
    }
    source.line("}");
    let finish = Finish::new(matmul, arguments, epilogue, vectors && square.per() == FOUR, caps);
    if finish.fours {
        square.open_fours(&mut source, kind);
    } else {
        square.open_results(&mut source, kind);
    }
    source.line(format!("if (down < {rows} && along < {columns}) {{"));
    source.line(format!("let row = (batch * {rows} + down) * {columns} + along;"));
    if parts > 1 {
        if finish.fours {
            source.in_vectors(to, None);
        }
        let four = if finish.fours { "4" } else { "" };
        source.line(format!("store{four}_{result}(i32((part * {count} * {rows}) * {columns} + row), sum);"));
    } else {
        source = finish.print(source, &result, printer);
    }
    source.line("}");
    source.line("}");
    source.line("}");
    let units = tiles_down * tiles_across * batches * parts;
    source.finish(&format!("matmul: a workgroup per square of {side}"), invocations as u32, units, caps)
}

/// What is done with finished sums: rounded, stored, handed to the epilogue.
pub(super) struct Finish<'a> {
    matmul: &'a Matmul,
    arguments: &'a [Argument],
    epilogue: Option<&'a Group>,
    vectors: bool,
    /// Whether `sum` is a vector of four neighbours of a row.
    pub(super) fours: bool,
}

impl<'a> Finish<'a> {
    /// `vectors` says whether four may be stored at once.
    pub(super) fn new(
        matmul: &'a Matmul,
        arguments: &'a [Argument],
        epilogue: Option<&'a Group>,
        vectors: bool,
        caps: &Caps,
    ) -> Self {
        let fours = vectors
            && matmul.n.is_multiple_of(FOUR)
            && !Type::of(matmul.dtype).is_wide()
            && in_one_window(&arguments[matmul.result], caps)
            && epilogue.is_none_or(|group| possible(group, arguments, caps));
        Self { matmul, arguments, epilogue, vectors, fours }
    }

    /// Prints it where `sum` is known, and `row`, the number of its first element in the result; `printer` is the epilogue's.
    pub(super) fn print<'s>(&self, mut source: Source<'s>, result: &str, printer: Option<Printer<'s>>) -> Source<'s> {
        let Self { matmul, arguments, vectors, fours, .. } = *self;
        let start = source.start(Some(matmul.result), &Linear::constant(arguments[matmul.result].layout.offset as i64));
        if fours && !source.is_half(matmul.result) {
            source.in_vectors(matmul.result, start.as_deref());
        }
        let finished = match rounding(matmul.dtype) {
            Some(round) if fours => {
                format!("vec4<f32>({round}(sum.x), {round}(sum.y), {round}(sum.z), {round}(sum.w))")
            }
            Some(round) => format!("{round}(sum)"),
            None => wrapped(matmul.dtype, "sum".to_owned()),
        };
        source.line(format!("sum = {finished};"));
        let start = start.map_or(String::new(), |start| format!("{start} + "));
        let four = if fours { "4" } else { "" };
        source.line(format!("store{four}_{result}({start}i32(row), sum);"));
        let (Some(mut printer), Some(group)) = (printer, self.epilogue) else { return source };
        printer.source = source;
        printer.spread(if fours { along_or_apart(group) } else { Spread::Single }, vectors);
        let names: &[&str] = if fours { &["sum.x", "sum.y", "sum.z", "sum.w"] } else { &["sum"] };
        printer.given = Some((matmul.result, names.iter().map(|&name| name.to_owned()).collect()));
        for lane in 0..if fours { FOUR } else { 0 } {
            printer.source.line(format!("let row_{lane} = row + {lane}u;"));
        }
        printer.domain.open_row(&mut printer.source);
        for id in printer.needed(group.stores.iter().map(|store| store.value), Scope::Row) {
            printer.value(id);
        }
        group.stores.iter().for_each(|store| printer.store(store));
        printer.source
    }
}

/// How invocations bring an operand's tile: each every n-th element, or vectors of four, so that neighbours in memory go to neighbouring
/// invocations.
struct Bringing<'a> {
    operand: &'a Operand,
    square: Square,
    kind: Type,
    /// Whether places are the operand's rows.
    along_rows: bool,
    /// Whether neighbouring places, not neighbouring terms, are neighbours in memory.
    places: bool,
    vectors: bool,
    /// What its variables begin with.
    name: &'static str,
}

impl<'a> Bringing<'a> {
    fn new(
        source: &mut Source<'_>,
        matmul: &Matmul,
        arguments: &[Argument],
        operand: &'a Operand,
        along_rows: bool,
        square: Square,
        vectors: bool,
        caps: &Caps,
    ) -> Self {
        let (kind, places) = (Type::of(matmul.dtype), operand.unit_step(along_rows));
        let (argument, across) = if along_rows { (matmul.lhs, matmul.m) } else { (matmul.rhs, matmul.n) };
        let layout = &arguments[argument].layout;
        let rank = matmul.batch.len();
        // The axis along which elements are neighbours, and the sizes of the tile's and the operand's part along it.
        let axis = rank + usize::from(along_rows != places);
        let size = if places { across } else { matmul.k };
        let half = source.is_half(argument);
        let steps = layout.strides.iter().enumerate().filter(|&(other, _)| other != axis);
        let vectors = vectors
            && layout.strides[axis] == 1
            && size.is_multiple_of(FOUR)
            && !kind.is_wide()
            && in_one_window(&arguments[argument], caps)
            && (half || steps.map(|(_, stride)| stride).all(|stride| stride % FOUR as isize == 0));
        if vectors && !half {
            source.in_vectors(argument, operand.first.as_deref());
        }
        Self { operand, square, kind, along_rows, places, vectors, name: if along_rows { "left" } else { "right" } }
    }

    /// Declares the variables `place` and `term` of load `number`.
    fn place(&self, source: &mut Source<'_>, number: usize) {
        let Square { side, depth, .. } = self.square;
        let number = format!("(lane + {}u)", number * self.square.invocations());
        let each = if self.vectors { FOUR } else { 1 };
        let ((quick, most), slow) =
            if self.places { (("place", side / each), "term") } else { (("term", depth / each), "place") };
        let times = if self.vectors { format!(" * {FOUR}u") } else { String::new() };
        source.line(format!("let {quick} = {number} % {most}u{times};"));
        source.line(format!("let {slow} = {number} / {most}u;"));
    }

    fn loads(&self) -> usize {
        self.square.loads() / if self.vectors { FOUR } else { 1 }
    }

    /// Reads what the invocation brings of the tile of the terms from `first` on.
    fn fetch(&self, source: &mut Source<'_>, origin: &str, bound: &str) {
        let zero = if self.vectors { format!("vec4<{}>()", self.kind.name()) } else { self.kind.zero().to_owned() };
        for number in 0..self.loads() {
            let value = format!("{}_{number}", self.name);
            source.line(format!("var {value} = {zero};"));
            source.line("{");
            self.place(source, number);
            source.line(format!("if ({origin} + place < {bound} && first + term < end) {{"));
            let (row, column) = (format!("({origin} + place)"), "(first + term)".to_owned());
            let (row, column) = if self.along_rows { (row, column) } else { (column, row) };
            let index = self.operand.index(&row, &column);
            let four = if self.vectors { "4" } else { "" };
            source.line(format!("{value} = load{four}_{}({index});", self.operand.memory));
            source.line("}");
            source.line("}");
        }
    }

    /// Writes that into the tile that begins `from` vectors on.
    fn put(&self, source: &mut Source<'_>, tile: &str, from: &str) {
        for number in 0..self.loads() {
            let value = format!("{}_{number}", self.name);
            source.line("{");
            self.place(source, number);
            if self.vectors && self.places {
                source.line(format!("{tile}[{from}term * {}u + place / 4u] = {value};", self.square.side / FOUR));
            } else if self.vectors {
                for (lane, part) in ["x", "y", "z", "w"].into_iter().enumerate() {
                    self.square.put_at(source, tile, from, &format!("(term + {lane}u)"), &format!("{value}.{part}"));
                }
            } else {
                self.square.put_at(source, tile, from, "term", &value);
            }
            source.line("}");
        }
    }
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
pub(super) struct Operand {
    pub(super) memory: String,
    start: &'static str,
    steps: [Option<String>; 2],
    /// Whether neighbours along rows and along columns are neighbours in memory.
    pub(super) unit: [bool; 2],
    /// The parameter where the argument starts.
    pub(super) first: Option<String>,
}

impl Operand {
    /// Whether the next row (or the next column) is the next element in memory.
    fn unit_step(&self, along_rows: bool) -> bool {
        self.unit[usize::from(!along_rows)]
    }

    /// The element at these coordinates, which are `u32` expressions.
    fn element(&self, row: &str, column: &str) -> String {
        format!("load_{}({})", self.memory, self.index(row, column))
    }

    /// Where it lies.
    pub(super) fn index(&self, row: &str, column: &str) -> String {
        let mut index = self.start.to_owned();
        for (coordinate, step) in [row, column].into_iter().zip(&self.steps) {
            if let Some(step) = step {
                index.push_str(&format!(" + i32({coordinate}){step}"));
            }
        }
        index
    }
}

/// Declares where the operands' matrices start for the number `batch`.
pub(super) fn operands(
    source: &mut Source<'_>,
    matmul: &Matmul,
    arguments: &[Argument],
    kind: Type,
) -> Result<[Operand; 2]> {
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
        let first = source.start(Some(argument), &offset);
        let mut terms: Vec<String> = first.iter().cloned().collect();
        walk.terms(strides, 0, &mut |_, stride| source.number(stride), &mut terms);
        let start = if terms.is_empty() { "0".to_owned() } else { terms.join(" + ") };
        source.line(format!("let {name} = {start};"));
        let steps = [layout.strides[rank], layout.strides[rank + 1]].map(|stride| match stride {
            0 => None,
            1 => Some(String::new()),
            _ => Some(format!(" * {}", source.number(stride as i64))),
        });
        let unit = [layout.strides[rank], layout.strides[rank + 1]].map(|stride| stride == 1);
        Operand { memory, start: name, steps, unit, first }
    };
    Ok([bound(matmul.lhs, "lhs", &strides[0]), bound(matmul.rhs, "rhs", &strides[1])])
}
