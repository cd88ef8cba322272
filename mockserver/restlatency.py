"""How long a REST answer takes: as long as when it was recorded, no time, or a time of the user's.

The head of an answer comes when its first byte came, counted from the request, and the
body when it had ended; both divided by the speed. It is wall time from the moment of the
request: a pause of the tape does not hold an answer that is under way.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, TypeAlias

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.records import Interaction
from tickdeck.mockserver.moments import parse_duration
from tickdeck.mockserver.playhead import REAL_TIME, Speed

_SECOND: Final = 1_000_000_000


class RestLatency(enum.StrEnum):
    """How long answers take."""

    RECORDED = "recorded"
    """As long as they took, divided by the speed."""
    NONE = "none"
    """They come at once."""


Latency: TypeAlias = RestLatency | int
"""One of these, or nanoseconds of wall time at every speed."""


@dataclass(frozen=True, slots=True)
class Waits:
    """When the head and the body of an answer go out, in nanoseconds after the request came."""

    head_ns: int = 0
    body_ns: int = 0


AT_ONCE: Final = Waits()


def parse_latency(given: str | float) -> Latency:
    """``recorded``, ``none``, ``200ms``, or a number of seconds; `UsageError` for anything else."""
    if given in list(RestLatency):
        return RestLatency(given)
    ns = parse_duration(given) if isinstance(given, str) else _nanoseconds(given)
    if ns is None:
        raise UsageError(f"rest latency is none of recorded, none, nor a duration like 200ms: {given!r}")
    return ns


def _nanoseconds(seconds: float) -> int | None:
    return round(seconds * _SECOND) if 0 <= seconds < _SECOND else None


def latency_at(speed: Speed, wanted: Latency | None) -> Latency:
    """What was wanted; else recorded while the tape has a pace, and none where it has not."""
    if wanted is not None:
        return wanted
    return RestLatency.RECORDED if speed.paced else RestLatency.NONE


def waits_of(recorded: Interaction, latency: Latency, *, speed: Speed, cap_ns: int | None) -> Waits:
    """How long this answer waits; ``cap_ns`` is the longest stretch of recorded time that is waited out."""
    if latency is RestLatency.NONE:
        return AT_ONCE
    if latency is not RestLatency.RECORDED:
        return Waits(latency, latency)
    head_ns = _capped(recorded.first_byte_ns - recorded.offset_ns, cap_ns)
    body_ns = head_ns + _capped(recorded.end_ns - recorded.first_byte_ns, cap_ns)
    factor = (speed if speed.paced else REAL_TIME).factor
    return Waits(*(-(-ns * factor.denominator // factor.numerator) for ns in (head_ns, body_ns)))


def _capped(span_ns: int, cap_ns: int | None) -> int:
    span_ns = max(span_ns, 0)
    return span_ns if cap_ns is None else min(span_ns, cap_ns)
