"""A key goes through the recorder in every dress, and none of it is in anything that was written.

A service and a bot are made here, out of aiohttp alone; between them stands the real
recorder. A secret is shown once in a place where secrets stand, and from then on
wherever text can be. Then every byte is read: of the files while the recording grows,
of the sealed cassette and of all its records, of the log, of every notice as a line.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import gzip
import io
import json
import logging
import string
import tempfile
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.records import BodyPart, Frame, Interaction, Record, TrackClosed
from tickdeck.jsonlines import JsonLines
from tickdeck.recorder.notices import Listening, Notice, Report
from tickdeck.recorder.run import Options, Recorder

pytestmark = pytest.mark.timeout(100)

PLAIN = string.ascii_letters + string.digits + "_-"
VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
WORD = "REDACTED"


def secrets(alphabet: str) -> st.SearchStrategy[str]:
    """Sixteen different characters, so that nothing else is spelled like it, and some more."""
    head = st.lists(st.sampled_from(alphabet), min_size=16, max_size=16, unique=True).map("".join)
    return st.tuples(head, st.text(alphabet, max_size=24)).map("".join)


def spellings(secret: str) -> dict[str, str]:
    """The dresses, by name: each is text that goes where text goes."""
    raw = secret.encode()
    return {
        "raw": secret,
        "percent": quote(secret, safe=""),
        "percent plus": quote_plus(secret),
        "percent of all": "".join(f"%{byte:02x}" for byte in raw),
        "percent twice": quote(quote(secret, safe=""), safe=""),
        "json": json.dumps(secret)[1:-1],
        "base64": base64.b64encode(raw).decode(),
        "base64 for addresses": base64.urlsafe_b64encode(raw).decode(),
        "base64 of a pair": base64.b64encode(b"user:" + raw).decode(),
        "base64 behind a name": base64.b64encode(b"key:" + raw).decode(),
        "base64 of a sentence": base64.b64encode(b"it is " + raw + b", they say").decode(),
        "staging": secret + "-staging",
    }


def traces(secret: str) -> dict[str, bytes]:
    """What must not be found anywhere: of base64 what the secret alone determines, at each alignment."""
    raw = secret.encode()
    found = {name: text.encode() for name, text in spellings(secret).items() if not name.startswith("base64")}
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw + bytes(-(before + len(raw)) % 3))
        sure = whole[(8 * before + 5) // 6 : 8 * (before + len(raw)) // 6]
        found[f"base64 behind {before}"] = sure
        found[f"base64 for addresses behind {before}"] = sure.translate(bytes.maketrans(b"+/", b"-_"))
    return found


def told(secret: str) -> str:
    """One JSON message with all dresses, as a service would write it."""
    return json.dumps(
        [{"ev": "status", "status": name, "message": text} for name, text in spellings(secret).items()]
    )


def sayable(secret: str) -> str:
    """All dresses that a header field can carry, in one."""
    return " ; ".join(spellings(secret).values())


@dataclass
class Service:
    """The upstream: it says back whatever it has been told to say, in every place it has."""

    secret: str
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        await request.read()
        if request.path.startswith("/learn"):
            return web.json_response({"status": "OK"})
        body = told(self.secret).encode()
        headers = {
            "X-Echo": sayable(self.secret),
            "Location": f"/somewhere?about={quote(self.secret, safe='')}",
        }
        match request.query.get("as"):
            case "gzip":
                headers["Content-Encoding"], body = "gzip", gzip.compress(body, mtime=0)
            case "deflate":
                headers["Content-Encoding"], body = "deflate", zlib.compress(body)
            case "twice":
                headers["Content-Encoding"] = "deflate, gzip"
                body = gzip.compress(zlib.compress(body), mtime=0)
            case "large":
                headers["Content-Encoding"], body = "gzip", gzip.compress(self._large(), 1, mtime=0)
            case "broken":
                return await self._break_off(request, body)
        content_type = (
            "application/octet-stream" if request.query.get("as") == "bytes" else "application/json"
        )
        return web.Response(body=body, content_type=content_type, headers=headers)

    def _large(self) -> bytes:
        """More than is kept whole, with the secret across every border where it could be cut."""
        pieces: list[bytes] = []
        for number in range(18):
            border = (number + 1) << 20
            said = self.secret.encode() * 2
            pieces.append(b"." * (border - len(said) // 2 - sum(len(each) for each in pieces)) + said)
        return b"".join(pieces)

    async def _break_off(self, request: web.BaseRequest, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(body) + 99)})
        await response.prepare(request)
        await response.write(body)
        assert request.transport is not None
        request.transport.close()
        return response

    async def _socket(self, request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await socket.send_str('[{"ev":"status","status":"connected","message":"Connected Successfully"}]')
        auth = json.loads((await socket.receive()).data)
        if auth["params"] == "leave":
            await socket.close(code=4000, message=self.secret[:100].encode())
            return socket
        await socket.send_str('[{"ev":"status","status":"auth_success","message":"authenticated"}]')
        await socket.receive()
        await socket.send_str(told(self.secret))
        await socket.send_bytes(b"\x00\xff" + told(self.secret).encode() + b"\xfe")
        await socket.ping(self.secret[:125].encode())
        async for _ in socket:
            self.heard.set()
        return socket


@dataclass
class Take:
    """What one recording left behind."""

    written: dict[str, bytes] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    echoed: list[bytes] = field(default_factory=list)
    rest: object = None

    def read(self, folder: Path, when: str) -> None:
        """The bytes of every file in the folder as they are now."""
        for file in folder.iterdir():
            self.written[f"{file.name}, {when}"] = file.read_bytes()

    def open(self, path: Path) -> None:
        """What the sealed cassette holds, decompressed."""
        with open_cassette(path) as cassette:
            self.records = [*cassette.records(), *cassette.interactions()]
            self.rest = (cassette.header, cassette.survey)

    def parts(self) -> Iterator[tuple[str, bytes]]:
        """Everything, as bytes, each with where it was found."""
        yield from self.written.items()
        for number, record in enumerate(self.records):
            yield from ((f"record {number}", each) for each in flat(record))
        yield from (("the rest of the cassette", each) for each in flat(self.rest))
        yield "the log", "\n".join(self.log).encode()
        stream = io.StringIO()
        lines = JsonLines(stream.write)
        for notice in self.notices:
            lines.tell({"kind": notice.kind, **notice.values()})
        yield "the JSON lines", stream.getvalue().encode()
        yield from (("the notices", each) for each in flat(self.notices))


def flat(value: object) -> Iterator[bytes]:
    """Every piece of text or bytes in a value, however deep; compressed bodies also opened."""
    match value:
        case bytes():
            yield value
        case str():
            yield value.encode()
        case Mapping():
            yield from flat(list(value.items()))
        case list() | tuple() | set() | frozenset():
            for each in value:
                yield from flat(each)
        case _ if dataclasses.is_dataclass(value):
            yield from flat([getattr(value, each.name) for each in dataclasses.fields(value)])
        case _:
            yield repr(value).encode()
    if isinstance(value, Interaction) and not value.decoded:
        codings = dict(value.response_headers).get(b"Content-Encoding", b"").split(b", ")
        yield opened(value.body, codings)
        if (b"Content-Encoding", b"gzip") in value.request_headers:
            yield gzip.decompress(value.request_body)


def opened(body: bytes, codings: list[bytes]) -> bytes:
    for coding in reversed(codings):
        if coding == b"gzip":
            body = gzip.decompress(body)
        elif coding == b"deflate":
            body = zlib.decompress(body)
    return body


class Ears(logging.Handler):
    """Hears every logger of this process, at every level."""

    def __init__(self, log: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.append(self.format(record))


@contextlib.contextmanager
def hearing(log: list[str]) -> Iterator[None]:
    root, ears = logging.getLogger(), Ears(log)
    level = root.level
    root.addHandler(ears)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(ears)
        root.setLevel(level)


@contextlib.asynccontextmanager
async def served(service: Service) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(service.handle, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@contextlib.asynccontextmanager
async def recorded(path: Path, upstream: str, result: Take) -> AsyncIterator[Listening]:
    """The recorder as a proxy; behind it, ``result`` holds what was written before and after the seal."""
    options = Options(
        output=path, upstream_http=f"http://{upstream}", upstream_ws=f"ws://{upstream}", listen_port=0
    )
    ready: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()

    def hear(notice: Notice) -> None:
        result.notices.append(notice)
        if isinstance(notice, Listening):
            ready.set_result(notice)

    recorder = Recorder(options, notify=hear)
    running: asyncio.Task[Report] = asyncio.create_task(recorder.run())
    yield await ready
    await finish(recorder, running, path, result)


async def finish(recorder: Recorder, running: asyncio.Task[Report], path: Path, result: Take) -> None:
    result.read(path.parent, "unsealed")
    recorder.request_stop()
    assert (await asyncio.wait_for(running, 10)).sealed
    result.read(path.parent, "sealed")
    result.open(path)


async def take(secret: str, place: str) -> Take:
    """Record the secret in a place, then everywhere; what was written on the way and in the end."""
    result = Take()
    with tempfile.TemporaryDirectory() as folder, hearing(result.log):
        async with (
            served(Service(secret)) as upstream,
            recorded(Path(folder, "x.cassette"), upstream, result) as proxy,
        ):
            await Bot(secret, proxy, result.echoed).show(place)
    return result


class Bot:
    """A program with a secret that it keeps badly."""

    def __init__(self, secret: str, proxy: Listening, echoed: list[bytes]) -> None:
        self._secret = secret
        self._proxy = proxy
        self._echoed = echoed

    async def show(self, place: str) -> None:
        """In this place first, then everywhere."""
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            await self._teach(session, place)
            await self._talk(session)
            await self._ask(session)
            await self._stammer()

    async def _teach(self, session: aiohttp.ClientSession, place: str) -> None:
        percent = quote(self._secret, safe="")
        match place:
            case "auth":
                async with session.ws_connect(self._proxy.ws + "/stocks") as socket:
                    await socket.receive()
                    await socket.send_json({"action": "auth", "params": self._secret})
                    await socket.receive()
            case "query":
                await self._get(session, f"/learn?limit=5&apiKey={percent}")
            case "bearer":
                await self._get(session, "/learn", headers={"Authorization": f"Bearer {self._secret}"})
            case "header":
                await self._get(session, "/learn", headers={"APCA-API-SECRET-KEY": self._secret})
            case _:
                await self._get(session, f"/learn?key_id={percent}-staging")

    async def _talk(self, session: aiohttp.ClientSession) -> None:
        percent = quote(self._secret, safe="")
        headers = {"X-Client": sayable(self._secret)}
        url = URL(f"{self._proxy.ws}/stocks?session={percent}", encoded=True)
        async with session.ws_connect(url, headers=headers, autoping=False) as socket:
            await socket.receive()
            await socket.send_json({"action": "auth", "params": self._secret})
            await socket.receive()
            await socket.send_str(told(self._secret))
            for kind in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING):
                message = await socket.receive()
                assert message.type is kind
                self._echoed.append(
                    message.data if isinstance(message.data, bytes) else message.data.encode()
                )
            await socket.send_bytes(told(self._secret).encode())
            await socket.ping(self._secret[:125].encode())
            await socket.close(code=4001, message=self._secret[:100].encode())
        async with session.ws_connect(self._proxy.ws + "/stocks") as socket:
            await socket.receive()
            await socket.send_json({"action": "auth", "params": "leave"})
            assert (await socket.receive()).type is WSMsgType.CLOSE

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        percent = quote(self._secret, safe="")
        for way in ("plain", "gzip", "deflate", "twice", "bytes"):
            self._echoed.append(await self._get(session, f"/{percent}/x?as={way}&about={percent}"))
        with contextlib.suppress(aiohttp.ClientError):
            await self._get(session, "/x?as=broken")
        headers = {"X-Client": sayable(self._secret), "Cookie": f"session={percent}"}
        await self._get(session, "/x", headers=headers, method="POST", data=told(self._secret))
        body = gzip.compress(told(self._secret).encode(), mtime=0)
        await self._get(session, "/x", headers={"Content-Encoding": "gzip"}, method="POST", data=body)

    async def _get(
        self, session: aiohttp.ClientSession, target: str, *, method: str = "GET", **more: Any
    ) -> bytes:
        url = URL(self._proxy.http + target, encoded=True)
        async with session.request(method, url, allow_redirects=False, **more) as response:
            return await response.read()

    async def _stammer(self) -> None:
        """Lines that are no HTTP, for the sake of what is logged of them."""
        host, _, port = self._proxy.feed.rpartition(":")
        for line in (
            f"GET /{self._secret}\x00 HTTP/1.1",
            f"{self._secret} is my key",
            f"GET {self._secret} HTTP/9.9",
        ):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(line.encode() + b"\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def take_as_client(secret: str) -> Take:
    """Record with the secret as the recorder's own key, from a service that repeats it all the time."""
    result = Take()
    with tempfile.TemporaryDirectory() as folder, hearing(result.log):
        service = Service(secret)
        async with served(service) as upstream:
            path = Path(folder) / "x.cassette"
            options = Options(
                output=path,
                upstream_http=f"http://{upstream}",
                upstream_ws=f"ws://{upstream}",
                key=secret,
                gets=("/x?as=gzip", "/x?as=plain"),
                subscribe=("T.MSFT",),
            )
            recorder = Recorder(options, notify=result.notices.append)
            running: asyncio.Task[Report] = asyncio.create_task(recorder.run())
            await asyncio.wait_for(service.heard.wait(), 10)
            await finish(recorder, running, path, result)
    return result


def assert_nothing_leaked(secret: str, result: Take) -> None:
    found = [
        (where, name)
        for where, data in result.parts()
        for name, trace in traces(secret).items()
        if trace in data
    ]
    assert found == []


def assert_all_was_recorded(secret: str, result: Take) -> None:
    """Or else there would be nothing to be found, and nothing would have been shown."""
    assert sum(told(secret).encode() in each for each in result.echoed) >= 2
    frames = [each for each in result.records if isinstance(each, Frame)]
    assert {each.opcode for each in frames} == {1, 2, 9}
    assert sum(WORD.encode() in each.payload for each in frames) >= 7
    interactions = [each for each in result.records if isinstance(each, Interaction)]
    assert sum(WORD in repr(each.response_headers) for each in interactions) >= 7
    closes = [each for each in result.records if isinstance(each, TrackClosed)]
    assert [WORD in each.reason for each in closes][-2:] == [True, True]
    assert any(name.endswith(".part, unsealed") for name in result.written)
    assert any(".part.w" in name for name in result.written)


@pytest.mark.parametrize("place", ["auth", "query", "bearer", "header", "key_id"])
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(secret=secrets(PLAIN))
def test_a_key_seen_in_its_place_is_in_nothing_that_is_written(place: str, secret: str) -> None:
    result = asyncio.run(take(secret, place), debug=True)
    assert_all_was_recorded(secret, result)
    assert_nothing_leaked(secret, result)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(secret=secrets(VISIBLE), place=st.sampled_from(["auth", "query", "bearer", "header", "key_id"]))
def test_not_even_one_of_the_strangest_characters(secret: str, place: str) -> None:
    result = asyncio.run(take(secret, place), debug=True)
    assert_all_was_recorded(secret, result)
    assert_nothing_leaked(secret, result)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(secret=secrets(VISIBLE))
def test_the_recorders_own_key_is_in_nothing_that_is_written(secret: str) -> None:
    result = asyncio.run(take_as_client(secret), debug=True)
    frames = [each for each in result.records if isinstance(each, Frame)]
    assert sum(WORD.encode() in each.payload for each in frames) >= 3
    assert any(line.startswith("websockets.client") and WORD in line for line in result.log)
    assert_nothing_leaked(secret, result)


async def test_a_body_too_large_to_be_kept_whole_is_cut_nowhere_through_a_secret(tmp_path: Path) -> None:
    secret, result = "abcDEF0123456-_xyzZQ", Take()
    async with (
        served(Service(secret)) as upstream,
        recorded(tmp_path / "x.cassette", upstream, result) as proxy,
        aiohttp.ClientSession() as session,
    ):
        await session.get(f"{proxy.http}/learn?apiKey={secret}")
        async with session.get(f"{proxy.http}/x?as=large") as response:
            assert (await response.read()).count(secret.encode()) == 36
    parts = [each.data for each in result.records if isinstance(each, BodyPart)]
    assert len(parts) > 1
    assert b"".join(parts).count(b"REDACTED-1") == 36
    assert_nothing_leaked(secret, result)
