"""SIGINT and SIGTERM as something to await: a signal is how a run normally ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from types import FrameType
from typing import Final

_WANTED: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def _heeded() -> list[int]:
    """Those that end us: not SIGHUP under nohup, which is there so that a terminal that closes ends nothing."""
    hang_up = getattr(signal, "SIGHUP", None)
    return [each for each in _WANTED if each != hang_up or signal.getsignal(each) is not signal.SIG_IGN]


class Signals:
    """While entered, the signals go into a queue; an async iterator over their numbers."""

    def __enter__(self) -> Signals:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[int] = asyncio.Queue()
        self._at_once: list[Callable[[], object]] = []
        self._before = {number: signal.getsignal(number) for number in _heeded()}
        for number in self._before:
            signal.signal(number, self._arrived)
        return self

    def at_once(self, call: Callable[[], object]) -> None:
        """Have a signal that ends us call something before the loop goes on, however much there is to do in it."""
        self._at_once.append(call)

    def on(self, name: str, call: Callable[[], object]) -> None:
        """Have a signal call something, in the event loop; where the system has no such signal nothing does."""
        if (number := getattr(signal, name, None)) is not None:
            self._before.setdefault(number, signal.getsignal(number))
            signal.signal(number, lambda *_: self._loop.call_soon_threadsafe(call))

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    async def first(self) -> int:
        """The next signal."""
        return await self._queue.get()

    def waiting(self) -> Iterator[int]:
        """Those that have come and were not taken."""
        while not self._queue.empty():
            yield self._queue.get_nowait()

    async def __aiter__(self) -> AsyncIterator[int]:
        while True:
            yield await self._queue.get()

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        for call in self._at_once:
            call()
        self._loop.call_soon_threadsafe(self._queue.put_nowait, number)


def on_a_terminal() -> bool:
    """Whether we are the foreground of a terminal, where Ctrl-C is typed for our children."""
    try:
        with open("/dev/tty", "rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except (OSError, AttributeError):
        return False
