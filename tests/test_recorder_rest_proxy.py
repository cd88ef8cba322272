"""REST through the recorder: aiohttp asks, and a server of fixed bytes answers, so that every byte is known."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import aiohttp
import pytest
from yarl import URL

from tickdeck.cassette.errors import StorageError
from tickdeck.cassette.records import Interaction, Record
from tickdeck.cassette.redaction import NO_PLACES, Redactor
from tickdeck.dialects.learning import ProfileLearner
from tickdeck.dialects.origins import Service
from tickdeck.recorder.clock import Clock
from tickdeck.recorder.notices import Notice, Rejected
from tickdeck.recorder.proxy import Proxy
from tickdeck.recorder.sink import Intake
from tickdeck.recorder.upstream import Upstream
from tickdeck.recorder.ways import Ways

VENDOR = "https://api.massive.com"
Answerer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Kept:
    """A cassette that is a list."""

    def __init__(self, *, full: bool = False) -> None:
        self.records: list[Record] = []
        self._full = full

    def append(self, records: Iterable[Record]) -> None:
        records = list(records)
        if self._full and any(isinstance(record, Interaction) for record in records):
            raise StorageError("cannot write x.cassette: the disk is full")
        self.records += records

    def interactions(self) -> list[Interaction]:
        return [record for record in self.records if isinstance(record, Interaction)]

    async def one(self) -> Interaction:
        async with asyncio.timeout(10):
            while not self.interactions():
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        (interaction,) = self.interactions()
        return interaction


class Desk:
    """A recorder before a vendor; ``asked`` is what the vendor was sent."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.asked: list[bytes] = []
        self.notices: list[Notice] = []
        self.upstream = ""
        self.url = ""

    async def get(
        self, path: str = "/v3/trades/AAPL", **options: object
    ) -> tuple[int, dict[str, str], bytes]:
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                str(options.pop("method", "GET")), URL(self.url + path, encoded=True), **options
            ) as response,  # type: ignore[arg-type]
        ):
            return response.status, dict(response.headers), await response.read()


@contextlib.asynccontextmanager
async def before(answerer: Answerer | bytes, kept: Kept | None = None) -> AsyncIterator[Desk]:
    """A vendor that answers each request with these bytes, and a recorder before it."""
    desk, clock = Desk(kept or Kept()), Clock()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                desk.asked.append(await reader.readuntil(b"\r\n\r\n"))
                if isinstance(answerer, bytes):
                    writer.write(answerer)
                else:
                    await answerer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        desk.upstream = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        upstream = Upstream(Ways(desk.upstream, "ws://127.0.0.1:9"), clock=clock)
        proxy = Proxy(
            upstream,
            Intake(
                desk.kept, clock, start_ns=clock.now_ns(), learner=ProfileLearner, secrets=Redactor(NO_PLACES)
            ),
            clock,
            service=Service((desk.upstream,), (VENDOR,)),
            market_of=str,
            feed_of=lambda host: "",
            notify=desk.notices.append,
        )
        desk.url = (await proxy.start("127.0.0.1", 0)).http
        try:
            yield desk
        finally:
            await proxy.stop()
            await upstream.close()


def answer(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields))
    return head.encode() + b"\r\n\r\n" + body


JSON = "Content-Type: application/json"
PAGE = json.dumps({"next_url": f"{VENDOR}/v3/trades/AAPL?cursor=YXA9MQ", "results": [114.17]}).encode()


async def test_a_plain_answer_arrives_as_it_was_and_is_kept() -> None:
    async with before(answer(b'{"p":114.170}\n\n', JSON, "X-Vendor: ab")) as desk:
        status, headers, body = await desk.get("/v1/last/stocks/MSFT?b=2&a=1%2C3&apiKey=")
        kept = await desk.kept.one()
    assert (status, body) == (200, b'{"p":114.170}\n\n')
    assert headers == {"Content-Length": "15", "Content-Type": "application/json", "X-Vendor": "ab"}
    assert (kept.method, kept.status, kept.reason, kept.body) == ("GET", 200, "OK", b'{"p":114.170}\n\n')
    assert kept.url == f"{desk.upstream}/v1/last/stocks/MSFT?b=2&a=1%2C3&apiKey="
    assert kept.offset_ns <= kept.first_byte_ns <= kept.end_ns
    assert kept.complete


async def test_the_vendor_is_sent_what_the_bot_sent_and_its_own_host() -> None:
    async with before(answer(b"")) as desk:
        headers = {"Authorization": "Bearer k", "User-Agent": "bot/1", "Accept": "*/*", "Cookie": "a=b"}
        await desk.get(headers=headers)
        kept = await desk.kept.one()
    host = desk.upstream.removeprefix("http://").encode()
    assert (b"Host", host) in kept.request_headers
    sent = desk.asked[0]
    for line in (b"Host: " + host, b"Authorization: Bearer k", b"User-Agent: bot/1", b"Cookie: a=b"):
        assert sent.count(line + b"\r\n") == 1
    assert desk.url.removeprefix("http://").encode() not in sent


async def test_fields_that_come_twice_are_kept_twice_and_in_order() -> None:
    fields = ("Set-Cookie: b=2", "X-Request-Id: id", "Set-Cookie: a=1")
    async with before(answer(b"", *fields)) as desk, aiohttp.ClientSession() as session:
        async with session.get(desk.url) as response:
            assert response.headers.getall("Set-Cookie") == ["b=2", "a=1"]
        kept = await desk.kept.one()
    assert [f"{name.decode()}: {value.decode()}" for name, value in kept.response_headers[1:]] == list(fields)


@pytest.mark.parametrize("spelling", ["https://api.massive.com", "https:\\/\\/api.massive.com"])
async def test_a_next_url_leads_the_bot_back_to_the_recorder_and_the_cassette_keeps_the_vendors(
    spelling: str,
) -> None:
    page = PAGE.replace(VENDOR.encode(), spelling.encode())
    async with before(answer(page, JSON)) as desk:
        _, headers, body = await desk.get()
        kept = await desk.kept.one()
    assert json.loads(body)["next_url"] == f"{desk.url}/v3/trades/AAPL?cursor=YXA9MQ"
    assert headers["Content-Length"] == str(len(body))
    assert kept.body == page


@pytest.mark.parametrize(
    ("coding", "close", "unpack"),
    [("gzip", gzip.compress, gzip.decompress), ("deflate", zlib.compress, zlib.decompress)],
)
async def test_a_next_url_under_a_content_coding_leads_back_too(
    coding: str, close: Callable[[bytes], bytes], unpack: Callable[[bytes], bytes]
) -> None:
    packed = close(PAGE)
    async with before(answer(packed, JSON, f"Content-Encoding: {coding}")) as desk:
        _, headers, body = await desk.get(headers={"Accept-Encoding": coding})
        kept = await desk.kept.one()
    assert json.loads(unpack(body))["next_url"].startswith(desk.url)
    assert (headers["Content-Encoding"], headers["Content-Length"]) == (coding, str(len(body)))
    assert kept.body == packed


async def test_a_coded_body_without_an_address_keeps_its_very_bytes() -> None:
    packed = gzip.compress(b'{"results":[]}', compresslevel=1, mtime=5)
    async with before(answer(packed, JSON, "Content-Encoding: gzip")) as desk:
        _, _, body = await desk.get(headers={"Accept-Encoding": "gzip"})
    assert body == packed


async def test_a_body_that_cannot_be_opened_arrives_as_it_was_and_is_said() -> None:
    async with before(answer(b"no gzip", JSON, "Content-Encoding: gzip")) as desk:
        _, _, body = await desk.get(headers={"Accept-Encoding": "gzip"})
    assert body == b"no gzip"
    assert [notice.kind for notice in desk.notices] == ["error"]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("gzip, deflate, br", b"gzip, deflate"),
        ("br;q=1, *;q=0.1", b"identity"),
        ("zstd;q=0.5", b"zstd;q=0.5"),
    ],
)
async def test_the_vendor_is_not_offered_codings_that_nobody_here_can_open(asked: str, sent: bytes) -> None:
    async with before(answer(b"")) as desk:
        await desk.get(headers={"Accept-Encoding": asked})
        kept = await desk.kept.one()
    assert b"Accept-Encoding: " + sent + b"\r\n" in desk.asked[0]
    assert dict(kept.request_headers)[b"Accept-Encoding"] == sent


async def test_a_redirect_is_not_followed_and_leads_back() -> None:
    there = answer(b"", f"Location: {VENDOR}/v3", f'Link: <{VENDOR}/v4>; rel="next"', status="302 Found")
    async with before(there) as desk:
        status, headers, _ = await desk.get(allow_redirects=False)
        kept = await desk.kept.one()
    assert status == 302
    assert headers["Location"] == f"{desk.url}/v3"
    assert headers["Link"] == f'<{desk.url}/v4>; rel="next"'
    assert (b"Location", f"{VENDOR}/v3".encode()) in kept.response_headers


async def test_what_would_lead_the_bot_past_the_recorder_is_kept_and_not_passed_on() -> None:
    async with before(answer(b"", 'Alt-Svc: h3=":443"', "Strict-Transport-Security: max-age=1")) as desk:
        _, headers, _ = await desk.get()
        kept = await desk.kept.one()
    assert set(headers) == {"Content-Length"}
    assert (b"Alt-Svc", b'h3=":443"') in kept.response_headers


async def test_a_chunked_answer_is_kept_whole_and_stays_one_without_a_length() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n"
    async with before(chunked) as desk:
        _, headers, body = await desk.get()
        kept = await desk.kept.one()
    assert (body, headers["Transfer-Encoding"]) == (b"abcdef", "chunked")
    assert "Content-Length" not in headers
    assert (kept.body, kept.complete) == (b"abcdef", True)


async def test_head_keeps_the_length_it_was_told() -> None:
    async with before(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n") as desk:
        status, headers, body = await desk.get(method="HEAD")
        kept = await desk.kept.one()
    assert (status, body, headers["Content-Length"]) == (200, b"", "9000")
    assert (kept.method, kept.body, kept.complete) == ("HEAD", b"", True)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_answers_without_a_body_stay_so(status: str) -> None:
    async with before(f"HTTP/1.1 {status}\r\nX-Id: x\r\n\r\n".encode()) as desk:
        got, headers, body = await desk.get()
        assert (await desk.get())[0] == got
    assert (got, headers, body) == (int(status[:3]), {"X-Id": "x"}, b"")


async def test_a_request_body_goes_along() -> None:
    async def answerer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(7) == b'{"a":1}'
        writer.write(answer(b"made", status="201 Created"))

    async with before(answerer) as desk:
        status, _, body = await desk.get(method="POST", data=b'{"a":1}')
        kept = await desk.kept.one()
    assert (status, body) == (201, b"made")
    assert (kept.method, kept.request_body) == ("POST", b'{"a":1}')


async def test_one_connection_carries_many_requests() -> None:
    async with before(answer(b"x")) as desk, aiohttp.ClientSession() as session:
        for _ in range(3):
            async with session.get(desk.url) as response:
                assert await response.read() == b"x"
    assert len(desk.kept.interactions()) == 3
    assert [each.interaction for each in desk.kept.interactions()] == [0, 1, 2]


async def test_an_answer_that_breaks_off_breaks_off_here_and_is_kept_as_far_as_it_came() -> None:
    async def answerer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    async with before(answerer) as desk:
        with pytest.raises(aiohttp.ClientPayloadError):
            await desk.get()
        kept = await desk.kept.one()
    assert (kept.body, kept.complete) == (b"half", False)


async def test_a_bot_that_leaves_early_leaves_an_incomplete_interaction() -> None:
    begun = asyncio.Event()

    async def answerer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        begun.set()
        await reader.read()

    async with before(answerer) as desk:
        _, writer = await asyncio.open_connection(*desk.url.removeprefix("http://").split(":"))
        writer.write(b"GET /v3 HTTP/1.1\r\nHost: here\r\n\r\n")
        await asyncio.wait_for(begun.wait(), 5)
        writer.close()
        await writer.wait_closed()
        kept = await desk.kept.one()
    assert not kept.complete


async def test_a_bot_that_leaves_before_there_is_an_answer_leaves_no_one_waiting() -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def answerer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await reader.read()
        left.set()

    async with before(answerer) as desk:
        _, writer = await asyncio.open_connection(*desk.url.removeprefix("http://").split(":"))
        writer.write(b"GET /v3 HTTP/1.1\r\nHost: here\r\n\r\n")
        await asyncio.wait_for(begun.wait(), 5)
        writer.close()
        await asyncio.wait_for(left.wait(), 5)
    assert not desk.kept.interactions()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, but for asyncio's word that a busy machine was slow."""
    messages = [each.getMessage() for each in caplog.records]
    return [each for each in messages if not each.startswith("Executing ")]


async def test_a_bot_that_leaves_in_the_middle_of_its_request_is_nobodys_trouble(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with before(answer(b"")) as desk:
        reader, writer = await asyncio.open_connection(*desk.url.removeprefix("http://").split(":"))
        writer.write(
            b"POST /v3 HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\nhalf"
        )
        await reader.readline()
        writer.close()
        await writer.wait_closed()
    # The vendor may have heard the head of it, as it would have without a recorder; never all of it.
    assert not any(each.endswith(b"half") for each in desk.asked)
    assert not [each for each in desk.notices if each.kind == "error"]
    assert not said(caplog)


async def test_what_is_no_http_is_told_in_one_line_without_its_bytes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with before(answer(b"")) as desk:
        reader, writer = await asyncio.open_connection(*desk.url.removeprefix("http://").split(":"))
        writer.write(b"GET /v3 HTTP/1.1\r\nAuthorization Bearer SECRET\r\n\r\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()
    assert desk.notices == [Rejected("refused a request: invalid header token", 1)]
    assert not said(caplog)


async def test_a_long_path_passes() -> None:
    async with before(answer(b"ok")) as desk:
        status, _, _ = await desk.get("/v3?ticker.any_of=" + "AAPL," * 8000)
    assert status == 200
    assert len(desk.asked[0]) > 40_000


async def test_a_vendor_that_speaks_no_http_is_said_so() -> None:
    async with before(b"hello\r\n\r\n") as desk:
        status, _, body = await desk.get()
    assert status == 502
    assert b"its answer is no HTTP" in body


async def test_an_upstream_that_is_not_there_gives_502_and_a_sentence_that_names_no_path() -> None:
    async with before(answer(b"")) as desk:
        clock = Clock()
        upstream = Upstream(Ways("http://127.0.0.1:9", "ws://127.0.0.1:9"), clock=clock)
        proxy = Proxy(
            upstream,
            Intake(
                desk.kept, clock, start_ns=clock.now_ns(), learner=ProfileLearner, secrets=Redactor(NO_PLACES)
            ),
            clock,
            service=Service((), ()),
            market_of=str,
            feed_of=lambda host: "",
            notify=desk.notices.append,
        )
        desk.url = (await proxy.start("127.0.0.1", 0)).http
        status, _, body = await desk.get("/v3?apiKey=secret")
        await proxy.stop()
        await upstream.close()
    assert status == 502
    assert json.loads(body)["error"] == "tickdeck could not reach http://127.0.0.1:9: connection refused"
    assert not desk.kept.interactions()
    assert [notice.kind for notice in desk.notices] == ["error"]


async def test_an_answer_that_cannot_be_kept_is_not_passed_on() -> None:
    async with before(answer(b"data"), Kept(full=True)) as desk:
        status, _, body = await desk.get()
    assert status == 503
    assert b"the disk is full" in body
    assert b"data" not in body


async def test_an_answer_under_way_when_the_recorder_stops_is_kept_as_far_as_it_came() -> None:
    begun = asyncio.Event()

    async def answerer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        begun.set()
        await reader.read()

    async with before(answerer) as desk:
        asking = asyncio.create_task(desk.get())
        await asyncio.wait_for(begun.wait(), 5)
    with pytest.raises(aiohttp.ClientError):
        await asking
    (kept,) = desk.kept.interactions()
    assert (kept.body, kept.complete) == (b"half", False)


async def test_an_address_in_place_of_a_path_is_refused() -> None:
    async with before(answer(b"")) as desk:
        reader, writer = await asyncio.open_connection(*desk.url.removeprefix("http://").split(":"))
        writer.write(b"GET http://elsewhere/v3 HTTP/1.1\r\nHost: here\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert not desk.asked
