//! One axis of a convolution, seen as a sum of shifted inputs. Depends on nothing.
//! Invariant: `target[j·step + offset] = Σ source[(j + shift)·stride + residue − padding] · kernel[tap]`, over the taps of that output phase.
//!
//! A convolution with a stride reads every s-th element: its source falls into s phases, one per residue. Its transpose writes every s-th
//! element: its target falls into s phases. Apart from that both are the same sum.

use std::ops::Range;

/// One axis of `Σ x[i] · kernel[t] · y[p]` over `i = p·stride + t·dilation − padding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Axis {
    /// Size of x.
    pub x: usize,
    /// Size of the kernel, at least 1.
    pub kernel: usize,
    /// Size of y.
    pub y: usize,
    /// Elements of x from one y to the next, at least 1.
    pub stride: usize,
    /// Elements of x from one tap to the next, at least 1.
    pub dilation: usize,
    /// Zeros before x.
    pub padding: usize,
}

impl Axis {
    /// The axis of size 1 that leaves everything as it is.
    pub const ONE: Self = Self { x: 1, kernel: 1, y: 1, stride: 1, dilation: 1, padding: 0 };
}

/// An element of the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    /// Which output phase it adds to.
    pub(super) phase: usize,
    /// Which residue of the source it reads.
    pub(super) residue: usize,
    /// Steps of the source from a target to what it reads.
    pub(super) shift: isize,
}

/// Targets `j·step + offset` for the steps `j`.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    pub(super) offset: isize,
    pub(super) steps: Range<isize>,
}

/// An axis as a sum of shifted inputs.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Whether there are targets in no phase, to which no tap adds.
    pub(super) gaps: bool,
    pub(super) taps: Vec<Tap>,
    pub(super) residues: Vec<isize>,
    pub(super) stride: isize,
    pub(super) padding: isize,
    /// Size of the source.
    pub(super) source: usize,
    pub(super) phases: Vec<Phase>,
    pub(super) step: isize,
    /// Size of the target.
    pub(super) target: usize,
    /// Smallest and largest shift.
    pub(super) low: isize,
    pub(super) high: isize,
    /// All steps `j` of all phases.
    pub(super) steps: Range<isize>,
}

impl Line {
    /// y from x.
    pub(super) fn forward(axis: &Axis) -> Self {
        let stride = axis.stride as isize;
        let mut residues: Vec<isize> = Vec::new();
        let mut taps = Vec::with_capacity(axis.kernel);
        for tap in 0..axis.kernel {
            let at = (tap * axis.dilation) as isize;
            let residue = at % stride;
            let index = residues.iter().position(|&known| known == residue).unwrap_or_else(|| {
                residues.push(residue);
                residues.len() - 1
            });
            taps.push(Tap { phase: 0, residue: index, shift: at / stride });
        }
        let phases = vec![Phase { offset: 0, steps: 0..axis.y as isize }];
        Self::new(taps, residues, stride, axis.padding as isize, axis.x, phases, 1, axis.y)
    }

    /// x from y.
    pub(super) fn backward(axis: &Axis) -> Self {
        let (step, padding) = (axis.stride as isize, axis.padding as isize);
        let mut phases: Vec<Phase> = Vec::new();
        let mut taps = Vec::with_capacity(axis.kernel);
        for tap in 0..axis.kernel {
            let at = (tap * axis.dilation) as isize;
            let offset = at % step - padding;
            let known = phases.iter().position(|phase| phase.offset == offset);
            let phase = known.unwrap_or_else(|| {
                let begin = (-offset).div_euclid(step) + isize::from((-offset).rem_euclid(step) > 0);
                let end = (axis.x as isize - 1 - offset).div_euclid(step) + 1;
                phases.push(Phase { offset, steps: begin..end.max(begin) });
                phases.len() - 1
            });
            taps.push(Tap { phase, residue: 0, shift: -(at / step) });
        }
        Self::new(taps, vec![0], 1, 0, axis.y, phases, step, axis.x)
    }

    pub(super) fn new(
        taps: Vec<Tap>,
        residues: Vec<isize>,
        stride: isize,
        padding: isize,
        source: usize,
        phases: Vec<Phase>,
        step: isize,
        target: usize,
    ) -> Self {
        let low = taps.iter().map(|tap| tap.shift).min().unwrap_or(0);
        let high = taps.iter().map(|tap| tap.shift).max().unwrap_or(0);
        let begin = phases.iter().map(|phase| phase.steps.start).min().unwrap_or(0);
        let end = phases.iter().map(|phase| phase.steps.end).max().unwrap_or(0);
        let steps = begin..end.max(begin);
        let gaps = (phases.len() as isize) < step;
        Self { gaps, taps, residues, stride, padding, source, phases, step, target, low, high, steps }
    }

    /// The axis of size 1 that leaves everything as it is.
    pub(super) fn one() -> Self {
        Self::forward(&Axis::ONE)
    }

    /// Whether it is that axis.
    pub(super) fn is_one(&self) -> bool {
        let plain = self.stride == 1 && self.step == 1 && self.phases.len() == 1 && self.source == 1;
        plain && self.taps.len() == 1 && self.target == 1 && self.reads(0, &self.taps[0]) == Some(0)
    }

    /// For three taps at equal distances: that distance, and how many elements before the first target's own the first of them lies.
    pub(super) fn spaced(&self) -> Option<(usize, isize)> {
        let span = self.high - self.low;
        let three = self.taps.len() == 3 && span >= 2 && span % 2 == 0;
        let plain = self.stride == 1 && self.step == 1 && self.phases.len() == 1;
        (three && plain).then(|| ((span / 2) as usize, self.padding + self.phases[0].offset - self.low))
    }

    /// Elements of one residue that the steps of a range read.
    pub(super) fn reach(&self, steps: usize) -> usize {
        steps + (self.high - self.low) as usize
    }

    /// Where the source begins for element 0 of a residue, for steps from `begin` on.
    pub(super) fn origin(&self, begin: isize, residue: usize) -> isize {
        (begin + self.low) * self.stride + self.residues[residue] - self.padding
    }

    /// Whether the steps of a range read inside the source only.
    pub(super) fn inside(&self, steps: &Range<isize>) -> bool {
        let last = |residue: isize| (steps.end - 1 + self.high) * self.stride + residue - self.padding;
        self.residues
            .iter()
            .enumerate()
            .all(|(index, &residue)| self.origin(steps.start, index) >= 0 && last(residue) < self.source as isize)
    }

    /// The source index that a tap reads at a step, where there is one.
    pub(super) fn reads(&self, step: isize, tap: &Tap) -> Option<usize> {
        let at = (step + tap.shift) * self.stride + self.residues[tap.residue] - self.padding;
        usize::try_from(at).ok().filter(|&at| at < self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All triples (i, t, p) of an axis.
    fn triples(axis: &Axis) -> Vec<(usize, usize, usize)> {
        let mut found = Vec::new();
        for p in 0..axis.y {
            for t in 0..axis.kernel {
                let at = p * axis.stride + t * axis.dilation;
                if at >= axis.padding && at - axis.padding < axis.x {
                    found.push((at - axis.padding, t, p));
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// The triples (target, tap, source) of a line.
    fn of_line(line: &Line) -> Vec<(usize, usize, usize)> {
        let mut found = Vec::new();
        for (number, phase) in line.phases.iter().enumerate() {
            for step in phase.steps.clone() {
                let target = (step * line.step + phase.offset) as usize;
                assert!(target < line.target);
                for (index, tap) in line.taps.iter().enumerate().filter(|(_, tap)| tap.phase == number) {
                    if let Some(source) = line.reads(step, tap) {
                        found.push((target, index, source));
                    }
                }
            }
        }
        found
    }

    #[test]
    fn both_directions_are_the_same_sum() {
        for x in 1..9 {
            for kernel in 1..5 {
                for stride in 1..4 {
                    for dilation in 1..4 {
                        for padding in 0..4 {
                            for y in 1..7 {
                                let axis = Axis { x, kernel, y, stride, dilation, padding };
                                let expected = triples(&axis);
                                let mut back = of_line(&Line::backward(&axis));
                                back.sort_unstable();
                                assert_eq!(back, expected, "{axis:?}");
                                let mut forth: Vec<_> =
                                    of_line(&Line::forward(&axis)).into_iter().map(|(p, t, i)| (i, t, p)).collect();
                                forth.sort_unstable();
                                assert_eq!(forth, expected, "{axis:?}");
                            }
                        }
                    }
                }
            }
        }
    }
}
