"""nginx, and Node's `ws`, directly and through the recorder: servers of others, compared by what they give."""

from __future__ import annotations

import asyncio
import http.client
import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets

from tickdeck.cassette.files import open_cassette
from tickdeck.cassette.records import Frame, Sender, TrackClosed

WS = Path(__file__).parent.parent / ".peers" / "node_modules" / "ws"

needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not on PATH (make peers)")
needs_ws = pytest.mark.skipif(
    shutil.which("node") is None or not WS.exists(), reason="Node's ws is not in .peers (make peers)"
)

CONFIGURATION = """
daemon off;
{user}
pid {home}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    types {{ application/json json; text/plain txt; application/octet-stream bin; }}
    gzip on;
    gzip_min_length 100;
    gzip_types application/json;
    expires 1h;
    add_header X-Frame-Options DENY always;
    server {{
        listen 127.0.0.1:{port};
        root {home}/www;
        location /limited {{ return 429 '{{"error":"too many"}}'; }}
        location /nothing {{ return 204; }}
        location /old {{ return 301 https://elsewhere.test/new?x=1; }}
        location /sockets/ {{
            proxy_pass http://127.0.0.1:{behind};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }}
    }}
}}
"""
FILES = {
    "page.json": b'{"results":[' + b'{"p":114.170,"s":100},' * 500 + b"{}]}",
    "small.json": b"{}",
    "empty.txt": b"",
    "large.bin": os.urandom(3_000_000),
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


async def answers(port: int) -> None:
    """Wait until somebody listens there."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)  # noqa: TID251 - nginx says nothing when it is ready
                continue
            writer.close()
            return


@asynccontextmanager
async def nginx(home: Path, *, behind: int = 9) -> AsyncIterator[int]:
    """Serves the files; what is asked under /sockets/ goes to the port ``behind``."""
    port = free_port()
    (home / "www" / "folder").mkdir(parents=True)
    for name, content in FILES.items():
        (home / "www" / name).write_bytes(content)
        os.utime(home / "www" / name, (1_536_036_818, 1_536_036_818))
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = home / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(home=home, port=port, behind=behind, user=user))
    process = await asyncio.create_subprocess_exec("nginx", "-e", "stderr", "-c", str(configuration))
    try:
        await answers(port)
        yield port
    finally:
        process.terminate()
        await process.wait()


SCRIPT = r"""
const { WebSocketServer } = require(process.argv[1]);
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: true });
server.on("listening", () => console.log(server.address().port));
server.on("connection", (socket, request) => {
  socket.send(JSON.stringify([{ ev: "status", status: "connected", path: request.url }]));
  socket.on("ping", (data) => socket.send(`pinged with ${data}`));
  socket.on("message", (data, isBinary) => {
    const words = data.toString();
    if (words === "ping me") socket.ping("hello");
    else if (words.startsWith("close ")) socket.close(Number(words.slice(6)), "as you wish");
    else if (words === "vanish") socket.terminate();
    else if (words === "burst") for (let n = 0; n < 1000; n++) socket.send(`${n} of many`);
    else socket.send(data, { binary: isBinary });
  });
  socket.on("close", (code, reason) => console.log(`closed ${code} ${reason}`));
});
process.stdin.on("end", () => process.exit()).resume();
"""


@asynccontextmanager
async def node_ws() -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
    """Its port, and what it says on how each connection ended."""
    process = await asyncio.create_subprocess_exec(
        *("node", "-e", SCRIPT, str(WS)), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline()), process.stdout
    finally:
        process.stdin.close()
        await process.wait()


OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding"}

Answer = tuple[int, str, list[tuple[str, str]], bytes]


def ask(port: int, requests: list[tuple[str, str, dict[str, str]]]) -> list[Answer]:
    """Each request in turn on one connection: status, reason, fields, and the body as it came."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    found = []
    for method, path, fields in requests:
        connection.request(method, path, headers=fields)
        try:
            answer = connection.getresponse()
        except ConnectionResetError:  # a kept connection may be closed at any time, as nginx does after some
            connection.close()
            connection.request(method, path, headers=fields)
            answer = connection.getresponse()
        kept = [
            (name, value.replace(f"127.0.0.1:{port}", "HOST"))
            for name, value in answer.getheaders()
            if name.lower() not in {*OF_ONE_CONNECTION, *MOVES}
        ]
        found.append((answer.status, answer.reason, kept, answer.read()))
    connection.close()
    return found


MOVES = {"date", "expires"}
"""Fields that say when it was asked."""

GZIP = {"Accept-Encoding": "gzip"}
REQUESTS = [
    ("GET", "/page.json", {}),
    ("GET", "/page.json", GZIP),
    ("HEAD", "/page.json", GZIP),
    ("HEAD", "/page.json", {}),
    ("GET", "/small.json", {}),
    ("GET", "/empty.txt", {}),
    ("GET", "/large.bin", {}),
    ("GET", "/large.bin", {"Range": "bytes=1000-1999"}),
    ("GET", "/large.bin", {"Range": "bytes=9999999-"}),
    ("GET", "/page.json", {"If-Modified-Since": "Tue, 04 Sep 2018 04:53:38 GMT"}),
    ("GET", "/page.json", {"If-Match": '"no such"'}),
    ("GET", "/gone.json", {}),
    ("GET", "/folder", {}),
    ("GET", "/limited", {}),
    ("GET", "/nothing", {}),
    ("GET", "/old", {}),
    ("POST", "/page.json", {"Content-Length": "0"}),
    ("GET", "/small.json", {"Connection": "close"}),
]

Before = Callable[[int], AbstractAsyncContextManager[Any]]


@needs_nginx
async def test_nginx_gives_the_same_through_the_recorder(recorder_before: Before, tmp_path: Path) -> None:
    async with nginx(tmp_path) as port, recorder_before(port) as ways:
        as_it_is = await asyncio.to_thread(ask, ways.direct, REQUESTS)
        recorded = await asyncio.to_thread(ask, ways.through, REQUESTS)
    for (method, path, fields), direct, through in zip(REQUESTS, as_it_is, recorded, strict=True):
        assert through == direct, (method, path, fields)
    assert {each[0] for each in as_it_is} == {200, 204, 206, 301, 304, 404, 405, 412, 416, 429}
    with open_cassette(ways.output) as cassette:
        kept = list(cassette.interactions())
    assert [(each.status, each.body) for each in kept] == [(status, body) for status, _, _, body in as_it_is]
    assert all(each.complete for each in kept)


async def conversation(url: str, ending: str) -> list[object]:
    """What a client of `websockets` was given, and how it ended."""
    given: list[object] = []
    async with websockets.connect(url, ping_interval=None, close_timeout=10) as connection:
        given.append(
            connection.response.headers.get("Sec-WebSocket-Extensions", "") if connection.response else ""
        )
        given.append(await connection.recv())
        for said in ("text é", b"\0binary", "x" * 70_000, "ping me", ""):
            await connection.send(said)
            if said != "ping me":
                given.append(await connection.recv())
        await (await connection.ping(b"me"))
        given.append(await connection.recv())
        await connection.send("burst")
        given += [await connection.recv() for _ in range(1000)]
        if ending == "leave":
            await connection.close(4001, "enough")
        else:
            await connection.send(ending)
            with pytest.raises(websockets.ConnectionClosed):
                await connection.recv()
        given += [connection.close_code, connection.close_reason]
    return given


@needs_ws
@pytest.mark.parametrize(
    "behind_nginx", [False, pytest.param(True, marks=needs_nginx)], ids=["ws", "nginx and ws"]
)
@pytest.mark.parametrize("ending", ["close 1000", "close 4999", "vanish", "leave"])
async def test_nodes_ws_says_the_same_through_the_recorder(
    recorder_before: Before, tmp_path: Path, ending: str, behind_nginx: bool
) -> None:
    async with node_ws() as (port, said), AsyncExitStack() as stack:
        if behind_nginx:
            port = await stack.enter_async_context(nginx(tmp_path, behind=port))
        ways = await stack.enter_async_context(recorder_before(port))
        path = "/sockets/stocks?x=1"
        as_it_is = await conversation(f"ws://127.0.0.1:{ways.direct}{path}", ending)
        ended = await said.readline()
        recorded = await conversation(f"ws://127.0.0.1:{ways.through}{path}", ending)
        assert (await said.readline()) == ended
        assert as_it_is[0]  # it offered compression, which the recorder declines
        assert recorded == ["", *as_it_is[1:]]
    with open_cassette(ways.output) as cassette:
        records = list(cassette.records())
    frames = [each for each in records if isinstance(each, Frame) and each.sender is Sender.SERVER]
    assert [each.payload for each in frames if each.opcode <= 2] == [
        each.encode() if isinstance(each, str) else each for each in recorded[1:-2]
    ]
    [closed] = [each for each in records if isinstance(each, TrackClosed)]
    assert closed.by is (Sender.CLIENT if ending == "leave" else Sender.SERVER)
    assert closed.code == (None if ending == "vanish" else recorded[-2])
