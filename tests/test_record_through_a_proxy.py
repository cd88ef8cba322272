"""The recorder behind a forward proxy that nobody can go around: REST and sockets, as a proxy and as a client."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from tickdeck.cassette.errors import RecordingError
from tickdeck.gateway.front import Front, Own, Streams
from tickdeck.gateway.variables import PROXIES
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.route import stream_for_others
from tickdeck.recorder.upstream import Upstream
from tickdeck.recorder.ways import Ways
from tickdeck.recorder.websocket_client import dial

pytestmark = pytest.mark.timeout(30)

PLAIN = Ways("http://service.test", "ws://service.test")
SECURE = Ways("https://service.test", "wss://service.test")
NOBODY = "http://me:word@127.0.0.1:9"


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@contextlib.asynccontextmanager
async def service() -> AsyncIterator[int]:
    async def greet(connection: ServerConnection) -> None:
        await connection.send("hello")
        await connection.wait_closed()

    def page(connection: ServerConnection, request: Request) -> Response | None:
        return None if "Upgrade" in request.headers else connection.respond(200, "a page")  # type: ignore[arg-type]  # takes a number

    async with serve(greet, "127.0.0.1", 0, process_request=page) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@contextlib.asynccontextmanager
async def forward_proxy() -> AsyncIterator[tuple[str, list[str]]]:
    """Its address, and for which places it was asked; it alone knows where ``service.test`` is."""
    asked: list[str] = []
    async with service() as port:

        async def elsewhere(host: str, at: int) -> Streams:
            asked.append(f"{host}:{at}")
            return await asyncio.open_connection("127.0.0.1", port)

        front = Front(
            Own("127.0.0.1", 9, frozenset(), None),
            elsewhere=elsewhere,
            on_other=lambda host, passed: None,
            on_distrust=lambda host: None,
        )
        try:
            yield await front.start(), asked
        finally:
            await front.stop()


@contextlib.asynccontextmanager
async def upstream(ways: Ways, *, trust_env: bool = True) -> AsyncIterator[Upstream]:
    upstream = Upstream(ways, clock=Clock(), trust_env=trust_env)
    try:
        yield upstream
    finally:
        await upstream.close()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_a_request_goes_through_the_proxy_of_the_environment(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with forward_proxy() as (proxy, asked), upstream(PLAIN) as way:
        monkeypatch.setenv(variable, proxy)
        answer = await (await way.ask("GET", "/v1/a", headers=())).whole()
    assert (answer.status, answer.body, asked) == (200, b"a page", ["service.test:80"])


@pytest.mark.parametrize("variable", ["WS_PROXY", "HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_a_socket_goes_through_the_same_proxy(
    variable: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with forward_proxy() as (proxy, asked), upstream(PLAIN) as way:
        monkeypatch.setenv(variable, proxy.replace("http://", scheme))
        upgrade = await way.upgrade("/stocks", headers=(), protocols=())
        assert (await upgrade.socket.receive()).data == b"hello"
        await upgrade.socket.close()
        await upgrade.release()
    assert asked == ["service.test:80"]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
async def test_the_socket_of_a_recorder_that_is_a_client_does_too(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with forward_proxy() as (proxy, asked):
        monkeypatch.setenv(variable, proxy)
        dialled = await dial("ws://service.test/stocks", headers=(), clock=Clock(), trust_env=True)
        await dialled.release()
    assert asked == ["service.test:80"]


async def ask(way: Upstream) -> None:
    await way.ask("GET", "/", headers=())


async def upgrade(way: Upstream) -> None:
    await way.upgrade("/stocks", headers=(), protocols=())


async def call(way: Upstream) -> None:
    await dial(f"{way.ways.ws}/stocks", headers=(), clock=Clock(), trust_env=way._trust_env)


@pytest.mark.parametrize("reach", [ask, upgrade, call])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
async def test_what_is_encrypted_asks_the_proxy_for_a_tunnel_and_a_refusal_is_told(
    reach: object, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server, upstream(SECURE) as way:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv(variable, f"http://me:p%40ss@127.0.0.1:{port}")
        with pytest.raises(RecordingError, match=r"could not reach .*: the proxy answered 407 Who are you$"):
            await reach(way)  # type: ignore[operator]  # one of the three above
    (head,) = heads
    assert head.startswith(b"CONNECT service.test:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in head


@pytest.mark.parametrize("reach", [ask, upgrade, call])
@pytest.mark.parametrize("ways", [PLAIN, SECURE])
async def test_a_proxy_that_is_not_there_or_none_is_told_without_its_password(
    reach: object, ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with upstream(ways) as way:
        monkeypatch.setenv("ALL_PROXY", NOBODY)
        with pytest.raises(RecordingError, match=r"the proxy cannot be reached: .*refused$") as raised:
            await reach(way)  # type: ignore[operator]  # one of the three above
        assert "word" not in str(raised.value)
        monkeypatch.setenv("ALL_PROXY", "socks5://me:word@127.0.0.1:9")
        with pytest.raises(RecordingError, match=r"ALL_PROXY names no proxy of the kind http://HOST:PORT$"):
            await reach(way)  # type: ignore[operator]  # one of the three above


@pytest.mark.parametrize("reach", [ask, upgrade, call])
@pytest.mark.parametrize(
    ("variable", "ways"),
    [
        ("HTTP_PROXY", Ways("http://127.0.0.1:9", "ws://127.0.0.1:9")),
        ("HTTPS_PROXY", Ways("https://127.0.0.1:9", "wss://127.0.0.1:9")),
        ("ALL_PROXY", Ways("https://127.0.0.1:9", "wss://127.0.0.1:9")),
    ],
)
async def test_where_a_proxy_is_set_and_not_used_the_failure_names_the_flag(
    reach: object, variable: str, ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, NOBODY)
    words = f"connection refused; {variable} is set and not used: record --trust-env goes through it"
    async with upstream(ways, trust_env=False) as way:
        with pytest.raises(RecordingError, match=f"{re.escape(words)}$"):
            await reach(way)  # type: ignore[operator]  # one of the three above
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with pytest.raises(RecordingError, match=r"connection refused$"):
            await reach(way)  # type: ignore[operator]  # one of the three above


@pytest.mark.parametrize("no_proxy", ["service.test", ".test", "*", "::1"])
async def test_hosts_that_go_past_the_proxy_do(no_proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", NOBODY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    place = "http://[::1]:9" if no_proxy == "::1" else "http://service.test:9"
    async with upstream(Ways(place, place.replace("http", "ws"))) as way:
        with pytest.raises(RecordingError) as raised:
            await ask(way)
    assert "proxy" not in str(raised.value)


async def test_another_host_of_a_command_is_reached_by_the_proxy_for_https(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with forward_proxy() as (proxy, asked):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        _, writer = await stream_for_others("pypi.test", 443, trust_env=True)
        writer.close()
        await writer.wait_closed()
    assert asked == ["pypi.test:443"]
