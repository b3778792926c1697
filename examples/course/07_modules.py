"""Chapter 7, modules as forward, backward and update: a network without a graph.

Each module knows three things: its output, the gradient of its input for that of its output, and how to step.
linear: y = W x + b, dx = W^T g, dW = g x^T, db = g; sigmoid: dx = g s (1 - s);
binary cross-entropy: -y ln p - (1 - y) ln(1 - p), dp = (p - y) / (p (1 - p)).
Shows the modules checked by central differences (l(t + e) - l(t - e)) / 2e, what that check costs (two propagations
per weight) beside one backward pass, and the same modules as `ad.Function`s inside the library's own graph.
"""

from collections.abc import Sequence

import adret as ad

EPS = 1e-6


class Linear:
    """y = W x + b; columns of x are points."""

    def __init__(self, inputs: int, outputs: int) -> None:
        self.w = ad.random.normal((outputs, inputs), std=inputs**-0.5, dtype=ad.float64)
        self.b = ad.zeros((outputs, 1), dtype=ad.float64)

    def forward(self, x: ad.Tensor) -> ad.Tensor:
        self.x = x
        return self.w @ x + self.b

    def backward(self, g: ad.Tensor) -> ad.Tensor:
        self.dw, self.db = g @ self.x.T, g.sum(axis=1, keepdims=True)
        return self.w.T @ g

    def update(self, rate: float) -> None:
        self.w -= rate * self.dw
        self.b -= rate * self.db


class Sigmoid:
    """s = 1 / (1 + exp(-x))."""

    def forward(self, x: ad.Tensor) -> ad.Tensor:
        self.s = ad.sigmoid(x)
        return self.s

    def backward(self, g: ad.Tensor) -> ad.Tensor:
        return g * self.s * (1 - self.s)

    def update(self, rate: float) -> None:
        """Nothing to learn."""


class BinaryCrossEntropy:
    """The sum of -y ln p - (1 - y) ln(1 - p)."""

    def forward(self, p: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
        self.p, self.y = p, y
        return (-y * ad.log(p) - (1 - y) * ad.log(1 - p)).sum()

    def backward(self) -> ad.Tensor:
        return (self.p - self.y) / (self.p * (1 - self.p))


ad.manual_seed(0)
modules: Sequence[Linear | Sigmoid] = [Linear(2, 6), Sigmoid(), Linear(6, 1), Sigmoid()]
layers = [module for module in modules if isinstance(module, Linear)]
loss = BinaryCrossEntropy()
propagations = 0

# Points inside and outside of a ring.
x = ad.random.uniform((2, 60), -1.0, 1.0, dtype=ad.float64)
y = ((x**2).sum(axis=0, keepdims=True) < 0.5).astype(ad.float64)


def forward(x: ad.Tensor) -> ad.Tensor:
    """The loss of the whole chain."""
    global propagations
    propagations += 1
    for module in modules:
        x = module.forward(x)
    return loss.forward(x, y)


def backward() -> None:
    """Gradients of all weights, from the loss down."""
    global propagations
    propagations += 1
    g = loss.backward()
    for module in reversed(modules):
        g = module.backward(g)


# One backward pass …
forward(x)
backward()
one_pass = propagations
# … against two propagations for every single weight.
propagations, worst = 0, 0.0
weights = [(layer.w, layer.dw) for layer in layers] + [(layer.b, layer.db) for layer in layers]
for weight, gradient in weights:
    for row in range(weight.shape[0]):
        for column in range(weight.shape[1]):
            here = weight[row, column]
            weight[row, column] = here + EPS
            above = forward(x)
            weight[row, column] = here - EPS
            below = forward(x)
            weight[row, column] = here
            quotient = (above - below).item() / (2 * EPS)
            worst = max(worst, abs(quotient - gradient[row, column].item()))
count = sum(weight.size for weight, _ in weights)
print(f"{count} weights: {propagations} propagations for the check, {one_pass} for the gradient itself")
print(f"gradients and difference quotients differ by {worst:.1e} at most")
assert propagations == 2 * count
assert worst < 1e-6

losses: list[float] = []
for epoch in range(601):
    losses.append(forward(x).item() / y.size)
    backward()
    for module in modules:
        module.update(0.05)
    if epoch % 200 == 0:
        print(f"epoch {epoch}: loss {losses[-1]:.4f}")
assert losses[-1] < 0.2 * losses[0]


# The same rules inside the library's graph: it calls them when their turn comes.
class LinearFunction(ad.Function):
    """y = W x + b, with the gradients of the lecture."""

    @staticmethod
    def forward(ctx, x, w, b):
        ctx.save_for_backward(x, w)
        return w @ x + b

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return w.T @ g, g @ x.T, g.sum(axis=1, keepdims=True)


w, b = layers[0].w.detach(), layers[0].b.detach()
assert ad.gradcheck(LinearFunction.apply, [x[:, :3], w, b], second_order=True)
print("the linear module as an ad.Function passes ad.gradcheck, to second order")
