//! Convolutions as shaders: a thread per element of the result, which adds up its products. Depends on `shader`.
//! Invariant: the text depends on the rank, the part and the bias; sizes, strides and steps are parameters.

use super::super::shader::{Place, Shader, way};
use super::op::{Conv, Part};
use crate::error::Result;
use crate::plan::{Argument, Candidate, Caps, Launch};
use crate::wgsl::Type;

/// The ways: squares of products where they are filled, and the plain one.
pub(super) fn candidates(conv: &Conv, arguments: &[Argument], caps: &Caps) -> Vec<Candidate> {
    let tiled = super::tiled::candidate(conv, arguments, caps);
    tiled.into_iter().chain(way("direct", [launch(conv, arguments, caps)])).collect()
}

fn launch(conv: &Conv, arguments: &[Argument], caps: &Caps) -> Option<Result<Option<Launch>>> {
    let rank = conv.axes.len();
    let result = arguments.len() - 1;
    let layout = |number: usize| &arguments[number].layout;
    let mut shader = Shader::new(arguments, &layout(result).shape);
    let here = shader.here.clone();
    let begin = match arguments.len() {
        4 => shader.element(&Place::whole(2, &layout(2).strides), &here[1..2])?,
        _ => Type::of(arguments[result].dtype).zero().to_owned(),
    };
    shader.line(format!("var sum = {begin};"));
    let mut open = 0;
    let mut each = |shader: &mut Shader<'_>, name: &str, size: usize| {
        let size = shader.number(size);
        shader.line(format!("for (var {name} = 0; {name} < {size}; {name} = {name} + 1) {{"));
        open += 1;
    };
    // Coordinates of the two operands beside the spatial ones.
    let (mut first, mut second): (Vec<String>, Vec<String>) = match conv.part {
        Part::Output => {
            let (inputs, outputs) = (layout(1).shape[1], layout(1).shape[0] / conv.groups);
            each(&mut shader, "channel", inputs);
            let (inputs, outputs) = (shader.number(inputs), shader.number(outputs));
            let from = format!("{} / {outputs} * {inputs} + channel", here[1]);
            (vec![here[0].clone(), format!("({from})")], vec![here[1].clone(), "channel".to_owned()])
        }
        Part::Input => {
            let (inputs, outputs) = (layout(1).shape[1], layout(1).shape[0] / conv.groups);
            each(&mut shader, "channel", outputs);
            let (inputs, outputs) = (shader.number(inputs), shader.number(outputs));
            let from = format!("({} / {inputs} * {outputs} + channel)", here[1]);
            (vec![here[0].clone(), from.clone()], vec![from, format!("({} % {inputs})", here[1])])
        }
        Part::Kernel => {
            each(&mut shader, "image", layout(0).shape[0]);
            let inputs = shader.number(layout(0).shape[1] / conv.groups);
            let outputs = shader.number(layout(1).shape[1] / conv.groups);
            let from = format!("({} / {outputs} * {inputs} + {})", here[0], here[1]);
            (vec!["image".to_owned(), from], vec!["image".to_owned(), here[0].clone()])
        }
    };
    for axis in 0..rank {
        let line = &conv.axes[axis];
        let own = &here[2 + axis];
        let (stride, dilation) = (shader.number(line.stride), shader.number(line.dilation));
        let padding = shader.number(line.padding);
        let inside = match conv.part {
            Part::Output | Part::Kernel => {
                let (tap, step, size) = match conv.part {
                    Part::Output => (format!("tap{axis}"), own.clone(), line.kernel),
                    _ => (own.clone(), format!("step{axis}"), line.y),
                };
                each(&mut shader, if conv.part == Part::Output { &tap } else { &step }, size);
                shader.line(format!("let at{axis} = {step} * {stride} + {tap} * {dilation} - {padding};"));
                first.push(format!("at{axis}"));
                second.push(if conv.part == Part::Output { tap } else { step });
                let size = shader.number(line.x);
                format!("at{axis} >= 0 && at{axis} < {size}")
            }
            Part::Input => {
                each(&mut shader, &format!("tap{axis}"), line.kernel);
                shader.line(format!("let span{axis} = {own} + {padding} - tap{axis} * {dilation};"));
                first.push(format!("(span{axis} / {stride})"));
                second.push(format!("tap{axis}"));
                let size = shader.number(line.y);
                format!("span{axis} >= 0 && span{axis} % {stride} == 0 && span{axis} / {stride} < {size}")
            }
        };
        shader.line(format!("if ({inside}) {{"));
    }
    let lhs = shader.element(&Place::whole(0, &layout(0).strides), &first)?;
    let rhs = shader.element(&Place::whole(1, &layout(1).strides), &second)?;
    shader.line(format!("sum = sum + {lhs} * {rhs};"));
    for _ in 0..open + rank {
        shader.line("}");
    }
    let to = shader.target(&Place::whole(result, &layout(result).strides), &here)?;
    shader.line(to.write("sum"));
    Some(shader.finish("convolution: a thread per element", caps))
}
