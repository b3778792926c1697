"""Writes sequence_vectors.json: what PyTorch's recurrent layers, attention and transformers give. Run by hand.

Depends on PyTorch. Invariant: everything is float64. A case is a module's name and settings, its state, what it is
called with, every tensor that it returns, and the gradients of a weighted sum of them.
"""

import json
from pathlib import Path
from typing import Any

import torch

Json = Any
random = torch.Generator().manual_seed(0)


def normal(*shape: int) -> torch.Tensor:
    """Numbers with three decimals, so that the file stays small and exact."""
    return torch.round(torch.randn(shape, generator=random, dtype=torch.float64) * 1000) / 1000


def flat(result: Json) -> list[torch.Tensor]:
    """The tensors of nested tuples, in order."""
    if isinstance(result, tuple):
        return [leaf for part in result for leaf in flat(part)]
    return [] if result is None else [result]


LATER = torch.triu(torch.ones(3, 3, dtype=torch.bool), 1)
PADDING = torch.tensor([[False, False, True], [False, False, False]])
SMALL = {"input_size": 2, "hidden_size": 3}
LAYERS: list[tuple[str, dict[str, Json], list[Json], dict[str, Json]]] = [
    ("RNN", SMALL, [normal(4, 2, 2)], {}),
    ("RNN", {**SMALL, "nonlinearity": "relu", "bias": False, "batch_first": True}, [normal(2, 4, 2)], {}),
    ("RNN", {**SMALL, "num_layers": 2, "bidirectional": True}, [normal(3, 2, 2), normal(4, 2, 3)], {}),
    ("LSTM", SMALL, [normal(4, 2, 2)], {}),
    ("LSTM", SMALL, [normal(4, 2)], {}),
    ("LSTM", {**SMALL, "bias": False}, [normal(3, 1, 2), (normal(1, 1, 3), normal(1, 1, 3))], {}),
    ("LSTM", {**SMALL, "num_layers": 2, "bidirectional": True, "batch_first": True}, [normal(2, 3, 2)], {}),
    ("LSTM", {**SMALL, "proj_size": 2, "num_layers": 2}, [normal(3, 2, 2), (normal(2, 2, 2), normal(2, 2, 3))], {}),
    ("GRU", SMALL, [normal(4, 2, 2)], {}),
    ("GRU", {**SMALL, "bias": False, "batch_first": True}, [normal(2, 3, 2), normal(1, 2, 3)], {}),
    ("GRU", {**SMALL, "num_layers": 2, "bidirectional": True}, [normal(3, 2), normal(4, 3)], {}),
    ("LSTM", {**SMALL, "bidirectional": True}, [normal(4, 3, 2)], {"lengths": [2, 4, 1]}),
    (
        "GRU",
        {**SMALL, "num_layers": 2, "batch_first": True},
        [normal(3, 3, 2), normal(2, 3, 3)],
        {"lengths": [3, 1, 2]},
    ),
    ("RNN", {**SMALL, "bidirectional": True}, [normal(3, 2, 2)], {"lengths": [1, 3]}),
    ("RNNCell", {**SMALL, "nonlinearity": "relu"}, [normal(2, 2), normal(2, 3)], {}),
    ("LSTMCell", SMALL, [normal(2, 2), (normal(2, 3), normal(2, 3))], {}),
    ("LSTMCell", {**SMALL, "bias": False}, [normal(2)], {}),
    ("GRUCell", SMALL, [normal(2, 2), normal(2, 3)], {}),
    ("MultiheadAttention", {"embed_dim": 4, "num_heads": 2}, [normal(3, 2, 4), normal(3, 2, 4), normal(3, 2, 4)], {}),
    (
        "MultiheadAttention",
        {"embed_dim": 4, "num_heads": 2, "kdim": 3, "vdim": 2, "bias": False, "batch_first": True},
        [normal(2, 3, 4), normal(2, 5, 3), normal(2, 5, 2)],
        {"average_attn_weights": False},
    ),
    (
        "MultiheadAttention",
        {"embed_dim": 4, "num_heads": 1, "add_bias_kv": True, "add_zero_attn": True},
        [normal(3, 2, 4), normal(3, 2, 4), normal(3, 2, 4)],
        {"attn_mask": LATER, "key_padding_mask": PADDING},
    ),
    (
        "MultiheadAttention",
        {"embed_dim": 4, "num_heads": 2, "batch_first": True},
        [normal(3, 4), normal(3, 4), normal(3, 4)],
        {"attn_mask": normal(2, 3, 3)},
    ),
    (
        "TransformerEncoderLayer",
        {"d_model": 4, "nhead": 2, "dim_feedforward": 3, "dropout": 0.0, "activation": "gelu"},
        [normal(3, 2, 4)],
        {"src_mask": LATER, "src_key_padding_mask": PADDING},
    ),
    (
        "TransformerEncoderLayer",
        {"d_model": 4, "nhead": 2, "dim_feedforward": 3, "dropout": 0.0, "norm_first": True, "bias": False},
        [normal(3, 2, 4)],
        {},
    ),
    (
        "TransformerDecoderLayer",
        {"d_model": 4, "nhead": 2, "dim_feedforward": 3, "dropout": 0.0, "batch_first": True},
        [normal(2, 3, 4), normal(2, 5, 4)],
        {"tgt_mask": LATER},
    ),
    (
        "TransformerDecoderLayer",
        {"d_model": 4, "nhead": 1, "dim_feedforward": 3, "dropout": 0.0, "norm_first": True},
        [normal(3, 2, 4), normal(2, 2, 4)],
        {"tgt_key_padding_mask": PADDING},
    ),
]


def run(module: torch.nn.Module, inputs: list[Json], settings: dict[str, Json]) -> list[torch.Tensor]:
    """All that the module returns; where there are lengths, packed sequences are the meaning."""
    if "lengths" not in settings:
        return flat(module(*inputs, **settings))
    first = module.batch_first
    packed = torch.nn.utils.rnn.pack_padded_sequence(inputs[0], torch.tensor(settings["lengths"]), first, False)
    output, last = module(packed, *inputs[1:])
    return flat((torch.nn.utils.rnn.pad_packed_sequence(output, first)[0], last))


def listed(value: Json) -> Json:
    """Tensors as nested lists."""
    if isinstance(value, tuple):
        return {"tuple": [listed(each) for each in value]}
    return value.tolist() if isinstance(value, torch.Tensor) else value


def case(name: str, settings: dict[str, Json], inputs: list[Json], call: dict[str, Json]) -> dict[str, Json]:
    """Runs a module on its inputs and writes down everything that a comparison needs."""
    module = getattr(torch.nn, name)(**settings).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(normal(*parameter.shape))
    state = {key: value.tolist() for key, value in module.state_dict().items()}
    for leaf in flat(tuple(inputs)):
        leaf.requires_grad_()
    outputs = run(module, inputs, call)
    weights = [normal(*output.shape) for output in outputs]
    sum((output * weight).sum() for output, weight in zip(outputs, weights, strict=True)).backward()
    return {
        "module": name,
        "settings": settings,
        "call": {key: listed(value) for key, value in call.items()},
        "state": state,
        "inputs": [listed(value) for value in inputs],
        "outputs": [output.tolist() for output in outputs],
        "weights": [weight.tolist() for weight in weights],
        "input_grads": [leaf.grad.tolist() for leaf in flat(tuple(inputs))],
        "grads": {key: value.grad.tolist() for key, value in module.named_parameters() if value.grad is not None},
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    rows = ",\n".join(json.dumps(case(*layer)) for layer in LAYERS)
    text = f'{{"source": "torch {torch.__version__}", "cases": [\n{rows}\n]}}\n'
    Path(__file__).with_name("sequence_vectors.json").write_text(text, encoding="utf-8")
