//! Loads, stores, roundings and casts against their definitions. Depends on `tiles`.
//! Invariant: every pair of dtypes is met.

use super::*;

#[test]
fn every_half_float_loads_and_stores_exactly() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    let n = all.len();
    for dtype in [DType::F16, DType::BF16] {
        let mut floats = vec![0f32; n];
        let mut back = vec![0u16; n];
        // SAFETY: the vectors hold n values.
        unsafe {
            load(dtype, n, all.as_ptr().cast(), 1, floats.as_mut_ptr().cast());
            store(dtype, n, floats.as_ptr().cast(), back.as_mut_ptr().cast(), 1);
        }
        for (i, &bits) in all.iter().enumerate() {
            let exact = if dtype == DType::F16 {
                half::f16::from_bits(bits).to_f32()
            } else {
                half::bf16::from_bits(bits).to_f32()
            };
            if exact.is_nan() {
                // Signalling ones may come back quiet.
                let quiet = if dtype == DType::F16 { 0x200 } else { 0x40 };
                assert!(floats[i].is_nan() && back[i] | quiet == bits | quiet, "{dtype} {bits:x} {:x}", back[i]);
            } else {
                assert_eq!((floats[i], back[i]), (exact, bits), "{dtype}");
            }
        }
    }
}

#[test]
fn rounding_to_half_floats_is_to_nearest_even() {
    let inputs: Vec<f32> = (0..1_000_000u32).map(|i| f32::from_bits(i.wrapping_mul(4297))).collect();
    for dtype in [DType::F16, DType::BF16] {
        let mut bits = vec![0u16; inputs.len()];
        // SAFETY: the vectors hold as many values.
        unsafe { store(dtype, inputs.len(), inputs.as_ptr().cast(), bits.as_mut_ptr().cast(), 1) };
        for (&x, &got) in inputs.iter().zip(&bits) {
            let (exact, nan) = if dtype == DType::F16 {
                (half::f16::from_f32(x).to_bits(), half::f16::from_bits(got).is_nan())
            } else {
                (half::bf16::from_f32(x).to_bits(), half::bf16::from_bits(got).is_nan())
            };
            assert!(got == exact || (x.is_nan() && nan), "{dtype} {x:e}: {got:x}, not {exact:x}");
            let rounded = Value::of(dtype, round_to(dtype, x.to_slot()));
            let Float(rounded) = rounded else { unreachable!() };
            let exact = Scalar::Float(f64::from(x)).to_slot(dtype);
            assert!(
                rounded.is_nan() == x.is_nan() && (x.is_nan() || (rounded as f32).to_slot() == exact),
                "{dtype} {x:e} {:x}: {rounded:e} {exact:x}",
                x.to_bits()
            );
        }
    }
}

#[test]
fn strided_loads_and_stores_walk_any_way() {
    for dtype in DType::ALL {
        let (n, compute) = (70, dtype.compute());
        let slots = samples(dtype, n, 9);
        let mut values = Tile::of(compute, &slots);
        for stride in [1isize, 2, 3, -1, -2] {
            let mut memory = vec![0u8; 3 * n * dtype.size()];
            let origin = if stride < 0 { (n - 1) * stride.unsigned_abs() } else { 0 };
            let mut back = Tile::new(compute, n);
            // SAFETY: the memory has room for n elements at this stride on this side of the origin.
            unsafe {
                let start = memory.as_mut_ptr().add(origin * dtype.size());
                store(dtype, n, values.start(), start, stride);
                load(dtype, n, start, stride, back.start());
                assert_eq!(back.slots(compute, n), slots, "{dtype} stride {stride}");
                load(dtype, n, start, 0, back.start());
            }
            assert_eq!(back.slots(compute, n), vec![slots[0]; n], "{dtype} repeated");
        }
    }
}

#[test]
fn casts_truncate_saturate_wrap_and_round() {
    for from in DType::ALL {
        for to in DType::ALL {
            let n = 300;
            let slots = samples(from, n, 3);
            let (mut src, mut dst) = (Tile::of(from.compute(), &slots), Tile::new(to.compute(), n));
            // SAFETY: the tiles hold n values.
            unsafe { cast(from, to, n, dst.start(), src.start()) };
            for (&slot, got) in slots.iter().zip(dst.slots(to.compute(), n)) {
                let value = Value::of(from, slot);
                let exact = match (value, to.integer_range()) {
                    (Int(i), Some(_)) if to == DType::Bool => u64::from(i != 0),
                    (Float(f), Some(_)) if to == DType::Bool => u64::from(f != 0.0),
                    (Float(f), Some((low, high))) => {
                        Int(if f.is_nan() { 0 } else { (f as i128).clamp(low, high) }).slot(to)
                    }
                    (Int(i), _) if to.is_float() => Float(i as f64).slot(to),
                    _ => value.slot(to),
                };
                let nan = matches!(value, Float(f) if f.is_nan()) && to.is_float();
                assert!(got == exact || nan, "{from} → {to}: {value:?} gave {got:x}, not {exact:x}");
            }
        }
    }
}
