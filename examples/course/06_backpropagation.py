"""Chapter 6, backpropagation by hand: the chain rule, from the error back to every weight.

Forward: s = W o + b, o' = phi(s), layer by layer. Error: MSE = 1/(2n) sum (h - y)^2, and E = sum (h - y)^2.
Backward: dE/do at the output; dE/ds = dE/do * phi'(s); dE/do one layer below = W^T dE/ds; dE/dW = dE/ds o^T.
Shows that these four lines give what `backward()` gives, for both errors, and that going down them learns.
"""

from itertools import pairwise

import adret as ad

SIZES = [3, 5, 4, 2]
POINTS = 20

ad.manual_seed(1)
Weights = list[tuple[ad.Tensor, ad.Tensor]]


def start() -> Weights:
    """Small random weights and biases, [out, in] and [out, 1]."""
    weights: Weights = []
    for inputs, outputs in pairwise(SIZES):
        w = ad.random.normal((outputs, inputs), std=inputs**-0.5, dtype=ad.float64)
        weights.append((w.requires_grad_(), ad.zeros((outputs, 1), dtype=ad.float64, requires_grad=True)))
    return weights


def forward(weights: Weights, x: ad.Tensor) -> list[ad.Tensor]:
    """The outputs of all layers, the input first; columns are points."""
    outputs = [x]
    for w, b in weights:
        outputs.append(ad.tanh(w @ outputs[-1] + b))
    return outputs


def mse(h: ad.Tensor, y: ad.Tensor) -> tuple[ad.Tensor, ad.Tensor]:
    """1/(2n) of the squared distances, and its derivative by h."""
    n = y.shape[1]
    return ((h - y) ** 2).sum() / (2 * n), (h - y) / n


def squared(h: ad.Tensor, y: ad.Tensor) -> tuple[ad.Tensor, ad.Tensor]:
    """The sum of the squared distances, and its derivative by h."""
    return ((h - y) ** 2).sum(), 2 * (h - y)


def by_hand(weights: Weights, outputs: list[ad.Tensor], slope: ad.Tensor) -> list[tuple[ad.Tensor, ad.Tensor]]:
    """dE/dW and dE/db of every layer, given dE/do of the last."""
    gradients: list[tuple[ad.Tensor, ad.Tensor]] = []
    for (w, _), below, above in zip(reversed(weights), reversed(outputs[:-1]), reversed(outputs[1:]), strict=True):
        delta = slope * (1 - above**2)  # dE/ds, since tanh' = 1 - tanh^2
        gradients.append((delta @ below.T, delta.sum(axis=1, keepdims=True)))
        slope = w.T @ delta
    return gradients[::-1]


x = ad.random.normal((SIZES[0], POINTS), dtype=ad.float64)
y = ad.stack([ad.tanh(x[0] * x[1]), ad.sin(x[2])])

for name, error in (("MSE", mse), ("E", squared)):
    weights = start()
    loss, _ = error(forward(weights, x)[-1], y)
    loss.backward()
    with ad.no_grad():
        outputs = forward(weights, x)
        gradients = by_hand(weights, outputs, error(outputs[-1], y)[1])
    worst = 0.0
    for (w, b), (dw, db) in zip(weights, gradients, strict=True):
        assert w.grad is not None
        assert b.grad is not None
        worst = max(worst, ad.max(ad.abs(w.grad - dw)).item(), ad.max(ad.abs(b.grad - db)).item())
    print(f"{name:3}: {loss.item():.4f}; by hand and by backward() the gradients differ by {worst:.1e} at most")
    assert worst < 1e-12

# Learning with nothing but the lines above.
weights = start()
losses: list[float] = []
with ad.no_grad():
    for step in range(1001):
        outputs = forward(weights, x)
        loss, slope = mse(outputs[-1], y)
        for (w, b), (dw, db) in zip(weights, by_hand(weights, outputs, slope), strict=True):
            w -= 0.5 * dw
            b -= 0.5 * db
        losses.append(loss.item())
        if step % 250 == 0:
            print(f"step {step:4}: MSE {losses[-1]:.5f}")
assert losses[-1] < losses[0] / 20
