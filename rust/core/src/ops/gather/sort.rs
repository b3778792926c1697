//! Sorting along an axis. Depends on `along` and `walk`.
//! Invariant: the order is stable and total: NaN comes last, equal elements keep their places.

use std::sync::Arc;

use half::{bf16, f16};
use smallvec::{SmallVec, smallvec};

use super::super::axes::normalize_axis;
use super::super::create::zeros_like;
use super::super::movement::moveaxis;
use super::super::operand::default_integer;
use super::super::pointwise::astype;
use super::super::shader::Put;
use super::super::walk::{Chunks, Walk};
use super::along::scatter_add;
use super::sort_shaders;
use crate::backend::HostArguments;
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::kit::columns::{LONGEST, Lane, TOGETHER, sort_rows};
use crate::kit::packed::{Packing, span};
use crate::kit::simd::{Kernel, Machine, launch};
use crate::kit::sort::{Placed, sort as sort_keys};
use crate::plan::{Argument, Candidate, Caps, Structured};
use crate::wgsl::Type;

/// Positions (int64) that sort `x` along `axis`; equal elements keep their order, NaN comes last.
///
/// # Errors
/// For an axis that does not exist.
pub fn argsort(x: &Tensor, axis: isize, descending: bool) -> Result<Tensor> {
    let axis = normalize_axis("argsort", axis, x.rank())? as isize;
    let order = apply(ArgSort { descending }, &[&moveaxis(x, axis, -1)?])?;
    moveaxis(&astype(&order, default_integer(x.device()))?, -1, axis)
}

/// `x` sorted along `axis`; NaN comes last, −0 before 0.
///
/// # Errors
/// For an axis that does not exist.
pub fn sort(x: &Tensor, axis: isize, descending: bool) -> Result<Tensor> {
    let axis = normalize_axis("sort", axis, x.rank())? as isize;
    moveaxis(&apply(Sort { descending }, &[&moveaxis(x, axis, -1)?])?, -1, axis)
}

/// Positions that sort the last axis.
#[derive(Clone, Debug)]
struct ArgSort {
    descending: bool,
}

impl Op for ArgSort {
    fn name(&self) -> &'static str {
        "argsort"
    }
    fn key(&self, key: &mut Key) {
        key.number(u64::from(self.descending));
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![Meta::new(inputs[0].shape.clone(), DType::I64)])
    }
    fn vjp(&self, _cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        Ok(smallvec![None])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

/// Numbers with keys in the same order.
trait Sortable: Copy + Sync {
    /// Bits of the key.
    const WIDTH: u32;
    /// The key of a position; NaN has the largest, both zeros have one.
    fn key(self) -> u64;
    /// The key of a value, which knows it; NaN has the largest.
    #[inline(always)]
    fn value_key(self) -> u64 {
        self.key()
    }
    /// The value of a key.
    fn of_key(key: u64) -> Self;
    /// Whether it comes last in either direction.
    #[inline(always)]
    fn is_last(self) -> bool {
        false
    }
}

macro_rules! sortable {
    (unsigned $($type:ty)*) => {
        $(impl Sortable for $type {
            const WIDTH: u32 = <$type>::BITS;
            #[inline(always)]
            fn key(self) -> u64 {
                self.into()
            }
            #[inline(always)]
            fn of_key(key: u64) -> Self {
                key as $type
            }
        })*
    };
    (signed $($type:ty, $unsigned:ty;)*) => {
        $(impl Sortable for $type {
            const WIDTH: u32 = <$type>::BITS;
            #[inline(always)]
            fn key(self) -> u64 {
                (self as $unsigned ^ (1 << (Self::WIDTH - 1))).into()
            }
            #[inline(always)]
            fn of_key(key: u64) -> Self {
                (key as $unsigned ^ (1 << (Self::WIDTH - 1))) as $type
            }
        })*
    };
    (float $($type:ty, $unsigned:ty, $zero:expr;)*) => {
        $(impl Sortable for $type {
            const WIDTH: u32 = <$unsigned>::BITS;
            #[inline(always)]
            fn key(self) -> u64 {
                if self == $zero { $zero.value_key() } else { self.value_key() }
            }
            #[inline(always)]
            fn value_key(self) -> u64 {
                let sign = 1 << (Self::WIDTH - 1);
                let bits = self.to_bits();
                // Negative numbers run backwards, below the positive ones.
                let key: $unsigned = if bits & sign != 0 { !bits } else { bits | sign };
                if self.is_nan() { <$unsigned>::MAX.into() } else { key.into() }
            }
            #[inline(always)]
            fn of_key(key: u64) -> Self {
                let sign = 1 << (Self::WIDTH - 1);
                let key = key as $unsigned;
                let bits = if key & sign != 0 { key ^ sign } else { !key };
                if key == <$unsigned>::MAX { <$type>::NAN } else { <$type>::from_bits(bits) }
            }
            #[inline(always)]
            fn is_last(self) -> bool {
                self.is_nan()
            }
        })*
    };
}

sortable! { unsigned u8 u16 u32 u64 }
sortable! { signed i8, u8; i16, u16; i32, u32; i64, u64; }
sortable! { float f16, u16, f16::ZERO; bf16, u16, bf16::ZERO; f32, u32, 0.0f32; f64, u64, 0.0f64; }

/// A key in the order asked for; what comes last does so in both. Turning twice gives the key back.
#[inline(always)]
fn turned<T: Sortable>(key: u64, is_last: bool, descending: bool) -> u64 {
    let largest = u64::MAX >> (64 - T::WIDTH);
    if descending && !is_last { largest - key } else { key }
}

/// Sorts one row: where it is read and where it is written.
type Row<'a> = dyn FnMut(*const u8, *mut u8) + 'a;
/// Calls its argument for every row of a chunk.
type Rows<'a> = dyn FnMut(&mut Row<'_>) + 'a;

/// Calls `sort` for every chunk of rows.
fn each_row(host: &HostArguments<'_>, passes: usize, sort: &(dyn Fn(&mut Rows<'_>) + Sync)) {
    let [x, result] = host.arguments else { unreachable!("sorting has two arguments") };
    let (rank, size, written) = (x.layout.shape.rank(), x.dtype.size(), result.dtype.size());
    let chunks = Chunks::along(&x.layout.shape, size * passes, |axis| axis + 1 != rank);
    let chunk = |chunk: usize| {
        let to = chunks.at(chunk, result.data, &result.layout.strides, written);
        let from = chunks.at(chunk, x.data, &x.layout.strides, size).cast_const();
        let sizes = &chunks.shape(chunk)[..rank - 1];
        let walk = Walk::new(sizes, [&result.layout.strides[..rank - 1], &x.layout.strides[..rank - 1]]);
        sort(&mut |row| {
            walk.each(|[put, at]| {
                row(from.wrapping_offset(at * size as isize), to.wrapping_offset(put * written as isize));
            });
        });
    };
    // A single chunk leaves the threads to the sorting.
    if chunks.count == 1 { chunk(0) } else { (host.parallel)(chunks.count, &chunk) }
}

/// Passes that a comparison sort makes, about.
fn passes(length: usize) -> usize {
    length.max(2).ilog2() as usize
}

impl ArgSort {
    fn run<T: Sortable>(&self, host: &HostArguments<'_>) {
        let [x, result] = host.arguments else { unreachable!("argsort has two arguments") };
        let last = x.layout.shape.rank() - 1;
        let (length, digits) = (x.layout.shape[last], T::WIDTH.div_ceil(8));
        let (x_step, result_step) = (x.layout.strides[last], result.layout.strides[last]);
        let descending = self.descending;
        // Closures own what they need: the loops over rows are vector code then.
        let key = move |value: T| turned::<T>(value.key(), value.is_last(), descending);
        // SAFETY: the caller names a row of the input, and one of its positions.
        let key_at = move |row: *const u8, position: usize| unsafe {
            key(row.cast::<T>().offset(position as isize * x_step).read_unaligned())
        };
        // SAFETY: rows are those of the input and the result, of as many elements.
        let read_packed = move |from, row: &mut [u64]| unsafe {
            read_row(from, x_step, length, row.as_mut_ptr(), move |x, _| key(x));
            Packing::pack(row)
        };
        let write_packed = move |packing: Packing, from, row: &mut [u64], to| {
            packing.mend(row, |position| key_at(from, position));
            // SAFETY: as above.
            unsafe { write_row(to, result_step, row, move |entry| packing.position(entry) as i64) };
        };
        if length <= LONGEST {
            if T::WIDTH > 32 {
                return sort_short(host, read_packed, write_packed);
            }
            // The position below the key.
            // SAFETY: as above.
            let read = move |from, row: &mut [u64]| unsafe {
                read_row(from, x_step, length, row.as_mut_ptr(), move |x, i| key(x) << 32 | i as u64);
            };
            // SAFETY: as above.
            return sort_short(host, read, move |(), _, row, to| unsafe {
                write_row(to, result_step, row, |entry| i64::from(entry as u32));
            });
        }
        each_row(host, passes(length), &|rows| {
            let (mut narrow, mut wide) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
            rows(&mut |from, to| {
                // SAFETY: rows lie inside the input and the result, and chunks are disjoint boxes of it.
                unsafe {
                    if T::WIDTH <= 32 && u32::try_from(length).is_ok() {
                        let entry = move |x, i| Placed::new(key(x) as u32, i as u32);
                        refill(&mut narrow.0, from, x_step, length, entry);
                        sort_keys(&mut narrow.0, &mut narrow.1, digits);
                        write_row(to, result_step, &narrow.0, |entry| i64::from(entry.position()));
                    } else {
                        wide.0.resize(length, 0);
                        let packing = read_packed(from, &mut wide.0);
                        sort_keys(&mut wide.0, &mut wide.1, digits);
                        write_packed(packing, from, &mut wide.0, to);
                    }
                }
            });
        });
    }
}

/// A function of adjacent elements and their positions, element by element.
struct Each<T, R, F> {
    from: *const T,
    to: *mut R,
    length: usize,
    function: F,
}

impl<T, R, F: Fn(T, usize) -> R> Kernel for Each<T, R, F> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        for i in 0..self.length {
            // SAFETY: whoever made the kernel vouches for both memories.
            unsafe { self.to.add(i).write_unaligned((self.function)(self.from.add(i).read_unaligned(), i)) };
        }
    }
}

/// Makes entries of the elements of a row.
///
/// # Safety
/// The row has `length` elements at that step, and `to` room for as many entries.
#[inline(always)]
unsafe fn read_row<T: Copy, E>(from: *const u8, step: isize, length: usize, to: *mut E, entry: impl Fn(T, usize) -> E) {
    let from = from.cast::<T>();
    if step == 1 {
        return launch(Each { from, to, length, function: entry });
    }
    for i in 0..length {
        // SAFETY: as the caller vouches.
        unsafe { to.add(i).write(entry(from.offset(i as isize * step).read_unaligned(), i)) };
    }
}

/// Makes all entries of a row anew.
///
/// # Safety
/// As for `read_row`.
#[inline(always)]
unsafe fn refill<T: Copy, E: Copy>(
    entries: &mut Vec<E>,
    from: *const u8,
    step: isize,
    length: usize,
    entry: impl Fn(T, usize) -> E,
) {
    entries.clear();
    entries.reserve(length);
    // SAFETY: as the caller vouches; there is room for all entries, and all are written.
    unsafe {
        read_row(from, step, length, entries.as_mut_ptr(), entry);
        entries.set_len(length);
    }
}

/// Writes what entries stand for.
///
/// # Safety
/// The row has room for them at that step.
#[inline(always)]
unsafe fn write_row<T, E: Copy>(to: *mut u8, step: isize, entries: &[E], value: impl Fn(E) -> T) {
    let to = to.cast::<T>();
    if step == 1 {
        let function = move |entry, _: usize| value(entry);
        return launch(Each { from: entries.as_ptr(), to, length: entries.len(), function });
    }
    for (i, &entry) in entries.iter().enumerate() {
        // SAFETY: as the caller vouches.
        unsafe { to.offset(i as isize * step).write_unaligned(value(entry)) };
    }
}

/// Sorts rows so short that many are sorted at once: `read` makes entries of a row of the input, and something that `write` needs to know
/// when it writes what sorted entries stand for.
fn sort_short<E: Lane, S: Copy>(
    host: &HostArguments<'_>,
    read: impl Fn(*const u8, &mut [E]) -> S + Copy + Sync,
    write: impl Fn(S, *const u8, &mut [E], *mut u8) + Copy + Sync,
) {
    let shape = &host.arguments[0].layout.shape;
    let length = shape[shape.rank() - 1];
    if length == 0 {
        return;
    }
    each_row(host, passes(length), &|rows| {
        let mut entries = vec![E::default(); TOGETHER * length];
        let mut spare = entries.clone();
        let mut places: SmallVec<[(S, *const u8, *mut u8); TOGETHER]> = SmallVec::new();
        let mut finish = |entries: &mut [E], places: &mut SmallVec<_>| {
            sort_rows(entries, &mut spare, length);
            for ((known, from, to), row) in places.drain(..).zip(entries.chunks_exact_mut(length)) {
                write(known, from, row, to);
            }
        };
        rows(&mut |from, to| {
            let first = places.len() * length;
            places.push((read(from, &mut entries[first..first + length]), from, to));
            if places.len() == TOGETHER {
                finish(&mut entries, &mut places);
            }
        });
        if !places.is_empty() {
            finish(&mut entries, &mut places);
        }
    });
}

/// Sorts the values of the last axis.
#[derive(Clone, Debug)]
struct Sort {
    descending: bool,
}

impl Op for Sort {
    fn name(&self) -> &'static str {
        "sort"
    }
    fn key(&self, key: &mut Key) {
        key.number(u64::from(self.descending));
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![inputs[0].clone()])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        // The gradient goes back to where each value came from.
        let gradient = || {
            let x = &cx.inputs[0];
            let order = apply(ArgSort { descending: self.descending }, &[x])?;
            scatter_add(&zeros_like(x)?, &order, -1, cx.grad()).map(Cotangent::Dense)
        };
        Ok(smallvec![cx.needs[0].then(gradient).transpose()?])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

impl Sort {
    fn run<T: Sortable>(&self, host: &HostArguments<'_>) {
        let [x, result] = host.arguments else { unreachable!("sort has two arguments") };
        let last = x.layout.shape.rank() - 1;
        let (length, digits) = (x.layout.shape[last], T::WIDTH.div_ceil(8));
        let (x_step, result_step) = (x.layout.strides[last], result.layout.strides[last]);
        let descending = self.descending;
        let key = move |value: T| turned::<T>(value.value_key(), value.is_last(), descending);
        let value = move |key: u64| T::of_key(turned::<T>(key, T::of_key(key).is_last(), descending));
        if length <= LONGEST {
            // SAFETY: rows are those of the input and the result, of as many elements.
            return unsafe {
                match T::WIDTH {
                    64 => sort_short::<u64, ()>(
                        host,
                        move |from, row| read_row(from, x_step, length, row.as_mut_ptr(), move |x, _| key(x)),
                        move |(), _, row, to| write_row(to, result_step, row, value),
                    ),
                    _ => sort_short::<u32, ()>(
                        host,
                        move |from, row| read_row(from, x_step, length, row.as_mut_ptr(), move |x, _| key(x) as u32),
                        move |(), _, row, to| write_row(to, result_step, row, move |key| value(u64::from(key))),
                    ),
                }
            };
        }
        each_row(host, passes(length), &|rows| {
            let (mut narrow, mut wide) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
            rows(&mut |from, to| {
                // SAFETY: rows lie inside the input and the result, and chunks are disjoint boxes of it.
                unsafe {
                    if T::WIDTH <= 32 {
                        refill(&mut narrow.0, from, x_step, length, move |x, _| key(x) as u32);
                        sort_keys(&mut narrow.0, &mut narrow.1, digits);
                        write_row(to, result_step, &narrow.0, move |key| value(u64::from(key)));
                    } else {
                        refill(&mut wide.0, from, x_step, length, move |x, _| key(x));
                        let (least, largest) = span(&wide.0);
                        if largest - least <= u64::from(u32::MAX) {
                            // Half as many bits are sorted twice as fast.
                            let keys = wide.0.as_ptr().cast();
                            refill(&mut narrow.0, keys, 1, length, move |key: u64, _| (key - least) as u32);
                            sort_keys(&mut narrow.0, &mut narrow.1, u32::BITS / 8);
                            write_row(to, result_step, &narrow.0, move |key| value(least + u64::from(key)));
                        } else {
                            sort_keys(&mut wide.0, &mut wide.1, digits);
                            write_row(to, result_step, &wide.0, value);
                        }
                    }
                }
            });
        });
    }
}

/// Calls a method for the type of a dtype.
macro_rules! with_sortable {
    ($dtype:expr, $self:ident.$method:ident($host:expr)) => {
        match $dtype {
            DType::I8 => $self.$method::<i8>($host),
            DType::I16 => $self.$method::<i16>($host),
            DType::I32 => $self.$method::<i32>($host),
            DType::I64 => $self.$method::<i64>($host),
            DType::U8 | DType::Bool => $self.$method::<u8>($host),
            DType::U16 => $self.$method::<u16>($host),
            DType::U32 => $self.$method::<u32>($host),
            DType::U64 => $self.$method::<u64>($host),
            DType::F16 => $self.$method::<f16>($host),
            DType::BF16 => $self.$method::<bf16>($host),
            DType::F32 => $self.$method::<f32>($host),
            DType::F64 => $self.$method::<f64>($host),
        }
    };
}

impl Structured for ArgSort {
    fn name(&self) -> &'static str {
        "argsort"
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        with_sortable!(host.arguments[0].dtype, self.run(host));
        Ok(())
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        sort_shaders::candidates("argsort", self.descending, arguments, caps, |to, position, _| {
            to.write(&format!("{}({position})", Type::of(arguments[1].dtype).name()))
        })
    }
}

impl Structured for Sort {
    fn name(&self) -> &'static str {
        "sort"
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        with_sortable!(host.arguments[0].dtype, self.run(host));
        Ok(())
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        let dtype = arguments[1].dtype;
        sort_shaders::candidates("sort", self.descending, arguments, caps, |to, _, own| {
            Put::Copy.statement(dtype, to, own)
        })
    }
}
