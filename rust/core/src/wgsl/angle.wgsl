// Trigonometric functions of f32. No bindings. Vulkan bounds the builtin ones only loosely, hence these.

struct Quadrant {
    angle: f32,
    number: u32,
}

// The fraction of |x| * 2 / pi from 96 bits of 2 / pi, for |x| > 4096 (Payne and Hanek): bits that count whole turns fall away.
fn reduce_far(x: f32) -> Quadrant {
    var digits = array<u32, 8>(
        0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu,
    );
    let bits = bitcast<u32>(x);
    let mantissa = (bits & 0x007fffffu) | 0x00800000u;
    let start = ((bits >> 23u) & 0xffu) - 120u;
    let word = start >> 5u;
    let left = start & 31u;
    let right = (32u - left) & 31u;
    let keep = select(0xffffffffu, 0u, left == 0u);
    let w0 = (digits[word] << left) | ((digits[word + 1u] >> right) & keep);
    let w1 = (digits[word + 1u] << left) | ((digits[word + 2u] >> right) & keep);
    let w2 = (digits[word + 2u] << left) | ((digits[word + 3u] >> right) & keep);
    let low = multiply_high(mantissa, w2);
    let middle = mantissa * w1 + low;
    let carry = select(0u, 1u, middle < low);
    let high = mantissa * w0 + multiply_high(mantissa, w1) + carry;
    let fraction = (high << 2u) | (middle >> 30u);
    let number = (high >> 30u) + (fraction >> 31u);
    let angle = (f32(bitcast<i32>(fraction)) * 2.3283064e-10 + f32(middle << 2u) * 5.4210109e-20) * 1.5707964;
    if (x < 0.0) {
        return Quadrant(-angle, 0u - number);
    }
    return Quadrant(angle, number);
}

// x = number * pi / 2 + angle with |angle| <= pi / 4.
fn reduce_angle(x: f32) -> Quadrant {
    if (abs(x) > 4096.0) {
        return reduce_far(x);
    }
    let n = round(x * 0.636619772);
    let angle = ((x - n * 1.5703125) - n * 4.837512969970703125e-4) - n * 7.54978995489188216e-8;
    return Quadrant(angle, u32(i32(n)));
}

fn sine_reduced(r: f32) -> f32 {
    let z = r * r;
    return r + r * z * (-1.6666654611e-1 + z * (8.3321608736e-3 + z * -1.9515295891e-4));
}

fn cosine_reduced(r: f32) -> f32 {
    let z = r * r;
    return 1.0 - 0.5 * z + z * z * (4.166664568298827e-2 + z * (-1.388731625493765e-3 + z * 2.443315711809948e-5));
}

fn sin_f32(x: f32) -> f32 {
    if (!is_finite(x)) {
        return from_bits(0x7fc00000u);
    }
    let part = reduce_angle(x);
    let value = select(sine_reduced(part.angle), cosine_reduced(part.angle), (part.number & 1u) == 1u);
    return select(value, -value, (part.number & 2u) == 2u);
}

fn cos_f32(x: f32) -> f32 {
    if (!is_finite(x)) {
        return from_bits(0x7fc00000u);
    }
    let part = reduce_angle(x);
    let value = select(cosine_reduced(part.angle), sine_reduced(part.angle), (part.number & 1u) == 1u);
    return select(value, -value, ((part.number + 1u) & 2u) == 2u);
}

fn tan_f32(x: f32) -> f32 {
    if (!is_finite(x)) {
        return from_bits(0x7fc00000u);
    }
    let part = reduce_angle(x);
    let sine = sine_reduced(part.angle);
    let cosine = cosine_reduced(part.angle);
    return select(sine / cosine, -cosine / sine, (part.number & 1u) == 1u);
}

// For x >= 0: pi / 8 and 3 pi / 8 cut the range into thirds, whose arguments are small.
fn atan_positive(x: f32) -> f32 {
    var base = 0.0;
    var t = x;
    if (x > 2.41421356) {
        base = 1.57079633;
        t = -1.0 / x;
    } else if (x > 0.414213562) {
        base = 0.785398163;
        t = (x - 1.0) / (x + 1.0);
    }
    let z = t * t;
    let series = -3.33329491539e-1 + z * (1.99777106478e-1 + z * (-1.38776856032e-1 + z * 8.05374449538e-2));
    return base + (t + t * z * series);
}

fn atan_f32(x: f32) -> f32 {
    if (is_nan(x)) {
        return x;
    }
    if (is_infinite(x)) {
        return select(1.57079633, -1.57079633, x < 0.0);
    }
    let value = atan_positive(abs(x));
    return select(value, -value, x < 0.0);
}

// The angle of (x, y).
fn atan2_f32(y: f32, x: f32) -> f32 {
    if (is_nan(x) || is_nan(y)) {
        return from_bits(0x7fc00000u);
    }
    let rise = abs(y);
    let run = abs(x);
    var angle = 0.0;
    if (is_infinite(rise) && is_infinite(run)) {
        angle = 0.785398163;
    } else if (is_infinite(rise) || (run == 0.0 && rise != 0.0)) {
        angle = 1.57079633;
    } else if (!is_infinite(run) && rise != 0.0) {
        let quotient = rise / run;
        angle = 1.57079633;
        if (is_finite(quotient)) {
            angle = atan_positive(quotient);
        }
    }
    if (is_negative(x)) {
        angle = 3.14159265 - angle;
    }
    return select(angle, -angle, is_negative(y));
}

// For 0 <= x <= 0.5, and through the half angle beyond.
fn asin_small(x: f32) -> f32 {
    let z = x * x;
    let series = 1.6666752422e-1
        + z * (7.4953002686e-2 + z * (4.5470025998e-2 + z * (2.4181311049e-2 + z * 4.2163199048e-2)));
    return x + x * z * series;
}

fn asin_f32(x: f32) -> f32 {
    let size = abs(x);
    if (is_nan(x) || size > 1.0) {
        return from_bits(0x7fc00000u);
    }
    var value = 0.0;
    if (size > 0.5) {
        value = 1.57079633 - 2.0 * asin_small(sqrt(0.5 * (1.0 - size)));
    } else {
        value = asin_small(size);
    }
    return select(value, -value, x < 0.0);
}

fn acos_f32(x: f32) -> f32 {
    let size = abs(x);
    if (is_nan(x) || size > 1.0) {
        return from_bits(0x7fc00000u);
    }
    if (size > 0.5) {
        let value = 2.0 * asin_small(sqrt(0.5 * (1.0 - size)));
        return select(value, 3.14159265 - value, x < 0.0);
    }
    let value = asin_small(size);
    return select(1.57079633 - value, 1.57079633 + value, x < 0.0);
}
