"""Layers, losses and containers, under PyTorch's names.

Depends on the core and `adret.random`, never on `adret.optim`. Invariant: arguments, defaults, parameter layouts and
the names in `state_dict` are PyTorch's, so that programs and weights carry over.
"""

from . import functional, init, utils
from ._activation import (
    ELU,
    GELU,
    LeakyReLU,
    LogSoftmax,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from ._attention import MultiheadAttention
from ._cells import GRUCell, LSTMCell, RNNCell
from ._containers import ModuleDict, ModuleList, ParameterList, Sequential
from ._dropout import Dropout
from ._embedding import Embedding
from ._linear import Identity, Linear
from ._losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from ._module import Module
from ._normalization import LayerNorm
from ._parameter import Parameter
from ._positional import PositionalEncoding
from ._recurrent import GRU, LSTM, RNN
from ._shape import Flatten, Unflatten
from ._transformer import Transformer, TransformerDecoder, TransformerEncoder
from ._transformer_layers import TransformerDecoderLayer, TransformerEncoderLayer

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "Dropout",
    "ELU",
    "Embedding",
    "Flatten",
    "GELU",
    "GRU",
    "GRUCell",
    "HuberLoss",
    "Identity",
    "L1Loss",
    "LSTM",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "PReLU",
    "Parameter",
    "ParameterList",
    "PositionalEncoding",
    "RNN",
    "RNNCell",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Tanh",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "Unflatten",
    "functional",
    "init",
    "utils",
]
