"""Changes of pictures: what they compute, that chance is decided by seeds and places, and what they refuse.

Depends on the installed package, NumPy and SciPy (which scikit-learn brings); matplotlib's Pillow where it is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import adret as ad
import numpy as np
import pytest
from adret.data import (
    Compose,
    DataLoader,
    GaussianNoise,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomRotation,
    RandomVerticalFlip,
    Resize,
    Transform,
)

DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (40, 6, 7), np.uint8)
COLOUR = DRAW.random((40, 3, 6, 7), np.float32)

EVERY: list[Callable[[], Transform]] = [
    lambda: RandomCrop(5, seed=1),
    lambda: RandomCrop((6, 7), padding=2, seed=1),
    lambda: RandomHorizontalFlip(seed=1),
    lambda: RandomVerticalFlip(0.3, seed=1),
    lambda: RandomRotation(30, seed=1),
    lambda: Normalize(0.5, 0.25),
    lambda: GaussianNoise(0.1, seed=1),
    lambda: Resize((9, 4)),
    lambda: Compose([RandomCrop(5), RandomRotation(20), lambda images: images[..., ::-1], GaussianNoise(1.0)], seed=1),
]


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize("images", [GREY, COLOUR, COLOUR.astype(np.float64)], ids=["grey", "colour", "float64"])
def test_kind_comes_back_and_calls_repeat(make: Callable[[], Transform], images: np.ndarray) -> None:
    before = images.copy()
    first, other = make(), make()
    made = first(images)
    assert isinstance(made, np.ndarray)
    assert made.dtype == images.dtype or isinstance(first, Normalize)
    assert made.ndim == images.ndim and len(made) == len(images)
    tensor = other(ad.tensor(images))
    assert isinstance(tensor, ad.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), made)
    np.testing.assert_array_equal(other(images), first(images))
    np.testing.assert_array_equal(images, before)
    # Grey pictures are colour pictures of one channel.
    if images.ndim == 3:
        np.testing.assert_array_equal(make()(images[:, None])[:, 0], make()(images))
    empty = make()(images[:0])
    assert len(empty) == 0 and empty.shape[1:] == made.shape[1:]


@pytest.mark.parametrize("dtype", [ad.float16, ad.bfloat16, ad.int64, ad.bool])
def test_other_dtypes(dtype: ad.DType) -> None:
    images = ad.tensor(GREY).astype(dtype)
    for make in EVERY:
        made = make()(images)
        assert made.dtype == dtype or (isinstance(make(), Normalize) and made.dtype == ad.float32)


def test_no_gradient_passes_and_none_is_lost() -> None:
    x = ad.tensor(COLOUR, requires_grad=True)
    assert not RandomHorizontalFlip(1.0)(x).requires_grad
    assert x.requires_grad


def test_crops_are_windows_at_every_place() -> None:
    places = np.arange(6 * 7, dtype=np.int64).reshape(6, 7)
    made = RandomCrop((4, 5), seed=0)(np.broadcast_to(places, (400, 6, 7)))
    corners = set(made[:, 0, 0].tolist())
    assert corners == {7 * row + column for row in range(3) for column in range(3)}
    for picture in made[:20]:
        row, column = divmod(int(picture[0, 0]), 7)
        np.testing.assert_array_equal(picture, places[row : row + 4, column : column + 5])
    colour = RandomCrop(3, seed=0)(np.broadcast_to(places, (50, 2, 6, 7)))
    np.testing.assert_array_equal(colour[:, 0], colour[:, 1])


@pytest.mark.parametrize(
    ("padding", "sides"), [(2, (2, 2, 2, 2)), ((1, 3), (1, 3, 1, 3)), ((1, 2, 3, 0), (1, 2, 3, 0))]
)
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_padding(padding: Any, sides: tuple[int, ...], mode: Any) -> None:
    left, top, right, bottom = sides
    size = (6 + top + bottom, 7 + left + right)
    made = RandomCrop(size, padding, fill=9, padding_mode=mode)(COLOUR)
    more = {"constant_values": 9} if mode == "constant" else {}
    widths = ((0, 0), (0, 0), (top, bottom), (left, right))
    np.testing.assert_array_equal(made, np.pad(COLOUR, widths, mode=mode, **more))


def test_flips() -> None:
    np.testing.assert_array_equal(RandomHorizontalFlip(1)(COLOUR), COLOUR[..., ::-1])
    np.testing.assert_array_equal(RandomVerticalFlip(1.0)(GREY), GREY[:, ::-1])
    np.testing.assert_array_equal(RandomVerticalFlip(0)(GREY), GREY)
    many = np.broadcast_to(GREY[:1], (1000, 6, 7))
    made = RandomHorizontalFlip(seed=0)(many)
    turned = (made != many).any(axis=(1, 2))
    assert 430 < turned.sum() < 570
    np.testing.assert_array_equal(made[turned], many[turned][..., ::-1])


@pytest.mark.parametrize("turns", [0, 1, 2, 3, -1])
def test_quarter_turns_are_exact(turns: int) -> None:
    square = GREY[:, :, :6]
    made = RandomRotation((90 * turns, 90 * turns))(square)
    np.testing.assert_array_equal(made, np.rot90(square, turns, axes=(1, 2)))


@pytest.mark.parametrize("shape", [(9, 9), (8, 11), (1, 5)])
def test_rotation_against_scipy(shape: tuple[int, int]) -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy comes with scikit-learn")
    images = DRAW.random((3, *shape))
    for angle in (-75.0, -10.0, 33.0, 140.0):
        made = RandomRotation((angle, angle), fill=0.5)(images)
        turn = np.deg2rad(angle)
        matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        middle = (np.array(shape) - 1) / 2
        offset = middle - matrix @ middle
        wanted = [
            ndimage.affine_transform(
                np.pad(image, 20, constant_values=0.5), matrix, offset + 20 - matrix @ [20, 20], order=1
            )
            for image in images
        ]
        cut = np.stack(wanted)[:, 20 : 20 + shape[0], 20 : 20 + shape[1]]
        np.testing.assert_allclose(made, cut, atol=1e-7)


def test_angles_are_drawn_within_their_range() -> None:
    wedge = np.zeros((300, 21, 21), np.float32)
    wedge[:, 10, 11:] = 1.0  # a ray to the right
    made = RandomRotation(40, seed=0)(wedge)
    weights = made[:, :, 15]  # where it crosses this column tells the angle
    rows = (weights * np.arange(21)).sum(axis=1) / weights.sum(axis=1)
    angles = np.rad2deg(np.arctan2(10 - rows, 5))
    assert -42 < angles.min() < -30 and 30 < angles.max() < 42 and abs(angles.mean()) < 5


def test_normalise() -> None:
    mean, std = (0.1, 0.2, 0.3), (0.5, 1.0, 2.0)
    wanted = (COLOUR - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    np.testing.assert_allclose(Normalize(mean, std)(COLOUR), wanted, rtol=1e-5, atol=1e-6)
    made = Normalize(127.5, 127.5)(GREY)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, GREY / 127.5 - 1, rtol=1e-5, atol=1e-6)


def test_noise() -> None:
    made = GaussianNoise(0.5, seed=0)(np.zeros((100, 20, 20)))
    assert abs(made.mean()) < 0.01 and abs(made.std() - 0.5) < 0.01
    dark = GaussianNoise(100.0, seed=0)(np.zeros((100, 20, 20), np.uint8))
    assert (dark == 0).mean() > 0.45 and dark.max() == 255
    np.testing.assert_array_equal(GaussianNoise(0)(GREY), GREY)


@pytest.mark.parametrize("size", [(6, 7), (12, 14), (9, 5), (3, 3), (1, 1), (28, 2)])
def test_resize_against_pillow(size: tuple[int, int]) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow comes with matplotlib")
    made = Resize(size)(COLOUR)
    wanted = [
        [image.fromarray(channel).resize(size[::-1], image.BILINEAR) for channel in picture] for picture in COLOUR
    ]
    np.testing.assert_allclose(made, np.array([[np.asarray(channel) for channel in row] for row in wanted]), atol=2e-6)


def test_resize_without_antialiasing_takes_two_neighbours() -> None:
    made = Resize((2, 2), antialias=False)(np.arange(64.0).reshape(1, 8, 8))
    assert made.tolist() == [[[13.5, 17.5], [45.5, 49.5]]]
    assert Resize(3)(GREY).shape == (40, 3, 3)
    assert Resize(12)(COLOUR).shape == (40, 3, 12, 14)
    assert Resize(4)(np.zeros((1, 20, 8))).shape == (1, 10, 4)
    np.testing.assert_array_equal(Resize((6, 7))(GREY), GREY)
    assert Resize(28)(np.full((1, 8, 8), 255, np.uint8)).min() == 255


def test_seeds() -> None:
    one = RandomRotation(90, seed=5)
    first, second = one(COLOUR), one(COLOUR)
    assert not np.array_equal(first, second)
    again = RandomRotation(90, seed=5)
    np.testing.assert_array_equal(again(COLOUR), first)
    np.testing.assert_array_equal(again(COLOUR), second)
    ad.manual_seed(3)
    drawn = [RandomRotation(90)(COLOUR) for _ in range(2)]
    assert not np.array_equal(drawn[0], drawn[1])
    ad.manual_seed(3)
    np.testing.assert_array_equal(RandomRotation(90)(COLOUR), drawn[0])


class Pair(NamedTuple):
    """A batch with names."""

    picture: Any
    label: Any


@pytest.mark.parametrize("prefetch", [0, 2])
def test_loaders_change_the_inputs_and_can_be_taken_up(prefetch: int) -> None:
    data = (ad.tensor(COLOUR), ad.arange(40))

    def loader(seed: int | None = 1, shuffle: bool = True) -> DataLoader:
        change = Compose([RandomCrop(5, padding=1), RandomHorizontalFlip(), GaussianNoise(0.1)], seed=2)
        return DataLoader(data, batch_size=8, shuffle=shuffle, seed=seed, prefetch=prefetch, transform=change)

    def read(batches: Any) -> list[Any]:
        return [(x.tolist(), y.tolist()) for x, y in batches]

    one = loader()
    first, second = read(one), read(one)
    assert np.shape(first[0][0]) == (8, 3, 5, 5)
    assert sorted(label for _, labels in first for label in labels) == list(range(40))
    assert first != second
    again = loader()
    assert [read(again), read(again)] == [first, second]
    # Left within the second epoch, and taken up by another loader.
    left = loader()
    read(left)
    batches = iter(left)
    begun = [next(batches) for _ in range(2)]
    other = loader()
    other.load_state_dict(left.state_dict())
    assert [(x.tolist(), y.tolist()) for x, y in begun] + read(other) == second
    assert read(loader(seed=4)) != first
    assert read(loader(None, False)) != read(loader(None, False))


def test_loaders_keep_the_kind_of_a_batch() -> None:
    flip = RandomHorizontalFlip(1.0)
    plain = next(iter(DataLoader(ad.tensor(GREY), batch_size=4, transform=flip)))
    np.testing.assert_array_equal(plain.numpy(), GREY[:4, :, ::-1])
    dataset = [Pair(ad.tensor(picture), number) for number, picture in enumerate(GREY)]
    named = next(
        iter(
            DataLoader(
                dataset, 4, collate=lambda samples: Pair(ad.stack([s.picture for s in samples]), 7), transform=flip
            )
        )
    )
    assert isinstance(named, Pair) and named.label == 7
    np.testing.assert_array_equal(named.picture.numpy(), GREY[:4, :, ::-1])
    doubled = DataLoader((ad.ones((4, 2)), ad.arange(4)), 4, transform=lambda x: x * 2)
    assert [part.tolist() for part in next(iter(doubled))] == [[[2.0, 2.0]] * 4, [0, 1, 2, 3]]
    with pytest.raises(ad.DTypeError, match="DataLoader: transform is a int"):
        DataLoader(ad.ones(3), transform=3)  # pyright: ignore


def test_a_training_with_changed_pictures() -> None:
    ad.manual_seed(0)
    train, train_labels, test, test_labels = ad.data.digits()
    model = ad.nn.Sequential(ad.nn.Flatten(), ad.nn.Linear(64, 64), ad.nn.ReLU(), ad.nn.Linear(64, 10))
    loader = DataLoader((train, train_labels), 64, True, seed=0, transform=RandomRotation(10))
    optimizer = ad.optim.Adam(model.parameters(), lr=0.003)
    ad.fit(model, loader, "cross_entropy", optimizer, epochs=15, verbose=0)
    assert ad.evaluate(model, (test, test_labels), "cross_entropy", ["accuracy"])["accuracy"] > 0.93


MISTAKES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: RandomCrop(0), ad.DomainError, "RandomCrop: size is 0"),
    (lambda: RandomCrop((1, 2, 3)), ad.DomainError, "size is"),
    (lambda: RandomCrop(2.5), ad.AdretError, "size is"),
    (lambda: RandomCrop(4, padding=-1), ad.DomainError, "padding is -1"),
    (lambda: RandomCrop(4, padding=(1, 2, 3)), ad.DomainError, "one, two or four"),
    (lambda: RandomCrop(4, padding_mode="wrap"), ad.DomainError, "padding_mode is 'wrap'"),
    (lambda: RandomCrop(4, seed=-1), ad.DomainError, "RandomCrop: seed is -1"),
    (lambda: RandomCrop(8)(GREY), ad.ShapeError, "6 x 7 with padding, and the window 8 x 8"),
    (lambda: RandomCrop(2, 6, padding_mode="reflect")(GREY), ad.ShapeError, "side of 6 cannot be mirrored by 6"),
    (lambda: RandomHorizontalFlip(1.5), ad.DomainError, "RandomHorizontalFlip: p is 1.5"),
    (lambda: RandomVerticalFlip(float("nan")), ad.DomainError, "p is nan"),
    (lambda: RandomRotation(-5), ad.DomainError, "degrees is -5"),
    (lambda: RandomRotation((5, 2)), ad.DomainError, "degrees is"),
    (lambda: Normalize(0, 0), ad.DomainError, "std of more than 0"),
    (lambda: Normalize([], 1), ad.DomainError, "Normalize: mean is"),
    (lambda: Normalize(float("inf"), 1), ad.DomainError, "finite"),
    (lambda: Normalize((1, 2), 1)(COLOUR), ad.ShapeError, "mean has 2 values and the pictures have 3 channels"),
    (lambda: GaussianNoise(-1), ad.DomainError, "GaussianNoise: std is -1"),
    (lambda: Resize((0, 4)), ad.DomainError, "Resize: size is"),
    (lambda: Resize(4)(np.zeros((2, 0, 4))), ad.ShapeError, "Resize: the pictures are 0 x 4"),
    (lambda: Compose([3]), ad.DTypeError, "Compose: a int cannot be called"),
    (lambda: Resize(4)(np.zeros((8, 8))), ad.ShapeError, r"images\[None\]"),
    (lambda: Resize(4)(np.zeros((1, 8, 8), complex)), ad.DTypeError, "Resize: elements are complex128"),
    (lambda: Resize(4)([[[1]]]), ad.DTypeError, "Resize: a list is no batch"),
    (lambda: Compose([lambda x: x[0], Resize(2)])(GREY), ad.ShapeError, r"Resize: the pictures are \(6, 7\)"),
    (lambda: Transform()(GREY), NotImplementedError, "apply is missing"),
]


@pytest.mark.parametrize(("call", "error", "says"), MISTAKES)
def test_mistakes(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
