"""Behind a gateway a client is given the same while it is recorded and while that is played, but for our own origin."""

from __future__ import annotations

import asyncio
import gzip
import http.client
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.cassette.codings import closed
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.records import HeaderPairs, Interaction
from tickdeck.dialects.origins import Service
from tickdeck.dialects.polygon import POLYGON
from tickdeck.mockserver.answers import answer_of
from tickdeck.mockserver.harness import MockServer
from tickdeck.recorder.capture import Exchange
from tickdeck.recorder.forwarding import answer_to_client
from tickdeck.recorder.notices import Listening, Notice
from tickdeck.recorder.run import Options, Recorder

GATEWAY = "http://gateway.test:9000"
OWN = "http://127.0.0.1:8421"
SERVICE = Service((GATEWAY, "ws://gateway.test:9001"), POLYGON.origins)

COLONS = (":", "\\u003a", "\\u003A")
SLASHES = ("/", "\\/", "\\u002f", "\\u002F")
HOSTS = ("api.massive.com", "api.polygon.io", "API.Massive.Com", "gateway.test:9000")
TAILS = ("", ".", ":443", ":80", ":8443", ".:443", "@evil.test", ".evil.test")


def spelled(scheme: str, colon: str, slash: str, host: str, tail: str) -> str:
    return f"{scheme}{colon}{slash}{slash}{host}{tail}{slash}v3?cursor=a"


addresses = st.builds(
    spelled,
    st.sampled_from(["http", "https", "HTTPS", "ws", "wss"]),
    st.sampled_from(COLONS),
    st.sampled_from(SLASHES),
    st.sampled_from([*HOSTS, "socket.massive.com", "massive.com", "elsewhere.test"]),
    st.sampled_from(TAILS),
)
words = st.sampled_from(['{"next_url":"', '"}', " ", "\n", "\\n", "<", ">", "//", "12.5,", ".", "x"])
texts = st.lists(addresses | words, max_size=12).map(lambda parts: "".join(parts).encode())


@given(
    texts,
    st.sampled_from([(), ("gzip",), ("deflate",), ("zstd",), ("br",), ("gzip", "zstd")]),
    st.sampled_from([b"application/json", b"text/csv", b"image/png", b""]),
    st.sampled_from([200, 206, 302]),
    st.booleans(),
)
def test_recorder_and_player_change_the_same(
    text: bytes, codings: tuple[str, ...], kind: bytes, status: int, complete: bool
) -> None:
    body = closed(text, codings)
    field = text.replace(b"\n", b" ")
    headers: HeaderPairs = (
        *([(b"Content-Type", kind)] if kind else []),
        *([(b"Content-Encoding", ",".join(codings).encode())] if codings else []),
        *((name, field) for name in (b"Location", b"Link", b"Refresh", b"X-Other")),
    )
    exchange = Exchange(0, 0, 0, "GET", GATEWAY, status, "", (), b"", headers, body, complete)
    interaction = Interaction(
        seq=0,
        offset_ns=0,
        first_byte_ns=0,
        end_ns=0,
        interaction=0,
        method="GET",
        url=GATEWAY,
        status=status,
        reason="",
        response_headers=headers,
        body=body,
        complete=complete,
    )
    recorded = answer_to_client(exchange, SERVICE.for_client(OWN))
    played = answer_of(
        interaction, method="GET", accept_encoding="gzip, deflate, zstd, br", origins=SERVICE.for_client(OWN)
    )
    assert played.body == recorded.body
    assert played.headers[:-1] == recorded.headers


@pytest.mark.parametrize(
    "own", ["http://api.massive.com", "https://API.polygon.io:443", "http://socket.massive.com"]
)
def test_a_client_that_asked_for_the_vendor_by_name_is_given_every_byte(own: str) -> None:
    text = b"https://api.polygon.io/v3 http://gateway.test:9000/v3"
    assert SERVICE.for_client(own).rewrite(text) == (text, 0)


def test_the_vendors_web_pages_are_none_of_its_origins() -> None:
    text = b"https://massive.com/docs https://www.polygon.io/ https://business.massive.com/pricing"
    assert SERVICE.for_client(OWN).rewrite(text) == (text, 0)


LINES = "\n".join(
    spelled(scheme, colon, slash, host, tail)
    for scheme in ("http", "HTTPS")
    for colon in COLONS
    for slash in SLASHES
    for host in (*HOSTS[:3], "GATEWAY")
    for tail in (TAILS if host != "GATEWAY" else ("",))
)
PAGE = f'{{"next_url":"https://api.massive.com/v3/trades/AAPL?cursor=a","lines":"{LINES}"}}'


@asynccontextmanager
async def gateway() -> AsyncIterator[tuple[int, dict[str, bytes]]]:
    """A server of fixed bytes, by path, that speaks of itself and of the vendor."""
    answers: dict[str, bytes] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(answers[head.split()[1].decode()])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        page = PAGE.replace("GATEWAY", f"127.0.0.1:{port}").encode()
        packed = gzip.compress(page)
        kind = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        length = b"Content-Length: %d\r\n"
        moved = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
        answers |= {
            "/plain": kind + length % len(page) + b"\r\n" + page,
            "/packed": kind + length % len(packed) + b"Content-Encoding: gzip\r\n\r\n" + packed,
            "/streamed": kind + b"Connection: close\r\n\r\n" + page,
            "/broken": kind + length % (len(page) + 1) + b"\r\n" + page,
            "/moved": moved + b"//api.massive.com/v3\r\n\r\n",
            "/moved-here": moved + b"http://127.0.0.1:%d/v3\r\n\r\n" % port,
            "/moved-to-http": moved + b"HTTP://API.massive.com:80/v3\r\n\r\n",
        }
        yield port, answers


def ask(port: int, path: str) -> tuple[int, str, bytes]:
    """Status, Location and body, with the origin that was asked spelled as a word."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    fields = {"Authorization": "Bearer any-key-will-do", "Accept-Encoding": "gzip"}
    connection.request("GET", path, headers=fields)
    answer = connection.getresponse()
    try:
        body = answer.read()
    except http.client.IncompleteRead as error:
        body = error.partial
    connection.close()
    plain = gzip.decompress(body) if answer.headers.get("Content-Encoding") else body
    own = f"127.0.0.1:{port}"
    return (
        answer.status,
        answer.headers.get("Location", "").replace(own, "OWN"),
        plain.replace(own.encode(), b"OWN"),
    )


async def test_behind_a_gateway_a_replay_gives_what_the_recorder_gave(tmp_path: Path) -> None:
    path = tmp_path / "x.cassette"
    ready: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()

    def hear(notice: Notice) -> None:
        if isinstance(notice, Listening):
            ready.set_result(notice)

    async with gateway() as (port, answers):
        options = Options(output=path, upstream_http=f"http://127.0.0.1:{port}", listen_port=0)
        recorder = Recorder(options, notify=hear)
        running = asyncio.create_task(recorder.run())
        own = int((await ready).http.rpartition(":")[2])
        recorded = [await asyncio.to_thread(ask, own, each) for each in answers]
        recorder.request_stop()
        await running
    with open_cassette(path) as cassette:
        kept = [each.body for each in cassette.interactions()]
    async with MockServer(path) as market:
        played = [await asyncio.to_thread(ask, market.port, each) for each in answers]
    assert played == recorded
    plain = recorded[0][2]
    assert plain.startswith(b'{"next_url":"http://OWN/v3/trades/AAPL?cursor=a"')
    assert {body for _, _, body in recorded[:4]} == {plain}
    assert [location for _, location, _ in recorded[4:]] == ["//OWN/v3", "http://OWN/v3", "http://OWN/v3"]
    assert kept[0] == answers["/plain"].partition(b"\r\n\r\n")[2]
    for line in plain.splitlines():
        is_elsewhere = b":8443" in line or b"evil.test" in line
        assert is_elsewhere or b"OWN" in line, line
