//! The three parts of the form against its definition, on every path, for random sizes.

use super::*;
use crate::kit::simd::Path;

/// Numbers that repeat with a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }
    fn from(&mut self, low: usize, high: usize) -> usize {
        low + self.next() as usize % (high - low + 1)
    }
    /// Small whole numbers: sums are exact, whatever their order.
    fn values<E: Number>(&mut self, count: usize) -> Vec<E> {
        (0..count).map(|_| E::of(self.next() as i64 % 5 - 2)).collect()
    }
}

trait Number: Element + PartialEq + std::fmt::Debug + std::ops::Mul<Output = Self> {
    fn of(value: i64) -> Self;
}
impl Number for f32 {
    fn of(value: i64) -> Self {
        value as f32
    }
}
impl Number for f64 {
    fn of(value: i64) -> Self {
        value as f64
    }
}

fn sizes(form: &Form) -> [[usize; 5]; 3] {
    let axes = |size: fn(&Axis) -> usize| form.axes.map(|axis| size(&axis));
    let [xd, xh, xw] = axes(|axis| axis.x);
    let [kd, kh, kw] = axes(|axis| axis.kernel);
    let [yd, yh, yw] = axes(|axis| axis.y);
    [
        [form.batch, form.groups * form.inputs, xd, xh, xw],
        [form.groups * form.outputs, form.inputs, kd, kh, kw],
        [form.batch, form.groups * form.outputs, yd, yh, yw],
    ]
}

fn strides(sizes: &[usize; 5]) -> [isize; 5] {
    let mut strides = [1isize; 5];
    for axis in (0..4).rev() {
        strides[axis] = strides[axis + 1] * sizes[axis + 1] as isize;
    }
    strides
}

/// Channels last in memory.
fn channels_last(sizes: &[usize; 5]) -> [isize; 5] {
    let [_, c, d, h, w] = sizes.map(|size| size as isize);
    [c * d * h * w, 1, c * h * w, c * w, c]
}

/// Calls `visit(x, kernel, y)` with the places of every product of the form.
fn products(form: &Form, places: [[isize; 5]; 3], mut visit: impl FnMut(usize, usize, usize)) {
    let [_, kernel, y] = sizes(form);
    let at = |strides: &[isize; 5], index: [usize; 5]| -> usize {
        strides.iter().zip(index).map(|(stride, index)| stride * index as isize).sum::<isize>() as usize
    };
    // Where a step and a tap of an axis read; beyond the axis where they read its padding.
    let place = |axis: usize, step: usize, tap: usize| {
        let line = &form.axes[axis];
        (step * line.stride + tap * line.dilation).wrapping_sub(line.padding)
    };
    let all = |sizes: [usize; 2]| (0..sizes[0]).flat_map(move |a| (0..sizes[1]).map(move |b| [a, b]));
    for n in 0..form.batch {
        for o in 0..y[1] {
            for i in 0..form.inputs {
                let channel = o / form.outputs * form.inputs + i;
                for ([d, h], w) in all([kernel[2], kernel[3]]).flat_map(|dh| (0..kernel[4]).map(move |w| (dh, w))) {
                    let of_kernel = at(&places[1], [o, i, d, h, w]);
                    for [step_d, step_h] in all([y[2], y[3]]) {
                        let from = [place(0, step_d, d), place(1, step_h, h)];
                        if from[0] >= form.axes[0].x || from[1] >= form.axes[1].x {
                            continue;
                        }
                        let line = at(&places[0], [n, channel, from[0], from[1], 0]);
                        let result = at(&places[2], [n, o, step_d, step_h, 0]);
                        let [along, beside] = [places[0][4] as usize, places[2][4] as usize];
                        for step in 0..y[4] {
                            let from = place(2, step, w);
                            if from < form.axes[2].x {
                                visit(line + from * along, of_kernel, result + step * beside);
                            }
                        }
                    }
                }
            }
        }
    }
}

fn check<E: Number>(form: &Form, path: Path, random: &mut Random, last: bool) {
    let shapes = sizes(form);
    let count = |number: usize| shapes[number].iter().product::<usize>();
    let layout = |number: usize| if last { channels_last(&shapes[number]) } else { strides(&shapes[number]) };
    let (mut x, mut k, mut y): (Vec<E>, Vec<E>, Vec<E>) =
        (random.values(count(0)), random.values(count(1)), random.values(count(2)));
    let bias: Vec<E> = random.values(count(1).max(64));
    let source = |values: &mut Vec<E>, number: usize| Source {
        start: HostPointer(values.as_mut_ptr().cast()),
        strides: layout(number),
    };
    let (sx, sk, sy) = (source(&mut x, 0), source(&mut k, 1), source(&mut y, 2));
    let dense = shapes.map(|sizes| strides(&sizes));
    let plane = |number: usize| shapes[number][2..].iter().product::<usize>();
    let parallel = crate::kit::threads::parallel;
    let with_bias =
        |number: usize| (0..count(number)).map(|at| bias[at / plane(number) % shapes[number][1]]).collect::<Vec<E>>();
    let start = |values: &[E]| Some((HostPointer(values.as_ptr().cast_mut().cast()), 1));

    let mut expected = with_bias(2);
    products(form, [layout(0), layout(1), dense[2]], |a, b, c| expected[c] = expected[c] + x[a] * k[b]);
    let mut found = vec![E::of(77); count(2)];
    let target = HostPointer(found.as_mut_ptr().cast());
    // SAFETY: the vectors have the form's sizes; the path is available.
    unsafe { form.output::<E>(path, &sx, &sk, start(&bias), target, &parallel).unwrap() };
    assert_eq!(found, expected, "output {form:?} {path:?} last {last}");

    let mut expected = with_bias(0);
    products(form, [dense[0], layout(1), layout(2)], |a, b, c| expected[a] = expected[a] + y[c] * k[b]);
    let mut found = vec![E::of(77); count(0)];
    let target = HostPointer(found.as_mut_ptr().cast());
    // SAFETY: as above.
    unsafe { form.input::<E>(path, &sy, &sk, start(&bias), target, &parallel).unwrap() };
    assert_eq!(found, expected, "input {form:?} {path:?} last {last}");

    let mut expected = vec![E::ZERO; count(1)];
    products(form, [layout(0), dense[1], layout(2)], |a, b, c| expected[b] = expected[b] + x[a] * y[c]);
    let mut found = vec![E::of(77); count(1)];
    let target = HostPointer(found.as_mut_ptr().cast());
    // SAFETY: as above.
    unsafe { form.kernel::<E>(path, &sx, &sy, target, &parallel).unwrap() };
    assert_eq!(found, expected, "kernel {form:?} {path:?} last {last}");
}

/// An axis whose sizes belong together, or nearly.
fn axis(random: &mut Random, most: usize) -> Axis {
    let (x, kernel) = (random.from(1, most), random.from(1, 5.min(most)));
    let (stride, dilation, padding) = (random.from(1, 3), random.from(1, 3), random.from(0, 3));
    let reach = x + 2 * padding;
    let span = (kernel - 1) * dilation + 1;
    let y = if reach >= span { (reach - span) / stride + 1 } else { random.from(1, 3) };
    Axis { x, kernel, y, stride, dilation, padding }
}

#[test]
fn random_forms_on_every_path() {
    let mut random = Random(1);
    for round in 0..400 {
        let rank = round % 3;
        let most = [9, 14, 40][rank];
        let mut axes = [axis(&mut random, most), axis(&mut random, most), axis(&mut random, most)];
        axes[..rank].fill(Axis::ONE);
        let groups = [1, 1, 2, 5][random.from(0, 3)];
        let channels = if groups == 1 { 20 } else { 4 };
        let form = Form {
            batch: random.from(1, 4),
            groups,
            inputs: random.from(1, channels),
            outputs: random.from(1, channels),
            axes,
        };
        for path in Path::available() {
            check::<f32>(&form, path, &mut random, round % 5 == 4);
            check::<f64>(&form, path, &mut random, round % 7 == 3);
        }
    }
}

#[test]
fn sizes_that_are_cut_into_parts() {
    let plain = |x: usize, kernel: usize, stride: usize, padding: usize| {
        let y = (x + 2 * padding - kernel) / stride + 1;
        Axis { x, kernel, y, stride, dilation: 1, padding }
    };
    let flat = Axis::ONE;
    let dilated = |x: usize, dilation: usize, padding: usize| {
        let y = x + 2 * padding - 2 * dilation;
        Axis { x, kernel: 3, y, stride: 1, dilation, padding }
    };
    let forms = [
        (1, 1, 16, 40, [flat, plain(90, 3, 1, 1), plain(90, 3, 1, 1)]),
        (3, 1, 3, 17, [flat, plain(60, 7, 2, 3), plain(61, 7, 2, 3)]),
        (1, 1, 2, 3, [flat, flat, plain(150_001, 5, 1, 2)]),
        (1, 1, 1, 1, [flat, flat, plain(90_001, 9, 3, 0)]),
        (2, 1, 70, 130, [flat, plain(3, 3, 1, 1), plain(3, 3, 1, 1)]),
        (9, 1, 33, 65, [flat, plain(2, 3, 1, 1), plain(2, 3, 1, 1)]),
        (2, 60, 1, 1, [flat, plain(30, 3, 1, 1), plain(31, 3, 1, 1)]),
        (2, 1, 40, 50, [flat, plain(14, 1, 1, 0), plain(14, 1, 1, 0)]),
        (2, 1, 6, 16, [flat, plain(14, 5, 1, 0), plain(14, 5, 1, 0)]),
        (1, 1, 4, 5, [plain(18, 3, 1, 1), plain(33, 3, 1, 1), plain(34, 3, 1, 1)]),
        (
            1,
            1,
            1,
            1,
            [
                flat,
                Axis { dilation: 900, ..plain(5, 1, 1, 0) },
                Axis { x: 5, kernel: 3, y: 5, stride: 1, dilation: 900, padding: 900 },
            ],
        ),
        (1, 1, 2, 2, [Axis { x: 5, kernel: 3, y: 5, stride: 1, dilation: 900, padding: 900 }; 3]),
        (1, 1, 1, 2, [flat, flat, plain(90_000, 90_000, 1, 0)]),
        (1, 1, 1, 1, [flat, flat, Axis { x: 70_001, kernel: 3, y: 2, stride: 70_000, dilation: 2, padding: 1 }]),
        (1, 1, 2, 2, [flat, flat, Axis { x: 3000, kernel: 2, y: 3, stride: 1400, dilation: 1, padding: 0 }]),
        // By squares: all of them whole, some over the edge, padded by nothing and by more than a tap, in groups.
        (2, 1, 32, 48, [flat, plain(16, 3, 1, 1), plain(16, 3, 1, 1)]),
        (3, 1, 33, 70, [flat, plain(15, 3, 1, 1), plain(31, 3, 1, 1)]),
        (2, 1, 130, 24, [flat, plain(12, 3, 1, 0), plain(13, 3, 1, 3)]),
        (20, 2, 25, 30, [flat, plain(4, 3, 1, 1), plain(4, 3, 1, 1)]),
        (5, 1, 70, 260, [flat, plain(9, 3, 1, 2), plain(7, 3, 1, 2)]),
        // By squares of taps that lie apart: alike and differently, phases of several sizes, padded by nothing, by less and by more.
        (2, 1, 32, 48, [flat, dilated(28, 2, 2), dilated(28, 2, 2)]),
        (3, 1, 33, 70, [flat, dilated(15, 2, 2), dilated(31, 3, 3)]),
        (2, 2, 26, 25, [flat, dilated(21, 3, 0), dilated(30, 1, 1)]),
        (1, 1, 24, 130, [flat, dilated(40, 5, 1), dilated(43, 4, 9)]),
        (70, 1, 25, 30, [flat, dilated(4, 1, 1), dilated(9, 2, 5)]),
        (1, 1, 30, 40, [flat, dilated(3, 1, 1), dilated(700, 6, 6)]),
        // Targets of two phases in turn: from a copy and in place, over the edge on both sides, cut into parts, with taps that lie apart.
        (2, 1, 9, 33, [flat, plain(40, 2, 2, 0), plain(43, 2, 2, 0)]),
        (2, 1, 20, 24, [flat, plain(33, 4, 2, 1), plain(30, 4, 2, 1)]),
        (1, 2, 3, 5, [flat, plain(9, 3, 1, 1), plain(301, 5, 2, 2)]),
        (1, 1, 3, 40, [flat, plain(40, 7, 2, 3), plain(201, 7, 2, 3)]),
        (2, 1, 5, 6, [plain(9, 3, 2, 1), plain(10, 3, 2, 1), Axis { dilation: 3, ..plain(20, 1, 2, 2) }]),
        (1, 1, 4, 6, [flat, plain(12, 3, 2, 1), Axis { x: 40, kernel: 3, y: 19, stride: 2, dilation: 3, padding: 2 }]),
        // Of few pixels.
        (3, 2, 40, 33, [flat, plain(7, 3, 2, 1), plain(6, 3, 2, 1)]),
        (2, 1, 150, 40, [flat, plain(5, 1, 2, 0), plain(5, 1, 2, 0)]),
        (2, 1, 9, 40, [plain(4, 3, 1, 1), plain(3, 3, 1, 1), plain(5, 3, 3, 2)]),
    ];
    let mut random = Random(2);
    for (batch, groups, inputs, outputs, axes) in forms {
        let form = Form { batch, groups, inputs, outputs, axes };
        for path in Path::available() {
            check::<f32>(&form, path, &mut random, false);
            check::<f32>(&form, path, &mut random, true);
        }
    }
}

#[test]
fn nothing_to_do() {
    let axes = [Axis::ONE; 3];
    let mut random = Random(3);
    for path in Path::available() {
        check::<f32>(&Form { batch: 0, groups: 1, inputs: 2, outputs: 2, axes }, path, &mut random, false);
        check::<f32>(&Form { batch: 2, groups: 1, inputs: 0, outputs: 2, axes }, path, &mut random, false);
    }
}
