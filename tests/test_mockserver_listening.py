"""The listening sockets, and whether anybody is connected to them."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable

import pytest
from aiohttp import web

from tickdeck.cassette.errors import UsageError
from tickdeck.mockserver.clock import Clock
from tickdeck.mockserver.listening import Listening, bind, is_hung_up, stop_accepting


def close_all(listeners: list[socket.socket]) -> None:
    for each in listeners:
        each.close()


def test_the_loopback_is_listened_on_in_both_families_at_one_port() -> None:
    listeners = bind("127.0.0.1", 0)
    names = [each.getsockname()[:2] for each in listeners]
    close_all(listeners)
    port = names[0][1]
    assert names == [("127.0.0.1", port), ("::1", port)]
    assert port > 0


@pytest.mark.parametrize("host", ["127.0.0.2", "::1"])
def test_any_other_address_is_listened_on_alone(host: str) -> None:
    listeners = bind(host, 0)
    names = [each.getsockname()[0] for each in listeners]
    close_all(listeners)
    assert names == [host]


def test_the_listeners_do_not_block() -> None:
    listeners = bind("127.0.0.1", 0)
    blocking = [each.getblocking() for each in listeners]
    close_all(listeners)
    assert blocking == [False, False]


@pytest.mark.parametrize("taken", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_in_either_family_is_one_sentence(taken: str) -> None:
    family = socket.AF_INET6 if ":" in taken else socket.AF_INET
    with socket.create_server((taken, 0), family=family) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError) as refused:
            bind("127.0.0.1", port)
    assert str(refused.value) == f"port {port} of {taken} is taken; --port 0 takes a free one"


@pytest.mark.parametrize("host", ["203.0.113.7", "::2"])
def test_an_address_of_another_machine_is_one_sentence(host: str) -> None:
    with pytest.raises(UsageError) as refused:
        bind(host, 0)
    assert str(refused.value).startswith(f"cannot listen on {host}:0: ")


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), 10)
        accepted, _ = server.accept()
    return accepted, client


def ends(client: socket.socket) -> None:
    client.close()


def half_closes(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)


def resets(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("how", [ends, half_closes, resets])
def test_who_has_hung_up_is_seen_though_nothing_was_read(how: Callable[[socket.socket], None]) -> None:
    accepted, client = pair()
    with accepted, client:
        client.sendall(b"last words")
        assert not is_hung_up(accepted.fileno())
        how(client)
        assert is_hung_up(accepted.fileno())


def test_a_socket_that_is_closed_on_our_side_tells_nothing() -> None:
    accepted, client = pair()
    accepted.close()
    client.close()
    assert not is_hung_up(accepted.fileno())


async def hello(request: web.BaseRequest) -> web.Response:
    return web.Response(text="hello")


async def test_that_the_last_connection_has_gone_is_noted_with_its_time() -> None:
    clock, gone = Clock(), asyncio.Event()
    server = Listening(hello, clock=clock, on_change=gone.set, log=logging.getLogger(__name__))
    begun_ns = server.alone_since_ns
    runner = web.ServerRunner(server)
    await runner.setup()
    listener = bind("127.0.0.2", 0)[0]
    await web.SockSite(runner, listener).start()
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert server.connected == 1
    assert not gone.is_set()
    writer.close()
    await writer.wait_closed()
    await asyncio.wait_for(gone.wait(), 20)
    assert server.connected == 0
    assert server.alone_since_ns > begun_ns
    await runner.cleanup()
    clock.close()


async def test_who_comes_once_nobody_is_accepted_any_more_waits_in_the_queue() -> None:
    clock = Clock()
    server = Listening(hello, clock=clock, on_change=lambda: None, log=logging.getLogger(__name__))
    runner = web.ServerRunner(server)
    await runner.setup()
    listener = bind("127.0.0.2", 0)[0]
    address = listener.getsockname()
    await web.SockSite(runner, listener).start()
    stop_accepting([listener])
    client = socket.create_connection(address, 10)
    for _ in range(5):
        await clock.breathe()
    assert server.connected == 0
    await runner.cleanup()
    client.close()
    clock.close()
