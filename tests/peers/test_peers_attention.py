"""Attention and transformers, live against PyTorch: random settings and masks, values and gradients.

Run by `x.py test --peers`. Depends on PyTorch. Invariant: settings are seeded, so a failure names itself.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest
from adret import nn

pytestmark = pytest.mark.peers

ROUNDS = 30


@pytest.fixture(scope="module")
def torch():
    """PyTorch, on one thread."""
    module = __import__("torch")
    module.set_num_threads(1)
    return module


def both(torch, values: np.ndarray):
    """The same leaf in both libraries."""
    floating = values.dtype.kind == "f"
    return ad.tensor(values, requires_grad=floating), torch.tensor(values, requires_grad=floating)


def twins(torch, kind: str, *arguments, **settings):
    """The same module in both libraries, in float64, with random biases and norms too."""
    theirs = getattr(torch.nn, kind)(*arguments, **settings).double()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    ours = getattr(nn, kind)(*arguments, **settings).to(ad.float64)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    return ours, theirs


def close(got, expected, what: str) -> None:
    """Shape and values."""
    got, expected = got.detach().numpy(), expected.detach().numpy()
    assert got.shape == expected.shape, what
    np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-10, err_msg=what)


def compare(torch, ours, theirs, leaves, modules, what: str) -> None:
    """Values, then gradients of a weighted sum."""
    close(ours, theirs, what)
    weights = np.random.default_rng(0).standard_normal(ours.shape)
    (ours * ad.tensor(weights)).sum().backward()
    (theirs * torch.tensor(weights)).sum().backward()
    for number, (mine, other) in enumerate(leaves):
        if other.requires_grad:
            close(mine.grad, other.grad, f"{what}: leaf {number}")
    if modules:
        for (name, mine), other in zip(modules[0].named_parameters(), modules[1].parameters(), strict=True):
            if other.grad is not None:
                close(mine.grad, other.grad, f"{what}: {name}")


def open_mask(rng, *shape: int) -> np.ndarray:
    """Who may look where: somewhere at least."""
    mask = rng.random(shape) < 0.6
    mask[..., 0] = True
    return mask


def test_scaled_dot_product_attention(torch) -> None:
    """Masks of both kinds, rows that may look nowhere, a scale, shared heads."""
    for seed in range(ROUNDS * 2):
        rng = np.random.default_rng(seed)
        batch, heads, target, source, size, wide = (int(n) for n in rng.integers(1, 5, 6))
        shared = bool(rng.integers(2))
        leading = (batch, heads * 2 if shared else heads)
        query = both(torch, rng.standard_normal((*leading, target, size)))
        key = both(torch, rng.standard_normal((batch, heads, source, size)))
        value = both(torch, rng.standard_normal((batch, heads, source, wide)))
        settings = {"enable_gqa": shared, "scale": [None, 0.7][seed % 2]}
        kind = seed % 5
        leaves, masks = [query, key, value], (None, None)
        if kind == 1:
            settings["is_causal"] = True
        elif kind == 2:
            masks = both(torch, rng.random((target, source)) < 0.5)
        elif kind == 3:
            masks = both(torch, rng.random((batch, 1, target, source)) < 0.5)
        elif kind == 4:
            masks = both(torch, rng.standard_normal((*leading, target, source)))
            leaves.append(masks)
        ours = nn.functional.scaled_dot_product_attention(*(pair[0] for pair in leaves[:3]), masks[0], **settings)
        theirs = torch.nn.functional.scaled_dot_product_attention(*(p[1] for p in leaves[:3]), masks[1], **settings)
        compare(torch, ours, theirs, leaves, None, f"attention {seed}")


def test_multihead_attention(torch) -> None:
    """Sizes, layouts, masks, extra positions; weights of each head or their mean."""
    for seed in range(ROUNDS * 2):
        rng = np.random.default_rng(seed)
        heads, target, source, batch = (int(n) for n in rng.integers(1, 5, 4))
        size = heads * int(rng.integers(1, 4))
        settings = {"bias": bool(rng.integers(2)), "batch_first": bool(rng.integers(2))}
        settings |= {"add_bias_kv": seed % 5 == 0, "add_zero_attn": seed % 3 == 0}
        other = rng.integers(2)
        if other:
            settings |= {"kdim": int(rng.integers(1, 5)), "vdim": int(rng.integers(1, 5))}
        modules = twins(torch, "MultiheadAttention", size, heads, **settings)
        batched = bool(rng.integers(4))

        def made(count: int, width: int, settings=settings, batch=batch, batched=batched, rng=rng):
            shape = (batch, count) if settings["batch_first"] else (count, batch)
            return both(torch, rng.standard_normal((*(shape if batched else (count,)), width)))

        query = made(target, size)
        key = made(source, settings.get("kdim", size))
        value = made(source, settings.get("vdim", size))
        itself = not other and rng.integers(2)
        if itself:
            key = value = query
            source = target
        masks: dict[str, tuple] = {}
        if rng.integers(2):
            shape = (target, source) if rng.integers(2) else ((batch if batched else 1) * heads, target, source)
            mask = ~open_mask(rng, *shape)
            masks["attn_mask"] = both(torch, mask if seed % 2 else np.where(mask, -np.inf, rng.standard_normal(shape)))
        if rng.integers(2):
            mask = ~open_mask(rng, *((batch, source) if batched else (source,)))
            masks["key_padding_mask"] = both(torch, mask if seed % 2 else np.where(mask, -np.inf, 0.0))
        average = bool(rng.integers(2))
        ours, mine = modules[0](
            query[0], key[0], value[0], average_attn_weights=average, **{n: m[0].detach() for n, m in masks.items()}
        )
        theirs, reference = modules[1](
            query[1], key[1], value[1], average_attn_weights=average, **{n: m[1].detach() for n, m in masks.items()}
        )
        what = f"attention {seed} {settings} {list(masks)}"
        close(mine, reference, what)
        compare(torch, ours, theirs, [query, key, value], modules, what)


@pytest.mark.parametrize("kind", ["TransformerEncoderLayer", "TransformerDecoderLayer"])
def test_transformer_layers(torch, kind: str) -> None:
    """Norms first or last, activations, masks."""
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        settings = {
            "dim_feedforward": 5,
            "dropout": 0.0,
            "activation": str(rng.choice(["relu", "gelu"])),
            "batch_first": bool(rng.integers(2)),
            "norm_first": bool(rng.integers(2)),
            "bias": bool(rng.integers(2)),
        }
        modules = twins(torch, kind, 4, 2, **settings)
        target, source, batch = (int(n) for n in rng.integers(1, 5, 3))

        def made(count: int, settings=settings, batch=batch, rng=rng):
            shape = (batch, count) if settings["batch_first"] else (count, batch)
            return both(torch, rng.standard_normal((*shape, 4)))

        leaves = [made(target)] if "Encoder" in kind else [made(target), made(source)]
        name = "src" if "Encoder" in kind else "tgt"
        masks = {}
        if rng.integers(2):
            masks[f"{name}_mask"] = both(torch, ~np.tri(target, dtype=bool))
        if rng.integers(2):
            masks[f"{name}_key_padding_mask"] = both(torch, ~open_mask(rng, batch, target))
        ours = modules[0](*(pair[0] for pair in leaves), **{name: mask[0] for name, mask in masks.items()})
        theirs = modules[1](*(pair[1] for pair in leaves), **{name: mask[1] for name, mask in masks.items()})
        compare(torch, ours, theirs, leaves, modules, f"{kind} {seed} {settings}")


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_a_whole_transformer(torch) -> None:
    """Encoder and decoder, with the mask that hides what comes later."""
    settings = {"num_encoder_layers": 2, "num_decoder_layers": 2, "dim_feedforward": 8, "dropout": 0.0}
    modules = twins(torch, "Transformer", 6, 3, **settings)
    rng = np.random.default_rng(0)
    leaves = [both(torch, rng.standard_normal((count, 2, 6))) for count in (4, 3)]
    masks = [
        each.Transformer.generate_square_subsequent_mask(3, dtype=kind)
        for each, kind in ((nn, ad.float64), (torch.nn, torch.float64))
    ]
    ours = modules[0](leaves[0][0], leaves[1][0], tgt_mask=masks[0])
    theirs = modules[1](leaves[0][1], leaves[1][1], tgt_mask=masks[1])
    compare(torch, ours, theirs, leaves, modules, "transformer")
    ours = modules[0](leaves[0][0], leaves[1][0], tgt_is_causal=True)
    close(ours, theirs, "causal without a mask")
