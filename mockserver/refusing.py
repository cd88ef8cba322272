"""Who is let in by REST, and what the others hear: what was recorded, where a refusal was, else the profile's words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tickdeck.cassette.records import Interaction
from tickdeck.dialects.base import Dialect
from tickdeck.mockserver.targets import decode_pairs, split_target

_UNAUTHORIZED: Final = 401


class Refusals:
    """The first recorded answers to a bad key and to a request without one; ``None`` where none was recorded."""

    def __init__(self, interactions: Iterable[Interaction], dialect: Dialect) -> None:
        self.bad_key: Interaction | None = None
        self.no_key: Interaction | None = None
        for each in interactions:
            if each.status != _UNAUTHORIZED or not each.complete:
                continue
            query = decode_pairs(split_target(each.url)[1])
            if dialect.key_of(query, each.request_headers) is None:
                self.no_key = self.no_key or each
            else:
                self.bad_key = self.bad_key or each

    def of(self, key: str | None) -> Interaction | None:
        """The one for a request with this key."""
        return self.bad_key if key else self.no_key
