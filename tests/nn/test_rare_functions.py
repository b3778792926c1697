"""Rarer activations, distances and losses against vectors of PyTorch; their gradients by differences; their layers.

Depends on rare_vectors.json, which make_rare_vectors.py writes. Invariant: float64, agreement to 1e-9.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import adret as ad
import adret.nn.functional as F
import numpy as np
import pytest
from adret import nn

VECTORS = json.loads(Path(__file__).with_name("rare_vectors.json").read_text(encoding="utf-8"))


def name_of(case: dict[str, Any]) -> str:
    """A case's function and settings."""
    return f"{case['function']}({','.join(f'{key}={value}' for key, value in case['settings'].items())})"


def called(case: dict[str, Any]) -> tuple[ad.Tensor, list[ad.Tensor]]:
    """The value and the operands."""
    operands: list[ad.Tensor] = []
    for name in case["operands"]:
        values = np.asarray(VECTORS["operands"][name])
        operands.append(ad.tensor(values, requires_grad=values.dtype.kind == "f" and name != "weights"))
    named = {"weight": operands[-1]} if case["operands"][-1] == "weights" else {}
    return getattr(F, case["function"])(*operands[: len(case["gradients"])], **named, **case["settings"]), operands


@pytest.mark.parametrize("case", VECTORS["cases"], ids=name_of)
def test_agrees_with_pytorch(case: dict[str, Any]) -> None:
    value, operands = called(case)
    assert value.shape == tuple(case["shape"])
    np.testing.assert_allclose(value.detach().numpy().ravel(), np.asarray(case["value"]), rtol=1e-9, atol=1e-12)
    (value * ad.cos(ad.arange(value.size, dtype=ad.float64)).reshape(value.shape)).sum().backward()
    for operand, expected in zip(operands, case["gradients"], strict=False):
        if expected is not None:
            assert operand.grad is not None
            # PyTorch takes some constants in float32.
            tolerance = 1e-7 if case["function"] in ("celu", "hardsigmoid") else 1e-9
            np.testing.assert_allclose(operand.grad.numpy().ravel(), np.asarray(expected), rtol=tolerance, atol=1e-11)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=name_of)
def test_second_derivatives(case: dict[str, Any]) -> None:
    if case["function"] == "interpolate":
        pytest.skip("linear: the first derivative is constant, and the first test has it")

    def function(*floats: ad.Tensor) -> ad.Tensor:
        given = iter(floats)
        operands = [next(given) if x.requires_grad else x for x in all_operands]
        named = {"weight": operands[-1]} if case["operands"][-1] == "weights" else {}
        y = getattr(F, case["function"])(*operands[: len(case["gradients"])], **named, **case["settings"])
        return y.sum()

    _, all_operands = called(case)
    floats = [x.detach() for x in all_operands if x.requires_grad]
    if "variances" in case["operands"]:
        floats[-1] = ad.maximum(floats[-1], 0.25)  # a variance held at eps has no smooth neighbourhood
    ad.gradcheck(lambda *xs: list(as_tuple(ad.grad(function, argnums=tuple(range(len(xs))))(*xs))), floats)


def as_tuple(gradients: Any) -> tuple[ad.Tensor, ...]:
    """Gradients of one or of several arguments."""
    return gradients if isinstance(gradients, tuple) else (gradients,)


LAYERS: list[tuple[nn.Module, Callable[..., ad.Tensor], list[str]]] = [
    (nn.Hardtanh(-0.5, 2.0), lambda x: F.hardtanh(x, -0.5, 2.0), ["x"]),
    (nn.Hardsigmoid(), F.hardsigmoid, ["x"]),
    (nn.Hardswish(), F.hardswish, ["x"]),
    (nn.Mish(), F.mish, ["x"]),
    (nn.SELU(), F.selu, ["x"]),
    (nn.CELU(0.5), lambda x: F.celu(x, 0.5), ["x"]),
    (nn.LogSigmoid(), F.logsigmoid, ["x"]),
    (nn.Softsign(), F.softsign, ["x"]),
    (nn.Tanhshrink(), F.tanhshrink, ["x"]),
    (nn.Softshrink(0.25), lambda x: F.softshrink(x, 0.25), ["x"]),
    (nn.Hardshrink(0.25), lambda x: F.hardshrink(x, 0.25), ["x"]),
    (nn.Threshold(0.5, 3.0), lambda x: F.threshold(x, 0.5, 3.0), ["x"]),
    (nn.GLU(0), lambda x: F.glu(x, 0), ["x"]),
    (nn.Softmin(0), lambda x: F.softmin(x, 0), ["x"]),
    (nn.KLDivLoss("batchmean", log_target=True), lambda x, y: F.kl_div(x, y, "batchmean", True), ["log_x", "log_y"]),
    (nn.MarginRankingLoss(0.5), lambda x, y, t: F.margin_ranking_loss(x, y, t, 0.5), ["x", "y", "signs"]),
    (nn.HingeEmbeddingLoss(0.5, "sum"), lambda x, t: F.hinge_embedding_loss(x, t, 0.5, "sum"), ["x", "signs"]),
    (nn.CosineEmbeddingLoss(0.5), lambda x, y, t: F.cosine_embedding_loss(x, y, t, 0.5), ["x", "y", "pairs"]),
    (nn.TripletMarginLoss(p=1.0), lambda x, y, z: F.triplet_margin_loss(x, y, z, p=1.0), ["x", "y", "z"]),
    (nn.SoftMarginLoss("none"), lambda x, t: F.soft_margin_loss(x, t, "none"), ["x", "signs"]),
    (nn.PoissonNLLLoss(full=True), lambda x, y: F.poisson_nll_loss(x, y, full=True), ["x", "positive"]),
    (nn.GaussianNLLLoss(full=True), lambda x, y, v: F.gaussian_nll_loss(x, y, v, True), ["x", "y", "positive"]),
    (nn.MultiMarginLoss(2), lambda x, t: F.multi_margin_loss(x, t, 2), ["x", "labels"]),
    (nn.MultiLabelSoftMarginLoss(), F.multilabel_soft_margin_loss, ["x", "bits"]),
    (nn.CosineSimilarity(0), lambda x, y: F.cosine_similarity(x, y, 0), ["x", "y"]),
    (nn.PairwiseDistance(1.0), lambda x, y: F.pairwise_distance(x, y, 1.0), ["x", "y"]),
    (nn.ChannelShuffle(2), lambda x: F.channel_shuffle(x, 2), ["images"]),
    (nn.LPPool2d(2, 3), lambda x: F.lp_pool2d(x, 2, 3), ["images"]),
    (nn.Softmax2d(), lambda x: F.softmax(x, 1), ["images"]),
    (nn.UpsamplingNearest2d(scale_factor=2), lambda x: F.interpolate(x, scale_factor=2), ["images"]),
    (
        nn.UpsamplingBilinear2d((3, 5)),
        lambda x: F.interpolate(x, (3, 5), mode="bilinear", align_corners=True),
        ["images"],
    ),
]


@pytest.mark.parametrize(("layer", "function", "operands"), LAYERS, ids=[repr(row[0]) for row in LAYERS])
def test_layers_are_their_functions(layer: nn.Module, function: Callable[..., ad.Tensor], operands: list[str]) -> None:
    given = [ad.tensor(np.asarray(VECTORS["operands"][name])) for name in operands]
    assert ad.allclose(layer(*given), function(*given))
    assert type(layer).__name__ in repr(layer)
    single = [x.astype(ad.float32) if x.dtype == ad.float64 else x for x in given]
    assert layer(*single).dtype == ad.float32


def test_a_length_of_nothing_has_no_slope() -> None:
    for p in (1.0, 2.0, 3.0, 0.5, math.inf):
        x = ad.zeros((2, 3), requires_grad=True)
        F.normalize(x, p).sum().backward()
        assert x.grad is not None
        assert bool(ad.isfinite(x.grad).all()), p


def test_gumbel_softmax_draws_by_the_probabilities() -> None:
    ad.manual_seed(0)
    logits = ad.broadcast_to(ad.log(ad.tensor([0.2, 0.5, 0.3])), (20_000, 3))
    counts = F.gumbel_softmax(logits, hard=True).mean(axis=0)
    # The standard deviation of a share is 0.0035 at most.
    np.testing.assert_allclose(counts.numpy(), [0.2, 0.5, 0.3], atol=0.015)
    x = ad.tensor([[0.1, 0.2, 0.3]], requires_grad=True)
    hard = F.gumbel_softmax(x, tau=0.5, hard=True)
    assert sorted(hard.tolist()[0]) == [0.0, 0.0, 1.0]
    (hard * ad.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad is not None
    assert ad.count_nonzero(x.grad).item() == 3


def test_bilinear_layer_has_the_state_of_pytorch() -> None:
    layer = nn.Bilinear(2, 3, 4)
    assert {name: value.shape for name, value in layer.state_dict().items()} == {"weight": (4, 2, 3), "bias": (4,)}
    assert bool((ad.abs(layer.weight) <= 1 / math.sqrt(2)).all())
    x, y = ad.random.randn(5, 2), ad.random.randn(5, 3)
    assert layer.bias is not None
    expected = ad.einsum("ni,oij,nj->no", x, layer.weight, y) + layer.bias
    assert ad.allclose(layer(x, y), expected, atol=1e-5)


def test_parameter_dict() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.weights = nn.ParameterDict({"left": ad.ones(2), "right": ad.zeros(3)})

        def forward(self, x: ad.Tensor) -> ad.Tensor:
            return x * self.weights["left"]

    model = Two()
    assert list(model.state_dict()) == ["weights.left", "weights.right"]
    assert [p.shape for p in model.weights.values()] == [(2,), (3,)]
    assert all(isinstance(p, nn.Parameter) for _, p in model.weights.items())
    del model.weights["right"]
    assert "right" not in model.weights and list(model.weights.keys()) == ["left"]
    with pytest.raises(KeyError, match="right"):
        model.weights["right"]
    with pytest.raises(ad.DTypeError, match="name 5 is a int"):
        model.weights[5] = ad.ones(1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ad.DomainError, match="already means something else"):
        model.weights["forward"] = ad.ones(1)


X = ad.ones((2, 3))
MISTAKES: list[tuple[str, Callable[[], object], type[Exception]]] = [
    ("tau is 0", lambda: F.gumbel_softmax(X, 0.0), ad.DomainError),
    ("axis -1 of (2, 3) has 3 elements", lambda: F.glu(X), ad.ShapeError),
    ("axis", lambda: F.glu(X, 5), ad.OutOfRangeError),
    ("lambd is -1", lambda: F.softshrink(X, -1), ad.DomainError),
    ("alpha is 0", lambda: F.celu(X, 0.0), ad.DomainError),
    ("min_val is 2", lambda: F.hardtanh(X, 2, 1), ad.DomainError),
    ("p is -1", lambda: F.normalize(X, -1), ad.DomainError),
    ("p is 3", lambda: F.multi_margin_loss(X, ad.tensor([0, 1]), p=3), ad.DomainError),
    ("target (3,)", lambda: F.multi_margin_loss(X, ad.tensor([0, 1, 1])), ad.ShapeError),
    ("target (3,)", lambda: F.cosine_embedding_loss(X, X, ad.ones(3)), ad.ShapeError),
    ("target (3,)", lambda: F.soft_margin_loss(X, ad.ones(3)), ad.ShapeError),
    ("var (5,)", lambda: F.gaussian_nll_loss(X, X, ad.ones(5)), ad.ShapeError),
    ("var is -1", lambda: F.gaussian_nll_loss(X, X, -1.0), ad.DomainError),
    ("reduction is 'all'", lambda: F.soft_margin_loss(X, X, "all"), ad.DomainError),
    ("KLDivLoss: reduction is 'all'", lambda: nn.KLDivLoss("all"), ad.DomainError),
    ("TripletMarginLoss: reduction is 'all'", lambda: nn.TripletMarginLoss(reduction="all"), ad.DomainError),
    ("batchmean", lambda: F.kl_div(ad.ones(()), ad.ones(()), "batchmean"), ad.ShapeError),
    ("the weight (4, 2, 3)", lambda: nn.Bilinear(2, 3, 4)(X, X), ad.ShapeError),
    ("2 groups do not divide", lambda: F.channel_shuffle(ad.ones((1, 3, 2)), 2), ad.ShapeError),
    ("norm_type is 0", lambda: F.lp_pool1d(ad.ones((1, 1, 4)), 0, 2), ad.DomainError),
    ("mode 'nearest'", lambda: F.interpolate(ad.ones((1, 1, 2, 2)), 4, antialias=True), ad.DomainError),
    (
        "antialias takes floats",
        lambda: F.interpolate(ad.ones((1, 1, 2, 2), dtype=ad.int64), 4, mode="bilinear", antialias=True),
        ad.DTypeError,
    ),
    ("softmax2d: input is (2, 3)", lambda: nn.Softmax2d()(X), ad.ShapeError),
]


@pytest.mark.parametrize(("text", "call", "kind"), MISTAKES, ids=[row[0] for row in MISTAKES])
def test_mistakes(text: str, call: Callable[[], object], kind: type[Exception]) -> None:
    with pytest.raises(kind) as raised:
        call()
    assert text in str(raised.value)


IMAGE, KERNEL = ad.ones((1, 2, 8, 8)), ad.ones((2, 2, 3, 3))
# What a layer says of settings that are no numbers, or not whole.
KINDS: list[tuple[str, Callable[[], object]]] = [
    ("Linear: in_features is 'a', a str. Use an int.", lambda: nn.Linear("a", 3)),  # pyright: ignore
    ("Linear: out_features is 2.5, a float. Use an int.", lambda: nn.Linear(3, 2.5)),  # pyright: ignore
    ("Conv2d: in_channels is 'a', a str. Use an int.", lambda: nn.Conv2d("a", 3, 2)),  # pyright: ignore
    ("Conv2d: groups is 1.5, a float. Use an int.", lambda: nn.Conv2d(2, 3, 2, groups=1.5)),  # pyright: ignore
    ("LSTM: num_layers is 1.5, a float. Use an int.", lambda: nn.LSTM(2, 3, num_layers=1.5)),  # pyright: ignore
    ("GRUCell: input_size is None, a NoneType. Use an int.", lambda: nn.GRUCell(None, 3)),  # pyright: ignore
    ("MultiheadAttention: embed_dim is 'a', a str. Use an int.", lambda: nn.MultiheadAttention("a", 2)),  # pyright: ignore
    ("Embedding: num_embeddings is 2.5, a float. Use an int.", lambda: nn.Embedding(2.5, 3)),  # pyright: ignore
    ("BatchNorm2d: num_features is 2.5, a float. Use an int.", lambda: nn.BatchNorm2d(2.5)),  # pyright: ignore
    ("RMSNorm: normalized_shape is 2.5, a float", lambda: nn.RMSNorm(2.5)),  # pyright: ignore
    ("LayerNorm: normalized_shape is 'a', a str", lambda: nn.LayerNorm("a")),  # pyright: ignore
    ("LayerNorm: normalized_shape is 1.5, a float", lambda: nn.LayerNorm((2, 1.5))),  # pyright: ignore
    ("GroupNorm: num_groups is 1.5, a float. Use an int.", lambda: nn.GroupNorm(1.5, 3)),  # pyright: ignore
    ("conv2d: stride is 2.5. Use an int", lambda: F.conv2d(IMAGE, KERNEL, stride=2.5)),  # pyright: ignore
    ("conv2d: groups is 1.5, a float", lambda: F.conv2d(IMAGE, KERNEL, groups=1.5)),  # pyright: ignore
    (
        "conv_transpose2d: output_padding is 'a'",
        lambda: F.conv_transpose2d(IMAGE, KERNEL, output_padding="a"),  # pyright: ignore
    ),
    ("expected a Tensor, not int", lambda: F.conv2d(IMAGE, 5)),  # pyright: ignore
    ("dropout2d: p is 'a', a str", lambda: F.dropout2d(IMAGE, "a")),  # pyright: ignore
    ("Dropout: p is 'a', a str. Use a probability", lambda: nn.Dropout("a")),  # pyright: ignore
]


@pytest.mark.parametrize(("text", "call"), KINDS, ids=[row[0] for row in KINDS])
def test_settings_of_a_wrong_kind(text: str, call: Callable[[], object]) -> None:
    with pytest.raises(TypeError) as raised:
        call()
    assert text in str(raised.value)
