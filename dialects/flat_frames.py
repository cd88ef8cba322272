"""The quick way through the frames that nearly all are.

Market data is arrays of flat objects, each of which begins with its type and its
symbol, without spaces. One regular expression reads such a frame in a fraction of
the time that making objects of it would take, and as strictly: what it accepts is
valid JSON, key by key and digit by digit. Whatever is otherwise (statuses, nested
values, exponents, escapes, spaces, a routing key that comes again further on, forex
pairs, which may need respelling) it leaves to `tickdeck.dialects.polygon_events`,
whose answer it must equal; the tests hold the two against each other.

A feed uses a handful of layouts, the same keys in the same order over and over. Those
met first stand in the expression ahead of the general case, key by key with the kind
of value that each has, which takes half of the time; what is accepted stays the same.

Every repetition is possessive, so that no input makes it slow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from itertools import accumulate, chain, compress, count, repeat
from operator import add, sub
from typing import Final

from tickdeck.cassette.indexing import Event, Index

_TEXT: Final = r'"[^"\\\x00-\x1f]*+"'
_WHOLE: Final = r"(?:[1-9][0-9]*+|0)"
_NUMBER: Final = rf"-?+{_WHOLE}(?:\.[0-9]++)?+"
_LIST: Final = rf"\[(?:{_WHOLE}(?:,{_WHOLE})*+)?+\]"
_WORD: Final = "(?:true|false|null)"
_VALUE: Final = rf"(?:{_NUMBER}|{_TEXT}|{_LIST}|{_WORD})"
_PAIR: Final = rf',"(?!(?:ev|sym|pair|T)")[A-Za-z]++":{_VALUE}'
_HEAD: Final = r'\{"ev":"([ABD-Z][A-Z0-9]*+)","(?:sym|pair|T)":"([ !#-\[\]-~]*+)"'

_KINDS: Final = {'"': _TEXT, "[": _LIST, "t": _WORD, "f": _WORD, "n": _WORD}
"""By the first character of a value; numbers have many."""

_FIRST: Final = len("\n[")

SMALL: Final = 512
"""Bytes of a payload up to which it pays to look at many frames at once."""

MOST_LAYOUTS: Final = 8
LOOKED_AT: Final = 32
"""One text in so many is looked at for a layout that is new."""

_head: Final = re.compile(_HEAD)
_pair: Final = re.compile(rf',("[A-Za-z]++":)({_VALUE})')
_make: Final = partial(tuple.__new__, Event)
"""An `Event` of a triple, without the call that a named tuple makes to take its parts one by one."""


class _Layouts:
    """The layouts met so far, and the expression that knows them."""

    def __init__(self) -> None:
        self._known: tuple[str, ...] = ()
        self._texts = 0
        self._compile()

    def found_in(self, text: str) -> list[tuple[str, str, str]]:
        """Every event in a text in which each has a comma before it: itself, its type, its symbol."""
        found: list[tuple[str, str, str]] = self._event.findall(text)
        if found and self._texts % LOOKED_AT == 0:
            self._look_at(found[self._texts // LOOKED_AT % len(found)][0])
        self._texts += 1
        return found

    def found_in_frames(self, text: str) -> list[tuple[str, str, str, str, str]]:
        """The same in a text of frames, each behind a line's end: what stands before and behind each event, too."""
        found: list[tuple[str, str, str, str, str]] = self._framed.findall(text)
        if found:
            self._look_at(found[self._texts % len(found)][1])
        self._texts += 1
        return found

    def _look_at(self, event: str) -> None:
        if len(self._known) == MOST_LAYOUTS:
            return
        layout = _layout_of(event)
        if layout not in self._known:
            self._known = (*self._known, layout)
            self._compile()

    def _compile(self) -> None:
        event = rf"({_HEAD}(?:{'|'.join((*self._known, f'(?:{_PAIR})*+'))})\}})"
        self._event = re.compile(f",{event}")
        self._framed = re.compile(rf"(\n\[|,){event}(\]?)")


def _layout_of(event: str) -> str:
    """What matches the pairs behind type and symbol of an event, and those of its like."""
    head = _head.match(event)
    assert head  # it was found by that
    pairs = _pair.findall(event, head.end())
    return "".join(f",{key}{_KINDS.get(value[0], _NUMBER)}" for key, value in pairs)


_LAYOUTS: Final = _Layouts()


def events_of_flat(payload: bytes) -> Sequence[Event] | None:
    """The events of a frame that is wholly of this kind; ``None`` for any other, which is then to be parsed."""
    text = payload.decode("latin-1")
    if not (text.startswith('[{"ev":"') and text.endswith("}]")):
        return None
    # Every event now has one comma before it, and the positions are those of the payload.
    found = _LAYOUTS.found_in("," + text[1:-1])
    ends = list(accumulate(len(event) + 1 for event, _, _ in found))
    if not ends or ends[-1] != len(text) - 1:
        return None
    starts = [1, *(end + 1 for end in ends[:-1])]
    return list(map(_make, zip(starts, ends, [f"{kind}.{symbol}" for _, kind, symbol in found], strict=True)))


def index_of_flat(payloads: Sequence[bytes]) -> Index | None:
    """The events of small frames that are all of this kind; ``None`` for any others.

    No text of JSON holds a line's end, and one between its tokens is not of this kind: so a frame
    begins behind each, and nowhere else.
    """
    size = sum(map(len, payloads))
    if size > SMALL * len(payloads):
        return None
    found = _LAYOUTS.found_in_frames(b"\n".join((b"", *payloads)).decode("latin-1"))
    if not found:
        return None
    begins, events, kinds, symbols, ends = zip(*found, strict=True)
    before, sizes, behind = list(map(len, begins)), list(map(len, events)), list(map(len, ends))
    # All of the text was read, and whatever does not follow an end follows a comma.
    if sum(before) + sum(sizes) + sum(behind) != size + len(payloads) or sum(behind) != len(payloads):
        return None
    if before[0] != _FIRST or behind[-1] != 1 or list(map(add, behind, repeat(1)))[:-1] != before[1:]:
        return None
    lasts = list(compress(count(1), behind))
    counts = list(map(sub, lasts, chain((0,), lasts)))
    # Where the payload of each event's frame begins in the text, and where each event ends.
    origins = accumulate(map(add, map(len, payloads), repeat(1)), initial=1)
    origin = list(chain.from_iterable(map(repeat, origins, counts)))
    reach = accumulate(map(add, map(add, before, sizes), behind))
    until = list(map(sub, map(sub, reach, behind), origin))
    channels = list(map("%s.%s".__mod__, zip(kinds, symbols, strict=True)))
    return Index(counts, list(map(sub, until, sizes)), until, channels)
