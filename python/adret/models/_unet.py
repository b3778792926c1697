"""U-Net: down to a small image with many channels and up again, with bridges between equal sizes.

Depends on `nn` and `_blocks`. Invariant: the output has the input's height and width.
"""

from __future__ import annotations

from .. import nn
from .._core import DomainError, ShapeError, Tensor, concat
from ._blocks import check_images, check_sizes, draw_kaiming


class DoubleConv(nn.Sequential):
    """Twice a 3 by 3 convolution, batch norm, relu."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """Makes the layers."""
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )


class UNet(nn.Module):
    """Scores for every pixel.

    Args:
        num_classes: Channels of the output.
        in_channels: Channels of an image.
        width: Channels at full size; they double with every halving. 64 in the paper.
        depth: How often the image is halved; 4 in the paper.

    Shape:
        input `[batch, in_channels, height, width]`, output `[batch, num_classes, height, width]`; height and width are
        multiples of 2 to the power of `depth`.

    Raises:
        ShapeError: If height or width is no such multiple.

    Source:
        Ronneberger, Fischer, Brox (2015), U-Net: Convolutional Networks for Biomedical Image Segmentation; with
        padding, so that no border is lost, and batch norm.

    Example:
        >>> UNet(num_classes=2, in_channels=1, width=4, depth=2)(ad.zeros((1, 1, 16, 24))).shape
        (1, 2, 16, 24)
    """

    def __init__(self, num_classes: int = 2, in_channels: int = 3, width: int = 32, depth: int = 4) -> None:
        """Makes the layers."""
        check_sizes("UNet", in_channels, num_classes)
        if width < 1 or depth < 1:
            raise DomainError(f"UNet: width is {width} and depth {depth}. Use numbers of 1 or more.")
        self.in_channels = in_channels
        self.depth = depth
        sizes = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            DoubleConv(before, after) for before, after in zip([in_channels, *sizes], sizes, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * size, size, 2, stride=2) for size in reversed(sizes[:-1]))
        self.merge = nn.ModuleList(DoubleConv(2 * size, size) for size in reversed(sizes[:-1]))
        self.head = nn.Conv2d(width, num_classes, 1)
        draw_kaiming(self)

    def forward(self, input: Tensor) -> Tensor:
        """Scores of the classes for every pixel."""
        check_images("UNet", input, self.in_channels)
        unit = 2**self.depth
        if input.shape[2] % unit or input.shape[3] % unit:
            raise ShapeError(
                f"UNet: the input is {input.shape} and depth {self.depth}. Height and width must be multiples of "
                f"{unit}: pad the image, or use less depth."
            )
        bridges: list[Tensor] = []
        x = input
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)
            bridges.append(x)
        bridges.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(concat([bridges.pop(), up(x)], axis=1))
        return self.head(x)


def unet(num_classes: int = 2, in_channels: int = 3, width: int = 32, depth: int = 4) -> UNet:
    """A U-Net of half the paper's width; 7,763,074 parameters.

    Args:
        num_classes: Channels of the output.
        in_channels: Channels of an image.
        width: Channels at full size.
        depth: How often the image is halved.

    Example:
        >>> unet(width=4, depth=1)(ad.zeros((1, 3, 8, 8))).shape
        (1, 2, 8, 8)
    """
    return UNet(num_classes, in_channels, width, depth)
