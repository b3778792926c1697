// 16-bit floats in the low half of a word, and f32 rounded to them, to nearest and ties to even. No bindings.

fn f16_bits(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let sign = (bits >> 16u) & 0x8000u;
    let size = bits & 0x7fffffffu;
    if (size > 0x7f800000u) {
        return sign | 0x7e00u;
    }
    // From half a step above the largest number on: infinity.
    if (size >= 0x477ff000u) {
        return sign | 0x7c00u;
    }
    // Below 2^-14 steps are 2^-24, which is the step of f32 between 0.5 and 1.
    if (size < 0x38800000u) {
        return sign | (bitcast<u32>(bitcast<f32>(size) + 0.5) - 0x3f000000u);
    }
    return sign | ((size + 0xfffu + ((size >> 13u) & 1u) - 0x38000000u) >> 13u);
}

fn f16_value(word: u32) -> f32 {
    let sign = (word & 0x8000u) << 16u;
    let size = word & 0x7fffu;
    if (size >= 0x7c00u) {
        return bitcast<f32>(sign | 0x7f800000u | ((size & 0x3ffu) << 13u));
    }
    if (size < 0x400u) {
        return bitcast<f32>(sign | bitcast<u32>(f32(size) * 5.9604644775390625e-8));
    }
    return bitcast<f32>(sign | ((size << 13u) + 0x38000000u));
}

fn round_f16(x: f32) -> f32 {
    return f16_value(f16_bits(x));
}

fn bf16_bits(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (bits >> 16u) | 0x40u;
    }
    return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}

fn bf16_value(word: u32) -> f32 {
    return bitcast<f32>(word << 16u);
}

fn round_bf16(x: f32) -> f32 {
    return bf16_value(bf16_bits(x));
}
