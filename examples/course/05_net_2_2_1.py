"""Chapter 5, a net with two inputs, two hidden units and one output: backpropagation with pencil and paper.

h = tanh(W1 x), s = tanh(w2.h), J = 1/2 (s - y)^2, one point after another, every weight stepping against its slope.
Shows that at every step the gradients worked out by hand and the library's agree to 1e-12.
"""

from math import tanh

import adret as ad

DATA = [((-1.0, -1.0), 0.0), ((-1.0, 1.0), 1.0), ((1.0, 1.0), 0.0), ((1.0, -1.0), 1.0)]
ALPHA = 0.2
EPOCHS = 25

# First index: the unit that a weight leads to; second: where it comes from.
START_1 = [[0.5, -0.3], [0.7, -0.1]]
START_2 = [0.2, -0.1]

Rows = list[list[float]]


def by_hand(w1: Rows, w2: list[float], x: tuple[float, float], y: float) -> tuple[Rows, list[float], float]:
    """Slopes of J for all six weights, and J, by the chain rule in plain Python."""
    h = [tanh(row[0] * x[0] + row[1] * x[1]) for row in w1]
    s = tanh(w2[0] * h[0] + w2[1] * h[1])
    delta = (s - y) * (1 - s * s)  # dJ by the sum that enters the output unit
    slope_2 = [delta * h[i] for i in range(2)]
    deltas = [delta * w2[i] * (1 - h[i] * h[i]) for i in range(2)]  # … the hidden units
    slope_1 = [[deltas[i] * x[j] for j in range(2)] for i in range(2)]
    return slope_1, slope_2, 0.5 * (s - y) ** 2


hand_1, hand_2 = [row[:] for row in START_1], START_2[:]
W1 = ad.tensor(START_1, dtype=ad.float64, requires_grad=True)
w2 = ad.tensor(START_2, dtype=ad.float64, requires_grad=True)
largest = 0.0
means: list[float] = []

for epoch in range(EPOCHS):
    total = 0.0
    for x, y in DATA:
        slope_1, slope_2, J = by_hand(hand_1, hand_2, x, y)

        s = ad.tanh(w2 @ ad.tanh(W1 @ ad.tensor(x, dtype=ad.float64)))
        loss = 0.5 * (s - y) ** 2
        loss.backward()

        pairs = [*zip([*slope_1[0], *slope_1[1]], W1.grad.flatten().tolist(), strict=True)]
        pairs += zip([*slope_2, J], [*w2.grad.tolist(), loss.item()], strict=True)
        largest = max([largest, *(abs(mine - its) for mine, its in pairs)])
        assert largest < 1e-12, f"epoch {epoch}, point {x}: the two differ by {largest}"
        if epoch == 0:
            numbers = ", ".join(f"{mine:+.6f}" for mine, _ in pairs[:-1])
            print(f"x = {x}, y = {y:.0f}: s = {s.item():+.6f}, slopes {numbers}")

        for i in range(2):
            hand_2[i] -= ALPHA * slope_2[i]
            for j in range(2):
                hand_1[i][j] -= ALPHA * slope_1[i][j]
        with ad.no_grad():
            W1 -= ALPHA * W1.grad
            w2 -= ALPHA * w2.grad
        W1.grad = w2.grad = None
        total += J
    means.append(total / len(DATA))

print(f"after {EPOCHS} epochs: W1 = {W1.tolist()}, w2 = {w2.tolist()}")
print(f"J fell from {means[0]:.4f} to {means[-1]:.4f}; gradients differ by {largest:.1e} at most")
assert means[-1] < means[0]
gap = max(
    abs(a - b) for a, b in zip([*hand_2, *hand_1[0], *hand_1[1]], [*w2.tolist(), *W1.flatten().tolist()], strict=True)
)
assert gap < 1e-12, f"the weights differ by {gap}"
