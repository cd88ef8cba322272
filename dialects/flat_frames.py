"""The quick way through the frames that nearly all are.

Market data is arrays of flat objects, each of which begins with its type and its
symbol, without spaces. One regular expression reads such a frame in a fraction of
the time that making objects of it would take, and as strictly: what it accepts is
valid JSON, key by key and digit by digit. Whatever is otherwise (statuses, nested
values, exponents, escapes, spaces, a routing key that comes again further on, forex
pairs, which may need respelling) it leaves to `tickdeck.dialects.polygon_events`,
whose answer it must equal; the tests hold the two against each other.

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
_VALUE: Final = rf"(?:{_NUMBER}|{_TEXT}|{_LIST}|true|false|null)"
_PAIR: Final = rf',"(?!(?:ev|sym|pair|T)")[A-Za-z]++":{_VALUE}'
_TYPE: Final = r'"ev":"([ABD-Z][A-Z0-9]*+)"'
_SYMBOL: Final = r'"(?:sym|pair|T)":"([ !#-\[\]-~]*+)"'

_event: Final = re.compile(rf",(\{{{_TYPE},{_SYMBOL}(?:{_PAIR})*+\}})")
_make: Final = partial(tuple.__new__, Event)
"""An `Event` of a triple, without the call that a named tuple makes to take its parts one by one."""


def events_of_flat(payload: bytes) -> Sequence[Event] | None:
    """The events of a frame that is wholly of this kind; ``None`` for any other, which is then to be parsed."""
    text = payload.decode("latin-1")
    if not (text.startswith('[{"ev":"') and text.endswith("}]")):
        return None
    # Every event now has one comma before it, and the positions are those of the payload.
    found: list[tuple[str, str, str]] = _event.findall("," + text[1:-1])
    ends = list(accumulate(len(event) + 1 for event, _, _ in found))
    if not ends or ends[-1] != len(text) - 1:
        return None
    starts = [1, *(end + 1 for end in ends[:-1])]
    return list(map(_make, zip(starts, ends, [f"{kind}.{symbol}" for _, kind, symbol in found], strict=True)))
