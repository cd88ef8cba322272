"""The garbage collector, in a process that is ours alone.

A full collection looks at every object that there is. With a thousand sockets that holds
the event loop for 200 ms, and it came once in a hundred new sockets, so that the processor
time of one grew with the sockets that were there. What was loaded before is put aside
while a verb runs, and full collections are made rare; those of young objects, which find
what our cycles leave, stay as they are.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MIDDLE_TO_FULL: Final = 500
"""How many collections of the middle generation go before a full one, where Python says 10."""


@contextmanager
def rare_full_collections() -> Iterator[None]:
    """While entered."""
    young, middle, full = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(young, middle, max(full, MIDDLE_TO_FULL))
    try:
        yield
    finally:
        gc.set_threshold(young, middle, full)
        gc.unfreeze()
