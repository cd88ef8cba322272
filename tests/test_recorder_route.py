"""The way to a host, straight and through a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from tickdeck.recorder.route import open_stream


class Proxy:
    """Answers CONNECT with this, and repeats what comes after it."""

    def __init__(self, answer: bytes) -> None:
        self.asked = b""
        self._answer = answer

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        handlers: list[asyncio.Task[None]] = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.asked = await reader.readuntil(b"\r\n\r\n")
            writer.write(self._answer)
            with contextlib.suppress(ConnectionError):
                writer.write(await reader.read(5) if self._answer else b"")
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            handlers.append(asyncio.create_task(handle(reader, writer)))

        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]
            async with asyncio.timeout(10):
                await asyncio.gather(*handlers)


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ws_proxy", "wss_proxy", "http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def test_the_proxy_of_the_environment_is_asked_to_step_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(b"HTTP/1.1 200 Connection established\r\n\r\n")
    async with proxy.serving() as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss@127.0.0.1:{port}")
        reader, writer = await open_stream("service.test", 80, secure=False, trust_env=True)
        writer.write(b"hello")
        assert await reader.read() == b"hello"
        writer.close()
    assert proxy.asked == (
        b"CONNECT service.test:80 HTTP/1.1\r\nHost: service.test:80\r\n"
        b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Who are you\r\n\r\n", "the proxy answered 407 Who are you"),
        (b"", "the proxy gave no answer"),
    ],
)
async def test_a_proxy_that_will_not_is_an_error(
    answer: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Proxy(answer).serving() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(ConnectionError, match=words):
            await open_stream("service.test", 443, secure=True, trust_env=True)


async def test_a_proxy_of_another_kind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSS_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(OSError, match="WSS_PROXY names no proxy of the kind"):
        await open_stream("service.test", 443, secure=True, trust_env=True)


@pytest.mark.parametrize("trust_env", [False, True])
async def test_no_proxy_is_heeded_that_is_not_meant(trust_env: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1" if trust_env else "")
    proxy = Proxy(b"straight")
    async with proxy.serving() as port:
        reader, writer = await open_stream("127.0.0.1", port, secure=False, trust_env=trust_env)
        writer.write(b"\r\n\r\n.....")
        assert await reader.read() == b"straight....."
        writer.close()


async def test_a_host_whose_addresses_all_refuse_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def two(host: str, port: int, **options: object) -> list[tuple[object, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (each, 9))
            for each in ("127.0.0.1", "127.0.0.2")
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two)
    with pytest.raises(ConnectionRefusedError):
        await open_stream("service.test", 9, secure=False, trust_env=False)
