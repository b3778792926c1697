//! The meaning of a Group, one scalar at a time: what the tile machine is tested against.
//! Depends on `group` and single-element calls of `kit::tiles`. Invariant: no tiles, no merging of axes, no choice of order.

use crate::code::Fold;
use crate::dtype::DType;
use crate::group::{Access, Affine, Group, Guard, Instr};
use crate::kit::tiles::{self, BLOCK, LANES, Operand};

/// A kernel argument: bytes, and the element where index 0 lies.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) bytes: Vec<u8>,
    pub(super) first: isize,
}

fn at(affine: &Affine, coordinates: &[usize], slots: &[u64]) -> i64 {
    let steps = affine.strides.iter().zip(coordinates).map(|(stride, &coordinate)| stride * coordinate as i64);
    affine.offset.resolve(slots) + steps.sum::<i64>()
}

fn hold(guards: &[Guard], coordinates: &[usize], slots: &[u64]) -> bool {
    guards.iter().all(|guard| (0..guard.size as i64).contains(&at(&guard.position, coordinates, slots)))
}

fn coordinates(sizes: &[usize], mut flat: usize) -> Vec<usize> {
    let mut all = vec![0; sizes.len()];
    for axis in (0..sizes.len()).rev() {
        all[axis] = flat % sizes[axis].max(1);
        flat /= sizes[axis].max(1);
    }
    all
}

fn read(memory: &Memory, dtype: DType, access: &Access, coordinates: &[usize], slots: &[u64]) -> u64 {
    if !hold(&access.guards, coordinates, slots) {
        return 0;
    }
    let element = (memory.first as i64 + at(&access.index, coordinates, slots)) as usize;
    let source = &memory.bytes[element * dtype.size()..][..dtype.size()];
    let mut bits = 0u64;
    // SAFETY: one element is there, and a slot holds any value.
    unsafe { tiles::load(dtype, 1, source.as_ptr(), 1, (&raw mut bits).cast()) };
    widen(dtype, bits)
}

/// Bits of a value in compute form as a slot: 32-bit integers are extended by their sign.
fn widen(dtype: DType, bits: u64) -> u64 {
    match dtype.compute() {
        crate::dtype::Compute::I32 => i64::from(bits as i32) as u64,
        _ => bits,
    }
}

/// Folds a row by the canonical tree.
pub(super) fn fold(fold: Fold, dtype: DType, row: &[u64]) -> u64 {
    if matches!(fold, Fold::ArgMax | Fold::ArgMin) {
        let mut best = 0;
        for i in 1..row.len() {
            if tiles::arg_better(fold, dtype, row[i], row[best]) {
                best = i;
            }
        }
        return best as u64;
    }
    let combine = |a, b| tiles::combine(fold, dtype, a, b);
    let blocks: Vec<u64> = row
        .chunks(BLOCK)
        .map(|block| {
            let mut lanes = [tiles::identity(fold, dtype); LANES];
            block.iter().enumerate().for_each(|(j, &x)| lanes[j % LANES] = combine(lanes[j % LANES], x));
            let mut width = LANES / 2;
            while width > 0 {
                (0..width).for_each(|lane| lanes[lane] = combine(lanes[lane], lanes[lane + width]));
                width /= 2;
            }
            lanes[0]
        })
        .collect();
    let run = blocks.len().div_ceil(16).max(1);
    let mut runs: Vec<u64> = blocks.chunks(run).map(|run| run.iter().copied().reduce(combine).unwrap()).collect();
    while runs.len() > 1 {
        runs = runs.chunks(2).map(|pair| pair.iter().copied().reduce(combine).unwrap()).collect();
    }
    tiles::round_to(dtype, runs.first().copied().unwrap_or_else(|| tiles::identity(fold, dtype)))
}

fn apply(group: &Group, id: usize, operands: &[u64], memories: &[Memory], place: &[usize], slots: &[u64]) -> u64 {
    let value = &group.values[id];
    let mut bits = 0u64;
    let dst = (&raw mut bits).cast::<u8>();
    // SAFETY: a slot holds any single value.
    unsafe {
        match &value.instr {
            Instr::Load { argument, access } => return read(&memories[*argument], value.dtype, access, place, slots),
            Instr::Scalar { slot } => return slots[*slot],
            Instr::Index { index } => return at(index, place, slots) as u64,
            Instr::Random { index, key, counter, stream } => {
                let first = at(index, place, slots) as u64;
                let draw = tiles::Draw { key: slots[*key], counter: slots[*counter], stream: *stream };
                match value.dtype {
                    DType::F32 => tiles::philox(1, dst.cast::<f32>(), first, 0, draw),
                    _ => tiles::philox(1, dst.cast::<i64>(), first, 0, draw),
                }
            }
            Instr::Inside { guards } => return u64::from(hold(guards, place, slots)),
            Instr::Pointwise { code, operands: ids } => {
                let pointers: Vec<Operand> =
                    operands.iter().map(|bits| Operand::Vector((&raw const *bits).cast())).collect();
                tiles::pointwise(*code, group.values[ids[ids.len() - 1]].dtype, 1, dst, &pointers);
            }
            Instr::Cast { operand } => {
                tiles::cast(group.values[*operand].dtype, value.dtype, 1, dst, (&raw const operands[0]).cast());
            }
            Instr::Check { limit, wrap, .. } => {
                let index = operands[0] as i64;
                return (if *wrap && index < 0 { index + *limit as i64 } else { index }) as u64;
            }
            Instr::Reduce { .. } => unreachable!(),
        }
    }
    widen(value.dtype, bits)
}

/// Runs a Group, reading and writing `memories`; results land only after everything is read.
pub(super) fn run(group: &Group, memories: &mut [Memory], slots: &[u64]) {
    let sizes: Vec<usize> = group.domain().collect();
    let length = group.row_length();
    let before = memories.to_vec();
    for row in 0..group.rows() {
        let mut values: Vec<Vec<u64>> = Vec::new();
        for (id, value) in group.values.iter().enumerate() {
            if let Instr::Reduce { fold: kind, operand } = value.instr {
                let dtype = group.values[operand].dtype;
                values.push(vec![fold(kind, dtype, &values[operand])]);
                continue;
            }
            let ids = super::super::levels::operands(&value.instr);
            let count = if value.scope == crate::group::Scope::Element { length } else { 1 };
            let computed = (0..count).map(|element| {
                let operands: Vec<u64> =
                    ids.iter().map(|&id| *values[id].get(element).unwrap_or_else(|| &values[id][0])).collect();
                apply(group, id, &operands, &before, &coordinates(&sizes, row * length.max(1) + element), slots)
            });
            values.push(computed.collect());
        }
        for store in &group.stores {
            let dtype = group.values[store.value].dtype;
            let memory = &mut memories[store.argument];
            let per_element = group.values[store.value].scope == crate::group::Scope::Element;
            for element in 0..if per_element { length } else { 1 } {
                let place = coordinates(&sizes, row * length.max(1) + element);
                let element_at = (memory.first as i64 + at(&store.index, &place, slots)) as usize;
                let value = &values[store.value];
                let bits = *value.get(element).unwrap_or(&value[0]);
                let dst = &mut memory.bytes[element_at * dtype.size()..][..dtype.size()];
                // SAFETY: one element is there.
                unsafe { tiles::store(dtype, 1, (&raw const bits).cast(), dst.as_mut_ptr(), 1) };
            }
        }
    }
}
