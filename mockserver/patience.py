"""How long the server waits for a client to take what it was sent: as long as it takes some of it."""

from __future__ import annotations

from collections.abc import Callable

from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.options import MILLISECOND

LOOK_NS = 50 * MILLISECOND
"""How often it is looked at whether a client has taken more."""


class Patience:
    """Calls ``on_end`` once: with ``True`` when the client has taken everything, with ``False`` when it stalls.

    ``untaken`` says how many bytes are left; a client stalls that takes none of them for ``stalled_ns``.
    """

    def __init__(
        self, clock: Clock, *, untaken: Callable[[], int], stalled_ns: int, on_end: Callable[[bool], object]
    ) -> None:
        self._clock = clock
        self._untaken = untaken
        self._stalled_ns = stalled_ns
        self._on_end = on_end
        self._left = untaken()
        self._moved_ns = clock.now_ns()
        self._look()

    def _look(self) -> None:
        left, now_ns = self._untaken(), self._clock.now_ns()
        if left != self._left:
            self._left, self._moved_ns = left, now_ns
        if not left or now_ns - self._moved_ns >= self._stalled_ns:
            self._on_end(not left)
        else:
            self._clock.call_at(now_ns + LOOK_NS, self._look)
