"""The machine's clocks, whatever a test has made of its own: the only module that reads any.

A test may freeze time (freezegun), move it (time-machine), or put a clock of its own in
place of ``time.monotonic``. Its bot is to see that; a tape at a pace, a wait and a timeout
are not. So the clocks are taken once, when this module is loaded, which the pytest plugin
does before any test runs. Inside a freeze they are what freezegun put aside. They lie in
an object, because freezegun replaces what it finds among the names of a module.
"""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class RealTime:
    """What the machine's clocks say: ``monotonic`` never steps back, and is for deadlines."""

    monotonic: Callable[[], float]
    monotonic_ns: Callable[[], int]
    sleep: Callable[[float], None]
    _time_ns: Callable[[], int]

    def wall_ns(self) -> int:
        """Nanoseconds since 1970, UTC: for anchors and people, never for deadlines."""
        time_machine: Any = sys.modules.get("time_machine")  # it changes the clock itself, and has a way out
        hatch = getattr(time_machine, "escape_hatch", None)
        if hatch is not None:
            try:
                return int(hatch.time.time_ns())
            except ValueError:  # it is loaded, and moves nothing now
                pass
        return self._time_ns()


def _original(name: str) -> Any:
    """A clock of the module ``time``, or what freezegun put aside before it took its place."""
    return getattr(sys.modules.get("freezegun.api"), f"real_{name}", None) or getattr(time, name)


REAL: Final = RealTime(
    _original("monotonic"), _original("monotonic_ns"), _original("sleep"), _original("time_ns")
)


@contextmanager
def real_datetime() -> Iterator[None]:
    """``datetime.datetime`` is Python's own, also inside a freeze of freezegun.

    Compiled code (cryptography) remembers for ever the class that it finds there first; with freezegun's it would
    refuse every moment once the freeze is over.
    """
    names = vars(datetime)
    before = names["datetime"]
    names["datetime"] = getattr(sys.modules.get("freezegun.api"), "real_datetime", before)
    try:
        yield
    finally:
        names["datetime"] = before
