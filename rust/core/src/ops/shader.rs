//! Shaders of the operations that move elements: a thread per element of a box, which reads and writes strided memory.
//! Depends on `wgsl`. Invariant: the text depends on ranks and dtypes; sizes, strides and starts are parameters.

use smallvec::SmallVec;

use crate::dtype::DType;
use crate::error::Result;
use crate::group::Linear;
use crate::plan::{Argument, Candidate, Caps, Launch};
use crate::wgsl::{Memory, Source, Type, WORKGROUP, wrapped};

/// A shader with a thread per element of a box.
pub(crate) struct Shader<'a> {
    arguments: &'a [Argument],
    source: Source<'a>,
    /// Elements of the box.
    threads: usize,
    /// The thread's coordinates in the box, as `i32` expressions.
    pub(crate) here: Vec<String>,
}

impl<'a> Shader<'a> {
    /// An empty shader over a box of these sizes.
    pub(crate) fn new(arguments: &'a [Argument], sizes: &[usize]) -> Self {
        let mut source = Source::new(arguments);
        let threads = sizes.iter().product();
        let count = source.size(threads);
        source.line(format!("let element = unit * {WORKGROUP}u + lane;"));
        source.line(format!("if (element < {count}) {{"));
        let here = coordinates(&mut source, "element", "x", sizes);
        Self { arguments, source, threads, here }
    }

    /// A statement.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) {
        self.source.line(line);
    }

    /// A number that the text does not hold, as `i32`.
    pub(crate) fn number(&mut self, number: usize) -> String {
        self.source.number(number as i64)
    }

    /// Coordinates of the `u32` variable `number` in a box, as `i32` expressions; `prefix` names them.
    pub(crate) fn coordinates(&mut self, number: &str, prefix: &str, sizes: &[usize]) -> Vec<String> {
        coordinates(&mut self.source, number, prefix, sizes)
    }

    /// The name of the candidate's `number`-th temporary.
    pub(crate) fn scratch(&mut self, number: usize, element: Type, write: bool) -> String {
        self.source.memory(Memory { argument: self.arguments.len() + number, element, write })
    }

    /// The element of a box at these coordinates, as an expression.
    pub(crate) fn element(&mut self, place: &Place<'_>, at: &[String]) -> Option<String> {
        self.reach(place, false, at).map(|target| target.read())
    }

    /// The element of a box at these coordinates, to be written.
    pub(crate) fn target(&mut self, place: &Place<'_>, at: &[String]) -> Option<Target> {
        self.reach(place, true, at)
    }

    fn reach(&mut self, place: &Place<'_>, write: bool, at: &[String]) -> Option<Target> {
        let argument = place.argument;
        let layout = &self.arguments[argument].layout;
        let memory = Memory { argument, element: Type::of(self.arguments[argument].dtype), write };
        let memory = self.source.memory(memory);
        let mut start = Linear::constant(layout.offset as i64);
        start.add_scaled(&place.first, 1);
        let mut terms: Vec<String> = self.source.start(Some(argument), &start).into_iter().collect();
        for (coordinate, &stride) in at.iter().zip(place.strides).filter(|(_, stride)| **stride != 0) {
            terms.push(format!("{coordinate} * {}", self.source.number(stride as i64)));
        }
        let index = if terms.is_empty() { "0".to_owned() } else { terms.join(" + ") };
        Some(Target { memory, index })
    }

    /// The launch; `None` where there is nothing to do.
    pub(crate) fn finish(mut self, what: &str, caps: &Caps) -> Result<Option<Launch>> {
        self.source.line("}");
        if self.threads == 0 {
            return Ok(None);
        }
        self.source.finish(what, WORKGROUP, self.threads.div_ceil(WORKGROUP as usize), caps).map(Some)
    }
}

fn coordinates(source: &mut Source<'_>, number: &str, prefix: &str, sizes: &[usize]) -> Vec<String> {
    let names: Vec<String> = (0..sizes.len()).map(|axis| format!("{prefix}{axis}")).collect();
    let mut rest = number.to_owned();
    for axis in (0..sizes.len()).rev() {
        if axis == 0 {
            source.line(format!("let {} = i32({rest});", names[axis]));
        } else {
            let size = source.size(sizes[axis]);
            source.line(format!("let {} = i32({rest} % {size});", names[axis]));
            source.line(format!("let {prefix}{axis}_rest = {rest} / {size};"));
            rest = format!("{prefix}{axis}_rest");
        }
    }
    names
}

/// An element that is written.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    memory: String,
    index: String,
}

impl Target {
    /// What it holds.
    pub(crate) fn read(&self) -> String {
        format!("load_{}({})", self.memory, self.index)
    }

    /// The statement that makes it `value`.
    pub(crate) fn write(&self, value: &str) -> String {
        format!("store_{}({}, {value});", self.memory, self.index)
    }
}

/// A box of one argument, written or read.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    /// Index into the kernel's arguments.
    pub(crate) argument: usize,
    /// Elements from the argument's start to the box's corner.
    pub(crate) first: Linear,
    /// Strides of the box.
    pub(crate) strides: &'a [isize],
}

impl<'a> Place<'a> {
    /// All of an argument, seen with these strides.
    pub(crate) fn whole(argument: usize, strides: &'a [isize]) -> Self {
        Self { argument, first: Linear::default(), strides }
    }
}

/// What a thread does with the element that it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// Replaces it.
    Copy,
    /// Adds to it.
    Add,
}

impl Put {
    /// The statement.
    pub(crate) fn statement(self, dtype: DType, to: &Target, from: &str) -> String {
        match self {
            Put::Copy => to.write(from),
            Put::Add if dtype == DType::Bool => to.write(&format!("{} | {from}", to.read())),
            Put::Add => to.write(&wrapped(dtype, format!("{} + {from}", to.read()))),
        }
    }
}

/// Copies or adds a box to another; `from` none: writes zeros.
pub(crate) fn boxes(
    arguments: &[Argument],
    caps: &Caps,
    sizes: &[usize],
    put: Put,
    to: Place<'_>,
    from: Option<Place<'_>>,
) -> Option<Result<Option<Launch>>> {
    let dtype = arguments[to.argument].dtype;
    let mut shader = Shader::new(arguments, sizes);
    let here = shader.here.clone();
    let target = shader.target(&to, &here)?;
    let value = match from {
        Some(from) => shader.element(&from, &here)?,
        None => Type::of(dtype).zero().to_owned(),
    };
    shader.line(put.statement(dtype, &target, &value));
    Some(shader.finish(if put == Put::Add { "adds a box" } else { "writes a box" }, caps))
}

/// One way of several launches; no way where a dtype or the device does not allow one.
pub(crate) fn way(key: &str, launches: impl IntoIterator<Item = Option<Result<Option<Launch>>>>) -> Vec<Candidate> {
    let mut done = Vec::new();
    for launch in launches {
        match launch {
            Some(Ok(launch)) => done.extend(launch),
            Some(Err(_)) | None => return Vec::new(),
        }
    }
    vec![Candidate { key: key.to_owned(), temporaries: Vec::new(), launches: done }]
}

/// Segments into which the indexed axis is cut where entries are written in the order of their indices:
/// each thread reads all indices and writes those of its segment.
const SEGMENTS: usize = 64;

/// Copies or adds the entries of `source` to those of the result along `axis` that `indices` name, in order.
pub(crate) fn entries(
    arguments: &[Argument],
    caps: &Caps,
    axis: usize,
    put: Put,
    [result, source, indices]: [usize; 3],
) -> Option<Result<Option<Launch>>> {
    let (to, from, index) = (&arguments[result].layout, &arguments[source].layout, &arguments[indices].layout);
    let (limit, rank) = (to.shape[axis], index.shape.rank());
    let segments = limit.clamp(1, SEGMENTS);
    // Threads: a segment, then the axes that result and source share.
    let around: SmallVec<[usize; 4]> = to.shape[..axis].iter().chain(&to.shape[axis + 1..]).copied().collect();
    let sizes: SmallVec<[usize; 4]> = std::iter::once(segments).chain(around).collect();
    let mut shader = Shader::new(arguments, &sizes);
    let here = shader.here.clone();
    let span = shader.number(limit.div_ceil(segments));
    let size = shader.number(limit);
    let count = shader.number(index.shape.elements());
    shader.line(format!("let low = {} * {span};", here[0]));
    shader.line(format!("let high = min(low + {span}, {size});"));
    shader.line(format!("for (var number = 0u; number < u32({count}); number = number + 1u) {{"));
    let along = shader.coordinates("number", "i", &index.shape);
    let place = shader.element(&Place::whole(indices, &index.strides), &along)?;
    shader.line(format!("let at = i32({place});"));
    shader.line("if (at >= low && at < high) {");
    let mut target: Vec<String> = here[1..].to_vec();
    let mut value = target.clone();
    target.insert(axis, "at".to_owned());
    value.splice(axis..axis, along);
    let target = shader.target(&Place::whole(result, &to.strides), &target)?;
    let value = shader.element(&Place::whole(source, &from.strides), &value)?;
    debug_assert_eq!(from.strides.len(), here.len() - 1 + rank);
    shader.line(put.statement(arguments[result].dtype, &target, &value));
    shader.line("}");
    shader.line("}");
    Some(shader.finish("entries in the order of their indices", caps))
}
