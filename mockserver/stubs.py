"""Answers laid over the cassette: what a test wants said, whatever was recorded."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Final, NamedTuple

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.records import HeaderPairs
from tickdeck.mockserver.asked import Asked, RequestKey, Rules
from tickdeck.mockserver.targets import Pairs, show_pair, show_path

_REQUEST: Final = re.compile(r"\s*(?P<method>[A-Za-z]+) (?P<target>/\S*)(?: x(?P<times>[1-9][0-9]{0,8}))?\s*")


@dataclass(frozen=True, slots=True)
class Stub:
    """One answer: a status, header fields and a body; ``times`` is how often it is given, ``None`` always."""

    body: bytes
    status: int = 200
    headers: HeaderPairs = ((b"Content-Type", b"application/json"),)
    times: int | None = None


class _Over(NamedTuple):
    """The requests that a stub lies over; ``query`` of ``None`` is any."""

    method: str
    path: tuple[str, ...]
    query: Pairs | None

    def __str__(self) -> str:
        pairs = "&".join(map(show_pair, self.query or ()))
        return f"{self.method} {show_path(self.path)}{'' if self.query is None else '?'}{pairs}"


class Stubs:
    """Answers by method and path. One that names a query answers that query, one without answers any other.

    A stub for GET answers a HEAD, too, where none is for HEAD. ``rules`` say what of a query takes no part, as for
    recordings.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()
        self._stubs: dict[_Over, Stub] = {}
        self._first: dict[_Over, Stub] = {}
        self._given: Counter[_Over] = Counter()

    def lay(self, request: str, stub: Stub | None) -> None:
        """Answer ``GET /v1/marketstatus/now`` so, or (``None``) as recorded again; `UsageError` if it is no request.

        A number behind the request (``GET /v1/marketstatus/now x2``) is that of the stub, where it has none.
        """
        over, times = self._over(request)
        self._given.pop(over, None)
        if stub is None:
            self._stubs.pop(over, None)
        elif stub.times is None and times is not None:
            self._stubs[over] = Stub(stub.body, stub.status, stub.headers, times)
        else:
            self._stubs[over] = stub

    def keep(self) -> None:
        """What is laid now is what `reset` comes back to."""
        self._first = dict(self._stubs)

    def reset(self) -> None:
        """Forget what was laid, lifted and asked for since."""
        self._stubs = dict(self._first)
        self._given.clear()

    def find(self, asked: Asked) -> Stub | None:
        """The answer that is laid over this request, if any is and was not given as often as it should be."""
        if not self._stubs:
            return None
        key = self._rules.key(asked)
        methods = ("HEAD", "GET") if key.method == "HEAD" else (key.method,)
        for over in (_Over(method, key.path, query) for method in methods for query in (key.query, None)):
            stub = self._stubs.get(over)
            if stub is not None and (stub.times is None or self._given[over] < stub.times):
                self._given[over] += 1
                return stub
        return None

    def unused(self) -> list[str]:
        """The requests that an answer is laid over and nobody asked."""
        return [str(over) for over in self._stubs if not self._given[over]]

    def _over(self, request: str) -> tuple[_Over, int | None]:
        hit = _REQUEST.fullmatch(request)
        if hit is None:
            raise UsageError(
                f"{request.strip()!r} is no request to answer; write 'GET /v1/marketstatus/now', "
                "or with x2 behind it for the next two times"
            )
        target, times = hit["target"], hit["times"]
        key: RequestKey = self._rules.key(Asked.of(hit["method"], target))
        over = _Over(key.method, key.path, key.query if "?" in target else None)
        return over, None if times is None else int(times)
