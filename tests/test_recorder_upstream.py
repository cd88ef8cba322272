"""Why a connection failed, in a few words; and answers that stop being wanted."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from tickdeck.cassette.errors import RecordingError
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.upstream import Upstream, why
from tickdeck.recorder.ways import Ways

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """A server of bare bytes, which hangs up when the handler is done; its port."""
    done: list[asyncio.Future[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done.append(ended := asyncio.get_running_loop().create_future())
        await handler(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended.set_result(None)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.wait_for(asyncio.gather(*done), 10)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 9)"),
            "connection refused",
        ),
        (OSError("Multiple exceptions"), "multiple exceptions"),
        (OSError(), "oserror"),
        (TimeoutError(), "no answer in time"),
        (aiohttp.ServerDisconnectedError(), "the connection was closed without an answer"),
        (ssl.SSLCertVerificationError(), "its certificate is not trusted"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "the host name is not known"),
        (ValueError("x"), "ValueError"),
    ],
)
def test_a_failure_is_said_in_a_few_words(error: Exception, words: str) -> None:
    assert why(error) == words


async def test_a_host_name_that_is_not_known_is_said_so() -> None:
    upstream = Upstream(Ways("http://nowhere.invalid", "ws://nowhere.invalid"), clock=Clock())
    with pytest.raises(RecordingError) as raised:
        await upstream.ask("GET", "/", headers=())
    await upstream.close()
    assert str(raised.value).startswith("could not reach http://nowhere.invalid: ")


async def test_an_upstream_that_hangs_up_without_a_word_is_said_so() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with serving(hang_up) as port:
        upstream = Upstream(Ways(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"), clock=Clock())
        for asked in (
            upstream.ask("GET", "/", headers=()),
            upstream.upgrade("/stocks", headers=(), protocols=()),
        ):
            with pytest.raises(RecordingError, match="the connection was closed without an answer"):
                await asked
        await upstream.close()


async def test_a_101_that_is_no_websocket_handshake_is_said_so() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: no\r\n\r\n"
        )
        await reader.read()

    async with serving(nonsense) as port:
        upstream = Upstream(Ways(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"), clock=Clock())
        with pytest.raises(RecordingError, match="invalid challenge response"):
            await upstream.upgrade("/stocks", headers=(), protocols=())
        await upstream.close()


async def test_an_answer_that_never_begins_can_be_cut_short() -> None:
    asked = asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()

    async with serving(silence) as port:
        upstream = Upstream(Ways(f"http://127.0.0.1:{port}", "ws://127.0.0.1:9"), clock=Clock())
        asking = asyncio.create_task(upstream.ask("GET", "/", headers=()))
        await asyncio.wait_for(asked.wait(), 5)
        upstream.cut()
        with pytest.raises(RecordingError, match="no answer in time"):
            await asking
        await upstream.close()


async def test_a_handshake_that_never_ends_can_be_cut_short_and_nobody_elses_with_it() -> None:
    asked = asyncio.Semaphore(0)

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.release()
        await reader.read()

    async with serving(silence) as port:
        upstream = Upstream(Ways("http://127.0.0.1:9", f"ws://127.0.0.1:{port}"), clock=Clock())
        one, other = (
            asyncio.create_task(upstream.upgrade("/stocks", headers=(), protocols=())) for _ in range(2)
        )
        for _ in range(2):
            await asyncio.wait_for(asked.acquire(), 5)
        upstream.cut(one)
        with pytest.raises(RecordingError, match="no answer in time"):
            await one
        assert not other.done()
        upstream.cut()
        with pytest.raises(RecordingError, match="no answer in time"):
            await other
        await upstream.close()


async def test_proxy_variables_are_not_heeded_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    async with serving(answer) as port:
        direct = Upstream(Ways(f"http://127.0.0.1:{port}", "ws://127.0.0.1:9"), clock=Clock())
        assert (await (await direct.ask("GET", "/", headers=())).whole()).body == b"ok"
        await direct.close()
        through = Upstream(
            Ways(f"http://127.0.0.1:{port}", "ws://127.0.0.1:9"), clock=Clock(), trust_env=True
        )
        with pytest.raises(RecordingError):
            await through.ask("GET", "/", headers=())
        await through.close()
