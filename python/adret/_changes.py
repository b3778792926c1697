"""Counts the changes that a recorded program cannot see in tensors: a layer replaced, a momentum set, `eval()` called.

Depends on nothing. Invariant: every attribute of a module, an optimiser or a parameter group that is set to something
else makes `count` grow, so an unchanged count means that a recording made earlier still describes the program.
"""

count: int = 0
"""Number of changes since the import."""

_PLAIN = (bool, int, float, str, type(None))


def note(old: object, new: object) -> None:
    """Counts a change from `old` to `new`, if it is one."""
    global count
    if old is new or (type(old) is type(new) and isinstance(new, _PLAIN) and old == new):
        return
    count += 1
