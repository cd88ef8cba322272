"""The event loop that serves: asyncio's own, or uvloop where the extra ``fast`` is installed.

Neither asks ``time.monotonic``, which a test may have frozen: timers would never ring, or
all at once.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.choices import EventLoop
from tickdeck.watch.realtime import REAL

NewLoop: TypeAlias = Callable[[], asyncio.AbstractEventLoop]


if sys.platform == "win32":
    _AsyncioLoop = asyncio.ProactorEventLoop
else:
    _AsyncioLoop = asyncio.SelectorEventLoop


class RealTimeLoop(_AsyncioLoop):
    """asyncio's own loop, on the machine's clock."""

    def time(self) -> float:
        """Seconds of the monotonic clock: asked at every turn."""
        return REAL.monotonic()


def new_loop_of(choice: EventLoop) -> NewLoop:
    """What makes a loop of this kind; `UsageError` if uvloop is asked for and not there."""
    if choice is EventLoop.ASYNCIO:
        return RealTimeLoop
    try:
        uvloop: Any = importlib.import_module("uvloop")
    except ImportError:
        if choice is EventLoop.AUTO:
            return RealTimeLoop
        raise UsageError(
            "uvloop is not installed; pip install 'tickdeck[fast]' brings it, or take asyncio"
        ) from None
    make: NewLoop = uvloop.new_event_loop
    return make


def queues_writes(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether what is written leaves only at the end of a turn of the loop, so that it is buffered until then."""
    return type(loop).__module__.startswith("uvloop")
