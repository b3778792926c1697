"""Chapter 16, convolution: one small kernel looks at every place of a picture.

s(f, g) = sum over v, w of K(v, w) o(f + v, g + w): a correlation; with the kernel flipped it is a convolution.
With g = dL/ds the gradients are sums of the same form: the input's is g, with zeros around it, against the flipped
kernel; the kernel's is the input against g as a kernel.
Shows all three by loops against the library, in float64; channels, strides and padding; that the layer is a matrix with
few numbers in it; that a shifted picture gives a shifted answer; and what kernels see that one writes down oneself.
"""

from pathlib import Path

import adret as ad
from adret import nn

conv2d = nn.functional.conv2d
Picture = list[list[float]]


def correlate(o: Picture, kernel: Picture) -> Picture:
    """s(f, g) by loops, wherever the kernel fits."""
    height, width = len(kernel), len(kernel[0])
    return [
        [
            sum(kernel[v][w] * o[f + v][g + w] for v in range(height) for w in range(width))
            for g in range(len(o[0]) - width + 1)
        ]
        for f in range(len(o) - height + 1)
    ]


def flipped(kernel: Picture) -> Picture:
    """Upside down, and left to right."""
    return [row[::-1] for row in kernel[::-1]]


def surrounded(o: Picture, rows: int, columns: int) -> Picture:
    """With that many zeros on every side."""
    width = len(o[0]) + 2 * columns
    inside = [[0.0] * columns + row + [0.0] * columns for row in o]
    return [[0.0] * width for _ in range(rows)] + inside + [[0.0] * width for _ in range(rows)]


def gap(ours: Picture, theirs: ad.Tensor) -> float:
    """The largest difference."""
    return ad.max(ad.abs(ad.tensor(ours, dtype=ad.float64) - theirs.reshape(len(ours), len(ours[0])))).item()


# One channel: forward and both gradients.
ad.manual_seed(0)
o = ad.random.normal((1, 1, 7, 6), dtype=ad.float64).requires_grad_()
kernel = ad.random.normal((1, 1, 3, 2), dtype=ad.float64).requires_grad_()
g = ad.random.normal((1, 1, 5, 5), dtype=ad.float64)  # what comes back from the layers above
s = conv2d(o, kernel)
(s * g).sum().backward()
plain_o, plain_kernel, plain_g = o.detach()[0, 0].tolist(), kernel.detach()[0, 0].tolist(), g[0, 0].tolist()
gaps = {
    "s": gap(correlate(plain_o, plain_kernel), s.detach()),
    "dL/do": gap(correlate(surrounded(plain_g, 2, 1), flipped(plain_kernel)), o.grad),
    "dL/dK": gap(correlate(plain_o, plain_g), kernel.grad),
}
print("by loops and by the library:", ", ".join(f"{name} differ by {value:.1e}" for name, value in gaps.items()))
assert max(gaps.values()) < 1e-12

# Channels add up: each output channel has a kernel for each input channel, and a bias.
o = ad.random.normal((2, 3, 6, 6), dtype=ad.float64)
kernels = ad.random.normal((4, 3, 3, 3), dtype=ad.float64)
bias = ad.random.normal((4,), dtype=ad.float64)
s = conv2d(o, kernels, bias)
for sample in range(2):
    for out in range(4):
        parts = [correlate(o[sample, c].tolist(), kernels[out, c].tolist()) for c in range(3)]
        added = [
            [sum(cells) + bias[out].item() for cells in zip(*rows, strict=True)] for rows in zip(*parts, strict=True)
        ]
        assert gap(added, s[sample, out]) < 1e-12
# Zeros around keep the size; a stride of 2 takes every other place. Size after: (n + 2 padding - kernel) // stride + 1.
assert conv2d(o, kernels, padding=1).shape == (2, 4, 6, 6)
strided = conv2d(o, kernels, stride=2, padding=1)
assert strided.shape == (2, 4, (6 + 2 - 3) // 2 + 1, 3)
assert ad.max(ad.abs(strided - conv2d(o, kernels, padding=1)[:, :, ::2, ::2])).item() < 1e-12

# The same as a matrix: row (f, g) has the kernel's numbers at the places that it looks at, and zeros elsewhere.
small = ad.random.normal((1, 1, 3, 3), dtype=ad.float64)
basis = ad.eye(25, dtype=ad.float64).reshape(25, 1, 5, 5)  # every picture with one bright pixel
matrix = conv2d(basis, small).reshape(25, 9).T  # [places, pixels]
picture = ad.random.normal((1, 1, 5, 5), dtype=ad.float64)
assert ad.max(ad.abs(matrix @ picture.flatten() - conv2d(picture, small).flatten())).item() < 1e-12
used = ad.count_nonzero(matrix).item()
print(f"as a matrix of 9 x 25 it has {used} entries beside zeros, and only {small.size} different ones")
assert used == 9 * 9
# The gradient of a product with a matrix is one with its transpose: that is where the flipped kernel comes from.
g = ad.random.normal((1, 1, 3, 3), dtype=ad.float64)
back = conv2d(nn.functional.pad(g, (2, 2, 2, 2)), ad.flip(small, axis=(2, 3)))
assert ad.max(ad.abs(matrix.T @ g.flatten() - back.flatten())).item() < 1e-12
dense = nn.Linear(28 * 28, 6 * 28 * 28)
layer = nn.Conv2d(1, 6, 5, padding=2)
counts = [sum(p.size for p in module.parameters()) for module in (dense, layer)]
print(f"6 pictures of 28 x 28 from one: {counts[0]:,} numbers to learn in a dense layer, {counts[1]} in a convolution")
assert counts == [784 * 4704 + 4704, 6 * 25 + 6]

# A shifted picture gives a shifted answer, wherever the borders are far.
field = ad.zeros((1, 1, 20, 20))
field[:, :, 4:9, 3:8] = ad.random.normal((1, 1, 5, 5))
answer = layer(ad.roll(field, (5, 6), axis=(2, 3)))
assert ad.max(ad.abs(answer - ad.roll(layer(field), (5, 6), axis=(2, 3)))).item() < 1e-5

# Kernels with a meaning, on a digit.
digits, labels, _, _ = ad.data.digits()
one = ad.data.Resize(16)(digits[labels == 1][:1])
SEEING = {
    "edges left and right": [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]],
    "edges up and down": [[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]],
    "blurred": [[1 / 9] * 3] * 3,
    "sharper": [[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]],
}
bank = ad.tensor(list(SEEING.values()))
seen = conv2d(ad.expand_dims(one, 0), ad.expand_dims(bank, 1), padding=1)[0]
strength = dict(zip(SEEING, ad.abs(seen).mean(axis=(1, 2)).tolist(), strict=True))
print("answers to a 1:", ", ".join(f"{name} {value:.2f}" for name, value in strength.items()))
assert strength["edges left and right"] > 1.3 * strength["edges up and down"], "a 1 is an upright stroke"
flat = conv2d(ad.ones((1, 1, 9, 9)), ad.expand_dims(bank, 1))[0, :, 0, 0].tolist()
assert [round(value, 5) for value in flat] == [0.0, 0.0, 1.0, 1.0], "edges are nothing where all is alike"

figures = Path("figures")
if figures.is_dir():
    try:
        ad.plot.image_grid(ad.concat([one, seen]), columns=5, titles=["a 1", *SEEING], path=figures / "16_kernels.png")
    except ImportError as error:
        print("no picture:", error)
