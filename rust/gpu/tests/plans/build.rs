//! Kernels from few words, and their run on the adapter and on the processor. Depends on `naive`.

use std::sync::{Arc, OnceLock};

use adret_core::backend::{Backend, Bindings, BufferRef};
use adret_core::code::Code;
use adret_core::dtype::DType;
use adret_core::group::{Access, Affine, Group, Instr, Linear, Scope, Store, Value, ValueId};
use adret_core::layout::Layout;
use adret_core::plan::{Argument, Kernel, Place, Plan, PlanOutput, Prepared, Temporary, Work};
use adret_core::shape::Shape;
use smallvec::SmallVec;

use crate::naive::{self, Number, decode, encode};

/// The adapter that all tests share; `None`, with a line that says so, where there is none.
pub(crate) fn gpu() -> Option<Arc<dyn Backend>> {
    static GPU: OnceLock<Option<Arc<dyn Backend>>> = OnceLock::new();
    GPU.get_or_init(|| {
        // SAFETY: every test comes through here before it does anything else, and waits until this is done.
        unsafe {
            std::env::set_var("ADRET_ALLOW_SOFTWARE_GPU", "1");
            std::env::set_var("LP_NUM_THREADS", "0");
        }
        if adret_gpu::adapters().is_empty() {
            eprintln!("skipped: no graphics adapter answers here");
            return None;
        }
        Some(adret_gpu::open(0).expect("an admitted adapter opens"))
    })
    .clone()
}

/// A Group in the making, with its arguments: inputs first.
pub(crate) struct Builder {
    pub(crate) group: Group,
    pub(crate) arguments: Vec<Argument>,
}

impl Builder {
    pub(crate) fn new(outer: &[usize], inner: &[usize]) -> Self {
        let (outer, inner) = (SmallVec::from_slice(outer), SmallVec::from_slice(inner));
        Self { group: Group { outer, inner, values: Vec::new(), stores: Vec::new() }, arguments: Vec::new() }
    }

    pub(crate) fn push(&mut self, instr: Instr, dtype: DType, scope: Scope) -> ValueId {
        self.group.values.push(Value { instr, dtype, scope, stage: 0 });
        self.group.values.len() - 1
    }

    pub(crate) fn argument(&mut self, place: Place, dtype: DType, elements: usize) -> usize {
        let write = !matches!(place, Place::Input(_));
        let layout = Layout::contiguous(Shape::new(&[elements]).unwrap());
        self.arguments.push(Argument { place, dtype, layout, start: Linear::default(), write });
        self.arguments.len() - 1
    }

    /// Loads from argument `argument`; Element scope where the Group has inner axes.
    pub(crate) fn load(&mut self, argument: usize, offset: i64, strides: &[i64]) -> ValueId {
        let index = affine(offset, strides);
        let access = Access { index, guards: SmallVec::new() };
        let dtype = self.arguments[argument].dtype;
        self.push(Instr::Load { argument, access }, dtype, self.widest())
    }

    pub(crate) fn widest(&self) -> Scope {
        if self.group.inner.is_empty() { Scope::Row } else { Scope::Element }
    }

    /// A function of values, of the widest scope among them.
    pub(crate) fn apply(&mut self, code: Code, operands: &[ValueId]) -> ValueId {
        let of = |id: &ValueId| &self.group.values[*id];
        let scope = operands.iter().map(|id| of(id).scope).max().unwrap();
        let dtype = if code.is_predicate() { DType::Bool } else { of(&operands[operands.len() - 1]).dtype };
        self.push(Instr::Pointwise { code, operands: SmallVec::from_slice(operands) }, dtype, scope)
    }

    pub(crate) fn cast(&mut self, operand: ValueId, dtype: DType) -> ValueId {
        let scope = self.group.values[operand].scope;
        self.push(Instr::Cast { operand }, dtype, scope)
    }

    /// Stores a value, row-major over its domain, to a new argument.
    pub(crate) fn store(&mut self, value: ValueId, place: Place) {
        let mut sizes: Vec<usize> = self.group.outer.to_vec();
        if self.group.values[value].scope == Scope::Element {
            sizes.extend(&self.group.inner);
        }
        let dtype = self.group.values[value].dtype;
        let argument = self.argument(place, dtype, sizes.iter().product());
        let zeros = self.group.outer.len() + self.group.inner.len() - sizes.len();
        self.group.stores.push(Store { value, argument, index: adret_core::plan::row_major(&sizes, zeros) });
    }

    pub(crate) fn kernel(&self) -> Kernel {
        Kernel::new(Work::Group(self.group.clone()), self.arguments.clone())
    }

    /// Runs the Group alone on both sides; results per output: here, there.
    pub(crate) fn run(&self, inputs: &[(DType, Vec<Number>, isize)], slots: &[u64]) -> Option<Vec<[Vec<Number>; 2]>> {
        let gpu = gpu()?;
        let mut outputs = Vec::new();
        let mut memories: Vec<Vec<Number>> = Vec::new();
        let mut starts = Vec::new();
        for argument in &self.arguments {
            let elements = argument.layout.shape.elements();
            match argument.place {
                Place::Input(n) => {
                    memories.push(inputs[n].1.clone());
                    starts.push(inputs[n].2);
                }
                Place::Output(_) | Place::Temporary(_) => {
                    memories.push(vec![Number::Int(0); elements]);
                    starts.push(0);
                    outputs.push((argument.dtype, elements));
                }
            }
        }
        naive::run(&self.group, &mut memories, &starts, slots);
        let plan = plan(vec![self.kernel()], &outputs, &[]);
        let uploaded: Vec<(DType, Vec<u8>, isize)> =
            inputs.iter().map(|(dtype, data, start)| (*dtype, encode(*dtype, data), *start)).collect();
        let there = run_plan(&*gpu, &plan, &uploaded, slots);
        let written = self.arguments.iter().zip(memories).filter(|(a, _)| a.write).map(|(_, memory)| memory);
        Some(
            written
                .zip(there)
                .zip(&outputs)
                .map(|((here, there), (dtype, _))| [here, decode(*dtype, &there)])
                .collect(),
        )
    }
}

pub(crate) fn affine(offset: i64, strides: &[i64]) -> Affine {
    Affine { offset: Linear::constant(offset), strides: SmallVec::from_slice(strides) }
}

/// A plan of these kernels, without a commit phase.
pub(crate) fn plan(kernels: Vec<Kernel>, outputs: &[(DType, usize)], temporaries: &[usize]) -> Plan {
    Plan {
        commit: kernels.len(),
        kernels,
        temporaries: temporaries.iter().map(|&bytes| Temporary { offset: 0, bytes }).collect(),
        arena: 0,
        outputs: outputs.iter().map(|&(dtype, elements)| PlanOutput { dtype, elements, donor: None }).collect(),
        constants: Vec::new(),
        prepared: Prepared::default(),
    }
}

/// Uploads, runs, and reads all outputs back.
pub(crate) fn run_plan(
    gpu: &dyn Backend,
    plan: &Plan,
    inputs: &[(DType, Vec<u8>, isize)],
    slots: &[u64],
) -> Vec<Vec<u8>> {
    let inputs: Vec<(BufferRef, isize)> =
        inputs.iter().map(|(dtype, data, start)| (gpu.upload(*dtype, data).unwrap(), *start)).collect();
    let outputs: Vec<(BufferRef, isize)> = plan
        .outputs
        .iter()
        .map(|output| (gpu.allocate(gpu.storage_bytes(output.dtype, output.elements)).unwrap(), 0))
        .collect();
    let bindings =
        Bindings { inputs: &inputs, outputs: &outputs, arena: None, slots, cancelled: &|| false, watch: None };
    gpu.run(plan, &bindings).unwrap();
    plan.outputs
        .iter()
        .zip(&outputs)
        .map(|(output, (buffer, _))| read(gpu, buffer, output.dtype, output.elements))
        .collect()
}

pub(crate) fn read(gpu: &dyn Backend, buffer: &BufferRef, dtype: DType, elements: usize) -> Vec<u8> {
    let mut data = vec![0; elements * dtype.size()];
    gpu.download(buffer, dtype, 0, &mut data).unwrap();
    data
}

/// Whole numbers that a fixed rule scatters over `low..high`.
pub(crate) fn scattered(count: usize, low: i64, high: i64) -> Vec<i64> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        low + (state % (high - low) as u64) as i64
    };
    (0..count).map(|_| next()).collect()
}

/// Floats between −4 and 4, exact in float32.
pub(crate) fn floats(count: usize) -> Vec<Number> {
    scattered(count, -4096, 4096).into_iter().map(|n| Number::Float(n as f64 / 1024.0)).collect()
}

/// Whether two numbers agree: whole numbers exactly, floats to `tolerance` relative to their size, NaN with NaN.
pub(crate) fn agree(here: Number, there: Number, tolerance: f64) -> bool {
    match (here, there) {
        (Number::Float(a), Number::Float(b)) => {
            a == b
                || (a.is_nan() && b.is_nan())
                || (a - b).abs() <= tolerance * a.abs().max(f64::from(f32::MIN_POSITIVE))
        }
        (a, b) => a == b,
    }
}

/// Asserts that all outputs agree.
pub(crate) fn assert_agree(results: &[[Vec<Number>; 2]], tolerance: f64) {
    for (output, [here, there]) in results.iter().enumerate() {
        assert_eq!(here.len(), there.len());
        for (element, (&a, &b)) in here.iter().zip(there).enumerate() {
            assert!(agree(a, b, tolerance), "output {output}, element {element}: {a:?} here, {b:?} on the GPU");
        }
    }
}
