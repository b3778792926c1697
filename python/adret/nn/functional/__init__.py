"""Layers and losses as functions, under PyTorch's names and argument names.

Invariant: nothing here holds state; what needs parameters takes them.
"""

from typing import TYPE_CHECKING

from ..._later import loader
from ._adaptive import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from ._attention import scaled_dot_product_attention
from ._conv import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from ._dropout import alpha_dropout, dropout1d, dropout2d, dropout3d
from ._layers import (
    bilinear,
    dropout,
    elu,
    embedding,
    flatten,
    gelu,
    layer_norm,
    leaky_relu,
    linear,
    log_softmax,
    one_hot,
    prelu,
    relu,
    relu6,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
    unflatten,
)
from ._losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from ._normalization import batch_norm, group_norm, instance_norm, rms_norm
from ._pad import pad
from ._pool import avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool2d, max_pool3d
from ._resample import channel_shuffle, fold, interpolate, local_response_norm, pixel_shuffle, pixel_unshuffle, unfold

if TYPE_CHECKING:
    from ._activations import (
        celu,
        glu,
        gumbel_softmax,
        hardshrink,
        hardsigmoid,
        hardswish,
        hardtanh,
        logsigmoid,
        mish,
        selu,
        softmin,
        softshrink,
        softsign,
        tanhshrink,
        threshold,
    )
    from ._distances import cosine_similarity, normalize, pairwise_distance
    from ._margins import (
        cosine_embedding_loss,
        gaussian_nll_loss,
        hinge_embedding_loss,
        kl_div,
        margin_ranking_loss,
        multi_margin_loss,
        multilabel_soft_margin_loss,
        poisson_nll_loss,
        soft_margin_loss,
        triplet_margin_loss,
    )
    from ._power_pool import lp_pool1d, lp_pool2d, lp_pool3d

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "embedding",
    "flatten",
    "fold",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
    "unflatten",
    "unfold",
]

if not TYPE_CHECKING:
    __getattr__ = loader(
        globals(),
        {
            "._activations": (
                "celu glu gumbel_softmax hardshrink hardsigmoid hardswish hardtanh logsigmoid mish selu softmin "
                "softshrink softsign tanhshrink threshold"
            ),
            "._distances": "cosine_similarity normalize pairwise_distance",
            "._margins": (
                "cosine_embedding_loss gaussian_nll_loss hinge_embedding_loss kl_div margin_ranking_loss "
                "multi_margin_loss multilabel_soft_margin_loss poisson_nll_loss soft_margin_loss "
                "triplet_margin_loss"
            ),
            "._power_pool": "lp_pool1d lp_pool2d lp_pool3d",
        },
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
