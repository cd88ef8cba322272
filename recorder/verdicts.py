"""Why a recording in which nothing failed is no success all the same; each is a word for its report."""

from __future__ import annotations

from typing import Final

from tickdeck.recorder.capture import Counts
from tickdeck.recorder.options import Options

NOTHING: Final = "nothing"
NO_EVENTS: Final = "no events"
NO_REQUEST: Final = "no request"


def verdict_on(options: Options, counts: Counts, *, events: bool, asked: bool) -> str:
    """One of them, or nothing to say. ``events``: a client got some; ``asked``: somebody asked the proxy."""
    if options.subscribe and not events:
        return NO_EVENTS
    if options.for_command and not asked:
        return NO_REQUEST
    return NOTHING if counts.empty else ""
