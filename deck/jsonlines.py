"""JSON lines on stdout: each has ``kind``, ``v`` and ``time``, and is out before the next thing happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tickdeck import output
from tickdeck.watch import printable
from tickdeck.watch.realtime import REAL
from tickdeck.words import utc

VERSION: Final = 1
"""Rises when a field of any kind changes its meaning or goes away; new fields and kinds do not count."""


class JsonLines:
    """Makes lines of objects, which must have a ``kind``, and gives them to ``show``."""

    def __init__(self, show: Callable[[str], None] | None = None) -> None:
        self._show = show or _at_once

    def tell(self, line: Mapping[str, object]) -> None:
        """One line, stamped with the present time in UTC."""
        stamped = {"kind": line["kind"], "v": VERSION, "time": utc(REAL.wall_ns()), **line}
        self._show(printable.json_line(stamped))


def _at_once(line: str) -> None:
    output.show_json(line)
    output.flush()
