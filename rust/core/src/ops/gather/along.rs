//! Elements along one axis, each with an index of its own, and the sum that puts them back.
//! Depends on `check` and `walk`. Invariant: `scatter_add` is the adjoint of `take_along_axis`.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::super::axes::normalize_axis;
use super::super::create::zeros_like;
use super::super::movement::broadcast_to;
use super::super::pointwise::astype;
use super::super::shader::{Place, Put, Shader, boxes, way};
use super::super::walk::{self, Chunks, Indices, Walk, read_index, with_indices};
use super::check::checked;
use super::scatter::IndexError;
use crate::backend::{HostArgument, HostArguments};
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::plan::{Argument, Candidate, Caps, Cost, Structured};
use crate::shape::Shape;

/// `x[…, indices[…, i, …], …]`: one index per element of the result; axes but `axis` broadcast.
///
/// # Errors
/// For shapes that do not fit, and indices that are no integers or out of range.
pub fn take_along_axis(x: &Tensor, indices: &Tensor, axis: isize) -> Result<Tensor> {
    let axis = normalize_axis("take_along_axis", axis, x.rank())?;
    let indices = checked("take_along_axis", indices, x.shape()[axis], true, None)?;
    if indices.rank() != x.rank() {
        return Err(misfit("take_along_axis", x, &indices, axis));
    }
    let (mut to_x, mut to_indices) = (Shape::default(), Shape::default());
    for (shape, own) in [(&mut to_x, &x), (&mut to_indices, &&indices)] {
        let common = |a: usize| {
            let (p, q) = (x.shape()[a], indices.shape()[a]);
            if a == axis {
                own.shape()[a]
            } else if p == 1 {
                q
            } else {
                p
            }
        };
        *shape = Shape::from_sound((0..x.rank()).map(common));
    }
    let fits = (0..x.rank()).all(|a| a == axis || indices.shape()[a] == 1 || indices.shape()[a] == to_indices[a]);
    if !fits {
        return Err(misfit("take_along_axis", x, &indices, axis));
    }
    take_along_checked(&broadcast_to(x, &to_x)?, &broadcast_to(&indices, &to_indices)?, axis)
}

/// As `take_along_axis`, for indices in range and shapes that agree in all axes but `axis`.
pub(crate) fn take_along_checked(x: &Tensor, indices: &Tensor, axis: usize) -> Result<Tensor> {
    apply(TakeAlong { axis }, &[x, indices])
}

/// `x` with `updates` added: `result[…, indices[…, i, …], …] += updates[…, i, …]`, repeated indices adding up.
///
/// # Errors
/// For shapes that do not fit, and indices that are no integers or out of range.
pub fn scatter_add(x: &Tensor, indices: &Tensor, axis: isize, updates: &Tensor) -> Result<Tensor> {
    let axis = normalize_axis("scatter_add", axis, x.rank())?;
    let indices = checked("scatter_add", indices, x.shape()[axis], true, None)?;
    let fits = indices.rank() == x.rank()
        && indices.shape() == updates.shape()
        && (0..x.rank()).all(|a| a == axis || indices.shape()[a] == x.shape()[a]);
    if !fits {
        return Err(misfit("scatter_add", x, &indices, axis));
    }
    apply(ScatterAdd { axis }, &[x, &indices, &astype(updates, x.dtype())?])
}

fn misfit(name: &str, x: &Tensor, indices: &Tensor, axis: usize) -> Error {
    Error::shape(format!(
        "{name}: x is {} and indices are {}: ranks and all sizes but those of axis {axis} must agree.",
        x.shape(),
        indices.shape()
    ))
}

#[derive(Clone, Debug)]
struct TakeAlong {
    axis: usize,
}

impl Op for TakeAlong {
    fn name(&self) -> &'static str {
        "take_along_axis"
    }
    fn key(&self, key: &mut Key) {
        key.number(self.axis as u64);
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![Meta::new(inputs[1].shape.clone(), inputs[0].dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let gradient = || {
            let zeros = zeros_like(&cx.inputs[0])?;
            apply(ScatterAdd { axis: self.axis }, &[&zeros, &cx.inputs[1], cx.grad()]).map(Cotangent::Dense)
        };
        Ok(smallvec![cx.needs[0].then(gradient).transpose()?, None])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

impl TakeAlong {
    /// Elements of the size of `T`.
    fn run<T: Copy>(&self, host: &HostArguments<'_>, bad: &IndexError) {
        with_indices!(host.arguments[1].dtype, integers => self.run_with::<T, _>(host, bad, integers));
    }

    fn run_with<T: Copy, I: Indices>(&self, host: &HostArguments<'_>, bad: &IndexError, integers: I) {
        let [x, indices, result] = host.arguments else { unreachable!("take_along_axis has three arguments") };
        let (limit, stride, size) = (x.layout.shape[self.axis], x.layout.strides[self.axis], size_of::<T>());
        let lines = lines(x, self.axis);
        let chunks = Chunks::of(&result.layout.shape, size + indices.dtype.size());
        (host.parallel)(chunks.count, &|chunk| {
            let to = chunks.at(chunk, result.data, &result.layout.strides, size).cast::<T>();
            let from = chunks.at(chunk, x.data, &lines, size).cast::<T>();
            let first = chunks.at(chunk, indices.data, &indices.layout.strides, indices.dtype.size());
            let walk = Walk::new(&chunks.shape(chunk), [&result.layout.strides, &indices.layout.strides, &lines]);
            walk.each(|[place, at, line]| {
                // SAFETY: the walk stays inside the three layouts, the index inside the line; chunks are disjoint.
                unsafe {
                    if let Some(index) = bad.inside(integers.read(first, at), limit) {
                        to.offset(place).write_unaligned(from.offset(line + index * stride).read_unaligned());
                    }
                }
            });
        });
    }
}

impl Structured for TakeAlong {
    fn name(&self) -> &'static str {
        "take_along_axis"
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        Cost::looking_up(arguments)
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        let bad = IndexError::default();
        match host.arguments[0].dtype.size() {
            1 => self.run::<u8>(host, &bad),
            2 => self.run::<u16>(host, &bad),
            4 => self.run::<u32>(host, &bad),
            _ => self.run::<u64>(host, &bad),
        }
        bad.result("take_along_axis")
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        let [x, indices, result] = [0, 1, 2].map(|argument| &arguments[argument].layout);
        let launch = || {
            let mut shader = Shader::new(arguments, &result.shape);
            let mut here = shader.here.clone();
            let to = shader.target(&Place::whole(2, &result.strides), &here)?;
            let place = shader.element(&Place::whole(1, &indices.strides), &here)?;
            let last = shader.number(x.shape[self.axis].saturating_sub(1));
            shader.line(format!("let at = clamp(i32({place}), 0, {last});"));
            here[self.axis] = "at".to_owned();
            let from = shader.element(&Place::whole(0, &x.strides), &here)?;
            shader.line(Put::Copy.statement(arguments[2].dtype, &to, &from));
            Some(shader.finish("take_along_axis: a thread per element", caps))
        };
        way("elements", [launch()])
    }
}

/// Strides that stay at a line's first element while walking along `axis`.
fn lines(x: &HostArgument<'_>, axis: usize) -> SmallVec<[isize; 4]> {
    let mut strides = x.layout.strides.clone();
    strides[axis] = 0;
    strides
}

#[derive(Clone, Debug)]
struct ScatterAdd {
    axis: usize,
}

impl Op for ScatterAdd {
    fn name(&self) -> &'static str {
        "scatter_add"
    }
    fn key(&self, key: &mut Key) {
        key.number(self.axis as u64);
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![inputs[0].clone()])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let taken = || apply(TakeAlong { axis: self.axis }, &[cx.grad(), &cx.inputs[1]]).map(Cotangent::Dense);
        let same = cx.needs[0].then(|| Cotangent::Dense(cx.grad().clone()));
        Ok(smallvec![same, None, cx.needs[2].then(taken).transpose()?])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

impl Structured for ScatterAdd {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        Cost { flops: arguments[2].layout.shape.elements() as u64, ..Cost::moving(arguments) }
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        let [x, indices, updates, result] = host.arguments else { unreachable!("scatter_add has four arguments") };
        let (limit, stride, size) = (x.layout.shape[self.axis], result.layout.strides[self.axis], x.dtype.size());
        let lines = lines(result, self.axis);
        let bad = IndexError::default();
        // Lines along the axis are independent; within one, updates come in order.
        let chunks = Chunks::along(&x.layout.shape, 2 * size, |axis| axis != self.axis);
        (host.parallel)(chunks.count, &|chunk| {
            let to = chunks.at(chunk, result.data, &result.layout.strides, size);
            let old = chunks.at(chunk, x.data, &x.layout.strides, size).cast_const();
            let from = chunks.at(chunk, updates.data, &updates.layout.strides, size).cast_const();
            let first = chunks.at(chunk, indices.data, &indices.layout.strides, indices.dtype.size());
            let mut sizes = chunks.shape(chunk);
            let copied = Walk::new(&sizes, [&result.layout.strides, &x.layout.strides]);
            // SAFETY: chunks are disjoint boxes of the result, and `x` has its shape.
            unsafe { walk::copy(size, &copied, to, old) };
            sizes[self.axis] = indices.layout.shape[self.axis];
            let walk = Walk::new(&sizes, [&lines, &indices.layout.strides, &updates.layout.strides]);
            // SAFETY: the walk stays inside the layouts, the index inside the line, the line inside the chunk.
            unsafe {
                walk::add_at(result.dtype, &walk, to, from, |at| {
                    let index = read_index(indices.dtype, first.offset(at * indices.dtype.size() as isize));
                    bad.inside(index, limit).map(|index| index * stride)
                });
            }
        });
        bad.result("scatter_add")
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        let [x, indices, updates, result] = [0, 1, 2, 3].map(|argument| &arguments[argument].layout);
        let to = Place::whole(3, &result.strides);
        let from = Place::whole(0, &x.strides);
        let copied = boxes(arguments, caps, &x.shape, Put::Copy, to, Some(from));
        let added = || {
            // A thread per line along the axis adds its updates in order.
            let mut lines: SmallVec<[usize; 4]> = SmallVec::from_slice(&x.shape);
            lines[self.axis] = 1;
            let mut shader = Shader::new(arguments, &lines);
            let mut here = shader.here.clone();
            let (size, count) = (shader.number(x.shape[self.axis]), shader.number(indices.shape[self.axis]));
            shader.line(format!("for (var number = 0; number < {count}; number = number + 1) {{"));
            here[self.axis] = "number".to_owned();
            let place = shader.element(&Place::whole(1, &indices.strides), &here)?;
            let update = shader.element(&Place::whole(2, &updates.strides), &here)?;
            shader.line(format!("let at = i32({place});"));
            shader.line(format!("if (at >= 0 && at < {size}) {{"));
            here[self.axis] = "at".to_owned();
            let to = shader.target(&Place::whole(3, &result.strides), &here)?;
            shader.line(Put::Add.statement(arguments[3].dtype, &to, &update));
            shader.line("}");
            shader.line("}");
            Some(shader.finish("scatter_add: a thread per line", caps))
        };
        way("lines", [copied, added()])
    }
}
