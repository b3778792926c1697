//! Affine functions of every element, with coefficients of its channel.
//! Depends on `loops`. Invariant: the result is contiguous; inputs may lie anyhow.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::super::create::zeros_like;
use super::loops::{Blend, Real};
use super::sums::{Elements, mean_of};
use crate::backend::HostArguments;
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::kit::scratch::with_scratch;
use crate::kit::simd::launch;
use crate::kit::threads::try_parallel;
use crate::plan::{Argument, Candidate, Caps, Cost, Structured};

/// Elements that one chunk of a region writes at least.
const CHUNK: usize = 1 << 14;

/// `(x − mean) · scale + bias`, for `[batch, channels, length]` and vectors of channels.
///
/// # Errors
/// None of its own.
pub(super) fn shifted(x: &Tensor, mean: &Tensor, scale: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let none = zeros_like(mean)?;
    apply(Channels { terms: Terms::Shifted }, &[x, mean, scale, bias.unwrap_or(&none)])
}

/// `grad · scale`, and `+ (x − mean) · slope + shift` for `along` = x, mean, slope and shift.
///
/// # Errors
/// None of its own.
pub(super) fn blend(
    grad: &Tensor,
    along: Option<(&Tensor, &Tensor, &Tensor, &Tensor)>,
    scale: &Tensor,
) -> Result<Tensor> {
    match along {
        Some((x, mean, slope, shift)) => apply(Channels { terms: Terms::Both }, &[x, mean, slope, shift, grad, scale]),
        None => apply(Channels { terms: Terms::Scaled }, &[grad, scale]),
    }
}

/// Which terms there are, and so which arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Terms {
    /// x, mean, slope, shift.
    Shifted,
    /// x, mean, slope, shift, grad, scale.
    Both,
    /// grad, scale.
    Scaled,
}

#[derive(Clone, Debug)]
struct Channels {
    terms: Terms,
}

impl Op for Channels {
    fn name(&self) -> &'static str {
        "batch_norm"
    }
    fn key(&self, key: &mut Key) {
        key.number(2 + self.terms as u64);
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![inputs[0].clone()])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        // Made without history, inside rules of their own.
        Ok(smallvec![None; cx.inputs.len()])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

impl Channels {
    fn run<T: Real>(&self, host: &HostArguments<'_>) -> Result<()> {
        let (shifted, scaled) = match self.terms {
            Terms::Shifted => (Some(0), None),
            Terms::Both => (Some(0), Some(4)),
            Terms::Scaled => (None, Some(0)),
        };
        let result = &host.arguments[host.arguments.len() - 1];
        let shape = &result.layout.shape;
        let (batch, channels, length) = (shape[0], shape[1], shape[2]);
        let [x, g] = [shifted, scaled].map(|argument| argument.map(|first| Elements::new::<T>(&host.arguments[first])));
        let step = |argument: Option<usize>| argument.map_or(0, |first| host.arguments[first].layout.strides[1]);
        let between = [step(scaled), step(shifted)];
        let plain = [x, g].iter().flatten().all(Elements::is_plain);
        // Scale, mean, slope and shift of each channel.
        let numbers: Vec<[T; 4]> = (0..channels)
            .map(|channel| {
                // SAFETY: coefficients have an element per channel.
                let number = |argument: usize| unsafe { mean_of::<T>(&host.arguments[argument], channel) };
                let scale = scaled.map_or(T::default(), |first| number(first + 1));
                let [mean, slope, shift] =
                    shifted.map_or([T::default(); 3], |first| [1, 2, 3].map(|nth| number(first + nth)));
                [scale, mean, slope, shift]
            })
            .collect();
        let runs = batch * channels;
        let per = (CHUNK / length.max(1)).clamp(1, runs.max(1));
        try_parallel(host.parallel, runs.div_ceil(per), &|chunk| {
            let result = &host.arguments[host.arguments.len() - 1];
            // Room for what cannot be read where it is; whole runs, since most can.
            with_scratch(if plain { 0 } else { 2 * length }, |room: *mut T| {
                let (mut run, end) = (chunk * per, ((chunk + 1) * per).min(runs));
                while run < end {
                    let (entry, channel) = (run / channels, run % channels);
                    // Neighbouring channels together, where nothing needs to be copied.
                    let together = if plain { (end - run).min(channels - channel) } else { 1 };
                    // SAFETY: the runs are inside the arguments, and the room holds two.
                    let at = |elements: Option<Elements<'_>>, room: *mut T| unsafe {
                        let run = |elements: Elements<'_>| elements.runs([entry, channel, 0], [1, length], room).start;
                        elements.map_or(std::ptr::null(), run)
                    };
                    let (g, x) = (at(g, room.wrapping_add(length)), at(x, room));
                    launch(Blend {
                        target: result.data.0.cast::<T>().wrapping_add(run * length),
                        g,
                        x,
                        between,
                        numbers: &raw const numbers[channel],
                        runs: together,
                        length,
                    });
                    run += together;
                }
            })
        })
    }
}

impl Structured for Channels {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        let each = match self.terms {
            Terms::Shifted => 3,
            Terms::Both => 5,
            Terms::Scaled => 1,
        };
        Cost { flops: each * arguments[0].layout.shape.elements() as u64, ..Cost::moving(arguments) }
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        match host.arguments[0].dtype {
            DType::F64 => self.run::<f64>(host),
            _ => self.run::<f32>(host),
        }
    }

    fn gpu(&self, _arguments: &[Argument], _slots: usize, _caps: &Caps) -> Vec<Candidate> {
        // Other devices run the composition.
        Vec::new()
    }
}
