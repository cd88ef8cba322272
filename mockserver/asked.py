"""What of a request decides which recording answers it.

Method, path, query and body. Secrets are no part of it, the order of parameters is
not, and the origin is not either, for several upstream hosts serve the same paths. How
numbers and booleans are spelled in a query is not interpreted: `1` and `1.0` are
different requests to the service, too.

Where redaction left a placeholder in what was recorded, any live text stands.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from tickdeck.cassette.bodies import coding_of
from tickdeck.cassette.codings import readable
from tickdeck.cassette.records import HeaderPairs, Interaction
from tickdeck.dialects.base import Dialect
from tickdeck.mockserver.bodies import Canonical, canonical
from tickdeck.mockserver.fields import fields_of
from tickdeck.mockserver.ignoring import NOTHING, Ignored, is_credential, refuse_secrets
from tickdeck.mockserver.targets import Pairs, decode_pairs, segments, singular, split_target

Harmless: TypeAlias = Callable[[str, str, Sequence[str]], bool]
"""Whether a query parameter (name, value) changes no answer of a path."""

_PLACEHOLDER: Final = re.compile(r"REDACTED-[0-9]{1,9}(?:-staging)?")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks: path and query raw, as they stand on the request line; the body without its coding."""

    method: str
    path: str
    query: Pairs = ()
    headers: HeaderPairs = ()
    body: bytes = b""

    @classmethod
    def of(cls, method: str, target: str, *, headers: HeaderPairs = (), body: bytes = b"") -> Asked:
        """From a request line's target, ``/v3/trades/AAPL?limit=50``, or an absolute URL."""
        return cls(method, *split_target(target), headers, body)

    @classmethod
    def recorded(cls, interaction: Interaction) -> Asked:
        """The request of a recorded interaction."""
        headers, body = interaction.request_headers, interaction.request_body
        plain = readable(body, coding_of(headers, body)) if body else body
        return cls.of(
            interaction.method, interaction.url, headers=headers, body=body if plain is None else plain
        )


def _nothing_is(name: str, value: str, path: Sequence[str]) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Rules:
    """What takes no part: secrets by the names of parameters and of fields in bodies, in lower case, and more.

    ``harmless`` is the dialect's word on a parameter, ``ignored`` the user's. ``bound`` are
    patterns of header fields that must be equal, ``secret_headers`` those that never are.
    """

    secret_parameters: frozenset[str] = frozenset()
    secret_fields: frozenset[str] = frozenset()
    harmless: Harmless = _nothing_is
    ignored: Ignored = NOTHING
    secret_headers: frozenset[str] = frozenset()
    bound: tuple[str, ...] = ()

    @classmethod
    def of(cls, dialect: Dialect, *, ignored: Ignored = NOTHING, bound: tuple[str, ...] = ()) -> Rules:
        """Those of a dialect and a user; `UsageError` where a field is to be equal whose value is redacted."""
        places = dialect.places
        refuse_secrets(bound, places.headers)
        return cls(
            secret_parameters=places.query_parameters,
            secret_fields=places.body_fields,
            harmless=dialect.is_harmless,
            ignored=ignored,
            secret_headers=places.headers,
            bound=bound,
        )

    def key(self, asked: Asked) -> RequestKey:
        """The request without what takes no part."""
        path = segments(asked.path)
        kept = sorted(pair for pair in decode_pairs(asked.query) if self._takes_part(*pair, path))
        content_type = next((value for name, value in asked.headers if name.lower() == b"content-type"), b"")
        body = canonical(asked.body, content_type, secrets=self.secret_fields, ignored=self.ignored.json)
        return RequestKey(
            asked.method.upper(),
            path,
            tuple(kept),
            body,
            fields_of(asked.headers, self._binds) if self.bound else (),
        )

    def chooses(self, header: str) -> bool:
        """Whether a header field may choose among recordings of one request."""
        return not is_credential(header, self.secret_headers) and not self.ignored.has_header(header)

    def _binds(self, header: str) -> bool:
        return any(fnmatchcase(header, each) for each in self.bound) and self.chooses(header)

    def _takes_part(self, name: str, value: str, path: Sequence[str]) -> bool:
        return not (
            singular(name) in self.secret_parameters
            or self.harmless(name, value, path)
            or self.ignored.has_parameter(name)
        )


class RequestKey(NamedTuple):
    """Two requests are the same if their keys are equal: decoded, in an order of its own.

    ``bound`` are header fields that the user wants equal; ``fields`` those that choose among
    recordings of one request (see `variants`).
    """

    method: str
    path: tuple[str, ...]
    query: Pairs
    body: Canonical = b""
    bound: Pairs = ()
    fields: Pairs = ()

    @property
    def has_blanks(self) -> bool:
        """Whether redaction left a placeholder in it."""
        return any(map(_has_placeholder, self))

    def asks_at(self, asked: RequestKey) -> bool:
        """Whether method, path and query are those of what is asked, any text standing for a placeholder."""
        return (
            self.method == asked.method
            and text_fits(self.path, asked.path)
            and not any(difference(self.query, asked.query))
        )

    def fits(self, asked: RequestKey) -> bool:
        """Whether this recorded request is the one that is asked, any text standing for a placeholder."""
        return self.asks_at(asked) and text_fits(self.body, asked.body) and text_fits(self.bound, asked.bound)


class Difference(NamedTuple):
    """Parameters that were recorded and are not asked, and the other way round."""

    lacking: Pairs
    surplus: Pairs


def difference(recorded: Pairs, asked: Pairs) -> Difference:
    """How two queries differ, as multisets."""
    surplus = Counter(asked) - Counter(recorded)
    lacking = []
    for pair in sorted((Counter(recorded) - Counter(asked)).elements()):
        match = next((each for each in surplus.elements() if text_fits(pair, each)), None)
        if match is None:
            lacking.append(pair)
        else:
            surplus -= Counter((match,))
    return Difference(tuple(lacking), tuple(sorted(surplus.elements())))


def text_fits(recorded: Canonical, asked: Canonical) -> bool:
    """Whether two values are equal, any text standing for a placeholder in the recorded one."""
    if isinstance(recorded, tuple) and isinstance(asked, tuple):
        return len(recorded) == len(asked) and all(map(text_fits, recorded, asked))
    if recorded == asked:
        return True
    if isinstance(recorded, str) and isinstance(asked, str):
        return _has_placeholder(recorded) and _pattern(recorded).fullmatch(asked) is not None
    if isinstance(recorded, bytes) and isinstance(asked, bytes):
        return text_fits(recorded.decode("latin-1"), asked.decode("latin-1"))
    return False


def _has_placeholder(value: Canonical) -> bool:
    if isinstance(value, tuple):
        return any(map(_has_placeholder, value))
    if isinstance(value, bytes):
        return b"REDACTED-" in value
    return isinstance(value, str) and "REDACTED-" in value and _PLACEHOLDER.search(value) is not None


@lru_cache(maxsize=256)
def _pattern(recorded: str) -> re.Pattern[str]:
    return re.compile(".+".join(map(re.escape, _PLACEHOLDER.split(recorded))), re.DOTALL)
