"""What a server has to say of connections that never became a request, without drowning in it.

A scanner, a probe or a client that was given the wrong port comes a thousand times. So
there is one sentence a kind: said at the first, and again with the number once a minute
has passed, when another comes. All are counted, and the report has the numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

AGAIN_AFTER_NS: Final = 60 * 10**9
MOST_KINDS: Final = 100
"""Sentences that are told apart; what an unforeseen error says may differ each time."""

OTHERS: Final = "a connection was refused for yet another reason"


class Rejections:
    """Counts by sentence; ``say`` is given a sentence and how many more of it came since it was last said."""

    def __init__(self, say: Callable[[str, int], None], *, now_ns: Callable[[], int]) -> None:
        self.counts: dict[str, int] = {}
        self._say = say
        self._now_ns = now_ns
        self._said: dict[str, tuple[int, int]] = {}
        """By sentence: when it was last said, and how many there were by then."""

    def add(self, sentence: str) -> None:
        """One more."""
        if sentence not in self.counts and len(self.counts) >= MOST_KINDS:
            sentence = OTHERS
        count = self.counts[sentence] = self.counts.get(sentence, 0) + 1
        now_ns = self._now_ns()
        last_ns, before = self._said.get(sentence, (now_ns - AGAIN_AFTER_NS, 0))
        if now_ns - last_ns >= AGAIN_AFTER_NS:
            self._said[sentence] = (now_ns, count)
            self._say(sentence, count - before)

    def clear(self) -> None:
        """As if nothing had come yet."""
        self.counts.clear()
        self._said.clear()
