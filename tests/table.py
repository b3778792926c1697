"""The table of operations: what every public function means, on which inputs, in which dtypes.

Depends on the rows. Invariant: every public function of the namespace has a row here, or stands in `ELSEWHERE` with the
folder that tests it.
"""

from __future__ import annotations

from rows import channels, composite, contraction, creation, gather, losses, matrix, movement, pointwise, pool, reduce
from rows.creation import Creation
from rows.record import Row

ROWS: list[Row] = [
    *pointwise.ROWS,
    *movement.ROWS,
    *reduce.ROWS,
    *matrix.ROWS,
    *gather.ROWS,
    *contraction.ROWS,
    *composite.ROWS,
    *losses.ROWS,
    *pool.ROWS,
    *channels.ROWS,
]
CREATIONS: list[Creation] = creation.ROWS

ELSEWHERE: dict[str, str] = {
    "allclose": "tests/ops/test_search.py",
    "dropout": "tests/ops/test_ops_random.py",
    "empty": "tests/ops/test_ops_forward.py",
    "empty_like": "tests/ops/test_ops_forward.py",
    "nonzero": "tests/ops/test_search.py",
    "unique_all": "tests/ops/test_search.py",
    "unique_counts": "tests/ops/test_search.py",
    "unique_inverse": "tests/ops/test_search.py",
    "unique_values": "tests/ops/test_search.py",
}

NAMES: frozenset[str] = frozenset(row.name for row in ROWS) | {row.name for row in CREATIONS}
