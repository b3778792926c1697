"""What several models are made of: a convolution with norm and activation, checks, first values.

Depends on `nn`. Invariant: a block's parts have the names that published weights give them.
"""

from __future__ import annotations

from .. import nn
from .._core import DomainError, ShapeError, Tensor, mean


def check_sizes(name: str, in_channels: int, num_classes: int) -> None:
    """Complains about numbers that no model has."""
    if in_channels < 1 or num_classes < 1:
        raise DomainError(
            f"{name}: in_channels is {in_channels} and num_classes {num_classes}. Use numbers of 1 or more."
        )


def check_images(name: str, x: Tensor, in_channels: int, least: int = 1) -> None:
    """Complains about what is no batch of images, or images that vanish on the way."""
    if x.ndim != 4 or x.shape[1] != in_channels or min(x.shape[2:]) < least:
        size = f", {least} by {least} or larger" if least > 1 else ""
        raise ShapeError(f"{name}: the input is {x.shape}. Use [batch, {in_channels}, height, width]{size}.")


def global_mean(x: Tensor) -> Tensor:
    """The mean over height and width: `[batch, channels]`."""
    return mean(x, (2, 3))


class ConvNorm(nn.Sequential):
    """A convolution without bias, batch norm, and unless told otherwise an activation, as modules 0, 1 and 2."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        activation: type[nn.Module] | None = nn.ReLU6,
        eps: float = 1e-5,
    ) -> None:
        """Makes the parts; the padding keeps the size at stride 1."""
        padding = (kernel_size - 1) // 2
        parts: list[nn.Module] = [
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(out_channels, eps=eps),
        ]
        super().__init__(*parts, *([activation()] if activation is not None else []))


def draw_kaiming(model: nn.Module, linear_std: float | None = None) -> None:
    """First values: convolutions by He's rule from their outputs, and normal linear layers with bias zero.

    Args:
        model: What is given new values.
        linear_std: The standard deviation of linear weights; None leaves linear layers as they are.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear) and linear_std is not None:
            nn.init.normal_(module.weight, 0.0, linear_std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
