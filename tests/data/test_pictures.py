"""Sets of pictures from their original files: what is found where, what is refused, and at which byte.

Depends on the installed package and NumPy; files are made here, small, in the formats of the originals.
"""

from __future__ import annotations

import gzip
import io
import struct
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import adret as ad
import numpy as np
import pytest

TRAIN, TEST = 12, 5
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
ARRAYS = np.random.default_rng(0)
IMAGES = {
    "train": ARRAYS.integers(0, 256, (TRAIN, 28, 28), np.uint8),
    "t10k": ARRAYS.integers(0, 256, (TEST, 28, 28), np.uint8),
}
LABELS = {"train": ARRAYS.integers(0, 10, TRAIN, np.uint8), "t10k": ARRAYS.integers(0, 10, TEST, np.uint8)}


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def contents() -> dict[str, bytes]:
    return {name: idx((IMAGES if "images" in name else LABELS)[name.split("-")[0]]) for name in NAMES}


def write(folder: Path, files: dict[str, bytes], rename: Callable[[str], str] = str, squeeze: bool = False) -> Path:
    for name, content in files.items():
        path = folder / rename(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if squeeze else content)
    return folder


def check(found: ad.data.PictureSet) -> None:
    train_images, train_labels, test_images, test_labels = found
    assert [train_images.dtype, train_labels.dtype] == [ad.uint8, ad.int64]
    np.testing.assert_array_equal(train_images.numpy(), IMAGES["train"])
    np.testing.assert_array_equal(test_images.numpy(), IMAGES["t10k"])
    np.testing.assert_array_equal(train_labels.numpy(), LABELS["train"])
    np.testing.assert_array_equal(test_labels.numpy(), LABELS["t10k"])


@pytest.mark.parametrize("squeeze", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("place", ["", "raw", "MNIST/raw", "mnist"])
def test_mnist_is_found_where_downloads_leave_it(tmp_path: Path, place: str, squeeze: bool) -> None:
    suffix = ".gz" if squeeze else ""
    write(tmp_path / place, contents(), lambda name: name + suffix, squeeze)
    check(ad.data.mnist(tmp_path))
    check(ad.data.mnist(str(tmp_path)))
    if place in ("", "raw"):
        check(ad.data.fashion_mnist(tmp_path))


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.replace("-idx", ".idx"),
        lambda name: f"{name}/{name}",
        lambda name: f"{name.replace('-idx', '.idx')}/{name}",
    ],
)
def test_other_names_of_the_same_files(tmp_path: Path, rename: Callable[[str], str]) -> None:
    check(ad.data.mnist(write(tmp_path, contents(), rename)))


def test_a_file_is_known_by_its_bytes_not_by_its_suffix(tmp_path: Path) -> None:
    check(ad.data.mnist(write(tmp_path / "a", contents(), lambda name: f"{name}.gz")))
    check(ad.data.mnist(write(tmp_path / "b", contents(), squeeze=True)))


def test_the_two_sets_do_not_mix(tmp_path: Path) -> None:
    write(tmp_path / "MNIST/raw", contents())
    other = {name: idx(255 - (IMAGES if "images" in name else LABELS)[name.split("-")[0]]) for name in NAMES[:1]}
    write(tmp_path / "FashionMNIST/raw", {**contents(), **other})
    check(ad.data.mnist(tmp_path))
    np.testing.assert_array_equal(ad.data.fashion_mnist(tmp_path).train_images.numpy(), 255 - IMAGES["train"])


@pytest.mark.parametrize("dtype", [ad.float32, ad.float64, ad.float16, ad.bfloat16, "float32", ad.int32])
def test_dtypes(tmp_path: Path, dtype: ad.DType) -> None:
    images = ad.data.mnist(write(tmp_path, contents()), dtype=dtype).train_images
    assert images.dtype == ad.dtype(dtype)
    scale = 255 if images.dtype.is_floating_point else 1
    tolerance = {"float64": 1e-15, "float16": 1e-3, "bfloat16": 1e-2}.get(images.dtype.name, 1e-7)
    np.testing.assert_allclose(images.astype(ad.float64).numpy(), IMAGES["train"] / scale, rtol=tolerance)
    for wrong in (ad.bool, ad.int8, "text"):
        with pytest.raises(ad.DTypeError):
            ad.data.mnist(tmp_path, dtype=wrong)


def test_missing_files_say_what_is_expected_where(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"mnist: .*none of train-images-idx3-ubyte.*MNIST/raw.*four files there"
    ):
        ad.data.mnist(tmp_path / "nowhere")
    write(tmp_path / "MNIST", {name: content for name, content in contents().items() if "t10k" not in name})
    with pytest.raises(
        FileNotFoundError, match=r"MNIST has no t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, with or"
    ):
        ad.data.mnist(tmp_path)


def changed(name: str, change: Callable[[bytes], bytes]) -> dict[str, bytes]:
    files = contents()
    files[name] = change(files[name])
    return files


def at(offset: int, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content[:offset] + new + content[offset + len(new) :]


DAMAGED = [
    (
        "magic",
        NAMES[0],
        at(0, b"\0\0\x08\x01"),
        "byte 0: the magic number is 0x00000801, the one of labels, not 0x00000803",
    ),
    ("text", NAMES[0], lambda content: b"<html>not here</html>", "byte 0: the magic number is 0x3c68746d"),
    ("floats", NAMES[0], at(2, b"\x0d"), "byte 0: the magic number is 0x00000d03"),
    ("labels as pictures", NAMES[1], lambda content: contents()[NAMES[0]], "the one of pictures, not 0x00000801"),
    ("negative", NAMES[0], at(4, b"\xff\xff\xff\xff"), "byte 4: the size of axis 0 is -1"),
    ("none", NAMES[1], at(4, bytes(4)), "byte 4: the size of axis 0 is 0"),
    ("sides", NAMES[0], at(8, struct.pack(">I", 32)), "byte 8: the size of axis 1 is 32, not 28"),
    ("sides 2", NAMES[2], at(12, struct.pack(">I", 1)), "byte 12: the size of axis 2 is 1, not 28"),
    ("beyond", NAMES[0], at(4, struct.pack(">I", 13)), "byte 9424: the content ends"),
    ("huge", NAMES[0], at(4, struct.pack(">i", 2**31 - 1)), "byte 4: the sizes .* are not read"),
    ("huge labels", NAMES[1], at(4, struct.pack(">i", 2**30)), "byte 20: the content ends"),
    ("cut off", NAMES[2], lambda content: content[:-1], "byte 3935: the content ends"),
    ("cut in the header", NAMES[3], lambda content: content[:6], "byte 6: the file ends.* in its header of 8 bytes"),
    ("empty", NAMES[3], lambda content: b"", "byte 0: the file ends"),
    ("garbage", NAMES[1], lambda content: content + b"x", "byte 20: the content goes on.* after the 20 bytes"),
    ("fewer labels", NAMES[1], lambda content: idx(LABELS["train"][:-1]), "11 labels, and 12 pictures"),
    ("label", NAMES[3], at(10, b"\x0a"), "byte 10: label 2 is 10, and there are 10 classes"),
]


@pytest.mark.parametrize("squeeze", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(("name", "change", "says"), [row[1:] for row in DAMAGED], ids=[row[0] for row in DAMAGED])
def test_damaged_files_are_refused(
    tmp_path: Path, name: str, change: Callable[[bytes], bytes], says: str, squeeze: bool
) -> None:
    write(tmp_path, changed(name, change), squeeze=squeeze)
    with pytest.raises(ad.FileFormatError, match=f"mnist: .*{name}: .*{says}"):
        ad.data.mnist(tmp_path)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda squeezed: squeezed[: len(squeezed) // 2],
        lambda squeezed: squeezed[:-4],
        lambda squeezed: squeezed[:-8] + b"\0" * 8,
        lambda squeezed: squeezed + b"garbage",
        lambda squeezed: squeezed[:40] + b"\xff" * 40 + squeezed[80:],
        lambda squeezed: squeezed[:5],
    ],
)
def test_damaged_compression_is_refused(tmp_path: Path, break_it: Callable[[bytes], bytes]) -> None:
    write(tmp_path, contents())
    (tmp_path / NAMES[0]).write_bytes(break_it(gzip.compress(contents()[NAMES[0]])))
    with pytest.raises(ad.FileFormatError, match=f"mnist: .*{NAMES[0]}: byte "):
        ad.data.mnist(tmp_path)


def test_a_bomb_is_decompressed_no_further_than_its_header_says(tmp_path: Path) -> None:
    import tracemalloc

    bomb = gzip.compress(contents()[NAMES[1]] + bytes(200 << 20), compresslevel=1)
    write(tmp_path, contents())
    (tmp_path / NAMES[1]).write_bytes(bomb)
    tracemalloc.start()
    with pytest.raises(ad.FileFormatError, match=r"the content goes on \(decompressed\) after the 20 bytes"):
        ad.data.mnist(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_random_damage_raises_or_reads(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    whole = contents()[NAMES[1]]
    write(tmp_path, contents())
    for squeeze in (False, True):
        sound = gzip.compress(whole) if squeeze else whole
        for _ in range(200):
            broken = bytearray(sound)
            for place in draw.integers(0, len(sound), draw.integers(1, 4)):
                broken[place] = draw.integers(0, 256)
            (tmp_path / NAMES[1]).write_bytes(bytes(broken[: draw.integers(1, len(broken) + 1)]))
            try:
                found = ad.data.mnist(tmp_path)
            except ad.FileFormatError as error:
                assert NAMES[1] in str(error)
            else:
                assert found.train_labels.shape == (TRAIN,)


# CIFAR


def records(count: int, labels: int, seed: int, classes: tuple[int, ...] = (10,)) -> bytes:
    draw = np.random.default_rng(seed)
    rows = draw.integers(0, 256, (count, labels + 3072), np.uint8)
    for column, number in enumerate(classes):
        rows[:, column] = draw.integers(0, number, count)
    return rows.tobytes()


CIFAR10 = {f"data_batch_{n}.bin": records(n, 1, n) for n in range(1, 6)} | {"test_batch.bin": records(4, 1, 9)}
CIFAR100 = {"train.bin": records(6, 2, 1, (20, 100)), "test.bin": records(3, 2, 2, (20, 100))}


def archive(files: dict[str, bytes], prefix: str, kind: int = tarfile.PAX_FORMAT) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", format=kind) as made:
        for name, data in {"readme.html": b"<html></html>", **files}.items():
            member = tarfile.TarInfo(f"{prefix}/{name}")
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return content.getvalue()


def check_cifar(found: ad.data.PictureSet) -> None:
    assert found.train_images.shape == (15, 3, 32, 32)
    assert found.test_images.shape == (4, 3, 32, 32)
    rows = np.frombuffer(b"".join(CIFAR10[f"data_batch_{n}.bin"] for n in range(1, 6)), np.uint8).reshape(15, 3073)
    np.testing.assert_array_equal(found.train_labels.numpy(), rows[:, 0])
    np.testing.assert_array_equal(found.train_images.numpy().reshape(15, -1), rows[:, 1:])
    # Red comes first, row by row.
    assert found.test_images[1, 2, 3, 4].item() == CIFAR10["test_batch.bin"][3073 + 1 + 2 * 1024 + 3 * 32 + 4]


@pytest.mark.parametrize("place", ["", "cifar-10-batches-bin"])
def test_cifar10_from_its_files(tmp_path: Path, place: str) -> None:
    write(tmp_path / place, CIFAR10)
    check_cifar(ad.data.cifar10(tmp_path))
    scaled = ad.data.cifar10(tmp_path, dtype=ad.float32).test_images
    assert scaled.dtype == ad.float32
    assert 0 <= scaled.min().item() <= scaled.max().item() <= 1


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("prefix", ["cifar-10-batches-bin", "./cifar-10-batches-bin"])
def test_cifar10_from_its_archive(tmp_path: Path, prefix: str, kind: int) -> None:
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(archive(CIFAR10, prefix, kind))
    check_cifar(ad.data.cifar10(tmp_path))
    check_cifar(ad.data.cifar10(path))
    assert sorted(tmp_path.iterdir()) == [path]


def test_cifar100(tmp_path: Path) -> None:
    write(tmp_path / "cifar-100-binary", CIFAR100)
    rows = np.frombuffer(CIFAR100["train.bin"], np.uint8).reshape(6, 3074)
    np.testing.assert_array_equal(ad.data.cifar100(tmp_path).train_labels.numpy(), rows[:, 1])
    np.testing.assert_array_equal(ad.data.cifar100(tmp_path, coarse=True).train_labels.numpy(), rows[:, 0])
    np.testing.assert_array_equal(ad.data.cifar100(tmp_path).train_images.numpy().reshape(6, -1), rows[:, 2:])
    write(tmp_path / "cifar-100-binary", {"test.bin": at(3074 + 1, b"\x64")(CIFAR100["test.bin"])})
    with pytest.raises(
        ad.FileFormatError, match=r"test\.bin: byte 3075: the fine label of picture 1 is 100, and there"
    ):
        ad.data.cifar100(tmp_path)


def test_missing_cifar_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"cifar10: .*data_batch_1\.bin.*cifar-10-binary\.tar\.gz.*Nothing is down"
    ):
        ad.data.cifar10(tmp_path)
    write(tmp_path / "cifar-10-batches-py", {"data_batch_1": b"cos\nsystem\n"})
    with pytest.raises(FileNotFoundError, match="pickles, which could run anything"):
        ad.data.cifar10(tmp_path)
    write(tmp_path, {name: content for name, content in CIFAR10.items() if "3" not in name})
    with pytest.raises(FileNotFoundError, match=r"has no data_batch_3\.bin\. Put"):
        ad.data.cifar10(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (CIFAR10["data_batch_2.bin"][:-1], "byte 6145: the file ends after 6145 bytes, not after records of 3073"),
        (CIFAR10["data_batch_2.bin"] + b"x", "byte 6147"),
        (b"", "byte 0: the file ends"),
        (at(3073, b"\x0a")(CIFAR10["data_batch_2.bin"]), "byte 3073: the label of picture 1 is 10, and there are 10"),
    ],
)
@pytest.mark.parametrize("squeeze", [False, True], ids=["files", "archive"])
def test_damaged_cifar_is_refused(tmp_path: Path, content: bytes, says: str, squeeze: bool) -> None:
    files = {**CIFAR10, "data_batch_2.bin": content}
    if squeeze:
        (tmp_path / "cifar-10-binary.tar.gz").write_bytes(archive(files, "cifar-10-batches-bin"))
    else:
        write(tmp_path, files)
    with pytest.raises(ad.FileFormatError, match=rf"cifar10: .*data_batch_2\.bin: {says}"):
        ad.data.cifar10(tmp_path)


def test_hostile_archives_are_refused(tmp_path: Path) -> None:
    sound = archive(CIFAR10, "cifar-10-batches-bin")
    plain = gzip.decompress(sound)
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w:gz") as made:
        member = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(member)
    longest = tarfile.TarInfo("cifar-10-batches-bin/x")
    longest.size = 2**40
    cases = {
        "no gzip": plain,
        "cut off": sound[: len(sound) // 2],
        "cut inside": gzip.compress(plain[: len(plain) // 2]),
        "lacking": archive({"test_batch.bin": CIFAR10["test_batch.bin"]}, "cifar-10-batches-bin"),
        "other folder": archive(CIFAR10, "../cifar-10-batches-bin"),
        "a link": link.getvalue(),
        "an endless member": gzip.compress(longest.tobuf(tarfile.GNU_FORMAT) + plain),
        "nonsense": gzip.compress(bytes(range(256)) * 64),
        "nothing": gzip.compress(b""),
        "empty": b"",
        "nested names": gzip.compress(nested()),
    }
    taken: list[str] = []
    for case, content in cases.items():
        (tmp_path / "cifar-10-binary.tar.gz").write_bytes(content)
        try:
            ad.data.cifar10(tmp_path)
        except ad.FileFormatError as error:
            assert "cifar-10-binary.tar.gz: byte " in str(error), case
        else:
            taken.append(case)
    assert not taken


def nested() -> bytes:
    """Thousands of headers that each announce a long name for the next."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 4
    return (header.tobuf(tarfile.GNU_FORMAT) + b"name".ljust(512, b"\0")) * 5000


def test_an_archive_that_is_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar = sys.modules["adret.data._cifar"]
    monkeypatch.setattr(cifar, "LARGEST", 1 << 20)
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(gzip.compress(bytes(8 << 20)))
    with pytest.raises(ad.FileFormatError, match="more than 1048576 bytes"):
        ad.data.cifar10(tmp_path)
    write(tmp_path, {**CIFAR10, "data_batch_1.bin": bytes(3073 * 400)})
    with pytest.raises(ad.FileFormatError, match="1048576 are read at most"):
        ad.data.cifar10(tmp_path)


# Digits


def test_digits_keep_every_label_in_proportion() -> None:
    found = ad.data.digits(seed=3)
    assert found.train_images.shape == (1198, 8, 8)
    assert found.train_images.dtype == ad.float32
    assert [found.train_images.min().item(), found.train_images.max().item()] == [0.0, 1.0]
    counts = np.bincount(found.test_labels.numpy())
    assert counts.min() >= 58 and counts.max() <= 62
    assert ad.data.digits("uint8").train_images.max().item() == 16
    assert ad.data.digits(seed=3).test_labels.tolist() == found.test_labels.tolist()
    assert ad.data.digits(seed=4).test_labels.tolist() != found.test_labels.tolist()
    assert len(ad.data.digits(test_size=100).test_labels) == 100


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(
        ImportError, match=r"digits: scikit-learn is missing\. Install it with `pip install scikit-learn`"
    ):
        ad.data.digits()
