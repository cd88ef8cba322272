"""Bodies on their way through the recorder: a request's to the service, an answer's to the client.

Neither is held longer than it must be. What has come by the time its head is looked at
goes on in one piece, and most REST answers are that. Of the rest, a text in which an
address may have to be changed is held until it is whole, so that it keeps its length
and its coding; from 16 MiB on, or where it has no length to keep, it is changed as it
comes. All else goes on as it comes. In each case the answer is on the cassette before
the client can know that it is complete.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from aiohttp import ClientPayloadError, HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict

from tickdeck.cassette.bodies import WHOLE_LIMIT
from tickdeck.cassette.errors import StorageError
from tickdeck.cassette.records import HeaderPairs
from tickdeck.cassette.unpacking import DamagedError, Unpacker
from tickdeck.dialects.origins import Origins, is_rewritten
from tickdeck.recorder.forwarding import (
    Answer,
    answer_to_client,
    codings_in,
    head_of_rewritten,
    head_to_client,
    values_of,
)
from tickdeck.recorder.keeping import Keeping
from tickdeck.recorder.upstream import Incoming

LARGEST_REQUEST: Final = 8 << 20
"""Bytes of a request body that are kept; with the answer's it has to fit into a row of the cassette."""

AS_IT_CAME: Final = web.ResponseKey("names of the fields that came", frozenset[bytes])
"""Of a response that may have no other fields: see `as_it_came`."""


_GO_ON: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Asked:
    """The body of a request: ``kept`` of it is for the cassette, nothing if it is ``too_large``.

    A client that ``waits`` (RFC 9110 10.1.1) is told to go on once the service wants the body.
    """

    def __init__(self, request: web.BaseRequest) -> None:
        expected = request.headers.get("Expect", "").lower() == "100-continue"
        self.waits = expected and request.body_exists and request.version >= HttpVersion11
        self.broke_off = False
        self.too_large = False
        self._request = request
        self._kept = bytearray()

    @property
    def kept(self) -> bytes:
        """What came of it so far."""
        return b"" if self.too_large else bytes(self._kept)

    async def body(self) -> bytes | AsyncIterator[bytes]:
        """All of it, where it is here; else the pieces in which it comes."""
        if not self._request.body_exists:
            return b""
        pieces = self._pieces()
        if self.waits or not self._request.content.is_eof():
            return pieces
        return b"".join([piece async for piece in pieces])

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            if self.waits and self._request.transport is not None:
                self._request.transport.write(_GO_ON)
            while piece := await self._request.content.readany():
                if not self.too_large:
                    self._kept += piece
                if len(self._kept) > LARGEST_REQUEST:
                    self.too_large = True
                    self._kept.clear()
                yield piece
        except (ClientPayloadError, HttpProcessingError, OSError):
            self.broke_off = True
            raise


class Passing:
    """One answer: from the service onto the cassette, and to the client. ``trouble`` says what could not be done."""

    def __init__(
        self, request: web.BaseRequest, incoming: Incoming, keeping: Keeping, origins: Origins
    ) -> None:
        self.trouble = ""
        self._request = request
        self._incoming = incoming
        self._keeping = keeping
        self._origins = origins
        self._headers = head_to_client(incoming.headers, origins)
        self._changes = bool(origins) and is_rewritten(incoming.status, incoming.headers)

    async def run(self) -> web.StreamResponse:
        """Give the client the answer; returns when all of it is with the client, or one of the two has left."""
        held = bytearray()
        while piece := await self._incoming.next():
            self._keeping.take(piece)
            held += piece
            if not self._holds(len(held)):
                response = await self._as_it_comes(bytes(held))
                self.trouble = self.trouble or self._keeping.trouble
                return response
        exchange = self._keeping.end(self._incoming.end_ns, complete=self._incoming.complete)
        exchange = replace(exchange, body=bytes(held), complete=self._incoming.complete)
        answer = answer_to_client(exchange, self._origins)
        self.trouble = answer.trouble or self._keeping.trouble
        return await in_one_piece(self._request, answer)

    def _holds(self, size: int) -> bool:
        """Whether the rest of the body is waited for before any of it goes on."""
        if self._incoming.is_all_here:
            return True
        length = self._length()
        keeps_its_form = length is not None or bool(codings_in(self._headers))
        return self._changes and keeps_its_form and max(size, length or 0) <= WHOLE_LIMIT

    def _length(self) -> int | None:
        said = values_of(self._headers, b"content-length")
        return int(said[0]) if said else None

    async def _as_it_comes(self, piece: bytes) -> web.StreamResponse:
        length = self._length()
        change = _Change(self._origins, codings_in(self._headers)) if self._changes else None
        if change is not None and change.unknown:
            self.trouble = f"a body could not be opened ({change.unknown}); addresses in it are unchanged"
            change = None
        if change is not None:
            self._headers, length = head_of_rewritten(self._headers), None
        response = web.StreamResponse(
            status=self._incoming.status, reason=self._incoming.reason, headers=_fields(self._headers)
        )
        _as_headers_say(self._request, response, self._headers)
        try:
            await response.prepare(self._request)
            while piece:
                # The bytes that complete a body of known length wait until it is on the cassette.
                if length is None or self._keeping.size < length:
                    await response.write(change.feed(piece) if change else piece)
                    piece = b""
                if following := await self._incoming.next():
                    self._keeping.take(following)
                    piece += following
                else:
                    break
            self._keeping.end(self._incoming.end_ns, complete=self._incoming.complete)
            if not self._incoming.complete:
                await response.write(change.rest() if change else piece)
                return _break_off(self._request, response)
            await response.write(change.finish() if change else piece)
            await response.write_eof()
        except ConnectionError:  # the client is gone
            self._give_up()
        except DamagedError:
            self.trouble = "a compressed body is damaged: it breaks off where it could not be opened"
            self._give_up()
            return _break_off(self._request, response)
        except StorageError:
            self._incoming.close()  # the intake has said so
            return _break_off(self._request, response)
        return response

    def _give_up(self) -> None:
        """Nothing more is wanted of the service: what came is kept, if it is not yet."""
        self._incoming.close()
        if not self._keeping.ended:
            with suppress(StorageError):  # the intake has said so, and the client is told no more
                self._keeping.end(self._incoming.end_ns, complete=False)


class _Change:
    """A text that is opened and given our addresses as it comes; ``unknown`` are codings that nobody here opens."""

    def __init__(self, origins: Origins, codings: tuple[str, ...]) -> None:
        self.unknown = ""
        self._rewriter = origins.as_it_comes()
        try:
            self._unpacker = Unpacker(codings)
        except ValueError:
            self.unknown = ", ".join(codings)

    def feed(self, piece: bytes) -> bytes:
        return b"".join(map(self._rewriter.feed, self._unpacker.feed(piece)))

    def finish(self) -> bytes:
        """The rest; `DamagedError` where the text is not whole, though the body has ended."""
        if not self._unpacker.is_whole:
            raise DamagedError("it breaks off")
        return self._rewriter.finish()

    def rest(self) -> bytes:
        """What is held of a text that has broken off."""
        return self._rewriter.finish()


async def in_one_piece(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """An answer whose body is here. One that broke off upstream breaks off here."""
    headers = _fields(answer.headers)
    if answer.complete:
        whole = web.Response(status=answer.status, reason=answer.reason, headers=headers, body=answer.body)
        _as_headers_say(request, whole, answer.headers)
        return whole
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    response[AS_IT_CAME] = frozenset(name.lower() for name, _ in answer.headers)
    response.force_close()
    try:
        await response.prepare(request)
        await response.write(answer.body)
    except ConnectionError:
        pass  # the client is gone; what it was to be told was that this broke off
    return _break_off(request, response)


async def no_answer_yet(request: web.Request) -> None:
    """What a client is told that waits before it sends its body is the service's to say."""


async def as_it_came(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Take out what aiohttp adds to every response, where the upstream did not say it."""
    came = response.get(AS_IT_CAME)
    if came is not None:
        for name in ("Content-Type", "Server", "Date"):
            if name.lower().encode() not in came:
                response.headers.popall(name, None)


def _as_headers_say(request: web.BaseRequest, response: web.StreamResponse, headers: HeaderPairs) -> None:
    """No field that did not come, and chunks where no length did."""
    names = response[AS_IT_CAME] = frozenset(name.lower() for name, _ in headers)
    has_length = b"content-length" in names or not _has_a_body(request.method, response.status)
    if not has_length and request.version >= HttpVersion11:
        response.enable_chunked_encoding()


def _has_a_body(method: str, status: int) -> bool:
    """Whether such an answer is followed by a body, maybe an empty one (RFC 9112 6.3)."""
    return method != "HEAD" and status not in (204, 304)


def _break_off(request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    response.force_close()
    if request.transport is not None:
        request.transport.close()
    return response


def _fields(headers: HeaderPairs) -> CIMultiDict[str]:
    return CIMultiDict(
        (name.decode("utf-8", "replace"), value.decode("utf-8", "replace")) for name, value in headers
    )
