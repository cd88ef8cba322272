"""The way to the service: plain REST requests, and sockets whose handshake may be refused."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from socket import gaierror
from types import SimpleNamespace
from typing import Final, TypeAlias

import aiohttp
from aiohttp.connector import Connection
from multidict import CIMultiDict
from yarl import URL

from tickdeck.cassette.errors import RecordingError
from tickdeck.cassette.records import HeaderPairs
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.connection import Answer, Connector
from tickdeck.recorder.forwarding import without
from tickdeck.recorder.line import MAX_MESSAGE, Line
from tickdeck.recorder.route import ProxyError, advice, proxy_for
from tickdeck.recorder.unfinished import FrameHeaders, overhear
from tickdeck.recorder.ways import Ways

LONGEST_LINE: Final = 64 << 10
"""Bytes of one line of an HTTP head, in either direction."""

Cuttable: TypeAlias = Callable[[], contextlib.AbstractAsyncContextManager[None]]
"""A wait that can be ended from elsewhere, with TimeoutError."""

_CONNECT_WITHIN_S: Final = 15
_GO_ON_AFTER_S: Final = 1.0
"""As long as curl waits."""

_AUTO: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


@dataclass(frozen=True, slots=True)
class Response:
    """What a request was answered with; ``complete`` is false when it broke off."""

    first_byte_ns: int
    end_ns: int
    status: int
    reason: str
    headers: HeaderPairs
    body: bytes
    complete: bool


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A WebSocket connection to the service."""

    socket: aiohttp.ClientWebSocketResponse[bool]
    response: aiohttp.ClientResponse
    session: aiohttp.ClientSession
    headers: FrameHeaders | None = None

    def line(self, clock: Clock) -> Line:
        """What is said on it."""
        connection = self.response.connection
        transport = connection.transport if connection else None
        return Line(self.socket, transport, clock, masks=True, headers=self.headers)

    async def release(self) -> None:
        """Give back what the connection held, once it has ended."""
        self.response.close()
        await self.session.close()


class Incoming:
    """An answer whose head has come; its body comes piece by piece, until it ends or is `Upstream.cut`."""

    def __init__(self, response: aiohttp.ClientResponse, cuttable: Cuttable, clock: Clock) -> None:
        self.status = response.status
        self.reason = response.reason or ""
        self.headers: HeaderPairs = response.raw_headers
        self.first_byte_ns = self.end_ns = clock.now_ns()
        self.complete = False
        """Whether the body has ended as it should."""
        self._broke_off = False
        self._response = response
        self._cuttable = cuttable
        self._clock = clock

    @property
    def is_all_here(self) -> bool:
        """Whether nothing more will be waited for."""
        return self._response.content.is_eof()

    async def next(self) -> bytes:
        """The next bytes of the body; none once it has ended, or has broken off (then it is not ``complete``)."""
        try:
            async with self._cuttable():
                piece = await self._response.content.readany()
        except (aiohttp.ClientError, OSError):
            return self._rest()
        self.end_ns = self._clock.now_ns()
        if not piece:
            self.complete = True
            self._response.release()
        return piece

    def _rest(self) -> bytes:
        """What came before it broke off; then nothing."""
        rest = b"" if self._broke_off or not isinstance(self._response, Answer) else self._response.rest()
        self._broke_off = True
        self.close()
        return rest

    @property
    def surplus(self) -> int:
        """Bytes that came behind the end of the body, so far."""
        framing = self._response.framing if isinstance(self._response, Answer) else None
        return framing.surplus if framing else 0

    async def whole(self) -> Response:
        """The answer with all of its body."""
        body = bytearray()
        while piece := await self.next():
            body += piece
        return self.with_body(bytes(body))

    def with_body(self, body: bytes) -> Response:
        """The answer, once its body has come."""
        return Response(
            self.first_byte_ns, self.end_ns, self.status, self.reason, self.headers, body, self.complete
        )

    def close(self) -> None:
        """Nothing more is wanted: the connection is given up."""
        self.end_ns = self._clock.now_ns()
        self._response.close()


class UpgradeRefused(Exception):  # noqa: N818 - it is an answer
    """The service answered an upgrade with something else."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"the upgrade was refused with {response.status}")
        self.response = response


class _Patient(aiohttp.ClientRequest):
    """A request whose body waits for the service's 100, but not for ever: not every server says it."""

    def update_expect_continue(self, expect: bool = False) -> None:
        """See `aiohttp.ClientRequest`, which waits for this future."""
        super().update_expect_continue(expect)
        waiting: asyncio.Future[bool] | None = getattr(self, "_continue", None)  # where aiohttp has it
        if waiting is not None:
            self.loop.call_later(_GO_ON_AFTER_S, _go_on, waiting)

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """See `aiohttp.ClientRequest`: once there is a tunnel, a plain socket's request is as without a proxy."""
        if self.url.scheme == "ws":
            self.update_proxy(None, None, None)
        return await super().send(conn)


def _go_on(waiting: asyncio.Future[bool]) -> None:
    if not waiting.done():
        waiting.set_result(True)


class Upstream:
    """One service, by the ways there are to it."""

    def __init__(self, ways: Ways, *, clock: Clock, trust_env: bool = False) -> None:
        self.ways = ways
        self._clock = clock
        self._trust_env = trust_env
        self._connector = Connector(limit=0)
        self._session = self._new_session()
        self._waiting: dict[asyncio.Timeout, asyncio.Task[object] | None] = {}

    def _new_session(self, *traces: aiohttp.TraceConfig) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=self._connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_AUTO,
            request_class=_Patient,
            response_class=Answer,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_WITHIN_S),
            trace_configs=list(traces),
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
        )

    def cut(self, task: asyncio.Task[object] | None = None) -> None:
        """Let this task (or every one) wait for no answer any longer: what came of it is what it is."""
        for limit, waiting in self._waiting.items():
            if task is None or waiting is task:
                limit.reschedule(0)

    @contextlib.asynccontextmanager
    async def _cuttable(self) -> AsyncIterator[None]:
        """A wait that `cut` ends with TimeoutError."""
        async with asyncio.timeout(None) as limit:
            self._waiting[limit] = asyncio.current_task()
            try:
                yield
            finally:
                del self._waiting[limit]

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()
        await self._connector.close()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        headers: HeaderPairs,
        body: bytes | AsyncIterable[bytes] = b"",
        chunked: bool = False,
        origin: str | None = None,
    ) -> Incoming:
        """The answer, as far as its head; RecordingError when there is none, or it was `cut`.

        A body that comes in pieces has its length in ``headers``, or is ``chunked``.
        """
        url = URL((origin or self.ways.http) + path, encoded=True)
        counted = (b"content-length",) if isinstance(body, bytes) else ()
        fields = _fields(without(headers, (b"host", *counted)))
        try:
            async with self._cuttable():
                response = await self._session.request(
                    method,
                    url,
                    proxy=self._proxy_for(url),
                    headers=fields,
                    data=body or None,
                    chunked=True if chunked and body else None,
                    allow_redirects=False,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._unreachable(url, error) from error
        return Incoming(response, self._cuttable, self._clock)

    async def upgrade(
        self, path: str, *, headers: HeaderPairs, protocols: Sequence[str], origin: str | None = None
    ) -> Upgrade:
        """A WebSocket connection; UpgradeRefused, or RecordingError when there is no answer at all."""
        seen: list[tuple[aiohttp.ClientResponse, FrameHeaders | None]] = []

        async def look(
            session: aiohttp.ClientSession,
            context: SimpleNamespace,
            answered: aiohttp.TraceRequestEndParams | aiohttp.TraceRequestRedirectParams,
        ) -> None:
            # aiohttp throws the body of a refusal away, and follows a redirect: neither may happen here.
            if answered.response.status != 101:
                raise UpgradeRefused(await Incoming(answered.response, self._cuttable, self._clock).whole())
            seen.append((answered.response, _overheard(answered.response)))

        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(look)
        trace.on_request_redirect.append(look)
        session = self._new_session(trace)
        url = URL((origin or self.ways.ws) + path, encoded=True)
        try:
            async with self._cuttable():
                socket = await session.ws_connect(
                    url,
                    proxy=self._proxy_for(url),
                    headers=_fields(without(headers, (b"host", b"sec-websocket-protocol"))),
                    protocols=protocols,
                    autoping=False,
                    autoclose=False,
                    compress=0,
                    max_msg_size=MAX_MESSAGE,
                    decode_text=False,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            await session.close()
            raise self._unreachable(url, error) from error
        except BaseException:
            await session.close()
            raise
        response, following = seen[0]
        return Upgrade(socket, response, session, following)

    def _proxy_for(self, url: URL) -> URL | None:
        """The library looks for one itself, but not for one that is named for another scheme, or for all."""
        if not self._trust_env:
            return None
        proxy = proxy_for(url.scheme, url.host or "", url.port or 0)
        return None if proxy is None else URL(proxy.geturl())

    def _unreachable(self, url: URL, error: BaseException) -> RecordingError:
        origin = str(url.origin())
        unused = advice(origin, trust_env=self._trust_env)
        return RecordingError(f"could not reach {origin}: {why(error)}{unused}")


def _overheard(response: aiohttp.ClientResponse) -> FrameHeaders | None:
    """What follows the frames behind an answer; some may have come with it, and lie where aiohttp has them."""
    connection = response.connection
    if connection is None:
        return None
    return overhear(connection.transport, already=getattr(connection.protocol, "_tail", b""))


def _fields(headers: HeaderPairs) -> CIMultiDict[str]:
    return CIMultiDict((_text(name), _text(value)) for name, value in headers)


def _text(field: bytes) -> str:
    return field.decode("utf-8", "replace")


def why(error: BaseException) -> str:
    """Why a connection failed, in a few words."""
    match error:
        case aiohttp.ClientConnectorDNSError() | gaierror():
            return "the host name is not known"
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            return "its certificate is not trusted"
        case aiohttp.ClientOSError(__cause__=ProxyError() as cause):
            return why(cause)
        case ProxyError(__cause__=OSError() as cause):
            return f"{error}: {why(cause)}"
        case ProxyError():
            return str(error)
        case aiohttp.ClientProxyConnectionError():
            return f"the proxy cannot be reached: {why(error.os_error)}"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy answered {error.status} {error.message}"
        case aiohttp.ClientConnectorError():
            return why(error.os_error)
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without an answer"
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientResponseError() if not isinstance(error, aiohttp.WSServerHandshakeError):
            return "its answer is no HTTP"
        case OSError():
            words = os.strerror(error.errno) if error.errno else str(error)
            return (words or type(error).__name__).lower()
        case aiohttp.WSServerHandshakeError():
            return error.message.lower()
        case _:
            return type(error).__name__
