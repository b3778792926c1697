"""What vectors do not show of recurrent layers, attention and transformers: errors, lengths, masks, training.

Depends on `nn` and `optim`. Invariant: a rule of the documentation is a test here.
"""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn, optim
from adret.nn.utils import rnn

attend = nn.functional.scaled_dot_product_attention


def mistake(make: Callable[[], Any], kind: type[Exception], *words: str) -> Any:
    """A case that must raise, with words of the message."""
    return pytest.param(make, kind, words, id=f"{words[0]} {words[-1]}")


def x3(*shape: int) -> ad.Tensor:
    """An input."""
    return ad.zeros(shape)


def packed(lengths: list[int], **settings: Any) -> Any:
    """Zeros, packed."""
    return rnn.pack_padded_sequence(x3(3, 2, 4), lengths, **settings)


MISTAKES = [
    mistake(lambda: nn.LSTM(0, 3), ad.DomainError, "LSTM", "input_size is 0"),
    mistake(lambda: nn.GRU(2, 3, num_layers=0), ad.DomainError, "GRU", "num_layers 0"),
    mistake(lambda: nn.RNN(2, 3, nonlinearity="sin"), ad.DomainError, "RNN", "'sin'"),
    mistake(lambda: nn.LSTM(2, 3, num_layers=2, dropout=1.5), ad.DomainError, "LSTM", "probability"),
    mistake(lambda: nn.LSTM(2, 3, proj_size=3), ad.DomainError, "LSTM", "proj_size is 3"),
    mistake(lambda: nn.LSTM(2, 3, proj_size=-1), ad.DomainError, "LSTM", "proj_size is -1"),
    mistake(lambda: nn.LSTM(2, 3)(x3(4, 5, 3)), ad.ShapeError, "LSTM", "[time, batch, 2]"),
    mistake(lambda: nn.LSTM(2, 3, batch_first=True)(x3(4, 5, 3)), ad.ShapeError, "LSTM", "[batch, time, 2]"),
    mistake(lambda: nn.GRU(2, 3)(x3(2)), ad.ShapeError, "GRU", "(2,)"),
    mistake(lambda: nn.GRU(2, 3)(x3(0, 5, 2)), ad.ShapeError, "GRU", "without a step"),
    mistake(lambda: nn.GRU(2, 3, batch_first=True)(x3(5, 0, 2)), ad.ShapeError, "GRU", "one step or more"),
    mistake(lambda: nn.GRU(2, 3)([1.0]), ad.DTypeError, "GRU", "list"),
    mistake(lambda: nn.GRU(2, 3)(x3(4, 5, 2), x3(1, 4, 3)), ad.ShapeError, "GRU", "(1, 5, 3)"),
    mistake(lambda: nn.GRU(2, 3)(x3(4, 2), x3(1, 5, 3)), ad.ShapeError, "GRU", "(1, 3)"),
    mistake(lambda: nn.LSTM(2, 3)(x3(4, 5, 2), x3(1, 5, 3)), ad.DTypeError, "LSTM", "(h_0, c_0)"),
    mistake(lambda: nn.LSTM(2, 3)(x3(4, 5, 2), (x3(1, 5, 3), x3(5, 3))), ad.ShapeError, "LSTM", "c_0"),
    mistake(lambda: nn.LSTM(2, 3)(x3(4, 5, 2), (x3(1, 5, 3), None)), ad.DTypeError, "LSTM", "NoneType"),
    mistake(lambda: nn.GRU(2, 3)(x3(4, 5, 2), lengths=[1, 2]), ad.ShapeError, "GRU", "2 lengths for 5"),
    mistake(lambda: nn.GRU(2, 3)(x3(4, 2, 2), lengths=[1, 5]), ad.DomainError, "GRU", "[5]"),
    mistake(lambda: nn.GRU(2, 3)(x3(4, 2, 2), lengths=[1, -1]), ad.DomainError, "GRU", "[-1]"),
    mistake(lambda: nn.GRU(2, 3)(x3(4, 2, 2), lengths=[1, 1.5]), ad.DTypeError, "GRU", "1.5"),
    mistake(lambda: nn.GRU(2, 3)(x3(4, 2, 2), lengths=ad.ones(2)), ad.DTypeError, "GRU", "float32"),
    mistake(lambda: nn.GRU(2, 3)(x3(4, 2, 2), lengths=ad.tensor([[1, 2]])), ad.ShapeError, "GRU", "(1, 2)"),
    mistake(lambda: nn.GRU(2, 3)(x3(4, 2, 2), lengths=ad.tensor([1, 9])), ad.DomainError, "GRU", "[9]"),
    mistake(lambda: nn.GRU(4, 3)(packed([3, 1]), lengths=[3, 1]), ad.DomainError, "GRU", "lengths"),
    mistake(lambda: nn.GRU(2, 3)(packed([3, 1])), ad.ShapeError, "GRU", "(3, 2, 4)"),
    mistake(lambda: nn.LSTMCell(2, 0), ad.DomainError, "LSTMCell", "hidden_size 0"),
    mistake(lambda: nn.RNNCell(2, 3, nonlinearity="sin"), ad.DomainError, "RNNCell", "'sin'"),
    mistake(lambda: nn.GRUCell(2, 3)(x3(4, 3)), ad.ShapeError, "GRUCell", "(4, 3)"),
    mistake(lambda: nn.GRUCell(2, 3)(x3(1, 4, 2)), ad.ShapeError, "GRUCell", "(1, 4, 2)"),
    mistake(lambda: nn.GRUCell(2, 3)(x3(4, 2), x3(3)), ad.ShapeError, "GRUCell", "(4, 3)"),
    mistake(lambda: nn.LSTMCell(2, 3)(x3(4, 2), x3(4, 3)), ad.DTypeError, "LSTMCell", "(h, c)"),
    mistake(lambda: packed([1, 3]), ad.DomainError, "pack_padded_sequence", "enforce_sorted"),
    mistake(lambda: packed([3, 0]), ad.DomainError, "pack_padded_sequence", "[0]"),
    mistake(lambda: packed([4, 1]), ad.DomainError, "pack_padded_sequence", "[4]"),
    mistake(lambda: packed([3]), ad.ShapeError, "pack_padded_sequence", "1 lengths"),
    mistake(lambda: rnn.pack_padded_sequence(x3(3), [3]), ad.ShapeError, "pack_padded_sequence", "(3,)"),
    mistake(lambda: rnn.pad_packed_sequence(packed([3, 1]), total_length=2), ad.DomainError, "pad_packed", "is 2"),
    mistake(lambda: rnn.pad_sequence([]), ad.ShapeError, "pad_sequence", "one or more"),
    mistake(lambda: rnn.pad_sequence([x3(2, 3), x3(2, 4)]), ad.ShapeError, "pad_sequence", "alike"),
    mistake(lambda: rnn.pad_sequence([x3(2)], padding_side="top"), ad.DomainError, "pad_sequence", "'top'"),
    mistake(lambda: rnn.unpad_sequence(x3(2, 2), [1]), ad.ShapeError, "unpad_sequence", "1 lengths"),
    mistake(lambda: nn.MultiheadAttention(5, 2), ad.DomainError, "MultiheadAttention", "divides"),
    mistake(lambda: nn.MultiheadAttention(4, 2, dropout=2.0), ad.DomainError, "MultiheadAttention", "probability"),
    mistake(
        lambda: nn.MultiheadAttention(4, 2)(x3(3, 4), x3(3, 1, 4), x3(3, 1, 4)), ad.ShapeError, "Multihead", "axes"
    ),
    mistake(lambda: nn.MultiheadAttention(4, 2)(*[x3(3, 1, 5)] * 3), ad.ShapeError, "Multihead", "4, 4 and 4"),
    mistake(
        lambda: nn.MultiheadAttention(4, 2)(x3(3, 4), x3(3, 4), x3(2, 4)), ad.ShapeError, "Multihead", "Key and value"
    ),
    mistake(
        lambda: nn.MultiheadAttention(4, 2)(x3(3, 1, 4), x3(3, 2, 4), x3(3, 2, 4)), ad.ShapeError, "Multi", "one batch"
    ),
    mistake(
        lambda: nn.MultiheadAttention(4, 2)(*[x3(3, 2, 4)] * 3, key_padding_mask=x3(3, 2)),
        ad.ShapeError,
        "key_padding_mask",
        "(2, 3)",
    ),
    mistake(
        lambda: nn.MultiheadAttention(4, 2)(*[x3(3, 2, 4)] * 3, attn_mask=x3(2, 3, 3)),
        ad.ShapeError,
        "attn_mask",
        "(4, 3, 3)",
    ),
    mistake(
        lambda: nn.MultiheadAttention(4, 2)(*[x3(3, 2, 4)] * 3, attn_mask=ad.zeros((3, 3), dtype=ad.int64)),
        ad.DTypeError,
        "mask",
        "int64",
    ),
    mistake(lambda: attend(x3(3), x3(3), x3(3)), ad.ShapeError, "scaled_dot", "two axes"),
    mistake(lambda: attend(x3(2, 3), x3(2, 4), x3(2, 3)), ad.ShapeError, "scaled_dot", "query and key"),
    mistake(lambda: attend(x3(2, 3), x3(2, 3), x3(3, 3)), ad.ShapeError, "scaled_dot", "positions"),
    mistake(lambda: attend(x3(2, 2, 3), x3(3, 2, 3), x3(3, 2, 3)), ad.ShapeError, "scaled_dot", "before the last two"),
    mistake(lambda: attend(*[x3(2, 3)] * 3, attn_mask=x3(3, 2)), ad.ShapeError, "attn_mask", "broadcast"),
    mistake(
        lambda: attend(*[x3(2, 3)] * 3, attn_mask=ad.zeros(2, dtype=ad.int64)), ad.DTypeError, "attn_mask", "int64"
    ),
    mistake(lambda: attend(*[x3(2, 3)] * 3, x3(2, 2), is_causal=True), ad.DomainError, "scaled_dot", "is_causal"),
    mistake(lambda: attend(*[x3(2, 3)] * 3, dropout_p=1.1), ad.DomainError, "scaled_dot", "probability"),
    mistake(
        lambda: attend(x3(1, 3, 2, 4), x3(1, 2, 2, 4), x3(1, 2, 2, 4), enable_gqa=True),
        ad.ShapeError,
        "scaled_dot",
        "multiple",
    ),
    mistake(lambda: nn.TransformerEncoderLayer(4, 3), ad.DomainError, "MultiheadAttention", "divides"),
    mistake(lambda: nn.TransformerEncoderLayer(4, 2, activation="sin"), ad.DomainError, "Encoder", "'sin'"),
    mistake(lambda: nn.TransformerDecoderLayer(4, 2, activation="sin"), ad.DomainError, "Decoder", "'sin'"),
    mistake(
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2), -1), ad.DomainError, "Encoder", "num_layers"
    ),
    mistake(lambda: nn.PositionalEncoding(0), ad.DomainError, "PositionalEncoding", "d_model is 0"),
    mistake(lambda: nn.PositionalEncoding(4, max_len=2)(x3(3, 4)), ad.ShapeError, "PositionalEncoding", "max_len 2"),
    mistake(lambda: nn.PositionalEncoding(4)(x3(3, 5)), ad.ShapeError, "PositionalEncoding", "(3, 5)"),
]


@pytest.mark.parametrize(("make", "kind", "words"), MISTAKES)
def test_mistakes(make: Callable[[], Any], kind: type[Exception], words: tuple[str, ...]) -> None:
    with pytest.raises(kind) as raised:
        make()
    assert all(word in str(raised.value) for word in words), str(raised.value)


def test_dropout_without_layers_to_drop_between_warns() -> None:
    with pytest.warns(UserWarning, match="between layers"):
        nn.LSTM(2, 3, dropout=0.5)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_batch_with_lengths_is_its_sequences_alone(kind: str, reverse: bool) -> None:
    ad.manual_seed(1)
    layer = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=reverse, batch_first=True)
    x, lengths = ad.random.normal((4, 6, 3)), [6, 1, 0, 4]
    output, last = layer(x, lengths=ad.tensor(lengths))
    last = last if kind == "LSTM" else (last,)
    for place, length in enumerate(lengths):
        assert not output[place, length:].detach().numpy().any()
        if not length:
            assert not any(state[:, place].detach().numpy().any() for state in last)
            continue
        alone, ends = layer(x[place, :length])
        np.testing.assert_allclose(
            output[place, :length].detach().numpy(), alone.detach().numpy(), rtol=1e-5, atol=1e-6
        )
        for state, end in zip(last, ends if kind == "LSTM" else (ends,), strict=True):
            np.testing.assert_allclose(state[:, place].detach().numpy(), end.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_cells_in_a_loop_are_the_layer(kind: str) -> None:
    layer, cell = getattr(nn, kind)(3, 4), getattr(nn, f"{kind}Cell")(3, 4)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    x, state = ad.random.normal((5, 2, 3)), None
    output, _ = layer(x)
    for step in range(5):
        state = cell(x[step], state)
        h = state[0] if kind == "LSTM" else state
        np.testing.assert_allclose(h.detach().numpy(), output[step].detach().numpy(), rtol=1e-5, atol=1e-6)


def test_packing_and_back() -> None:
    sequences = [ad.arange(3), ad.arange(1) + 7, ad.arange(2) + 3]
    packed = rnn.pack_sequence(sequences, enforce_sorted=False)
    assert packed.data.tolist() == [0, 3, 7, 1, 4, 2]
    assert packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices.tolist() == [0, 2, 1]
    assert packed.unsorted_indices.tolist() == [0, 2, 1]
    assert [each.tolist() for each in rnn.unpack_sequence(packed)] == [[0, 1, 2], [7], [3, 4]]
    padded, lengths = rnn.pad_packed_sequence(packed, batch_first=True, padding_value=-1.0, total_length=4)
    assert padded.tolist() == [[0, 1, 2, -1], [7, -1, -1, -1], [3, 4, -1, -1]]
    assert lengths.tolist() == [3, 1, 2]
    left = rnn.pad_sequence(sequences, padding_value=9, padding_side="left")
    assert left.tolist() == [[0, 9, 9], [1, 9, 3], [2, 7, 4]]
    assert [each.shape for each in rnn.unpad_sequence(padded, lengths, batch_first=True)] == [(3,), (1,), (2,)]


def test_parameters_begin_like_pytorch() -> None:
    layer = nn.LSTM(10, 100, num_layers=2, bidirectional=True)
    assert list(layer.state_dict())[:5] == [
        *("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"),
        "weight_ih_l0_reverse",
    ]
    assert layer.weight_ih_l1.shape == (400, 200)
    assert [len(group) for group in layer.all_weights] == [4] * 4
    for parameter in layer.parameters():
        assert 0.09 < np.abs(parameter.detach().numpy()).max() <= 0.1
    attention = nn.MultiheadAttention(64, 4)
    assert not attention.in_proj_bias.detach().numpy().any()
    assert not attention.out_proj.bias.detach().numpy().any()
    assert 0.14 < np.abs(attention.in_proj_weight.detach().numpy()).max() <= math.sqrt(6 / 256)


def test_dropout_acts_between_layers_and_only_while_training() -> None:
    ad.manual_seed(0)
    layer, x = nn.GRU(3, 8, num_layers=2, dropout=0.5), ad.random.normal((4, 2, 3))
    assert (layer(x)[0].detach().numpy() != layer(x)[0].detach().numpy()).any()
    layer.eval()
    assert (layer(x)[0].detach().numpy() == layer(x)[0].detach().numpy()).all()


@pytest.mark.parametrize("lengths", [None, [5, 2, 3]], ids=["all steps", "lengths"])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_compiled_training_has_the_same_bits(kind: str, lengths: list[int] | None) -> None:
    def losses(compiled: bool) -> list[float]:
        ad.manual_seed(0)
        net = getattr(nn, kind)(3, 4, num_layers=2, dropout=0.3, bidirectional=True, batch_first=True)
        head = nn.Linear(8, 1)
        optimizer = optim.Adam([*net.parameters(), *head.parameters()], lr=0.01)
        x = ad.random.normal((3, 5, 3))

        def step(x: ad.Tensor, lengths: Any) -> ad.Tensor:
            loss = head(net(x, lengths=lengths)[0]).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        run = ad.compile(step) if compiled else step
        return [run(x, given).item() for given in [lengths, lengths and ad.tensor(lengths)] * 4]

    assert losses(True) == losses(False)


def test_an_lstm_learns_to_remember() -> None:
    ad.manual_seed(0)
    net, head = nn.LSTM(1, 16, batch_first=True), nn.Linear(16, 1)
    optimizer = optim.Adam([*net.parameters(), *head.parameters()], lr=0.02)

    @ad.compile
    def step(x: ad.Tensor) -> ad.Tensor:
        loss = nn.functional.mse_loss(head(net(x)[0][:, -1]), x[:, 0])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    # The first of eight numbers, after seven others: a mean guess costs 1.
    assert min(step(ad.random.normal((32, 8, 1))).item() for _ in range(400)) < 0.1


def test_a_long_sequence_is_planned_in_passing() -> None:
    layer = nn.GRU(2, 3)
    x = ad.random.normal((600, 1, 2))
    before = ad.stats()["runs"]
    layer(x)[0].sum().backward()
    assert np.isfinite(layer.weight_hh_l0.grad.numpy()).all()
    assert ad.stats()["runs"] - before < 12


def test_who_may_look_nowhere_gets_zeros() -> None:
    q, k, v = (ad.random.normal((2, 3, 4)).requires_grad_() for _ in range(3))
    allowed = ad.tensor([[True, False, False], [False, False, False], [True, True, True]])
    for mask in (allowed, ad.where(allowed, 0.0, -math.inf)):
        output = attend(q, k, v, mask)
        assert not output[:, 1].detach().numpy().any()
        np.testing.assert_allclose(output[:, 0].detach().numpy(), v[:, 0].detach().numpy(), rtol=1e-6)
        for grad in ad.grad(lambda *qkv, mask=mask: attend(*qkv, mask).sum(), argnums=(0, 1, 2))(q, k, v):
            assert np.isfinite(grad.detach().numpy()).all()


def test_attention_dropout_keeps_the_mean() -> None:
    ad.manual_seed(0)
    q, k = ad.zeros((1, 200, 2)), ad.zeros((1, 50, 2))
    output = attend(q, k, ad.ones((1, 50, 1)), dropout_p=0.5).numpy()
    assert output.std() > 0.05
    assert abs(output.mean() - 1) < 0.05


def test_weights_are_returned_only_where_wanted() -> None:
    attention, x = nn.MultiheadAttention(4, 2), ad.ones((3, 2, 4))
    assert attention(x, x, x, need_weights=False)[1] is None
    assert attention(x, x, x)[1].shape == (2, 3, 3)
    assert attention(x, x, x, average_attn_weights=False)[1].shape == (2, 2, 3, 3)
    weights = attention(x, x, x, is_causal=True)[1].detach().numpy()
    assert not np.triu(weights, 1).any()
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("batch_first", [False, True])
def test_positions(batch_first: bool) -> None:
    x = ad.zeros((2, 3, 5))
    layer = nn.PositionalEncoding(5, batch_first=batch_first)
    assert not layer.state_dict()
    values = layer(x).numpy()
    steps = np.arange(3 if batch_first else 2)[:, None] / 10000 ** (np.array([0, 0, 2, 2, 4]) / 5)
    expected = np.where(np.arange(5) % 2 == 0, np.sin(steps), np.cos(steps))
    np.testing.assert_allclose(values[0] if batch_first else values[:, 0], expected, atol=1e-6)
    np.testing.assert_allclose(layer(x[0, :2]).numpy(), layer(x[0])[:2].numpy())


def test_layers_of_a_stack_start_alike_and_are_trained_apart() -> None:
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0), 2, nn.LayerNorm(4))
    assert len(list(net.parameters())) == 2 * 12 + 2
    assert net.layers[0].linear1.weight.tolist() == net.layers[1].linear1.weight.tolist()
    net(ad.random.normal((3, 2, 4))).square().sum().backward()
    assert net.layers[0].linear1.weight.grad.tolist() != net.layers[1].linear1.weight.grad.tolist()


@pytest.mark.parametrize(
    "make", [lambda: nn.LSTM(2, 3), lambda: nn.GRUCell(2, 3), lambda: nn.TransformerDecoderLayer(4, 2, 8)]
)
def test_copies_are_the_same_and_their_own(make: Callable[[], nn.Module]) -> None:
    module = make()
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        for mine, theirs in zip(module.parameters(), other.parameters(), strict=True):
            assert mine is not theirs
            assert mine.tolist() == theirs.tolist()


def test_float16_stays_float16() -> None:
    for module in (nn.LSTM(2, 3), nn.GRU(2, 3)):
        output, last = module.to(ad.float16)(ad.ones((4, 1, 2), dtype=ad.float16))
        assert output.dtype == ad.float16
        assert (last[0] if isinstance(last, tuple) else last).dtype == ad.float16
    x = ad.ones((3, 1, 4), dtype=ad.float16)
    assert nn.TransformerEncoderLayer(4, 2, 8).to(ad.float16)(x).dtype == ad.float16


def test_sequences_on_every_device(device: str) -> None:
    ad.manual_seed(0)
    net = nn.Sequential(nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0), nn.LSTM(4, 3, bidirectional=True))
    x = ad.random.normal((5, 2, 4))
    expected = net(x)[0].detach().numpy()
    net.to(device)
    np.testing.assert_allclose(net(x.to(device))[0].detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    alone = net[1](x.to(device), lengths=[5, 2])[0]
    alone.sum().backward()
    assert net[1].weight_hh_l0.grad.device == device
    packed = rnn.pack_padded_sequence(x.to(device), [2, 5], enforce_sorted=False)
    found, _ = rnn.pad_packed_sequence(net[1](packed)[0])
    np.testing.assert_allclose(
        found.detach().numpy(), net[1](x.to(device), lengths=[2, 5])[0].detach().numpy(), rtol=1e-4, atol=1e-5
    )
