"""JSON lines on stdout: each has ``kind``, ``v`` and ``time``, and is out before the next thing happens."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Final, TextIO

from tickdeck.words import utc

VERSION: Final = 1
"""Rises when a field of any kind changes its meaning or goes away; new fields and kinds do not count."""


class JsonLines:
    """Writes objects as lines; what it is given must have a ``kind``.

    Nobody is obliged to read them: when the reader is gone the rest is dropped, and what is told about goes on.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._closed = False

    def tell(self, line: Mapping[str, object]) -> None:
        """One line, stamped with the present time in UTC."""
        if self._closed:
            return
        stamped = {"kind": line["kind"], "v": VERSION, "time": utc(time.time_ns()), **line}
        try:
            self._stream.write(compact(stamped) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            self._closed = True
            forget(self._stream)


def forget(stream: TextIO) -> None:
    """Let what is still buffered go nowhere, instead of complaining again about a pipe that nobody reads."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def compact(value: object) -> str:
    """JSON without spaces, any script as itself."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
