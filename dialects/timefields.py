"""Which numbers of an event say when it was; and events moved in time.

Most types of event keep their moments under ``t`` or a key that ends in it (`EVERYWHERE`). Three
keys hold a moment in some types and something else in others, and are read by type
(`BY_TYPE`): ``s`` starts an aggregate, and is the size of a trade. A number is a moment
if it is an integer as large as one; the unit is told by its size, for the documented
one is not always the one that is sent. Only its digits change: what stands around
them stays byte for byte, and keys inside nested values are nobody's moments.

Frames are moved in long stretches. In text without a backslash every quote opens or
closes a string, so that ``"t":`` can only be a key; and if there are no more opening
braces than events, only a key of the event itself. One regular expression then finds
all the moments of a key, and the beginnings of neighbouring moments are mostly the
same: each is worked out once. A stretch that is not so plain, or whose moments do not
keep their number of digits, is moved event by event, and an event that is not so plain
by parsing it; the tests hold the three ways against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from typing import Final

from tickdeck.dialects.jsontext import DECODER
from tickdeck.dialects.moments import Shift, moved_number

EVERYWHERE: Final = ("t", "pt", "bt", "at", "trft")
"""Keys under which any event keeps moments: its own, the participant's, bid's and ask's, the trade facility's."""

OF_TYPES: Final = (
    (frozenset({"A", "AM", "CA", "CAS", "XA", "XAS"}), ("s", "e")),  # start and end
    (frozenset({"XT", "XQ", "XL2"}), ("r",)),  # when it was received
)
"""Types of event with the keys that hold a moment in these types alone."""

BY_TYPE: Final = {key: types for types, keys in OF_TYPES for key in keys}
"""The same by key."""

_MS_DIGITS: Final = 13
_MOST_KEPT: Final = 9
_EVENT: Final = re.compile(rb'\{"ev":"([A-Za-z0-9]*+)[."]')
_SPACE: Final = re.compile(r"[ \t\n\r]*+")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames back to back as they cross the wire, with their event index.

    ``headers`` are the bytes that belong to no payload, ``events`` how many events
    there are, ``present`` the numbers in ``channels`` of those that occur. By event,
    ``rows`` are where each begins, where it ends, and the number of its channel;
    they are asked for only where they are needed, for to unpack them takes as long
    as to move most frames.
    """

    wire: bytes
    headers: bytes
    events: int
    present: Sequence[int]
    channels: Sequence[str]
    rows: Callable[[], tuple[Sequence[int], Sequence[int], Sequence[int]]]


class UnevenError(Exception):
    """A moment of a stretch that does not keep its number of digits, or is no plain one."""


class EventMover:
    """Moves events by one shift."""

    def __init__(self, shift: Shift) -> None:
        self.shift = shift
        kept = _trailing_zeros(shift.ms)
        self._digits = _MS_DIGITS - kept
        self._step = shift.ms // 10**kept
        self._moments = _pattern(EVERYWHERE, kept)
        self._typed = {key: _pattern((key,), kept) for key in BY_TYPE}

    def event(self, event: bytes) -> bytes:
        """One event, moved; as it is if it is no JSON object."""
        found = _EVENT.match(event)
        if found is not None and _is_flat(event, 1, b"") and event.count(b'"ev"') == 1:
            kind = found[1].decode("ascii")
            try:
                return self._flat(event, [key for key, kinds in BY_TYPE.items() if kind in kinds])
            except UnevenError:
                pass
        return parsed_event(event, self.shift)

    def stretch(self, stretch: Stretch) -> bytes | None:
        """All of a stretch, moved, as long as it was; ``None`` if it has to be done event by event."""
        if not _is_flat(stretch.wire, stretch.events, stretch.headers):
            return None
        kinds = {number: _kind(stretch.channels[number]) for number in stretch.present}
        try:
            moved = self._flat(stretch.wire, ())
            for types, keys in OF_TYPES:
                ids = {number for number, kind in kinds.items() if kind in types}
                if len(ids) == len(kinds):
                    moved = self._flat_keys(moved, keys)
                elif ids:
                    moved = self._some(moved, keys, stretch, ids)
        except UnevenError:
            return None
        return moved

    def _flat(self, text: bytes, keys: Iterable[str]) -> bytes:
        return self._flat_keys(self._replaced(self._moments, text), keys)

    def _flat_keys(self, text: bytes, keys: Iterable[str]) -> bytes:
        for key in keys:
            text = self._replaced(self._typed[key], text)
        return text

    def _replaced(self, moments: re.Pattern[bytes], text: bytes) -> bytes:
        parts = moments.split(text)
        parts[1::2] = map(_Beginnings(self._digits, self._step).__getitem__, parts[1::2])
        return b"".join(parts)

    def _some(self, text: bytes, keys: Iterable[str], stretch: Stretch, ids: set[int]) -> bytes:
        """Moves keys where they lie in an event on one of the channels ``ids``."""
        starts, ends, numbers = stretch.rows()
        mine = [event for event, number in enumerate(numbers) if number in ids]
        edges = chain.from_iterable((starts[event], ends[event]) for event in mine)
        parts = [text[start:end] for start, end in pairwise((0, *edges, len(text)))]
        # JSON can have no NUL in it, neither in a string nor between its marks.
        moved = self._flat_keys(b"\0".join(parts[1::2]), keys).split(b"\0")
        if len(moved) != len(mine):
            raise UnevenError
        parts[1::2] = moved
        return b"".join(parts)


def parsed_event(event: bytes, shift: Shift) -> bytes:
    """The same as `EventMover.event`, for every event alike: by parsing it."""
    text = event.decode("latin-1")
    try:
        fields = list(_fields(text))
    except (ValueError, RecursionError):
        return event
    kinds = [value for key, value, _, _ in fields if key == "ev" and isinstance(value, str)]
    kind = _kind(kinds[-1]) if kinds else ""
    parts: list[str] = []
    done = 0
    for key, _, start, end in fields:
        if key in EVERYWHERE or kind in BY_TYPE.get(key, ()):
            parts += (text[done:start], moved_number(text[start:end], shift))
            done = end
    return "".join([*parts, text[done:]]).encode("latin-1")


def _fields(text: str) -> Iterator[tuple[str, object, int, int]]:
    """The fields of an object: key, value, and where the value begins and ends. `ValueError` if it is none."""
    at = _past(text, 0, "{")
    if not text.startswith("}", at):
        while True:
            key, at = DECODER.raw_decode(text, at)
            if not isinstance(key, str):
                raise ValueError("a key that is no string")
            start = _past(text, at, ":")
            value, end = DECODER.raw_decode(text, start)
            yield key, value, start, end
            at = _past_space(text, end)
            if not text.startswith(",", at):
                break
            at = _past(text, at, ",")
    if _past(text, at, "}") < len(text):
        raise ValueError("something follows the object")


def _past_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _past(text: str, at: int, mark: str) -> int:
    at = _past_space(text, at)
    if not text.startswith(mark, at):
        raise ValueError(f"no {mark} at {at}")
    return _past_space(text, at + 1)


def _kind(channel: str) -> str:
    return channel.partition(".")[0]


def _is_flat(text: bytes, events: int, headers: bytes) -> bool:
    """Whether a text of so many JSON objects nests none, and every quote in it opens or closes a string."""
    return text.count(b"{") - headers.count(b"{") == events and text.count(b"\\") == headers.count(b"\\")


def _trailing_zeros(number: int) -> int:
    """How many final digits of any number stay as they are when this one is added."""
    return next((zeros for zeros in range(_MOST_KEPT, 0, -1) if number % 10**zeros == 0), 0)


@lru_cache(maxsize=64)
def _pattern(keys: tuple[str, ...], kept: int) -> re.Pattern[bytes]:
    """Finds each key with the digits of its moment that may change.

    A moment in ms has 13 digits, in µs and ns three and six more; the same beginning
    changes in all of them. A number of another length, or with spaces around it, is
    found without digits.
    """
    last = keys[0][-1].encode()  # the literal that the search looks for: `t"`
    before = b"|".join(b'(?<="%b")' % key.encode() for key in keys)
    tail = rb"[0-9]{%d}(?:[,}]|[0-9]{3}(?:[,}]|[0-9]{3}[,}]))" % kept
    # Any character costs nothing to match, a digit does: `_Beginnings` looks at each beginning once.
    moment = rb":.{%d}(?=%b)" % (_MS_DIGITS - kept, tail)
    other = rb"(?=\s*+:\s*+[1-9][0-9]{11})"
    return re.compile(rb'(%b"(?:%b)(?:%b|%b))' % (last, before, moment, other), re.DOTALL)


class _Beginnings(dict[bytes, bytes]):
    """What a key and the beginning of its moment become; each is worked out once."""

    def __init__(self, digits: int, step: int) -> None:
        super().__init__()
        self._digits = digits
        self._step = step
        self._low = 10 ** (digits - 1)

    def __missing__(self, piece: bytes) -> bytes:
        head = piece[-self._digits :]
        moved = int(head) + self._step if head.isdigit() else 0
        if not self._low <= moved < 10 * self._low or head.startswith(b"0"):
            raise UnevenError
        self[piece] = made = piece[: -self._digits] + b"%d" % moved
        return made
