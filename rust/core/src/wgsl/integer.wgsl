// Functions of i32 and u32: division that is defined everywhere, powers, random bits, and keys that order any type. No bindings.

fn floor_div_i32(a: i32, b: i32) -> i32 {
    if (b == 0) {
        return 0;
    }
    if (b == -1) {
        return 0 - a;
    }
    let quotient = a / b;
    return select(quotient, quotient - 1, quotient * b != a && (a < 0) != (b < 0));
}

fn mod_i32(a: i32, b: i32) -> i32 {
    if (b == 0 || b == -1) {
        return 0;
    }
    let rest = a % b;
    return select(rest, rest + b, rest != 0 && (rest < 0) != (b < 0));
}

fn floor_div_u32(a: u32, b: u32) -> u32 {
    if (b == 0u) {
        return 0u;
    }
    return a / b;
}

fn mod_u32(a: u32, b: u32) -> u32 {
    if (b == 0u) {
        return 0u;
    }
    return a % b;
}

fn pow_u32(a: u32, b: u32) -> u32 {
    var result = 1u;
    var power = a;
    for (var left = b; left != 0u; left = left >> 1u) {
        if ((left & 1u) == 1u) {
            result = result * power;
        }
        power = power * power;
    }
    return result;
}

fn pow_i32(a: i32, b: i32) -> i32 {
    if (b < 0) {
        if (a == 1) {
            return 1;
        }
        return select(0, select(1, -1, (b & 1) == 1), a == -1);
    }
    return bitcast<i32>(pow_u32(bitcast<u32>(a), bitcast<u32>(b)));
}

// The high word of a product of two words.
fn multiply_high(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let cross = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let other = (a & 0xffffu) * (b >> 16u) + (cross & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (cross >> 16u) + (other >> 16u);
}

// Lane `index % 4` of Philox4x32-10 for block `counter + index / 4`.
fn philox(index: u32, key_low: u32, key_high: u32, counter_low: u32, counter_high: u32, stream: u32) -> u32 {
    let first = counter_low + (index >> 2u);
    var counter = vec4<u32>(first, counter_high + select(0u, 1u, first < counter_low), stream, 0u);
    var key = vec2<u32>(key_low, key_high);
    for (var turn = 0u; turn < 10u; turn = turn + 1u) {
        let high0 = multiply_high(0xd2511f53u, counter.x);
        let high1 = multiply_high(0xcd9e8d57u, counter.z);
        counter = vec4<u32>(
            high1 ^ counter.y ^ key.x, 0xcd9e8d57u * counter.z, high0 ^ counter.w ^ key.y, 0xd2511f53u * counter.x,
        );
        key = key + vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return counter[index & 3u];
}

// Keys that order as their values do, NaN above all; both zeros have one key.
fn order_f32(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return 0xffffffffu;
    }
    if ((bits & 0x7fffffffu) == 0u) {
        return 0x80000000u;
    }
    return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

// The reverse order, NaN above all again.
fn reverse_order_f32(x: f32) -> u32 {
    let key = order_f32(x);
    return select(~key, key, key == 0xffffffffu);
}

fn order_i32(x: i32) -> u32 {
    return bitcast<u32>(x) ^ 0x80000000u;
}

// A candidate for the position of an extreme: the greater key wins, of equal ones the first position.
fn first_of(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y));
}
