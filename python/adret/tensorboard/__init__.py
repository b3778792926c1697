"""Event files, as TensorBoard shows them: written while training, and read back.

Depends on the core and `nn`; TensorBoard itself is only needed to look at them. Invariant: a file is complete up to its
last event, and nothing in a file that is read is believed without its checksum.
"""

from ._reader import Event, Histogram, read_events
from ._writer import SummaryWriter

__all__ = ["Event", "Histogram", "SummaryWriter", "read_events"]
