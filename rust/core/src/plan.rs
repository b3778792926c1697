//! The Plan: kernels in order, with places instead of buffers. Made once per graph structure, run many times.
//! Depends on `group` and the vocabulary. Invariant: a plan owns no buffer, and names none.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use crate::backend::HostArguments;
use crate::dtype::DType;
use crate::error::{Error, Result};
pub use crate::group::Origin;
use crate::group::{Affine, Group, Linear};
use crate::layout::Layout;

/// What an argument of a kernel is bound to when the plan runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The plan's n-th leaf: a tensor that is there already, read from its layout's first element on.
    Input(usize),
    /// The plan's n-th result, contiguous.
    Output(usize),
    /// The plan's n-th temporary, contiguous.
    Temporary(usize),
}

/// An argument of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Argument {
    /// Where it lies.
    pub place: Place,
    /// Type of its elements.
    pub dtype: DType,
    /// Shape and strides counted from where the binding points; `offset` is what views add to that.
    pub layout: Layout,
    /// Elements that run-time numbers add to that.
    pub start: Linear,
    /// Whether the kernel writes it.
    pub write: bool,
}

impl Argument {
    /// Elements in memory that the layout reaches: repeated ones count once.
    pub fn elements(&self) -> u64 {
        let Layout { shape, strides, .. } = &self.layout;
        let moving = shape.iter().zip(strides).map(|(&size, &stride)| if stride == 0 { size.min(1) } else { size });
        moving.map(|size| size as u64).product()
    }
}

/// What a kernel costs, for profiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Arithmetic operations.
    pub flops: u64,
    /// Bytes that must be read, were every element read once.
    pub read: u64,
    /// Bytes that are written.
    pub written: u64,
}

impl Cost {
    /// Moving all that the arguments hold, without arithmetic.
    pub fn moving(arguments: &[Argument]) -> Self {
        let bytes = |write: bool| {
            let chosen = arguments.iter().filter(|argument| argument.write == write);
            chosen.map(|argument| argument.elements() * argument.dtype.size() as u64).sum()
        };
        Self { flops: 0, read: bytes(false), written: bytes(true) }
    }

    /// Moving only those elements of the first argument that the second, indices, names.
    pub fn looking_up(arguments: &[Argument]) -> Self {
        let moved = Self::moving(arguments);
        let bytes = |argument: &Argument| argument.elements() * argument.dtype.size() as u64;
        Self { read: bytes(&arguments[1]) + moved.written.min(bytes(&arguments[0])), ..moved }
    }
}

/// Matrix product `result[b…, i, j] = Σₖ lhs[b…, i, k] · rhs[b…, k, j]`, then the epilogue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Matmul {
    /// Sizes of the batch axes, already broadcast.
    pub batch: SmallVec<[usize; 4]>,
    /// Rows, columns and summed size.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// Type of operands and result; float16 and bfloat16 accumulate in float32.
    pub dtype: DType,
    /// Kernel argument of the left operand; its layout has shape `[batch…, m, k]`, any strides.
    pub lhs: usize,
    /// Kernel argument of the right operand; its layout has shape `[batch…, k, n]`, any strides.
    pub rhs: usize,
    /// Kernel argument that receives the product, contiguous `[batch…, m, n]`.
    pub result: usize,
    /// Elementwise work on the finished rows of the product, `outer` = `batch… ++ [m, n]` (possibly in another factorisation of the same
    /// row-major order), which reads the product as argument `result`. May run for any block of finished rows.
    pub epilogue: Option<Group>,
}

impl Matmul {
    /// Multiplications and additions of the product, without its epilogue.
    pub fn flops(&self) -> u64 {
        let sizes = [self.m, self.n, self.k].into_iter().chain(self.batch.iter().copied());
        2 * sizes.map(|size| size as u64).product::<u64>()
    }
}

/// Work that is neither a Group nor a contraction: it brings its own routine per backend.
pub trait Structured: fmt::Debug + Send + Sync {
    /// Name in profiles and messages.
    fn name(&self) -> &'static str;

    /// What a run costs, for profiles; unless said otherwise, it moves all its arguments.
    fn cost(&self, arguments: &[Argument]) -> Cost {
        Cost::moving(arguments)
    }

    /// Runs on the CPU. Arguments are in the order of `Kernel::arguments`.
    ///
    /// # Errors
    /// When values are outside the op's domain (indices).
    fn cpu(&self, arguments: &HostArguments<'_>) -> Result<()>;

    /// The ways to run on a GPU with these capabilities, best first; none where there is none. The op's run-time numbers are the
    /// slots from `slots` on.
    fn gpu(&self, arguments: &[Argument], slots: usize, caps: &Caps) -> Vec<Candidate>;
}

/// What a kernel does.
#[derive(Clone, Debug)]
pub enum Work {
    /// A fused Group.
    Group(Group),
    /// A matrix product with its epilogue.
    Matmul(Matmul),
    /// An op with routines of its own.
    Structured {
        /// What runs. It may come from another graph of the same structure, so it must not hold run-time numbers.
        routine: Arc<dyn Structured>,
        /// First of the op's slots.
        slots: usize,
    },
}

/// One piece of work with its arguments.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What it does.
    pub work: Work,
    /// What it reads and writes; the numbers in `work` index this list.
    pub arguments: Vec<Argument>,
    /// What a backend worked out when it first ran the kernel.
    pub prepared: Prepared,
    /// What profiles say of it, worked out when one first met it.
    pub described: Prepared,
    /// The entry of the graph that it is for, in the order that the plan's key gives them.
    pub entry: usize,
}

impl Kernel {
    /// A kernel that no backend has prepared yet.
    pub fn new(work: Work, arguments: Vec<Argument>) -> Self {
        let (prepared, described) = Default::default();
        Self { work, arguments, prepared, described, entry: 0 }
    }
}

/// What others keep with a kernel, such as a backend's own form of it, made when first asked for; a clone starts without it.
#[derive(Default)]
pub struct Prepared(OnceLock<Box<dyn Any + Send + Sync>>);

impl Prepared {
    /// The form that `make` builds, from the first call that asked for it. `None` where another type was asked for first.
    pub fn get_or_make<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.0.get_or_init(|| Box::new(make())).downcast_ref()
    }
}

impl Clone for Prepared {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prepared")
    }
}

/// A temporary of a plan: where it lies in the run's arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Temporary {
    /// First byte in the arena (a multiple of 64).
    pub offset: usize,
    /// Bytes that it takes.
    pub bytes: usize,
}

/// A result of a plan: a contiguous tensor with a buffer of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlanOutput {
    /// Type of its elements.
    pub dtype: DType,
    /// Number of elements.
    pub elements: usize,
    /// A leaf whose buffer this result may take over when nobody else holds it; only kernels of the commit phase write there.
    pub donor: Option<usize>,
}

/// Kernels in order. Those from `commit` on do all in-place writing and cannot be interrupted.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The work.
    pub kernels: Vec<Kernel>,
    /// First kernel of the commit phase.
    pub commit: usize,
    /// Temporaries, with planned places in one arena.
    pub temporaries: Vec<Temporary>,
    /// Bytes of the arena.
    pub arena: usize,
    /// Results.
    pub outputs: Vec<PlanOutput>,
    /// Slots of the plan itself, which follow those of the graph.
    pub constants: Vec<u64>,
    /// What a backend worked out when it first ran the plan.
    pub prepared: Prepared,
}

/// What a device can do; plain data, so that kernels can be written without knowing wgpu.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caps {
    /// Smallest and largest subgroup; 0 where subgroups are absent.
    pub subgroup: (u32, u32),
    /// Bytes of workgroup memory.
    pub workgroup_bytes: u32,
    /// Invocations of a workgroup.
    pub workgroup_invocations: u32,
    /// Storage buffers that a kernel can bind.
    pub bindings: u32,
    /// Bytes that one binding can span.
    pub binding_bytes: u64,
    /// Bytes of immediates.
    pub immediates: u32,
    /// Workgroups along each axis of a launch.
    pub grid: u32,
    /// Element types that kernels may use.
    pub dtypes: Vec<DType>,
    /// Side of the squares of matrix products, where tests want one.
    pub tile: Option<u32>,
    /// Whether four elements are read and written at once wherever that is possible, or nowhere, where tests want it.
    pub vectors: Option<bool>,
    /// Rows, columns and terms of the float16 matrices that a subgroup multiplies and adds to float32, all the same.
    pub cooperative: Option<u32>,
}

impl Caps {
    /// Bytes of one window of a buffer that is larger than a binding: a power of two.
    pub fn window_bytes(&self) -> u64 {
        window_bytes(self.binding_bytes)
    }

    /// How many windows reach `bytes` bytes that begin anywhere in a buffer.
    pub fn windows(&self, bytes: u64) -> u32 {
        windows(bytes, self.binding_bytes)
    }
}

/// How many windows reach `bytes` bytes that begin anywhere in a buffer, where one binding spans `binding_bytes`.
pub fn windows(bytes: u64, binding_bytes: u64) -> u32 {
    // A binding begins at a multiple of at most 256 bytes.
    let reached = bytes.saturating_add(256);
    if reached <= binding_bytes { 1 } else { reached.div_ceil(window_bytes(binding_bytes)) as u32 }
}

fn window_bytes(binding_bytes: u64) -> u64 {
    1 << binding_bytes.max(256).ilog2()
}

/// One launch of a shader.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Identifies the shader in caches: equal keys, equal text.
    pub key: String,
    /// The shader; its entry point is `main`. Bindings are group 0, in the order of `bindings`.
    pub wgsl: String,
    /// Kernel arguments (or, from the number of arguments on, the candidate's temporaries) that are bound.
    pub bindings: Vec<Binding>,
    /// 32-bit words, in order: the shader's immediates.
    pub parameters: Vec<Parameter>,
    /// Whether the words are too many for immediates and come in a storage buffer, bound after `bindings`.
    pub parameters_bound: bool,
    /// What the shader checks of indices; it reports at binding `Binding::FAULTS`, two words for each check: whether one was bad,
    /// and the first bad one that came.
    pub checks: Vec<IndexCheck>,
    /// Types of the kernel's arguments.
    pub dtypes: Vec<DType>,
    /// Workgroups along x, y, z.
    pub grid: [u32; 3],
    /// Elementary steps that it takes, about.
    pub work: u64,
    /// Where the text is a user's: nothing is known of it, so it runs with bounds checks, and its errors are the user's.
    pub foreign: Option<Foreign>,
    /// Parameters that must be multiples of four.
    pub aligned: Vec<usize>,
    /// What runs where they are not. It checks no indices.
    pub otherwise: Option<Box<Launch>>,
}

/// A text that a user wrote.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Foreign {
    /// How errors call it.
    pub name: String,
    /// Lines before the user's first.
    pub header: u32,
}

/// What a shader checks of an index, for the error's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IndexCheck {
    /// Which op, and where.
    pub context: String,
    /// Size of what is indexed.
    pub limit: usize,
    /// Whether negative indices count from the end.
    pub wrap: bool,
    /// Whether the reported word is unsigned.
    pub unsigned: bool,
    /// Where the indices come from, each as it lies there; `None` where they are computed.
    pub origins: Option<Vec<Origin>>,
}

impl IndexCheck {
    /// Whether no index can be bad. `range` gives the smallest and largest number of an origin, where they are known.
    pub fn holds(&self, range: impl Fn(Origin) -> Option<(i64, i64)>) -> bool {
        let inside =
            |(low, high): (i64, i64)| low >= 0 && u64::try_from(high).is_ok_and(|high| high < self.limit as u64);
        self.origins.as_ref().is_some_and(|origins| origins.iter().all(|&origin| range(origin).is_some_and(inside)))
    }

    /// The error for a bad index, from the word that the shader reported.
    pub fn error(&self, word: u32) -> Error {
        let value = if self.unsigned { i128::from(word) } else { i128::from(word as i32) };
        out_of_range(&self.context, value, self.limit, self.wrap)
    }
}

/// The error for an index that was found bad while a plan ran.
pub(crate) fn out_of_range(context: &str, value: i128, limit: usize, wrap: bool) -> Error {
    let advice = match (limit, wrap) {
        (0, _) => "Nothing can be taken from an empty axis.".to_string(),
        (_, true) => format!("Use indices from -{limit} to {}.", limit - 1),
        (_, false) => format!("Use indices from 0 to {}.", limit - 1),
    };
    Error::index(format!("{context}: index {value} is out of range for size {limit}. {advice}"))
}

/// One bound buffer of a launch, or one window of a buffer that is larger than the device binds at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// Index into the kernel's arguments, then into the candidate's temporaries.
    pub argument: usize,
    /// Whether the shader writes it.
    pub write: bool,
    /// Which window of `window_bytes`; 0 where one binding spans all that the kernel reaches.
    pub window: u32,
}

impl Binding {
    /// The argument that stands for the words where checks report.
    pub const FAULTS: usize = usize::MAX;
}

/// One 32-bit word that a launch receives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Parameter {
    /// Known when the plan is made.
    Word(u32),
    /// A whole number from slots, as `i32`.
    Linear(Linear),
    /// The low word of a slot.
    SlotLow(usize),
    /// The high word of a slot.
    SlotHigh(usize),
    /// An element of the bound buffer, as `i32`: where the argument's binding points, and `index` elements on.
    Element {
        /// Index into the kernel's arguments.
        argument: usize,
        /// Elements from there.
        index: Linear,
    },
    /// The word at which the first of the launch's checks reports.
    Checks,
}

/// One way to run a kernel on a GPU.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Names the way in tuning tables.
    pub key: String,
    /// Bytes of each temporary.
    pub temporaries: Vec<usize>,
    /// Launches in order.
    pub launches: Vec<Launch>,
}

/// An affine index that walks `sizes` row-major, with stride 0 along `zeros` further axes.
pub fn row_major(sizes: &[usize], zeros: usize) -> Affine {
    let mut strides: SmallVec<[i64; 4]> = SmallVec::from_elem(1, sizes.len());
    for axis in (1..sizes.len()).rev() {
        strides[axis - 1] = strides[axis] * sizes[axis].max(1) as i64;
    }
    strides.extend(std::iter::repeat_n(0, zeros));
    Affine { offset: Linear::default(), strides }
}
