//! A shader being written: bindings, parameters and body, put together as a `Launch`.
//! Depends on `plan`, `types` and `library`. Invariant: the text depends on structure alone; sizes, strides and starts are parameters.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::library;
use super::stored::{REPORT, Stored};
use super::types::{Type, element_bytes, rounding};
use crate::error::{Error, ErrorKind, Result};
use crate::group::Linear;
use crate::plan::{Argument, Binding, Caps, IndexCheck, Launch, Parameter, Place};

/// Invocations of a workgroup that spreads elements or rows.
pub(crate) const WORKGROUP: u32 = 256;

/// What shaders with subgroups know of theirs.
const SUBGROUPS: &str = "    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
";

/// Where elements lie that a shader reads or writes: one of the kernel's arguments, or a temporary of the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Index into the kernel's arguments, then into the candidate's temporaries.
    pub(crate) argument: usize,
    /// Type of the elements.
    pub(crate) element: Type,
    /// Whether the shader writes there.
    pub(crate) write: bool,
}

/// The parts of a shader.
pub(crate) struct Source<'a> {
    arguments: &'a [Argument],
    memories: Vec<Memory>,
    parameters: Vec<(Parameter, Type)>,
    /// Arguments that are bound as vectors of four.
    vectors: Vec<usize>,
    /// Parameters that must be multiples of four for that.
    aligned: Vec<usize>,
    /// Arguments of float16 that the shader reads as such.
    stored: Vec<usize>,
    /// Extensions of the language.
    enabled: Vec<&'static str>,
    shared: Vec<(String, String)>,
    checks: Vec<IndexCheck>,
    /// Steps of one invocation, about.
    pub(super) steps: u64,
    /// Largest subgroup of the device; 0 where shaders do without.
    pub(super) subgroup: u32,
    body: String,
    indent: usize,
}

impl<'a> Source<'a> {
    /// An empty shader of a kernel with these arguments.
    pub(crate) fn new(arguments: &'a [Argument]) -> Self {
        Self {
            arguments,
            memories: Vec::new(),
            parameters: Vec::new(),
            vectors: Vec::new(),
            aligned: Vec::new(),
            stored: Vec::new(),
            enabled: Vec::new(),
            shared: Vec::new(),
            checks: Vec::new(),
            steps: 16,
            subgroup: 0,
            body: String::new(),
            indent: 1,
        }
    }

    /// Says how many steps an invocation takes, about.
    pub(crate) fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Appends a line to the body.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) {
        let line = line.as_ref();
        if line.starts_with('}') {
            self.indent -= 1;
        }
        for _ in 0..self.indent {
            self.body.push_str("    ");
        }
        self.body.push_str(line);
        self.body.push('\n');
        if line.ends_with('{') {
            self.indent += 1;
        }
    }

    /// Where a check of an index reports, as a `u32` expression for `report`.
    pub(super) fn check(&mut self, check: IndexCheck) -> String {
        let first = self.shared_parameter(Parameter::Checks, Type::U32);
        let number = self.checks.iter().position(|known| *known == check).unwrap_or_else(|| {
            self.checks.push(check);
            self.checks.len() - 1
        });
        format!("{first} + {}u", 2 * number)
    }

    /// The name under which memory is bound: `load_{name}(index)` reads an element, `store_{name}(index, value)` writes one.
    pub(crate) fn memory(&mut self, memory: Memory) -> String {
        let number = match self.memories.iter_mut().position(|known| known.argument == memory.argument) {
            Some(number) => {
                self.memories[number].write |= memory.write;
                number
            }
            None => {
                self.memories.push(memory);
                self.memories.len() - 1
            }
        };
        format!("b{number}")
    }

    /// Whether an argument's elements are 16-bit floats.
    pub(super) fn is_half(&self, argument: usize) -> bool {
        self.arguments.get(argument).is_some_and(|argument| rounding(argument.dtype).is_some())
    }

    /// Reads an argument of float16 as `f16`, which shaders with that extension know.
    pub(super) fn as_stored(&mut self, argument: usize) {
        self.stored.push(argument);
    }

    /// Uses an extension of the language.
    pub(super) fn enable(&mut self, extension: &'static str) {
        self.enabled.push(extension);
    }

    /// Binds an argument as vectors of four: `load4_{name}(index)` and `store4_{name}(index, vector)` take indices that are multiples
    /// of four, which they are where the parameter `start` is one.
    pub(super) fn in_vectors(&mut self, argument: usize, start: Option<&str>) {
        if !self.vectors.contains(&argument) {
            self.vectors.push(argument);
        }
        let number = start.and_then(|start| start.strip_prefix("p.w")).and_then(|number| number.parse().ok());
        if let Some(number) = number.filter(|number| !self.aligned.contains(number)) {
            self.aligned.push(number);
        }
    }

    /// A parameter of its own, even if another has the same number: equal sizes are no structure.
    pub(crate) fn parameter(&mut self, parameter: Parameter, kind: Type) -> String {
        self.parameters.push((parameter, kind));
        format!("p.w{}", self.parameters.len() - 1)
    }

    /// A parameter that is shared with all that ask for the same.
    pub(super) fn shared_parameter(&mut self, parameter: Parameter, kind: Type) -> String {
        match self.parameters.iter().position(|known| known.0 == parameter && known.1 == kind) {
            Some(number) => format!("p.w{number}"),
            None => self.parameter(parameter, kind),
        }
    }

    /// A size.
    pub(crate) fn size(&mut self, size: usize) -> String {
        self.parameter(Parameter::Word(size as u32), Type::U32)
    }

    /// A stride or another number that may be negative.
    pub(crate) fn number(&mut self, number: i64) -> String {
        self.parameter(Parameter::Word(number as i32 as u32), Type::I32)
    }

    /// Where an argument starts, `index` added, as an `i32`; `None` where that is 0 in every run.
    pub(crate) fn start(&mut self, argument: Option<usize>, index: &Linear) -> Option<String> {
        let mut index = index.clone();
        if let Some(argument) = argument.and_then(|a| self.arguments.get(a)) {
            index.add_scaled(&argument.start, 1);
        }
        let bound = argument
            .filter(|&a| !matches!(self.arguments.get(a), None | Some(Argument { place: Place::Temporary(_), .. })));
        match bound {
            Some(argument) => Some(self.shared_parameter(Parameter::Element { argument, index }, Type::I32)),
            None if index == Linear::default() => None,
            None if index.terms.is_empty() => Some(self.number(index.constant)),
            None => Some(self.shared_parameter(Parameter::Linear(index), Type::I32)),
        }
    }

    /// Workgroup memory of `length` elements; asking twice gives the same.
    pub(crate) fn workgroup(&mut self, element: &str, length: u32) -> String {
        self.workgroup_named(&format!("shared_{}", element.replace(['<', '>'], "_")), element, length)
    }

    /// The same under a name of its own.
    pub(crate) fn workgroup_named(&mut self, name: &str, element: &str, length: u32) -> String {
        let name = name.to_owned();
        let declared = format!("var<workgroup> {name}: array<{element}, {length}>;");
        if !self.shared.iter().any(|(known, _)| *known == name) {
            self.shared.push((name.clone(), declared));
        }
        name
    }

    /// Puts the shader together. `main` knows `unit`, the number of its workgroup, and `lane`, its number there.
    ///
    /// # Errors
    /// When the device cannot bind so many buffers or start so many workgroups.
    pub(crate) fn finish(self, what: &str, invocations: u32, units: usize, caps: &Caps) -> Result<Launch> {
        let parameters_bound = self.parameters.len() * 4 > caps.immediates as usize;
        let stored: Vec<Stored> = self.memories.iter().map(|memory| self.stored(memory, caps)).collect();
        let mut bindings: Vec<Binding> = Vec::new();
        for (memory, stored) in self.memories.iter().zip(&stored) {
            let Memory { argument, write, .. } = *memory;
            bindings.extend((0..stored.windows).map(|window| Binding { argument, write, window }));
        }
        if !self.checks.is_empty() {
            bindings.push(Binding { argument: Binding::FAULTS, write: true, window: 0 });
        }
        let bound = bindings.len() + usize::from(parameters_bound);
        if bound > caps.bindings as usize {
            return Err(Error::new(
                ErrorKind::Device,
                format!(
                    "gpu: a kernel needs {bound} buffers (or windows of {} bytes on large ones) and this adapter binds {}. \
                     Evaluate parts of the expression before, for example with ad.eval, or use the CPU.",
                    caps.window_bytes(),
                    caps.bindings
                ),
            ));
        }
        let mut text = format!("// {what}\n");
        self.enabled.iter().for_each(|extension| text.push_str(&format!("enable {extension};\n")));
        let mut emit = |line: std::fmt::Arguments<'_>| text.write_fmt(line).expect("a String takes everything");
        if !self.parameters.is_empty() {
            emit(format_args!("struct Parameters {{\n"));
            for (number, (_, kind)) in self.parameters.iter().enumerate() {
                emit(format_args!("    w{number}: {},\n", kind.name()));
            }
            emit(format_args!("}}\n"));
            if parameters_bound {
                emit(format_args!("@group(0) @binding({}) var<storage, read> p: Parameters;\n", bindings.len()));
            } else {
                emit(format_args!("var<immediate> p: Parameters;\n"));
            }
        }
        let mut first = 0;
        let mut accessors = String::new();
        for (number, stored) in stored.iter().enumerate() {
            emit(format_args!("{}", stored.declaration(number, first)));
            accessors.push_str(&stored.accessors(number, &self.body));
            first += stored.windows;
        }
        if !self.checks.is_empty() {
            emit(format_args!("@group(0) @binding({first}) var<storage, read_write> faults: array<atomic<u32>>;\n"));
            accessors.push_str(REPORT);
        }
        for (_, declared) in &self.shared {
            emit(format_args!("{declared}\n"));
        }
        let body = format!("{accessors}{}", self.body);
        emit(format_args!("\n{}{accessors}", library::used_by(&body)));
        let subgroups = if self.body.contains("subgroup") { SUBGROUPS } else { "" };
        emit(format_args!(
            "@compute @workgroup_size({invocations})\nfn main(\n    @builtin(workgroup_id) group: vec3<u32>,\n    \
             @builtin(num_workgroups) groups: vec3<u32>,\n    @builtin(local_invocation_index) lane: u32,\n{subgroups}) {{\n    \
             let unit = group.y * groups.x + group.x;\n{}}}\n",
            self.body
        ));
        Ok(Launch {
            key: key_of(&text),
            wgsl: text,
            bindings,
            parameters: self.parameters.into_iter().map(|(parameter, _)| parameter).collect(),
            parameters_bound,
            checks: self.checks,
            dtypes: self.arguments.iter().map(|argument| argument.dtype).collect(),
            grid: grid(units, caps)?,
            work: self.steps * units as u64 * u64::from(invocations),
            foreign: None,
            aligned: self.aligned,
            otherwise: None,
        })
    }

    /// How memory is stored and bound on a device.
    fn stored(&self, memory: &Memory, caps: &Caps) -> Stored {
        let argument = self.arguments.get(memory.argument);
        let dtype = argument.map(|argument| argument.dtype).filter(|dtype| rounding(*dtype).is_some());
        let bytes = dtype.map_or(memory.element.stored().bytes(), element_bytes);
        let reach = argument.and_then(|argument| argument.layout.reach());
        let span = reach.map_or(0, |(low, high)| (high - low + 1) as u64 * bytes as u64);
        let windows = caps.windows(span);
        let vectors = self.vectors.contains(&memory.argument);
        let (kind, write) = (memory.element, memory.write);
        let exact = self.stored.contains(&memory.argument);
        Stored { kind, half: dtype, exact, write, vectors, windows, window: caps.window_bytes() }
    }
}

/// Workgroups along x and y for `units` of them; the last row may have some too many.
fn grid(units: usize, caps: &Caps) -> Result<[u32; 3]> {
    let limit = caps.grid as usize;
    let x = units.clamp(1, limit);
    let y = units.div_ceil(x).max(1);
    if y > limit || units > u32::MAX as usize {
        return Err(too_large());
    }
    Ok([x as u32, y as u32, 1])
}

/// The error for work that 32-bit numbers cannot count.
pub(super) fn too_large() -> Error {
    Error::new(
        ErrorKind::Device,
        "gpu: a tensor has more elements than 32-bit indices reach (2147483647). Split it, or use the CPU.",
    )
}

/// 128 bits of a text, as hexadecimal digits.
fn key_of(text: &str) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        text.hash(&mut hasher);
        hasher.finish()
    };
    format!("{:016x}{:016x}", half(0), half(1))
}

/// The shader with one more binding declared writable, for runs that bind one buffer there and at a written binding.
pub fn with_writable(wgsl: &str, binding: usize) -> String {
    wgsl.replace(
        &format!("@binding({binding}) var<storage, read> "),
        &format!("@binding({binding}) var<storage, read_write> "),
    )
}
