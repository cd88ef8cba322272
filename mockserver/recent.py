"""A bounded memory of things that are costly to make.

What is kept is weighed in bytes, not counted: pieces of tape differ in weight, and a
server has one room for all that it keeps, however many tapes and listeners it has.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

LEAST: Final = 2
"""So many of the things used last are kept, however heavy they are."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Room:
    """So many bytes for what several memories keep; what was used longest ago makes way."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self._kept: OrderedDict[tuple[int, Hashable], tuple[int, Callable[[], object]]] = OrderedDict()

    def use(self, key: tuple[int, Hashable]) -> None:
        """What is kept under ``key`` was used just now."""
        self._kept.move_to_end(key)

    def clear(self) -> None:
        """Nothing is kept any more."""
        for _, forget in self._kept.values():
            forget()
        self._kept.clear()
        self.taken = 0

    def keep(self, key: tuple[int, Hashable], weight: int, forget: Callable[[], object]) -> None:
        """Something new is kept; ``forget`` is called when it has to make way."""
        self._kept[key] = weight, forget
        self.taken += weight
        while self.taken > self.size and len(self._kept) > LEAST:
            _, (lighter, forget_it) = self._kept.popitem(last=False)
            self.taken -= lighter
            forget_it()


class Recent(Generic[Key, Value]):
    """The values used last of those made by one maker, in a room that others may share."""

    def __init__(self, room: Room, weigh: Callable[[Value], int]) -> None:
        self._room = room
        self._weigh = weigh
        self._values: dict[Key, Value] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    def get(self, key: Key) -> Value | None:
        """The value of ``key``, if it is here."""
        value = self._values.get(key)
        if value is not None:
            self._room.use((id(self), key))
        return value

    def keep(self, key: Key, value: Value) -> Value:
        """Remember a value that is not here."""
        self._values[key] = value
        self._room.keep((id(self), key), self._weigh(value), lambda: self._values.pop(key))
        return value
