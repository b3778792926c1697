//! Sorting on a GPU: by counting for short rows, by a network of comparisons for long ones. Depends on `shader` and `wgsl`.
//! Invariant: equal elements keep their order, since positions are part of what is compared.

use super::super::shader::{Place, Shader, Target, way};
use crate::dtype::DType;
use crate::error::Result;
use crate::plan::{Argument, Candidate, Caps, Launch};
use crate::wgsl::{Memory, Source, Type, WORKGROUP};

/// Rows up to this length are sorted by counting.
const COUNTED: usize = 512;

/// Elements that one workgroup sorts in its own memory.
const BLOCK: usize = 1024;

/// The way to sort the last axis; `put` writes what it makes of place, position and element.
pub(super) fn candidates(
    name: &str,
    descending: bool,
    arguments: &[Argument],
    caps: &Caps,
    put: impl Fn(&Target, &str, &str) -> String,
) -> Vec<Candidate> {
    let shape = &arguments[0].layout.shape;
    let length = shape[shape.rank() - 1];
    if length <= COUNTED {
        return ranks(name, descending, arguments, caps, put);
    }
    let padded = length.next_power_of_two().max(BLOCK);
    let total = shape.elements() / length * padded;
    if total > i32::MAX as usize / 2 {
        return Vec::new();
    }
    let mut launches = vec![filled(descending, arguments, caps, padded)];
    let block = |from, to| Some(in_blocks(arguments, caps, padded, total, [from, to]));
    launches.push(block(2, BLOCK));
    let mut size = 2 * BLOCK;
    while size <= padded {
        let mut span = size / 2;
        while span >= BLOCK {
            launches.push(Some(apart(arguments, caps, padded, total, [size, span])));
            span /= 2;
        }
        launches.push(block(size, size));
        size *= 2;
    }
    launches.push(written(name, arguments, caps, padded, put));
    let mut ways = way("network", launches);
    let bytes = key_type(arguments).bytes();
    ways.iter_mut().for_each(|way| way.temporaries.push(2 * bytes * total));
    ways
}

/// What keys and positions are: words, of 64 bits where elements have 64.
fn key_type(arguments: &[Argument]) -> Type {
    if Type::of(arguments[0].dtype).is_wide() { Type::U64 } else { Type::U32 }
}

/// A key with its position.
fn pair(arguments: &[Argument]) -> String {
    format!("vec2<{}>", key_type(arguments).name())
}

/// Keys with their positions, each row filled up to `padded` with what comes last.
fn filled(descending: bool, arguments: &[Argument], caps: &Caps, padded: usize) -> Option<Result<Option<Launch>>> {
    let x = &arguments[0].layout;
    let last = x.shape.rank() - 1;
    let mut sizes = x.shape.to_vec();
    sizes[last] = padded;
    let mut shader = Shader::new(arguments, &sizes);
    let here = shader.here.clone();
    let kind = key_type(arguments);
    let to = shader.scratch(0, kind, true);
    let length = shader.number(x.shape[last]);
    let own = shader.element(&Place::whole(0, &x.strides), &here)?;
    shader.line(format!("var key = ~{};", kind.zero()));
    shader.line(format!("if ({} < {length}) {{", here[last]));
    shader.line(format!("key = {};", shader_key(descending, arguments[0].dtype, &own)));
    shader.line("}");
    shader.line(format!("store_{to}(i32(element) * 2, key);"));
    shader.line(format!("store_{to}(i32(element) * 2 + 1, {}({}));", kind.name(), here[last]));
    Some(shader.finish("sort: keys with positions", caps))
}

/// The statement that brings `a` and `b` into order; the pair begins at `low` of all rows.
const COMPARE: &str = "let up = ((low % padded) & size) == 0u;
let swap = (b.x < a.x || (b.x == a.x && b.y < a.y)) == up;";

fn memory(arguments: &[Argument]) -> Memory {
    Memory { argument: arguments.len(), element: key_type(arguments), write: true }
}

/// The network's stages of sizes `from` to `to`, as far as they stay inside of blocks.
fn in_blocks(
    arguments: &[Argument],
    caps: &Caps,
    padded: usize,
    total: usize,
    [from, to]: [usize; 2],
) -> Result<Option<Launch>> {
    let mut source = Source::new(arguments);
    let name = source.memory(memory(arguments));
    let pair = pair(arguments);
    let keys = source.workgroup(&pair, BLOCK as u32);
    let [from, to, padded, blocks] = [from, to, padded, total / BLOCK].map(|size| source.size(size));
    let (half, step) = (BLOCK / 2, WORKGROUP);
    let each = |count: usize, variable: &str| {
        format!("for (var {variable} = lane; {variable} < {count}u; {variable} = {variable} + {step}u) {{")
    };
    source.line(format!("if (unit < {blocks}) {{"));
    source.line(format!("let padded = {padded};"));
    source.line(format!("let first = unit * {BLOCK}u;"));
    source.line(each(BLOCK, "at"));
    source.line("let place = i32(first + at) * 2;");
    source.line(format!("{keys}[at] = {pair}(load_{name}(place), load_{name}(place + 1));"));
    source.line("}");
    source.line("workgroupBarrier();");
    source.line(format!("for (var size = {from}; size <= {to}; size = size << 1u) {{"));
    source.line(format!("for (var span = min(size >> 1u, {half}u); span > 0u; span = span >> 1u) {{"));
    source.line(each(half, "pair"));
    source.line("let at = pair / span * span * 2u + pair % span;");
    source.line("let low = first + at;");
    source.line(format!("let a = {keys}[at];"));
    source.line(format!("let b = {keys}[at + span];"));
    COMPARE.lines().for_each(|line| source.line(line));
    source.line("if (swap) {");
    source.line(format!("{keys}[at] = b;"));
    source.line(format!("{keys}[at + span] = a;"));
    source.line("}");
    source.line("}");
    source.line("workgroupBarrier();");
    source.line("}");
    source.line("}");
    source.line(each(BLOCK, "at"));
    source.line("let place = i32(first + at) * 2;");
    source.line(format!("store_{name}(place, {keys}[at].x);"));
    source.line(format!("store_{name}(place + 1, {keys}[at].y);"));
    source.line("}");
    source.line("}");
    source.finish("sort: the network inside of blocks", WORKGROUP, total / BLOCK, caps).map(Some)
}

/// One comparison of every element with the one `span` apart, in the stage of size `size`.
fn apart(
    arguments: &[Argument],
    caps: &Caps,
    padded: usize,
    total: usize,
    [size, span]: [usize; 2],
) -> Result<Option<Launch>> {
    let mut source = Source::new(arguments);
    let name = source.memory(memory(arguments));
    let [size, span, padded, pairs] = [size, span, padded, total / 2].map(|size| source.size(size));
    source.line(format!("let pair = unit * {WORKGROUP}u + lane;"));
    source.line(format!("if (pair < {pairs}) {{"));
    source.line(format!("let padded = {padded};"));
    source.line(format!("let size = {size};"));
    source.line(format!("let low = pair / {span} * {span} * 2u + pair % {span};"));
    source.line("let here = i32(low) * 2;");
    source.line(format!("let there = i32(low + {span}) * 2;"));
    let held = pair(arguments);
    source.line(format!("let a = {held}(load_{name}(here), load_{name}(here + 1));"));
    source.line(format!("let b = {held}(load_{name}(there), load_{name}(there + 1));"));
    COMPARE.lines().for_each(|line| source.line(line));
    source.line("if (swap) {");
    for (place, value) in [("here", "b"), ("there", "a")] {
        source.line(format!("store_{name}({place}, {value}.x);"));
        source.line(format!("store_{name}({place} + 1, {value}.y);"));
    }
    source.line("}");
    source.line("}");
    source
        .finish("sort: the network across blocks", WORKGROUP, (total / 2).div_ceil(WORKGROUP as usize), caps)
        .map(Some)
}

/// The result, from the positions in order.
fn written(
    name: &str,
    arguments: &[Argument],
    caps: &Caps,
    padded: usize,
    put: impl Fn(&Target, &str, &str) -> String,
) -> Option<Result<Option<Launch>>> {
    let [x, result] = [0, 1].map(|argument| &arguments[argument].layout);
    let last = x.shape.rank() - 1;
    let mut shader = Shader::new(arguments, &x.shape);
    let here = shader.here.clone();
    let from = shader.scratch(0, key_type(arguments), false);
    let (length, padded) = (shader.number(x.shape[last]), shader.number(padded));
    shader.line(format!("let row = i32(element) / {length};"));
    shader.line(format!("let position = i32(load_{from}((row * {padded} + {}) * 2 + 1));", here[last]));
    let to = shader.target(&Place::whole(1, &result.strides), &here)?;
    let mut there = here;
    there[last] = "position".to_owned();
    let own = shader.element(&Place::whole(0, &x.strides), &there)?;
    shader.line(put(&to, "position", &own));
    Some(shader.finish(&format!("{name}: from positions"), caps))
}

/// A thread per element that counts the elements that come before its own, and writes at that place what `put` makes of place, dtype,
/// position and own element.
fn ranks(
    name: &str,
    descending: bool,
    arguments: &[Argument],
    caps: &Caps,
    put: impl Fn(&Target, &str, &str) -> String,
) -> Vec<Candidate> {
    let [x, result] = [0, 1].map(|argument| &arguments[argument].layout);
    let rank = x.shape.rank();
    let dtype = arguments[0].dtype;
    let launch = || {
        let mut shader = Shader::new(arguments, &x.shape);
        let here = shader.here.clone();
        let length = shader.number(x.shape[rank - 1]);
        let own_element = shader.element(&Place::whole(0, &x.strides), &here)?;
        let mut there = here.clone();
        there[rank - 1] = "other".to_owned();
        let other = shader.element(&Place::whole(0, &x.strides), &there)?;
        shader.line(format!("let own = {};", shader_key(descending, dtype, &own_element)));
        shader.line("var before = 0;");
        shader.line(format!("for (var other = 0; other < {length}; other = other + 1) {{"));
        shader.line(format!("let key = {};", shader_key(descending, dtype, &other)));
        shader.line(format!("let first = key < own || (key == own && other < {});", here[rank - 1]));
        shader.line("before = before + select(0, 1, first);");
        shader.line("}");
        there[rank - 1] = "before".to_owned();
        let to = shader.target(&Place::whole(1, &result.strides), &there)?;
        shader.line(put(&to, &here[rank - 1], &own_element));
        Some(shader.finish(&format!("{name}: a thread per element"), caps))
    };
    way("ranks", [launch()])
}

/// The key of a stored element as an unsigned expression: as `Sortable::key`.
fn shader_key(descending: bool, dtype: DType, element: &str) -> String {
    let key = match Type::of(dtype) {
        Type::Bool => format!("select(0u, 1u, {element})"),
        Type::U32 | Type::U64 => element.to_owned(),
        Type::I32 => format!("(bitcast<u32>({element}) ^ 0x80000000u)"),
        Type::I64 => format!("order_i64({element})"),
        Type::F32 => return format!("sort_key(bitcast<u32>({element}), {}u)", u32::from(descending)),
        Type::F64 if descending => return format!("reverse_order_f64({element})"),
        Type::F64 => return format!("order_f64({element})"),
    };
    if descending { format!("(~{key})") } else { key }
}
