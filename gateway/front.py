"""A forward proxy for one command: some hosts are answered here, the others let through or refused.

A program with the vendor's address written into it cannot be told another one, but
nearly every HTTP library can be told a proxy by its environment. What it asks for with
CONNECT (RFC 9110 9.3.6) at a host of the vendor is decrypted, with a certificate of the
throw-away CA, and handed to our own server on this machine as it is; the server sees
the vendor's name in the field Host. To any other host the bytes are passed on unread,
if there is a way there at all: that way is handed in, and a replay has none.

What is asked without CONNECT, by ``GET http://host/path``, is passed on by its first
request and ends with its answer: nobody keeps such a connection for another one then.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

HEAD_LIMIT: Final = 64 << 10
"""Bytes of the head of a request."""

HEAD_WITHIN_S: Final = 10.0
"""How long a client may take to say what it wants, and to shake hands."""

MOST: Final = 1000
"""Connections at once."""

PIECE: Final = 64 << 10

HTTP_PORT: Final = 80
HTTPS_PORT: Final = 443

Streams: TypeAlias = tuple[StreamReader, StreamWriter]
Elsewhere: TypeAlias = Callable[[str, int], Awaitable[Streams]]
"""The way to another host; OSError when there is none."""

_TARGET: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.\-]+):(?P<port>\d{1,5})", re.ASCII)
_ADDRESS: Final = re.compile(
    r"http://(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.\-]+)(?::(?P<port>\d{1,5}))?(?P<path>/[^\s]*)?",
    re.ASCII | re.IGNORECASE,
)
_DROPPED: Final = (b"proxy-connection:", b"proxy-authorization:", b"connection:", b"keep-alive:")


class Asked(NamedTuple):
    """Where a client wants to go; ``head`` is what it is told there first, nothing after a CONNECT."""

    host: str
    port: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Own:
    """Our server: where it listens, and for whom it answers.

    ``context`` is what its clients shake hands with here; ``None`` where it speaks TLS itself.
    """

    host: str
    port: int
    hosts: frozenset[str]
    context: ssl.SSLContext | None


class RefusedError(Exception):
    """A request that goes nowhere: with which status, and why."""

    def __init__(self, status: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Front:
    """Listens on a free port of this machine until it is stopped.

    ``elsewhere`` is the way to hosts that are not ours, ``None`` where there is none. ``on_other`` is told
    the name of each such host, and whether it was let through; ``on_distrust`` the name of one of ours
    whose certificate a client did not take.
    """

    def __init__(
        self,
        own: Own,
        *,
        elsewhere: Elsewhere | None,
        on_other: Callable[[str, bool], None],
        on_distrust: Callable[[str], None],
    ) -> None:
        self._own = own
        self._elsewhere = elsewhere
        self._on_other = on_other
        self._on_distrust = on_distrust
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        """Its address, as the variables of a proxy have it."""
        self._server = await asyncio.start_server(self._come, "127.0.0.1", 0, limit=HEAD_LIMIT)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Take nobody more, and end what is still open."""
        if self._server is not None:
            self._server.close()
        for task in self._busy:
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)

    def _come(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One client, from its first word to its last; whatever it does ends this connection alone."""
        try:
            if len(self._busy) > MOST:
                raise RefusedError("503 Service Unavailable", f"more than {MOST} connections at once")
            async with asyncio.timeout(HEAD_WITHIN_S):
                asked = asked_for(await reader.readuntil(b"\r\n\r\n"))
                theirs = await self._way(asked, writer)
            await _splice((reader, writer), theirs)
        except RefusedError as refusal:
            with contextlib.suppress(OSError):
                await _refuse(writer, refusal)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # silence, half a head, a handshake that failed, a lost line: the client knows as much
        finally:
            writer.transport.abort()

    async def _way(self, asked: Asked, writer: StreamWriter) -> Streams:
        ours = asked.host.lower() in self._own.hosts
        if ours:
            theirs = await asyncio.open_connection(self._own.host, self._own.port)
        else:
            theirs = await self._to_another(asked)
        try:
            if asked.head:
                theirs[1].write(asked.head)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await writer.drain()
                if ours and asked.port != HTTP_PORT and self._own.context is not None:
                    await self._shake_hands(writer, self._own.context, asked.host)
        except BaseException:
            theirs[1].transport.abort()
            raise
        return theirs

    async def _shake_hands(self, writer: StreamWriter, context: ssl.SSLContext, host: str) -> None:
        try:
            await writer.start_tls(context, ssl_handshake_timeout=HEAD_WITHIN_S)
        except OSError:  # an alert, or the end: either way it wants nothing to do with us
            self._on_distrust(host)
            raise

    async def _to_another(self, asked: Asked) -> Streams:
        self._on_other(asked.host, self._elsewhere is not None)
        if self._elsewhere is None:
            raise RefusedError("403 Forbidden", f"tickdeck lets nobody through to {asked.host}")
        try:
            return await self._elsewhere(asked.host.strip("[]"), asked.port)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise RefusedError("502 Bad Gateway", f"{asked.host} cannot be reached: {reason}") from error


def asked_for(head: bytes) -> Asked:
    """What the head of a request to a proxy asks for; RefusedError when it is none."""
    line, _, fields = head.partition(b"\r\n")
    method, _, rest = line.decode("latin-1").partition(" ")
    target, _, version = rest.rpartition(" ")
    if not version.startswith("HTTP/1."):
        raise RefusedError("400 Bad Request", "this is no request in HTTP/1.1")
    if method == "CONNECT":
        if (found := _TARGET.fullmatch(target)) is None:
            raise RefusedError("400 Bad Request", "CONNECT names no host and port")
        return Asked(found["host"], int(found["port"]), b"")
    if (found := _ADDRESS.fullmatch(target)) is None:
        raise RefusedError(
            "400 Bad Request", "a proxy is asked for an address with its host, http://host/path"
        )
    kept = [each for each in fields.split(b"\r\n") if each and not each.lower().startswith(_DROPPED)]
    first = f"{method} {found['path'] or '/'} {version}".encode("latin-1")
    return Asked(
        found["host"],
        int(found["port"] or HTTP_PORT),
        b"\r\n".join((first, *kept, b"Connection: close", b"", b"")),
    )


async def _refuse(writer: StreamWriter, refusal: RefusedError) -> None:
    body = f"{refusal}\n".encode()
    writer.write(
        f"HTTP/1.1 {refusal.status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n".encode()
        + body
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def _splice(ours: Streams, theirs: Streams) -> None:
    """Pass on what each side says until both have ended, or one is lost."""
    passing = [
        asyncio.ensure_future(_pass(ours[0], theirs[1])),
        asyncio.ensure_future(_pass(theirs[0], ours[1])),
    ]
    try:
        await asyncio.wait(passing, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for each in passing:
            each.cancel()
        theirs[1].transport.abort()
        await asyncio.gather(*passing, return_exceptions=True)


async def _pass(source: StreamReader, target: StreamWriter) -> None:
    while piece := await source.read(PIECE):
        target.write(piece)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()
    else:  # TLS has no half an end
        target.close()
        await target.wait_closed()
        raise ConnectionError("the other side has ended")
