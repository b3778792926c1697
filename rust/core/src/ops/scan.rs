//! Running sums and products along an axis. Depends on `walk`, `reduce` and `movement`.
//! Invariant: on a CPU the elements of a line are added in their order, whatever the number of threads; float16 and bfloat16 in float32.

use std::sync::Arc;

use half::{bf16, f16};
use smallvec::{SmallVec, smallvec};

use super::autocast;
use super::axes::normalize_axis;
use super::create::full;
use super::expr::Expr;
use super::movement::{SliceAxis, concat, moveaxis, reshape_to, slice_axes};
use super::pointwise::astype;
use super::reduce::widened;
use super::shader::{Place, Shader, way};
use super::walk::{Chunks, Walk};
use crate::backend::{Device, HostArguments};
use crate::code::Code;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::plan::{Argument, Candidate, Caps, Cost, Structured};
use crate::shape::Shape;
use crate::wgsl::wrapped;

/// Lines that a thread runs along at once, where neighbours lie side by side, and where they do not.
const BESIDE: usize = 512;
const APART: usize = 8;
/// A GPU cuts the lines of a tensor that has few of them into pieces of this length.
const PIECE: usize = 256;
const FEW: usize = 4096;

/// What runs along the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// yᵢ = x₀ + … + xᵢ
    Sum,
    /// yᵢ = x₀ · … · xᵢ
    Product,
}

/// Running sums or products along `axis`, in `dtype`, or else in that of the whole sum.
///
/// # Errors
/// For an axis that does not exist, and for bool as `dtype`.
pub fn cumulative(running: Running, x: &Tensor, axis: isize, dtype: Option<DType>) -> Result<Tensor> {
    let name = match running {
        Running::Sum => "cumulative_sum",
        Running::Product => "cumulative_prod",
    };
    let axis = normalize_axis(name, axis, x.rank())?;
    let x = match dtype {
        Some(DType::Bool) => {
            return Err(Error::dtype(format!("{name}: bool holds no sums and products. Use an integer dtype.")));
        }
        Some(dtype) => astype(x, dtype)?,
        None => widened(&autocast::widened(x)?)?,
    };
    scanned(&x, Scan { running, axis, backwards: false })
}

/// The scan of a tensor; on a GPU in pieces where there would be few threads.
fn scanned(x: &Tensor, scan: Scan) -> Result<Tensor> {
    let length = x.shape()[scan.axis];
    let lines = x.shape().elements() / length.max(1);
    if x.device() == Device::Cpu || length <= PIECE || lines >= FEW {
        return apply(scan, &[x]);
    }
    in_pieces(x, scan, length)
}

/// The scan of pieces of the lines, each then continued by what comes before it.
fn in_pieces(x: &Tensor, scan: Scan, length: usize) -> Result<Tensor> {
    let rank = x.rank();
    let x = &moveaxis(x, scan.axis as isize, -1)?;
    let (pieces, neutral) = (length.div_ceil(PIECE), Scalar::Int((scan.running == Running::Product).into()));
    let sized = |last: &[usize]| Shape::new(&[&x.shape()[..rank - 1], last].concat());
    let filling = full(&sized(&[pieces * PIECE - length])?, neutral, x.dtype(), x.device())?;
    let order = |first: &Tensor, second: &Tensor| {
        let pair = if scan.backwards { [second.clone(), first.clone()] } else { [first.clone(), second.clone()] };
        concat(&pair, -1)
    };
    let cut = reshape_to(&order(x, &filling)?, &sized(&[pieces, PIECE])?)?;
    let within = apply(Scan { axis: rank, ..scan }, &[&cut])?;
    let window = |axis: usize, start: usize, size: usize, of: &Tensor| {
        let whole = of.shape().iter().map(|&size| SliceAxis { start: 0, step: 1, size });
        let mut windows: SmallVec<[SliceAxis; 4]> = whole.collect();
        windows[axis] = SliceAxis { start: start as isize, step: 1, size };
        slice_axes(of, &windows)
    };
    // What each piece comes to, and what all before it do.
    let whole = reshape_to(&window(rank, if scan.backwards { 0 } else { PIECE - 1 }, 1, &within)?, &sized(&[pieces])?)?;
    let through = scanned(&whole, Scan { axis: rank - 1, ..scan })?;
    let nothing = full(&sized(&[1])?, neutral, x.dtype(), x.device())?;
    let others = window(rank - 1, usize::from(scan.backwards), pieces - 1, &through)?;
    let before = Expr::from(reshape_to(&order(&nothing, &others)?, &sized(&[pieces, 1])?));
    let continued = match scan.running {
        Running::Sum => Expr::from(&within) + before,
        Running::Product => Expr::from(&within) * before,
    };
    let joined = reshape_to(&continued.done()?, &sized(&[pieces * PIECE])?)?;
    let start = if scan.backwards { pieces * PIECE - length } else { 0 };
    moveaxis(&window(rank - 1, start, length, &joined)?, -1, scan.axis as isize)
}

#[derive(Clone, Copy, Debug)]
struct Scan {
    running: Running,
    axis: usize,
    /// From the last element to the first.
    backwards: bool,
}

impl Op for Scan {
    fn name(&self) -> &'static str {
        match self.running {
            Running::Sum => "cumulative_sum",
            Running::Product => "cumulative_prod",
        }
    }
    fn key(&self, key: &mut Key) {
        key.number(self.axis as u64);
        key.number(u64::from(self.backwards) * 2 + u64::from(self.running == Running::Product));
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![inputs[0].clone()])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let gradient = match self.running {
            Running::Sum => scanned(cx.grad(), Scan { backwards: !self.backwards, ..*self })?,
            Running::Product => self.product_gradient(&cx.inputs[0], &cx.outputs[0], cx.grad())?,
        };
        Ok(smallvec![Some(Cotangent::Dense(gradient))])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(*self))
    }
}

impl Scan {
    /// ∂/∂xᵢ of Σ gⱼ yⱼ: Σ gⱼ yⱼ / xᵢ over the products that xᵢ is in. For a line's first zero it is the same with 1 in its place, and what
    /// comes after a zero has no influence.
    fn product_gradient(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let sums = Self { running: Running::Sum, ..*self };
        let behind = |terms: &Expr| terms.then(|terms| scanned(terms, Self { backwards: !self.backwards, ..sums }));
        let (x, y, grad) = (Expr::from(x), Expr::from(y), Expr::from(grad));
        let zero = x.with(Code::Equal, 0.0);
        let zeros = zero.then(|zero| scanned(&astype(zero, DType::I32)?, sums));
        let first = zero.with(Code::And, zeros.with(Code::Equal, 1_i64));
        let usual = behind(&(&grad * y)) / zero.choose(1.0, &x);
        let skipping = first.choose(1.0, &x).then(|x| scanned(x, *self));
        let at_first = first.choose(behind(&(grad * skipping)), 0.0);
        zeros.with(Code::Equal, 0_i64).choose(usual, at_first).done()
    }
}

/// Numbers with a running sum and product.
trait Number: Copy + 'static {
    /// In what they are added and multiplied.
    type Total: Copy + Default;
    fn total(self) -> Self::Total;
    fn of(total: Self::Total) -> Self;
    fn plus(a: Self::Total, b: Self::Total) -> Self::Total;
    fn times(a: Self::Total, b: Self::Total) -> Self::Total;
}

macro_rules! running {
    (whole $($type:ty)*) => {$(
        impl Number for $type {
            type Total = $type;
            #[inline(always)]
            fn total(self) -> $type {
                self
            }
            #[inline(always)]
            fn of(total: $type) -> $type {
                total
            }
            #[inline(always)]
            fn plus(a: $type, b: $type) -> $type {
                a.wrapping_add(b)
            }
            #[inline(always)]
            fn times(a: $type, b: $type) -> $type {
                a.wrapping_mul(b)
            }
        }
    )*};
    (float $($type:ty, $total:ty, $widen:expr, $narrow:expr;)*) => {$(
        impl Number for $type {
            type Total = $total;
            #[inline(always)]
            fn total(self) -> $total {
                $widen(self)
            }
            #[inline(always)]
            fn of(total: $total) -> $type {
                $narrow(total)
            }
            #[inline(always)]
            fn plus(a: $total, b: $total) -> $total {
                a + b
            }
            #[inline(always)]
            fn times(a: $total, b: $total) -> $total {
                a * b
            }
        }
    )*};
}

running!(whole u8 i8 u16 i16 u32 i32 u64 i64);
running! { float
    f32, f32, |x| x, |x| x;
    f64, f64, |x| x, |x| x;
    f16, f32, f16::to_f32, f16::from_f32;
    bf16, f32, bf16::to_f32, bf16::from_f32;
}

impl Scan {
    fn run<T: Number>(&self, host: &HostArguments<'_>) {
        match self.running {
            Running::Sum => self.run_with::<T>(host, T::plus),
            Running::Product => self.run_with::<T>(host, T::times),
        }
    }

    #[inline(always)]
    fn run_with<T: Number>(
        &self,
        host: &HostArguments<'_>,
        join: impl Fn(T::Total, T::Total) -> T::Total + Copy + Sync,
    ) {
        let [x, result] = host.arguments else { unreachable!("a scan has two arguments") };
        let (from, to) = (&x.layout.strides, &result.layout.strides);
        let chunks = Chunks::along(&x.layout.shape, 2 * size_of::<T>(), |axis| axis != self.axis);
        let length = x.layout.shape[self.axis];
        // Lines beside each other are run along together: additions then do not wait for one another.
        let beside = (0..from.len()).rev().find(|&axis| axis != self.axis);
        (host.parallel)(chunks.count, &|chunk| {
            let source = chunks.at(chunk, x.data, from, size_of::<T>()).cast::<T>().cast_const();
            let target = chunks.at(chunk, result.data, to, size_of::<T>()).cast::<T>();
            let mut sizes = chunks.shape(chunk);
            sizes[self.axis] = 1;
            let (count, steps) = beside.map_or((1, [1, 1]), |axis| (sizes[axis], [from[axis], to[axis]]));
            if let Some(axis) = beside {
                sizes[axis] = 1;
            }
            Walk::new(&sizes, [from, to]).each(|[read, write]| {
                // SAFETY: the walk stays inside the two layouts, and chunks are disjoint.
                let lines = |first: usize| unsafe {
                    let offsets = [read + first as isize * steps[0], write + first as isize * steps[1]];
                    Lines {
                        source: source.offset(offsets[0]),
                        target: target.offset(offsets[1]),
                        length,
                        along: [from[self.axis], to[self.axis]],
                        beside: steps,
                        backwards: self.backwards,
                    }
                };
                let mut first = 0;
                while first < count {
                    let left = count - first;
                    // SAFETY: so many lines are left.
                    first += unsafe {
                        match left {
                            _ if steps == [1, 1] && left > APART => lines(first).beside(left.min(BESIDE), join),
                            APART.. => lines(first).together::<APART>(join),
                            _ => lines(first).together::<1>(join),
                        }
                    };
                }
            });
        });
    }
}

/// Neighbouring lines.
struct Lines<T> {
    source: *const T,
    target: *mut T,
    length: usize,
    /// Elements from one to the next of a line, where it is read and where it is written.
    along: [isize; 2],
    /// The same from one line to the next.
    beside: [isize; 2],
    backwards: bool,
}

impl<T: Number> Lines<T> {
    /// Where the lines are read and written in step `number`.
    ///
    /// # Safety
    /// The lines are that long.
    #[inline(always)]
    unsafe fn at(&self, number: usize) -> (*const T, *mut T) {
        let place = if self.backwards { self.length - 1 - number } else { number } as isize;
        // SAFETY: as the caller vouches.
        unsafe { (self.source.offset(place * self.along[0]), self.target.offset(place * self.along[1])) }
    }

    /// Runs along `COUNT` lines, with totals in registers; tells how many they are.
    ///
    /// # Safety
    /// There are so many, of memory that may be read and written.
    #[inline(always)]
    unsafe fn together<const COUNT: usize>(&self, join: impl Fn(T::Total, T::Total) -> T::Total + Copy) -> usize {
        let mut totals = [T::Total::default(); COUNT];
        for number in 0..self.length {
            // SAFETY: as the caller vouches.
            unsafe {
                let (source, target) = self.at(number);
                for (line, total) in totals.iter_mut().enumerate() {
                    let own = source.offset(line as isize * self.beside[0]).read_unaligned().total();
                    *total = if number == 0 { own } else { join(*total, own) };
                    target.offset(line as isize * self.beside[1]).write_unaligned(T::of(*total));
                }
            }
        }
        COUNT
    }

    /// Runs along at most `BESIDE` lines whose neighbours lie side by side; tells how many they are.
    ///
    /// # Safety
    /// As for `together`.
    #[inline(always)]
    unsafe fn beside(&self, count: usize, join: impl Fn(T::Total, T::Total) -> T::Total + Copy) -> usize {
        let mut totals = [T::Total::default(); BESIDE];
        for number in 0..self.length {
            // SAFETY: as the caller vouches.
            unsafe {
                let (source, target) = self.at(number);
                for (line, total) in totals[..count].iter_mut().enumerate() {
                    let own = source.add(line).read_unaligned().total();
                    *total = if number == 0 { own } else { join(*total, own) };
                    target.add(line).write_unaligned(T::of(*total));
                }
            }
        }
        count
    }
}

impl Structured for Scan {
    fn name(&self) -> &'static str {
        Op::name(self)
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        Cost { flops: arguments[0].layout.shape.elements() as u64, ..Cost::moving(arguments) }
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        match host.arguments[0].dtype {
            DType::Bool | DType::U8 => self.run::<u8>(host),
            DType::I8 => self.run::<i8>(host),
            DType::U16 => self.run::<u16>(host),
            DType::I16 => self.run::<i16>(host),
            DType::U32 => self.run::<u32>(host),
            DType::I32 => self.run::<i32>(host),
            DType::U64 => self.run::<u64>(host),
            DType::I64 => self.run::<i64>(host),
            DType::F16 => self.run::<f16>(host),
            DType::BF16 => self.run::<bf16>(host),
            DType::F32 => self.run::<f32>(host),
            DType::F64 => self.run::<f64>(host),
        }
        Ok(())
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        let [x, result] = [0, 1].map(|argument| &arguments[argument].layout);
        let launch = || {
            let mut lines: SmallVec<[usize; 4]> = SmallVec::from_slice(&x.shape);
            // A tensor without elements has no lines.
            lines[self.axis] = x.shape[self.axis].min(1);
            let mut shader = Shader::new(arguments, &lines);
            let mut here = shader.here.clone();
            let length = shader.number(x.shape[self.axis]);
            let place = if self.backwards { format!("{length} - 1 - number") } else { "number".to_owned() };
            here[self.axis] = if self.backwards { format!("({length} - 1)") } else { "0".to_owned() };
            let first = shader.element(&Place::whole(0, &x.strides), &here)?;
            shader.line(format!("var total = {first};"));
            shader.line(format!("for (var number = 0; number < {length}; number = number + 1) {{"));
            shader.line(format!("let place = {place};"));
            here[self.axis] = "place".to_owned();
            let own = shader.element(&Place::whole(0, &x.strides), &here)?;
            let sign = if self.running == Running::Sum { "+" } else { "*" };
            let joined = wrapped(arguments[1].dtype, format!("total {sign} {own}"));
            shader.line(format!("if (number > 0) {{ total = {joined}; }}"));
            let to = shader.target(&Place::whole(1, &result.strides), &here)?;
            shader.line(to.write("total"));
            shader.line("}");
            Some(shader.finish("scan: a thread per line", caps))
        };
        way("lines", [launch()])
    }
}
