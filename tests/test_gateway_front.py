"""The forward proxy by itself: what is asked of it, and what becomes of clients that ask for nothing sensible."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

import pytest

from tickdeck.gateway import front
from tickdeck.gateway.front import Asked, Front, Own, RefusedError, Streams, asked_for
from tickdeck.gateway.identity import client_context, identity_of


@pytest.mark.parametrize(
    ("head", "asked"),
    [
        (b"CONNECT api.massive.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", Asked("api.massive.com", 443, b"")),
        (b"CONNECT [::1]:8443 HTTP/1.1\r\n\r\n", Asked("[::1]", 8443, b"")),
        (
            b"GET http://Host:81/a?b=c HTTP/1.1\r\nHost: Host:81\r\nProxy-Connection: a\r\nConnection:\r\nX: y\r\n\r\n",
            Asked("Host", 81, b"GET /a?b=c HTTP/1.1\r\nHost: Host:81\r\nX: y\r\nConnection: close\r\n\r\n"),
        ),
        (
            b"GET http://host HTTP/1.1\r\n\r\n",
            Asked("host", 80, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"),
        ),
    ],
)
def test_a_request_to_a_proxy_names_where_it_goes(head: bytes, asked: Asked) -> None:
    assert asked_for(head) == asked


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"CONNECT api.massive.com HTTP/1.1\r\n\r\n",
        b"CONNECT api.massive.com:443:1 HTTP/1.1\r\n\r\n",
        b"CONNECT a b:443 HTTP/1.1\r\n\r\n",
        b"GET https://host/ HTTP/1.1\r\n\r\n",
        b"GET http://user@host/ HTTP/1.1\r\n\r\n",
        b"CONNECT host:443 HTTP/2\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
        b"\r\n\r\n",
    ],
)
def test_what_names_nowhere_is_refused(head: bytes) -> None:
    with pytest.raises(RefusedError) as refusal:
        asked_for(head)
    assert refusal.value.status == "400 Bad Request"


class Echo:
    """Our server: it repeats what it hears behind its name, until the other side ends."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(self._name)
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass  # the other side is lost, which is how some of these tests end
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def fronted(
    *, elsewhere: front.Elsewhere | None = None, told: list[tuple[str, bool | None]] | None = None
) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    """The port of a front before a server that says ``ours``, and what its clients trust."""
    identity = identity_of(True, None, None, hosts=["vendor.test"])
    assert identity is not None
    assert identity.ca_file is not None
    seen = [] if told is None else told
    async with Echo(b"ours ") as port:
        own = Own("127.0.0.1", port, frozenset({"vendor.test"}), identity.context)
        proxy = Front(
            own,
            elsewhere=elsewhere,
            on_other=lambda host, passed: seen.append((host, passed)),
            on_distrust=lambda host: seen.append((host, None)),
        )
        address = await proxy.start()
        try:
            yield int(address.rpartition(":")[2]), client_context(identity.ca_file)
        finally:
            await proxy.stop()
            identity.close()


OPENED: list[asyncio.StreamWriter] = []


@pytest.fixture(autouse=True)
async def closed_afterwards() -> AsyncIterator[None]:
    yield
    for writer in OPENED:
        writer.transport.abort()
    OPENED.clear()


async def opened(port: int) -> Streams:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    OPENED.append(writer)
    return reader, writer


async def connected(port: int, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    reader, writer = await opened(port)
    writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    return reader, writer, await reader.readuntil(b"\r\n\r\n")


async def test_a_host_of_ours_is_decrypted_and_answered_here() -> None:
    async with fronted() as (port, trust), asyncio.timeout(20):
        _, writer, answer = await connected(port, "vendor.test:443")
        assert answer.startswith(b"HTTP/1.1 200 ")
        # StreamWriter.start_tls leaves the old reader behind; a client's own library does better.
        transport = writer.transport
        loop = asyncio.get_running_loop()
        fresh = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(fresh)
        secured = await loop.start_tls(transport, protocol, trust, server_hostname="vendor.test")
        assert secured is not None
        protocol.connection_made(secured)
        secured.write(b"x" * 300_000)  # type: ignore[attr-defined] # it is a transport that writes
        assert await fresh.readexactly(300_005) == b"ours " + b"x" * 300_000
        secured.close()


async def test_a_host_of_ours_without_encryption_is_answered_here_as_well() -> None:
    async with fronted() as (port, _), asyncio.timeout(20):
        reader, writer, answer = await connected(port, "VENDOR.test:80")
        assert answer.startswith(b"HTTP/1.1 200 ")
        writer.write(b"hello")
        writer.write_eof()
        assert await reader.read() == b"ours hello"
        writer.close()


async def test_without_a_way_elsewhere_every_other_host_is_refused() -> None:
    told: list[tuple[str, bool | None]] = []
    async with fronted(told=told) as (port, _), asyncio.timeout(20):
        reader, _, answer = await connected(port, "pypi.test:443")
        assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert await reader.read() == b"tickdeck lets nobody through to pypi.test\n"
    assert told == [("pypi.test", False)]


async def test_with_a_way_elsewhere_its_bytes_go_there_unread() -> None:
    told: list[tuple[str, bool | None]] = []
    async with Echo(b"theirs ") as other:

        async def way(host: str, port: int) -> Streams:
            assert (host, port) == ("pypi.test", 443)
            return await asyncio.open_connection("127.0.0.1", other)

        async with fronted(elsewhere=way, told=told) as (port, _), asyncio.timeout(20):
            reader, writer, _ = await connected(port, "pypi.test:443")
            writer.write(b"\x16\x03")
            writer.write_eof()
            assert await reader.read() == b"theirs \x16\x03"
            writer.close()
    assert told == [("pypi.test", True)]


async def test_another_host_that_is_not_there_is_a_bad_gateway() -> None:
    async def nowhere(host: str, port: int) -> Streams:
        raise ConnectionRefusedError(111, "Connection refused")

    async with fronted(elsewhere=nowhere) as (port, _), asyncio.timeout(20):
        reader, _, answer = await connected(port, "pypi.test:443")
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert await reader.read() == b"pypi.test cannot be reached: connection refused\n"


@pytest.mark.parametrize(
    "said", [b"", b"CONNECT vendor", b"A" * (2 * front.HEAD_LIMIT), b"CONNECT vendor.test:443"]
)
async def test_a_client_that_never_says_where_it_wants_to_go_is_let_go(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "HEAD_WITHIN_S", 0.2)
    async with fronted() as (port, _), asyncio.timeout(20):
        reader, writer = await opened(port)
        with contextlib.suppress(ConnectionError):
            writer.write(said)
            assert await reader.read() == b""
        writer.close()


async def test_a_client_that_speaks_no_tls_after_its_connect_is_let_go() -> None:
    told: list[tuple[str, bool | None]] = []
    async with fronted(told=told) as (port, _), asyncio.timeout(20):
        reader, writer, _ = await connected(port, "vendor.test:443")
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        again, other, answer = await connected(port, "vendor.test:80")  # the front goes on
        assert answer.startswith(b"HTTP/1.1 200 ")
        other.write_eof()
        assert await again.read() == b"ours "
        assert told == [("vendor.test", None)]
        other.close()


async def test_more_connections_than_it_takes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "MOST", 2)
    async with fronted() as (port, _), asyncio.timeout(20):
        held = [await connected(port, "vendor.test:80") for _ in range(2)]
        reader, writer = await opened(port)
        assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        writer.close()
        for _, each, _ in held:
            each.close()


async def test_what_nobody_reads_is_not_gathered() -> None:
    """A client that never reads holds its server up, by way of the front, within the buffers of two sockets."""
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        with contextlib.suppress(OSError), contextlib.closing(writer):
            while True:
                writer.write(bytes(1 << 20))
                await writer.drain()
                sent += 1 << 20

    async with await asyncio.start_server(flood, "127.0.0.1", 0) as server, asyncio.timeout(60):
        own = Own("127.0.0.1", server.sockets[0].getsockname()[1], frozenset({"vendor.test"}), None)
        proxy = Front(own, elsewhere=None, on_other=lambda host, passed: None, on_distrust=lambda host: None)
        port = int((await proxy.start()).rpartition(":")[2])
        reader, writer, _ = await connected(port, "vendor.test:80")
        writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's transport reads
        before = -1
        while before != sent:
            before = sent
            for _ in range(2000):
                await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time
        assert sent < 64 << 20
        await proxy.stop()
        writer.close()
        assert reader is not None
