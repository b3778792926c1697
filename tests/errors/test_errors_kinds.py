"""Objects of a wrong kind: every refusal is the library's own, says what was given and what to do."""

from __future__ import annotations

import copy
from collections.abc import Callable

import adret as ad
import numpy as np
import pytest
from adret import nn
from adret.nn import functional as F

ONE = ad.ones((1, 1, 3, 3))

KINDS: list[tuple[str, Callable[[], object], tuple[str, ...]]] = [
    ("mean", lambda: ad.random.normal((2,), mean="a"), ("'a'", "str", "float")),  # pyright: ignore
    ("low", lambda: ad.random.uniform((2,), low=[1]), ("[1]", "list")),  # pyright: ignore
    ("count", lambda: ad.random.permutation(2.5), ("2.5", "int")),  # pyright: ignore
    ("concat", lambda: ad.concat(5), ("list of tensors", "int", "[x, y]")),  # pyright: ignore
    ("concat of numbers", lambda: ad.concat([1, 2]), ("Tensor", "int", "ad.tensor")),  # pyright: ignore
    ("stack", lambda: ad.stack(5), ("list of tensors", "int")),  # pyright: ignore
    ("pad width", lambda: ad.pad(ad.ones(3), 5), ("pad_width is 5", "pair")),  # pyright: ignore
    ("pad widths", lambda: ad.pad(ad.ones(3), [(1, 1, 1)]), ("(1, 1, 1)", "pair")),  # pyright: ignore
    ("flag", lambda: ad.sum(ONE, keepdims="yes"), ("'yes'", "True or False")),  # pyright: ignore
    ("full", lambda: ad.full((2,), "a"), ("full: fill_value is 'a'", "number")),  # pyright: ignore
    ("arange", lambda: ad.arange("a"), ("arange: start is 'a'", "number")),  # pyright: ignore
    ("operand", lambda: ad.exp("a"), ("Tensor", "str", "ad.tensor")),  # pyright: ignore
    ("backward", lambda: ad.ones(2, requires_grad=True).sum().backward("a"), ("Tensor", "str")),  # pyright: ignore
    ("eval", lambda: ad.eval(5), ("eval", "int", "ad.tensor")),  # pyright: ignore
    ("from_dlpack", lambda: ad.from_dlpack(5), ("from_dlpack", "int", "__dlpack__")),
    ("argnums", lambda: ad.grad(F.relu, argnums="a")(ONE), ("argnums", "'a'")),  # pyright: ignore
    ("einsum", lambda: ad.einsum(5), ("einsum", "5", "'ij,jk->ik'")),  # pyright: ignore
    ("einsum of numbers", lambda: ad.einsum("ij", 5), ("operand 0", "5", "ad.tensor")),  # pyright: ignore
    ("tensordot", lambda: ad.tensordot(5, ONE, 1), ("operand 0", "5")),  # pyright: ignore
    ("tensordot axes", lambda: ad.tensordot(ONE, ONE, "a"), ("axes is 'a'", "number")),  # pyright: ignore
    ("tensordot pairs", lambda: ad.tensordot(ONE, ONE, ([0],)), ("axes is ([0],)",)),  # pyright: ignore
    ("F.pad", lambda: F.pad(ONE, (1.5, 1)), ("pad is (1.5, 1)", "whole")),  # pyright: ignore
    ("F.pad of one", lambda: F.pad(ONE, 1), ("pad is 1", "(before, after)")),  # pyright: ignore
    ("F.pad of a number", lambda: F.pad(5, (1, 1)), ("input is 5", "ad.tensor")),  # pyright: ignore
    ("Unflatten", lambda: nn.Unflatten(1, 2.5), ("Unflatten", "2.5")),  # pyright: ignore
    ("Unflatten sizes", lambda: nn.Unflatten(1, (2, 2.5)), ("(2, 2.5)",)),  # pyright: ignore
    ("Unflatten axis", lambda: nn.Unflatten("a", (2, 2)), ("dim is 'a'",)),  # pyright: ignore
    ("Linear", lambda: nn.Linear(2.5, 3), ("Linear", "2.5")),  # pyright: ignore
    ("Conv2d", lambda: nn.Conv2d(4, 4, 3, padding=None), ("Conv2d", "None")),  # pyright: ignore
    ("scale", lambda: F.interpolate(ONE, scale_factor="a"), ("interpolate", "'a'")),  # pyright: ignore
    ("packing", lambda: nn.utils.rnn.pack_padded_sequence(5, [3]), ("pack_padded_sequence", "5")),  # pyright: ignore
    ("unpacking", lambda: nn.utils.rnn.pad_packed_sequence(5), ("pad_packed_sequence", "5")),  # pyright: ignore
    ("sequences", lambda: nn.utils.rnn.pad_sequence(5), ("pad_sequence", "5", "list")),  # pyright: ignore
    ("folder", lambda: ad.data.mnist(None), ("mnist", "None", "folder")),  # pyright: ignore
]


@pytest.mark.parametrize(("call", "words"), [case[1:] for case in KINDS], ids=[case[0] for case in KINDS])
def test_objects_of_a_wrong_kind_are_refused_in_our_words(call: Callable[[], object], words: tuple[str, ...]) -> None:
    with pytest.raises(ad.DTypeError) as caught:
        call()
    assert isinstance(caught.value, TypeError)
    for word in words:
        assert word in str(caught.value)


def test_a_wrong_kind_within_a_network_names_the_layer() -> None:
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(3, 2)))
    model[1][0].bias = None
    model[0].register_forward_hook(lambda *_: np.ones((2, 3)))
    with pytest.raises(ad.DTypeError, match=r"^1\.0: .*ndarray"):
        model(ad.ones((2, 3)))


def test_a_state_names_what_it_cannot_take() -> None:
    model = nn.Linear(3, 2)
    before = model.weight.detach().tolist()
    with pytest.raises(ad.DTypeError, match=r"load_state_dict: weight: .*str"):
        model.load_state_dict({"weight": "abc", "bias": [0.0, 0.0]})
    assert model.weight.detach().tolist() == before


def test_batches_that_do_not_match_are_named_with_both_shapes() -> None:
    with pytest.raises(ad.ShapeError, match=r"a is \(2, 3, 4\) and b is \(5, 4, 6\).*\(2,\) and \(5,\)"):
        _ = ad.ones((2, 3, 4)) @ ad.ones((5, 4, 6))


def test_labels_as_floats_are_told_to_be_integers() -> None:
    with pytest.raises(ad.ShapeError, match=r"float32.*astype\(ad.int64\)"):
        F.cross_entropy(ad.ones((2, 3)), ad.tensor([0.0, 1.0]))


def test_deep_copies_of_leaves_have_gradients_of_their_own() -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    twin = copy.deepcopy(x)
    assert twin.grad is not None
    assert twin.grad.tolist() == [2.0, 4.0]
    (twin * 3.0).sum().backward()
    assert x.grad is not None
    assert twin.grad.tolist() == [5.0, 7.0]
    assert x.grad.tolist() == [2.0, 4.0]
    layer = nn.Linear(2, 1)
    layer(ad.ones((1, 2))).sum().backward()
    other = copy.deepcopy(layer)
    assert type(other.weight) is nn.Parameter
    assert other.weight.grad is not None
    assert other.weight.grad.tolist() == [[1.0, 1.0]]
    assert copy.copy(x).grad is None
