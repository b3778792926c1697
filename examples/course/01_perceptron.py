"""Chapter 1, the perceptron (1958): one unit decides by a weighted sum whether it fires.

y = phi(w.x + b), where phi is Heaviside's step: 0 below the threshold, 1 from it on.
Shows that weights (1, 1) and bias -0.5 compute OR, and that no weights compute XOR.
"""

import adret as ad

# The four points of {0, 1}^2, one per row.
inputs = ad.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def heaviside(x: ad.Tensor, threshold: float = 0.0) -> ad.Tensor:
    """0 below the threshold, 1 from it on."""
    return (x >= threshold).astype(ad.float32)


def perceptron(x: ad.Tensor, weight: ad.Tensor, bias: ad.Tensor | float) -> ad.Tensor:
    """phi(w.x + b) for every row of x; columns of `weight` are units."""
    return heaviside(x @ weight + bias)


# OR, with the weights of the lecture.
y = perceptron(inputs, ad.tensor([1.0, 1.0]), -0.5)
for row, output in zip(inputs.tolist(), y.tolist(), strict=True):
    print(f"{row[0]:.0f} OR {row[1]:.0f} = {output:.0f}")
assert y.tolist() == [0.0, 1.0, 1.0, 1.0]

# XOR: try 41^3 units at once, every weight and bias from -2 to 2 in steps of 0.1.
steps = ad.linspace(-2.0, 2.0, 41)
w1 = ad.reshape(steps, (41, 1, 1))
w2 = ad.reshape(steps, (1, 41, 1))
bias = ad.reshape(steps, (1, 1, 41))
shape = (41, 41, 41)
weights = ad.stack([ad.broadcast_to(w1, shape).flatten(), ad.broadcast_to(w2, shape).flatten()])
outputs = perceptron(inputs, weights, ad.broadcast_to(bias, shape).flatten())  # [points, units]


def most_right(target: list[float]) -> int:
    """How many of the four points the best of all units gets right."""
    right = outputs == ad.expand_dims(ad.tensor(target), 1)
    return int(right.astype(ad.int32).sum(axis=0).max().item())


print(f"OR : the best of {41**3} units gets {most_right([0.0, 1.0, 1.0, 1.0])} of 4 points right")
print(f"XOR: the best of {41**3} units gets {most_right([0.0, 1.0, 1.0, 0.0])} of 4 points right")
assert most_right([0.0, 1.0, 1.0, 1.0]) == 4
assert most_right([0.0, 1.0, 1.0, 0.0]) == 3
# No finer grid helps: b < 0, w1 + b >= 0 and w2 + b >= 0 give w1 + w2 + b >= -b > 0, so (1, 1) fires too.
