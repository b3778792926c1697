// Functions of f32. No bindings; every function stands alone but for those it calls.
// Comparisons go through bits wherever NaN decides, since compilers may assume that there is none; infinities and NaN are
// made by `from_bits`, since constants may not hold them.

fn from_bits(bits: u32) -> f32 {
    return bitcast<f32>(bits);
}

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn is_infinite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u;
}

fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

fn is_negative(x: f32) -> bool {
    return (bitcast<u32>(x) >> 31u) == 1u;
}

fn equal_f32(a: f32, b: f32) -> bool {
    return a == b && !is_nan(a) && !is_nan(b);
}

fn less_f32(a: f32, b: f32) -> bool {
    return a < b && !is_nan(a) && !is_nan(b);
}

fn less_equal_f32(a: f32, b: f32) -> bool {
    return a <= b && !is_nan(a) && !is_nan(b);
}

fn maximum_f32(a: f32, b: f32) -> f32 {
    if (is_nan(a)) {
        return a;
    }
    if (is_nan(b)) {
        return b;
    }
    return select(b, a, a > b);
}

fn minimum_f32(a: f32, b: f32) -> f32 {
    if (is_nan(a)) {
        return a;
    }
    if (is_nan(b)) {
        return b;
    }
    return select(b, a, a < b);
}

fn sign_f32(x: f32) -> f32 {
    if (is_nan(x)) {
        return x;
    }
    return sign(x);
}

// a - trunc(a / b) * b without any rounding, for finite a and b other than 0: a long division of the significands, eight bits at a time.
fn cut_f32(a: f32, b: f32) -> f32 {
    let dividend = bitcast<u32>(a) & 0x7fffffffu;
    let divisor = bitcast<u32>(b) & 0x7fffffffu;
    if (dividend < divisor) {
        return a;
    }
    let exponent = max(divisor >> 23u, 1u);
    let by = (divisor & 0x7fffffu) | select(0u, 0x800000u, divisor >= 0x800000u);
    var rest = ((dividend & 0x7fffffu) | select(0u, 0x800000u, dividend >= 0x800000u)) % by;
    var bits = max(dividend >> 23u, 1u) - exponent;
    while (bits > 0u && rest > 0u) {
        let some = min(bits, 8u);
        rest = (rest << some) % by;
        bits = bits - some;
    }
    let sign = bitcast<u32>(a) & 0x80000000u;
    if (rest == 0u) {
        return bitcast<f32>(sign);
    }
    let up = 23u - firstLeadingBit(rest);
    if (up < exponent) {
        return bitcast<f32>(sign | ((exponent - up) << 23u) | ((rest << up) & 0x7fffffu));
    }
    return bitcast<f32>(sign | (rest << (exponent - 1u)));
}

fn is_zero(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) == 0u;
}

// The exact remainder, moved into the range of b, whose sign a zero takes.
fn mod_f32(a: f32, b: f32) -> f32 {
    if (is_nan(a)) {
        return a;
    }
    if (is_nan(b)) {
        return b;
    }
    if (is_infinite(a) || is_zero(b)) {
        return from_bits(0x7fc00000u);
    }
    var rest = a;
    if (is_finite(b)) {
        rest = cut_f32(a, b);
    }
    if (is_zero(rest)) {
        return bitcast<f32>(bitcast<u32>(b) & 0x80000000u);
    }
    if (is_negative(rest) == is_negative(b)) {
        return rest;
    }
    if (is_infinite(b)) {
        return b;
    }
    return rest + b;
}

// The nearest whole number; of two, the one that is further from 0.
fn nearest_f32(x: f32) -> f32 {
    if (abs(x) >= 8388608.0) {
        return x;
    }
    let whole = trunc(x);
    return whole + trunc((x - whole) * 2.0);
}

// By the exact remainder, without the rounding of a / b.
fn floor_div_f32(a: f32, b: f32) -> f32 {
    if (!is_finite(a) || is_nan(b) || is_zero(b)) {
        return floor(a / b);
    }
    let apart = is_negative(a) != is_negative(b);
    var rest = a;
    var quotient = 0.0;
    if (is_finite(b)) {
        rest = cut_f32(a, b);
        quotient = (a - rest) / b;
    }
    if (apart && !is_zero(rest)) {
        return nearest_f32(quotient - 1.0);
    }
    if (is_zero(quotient)) {
        return bitcast<f32>(select(0u, 0x80000000u, apart));
    }
    return nearest_f32(quotient);
}

// 2^n for -126 <= n <= 127.
fn power_of_two(n: i32) -> f32 {
    return bitcast<f32>(u32(n + 127) << 23u);
}

// x * 2^n for -252 <= n <= 254, in two steps so that neither factor leaves the range.
fn scale(x: f32, n: i32) -> f32 {
    let half = n >> 1u;
    return x * power_of_two(half) * power_of_two(n - half);
}

// e^r - 1 for |r| <= ln(2) / 2, by the Taylor series.
fn expm1_reduced(r: f32) -> f32 {
    let q = 0.5 + r * (1.6666667e-1 + r * (4.1666667e-2 + r * (8.3333333e-3 + r * (1.3888889e-3 + r * 1.9841270e-4))));
    return r + r * r * q;
}

// x = n ln(2) + r with ln(2) in two parts, the first exact in products with n.
fn exp_f32(x: f32) -> f32 {
    if (is_nan(x)) {
        return x;
    }
    let bounded = clamp(x, -104.0, 89.0);
    let n = round(bounded * 1.44269504);
    let r = (bounded - n * 0.693359375) + n * 2.12194440e-4;
    return scale(1.0 + expm1_reduced(r), i32(n));
}

fn expm1_f32(x: f32) -> f32 {
    if (is_nan(x) || x == 0.0) {
        return x;
    }
    if (x > 60.0) {
        return exp_f32(x);
    }
    let bounded = max(x, -30.0);
    let n = round(bounded * 1.44269504);
    let r = (bounded - n * 0.693359375) + n * 2.12194440e-4;
    let power = power_of_two(i32(n));
    return power * expm1_reduced(r) + (power - 1.0);
}

// ln(1 + f) - f for sqrt(0.5) <= 1 + f < sqrt(2): with s = f / (2 + f), ln(1 + f) = 2 (s + s^3 / 3 + s^5 / 5 + …).
fn log1p_rest(f: f32) -> f32 {
    let s = f / (2.0 + f);
    let z = s * s;
    let series = 2.0 * z * (3.3333333e-1 + z * (2.0e-1 + z * (1.4285714e-1 + z * (1.1111111e-1 + z * 9.0909091e-2))));
    return -s * (f - series);
}

struct Binary {
    exponent: f32,
    fraction: f32,
}

// x = 2^exponent (1 + fraction) with 1 + fraction between sqrt(0.5) and sqrt(2), for finite x > 0.
fn split_binary(x: f32) -> Binary {
    var bits = bitcast<u32>(x);
    var shift = 0;
    if (bits < 0x00800000u) {
        bits = bitcast<u32>(x * 8388608.0);
        shift = -23;
    }
    let moved = bitcast<i32>(bits - 0x3f3504f3u);
    let mantissa = bitcast<f32>((u32(moved) & 0x007fffffu) + 0x3f3504f3u);
    return Binary(f32((moved >> 23u) + shift), mantissa - 1.0);
}

fn log_special(x: f32) -> bool {
    return !(x > 0.0) || !is_finite(x);
}

fn log_of_special(x: f32) -> f32 {
    if (is_nan(x) || x < 0.0) {
        return from_bits(0x7fc00000u);
    }
    return select(from_bits(0x7f800000u), from_bits(0xff800000u), x == 0.0);
}

fn log_f32(x: f32) -> f32 {
    if (log_special(x)) {
        return log_of_special(x);
    }
    let parts = split_binary(x);
    return parts.exponent * 0.693359375
        + (parts.fraction + (log1p_rest(parts.fraction) - parts.exponent * 2.12194440e-4));
}

fn log2_f32(x: f32) -> f32 {
    if (log_special(x)) {
        return log_of_special(x);
    }
    let parts = split_binary(x);
    return parts.exponent + (parts.fraction + log1p_rest(parts.fraction)) * 1.44269504;
}

fn log10_f32(x: f32) -> f32 {
    if (log_special(x)) {
        return log_of_special(x);
    }
    let parts = split_binary(x);
    return parts.exponent * 0.30078125
        + (parts.exponent * 2.48745663981e-4 + (parts.fraction + log1p_rest(parts.fraction)) * 0.434294482);
}

fn log1p_f32(x: f32) -> f32 {
    if (x > -0.29 && x < 0.41) {
        return x + log1p_rest(x);
    }
    return log_f32(1.0 + x);
}

fn sinh_f32(x: f32) -> f32 {
    if (is_nan(x)) {
        return x;
    }
    let size = abs(x);
    var value = 0.0;
    if (size > 20.0) {
        let root = exp_f32(0.5 * size);
        value = (0.5 * root) * root;
    } else {
        let t = expm1_f32(size);
        value = 0.5 * (t + t / (t + 1.0));
    }
    return select(value, -value, x < 0.0);
}

fn cosh_f32(x: f32) -> f32 {
    if (is_nan(x)) {
        return x;
    }
    let root = exp_f32(0.5 * abs(x));
    return 0.5 * root * root + (0.5 / root) / root;
}

fn tanh_f32(x: f32) -> f32 {
    if (is_nan(x)) {
        return x;
    }
    let t = expm1_f32(2.0 * min(abs(x), 10.0));
    let value = t / (t + 2.0);
    return select(value, -value, x < 0.0);
}

fn asinh_f32(x: f32) -> f32 {
    if (!is_finite(x)) {
        return x;
    }
    let size = abs(x);
    var value = 0.0;
    if (size > 1.0e9) {
        value = log_f32(size) + 0.693147181;
    } else {
        let square = size * size;
        value = log1p_f32(size + square / (1.0 + sqrt(square + 1.0)));
    }
    return select(value, -value, x < 0.0);
}

fn acosh_f32(x: f32) -> f32 {
    if (is_nan(x) || x < 1.0) {
        return from_bits(0x7fc00000u);
    }
    if (x > 1.0e9) {
        return log_f32(x) + 0.693147181;
    }
    let t = x - 1.0;
    return log1p_f32(t + sqrt(2.0 * t + t * t));
}

fn atanh_f32(x: f32) -> f32 {
    let size = abs(x);
    if (is_nan(x) || size > 1.0) {
        return from_bits(0x7fc00000u);
    }
    if (size == 1.0) {
        return select(from_bits(0x7f800000u), from_bits(0xff800000u), x < 0.0);
    }
    let value = 0.5 * log1p_f32(2.0 * size / (1.0 - size));
    return select(value, -value, x < 0.0);
}

fn sigmoid_f32(x: f32) -> f32 {
    if (is_nan(x)) {
        return x;
    }
    let t = exp_f32(-abs(x));
    return select(1.0, t, x < 0.0) / (1.0 + t);
}

// Below 1 erf(x) / x, a polynomial in x^2; below 4 the logarithm of 1 - erf(x), a polynomial in x - 2.5; then 1.
fn erf_f32(x: f32) -> f32 {
    if (is_nan(x)) {
        return x;
    }
    let size = abs(x);
    if (size < 1.0) {
        let z = x * x;
        return x * (1.128379166 + z * (-3.761262667e-1 + z * (1.128359472e-1 + z * (-2.685421201e-2
            + z * (5.189087423e-3 + z * (-8.016864283e-4 + z * 7.875875050e-5))))));
    }
    let t = min(size, 4.0) - 2.5;
    let logarithm = 7.806815273 + t * (5.352680674 + t * (9.438937036e-1 + t * (1.085854164e-2 + t * (-2.165303549e-3
        + t * (4.201225235e-4 + t * (-7.729137615e-5 + t * (1.331501440e-5 + t * -1.637151416e-6)))))));
    let value = select(1.0 - exp_f32(-logarithm), 1.0, size > 4.0);
    return select(value, -value, x < 0.0);
}

fn is_whole(x: f32) -> bool {
    return floor(x) == x;
}

fn is_odd(x: f32) -> bool {
    return abs(x) < 16777216.0 && is_whole(x) && (i32(x) & 1) == 1;
}

// a^b for finite a > 0: b ln(a) in two parts, so that large results keep their digits.
fn pow_positive(a: f32, b: f32) -> f32 {
    let parts = split_binary(a);
    let whole = parts.exponent * 0.693359375;
    let sum = whole + parts.fraction;
    let rounding = parts.fraction - (sum - whole);
    let fine = rounding + (log1p_rest(parts.fraction) - parts.exponent * 2.12194440e-4);
    let high = sum + fine;
    let low = fine - (high - sum);
    let product = b * high;
    if (!(abs(product) < 200.0)) {
        return select(0.0, from_bits(0x7f800000u), product > 0.0);
    }
    let value = exp_f32(product);
    let rest = fma(b, high, -product) + b * low;
    return select(value, value + value * rest, is_finite(value));
}

fn pow_f32(a: f32, b: f32) -> f32 {
    if (b == 0.0 || a == 1.0) {
        return 1.0;
    }
    if (is_nan(a) || is_nan(b)) {
        return from_bits(0x7fc00000u);
    }
    let size = abs(a);
    var value = 0.0;
    if (is_infinite(b)) {
        if (size == 1.0) {
            return 1.0;
        }
        value = select(0.0, from_bits(0x7f800000u), (size > 1.0) == (b > 0.0));
        return value;
    }
    if (size == 0.0 || is_infinite(size)) {
        value = select(0.0, from_bits(0x7f800000u), (size == 0.0) == (b < 0.0));
    } else {
        if (a < 0.0 && !is_whole(b)) {
            return from_bits(0x7fc00000u);
        }
        value = pow_positive(size, b);
    }
    return select(value, -value, is_negative(a) && is_odd(b));
}

fn to_i32(x: f32) -> i32 {
    if (is_nan(x)) {
        return 0;
    }
    if (x >= 2147483648.0) {
        return 2147483647;
    }
    if (x <= -2147483648.0) {
        return i32(-2147483648);
    }
    return i32(x);
}

fn to_u32(x: f32) -> u32 {
    if (!(x > 0.0)) {
        return 0u;
    }
    if (x >= 4294967296.0) {
        return 0xffffffffu;
    }
    return u32(x);
}

// A number in the same order: NaN last in both directions, both zeros one.
fn sort_key(bits: u32, descending: u32) -> u32 {
    let magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        return 0xffffffffu;
    }
    let plain = select(bits, 0u, magnitude == 0u);
    let key = select(plain | 0x80000000u, ~plain, (plain >> 31u) == 1u);
    return select(key, 0xffffffffu - key, descending == 1u);
}
