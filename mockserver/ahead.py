"""Chunks decoded in a thread, before anybody asks for them.

Decompression runs without the interpreter's lock, so while one piece of tape goes
out the next is made ready on another core. One worker is enough: sending is the
slower half. Whoever asks for a chunk that is being decoded waits for that very
decode; one that waits its turn is decoded where it is asked for, and an error is
raised there, not in the thread. What was made ready and never asked for is dropped
when the places for it are taken.

To hand a chunk over wakes a thread twice, which costs more than to read one that is not
compressed: while chunks are of that kind, none is made ready.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from tickdeck.cassette.chunks import Chunk

PLACES: Final = 4
"""So many chunks are ready or in the making."""


class Ahead:
    """Decodes chunks where it is asked, or ahead in a thread of its own; see `ChunkStore`.

    The thread begins with the first chunk to prepare, and ends with `close`.
    """

    def __init__(self, decode: Callable[[int], Chunk]) -> None:
        self._decode = decode
        self._made: OrderedDict[int, Future[Chunk]] = OrderedDict()
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self._closed = False
        self._worth_it = True
        """Whether chunks, by the last one, are costly to make."""

    def __call__(self, number: int) -> Chunk:
        """Chunk ``number``; FormatError when it is damaged."""
        future = None
        if self._made:
            with self._changed:
                future = self._made.pop(number, None)
        # Unless somebody has begun with it, it is made here.
        chunk = self._decode(number) if future is None or future.cancel() else future.result()
        self._worth_it = chunk.costly
        return chunk

    def prepare(self, number: int) -> None:
        """Begin with chunk ``number`` soon, unless that was done; never waits."""
        if not self._worth_it:
            return
        with self._changed:
            if self._closed or number in self._made:
                return
            self._made[number] = Future()
            while len(self._made) > PLACES:
                _, dropped = self._made.popitem(last=False)
                dropped.cancel()
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="tickdeck-ahead", daemon=True)
                self._worker.start()
            self._changed.notify()

    def forget(self) -> None:
        """What was made ready is not wanted any more: it would be made otherwise now."""
        with self._changed:
            for future in self._made.values():
                future.cancel()
            self._made.clear()

    def close(self) -> None:
        """End the thread; what is asked for from now on is decoded where it is asked."""
        self.forget()
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._worker is not None:
            self._worker.join()

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            number, future = taken
            try:
                chunk = self._decode(number)
            except BaseException as error:
                future.set_exception(error)  # it is raised where the chunk is asked for
            else:
                future.set_result(chunk)
            del taken, future

    def _next(self) -> tuple[int, Future[Chunk]] | None:
        """The chunk to decode next, once there is one; ``None`` when there will be none."""
        with self._changed:
            while not self._closed:
                for number, future in self._made.items():
                    if not future.done() and future.set_running_or_notify_cancel():
                        return number, future
                self._changed.wait()
        return None
