"""Chapter 13, a program in the style of TensorFlow 1: first the graph is written down, then a session runs it.

Names stand for values that are not there yet: a placeholder is fed when the session runs, a variable keeps its value
from run to run, and everything else says which function of which names it is. Tensors of adret are lazy too, but know
their inputs; here the graph is a program that can be run again with other inputs.
Shows such a graph in a few lines on top of adret, with the names of that time, and with it: a network that learns XOR,
a convolution on pictures [batch, height, width, channels], and the errors of that style: what is not fed, not
initialised, or of another shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import adret as ad
from adret import optim

Values = dict["Node", Any]


class Node:
    """A name for a value: a function of other nodes."""

    variables: list[Variable] = []  # noqa: RUF012 (the default graph of those days: one for the whole program)

    def __init__(self, function: Callable[..., Any], *inputs: Any, name: str = "") -> None:
        self.function, self.name = function, name
        self.inputs = [node if isinstance(node, Node) else constant(node) for node in inputs]

    def value(self, known: Values) -> Any:
        """Its value, computed once per run."""
        if self not in known:
            known[self] = self.function(*(node.value(known) for node in self.inputs))
        return known[self]

    def __add__(self, other: Any) -> Node:
        return Node(ad.add, self, other)

    def __sub__(self, other: Any) -> Node:
        return Node(ad.subtract, self, other)

    def __mul__(self, other: Any) -> Node:
        return Node(ad.multiply, self, other)


class Placeholder(Node):
    """A name for what is fed."""

    def __init__(self, dtype: ad.DType, shape: Sequence[int | None], name: str = "placeholder") -> None:
        super().__init__(lambda: None, name=name)
        self.dtype, self.shape = dtype, tuple(shape)

    def value(self, known: Values) -> Any:
        if self not in known:
            raise ValueError(f"placeholder {self.name!r} is not fed. Put it into feed_dict.")
        return known[self]

    def checked(self, given: Any) -> ad.Tensor:
        """What is fed, if its shape fits; None fits every size."""
        tensor = ad.asarray(given).astype(self.dtype)
        fits = tensor.ndim == len(self.shape)
        if not fits or any(want not in (None, size) for size, want in zip(tensor.shape, self.shape, strict=True)):
            raise ValueError(f"placeholder {self.name!r} has shape {self.shape} and is fed {tensor.shape}.")
        return tensor


class Variable(Node):
    """A name for a value that stays; it has one once it has been initialised."""

    def __init__(self, initial_value: Any, trainable: bool = True, name: str = "variable") -> None:
        super().__init__(lambda given: given, initial_value, name=name)
        self.trainable, self.tensor = trainable, None
        Node.variables.append(self)

    def value(self, known: Values) -> Any:
        if self.tensor is None:
            raise ValueError(f"variable {self.name!r} has no value. Run global_variables_initializer() first.")
        return self.tensor

    def initialise(self) -> None:
        """Gives it its first value."""
        self.tensor = self.inputs[0].value({}).detach().requires_grad_(self.trainable)


class GradientDescentOptimizer:
    """w <- w - rate dC/dw for all variables that may be trained."""

    def __init__(self, learning_rate: float) -> None:
        self.rate = learning_rate

    def minimize(self, cost: Node) -> Node:
        """A node that makes one step whenever it is run."""

        def step(value: ad.Tensor) -> None:
            trained = [variable.tensor for variable in Node.variables if variable.trainable]
            value.backward()
            stepper = optim.SGD([tensor for tensor in trained if tensor.grad is not None], lr=self.rate)
            stepper.step()
            stepper.zero_grad()

        return Node(step, cost, name="minimize")


class Session:
    """Runs nodes."""

    def run(self, fetches: Any, feed_dict: Mapping[Placeholder, Any] | None = None) -> Any:
        """The values of the nodes asked for, with these values for the placeholders."""
        known: Values = {node: node.checked(given) for node, given in (feed_dict or {}).items()}
        if isinstance(fetches, Node):
            found = fetches.value(known)
            return found.detach() if isinstance(found, ad.Tensor) else found
        several = [node.value(known) for node in fetches]
        return [found.detach() if isinstance(found, ad.Tensor) else found for found in several]


def constant(value: Any) -> Node:
    """The same in every run."""
    tensor = ad.asarray(value, dtype=ad.float32) if not isinstance(value, ad.Tensor) else value
    return Node(lambda: tensor)


def conv2d(x: Node, kernel: Node, strides: Sequence[int], padding: str) -> Node:
    """[n, height, width, in] by [height, width, in, out]: channels come last."""

    def function(x: ad.Tensor, kernel: ad.Tensor) -> ad.Tensor:
        images, kernels = ad.permute_dims(x, (0, 3, 1, 2)), ad.permute_dims(kernel, (3, 2, 0, 1))
        if padding == "SAME":
            # Each side gets ceil(size / stride) places; what is odd goes to the right and to the bottom.
            sides = []
            for axis in (3, 2):
                size, width, stride = images.shape[axis], kernels.shape[axis], strides[axis - 1]
                missing = max((-(-size // stride) - 1) * stride + width - size, 0)
                sides += [missing // 2, missing - missing // 2]
            images = ad.nn.functional.pad(images, sides)
        return ad.permute_dims(ad.nn.functional.conv2d(images, kernels, stride=tuple(strides[1:3])), (0, 2, 3, 1))

    return Node(function, x, kernel)


def truncated_normal(shape: Sequence[int], stddev: float = 1.0) -> Node:
    """Normal numbers of which none is more than two standard deviations away; others are drawn again."""

    def draw() -> ad.Tensor:
        numbers = ad.random.normal(shape)
        while (ad.abs(numbers) > 2).any():
            numbers = ad.where(ad.abs(numbers) > 2, ad.random.normal(shape), numbers)
        return stddev * numbers

    return Node(draw)


tf = SimpleNamespace(
    float32=ad.float32,
    placeholder=Placeholder,
    Variable=Variable,
    Session=Session,
    constant=constant,
    truncated_normal=truncated_normal,
    zeros=lambda shape: Node(lambda: ad.zeros(shape)),
    matmul=lambda a, b: Node(ad.matmul, a, b),
    square=lambda x: Node(ad.square, x),
    reduce_mean=lambda x: Node(ad.mean, x),
    reshape=lambda x, shape: Node(lambda tensor: tensor.reshape(shape), x),
    argmax=lambda x, axis: Node(lambda tensor: tensor.argmax(axis=axis), x),
    global_variables_initializer=lambda: Node(lambda: [variable.initialise() for variable in Node.variables] and None),
    nn=SimpleNamespace(
        tanh=lambda x: Node(ad.tanh, x),
        relu=lambda x: Node(ad.relu, x),
        conv2d=conv2d,
        bias_add=lambda x, bias: Node(ad.add, x, bias),
        sparse_softmax_cross_entropy_with_logits=lambda labels, logits: Node(
            lambda z, y: ad.cross_entropy(z, y.astype(ad.int32), reduction="none"), logits, labels
        ),
    ),
    train=SimpleNamespace(GradientDescentOptimizer=GradientDescentOptimizer),
)


def refused(call: Callable[[], Any], says: str) -> None:
    """Shows the error of a call that must fail."""
    message = ""
    try:
        call()
    except ValueError as error:
        message = str(error)
    print("refused:", message)
    assert says in message


# XOR, as one wrote it then.
ad.manual_seed(0)
x = tf.placeholder(tf.float32, [None, 2], name="x")
y = tf.placeholder(tf.float32, [None, 1], name="y")
w1 = tf.Variable(tf.truncated_normal([2, 8], stddev=1.0), name="w1")
b1 = tf.Variable(tf.zeros([8]), name="b1")
w2 = tf.Variable(tf.truncated_normal([8, 1], stddev=1.0), name="w2")
scale = tf.Variable(tf.constant(0.5), trainable=False, name="scale")
hidden = tf.nn.tanh(tf.matmul(x, w1) + b1)
output = tf.matmul(hidden, w2) * scale + tf.constant(0.5)
cost = tf.reduce_mean(tf.square(output - y))
step = tf.train.GradientDescentOptimizer(0.3).minimize(cost)

session = tf.Session()
table = {x: [[0, 0], [0, 1], [1, 0], [1, 1]], y: [[0], [1], [1], [0]]}
refused(lambda: session.run(cost, feed_dict=table), "variable 'w1' has no value")
session.run(tf.global_variables_initializer())
refused(lambda: session.run(cost, feed_dict={x: table[x]}), "placeholder 'y' is not fed")
refused(lambda: session.run(cost, feed_dict={**table, x: [[1, 2, 3]]}), "has shape (None, 2) and is fed (1, 3)")

before = session.run(cost, feed_dict=table).item()
for _ in range(400):
    _, value = session.run([step, cost], feed_dict=table)
answers = session.run(output, feed_dict=table).flatten().tolist()
print(f"XOR: cost {before:.3f} before, {value.item():.5f} after 400 steps; answers {[round(a, 2) for a in answers]}")
assert [round(answer) for answer in answers] == [0, 1, 1, 0]
assert session.run(scale).item() == 0.5, "what is not trainable stays"
assert session.run(hidden, feed_dict={x: [[0, 1]]}).shape == (1, 8), "a graph may be run in parts, for other batches"

# A convolution on digits, [batch, height, width, channels].
Node.variables.clear()
train_x, train_y, test_x, test_y = ad.data.digits()
images = tf.placeholder(tf.float32, [None, 8, 8, 1], name="images")
labels = tf.placeholder(tf.float32, [None], name="labels")
kernel = tf.Variable(tf.truncated_normal([3, 3, 1, 16], stddev=0.3), name="kernel")
bias = tf.Variable(tf.zeros([16]), name="bias")
features = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(images, kernel, strides=[1, 2, 2, 1], padding="SAME"), bias))
weights = tf.Variable(tf.truncated_normal([4 * 4 * 16, 10], stddev=0.06), name="weights")
logits = tf.matmul(tf.reshape(features, [-1, 4 * 4 * 16]), weights)
cost = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
step = tf.train.GradientDescentOptimizer(0.2).minimize(cost)
session.run(tf.global_variables_initializer())
for _ in range(12):
    for batch_x, batch_y in ad.data.DataLoader((train_x, train_y), 32, shuffle=True, seed=0):
        session.run(step, feed_dict={images: ad.expand_dims(batch_x, 3), labels: batch_y})
said = session.run(tf.argmax(logits, 1), feed_dict={images: ad.expand_dims(test_x, 3)})
accuracy = (said == test_y).astype(ad.float32).mean().item()
print(f"digits: {accuracy:.1%} of {len(test_y)} held-out ones")
assert accuracy > 0.93

# Sizes and values of SAME and VALID, against the library's own layer.
picture, small = ad.random.normal((2, 7, 6, 3)), ad.random.normal((3, 3, 3, 4))
run = tf.Session().run
assert run(tf.nn.conv2d(constant(picture), constant(small), [1, 2, 2, 1], "SAME")).shape == (2, 4, 3, 4)
assert run(tf.nn.conv2d(constant(picture), constant(small), [1, 2, 2, 1], "VALID")).shape == (2, 3, 2, 4)
here = run(tf.nn.conv2d(constant(picture), constant(small), [1, 1, 1, 1], "SAME"))
there = ad.nn.functional.conv2d(ad.permute_dims(picture, (0, 3, 1, 2)), ad.permute_dims(small, (3, 2, 0, 1)), padding=1)
assert ad.max(ad.abs(ad.permute_dims(here, (0, 3, 1, 2)) - there)).item() < 1e-4
