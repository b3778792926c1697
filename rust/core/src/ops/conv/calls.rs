//! The calls: convolution and transposed convolution, with everything that users get wrong. Depends on `op`.
//! Invariant: whatever passes here fits together, so that the primitives need not check again.

use smallvec::{SmallVec, smallvec};

use super::super::autocast::narrowed;
use super::super::movement::{expand_dims, moveaxis, reshape_to};
use super::super::pointwise::astype;
use super::op::{Conv, Part};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Tensor, apply};
use crate::kit::conv::Axis;
use crate::shape::{Shape, Tuple};

/// Steps, distances and reach beyond this are refused: sizes stay far from what an integer holds.
const MOST: isize = 1 << 31;

/// What lies around the input.
#[derive(Clone, Copy, Debug)]
pub enum Padding<'a> {
    /// Zeros on both sides: one number per axis, or one for all.
    Sizes(&'a [isize]),
    /// As many zeros as keep the sizes; of an odd number the larger half comes after.
    Same,
    /// None.
    Valid,
}

/// How a kernel moves; each list has one number per axis, or one for all.
#[derive(Clone, Copy, Debug)]
pub struct Moves<'a> {
    /// Elements from one result to the next.
    pub stride: &'a [isize],
    /// Zeros around the input.
    pub padding: Padding<'a>,
    /// Elements from one tap to the next.
    pub dilation: &'a [isize],
    /// Groups of channels that do not meet.
    pub groups: isize,
    /// Whether channels are the last axis of input and result.
    pub channels_last: bool,
}

/// The name of a call.
fn call_name(rank: usize, transposed: bool) -> Result<&'static str> {
    Ok(match (rank, transposed) {
        (1, false) => "conv1d",
        (2, false) => "conv2d",
        (3, false) => "conv3d",
        (1, true) => "conv_transpose1d",
        (2, true) => "conv_transpose2d",
        (3, true) => "conv_transpose3d",
        _ => return Err(Error::shape(format!("conv: {rank} spatial axes. There are convolutions of 1, 2 and 3."))),
    })
}

/// One number per axis.
fn numbers(
    name: &str,
    what: &str,
    given: &[isize],
    rank: usize,
    least: isize,
    most: isize,
) -> Result<SmallVec<[usize; 3]>> {
    if given.len() != rank && given.len() != 1 {
        let axes = if rank == 1 { "one number".to_owned() } else { format!("one number, or {rank}") };
        return Err(Error::shape(format!("{name}: {what} is {}. Give {axes}.", Tuple(given))));
    }
    if let Some(bad) = given.iter().find(|number| **number < least || **number > most) {
        let advice = if *bad < least { format!("{least} or more") } else { format!("at most {most}") };
        return Err(Error::value(format!("{name}: {what} is {}: {bad} is no {what}. Use {advice}.", Tuple(given))));
    }
    Ok((0..rank).map(|axis| given[if given.len() == 1 { 0 } else { axis }] as usize).collect())
}

/// The axes of an input as users count them.
fn axes_text(rank: usize, channels_last: bool) -> String {
    let spatial = &["depth", "height", "width"][3 - rank..];
    let spatial = if rank == 1 { "length".to_owned() } else { spatial.join(", ") };
    if channels_last { format!("{spatial}, channels") } else { format!("channels, {spatial}") }
}

/// Operands in the dtype of the work, channels first and with a batch.
struct Checked {
    x: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    /// Dtype of the result, and whether the batch was added.
    dtype: DType,
    single: bool,
    groups: usize,
}

fn checked(
    name: &str,
    rank: usize,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    moves: &Moves<'_>,
    transposed: bool,
) -> Result<Checked> {
    let (x, weight) = (&narrowed(x)?, &narrowed(weight)?);
    let bias = bias.map(narrowed).transpose()?;
    let bias = bias.as_ref();
    let text = axes_text(rank, moves.channels_last);
    if x.rank() != rank + 1 && x.rank() != rank + 2 {
        return Err(Error::shape(format!(
            "{name}: input is {}, of rank {}. Give [batch, {text}], or [{text}] for a single one.",
            x.shape(),
            x.rank()
        )));
    }
    if weight.rank() != rank + 2 {
        let lead = if transposed { "in_channels, out_channels / groups" } else { "out_channels, in_channels / groups" };
        return Err(Error::shape(format!(
            "{name}: weight is {}, of rank {}. Give [{lead}, and {rank} kernel sizes].",
            weight.shape(),
            weight.rank()
        )));
    }
    let dtype = x.dtype();
    if !dtype.is_float() {
        return Err(Error::dtype(format!(
            "{name}: input is {dtype}; convolutions take floats. Convert it, as in x.astype(\"float32\")."
        )));
    }
    let others = [("weight", Some(weight)), ("bias", bias)];
    for (what, other) in others.iter().filter_map(|(what, other)| other.map(|other| (what, other))) {
        if other.dtype() != dtype {
            return Err(Error::dtype(format!(
                "{name}: input is {dtype} and {what} is {}. Convert one of them with astype, or the layer with `.to(dtype)`.",
                other.dtype()
            )));
        }
    }
    if moves.groups < 1 {
        return Err(Error::value(format!("{name}: groups is {}. Use 1 or more.", moves.groups)));
    }
    let groups = moves.groups as usize;
    let single = x.rank() == rank + 1;
    let x = if single { expand_dims(x, 0)? } else { x.clone() };
    let given = x.clone();
    let x = if moves.channels_last { moveaxis(&x, -1, 1)? } else { x };
    let channels = x.shape()[1];
    let axis = if moves.channels_last { x.rank() - 1 } else { 1 } - usize::from(single);
    let shown = if single { Tuple(&given.shape()[1..]) } else { Tuple(&given.shape()[..]) };
    // Axis 0 of the weight has all channels of one side, axis 1 those of a group of the other side.
    let (taken, grouped) = if transposed {
        (weight.shape()[0], ("input channels", channels))
    } else {
        (weight.shape()[1].saturating_mul(groups), ("output channels", weight.shape()[0]))
    };
    if channels != taken {
        let makes = if transposed || groups == 1 {
            format!("{taken}")
        } else {
            format!("{} in each of {groups} groups, {taken} in all", weight.shape()[1])
        };
        return Err(Error::shape(format!(
            "{name}: input is {shown} and weight is {}: axis {axis} of the input has {channels} channels, but the weight takes {makes}. \
             {}",
            weight.shape(),
            channels_advice(&given, channels, taken, moves.channels_last, single)
        )));
    }
    if !grouped.1.is_multiple_of(groups) {
        return Err(Error::shape(format!(
            "{name}: input is {shown} and weight is {}: {} {} are not divisible by groups = {groups}. \
             Use a number of groups that divides them.",
            weight.shape(),
            grouped.1,
            grouped.0
        )));
    }
    if let Some(axis) = (2..weight.rank()).find(|&axis| weight.shape()[axis] == 0) {
        return Err(Error::shape(format!(
            "{name}: weight is {}: the kernel has size 0 along axis {axis}. Use kernels of size 1 or more.",
            weight.shape()
        )));
    }
    let outputs = if transposed { weight.shape()[1].saturating_mul(groups) } else { weight.shape()[0] };
    if let Some(bias) = bias.filter(|bias| bias.shape()[..] != [outputs]) {
        return Err(Error::shape(format!(
            "{name}: weight is {} and bias is {}: the bias must be ({outputs},), one number per output channel.",
            weight.shape(),
            bias.shape()
        )));
    }
    let work = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
    let bias = bias.map(|bias| astype(bias, work)).transpose()?;
    Ok(Checked { x: astype(&x, work)?, weight: astype(weight, work)?, bias, dtype, single, groups })
}

/// What to do about a number of channels.
fn channels_advice(x: &Tensor, channels: usize, taken: usize, channels_last: bool, single: bool) -> String {
    let sizes = &x.shape()[1..];
    let other = if channels_last { sizes[0] } else { sizes[sizes.len() - 1] };
    if other == taken && channels != taken {
        let last = if channels_last { "channels_last=False" } else { "channels_last=True" };
        return format!("Make in_channels {channels}, or pass {last} if the channels are where {taken} is.");
    }
    if single && x.shape()[1] == 1 && channels_last {
        return format!("Make in_channels {channels}.");
    }
    format!("Make in_channels {channels}, or give the input {taken} channels.")
}

impl Checked {
    /// Applies a part of the form, and gives the result the caller's layout and dtype.
    fn apply(self, part: Part, name: &'static str, axes: SmallVec<[Axis; 3]>, channels_last: bool) -> Result<Tensor> {
        let conv = Conv { part, name, groups: self.groups, axes };
        let result = match &self.bias {
            Some(bias) => apply(conv, &[&self.x, &self.weight, bias])?,
            None => apply(conv, &[&self.x, &self.weight])?,
        };
        let result = astype(&result, self.dtype)?;
        let result = if channels_last { moveaxis(&result, 1, -1)? } else { result };
        if !self.single {
            return Ok(result);
        }
        reshape_to(&result, &Shape::from_sound(result.shape()[1..].iter().copied()))
    }
}

/// Sums of products of a kernel with every place of the input:
/// `y[n, o, p] = bias[o] + Σ x[n, i, p · stride + t · dilation − padding] · weight[o, i, t]`, over the channels `i` of o's group and the taps `t`.
///
/// `rank` is the number of spatial axes; x is `[batch, channels, …]` or `[channels, …]`, weight `[out, in / groups, …]`. float16 and bfloat16
/// are multiplied and added in float32.
///
/// # Errors
/// For ranks, channels and sizes that do not fit, for dtypes that differ or are no floats.
pub fn conv(rank: usize, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, moves: &Moves<'_>) -> Result<Tensor> {
    let name = call_name(rank, false)?;
    let stride = numbers(name, "stride", moves.stride, rank, 1, MOST)?;
    let dilation = numbers(name, "dilation", moves.dilation, rank, 1, MOST)?;
    let same = matches!(moves.padding, Padding::Same);
    let padding = match moves.padding {
        Padding::Sizes(sizes) => numbers(name, "padding", sizes, rank, 0, MOST)?,
        Padding::Same | Padding::Valid => smallvec![0; rank],
    };
    if let (true, Some(stride)) = (same, stride.iter().find(|&&stride| stride != 1)) {
        return Err(Error::value(format!(
            "{name}: padding \"same\" with stride {stride}: sizes stay the same with stride 1 only. Give the padding in numbers."
        )));
    }
    let operands = checked(name, rank, x, weight, bias, moves, false)?;
    let mut axes: SmallVec<[Axis; 3]> = SmallVec::new();
    for axis in 0..rank {
        let (size, kernel) = (operands.x.shape()[2 + axis], weight.shape()[2 + axis]);
        let span = (kernel - 1).saturating_mul(dilation[axis]);
        if span >= 1 << 40 {
            return Err(too_large(name, "kernel", span));
        }
        let (before, reach) =
            if same { (span / 2, size + span) } else { (padding[axis], size.saturating_add(2 * padding[axis])) };
        if reach <= span {
            return Err(Error::shape(format!(
                "{name}: input is {} and weight is {}: along axis {} the kernel spans {} (size {kernel}, dilation {}), but the padded input \
                 has only {reach} (size {size}, padding {before}). Use a smaller kernel or dilation, or padding of {} or more.",
                x.shape(),
                weight.shape(),
                axis + x.rank() - rank - usize::from(moves.channels_last),
                span + 1,
                dilation[axis],
                (span + 1 - size).div_ceil(2)
            )));
        }
        let y = (reach - span - 1) / stride[axis] + 1;
        axes.push(Axis { x: size, kernel, y, stride: stride[axis], dilation: dilation[axis], padding: before });
    }
    operands.apply(Part::Output, name, axes, moves.channels_last)
}

fn too_large(name: &str, what: &str, size: usize) -> Error {
    Error::shape(format!("{name}: the {what} would span {size} elements. Use smaller sizes."))
}

/// The transpose of `conv`: every element of the input adds the kernel, times itself, to the result.
/// `y[n, o, q] = bias[o] + Σ x[n, i, p] · weight[i, o, t]` over `p · stride + t · dilation − padding = q`.
///
/// weight is `[in, out / groups, …]`; `output_padding` adds to the size at the end of each axis.
///
/// # Errors
/// As `conv`, and for an `output_padding` that is neither below the stride nor below the dilation.
pub fn conv_transpose(
    rank: usize,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    moves: &Moves<'_>,
    output_padding: &[isize],
) -> Result<Tensor> {
    let name = call_name(rank, true)?;
    let stride = numbers(name, "stride", moves.stride, rank, 1, MOST)?;
    let dilation = numbers(name, "dilation", moves.dilation, rank, 1, MOST)?;
    let padding = match moves.padding {
        Padding::Sizes(sizes) => numbers(name, "padding", sizes, rank, 0, MOST)?,
        Padding::Same | Padding::Valid => {
            return Err(Error::value(format!(
                "{name}: padding is a word. Give numbers: a transpose takes nothing else."
            )));
        }
    };
    let extra = numbers(name, "output_padding", output_padding, rank, 0, MOST)?;
    let operands = checked(name, rank, x, weight, bias, moves, true)?;
    let mut axes: SmallVec<[Axis; 3]> = SmallVec::new();
    for axis in 0..rank {
        let (size, kernel) = (operands.x.shape()[2 + axis], weight.shape()[2 + axis]);
        if extra[axis] >= stride[axis].max(dilation[axis]) {
            return Err(Error::value(format!(
                "{name}: output_padding is {} along spatial axis {axis}, where stride is {} and dilation {}. \
                 Use less than the larger of the two.",
                extra[axis], stride[axis], dilation[axis]
            )));
        }
        let span = (kernel - 1).saturating_mul(dilation[axis]);
        let reach = size.saturating_sub(1).saturating_mul(stride[axis]).saturating_add(span);
        if reach >= 1 << 40 {
            return Err(too_large(name, "result", reach));
        }
        let whole = if size == 0 { 0 } else { reach + 1 + extra[axis] };
        if whole <= 2 * padding[axis] {
            return Err(Error::shape(format!(
                "{name}: input is {} and weight is {}: along axis {} the result would have {} - 2 * {} elements. Use a smaller padding.",
                x.shape(),
                weight.shape(),
                axis + x.rank() - rank - usize::from(moves.channels_last),
                whole,
                padding[axis]
            )));
        }
        let target = whole - 2 * padding[axis];
        let padding = padding[axis];
        axes.push(Axis { x: target, kernel, y: size, stride: stride[axis], dilation: dilation[axis], padding });
    }
    operands.apply(Part::Input, name, axes, moves.channels_last)
}
