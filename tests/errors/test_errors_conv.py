"""Mistakes with convolutions: which exception, and that it says what is wrong, with values, and what to do.

Depends on adret. Invariant: each is raised by the call that made it, before anything is computed.
"""

from __future__ import annotations

from collections.abc import Callable

import adret as ad
import adret.nn.functional as F
import pytest
from adret import nn


def t(*shape: int, dtype: str = "float32") -> ad.Tensor:
    """A tensor of zeros."""
    return ad.zeros(shape, dtype=dtype)


def lenet() -> nn.Sequential:
    """A network whose Linear was made for other images."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.Conv2d(6, 16, 5, stride=2), nn.Flatten(), nn.Linear(400, 120)
    )


X, W = (2, 3, 8, 8), (4, 3, 3, 3)

MISTAKES: list[tuple[str, Callable[[], object], type[Exception], tuple[str, ...]]] = [
    ("rank", lambda: F.conv2d(t(8, 8), t(*W)), ad.ShapeError, ("conv2d", "(8, 8)", "[batch, channels, height, width]")),
    ("no whole number", lambda: nn.Conv2d(3, 4, 2.5), TypeError, ("Conv2d", "kernel_size is 2.5", "int", "2 of them")),
    ("cut numbers", lambda: nn.Conv2d(3, 4, (2.5, 2)), TypeError, ("kernel_size is (2.5, 2)",)),
    ("a word", lambda: nn.Conv1d(3, 4, "3"), TypeError, ("Conv1d", "kernel_size is '3'")),
    (
        "stride of a transpose",
        lambda: nn.ConvTranspose2d(3, 4, 3, None),
        TypeError,
        ("ConvTranspose2d", "stride is None"),
    ),
    ("padding of a layer", lambda: nn.ZeroPad2d(1.5), TypeError, ("ZeroPad2d", "padding is 1.5", "4 of them")),
    ("paddings of a layer", lambda: nn.ReflectionPad1d((1, 0.5)), TypeError, ("padding is (1, 0.5)", "2 of them")),
    ("rank of many", lambda: F.conv1d(t(*X), t(4, 3, 3)), ad.ShapeError, ("conv1d", "(2, 3, 8, 8)", "length")),
    ("rank, last", lambda: F.conv1d(t(3), t(4, 3, 3), channels_last=True), ad.ShapeError, ("length, channels",)),
    ("weight", lambda: F.conv2d(t(*X), t(4, 3, 3)), ad.ShapeError, ("weight is (4, 3, 3)", "out_channels")),
    (
        "channels",
        lambda: F.conv2d(t(*X), t(4, 5, 3, 3)),
        ad.ShapeError,
        ("axis 1", "3 channels", "takes 5", "in_channels 3"),
    ),
    (
        "channels of one",
        lambda: F.conv2d(t(3, 8, 8), t(4, 5, 3, 3)),
        ad.ShapeError,
        ("(3, 8, 8)", "axis 0", "3 channels"),
    ),
    ("channels are last", lambda: F.conv2d(t(2, 8, 8, 3), t(*W)), ad.ShapeError, ("8 channels", "channels_last=True")),
    (
        "channels, last",
        lambda: F.conv2d(t(2, 8, 8, 5), t(*W), channels_last=True),
        ad.ShapeError,
        ("axis 3", "5 channels"),
    ),
    (
        "groups",
        lambda: F.conv2d(t(2, 4, 8, 8), t(4, 4, 3, 3), groups=2),
        ad.ShapeError,
        ("4 channels", "2 groups", "8 in all"),
    ),
    (
        "groups of outputs",
        lambda: F.conv2d(t(2, 6, 8, 8), t(4, 2, 3, 3), groups=3),
        ad.ShapeError,
        ("4 output", "groups = 3"),
    ),
    ("no groups", lambda: F.conv2d(t(*X), t(*W), groups=0), ad.DomainError, ("groups is 0",)),
    ("bias", lambda: F.conv2d(t(*X), t(*W), t(3)), ad.ShapeError, ("bias is (3,)", "(4,)")),
    (
        "kernel too large",
        lambda: F.conv2d(t(2, 3, 8, 5), t(4, 3, 3, 4), padding=1, dilation=(1, 3)),
        ad.ShapeError,
        ("axis 3", "spans 10", "only 7", "padding", "3"),
    ),
    ("no image", lambda: F.conv2d(t(2, 3, 0, 8), t(*W)), ad.ShapeError, ("axis 2", "only 0")),
    ("no kernel", lambda: F.conv2d(t(*X), t(4, 3, 0, 3)), ad.ShapeError, ("size 0 along axis 2",)),
    ("stride 0", lambda: F.conv2d(t(*X), t(*W), stride=0), ad.DomainError, ("stride", "0", "1 or more")),
    ("negative stride", lambda: F.conv2d(t(*X), t(*W), stride=(1, -2)), ad.DomainError, ("stride is (1, -2)",)),
    ("three strides", lambda: F.conv2d(t(*X), t(*W), stride=(1, 1, 1)), ad.ShapeError, ("stride is (1, 1, 1)", "or 2")),
    ("negative padding", lambda: F.conv2d(t(*X), t(*W), padding=-1), ad.DomainError, ("padding", "-1", "0 or more")),
    ("dilation 0", lambda: F.conv2d(t(*X), t(*W), dilation=0), ad.DomainError, ("dilation", "0")),
    ("huge stride", lambda: F.conv2d(t(*X), t(*W), stride=2**40), ad.DomainError, ("stride",)),
    ("huge dilation", lambda: F.conv2d(t(*X), t(*W), dilation=2**31), ad.ShapeError, ("spans",)),
    ("huge padding", lambda: F.conv3d(t(1, 1, 2, 2, 2), t(1, 1, 1, 1, 1), padding=2**31), ad.ShapeError, ()),
    (
        "same with stride",
        lambda: F.conv2d(t(*X), t(*W), stride=2, padding="same"),
        ad.DomainError,
        ("same", "stride 2"),
    ),
    ("a word", lambda: F.conv2d(t(*X), t(*W), padding="full"), ad.DomainError, ("full", "same", "valid")),
    (
        "dtypes",
        lambda: F.conv2d(t(*X), t(*W, dtype="float64")),
        ad.DTypeError,
        ("float32", "weight is float64", "astype"),
    ),
    ("dtype of the bias", lambda: F.conv2d(t(*X), t(*W), t(4, dtype="float16")), ad.DTypeError, ("bias is float16",)),
    ("integers", lambda: F.conv2d(t(*X, dtype="int64"), t(*W, dtype="int64")), ad.DTypeError, ("int64", "floats")),
    (
        "transpose, channels",
        lambda: F.conv_transpose2d(t(*X), t(4, 3, 3, 3)),
        ad.ShapeError,
        ("conv_transpose2d", "3", "4"),
    ),
    (
        "transpose, groups",
        lambda: F.conv_transpose2d(t(*X), t(3, 2, 3, 3), groups=2),
        ad.ShapeError,
        ("3 input channels", "groups = 2"),
    ),
    (
        "transpose, extra",
        lambda: F.conv_transpose2d(t(*X), t(3, 2, 3, 3), stride=2, output_padding=2),
        ad.DomainError,
        ("output_padding is 2", "stride is 2"),
    ),
    (
        "transpose, nothing",
        lambda: F.conv_transpose1d(t(1, 3, 2), t(3, 2, 3), padding=2),
        ad.ShapeError,
        ("axis 2", "4"),
    ),
    ("layer, groups", lambda: nn.Conv2d(3, 4, 3, groups=2), ad.DomainError, ("Conv2d", "in_channels is 3", "groups 2")),
    ("layer, groups of outputs", lambda: nn.Conv2d(4, 3, 3, groups=2), ad.DomainError, ("out_channels is 3",)),
    ("layer, channels", lambda: nn.Conv1d(0, 4, 3), ad.DomainError, ("Conv1d", "0")),
    ("layer, kernel", lambda: nn.Conv2d(3, 4, (3, 0)), ad.DomainError, ("kernel_size is (3, 0)",)),
    ("layer, kernels", lambda: nn.Conv2d(3, 4, (3, 3, 3)), ad.ShapeError, ("kernel_size is (3, 3, 3)", "2")),
    ("layer, same", lambda: nn.Conv2d(3, 4, 3, 2, "same"), ad.DomainError, ("same", "(2, 2)")),
    ("layer, word", lambda: nn.Conv2d(3, 4, 3, padding="full"), ad.DomainError, ("full", "valid")),
    ("layer, mode", lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), ad.DomainError, ("mirror", "reflect")),
    (
        "layer, extra",
        lambda: nn.ConvTranspose2d(3, 4, 3, 2, output_padding=2),
        ad.DomainError,
        ("output_padding is 2",),
    ),
    (
        "transpose, mode",
        lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"),
        ad.DomainError,
        ("reflect", "zeros"),
    ),
    (
        "path",
        lambda: lenet()(t(2, 3, 28, 28)),
        ad.ShapeError,
        ("0: conv2d", "(2, 3, 28, 28)", "(6, 1, 5, 5)", "axis 1"),
    ),
    ("path, too small", lambda: lenet()(t(2, 1, 6, 28)), ad.ShapeError, ("2: conv2d", "axis 2", "spans 5", "only 2")),
    (
        "flattened",
        lambda: lenet()(t(2, 1, 28, 28)),
        ad.ShapeError,
        ("4: linear", "in_features is 400", "1600 along axis 1", "Linear(1600, 120)"),
    ),
    (
        "not flattened",
        lambda: nn.Linear(400, 120)(t(2, 16, 6, 6)),
        ad.ShapeError,
        ("in_features is 400", "6 along axis 3", "Flatten()", "Linear(576, 120)"),
    ),
    (
        "not flattened, but fitting",
        lambda: nn.Linear(576, 9)(t(2, 16, 6, 6)),
        ad.ShapeError,
        ("Flatten()", "which fits"),
    ),
    ("no axis", lambda: nn.Linear(3, 2)(t()), ad.ShapeError, ("linear", "in_features is 3")),
]


@pytest.mark.parametrize(("name", "call", "kind", "says"), MISTAKES, ids=[mistake[0] for mistake in MISTAKES])
def test_mistakes(name: str, call: Callable[[], object], kind: type[Exception], says: tuple[str, ...]) -> None:
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    missing = [part for part in says if part not in text]
    assert not missing, f"{name}: {text!r} lacks {missing}"
    assert text.endswith((".", "it.")), text
