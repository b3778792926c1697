"""Matrix products: adret against NumPy, PyTorch and JAX, on the CPU, in float32; some in bfloat16, which NumPy lacks.

Depends on `libraries` and `yardstick`. Invariant: a case names sizes as `rows x summed x columns`; a transposed operand
lies in memory as the other order has it, as in the gradients of a layer.
"""

from __future__ import annotations

import libraries
from libraries import Case
from yardstick import compare

SQUARES = [4, 16, 64, 128, 256, 512, 1024, 2048]
CASES = {
    **{f"matmul {n}x{n}x{n}": Case("product", ((n, n), (n, n))) for n in SQUARES},
    "matmul 128x784x512": Case("product", ((128, 784), (784, 512))),
    # Of the same layer: the gradients of its weight and of its input.
    "matmul 784x128x512, A transposed": Case("A transposed", ((128, 784), (128, 512))),
    "matmul 128x512x784, B transposed": Case("B transposed", ((128, 512), (784, 512))),
    "matvec 4096": Case("product", ((4096, 4096), (4096,))),
    "matmul 64 of 128x128x128": Case("product", ((64, 128, 128), (64, 128, 128))),
    "matmul 8 of 512x64x512": Case("product", ((8, 512, 64), (8, 64, 512))),
}
FUNCTIONS = {
    "product": lambda a, b: a @ b,
    "A transposed": lambda a, b: a.T @ b,
    "B transposed": lambda a, b: a @ b.T,
}
BFLOAT16 = {f"{name}, bfloat16": CASES[name] for name in CASES if "128" in name or "512" in name or "2048" in name}

if __name__ == "__main__":
    compare(
        [*CASES, *BFLOAT16],
        {
            "adret": lambda: {
                **libraries.adret_cases(CASES, FUNCTIONS),
                **libraries.adret_cases(BFLOAT16, FUNCTIONS, "bfloat16"),
            },
            "numpy": lambda: libraries.numpy_cases(CASES, FUNCTIONS),
            "torch": lambda: {
                **libraries.torch_cases(CASES, FUNCTIONS),
                **libraries.torch_cases(BFLOAT16, FUNCTIONS, "bfloat16"),
            },
            "jax": lambda: libraries.jax_cases(CASES, FUNCTIONS),
        },
    )
