"""A process that forks: its children hold the market's sockets, too, and nobody is to notice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

FIRST_MINUTE = Path(__file__).parent.parent / "fixtures" / "first-minute.cassette"

PROGRAM = """
    import contextlib, http.client, os, socket, sys
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect
    from tickdeck.mockserver.harness import MockServer

    enter = contextlib.ExitStack().enter_context
    with MockServer(sys.argv[1]) as market:
        bot, stays = (enter(connect(market.ws_url + "/stocks")) for _ in range(2))
        bot.recv(20), stays.recv(20)
        rest = http.client.HTTPConnection("127.0.0.1", market.port, timeout=20)
        rest.request("GET", "/v3/nowhere")
        rest.getresponse().read()
        die = os.pipe()
        if not (child := os.fork()):
            os.close(die[1])
            os.read(die[0], 1)
            os._exit(0)
        market.drop(client=1)
        try:
            bot.recv(20)
        except ConnectionClosed:
            print("dropped")
    try:
        stays.recv(20)
    except ConnectionClosed as closed:
        print("closed", closed.rcvd.code)
    print("rest", rest.sock.recv(1))
    try:
        socket.create_connection(("127.0.0.1", market.port), 20).close()
    except ConnectionRefusedError:
        print("refused")
    os.close(die[1])
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_drop_and_the_end_are_noticed_though_a_forked_child_holds_the_sockets() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", dedent(PROGRAM), FIRST_MINUTE],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert ran.stdout.splitlines() == ["dropped", "closed 1001", "rest b''", "refused"]
