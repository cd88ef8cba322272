"""Chance of our own, so that a seed means the same tape on every machine and every Python.

The standard library promises that only for `random.random()`, and floats would bring
their own roundings. This is SplitMix64 (Steele, Lea and Flood, 2014): one 64-bit word
of state, integers only. It is no source of secrets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

_WORD: Final = (1 << 64) - 1
_GAMMA: Final = 0x9E3779B97F4A7C15


class Prng:
    """A stream of numbers that its seed decides."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _WORD

    def bits(self) -> int:
        """64 bits."""
        self._state = (self._state + _GAMMA) & _WORD
        word = self._state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
        return word ^ (word >> 31)

    def below(self, limit: int) -> int:
        """From 0 to ``limit`` - 1; the bias is below ``limit`` in 2^64."""
        return (self.bits() * limit) >> 64

    def between(self, low: int, high: int) -> int:
        """From ``low`` to ``high``, both possible."""
        return low + self.below(high - low + 1)

    def choice(self, among: Sequence[T]) -> T:
        """One of them."""
        return among[self.below(len(among))]

    def one_in(self, count: int) -> bool:
        """True once in ``count`` on average."""
        return self.below(count) == 0

    def bell(self, reach: int) -> int:
        """From -``reach`` to ``reach``, mostly near 0: the difference of two equal dice."""
        return self.below(reach + 1) - self.below(reach + 1)

    def hexadecimal(self, digits: int) -> str:
        """That many lower-case hexadecimal digits."""
        words = -(-digits // 16)
        return "".join(f"{self.bits():016x}" for _ in range(words))[:digits]

    def fork(self, label: str) -> Prng:
        """An independent stream for a purpose; taking from it does not move this one."""
        child = Prng(self._state)
        for byte in label.encode("utf-8"):
            child = Prng(child.bits() ^ byte)
        return child
