//! Pooling and columns on a GPU: a thread per element that is written, which visits what it depends on.
//! Depends on `shader`. Invariant: sizes are parameters of the text; sums run in the order of the windows.

use super::super::shader::{Place, Shader, way};
use super::axis::Axis;
use super::max::Geometry;
use crate::dtype::DType;
use crate::plan::{Argument, Candidate, Caps};
use crate::wgsl::{Type, wrapped};

/// Names of the coordinates along an axis: the window's number, its position's number, the place on the axis.
fn names(axis: usize) -> [String; 3] {
    [format!("o{axis}"), format!("t{axis}"), format!("q{axis}")]
}

/// Declares where window `o` of an axis begins and how many positions it has: `begin`, `positions`, and gives the distance of positions.
fn window(shader: &mut Shader<'_>, axis: &Axis, number: usize) -> String {
    let [o, ..] = names(number);
    match *axis {
        Axis::Sliding { kernel, stride, before, dilation, .. } => {
            let (kernel, stride) = (shader.number(kernel), shader.number(stride));
            let before = shader.number(before);
            shader.line(format!("let begin{number} = {o} * {stride} - {before};"));
            shader.line(format!("let positions{number} = {kernel};"));
            shader.number(dilation)
        }
        Axis::Adaptive { size, count } => {
            let (size, count) = (shader.number(size), shader.number(count));
            shader.line(format!("let begin{number} = {o} * {size} / {count};"));
            let end = format!("(({o} + 1) * {size} + {count} - 1) / {count}");
            shader.line(format!("let positions{number} = {end} - begin{number};"));
            "1".to_owned()
        }
    }
}

/// Opens a loop over the positions that window `o` takes: `t` and `q` are known within. Closed by two braces.
pub(in super::super) fn open_positions(shader: &mut Shader<'_>, axis: &Axis, number: usize) {
    let [_, t, q] = names(number);
    let step = window(shader, axis, number);
    let size = shader.number(axis.size());
    shader.line(format!("for (var {t} = 0; {t} < positions{number}; {t} = {t} + 1) {{"));
    shader.line(format!("let {q} = begin{number} + {t} * {step};"));
    shader.line(format!("if ({q} >= 0 && {q} < {size}) {{"));
}

/// Opens a loop over the windows that take place `q`: `o` and `t` are known within. Closed by two braces.
pub(in super::super) fn open_windows(shader: &mut Shader<'_>, axis: &Axis, number: usize) {
    let [o, t, q] = names(number);
    let count = shader.number(axis.count());
    match *axis {
        Axis::Sliding { kernel, stride, before, dilation, .. } => {
            let (kernel, stride) = (shader.number(kernel), shader.number(stride));
            let (before, dilation) = (shader.number(before), shader.number(dilation));
            // Positions downwards are windows upwards.
            shader.line(format!("for (var {t} = {kernel} - 1; {t} >= 0; {t} = {t} - 1) {{"));
            shader.line(format!("let from{number} = {q} + {before} - {t} * {dilation};"));
            shader.line(format!("let {o} = from{number} / {stride};"));
            shader.line(format!("if (from{number} >= 0 && {o} * {stride} == from{number} && {o} < {count}) {{"));
        }
        Axis::Adaptive { size, .. } => {
            let size = shader.number(size);
            let (first, end) =
                (format!("{q} * {count} / {size}"), format!("(({q} + 1) * {count} + {size} - 1) / {size}"));
            shader.line(format!("for (var {o} = {first}; {o} < {end}; {o} = {o} + 1) {{"));
            shader.line(format!("let {t} = {q} - {o} * {size} / {count};"));
            shader.line(format!("if ({t} >= 0) {{"));
        }
    }
}

/// Closes what was opened for all axes.
pub(in super::super) fn close(shader: &mut Shader<'_>) {
    (0..6).for_each(|_| shader.line("}"));
}

/// The thread's coordinates under the names of windows or places; gives those of a tensor of rank 5 whose planes are seen at `inner`.
pub(in super::super) fn around(here: &[String], first: usize, inner: [String; 3]) -> Vec<String> {
    let mut at = here.to_vec();
    at.splice(first..first + 3, inner);
    at
}

/// The number of a window's position, as `i32`.
fn tap(shader: &mut Shader<'_>, geometry: &Geometry) -> String {
    let (height, width) = (shader.number(geometry.axes[1].kernel()), shader.number(geometry.axes[2].kernel()));
    format!("((t0 * {height} + t1) * {width} + t2)")
}

/// Declares the thread's coordinates in its plane as `o` or `q`.
pub(in super::super) fn declare(shader: &mut Shader<'_>, here: &[String], first: usize, name: &str) {
    for axis in 0..3 {
        shader.line(format!("let {name}{axis} = {};", here[first + axis]));
    }
}

/// Where the tap of window `o` of the thread's plane lies among the taps.
fn tap_of_window(shader: &mut Shader<'_>, geometry: &Geometry, taps: &Argument, shape: &[usize]) -> Vec<String> {
    let channels = shader.number(shape[geometry.order.channels()]);
    let lanes = shader.number(taps.layout.shape[4]);
    let plane = format!("({} * {channels} + {})", shader.here[0], shader.here[geometry.order.channels()]);
    let [depth, height, width] = o();
    vec![format!("({plane} / {lanes})"), depth, height, width, format!("({plane} % {lanes})")]
}

fn o() -> [String; 3] {
    [0, 1, 2].map(|axis| format!("o{axis}"))
}

fn q() -> [String; 3] {
    [0, 1, 2].map(|axis| format!("q{axis}"))
}

/// The maximum of every window, and which position had it.
pub(super) fn max_pool(geometry: &Geometry, arguments: &[Argument], caps: &Caps) -> Vec<Candidate> {
    let [x, result] = [0, 1].map(|argument| &arguments[argument].layout);
    let launch = || {
        let first = geometry.order.first();
        let mut shader = Shader::new(arguments, &result.shape);
        let here = shader.here.clone();
        declare(&mut shader, &here, first, "o");
        let (larger, least) = match Type::of(arguments[0].dtype) {
            Type::F32 => {
                // Not a constant: shaders refuse infinite ones.
                let least = shader.number(f32::NEG_INFINITY.to_bits() as usize);
                let nan = "(bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u";
                (format!("value > best || {nan}"), format!("bitcast<f32>({least})"))
            }
            Type::I32 => ("value > best".to_owned(), "(-2147483647 - 1)".to_owned()),
            Type::F64 => {
                let nan = "(bitcast<u64>(value) & 0x7ffffffffffffffflu) > 0x7ff0000000000000lu";
                (format!("value > best || {nan}"), "0.0lf".to_owned())
            }
            // The first element of a window is taken in any case.
            kind => ("value > best".to_owned(), kind.zero().to_owned()),
        };
        shader.line(format!("var best = {least};"));
        shader.line("var tap = 0;");
        shader.line("var begun = false;");
        for axis in 0..3 {
            open_positions(&mut shader, &geometry.axes[axis], axis);
        }
        let value = shader.element(&Place::whole(0, &x.strides), &around(&here, first, q()))?;
        let number = tap(&mut shader, geometry);
        shader.line(format!("let value = {value};"));
        shader.line(format!("if (!begun || {larger}) {{"));
        shader.line("best = value;");
        shader.line(format!("tap = {number};"));
        shader.line("begun = true;");
        shader.line("}");
        close(&mut shader);
        let to = shader.target(&Place::whole(1, &result.strides), &here)?;
        shader.line(to.write("best"));
        if let Some(taps) = arguments.get(2) {
            let at = tap_of_window(&mut shader, geometry, taps, &result.shape);
            let to = shader.target(&Place::whole(2, &taps.layout.strides), &at)?;
            shader.line(to.write(if taps.dtype == DType::I32 { "tap" } else { "u32(tap)" }));
        }
        Some(shader.finish("max_pool: a thread per window", caps))
    };
    way("windows", [launch()])
}

/// Elements put where maxima came from, or taken from there.
pub(super) fn along(geometry: &Geometry, put: bool, arguments: &[Argument], caps: &Caps) -> Vec<Candidate> {
    let [from, result] = [1, 2].map(|argument| &arguments[argument].layout);
    let zero = Type::of(arguments[2].dtype).zero();
    let first = geometry.order.first();
    let launch = || {
        let mut shader = Shader::new(arguments, &result.shape);
        let here = shader.here.clone();
        let to = shader.target(&Place::whole(2, &result.strides), &here)?;
        if put {
            declare(&mut shader, &here, first, "q");
            shader.line(format!("var sum = {zero};"));
            for axis in 0..3 {
                open_windows(&mut shader, &geometry.axes[axis], axis);
            }
            let number = tap(&mut shader, geometry);
            let at = tap_of_window(&mut shader, geometry, &arguments[0], &result.shape);
            let tap = shader.element(&Place::whole(0, &arguments[0].layout.strides), &at)?;
            let value = shader.element(&Place::whole(1, &from.strides), &around(&here, first, o()))?;
            shader.line(format!("if (i32({tap}) == {number}) {{"));
            shader.line(format!("sum = sum + {value};"));
            shader.line("}");
            close(&mut shader);
            shader.line(to.write("sum"));
        } else {
            declare(&mut shader, &here, first, "o");
            let at = tap_of_window(&mut shader, geometry, &arguments[0], &result.shape);
            let tap = shader.element(&Place::whole(0, &arguments[0].layout.strides), &at)?;
            places_of(&mut shader, geometry, &tap);
            let inside: Vec<String> = (0..3).map(|axis| format!("q{axis} == place{axis}")).collect();
            let value = shader.element(&Place::whole(1, &from.strides), &around(&here, first, q()))?;
            // A window that takes nothing names a place outside.
            shader.line(to.write(&format!("select({zero}, {value}, {})", inside.join(" && "))));
        }
        Some(shader.finish("max_pool: a thread per element of its gradient", caps))
    };
    way(if put { "places" } else { "windows" }, [launch()])
}

/// Declares `place`, the place on each axis that a tap of window `o` names, and `q`, the same held inside the axis.
fn places_of(shader: &mut Shader<'_>, geometry: &Geometry, tap: &str) {
    let (height, width) = (shader.number(geometry.axes[1].kernel()), shader.number(geometry.axes[2].kernel()));
    shader.line(format!("let tap = i32({tap});"));
    shader.line(format!("let t2 = tap % {width};"));
    shader.line(format!("let t1 = tap / {width} % {height};"));
    shader.line(format!("let t0 = tap / {width} / {height};"));
    for axis in 0..3 {
        let step = window(shader, &geometry.axes[axis], axis);
        let last = shader.number(geometry.axes[axis].size().saturating_sub(1));
        shader.line(format!("let place{axis} = begin{axis} + t{axis} * {step};"));
        shader.line(format!("let q{axis} = clamp(place{axis}, 0, {last});"));
    }
}

/// The place in the plane of every window's maximum.
pub(super) fn places(geometry: &Geometry, arguments: &[Argument], caps: &Caps) -> Vec<Candidate> {
    let result = &arguments[1].layout;
    let launch = || {
        let mut shader = Shader::new(arguments, &result.shape);
        let here = shader.here.clone();
        declare(&mut shader, &here, geometry.order.first(), "o");
        let at = tap_of_window(&mut shader, geometry, &arguments[0], &result.shape);
        let tap = shader.element(&Place::whole(0, &arguments[0].layout.strides), &at)?;
        places_of(&mut shader, geometry, &tap);
        let (height, width) = (shader.number(geometry.axes[1].size()), shader.number(geometry.axes[2].size()));
        let to = shader.target(&Place::whole(1, &result.strides), &here)?;
        let kind = Type::of(arguments[1].dtype).name();
        shader.line(to.write(&format!("{kind}((q0 * {height} + q1) * {width} + q2)")));
        Some(shader.finish("max_pool: a thread per place", caps))
    };
    way("windows", [launch()])
}

/// Windows as columns, or columns added up.
pub(super) fn columns(axes: &[Axis; 2], fold: bool, arguments: &[Argument], caps: &Caps) -> Vec<Candidate> {
    let [from, result] = [0, 1].map(|argument| &arguments[argument].layout);
    let dtype = arguments[0].dtype;
    let launch = || {
        let mut shader = Shader::new(arguments, &result.shape);
        let here = shader.here.clone();
        let to = shader.target(&Place::whole(1, &result.strides), &here)?;
        let width = shader.number(axes[1].kernel());
        shader.line(format!("var sum = {};", Type::of(dtype).zero()));
        if fold {
            for axis in 0..2 {
                shader.line(format!("let q{axis} = {};", here[2 + axis]));
                open_windows(&mut shader, &axes[axis], axis);
            }
            let at = [&here[0], &here[1], &format!("(t0 * {width} + t1)"), "o0", "o1"].map(|at: &str| at.to_owned());
            let value = shader.element(&Place::whole(0, &from.strides), &at)?;
            let sum =
                if dtype == DType::Bool { format!("sum | {value}") } else { wrapped(dtype, format!("sum + {value}")) };
            shader.line(format!("sum = {sum};"));
            (0..4).for_each(|_| shader.line("}"));
        } else {
            for axis in 0..2 {
                shader.line(format!("let o{axis} = {};", here[3 + axis]));
                let tap = if axis == 0 { format!("{} / {width}", here[2]) } else { format!("{} % {width}", here[2]) };
                let step = window(&mut shader, &axes[axis], axis);
                shader.line(format!("let q{axis} = begin{axis} + {tap} * {step};"));
            }
            let (height, across) = (shader.number(axes[0].size()), shader.number(axes[1].size()));
            let at = [here[0].clone(), here[1].clone(), "q0".to_owned(), "q1".to_owned()];
            let value = shader.element(&Place::whole(0, &from.strides), &at)?;
            shader.line(format!("if (q0 >= 0 && q0 < {height} && q1 >= 0 && q1 < {across}) {{"));
            shader.line(format!("sum = {value};"));
            shader.line("}");
        }
        shader.line(to.write("sum"));
        Some(shader.finish(if fold { "fold: a thread per pixel" } else { "unfold: a thread per element" }, caps))
    };
    way("elements", [launch()])
}
