"""Every layer on every device: output, gradient of the input, gradients of the parameters.

Depends on the suite's `device` fixture. Invariant: every module of `nn` stands in LAYERS, so that a new one is tried on
GPUs as well.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn

Shapes = tuple[tuple[int, ...], ...]

# The layer, and the shapes of its inputs. Labels and lengths are made by `inputs`.
LAYERS: dict[str, tuple[Callable[[], nn.Module], Shapes]] = {
    **{
        name: (getattr(nn, name), ((3, 5),))
        for name in ("ELU", "GELU", "Identity", "LeakyReLU", "PReLU", "ReLU", "ReLU6", "Sigmoid", "SiLU", "Softplus")
    },
    **{
        name: (getattr(nn, name), ((3, 6),))
        for name in (
            *("CELU", "GLU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LogSigmoid", "Mish", "SELU"),
            *("Softmin", "Softshrink", "Softsign", "Tanhshrink"),
        )
    },
    "Threshold": (lambda: nn.Threshold(0.1, -2.0), ((3, 5),)),
    "Softmax2d": (nn.Softmax2d, ((2, 3, 4, 2),)),
    "Bilinear": (lambda: nn.Bilinear(3, 4, 2), ((5, 3), (5, 4))),
    "ChannelShuffle": (lambda: nn.ChannelShuffle(2), ((2, 6, 3, 2),)),
    "CosineSimilarity": (nn.CosineSimilarity, ((3, 5), (3, 5))),
    "PairwiseDistance": (nn.PairwiseDistance, ((3, 5), (3, 5))),
    "Tanh": (nn.Tanh, ((3, 5),)),
    "Softmax": (lambda: nn.Softmax(-1), ((3, 5),)),
    "LogSoftmax": (lambda: nn.LogSoftmax(-1), ((3, 5),)),
    "Linear": (lambda: nn.Linear(5, 4), ((2, 3, 5),)),
    "Flatten": (nn.Flatten, ((2, 3, 4),)),
    "Unflatten": (lambda: nn.Unflatten(1, (2, 3)), ((2, 6),)),
    "Sequential": (lambda: nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2)), ((3, 5),)),
    "Embedding": (lambda: nn.Embedding(7, 3), ()),
    "PositionalEncoding": (lambda: nn.PositionalEncoding(6, dropout=0.0), ((2, 5, 6),)),
    # Convolutions
    "Conv1d": (lambda: nn.Conv1d(3, 4, 3, stride=2, padding=1), ((2, 3, 9),)),
    "Conv2d": (lambda: nn.Conv2d(4, 6, (3, 2), padding=1, dilation=2, groups=2), ((2, 4, 7, 6),)),
    "Conv3d": (lambda: nn.Conv3d(2, 3, 2), ((1, 2, 3, 4, 3),)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(3, 4, 3, stride=2), ((2, 3, 5),)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(3, 4, 3, 2, 1, output_padding=1), ((2, 3, 4, 3),)),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(2, 3, 2), ((1, 2, 2, 3, 2),)),
    # Pooling
    "MaxPool1d": (lambda: nn.MaxPool1d(2), ((2, 3, 7),)),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, 2, 1), ((2, 3, 7, 6),)),
    "MaxPool3d": (lambda: nn.MaxPool3d(2), ((1, 2, 4, 4, 5),)),
    "AvgPool1d": (lambda: nn.AvgPool1d(2), ((2, 3, 7),)),
    "AvgPool2d": (lambda: nn.AvgPool2d(3, 2, 1), ((2, 3, 7, 6),)),
    "AvgPool3d": (lambda: nn.AvgPool3d(2), ((1, 2, 4, 4, 5),)),
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(3), ((2, 3, 7),)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((2, 3)), ((2, 3, 7, 6),)),
    "AdaptiveAvgPool3d": (lambda: nn.AdaptiveAvgPool3d(2), ((1, 2, 4, 4, 5),)),
    "AdaptiveMaxPool1d": (lambda: nn.AdaptiveMaxPool1d(3), ((2, 3, 7),)),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d((2, 3)), ((2, 3, 7, 6),)),
    "AdaptiveMaxPool3d": (lambda: nn.AdaptiveMaxPool3d(2), ((1, 2, 4, 4, 5),)),
    "LPPool1d": (lambda: nn.LPPool1d(2, 3), ((2, 3, 7),)),
    "LPPool2d": (lambda: nn.LPPool2d(2, 2), ((2, 3, 6, 4),)),
    "LPPool3d": (lambda: nn.LPPool3d(2, 2), ((1, 2, 4, 2, 4),)),
    "GlobalAvgPool": (nn.GlobalAvgPool, ((2, 3, 4, 5),)),
    "MaxUnpool1d": (lambda: Unpooled(nn.MaxPool1d(2, return_indices=True), nn.MaxUnpool1d(2)), ((2, 3, 8),)),
    "MaxUnpool2d": (lambda: Unpooled(nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)), ((2, 3, 6, 4),)),
    "MaxUnpool3d": (lambda: Unpooled(nn.MaxPool3d(2, return_indices=True), nn.MaxUnpool3d(2)), ((1, 2, 2, 4, 4),)),
    # Norms
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3), ((4, 3, 5),)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), ((4, 3, 5, 2),)),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(3), ((2, 3, 2, 3, 2),)),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(3, affine=True), ((4, 3, 5),)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(3), ((4, 3, 5, 2),)),
    "InstanceNorm3d": (lambda: nn.InstanceNorm3d(3), ((2, 3, 2, 3, 2),)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), ((3, 4, 5),)),
    "LayerNorm": (lambda: nn.LayerNorm((4, 5)), ((3, 4, 5),)),
    "RMSNorm": (lambda: nn.RMSNorm(5), ((3, 4, 5),)),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(3), ((2, 5, 3, 3),)),
    # Dropout draws the same on all devices.
    "Dropout": (lambda: nn.Dropout(0.4), ((30, 5),)),
    "AlphaDropout": (lambda: nn.AlphaDropout(0.4), ((30, 5),)),
    "Dropout1d": (lambda: nn.Dropout1d(0.4), ((8, 3, 5),)),
    "Dropout2d": (lambda: nn.Dropout2d(0.4), ((8, 3, 2, 2),)),
    "Dropout3d": (lambda: nn.Dropout3d(0.4), ((8, 3, 2, 1, 2),)),
    # Resampling and padding
    "Upsample": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), ((2, 3, 4, 3),)),
    "UpsamplingBilinear2d": (lambda: nn.UpsamplingBilinear2d(scale_factor=2), ((2, 3, 4, 3),)),
    "UpsamplingNearest2d": (lambda: nn.UpsamplingNearest2d(scale_factor=2), ((2, 3, 4, 3),)),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), ((2, 8, 3, 2),)),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), ((2, 3, 4, 6),)),
    "Unfold": (lambda: nn.Unfold(2, padding=1), ((2, 3, 4, 5),)),
    "Fold": (lambda: nn.Fold((4, 5), 2), ((2, 8, 12),)),
    **{
        f"{kind}Pad{rank}d": (
            lambda kind=kind, rank=rank: getattr(nn, f"{kind}Pad{rank}d")(
                *((1, 0.5) if kind == "Constant" else (1,)),
            ),
            ((2, 2, *(4, 3, 5)[:rank]),),
        )
        for kind in ("Circular", "Constant", "Reflection", "Replication", "Zero")
        for rank in (1, 2, 3)
    },
    # Sequences
    "RNN": (lambda: nn.RNN(4, 5, 2, batch_first=True, bidirectional=True), ((3, 6, 4),)),
    "LSTM": (lambda: nn.LSTM(4, 5, 2, proj_size=3), ((6, 3, 4),)),
    "GRU": (lambda: nn.GRU(4, 5, bidirectional=True), ((6, 3, 4),)),
    "RNNCell": (lambda: nn.RNNCell(4, 5), ((3, 4), (3, 5))),
    "LSTMCell": (lambda: nn.LSTMCell(4, 5), ((3, 4),)),
    "GRUCell": (lambda: nn.GRUCell(4, 5), ((3, 4), (3, 5))),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(6, 2), ((4, 2, 6), (5, 2, 6), (5, 2, 6))),
    "Transformer": (lambda: nn.Transformer(6, 2, 1, 1, 8, dropout=0.0), ((4, 2, 6), (3, 2, 6))),
    "TransformerEncoder": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0), 2),
        ((4, 2, 6),),
    ),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0), ((4, 2, 6),)),
    "TransformerDecoder": (
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(6, 2, 8, dropout=0.0), 2),
        ((4, 2, 6), (3, 2, 6)),
    ),
    "TransformerDecoderLayer": (
        lambda: nn.TransformerDecoderLayer(6, 2, 8, dropout=0.0),
        ((4, 2, 6), (3, 2, 6)),
    ),
    # Losses
    **{name: (getattr(nn, name), ((3, 5), (3, 5))) for name in ("HuberLoss", "L1Loss", "MSELoss", "SmoothL1Loss")},
    "BCELoss": (lambda: Squashed(nn.BCELoss()), ((3, 5), (3, 5))),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss, ((3, 5), (3, 5))),
    "KLDivLoss": (lambda: Squashed(nn.KLDivLoss(reduction="sum")), ((3, 5), (3, 5))),
    "PoissonNLLLoss": (lambda: Squashed(nn.PoissonNLLLoss()), ((3, 5), (3, 5))),
    "GaussianNLLLoss": (lambda: Squashed(nn.GaussianNLLLoss()), ((3, 5), (3, 5), (3, 5))),
    "MultiLabelSoftMarginLoss": (lambda: Squashed(nn.MultiLabelSoftMarginLoss()), ((3, 5), (3, 5))),
    "TripletMarginLoss": (nn.TripletMarginLoss, ((3, 5), (3, 5), (3, 5))),
    "HingeEmbeddingLoss": (lambda: Signed(nn.HingeEmbeddingLoss()), ((3, 5),)),
    "SoftMarginLoss": (lambda: Signed(nn.SoftMarginLoss()), ((3, 5),)),
    "MarginRankingLoss": (lambda: Signed(nn.MarginRankingLoss(0.1)), ((5,), (5,))),
    "CosineEmbeddingLoss": (lambda: Signed(nn.CosineEmbeddingLoss()), ((5, 3), (5, 3))),
    "MultiMarginLoss": (nn.MultiMarginLoss, ((4, 7),)),
    "CrossEntropyLoss": (lambda: nn.CrossEntropyLoss(label_smoothing=0.1), ((4, 7),)),
    "NLLLoss": (nn.NLLLoss, ((4, 7),)),
}
# They hold layers or parameters and compute nothing.
HOLDERS = {"Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList"}
LABELLED = {"CrossEntropyLoss", "MultiMarginLoss", "NLLLoss"}


class Unpooled(nn.Module):
    """Maxima, put back where they were."""

    def __init__(self, pool: nn.Module, unpool: nn.Module) -> None:
        super().__init__()
        self.pool = pool
        self.unpool = unpool

    def forward(self, x: ad.Tensor) -> ad.Tensor:
        return self.unpool(*self.pool(x))


class Squashed(nn.Module):
    """A loss of probabilities."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, *inputs: ad.Tensor) -> ad.Tensor:
        return self.loss(*(ad.sigmoid(x) for x in inputs))


class Signed(nn.Module):
    """A loss whose targets are 1 and -1: here signs of the first input, one for each of its rows."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, *inputs: ad.Tensor) -> ad.Tensor:
        first = inputs[0].detach() if len(inputs) == 1 or inputs[0].ndim == 1 else inputs[0].detach()[:, 0]
        return self.loss(*inputs, ad.where(first > 0, 1.0, -1.0))


def test_every_layer_is_tried() -> None:
    modules = {name for name in nn.__all__ if inspect.isclass(getattr(nn, name))}
    modules = {name for name in modules if issubclass(getattr(nn, name), nn.Module)}
    assert modules - HOLDERS == set(LAYERS)


def tensors_of(tree: Any) -> list[ad.Tensor]:
    """The tensors in nested tuples."""
    if isinstance(tree, tuple | list):
        return [tensor for part in tree for tensor in tensors_of(part)]
    return [tree] if isinstance(tree, ad.Tensor) else []


def computed(name: str, device: str) -> list[np.ndarray]:
    """Outputs, gradients of the inputs, gradients of the parameters."""
    make, shapes = LAYERS[name]
    ad.manual_seed(5)
    layer = make().to(device)
    rng = np.random.default_rng(0)
    inputs = [ad.tensor(rng.standard_normal(shape).astype(np.float32), device=device) for shape in shapes]
    for x in inputs:
        x.requires_grad_()
    more: list[ad.Tensor] = []
    if name in LABELLED or name == "Embedding":
        more = [ad.tensor(rng.integers(0, 7, 4).astype(np.int32), device=device)]
    ad.manual_seed(9)
    outputs = tensors_of(layer(*inputs, *more))
    assert outputs and {output.device for output in outputs} == {device}
    # Weights that differ, since the sums of a norm's results are 0 and gradients of these nothing but rounding.
    weights = [np.cos(np.arange(output.size)).reshape(output.shape).astype(np.float32) for output in outputs]
    pairs = zip(outputs, weights, strict=True)
    sum((output * output * ad.tensor(weight, device=device)).sum() for output, weight in pairs).backward()
    gradients = [tensor.grad for tensor in (*inputs, *layer.parameters())]
    assert all(gradient is None or gradient.device == device for gradient in gradients)
    found = [*outputs, *(gradient for gradient in gradients if gradient is not None), *layer.buffers()]
    return [tensor.detach().to("cpu").numpy() for tensor in found]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("device", ["gpu"], indirect=True)
def test_layers_compute_what_the_cpu_computes(name: str, device: str) -> None:
    found, expected = computed(name, device), computed(name, "cpu")
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        scale = max(float(np.abs(theirs).max(initial=0)), 1e-3)
        np.testing.assert_allclose(mine, theirs, rtol=2e-4, atol=5e-5 * scale)
