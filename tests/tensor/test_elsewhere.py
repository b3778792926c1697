"""Names that PyTorch has and adret writes otherwise: the error says how.

Depends on the installed package. Invariant: what the error names is there.
"""

from __future__ import annotations

import re

import adret as ad
import pytest
from adret._elsewhere import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_name_here_is_given(name: str) -> None:
    with pytest.raises(AttributeError) as raised:
        getattr(ad, name)
    assert str(raised.value) == f"module 'adret' has no attribute {name!r}. Use {NAMES[name]}."
    for path in re.findall(r"\bad\.([\w.]+\w)", NAMES[name]):
        found: object = ad
        for part in path.split("."):
            found = getattr(found, part)
    for method in re.findall(r"\bx\.(\w+)", NAMES[name]):
        assert hasattr(ad.ones(1), method)


def test_other_names_are_missing_as_ever() -> None:
    with pytest.raises(AttributeError, match=r"^module 'adret' has no attribute 'frobnicate'$"):
        ad.frobnicate  # noqa: B018
    assert not hasattr(ad, "__wrapped__")
