//! Convolutions as matrix products whose operands are never written out: workgroups bring tiles of them, each element from where it lies
//! in the input. Depends on `wgsl`.
//! Invariant: rows are channels, one product per group; elements on the padding count as 0 and are not read.
//!
//! | part | rows | columns | terms | left | right |
//! |---|---|---|---|---|---|
//! | output | outputs | batch, y | inputs, taps | kernel | x |
//! | input | inputs | batch, x | outputs, taps | kernel | y |
//! | kernel | outputs | inputs, taps | batch, y | y | x |

use super::op::{Conv, Part};
use crate::error::Result;
use crate::group::Linear;
use crate::plan::{Argument, Candidate, Caps, Launch};
use crate::wgsl::{ENOUGH, Memory, Source, Square, Type, WORKGROUP};

/// Fewest rows, columns and terms that fill squares well enough; smaller ones have a thread per element.
const LEAST: usize = 12;

/// Shortest sum that is worth cutting into parts.
const LONG: usize = 1024;

/// A convolution as products.
struct Product<'a> {
    conv: &'a Conv,
    arguments: &'a [Argument],
    /// Channels of a group in x and y.
    inputs: usize,
    outputs: usize,
    /// Sizes that the number of a column and of a term run over.
    columns: Vec<usize>,
    terms: Vec<usize>,
    kind: Type,
}

impl<'a> Product<'a> {
    fn new(conv: &'a Conv, arguments: &'a [Argument]) -> Self {
        let sizes = |number: usize| &arguments[number].layout.shape;
        let (batch, inputs, outputs) = match conv.part {
            Part::Output | Part::Input => (sizes(0)[0], sizes(1)[1], sizes(1)[0] / conv.groups),
            Part::Kernel => (sizes(0)[0], sizes(0)[1] / conv.groups, sizes(1)[1] / conv.groups),
        };
        let taps = || conv.axes.iter().map(|axis| axis.kernel);
        let y = || conv.axes.iter().map(|axis| axis.y);
        let lead = |first: usize, rest: Vec<usize>| -> Vec<usize> { std::iter::once(first).chain(rest).collect() };
        let (columns, terms) = match conv.part {
            Part::Output => (lead(batch, y().collect()), lead(inputs, taps().collect())),
            Part::Input => {
                (lead(batch, conv.axes.iter().map(|axis| axis.x).collect()), lead(outputs, taps().collect()))
            }
            Part::Kernel => (lead(inputs, taps().collect()), lead(batch, y().collect())),
        };
        let kind = Type::of(arguments[arguments.len() - 1].dtype);
        Self { conv, arguments, inputs, outputs, columns, terms, kind }
    }

    /// Rows, columns and terms of a group's product.
    fn sizes(&self) -> [usize; 3] {
        let rows = if self.conv.part == Part::Input { self.inputs } else { self.outputs };
        [rows, self.columns.iter().product(), self.terms.iter().product()]
    }

    fn result(&self) -> usize {
        self.arguments.len() - 1
    }

    fn bias(&self) -> Option<usize> {
        (self.arguments.len() == 4).then_some(2)
    }
}

/// The tiled way; `None` for products that fill no squares.
pub(super) fn candidate(conv: &Conv, arguments: &[Argument], caps: &Caps) -> Option<Candidate> {
    let product = Product::new(conv, arguments);
    let [m, n, k] = product.sizes();
    let fills = caps.tile.is_some() || (m >= LEAST && n >= LEAST && k >= LEAST);
    let counts = |size: usize| i32::try_from(size).is_ok();
    let reached = |argument: &Argument| argument.layout.reach().is_none_or(|(_, high)| counts(high.max(0) as usize));
    let elements = conv.groups.saturating_mul(m).saturating_mul(n);
    if !fills || elements == 0 || k == 0 || !counts(elements) || !counts(k) || !arguments.iter().all(reached) {
        return None;
    }
    let square = Square::of(m, n, conv.groups, caps);
    let parts = (ENOUGH / square.count(m, n, conv.groups).max(1)).min(k / (LONG / 4)).max(1);
    let parts = if k >= LONG && counts(elements * parts) { parts } else { 1 };
    let mut launches = vec![squares(&product, square, parts, caps).ok()?];
    let mut temporaries = Vec::new();
    if parts > 1 {
        temporaries.push(parts * elements * product.kind.bytes());
        launches.push(summed(&product, elements, parts, caps).ok()?);
    }
    Some(Candidate { key: "tiles".to_owned(), temporaries, launches })
}

/// An argument with the names of its strides.
struct Operand {
    memory: String,
    start: String,
    strides: Vec<String>,
}

impl Operand {
    fn new(source: &mut Source<'_>, arguments: &[Argument], argument: usize, kind: Type, write: bool) -> Self {
        let layout = &arguments[argument].layout;
        let memory = source.memory(Memory { argument, element: kind, write });
        let start = source.start(Some(argument), &Linear::constant(layout.offset as i64));
        let strides = layout.strides.iter().map(|&stride| source.number(stride as i64)).collect();
        Self { memory, start: start.unwrap_or_else(|| "0".to_owned()), strides }
    }

    /// Where the element at these coordinates lies.
    fn index(&self, at: &[String]) -> String {
        let terms = at.iter().zip(&self.strides).map(|(at, stride)| format!(" + {at} * {stride}"));
        self.start.clone() + &terms.collect::<String>()
    }
}

/// Numbers of a convolution's axes, as the shader's parameters.
struct Line {
    stride: String,
    dilation: String,
    padding: String,
    /// Size of the axis that is read behind a guard.
    size: String,
}

/// Declares the coordinates `{prefix}0`, … of a `u32` number in a box, as `i32`.
fn decode(source: &mut Source<'_>, number: &str, prefix: &str, sizes: &[String]) {
    let mut rest = number.to_owned();
    for (axis, size) in sizes.iter().enumerate().skip(1).rev() {
        source.line(format!("let {prefix}{axis} = i32(({rest}) % {size});"));
        source.line(format!("let {prefix}_rest{axis} = ({rest}) / {size};"));
        rest = format!("{prefix}_rest{axis}");
    }
    source.line(format!("let {prefix}0 = i32({rest});"));
}

fn names(prefix: &str, rank: usize) -> Vec<String> {
    (0..rank).map(|axis| format!("{prefix}{}", axis + 1)).collect()
}

/// A workgroup per square of a group's product, or of a part of its sums.
fn squares(product: &Product<'_>, square: Square, parts: usize, caps: &Caps) -> Result<Launch> {
    let Product { conv, arguments, kind, .. } = *product;
    let Square { side, depth, each } = square;
    let (rank, invocations) = (conv.axes.len(), square.invocations());
    let [m, n, k] = product.sizes();
    let mut source = Source::new(arguments);
    source.set_steps((4 * k.div_ceil(parts) * each * each) as u64);
    let [rows, columns, length] = [m, n, k].map(|size| source.size(size));
    let [down, across] = [m, n].map(|size| size.div_ceil(side));
    let [tiles_down, tiles_across, groups] = [down, across, conv.groups].map(|size| source.size(size));
    let [count, chunk] = [parts, k.div_ceil(parts)].map(|size| source.size(size));
    let [inputs, outputs] = [product.inputs, product.outputs].map(|size| source.number(size as i64));
    let column_sizes: Vec<String> = product.columns.iter().map(|&size| source.size(size)).collect();
    let term_sizes: Vec<String> = product.terms.iter().map(|&size| source.size(size)).collect();
    let lines: Vec<Line> = conv
        .axes
        .iter()
        .map(|axis| {
            let read = if conv.part == Part::Input { axis.y } else { axis.x };
            let mut number = |number: usize| source.number(number as i64);
            let [stride, dilation, padding, size] = [axis.stride, axis.dilation, axis.padding, read].map(&mut number);
            Line { stride, dilation, padding, size }
        })
        .collect();
    let tiles = square.tiles(&mut source, kind, 1);
    source.line(format!("let tile_column = (unit % {tiles_across}) * {side}u;"));
    source.line(format!("let tile_row = (unit / {tiles_across}) % {tiles_down} * {side}u;"));
    source.line(format!("let number_of_square = unit / {tiles_across} / {tiles_down};"));
    source.line(format!("let family = i32(number_of_square % {groups});"));
    source.line(format!("let part = number_of_square / {groups};"));
    source.line(format!("let begin = part * {chunk};"));
    source.line(format!("let end = min(begin + {chunk}, {length});"));
    source.line(format!("if (part < {count}) {{"));
    // The kernel or y on the left, what is read behind a guard on the right.
    let lhs = Operand::new(&mut source, arguments, 1, kind, false);
    let rhs = Operand::new(&mut source, arguments, 0, kind, false);
    square.open_sums(&mut source, kind);
    let along_terms = conv.part == Part::Kernel;
    // Columns do not change from tile to tile.
    let per_term = invocations / depth;
    source.line(format!("let own_term = lane % {depth}u;"));
    if along_terms {
        for load in 0..square.loads() {
            let column = format!("tile_column + lane / {depth}u + {}u", load * per_term);
            decode(&mut source, &column, &format!("c{load}_"), &column_sizes);
        }
    } else {
        decode(&mut source, &format!("tile_column + lane % {side}u"), "c0_", &column_sizes);
    }
    source.line(format!("for (var first = begin; first < end; first = first + {depth}u) {{"));
    // Left: neighbouring invocations bring neighbouring terms of a row.
    decode(&mut source, "first + own_term", "t", &term_sizes);
    let own_terms = names("t", rank);
    let row = |place: &str| format!("i32(tile_row + {place})");
    for load in 0..square.loads() {
        source.line("{");
        source.line("let term = own_term;");
        source.line(format!("let place = lane / {depth}u + {}u;", load * per_term));
        source.line(format!("var value = {};", kind.zero()));
        source.line(format!("if (tile_row + place < {rows} && first + term < end) {{"));
        let at = match conv.part {
            // [outputs, inputs, taps]
            Part::Output => vec![format!("(family * {outputs} + {})", row("place")), "t0".to_owned()],
            Part::Input => vec![format!("(family * {outputs} + t0)"), row("place")],
            // [batch, channels, y]
            Part::Kernel => vec!["t0".to_owned(), format!("(family * {outputs} + {})", row("place"))],
        };
        let at: Vec<String> = at.into_iter().chain(own_terms.iter().cloned()).collect();
        source.line(format!("value = load_{}({});", lhs.memory, lhs.index(&at)));
        source.line("}");
        square.put(&mut source, &tiles[0]);
        source.line("}");
    }
    // Right: neighbours along the width of what is read.
    for load in 0..square.loads() {
        source.line("{");
        let (columns_of, terms_of) = if along_terms {
            source.line("let term = own_term;");
            source.line(format!("let place = lane / {depth}u + {}u;", load * per_term));
            (format!("c{load}_"), "t".to_owned())
        } else {
            source.line(format!("let term = lane / {side}u + {}u;", load * (invocations / side)));
            source.line(format!("let place = lane % {side}u;"));
            decode(&mut source, "first + term", "s", &term_sizes);
            ("c0_".to_owned(), "s".to_owned())
        };
        source.line(format!("var value = {};", kind.zero()));
        let (own, other) = (names(&columns_of, rank), names(&terms_of, rank));
        let mut guards = vec![format!("tile_column + place < {columns}"), "first + term < end".to_owned()];
        let mut spatial = Vec::new();
        for (axis, Line { stride, dilation, padding, size }) in lines.iter().enumerate() {
            let (column, term) = (&own[axis], &other[axis]);
            let at = match conv.part {
                Part::Output => format!("{column} * {stride} + {term} * {dilation} - {padding}"),
                Part::Kernel => format!("{term} * {stride} + {column} * {dilation} - {padding}"),
                Part::Input => format!("{column} + {padding} - {term} * {dilation}"),
            };
            if conv.part == Part::Input {
                source.line(format!("let span{axis} = {at};"));
                source.line(format!("let at{axis} = span{axis} / {stride};"));
                guards.push(format!("span{axis} >= 0 && at{axis} * {stride} == span{axis} && at{axis} < {size}"));
            } else {
                source.line(format!("let at{axis} = {at};"));
                guards.push(format!("at{axis} >= 0 && at{axis} < {size}"));
            }
            spatial.push(format!("at{axis}"));
        }
        let at = match conv.part {
            Part::Output => vec![format!("{columns_of}0"), format!("(family * {inputs} + {terms_of}0)")],
            Part::Input => vec![format!("{columns_of}0"), format!("(family * {outputs} + {terms_of}0)")],
            Part::Kernel => vec![format!("{terms_of}0"), format!("(family * {inputs} + {columns_of}0)")],
        };
        let at: Vec<String> = at.into_iter().chain(spatial).collect();
        source.line(format!("if ({}) {{", guards.join(" && ")));
        source.line(format!("value = load_{}({});", rhs.memory, rhs.index(&at)));
        source.line("}");
        square.put(&mut source, &tiles[1]);
        source.line("}");
    }
    square.multiply(&mut source, &tiles);
    source.line("}");
    square.open_results(&mut source, kind);
    source.line(format!("if (down < {rows} && along < {columns}) {{"));
    if parts > 1 {
        let to = source.memory(Memory { argument: arguments.len(), element: kind, write: true });
        let place = format!("(number_of_square * {rows} + down) * {columns} + along");
        source.line(format!("store_{to}(i32({place}), sum);"));
    } else {
        decode(&mut source, "along", "r", &column_sizes);
        finish(&mut source, product, "family", "i32(down)");
    }
    source.line("}");
    source.line("}");
    source.line("}");
    let units = down * across * conv.groups * parts;
    source.finish("convolution: a workgroup per square of a product", invocations as u32, units, caps)
}

/// Stores `sum`, the bias added; the column's coordinates are `r0`, ….
fn finish(source: &mut Source<'_>, product: &Product<'_>, family: &str, row: &str) {
    let Product { conv, arguments, kind, .. } = *product;
    let per_group = product.sizes()[0];
    let per_group = source.number(per_group as i64);
    let channel = format!("({family} * {per_group} + {row})");
    let lead = match conv.part {
        Part::Output | Part::Input => ["r0".to_owned(), channel.clone()],
        Part::Kernel => [channel.clone(), "r0".to_owned()],
    };
    let at: Vec<String> = lead.into_iter().chain(names("r", conv.axes.len())).collect();
    let to = Operand::new(source, arguments, product.result(), kind, true);
    if let Some(bias) = product.bias() {
        let bias = Operand::new(source, arguments, bias, kind, false);
        source.line(format!("sum = sum + load_{}({});", bias.memory, bias.index(&[channel])));
    }
    source.line(format!("store_{}({}, sum);", to.memory, to.index(&at)));
}

/// Adds up the parts of the sums.
fn summed(product: &Product<'_>, elements: usize, parts: usize, caps: &Caps) -> Result<Launch> {
    let Product { arguments, kind, .. } = *product;
    let [m, n, _] = product.sizes();
    let mut source = Source::new(arguments);
    let from = source.memory(Memory { argument: arguments.len(), element: kind, write: false });
    let [count, parts] = [elements, parts].map(|size| source.size(size));
    let [rows, columns] = [m, n].map(|size| source.size(size));
    let column_sizes: Vec<String> = product.columns.iter().map(|&size| source.size(size)).collect();
    source.line(format!("let element = unit * {WORKGROUP}u + lane;"));
    source.line(format!("if (element < {count}) {{"));
    source.line(format!("var sum = {};", kind.zero()));
    source.line(format!("for (var part = 0u; part < {parts}; part = part + 1u) {{"));
    source.line(format!("sum = sum + load_{from}(i32(part * {count} + element));"));
    source.line("}");
    source.line(format!("let along = element % {columns};"));
    source.line(format!("let row = i32(element / {columns} % {rows});"));
    source.line(format!("let family = i32(element / {columns} / {rows});"));
    decode(&mut source, "along", "r", &column_sizes);
    finish(&mut source, product, "family", "row");
    source.line("}");
    source.finish("convolution: sums of parts", WORKGROUP, elements.div_ceil(WORKGROUP as usize), caps)
}
