//! One small product on the units for matrices, before any other is made there: an interface that is young, and drivers that few have
//! tried. Depends on the core's `Backend`. Invariant: all numbers are small and whole, so the result is exact or wrong.

use adret_core::backend::{Backend, Bindings};
use adret_core::dtype::DType;
use adret_core::error::Result;
use adret_core::group::Linear;
use adret_core::layout::Layout;
use adret_core::plan::{Argument, Kernel, Matmul, Place, Plan, PlanOutput, Prepared, Work};
use adret_core::shape::Shape;
use smallvec::SmallVec;

/// Rows, columns and terms: several squares, none of them full.
const SIZES: [usize; 3] = [72, 68, 44];

/// Whether the device multiplies float16 matrices rightly.
///
/// # Errors
/// What the driver reports.
pub(crate) fn multiplies(backend: &dyn Backend) -> Result<bool> {
    let [m, n, k] = SIZES;
    let small = |number: usize, step: usize| (number * step % 13) as i32 - 6;
    let left: Vec<i32> = (0..m * k).map(|number| small(number, 7)).collect();
    let right: Vec<i32> = (0..k * n).map(|number| small(number, 5)).collect();
    let expected = (0..m * n).map(|number| {
        let (row, column) = (number / n, number % n);
        half((0..k).map(|term| left[row * k + term] * right[term * n + column]).sum())
    });
    let stored = |numbers: &[i32]| numbers.iter().flat_map(|&number| half(number).to_ne_bytes()).collect::<Vec<u8>>();
    let inputs = [(backend.upload(DType::F16, &stored(&left))?, 0), (backend.upload(DType::F16, &stored(&right))?, 0)];
    let outputs = [(backend.allocate(backend.storage_bytes(DType::F16, m * n))?, 0)];
    let plan = plan()?;
    let bindings =
        Bindings { inputs: &inputs, outputs: &outputs, arena: None, slots: &[], cancelled: &|| false, watch: None };
    backend.run(&plan, &bindings)?;
    let mut found = vec![0; 2 * m * n];
    backend.download(&outputs[0].0, DType::F16, 0, &mut found)?;
    Ok(found.chunks_exact(2).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]])).eq(expected))
}

fn plan() -> Result<Plan> {
    let [m, n, k] = SIZES;
    let argument = |place: Place, sizes: [usize; 2]| -> Result<Argument> {
        let layout = Layout::contiguous(Shape::new(&sizes)?);
        let write = !matches!(place, Place::Input(_));
        Ok(Argument { place, dtype: DType::F16, layout, start: Linear::default(), write })
    };
    let arguments = vec![
        argument(Place::Input(0), [m, k])?,
        argument(Place::Input(1), [k, n])?,
        argument(Place::Output(0), [m, n])?,
    ];
    let batch = SmallVec::new();
    let product = Matmul { batch, m, n, k, dtype: DType::F16, lhs: 0, rhs: 1, result: 2, epilogue: None };
    Ok(Plan {
        kernels: vec![Kernel::new(Work::Matmul(product), arguments)],
        commit: 1,
        temporaries: Vec::new(),
        arena: 0,
        outputs: vec![PlanOutput { dtype: DType::F16, elements: m * n, donor: None }],
        constants: Vec::new(),
        prepared: Prepared::default(),
    })
}

/// A whole number of at most 2048 as float16.
fn half(number: i32) -> u16 {
    let Some(exponent) = number.unsigned_abs().checked_ilog2() else { return 0 };
    let digits = (number.unsigned_abs() << 10 >> exponent) & 0x3ff;
    let sign = u16::from(number < 0) << 15;
    sign | (exponent as u16 + 15) << 10 | digits as u16
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn whole_numbers_as_float16() {
        let known = [(0, 0), (1, 0x3c00), (-2, 0xc000), (3, 0x4200), (2048, 0x6800), (-1584, 0xe630), (1023, 0x63fe)];
        assert!(known.iter().all(|&(number, bits)| half(number) == bits));
    }
}
