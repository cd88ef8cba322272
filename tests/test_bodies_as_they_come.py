"""Bodies are not held on their way through the recorder: what one side has said the other side can have.

The service and the client are bare sockets that wait for each other: a body that were held would let neither go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import random
import signal
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tickdeck import MockServer
from tickdeck.cassette.files import open_cassette, recover
from tickdeck.cassette.records import Interaction
from tickdeck.recorder.notices import Trouble

BothWays = Callable[..., AbstractAsyncContextManager[Any]]

MEBI = 1 << 20


@asynccontextmanager
async def connected(port: int, request: str) -> Any:
    """A connection on which this was asked, and the head of its answer was read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=32 * MEBI)
    try:
        writer.write(f"{request}\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        yield reader, writer
    finally:
        writer.close()


async def chunk(reader: StreamReader) -> bytes:
    size = int(await reader.readline(), 16)
    data = await reader.readexactly(size)
    await reader.readexactly(2)
    return data


async def all_chunks(reader: StreamReader) -> bytes:
    whole = b""
    while data := await chunk(reader):
        whole += data
    return whole


async def asked(reader: StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def one(output: Path) -> Interaction:
    with open_cassette(output) as cassette:
        [found] = cassette.interactions()
    return found


@pytest.mark.parametrize("way", ["direct", "through"])
@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ("Content-Type: application/octet-stream\r\nContent-Length: 8", lambda reader: reader.readexactly(2)),
        ("Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked", chunk),
    ],
    ids=["sized", "chunked text"],
)
async def test_what_has_come_goes_on_before_the_rest_has(
    both_ways: BothWays, way: str, fields: str, read: Callable[[StreamReader], Any]
) -> None:
    got_it = asyncio.Queue[bytes]()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await asked(reader)
        writer.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode())
        for number in range(4):
            writer.write(b"2\r\n%d\n\r\n" % number if "chunked" in fields else b"%d\n" % number)
            assert await got_it.get() == b"%d\n" % number
        writer.write(b"0\r\n\r\n" if "chunked" in fields else b"")
        writer.close()

    async with (
        both_ways(serve) as ways,
        connected(getattr(ways, way), "GET /drip HTTP/1.1") as (reader, _),
        asyncio.timeout(30),
    ):
        await asked(reader)
        got = b""
        for number in range(4):
            if number == 3 and way == "through" and "chunked" not in fields:
                got_it.put_nowait(b"3\n")  # the last bytes wait until the answer is on the cassette
            piece = await read(reader)
            got += piece
            got_it.put_nowait(piece)
    assert got == b"0\n1\n2\n3\n"
    if way == "through":
        kept = one(ways.output)
        assert (kept.body, kept.complete) == (got, True)
        assert kept.end_ns > kept.first_byte_ns


@pytest.mark.parametrize("way", ["direct", "through"])
async def test_a_request_goes_on_as_it_comes_and_can_be_refused_before_its_end(
    both_ways: BothWays, way: str
) -> None:
    heard = asyncio.Queue[bytes]()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await asked(reader)
        for _ in range(3):
            heard.put_nowait(await reader.readexactly(5))
        writer.write(b"HTTP/1.1 413 Enough\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!")
        await writer.drain()
        writer.close()

    async with both_ways(serve) as ways, asyncio.timeout(30):
        request = "PUT /slow HTTP/1.1\r\nContent-Length: 1000000"
        async with connected(getattr(ways, way), request) as (reader, writer):
            for piece in (b"first", b"secon", b"third"):
                writer.write(piece)
                assert await heard.get() == piece
            assert (await asked(reader)).startswith(b"HTTP/1.1 413 Enough\r\n")
            assert await reader.readexactly(3) == b"no!"
    if way == "through":
        assert one(ways.output).request_body == b"firstseconthird"


async def test_a_request_body_beyond_what_a_row_holds_arrives_and_is_not_kept(both_ways: BothWays) -> None:
    body = random.Random(1).randbytes(9 * MEBI)
    heard = asyncio.Queue[bytes]()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        head = await asked(reader)
        assert b"Content-Length: %d" % len(body) in head
        heard.put_nowait(await reader.readexactly(len(body)))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with both_ways(serve) as ways, asyncio.timeout(30):
        request = f"POST /upload HTTP/1.1\r\nContent-Length: {len(body)}"
        async with connected(ways.through, request) as (reader, writer):
            writer.write(body)
            assert (await asked(reader)).startswith(b"HTTP/1.1 204 ")
        assert await heard.get() == body
        assert Trouble("the body of a POST is larger than 8 MiB: it is not kept") in ways.notices
    assert one(ways.output).request_body == b""


@pytest.mark.parametrize("way", ["direct", "through"])
async def test_a_client_that_leaves_early_is_gone_for_the_service_too(both_ways: BothWays, way: str) -> None:
    gone = asyncio.Event()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        try:
            while True:
                writer.write(b"some of it" * 10_000)
                await writer.drain()
        except ConnectionError:
            gone.set()

    async with both_ways(serve) as ways, asyncio.timeout(30):
        async with connected(getattr(ways, way), "GET /long HTTP/1.1") as (reader, _):
            await reader.readexactly(200_000)
        await gone.wait()
    if way == "through":
        kept = one(ways.output)
        assert not kept.complete
        assert kept.body.startswith(b"some of it" * 1000)


@pytest.mark.parametrize("way", ["direct", "through"])
async def test_a_service_that_leaves_in_the_middle_is_gone_for_the_client_too(
    both_ways: BothWays, way: str
) -> None:
    got_it = asyncio.Event()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 10\r\n\r\nhalf")
        await got_it.wait()
        writer.close()

    async with (
        both_ways(serve) as ways,
        connected(getattr(ways, way), "GET /cut HTTP/1.1") as (reader, _),
        asyncio.timeout(30),
    ):
        await asked(reader)
        assert await reader.readexactly(4) == b"half"
        got_it.set()
        assert await reader.read() == b""
    if way == "through":
        kept = one(ways.output)
        assert (kept.body, kept.complete) == (b"half", False)


def page_of(origin: str, rows: int) -> bytes:
    row = b'{"t":1536036818784,"p":114.170},'
    return b'{"results":[' + row * rows + b'{}],"next_url":"' + origin.encode() + b'/v3?cursor=1"}'


@pytest.mark.parametrize("coded", [False, True], ids=["plain", "gzip"])
async def test_an_address_at_the_end_of_a_text_too_large_to_be_held_is_changed(
    both_ways: BothWays, coded: bool
) -> None:
    rows = 17 * MEBI // 32 + 1
    numbers = random.Random(3)
    filler = "".join(f'"{numbers.getrandbits(256):x}",' for _ in range(rows)).encode()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await asked(reader)
        origin = f"http://127.0.0.1:{writer.get_extra_info('sockname')[1]}"
        body = page_of(origin, rows) + (filler if coded else b"") + page_of(origin, 1)
        sent = gzip.compress(body, 1) if coded else body
        assert len(sent) > 16 * MEBI
        coding = "Content-Encoding: gzip\r\n" if coded else ""
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{coding}Content-Length: {len(sent)}"
        writer.write(f"{head}\r\n\r\n".encode() + sent)
        await writer.drain()

    async with both_ways(serve) as ways, asyncio.timeout(60):
        request = "GET /v3 HTTP/1.1\r\nAccept-Encoding: gzip"
        async with connected(ways.through, request) as (reader, _):
            head = await asked(reader)
            body = await all_chunks(reader)
    assert b"Content-Length" not in head
    assert b"Content-Encoding" not in head
    ours, theirs = (f"http://127.0.0.1:{port}" for port in (ways.through, ways.direct))
    plain = page_of(ours, rows) + (filler if coded else b"") + page_of(ours, 1)
    assert body == plain
    kept = one(ways.output)
    assert kept.decoded == coded
    assert kept.body == plain.replace(ours.encode(), theirs.encode())


async def test_a_large_compressed_text_that_is_not_whole_breaks_off_and_is_kept_once(
    both_ways: BothWays,
) -> None:
    numbers = random.Random(5)
    body = "".join(f'"{numbers.getrandbits(256):x}",' for _ in range(17 * MEBI // 33)).encode()
    sent = gzip.compress(body, 1)[:-100]
    assert len(sent) > 16 * MEBI

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await asked(reader)
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip"
        writer.write(f"{head}\r\nContent-Length: {len(sent)}\r\n\r\n".encode() + sent)
        await writer.drain()

    async with both_ways(serve) as ways, asyncio.timeout(60):
        async with connected(ways.through, "GET /v3 HTTP/1.1\r\nAccept-Encoding: gzip") as (reader, _):
            await asked(reader)
            with pytest.raises((asyncio.IncompleteReadError, ValueError)):
                await all_chunks(reader)
        told = [each.message for each in ways.notices if isinstance(each, Trouble)]
    assert told == ["a compressed body is damaged: it breaks off where it could not be opened"]
    assert body.startswith(one(ways.output).body[:MEBI])


PEAK_MIB = 160
"""The recorder's own 60, one body of 16 MiB that is held until it shows to be larger, and what copies of it cost."""


async def recorder_before(port: int, output: Path) -> tuple[asyncio.subprocess.Process, int]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tickdeck", "record", "-o", str(output), "--json", "--listen", "127.0.0.1:0"),
        *("--upstream-http", f"http://127.0.0.1:{port}", "--upstream-ws", f"ws://127.0.0.1:{port}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    while (line := json.loads(await process.stdout.readline()))["kind"] != "listening":
        pass
    return process, int(line["feed"].rpartition(":")[2])


def peak_of(pid: int) -> int:
    """The most memory that a process had, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


async def test_a_gigabyte_goes_through_in_flat_memory(tmp_path: Path) -> None:
    block = (b"T.AAPL,114.170,100,1536036818784\n" * 32_000)[:MEBI]

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await asked(reader)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % (1024 * MEBI))
        for _ in range(1024):
            writer.write(block)
            await writer.drain()
        writer.close()

    output = tmp_path / "x.cassette"
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        recorder, port = await recorder_before(server.sockets[0].getsockname()[1], output)
        async with connected(port, "GET /flatfile HTTP/1.1") as (reader, _):
            await asked(reader)
            for _ in range(1024):
                assert await reader.readexactly(MEBI) == block
        peak = peak_of(recorder.pid)
        recorder.send_signal(signal.SIGINT)
        await recorder.communicate()
    assert recorder.returncode == 0
    assert peak < PEAK_MIB
    assert os.stat(output).st_size < 64 * MEBI
    with open_cassette(output) as cassette:
        sizes = [len(record.data) for record in cassette.records() if hasattr(record, "data")]
    assert sum(sizes) == 1024 * MEBI


async def test_a_recorder_killed_within_a_large_body_leaves_a_sound_recording_without_that_answer(
    tmp_path: Path,
) -> None:
    block = (b"T.AAPL,114.170,100,1536036818784\n" * 32_000)[:MEBI]
    never = asyncio.Event()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        if b"/small" in await asked(reader):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
            writer.close()
            return
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % (99 * MEBI)
        )
        for _ in range(40):
            writer.write(block)
            await writer.drain()
        with contextlib.suppress(asyncio.CancelledError):
            await never.wait()
        writer.close()

    output = tmp_path / "x.cassette"
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        recorder, port = await recorder_before(server.sockets[0].getsockname()[1], output)
        async with connected(port, "GET /small HTTP/1.1") as (reader, _):
            await asked(reader)
            assert await reader.readexactly(2) == b"ok"
        async with connected(port, "GET /large HTTP/1.1") as (reader, _):
            await asked(reader)
            await reader.readexactly(40 * MEBI)
            recorder.kill()
            await recorder.communicate()
        never.set()
    with open_cassette(output) as cassette:
        assert [each.body for each in cassette.interactions()] == [b"ok"]
    report = recover(output, tmp_path / "saved.cassette")
    assert report.lossless
    async with (
        MockServer(tmp_path / "saved.cassette") as market,
        connected(market.port, "GET /small?apiKey=k HTTP/1.1") as (reader, _),
    ):
        assert (await asked(reader)).startswith(b"HTTP/1.1 200")


WAITS = "POST /orders HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5"


@pytest.mark.parametrize("way", ["direct", "through"])
async def test_a_client_that_waits_is_told_to_go_on_by_the_service(both_ways: BothWays, way: str) -> None:
    may_go_on, heard = asyncio.Event(), asyncio.Queue[bytes]()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        assert b"Expect: 100-continue" in await asked(reader)
        await may_go_on.wait()
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        heard.put_nowait(await reader.readexactly(5))
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with both_ways(serve) as ways, asyncio.timeout(30):
        async with connected(getattr(ways, way), WAITS) as (reader, writer):
            reading = asyncio.ensure_future(asked(reader))
            done, _ = await asyncio.wait([reading], timeout=0.2)
            assert not done
            may_go_on.set()
            assert await reading == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"hello")
            assert (await asked(reader)).startswith(b"HTTP/1.1 201 ")
        assert await heard.get() == b"hello"


@pytest.mark.parametrize("way", ["direct", "through"])
async def test_a_client_that_waits_can_be_refused_before_it_sends(both_ways: BothWays, way: str) -> None:
    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        assert await reader.read() == b""

    async with (
        both_ways(serve) as ways,
        asyncio.timeout(30),
        connected(getattr(ways, way), WAITS) as (reader, _),
    ):
        assert (await asked(reader)).startswith(b"HTTP/1.1 417 ")
        assert await reader.readexactly(2) == b"no"
    if way == "through":
        assert one(ways.output).request_body == b""


async def test_a_service_that_says_nothing_gets_the_body_all_the_same(both_ways: BothWays) -> None:
    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await asked(reader)
        assert await reader.readexactly(5) == b"hello"
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async with (
        both_ways(serve) as ways,
        asyncio.timeout(30),
        connected(ways.through, WAITS) as (reader, writer),
    ):
        writer.write(b"hello")  # it does not wait either
        while not (said := await asked(reader)).startswith(b"HTTP/1.1 204 "):
            assert said.startswith(b"HTTP/1.1 100 ")
