"""The rows of the operation table, one module per family.

Depends on NumPy and adret. Invariant: every module has a list `ROWS`.
"""
