//! Functions that read and write one element of a bound buffer, whatever its form: words, halves of words, windows of a
//! buffer that is larger than a binding. Depends on `types`.
//! Invariant: kernels reach memory through these functions alone, so that a form is known in one place.

use std::fmt::Write;

use super::types::{Type, WORD_BYTES};
use crate::dtype::DType;

/// Notes a bad index: that there was one, and the first that came.
pub(super) const REPORT: &str = "fn report(at: u32, index: u32) {
    if (atomicExchange(&faults[at], 1u) == 0u) {
        atomicStore(&faults[at + 1u], index);
    }
}

";

/// How the elements of one memory lie in its bindings.
pub(super) struct Stored {
    /// What elements are in the shader.
    pub(super) kind: Type,
    /// The 16-bit dtype of elements that share words in pairs.
    pub(super) half: Option<DType>,
    /// Whether those are read as the shader's own `f16`; in one window.
    pub(super) exact: bool,
    /// Whether elements are written.
    pub(super) write: bool,
    /// Whether vectors of four are bound; in one window.
    pub(super) vectors: bool,
    /// Number of bindings.
    pub(super) windows: u32,
    /// Bytes of each where there are several.
    pub(super) window: u64,
}

impl Stored {
    /// The bindings from number `first` on.
    pub(super) fn declaration(&self, number: usize, first: u32) -> String {
        let access = if self.write { "read_write" } else { "read" };
        let element = match self.half {
            Some(_) if self.exact => if self.vectors { "vec4<f16>" } else { "f16" }.to_owned(),
            // Two invocations may write the halves of one word.
            Some(_) if self.write => "atomic<u32>".to_owned(),
            Some(_) => "u32".to_owned(),
            None if self.vectors => format!("vec4<{}>", self.kind.stored().name()),
            None => self.kind.stored().name().to_owned(),
        };
        (0..self.windows).fold(String::new(), |mut text, window| {
            let (binding, name) = (first + window, self.name(number, window));
            writeln!(text, "@group(0) @binding({binding}) var<storage, {access}> {name}: array<{element}>;")
                .expect("a String takes everything");
            text
        })
    }

    fn name(&self, number: usize, window: u32) -> String {
        if self.windows == 1 { format!("b{number}") } else { format!("b{number}_{window}") }
    }

    /// The functions that `body` calls.
    pub(super) fn accessors(&self, number: usize, body: &str) -> String {
        if self.exact {
            return self.exactly(number, body);
        }
        let mut text = String::new();
        let kind = self.kind.name();
        if body.contains(&format!("load_b{number}(")) {
            let read = self.over_windows(number, |place| format!("return {};", self.read(place)));
            write!(text, "fn load_b{number}(at: i32) -> {kind} {{\n{read}}}\n\n").expect("a String takes everything");
        }
        if body.contains(&format!("store_b{number}(")) {
            let written = self.over_windows(number, |place| self.written(place));
            write!(text, "fn store_b{number}(at: i32, value: {kind}) {{\n{written}}}\n\n")
                .expect("a String takes everything");
        }
        if body.contains(&format!("load4_b{number}(")) {
            let read = self.four_read(&format!("b{number}"));
            write!(text, "fn load4_b{number}(at: i32) -> vec4<{kind}> {{\n{read}}}\n\n")
                .expect("a String takes everything");
        }
        if body.contains(&format!("store4_b{number}(")) {
            let written = self.four_written(&format!("b{number}"));
            write!(text, "fn store4_b{number}(at: i32, value: vec4<{kind}>) {{\n{written}}}\n\n")
                .expect("a String takes everything");
        }
        text
    }

    fn exactly(&self, number: usize, body: &str) -> String {
        let called = |name: &str| body.contains(&format!("{name}_b{number}("));
        let mut text = String::new();
        if called("load") {
            let place = if self.vectors { "at >> 2u][at & 3" } else { "at" };
            writeln!(text, "fn load_b{number}(at: i32) -> f16 {{\n    return b{number}[{place}];\n}}\n")
                .expect("a String takes everything");
        }
        if called("load4") {
            writeln!(text, "fn load4_b{number}(at: i32) -> vec4<f16> {{\n    return b{number}[at >> 2u];\n}}\n")
                .expect("a String takes everything");
        }
        text
    }

    /// Four elements from `at` on: a multiple of four, or any number for halves.
    fn four_read(&self, name: &str) -> String {
        let Some(dtype) = self.half else {
            let vector = format!("{name}[at >> 2u]");
            return match self.kind {
                Type::Bool => format!("    return {vector} != vec4<u32>();\n"),
                _ => format!("    return {vector};\n"),
            };
        };
        let short = short(dtype);
        let word = |step: &str| {
            let place = format!("{name}[(at >> 1u){step}]");
            if self.write { format!("atomicLoad(&{place})") } else { place }
        };
        format!(
            "    let first = {};\n    let second = {};\n    if ((at & 1) == 0) {{\n        \
             return vec4<f32>({short}_value(first & 0xffffu), {short}_value(first >> 16u), \
             {short}_value(second & 0xffffu), {short}_value(second >> 16u));\n    }}\n    let third = {};\n    \
             return vec4<f32>({short}_value(first >> 16u), {short}_value(second & 0xffffu), \
             {short}_value(second >> 16u), {short}_value(third & 0xffffu));\n",
            word(""),
            word(" + 1"),
            word(" + 2")
        )
    }

    /// The same, written. Whole words belong to one invocation; halves of words may be another's.
    fn four_written(&self, name: &str) -> String {
        let Some(dtype) = self.half else {
            return match self.kind {
                Type::Bool => format!("    {name}[at >> 2u] = select(vec4<u32>(), vec4<u32>(1u), value);\n"),
                _ => format!("    {name}[at >> 2u] = value;\n"),
            };
        };
        let bits: Vec<String> = ["x", "y", "z", "w"]
            .into_iter()
            .map(|part| format!("    let {part} = {}_bits(value.{part});\n", short(dtype)))
            .collect();
        format!(
            "{}    let word = at >> 1u;\n    if ((at & 1) == 0) {{\n        \
             atomicStore(&{name}[word], x | (y << 16u));\n        \
             atomicStore(&{name}[word + 1], z | (w << 16u));\n    }} else {{\n        \
             atomicAnd(&{name}[word], 0xffffu);\n        atomicOr(&{name}[word], x << 16u);\n        \
             atomicStore(&{name}[word + 1], y | (z << 16u));\n        \
             atomicAnd(&{name}[word + 2], 0xffff0000u);\n        atomicOr(&{name}[word + 2], w);\n    }}\n",
            bits.concat()
        )
    }

    /// A statement on the word of element `at`, in whichever window it lies.
    fn over_windows(&self, number: usize, statement: impl Fn(&str) -> String) -> String {
        let halves = if self.half.is_some() { 2 } else { 1 };
        let word = if halves == 2 { "(u32(at) >> 1u)" } else { "at" };
        if self.windows == 1 {
            let place = if self.vectors && halves == 1 {
                format!("b{number}[at >> 2u][at & 3]")
            } else {
                format!("b{number}[{word}]")
            };
            return format!("    {}\n", statement(&place));
        }
        let bytes = if self.half.is_some() { WORD_BYTES } else { self.kind.bytes() };
        let words = (self.window / bytes as u64).max(1);
        let (shift, mask) = (words.ilog2(), words - 1);
        let mut text = format!("    let word = u32({word});\n    switch (word >> {shift}u) {{\n");
        for window in 0..self.windows {
            let case = if window + 1 == self.windows { "default".to_owned() } else { format!("case {window}u") };
            let place = format!("{}[word & {mask}u]", self.name(number, window));
            writeln!(text, "        {case}: {{ {} }}", statement(&place)).expect("a String takes everything");
        }
        text.push_str("    }\n");
        text
    }

    fn read(&self, place: &str) -> String {
        let Some(dtype) = self.half else { return self.kind.unpack(place) };
        let word = if self.write { format!("atomicLoad(&{place})") } else { place.to_owned() };
        format!("{}_value({word} >> ((u32(at) & 1u) * 16u))", short(dtype))
    }

    fn written(&self, place: &str) -> String {
        let Some(dtype) = self.half else { return format!("{place} = {};", self.kind.pack("value")) };
        let shift = "((u32(at) & 1u) * 16u)";
        format!(
            "atomicAnd(&{place}, 0xffff0000u >> {shift}); atomicOr(&{place}, {}_bits(value) << {shift});",
            short(dtype)
        )
    }
}

/// What the library's functions of a 16-bit float begin with.
fn short(dtype: DType) -> &'static str {
    if dtype == DType::F16 { "f16" } else { "bf16" }
}
