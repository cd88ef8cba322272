"""Answers laid over the cassette: what a test wants said, whatever was recorded."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.records import HeaderPairs
from tickdeck.mockserver.targets import segments, split_target

_Key: TypeAlias = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Stub:
    """One answer: a status, header fields and a body."""

    body: bytes
    status: int = 200
    headers: HeaderPairs = ((b"Content-Type", b"application/json"),)


class Stubs:
    """Answers by method and path; a query, if one is named, is not looked at."""

    def __init__(self) -> None:
        self._stubs: dict[_Key, Stub] = {}
        self._first: dict[_Key, Stub] = {}
        self._asked: set[_Key] = set()

    def lay(self, request: str, stub: Stub | None) -> None:
        """Answer ``GET /v1/marketstatus/now`` so, or (``None``) as recorded again; `UsageError` if it is no request."""
        key = _key(request)
        if stub is None:
            self._stubs.pop(key, None)
        else:
            self._stubs[key] = stub

    def keep(self) -> None:
        """What is laid now is what `reset` comes back to."""
        self._first = dict(self._stubs)

    def reset(self) -> None:
        """Forget what was laid, lifted and asked for since."""
        self._stubs = dict(self._first)
        self._asked.clear()

    def find(self, method: str, path: str) -> Stub | None:
        """The answer that is laid over this request, if any."""
        if not self._stubs:
            return None
        key = method.upper(), segments(path)
        if key in self._stubs:
            self._asked.add(key)
        return self._stubs.get(key)

    def unused(self) -> list[str]:
        """The requests that an answer is laid over and nobody asked."""
        return [
            f"{method} {'/'.join(path)}" for method, path in self._stubs if (method, path) not in self._asked
        ]


def stubs_of(laid: Mapping[str, str | bytes]) -> Stubs:
    """From requests to files, or to bodies as bytes; `UsageError` for a file that cannot be read."""
    stubs = Stubs()
    for request, content in laid.items():
        stubs.lay(
            request, Stub(content) if isinstance(content, bytes) else _from_file(request, Path(content))
        )
    stubs.keep()
    return stubs


def _from_file(request: str, path: Path) -> Stub:
    if path.exists() and not path.is_file():
        raise UsageError(f"the stub for {request} cannot be read: {path} is no plain file")
    try:
        body = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"the stub for {request} cannot be read: {path}: {reason}") from error
    kind = mimetypes.guess_type(path.name)[0] or "application/json"
    return Stub(body, headers=((b"Content-Type", kind.encode()),))


def _key(request: str) -> _Key:
    method, _, target = request.strip().partition(" ")
    if not method.isalpha() or not target.startswith("/"):
        raise UsageError(f"{request!r} is no request to answer; write 'GET /v1/marketstatus/now'")
    path, _ = split_target(target)
    return method.upper(), segments(path)
