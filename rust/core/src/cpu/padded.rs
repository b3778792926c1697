//! Groups that are nothing but a padding: a box of elements copied into a larger one, whose border is one value.
//! Depends on `bound`, `group`. Invariant: memory outside guards is never touched.
//!
//! Tiles would ask for every run which part of it exists. Here that is known per axis, once for the whole run of the plan.

use std::ops::Range;

use smallvec::SmallVec;

use super::assign::lies_as_computed;
use super::bound::Bound;
use crate::backend::HostPointer;
use crate::code::Code;
use crate::error::Result;
use crate::group::{Access, Group, Guard, Instr, Linear};
use crate::kit::threads::parallel;

/// Bytes of a chunk, and the most chunks.
const CHUNK_BYTES: usize = 1 << 17;
const MOST_CHUNKS: usize = 64;

/// An axis of the larger box.
#[derive(Clone, Debug)]
struct Axis {
    size: usize,
    /// Steps in the memory that is read and written.
    from: isize,
    to: isize,
    /// What must be 0 to `limit` of the padded axis, at index 0; one index moves it by one, `inner` elements of this axis.
    guard: Option<(Linear, usize)>,
    inner: usize,
}

impl Axis {
    /// The indices whose elements exist.
    fn inside(&self, slots: &[u64]) -> Range<usize> {
        let Some((first, limit)) = &self.guard else { return 0..self.size };
        let first = first.resolve(slots);
        let most = (self.size / self.inner) as i64;
        let from = (-first).clamp(0, most);
        let to = (*limit as i64 - first).clamp(from, most);
        from as usize * self.inner..to as usize * self.inner
    }
}

/// A padding made ready.
#[derive(Clone, Debug)]
pub(super) struct Padded {
    axes: SmallVec<[Axis; 4]>,
    /// Arguments that are read and written, and where.
    source: (usize, Linear),
    result: (usize, Linear),
    /// Bytes of an element.
    bytes: usize,
    /// Slot of the border's value; 0 without one.
    border: Option<usize>,
    /// Slots of what the condition for a border is where elements exist, and where they do not.
    truth: Option<[usize; 2]>,
    /// Numbers that must be equal for the border to lie where the elements do not exist.
    twins: SmallVec<[(Linear, Linear); 2]>,
}

impl Padded {
    /// The Group as a padding, if it is one of rows next to each other.
    pub(super) fn of(group: &Group) -> Option<Self> {
        let ([store], true) = (group.stores.as_slice(), group.is_elementwise()) else { return None };
        let bordered = bordered(group, store.value);
        let value = bordered.as_ref().map_or(store.value, |bordered| bordered.value);
        let Instr::Load { argument, access } = &group.values[value].instr else { return None };
        let dtype = group.values[value].dtype;
        if access.guards.is_empty() || (bordered.is_some() && !lies_as_computed(dtype)) {
            return None;
        }
        let (mut truth, mut inside) = (None, None);
        if let Some(Bordered { condition, .. }) = bordered {
            inside = Some(condition);
            // The padding of one truth value with another.
            if let Some(inner) = self::bordered(group, condition) {
                truth = Some([scalar(group, inner.value)?, inner.number]);
                inside = Some(inner.condition);
            }
        }
        let twins = inside.map_or_else(|| Some(SmallVec::new()), |inside| twins(group, inside, access))?;
        let mut guards: SmallVec<[Option<&Guard>; 4]> = SmallVec::from_elem(None, group.outer.len());
        for guard in &access.guards {
            let mut moving = guard.position.strides.iter().enumerate().filter(|(_, stride)| **stride != 0);
            let (Some((axis, 1)), None) = (moving.next(), moving.next()) else { return None };
            if guards[axis].replace(guard).is_some() {
                return None;
            }
        }
        let mut axes: SmallVec<[Axis; 4]> = SmallVec::new();
        for (axis, &size) in group.outer.iter().enumerate().rev() {
            let (from, to) = (access.index.strides[axis] as isize, store.index.strides[axis] as isize);
            let guard = guards[axis].map(|guard| (guard.position.offset.clone(), guard.size));
            if size == 1 && guard.is_none() {
                continue;
            }
            match axes.last_mut() {
                // Neighbours that nothing surrounds are one run.
                Some(last)
                    if last.guard.is_none()
                        && (from, to) == (last.from * last.size as isize, last.to * last.size as isize) =>
                {
                    *last = Axis { size: size * last.size, guard, inner: last.size, ..last.clone() };
                }
                _ => axes.push(Axis { size, from, to, guard, inner: 1 }),
            }
        }
        axes.reverse();
        let rows = axes.len() > 1 && axes.last().is_some_and(|axis| (axis.from, axis.to) == (1, 1));
        let source = (*argument, access.index.offset.clone());
        let result = (store.argument, store.index.offset.clone());
        let border = bordered.map(|bordered| bordered.number);
        rows.then_some(Self { axes, source, result, bytes: dtype.size(), border, truth, twins })
    }

    /// Whether these run-time numbers make it a padding.
    pub(super) fn applies(&self, slots: &[u64]) -> bool {
        self.truth.is_none_or(|[inside, outside]| slots[inside] != 0 && slots[outside] == 0)
            && self.twins.iter().all(|(a, b)| a.resolve(slots) == b.resolve(slots))
    }

    /// Fills the larger box.
    ///
    /// # Safety
    /// As for `Bound::new`, and the result is memory that nobody else reads.
    pub(super) unsafe fn run(&self, bound: &Bound<'_>) -> Result<()> {
        let place = |(argument, offset): &(usize, Linear)| {
            let first = offset.resolve(bound.slots) as isize * self.bytes as isize;
            HostPointer(bound.arguments[*argument].start.0.wrapping_offset(first))
        };
        let (source, result) = (place(&self.source), place(&self.result));
        let border = self.border.map_or(0, |slot| bound.slots[slot]);
        let inside: SmallVec<[Range<usize>; 4]> = self.axes.iter().map(|axis| axis.inside(bound.slots)).collect();
        let (row, outer) = self.axes.split_last().expect("there are rows");
        let rows: usize = outer.iter().map(|axis| axis.size).product();
        let chunks = (rows * row.size * self.bytes / CHUNK_BYTES).clamp(1, MOST_CHUNKS.min(rows.max(1)));
        let body = |chunk: usize| {
            if bound.monitor.stopped() {
                return;
            }
            let rows = rows * chunk / chunks..rows * (chunk + 1) / chunks;
            let (source, result) = (super::group::at(source), super::group::at(result));
            // SAFETY: as for this function; each row belongs to one chunk.
            unsafe {
                match self.bytes {
                    1 => self.rows(rows, &inside, source, result, border as u8),
                    2 => self.rows(rows, &inside, source.cast(), result.cast(), border as u16),
                    4 => self.rows(rows, &inside, source.cast(), result.cast(), border as u32),
                    _ => self.rows(rows, &inside, source.cast(), result.cast(), border),
                }
            }
        };
        if chunks == 1 {
            body(0)
        } else {
            parallel(chunks, &body)
        }
        bound.monitor.result()
    }

    /// Fills some rows.
    ///
    /// # Safety
    /// As for `run`.
    unsafe fn rows<T: Copy>(
        &self,
        rows: Range<usize>,
        inside: &[Range<usize>],
        source: *const T,
        result: *mut T,
        border: T,
    ) {
        let (row, outer) = self.axes.split_last().expect("there are rows");
        let (columns, inside) = inside.split_last().expect("there are rows");
        let (lines, leading) = outer.split_last().expect("rows have an axis around them");
        let fill = |to: *mut T, count: usize| {
            for element in 0..count {
                // SAFETY: the row lies inside the result.
                unsafe { to.add(element).write_unaligned(border) };
            }
        };
        let mut next = rows.start;
        while next < rows.end {
            // The rows of one step of the leading axes.
            let (first, mut flat) = (next % lines.size, next / lines.size);
            let count = (lines.size - first).min(rows.end - next);
            let (mut from, mut to, mut exists) = (0, 0, true);
            for (axis, inside) in leading.iter().zip(inside).rev() {
                let index = flat % axis.size;
                flat /= axis.size;
                exists &= inside.contains(&index);
                (from, to) = (from + index as isize * axis.from, to + index as isize * axis.to);
            }
            for line in first..first + count {
                let to = result.wrapping_offset(to + line as isize * lines.to);
                if !exists || !inside[leading.len()].contains(&line) || columns.is_empty() {
                    fill(to, row.size);
                    continue;
                }
                let from = source.wrapping_offset(from + line as isize * lines.from + columns.start as isize);
                fill(to, columns.start);
                // SAFETY: guards hold for these elements of the source; result and source do not overlap.
                unsafe {
                    let to = to.add(columns.start);
                    std::ptr::copy_nonoverlapping(from.cast::<u8>(), to.cast::<u8>(), columns.len() * size_of::<T>());
                    fill(to.add(columns.len()), row.size - columns.end);
                }
            }
            next += count;
        }
    }
}

/// `where(inside, value, number)`.
struct Bordered {
    value: usize,
    number: usize,
    condition: usize,
}

fn bordered(group: &Group, value: usize) -> Option<Bordered> {
    let Instr::Pointwise { code: Code::Where, operands } = &group.values[value].instr else { return None };
    Some(Bordered { condition: operands[0], value: operands[1], number: scalar(group, operands[2])? })
}

/// The slot of a number.
fn scalar(group: &Group, value: usize) -> Option<usize> {
    if let Instr::Scalar { slot } = group.values[value].instr { Some(slot) } else { None }
}

/// The numbers that are to be equal if a value is to say whether the guards of an access hold; `None` where it says something else.
fn twins(group: &Group, value: usize, access: &Access) -> Option<SmallVec<[(Linear, Linear); 2]>> {
    let Instr::Inside { guards } = &group.values[value].instr else { return None };
    let alike = |(a, b): (&Guard, &Guard)| a.size == b.size && a.position.strides == b.position.strides;
    let fits = guards.len() == access.guards.len() && guards.iter().zip(&access.guards).all(alike);
    let offsets = guards.iter().zip(&access.guards);
    fits.then(|| offsets.map(|(a, b)| (a.position.offset.clone(), b.position.offset.clone())).collect())
}
