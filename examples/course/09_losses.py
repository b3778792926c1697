"""Chapter 9, losses: which error to go down, and why.

Regression: if y is Gaussian around the output, -ln p(y) is the squared error plus a constant.
Classification: softmax s_i = exp(z_i) / sum exp(z_j), with the Jacobian diag(s) - s s^T; cross-entropy -sum y ln s;
both together as one function of z, with the gradient s - y.
Shows each of these with the library, and why softmax and cross-entropy belong together.
"""

from math import inf, log, pi

import adret as ad
from adret import nn

ad.manual_seed(0)

# Gaussian regression: the best output for -ln p is the best for the squared error, and their gradients are the same.
h = ad.random.normal((50,), dtype=ad.float64)
y = h + ad.random.normal((50,), std=0.3, dtype=ad.float64)


def minus_log_likelihood(h: ad.Tensor, sigma: float = 1.0) -> ad.Tensor:
    """-ln of the product of N(y; h, sigma^2) over all points."""
    return ((y - h) ** 2 / (2 * sigma**2) + log(sigma) + 0.5 * log(2 * pi)).sum()


def half_squares(h: ad.Tensor) -> ad.Tensor:
    """Half the squared distances, summed."""
    return 0.5 * nn.functional.mse_loss(h, y, reduction="sum")


constant = y.size * 0.5 * log(2 * pi)
assert abs(minus_log_likelihood(h).item() - half_squares(h).item() - constant) < 1e-10
gap = ad.max(ad.abs(ad.grad(minus_log_likelihood)(h) - ad.grad(half_squares)(h))).item()
print(f"-ln p and the squared error: values {constant:.2f} apart, gradients {gap:.1e}")
assert gap < 1e-12
# The mean is the best constant output for the squared error, the median for the absolute one.
points = ad.tensor([1.0, 2.0, 3.0, 4.0, 100.0], dtype=ad.float64)
assert abs(ad.grad(lambda c: ((points - c) ** 2).sum())(ad.mean(points)).item()) < 1e-12
assert ad.grad(lambda c: ad.abs(points - c).sum())(ad.tensor(3.0, dtype=ad.float64)).item() == 0.0

# Softmax, and its Jacobian.
z = ad.tensor([2.0, -1.0, 0.5, 0.0], dtype=ad.float64)
s = ad.softmax(z)
jacobian = ad.jacobian(ad.softmax)(z)
by_hand = ad.eye(4, dtype=ad.float64) * s - ad.outer(s, s)
print("softmax:", [round(p, 3) for p in s.tolist()])
for row in jacobian.tolist():
    print("   ", "  ".join(f"{entry:+.3f}" for entry in row))
assert ad.max(ad.abs(jacobian - by_hand)).item() < 1e-12
assert ad.max(ad.abs(jacobian.sum(axis=0))).item() < 1e-12, "probabilities only move among each other"
assert ad.max(ad.abs(ad.softmax(z + 100.0) - s)).item() < 1e-12, "only differences of z count"

# Cross-entropy of softmax: the gradient by z is s - y, whether for labels or for distributions.
target = ad.tensor([0.0, 0.0, 1.0, 0.0], dtype=ad.float64)


def in_steps(z: ad.Tensor) -> ad.Tensor:
    """-sum y ln softmax(z), as written."""
    return -(target * ad.log(ad.softmax(z))).sum()


def at_once(z: ad.Tensor) -> ad.Tensor:
    """The same as one function of z and the label."""
    return nn.functional.cross_entropy(ad.expand_dims(z, 0), ad.tensor([2]))


for name, f in (("in two steps", in_steps), ("fused", at_once)):
    gap = ad.max(ad.abs(ad.grad(f)(z) - (s - target))).item()
    print(f"cross-entropy {name}: {f(z).item():.6f}, gradient and s - y differ by {gap:.1e}")
    assert gap < 1e-12
# Its hessian is the Jacobian of softmax: positive semidefinite, so that the error has no false valley in z.
assert ad.max(ad.abs(ad.hessian(at_once)(z) - jacobian)).item() < 1e-12
direction = ad.random.normal((4,), dtype=ad.float64)
curvature = (ad.hvp(at_once, (z,), (direction,))[1][0] * direction).sum().item()
assert curvature > 0.0

# Why fused: in two steps, a confident mistake is infinitely bad and teaches nothing.
far = ad.tensor([1000.0, 0.0, 0.0, 0.0], dtype=ad.float64)
assert in_steps(far).item() == inf or in_steps(far).item() != in_steps(far).item()
assert at_once(far).item() == 1000.0
assert ad.grad(at_once)(far).tolist() == [1.0, 0.0, -1.0, 0.0]
print("a mistake of 1000: in two steps", in_steps(far).item(), "and fused", at_once(far).item())

# Squared error behind a sigmoid stops learning where it is most wrong; cross-entropy does not.
wrong = ad.tensor(-8.0, dtype=ad.float64)  # the output should be 1
slope_of_squares = ad.grad(lambda z: 0.5 * (ad.sigmoid(z) - 1.0) ** 2)(wrong).item()
slope_of_entropy = ad.grad(lambda z: nn.functional.softplus(-z))(wrong).item()
print(f"at z = -8 with target 1: slope {slope_of_squares:.1e} of the squares, {slope_of_entropy:.3f} of the entropy")
assert abs(slope_of_squares) < 1e-3 < 0.99 < abs(slope_of_entropy)
