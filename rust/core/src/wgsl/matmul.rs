//! Matrix products as shaders: tiles of 16 × 16 in workgroup memory. Depends on `source`, `types` and `pointwise`.
//! Invariant: operands may have any strides; a tile's elements outside the matrices count as 0 and are not read.

use smallvec::SmallVec;

use super::domain::{Walk, merge};
use super::source::{Memory, Source, too_large};
use super::types::{Type, wrapped};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::group::{Affine, Linear};
use crate::plan::{Argument, Caps, Launch, Matmul};

/// Rows and columns of a tile; its invocations are the square.
const TILE: usize = 16;

/// The product alone; `None` where it has no elements.
pub(super) fn launch(matmul: &Matmul, arguments: &[Argument], caps: &Caps) -> Result<Option<Launch>> {
    let Some(kind) = Type::of(matmul.dtype).filter(|_| !matches!(matmul.dtype, DType::Bool | DType::I64)) else {
        return Err(Error::dtype(format!(
            "matmul: this GPU does not multiply matrices of {}. Use astype to float32.",
            matmul.dtype
        )));
    };
    let batches: usize = matmul.batch.iter().product();
    if batches * matmul.m * matmul.n == 0 {
        return Ok(None);
    }
    if batches * matmul.m * matmul.n > i32::MAX as usize {
        return Err(too_large());
    }
    let element = kind.name();
    let mut source = Source::new(arguments);
    source.steps = 2 * matmul.k as u64;
    let result = source.memory(Memory { argument: matmul.result, element: kind, write: true });
    let [rows, columns, length] = [matmul.m, matmul.n, matmul.k].map(|size| source.size(size));
    let [tiles_down, tiles_across] = [matmul.m, matmul.n].map(|size| size.div_ceil(TILE));
    let [down, across, count] = [tiles_down, tiles_across, batches].map(|size| source.size(size));
    let tile = source.workgroup(&format!("vec2<{element}>"), (TILE * TILE) as u32);
    source.line(format!("let tile_column = (unit % {across}) * {TILE}u;"));
    source.line(format!("let tile_row = (unit / {across}) % {down} * {TILE}u;"));
    source.line(format!("let batch = unit / {across} / {down};"));
    source.line(format!("if (batch < {count}) {{"));
    source.line(format!("let x = lane % {TILE}u;"));
    source.line(format!("let y = lane / {TILE}u;"));
    let [lhs, rhs] = operands(&mut source, matmul, arguments, kind)?;
    source.line(format!("var sum = {};", kind.zero()));
    source.line(format!("for (var first = 0u; first < {length}; first = first + {TILE}u) {{"));
    source.line(format!("var a = {};", kind.zero()));
    source.line(format!("if (tile_row + y < {rows} && first + x < {length}) {{"));
    source.line(format!("a = {};", lhs.element("tile_row + y", "first + x")));
    source.line("}");
    source.line(format!("var b = {};", kind.zero()));
    source.line(format!("if (first + y < {length} && tile_column + x < {columns}) {{"));
    source.line(format!("b = {};", rhs.element("first + y", "tile_column + x")));
    source.line("}");
    source.line(format!("{tile}[lane] = vec2<{element}>(a, b);"));
    source.line("workgroupBarrier();");
    for step in 0..TILE {
        let product = format!("{tile}[y * {TILE}u + {step}u].x * {tile}[{}u + x].y", step * TILE);
        source.line(format!("sum = sum + {product};"));
    }
    source.line("workgroupBarrier();");
    source.line("}");
    source.line(format!("if (tile_row + y < {rows} && tile_column + x < {columns}) {{"));
    let start = source.start(Some(matmul.result), &Linear::constant(arguments[matmul.result].layout.offset as i64));
    let start = start.map_or(String::new(), |start| format!("{start} + "));
    let sum = wrapped(matmul.dtype, "sum".to_owned());
    source.line(format!(
        "store_{result}({start}i32((batch * {rows} + tile_row + y) * {columns} + tile_column + x), {sum});"
    ));
    source.line("}");
    source.line("}");
    let units = tiles_down * tiles_across * batches;
    source.finish("matmul: a workgroup per 16 x 16 tile", (TILE * TILE) as u32, units, caps).map(Some)
}

/// An operand: where its matrix of the batch starts, and its steps along rows and columns.
struct Operand {
    memory: String,
    start: &'static str,
    steps: [Option<String>; 2],
}

impl Operand {
    /// The element at these coordinates, which are `u32` expressions.
    fn element(&self, row: &str, column: &str) -> String {
        let mut index = self.start.to_owned();
        for (coordinate, step) in [row, column].into_iter().zip(&self.steps) {
            if let Some(step) = step {
                index.push_str(&format!(" + i32({coordinate}){step}"));
            }
        }
        format!("load_{}({index})", self.memory)
    }
}

/// Declares where the operands' matrices start for the number `batch`.
fn operands(source: &mut Source<'_>, matmul: &Matmul, arguments: &[Argument], kind: Type) -> Result<[Operand; 2]> {
    let rank = matmul.batch.len();
    let mut affines = [matmul.lhs, matmul.rhs].map(|argument| {
        let layout = &arguments[argument].layout;
        let strides = layout.strides[..rank].iter().map(|&stride| stride as i64).collect();
        Affine { offset: Linear::constant(layout.offset as i64), strides }
    });
    for argument in [matmul.lhs, matmul.rhs] {
        let (low, high) = arguments[argument].layout.reach().unwrap_or((0, 0));
        if i32::try_from(low).is_err() || i32::try_from(high).is_err() {
            return Err(too_large());
        }
    }
    let mut strides = vec![SmallVec::new(); 2];
    let sizes = merge(&matmul.batch, 0, &affines.each_mut(), &mut strides);
    let mut walk = Walk::new(&sizes, "batch", "n");
    walk.open(source);
    let mut bound = |argument: usize, name: &'static str, strides: &[i64]| {
        let layout = &arguments[argument].layout;
        let memory = source.memory(Memory { argument, element: kind, write: false });
        let offset = Linear::constant(layout.offset as i64);
        let mut terms: Vec<String> = source.start(Some(argument), &offset).into_iter().collect();
        walk.terms(strides, &mut |_, stride| source.number(stride), &mut terms);
        let start = if terms.is_empty() { "0".to_owned() } else { terms.join(" + ") };
        source.line(format!("let {name} = {start};"));
        let steps = [layout.strides[rank], layout.strides[rank + 1]].map(|stride| match stride {
            0 => None,
            1 => Some(String::new()),
            _ => Some(format!(" * {}", source.number(stride as i64))),
        });
        Operand { memory, start: name, steps }
    };
    Ok([bound(matmul.lhs, "lhs", &strides[0]), bound(matmul.rhs, "rhs", &strides[1])])
}
