//! What vectors do, lane by lane, on every path of this processor.

use super::*;

/// Every function of a vector against arrays.
struct Lanes;

impl<E: Element + PartialEq + std::fmt::Debug> Routine<E> for Lanes {
    type Output = ();

    unsafe fn run<V: Vector<Element = E>>(self) {
        let count = V::LANES;
        let of = |first: usize| -> Vec<E> { (0..count).map(|i| E::from((first + 3 * i) as f32)).collect() };
        let (a, b, c) = (of(1), of(100), of(1000));
        let mut memory = vec![E::ZERO; count * count + count];
        // SAFETY: the path is available, and the vectors are as long as a register.
        unsafe {
            let [x, y, z] = [&a, &b, &c].map(|from| V::load(from.as_ptr()));
            let found = |value: V| -> Vec<E> {
                let mut lanes = vec![E::ZERO; count];
                value.store(lanes.as_mut_ptr());
                lanes
            };
            let each = |of: &dyn Fn(usize) -> f64| -> Vec<E> { (0..count).map(|i| E::from(of(i) as f32)).collect() };
            let number = |from: &[E], i: usize| -> f64 { from[i].into() };

            assert_eq!(found(V::splat(b[0])), vec![b[0]; count]);
            assert_eq!(found(x.plus(y)), each(&|i| number(&a, i) + number(&b, i)));
            assert_eq!(found(x.times(y)), each(&|i| number(&a, i) * number(&b, i)));
            assert_eq!(found(z.plus_product(x, y)), each(&|i| number(&c, i) + number(&a, i) * number(&b, i)));
            let scaled = z.plus_scaled(x, V::factor(b.as_ptr().add(1)));
            assert_eq!(found(scaled), each(&|i| number(&c, i) + number(&a, i) * number(&b, 1)));
            let by_lanes = [z.plus_lane::<0>(x, y), z.plus_lane::<1>(x, y)];
            for (lane, sum) in by_lanes.into_iter().enumerate() {
                assert_eq!(found(sum), each(&|i| number(&c, i) + number(&a, i) * number(&b, lane)));
            }
            if count >= 4 {
                for (lane, sum) in [(2, z.plus_lane::<2>(x, y)), (3, z.plus_lane::<3>(x, y))] {
                    assert_eq!(found(sum), each(&|i| number(&c, i) + number(&a, i) * number(&b, lane)));
                }
            }
            let total: f64 = (0..count).map(|i| number(&a, i)).sum();
            assert_eq!(x.sum(), E::from(total as f32));

            let in_turn = |step: usize| -> Vec<E> {
                let groups = a.chunks(step).zip(b.chunks(step));
                groups.flat_map(|(a, b)| a.iter().chain(b)).copied().collect()
            };
            let every_second = |step: usize| -> Vec<E> {
                a.chunks(step).chain(b.chunks(step)).step_by(2).flatten().copied().collect()
            };
            assert_eq!(x.zip(y).map(found).concat(), in_turn(1));
            assert_eq!(x.zip_pairs(y).map(found).concat(), in_turn(2));
            assert_eq!(found(x.evens(y)), every_second(1));
            let odds: Vec<E> = a.iter().chain(&b).skip(1).step_by(2).copied().collect();
            assert_eq!(found(x.odds(y)), odds);
            if count > 2 {
                assert_eq!(found(x.even_pairs(y)), every_second(2));
            }

            for mask in (0..=V::ALL).step_by(if count > 8 { 97 } else { 1 }) {
                let chosen = |i: &usize| mask >> i & 1 == 1;
                assert_eq!(
                    found(V::load_some(a.as_ptr(), mask)),
                    each(&|i| if chosen(&i) { number(&a, i) } else { 0.0 })
                );
                let mut packed = vec![E::ZERO; count];
                x.store_packed(packed.as_mut_ptr(), mask);
                let mut expected: Vec<E> = (0..count).filter(chosen).map(|i| a[i]).collect();
                expected.resize(count, E::ZERO);
                assert_eq!(packed, expected, "{mask:b}");
            }

            let square: Vec<Vec<E>> = (0..count).map(|i| of(i * 50)).collect();
            let rows: Vec<*const E> = square.iter().map(|row| row.as_ptr()).collect();
            V::turn(&rows, memory.as_mut_ptr(), count + 1);
            for i in 0..count {
                for j in 0..count {
                    assert_eq!(memory[j * (count + 1) + i], square[i][j], "{i}, {j}");
                }
            }
        }
    }
}

#[test]
fn vectors_do_what_their_lanes_do() {
    for path in Path::available() {
        // SAFETY: the path is available.
        unsafe {
            launch::<f32, _>(path, Lanes);
            launch::<f64, _>(path, Lanes);
        }
    }
}

/// Products by one lane against products by a factor in all lanes: the same bits.
struct ByLane;

impl Routine<f32> for ByLane {
    type Output = ();

    unsafe fn run<V: Vector<Element = f32>>(self) {
        // SAFETY: the arrays hold what is read: six rows of four vectors at most, and as many factors.
        unsafe {
            rows::<V, 1>();
            rows::<V, 3>();
            rows::<V, 4>();
            rows::<V, 6>();
            rows::<V, 8>();
        }
    }
}

unsafe fn rows<V: Vector<Element = f32>, const R: usize>() {
    if V::LANES > 4 {
        return;
    }
    let noise = |count: usize, seed: usize| -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 97.0 - 10.0).collect()
    };
    // As long as they must be, so that what is read beyond is noticed by tools that watch memory.
    let (factors, lines) = (noise(R * V::LANES, 1), noise(V::LANES * V::LANES, 2));
    let found = |sums: [[V; 1]; R]| -> Vec<f32> {
        let mut lanes = vec![0.0; R * V::LANES];
        for (r, [sum]) in sums.into_iter().enumerate() {
            // SAFETY: there is room for R vectors.
            unsafe { sum.store(lanes[r * V::LANES..].as_mut_ptr()) };
        }
        lanes
    };
    // SAFETY: as the caller vouches.
    unsafe {
        let zeros = [[V::splat(0.0); 1]; R];
        let line = [V::load(lines.as_ptr())];
        let mut sums = zeros;
        by_lane::adjacent(&mut sums, &line, factors.as_ptr());
        let expected: [[V; 1]; R] = std::array::from_fn(|r| [zeros[r][0].plus_product(V::splat(factors[r]), line[0])]);
        assert_eq!(found(sums), found(expected));

        let (mut sums, mut b) = (zeros, lines.as_ptr());
        by_lane::along(&mut sums, factors.as_ptr(), V::LANES as isize, &mut b, V::LANES as isize);
        assert_eq!(b, lines.as_ptr().wrapping_add(lines.len()));
        let mut expected = zeros;
        for p in 0..V::LANES {
            for (r, [sum]) in expected.iter_mut().enumerate() {
                let factor = V::splat(factors[r * V::LANES + p]);
                *sum = sum.plus_product(factor, V::load(lines[p * V::LANES..].as_ptr()));
            }
        }
        assert_eq!(found(sums), found(expected));
    }
}

#[test]
fn products_by_lanes_are_products() {
    for path in Path::available() {
        // SAFETY: the path is available.
        unsafe { launch::<f32, _>(path, ByLane) };
    }
}
