//! Weighted sums on a GPU: a thread per element that is written, which visits the elements that it sums.
//! Depends on `shader` and `pool::shaders`. Invariant: weights are computed where they are needed, by the formulae of `band`.

use super::Resample;
use super::band::{Divisor, Side, Weights};
use crate::ops::pool::axis::Axis;
use crate::ops::pool::shaders::{around, declare, open_positions, open_windows};
use crate::ops::shader::{Place, Shader, way};
use crate::plan::{Argument, Candidate, Caps};
use crate::wgsl::Type;

/// Elements beyond those that its place says which an element of a result may depend on.
const MARGIN: usize = 3;

/// A float parameter.
fn float(shader: &mut Shader<'_>, number: f64, kind: Type) -> String {
    if kind == Type::F64 {
        let [low, high] = [number.to_bits() & 0xffff_ffff, number.to_bits() >> 32];
        let [low, high] = [low, high].map(|word| shader.number(word as usize));
        return format!("bitcast<f64>(wide_bits(bitcast<u32>({low}), bitcast<u32>({high})))");
    }
    let bits = shader.number((number as f32).to_bits() as usize);
    format!("bitcast<f32>({bits})")
}

/// A formula, written in f32, in the floats of the work.
fn real(kind: Type, formula: &str) -> String {
    if kind != Type::F64 {
        return formula.to_owned();
    }
    let mut text = String::new();
    let mut rest = formula.replace(" f32(", " f64(").replace("(f32(", "(f64(");
    if let Some(after) = rest.strip_prefix("f32(") {
        rest = format!("f64({after}");
    }
    let mut number = String::new();
    for letter in rest.chars().chain([' ']) {
        let goes_on = letter.is_ascii_digit() || (letter == '.' && !number.is_empty());
        let begins = !number.is_empty()
            || !text.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '_' || last == '.');
        if goes_on && begins {
            number.push(letter);
            continue;
        }
        text.push_str(&number);
        if number.contains('.') {
            text.push_str("lf");
        }
        number.clear();
        text.push(letter);
    }
    text.truncate(text.len() - 1);
    text
}

/// Elements of the input per element of the result.
fn scale(side: &Side) -> f64 {
    let quotient = side.size as f64 / side.count as f64;
    match side.weights {
        Weights::Linear { align_corners: true, .. } | Weights::Cubic { align_corners: true, .. } => {
            (side.size - 1) as f64 / (side.count.max(2) - 1) as f64
        }
        Weights::Nearest { scale, .. } | Weights::Linear { scale, .. } | Weights::Cubic { scale, .. } => {
            scale.unwrap_or(quotient)
        }
        Weights::Mean(..) => quotient,
    }
}

/// Opens a loop over the elements that element `o` of the result sums: `q` and the factor `w` are known within. Closed by two braces.
fn open_row(shader: &mut Shader<'_>, side: &Side, axis: usize, kind: Type) {
    let step = float(shader, scale(side), kind);
    let last = shader.number(side.size - 1);
    let (first, taps) = match side.weights {
        Weights::Mean(..) => unreachable!("windows have loops of their own"),
        Weights::Nearest { scale, .. } if side.size == side.count && scale.is_none_or(|scale| scale == 1.0) => {
            (format!("o{axis}"), 1)
        }
        Weights::Nearest { exact, .. } => {
            let middle = if exact { "0.5" } else { "0.0" };
            (format!("i32(floor({}))", real(kind, &format!("(f32(o{axis}) + {middle}) * {step}"))), 1)
        }
        Weights::Linear { align_corners, .. } | Weights::Cubic { align_corners, .. } => {
            let place = match align_corners {
                true => format!("f32(o{axis}) * {step}"),
                false => format!("(f32(o{axis}) + 0.5) * {step} - 0.5"),
            };
            let is_cubic = matches!(side.weights, Weights::Cubic { .. });
            let place = if is_cubic { place } else { format!("max({place}, 0.0)") };
            shader.line(format!("let place{axis} = {};", real(kind, &place)));
            if is_cubic {
                (format!("i32(floor(place{axis})) - 1"), 4)
            } else {
                (format!("min(i32(floor(place{axis})), {last})"), 2)
            }
        }
    };
    shader.line(format!("let first{axis} = {first};"));
    shader.line(format!("for (var t{axis} = 0; t{axis} < {taps}; t{axis} = t{axis} + 1) {{"));
    shader.line(format!("let q{axis} = clamp(first{axis} + t{axis}, 0, {last});"));
    match side.weights {
        Weights::Linear { .. } => {
            let share = format!("clamp(place{axis} - f32(first{axis}), 0.0, 1.0)");
            let weight = format!("select({share}, 1.0 - {share}, t{axis} == 0)");
            shader.line(format!("let w{axis} = {};", real(kind, &weight)));
        }
        Weights::Cubic { .. } => {
            let apart = format!("abs(place{axis} - f32(first{axis} + t{axis}))");
            shader.line(format!("let d{axis} = {};", real(kind, &apart)));
            let near = format!("(1.25 * d{axis} - 2.25) * d{axis} * d{axis} + 1.0");
            let far = format!("((-0.75 * d{axis} + 3.75) * d{axis} - 6.0) * d{axis} + 3.0");
            let weight = format!("select({far}, {near}, d{axis} <= 1.0)");
            shader.line(format!("let w{axis} = {};", real(kind, &weight)));
        }
        _ => shader.line(format!("let w{axis} = {};", kind.one())),
    }
    shader.line("{");
}

/// Declares `w`, what the sum of window `o` is multiplied by.
fn share(shader: &mut Shader<'_>, side: &Side, axis: usize, kind: Type) {
    let Weights::Mean(windows, divisor) = side.weights else { return };
    let value = match (divisor, windows) {
        (Divisor::Fixed(divisor), _) => float(shader, divisor, kind),
        (Divisor::Padded(after), Axis::Sliding { kernel, stride, before, .. }) => {
            let end = shader.number(side.size + before + after);
            let (kernel, stride) = (shader.number(kernel), shader.number(stride));
            format!("f32(min({kernel}, {end} - o{axis} * {stride}))")
        }
        (_, Axis::Sliding { kernel, stride, before, .. }) => {
            let (kernel, stride) = (shader.number(kernel), shader.number(stride));
            let (before, size) = (shader.number(before), shader.number(side.size));
            let begin = format!("(o{axis} * {stride} - {before})");
            format!("f32(min({begin} + {kernel}, {size}) - max({begin}, 0))")
        }
        (_, Axis::Adaptive { size, count }) => {
            let (size, count) = (shader.number(size), shader.number(count));
            let end = format!("((o{axis} + 1) * {size} + {count} - 1) / {count}");
            format!("f32({end} - o{axis} * {size} / {count})")
        }
    };
    shader.line(format!("let w{axis} = {};", real(kind, &value)));
}

/// Opens the loops of one axis; four braces close them.
fn open(shader: &mut Shader<'_>, side: &Side, axis: usize, transposed: bool, kind: Type) {
    match (side.weights, transposed) {
        (Weights::Mean(windows, _), false) => {
            open_positions(shader, &windows, axis);
            shader.line("{");
            shader.line("{");
        }
        (Weights::Mean(windows, _), true) => {
            open_windows(shader, &windows, axis);
            share(shader, side, axis, kind);
            shader.line("{");
            shader.line("{");
        }
        (_, false) => {
            open_row(shader, side, axis, kind);
            shader.line("{");
            shader.line("{");
        }
        (_, true) => {
            // Every element of the result whose place lies near, with those of its elements that are this one.
            let step = float(shader, scale(side).max(1e-6), kind);
            let (margin, count) = (shader.number(MARGIN), shader.number(side.count));
            shader.line(format!("let here{axis} = q{axis}_here;"));
            let quotient = |sign: &str| real(kind, &format!("f32(here{axis} {sign} {margin}) / {step}"));
            let low = format!("max(i32(floor({})) - 2, 0)", quotient("-"));
            let high = format!("min(i32(ceil({})) + 2, {count})", quotient("+"));
            shader.line(format!("for (var o{axis} = {low}; o{axis} < {high}; o{axis} = o{axis} + 1) {{"));
            open_row(shader, side, axis, kind);
            shader.line(format!("if (q{axis} == here{axis}) {{"));
        }
    }
}

/// The sums.
pub(super) fn sums(op: &Resample, arguments: &[Argument], caps: &Caps) -> Vec<Candidate> {
    let [x, result] = [0, 1].map(|argument| &arguments[argument].layout);
    let first = op.order.first();
    let launch = || {
        let mut shader = Shader::new(arguments, &result.shape);
        let here = shader.here.clone();
        let kind = Type::of(arguments[1].dtype);
        let own = kind.name();
        let to = shader.target(&Place::whole(1, &result.strides), &here)?;
        if op.transposed {
            for axis in 0..3 {
                let windows = matches!(op.sides[axis].weights, Weights::Mean(..));
                let name = if windows { format!("q{axis}") } else { format!("q{axis}_here") };
                shader.line(format!("let {name} = {};", here[first + axis]));
            }
        } else {
            declare(&mut shader, &here, first, "o");
            for axis in 0..3 {
                share(&mut shader, &op.sides[axis], axis, kind);
            }
        }
        shader.line(format!("var sum = {};", kind.zero()));
        for axis in 0..3 {
            open(&mut shader, &op.sides[axis], axis, op.transposed, kind);
        }
        let name = if op.transposed { "o" } else { "q" };
        let at = around(&here, first, [0, 1, 2].map(|axis| format!("{name}{axis}")));
        let value = shader.element(&Place::whole(0, &x.strides), &at)?;
        let factor: Vec<String> = (0..3)
            .map(|axis| match op.sides[axis].weights {
                Weights::Mean(..) => format!("/ {own}(w{axis})"),
                _ => format!("* {own}(w{axis})"),
            })
            .collect();
        let mean = op.sides.iter().all(|side| matches!(side.weights, Weights::Mean(..)));
        if mean && !op.transposed {
            shader.line(format!("sum = sum + {value};"));
        } else {
            shader.line(format!("sum = sum + {value} {};", factor.join(" ")));
        }
        (0..12).for_each(|_| shader.line("}"));
        if mean && !op.transposed {
            shader.line(format!("sum = sum / {own}(w0 * w1 * w2);"));
        }
        shader.line(to.write("sum"));
        Some(shader.finish("weighted sums: a thread per element", caps))
    };
    way("elements", [launch()])
}
