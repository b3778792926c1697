//! A recurrent unit on a GPU: one launch per step, which multiplies by the weight and does the gates.
//! Depends on `sequence`, `gates`, `kit::recurrent` and `wgsl`.
//! Invariant: an invocation has one element of a state; steps are launches in their order, or against it, whose texts do not depend on
//! sizes.

use crate::dtype::DType;
use crate::error::Result;
use crate::group::Linear;
use crate::kit::recurrent::Unit;
use crate::plan::{Argument, Candidate, Caps, Launch, Parameter};
use crate::wgsl::{Memory, Source, Type, WORKGROUP};

use super::gates::{Formulas, Going};
use super::sequence::{Inputs, Outputs, Steps};

/// Rows of a batch and elements of a state that a workgroup does, and terms of a product that it brings at a time.
const SIDE: usize = 16;
/// Elements from one line of a tile to the next: lines and columns are read without waiting for each other.
const LINE: usize = SIDE + 1;

/// Arguments of a routine by their numbers.
pub(super) struct Backward<'a> {
    pub(super) weight: &'a usize,
    pub(super) memory: &'a usize,
    pub(super) first: &'a usize,
    pub(super) saved: Option<&'a usize>,
    /// Cotangents of outputs, of the last h and of the last cell.
    pub(super) grads: [Option<&'a usize>; 3],
    pub(super) given: &'a usize,
    pub(super) own: Option<&'a usize>,
    pub(super) h: &'a usize,
    pub(super) c: Option<&'a usize>,
}

/// What all launches of a sequence have in common.
struct Way<'a> {
    unit: Unit,
    reverse: bool,
    arguments: &'a [Argument],
    caps: &'a Caps,
    dtype: DType,
    steps: usize,
    batch: usize,
    hidden: usize,
}

/// The way through all steps.
pub(super) fn forward(
    steps: &Steps,
    inputs: &Inputs<'_, usize>,
    outputs: &Outputs<'_, usize>,
    arguments: &[Argument],
    caps: &Caps,
) -> Result<Candidate> {
    let way = Way::new(steps, *inputs.given, *inputs.weight, arguments, caps);
    let mut launches = Vec::new();
    if way.batch * way.hidden > 0 {
        for n in 0..way.steps {
            launches.push(way.forward(n, inputs, outputs)?);
        }
        launches.push(way.last(outputs)?);
    }
    Ok(Candidate { key: "steps".to_owned(), temporaries: Vec::new(), launches })
}

/// The way back.
pub(super) fn backward(steps: &Steps, of: &Backward<'_>, arguments: &[Argument], caps: &Caps) -> Result<Candidate> {
    let way = Way::new(steps, *of.given, *of.weight, arguments, caps);
    let mut launches = Vec::new();
    if way.batch * way.hidden > 0 {
        for n in (0..way.steps).rev() {
            launches.push(way.backward(n, of)?);
        }
        launches.push(way.first(of)?);
    }
    // What goes around the products from step to step, where no result has room for it.
    let temporaries =
        if way.unit.reads_h() { vec![way.batch * way.hidden * Type::of(way.dtype).bytes()] } else { vec![] };
    Ok(Candidate { key: "steps".to_owned(), temporaries, launches })
}

impl<'a> Way<'a> {
    fn new(steps: &Steps, given: usize, weight: usize, arguments: &'a [Argument], caps: &'a Caps) -> Self {
        let (sizes, unit) = (&arguments[given].layout.shape, steps.unit);
        Self {
            unit,
            reverse: steps.reverse,
            arguments,
            caps,
            dtype: arguments[given].dtype,
            steps: sizes[0],
            batch: sizes[1],
            hidden: arguments[weight].layout.shape[0] / unit.gates(),
        }
    }

    /// Index of the n-th step that is done.
    fn index(&self, n: usize) -> usize {
        if self.reverse { self.steps - 1 - n } else { n }
    }

    fn forward(&self, n: usize, inputs: &Inputs<'_, usize>, outputs: &Outputs<'_, usize>) -> Result<Launch> {
        let (step, gates) = (self.index(n), self.unit.gates());
        let mut shader = Shader::new(self);
        let own = match n {
            0 => shader.rows(*inputs.h, 0, false),
            _ => shader.rows(*outputs.h, self.index(n - 1), false),
        };
        let weight = shader.rows(*inputs.weight, 0, false);
        shader.multiply(&own, self.hidden, &weight, gates, Product::ByRows);
        shader.open();
        let given = shader.rows(*inputs.given, step, false);
        let bias = inputs.bias.map(|&bias| shader.rows(bias, 0, false));
        let mut read = [Vec::new(), Vec::new()];
        for gate in 0..gates {
            let at = shader.gate(gate);
            read[0].push(shader.value(&given.read("row", &at)));
            let sum =
                bias.as_ref().map_or(format!("sum_{gate}"), |bias| format!("sum_{gate} + {}", bias.read("0u", &at)));
            read[1].push(shader.value(&sum));
        }
        let memory = match (inputs.c, outputs.cells, self.unit.reads_h()) {
            (Some(&c), _, _) if n == 0 => shader.rows(c, 0, false).read("row", "column"),
            (_, Some(&cells), _) => shader.rows(cells, self.index(n - 1), false).read("row", "column"),
            (_, _, true) => own.read("row", "column"),
            _ => shader.kind.zero().to_owned(),
        };
        let memory = shader.value(&memory);
        let [given, own] = read;
        let mut formulas = Formulas::new(self.dtype);
        let done = formulas.forward(self.unit, &given, &own, &memory);
        shader.lines(formulas);
        let h = shader.rows(*outputs.h, step, true);
        shader.line(h.write("row", "column", &done.h));
        if let Some(&cells) = outputs.cells {
            let cells = shader.rows(cells, step, true);
            shader.line(cells.write("row", "column", &done.memory));
        }
        if let Some(&saved) = outputs.saved {
            let saved = shader.rows(saved, step, true);
            for (block, value) in done.saved.iter().enumerate() {
                let at = shader.gate(block);
                shader.line(saved.write("row", &at, value));
            }
        }
        shader.finish("recurrent: product and gates of a step", 2 * gates * self.hidden)
    }

    /// The last h and cell, from the sequences.
    fn last(&self, outputs: &Outputs<'_, usize>) -> Result<Launch> {
        let step = self.index(self.steps - 1);
        let mut shader = Shader::new(self);
        shader.open();
        let pairs = [(Some(outputs.h), Some(outputs.last_h)), (outputs.cells, outputs.last_c)];
        for (from, to) in pairs {
            let (Some(&from), Some(&to)) = (from, to) else { continue };
            let (from, to) = (shader.rows(from, step, false), shader.rows(to, 0, true));
            let value = from.read("row", "column");
            shader.line(to.write("row", "column", &value));
        }
        shader.finish("recurrent: the last state", 4)
    }

    /// The gradient of h that a step's gates give by way of the weight.
    fn returned(&self, shader: &mut Shader<'_>, n: usize, of: &Backward<'_>) {
        let own = shader.rows(*of.own.unwrap_or(of.given), self.index(n), false);
        let weight = shader.rows(*of.weight, 0, false);
        shader.multiply(&own, self.unit.gates() * self.hidden, &weight, 1, Product::ByColumns);
    }

    /// Where the memory's gradient is between two steps.
    fn carried(&self, shader: &mut Shader<'_>, of: &Backward<'_>, write: bool) -> Option<Rows> {
        match of.c {
            Some(&c) => Some(shader.rows(c, 0, write)),
            None => self.unit.reads_h().then(|| shader.scratch(write)),
        }
    }

    fn backward(&self, n: usize, of: &Backward<'_>) -> Result<Launch> {
        let (step, unit) = (self.index(n), self.unit);
        let is_last = n == self.steps - 1;
        let mut shader = Shader::new(self);
        if !is_last {
            self.returned(&mut shader, n + 1, of);
        }
        shader.open();
        let zero = shader.kind.zero().to_owned();
        let here = |shader: &mut Shader<'_>, argument: Option<&usize>, step: usize| match argument {
            Some(&argument) => {
                let rows = shader.rows(argument, step, false);
                shader.value(&rows.read("row", "column"))
            }
            None => zero.clone(),
        };
        let h = if is_last { here(&mut shader, of.grads[1], 0) } else { "sum_0".to_owned() };
        let h = match of.grads[0] {
            Some(_) => {
                let own = here(&mut shader, of.grads[0], step);
                shader.value(&format!("{own} + {h}"))
            }
            None => h,
        };
        let memory = match self.carried(&mut shader, of, true) {
            Some(carried) if !is_last => shader.value(&carried.read("row", "column")),
            _ => here(&mut shader, of.grads[2], 0),
        };
        let after = here(&mut shader, (!unit.reads_h()).then_some(of.memory), step);
        let before = match n {
            _ if !unit.has_cell() && !unit.reads_h() => zero.clone(),
            0 => here(&mut shader, Some(of.first), 0),
            _ => here(&mut shader, Some(of.memory), self.index(n - 1)),
        };
        let mut saved = Vec::new();
        if let Some(&argument) = of.saved {
            let rows = shader.rows(argument, step, false);
            for block in 0..unit.saved() {
                let at = shader.gate(block);
                saved.push(shader.value(&rows.read("row", &at)));
            }
        }
        let mut formulas = Formulas::new(self.dtype);
        let back = formulas.backward(unit, &saved, &Going { h, memory, before, after });
        shader.lines(formulas);
        if let Some(carried) = self.carried(&mut shader, of, true) {
            shader.line(carried.write("row", "column", &back.memory));
        }
        let results = [(Some(of.given), None), (of.own, back.own)];
        for (argument, last) in results {
            let Some(&argument) = argument else { continue };
            let rows = shader.rows(argument, step, true);
            for (gate, value) in back.given.iter().enumerate() {
                let value = last.as_ref().filter(|_| gate + 1 == back.given.len()).unwrap_or(value);
                let at = shader.gate(gate);
                shader.line(rows.write("row", &at, value));
            }
        }
        shader.finish("recurrent: product and gates of a step back", 2 * unit.gates() * self.hidden)
    }

    /// The gradient of the first h.
    fn first(&self, of: &Backward<'_>) -> Result<Launch> {
        let mut shader = Shader::new(self);
        self.returned(&mut shader, 0, of);
        shader.open();
        let to = shader.rows(*of.h, 0, true);
        let carried = self.carried(&mut shader, of, false).filter(|_| self.unit.reads_h());
        let sum = carried.map_or("sum_0".to_owned(), |carried| format!("sum_0 + {}", carried.read("row", "column")));
        shader.line(to.write("row", "column", &sum));
        shader.finish("recurrent: gradient of the first state", 2 * self.unit.gates() * self.hidden)
    }
}

/// Which elements of a weight make a sum.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Product {
    /// Those of the rows that belong to the element's gates.
    ByRows,
    /// Those of the element's column.
    ByColumns,
}

/// Rows of elements in memory.
struct Rows {
    memory: String,
    start: String,
    strides: [String; 2],
}

impl Rows {
    fn index(&self, row: &str, element: &str) -> String {
        let [down, along] = &self.strides;
        format!("{} + i32({row}) * {down} + i32({element}) * {along}", self.start)
    }

    fn read(&self, row: &str, element: &str) -> String {
        format!("load_{}({})", self.memory, self.index(row, element))
    }

    fn write(&self, row: &str, element: &str, value: &str) -> String {
        format!("store_{}({}, {value});", self.memory, self.index(row, element))
    }
}

/// One step's text.
struct Shader<'a> {
    way: &'a Way<'a>,
    source: Source<'a>,
    kind: Type,
    rows: String,
    columns: String,
    values: usize,
}

impl<'a> Shader<'a> {
    fn new(way: &'a Way<'a>) -> Self {
        let mut source = Source::new(way.arguments);
        let [rows, columns, across] = [way.batch, way.hidden, way.hidden.div_ceil(SIDE)].map(|size| source.size(size));
        source.line(format!("let tile_column = (unit % {across}) * {SIDE}u;"));
        source.line(format!("let tile_row = (unit / {across}) * {SIDE}u;"));
        source.line(format!("let x = lane % {SIDE}u;"));
        source.line(format!("let y = lane / {SIDE}u;"));
        source.line(format!("if (tile_row < {rows}) {{"));
        Self { way, source, kind: Type::of(way.dtype), rows, columns, values: 0 }
    }

    fn line(&mut self, line: impl AsRef<str>) {
        self.source.line(line);
    }

    fn lines(&mut self, formulas: Formulas) {
        formulas.lines().iter().for_each(|line| self.source.line(line));
    }

    /// A variable with this value.
    fn value(&mut self, text: &str) -> String {
        self.values += 1;
        let name = format!("v{}", self.values);
        self.source.line(format!("let {name} = {text};"));
        name
    }

    /// Place of the invocation's element in a gate, or in a block of what is saved.
    fn gate(&mut self, number: usize) -> String {
        format!("({number}u * {} + column)", self.columns)
    }

    /// The rows of an argument: of a step, of a state, or one row of a bias.
    fn rows(&mut self, argument: usize, step: usize, write: bool) -> Rows {
        let Argument { layout, start, .. } = &self.way.arguments[argument];
        let (lead, down, along) = match layout.strides[..] {
            [lead, down, along] => (lead, down, along),
            [down, along] => (0, down, along),
            _ => (0, 0, layout.strides[0]),
        };
        let memory = self.source.memory(Memory { argument, element: self.kind, write });
        let mut index = Linear::constant((layout.offset + step as isize * lead) as i64);
        index.add_scaled(start, 1);
        let start = self.source.parameter(Parameter::Element { argument, index }, Type::I32);
        let strides = [down, along].map(|stride| self.source.number(stride as i64));
        Rows { memory, start, strides }
    }

    /// The rows of the temporary.
    fn scratch(&mut self, write: bool) -> Rows {
        let memory = Memory { argument: self.way.arguments.len(), element: self.kind, write };
        let memory = self.source.memory(memory);
        let strides = [self.way.hidden, 1].map(|stride| self.source.number(stride as i64));
        Rows { memory, start: "0".to_owned(), strides }
    }

    /// Declares `sum_0`, …: the products of the rows with the weight, one for each of some gates.
    fn multiply(&mut self, rows: &Rows, length: usize, weight: &Rows, sums: usize, by: Product) {
        let (zero, kind) = (self.kind.zero(), self.kind.name());
        let length = self.source.size(length);
        let tile = SIDE * LINE;
        let left = self.source.workgroup_named("tile_rows", kind, tile as u32);
        let right = self.source.workgroup_named("tile_weight", kind, (sums * tile) as u32);
        for sum in 0..sums {
            self.line(format!("var sum_{sum} = {zero};"));
        }
        self.line(format!("for (var first = 0u; first < {length}; first = first + {SIDE}u) {{"));
        self.line("{");
        self.line(format!("var value = {zero};"));
        self.line(format!("if (tile_row + y < {} && first + x < {length}) {{", self.rows));
        self.line(format!("value = {};", rows.read("(tile_row + y)", "(first + x)")));
        self.line("}");
        self.line(format!("{left}[y * {LINE}u + x] = value;"));
        self.line("}");
        // Neighbouring invocations read neighbours of a row of the weight.
        let (term, column) = if by == Product::ByRows { ("x", "y") } else { ("y", "x") };
        for sum in 0..sums {
            self.line("{");
            self.line(format!("var value = {zero};"));
            let columns = self.columns.clone();
            self.line(format!("if (tile_column + {column} < {columns} && first + {term} < {length}) {{"));
            let (place, term_at) = (format!("(tile_column + {column})"), format!("(first + {term})"));
            let element = match by {
                Product::ByRows => weight.read(&format!("({sum}u * {columns} + {place})"), &term_at),
                Product::ByColumns => weight.read(&term_at, &place),
            };
            self.line(format!("value = {element};"));
            self.line("}");
            self.line(format!("{right}[{}u + {term} * {LINE}u + {column}] = value;", sum * tile));
            self.line("}");
        }
        self.line("workgroupBarrier();");
        for term in 0..SIDE {
            self.line(format!("let a{term} = {left}[y * {LINE}u + {term}u];"));
            for sum in 0..sums {
                let place = sum * tile + term * LINE;
                self.line(format!("sum_{sum} = sum_{sum} + a{term} * {right}[{place}u + x];"));
            }
        }
        self.line("workgroupBarrier();");
        self.line("}");
    }

    /// Opens the block in which `row` and `column` are the invocation's own.
    fn open(&mut self) {
        self.line("let row = tile_row + y;");
        self.line("let column = tile_column + x;");
        self.line(format!("if (row < {} && column < {}) {{", self.rows, self.columns));
    }

    fn finish(mut self, what: &str, steps: usize) -> Result<Launch> {
        self.line("}");
        self.line("}");
        self.source.set_steps(steps as u64);
        let units = self.way.batch.div_ceil(SIDE) * self.way.hidden.div_ceil(SIDE);
        self.source.finish(what, WORKGROUP, units, self.way.caps)
    }
}
