"""Chapter 4, one tanh neuron: it learns by going down the slope of its error.

s = tanh(w1 x + w0), J = 1/2 (s - y)^2, w <- w - alpha dJ/dw, and tanh' = 1 - tanh^2.
Shows that the derivative by hand is the library's, that J falls, and that the iteration ends where the slope is zero.
"""

from itertools import pairwise

import adret as ad

x = ad.tensor([-1.2, 0.3, -0.1, 0.0, -0.4, 0.7], dtype=ad.float64)
y = ad.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 1.0], dtype=ad.float64)
alpha = 0.1

# Column 0 is the constant 1, so that w0 is a weight like the other.
inputs = ad.stack([ad.ones_like(x), x], axis=1)
w = ad.zeros(2, dtype=ad.float64, requires_grad=True)


def error(w: ad.Tensor) -> ad.Tensor:
    """J, summed over the six points."""
    return 0.5 * ad.sum((ad.tanh(inputs @ w) - y) ** 2)


errors: list[float] = []
slope = float("inf")
while slope > 1e-9:
    J = error(w)
    J.backward()
    with ad.no_grad():
        s = ad.tanh(inputs @ w)
        by_hand = ((s - y) * (1 - s**2)) @ inputs
        gap = ad.max(ad.abs(w.grad - by_hand)).item()
        assert gap < 1e-12, f"step {len(errors)}: the derivatives differ by {gap}"
        slope = ad.max(ad.abs(by_hand)).item()
        w -= alpha * w.grad
    w.grad = None
    errors.append(J.item())
    if len(errors) in (1, 10, 100):
        print(f"step {len(errors):4}: J = {errors[-1]:.6f}, w = {w.tolist()}")

print(f"step {len(errors):4}: J = {errors[-1]:.6f}, w = {w.tolist()}, slope below 1e-9")
for point, target, output in zip(x.tolist(), y.tolist(), ad.tanh(inputs @ w).tolist(), strict=True):
    print(f"x = {point:4}: wanted {target:.0f}, got {output:5.2f}")

assert all(later < earlier + 1e-15 for earlier, later in pairwise(errors))
for index in range(2):
    for nudge in (-0.01, 0.01):
        moved = w.detach()
        moved[index] += nudge
        assert error(moved).item() > errors[-1], "a neighbour is lower: this is no minimum"
