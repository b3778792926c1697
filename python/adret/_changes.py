"""Counts the changes that a recorded program cannot see in tensors: a layer replaced, a rate set, `eval()` called.

Depends on nothing. Invariant: every attribute set on a module, an optimiser or a parameter group makes `count` grow,
so an unchanged count means that a recording made earlier still describes the program.
"""

count: int = 0
"""Number of changes since the import."""
