//! Puts kernels in order, and decides which results take over a leaf's buffer. Depends on `arena` and `emit`.
//! Invariant: whatever writes a visible buffer stands in the commit phase, after everyone who reads the old value.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::arena::arrange;
use super::emit::Emitted;
use super::snapshot::Snapshot;
use crate::group::{Group, Instr};
use crate::plan::{Kernel, Matmul, Place, Plan, PlanOutput, Prepared, Work};

/// Orders the kernels and completes the plan.
pub(super) fn order(snapshot: &Snapshot, emitted: Emitted) -> Plan {
    let Emitted { kernels, ages, temporaries, constants } = emitted;
    let mut writer: HashMap<Place, usize> = HashMap::new();
    for (index, kernel) in kernels.iter().enumerate() {
        for argument in kernel.arguments.iter().filter(|argument| argument.write) {
            writer.insert(argument.place, index);
        }
    }
    let reads: Vec<Vec<usize>> = kernels
        .iter()
        .enumerate()
        .map(|(index, kernel)| {
            let producers = kernel.arguments.iter().filter_map(|argument| writer.get(&argument.place).copied());
            let mut producers: Vec<usize> = producers.filter(|&producer| producer != index).collect();
            producers.sort_unstable();
            producers.dedup();
            producers
        })
        .collect();
    let (committing, donors) = donations(snapshot, &kernels, &reads);
    let sequence = topological(&ages, &reads, &committing);
    let commit = sequence.iter().position(|&kernel| committing[kernel]).unwrap_or(sequence.len());
    let mut slots: Vec<Option<Kernel>> = kernels.into_iter().map(Some).collect();
    let kernels: Vec<Kernel> = sequence.iter().filter_map(|&index| slots[index].take()).collect();
    let (temporaries, arena) = arrange(&kernels, &temporaries);
    let outputs = snapshot
        .outputs
        .iter()
        .enumerate()
        .map(|(index, &(entry, output))| {
            let meta = &snapshot.entries[entry].node.outputs[output].meta;
            PlanOutput { dtype: meta.dtype, elements: meta.shape.elements(), donor: donors.get(&index).copied() }
        })
        .collect();
    Plan { kernels, commit, temporaries, arena, outputs, constants, prepared: Prepared::default() }
}

/// Kernels in an order that respects who reads whom: older first, the commit phase last.
fn topological(ages: &[usize], reads: &[Vec<usize>], committing: &[bool]) -> Vec<usize> {
    let mut missing: Vec<usize> = reads.iter().map(Vec::len).collect();
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); ages.len()];
    for (kernel, producers) in reads.iter().enumerate() {
        for &producer in producers {
            readers[producer].push(kernel);
        }
    }
    let rank = |kernel: usize| Reverse((committing[kernel], ages[kernel], kernel));
    let mut ready: BinaryHeap<_> = (0..ages.len()).filter(|&k| missing[k] == 0).map(rank).collect();
    let mut sequence = Vec::with_capacity(ages.len());
    while let Some(Reverse((.., kernel))) = ready.pop() {
        sequence.push(kernel);
        for &reader in &readers[kernel] {
            missing[reader] -= 1;
            if missing[reader] == 0 {
                ready.push(rank(reader));
            }
        }
    }
    assert_eq!(sequence.len(), ages.len(), "kernels read each other in a circle");
    sequence
}

/// For elementwise kernels and epilogues: results (output number, leaf) that may be written over a leaf that is read at the same place.
fn candidates(snapshot: &Snapshot, kernel: &Kernel) -> Vec<(usize, usize)> {
    let (group, operands) = match &kernel.work {
        Work::Group(group) => (group, &[][..]),
        Work::Matmul(Matmul { epilogue: Some(group), lhs, rhs, .. }) => (group, &[*lhs, *rhs][..]),
        _ => return Vec::new(),
    };
    if !group.is_elementwise() {
        return Vec::new();
    }
    let multiplied = |leaf| {
        let reads = |&argument: &usize| matches!(kernel.arguments[argument].place, Place::Input(read) if buffer(snapshot, read) == buffer(snapshot, leaf));
        operands.iter().any(reads)
    };
    let mut found: Vec<(usize, usize)> = Vec::new();
    for store in &group.stores {
        let argument = &kernel.arguments[store.argument];
        let Place::Output(output) = argument.place else { continue };
        let leaf = group.values.iter().find_map(|value| match &value.instr {
            Instr::Load { argument: read, access } if access.guards.is_empty() && access.index == store.index => {
                let read = &kernel.arguments[*read];
                let Place::Input(leaf) = read.place else { return None };
                let same =
                    read.dtype == argument.dtype && read.layout.shape.elements() == argument.layout.shape.elements();
                let fits = same
                    && snapshot.leaves[leaf].donatable
                    && !multiplied(leaf)
                    && alone(snapshot, kernel, group, leaf, store.index.clone());
                (fits && !found.iter().any(|&(_, taken)| buffer(snapshot, taken) == buffer(snapshot, leaf)))
                    .then_some(leaf)
            }
            _ => None,
        });
        if let Some(leaf) = leaf {
            found.push((output, leaf));
        }
    }
    found
}

fn buffer(snapshot: &Snapshot, leaf: usize) -> usize {
    snapshot.leaves[leaf].buffer
}

/// Whether every load of the leaf's buffer in the Group is at this index.
fn alone(snapshot: &Snapshot, kernel: &Kernel, group: &Group, leaf: usize, index: crate::group::Affine) -> bool {
    group.values.iter().all(|value| match &value.instr {
        Instr::Load { argument, access } => match kernel.arguments[*argument].place {
            Place::Input(read) if buffer(snapshot, read) == buffer(snapshot, leaf) => {
                access.index == index && access.guards.is_empty()
            }
            _ => true,
        },
        _ => true,
    })
}

/// The buffers of leaves that a kernel reads, each once.
fn buffers_read(snapshot: &Snapshot, kernel: &Kernel, found: &mut Vec<usize>) {
    let inputs = kernel.arguments.iter().filter_map(|argument| match argument.place {
        Place::Input(leaf) => Some(buffer(snapshot, leaf)),
        _ => None,
    });
    found.clear();
    found.extend(inputs);
    found.sort_unstable();
    found.dedup();
}

/// Which kernels make up the commit phase, and the donor of each result.
fn donations(snapshot: &Snapshot, kernels: &[Kernel], reads: &[Vec<usize>]) -> (Vec<bool>, HashMap<usize, usize>) {
    let offers: Vec<Vec<(usize, usize)>> = kernels.iter().map(|kernel| candidates(snapshot, kernel)).collect();
    let mut committing: Vec<bool> = offers.iter().map(|offers| !offers.is_empty()).collect();
    // Nothing outside the commit phase may wait for it: whoever is outside takes along what it reads.
    let mut outside: Vec<usize> = (0..kernels.len()).filter(|&kernel| !committing[kernel]).collect();
    while let Some(kernel) = outside.pop() {
        for &producer in &reads[kernel] {
            if std::mem::take(&mut committing[producer]) {
                outside.push(producer);
            }
        }
    }
    // How many kernels of the commit phase read a leaf's buffer.
    let mut readers: HashMap<usize, usize> = HashMap::new();
    let mut own: Vec<usize> = Vec::new();
    for kernel in kernels.iter().zip(&committing).filter(|(_, committing)| **committing).map(|(kernel, _)| kernel) {
        buffers_read(snapshot, kernel, &mut own);
        own.iter().for_each(|&buffer| *readers.entry(buffer).or_default() += 1);
    }
    let mut donors = HashMap::new();
    for (offers, _) in offers.iter().zip(&committing).filter(|(_, committing)| **committing) {
        for &(output, leaf) in offers {
            // The kernel itself reads it.
            if readers.get(&buffer(snapshot, leaf)) == Some(&1) {
                donors.insert(output, leaf);
            }
        }
    }
    (committing, donors)
}
