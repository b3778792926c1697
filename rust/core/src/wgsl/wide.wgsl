// Functions of i64 and u64, and conversions between them and floats of 32 bits. No bindings.

fn wide_bits(low: u32, high: u32) -> u64 {
    return u64(low) | (u64(high) << 32u);
}

fn floor_div_i64(a: i64, b: i64) -> i64 {
    if (b == 0li) {
        return 0li;
    }
    if (b == -1li) {
        return 0li - a;
    }
    let quotient = a / b;
    return select(quotient, quotient - 1li, quotient * b != a && (a < 0li) != (b < 0li));
}

fn mod_i64(a: i64, b: i64) -> i64 {
    if (b == 0li || b == -1li) {
        return 0li;
    }
    let rest = a % b;
    return select(rest, rest + b, rest != 0li && (rest < 0li) != (b < 0li));
}

fn floor_div_u64(a: u64, b: u64) -> u64 {
    if (b == 0lu) {
        return 0lu;
    }
    return a / b;
}

fn mod_u64(a: u64, b: u64) -> u64 {
    if (b == 0lu) {
        return 0lu;
    }
    return a % b;
}

fn pow_u64(a: u64, b: u64) -> u64 {
    var result = 1lu;
    var power = a;
    for (var left = b; left != 0lu; left = left >> 1u) {
        if ((left & 1lu) == 1lu) {
            result = result * power;
        }
        power = power * power;
    }
    return result;
}

fn pow_i64(a: i64, b: i64) -> i64 {
    if (b < 0li) {
        if (a == 1li) {
            return 1li;
        }
        return select(0li, select(1li, -1li, (b & 1li) == 1li), a == -1li);
    }
    return bitcast<i64>(pow_u64(bitcast<u64>(a), bitcast<u64>(b)));
}

fn abs_i64(a: i64) -> i64 {
    return select(a, 0li - a, a < 0li);
}

fn sign_i64(a: i64) -> i64 {
    return select(select(0li, 1li, a > 0li), -1li, a < 0li);
}

fn to_i64(x: f32) -> i64 {
    if (is_nan(x)) {
        return 0li;
    }
    if (x >= 9223372036854775808.0) {
        return 9223372036854775807li;
    }
    if (x <= -9223372036854775808.0) {
        return -9223372036854775807li - 1li;
    }
    return i64(x);
}

fn to_u64(x: f32) -> u64 {
    if (!(x > 0.0)) {
        return 0lu;
    }
    if (x >= 18446744073709551616.0) {
        return 0xfffffffffffffffflu;
    }
    // Through signed numbers, which every driver converts.
    if (x >= 9223372036854775808.0) {
        return u64(i64(x - 9223372036854775808.0)) + 0x8000000000000000lu;
    }
    return u64(i64(x));
}

fn order_i64(x: i64) -> u64 {
    return bitcast<u64>(x) ^ 0x8000000000000000lu;
}

// A candidate for the position of an extreme: the greater key wins, of equal ones the first position.
fn first_of_wide(a: vec2<u64>, b: vec2<u64>) -> vec2<u64> {
    return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y));
}
