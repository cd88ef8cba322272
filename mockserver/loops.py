"""The event loop that serves: asyncio's own, or uvloop where the extra ``fast`` is installed."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import Any, TypeAlias

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.choices import EventLoop

NewLoop: TypeAlias = Callable[[], asyncio.AbstractEventLoop]


def new_loop_of(choice: EventLoop) -> NewLoop:
    """What makes a loop of this kind; `UsageError` if uvloop is asked for and not there."""
    if choice is EventLoop.ASYNCIO:
        return asyncio.new_event_loop
    try:
        uvloop: Any = importlib.import_module("uvloop")
    except ImportError:
        if choice is EventLoop.AUTO:
            return asyncio.new_event_loop
        raise UsageError(
            "uvloop is not installed; pip install 'tickdeck[fast]' brings it, or take asyncio"
        ) from None
    make: NewLoop = uvloop.new_event_loop
    return make


def queues_writes(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether what is written leaves only at the end of a turn of the loop, so that it is buffered until then."""
    return type(loop).__module__.startswith("uvloop")
