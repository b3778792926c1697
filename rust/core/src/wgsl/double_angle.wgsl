// Trigonometric functions of f64. No bindings.

struct QuadrantWide {
    angle: f64,
    number: u32,
}

// The fraction of |x| * 2 / pi from 192 bits of 2 / pi, for |x| > 10^6 (Payne and Hanek): bits that count whole turns fall away.
fn reduce_far_f64(x: f64) -> QuadrantWide {
    var digits = array<u32, 42>(
        0x00000000u, 0x00000000u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u,
        0xfe5163abu, 0xdebbc561u, 0xb7246e3au, 0x424dd2e0u, 0x06492eeau, 0x09d1921cu, 0xfe1deb1cu, 0xb129a73eu,
        0xe88235f5u, 0x2ebb4484u, 0xe99c7026u, 0xb45f7e41u, 0x3991d639u, 0x835339f4u, 0x9c845f8bu, 0xbdf9283bu,
        0x1ff897ffu, 0xde05980fu, 0xef2f118bu, 0x5a0a6d1fu, 0x6d367ecfu, 0x27cb09b7u, 0x4f463f66u, 0x9e5fea2du,
        0x7527bac7u, 0xebe5f17bu, 0x3d0739f7u, 0x8a5292eau, 0x6bfb5fb1u, 0x1f8d5d08u, 0x56033046u, 0xfc7b6babu,
        0xf0cfbc20u, 0x9af4361du,
    );
    let bits = bitcast<u64>(x);
    let mantissa = (bits & 0x000ffffffffffffflu) | 0x0010000000000000lu;
    let start = u32((bits >> 52u) & 0x7fflu) - 1013u;
    let word = start >> 5u;
    let left = start & 31u;
    var product = array<u32, 6>(0u, 0u, 0u, 0u, 0u, 0u);
    var taken = array<u32, 6>(0u, 0u, 0u, 0u, 0u, 0u);
    for (var part = 0u; part < 6u; part = part + 1u) {
        let both = (u64(digits[word + part]) << 32u) | u64(digits[word + part + 1u]);
        taken[part] = u32((both << left) >> 32u);
    }
    var carry = 0lu;
    for (var part = 6u; part > 0u; part = part - 1u) {
        let sum = (mantissa & 0xfffffffflu) * u64(taken[part - 1u]) + carry;
        product[part - 1u] = u32(sum & 0xfffffffflu);
        carry = sum >> 32u;
    }
    carry = 0lu;
    for (var part = 5u; part > 0u; part = part - 1u) {
        let sum = (mantissa >> 32u) * u64(taken[part]) + u64(product[part - 1u]) + carry;
        product[part - 1u] = u32(sum & 0xfffffffflu);
        carry = sum >> 32u;
    }
    let upper = (u64(product[0]) << 34u) | (u64(product[1]) << 2u) | (u64(product[2]) >> 30u);
    let lower = (u64(product[2]) << 34u) | (u64(product[3]) << 2u) | (u64(product[4]) >> 30u);
    let number = (product[0] >> 30u) + u32(upper >> 63u);
    // In quarters of a turn: the upper bits in two parts that floats hold.
    let signed = bitcast<i64>(upper);
    let coarse = f64(signed >> 32u) * 2.3283064365386963e-10lf;
    let fine = f64(u32(upper & 0xfffffffflu)) * 5.421010862427522e-20lf + f64(u32(lower >> 32u)) * 1.262177448353619e-29lf;
    let angle = (coarse + fine) * 1.5707963267948966lf;
    if (x < 0.0lf) {
        return QuadrantWide(-angle, 0u - number);
    }
    return QuadrantWide(angle, number);
}

// x = number * pi / 2 + angle with |angle| <= pi / 4; pi / 2 in three parts, of which two have exact products with a 20-bit integer.
fn reduce_angle_f64(x: f64) -> QuadrantWide {
    if (abs(x) > 1000000.0lf) {
        return reduce_far_f64(x);
    }
    let n = round(x * 0.6366197723675814lf);
    let first = keep_f64(x - n * 1.5707963267341256lf);
    let second = n * 6.077100506303966e-11lf;
    let near = upper_bits(first - second);
    let lost = (first - near) - second;
    let angle = near + (lost - n * 2.0222662487111665e-21lf);
    return QuadrantWide(angle, u32(i32(n)));
}

fn sine_reduced_f64(r: f64) -> f64 {
    let z = r * r;
    var p = 1.591811451157248e-10lf;
    p = fma(p, z, -2.505113166029247e-8lf);
    p = fma(p, z, 2.755731610178906e-6lf);
    p = fma(p, z, -0.00019841269836757408lf);
    p = fma(p, z, 0.008333333333330948lf);
    p = fma(p, z, -0.16666666666666666lf);
    return fma(r * z, p, r);
}

fn cosine_reduced_f64(r: f64) -> f64 {
    let z = r * r;
    var p = -1.1382622252384216e-11lf;
    p = fma(p, z, 2.087614613858505e-9lf);
    p = fma(p, z, -2.7557317271175225e-7lf);
    p = fma(p, z, 2.4801587298764788e-5lf);
    p = fma(p, z, -0.0013888888888887398lf);
    p = fma(p, z, 0.041666666666666664lf);
    return 1.0lf - (0.5lf * z - z * z * p);
}

fn sin_f64(x: f64) -> f64 {
    if (!is_finite_f64(x)) {
        return nan_f64();
    }
    if (x == 0.0lf) {
        return x;
    }
    let part = reduce_angle_f64(x);
    var value = sine_reduced_f64(part.angle);
    if ((part.number & 1u) == 1u) {
        value = cosine_reduced_f64(part.angle);
    }
    return select(value, -value, (part.number & 2u) == 2u);
}

fn cos_f64(x: f64) -> f64 {
    if (!is_finite_f64(x)) {
        return nan_f64();
    }
    let part = reduce_angle_f64(x);
    var value = cosine_reduced_f64(part.angle);
    if ((part.number & 1u) == 1u) {
        value = sine_reduced_f64(part.angle);
    }
    return select(value, -value, ((part.number + 1u) & 2u) == 2u);
}

fn tan_f64(x: f64) -> f64 {
    if (!is_finite_f64(x)) {
        return nan_f64();
    }
    if (x == 0.0lf) {
        return x;
    }
    let part = reduce_angle_f64(x);
    let sine = sine_reduced_f64(part.angle);
    let cosine = cosine_reduced_f64(part.angle);
    return select(sine / cosine, -cosine / sine, (part.number & 1u) == 1u);
}

// (arctan(t) - t) / t^3 as a polynomial in t^2, for |t| <= tan(pi / 8).
fn atan_series(z: f64) -> f64 {
    var p = 0.016329824635649953lf;
    p = fma(p, z, -0.03461221657494704lf);
    p = fma(p, z, 0.04553293748906021lf);
    p = fma(p, z, -0.05230846662004014lf);
    p = fma(p, z, 0.058789852313692374lf);
    p = fma(p, z, -0.06666430063881663lf);
    p = fma(p, z, 0.07692296681340306lf);
    p = fma(p, z, -0.0909090876480101lf);
    p = fma(p, z, 0.11111111105398756lf);
    p = fma(p, z, -0.14285714285662515lf);
    p = fma(p, z, 0.19999999999999815lf);
    p = fma(p, z, -0.3333333333333333lf);
    return p;
}

// The angle of (x, y): in the first octant arctan(t), t = y / x, near the diagonal pi / 4 + arctan((y - x) / (y + x)).
fn atan2_f64(y: f64, x: f64) -> f64 {
    if (is_nan_f64(x) || is_nan_f64(y)) {
        return nan_f64();
    }
    let up = abs(y);
    let along = abs(x);
    let steep = up > along;
    var a = select(up, along, steep);
    var b = select(along, up, steep);
    if (a == b) {
        a = select(1.0lf, 0.0lf, b == 0.0lf);
        b = 1.0lf;
    } else if (b > 1.0e308lf) {
        a = a * 0.25lf;
        b = b * 0.25lf;
    }
    let diagonal = a > 0.41421356lf * b;
    let t = select(a, a - b, diagonal) / select(b, a + b, diagonal);
    let z = t * t;
    var angle = fma(t * z, atan_series(z), t);
    if (is_infinite_f64(b)) {
        angle = 0.0lf;
    }
    let backward = is_negative_f64(x);
    var quarters = select(0.0lf, 1.0lf, diagonal);
    quarters = select(quarters, 2.0lf - quarters, steep);
    quarters = select(quarters, 4.0lf - quarters, backward);
    angle = select(angle, -angle, steep != backward);
    return copy_sign_f64(quarters * 0.7853981633670628lf + (quarters * 3.038550253253096e-11lf + angle), y);
}

fn atan_f64(x: f64) -> f64 {
    return atan2_f64(x, 1.0lf);
}

fn asin_f64(x: f64) -> f64 {
    if (!(abs(x) <= 1.0lf)) {
        return nan_f64();
    }
    return atan2_f64(x, sqrt((1.0lf - x) * (1.0lf + x)));
}

fn acos_f64(x: f64) -> f64 {
    if (!(abs(x) <= 1.0lf)) {
        return nan_f64();
    }
    return atan2_f64(sqrt((1.0lf - x) * (1.0lf + x)), x);
}
