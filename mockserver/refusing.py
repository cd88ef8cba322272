"""Recorded refusals of a key: what those hear who are refused, and nobody else.

A key that was refused whenever it was shown is a bad one, and its refusals say nothing of
what was asked. They answer a client whose key is refused here, in the order in which they
were recorded; a client whose key is good gets them only where nothing else was recorded of
its request. A refusal of a key that was good at another time is an answer like others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tickdeck.cassette.records import Interaction
from tickdeck.dialects.base import Dialect
from tickdeck.mockserver.targets import decode_pairs, split_target

_UNAUTHORIZED: Final = 401
_FIRST_FINAL_STATUS: Final = 200


class Refusals:
    """What was refused with 401. ``numbers`` are the sequence numbers of what bad keys got, and requests without one.

    Where requests without a key were answered otherwise, too, they needed none.
    """

    def __init__(self, interactions: Iterable[Interaction], dialect: Dialect) -> None:
        keyed = [
            (_key_of(each, dialect), each) for each in interactions if each.status >= _FIRST_FINAL_STATUS
        ]
        good = {key for key, each in keyed if each.status != _UNAUTHORIZED}
        refused = [(key, each) for key, each in keyed if each.status == _UNAUTHORIZED]
        self.numbers = frozenset(each.seq for key, each in refused if key not in good)
        self._bad_key = [each for key, each in refused if key is not None and each.complete]
        self._no_key = [each for key, each in refused if key is None and each.complete]
        self.reset()

    def reset(self) -> None:
        """As if nobody had been refused yet."""
        self._given = {True: 0, False: 0}

    def next(self, key: str | None) -> Interaction | None:
        """The one for a request with this key: each once, then the last again; ``None`` where none was recorded."""
        recorded = self._bad_key if key else self._no_key
        if not recorded:
            return None
        given = self._given[bool(key)]
        self._given[bool(key)] = given + 1
        return recorded[min(given, len(recorded) - 1)]


def _key_of(recorded: Interaction, dialect: Dialect) -> str | None:
    return dialect.key_of(decode_pairs(split_target(recorded.url)[1]), recorded.request_headers)
