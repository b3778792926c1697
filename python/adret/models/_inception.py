"""Inception, version 3: blocks of branches side by side.

Depends on `nn` and `_blocks`. Invariant: modules and parameters have torchvision's names, sizes and order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import nn
from .._core import ShapeError, Tensor, concat, stack
from ._blocks import check_images, check_sizes

Size = int | tuple[int, int]


class InceptionOutputs(NamedTuple):
    """What InceptionV3 gives while training.

    Args:
        logits: Scores of the classes.
        aux_logits: Scores of the classifier in the middle.

    Example:
        >>> InceptionOutputs(ad.zeros((1, 2)), ad.zeros((1, 2))).logits.shape
        (1, 2)
    """

    logits: Tensor
    aux_logits: Tensor


class BasicConv2d(nn.Module):
    """A convolution without bias, batch norm, relu."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: int = 1, padding: Size = 0
    ) -> None:
        """Makes the layers."""
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, input: Tensor) -> Tensor:
        """Nothing below zero."""
        return nn.functional.relu(self.bn(self.conv(input)))


def _pooled(x: Tensor) -> Tensor:
    return nn.functional.avg_pool2d(x, 3, stride=1, padding=1)


def _halved(x: Tensor) -> Tensor:
    return nn.functional.max_pool2d(x, 3, stride=2)


def _beside(*branches: Tensor) -> Tensor:
    return concat(branches, axis=1)


class InceptionA(nn.Module):
    """Branches of 1, 5 and twice 3, and pooling; 224 channels and those of the pooling branch."""

    def __init__(self, in_channels: int, pool_features: int) -> None:
        """Makes the branches."""
        self.branch1x1 = BasicConv2d(in_channels, 64, 1)
        self.branch5x5_1 = BasicConv2d(in_channels, 48, 1)
        self.branch5x5_2 = BasicConv2d(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 64, 1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, padding=1)
        self.branch_pool = BasicConv2d(in_channels, pool_features, 1)

    def forward(self, input: Tensor) -> Tensor:
        """The branches side by side."""
        return _beside(
            self.branch1x1(input),
            self.branch5x5_2(self.branch5x5_1(input)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(input))),
            self.branch_pool(_pooled(input)),
        )


class InceptionB(nn.Module):
    """Branches of 3 and twice 3, and pooling, all of which halve the image; 480 channels more."""

    def __init__(self, in_channels: int) -> None:
        """Makes the branches."""
        self.branch3x3 = BasicConv2d(in_channels, 384, 3, stride=2)
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 64, 1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, stride=2)

    def forward(self, input: Tensor) -> Tensor:
        """The branches side by side."""
        return _beside(
            self.branch3x3(input),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(input))),
            _halved(input),
        )


class InceptionC(nn.Module):
    """Branches of 7 in parts of 1 by 7 and 7 by 1, once and twice, and pooling; 768 channels."""

    def __init__(self, in_channels: int, channels_7x7: int) -> None:
        """Makes the branches."""
        c7 = channels_7x7
        self.branch1x1 = BasicConv2d(in_channels, 192, 1)
        self.branch7x7_1 = BasicConv2d(in_channels, c7, 1)
        self.branch7x7_2 = BasicConv2d(c7, c7, (1, 7), padding=(0, 3))
        self.branch7x7_3 = BasicConv2d(c7, 192, (7, 1), padding=(3, 0))
        self.branch7x7dbl_1 = BasicConv2d(in_channels, c7, 1)
        self.branch7x7dbl_2 = BasicConv2d(c7, c7, (7, 1), padding=(3, 0))
        self.branch7x7dbl_3 = BasicConv2d(c7, c7, (1, 7), padding=(0, 3))
        self.branch7x7dbl_4 = BasicConv2d(c7, c7, (7, 1), padding=(3, 0))
        self.branch7x7dbl_5 = BasicConv2d(c7, 192, (1, 7), padding=(0, 3))
        self.branch_pool = BasicConv2d(in_channels, 192, 1)

    def forward(self, input: Tensor) -> Tensor:
        """The branches side by side."""
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(input)))
        return _beside(
            self.branch1x1(input),
            self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(input))),
            self.branch7x7dbl_5(self.branch7x7dbl_4(twice)),
            self.branch_pool(_pooled(input)),
        )


class InceptionD(nn.Module):
    """Branches of 3 and of 7 in parts, and pooling, all of which halve the image; 512 channels more."""

    def __init__(self, in_channels: int) -> None:
        """Makes the branches."""
        self.branch3x3_1 = BasicConv2d(in_channels, 192, 1)
        self.branch3x3_2 = BasicConv2d(192, 320, 3, stride=2)
        self.branch7x7x3_1 = BasicConv2d(in_channels, 192, 1)
        self.branch7x7x3_2 = BasicConv2d(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = BasicConv2d(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = BasicConv2d(192, 192, 3, stride=2)

    def forward(self, input: Tensor) -> Tensor:
        """The branches side by side."""
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(input)))
        return _beside(self.branch3x3_2(self.branch3x3_1(input)), self.branch7x7x3_4(seven), _halved(input))


class InceptionE(nn.Module):
    """Branches that end in 1 by 3 beside 3 by 1, and pooling; 2048 channels."""

    def __init__(self, in_channels: int) -> None:
        """Makes the branches."""
        self.branch1x1 = BasicConv2d(in_channels, 320, 1)
        self.branch3x3_1 = BasicConv2d(in_channels, 384, 1)
        self.branch3x3_2a = BasicConv2d(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = BasicConv2d(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 448, 1)
        self.branch3x3dbl_2 = BasicConv2d(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = BasicConv2d(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = BasicConv2d(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = BasicConv2d(in_channels, 192, 1)

    def forward(self, input: Tensor) -> Tensor:
        """The branches side by side."""
        once = self.branch3x3_1(input)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(input))
        return _beside(
            self.branch1x1(input),
            self.branch3x3_2a(once),
            self.branch3x3_2b(once),
            self.branch3x3dbl_3a(twice),
            self.branch3x3dbl_3b(twice),
            self.branch_pool(_pooled(input)),
        )


class InceptionAux(nn.Module):
    """A classifier in the middle, whose loss reaches the early layers."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        """Makes the layers."""
        self.conv0 = BasicConv2d(in_channels, 128, 1)
        self.conv1 = BasicConv2d(128, 768, 5)
        self.fc = nn.Linear(768, num_classes)
        nn.init.normal_(self.conv1.conv.weight, 0.0, 0.01)
        nn.init.normal_(self.fc.weight, 0.0, 0.001)

    def forward(self, input: Tensor) -> Tensor:
        """Scores of the classes."""
        x = self.conv1(self.conv0(nn.functional.avg_pool2d(input, 5, stride=3)))
        return self.fc(nn.functional.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


class InceptionV3(nn.Module):
    """Five convolutions, eleven blocks of branches, the mean over the image, an affine map.

    While training, with `aux_logits`, it gives `InceptionOutputs(logits, aux_logits)`, else scores alone.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        aux_logits: Whether there is a second classifier in the middle.
        transform_input: Whether images are normalised as others of torchvision's models have them, and are to be
            brought to this one's range; for three channels.
        dropout: Probability of a zero before the affine map while training.

    Shape:
        input `[batch, in_channels, height, width]` of 75 by 75 or larger (299 by 299 in the paper, and at least that
        where there is a second classifier to train), output `[batch, num_classes]`.

    Source:
        Szegedy et al. (2015), Rethinking the Inception Architecture for Computer Vision.

    Example:
        >>> InceptionV3(num_classes=10).eval()(ad.zeros((1, 3, 75, 75))).shape
        (1, 10)
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        aux_logits: bool = True,
        transform_input: bool = False,
        dropout: float = 0.5,
    ) -> None:
        """Makes the layers."""
        check_sizes("InceptionV3", in_channels, num_classes)
        self.in_channels = in_channels
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.Conv2d_1a_3x3 = BasicConv2d(in_channels, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, 3)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, 3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, 1)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, stride=2)
        self.Mixed_5b = InceptionA(192, 32)
        self.Mixed_5c = InceptionA(256, 64)
        self.Mixed_5d = InceptionA(288, 64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(768, 128)
        self.Mixed_6c = InceptionC(768, 160)
        self.Mixed_6d = InceptionC(768, 160)
        self.Mixed_6e = InceptionC(768, 192)
        self.AuxLogits = InceptionAux(768, num_classes) if aux_logits else None
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2048, num_classes)
        special: set[int] = set() if self.AuxLogits is None else {id(self.AuxLogits.conv1.conv), id(self.AuxLogits.fc)}
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and id(module) not in special:
                nn.init.normal_(module.weight, 0.0, 0.1)

    def forward(self, input: Tensor) -> Any:
        """Scores of the classes; while training with those of the classifier in the middle."""
        check_images("InceptionV3", input, self.in_channels, 75)
        if self.AuxLogits is not None and self.training and min(input.shape[2:]) < 299:
            raise ShapeError(
                f"InceptionV3: the input is {input.shape}, and the second classifier takes 299 by 299 or larger while "
                "training. Use larger images, or aux_logits=False."
            )
        x = _other_range(input) if self.transform_input and self.in_channels == 3 else input
        x = self.maxpool1(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        aux = self.AuxLogits(x) if self.AuxLogits is not None and self.training else None
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        x = self.fc(nn.functional.flatten(self.dropout(self.avgpool(x)), 1))
        return x if aux is None else InceptionOutputs(x, aux)


def _other_range(x: Tensor) -> Tensor:
    """From mean and deviation of ImageNet's channels to a range from -1 to 1."""
    means, deviations = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    channels = [
        x[:, channel] * (deviation / 0.5) + (mean - 0.5) / 0.5
        for channel, (mean, deviation) in enumerate(zip(means, deviations, strict=True))
    ]
    return stack(channels, axis=1)


def inception_v3(
    num_classes: int = 1000,
    in_channels: int = 3,
    aux_logits: bool = True,
    transform_input: bool = False,
    dropout: float = 0.5,
) -> InceptionV3:
    """Inception, version 3; 27,161,264 parameters with the second classifier, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        aux_logits: Whether there is a second classifier in the middle.
        transform_input: Whether images come in the range of torchvision's other models.
        dropout: Probability of a zero before the affine map while training.

    Example:
        >>> sum(parameter.size for parameter in inception_v3().parameters())
        27161264
    """
    return InceptionV3(num_classes, in_channels, aux_logits, transform_input, dropout)
