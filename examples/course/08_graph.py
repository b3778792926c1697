"""Chapter 8, the computational graph: every operation is a node, and a gradient is a walk back over the nodes.

A tensor that is used twice has two users, and its gradient is the sum of what both send back. Going through the nodes
from young to old, each is complete when its turn comes: every node is visited once (dynamic programming), however many
paths lead through it. Shows a graph that remembers its nodes, drawn with shapes, values and gradients; the walk step by
step; that the library finds the same gradients; and a graph with a billion paths, walked in thirty steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import adret as ad

Rule = Callable[[ad.Tensor], list[ad.Tensor]]


class Node:
    """A value, how it came about, and how its gradient is shared among its inputs."""

    made: ClassVar[list[Node]] = []

    def __init__(self, name: str, value: ad.Tensor, inputs: list[Node] | None = None, rule: Rule | None = None) -> None:
        self.name, self.value, self.inputs, self.rule = name, value, inputs or [], rule
        self.grad = ad.zeros_like(value)
        Node.made.append(self)


def matmul(a: Node, b: Node) -> Node:
    """a b; da = g b^T, db = a^T g."""
    return Node("matmul", a.value @ b.value, [a, b], lambda g: [g @ b.value.T, a.value.T @ g])


def add(a: Node, b: Node) -> Node:
    """a + b; both get g."""
    return Node("add", a.value + b.value, [a, b], lambda g: [g, g])


def mul(a: Node, b: Node) -> Node:
    """a times b, element by element; da = g b, db = g a."""
    return Node("mul", a.value * b.value, [a, b], lambda g: [g * b.value, g * a.value])


def tanh(a: Node) -> Node:
    """tanh a; da = g (1 - tanh^2 a)."""
    y = ad.tanh(a.value)
    return Node("tanh", y, [a], lambda g: [g * (1 - y * y)])


def total(a: Node) -> Node:
    """The sum; every element gets g."""
    return Node("sum", a.value.sum(), [a], lambda g: [ad.broadcast_to(g, a.value.shape)])


def backward(root: Node, tell: Callable[[str], None] = lambda line: None) -> int:
    """Gradients of `root` by all nodes; the number of nodes visited."""
    root.grad = ad.ones_like(root.value)
    used = {id(root)}
    visited = 0
    # Nodes are listed in the order of their birth, so inputs stand before users.
    for node in reversed(Node.made):
        if id(node) not in used:
            continue
        visited += 1
        if node.rule is None:
            continue
        for source, share in zip(node.inputs, node.rule(node.grad), strict=True):
            source.grad = source.grad + share
            used.add(id(source))
            tell(f"{node.name:6} sends {numbers(share)} to {source.name}, which has {numbers(source.grad)} now")
    return visited


def numbers(x: ad.Tensor) -> str:
    """The elements in short."""
    return "[" + " ".join(f"{float(element):+.2f}" for element in x.flatten().tolist()) + "]"


def drawn(node: Node, indent: str = "", seen: set[int] | None = None) -> list[str]:
    """The graph below a node as lines; what was drawn before is only named."""
    seen = set() if seen is None else seen
    head = f"{indent}{node.name} {node.value.shape}"
    if id(node) in seen:
        return [f"{head} (see above)"]
    seen.add(id(node))
    lines = [f"{head} value {numbers(node.value)} gradient {numbers(node.grad)}"]
    for source in node.inputs:
        lines += drawn(source, indent + "  ", seen)
    return lines


def leaf(name: str, data: list[list[float]]) -> Node:
    """A node that nothing leads to."""
    return Node(name, ad.tensor(data, dtype=ad.float64))


# h is used twice, and so is x.
x, w = leaf("x", [[1.0, -0.5]]), leaf("w", [[0.3, 0.8], [-0.6, 0.1]])
h = tanh(matmul(x, w))
loss = total(add(mul(h, h), mul(h, x)))

print("The walk back:")
visited = backward(loss, lambda line: print("  " + line))
print("The graph:")
print("\n".join(drawn(loss, "  ")))
assert visited == len(Node.made) == 8


def same(x: ad.Tensor, w: ad.Tensor) -> ad.Tensor:
    """The same formula for the library."""
    h = ad.tanh(x @ w)
    return (h * h + h * x).sum()


dx, dw = ad.grad(same, argnums=(0, 1))(x.value, w.value)
gap = max(ad.max(ad.abs(dx - x.grad)).item(), ad.max(ad.abs(dw - w.grad)).item())
print(f"the library's gradients differ by {gap:.1e} at most")
assert gap < 1e-12

# 30 doublings: 2^30 paths from the end to the start, and the gradient is their number.
Node.made.clear()
start = node = leaf("start", [[1.0]])
for _ in range(30):
    node = add(node, node)
visited = backward(node)
print(f"{start.grad.item():.0f} paths, {visited} nodes visited")
assert start.grad.item() == 2.0**30
assert visited == 31


def doubled(x: ad.Tensor) -> ad.Tensor:
    """The same for the library."""
    for _ in range(30):
        x = x + x
    return x


assert ad.grad(doubled)(ad.tensor(1.0, dtype=ad.float64)).item() == 2.0**30

# Inside of the library's graph, too, one can look: hooks see each gradient when it is complete.
seen: list[float] = []
t = ad.tensor(0.5, dtype=ad.float64, requires_grad=True)
shared = ad.tanh(t)
shared.register_hook(lambda grad: seen.append(grad.item()))
(shared * shared + 3.0 * shared).backward()
assert len(seen) == 1, "once, though it has three users"
assert abs(seen[0] - (2.0 * shared.item() + 3.0)) < 1e-12
