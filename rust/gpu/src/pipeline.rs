//! Compiled shaders, kept by the key of their text. Depends on `context`.
//! Invariant: equal keys and equal sets of extra writable bindings give the same pipeline.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use adret_core::error::{Error, ErrorKind, Result};
use adret_core::plan::{Foreign, Launch};
use adret_core::wgsl::with_writable;
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::adapter::ready;
use crate::cache::Cache;
use crate::context::Context;

/// Whether each binding is writable.
type Access = SmallVec<[bool; 8]>;

/// A shader that can be dispatched.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) raw: wgpu::ComputePipeline,
    pub(crate) layout: Layout,
}

/// What a shader's bindings look like.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) raw: wgpu::BindGroupLayout,
    /// Equal for equal layouts of a device.
    pub(crate) number: u64,
}

/// Everything compiled so far.
pub(crate) struct Pipelines {
    context: Arc<Context>,
    cache: Option<Cache>,
    checks: wgpu::ShaderRuntimeChecks,
    known: Mutex<HashMap<(String, u64), Arc<Pipeline>>>,
    layouts: Mutex<HashMap<Access, Layout>>,
}

impl fmt::Debug for Pipelines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pipelines")
    }
}

impl Pipelines {
    /// `ADRET_GPU_CHECKED=1` keeps the bounds checks that wgpu adds to shaders.
    pub(crate) fn new(context: Arc<Context>, info: &wgpu::AdapterInfo) -> Pipelines {
        let checked = std::env::var("ADRET_GPU_CHECKED").is_ok_and(|value| value == "1");
        let checks =
            if checked { wgpu::ShaderRuntimeChecks::checked() } else { wgpu::ShaderRuntimeChecks::unchecked() };
        let cache = Cache::open(&context.device, info);
        Pipelines { context, cache, checks, known: Mutex::default(), layouts: Mutex::default() }
    }

    /// Writes what was compiled since the last time to the cache's file.
    pub(crate) fn save(&self) {
        self.cache.iter().for_each(Cache::save);
    }

    /// Shaders compiled so far.
    pub(crate) fn count(&self) -> usize {
        self.known.lock().len()
    }

    /// The pipeline of a launch; bit `i` of `writable` makes binding `i` writable that the shader only reads.
    ///
    /// # Errors
    /// When the driver cannot compile it.
    pub(crate) fn get(&self, launch: &Launch, writable: u64) -> Result<Arc<Pipeline>> {
        let key = (launch.key.clone(), writable);
        if let Some(known) = self.known.lock().get(&key) {
            return Ok(Arc::clone(known));
        }
        // Two threads may compile the same text; the first result stays.
        let made = Arc::new(self.compile(launch, writable)?);
        Ok(Arc::clone(self.known.lock().entry(key).or_insert(made)))
    }

    fn compile(&self, launch: &Launch, writable: u64) -> Result<Pipeline> {
        let mut text = launch.wgsl.clone();
        let mut access: Access = SmallVec::new();
        for (number, binding) in launch.bindings.iter().enumerate() {
            let extra = number < 64 && writable >> number & 1 == 1;
            if extra && !binding.write {
                text = with_writable(&text, number);
            }
            access.push(binding.write || extra);
        }
        let mut immediates = launch.parameters.len() as u32 * 4;
        if launch.parameters_bound {
            access.push(false);
            immediates = 0;
        }
        let layout = self.layout(access)?;
        if let Some(foreign) = &launch.foreign {
            self.examine(&text, foreign)?;
        }
        let checks = match launch.foreign {
            None => self.checks,
            Some(_) => wgpu::ShaderRuntimeChecks::checked(),
        };
        let device = &self.context.device;
        self.cache.iter().for_each(Cache::touch);
        let made = self.context.guarded(|| {
            let source = wgpu::ShaderSource::Wgsl(text.into());
            let descriptor = wgpu::ShaderModuleDescriptor { label: None, source };
            // SAFETY: the core's printer makes the text: every index lies inside the domain whose layout the planner
            // checked against the buffer (`Layout::reach`), guards cover the rest, loops end at sizes, divisors are not 0.
            // A user's text, of which nothing is known, keeps all checks.
            let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
            let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: None,
                bind_group_layouts: &[Some(&layout.raw)],
                immediate_size: immediates,
            });
            let raw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // Shaders write workgroup memory before they read it.
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: self.cache.as_ref().map(|cache| &cache.raw),
            });
            Pipeline { raw, layout }
        });
        match (made, &launch.foreign) {
            (Err(error), Some(foreign)) if error.kind == ErrorKind::Internal => Err(Error::value(format!(
                "{}: the kernel does not fit its inputs, outputs and the adapter: {}.",
                foreign.name,
                last_cause(&error.message)
            ))),
            (made, _) => made,
        }
    }

    /// Fails where a user's text is not valid, with the user's own lines.
    fn examine(&self, text: &str, foreign: &Foreign) -> Result<()> {
        let source = wgpu::ShaderSource::Wgsl(text.into());
        let mut messages = Vec::new();
        // The error that the scope catches is the one that is told in full here.
        let outcome = self.context.guarded(|| {
            let module = self.context.device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
            messages = ready(module.get_compilation_info()).messages;
        });
        let errors = messages.iter().filter(|message| message.message_type == wgpu::CompilationMessageType::Error);
        let told: Vec<String> = errors
            .map(|message| match &message.location {
                Some(place) if place.line_number > foreign.header => {
                    let line = place.line_number - foreign.header;
                    let shown = text.lines().nth(place.line_number as usize - 1).unwrap_or_default().trim();
                    format!("line {line}, column {}: {} in `{shown}`", place.line_position, essence(&message.message))
                }
                _ => essence(&message.message),
            })
            .collect();
        match outcome {
            _ if !told.is_empty() => Err(Error::value(format!("{}: {}", foreign.name, told.join("; ")))),
            Err(error) if error.kind == ErrorKind::Internal => {
                Err(Error::value(format!("{}: {}.", foreign.name, last_cause(&error.message))))
            }
            outcome => outcome,
        }
    }

    fn layout(&self, access: Access) -> Result<Layout> {
        if let Some(known) = self.layouts.lock().get(&access) {
            return Ok(known.clone());
        }
        let entries: Vec<wgpu::BindGroupLayoutEntry> = access
            .iter()
            .enumerate()
            .map(|(number, &write)| wgpu::BindGroupLayoutEntry {
                binding: number as u32,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Storage { read_only: !write },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let descriptor = wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries };
        let raw = self.context.guarded(|| self.context.device.create_bind_group_layout(&descriptor))?;
        let mut layouts = self.layouts.lock();
        let number = layouts.len() as u64;
        Ok(layouts.entry(access).or_insert(Layout { raw, number }).clone())
    }
}

/// What a compiler's message says, without its drawing of the source.
fn essence(message: &str) -> String {
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains(['│', '┌']));
    let lines: Vec<&str> = lines
        .map(|line| line.split_once("error: ").map_or(line, |(_, rest)| rest).trim_start_matches("= note: "))
        .collect();
    lines.join("; ")
}

/// The innermost cause of an error of wgpu's.
fn last_cause(message: &str) -> String {
    let message = message.trim_end_matches(". Please report this.");
    let last = message.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.contains(['│', '┌']));
    last.unwrap_or(message).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line() {
        let drawn = "\nShader '' parsing error: no definition in scope for identifier: `z`\n   ┌─ wgsl:11:29\n   │\n11 │ y = z;\n";
        assert_eq!(essence(drawn), "no definition in scope for identifier: `z`");
        assert_eq!(
            last_cause("gpu: refused: Error\n\nCaused by:\n  Unable to find 'main'\n. Please report this."),
            "Unable to find 'main'"
        );
    }
}
