//! Products on units for matrices, where no adapter has them: the same shaders with functions in place of the units, in which each lane
//! of a subgroup of eight holds a row of a matrix. Depends on `build`.

use adret_core::backend::{Backend, HostArguments};
use adret_core::dtype::DType;
use adret_core::error::{Error, Result};
use adret_core::group::Linear;
use adret_core::layout::Layout;
use adret_core::plan::{Argument, Candidate, Caps, Kernel, Launch, Matmul, Place, Structured, Work};
use adret_core::shape::Shape;
use adret_core::wgsl::lower;
use smallvec::SmallVec;

use crate::build::{gpu, plan, run_plan, scattered};

/// What stands in for the units.
const FUNCTIONS: &str = "struct Held {
    v: array<f32, 8>,
}

fn held_a(lane: u32, at: u32) -> Held {
    var held: Held;
    for (var i = 0u; i < 8u; i = i + 1u) {
        held.v[i] = f32(tile_a[at + lane * 40u + i]);
    }
    return held;
}

fn held_b(lane: u32, at: u32) -> Held {
    var held: Held;
    for (var i = 0u; i < 8u; i = i + 1u) {
        held.v[i] = f32(tile_b[at + lane * 72u + i]);
    }
    return held;
}

fn give(held: Held, lane: u32, at: u32) {
    var own = held;
    for (var i = 0u; i < 8u; i = i + 1u) {
        outcome[at + lane * 64u + i] = own.v[i];
    }
}

fn multiply_add(a: Held, b: Held, c: Held) -> Held {
    var left = a;
    var right = b;
    var sum = c;
    for (var term = 0u; term < 8u; term = term + 1u) {
        for (var column = 0u; column < 8u; column = column + 1u) {
            sum.v[column] = sum.v[column] + left.v[term] * subgroupShuffle(right.v[column], term);
        }
    }
    return sum;
}

@compute";

/// A product that is printed for units of eight by eight.
#[derive(Clone, Debug)]
struct StandIn(Matmul);

impl StandIn {
    fn edited(mut launch: Launch) -> Launch {
        assert!(launch.wgsl.contains("coopMultiplyAdd"), "{}", launch.wgsl);
        for (units, stand_in) in [
            ("enable wgpu_cooperative_matrix;\n", ""),
            ("coop_mat8x8<f32, C>()", "Held()"),
            ("coopLoadT<coop_mat8x8<f16, A>>(&tile_a[", "held_a(subgroup_lane, "),
            ("coopLoadT<coop_mat8x8<f16, B>>(&tile_b[", "held_b(subgroup_lane, "),
            ("coopMultiplyAdd(", "multiply_add("),
            (", &outcome[", ", subgroup_lane, "),
            ("coopStoreT(", "give("),
            ("], 40u)", ")"),
            ("], 72u)", ")"),
            ("], 64u)", ")"),
            ("@compute", FUNCTIONS),
        ] {
            launch.wgsl = launch.wgsl.replace(units, stand_in);
        }
        launch.key.push_str(" without units");
        launch.otherwise = launch.otherwise.map(|other| Box::new(Self::edited(*other)));
        launch
    }
}

impl Structured for StandIn {
    fn name(&self) -> &'static str {
        "product without units"
    }

    fn cpu(&self, _: &HostArguments<'_>) -> Result<()> {
        Err(Error::internal("runs on GPUs only"))
    }

    fn gpu(&self, arguments: &[Argument], _: usize, caps: &Caps) -> Vec<Candidate> {
        let caps = Caps { cooperative: Some(8), ..caps.clone() };
        let mut ways = lower(&Kernel::new(Work::Matmul(self.0.clone()), arguments.to_vec()), &caps).unwrap();
        for way in &mut ways {
            way.launches = std::mem::take(&mut way.launches).into_iter().map(Self::edited).collect();
        }
        ways
    }
}

/// Whether subgroups have the eight lanes that the stand-in takes, and shaders know float16.
fn fits() -> bool {
    adret_gpu::adapters().into_iter().find(adret_gpu::AdapterInfo::admitted).is_some_and(|adapter| {
        adapter.software && ["subgroup", "shader_f16"].iter().all(|feature| adapter.features.contains(feature))
    })
}

#[test]
fn products_as_units_make_them() {
    let Some(gpu) = gpu() else { return };
    if !fits() {
        eprintln!("skipped: this adapter has other subgroups");
        return;
    }
    for (batch, [m, n, k], transposed, start) in [
        (1, [64, 64, 64], false, 0),
        (1, [72, 52, 44], true, 0),
        (2, [33, 47, 101], false, 0),
        (1, [64, 68, 40], false, 1),
        (3, [40, 36, 32], false, 4),
    ] {
        product(&*gpu, batch, [m, n, k], transposed, start);
    }
}

fn product(gpu: &dyn Backend, batch: usize, [m, n, k]: [usize; 3], transposed: bool, start: usize) {
    let argument = |place: Place, sizes: [usize; 2]| {
        let layout = Layout::contiguous(Shape::new(&[batch, sizes[0], sizes[1]]).unwrap());
        let write = !matches!(place, Place::Input(_));
        Argument { place, dtype: DType::F16, layout, start: Linear::default(), write }
    };
    let mut arguments =
        vec![argument(Place::Input(0), [m, k]), argument(Place::Input(1), [k, n]), argument(Place::Output(0), [m, n])];
    if transposed {
        arguments[0].layout = Layout::contiguous(Shape::new(&[batch, k, m]).unwrap()).permute(&[0, 2, 1]);
    }
    let (left, right) = (scattered(batch * m * k + start, -3, 4), scattered(batch * k * n + start, -2, 5));
    let product = Matmul {
        batch: SmallVec::from_slice(&[batch]),
        m,
        n,
        k,
        dtype: DType::F16,
        lhs: 0,
        rhs: 1,
        result: 2,
        epilogue: None,
    };
    let routine = std::sync::Arc::new(StandIn(product));
    let kernel = Kernel::new(Work::Structured { routine, slots: 0 }, arguments);
    let plan = plan(vec![kernel], &[(DType::F16, batch * m * n)], &[]);
    let stored = |numbers: &[i64]| {
        let bytes: Vec<u8> = numbers.iter().flat_map(|&number| half(number).to_ne_bytes()).collect();
        (DType::F16, bytes, start as isize)
    };
    let found = &run_plan(gpu, &plan, &[stored(&left), stored(&right)], &[])[0];
    for (number, bits) in found.chunks_exact(2).enumerate() {
        let (block, row, column) = (number / (m * n), number / n % m, number % n);
        let expected: i64 = (0..k)
            .map(|term| {
                let at = if transposed { (block * k + term) * m + row } else { (block * m + row) * k + term };
                left[start + at] * right[start + (block * k + term) * n + column]
            })
            .sum();
        assert_eq!(
            u16::from_ne_bytes([bits[0], bits[1]]),
            half(expected),
            "{m}x{n}x{k} from {start}: batch {block}, row {row}, column {column} is not {expected}"
        );
    }
}

/// A whole number of at most 2048 as float16.
fn half(number: i64) -> u16 {
    let Some(exponent) = number.unsigned_abs().checked_ilog2() else { return 0 };
    let digits = (number.unsigned_abs() << 10 >> exponent) & 0x3ff;
    u16::from(number < 0) << 15 | (exponent as u16 + 15) << 10 | digits as u16
}
