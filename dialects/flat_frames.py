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
from itertools import accumulate
from typing import Final

from tickdeck.cassette.indexing import Event

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

MOST_LAYOUTS: Final = 8
LOOKED_AT: Final = 32
"""One frame in so many is looked at for a layout that is new."""

_head: Final = re.compile(_HEAD)
_pair: Final = re.compile(rf',("[A-Za-z]++":)({_VALUE})')
_make: Final = partial(tuple.__new__, Event)
"""An `Event` of a triple, without the call that a named tuple makes to take its parts one by one."""


class _Layouts:
    """The layouts met so far, and the expression that knows them."""

    def __init__(self) -> None:
        self._known: tuple[str, ...] = ()
        self._frames = 0
        self._event = self._expression()

    def found_in(self, text: str) -> list[tuple[str, str, str]]:
        """Every event in a text in which each has a comma before it: itself, its type, its symbol."""
        found: list[tuple[str, str, str]] = self._event.findall(text)
        self._frames += 1
        if found and self._frames % LOOKED_AT == 1 and len(self._known) < MOST_LAYOUTS:
            self._look_at(found[self._frames // LOOKED_AT % len(found)][0])
        return found

    def _look_at(self, event: str) -> None:
        layout = _layout_of(event)
        if layout not in self._known:
            self._known = (*self._known, layout)
            self._event = self._expression()

    def _expression(self) -> re.Pattern[str]:
        return re.compile(rf",({_HEAD}(?:{'|'.join((*self._known, f'(?:{_PAIR})*+'))})\}})")


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
