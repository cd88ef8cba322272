"""The same client and the same service, put together directly and through the recorder: what each side saw is compared.

Both are bare sockets that write and read bytes as they stand here, so that nothing is tidied up by a library. Of what
was seen only that is left out which belongs to one connection (RFC 9110 7.6.1), the name of the host, and how a body
was cut into chunks.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from tickdeck.cassette.files import open_cassette

HOP_BY_HOP = {
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
PACKED = gzip.compress(b'{"results":[1,2,3]}', mtime=0)
LARGE = bytes(range(256)) * 4096


def said(status: str, *fields: str, body: bytes = b"") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *fields, "", "")).encode() + body


def sized(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    return said(status, *fields, f"Content-Length: {len(body)}", body=body)


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


ANSWERS: dict[str, list[bytes]] = {
    "/plain": [sized(b'{"status":"OK"}', "Content-Type: application/json")],
    "/spelled": [
        sized(b"x", "x-ODD-name: 1", "Set-Cookie: a=1", "X-B:  spaced ", "Set-Cookie: b=2", "Server: nginx")
    ],
    "/bare": [sized(b"no type, no date, no server")],
    "/empty": [sized(b"")],
    "/chunked": [said("200 OK", "Transfer-Encoding: chunked", body=chunked(b"one", b"two" * 1000, b"3"))],
    "/gzip": [sized(PACKED, "Content-Encoding: gzip", "Content-Type: application/json", 'ETag: "1"')],
    "/deflate": [sized(zlib.compress(b"deflated"), "Content-Encoding: deflate")],
    "/large": [sized(LARGE, "Content-Type: application/octet-stream")],
    "/gone": [sized(b'{"error":"no such page"}', status="404 Not Found At All")],
    "/broken": [sized(b"oh", status="500 Internal Server Error")],
    "/many": [sized(b"wait", "Retry-After: 3", status="429 Too Many Requests")],
    "/nothing": [said("204 No Content", "X-Left: 4")],
    "/unchanged": [said("304 Not Modified", 'ETag: "abc"', "Cache-Control: max-age=5")],
    "/moved": [sized(b"", "Location: https://elsewhere.test/x?y=1", status="302 Found")],
    "/drip": [said("200 OK", "Content-Length: 10"), *[b"%d!" % number for number in range(5)]],
    "/cut": [said("200 OK", "Content-Length: 100", body=b"half of it")],
    "/until-the-end": [said("200 OK", "Connection: close", body=b"as long as it goes")],
    "/odd-reason": [said("200 ", "Content-Length: 2", body=b"ok")],
}
CLOSES = {"/cut", "/until-the-end"}


@dataclass
class Service:
    """Says what stands in the table, and keeps the requests as they came."""

    heard: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ", 2)[1].decode()
                if b"100-continue" in head.lower():
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                self.heard.append(head + await _body(reader, head))
                for piece in _head_of(path) if head.startswith(b"HEAD") else ANSWERS[path]:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, so that pieces go out one by one
                if path in CLOSES:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is done
        finally:
            writer.close()


def _head_of(path: str) -> list[bytes]:
    head, mark, _ = ANSWERS[path][0].partition(b"\r\n\r\n")
    return [head + mark]


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        return body
    _, found, rest = lower.partition(b"\r\ncontent-length:")
    return await reader.readexactly(int(rest.partition(b"\r\n")[0])) if found else b""


class Seen(NamedTuple):
    """One message: its first line, its fields but those of one connection, and its body."""

    line: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes
    whole: bool = True


def seen(message: bytes) -> Seen:
    """A request as the service heard it, without the name of the host."""
    head, _, body = message.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    return Seen(line, _fields(fields, {b"host"}), body)


def _fields(lines: list[bytes], dropped: set[bytes]) -> list[tuple[bytes, bytes]]:
    pairs = [line.partition(b":")[::2] for line in lines]
    return [(name, value.strip()) for name, value in pairs if name.lower() not in HOP_BY_HOP | dropped]


async def answer(reader: asyncio.StreamReader, *, method: str) -> Seen:
    """The next final response; ``whole`` is false where its body broke off."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *lines = head[:-4].split(b"\r\n")
        status = int(line.split(b" ")[1])
        if status >= 200:
            break
    pairs = {name.lower(): value.strip() for name, value in (each.partition(b":")[::2] for each in lines)}
    dropped = {b"content-length"} if b"transfer-encoding" in pairs else set()
    if method == "HEAD" or status in (204, 304):
        return Seen(line, _fields(lines, dropped), b"")
    body, whole = b"", True
    try:
        if b"transfer-encoding" in pairs:
            while size := int(await reader.readline() or b"x", 16):
                body += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
        elif b"content-length" in pairs:
            body = await reader.readexactly(int(pairs[b"content-length"]))
        else:
            body = await reader.read()
    except (asyncio.IncompleteReadError, ConnectionError, ValueError) as error:
        body += error.partial if isinstance(error, asyncio.IncompleteReadError) else b""
        whole = False
    return Seen(line, _fields(lines, dropped), body, whole)


async def ask(port: int, requests: list[bytes]) -> list[Seen]:
    """Send each request on one connection once the one before is answered; what came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        came = []
        for request in requests:
            writer.write(request.replace(b"HOST", f"127.0.0.1:{port}".encode()))
            came.append(await answer(reader, method=request.split(b" ")[0].decode()))
        return came
    finally:
        writer.close()


def request(path: str, *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: HOST", *fields, "", "")).encode() + body


GETS = [
    pytest.param([request(path, "Accept: */*", "Accept-Encoding: gzip, deflate")], id=path.strip("/"))
    for path in ANSWERS
]
OTHERS = [
    pytest.param([request("/plain", method="HEAD"), request("/gzip", method="HEAD")], id="HEAD"),
    pytest.param(
        [request("/plain"), request("/chunked"), request("/gzip"), request("/plain")], id="keep-alive"
    ),
    pytest.param(
        [request("/plain", "Content-Type: text/plain", "Content-Length: 5", method="POST", body=b"hello")],
        id="POST",
    ),
    pytest.param([request("/plain", "Content-Length: 0", method="POST")], id="POST-of-nothing"),
    pytest.param([request("/nothing", "Content-Length: 0", method="DELETE")], id="DELETE"),
    pytest.param(
        [request("/plain", "Transfer-Encoding: chunked", method="PUT", body=chunked(b"in", b"pieces"))],
        id="PUT-chunked",
    ),
    pytest.param(
        [request("/plain", "x-ODD: 1", "X-Twice: a", "X-Twice: b", "User-Agent: bot/1", "Cookie: a=1; b=2")],
        id="fields",
    ),
    pytest.param(
        [request("/plain", "Expect: 100-continue", "Content-Length: 5", method="POST", body=b"hello")],
        id="100-continue",
    ),
    pytest.param([request("/spelled", 'If-None-Match: "1"', "Range: bytes=0-5")], id="conditions"),
]


@pytest.mark.parametrize("requests", [*GETS, *OTHERS])
async def test_both_sides_see_through_the_recorder_what_they_see_without_it(
    both_ways: Callable[..., AbstractAsyncContextManager[Any]], requests: list[bytes]
) -> None:
    service = Service()
    async with both_ways(service.serve) as ways:
        as_it_is = await ask(ways.direct, requests)
        heard, service.heard = service.heard, []
        recorded = await ask(ways.through, requests)
        assert recorded == as_it_is
        assert [seen(each) for each in service.heard] == [seen(each) for each in heard]
    with open_cassette(ways.output) as cassette:
        kept = list(cassette.interactions())
    assert [each.status for each in kept] == [int(each.line.split(b" ")[1]) for each in as_it_is]
    assert [each.complete for each in kept] == [each.whole for each in as_it_is]
