"""The door for what libraries below a server have to say: aiohttp's server and the event loop.

Both would print a traceback for a client's mistake, with the bytes that it sent, a key
among them. What comes through here is a sentence of a known kind, without any of those
bytes. An error that no client can cause is a defect of ours: it is named, redacted, and
its traceback goes to the logger ``tickdeck.defects`` at the level DEBUG.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import ssl
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, InvalidURLError

from tickdeck.watch.printable import one_line
from tickdeck.watch.rejections import Rejections

DEFECTS: Final = logging.getLogger("tickdeck.defects")

LEFT: Final = "a client left before it was answered"
NO_TLS: Final = "a client did not finish the handshake of TLS: it does not trust this CA, or speaks no TLS"
SPEAKS_TLS: Final = "this port speaks TLS: use https:// and wss://"
_TLS: Final = re.compile(r"Received HTTPS traffic|\\x16\\x03")
"""How the first bytes of TLS are told of by a parser of HTTP."""

_OWN_WORDS: Final = re.compile(r"[^:'\"\n]*")
"""What a parser says before it quotes what it was given."""

_NO_ROOM: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class ServerLog(logging.Logger):
    """The logger that aiohttp's server is given. ``clean`` redacts; ``advice`` is for a client that begins with TLS."""

    def __init__(self, rejections: Rejections, *, clean: Callable[[str], str], advice: str) -> None:
        super().__init__("tickdeck.server")
        self._rejections = rejections
        self._clean = clean
        self._advice = advice

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each sentence was due."""
        return self._rejections.counts

    def handle(self, record: logging.LogRecord) -> None:
        """An error becomes a sentence; without one it is aiohttp's chatter."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self.add(error)

    def of_loop(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """The exception handler of an event loop that is all ours."""
        error = context.get("exception")
        if isinstance(error, BaseException) and sentence_of(error, advice="") is not None:
            self.add(error)
        elif loop.get_debug():
            loop.default_exception_handler(dict(context))
        elif isinstance(error, BaseException):
            self.add(error)
        else:
            self._rejections.add(self._fit(f"a defect of tickdeck: {context.get('message')}"))

    def add(self, error: BaseException) -> None:
        """Count it under its sentence."""
        sentence = sentence_of(error, advice=self._advice)
        if sentence is None:
            sentence = f"a defect of tickdeck: {type(error).__name__}: {error}"
            DEFECTS.debug("%s", self._clean("".join(traceback.format_exception(error))))
        self._rejections.add(self._fit(sentence))

    def _fit(self, sentence: str) -> str:
        return one_line(self._clean(" ".join(sentence.split())))


def sentence_of(error: BaseException, *, advice: str) -> str | None:
    """What a client did, or the machine lacks; ``None`` where neither explains the error."""
    match error:
        case HttpProcessingError():
            if _TLS.search(error.message):
                return f"this port speaks plain http: {advice}"
            return f"refused a request: {_reason(error)}"
        case web.RequestPayloadError():
            return "refused a request: its body is not what its fields say"
        case ssl.SSLError(reason="HTTP_REQUEST"):
            return SPEAKS_TLS
        case ssl.SSLError():
            return NO_TLS
        case ConnectionError():
            return LEFT
        case OSError(errno=number) if number in _NO_ROOM:
            return f"no further connection can be accepted: {(error.strerror or '').lower()}; see ulimit -n"
    return None


def _reason(error: HttpProcessingError) -> str:
    """The parser's own words."""
    if isinstance(error, InvalidURLError):
        return "invalid url"  # its words are the url
    found = _OWN_WORDS.match(error.message)
    return (found[0].strip().lower() if found else "") or "it is no HTTP"
