//! Kernels that users write in WGSL. Depends on `graph`, `shader` and `plan`.
//! Invariant: the user's text sees contiguous arrays of exactly the tensors' sizes, under the names that the user gave.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use smallvec::SmallVec;

use super::shader::{Place, Put, boxes};
use crate::backend::HostArguments;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply_multi};
use crate::group::Linear;
use crate::layout::Layout;
use crate::plan::{self, Argument, Binding, Candidate, Caps, Launch, Structured};
use crate::wgsl::WORD_BYTES;

/// A kernel for inputs of certain shapes: the whole text, and what it makes.
#[derive(Clone, Debug)]
pub struct UserKernel {
    name: Arc<str>,
    text: Arc<str>,
    /// Lines before the user's own.
    header: u32,
    inputs: Vec<Meta>,
    outputs: Vec<Meta>,
    grid: [u32; 3],
}

/// The words that a name must not be: what the generated lines use, and what WGSL reserves most often.
fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    begins && name != "_" && !name.starts_with("__") && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn element(dtype: DType) -> Option<&'static str> {
    match dtype {
        DType::F32 => Some("f32"),
        DType::I32 => Some("i32"),
        DType::U32 => Some("u32"),
        _ => None,
    }
}

impl UserKernel {
    /// Puts the declarations of the named arrays and their shapes before the user's text.
    ///
    /// # Errors
    /// For names that are none or come twice, and dtypes that shaders hold in other forms.
    pub fn new(
        name: &str,
        text: &str,
        inputs: &[(String, Meta)],
        outputs: &[(String, Meta)],
        grid: [u32; 3],
    ) -> Result<Self> {
        let mut header = String::new();
        let mut known: Vec<&str> = Vec::new();
        for (number, (array, meta)) in inputs.iter().chain(outputs).enumerate() {
            if !is_name(array) || known.contains(&array.as_str()) {
                return Err(Error::value(format!(
                    "{name}: {array:?} is no name for an array, or stands there twice. Use letters, digits and underscores."
                )));
            }
            known.push(array);
            let element = element(meta.dtype).ok_or_else(|| {
                Error::dtype(format!(
                    "{name}: {array} is {}, and kernels take float32, int32 and uint32. Convert with astype.",
                    meta.dtype
                ))
            })?;
            let access = if number < inputs.len() { "read" } else { "read_write" };
            let rank = meta.shape.rank();
            let mut line = |text: std::fmt::Arguments<'_>| header.write_fmt(text).expect("a String takes everything");
            line(format_args!("@group(0) @binding({number}) var<storage, {access}> {array}: array<{element}>;\n"));
            line(format_args!("const {array}_size = {}u;\n", meta.shape.elements()));
            if rank > 0 {
                let sizes: Vec<String> = meta.shape.iter().map(|size| format!("{size}u")).collect();
                line(format_args!("const {array}_shape = array<u32, {rank}>({});\n", sizes.join(", ")));
            }
        }
        let lines = header.matches('\n').count() as u32;
        header.push_str(text);
        let metas = |arrays: &[(String, Meta)]| arrays.iter().map(|(_, meta)| meta.clone()).collect();
        Ok(Self {
            name: name.into(),
            text: header.into(),
            header: lines,
            inputs: metas(inputs),
            outputs: metas(outputs),
            grid,
        })
    }

    /// The launch, as it will be compiled.
    pub fn launch(&self) -> Launch {
        let bindings = (0..self.inputs.len() + self.outputs.len()).map(|argument| Binding {
            argument,
            write: argument >= self.inputs.len(),
            window: 0,
        });
        let [mut low, mut high] = [DefaultHasher::new(), DefaultHasher::new()];
        (0u8, &self.text).hash(&mut low);
        (1u8, &self.text).hash(&mut high);
        let dtypes = self.inputs.iter().chain(&self.outputs).map(|meta| meta.dtype).collect();
        Launch {
            key: format!("user {:016x}{:016x}", low.finish(), high.finish()),
            wgsl: self.text.to_string(),
            bindings: bindings.collect(),
            parameters: Vec::new(),
            parameters_bound: false,
            checks: Vec::new(),
            dtypes,
            grid: self.grid,
            work: self.grid.iter().map(|&size| u64::from(size)).product::<u64>() << 12,
            foreign: Some(plan::Foreign { name: self.name.to_string(), header: self.header }),
            aligned: Vec::new(),
            otherwise: None,
        }
    }

    /// What it makes of these tensors.
    ///
    /// # Errors
    /// For tensors of different devices.
    pub fn apply(self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        apply_multi(Kernel(Arc::new(self)), inputs)
    }
}

#[derive(Clone, Debug)]
struct Kernel(Arc<UserKernel>);

impl Op for Kernel {
    fn name(&self) -> &'static str {
        "kernel"
    }
    fn key(&self, key: &mut Key) {
        key.text(&self.0.name);
        key.text(&self.0.text);
        self.0.grid.iter().for_each(|&size| key.number(size.into()));
    }
    fn infer(&self, _inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(self.0.outputs.iter().cloned().collect())
    }
    fn vjp(&self, _cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        Err(Error::grad(format!(
            "{}: this kernel has no gradient. Give ad.kernel a vjp, or detach its inputs.",
            self.0.name
        )))
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

impl Structured for Kernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn cpu(&self, _host: &HostArguments<'_>) -> Result<()> {
        Err(Error::device(format!("{}: a kernel in WGSL runs on a GPU. Move its inputs with to('gpu').", self.0.name)))
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        let mut launch = self.0.launch();
        if launch.grid.contains(&0) || self.0.outputs.iter().all(|meta| meta.shape.elements() == 0) {
            return vec![Candidate { key: "nothing".to_owned(), temporaries: Vec::new(), launches: Vec::new() }];
        }
        let mut extended = arguments.to_vec();
        let (mut temporaries, mut launches) = (Vec::new(), Vec::new());
        for (number, argument) in arguments.iter().enumerate().take(self.0.inputs.len()) {
            // Whatever is not the plain array is copied to one.
            if argument.layout.is_contiguous() && argument.layout.offset == 0 && argument.start == Linear::default() {
                continue;
            }
            let place = plan::Place::Temporary(usize::MAX);
            let layout = Layout::contiguous(argument.layout.shape.clone());
            let own = extended.len();
            extended.push(Argument { place, dtype: argument.dtype, layout, start: Linear::default(), write: true });
            let strides = extended[own].layout.strides.clone();
            let (to, from) = (Place::whole(own, &strides), Place::whole(number, &argument.layout.strides));
            match boxes(&extended, caps, &argument.layout.shape, Put::Copy, to, Some(from)) {
                Some(Ok(copy)) => launches.extend(copy),
                _ => return Vec::new(),
            }
            temporaries.push(argument.layout.shape.elements().max(1) * WORD_BYTES);
            launch.bindings[number].argument = own;
        }
        launches.push(launch);
        vec![Candidate { key: "user".to_owned(), temporaries, launches }]
    }
}
