"""When Python looks for cycles of objects: rarely, since reference counts free what our own work leaves behind."""

import gc
from typing import Final

_COLLECT_AFTER: Final = (10_000, 10, 10)
"""After how many objects more than before cycles are looked for among the youngest, and how often among older ones."""


def collect_rarely() -> None:
    """Have cycles looked for rarely, and never among what there is now: it lasts as long as the process.

    A look at everything goes through more than 100 objects for each open stream. With thousands of them it holds the
    process up for a quarter of a second, and Python's own thresholds have it come again and again as streams open.
    In a worker they have it come with every few looks or deliveries under way.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
