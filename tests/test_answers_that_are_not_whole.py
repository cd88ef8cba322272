"""What a service's answer gets wrong, the client of the recorder gets as it would have got it from the service.

The service and the client are bare sockets: the same request directly and through the recorder.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tickdeck.cassette.errors import RecordingError
from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.records import Interaction
from tickdeck.recorder.notices import Trouble

BothWays = Callable[..., AbstractAsyncContextManager[Any]]

OK = "HTTP/1.1 200 OK\r\n"
CHUNKED = f"{OK}Transfer-Encoding: chunked\r\n"
JSON = "Content-Type: application/json\r\n"
ZIPPED = gzip.compress(b'{"results":[1,2,3,4,5,6,7,8,9]}' * 20)


def kept(output: Path) -> list[Interaction]:
    with open_cassette(output) as cassette:
        return list(cassette.interactions())


async def get(port: int, *, method: str = "GET") -> tuple[str, bytes, bool]:
    """Status line, body and whether it ended as it should."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} /v3/trades/AAPL HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        status = head.partition("\r\n")[0]
        if method == "HEAD" or " 204 " in status or " 304 " in status:
            return status, b"", True
        if "transfer-encoding: chunked" in head:
            return status, *await chunks(reader)
        for line in head.split("\r\n"):
            name, _, value = line.partition(":")
            if name == "content-length":
                return status, *await sized(reader, int(value.partition(",")[0]))
        return status, await reader.read(), True
    finally:
        writer.close()


async def sized(reader: StreamReader, size: int) -> tuple[bytes, bool]:
    try:
        return await reader.readexactly(size), True
    except asyncio.IncompleteReadError as error:
        return error.partial, False


async def chunks(reader: StreamReader) -> tuple[bytes, bool]:
    body = b""
    while True:
        line = await reader.readline()
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            return body, False
        if not size:
            while (line := await reader.readline()).strip():
                pass
            return body, bool(line)
        piece, whole = await sized(reader, size)
        body += piece
        if not whole or await reader.read(2) != b"\r\n":
            return body, False


def says(answer: bytes, *, reset: bool = False) -> Callable[[StreamReader, StreamWriter], Any]:
    """A service that says just this, at once, and leaves."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if reset:
            line: socket.socket = writer.get_extra_info("socket")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    return serve


BROKEN = {
    "chunked json": f"{CHUNKED}{JSON}\r\n5\r\n[1,2,\r\n",
    "chunked json in a chunk": f"{CHUNKED}{JSON}\r\n50\r\n[1,2,3,4",
    "chunked bytes": f"{CHUNKED}Content-Type: image/png\r\n\r\n5\r\nhello\r\n",
    "before the last chunk's end": f"{CHUNKED}{JSON}\r\n5\r\n[1,2]\r\n0\r\n",
    "within the trailers": f"{CHUNKED}{JSON}\r\n5\r\n[1,2]\r\n0\r\nX-Sum: 1",
    "a chunk without a size": f"{CHUNKED}{JSON}\r\n5\r\n[1,2,\r\nxyz\r\n3]\r\n0\r\n\r\n",
    "a chunk that is longer than it says": f"{CHUNKED}{JSON}\r\n3\r\n[1,2]\r\n0\r\n\r\n",
    "shorter than its length": f"{OK}{JSON}Content-Length: 100\r\n\r\n[1,2",
    "shorter, no text": f"{OK}Content-Type: image/png\r\nContent-Length: 100\r\n\r\nhello",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
async def test_what_crossed_of_an_answer_that_breaks_off_reaches_the_client(
    both_ways: BothWays, answer: str
) -> None:
    async with both_ways(says(answer.encode())) as ways:
        direct, through = await get(ways.direct), await get(ways.through)
    [found] = kept(ways.output)
    assert through == direct
    assert (found.body, found.complete) == (direct[1], False)
    assert direct[1]
    assert not direct[2]


async def test_what_crossed_of_gzip_that_breaks_off_reaches_the_client(both_ways: BothWays) -> None:
    half = ZIPPED[: len(ZIPPED) // 2]
    head = f"{CHUNKED}{JSON}Content-Encoding: gzip\r\n\r\n{len(ZIPPED):x}\r\n".encode()
    async with both_ways(says(head + half)) as ways:
        assert await get(ways.through) == await get(ways.direct) == ("http/1.1 200 ok", half, False)
    assert [(each.body, each.complete) for each in kept(ways.output)] == [(half, False)]


WHOLE = {
    "longer than its length": f"{OK}{JSON}Content-Length: 5\r\n\r\n[1,2]and behind",
    "longer by another answer": f"{OK}{JSON}Content-Length: 5\r\n\r\n[1,2]{OK}Content-Length: 6\r\n\r\nbehind",
    "its length twice": f"{OK}{JSON}Content-Length: 5\r\nContent-Length: 5\r\n\r\n[1,2]",
    "its length twice in one field": f"{OK}{JSON}Content-Length: 5, 5\r\n\r\n[1,2]",
    "a length beside chunks": f"{CHUNKED}{JSON}Content-Length: 99\r\n\r\n5\r\n[1,2]\r\n0\r\n\r\n",
    "trailers": f"{CHUNKED}{JSON}\r\n5;q=1\r\n[1,2]\r\n0\r\nX-Sum: 1\r\nno field\r\n\r\n",
    "chunks, and bytes behind them": f"{CHUNKED}{JSON}\r\n5\r\n[1,2]\r\n0\r\n\r\nand behind",
    "no length": f"{OK}{JSON}\r\n[1,2]",
    "204 with a length": "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    "304 with a length": f"HTTP/1.1 304 Not Modified\r\n{JSON}Content-Length: 5\r\n\r\n",
    "204 with a body": "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nbehind",
    "a hint first": f"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n{OK}{JSON}Content-Length: 5\r\n\r\n[1,2]",
}


@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE.keys())
async def test_an_answer_that_is_wrong_beside_its_body_reaches_the_client_whole(
    both_ways: BothWays, answer: str
) -> None:
    async with both_ways(says(answer.encode())) as ways:
        through = await get(ways.through)
    [found] = kept(ways.output)
    assert (found.body, found.complete) == (through[1], True)
    assert through[1] == (b"" if "204" in answer or "304" in answer else b"[1,2]")
    assert through[2]
    told = [str(notice) for notice in ways.notices if isinstance(notice, Trouble)]
    assert bool(told) == ("behind" in answer)


async def test_an_answer_to_head_has_a_length_and_no_body(both_ways: BothWays) -> None:
    async with both_ways(says(f"{OK}{JSON}Content-Length: 5\r\n\r\n".encode())) as ways:
        assert await get(ways.through, method="HEAD") == ("http/1.1 200 ok", b"", True)
    assert [(each.body, each.complete) for each in kept(ways.output)] == [(b"", True)]


@pytest.mark.parametrize(
    "answer",
    [f"{OK}{JSON}Content-Len", f"{OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\n[1,2]"],
    ids=["a reset in the head", "two lengths"],
)
async def test_a_head_that_cannot_be_understood_is_a_502(both_ways: BothWays, answer: str) -> None:
    with pytest.raises(RecordingError, match="could not reach"):  # nothing came at all
        async with both_ways(says(answer.encode(), reset=True)) as ways:
            status, body, whole = await get(ways.through)
    assert (status, whole) == ("http/1.1 502 bad gateway", True)
    assert b"could not reach" in body
    assert not ways.output.exists()
