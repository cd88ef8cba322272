"""Stubs as a person gives them: words, or a file.

A file is the body, and its name says of which type; or, if it begins with ``HTTP/``, a
whole answer as `curl -i` prints it: a status line, header fields, an empty line, the
body.
"""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypedDict, Unpack

from tickdeck.cassette.errors import UsageError
from tickdeck.cassette.records import HeaderPairs
from tickdeck.mockserver.asked import Rules
from tickdeck.mockserver.stubs import Stub, Stubs

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_STATUS_LINE: Final = re.compile(rb"HTTP/[0-9.]+ ([0-9]{3})(?: [^\r\n]*)?\r?\n")
_FIELD: Final = re.compile(rb"([^:\r\n]+):[ \t]*([^\r\n]*?)[ \t]*\r?\n")
_END: Final = re.compile(rb"\r?\n")
_NOT_SERVED: Final = frozenset(("content-length", "transfer-encoding", "connection", "keep-alive"))
"""What belonged to the connection that an answer came on; the length is made right."""


class StubWords(TypedDict, total=False):
    """An answer in words. ``body`` is bytes, a text, or what becomes JSON; ``times`` is how often it is given."""

    body: object
    status: int
    headers: Mapping[str, str | int]
    content_type: str
    times: int | None


def stubs_of(laid: Mapping[str, object], *, rules: Rules | None = None) -> Stubs:
    """From requests to files, to bodies as bytes, or to `StubWords`; `UsageError` for what cannot be an answer."""
    stubs = Stubs(rules)
    for request, content in laid.items():
        stubs.lay(request, _given(request, content))
    stubs.keep()
    return stubs


def _given(request: str, content: object) -> Stub:
    if isinstance(content, bytes):
        return Stub(content)
    if not isinstance(content, Mapping):
        return _from_file(request, Path(str(content)))
    if unknown := sorted(map(str, content.keys() - StubWords.__annotations__.keys())):
        known = ", ".join(sorted(StubWords.__annotations__))
        raise UsageError(f"the stub for {request} has {unknown[0]}, which is none of {known}")
    return stub_of(**content)


def stub_of(**words: Unpack[StubWords]) -> Stub:
    """From words; `UsageError` for what cannot be an answer."""
    status, times = words.get("status", 200), words.get("times")
    if not _is_whole(status) or not 200 <= status <= 599:
        raise UsageError(f"an answer has a status from 200 to 599, not {status!r}")
    if times is not None and (not _is_whole(times) or times < 1):
        raise UsageError(f"times is how often an answer is given, from 1 up, not {times!r}")
    headers = _fields(words.get("headers", {}))
    content_type = words.get("content_type")
    if content_type is not None or not any(name.lower() == b"content-type" for name, _ in headers):
        headers = (_field("Content-Type", content_type or "application/json"), *headers)
    return Stub(_body(words.get("body", b"")), status, headers, times)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _fields(given: object) -> HeaderPairs:
    if not isinstance(given, Mapping):
        raise UsageError(f"headers is a mapping of names to texts, not {given!r}")
    return tuple(
        _field(name, value)
        for name, value in given.items()
        if not (isinstance(name, str) and name.lower() in _NOT_SERVED)
    )


def _field(name: object, value: object) -> tuple[bytes, bytes]:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"the name of a header field has no spaces, colons or letters beyond ASCII: {name!r}"
        )
    text = str(value) if isinstance(value, str | int) else ""
    if not text or not (text.isascii() and text.isprintable()):
        what = "a content type" if name == "Content-Type" else f"the field {name}"
        raise UsageError(f"{what} is printable ASCII, not {value!r}")
    return name.encode(), text.encode()


def _body(body: object) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return utf8(body)
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"the body of an answer must be bytes, a text or JSON: {str(error).lower()}"
        ) from None
    return utf8(text)


def utf8(text: str) -> bytes:
    """As bytes; `UsageError` for half a character."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise UsageError("the text holds half a character, which cannot be UTF-8") from None


def _from_file(request: str, path: Path) -> Stub:
    if path.exists() and not path.is_file():
        raise UsageError(f"the stub for {request} cannot be read: {path} is no plain file")
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"the stub for {request} cannot be read: {path}: {reason}") from error
    if content.startswith(b"HTTP/"):
        return _whole(f"the stub for {request} cannot be read: {path}", content)
    kind = mimetypes.guess_type(path.name)[0] or "application/json"
    return Stub(content, headers=((b"Content-Type", kind.encode()),))


def _whole(what: str, content: bytes) -> Stub:
    """A status line, header fields, an empty line and a body."""
    head = _STATUS_LINE.match(content)
    if head is None:
        raise UsageError(f"{what}: line 1 is no status line such as HTTP/1.1 429 Too Many Requests")
    at, headers = head.end(), []
    while (end := _END.match(content, at)) is None and at < len(content):
        field = _FIELD.match(content, at)
        if field is None:
            line = content.count(b"\n", 0, at) + 1
            raise UsageError(f"{what}: line {line} is no header field such as Retry-After: 1")
        pair = field[1].decode("latin-1"), field[2].decode("latin-1")
        if pair[0].lower() not in _NOT_SERVED and pair[1]:
            headers.append(_field(*pair))
        at = field.end()
    body = content[len(content) if end is None else end.end() :]
    if not any(name.lower() == b"content-type" for name, _ in headers):
        headers.insert(0, (b"Content-Type", b"application/json"))
    checked = stub_of(status=int(head[1]))
    return Stub(body, checked.status, tuple(headers))
