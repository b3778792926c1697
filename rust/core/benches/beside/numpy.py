"""NumPy's turns in a bench: told a case, then numbers of calls, it answers with the seconds that they took.

Depends on NumPy; speaks over its standard streams. Invariant: arrays and functions are made outside the timing.
"""

from __future__ import annotations

import sys
import time

import numpy as np

rng = np.random.default_rng(0)
for line in sys.stdin:
    word, *rest = line.rstrip("\n").split("\t")
    if word == "case":
        expression, *shapes = rest
        function = eval("lambda x, y=None: " + expression)
        arrays = [rng.random([int(size) for size in shape.split()], dtype=np.float32) for shape in shapes]
        function(*arrays)
    else:
        start = time.perf_counter()
        for _ in range(int(word)):
            function(*arrays)
        print(time.perf_counter() - start, flush=True)
