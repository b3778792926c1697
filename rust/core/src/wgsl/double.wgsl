// Functions of f64, computed as the processor computes them. No bindings; every function stands alone but for those it calls.
// Comparisons go through bits wherever NaN decides; infinities and NaN are made by `from_bits_f64`.

fn from_bits_f64(bits: u64) -> f64 {
    return bitcast<f64>(bits);
}

fn nan_f64() -> f64 {
    return from_bits_f64(0x7ff8000000000000lu);
}

fn infinity_f64() -> f64 {
    return from_bits_f64(0x7ff0000000000000lu);
}

fn magnitude_f64(x: f64) -> u64 {
    return bitcast<u64>(x) & 0x7ffffffffffffffflu;
}

fn is_nan_f64(x: f64) -> bool {
    return magnitude_f64(x) > 0x7ff0000000000000lu;
}

fn is_infinite_f64(x: f64) -> bool {
    return magnitude_f64(x) == 0x7ff0000000000000lu;
}

fn is_finite_f64(x: f64) -> bool {
    return magnitude_f64(x) < 0x7ff0000000000000lu;
}

fn is_negative_f64(x: f64) -> bool {
    return (bitcast<u64>(x) >> 63u) == 1lu;
}

// The size of x with the sign of y.
fn copy_sign_f64(x: f64, y: f64) -> f64 {
    return from_bits_f64(magnitude_f64(x) | (bitcast<u64>(y) & 0x8000000000000000lu));
}

fn equal_f64(a: f64, b: f64) -> bool {
    return a == b && !is_nan_f64(a) && !is_nan_f64(b);
}

fn less_f64(a: f64, b: f64) -> bool {
    return a < b && !is_nan_f64(a) && !is_nan_f64(b);
}

fn less_equal_f64(a: f64, b: f64) -> bool {
    return a <= b && !is_nan_f64(a) && !is_nan_f64(b);
}

fn maximum_f64(a: f64, b: f64) -> f64 {
    if (is_nan_f64(a)) {
        return a;
    }
    if (is_nan_f64(b)) {
        return b;
    }
    return select(b, a, a > b);
}

fn minimum_f64(a: f64, b: f64) -> f64 {
    if (is_nan_f64(a)) {
        return a;
    }
    if (is_nan_f64(b)) {
        return b;
    }
    return select(b, a, a < b);
}

fn sign_f64(x: f64) -> f64 {
    if (is_nan_f64(x) || x == 0.0lf) {
        return x;
    }
    return select(1.0lf, -1.0lf, x < 0.0lf);
}

// The number itself, which compilers do not see: sums and products on both sides of it stay apart.
fn keep_f64(x: f64) -> f64 {
    let bits = bitcast<u64>(x);
    return from_bits_f64(bits ^ select(0lu, 1lu, (bits & 0x7ffffffffffffffflu) > 0x7ff0000000000000lu));
}

// The upper 26 bits: products of two such numbers are exact. Compilers may fold sums that were to show what rounding lost; they cannot
// fold this.
fn upper_bits(x: f64) -> f64 {
    return from_bits_f64(bitcast<u64>(x) & 0xfffffffff8000000lu);
}

// a - trunc(a / b) * b without any rounding, for finite a and b other than 0: a long division of the significands, eleven bits at a time.
fn cut_f64(a: f64, b: f64) -> f64 {
    let dividend = bitcast<u64>(a) & 0x7ffffffffffffffflu;
    let divisor = bitcast<u64>(b) & 0x7ffffffffffffffflu;
    if (dividend < divisor) {
        return a;
    }
    let hidden = 0x10000000000000lu;
    let exponent = max(u32(divisor >> 52u), 1u);
    let by = (divisor & (hidden - 1lu)) | select(0lu, hidden, divisor >= hidden);
    var rest = ((dividend & (hidden - 1lu)) | select(0lu, hidden, dividend >= hidden)) % by;
    var bits = max(u32(dividend >> 52u), 1u) - exponent;
    while (bits > 0u && rest > 0lu) {
        let some = min(bits, 11u);
        rest = (rest << some) % by;
        bits = bits - some;
    }
    let sign = bitcast<u64>(a) & 0x8000000000000000lu;
    if (rest == 0lu) {
        return from_bits_f64(sign);
    }
    let high = u32(rest >> 32u);
    let up = 52u - select(firstLeadingBit(u32(rest)), firstLeadingBit(high) + 32u, high > 0u);
    if (up < exponent) {
        return from_bits_f64(sign | (u64(exponent - up) << 52u) | ((rest << up) & (hidden - 1lu)));
    }
    return from_bits_f64(sign | (rest << (exponent - 1u)));
}

fn is_zero_f64(x: f64) -> bool {
    return magnitude_f64(x) == 0lu;
}

// The exact remainder, moved into the range of b, whose sign a zero takes.
fn mod_f64(a: f64, b: f64) -> f64 {
    if (is_nan_f64(a)) {
        return a;
    }
    if (is_nan_f64(b)) {
        return b;
    }
    if (is_infinite_f64(a) || is_zero_f64(b)) {
        return from_bits_f64(0x7ff8000000000000lu);
    }
    var rest = a;
    if (is_finite_f64(b)) {
        rest = cut_f64(a, b);
    }
    if (is_zero_f64(rest)) {
        return from_bits_f64(bitcast<u64>(b) & 0x8000000000000000lu);
    }
    if (is_negative_f64(rest) == is_negative_f64(b)) {
        return rest;
    }
    if (is_infinite_f64(b)) {
        return b;
    }
    return rest + b;
}

// The nearest whole number; of two, the one that is further from 0.
fn nearest_f64(x: f64) -> f64 {
    if (abs(x) >= 4503599627370496.0lf) {
        return x;
    }
    let whole = trunc(x);
    return whole + trunc((x - whole) * 2.0lf);
}

// By the exact remainder, without the rounding of a / b.
fn floor_div_f64(a: f64, b: f64) -> f64 {
    if (!is_finite_f64(a) || is_nan_f64(b) || is_zero_f64(b)) {
        return floor(a / b);
    }
    let apart = is_negative_f64(a) != is_negative_f64(b);
    var rest = a;
    var quotient = 0.0lf;
    if (is_finite_f64(b)) {
        rest = cut_f64(a, b);
        quotient = (a - rest) / b;
    }
    if (apart && !is_zero_f64(rest)) {
        return nearest_f64(quotient - 1.0lf);
    }
    if (is_zero_f64(quotient)) {
        return from_bits_f64(select(0lu, 0x8000000000000000lu, apart));
    }
    return nearest_f64(quotient);
}

// 2^n of a normal result.
fn power_of_two_f64(n: i64) -> f64 {
    return from_bits_f64(u64(n + 1023li) << 52u);
}

// x * 2^n in two steps, so that neither factor leaves the range.
fn scale_f64(x: f64, n: i64) -> f64 {
    let half = n >> 1u;
    return x * power_of_two_f64(half) * power_of_two_f64(n - half);
}

// e^r - 1 for |r| <= ln(2) / 2.
fn expm1_reduced_f64(r: f64) -> f64 {
    var p = 2.5110271252558164e-8lf;
    p = fma(p, r, 2.7620328400142397e-7lf);
    p = fma(p, r, 2.755724174806465e-6lf);
    p = fma(p, r, 2.4801520790224407e-5lf);
    p = fma(p, r, 0.0001984126988711262lf);
    p = fma(p, r, 0.0013888888917540068lf);
    p = fma(p, r, 0.008333333333322037lf);
    p = fma(p, r, 0.04166666666662347lf);
    p = fma(p, r, 0.16666666666666674lf);
    p = fma(p, r, 0.5lf);
    return fma(r * r, p, r);
}

struct Exponential {
    near: f64,
    power: i64,
}

// e^r - 1 and n, with x = n ln(2) + r, ln(2) in two parts.
fn exponential_parts(x: f64) -> Exponential {
    let n = round(x * 1.4426950408889634lf);
    let r = fma(n, -1.9082149292705877e-10lf, keep_f64(fma(n, -0.6931471803691238lf, x)));
    return Exponential(expm1_reduced_f64(r), i64(n));
}

fn exp_f64(x: f64) -> f64 {
    if (is_nan_f64(x)) {
        return x;
    }
    let parts = exponential_parts(clamp(x, -746.0lf, 710.0lf));
    return scale_f64(1.0lf + parts.near, parts.power);
}

fn expm1_f64(x: f64) -> f64 {
    if (is_nan_f64(x) || abs(x) < 1.0e-17lf) {
        return x;
    }
    let parts = exponential_parts(clamp(x, -40.0lf, 710.0lf));
    let half = power_of_two_f64(parts.power - 1li);
    return 2.0lf * fma(half, parts.near, half - 0.5lf);
}

fn sinh_f64(x: f64) -> f64 {
    if (is_nan_f64(x) || abs(x) < 1.0e-17lf) {
        return x;
    }
    let parts = exponential_parts(min(abs(x), 710.6lf));
    let quarter = power_of_two_f64(parts.power - 2li);
    let t = fma(quarter, parts.near, quarter - 0.25lf);
    let bounded = min(t, 1.0e17lf);
    return copy_sign_f64(2.0lf * (t + bounded / (4.0lf * bounded + 1.0lf)), x);
}

fn cosh_f64(x: f64) -> f64 {
    if (is_nan_f64(x)) {
        return x;
    }
    let parts = exponential_parts(min(abs(x), 710.6lf));
    let quarter = power_of_two_f64(parts.power - 2li);
    let e = fma(quarter, parts.near, quarter);
    return 2.0lf * (e + 0.0625lf / e);
}

fn tanh_f64(x: f64) -> f64 {
    if (is_nan_f64(x)) {
        return x;
    }
    let t = expm1_f64(-2.0lf * abs(x));
    return copy_sign_f64(-t / (2.0lf + t), x);
}

fn sigmoid_f64(x: f64) -> f64 {
    if (is_nan_f64(x)) {
        return x;
    }
    let fall = exp_f64(-abs(x));
    return select(1.0lf, fall, x < 0.0lf) / (1.0lf + fall);
}

struct BinaryWide {
    exponent: f64,
    fraction: f64,
}

// x = 2^exponent (1 + fraction) with 1 + fraction between sqrt(0.5) and sqrt(2), for finite x > 0.
fn split_f64(x: f64) -> BinaryWide {
    let denormal = x < 2.2250738585072014e-308lf;
    let bits = bitcast<u64>(select(x, x * 18014398509481984.0lf, denormal));
    let moved = bits + (0x3ff0000000000000lu - 0x3fe6a09e667f3bcdlu);
    let exponent = i32(moved >> 52u) - 1023 - select(0, 54, denormal);
    let fraction = from_bits_f64((moved & 0x000ffffffffffffflu) + 0x3fe6a09e667f3bcdlu) - 1.0lf;
    return BinaryWide(f64(exponent), fraction);
}

struct Logarithm {
    half_square: f64,
    s: f64,
    rest: f64,
}

// ln(1 + f) = f - h + s (h + rest) with h = f^2 / 2 and s = f / (2 + f).
fn log_terms(f: f64) -> Logarithm {
    let s = f / (2.0lf + f);
    let z = s * s;
    var p = 0.1462181789457506lf;
    p = fma(p, z, 0.15331276895517154lf);
    p = fma(p, z, 0.1818290287666064lf);
    p = fma(p, z, 0.22222210939842552lf);
    p = fma(p, z, 0.2857142862721702lf);
    p = fma(p, z, 0.39999999999896635lf);
    p = fma(p, z, 0.666666666666667lf);
    return Logarithm(0.5lf * f * f, s, z * p);
}

// exponent ln(2) + ln(1 + fraction).
fn log_sum(parts: BinaryWide) -> f64 {
    let terms = log_terms(parts.fraction);
    let tail = fma(terms.s, terms.half_square + terms.rest, parts.exponent * 1.9082149292705877e-10lf);
    return fma(parts.exponent, 0.6931471803691238lf, parts.fraction - (terms.half_square - tail));
}

fn log_special_f64(x: f64) -> bool {
    return !(x > 0.0lf) || !is_finite_f64(x);
}

fn log_of_special_f64(x: f64) -> f64 {
    if (is_nan_f64(x) || x < 0.0lf) {
        return nan_f64();
    }
    return select(infinity_f64(), -infinity_f64(), x == 0.0lf);
}

fn log_f64(x: f64) -> f64 {
    if (log_special_f64(x)) {
        return log_of_special_f64(x);
    }
    return log_sum(split_f64(x));
}

fn log1p_f64(x: f64) -> f64 {
    if (x == 0.0lf || is_nan_f64(x)) {
        return x;
    }
    if (x > -0.29lf && x < 0.41lf) {
        return log_sum(BinaryWide(0.0lf, x));
    }
    return log_f64(1.0lf + x);
}

// exponent base + ln(1 + fraction) factor, both constants in two parts; the first part of the factor has 21 bits, like that of the
// logarithm, so that their product is exact.
fn log_times(x: f64, base: f64, base_low: f64, factor: f64, factor_low: f64) -> f64 {
    let parts = split_f64(x);
    let terms = log_terms(parts.fraction);
    let upper = from_bits_f64(bitcast<u64>(parts.fraction - terms.half_square) & 0xffffffff00000000lu);
    let lower = fma(terms.s, terms.half_square + terms.rest, (parts.fraction - upper) - terms.half_square);
    let whole = parts.exponent * base;
    let part = upper * factor;
    let sum = upper_bits(whole + part);
    let lost = (whole - sum) + part;
    let fine = fma(lower + upper, factor_low, lower * factor);
    return sum + (lost + fma(parts.exponent, base_low, fine));
}

fn log2_f64(x: f64) -> f64 {
    if (log_special_f64(x)) {
        return log_of_special_f64(x);
    }
    return log_times(x, 1.0lf, 0.0lf, 1.4426946640014648lf, 3.768874985636099e-7lf);
}

fn log10_f64(x: f64) -> f64 {
    if (log_special_f64(x)) {
        return log_of_special_f64(x);
    }
    return log_times(x, 0.30102999566361177lf, 3.694239077158931e-13lf, 0.4342944622039795lf, 1.9699272335463627e-8lf);
}

fn asinh_f64(x: f64) -> f64 {
    if (!is_finite_f64(x)) {
        return x;
    }
    let size = abs(x);
    var value = 0.0lf;
    if (size > 1.0e150lf) {
        value = log_f64(size) + 0.6931471805599453lf;
    } else {
        let square = size * size;
        value = log1p_f64(size + square / (1.0lf + sqrt(square + 1.0lf)));
    }
    return copy_sign_f64(value, x);
}

fn acosh_f64(x: f64) -> f64 {
    if (is_nan_f64(x) || x < 1.0lf) {
        return nan_f64();
    }
    if (x > 1.0e150lf) {
        return log_f64(x) + 0.6931471805599453lf;
    }
    let t = x - 1.0lf;
    return log1p_f64(t + sqrt(2.0lf * t + t * t));
}

fn atanh_f64(x: f64) -> f64 {
    let size = abs(x);
    if (is_nan_f64(x) || size > 1.0lf) {
        return nan_f64();
    }
    if (size == 1.0lf) {
        return copy_sign_f64(infinity_f64(), x);
    }
    return copy_sign_f64(0.5lf * log1p_f64(2.0lf * size / (1.0lf - size)), x);
}

fn erf_small(x: f64) -> f64 {
    let z = x * x;
    var p = 5.960685774541766e-11lf;
    p = fma(p, z, -1.137495527547373e-9lf);
    p = fma(p, z, 1.4660328393759874e-8lf);
    p = fma(p, z, -1.6350396138663152e-7lf);
    p = fma(p, z, 1.6461008466085478e-6lf);
    p = fma(p, z, -1.4925595771182895e-5lf);
    p = fma(p, z, 0.00012055331132901585lf);
    p = fma(p, z, -0.0008548326981423657lf);
    p = fma(p, z, 0.00522397762482839lf);
    p = fma(p, z, -0.02686617064507787lf);
    p = fma(p, z, 0.11283791670954885lf);
    p = fma(p, z, -0.3761263890318375lf);
    p = fma(p, z, 0.1283791670955126lf);
    return fma(x, p, x);
}

// e^(x^2) (1 - erf(x)) for 1 <= x <= 6.
fn erf_scaled(x: f64) -> f64 {
    let t = (x - 3.0lf) / (x + 3.0lf);
    var p = -6.579405337932246e-6lf;
    p = fma(p, t, -6.440954415666561e-6lf);
    p = fma(p, t, 7.162404390953882e-5lf);
    p = fma(p, t, 5.021858260017492e-5lf);
    p = fma(p, t, -0.0005950000647230566lf);
    p = fma(p, t, 0.0007083055540012518lf);
    p = fma(p, t, 0.004269232728504772lf);
    p = fma(p, t, -0.024392489968652533lf);
    p = fma(p, t, 0.07166583744052259lf);
    p = fma(p, t, -0.1501159365456574lf);
    p = fma(p, t, 0.24560380170781063lf);
    p = fma(p, t, -0.3262335600431626lf);
    p = fma(p, t, 0.17900115118139lf);
    return p;
}

fn erf_f64(x: f64) -> f64 {
    if (is_nan_f64(x)) {
        return x;
    }
    if (abs(x) < 1.0lf) {
        return erf_small(x);
    }
    let size = min(abs(x), 6.0lf);
    return copy_sign_f64(1.0lf - exp_f64(-size * size) * erf_scaled(size), x);
}

// a^b for finite a > 0: b ln(a) with each factor in two parts, the first of 26 bits. ln(a) = k ln(2) + 2s + s^3 (2/3 + …), s = f / (2 + f).
fn pow_positive_f64(a: f64, b: f64) -> f64 {
    let parts = split_f64(a);
    let f = parts.fraction;
    let divisor = 2.0lf + f;
    let s = upper_bits(f / divisor);
    let f_upper = upper_bits(f);
    let s_low = (((f - 2.0lf * s) - s * f_upper) - s * (f - f_upper)) / divisor;
    let z = (s + s_low) * (s + s_low);
    var p = 0.1172425897646252lf;
    p = fma(p, z, 0.1170612507385906lf);
    p = fma(p, z, 0.1333480919529892lf);
    p = fma(p, z, 0.15384594872224233lf);
    p = fma(p, z, 0.18181818336322408lf);
    p = fma(p, z, 0.2222222222165133lf);
    p = fma(p, z, 0.28571428571429375lf);
    p = fma(p, z, 0.4lf);
    p = fma(p, z, 0.6666666666666666lf);
    let whole = parts.exponent * 0.6931471803691238lf;
    let rest = fma(parts.exponent, 1.9082149292705877e-10lf, 2.0lf * s_low + (s + s_low) * z * p);
    let log = upper_bits(whole + 2.0lf * s + rest);
    let log_low = ((whole - log) + 2.0lf * s) + rest;
    let exponent = clamp(b, -1180591620717411303424.0lf, 1180591620717411303424.0lf);
    let b_upper = upper_bits(exponent);
    let y = b_upper * log;
    let y_low = b_upper * log_low + (exponent - b_upper) * (log + log_low);
    if (!(abs(y) < 750.0lf)) {
        return select(0.0lf, infinity_f64(), y > 0.0lf);
    }
    let n = round((y + y_low) * 1.4426950408889634lf);
    let r = keep_f64(y - n * 0.6931471803691238lf) + (y_low - n * 1.9082149292705877e-10lf);
    return scale_f64(1.0lf + expm1_reduced_f64(r), i64(n));
}

fn is_odd_f64(x: f64) -> bool {
    let half = x * 0.5lf;
    return trunc(x) == x && trunc(half) != half;
}

fn pow_f64(a: f64, b: f64) -> f64 {
    if (b == 0.0lf || a == 1.0lf) {
        return 1.0lf;
    }
    if (is_nan_f64(a) || is_nan_f64(b)) {
        return nan_f64();
    }
    let size = abs(a);
    var value = 0.0lf;
    if (is_infinite_f64(b)) {
        if (size == 1.0lf) {
            return 1.0lf;
        }
        return select(0.0lf, infinity_f64(), (size > 1.0lf) == (b > 0.0lf));
    }
    if (size == 0.0lf || is_infinite_f64(size)) {
        value = select(0.0lf, infinity_f64(), (size == 0.0lf) == (b < 0.0lf));
    } else {
        if (a < 0.0lf && trunc(b) != b) {
            return nan_f64();
        }
        value = pow_positive_f64(size, b);
    }
    return select(value, -value, is_negative_f64(a) && is_odd_f64(b));
}

fn to_i64_f64(x: f64) -> i64 {
    if (is_nan_f64(x)) {
        return 0li;
    }
    if (x >= 9223372036854775808.0lf) {
        return 9223372036854775807li;
    }
    if (x <= -9223372036854775808.0lf) {
        return -9223372036854775807li - 1li;
    }
    return i64(x);
}

fn to_u64_f64(x: f64) -> u64 {
    if (!(x > 0.0lf)) {
        return 0lu;
    }
    if (x >= 18446744073709551616.0lf) {
        return 0xfffffffffffffffflu;
    }
    // Through signed numbers, which every driver converts.
    if (x >= 9223372036854775808.0lf) {
        return u64(i64(x - 9223372036854775808.0lf)) + 0x8000000000000000lu;
    }
    return u64(i64(x));
}

fn to_i32_f64(x: f64) -> i32 {
    if (is_nan_f64(x)) {
        return 0;
    }
    return i32(clamp(x, -2147483648.0lf, 2147483647.0lf));
}

fn to_u32_f64(x: f64) -> u32 {
    if (is_nan_f64(x)) {
        return 0u;
    }
    return u32(clamp(x, 0.0lf, 4294967295.0lf));
}

// Keys that order as their values do, NaN above all; both zeros have one key.
fn order_f64(x: f64) -> u64 {
    let bits = bitcast<u64>(x);
    if (is_nan_f64(x)) {
        return 0xfffffffffffffffflu;
    }
    if (magnitude_f64(x) == 0lu) {
        return 0x8000000000000000lu;
    }
    return select(bits | 0x8000000000000000lu, ~bits, (bits >> 63u) == 1lu);
}

// The reverse order, NaN above all again.
fn reverse_order_f64(x: f64) -> u64 {
    let key = order_f64(x);
    return select(~key, key, key == 0xfffffffffffffffflu);
}
